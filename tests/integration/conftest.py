"""Servers, once per test process, and an installation of six lines, small enough to run again and again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project.paths import PROJECT
from tests.conftest import Installation, fresh, made_once
from tests.servers import Postgres, postgres_server, s3_server

WAVE = "2022"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    with s3_server() as variables:
        yield variables


@pytest.fixture(scope="session")
def six_lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw folder of the wave with six lines; nothing is run."""
    with made_once(tmp_path_factory, "six_lines") as (root, is_ours):
        if is_ours:
            root.mkdir()
            arguments = ("--wave", WAVE, "--lines", "6", "--probes", "6", "--out", str(root / "raw"))
            done = Installation(root, {"HOTLINE_RAW": str(PROJECT / "raw")}).hotline("simulate", *arguments)
            assert done.code == 0, done.err
    return root / "raw"


@pytest.fixture(scope="session")
def published_six(six_lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The same, run by the command line with nothing shared. Not to be changed: tests take a copy."""
    with made_once(tmp_path_factory, "published_six") as (root, is_ours):
        if is_ours:
            fresh(root, six_lines).run("--no-report")
    return Installation(root)
