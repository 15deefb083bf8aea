"""An appeal on the command line, from the request to the release, and back."""

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import Installation, Result, fresh

WAVE, LINE = "2023", "370100"
REASON = "申诉成立:录音显示未接通"


def exports(installation: Installation) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (installation.paths.raw / WAVE).iterdir()
        if path.is_file()
    }


def manifest(installation: Installation) -> dict:
    return json.loads((installation.paths.current(WAVE) / "manifest.json").read_text(encoding="utf-8"))


def connected_attempt(installation: Installation) -> dict[str, str]:
    """What it takes to turn one connected dialling of the line into a busy one, field by field."""
    rows = pq.ParquetFile(installation.paths.bronze_part("dial_attempts", WAVE)).read().to_pylist()
    # no questionnaire hangs on it
    row = next(
        each for each in rows if each["line_id"] == LINE and each["connected"] == "yes" and each["probe_id"] is None
    )
    after = {"connected": "no", "fail_reason": "busy", "ivr_layers": "", "smart_voice": "", "wait_s": ""}
    lines = ["attempt,field,expect,to,reason"]
    for field, to in after.items():
        before = "" if row[field] is None else str(row[field])
        if before != to:
            lines.append(f"{row['attempt_id']},{field},{before},{to},{REASON}")
    return {"attempt": row["attempt_id"], "text": "\n".join(lines) + "\n", "n": str(len(lines) - 1)}


def asked(installation: Installation) -> tuple[list[str], Result]:
    """(ids of the corrections that now wait, how the command ended)."""
    case = connected_attempt(installation)
    (installation.root / "appeal.csv").write_text(case["text"], encoding="utf-8-sig")
    result = installation.hotline("correct", "add", "appeal.csv", "--wave", WAVE, "--by", "王五", "--json")
    assert result.code == 0, result.err
    ids = [each["id"] for each in result.json]
    assert len(ids) == int(case["n"])
    return ids, result


def counted(copy: Installation) -> tuple[int, int, int]:
    """What `hotline status` counts: pending (also withdrawals), approved and not applied, withdrawn and applied."""
    result = copy.hotline("status", "--json")
    assert result.code == 0, result.err
    (wave,) = [each for each in result.json if each["wave"] == WAVE]
    counts = wave["corrections"]
    return (
        counts["pending"] + counts["withdrawal_pending"],
        counts["approved_not_applied"],
        counts["withdrawn_still_applied"],
    )


def test_an_appeal_becomes_a_release_and_is_taken_back(copy: Installation, raw: Path, tmp_path: Path) -> None:
    copy.run("--wave", WAVE, "--no-report")
    before, before_files, raw_before = copy.current(WAVE), copy.hashes(WAVE), exports(copy)
    assert copy.hotline("freeze", "--wave", WAVE).code == 0
    copy.run("--wave", WAVE, "--no-report")
    assert copy.current(WAVE) == before, "freezing a wave makes no other release"

    ids, _ = asked(copy)
    n = len(ids)
    assert counted(copy) == (n, 0, 0)
    refused = copy.hotline("correct", "approve", *ids, "--wave", WAVE, "--by", "王五")
    assert refused.code == 3 and "王五" in refused.err
    waiting = copy.run("--wave", WAVE, "--no-report")
    assert f"{len(ids)} 条更正待批准" in waiting.err
    assert copy.hashes(WAVE) == before_files and manifest(copy)["corrections"] == []

    by_another = ("correct", "approve", *ids, "--wave", WAVE, "--by", "赵六")
    refused = copy.hotline(*by_another)
    assert refused.code == 3 and "--same-account-because" in refused.err
    same_account = ("--same-account-because", "测试共用账户")
    assert copy.hotline(*by_another, *same_account).code == 0
    assert counted(copy) == (0, n, 0)
    text = copy.hotline("status").out
    assert f"run the wave again: {n}" in text and "已批准而当前发布未采用的更正" in text
    rerun = copy.run("--wave", WAVE, "--line", LINE, "--no-report")
    assert "1 条热线" in rerun.err
    assert f"dial_{WAVE}.csv" in rerun.err and f"phone_{WAVE}.xlsx" not in rerun.err, "one table is read again"
    corrected = manifest(copy)
    assert copy.hashes(WAVE) != before_files
    assert [(each["id"], each["line_id"], each["reason"]) for each in corrected["corrections"]] == [
        (each, LINE, REASON) for each in ids
    ]
    assert not any(name in json.dumps(corrected, ensure_ascii=False) for name in ("王五", "赵六"))
    assert {name: each for name, each in exports(copy).items() if name != "SHA256SUMS"} == raw_before
    assert counted(copy) == (0, 0, 0)

    full = fresh(tmp_path / "full", raw)
    for name in ("corrections", "SHA256SUMS"):
        source = copy.paths.raw / WAVE / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, full.paths.raw / WAVE / name)
    full.run("--no-report")
    assert full.current(WAVE) == copy.current(WAVE)
    assert full.hashes(WAVE) == copy.hashes(WAVE)
    assert manifest(full) == corrected

    result = copy.hotline("correct", "withdraw", *ids, "--wave", WAVE, "--by", "赵六", "--reason", "申诉人撤回")
    assert result.code == 0, result.err
    assert counted(copy) == (n, 0, 0)
    requested = copy.run("--wave", WAVE, "--no-report")
    assert "撤回待批准" in requested.err
    assert copy.hashes(WAVE) == full.hashes(WAVE), "one person does not withdraw what was approved"
    assert "withdrawal pending" in copy.hotline("correct", "list", "--wave", WAVE).out
    result = copy.hotline("correct", "approve", *ids, "--wave", WAVE, "--by", "王五", *same_account)
    assert result.code == 0, result.err
    assert counted(copy) == (0, 0, n)
    copy.run("--wave", WAVE, "--line", LINE, "--no-report")
    assert counted(copy) == (0, 0, 0)
    assert copy.hashes(WAVE) == before_files, "the data are those from before"
    assert copy.current(WAVE) != before, "the ledger is another, and the release says so"
    listed = copy.hotline("correct", "list", "--wave", WAVE, "--json")
    assert {each["state"] for each in listed.json} == {"withdrawn"}


def test_another_profile_is_another_release(copy: Installation) -> None:
    copy.run("--wave", "2022", "--no-report")
    before, before_files = copy.current("2022"), copy.hashes("2022")
    path = copy.paths.profile("dialler")
    path.write_text(path.read_text(encoding="utf-8") + "# noted\n", encoding="utf-8")
    copy.run("--wave", "2022", "--no-report")
    assert copy.current("2022") != before and copy.hashes("2022") == before_files


@pytest.fixture
def delivered(raw: Path, tmp_path: Path) -> Installation:
    """Exports and declarations, nothing run."""
    return fresh(tmp_path / "delivered", raw)


ONE = ("--attempt", "D2023-370100-001", "--field", "wait_s", "--reason", "x", "--by", "王五")

USAGE: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no such wave": (("add", "--wave", "2031", "--expect", "1", "--to", "2", *ONE), 2, "2031"),
    "a wave that is a path": (("add", "--wave", "../2023", "--expect", "1", "--to", "2", *ONE), 2, "../2023"),
    "an option missing": (("add", "--wave", WAVE, "--expect", "1", *ONE), 2, "--to"),
    "file and options": (("add", "x.csv", "--wave", WAVE, *ONE), 2, "--attempt"),
    "no file": (("add", "x.csv", "--wave", WAVE, "--by", "王五"), 2, "x.csv"),
    "another value": (("add", "--wave", WAVE, "--expect", "1", "--to", "2", *ONE), 3, "--expect: 现值为"),
    "an unknown id": (("approve", "C0001", "--wave", WAVE, "--by", "王五"), 3, "C0001"),
    "an id that is SQL": (("withdraw", "'; --", "--wave", WAVE, "--by", "王五", "--reason", "x"), 3, "'; --"),
    "nobody": (("approve", "C0001", "--wave", WAVE, "--by", " "), 2, "--by"),
}


def test_what_can_not_be_is_refused_with_its_code(delivered: Installation) -> None:
    for name, (arguments, code, told) in USAGE.items():
        result = delivered.hotline("correct", *arguments)
        assert (result.code, told in result.err, "Traceback" in result.err) == (code, True, False), (name, result.err)
    assert not delivered.paths.ledger(WAVE).exists()
    assert delivered.hotline("correct", "list", "--wave", WAVE).out.strip() == "没有更正 / no corrections"


def test_a_broken_chain_stops_a_run_and_every_command(delivered: Installation) -> None:
    ledger = delivered.paths.ledger(WAVE)
    ledger.parent.mkdir()
    ledger.write_text('{"entry": "add"}\n', encoding="utf-8")
    for arguments in (
        ("run", "--wave", "2023"), ("check", "--wave", WAVE), ("correct", "list", "--wave", WAVE),
        ("correct", "approve", "C0001", "--wave", WAVE, "--by", "x"),
    ):  # fmt: skip
        result = delivered.hotline(*arguments)
        assert result.code == 6 and "ledger.jsonl 第 1 行" in result.err, (arguments, result.err)
