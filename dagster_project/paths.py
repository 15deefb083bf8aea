"""Every path of the project, and the only place that reads the environment.

Belongs here: where a thing lies on disk. Does not belong here: what is in it.
Imports nothing of ours but the failures, so that every other module may import it.
"""

import os
import re
import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from dagster_project.errors import UsageError

PROJECT = Path(__file__).resolve().parent.parent
DBT_PROJECT = PROJECT / "dbt"
EXPECTATIONS = PROJECT / "expectations"

# What becomes a part of a path: names in wave.yml, codes of lines and groups. It cannot climb, hide or be an option.
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,79}")
# A wave id is such a name, a partition key, and said in messages.
WAVE_ID = re.compile(r"[0-9]{4}(-[a-z0-9]{1,16}){0,4}")


# The variables that connect an installation with others.
SHARED = ("HOTLINE_POSTGRES_URL", "HOTLINE_STORE")


@dataclass(frozen=True)
class Paths:
    """Where one installation keeps its input (`raw`) and its state (`home`)."""

    raw: Path
    home: Path

    # input -----------------------------------------------------------------
    def wave_raw(self, wave: str) -> Path:
        return self.raw / _name(wave)

    def wave_yml(self, wave: str) -> Path:
        return self.wave_raw(wave) / "wave.yml"

    def ledger(self, wave: str) -> Path:
        """The corrections of a wave: asked for, approved, withdrawn."""
        return self.wave_raw(wave) / "corrections" / "ledger.jsonl"

    def checksums(self, wave: str) -> Path:
        """The hashes of a frozen wave's exports."""
        return self.wave_raw(wave) / "SHA256SUMS"

    def profile(self, name: str) -> Path:
        return self.raw / "profiles" / f"{_name(name)}.yml"

    def method(self, name: str) -> Path:
        return self.raw / "methods" / _name(name)

    def frame(self, name: str) -> Path:
        return self.raw / "frames" / f"{_name(name)}.csv"

    @property
    def people(self) -> Path:
        """Who may ask for corrections and who may approve them."""
        return self.raw / "people.csv"

    # state -----------------------------------------------------------------
    @property
    def bronze(self) -> Path:
        return self.home / "bronze"

    def bronze_part(self, table: str, wave: str) -> Path:
        return self.bronze / _name(table) / f"wave={_name(wave)}" / "part-0.parquet"

    def bronze_parts(self, wave: str) -> dict[str, Path]:
        """{table: its file} of what stands of a wave, by name."""
        found = sorted(self.bronze.glob(f"*/wave={_name(wave)}/part-0.parquet"))
        return {path.parent.parent.name: path for path in found}

    def ingest_report(self, wave: str) -> Path:
        """What the ingest of a wave read, wrote and refused, per file (JSON)."""
        return self.home / "ingest" / f"{_name(wave)}.json"

    @property
    def spill(self) -> Path:
        """Rows of the wave that is being ingested, where they are too many for memory; gone when that ends."""
        return self.home / ".spill.new"

    @property
    def scope(self) -> Path:
        """The lines that the dbt steps recompute: the one file that tells them."""
        return self.home / "scope" / "scope.parquet"

    @property
    def warehouse(self) -> Path:
        return self.home / "warehouse.duckdb"

    @property
    def dbt_target(self) -> Path:
        return self.home / "dbt_target"

    def parsed_project(self, target: str) -> Path:
        """What dbt has parsed for one of its targets: their macros differ."""
        return self.dbt_target if target == "duckdb" else self.dbt_target / _name(target)

    @property
    def engine(self) -> Path:
        """What another engine than DuckDB reads and makes in one step: a folder of Parquet per table."""
        return self.home / "engine"

    def quality(self, wave: str) -> Path:
        """The latest verdicts of both gates for a wave (JSON)."""
        return self.home / "quality" / f"{_name(wave)}.json"

    def rank_sets(self, wave: str) -> Path:
        """Rank sets of the wave's groups as last computed: a run takes them from here where no score changed."""
        return self.home / "rank_sets" / _name(wave)

    def fieldwork(self, wave: str) -> Path:
        """What the codes of a wave say of its field work, with the codes of coders (JSON): the analyst's."""
        return self.home / "fieldwork" / f"{_name(wave)}.json"

    def releases(self, wave: str) -> Path:
        return self.home / "releases" / _name(wave)

    def current(self, wave: str) -> Path:
        return self.releases(wave) / "current"

    def reports(self, wave: str) -> Path:
        """What is rendered from the wave's releases; `current` shows the one of the current release."""
        return self.home / "reports" / _name(wave)

    def current_report(self, wave: str) -> Path:
        return self.reports(wave) / "current"

    def site_index(self, wave: str) -> Path:
        return self.current_report(wave) / "site" / "index.html"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def shared_dagster_home(self) -> Path:
        """Settings of a Dagster instance whose history is in PostgreSQL; the embedded history stays beside it."""
        return self.home / "dagster-shared"

    @property
    def log(self) -> Path:
        """What was done in this installation, as a chain of records (JSON lines)."""
        return self.home / "log.jsonl"

    @property
    def log_head(self) -> Path:
        """The head of the log, and the change that is being made with its next record (JSON)."""
        return self.home / "log.head"

    @property
    def log_pending(self) -> Path:
        """The record that is being appended to the log, and the change that belongs to it."""
        return self.home / "log.pending"

    @property
    def log_lock(self) -> Path:
        """Held for the milliseconds in which the log is read or appended to."""
        return self.home / "log.lock"

    @property
    def lock(self) -> Path:
        return self.home / "run.lock"

    def running(self, run_id: str) -> Path:
        """Held by the process that executes the run; gone when that ends."""
        return self.home / "running" / _name(run_id)

    def running_files(self) -> list[Path]:
        """The files of `running` that exist, those of killed processes too."""
        return [path for path in (self.home / "running").glob("*") if NAME.fullmatch(path.name) and path.is_file()]


def _name(text: str) -> str:
    """The last guard: who calls has judged the name before, and told its user what is wrong with it."""
    if not NAME.fullmatch(text):
        raise ValueError(f"not a name that may stand in a path: {text!r}")
    return text


def python_path() -> list[str]:
    """The entries of PYTHONPATH as they are written: empty and relative ones mean the current folder."""
    return (os.environ.get("PYTHONPATH") or "").split(os.pathsep)


def secret() -> str | None:
    """What personal data is keyed with (`HOTLINE_SECRET`); there is no other source, and no default."""
    return os.environ.get("HOTLINE_SECRET") or None


def sudo_uid() -> int | None:
    """The account that called `sudo` (`SUDO_UID`); None: nobody did, or the variable is no number."""
    text = os.environ.get("SUDO_UID", "")
    return int(text) if re.fullmatch(r"[0-9]{1,10}", text) else None


def group_may_read() -> bool:
    """Whether the owner's group may read the state folder (`HOTLINE_GROUP_READ=1`), as a web server's user has to."""
    return os.environ.get("HOTLINE_GROUP_READ") == "1"


def postgres_url() -> str | None:
    """The database that installations share their history in (`HOTLINE_POSTGRES_URL`), a secret; None: embedded."""
    return os.environ.get("HOTLINE_POSTGRES_URL") or None


def installation_name() -> str | None:
    """What tells this installation from the others that share the database (`HOTLINE_INSTALLATION`)."""
    return os.environ.get("HOTLINE_INSTALLATION") or None


def store_url() -> str | None:
    """Where releases and bronze are copied to, `s3://bucket/prefix` (`HOTLINE_STORE`); None: nowhere.

    Credentials and region are the standard `AWS_*` variables, which the S3 library reads itself.
    """
    return os.environ.get("HOTLINE_STORE") or None


def store_endpoint() -> str | None:
    """Address of a store that is not Amazon's (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`)."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def spark_master() -> str:
    """The cluster that executes the models on Spark (`SPARK_MASTER`). Default: two threads of this machine."""
    return os.environ.get("SPARK_MASTER") or "local[2]"


def spark_address() -> str:
    """Where Spark's driver listens for its executors (`SPARK_LOCAL_IP`). Default: this machine alone."""
    return os.environ.get("SPARK_LOCAL_IP") or "127.0.0.1"


# Of PostgreSQL's own clients. What holds without them stands in dbt/profiles.yml too, where dbt finds the database.
MODELS_DATABASE = {
    "host": ("PGHOST", "127.0.0.1"), "port": ("PGPORT", "5432"), "user": ("PGUSER", "hotline"),
    "dbname": ("PGDATABASE", "hotline"),
}  # fmt: skip


def models_database() -> dict[str, str]:
    """The PostgreSQL database that executes the models, without its password."""
    return {name: os.environ.get(variable, default) for name, (variable, default) in MODELS_DATABASE.items()}


def java() -> str | None:
    """The Java that Spark would start: of `JAVA_HOME`, else on the PATH."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=f"{home}/bin" if home else None)


# DuckDB takes some for patterns, separators or partitions (`a=b`); dbt and SQLAlchemy read the path as a URL.
NOT_IN_STATE_FOLDER = frozenset("*?[]{}\\,;=#%")
MAX_FOLDER_BYTES = 400  # SQLite opens no file whose path has more than 512
MAX_NAME_BYTES = 255  # the file system's limit


def paths() -> Paths:
    """The installation that the environment names (`HOTLINE_RAW`, `HOTLINE_HOME`).

    Defaults: `raw/` and `data/` beside the source.

    Raises:
        UsageError: a folder's path is too long, has characters that a library would misread, or names a file.
    """
    raw, home = (
        Path(os.path.realpath(os.environ.get(variable) or PROJECT / default))
        for variable, default in (("HOTLINE_RAW", "raw"), ("HOTLINE_HOME", "data"))
    )
    _require_usable("HOTLINE_RAW", raw, frozenset())
    _require_usable("HOTLINE_HOME", home, NOT_IN_STATE_FOLDER)
    return Paths(raw, home)


def _require_usable(variable: str, folder: Path, forbidden: frozenset[str]) -> None:
    found = sorted({each for each in str(folder) if each in forbidden or unicodedata.category(each)[0] == "C"})
    if found:
        named = " ".join(
            f"{each} (U+{ord(each):04X})" if each.isprintable() else f"U+{ord(each):04X}" for each in found
        )
        raise UsageError(
            f"{variable} 的路径含有不能使用的字符 {named},请改用其他文件夹 / "
            f"the path of {variable} has characters that cannot be used: {named}; choose another folder"
        )
    if len(os.fsencode(folder)) > MAX_FOLDER_BYTES or any(
        len(os.fsencode(each)) > MAX_NAME_BYTES for each in folder.parts
    ):
        raise UsageError(
            f"{variable} 的路径过长:{len(os.fsencode(folder))} 字节,至多 {MAX_FOLDER_BYTES};单级名称至多 "
            f"{MAX_NAME_BYTES} / the path of {variable} is too long: {len(os.fsencode(folder))} bytes of at most "
            f"{MAX_FOLDER_BYTES}; a name in it has at most {MAX_NAME_BYTES}"
        )
    existing = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not existing.is_dir():
        raise UsageError(
            f"{variable}:{existing} 不是文件夹,请移开它或改用其他文件夹 / "
            f"{existing} is not a folder; move it, or choose another folder"
        )
