"""One Dagster instance on PostgreSQL that several installations share: whose a run is, and what may not run at once.

Belongs here: the settings of such an instance, the name, mark and pool of an installation in it. Does not
belong here: an installation by itself, whose history lies in its own folder (`launch.py`, `history.py`).

A run is executed on the host of its code location, in that host's HOTLINE_HOME, and holds that
installation from its first step to its last. So the pool is the installation's, and it counts runs and not steps.
"""

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dagster_project.errors import HotlineError, UsageError
from dagster_project.paths import installation_name, postgres_url

if TYPE_CHECKING:
    import dagster as dg

CONNECT_SECONDS = 5
STATEMENT_MILLISECONDS, RECYCLE_SECONDS, OVERFLOW = 60_000, 3600, 5  # of the connections that a run keeps
MARK = "hotline/installation"  # the tag of a run that says in which installation it is at work
DRIVER = "postgresql+psycopg2://"  # the one that dagster-postgres brings; SQLAlchemy's own choice is another
URL = re.compile(r"postgresql(\+psycopg2)?://[^/\s]*/[^/?\s]+(\?\S*)?")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")

SETTINGS = """\
# the URL is read by each process itself, and written nowhere
event_log_storage:
  module: dagster_project.shared_history
  class: SharedRunHistory
  config: {postgres_url: {env: HOTLINE_POSTGRES_URL}}
run_storage:
  module: dagster_postgres
  class: PostgresRunStorage
  config: {postgres_url: {env: HOTLINE_POSTGRES_URL}}
schedule_storage:
  module: dagster_postgres
  class: PostgresScheduleStorage
  config: {postgres_url: {env: HOTLINE_POSTGRES_URL}}
run_coordinator:
  module: dagster._core.run_coordinator
  class: QueuedRunCoordinator
run_monitoring: # a run whose host does not answer holds its pool no longer than this
  enabled: true
  start_timeout_seconds: 300
concurrency:
  runs:
    max_concurrent_runs: 10 # of all installations together
  pools:
    granularity: run # a run holds its installation from its first step to its last
    default_limit: 1 # one pool per installation: its DuckDB has one writer
"""


def is_shared() -> bool:
    """Whether the history is in PostgreSQL. Raises UsageError where what is said of it can not be right."""
    url = postgres_url()
    if url is None:
        return False
    if not URL.fullmatch(url):  # not quoted: it may hold a password
        raise UsageError(
            "HOTLINE_POSTGRES_URL 应形如 / HOTLINE_POSTGRES_URL must look like postgresql://USER@HOST:PORT/DATABASE"
        )
    if find_spec("dagster_postgres") is None:
        raise UsageError(
            "使用 PostgreSQL 需安装附加包 / PostgreSQL needs the extra packages: hotline-quality-report[team]"
        )
    return True


def database_url() -> str:
    """HOTLINE_POSTGRES_URL with its driver named. To be asked where `is_shared`."""
    return DRIVER + (postgres_url() or "").partition("://")[2]


def own_name() -> str:
    """Name of this installation in the shared instance. Raises UsageError where it has none."""
    name = installation_name() or ""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"与他人共用 PostgreSQL 时,须以 HOTLINE_INSTALLATION 给本安装一个唯一的名称(小写字母、数字、连字符)/ "
            f"with HOTLINE_POSTGRES_URL, HOTLINE_INSTALLATION must name this installation, each by another name "
            f"(small letters, digits, hyphens): {name!r}"
        )
    return name


def pool() -> str | None:
    """The pool of every step of this installation; None where the instance is its own and runs one at a time anyway."""
    return f"installation-{own_name()}" if is_shared() else None


def own_mark() -> dict[str, str]:
    """The tags that a run of this installation bears; none where no other shares the history."""
    return {MARK: own_name()} if is_shared() else {}


def keep_connections(instance: "dg.DagsterInstance") -> None:
    """Let the process of a run keep its connections. Dagster opens and closes one for every statement.

    A run of the demonstration wave took three times as long so. The method is meant for the webserver,
    which writes as well; nothing in it is the webserver's.
    """
    instance.optimize_for_webserver(STATEMENT_MILLISECONDS, pool_recycle=RECYCLE_SECONDS, max_overflow=OVERFLOW)


def require_reachable() -> None:
    """Raise HotlineError, with what the server says, where the database can not be reached. Dagster tries for long."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with create_engine(database_url(), connect_args={"connect_timeout": CONNECT_SECONDS}).connect():
            pass
    except SQLAlchemyError as error:
        raise HotlineError(
            f"不能连接 PostgreSQL / PostgreSQL can not be reached: {getattr(error, 'orig', None) or error}"
        ) from error


def schema_revisions() -> tuple[object, object]:
    """(revision of the tables in the database, that of the installed Dagster); the former None where it is empty.

    Makes nothing. Raises what `require_reachable` raises.
    """
    from dagster_postgres import PostgresRunStorage

    require_reachable()
    return PostgresRunStorage(database_url(), should_autocreate_tables=False).alembic_version()
