"""The ledger of corrections: every refusal with its place, and what an approved one does to bronze."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from dagster_project import chain
from dagster_project.corrections import acts
from dagster_project.corrections.ledger import Correction, Ledger, Refused, read_ledger
from dagster_project.corrections.overlay import lay_over
from dagster_project.corrections.request import COLUMNS, from_file, from_options
from dagster_project.errors import Busy, InputRejected, NotReconciled, UsageError
from dagster_project.ingest import bronze as bronze_module
from dagster_project.ingest.bronze import check_wave, delivered_hashes
from dagster_project.ingest.frozen import freeze_exports
from dagster_project.ingest.rows import Known
from dagster_project.ingest.wave import load_wave
from dagster_project.lock import run_lock
from dagster_project.schema import DIAL_ATTEMPTS, EXPORT_TABLES
from tests.small_wave import LINES, WAVE, WEB_HEADER, SmallWave, write_csv, write_xlsx

ATTEMPT = "D1301001"  # connected, waited 12 s
WAIT = {"attempt": ATTEMPT, "field": "wait_s", "expect": "12", "to": "30", "reason": "录音显示等待30秒"}
MISSED = [
    {"attempt": ATTEMPT, "field": "connected", "expect": "yes", "to": "no", "reason": "误记"},
    {"attempt": ATTEMPT, "field": "fail_reason", "expect": "", "to": "busy", "reason": "误记"},
    {"attempt": ATTEMPT, "field": "ivr_layers", "expect": "2", "to": "", "reason": "误记"},
    {"attempt": ATTEMPT, "field": "smart_voice", "expect": "yes", "to": "", "reason": "误记"},
    {"attempt": ATTEMPT, "field": "wait_s", "expect": "12", "to": "", "reason": "误记"},
]


def listed(wave: SmallWave, rows: list[dict[str, str]], name: str = "list.csv") -> Path:
    path = wave.paths.raw.parent / name
    with path.open("w", encoding="utf-8-sig", newline="") as handle:
        writer = csv.DictWriter(handle, [each for each in COLUMNS if any(each in row for row in rows)], restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def add(wave: SmallWave, *rows: dict[str, str], by: str = "甲") -> list[str]:
    return [each.id for each in acts.add(wave.paths, WAVE, from_file(listed(wave, list(rows))), by)[0]]


def approve(wave: SmallWave, ids: list[str], by: str) -> list[Correction]:
    """Approved by the account of the tests, which has asked too."""
    return acts.approve(wave.paths, WAVE, ids, by, same_account_because="测试共用账户")


def withdraw(wave: SmallWave, ids: list[str]) -> None:
    """Withdraw approved corrections, by two persons."""
    acts.withdraw(wave.paths, WAVE, ids, "丙", "申诉撤销")
    approve(wave, ids, "丁")


def add_and_approve(wave: SmallWave, *rows: dict[str, str]) -> list[str]:
    ids = add(wave, *rows)
    approve(wave, ids, "乙")
    return ids


def attempt(wave: SmallWave, key: str = ATTEMPT) -> dict[str, Any]:
    table = pq.ParquetFile(wave.paths.bronze_part("dial_attempts", WAVE)).read()
    return next(row for row in table.to_pylist() if row["attempt_id"] == key)


def line_inputs(wave: SmallWave) -> dict[str, str]:
    table = pq.ParquetFile(wave.paths.bronze_part("line_inputs", WAVE)).read()
    return dict(zip(*table.to_pydict().values(), strict=True))


def bronze(wave: SmallWave) -> dict[str, bytes]:
    return {
        path.relative_to(wave.paths.bronze).as_posix(): path.read_bytes()
        for path in wave.paths.bronze.rglob("*.parquet")
    }


def raw_hashes(wave: SmallWave) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in wave.folder.iterdir() if path.is_file()
    }


# --- the way of a correction ---------------------------------------------------------------------


def test_an_approved_correction_changes_its_value_its_line_and_no_file(wave: SmallWave) -> None:
    wave.ingest()
    before, raw = line_inputs(wave), raw_hashes(wave)
    (only,) = add(wave, WAIT)
    assert only == "C0001"
    waiting = wave.ingest()
    assert attempt(wave)["wait_s"] == 12 and waiting.corrections == ()
    approve(wave, [only], "乙")
    report = wave.ingest()
    assert attempt(wave)["wait_s"] == 30
    assert [line for line, each in line_inputs(wave).items() if each != before[line]] == ["130100"]
    assert report.corrections == (
        {"id": "C0001", "table": "dial_attempts", "target": ATTEMPT, "line_id": "130100", "field": "wait_s",
         "expect": "12", "to": "30", "reason": "录音显示等待30秒"},
    )  # fmt: skip
    assert report.ledger_head == chain.head(wave.paths.ledger(WAVE))
    assert report.totals["dial_attempts"] == waiting.totals["dial_attempts"]
    assert raw_hashes(wave) == raw
    assert not {"甲", "乙"} & set(report.to_json())


def test_the_run_says_how_many_wait(wave: SmallWave) -> None:
    add(wave, *MISSED)
    told: list[str] = []
    check_wave(wave.paths, load_wave(wave.paths, WAVE), told.append)
    assert any("5 条更正待批准" in line and "C0001" in line for line in told)


def test_the_fields_of_a_row_are_corrected_together(wave: SmallWave) -> None:
    ids = add(wave, *MISSED)
    with pytest.raises(InputRejected, match="E_REQUIRED_WHEN") as refused:
        approve(wave, ids[:1], "乙")
    assert "C0001" in str(refused.value) and "fail_reason" in str(refused.value)
    assert not read_ledger(wave.paths, WAVE).effective
    approve(wave, ids, "乙")
    wave.ingest()
    row = attempt(wave)
    assert (row["connected"], row["fail_reason"], row["smart_voice"], row["wait_s"]) == ("no", "busy", None, None)
    assert row["source_file"] == "dial_1.csv"


def test_adding_says_what_the_row_would_lack(wave: SmallWave) -> None:
    _, lacking = acts.add(wave.paths, WAVE, from_options(MISSED[0]), "甲")
    assert any("fail_reason" in text for text in lacking)
    _, lacking = acts.add(wave.paths, WAVE, from_file(listed(wave, MISSED[1:])), "甲")
    assert lacking == []


def test_with_the_cache_and_without_it_the_same_bytes(
    wave: SmallWave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the table whose corrections changed is read again, and a fresh home gives the same bronze."""
    wave.ingest()
    read: list[str] = []
    real = bronze_module.read_cells
    monkeypatch.setattr(
        bronze_module, "read_cells", lambda each, profile: (read.append(each.name), real(each, profile))[1]
    )
    add(wave, WAIT)
    wave.ingest()
    assert read == []
    approve(wave, ["C0001"], "乙")
    assert read == []
    wave.ingest()
    assert read == ["dial_1.csv"]
    read.clear()
    assert wave.ingest().is_cached
    add_and_approve(wave, {"probe": "V110000", "field": "content_rich", "expect": "rich", "to": "fair", "reason": "x"})
    wave.ingest()
    assert read == ["web_1.csv"]
    afresh = type(wave.paths)(raw=wave.paths.raw, home=tmp_path / "afresh")
    again = bronze_module.ingest_wave(afresh, load_wave(afresh, WAVE))
    assert {each["id"] for each in again.corrections} == {"C0001", "C0002"}
    for name, content in bronze(wave).items():
        assert (afresh.bronze / name).read_bytes() == content, name
    assert afresh.ingest_report(WAVE).read_bytes() == wave.paths.ingest_report(WAVE).read_bytes()


def test_a_withdrawn_correction_leaves_what_was_before(wave: SmallWave) -> None:
    wave.ingest()
    before = bronze(wave)
    add_and_approve(wave, WAIT)
    wave.ingest()
    assert bronze(wave) != before
    withdraw(wave, ["C0001"])
    wave.ingest()
    assert bronze(wave) == before
    assert [record["entry"] for record in chain.read(wave.paths.ledger(WAVE))] == [
        "add", "approve", "withdraw", "approve",
    ]  # fmt: skip
    # asked anew, it is another correction
    assert add(wave, WAIT) == ["C0002"]


def test_a_correction_of_a_corrected_value(wave: SmallWave) -> None:
    add_and_approve(wave, WAIT)
    with pytest.raises(InputRejected, match="现值为 「30」"):
        add(wave, WAIT)
    add_and_approve(wave, {**WAIT, "expect": "30", "to": "40"})
    wave.ingest()
    assert attempt(wave)["wait_s"] == 40
    with pytest.raises(InputRejected, match=r"请先撤回后者.*C0002 builds on"):
        acts.withdraw(wave.paths, WAVE, ["C0001"], "丙", "x")
    withdraw(wave, ["C0001", "C0002"])
    wave.ingest()
    assert attempt(wave)["wait_s"] == 12


def test_a_row_may_move_to_another_line(wave: SmallWave) -> None:
    wave.ingest()
    before = line_inputs(wave)
    add_and_approve(wave, {**WAIT, "field": "line_id", "expect": "130100", "to": "370100"})
    wave.ingest()
    assert {line for line, each in line_inputs(wave).items() if each != before[line]} == {"130100", "370100"}
    table = pq.ParquetFile(wave.paths.bronze_part("dial_attempts", WAVE)).read()
    keys = list(zip(*table.select(list(DIAL_ATTEMPTS.order)).to_pydict().values(), strict=True))
    assert keys == sorted(keys)


def test_values_of_every_kind_come_out_as_bronze_names_them(wave: SmallWave) -> None:
    probe = {"probe": "P1301001", "reason": "x"}
    ids = add(
        wave,
        {**probe, "field": "called_at", "expect": "2023-03-02 10:01:00", "to": "2023-3-2 9:05:07"},
        {**probe, "field": "ticket_no", "expect": "T1", "to": "  T9 "},
        {**probe, "field": "greeting", "expect": "full", "to": "invalid"},
        {**probe, "field": "recording_ref", "expect": "", "to": "'; drop table x; --"},
        {**WAIT, "to": "+030"},
    )
    assert [each.to for each in read_ledger(wave.paths, WAVE).corrections.values()] == [
        "2023-03-02 09:05:07", "T9", "invalid", "'; drop table x; --", "30",
    ]  # fmt: skip
    approve(wave, ids, "乙")
    assert wave.ingest().n_bronze == 21
    table = pq.ParquetFile(wave.paths.bronze_part("phone_probes", WAVE)).read().to_pylist()
    row = next(each for each in table if each["probe_id"] == "P1301001")
    assert (str(row["called_at"]), row["ticket_no"], row["greeting"]) == ("2023-03-02 09:05:07", "T9", "invalid")


# --- refusals: what is asked for, what the message must name --------------------------------------


REFUSED: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "a wrong expected value": ({**WAIT, "expect": "13"}, ("「expect」", "现值为 「12」")),
    "null expected where a value stands": ({**WAIT, "expect": ""}, ("「expect」", "现值为 「12」")),
    "an unknown attempt": ({**WAIT, "attempt": "D9"}, ("「attempt」", "「D9」")),
    "a probe that is an attempt": ({**WAIT, "attempt": "", "probe": ATTEMPT}, ("「probe」", ATTEMPT)),
    "both targets": ({**WAIT, "probe": "P1301001"}, ("「probe」", "只填一个")),
    "no target": ({**WAIT, "attempt": ""}, ("「probe」", "只填一个")),
    "an unknown field": ({**WAIT, "field": "score"}, ("「field」", "dial_attempts 没有字段「score」")),
    "no field": ({**WAIT, "field": ""}, ("「field」", "没有字段")),
    "a field of another table": ({**WAIT, "field": "greeting"}, ("「field」", "dial_attempts 没有字段「greeting」")),
    "a field of provenance": ({**WAIT, "field": "source_file"}, ("「field」", "没有字段")),
    "the key": ({**WAIT, "field": "attempt_id", "expect": ATTEMPT, "to": "D9"}, ("「field」", "主键")),
    "no number": ({**WAIT, "to": "thirty"}, ("「to」", "E_BAD_NUMBER", "「thirty」")),
    "a number out of range": ({**WAIT, "to": "86401"}, ("「to」", "E_OUT_OF_RANGE", "0..86400")),
    "outside the code list": (
        {**WAIT, "field": "connected", "expect": "yes", "to": "接通"}, ("「to」", "E_NOT_IN_CODES", "yes | no"),
    ),
    "null for a required field": (
        {**WAIT, "field": "connected", "expect": "yes", "to": ""}, ("「to」", "E_MISSING"),
    ),
    "an unknown line": (
        {**WAIT, "field": "line_id", "expect": "130100", "to": "999999"}, ("「to」", "E_UNKNOWN_LINE"),
    ),
    "an unknown scenario": (
        {**WAIT, "field": "scenario_code", "expect": "S01", "to": "S99"}, ("「to」", "E_UNKNOWN_SCENARIO"),
    ),
    "no time": (
        {**WAIT, "field": "dialled_at", "expect": "2023-03-02 09:51:00", "to": "2023-02-30 09:51:00"},
        ("「to」", "E_BAD_TIME"),
    ),
    "a time of another century": (
        {**WAIT, "field": "dialled_at", "expect": "2023-03-02 09:51:00", "to": "1923-03-02 09:51:00"},
        ("「to」", "E_TIME_IMPLAUSIBLE"),
    ),
    "an invisible character": (
        {"probe": "P1301001", "field": "ticket_no", "expect": "T1", "to": "T\u200b2", "reason": "x"},
        ("「to」", "E_CONTROL_CHARACTER"),
    ),
    "no reason": ({**WAIT, "reason": " "}, ("「reason」",)),
    "a reason with personal data": ({**WAIT, "reason": "来电 13912345678"}, ("「reason」", "个人信息")),
    "a new value with personal data": (
        {"probe": "P1301001", "field": "ticket_no", "expect": "T1", "to": "13912345678", "reason": "x"},
        ("「to」", "E_PERSONAL_DATA"),
    ),
    "an invisible reason": ({**WAIT, "reason": "a\u202eb"}, ("reason", "不可见字符")),
    "a reason without end": ({**WAIT, "reason": "x" * 1001}, ("reason", "1000")),
    "the value that stands": ({**WAIT, "to": "12"}, ("新值与原值相同",)),
    "a table of no such target": ({**WAIT, "table": "web_probes"}, ("「table」", "dial_attempts")),
    "evidence that is not there": ({**WAIT, "evidence": "none.pdf"}, ("「evidence」", "none.pdf")),
}  # fmt: skip


@pytest.mark.parametrize("row, told", REFUSED.values(), ids=REFUSED)
def test_an_impossible_request_is_refused_with_its_place_and_none_is_added(
    wave: SmallWave, row: dict[str, str], told: tuple[str, ...]
) -> None:
    good = {**WAIT, "attempt": "D1301002"}
    with pytest.raises(InputRejected) as refused:
        add(wave, good, row)
    assert refused.value.exit_code == 3
    for text in ("list.csv 第 3 行 / row 3", *told):
        assert text in str(refused.value), text
    assert "第 2 行" not in str(refused.value)
    assert not wave.paths.ledger(WAVE).exists()


def test_what_is_kept_as_a_key_is_not_corrected(wave: SmallWave, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_SECRET", "s" * 32)
    profile = wave.paths.profile("survey_phone")
    content = yaml.safe_load(profile.read_text(encoding="utf-8"))
    next(each for each in content["columns"].values() if each["field"] == "coder_id")["keyed"] = True
    profile.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    wave.ingest()
    rows = pq.ParquetFile(wave.paths.bronze_part("phone_probes", WAVE)).read().to_pylist()
    key = next(each["coder_id"] for each in rows if each["probe_id"] == "P1301001")
    row = {"probe": "P1301001", "field": "coder_id", "expect": key, "to": "C7", "reason": "x"}
    with pytest.raises(InputRejected, match=r"row 2 「field」: coder_id 只留密钥值"):
        add(wave, row)
    # another field of such a row is one like others
    add_and_approve(wave, {**row, "field": "ticket_no", "expect": "T1", "to": "T2"})
    assert wave.ingest().corrections[0]["to"] == "T2"


def test_every_fault_of_a_list_is_told_at_once(wave: SmallWave) -> None:
    with pytest.raises(InputRejected, match="共 3 处") as refused:
        add(wave, {**WAIT, "expect": "1", "to": "x"}, WAIT, {**WAIT, "attempt": "D9"})
    assert "第 2 行" in str(refused.value) and "第 4 行" in str(refused.value)


def test_a_request_from_options_names_the_option(wave: SmallWave) -> None:
    with pytest.raises(InputRejected, match=r"--expect: 现值为 「12」"):
        acts.add(wave.paths, WAVE, from_options({**WAIT, "expect": "1"}), "甲")
    with pytest.raises(UsageError, match=r"--to, --probe \| --attempt"):
        from_options({"field": "wait_s", "expect": "12", "reason": "x"})


def test_one_open_correction_of_a_value(wave: SmallWave) -> None:
    with pytest.raises(InputRejected, match=r"row 3.*C0001.*pending"):
        add(wave, WAIT, {**WAIT, "to": "31"})
    add(wave, WAIT)
    with pytest.raises(InputRejected, match=r"row 2.*C0001.*pending"):
        add(wave, {**WAIT, "to": "31"})


def test_a_quarantined_row_can_not_be_corrected(wave: SmallWave) -> None:
    wave.dial[3]["等待秒数"] = "lang"
    wave.write()
    with pytest.raises(InputRejected, match="被隔离的行须由供应商更正"):
        add(wave, {**WAIT, "attempt": wave.dial[3]["拨测编号"]})


def test_a_probe_of_two_tables_needs_the_table(wave: SmallWave) -> None:
    wave.web[0]["监测编号"] = "P1301001"
    wave.write()
    row = {"probe": "P1301001", "field": "registered", "expect": "yes", "to": "no", "reason": "x"}
    with pytest.raises(InputRejected, match=r"「table」: 「P1301001」见于 phone_probes 与 web_probes"):
        add(wave, row)
    add_and_approve(wave, {**row, "table": "web_probes"})
    assert wave.ingest().corrections[0]["line_id"] == "110000"


DECISIONS: dict[str, tuple[Callable[[SmallWave], object], str]] = {
    "approval by the same person": (
        lambda wave: approve(wave, ["C0001"], "张 三"), "C0001 由 张 三 提出",
    ),
    "the same person in other letters": (
        lambda wave: approve(wave, ["C0002"], " ZHANG  San"), "C0002 由 Zhang San 提出",
    ),
    "an unknown id": (lambda wave: approve(wave, ["C0099"], "乙"), "没有更正 C0099"),
    "an unknown id withdrawn": (lambda wave: acts.withdraw(wave.paths, WAVE, ["x"], "乙", "r"), "没有更正 x"),
    "a withdrawn one": (lambda wave: approve(wave, ["C0003"], "乙"), "C0003 已撤回"),
    "a withdrawn one again": (lambda wave: acts.withdraw(wave.paths, WAVE, ["C0003"], "乙", "r"), "C0003 已撤回"),
    "an approved one": (lambda wave: approve(wave, ["C0004"], "乙"), "C0004 已批准"),
    "one good, one bad": (lambda wave: approve(wave, ["C0001", "C0003"], "乙"), "C0003 已撤回"),
    "no reason": (lambda wave: acts.withdraw(wave.paths, WAVE, ["C0001"], "乙", " "), "reason"),
}  # fmt: skip


@pytest.mark.parametrize("decide, told", DECISIONS.values(), ids=DECISIONS)
def test_an_impossible_decision_is_refused_and_changes_nothing(
    wave: SmallWave, decide: Callable[[SmallWave], object], told: str
) -> None:
    attempts = ("D1301001", "D1301002", "D3701001", "D3701002")
    for key, by in zip(attempts, ("张 三", "Zhang San", "甲", "甲"), strict=True):
        add(wave, {**WAIT, "attempt": key}, by=by)
    acts.withdraw(wave.paths, WAVE, ["C0003"], "甲", "误提")
    approve(wave, ["C0004"], "乙")
    before = wave.paths.ledger(WAVE).read_bytes()
    with pytest.raises(InputRejected, match=told):
        decide(wave)
    assert wave.paths.ledger(WAVE).read_bytes() == before


def test_a_name_is_needed(wave: SmallWave) -> None:
    with pytest.raises(UsageError, match="--by"):
        add(wave, WAIT, by=" ")


ACTS: dict[str, Callable[[SmallWave], object]] = {
    "add": lambda wave: add(wave, {**WAIT, "attempt": "D3701001"}),
    "approve": lambda wave: approve(wave, ["C0001"], "乙"),
    "withdraw": lambda wave: acts.withdraw(wave.paths, WAVE, ["C0001"], "乙", "x"),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_nothing_of_a_closed_wave_is_changed(wave: SmallWave, act: Callable[[SmallWave], object]) -> None:
    add(wave, WAIT)
    wave.declared["closed"] = True
    wave.declare()
    before = wave.paths.ledger(WAVE).read_bytes()
    with pytest.raises(InputRejected, match=r"wave\.yml: closed"):
        act(wave)
    assert wave.paths.ledger(WAVE).read_bytes() == before
    assert wave.ingest().n_bronze == 21


def test_closed_is_yes_or_no(wave: SmallWave) -> None:
    wave.declared["closed"] = "soon"
    wave.declare()
    with pytest.raises(InputRejected, match=r"wave\.yml: closed"):
        load_wave(wave.paths, WAVE)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_nothing_is_written_during_a_run(wave: SmallWave, act: Callable[[SmallWave], object]) -> None:
    add(wave, WAIT)
    before = wave.paths.ledger(WAVE).read_bytes()
    holder = "import sys, time; from dagster_project.lock import run_lock; from dagster_project.paths import paths\n"
    holder += "with run_lock(paths()): print('held', flush=True); time.sleep(60)"
    environment = {"HOTLINE_HOME": str(wave.paths.home), "HOTLINE_RAW": str(wave.paths.raw)}
    with other_process(holder, environment), pytest.raises(Busy) as busy:
        act(wave)
    assert busy.value.exit_code == 5
    assert wave.paths.ledger(WAVE).read_bytes() == before
    with run_lock(wave.paths):
        act(wave)  # the same process may


@contextmanager
def other_process(code: str, environment: dict[str, str]) -> Iterator[None]:
    """A Python program that has said its first line, until the block ends."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment}) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


# --- files of requests ---------------------------------------------------------------------------


def test_a_list_as_yaml_with_evidence(wave: SmallWave) -> None:
    folder = wave.paths.raw.parent
    (folder / "letter.pdf").write_bytes(b"letter")
    item = {**WAIT, "evidence": "letter.pdf"}
    (folder / "list.yml").write_text(yaml.safe_dump({"corrections": [item]}, allow_unicode=True), encoding="utf-8")
    acts.add(wave.paths, WAVE, from_file(folder / "list.yml"), "甲")
    (added,) = read_ledger(wave.paths, WAVE).corrections.values()
    assert added.evidence_sha256 == hashlib.sha256(b"letter").hexdigest()
    assert "letter.pdf" not in wave.paths.ledger(WAVE).read_text(encoding="utf-8")


YAML_FAULTS = {
    "an unquoted yes": ("corrections:\n- {attempt: a, field: connected, expect: no, to: 'yes', reason: x}", "expect"),
    "a number": ("corrections:\n- {attempt: a, field: wait_s, expect: 12, to: '1', reason: x}", "expect"),
    "a missing key": ("corrections:\n- {attempt: a, field: wait_s, to: '1', reason: x}", "expect: 缺少此项"),
    "an unknown key": (
        "corrections:\n- {attempt: a, field: wait_s, expect: null, to: '1', reason: x, by: y}", "by: 未知的项",
    ),
    "no mapping": ("corrections: [x]", "corrections[0].field"),
    "another list": ("changes: []", "corrections"),
    "not YAML": ("corrections: [", "YAML"),
    "nothing": ("corrections: []", "没有更正"),
}  # fmt: skip


@pytest.mark.parametrize("text, told", YAML_FAULTS.values(), ids=YAML_FAULTS)
def test_a_faulty_yaml_list_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "list.yml").write_text(text, encoding="utf-8")
    with pytest.raises(InputRejected) as refused:
        from_file(tmp_path / "list.yml")
    assert told in str(refused.value) and "list.yml" in str(refused.value)


HEADER = "attempt,field,expect,to,reason"
CSV_FAULTS = {
    "a missing column": ("attempt,field,to,reason\nx,y,z,r\n", "缺少列 / missing column「expect」"),
    "an unknown column": (f"{HEADER},by\nD,f,a,b,r,z\n", "unknown column「by」"),
    "a column twice": (f"{HEADER},to\nD,f,a,b,r,z\n", "column is duplicated「to」"),
    "a ragged row": (f"{HEADER}\nD,f,a\n", "第 2 行 / row 2: 有 3 格"),
    "an open quote": (f'{HEADER}\n"D', "CSV 语法错误"),
    "header only": (f"{HEADER}\n,,,,\n", "没有更正"),
    "empty": ("", "缺少列"),
}


@pytest.mark.parametrize("text, told", CSV_FAULTS.values(), ids=CSV_FAULTS)
def test_a_faulty_csv_list_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputRejected) as refused:
        from_file(tmp_path / "list.csv")
    assert told in str(refused.value) and "list.csv" in str(refused.value)


def test_a_list_in_another_encoding_or_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(f"{HEADER}\nD,f,a,b,误记\n".encode("gb18030"))
    with pytest.raises(InputRejected, match="CSV UTF-8"):
        from_file(tmp_path / "list.csv")
    for name in ("list.xlsx", "none.csv"):
        with pytest.raises(UsageError, match=name):
            (tmp_path / "list.xlsx").touch()
            from_file(tmp_path / name)


# --- the ledger as it lies on disk ----------------------------------------------------------------


def write_ledger(wave: SmallWave, *entries: dict[str, Any]) -> None:
    wave.paths.ledger(WAVE).unlink(missing_ok=True)
    chain.append(wave.paths.ledger(WAVE), *entries)


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "entry": "add", "id": "C0001", "table": "dial_attempts", "target": ATTEMPT, "field": "wait_s", "expect": "12",
        "to": "30", "reason": "x", "evidence_sha256": None, "by": "甲", "at": "2023-07-10T09:00:00+08:00", **changes,
    }  # fmt: skip


APPROVED = {"entry": "approve", "id": "C0001", "by": "乙", "at": "2023-07-11T09:00:00+08:00"}

FORGED: dict[str, list[dict[str, Any]]] = {
    "an approval by the same person": [entry(), {**APPROVED, "by": "甲"}],
    "an approval of nothing": [APPROVED],
    "approved twice": [entry(), APPROVED, APPROVED],
    "another id": [entry(id="C0007")],
    "an id that is a path": [entry(id="../../x")],
    "an unknown table": [entry(table="lines")],
    "a table that is SQL": [entry(table="x; drop table y")],
    "an unknown field": [entry(field="score")],
    "the key": [entry(field="attempt_id")],
    "a number for a text": [entry(to=30)],
    "a key more": [entry(score=1)],
    "a kind of its own": [entry(entry="delete")],
    "no change": [entry(to="12")],
    "an invisible target": [entry(target="a\x1fb")],
    "evidence that is no hash": [entry(evidence_sha256="letter.pdf")],
    "the same value twice": [entry(), entry(id="C0002", to="31")],
}


@pytest.mark.parametrize("entries", FORGED.values(), ids=FORGED)
def test_a_ledger_with_an_entry_that_the_commands_would_not_write_is_refused(
    wave: SmallWave, entries: list[dict[str, Any]]
) -> None:
    write_ledger(wave, *entries)
    with pytest.raises(NotReconciled, match=rf"ledger\.jsonl 第 {len(entries)} 行"):
        wave.ingest()
    assert not wave.paths.home.exists()


VALUES: dict[str, tuple[dict[str, Any], str]] = {
    "a value outside the code list": ({"field": "connected", "expect": "yes", "to": "maybe"}, "E_NOT_IN_CODES"),
    "no number": ({"to": "1; drop table x"}, "E_BAD_NUMBER"),
    "another value expected": ({"expect": "13"}, "现值为 「12」"),
    "a target that is not there": ({"target": "D9"}, "导出中没有此目标"),
    "half a row": ({"field": "connected", "expect": "yes", "to": "no"}, "E_REQUIRED_WHEN"),
}


@pytest.mark.parametrize("changes, told", VALUES.values(), ids=VALUES)
def test_an_approved_correction_that_does_not_fit_stops_the_ingest(
    wave: SmallWave, changes: dict[str, Any], told: str
) -> None:
    wave.ingest()
    before = bronze(wave)
    write_ledger(wave, entry(**changes), APPROVED)
    with pytest.raises(InputRejected) as refused:
        wave.ingest()
    assert told in str(refused.value) and "C0001" in str(refused.value)
    assert bronze(wave) == before


def test_a_delivery_that_says_otherwise_stops_the_ingest_until_the_correction_is_withdrawn(wave: SmallWave) -> None:
    add_and_approve(wave, WAIT)
    wave.ingest()
    wave.dial[3]["等待秒数"] = "30"
    write_csv(wave.folder / "dial_1.csv", wave.dial, "gb18030")
    with pytest.raises(InputRejected, match=r"C0001 .*现值为 「30」"):
        wave.ingest()
    write_csv(wave.folder / "dial_1.csv", wave.dial[:3] + wave.dial[4:], "gb18030")
    with pytest.raises(InputRejected, match=r"C0001 .*导出中没有此目标"):
        wave.ingest()
    withdraw(wave, ["C0001"])
    assert wave.ingest().n_bronze == 20


def test_a_broken_chain_is_refused_everywhere(wave: SmallWave) -> None:
    add(wave, WAIT)
    path = wave.paths.ledger(WAVE)
    path.write_bytes(path.read_bytes().replace(b'"30"', b'"90"'))
    for act in (*ACTS.values(), SmallWave.ingest, lambda wave: check_wave(wave.paths, load_wave(wave.paths, WAVE))):
        with pytest.raises(NotReconciled, match=r"ledger\.jsonl 第 1 行") as refused:
            act(wave)
        assert refused.value.exit_code == 6


def test_a_ledger_without_what_the_current_release_stands_on_is_refused(wave: SmallWave) -> None:
    add_and_approve(wave, WAIT)
    folder = wave.paths.releases(WAVE) / "abc"
    folder.mkdir(parents=True)
    wave.paths.current(WAVE).symlink_to("abc")
    head = chain.head(wave.paths.ledger(WAVE))
    (folder / "manifest.json").write_text(json.dumps({"ledger_head": head}), encoding="utf-8")
    add(wave, {**WAIT, "attempt": "D1301002"})  # going on is no fault
    wave.ingest()
    first = wave.paths.ledger(WAVE).read_bytes().splitlines(keepends=True)[:1]
    wave.paths.ledger(WAVE).write_bytes(b"".join(first))
    with pytest.raises(NotReconciled, match="abc"):
        wave.ingest()
    wave.paths.ledger(WAVE).unlink()
    with pytest.raises(NotReconciled, match="abc"):
        wave.ingest()


def test_a_refused_entry_changes_nothing_of_the_state() -> None:
    ledger = Ledger()
    ledger.take(entry())
    with pytest.raises(Refused):
        ledger.take({**APPROVED, "by": " 甲"})
    with pytest.raises(Refused):
        ledger.take({**APPROVED, "by": "甲"})
    assert ledger.corrections["C0001"].state == "pending"


def test_no_corrections_no_change() -> None:
    rows = DIAL_ATTEMPTS.schema().empty_table()
    assert lay_over(DIAL_ATTEMPTS, rows, (), Known({})).rows is rows


@pytest.mark.parametrize("table", EXPORT_TABLES.values(), ids=EXPORT_TABLES)
def test_a_row_as_texts_is_judged_to_be_the_same_row(wave: SmallWave, table: Any) -> None:
    """What bronze holds, in the ledger's words and back, is what bronze holds."""
    from dagster_project.corrections.overlay import judge_texts, texts_of

    wave.ingest()
    rows = pq.ParquetFile(wave.paths.bronze_part(table.name, WAVE)).read()
    known = Known({"line": frozenset(LINES), "scenario": frozenset({"S01", "S02"})})
    judged = judge_texts(table, texts_of(table, rows, range(rows.num_rows)), known)
    assert judged.faults == {}
    for column in table.columns:
        assert pa.chunked_array([judged.values[column.name]]).equals(rows[column.name]), column.name


# --- frozen waves --------------------------------------------------------------------------------


def freeze(wave: SmallWave) -> bool:
    return freeze_exports(wave.paths, WAVE, delivered_hashes(wave.paths, load_wave(wave.paths, WAVE)))


@pytest.fixture
def frozen(wave: SmallWave) -> SmallWave:
    assert freeze(wave)
    return wave


def test_a_frozen_wave_is_read_as_before_and_sha256sum_proves_it(frozen: SmallWave) -> None:
    assert not freeze(frozen)
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=frozen.folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("OK") == 3
    assert frozen.ingest().n_bronze == 21
    add_and_approve(frozen, WAIT)
    frozen.ingest()
    assert attempt(frozen)["wait_s"] == 30


THAWED: dict[str, tuple[Callable[[SmallWave], object], str]] = {
    "another content": (
        lambda wave: write_csv(wave.folder / "dial_1.csv", wave.dial[1:], "gb18030"), r"dial_1\.csv: 应为",
    ),
    "a new file": (
        lambda wave: write_csv(wave.folder / "web_2.csv", wave.web[:1], "utf-8-sig", WEB_HEADER),
        r"web_2\.csv: 应为 / expected 无此文件",
    ),
    "a missing file": (
        lambda wave: (
            (wave.folder / "phone_1.xlsx").unlink(), write_xlsx(wave.folder / "phone_2.xlsx", wave.phone)
        ),
        r"phone_1\.xlsx: 应为 / expected [0-9a-f]{64}, 现为 / found 无此文件",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change, told", THAWED.values(), ids=THAWED)
def test_exports_of_a_frozen_wave_may_not_differ(
    frozen: SmallWave, change: Callable[[SmallWave], object], told: str
) -> None:
    frozen.ingest()
    before = bronze(frozen)
    change(frozen)
    for act in (SmallWave.ingest, freeze, lambda wave: add(wave, WAIT)):
        with pytest.raises(InputRejected, match=told) as refused:
            act(frozen)
        assert refused.value.exit_code == 3 and "hotline correct" in str(refused.value)
    assert bronze(frozen) == before


def test_an_export_that_is_gone_altogether_is_told(frozen: SmallWave) -> None:
    (frozen.folder / "dial_1.csv").unlink()
    with pytest.raises(InputRejected, match=r"dial_\*\.csv"):
        frozen.ingest()


@pytest.mark.parametrize("text", ["", "x\n", "0  dial_1.csv\n", f"{'0' * 64}  ../x\n"])
def test_damaged_checksums_are_refused(frozen: SmallWave, text: str) -> None:
    frozen.paths.checksums(WAVE).write_text(text, encoding="utf-8")
    with pytest.raises(InputRejected, match=r"SHA256SUMS 第 1 行"):
        frozen.ingest()


def test_a_frozen_wave_is_not_simulated_anew(frozen: SmallWave) -> None:
    from dagster_project.simulate import simulate_wave

    frozen.declared["simulation"] = {"seed": 1, "calibrate_to": "2023"}
    frozen.declare()
    before = raw_hashes(frozen)
    with pytest.raises(UsageError, match="frozen"):
        simulate_wave(frozen.paths, load_wave(frozen.paths, WAVE), overwrite=True)
    assert raw_hashes(frozen) == before


def test_a_wave_without_exports_is_not_frozen(wave: SmallWave) -> None:
    for path in (*wave.folder.glob("*.csv"), *wave.folder.glob("*.xlsx")):
        path.unlink()
    with pytest.raises(InputRejected, match="E_NO_FILE"):
        freeze(wave)
    assert not wave.paths.checksums(WAVE).exists()
