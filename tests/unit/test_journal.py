"""The log and its head: neither is replaced unnoticed, and a crash leaves a record and its change whole."""

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dagster_project import chain, journal
from dagster_project.errors import NotReconciled
from dagster_project.journal import LedgerChange, LinkChange
from dagster_project.paths import Paths

WAVE = "2023"
ENTRIES = [{"event": "甲"}, {"event": "乙", "n": 2}, {"event": "丙"}]
ADDED = [{"entry": "add", "id": "C0001"}, {"entry": "add", "id": "C0002"}]


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr("os.fsync", lambda _: None)
    paths = Paths(raw=tmp_path / "raw", home=tmp_path / "data")
    for entry in ENTRIES:
        journal.append(paths, entry)
    return paths


def rewritten(records: list[dict]) -> bytes:
    """A whole chain of what the records say, as somebody who knows the format would write it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        chain.append(path, *({k: v for k, v in each.items() if k not in ("previous", "hash")} for each in records))
        return path.read_bytes()


def lines(paths: Paths) -> list[bytes]:
    return paths.log.read_bytes().splitlines(keepends=True)


LOGS: dict[str, Callable[[Paths], bytes | None]] = {
    "deleted": lambda _: None,
    "emptied": lambda _: b"",
    "without the last line": lambda paths: b"".join(lines(paths)[:-1]),
    "without the last two lines": lambda paths: b"".join(lines(paths)[:-2]),
    "rewritten": lambda paths: rewritten([{**each, "by": "?"} for each in chain.read(paths.log)]),
    "rewritten without a record": lambda paths: rewritten(chain.read(paths.log)[1:]),
    "rewritten without numbers": lambda _: rewritten(ENTRIES),
    "continued": lambda paths: rewritten([*chain.read(paths.log), {"event": "丁", "record": 4}]),
    "with the last record replaced": lambda paths: rewritten(
        [*chain.read(paths.log)[:-1], {"event": "丁", "record": 3}]
    ),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_is_replaced_is_found(paths: Paths, name: str) -> None:
    content = LOGS[name](paths)
    if content is None:
        paths.log.unlink()
    else:
        paths.log.write_bytes(content)
    head = paths.log_head.read_bytes()
    for act in (journal.read, lambda each: journal.append(each, {"event": "戊"})):
        with pytest.raises(NotReconciled, match=r"log\.jsonl"):
            act(paths)
    assert paths.log_head.read_bytes() == head
    assert paths.log.exists() == (content is not None) and (content is None or paths.log.read_bytes() == content)


def test_a_head_that_is_replaced_is_found(paths: Paths) -> None:
    whole = paths.log_head.read_bytes()
    heads: list[bytes | None] = [None, b"", b"{}", b"[]", b"null", b"\xff", whole.replace(b"3", b"2"), whole + whole]
    heads += [whole[:at] + bytes([whole[at] ^ 0x04]) + whole[at + 1 :] for at in range(len(whole) - 1)]
    for head in heads:
        if head is None:
            paths.log_head.unlink()
        else:
            paths.log_head.write_bytes(head)
        with pytest.raises(NotReconciled, match=r"log\.head"):
            journal.read(paths)
    paths.log_head.write_bytes(whole)
    assert len(journal.read(paths)) == len(ENTRIES)


RECORD = {"event": "published", "wave": WAVE, "record": 4}


def interrupt(paths: Paths, head_names: bytes, written: bytes | None) -> None:
    """Leaves what an append leaves that was interrupted: the hash of one text in the head, and another in its file."""
    head = json.loads(paths.log_head.read_bytes())
    head["pending"] = hashlib.sha256(head_names).hexdigest()
    paths.log_head.write_text(json.dumps(head), encoding="utf-8")
    if written is not None:
        paths.log_pending.write_bytes(written)


@pytest.mark.parametrize("pending", [1, [], "x", {}, {"record": RECORD, "change": None}, "0" * 64])
def test_a_head_alone_has_no_record_completed(paths: Paths, pending: object) -> None:
    head = json.loads(paths.log_head.read_bytes())
    paths.log_head.write_text(json.dumps({**head, "pending": pending}), encoding="utf-8")
    with pytest.raises(NotReconciled, match=r"log\.head"):
        journal.read(paths)


def test_an_interrupted_record_alone_is_not_completed(paths: Paths) -> None:
    paths.log_pending.write_text(json.dumps({"record": RECORD, "change": None}), encoding="utf-8")
    assert len(journal.read(paths)) == len(ENTRIES)
    journal.append(paths, {"event": "戊"})
    assert [each["event"] for each in journal.read(paths)][len(ENTRIES) :] == ["戊"]
    assert not paths.log_pending.exists()


@pytest.mark.parametrize(
    "pending", [1, [], "x", {}, {"record": {}}, {"record": {}, "change": {"kind": "x"}}, {"record": 1, "change": None}]
)
def test_an_impossible_interrupted_record_is_refused(paths: Paths, pending: object) -> None:
    content = json.dumps(pending).encode()
    interrupt(paths, content, content)
    with pytest.raises(NotReconciled, match=r"log\.pending"):
        journal.read(paths)


def test_an_edited_interrupted_record_is_refused(paths: Paths) -> None:
    content = json.dumps({"record": RECORD, "change": None}).encode()
    interrupt(paths, content, content.replace(b"4", b"5"))
    with pytest.raises(NotReconciled, match=r"log\.pending"):
        journal.read(paths)


def test_a_folder_in_the_place_of_the_head_is_refused(paths: Paths) -> None:
    paths.log_head.unlink()
    paths.log_head.mkdir()
    with pytest.raises(NotReconciled, match=r"log\.head.*cannot be read"):
        journal.read(paths)


def test_the_completion_of_a_record_is_reported(paths: Paths, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody who writes both files can have a record completed that no command began."""
    content = json.dumps({"record": RECORD, "change": None}).encode()
    interrupt(paths, content, content)
    assert len(journal.read(paths)) == 4
    assert f"completed the interrupted record published {WAVE}" in caplog.text
    assert not paths.log_pending.exists()


def test_a_log_of_an_older_version_is_read_and_continued(tmp_path: Path) -> None:
    paths = Paths(raw=tmp_path / "raw", home=tmp_path / "data")
    chain.append(paths.log, *ENTRIES)
    assert len(journal.read(paths)) == 3
    assert not paths.log_head.exists() and not paths.log_lock.exists(), "reading writes nothing"
    journal.append(paths, {"event": "丁"})
    assert [each.get("record") for each in journal.read(paths)] == [None, None, None, 4]


class Crash(BaseException):
    """The process ends here."""


def crashing_at(moment: int) -> Callable[[Path, Path], Path]:
    """Path.replace that ends the process instead of replacing for the (moment + 1)th time."""
    real, left = Path.replace, [*range(moment)]

    def replace(source: Path, target: Path) -> Path:
        if not left:
            raise Crash
        left.pop()
        return real(source, target)

    return replace


CHANGES: dict[str, Callable[[], LedgerChange | LinkChange | None]] = {
    "a record alone": lambda: None,
    "entries of a ledger": lambda: LedgerChange(WAVE, None, ADDED),
    "a link": lambda: LinkChange("releases", WAVE, "b"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("reader", [journal.read, lambda paths: journal.append(paths, {"event": "己"})])
def test_a_crash_leaves_record_and_change_or_neither(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, name: str, reader: Callable[[Paths], object]
) -> None:
    change, moment, outcomes = CHANGES[name](), 0, set()
    (paths.releases(WAVE) / "a").mkdir(parents=True)
    (paths.releases(WAVE) / "b").mkdir()
    before = {path: path.read_bytes() for path in (paths.log, paths.log_head)}
    while True:
        LinkChange("releases", WAVE, "a").apply(paths)
        paths.ledger(WAVE).unlink(missing_ok=True)
        for path, content in before.items():
            path.write_bytes(content)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "replace", crashing_at(moment))
            try:
                journal.append(paths, {"event": "丁"}, change)
                break
            except Crash:
                pass
        reader(paths)
        events = [each["event"] for each in journal.read(paths)]
        is_recorded = "丁" in events
        assert events[:4] == ["甲", "乙", "丙", *(["丁"] if is_recorded else [])] or events[3:] == ["己"]
        assert events.count("丁") <= 1
        assert len(chain.read(paths.ledger(WAVE))) == (2 if is_recorded and name.startswith("entries") else 0)
        assert (str(paths.current(WAVE).readlink()) == "b") == (is_recorded and name == "a link")
        outcomes.add(is_recorded)
        moment += 1
    assert outcomes == {True, False}
    assert moment >= 3


def test_a_ledger_that_changed_during_a_crash_is_not_continued(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(LedgerChange, "apply", crash)
        with pytest.raises(Crash):
            journal.append(paths, {"event": "丁"}, LedgerChange(WAVE, None, ADDED))
    chain.append(paths.ledger(WAVE), {"entry": "other"})
    with pytest.raises(NotReconciled, match="corrections"):
        journal.read(paths)
    paths.ledger(WAVE).unlink()
    assert len(journal.read(paths)) == 4
    assert [each["id"] for each in chain.read(paths.ledger(WAVE))] == ["C0001", "C0002"]


def test_records_that_come_at_once_are_all_kept(paths: Paths) -> None:
    def write(name: int) -> None:
        for number in range(5):
            journal.append(paths, {"event": "x", "by": f"{name}-{number}"})
            journal.read(paths)

    threads = [threading.Thread(target=write, args=(each,)) for each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = journal.read(paths)
    assert [each["record"] for each in records] == [*range(1, 34)]
    assert len({each.get("by") for each in records[3:]}) == 30
    assert json.loads(paths.log_head.read_bytes())["records"] == 33
