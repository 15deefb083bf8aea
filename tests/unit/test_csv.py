"""No CSV that is handed out holds what a spreadsheet would run."""

import csv
import re
from pathlib import Path

import pyarrow as pa
import pytest

from dagster_project.errors import InputRejected
from dagster_project.ingest.reference import reference_tables
from dagster_project.ingest.wave import load_wave
from dagster_project.paths import PROJECT
from dagster_project.release.reading import Release
from dagster_project.release.tables import FORMULA_STARTS, _write_csv, inert
from dagster_project.report.site import write_site
from tests.small_wave import WAVE, SmallWave
from tests.unit.small_release import HOSTILE_NAMES, write_small_release

FORMULAS = [f'{start}HYPERLINK("http://example.com")' for start in FORMULA_STARTS]
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream))


def risky_cells(path: Path) -> list[str]:
    """Cells that start as a formula does and are no number."""
    cells = [cell for row in rows_of(path) for cell in row]
    return [cell for cell in cells if cell.startswith(FORMULA_STARTS) and not NUMBER.fullmatch(cell)]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(text: str, tmp_path: Path) -> None:
    assert inert(text) == f"'{text}"
    table = pa.table({"unit_name": [text, "济南"], "change": [-1.5, None], "is_tied": [True, False]})
    _write_csv(table, tmp_path / "rankings.csv", text)
    assert risky_cells(tmp_path / "rankings.csv") == []
    # a number stays one
    assert rows_of(tmp_path / "rankings.csv")[1:] == [
        [f"'{text}", "-1.5", "true", f"'{text}"], ["济南", "", "false", f"'{text}"]
    ]  # fmt: skip


def test_the_csv_of_a_site_with_hostile_names_is_inert(tmp_path: Path) -> None:
    assert any(name.startswith(FORMULA_STARTS) for name in HOSTILE_NAMES)
    (tmp_path / "site").mkdir()
    write_site(Release(write_small_release(tmp_path / "release", names=HOSTILE_NAMES)), tmp_path / "site")
    path = tmp_path / "site" / "data" / "line_scores.csv"
    assert risky_cells(path) == []
    assert len(rows_of(path)) == 1 + len(HOSTILE_NAMES)


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\uff1d1"])
def test_a_method_whose_files_hold_formulas_is_refused(tmp_path: Path, text: str) -> None:
    """They are copied into releases byte for byte."""
    wave = SmallWave(tmp_path)
    wave.write()
    path = wave.paths.method("v2023") / "scenarios.csv"
    given = path.read_text(encoding="utf-8")
    assert "社保参保与待遇" in given
    path.write_text(given.replace("社保参保与待遇", text, 1), encoding="utf-8")
    with pytest.raises(InputRejected, match=r"scenarios\.csv .* formula"):
        reference_tables(wave.paths, load_wave(wave.paths, WAVE))


def test_the_projects_own_csvs_are_inert() -> None:
    files = [*(PROJECT / "raw" / "methods").rglob("*.csv"), *(PROJECT / "raw" / "frames").glob("*.csv")]
    assert len(files) > 10
    assert {path.name: risky_cells(path) for path in files if risky_cells(path)} == {}


def test_these_are_all_the_places_that_write_csv() -> None:
    """Who adds one decides whether people open it in a spreadsheet.

    The simulator writes what vendors would; `sessions.py` what one database copies from another, and nobody keeps.
    """
    writing = re.compile(r"csv\.(?:Dict)?[wW]riter\(|\.to_csv\(|write_csv\(")
    package = PROJECT / "dagster_project"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if writing.search(path.read_text(encoding="utf-8"))
    }
    for_people = {"release/tables.py", "report/site.py"}
    assert found == {*for_people, "simulate/raw_folder.py", "simulate/vendor.py", "transform/sessions.py"}
