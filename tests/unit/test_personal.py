"""What is recognised as personal data, what is told of it, and how it is keyed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project import runlog
from dagster_project.errors import GateFailed, HotlineError, InputRejected, UsageError
from dagster_project.ingest.faults import shown
from dagster_project.ingest.personal import (
    MIN_SECRET,
    Prefixes,
    found_in,
    is_name,
    keyed,
    masked,
    masked_message,
    require_key,
)
from dagster_project.ingest.profile import load_profile
from dagster_project.paths import Paths
from tests.small_wave import SmallWave, write_xlsx

SECRET = "0123456789abcdef0123456789abcdef"
LINE_IDS = ("130100", "370100")
# of 张三 under SECRET, by another implementation: openssl dgst -sha256 -hmac
EXPECTED = "ad1c60b92c2e5b0d3f4a78ea6d54669d"


@pytest.mark.parametrize(
    "text",
    [
        "13800000001", "联系13800000001", "+86 13800000001", "8613800000001", "138-0000-0001", "138 0000 0001",
        "0531-82041234",
        "11010519491231002X", "身份证110105194912310021。", "zhang@example.com", "192.0.2.7(本地)",
    ],
)  # fmt: skip
def test_personal_data_is_recognised_and_dotted_out(text: str) -> None:
    assert found_in(text)
    assert not found_in(masked(text))
    assert "•" in masked(text)
    assert "•" in shown(f"a message that cites {text}")


@pytest.mark.parametrize(
    "text",
    [
        "P2023-130100-05", "D2023-110000-001", "12345", "0531-12345", "20230302000012345", "2023-03-02 10:01:00", "C17",
        "热情", "3.14", "1.13.0", "20000000001", "138000000012", "k13800000001aaaaaaaaaaaaaaaaaaaaaa", "门户网站", "",
    ],
)  # fmt: skip
def test_identifiers_times_and_versions_are_not(text: str) -> None:
    assert not found_in(text)
    assert masked(text) == text


def test_an_identifier_may_begin_with_the_code_of_a_line() -> None:
    """Codes of Hebei, Shanxi and Inner Mongolia begin as mobile numbers do."""
    assert found_in("13010000001")
    assert not found_in("13010000001", Prefixes(of_keys=LINE_IDS))
    assert found_in("13800000001", Prefixes(of_keys=LINE_IDS))
    # the number of a ticket is the city's own: it may be of eleven digits, and a telephone number may be in its place
    assert found_in("13010000001", Prefixes(of_tickets=LINE_IDS))


@pytest.mark.parametrize("text", [
        "张三", "欧阳娜娜", "阿依古丽·买买提", "Zhang San", "Zhangsan", "张三1", "张三01", "zhang.san", "zhangsan01",
        "Li3",
        "li.si3", "Wang1", "LIU1", "John2", "ｚｈａｎｇ１", "李", "LZX", "O'Neil7", "C" * 33,
    ],
)  # fmt: skip
def test_a_name_is_no_code_of_a_person(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize("text", [
        "C17", "coder", "编码员07", "k0f", "A-3", "QC-07", "GZ-A-03", "LI3", "1024", "coder_5", "督导03", "T1-05",
        "BJ012",
        "C 17", "Ｃ１７", "zs01", "k" + "a0" * 16,
    ],
)  # fmt: skip
def test_a_code_of_a_person_is_no_name(text: str) -> None:
    assert not is_name(text)


def test_a_key_depends_on_the_secret_and_on_nothing_else() -> None:
    texts = pa.array(["张三", None, "李四", "张三"])
    ours = keyed(texts, SECRET.encode()).to_pylist()
    assert ours == keyed(texts, SECRET.encode()).to_pylist()
    assert ours[0] == ours[3] != ours[2]
    assert ours[1] is None
    assert ours[0] == "k" + EXPECTED
    assert ours[0] != keyed(texts, (SECRET + "x").encode()).to_pylist()[0]


def test_the_secret_comes_from_the_environment_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in (None, "", "x" * (MIN_SECRET - 1)):
        monkeypatch.delenv("HOTLINE_SECRET", raising=False)
        if given is not None:
            monkeypatch.setenv("HOTLINE_SECRET", given)
        with pytest.raises(UsageError, match="HOTLINE_SECRET") as told:
            require_key()
        assert not given or given not in str(told.value)
    monkeypatch.setenv("HOTLINE_SECRET", SECRET)
    assert require_key() == SECRET.encode()


# --- in an ingest ------------------------------------------------------------------------------


@pytest.fixture
def wave(tmp_path: Path) -> SmallWave:
    return SmallWave(tmp_path)


def declare_keyed(wave: SmallWave, profile: str, field: str) -> None:
    path = wave.paths.profile(profile)
    text = path.read_text(encoding="utf-8")
    assert f"field: {field}}}" in text
    path.write_text(text.replace(f"field: {field}}}", f"field: {field}, keyed: true}}"), encoding="utf-8")


def bronze(wave: SmallWave, table: str) -> pa.Table:
    return pq.ParquetFile(wave.paths.bronze_part(table, "2023")).read()


def test_names_and_numbers_of_persons_are_held_back(wave: SmallWave) -> None:
    wave.phone[0]["10、编码员"] = "张三"
    wave.phone[1]["22、工单编号"] = "13800000001"
    wave.phone[2]["12、语气态度"] = "客气,电话13800000001"
    wave.write()
    report = wave.ingest()
    assert report.fault_counts == {"E_NOT_IN_CODES": 1, "E_PERSONAL_DATA": 2}
    told = str(bronze(wave, "quarantine").to_pylist()) + report.to_json()
    assert "张三" not in told
    assert "13800000001" not in told
    assert "张•" in told
    assert "13•••••••••" in told


def test_tickets_of_line_and_day_are_kept_and_an_identity_card_among_them_is_not(wave: SmallWave) -> None:
    tickets = [f"{row['7、热线编码']}202303{number:02}00{number:02}" for number, row in enumerate(wave.phone, start=1)]
    for row, ticket in zip(wave.phone, tickets, strict=True):
        row["22、工单编号"] = ticket
    wave.phone[0]["22、工单编号"] = "11010519491231002X"
    wave.phone[1]["22、工单编号"] = "110105201503020016"  # the right check digit, a county, and no line's code
    wave.write()
    assert wave.ingest().fault_counts == {"E_PERSONAL_DATA": 2}
    assert set(bronze(wave, "phone_probes")["ticket_no"].to_pylist()) == set(tickets[2:])


def test_equal_faults_are_told_once_with_their_number(wave: SmallWave) -> None:
    for row in wave.dial[:5]:
        row["任务编号"] = "P\ufe001"
    wave.write()
    report = wave.ingest()
    assert report.fault_counts == {"E_CONTROL_CHARACTER": 5}
    (message,) = report.messages
    assert "U+FE00 VARIATION SELECTOR-1" in message
    assert "4 more rows" in message


def test_a_keyed_column_takes_names_and_tells_none(wave: SmallWave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_SECRET", SECRET)
    declare_keyed(wave, "survey_phone", "coder_id")
    for row in wave.phone:
        row["10、编码员"] = "张三"
    wave.phone[0]["12、语气态度"] = "?"
    wave.phone[1]["10、编码员"] = "李四\u200b"
    wave.write()
    report = wave.ingest()
    assert report.fault_counts == {"E_CONTROL_CHARACTER": 1, "E_NOT_IN_CODES": 1}
    assert set(bronze(wave, "phone_probes")["coder_id"].to_pylist()) == {"k" + EXPECTED}
    told = str(bronze(wave, "quarantine").to_pylist()) + report.to_json()
    assert "张三" not in told
    assert "李四" not in told
    # the same exports under another secret are another input
    monkeypatch.setenv("HOTLINE_SECRET", SECRET[::-1])
    assert not wave.ingest().is_cached
    assert "k" + EXPECTED not in bronze(wave, "phone_probes")["coder_id"].to_pylist()


def test_a_keyed_column_without_a_secret_is_an_error(wave: SmallWave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOTLINE_SECRET", raising=False)
    declare_keyed(wave, "survey_phone", "coder_id")
    wave.write()
    with pytest.raises(UsageError, match="HOTLINE_SECRET"):
        wave.ingest()
    assert not wave.paths.home.exists()


@pytest.mark.parametrize("field", ["attempt_id", "probe_id", "line_id", "dialled_at", "ivr_layers"])
def test_what_rows_are_found_by_is_not_keyed(wave: SmallWave, field: str) -> None:
    declare_keyed(wave, "dialler", field)
    with pytest.raises(InputRejected, match="keyed"):
        load_profile(wave.paths, "dialler")


def test_a_missing_header_row_does_not_tell_the_first_row(wave: SmallWave) -> None:
    wave.dial[0]["拨测编号"] = "张三"
    wave.write()
    path = wave.folder / "dial_1.csv"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(InputRejected) as told:
        wave.ingest()
    assert "E_HEADER_NOT_FOUND" in str(told.value)
    assert "张三" not in str(told.value)


# --- wherever text is repeated -----------------------------------------------------------------

NUMBERS = (
    "13812345678",
    "138 1234 5678",
    "１３８１２３４５６７８",
    "一三八一二三四五六七八",
    "11010519491231002X",
    "zhang＠example.com",
)


def refused(wave: SmallWave) -> str:
    with pytest.raises(InputRejected) as told:
        wave.ingest()
    return str(told.value)


@pytest.mark.parametrize("number", NUMBERS)
def test_file_names_hold_no_personal_data(wave: SmallWave, number: str) -> None:
    wave.write()
    (wave.folder / "dial_1.csv").rename(wave.folder / f"dial_{number}.csv")
    said = refused(wave)
    assert "E_PERSONAL_NAME" in said
    assert number not in said


@pytest.mark.parametrize("number", NUMBERS)
def test_sheet_names_hold_no_personal_data(wave: SmallWave, number: str) -> None:
    wave.write()
    write_xlsx(wave.folder / "phone_1.xlsx", wave.phone, sheet_name=f"电话{number}")
    said = refused(wave)
    assert "E_PERSONAL_NAME" in said
    assert number not in said


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("key", ["label", "quarantine", "thresholds"])
def test_what_a_wave_declares_in_words_holds_no_personal_data(wave: SmallWave, key: str, number: str) -> None:
    told = f"联系{number}"
    wave.declared[key] = {
        "label": told, "quarantine": {"max_share_pct": 1, "reason": told},
        "thresholds": {"min_total": {"value": 1, "reason": told}},
    }[key]  # fmt: skip
    wave.write()
    said = refused(wave)
    assert "含有个人信息" in said
    assert number not in said


@pytest.mark.parametrize("file", ["methods/v2023/figures.csv", "methods/v2023/scenarios.csv", "frames/lines_2023.csv"])
def test_method_and_frame_hold_no_personal_data(wave: SmallWave, file: str) -> None:
    wave.write()
    path = wave.paths.raw / file
    rows = path.read_text(encoding="utf-8").splitlines()
    cells = rows[1].split(",")
    cells[1] = "13812345678"
    path.write_text("\n".join([rows[0], ",".join(cells), *rows[2:]]) + "\n", encoding="utf-8")
    said = refused(wave)
    assert "holds personal data" in said
    assert "13812345678" not in said


@pytest.mark.parametrize("number", NUMBERS)
def test_headers_and_the_names_of_other_sheets_are_masked(wave: SmallWave, number: str) -> None:
    wave.phone[0] = {**wave.phone[0], f"电话{number}": "x"}
    wave.phone[1:] = [{**row, f"电话{number}": ""} for row in wave.phone[1:]]
    wave.write()
    said = refused(wave)
    assert "E_HEADER_UNKNOWN" in said
    assert number not in said


def test_the_log_masks_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(raw=tmp_path / "raw", home=tmp_path / "home")
    monkeypatch.setattr("sys.argv", ["/x/hotline", "correct", "add", "--reason", "来电13812345678"])
    runlog.record(paths, runlog.FAILED)
    assert "来电13•••••••••" in paths.log.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [HotlineError, *HotlineError.__subclasses__()])
def test_what_a_step_raises_holds_no_personal_data(kind: type[HotlineError]) -> None:
    """Dagster's event log repeats the words of an error, whoever raised it."""
    error = kind("联系 13812345678 或 zhang@example.com / call")
    assert "138123" not in f"{error}{error.args}" and "@example" not in f"{error}{error.args}"
    assert str(error).endswith(" / call")


@pytest.mark.parametrize(
    "message",
    [
        "computed +3.58 (85.50 → 89.08)",
        "349 lines, 338 lines, 358 submissions (2023-01-02 10:00:00 → 2023-06-30 18:00:00)",
        "release 4913800138000d1f: 3e138001380001f2",
        "138 001 (380 00), 13 80 01 / 38 00",
    ],
)
def test_the_figures_of_a_message_are_not_taken_for_a_number(message: str) -> None:
    assert masked_message(message) == message
    assert str(GateFailed(message)) == message


def test_a_telephone_number_in_a_message_is_masked() -> None:
    assert "13800138000" not in str(GateFailed("refused: 13800138000; mend it"))
