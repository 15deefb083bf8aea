"""From the files of a release to standard errors: what may not change them."""

from pathlib import Path

from dagster_project.release.uncertainty import observed_lines, standard_errors
from tests.unit.small_release import write_small_release


def test_a_method_saved_by_a_spreadsheet_gives_the_same(tmp_path: Path) -> None:
    """A mark of the encoding and empty rows, which ingest accepts, mean nothing here either."""
    folder = write_small_release(tmp_path / "release")
    before = observed_lines(folder)
    for file in (folder / "method").glob("*.csv"):
        file.write_text("\ufeff" + file.read_text(encoding="utf-8") + ",\n\n", encoding="utf-8")
    after = observed_lines(folder)
    assert after.observed.weight.tolist() == before.observed.weight.tolist()
    assert len(before.observed.weight) > 10
    assert repr(standard_errors(after)) == repr(standard_errors(before))
