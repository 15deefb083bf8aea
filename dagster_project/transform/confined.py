"""dbt's own connections, confined as all others are. Loaded by dbt-duckdb (`plugins` of dbt/profiles.yml).

dbt-duckdb applies the `settings` of a profile to every cursor anew, which a locked configuration
refuses: so the profile has none, and everything is said here, once per connection.
"""

from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection

from dagster_project.database import OPTIONS, confine
from dagster_project.errors import UsageError
from dagster_project.paths import Paths
from dagster_project.transform.warehouse import require_as_begun

SCRATCH = (":memory:", "sample.duckdb")
pipelines: set[Path] = set()  # warehouses that the pipeline's worker opens, in this process


class Plugin(BasePlugin):
    """Models read what was ingested and what a run recomputes; they write to the warehouse alone."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """`home`: the installation's state folder."""
        self._home = Path(plugin_config["home"]).resolve()

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """Add to the options that the database is opened with, which is at once after this.

        Raises UsageError where plain dbt would open a database that is no scratch database.
        """
        if Path(creds.path).name not in SCRATCH and Path(creds.path) not in pipelines:
            raise UsageError(
                f"{creds.path}: 只有 hotline run 可写入数据仓库,请不加 --target 运行 dbt / only hotline run writes to "
                "a warehouse; run dbt without --target, which uses a scratch database"
            )
        require_as_begun(Paths(raw=self._home, home=self._home))
        config |= OPTIONS

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Confine the connection, and with it every cursor of it."""
        confine(conn, self._home, model_inputs(self._home))


def model_inputs(home: Path) -> tuple[Path, Path, Path]:
    """The folders that models read: bronze, the scope of the run, and what another engine has made of it."""
    paths = Paths(raw=home, home=home)
    return paths.bronze, paths.scope.parent, paths.engine
