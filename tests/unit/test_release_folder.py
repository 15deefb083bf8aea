"""What stays of a folder that was to be published: all of it, or nothing."""

from pathlib import Path

import pytest

from dagster_project.release.folder import keep, staging_folder, switch


def test_a_failure_leaves_nothing_behind_and_what_stood_stays(tmp_path: Path) -> None:
    with staging_folder(tmp_path, "one") as staged:
        (staged / "figures.json").write_text("1", encoding="utf-8")
        keep(staged, tmp_path / "one")
    switch(tmp_path / "one")
    with pytest.raises(ZeroDivisionError), staging_folder(tmp_path, "two") as staged:
        (staged / "figures.json").write_text("2", encoding="utf-8")
        _ = 1 // 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "one"]
    assert (tmp_path / "current/figures.json").read_text(encoding="utf-8") == "1"


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / ".staged-killed/site").mkdir(parents=True)
    with staging_folder(tmp_path, "one") as staged:
        assert [path.name for path in tmp_path.iterdir()] == [staged.name]
        assert not list(staged.iterdir())
