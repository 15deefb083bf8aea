"""The name of a release: a hash of all that it is made from."""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_project.paths import PROJECT, Paths

CODE = ("dagster_project/**/*.py", "dbt/**/*.sql", "dbt/**/*.yml", "dbt/**/*.md", "expectations/*", "requirements.lock")
PACKAGES = ("dagster", "dbt-core", "dbt-duckdb", "duckdb", "great-expectations", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True)
class Identity:
    """What a release is made from. `release` names the folder; equal identities give equal bytes."""

    wave: str
    raw_files: tuple[dict[str, Any], ...]  # file, sha256, bytes
    declaration: str  # hash of wave.yml, frame and method version
    code: str
    baseline_release: str | None
    ledger_head: str | None = None

    @property
    def release(self) -> str:
        text = json.dumps(self.__dict__, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_version() -> str:
    """Hash of the source that makes a release: every module, model, expectation and the lock file."""
    return _hash_files(PROJECT, sorted({path for pattern in CODE for path in PROJECT.glob(pattern) if path.is_file()}))


def declaration_version(paths: Paths, wave: str, method: str, frame: str) -> str:
    """Hash of what the wave declares: its wave.yml, its frame, its method version."""
    files = [paths.wave_yml(wave), paths.frame(frame), *sorted(paths.method(method).glob("*.csv"))]
    return _hash_files(paths.raw, files)


def package_versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


def _hash_files(root: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
