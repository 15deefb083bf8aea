"""The name of a release: a hash of all that it is made from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_project.claims.narrative import sources
from dagster_project.files import files_digest, sha256_of
from dagster_project.ingest.wave import Wave
from dagster_project.paths import PROJECT, Paths

CODE = (
    "dagster_project/**/*.py",
    "dbt/*.yml", "dbt/models/**/*", "dbt/macros/**/*", "dbt/tests/**/*",  # not dbt/target, which plain dbt writes
    "expectations/*", "requirements.lock",
    "raw/narratives/*.yml",  # the project's own text serves every installation that has none
)  # fmt: skip
PACKAGES = ("dagster", "dbt-core", "dbt-duckdb", "duckdb", "great-expectations", "numpy", "pandas", "pyarrow")


@dataclass(frozen=True)
class Identity:
    """What a release is made from. `release` names the folder; equal identities give equal bytes."""

    wave: str
    raw_files: tuple[dict[str, Any], ...]  # file, sha256, bytes
    declaration: str  # hash of wave.yml, profiles, frame, method version and the text's files
    code: str
    baseline_release: str | None
    ledger_head: str | None

    @property
    def release(self) -> str:
        text = json.dumps(self.__dict__, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_version() -> str:
    """Hash of the source that makes a release: every module, model, expectation and the lock file."""
    return files_digest({path for pattern in CODE for path in PROJECT.glob(pattern) if path.is_file()}, PROJECT)


def declaration_files(paths: Paths, wave: Wave) -> dict[str, str]:
    """{name below raw/: sha256} of `declared_paths`."""
    return {path.relative_to(paths.raw).as_posix(): sha256_of(path) for path in declared_paths(paths, wave)}


def declared_paths(paths: Paths, wave: Wave) -> list[Path]:
    """The files below raw/ of what the wave declares: wave.yml, frame, method version, profiles, texts.

    The vendors' profiles belong to it: by another one, the same exports say something else. SHA256SUMS
    does not: it repeats hashes that name the release already, so freezing a wave makes no other release.
    """
    files = [paths.wave_yml(wave.id), paths.frame(wave.frame), *paths.method(wave.method).glob("*.csv")]
    files += [paths.profile(export.profile) for export in wave.exports]
    texts = sources(paths, wave.id)
    if texts.recommendations is not None:
        files.append(texts.recommendations)
    if texts.template.is_relative_to(paths.raw):  # another is part of the code
        files.append(texts.template)
    return sorted(set(files))


def declaration_version(files: Mapping[str, str]) -> str:
    """One hash for `declaration_files`."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def package_versions() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}
