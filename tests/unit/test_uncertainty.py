"""From the files of a release to standard errors: what may not change them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project.files import read_sealed, write_sealed
from dagster_project.release.uncertainty import NANO, Unit, _kept_or_computed, observed_lines, standard_errors
from tests.unit.small_release import write_small_release


def varied_release(folder: Path) -> Path:
    """The small release, but no two probes of a line with the same answers: all have a variance."""
    file = write_small_release(folder) / "observations.parquet"
    table = pq.ParquetFile(file).read()
    nano = [
        None if each is None else 37 * row % 101 * 10**9 for row, each in enumerate(table["score_nano"].to_pylist())
    ]
    place = table.schema.get_field_index("score_nano")
    pq.write_table(table.set_column(place, "score_nano", pa.array(nano, pa.int64())), file)
    return folder


def test_a_method_saved_by_a_spreadsheet_gives_the_same(tmp_path: Path) -> None:
    """A mark of the encoding and empty rows, which ingest accepts, mean nothing here either."""
    folder = varied_release(tmp_path / "release")
    before = observed_lines(folder)
    for file in (folder / "method").glob("*.csv"):
        file.write_text("\ufeff" + file.read_text(encoding="utf-8") + ",\n\n", encoding="utf-8")
    after = observed_lines(folder)
    assert after.sums.own.tolist() == before.sums.own.tolist()
    assert before.sums.own.sum() > 10
    assert repr(standard_errors(after)) == repr(standard_errors(before))


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_row_groups_make_no_difference(tmp_path: Path, rows: int) -> None:
    """Whether a line is whole in one, or begins in one and ends in another: the last bit is the same."""
    folder = varied_release(tmp_path / "release")
    before = standard_errors(observed_lines(folder))
    file = folder / "observations.parquet"
    pq.write_table(pq.ParquetFile(file).read(), file, row_group_size=rows)
    assert pq.ParquetFile(file).num_row_groups > 1
    assert repr(standard_errors(observed_lines(folder))) == repr(before)


def test_a_name_that_probes_of_two_lines_share_is_two_probes(tmp_path: Path) -> None:
    folder = varied_release(tmp_path / "release")
    before = observed_lines(folder).sums
    file = folder / "observations.parquet"
    table = pq.ParquetFile(file).read()
    short = [each.split("-")[-1] for each in table["probe_id"].to_pylist()]
    pq.write_table(table.set_column(table.schema.get_field_index("probe_id"), "probe_id", [short]), file)
    after = observed_lines(folder).sums
    assert after.counts.tolist() == before.counts.tolist()
    assert after.own.tolist() == before.own.tolist()


def test_rank_sets_are_found_again_by_the_code_that_made_them_and_by_no_other(tmp_path: Path) -> None:
    file = tmp_path / "kept" / "group.json"
    units = [Unit("a", 90 * NANO, 1.0), Unit("b", 80 * NANO, 1.0)]
    made = _kept_or_computed(units, {"code": "1"}, file)
    kept = read_sealed(file)
    assert kept is not None
    kept["sets"][0]["rank_high"] = 99
    write_sealed(file, kept)
    assert _kept_or_computed(units, {"code": "1"}, file)[0].rank_high == 99
    assert _kept_or_computed(units, {"code": "2"}, file) == made
    assert _kept_or_computed(units, {"code": "2"}, file) == made
