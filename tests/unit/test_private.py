"""Nobody reads the state folder but its owner, and the group where that is asked for."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project.doctor import diagnose
from dagster_project.lock import run_lock
from dagster_project.paths import Paths
from dagster_project.private import keep_new_files_private, keep_private, make_private


@pytest.fixture(autouse=True)
def ordinary_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(raw=tmp_path / "raw", home=tmp_path / "home")


def modes(home: Path) -> dict[str, str]:
    found = {path.relative_to(home).as_posix(): path for path in [home, *home.rglob("*")] if not path.is_symlink()}
    return {name: f"{stat.S_IMODE(path.stat().st_mode):03o}" for name, path in found.items()}


def fill(home: Path) -> None:
    (home / "bronze").mkdir()
    (home / "bronze/part-0.parquet").write_text("x", encoding="utf-8")
    (home / "run").write_text("x", encoding="utf-8")
    (home / "run").chmod(0o755)
    (home / "current").symlink_to("bronze")
    (home / "outside").symlink_to(home.parent / "other")


def test_a_new_folder_is_its_owners_alone(paths: Paths) -> None:
    with run_lock(paths):
        assert modes(paths.home)["."] == "700"


def test_what_commands_make_is_its_owners_alone(paths: Paths) -> None:
    keep_new_files_private()
    make_private(paths.home)
    fill(paths.home)
    assert modes(paths.home) == {".": "700", "bronze": "700", "bronze/part-0.parquet": "600", "run": "755"}


def test_an_open_folder_is_closed_and_says_so_once(paths: Paths, caplog: pytest.LogCaptureFixture) -> None:
    paths.home.mkdir()
    fill(paths.home)
    other = paths.home.parent / "other"
    other.write_text("x", encoding="utf-8")
    for _ in range(2):
        with run_lock(paths):
            assert modes(paths.home) == {
                ".": "700", "bronze": "700", "bronze/part-0.parquet": "600", "run": "700",
                "run.lock": modes(paths.home)["run.lock"],
            }  # fmt: skip
    assert [record.message.count("0755") for record in caplog.records] == [2]
    assert stat.S_IMODE(other.stat().st_mode) == 0o644


def test_the_group_reads_where_that_is_asked_for(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    make_private(paths.home)
    fill(paths.home)
    monkeypatch.setenv("HOTLINE_GROUP_READ", "1")
    keep_private(paths.home)
    assert modes(paths.home) == {".": "750", "bronze": "750", "bronze/part-0.parquet": "640", "run": "750"}
    keep_new_files_private()
    (paths.home / "new").write_text("x", encoding="utf-8")
    assert modes(paths.home)["new"] == "640"
    monkeypatch.delenv("HOTLINE_GROUP_READ")
    keep_private(paths.home)
    assert set(modes(paths.home).values()) == {"700", "600"}


def test_the_doctor_finds_an_open_folder(paths: Paths) -> None:
    paths.home.mkdir(mode=0o755)

    def finding() -> bool:
        return next(each.is_ok for each in diagnose(paths) if "private" in each.name)

    assert not finding()
    keep_private(paths.home)
    assert finding()


def test_what_the_owner_may_not_write_stays_so(paths: Paths) -> None:
    make_private(paths.home)
    paths.home.chmod(0o555)
    keep_private(paths.home)
    assert modes(paths.home)["."] == "500"
