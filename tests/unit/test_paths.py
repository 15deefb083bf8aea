"""Folders that a library would misread are refused before anything is written."""

from pathlib import Path

import pytest

from dagster_project.errors import UsageError
from dagster_project.paths import MAX_FOLDER_BYTES, paths


@pytest.mark.parametrize(
    "character", ["[", "]", "\\", ",", "*", "?", "{", ";", "#", "%", "=", "\n", "\x7f", "\u200b", "\udcff"]
)
def test_a_state_folder_with_an_unusable_character_is_refused(
    character: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTLINE_HOME", f"{tmp_path}/a{character}b")
    with pytest.raises(UsageError, match=rf"HOTLINE_HOME.*U\+{ord(character):04X}"):
        paths()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("character", [" ", "'", '"', ":", "$", "&", "中", "~", "(", "@", "`", "+", "|", "é"])
def test_other_characters_are_taken(character: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_HOME", f"{tmp_path}/a{character}b")
    assert paths().home == (tmp_path / f"a{character}b").resolve()


@pytest.mark.parametrize("variable", ["HOTLINE_HOME", "HOTLINE_RAW"])
@pytest.mark.parametrize("name", ["x" * 256, "字" * 86, "x/" * MAX_FOLDER_BYTES])
def test_a_path_that_is_too_long_is_refused(variable: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, f"/{name}")
    with pytest.raises(UsageError, match=f"{variable}.*too long"):
        paths()


@pytest.mark.parametrize("variable", ["HOTLINE_HOME", "HOTLINE_RAW"])
@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_the_place_of_a_folder_is_refused(
    variable: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    monkeypatch.setenv(variable, str(tmp_path / name))
    with pytest.raises(UsageError, match=f"{variable}.*file 不是文件夹.* is not a folder"):
        paths()


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv("HOTLINE_HOME", str(tmp_path / "loop"))
    with pytest.raises(UsageError, match="is not a folder"):
        paths()
