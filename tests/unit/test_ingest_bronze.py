"""A wave as a whole: files, encodings, layouts, replacing, and when nothing is read again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from dagster_project.errors import InputRejected, NotReconciled
from dagster_project.ingest import bronze as bronze_module
from dagster_project.ingest.bronze import FileAccount, check_wave, stored_report
from dagster_project.ingest.fingerprint import scoring_digest
from dagster_project.ingest.profile import Profile
from dagster_project.ingest.read import Cells, Delivered, read_cells
from dagster_project.ingest.wave import load_wave
from dagster_project.schema import EXPORT_TABLES, PROVENANCE, REFERENCE_TABLES
from tests.small_wave import LINES, WAVE, WEB_HEADER, SmallWave, write_csv, write_xlsx

PLACE = [field.name for field in PROVENANCE]


def table(wave: SmallWave, name: str) -> pa.Table:
    return pq.read_table(wave.paths.bronze_part(name, WAVE), partitioning=None)


def contents(wave: SmallWave) -> dict[str, bytes]:
    return {str(path.relative_to(wave.paths.home)): path.read_bytes() for path in wave.paths.home.rglob("*.*")}


def test_all_tables_are_written_and_every_row_is_accounted_for(wave: SmallWave) -> None:
    report = wave.ingest()
    assert [(file.file, file.sheet, file.n_read, file.n_bronze) for file in report.files] == [
        ("phone_1.xlsx", "Sheet1", 6, 6), ("dial_1.csv", None, 9, 9), ("web_1.csv", None, 6, 6),
    ]  # fmt: skip
    assert report.totals["dial_attempts"] == {"n_read": 9, "n_bronze": 9, "n_quarantined": 0, "n_blank": 0}
    declared = {name for name in REFERENCE_TABLES if not name.startswith("baseline_")}
    assert set(report.outputs) == {*EXPORT_TABLES, *declared, "quarantine"}
    assert stored_report(wave.paths, WAVE) == report
    assert str(wave.paths.raw) not in report.to_json()


def test_a_check_says_the_same_and_writes_nothing(wave: SmallWave) -> None:
    checked = check_wave(wave.paths, load_wave(wave.paths, WAVE))
    assert not wave.paths.home.exists()
    written = wave.ingest()
    assert (checked.files, checked.input_fingerprint) == (written.files, written.input_fingerprint)


def test_the_same_input_gives_the_same_bytes(wave: SmallWave, tmp_path: Path) -> None:
    wave.ingest()
    other = SmallWave(tmp_path / "elsewhere")
    other.write()
    other.ingest()
    assert contents(other) == contents(wave)


def test_splitting_a_file_in_two_changes_nothing_but_the_place(wave: SmallWave) -> None:
    wave.ingest()
    whole = {name: table(wave, name) for name in [*EXPORT_TABLES, "line_inputs"]}
    write_xlsx(wave.folder / "phone_1.xlsx", wave.phone[4:])
    write_xlsx(wave.folder / "phone_2.xlsx", wave.phone[:4])
    write_csv(wave.folder / "dial_1.csv", wave.dial[:2], "gb18030")
    write_csv(wave.folder / "dial_0.csv", wave.dial[2:][::-1], "gb18030")
    report = wave.ingest()
    assert not report.is_cached and len(report.files) == 5
    for name, before in whole.items():
        after = table(wave, name)
        places = [column for column in PLACE if column in after.column_names]
        assert after.drop_columns(places).equals(before.drop_columns(places)), name


def test_a_new_layout_needs_a_profile_and_no_code(wave: SmallWave) -> None:
    """Dialling as a workbook of several sheets with a title line, other words, and the web visits as gb18030."""
    dialler = yaml.safe_load(wave.paths.profile("dialler").read_text(encoding="utf-8"))
    dialler |= {"profile": "other", "file": {"type": "xlsx", "sheet": "Sheet1", "header_row": 1}, "drop": []}
    dialler["columns"]["是否接通"]["values"] = {"1": "yes", "0": "no"}
    dialler["time_formats"] = ["%Y年%m月%d日 %H:%M"]
    web = yaml.safe_load(wave.paths.profile("web_inspection").read_text(encoding="utf-8"))
    web |= {"profile": "web2", "file": {"type": "csv", "encoding": "gb18030", "delimiter": ";", "header_row": 2}}
    for profile in (dialler, web):
        text = yaml.safe_dump(profile, allow_unicode=True)
        wave.paths.profile(profile["profile"]).write_text(text, encoding="utf-8")
    rows = [
        {**row, "是否接通": int(row["是否接通"] == "接通"), "拨打时间": row["拨打时间"].replace("-", "年", 1)
         .replace("-", "月", 1).replace(" ", "日 ")[:-3]} for row in wave.dial
    ]  # fmt: skip
    (wave.folder / "dial_1.csv").unlink()
    write_xlsx(wave.folder / "dial.xlsx", rows, header=list(dialler["columns"]))
    csv_text = (wave.folder / "web_1.csv").read_text(encoding="utf-8-sig").replace(",", ";")
    (wave.folder / "web_1.csv").write_bytes(("监测一览\r\n" + csv_text).encode("gb18030"))
    wave.declared["exports"] = [
        wave.declared["exports"][0],
        {"table": "dial_attempts", "glob": "dial.xlsx", "profile": "other"},
        {"table": "web_probes", "glob": "web_*.csv", "profile": "web2"},
    ]
    wave.declare()
    report = wave.ingest()
    assert (report.fault_counts, report.n_bronze) == ({}, 21)
    assert table(wave, "web_probes")["source_row"].to_pylist()[0] == 3


def test_an_unchanged_wave_is_not_read_again(wave: SmallWave, monkeypatch: pytest.MonkeyPatch) -> None:
    first = wave.ingest()
    monkeypatch.setattr(bronze_module, "read_cells", None)
    second = wave.ingest()
    assert (first.is_cached, second.is_cached) == (False, True)
    assert second.files == first.files and second.outputs == first.outputs


def test_only_the_changed_table_is_read_again_with_the_same_result(
    wave: SmallWave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave.ingest()
    read: list[str] = []

    def noting(delivered: Delivered, profile: Profile) -> Cells:
        read.append(delivered.name)
        return read_cells(delivered, profile)

    monkeypatch.setattr(bronze_module, "read_cells", noting)
    wave.web[0]["内容丰富度"] = {"丰富": "一般"}.get(wave.web[0]["内容丰富度"], "丰富")
    write_csv(wave.folder / "web_1.csv", wave.web, "utf-8-sig", WEB_HEADER)
    wave.ingest()
    assert read == ["web_1.csv"]

    afresh = SmallWave(tmp_path / "elsewhere")
    afresh.write()
    shutil.copyfile(wave.folder / "web_1.csv", afresh.folder / "web_1.csv")
    afresh.ingest()
    assert contents(afresh) == contents(wave)


def test_a_table_with_quarantined_rows_is_always_read_again(wave: SmallWave) -> None:
    """The report tells every fault, whichever file has changed since."""
    wave.dial[0]["是否接通"] = "也许"
    write_csv(wave.folder / "dial_1.csv", wave.dial, "gb18030")
    first = wave.ingest()
    write_csv(wave.folder / "web_1.csv", wave.web[::-1], "utf-8-sig", WEB_HEADER)
    second = wave.ingest()
    assert not second.is_cached
    assert first.messages and second.messages == first.messages
    assert second.fault_counts == first.fault_counts


CHANGES: dict[str, Callable[[SmallWave], object]] = {
    "an export": lambda wave: write_csv(wave.folder / "dial_1.csv", wave.dial[1:], "gb18030"),
    "an export's name": lambda wave: (wave.folder / "dial_1.csv").rename(wave.folder / "dial_2.csv"),
    "wave.yml": lambda wave: wave.paths.wave_yml(WAVE).write_text(
        wave.paths.wave_yml(WAVE).read_text(encoding="utf-8") + "# note\n", encoding="utf-8"
    ),
    "the method": lambda wave: append(wave.paths.method("v2023") / "settings.csv"),
    "the frame": lambda wave: append(wave.paths.frame("lines_2023")),
    "a profile": lambda wave: append(wave.paths.profile("dialler")),
    "a bronze file": lambda wave: append(wave.paths.bronze_part("web_probes", WAVE)),
    "a bronze file lost": lambda wave: wave.paths.bronze_part("quarantine", WAVE).unlink(),
    "the report": lambda wave: wave.paths.ingest_report(WAVE).write_text("{", encoding="utf-8"),
}


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_is_read(wave: SmallWave, change: Callable[[SmallWave], object]) -> None:
    wave.ingest()
    change(wave)
    assert not wave.ingest().is_cached
    assert wave.ingest().is_cached


def test_a_line_input_changes_with_that_line_alone(wave: SmallWave) -> None:
    wave.ingest()
    before = dict(zip(*table(wave, "line_inputs").to_pydict().values(), strict=True))
    assert tuple(before) == LINES and len(set(before.values())) == 3
    wave.dial[0]["等待秒数"] = "13"
    wave.dial.reverse()
    write_csv(wave.folder / "dial_1.csv", wave.dial, "gb18030")
    wave.ingest()
    after = dict(zip(*table(wave, "line_inputs").to_pydict().values(), strict=True))
    assert [line for line in LINES if before[line] != after[line]] == ["110000"]


def test_line_inputs_follow_the_scoring_code(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text("name: x")
    before = scoring_digest(tmp_path)
    (tmp_path / "models/a.sql").write_text("select 1")
    assert scoring_digest(tmp_path) != before


# --- file-level faults -------------------------------------------------------------------------


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Callable[[SmallWave], object]:
    return lambda wave: (wave.folder / name).write_bytes(change((wave.folder / name).read_bytes()))


def reheaded(old: str, new: str) -> Callable[[SmallWave], object]:
    return rewrite("dial_1.csv", lambda content: content.replace(old.encode("gb18030"), new.encode("gb18030"), 1))


FILE_FAULTS: dict[str, tuple[Callable[[SmallWave], object], tuple[str, ...]]] = {
    "no file": (lambda wave: (wave.folder / "dial_1.csv").unlink(), ("E_NO_FILE", "dial_*.csv")),
    "an unclaimed file": (
        lambda wave: shutil.copy(wave.folder / "dial_1.csv", wave.folder / "late.csv"),
        ("E_FILE_UNCLAIMED", "late.csv"),
    ),
    "a missing and an unknown header": (
        reheaded("等待秒数", "等待时长"), ("E_HEADER_MISSING", "「等待秒数」", "E_HEADER_UNKNOWN", "「等待时长」"),
    ),
    "a header twice": (reheaded("等待秒数", "热线编码"), ("E_HEADER_TWICE", "「热线编码」")),
    "a dropped column gone": (reheaded("坐席工号", ""), ("E_HEADER_MISSING", "「坐席工号」")),
    "utf-8 for gb18030": (
        rewrite("dial_1.csv", lambda content: content.decode("gb18030").encode()), ("E_BAD_ENCODING", "utf-8"),
    ),
    "utf-8 with BOM for gb18030": (
        rewrite("dial_1.csv", lambda content: content.decode("gb18030").encode("utf-8-sig")), ("E_BAD_ENCODING", "BOM"),
    ),
    "gb18030 for utf-8": (
        rewrite("web_1.csv", lambda content: content.decode("utf-8-sig").encode("gb18030")),
        ("E_BAD_ENCODING", "gb18030?"),
    ),
    "utf-16": (
        rewrite("web_1.csv", lambda content: content.decode("utf-8-sig").encode("utf-16")), ("E_BAD_ENCODING", "BOM"),
    ),
    "not text": (rewrite("dial_1.csv", lambda content: content + b"\xff\xff\r\n"), ("E_BAD_ENCODING", "line 11")),
    "a NUL byte": (rewrite("dial_1.csv", lambda content: content + b"a\0b"), ("E_NUL_BYTE", "line 11")),
    "an open quote": (rewrite("dial_1.csv", lambda content: content + b'"open'), ("E_BAD_CSV",)),
    "header only": (rewrite("dial_1.csv", lambda content: content.splitlines()[0]), ("E_NO_ROWS", "dial_1.csv")),
    "an empty file": (rewrite("dial_1.csv", lambda _: b""), ("E_NO_ROWS", "dial_1.csv")),
    "two files at fault": (
        lambda wave: [rewrite(name, lambda _: b"")(wave) for name in ("dial_1.csv", "web_1.csv")],
        ("2 处", "dial_1.csv", "web_1.csv"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("spoil, told", FILE_FAULTS.values(), ids=FILE_FAULTS)
def test_a_faulty_file_is_refused_and_what_stood_stays(
    wave: SmallWave, spoil: Callable[[SmallWave], object], told: tuple[str, ...]
) -> None:
    wave.ingest()
    before = contents(wave)
    spoil(wave)
    with pytest.raises(InputRejected) as rejected:
        wave.ingest()
    assert rejected.value.exit_code == 3
    for part in told:
        assert part in str(rejected.value)
    assert contents(wave) == before


def test_a_file_of_two_exports_is_refused(wave: SmallWave) -> None:
    wave.declared["exports"] = [
        *wave.declared["exports"],
        {"table": "web_probes", "glob": "*_1.csv", "profile": "web_inspection"},
    ]
    wave.declare()
    with pytest.raises(InputRejected, match="E_FILE_IN_TWO_EXPORTS"):
        wave.ingest()


def test_a_profile_of_another_table_is_refused(wave: SmallWave) -> None:
    wave.declared["exports"] = [dict(export, profile="dialler") for export in wave.declared["exports"]]
    wave.declare()
    with pytest.raises(InputRejected, match="不是 phone_probes"):
        wave.ingest()


def test_a_trailing_delimiter_is_no_column(wave: SmallWave) -> None:
    rewrite("web_1.csv", lambda content: content.replace(b"\r\n", b",\r\n"))(wave)
    assert wave.ingest().n_bronze == 21


def test_rows_unaccounted_for_stop_the_run() -> None:
    account = FileAccount("web_probes", "a.csv", "", 0, None, "p", n_read=3, n_bronze=1, n_quarantined=1, n_blank=0)
    with pytest.raises(NotReconciled, match=r"a\.csv") as stopped:
        bronze_module._require_identity(WAVE, (account,))
    assert stopped.value.exit_code == 6


def test_the_web_header_is_the_profiles(wave: SmallWave) -> None:
    assert (wave.folder / "web_1.csv").read_text(encoding="utf-8-sig").splitlines()[0].split(",") == WEB_HEADER
