"""A wave larger than memory: what waits in files comes out as what waits in memory, and no more waits than may."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.errors import InputRejected
from dagster_project.files import staged_file
from dagster_project.ingest import bronze as bronze_module
from dagster_project.ingest import spill
from dagster_project.ingest.bronze import READERS, check_wave
from dagster_project.ingest.profile import Profile
from dagster_project.ingest.read import Cells, Delivered, Delivery, deliveries, read_cells
from dagster_project.ingest.rows import Known
from dagster_project.ingest.spill import Keys, Runs
from dagster_project.ingest.wave import load_wave
from dagster_project.schema import DIAL_ATTEMPTS, EXPORT_TABLES
from tests.small_wave import LINES, WAVE, WEB_HEADER, SmallWave, write_csv
from tests.unit.test_corrections import WAIT, add_and_approve

KNOWN = Known({"line": frozenset(LINES), "scenario": frozenset({"S01", "S02"})})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here asks what survives a power cut, so the disk is not waited for."""
    monkeypatch.setattr("os.fsync", lambda _: None)


def everything_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file's rows, keys and faults leave memory, and come back a row or two at a time."""
    monkeypatch.setattr(spill, "WAITING_BYTES", 0)
    monkeypatch.setattr(spill, "MERGED_ROWS", 2)
    monkeypatch.setattr(spill, "BATCH_ROWS", 1)


def contents(wave: SmallWave) -> dict[str, bytes]:
    home = wave.paths.home
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def of_many_files(folder: Path) -> SmallWave:
    """The small wave, its diallings in a file for each row and its web visits in two, in no order."""
    wave = SmallWave(folder)
    wave.write()
    rows = [*wave.dial]
    random.Random(1).shuffle(rows)
    for number, row in enumerate(rows):
        write_csv(wave.folder / f"dial_{number + 1}.csv", [row], "gb18030")
    write_csv(wave.folder / "web_1.csv", wave.web[3:], "utf-8-sig", WEB_HEADER)
    write_csv(wave.folder / "web_2.csv", wave.web[:3], "utf-8-sig", WEB_HEADER)
    return wave


def spoil(wave: SmallWave) -> None:
    """Keys that stand twice in one file, in two and in three, one of them with a fault of its own."""
    again = {**wave.dial[0], "是否接通": "也许"}
    write_csv(wave.folder / "dial_a.csv", [again, {**wave.dial[4], "热线编码": "370100"}], "gb18030")
    write_csv(wave.folder / "dial_b.csv", [wave.dial[0], {**wave.dial[5], "拨测编号": "X"}], "gb18030")
    write_csv(wave.folder / "web_3.csv", [wave.web[1], wave.web[1]], "utf-8-sig", WEB_HEADER)


def test_what_has_waited_in_files_comes_out_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waves = [of_many_files(tmp_path / name) for name in ("memory", "files")]
    for wave, is_spilled in zip(waves, (False, True), strict=True):
        add_and_approve(wave, WAIT)
        spoil(wave)
        if is_spilled:
            everything_is_too_much(monkeypatch)
        wave.ingest()
    # who approved when is no part of what comes out, but is in the log and in the head of the ledger
    names = {name for name in contents(waves[0]) if not name.startswith(("ingest/", "log."))}
    memory, files = (contents(wave) for wave in waves)
    assert {name: memory[name] for name in names} == {name: files[name] for name in names}
    reports = [check_wave(wave.paths, load_wave(wave.paths, WAVE)) for wave in waves]
    assert reports[0].messages == reports[1].messages
    assert reports[0].files == reports[1].files


@pytest.mark.parametrize("is_spilled", [False, True])
def test_a_key_that_stands_in_several_files_holds_back_every_row_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_spilled: bool
) -> None:
    wave = of_many_files(tmp_path)
    spoil(wave)
    if is_spilled:
        everything_is_too_much(monkeypatch)
    report = wave.ingest()
    rows = pq.ParquetFile(wave.paths.bronze_part("quarantine", WAVE)).read().to_pylist()
    keys = [key for row in rows for key in ("D1100001", "D1301002", "W110000") if f"「{key}」" in row["messages"]]
    assert sorted(keys) == ["D1100001"] * 3 + ["D1301002"] * 2 + ["W110000"] * 3
    assert report.fault_counts == {"E_DUPLICATE_KEY": 8, "E_NOT_IN_CODES": 1}
    for row in rows:
        if "D1100001" in row["messages"]:
            assert all(f"dial_{file}.csv 第 2 行" in row["messages"] for file in "ab")
    assert report.n_read == report.n_bronze + report.n_quarantined == 27
    assert "X" in pq.ParquetFile(wave.paths.bronze_part("dial_attempts", WAVE)).read()["attempt_id"].to_pylist()


def test_a_file_is_not_read_before_those_before_it_have_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wave = of_many_files(tmp_path)
    begun: list[str] = []
    taken: list[int] = []

    def begin(delivered: Delivered, profile: Profile) -> Cells:
        begun.append(delivered.name)
        return read_cells(delivered, profile)

    def take(self: Runs, rows: pa.Table) -> None:
        taken.append(len(begun))
        add(self, rows)

    add = Runs.add
    monkeypatch.setattr(bronze_module, "read_cells", begin)
    monkeypatch.setattr(Runs, "add", take)
    wave.ingest()
    assert len(begun) == 12 and len(taken) == 12
    # when the n-th file is put aside, no more than the readers' own have been begun after it
    assert max(n_begun - number for number, n_begun in enumerate(taken, start=1)) <= READERS


def test_nothing_of_a_file_stays_in_memory_once_it_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrow's memory when a file is taken does not grow with the number of those before it."""
    wave = SmallWave(tmp_path)
    wave.write()
    n_files, n_rows = 16, 1000
    for file in range(n_files):
        rows = [{**wave.dial[0], "拨测编号": f"D110000-{file}-{row}"} for row in range(n_rows)]
        write_csv(wave.folder / f"dial_x{file:02}.csv", rows, "gb18030")
    everything_is_too_much(monkeypatch)
    monkeypatch.setattr(spill, "BATCH_ROWS", n_rows)
    held: list[int] = []
    sizes: list[int] = []

    def take(self: Runs, rows: pa.Table) -> None:
        if rows.num_rows == n_rows:
            held.append(pa.total_allocated_bytes())
            sizes.append(rows.nbytes)
        add(self, rows)

    add = Runs.add
    monkeypatch.setattr(Runs, "add", take)
    assert wave.ingest().n_bronze == 21 + n_files * n_rows
    assert len(held) == n_files
    # how far the readers are ahead differs by two files, which take twice the bytes of their rows
    assert max(held[8:]) < max(held[:8]) + 4 * max(sizes)


ROWS = st.lists(st.lists(st.tuples(st.sampled_from(LINES), st.integers(0, 10**6)), max_size=30), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(files=ROWS, n_waiting=st.sampled_from([0, 3000, 10**9]), n_merged=st.sampled_from([1, 7, 10**6]))
def test_runs_are_merged_in_the_tables_order(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[str, int]]], n_waiting: int, n_merged: int
) -> None:
    numbered = [
        [(line, f"{number:06}-{file}-{row}") for row, (line, number) in enumerate(rows)]
        for file, rows in enumerate(files)
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spill, "WAITING_BYTES", n_waiting)
        patched.setattr(spill, "MERGED_ROWS", n_merged)
        patched.setattr(spill, "BATCH_ROWS", 4)
        patched.setattr(spill, "WRITTEN_ROWS", 5)
        runs = Runs(DIAL_ATTEMPTS, KNOWN, tmp_path_factory.mktemp("runs"))
        for number, rows in enumerate(numbered):
            runs.add(diallings(rows, f"{number}.csv"))
        left_out = [key for rows in numbered for _, key in rows[:1]]
        instead = diallings([("130100", "000500")], "instead.csv")
        pieces = list(runs.merged(pa.array(left_out, pa.string()), instead))
    found = [(row["line_id"], row["attempt_id"]) for piece in pieces for row in piece.to_pylist()]
    expected = [row for rows in numbered for row in rows[1:]] + [("130100", "000500")]
    assert found == sorted(expected)
    assert all(piece.num_rows <= 5 and piece.schema.equals(DIAL_ATTEMPTS.schema()) for piece in pieces)


def diallings(rows: list[tuple[str, str]], file: str) -> pa.Table:
    whole = [
        {"attempt_id": key, "line_id": line, "dialled_at": 0, "connected": "no", "fail_reason": "busy",
         "source_file": file, "source_row": number}
        for number, (line, key) in enumerate(rows)
    ]  # fmt: skip
    return pa.Table.from_pylist(whole, DIAL_ATTEMPTS.schema())


@pytest.mark.parametrize("n_waiting", [0, 10**9])
def test_keys_that_stand_twice_are_found_with_their_first_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_waiting: int
) -> None:
    monkeypatch.setattr(spill, "WAITING_BYTES", n_waiting)
    keys = Keys(DIAL_ATTEMPTS, tmp_path)
    assert len(keys.repeated()) == 0
    for number in range(3):
        keys.add(
            pa.array(["é", None, f"{number}", "e\u0301", "e\u0301"]),
            pa.array(range(2, 7)).to_numpy(),
            f"{number}",
            None,
        )
    keys.add(pa.array([None, None], pa.string()), pa.array([2, 3]).to_numpy(), "empty", None)
    assert sorted(keys.repeated().to_pylist()) == ["e\u0301", "é"]
    assert keys.files_with(pa.array(["é", "1"])) == {"0", "1", "2"}
    assert keys.files_with(pa.array(["1"])) == {"1"}
    told = keys.places(pa.array(["e\u0301"]))
    assert [place.split(":")[0] for place in told["e\u0301"]] == [f"{file} 第 {row} 行 / row {row}" for file, row in
                                                              (("0", 5), ("0", 6), ("1", 5), ("1", 6))]  # fmt: skip


def test_what_a_killed_ingest_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    wave.write()
    wave.ingest()
    before = contents(wave)
    wave.paths.spill.mkdir()
    left = [staged_file(wave.paths.bronze_part(name, WAVE)) for name in (*EXPORT_TABLES, "quarantine", "lines")]
    for path in (*left, wave.paths.spill / "phone_probes-0.arrow"):
        path.write_bytes(b"half")
    assert wave.ingest().is_cached
    assert contents(wave) == before


def test_a_refused_wave_leaves_nothing_that_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wave = of_many_files(tmp_path)
    wave.ingest()
    before = contents(wave)
    everything_is_too_much(monkeypatch)
    (wave.folder / "web_2.csv").write_bytes(b"")
    with pytest.raises(InputRejected, match=r"web_2\.csv.*E_NO_ROWS"):
        wave.ingest()
    assert contents(wave) == before
    assert not wave.paths.spill.exists()


def test_a_file_that_changes_while_it_is_ingested_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hashed is what is read, although it is read twice."""
    wave = SmallWave(tmp_path)
    wave.write()

    def hashed(*arguments: object) -> list[Delivery]:
        found = deliveries(*arguments)  # type: ignore[arg-type]  # as they were given
        write_csv(wave.folder / "dial_1.csv", wave.dial[1:], "gb18030")
        return found

    monkeypatch.setattr(bronze_module, "deliveries", hashed)
    with pytest.raises(InputRejected, match=r"dial_1\.csv: E_FILE_CHANGED"):
        wave.ingest()
