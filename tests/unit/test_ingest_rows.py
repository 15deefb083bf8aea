"""One row spoiled at a time: its code, its place, and that nothing else is touched."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_project.ingest.rows import parse_times
from dagster_project.schema import EXPORT_TABLES, QUARANTINE
from tests.small_wave import WAVE, SmallWave, write_csv, write_xlsx

Spoil = Callable[[SmallWave], None]


def put(table: str, row: int, **cells: object) -> Spoil:
    return lambda wave: getattr(wave, table)[row].update(cells)


def cell(table: str, header: str, value: object, row: int = 0) -> Spoil:
    return lambda wave: getattr(wave, table)[row].update({header: value})


# what is spoiled -> codes by (file, row as Excel shows it)
SPOILED: dict[str, tuple[Spoil, dict[tuple[str, int], str]]] = {
    "unknown line": (cell("phone", "7、热线编码", "999999"), {("phone_1.xlsx", 2): "E_UNKNOWN_LINE"}),
    "unknown scenario": (cell("dial", "场景编号", "S99", 2), {("dial_1.csv", 4): "E_UNKNOWN_SCENARIO"}),
    "duplicate key": (
        cell("dial", "拨测编号", "D1100002"),
        {("dial_1.csv", 2): "E_DUPLICATE_KEY", ("dial_1.csv", 3): "E_DUPLICATE_KEY"},
    ),
    "missing": (cell("web", "平台", "", 1), {("web_1.csv", 3): "E_MISSING"}),
    "outside its code list": (cell("phone", "12、语气态度", "还行"), {("phone_1.xlsx", 2): "E_NOT_IN_CODES"}),
    "a skip code that the column lacks": (
        cell("phone", "11、问候与自报身份", -3), {("phone_1.xlsx", 2): "E_NOT_IN_CODES"},
    ),
    "not a time": (cell("dial", "拨打时间", "2023-02-30 09:51:00"), {("dial_1.csv", 2): "E_BAD_TIME"}),
    "another format": (cell("dial", "拨打时间", "2023/03/02 09:51"), {("dial_1.csv", 2): "E_BAD_TIME"}),
    "a date in 1900": (
        cell("phone", "9、接通时间", "1900/01/01 10:00:00"),
        {("phone_1.xlsx", 2): "E_TIME_IMPLAUSIBLE"},
    ),
    "a date in 2100": (cell("web", "访问时间", "2100-01-01 00:00:00"), {("web_1.csv", 2): "E_TIME_IMPLAUSIBLE"}),
    "a serial": (cell("phone", "9、接通时间", 44987.5), {("phone_1.xlsx", 2): "E_SERIAL_TIME"}),
    "above the maximum": (cell("dial", "等待秒数", "86401"), {("dial_1.csv", 2): "E_OUT_OF_RANGE"}),
    "below the minimum": (cell("dial", "导航层数", "-1"), {("dial_1.csv", 2): "E_OUT_OF_RANGE"}),
    "not a whole number": (cell("dial", "等待秒数", "12.5"), {("dial_1.csv", 2): "E_BAD_NUMBER"}),
    "required where put through": (cell("dial", "等待秒数", ""), {("dial_1.csv", 2): "E_REQUIRED_WHEN"}),
    "given though not put through": (cell("dial", "等待秒数", "60", 2), {("dial_1.csv", 4): "E_CONTRADICTION"}),
    "reply before request": (cell("web", "答复时间", "2023-03-05 08:09:59", 1), {("web_1.csv", 3): "E_TIME_ORDER"}),
    "reply without request": (cell("web", "提交时间", "", 1), {("web_1.csv", 3): "E_TIME_ORDER"}),
    "response before call": (
        cell("phone", "21、响应时间", "2023/03/02 10:00:59"),
        {("phone_1.xlsx", 2): "E_TIME_ORDER"},
    ),
    "seventeen digits": (cell("phone", "22、工单编号", 12345678901234567), {("phone_1.xlsx", 2): "E_DIGITS_LOST"}),
    "a date cell in a text": (
        cell("phone", "22、工单编号", datetime(2023, 3, 1)),
        {("phone_1.xlsx", 2): "E_DATE_IN_TEXT"},
    ),
    "an error cell": (cell("phone", "22、工单编号", "=1/0"), {("phone_1.xlsx", 2): "E_ERROR_CELL"}),
    "an invisible character": (cell("dial", "任务编号", "P1\u200b2"), {("dial_1.csv", 2): "E_CONTROL_CHARACTER"}),
    "a combining mark": (cell("dial", "任务编号", "P1\u034f2"), {("dial_1.csv", 2): "E_CONTROL_CHARACTER"}),
    "a blank that is a letter": (cell("dial", "任务编号", "P\u31641"), {("dial_1.csv", 2): "E_CONTROL_CHARACTER"}),
    "a character of private use": (cell("dial", "拨测编号", "D1\ue5e5"), {("dial_1.csv", 2): "E_CONTROL_CHARACTER"}),
    "another dash": (cell("dial", "任务编号", "P1\u20102"), {("dial_1.csv", 2): "E_CONTROL_CHARACTER"}),
    "digits of another script": (cell("dial", "任务编号", "P\u0661"), {("dial_1.csv", 2): "E_CONTROL_CHARACTER"}),
    "a minus sign": (cell("phone", "23、录音编号", "R\u2212"), {("phone_1.xlsx", 2): "E_CONTROL_CHARACTER"}),
    "keys that compatibility makes one": (
        cell("dial", "拨测编号", "Ｄ１１００００２"),
        {("dial_1.csv", 2): "E_DUPLICATE_KEY", ("dial_1.csv", 3): "E_DUPLICATE_KEY"},
    ),
    "a name in pinyin": (cell("phone", "10、编码员", "Zhangsan"), {("phone_1.xlsx", 2): "E_PERSONAL_DATA"}),
    "a name and a number": (cell("web", "编码员", "张三1"), {("web_1.csv", 2): "E_PERSONAL_DATA"}),
    "a line break": (cell("dial", "任务编号", "P1\nP2"), {("dial_1.csv", 2): "E_CONTROL_CHARACTER"}),
    "two faults in a row": (
        put("dial", 0, 热线编码="1", 是否接通="?"), {("dial_1.csv", 2): "E_UNKNOWN_LINE|E_NOT_IN_CODES"},
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here asks what survives a power cut, and waiting for the disk takes half of the time."""
    monkeypatch.setattr("os.fsync", lambda _: None)


def quarantine(wave: SmallWave) -> list[dict]:
    return pq.read_table(wave.paths.bronze_part("quarantine", WAVE), partitioning=None).to_pylist()


def bronze(wave: SmallWave, table: str) -> pa.Table:
    return pq.read_table(wave.paths.bronze_part(table, WAVE), partitioning=None)


@pytest.mark.parametrize("spoil, expected", SPOILED.values(), ids=SPOILED)
def test_a_spoiled_row_is_held_back_with_its_code_and_place(
    tmp_path: Path, spoil: Spoil, expected: dict[tuple[str, int], str]
) -> None:
    wave = SmallWave(tmp_path)
    spoil(wave)
    wave.write()
    report = wave.ingest()
    held = {(row["source_file"], row["source_row"]): row["codes"] for row in quarantine(wave)}
    assert held == expected
    assert report.n_read == report.n_bronze + report.n_quarantined + report.n_blank == 21
    assert report.n_quarantined == len(expected)
    assert sum(report.fault_counts.values()) == sum(len(codes.split("|")) for codes in expected.values())


def test_a_message_names_place_code_value_and_mending_in_two_languages(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    wave.phone[3]["7、热线编码"] = "37010"
    wave.write()
    (message,) = wave.ingest().messages
    for part in ("phone_1.xlsx", "[Sheet1]", "第 5 行 / row 5", "「7、热线编码」", "E_UNKNOWN_LINE", "「37010」",
                 "请更正编码", "correct the code"):  # fmt: skip
        assert part in message
    (row,) = quarantine(wave)
    assert row["messages"] == message
    assert (row["line_id"], row["source_sheet"], row["table_name"]) == ("37010", "Sheet1", "phone_probes")


def test_values_in_messages_are_cut_and_escaped(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    wave.dial[0]["是否接通"] = "x\x1b[31m" + "y" * 200
    wave.write()
    (message,) = wave.ingest().messages
    assert "\\x1b[31m" in message and "\x1b" not in message and "y" * 80 not in message and "…" in message


def test_dropped_columns_reach_neither_bronze_nor_quarantine(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    for row in (*wave.dial, *wave.web):
        row["热线编码"] = "0"
    wave.write()
    ragged = (wave.folder / "dial_1.csv").read_bytes() + "D9,13800000001,工号0007\r\n".encode("gb18030")
    (wave.folder / "dial_1.csv").write_bytes(ragged)
    wave.ingest()
    written = json.dumps(quarantine(wave), ensure_ascii=False)
    assert "E_RAGGED_ROW" in written and "E_UNKNOWN_LINE" in written
    assert "13800000001" not in written and "工号0007" not in written and "张三" not in written
    assert json.loads(quarantine(wave)[0]["raw"])["拨测编号"] == "D1100001"


def test_bronze_is_typed_decoded_and_sorted(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    wave.phone.reverse()
    wave.write()
    assert wave.ingest().fault_counts == {}
    for name, table in EXPORT_TABLES.items():
        assert bronze(wave, name).schema.equals(table.schema())
    assert pq.read_schema(wave.paths.bronze_part("quarantine", WAVE)).equals(QUARANTINE)
    rows = bronze(wave, "phone_probes").to_pylist()
    assert [row["probe_id"] for row in rows] == sorted(row["probe_id"] for row in rows)
    first = rows[0]
    assert first["called_at"] == datetime(2023, 3, 2, 10, 1)
    assert (first["greeting"], first["ivr_ease"], first["second_tone"]) == ("full", "not_applicable", None)
    assert (first["second_coder_id"], first["recording_ref"]) == (None, None)
    assert (first["source_file"], first["source_sheet"], first["source_row"]) == ("phone_1.xlsx", "Sheet1", 7)
    assert bronze(wave, "dial_attempts")["wait_s"].to_pylist()[:3] == [12, 12, None]


def test_workbook_numbers_dates_and_blanks_are_read_as_what_they_show(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    wave.phone[0].update({"7、热线编码": 110000, "9、接通时间": datetime(2023, 3, 2, 10, 1, 30), "10、编码员": " C1 "})
    wave.phone.insert(2, dict.fromkeys(wave.phone[0]))
    wave.write()
    report = wave.ingest()
    first = bronze(wave, "phone_probes").to_pylist()[0]
    assert (first["line_id"], first["called_at"], first["coder_id"]) == (
        "110000",
        datetime(2023, 3, 2, 10, 1, 30),
        "C1",
    )
    assert (report.n_blank, report.n_quarantined) == (1, 0)
    assert bronze(wave, "phone_probes")["source_row"].to_pylist() == [2, 3, 5, 6, 7, 8]


def test_numbers_shown_with_leading_zeros_are_not_taken_for_texts(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    wave.write()
    wave.phone[0]["22、工单编号"] = 37
    write_xlsx(wave.folder / "phone_1.xlsx", wave.phone, formats={"22、工单编号": "000000"})
    assert wave.ingest().fault_counts == {"E_ZEROS_LOST": 1}


def test_a_key_is_unique_over_all_files_of_a_table(tmp_path: Path) -> None:
    wave = SmallWave(tmp_path)
    wave.write()
    write_csv(wave.folder / "dial_2.csv", wave.dial[:1], "gb18030")
    assert wave.ingest().fault_counts == {"E_DUPLICATE_KEY": 2}
    assert {row["source_file"] for row in quarantine(wave)} == {"dial_1.csv", "dial_2.csv"}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2023-03-01 09:05:07", datetime(2023, 3, 1, 9, 5, 7)),
        ("2023-3-1 9:5:7", datetime(2023, 3, 1, 9, 5, 7)),
        ("2024-02-29 00:00:00", datetime(2024, 2, 29)),
        ("2023-02-29 00:00:00", None),
        ("2023-02-28 24:00:00", None),
        ("2023-02-28 10:00:60", None),
        ("2023-02-28 10:00:00 ", None),
        ("23-02-28 10:00:00", None),
        ("2023-02-28T10:00:00", None),
        ("٢٠٢٣-02-28 10:00:00", None),
    ],
)
def test_times_are_read_only_as_they_are_written(text: str, expected: datetime | None) -> None:
    assert parse_times(pa.array([text]), ("%Y-%m-%d %H:%M:%S",)).to_pylist() == [expected]


def test_chinese_time_formats_are_read() -> None:
    formats = ("%Y-%m-%d", "%Y年%m月%d日 %H时%M分")
    assert parse_times(pa.array(["2023年3月1日 09时05分"]), formats).to_pylist() == [datetime(2023, 3, 1, 9, 5)]


CELLS = st.one_of(
    st.sampled_from(["", " ", "-2", "-3", "1e5", "是", "0", "2023-13-01 00:00:00", "=1/0", "NaN", "S01", "110000"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n"), max_size=12),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_cells_say_every_row_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    wave = SmallWave(tmp_path_factory.mktemp("wave"))
    for rows in (wave.dial, wave.web):
        for _ in range(data.draw(st.integers(0, 4))):
            row = data.draw(st.sampled_from(rows))
            row[data.draw(st.sampled_from(sorted(row)))] = data.draw(CELLS)
    wave.write()
    report = wave.ingest()
    assert report.n_read == 21 == report.n_bronze + report.n_quarantined + report.n_blank
    assert report.n_bronze == sum(bronze(wave, name).num_rows for name in EXPORT_TABLES)
    assert report.n_quarantined == len(quarantine(wave))
