"""What log, manifests and SHA256SUMS recorded of a wave is found wherever one of the files is replaced."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagster_project import chain, runlog
from dagster_project.corrections import acts
from dagster_project.corrections.request import from_options
from dagster_project.errors import HotlineError, InputRejected, NotReconciled, UsageError
from dagster_project.ingest.bronze import check_wave, delivered_hashes
from dagster_project.ingest.frozen import freeze_exports
from dagster_project.ingest.wave import load_wave
from dagster_project.journal import LinkChange
from dagster_project.release.publish import previous_release, publish, rollback
from dagster_project.release.verify import verify
from tests.small_wave import WAVE, SmallWave

ATTEMPT = "D1301001"


def ask(wave: SmallWave, to: str = "30") -> list[str]:
    options = {"attempt": ATTEMPT, "field": "wait_s", "expect": "12", "to": to, "reason": "录音", "evidence": None}
    options |= {"probe": None, "table": None}
    return [each.id for each in acts.add(wave.paths, WAVE, from_options(options), "王五")[0]]


def approve(wave: SmallWave, ids: list[str]) -> None:
    acts.approve(wave.paths, WAVE, ids, "赵六", same_account_because="测试共用账户")


def decided(wave: SmallWave) -> SmallWave:
    approve(wave, ask(wave))
    return wave


def records(wave: SmallWave) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in each.items() if name not in ("previous", "hash")}
        for each in chain.read(wave.paths.ledger(WAVE))
    ]


def rewrite(wave: SmallWave, entries: list[dict[str, Any]]) -> None:
    wave.paths.ledger(WAVE).unlink()
    chain.append(wave.paths.ledger(WAVE), *entries)


def forge(wave: SmallWave) -> None:
    """An approval that was not made here, in a chain that is whole."""
    ids = ask(wave)
    before = {path: path.read_bytes() for path in wave.paths.home.glob("log.*")}
    approve(wave, ids)
    for path, content in before.items():
        path.write_bytes(content)


LEDGERS: dict[str, Callable[[SmallWave], None]] = {
    "deleted": lambda wave: decided(wave).paths.ledger(WAVE).unlink(),
    "emptied": lambda wave: Path(decided(wave).paths.ledger(WAVE)).write_bytes(b"") and None,
    "cut off": lambda wave: rewrite(decided(wave), records(wave)[:1]),
    "rewritten, another value": lambda wave: rewrite(
        decided(wave), [{**each, "to": "31"} if each["entry"] == "add" else each for each in records(wave)]
    ),
    "rewritten, another person": lambda wave: rewrite(
        decided(wave), [{**each, "by": "钱七"} if each["entry"] == "approve" else each for each in records(wave)]
    ),
    "continued": forge,
}


@pytest.mark.parametrize("name", LEDGERS)
def test_a_ledger_of_a_wave_that_was_never_released_is_not_replaced_unnoticed(wave: SmallWave, name: str) -> None:
    LEDGERS[name](wave)
    assert any("ledger.jsonl" in fault for fault in verify(wave.paths, (), rebuild=False).faults)
    for act in (wave.ingest, lambda: ask(wave, "99"), lambda: acts.withdraw(wave.paths, WAVE, ["C0001"], "王五", "x")):
        with pytest.raises(NotReconciled, match=r"ledger\.jsonl"):
            act()
    assert not wave.paths.ingest_report(WAVE).exists()


def test_entries_of_another_installation_are_accepted_by_a_logged_act(wave: SmallWave) -> None:
    forge(wave)
    assert acts.accept(wave.paths, WAVE, "王五", "在另一台主机上批准") == [2]
    assert runlog.read(wave.paths)[-1]["event"] == "accepted"
    assert verify(wave.paths, (), rebuild=False).faults == []
    assert len(wave.ingest().corrections) == 1
    with pytest.raises(UsageError, match="knows every entry"):
        acts.accept(wave.paths, WAVE, "王五", "x")
    rewrite(wave, records(wave)[:1])
    with pytest.raises(NotReconciled, match="restore it"):
        acts.accept(wave.paths, WAVE, "王五", "what is missing cannot be accepted")


def test_a_ledger_that_came_with_the_raw_files_is_no_fault(wave: SmallWave) -> None:
    """Another host, or a new state folder: nothing was recorded here yet."""
    decided(wave)
    for path in wave.paths.home.glob("log.*"):
        path.unlink()
    assert len(wave.ingest().corrections) == 1
    assert verify(wave.paths, (), rebuild=False).faults == []


def freeze(wave: SmallWave) -> bool:
    return freeze_exports(wave.paths, WAVE, delivered_hashes(wave.paths, load_wave(wave.paths, WAVE)))


def change_export(wave: SmallWave) -> None:
    path = wave.folder / "dial_1.csv"
    path.write_bytes(path.read_bytes() + b"\n")


SUMS: dict[str, Callable[[Path], None]] = {
    "deleted": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b"") and None,
    "cut off": lambda path: path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:1])) and None,
    "edited": lambda path: path.write_text("0" * 64 + path.read_text(encoding="utf-8")[64:], encoding="utf-8") and None,
    "one more": lambda path: path.write_text(path.read_text() + "0" * 64 + "  more.csv\n") and None,
}


@pytest.mark.parametrize("name", SUMS)
def test_a_frozen_wave_stays_frozen_whatever_becomes_of_its_file(wave: SmallWave, name: str) -> None:
    assert freeze(wave)
    whole = wave.paths.checksums(WAVE).read_bytes()
    SUMS[name](wave.paths.checksums(WAVE))
    assert any("SHA256SUMS" in fault and "hotline freeze" in fault for fault in verify(wave.paths, (), False).faults)
    for act in (wave.ingest, lambda: check_wave(wave.paths, load_wave(wave.paths, WAVE)), lambda: ask(wave)):
        with pytest.raises(HotlineError, match="hotline freeze"):
            act()
    assert freeze(wave), "written again from the log"
    assert wave.paths.checksums(WAVE).read_bytes() == whole
    assert wave.ingest().n_bronze and not freeze(wave)

    SUMS[name](wave.paths.checksums(WAVE))
    change_export(wave)
    for act in (wave.ingest, lambda: freeze(wave)):
        with pytest.raises(InputRejected, match=r"dial_1\.csv"):
            act()


def test_a_folder_in_the_place_of_a_file_is_found(wave: SmallWave) -> None:
    freeze(wave)
    for path, fault in ((wave.paths.checksums(WAVE), "SHA256SUMS"), (wave.folder / "dial_1.csv", "dial_1.csv")):
        content = path.read_bytes()
        path.unlink()
        path.mkdir()
        assert any(fault in each for each in verify(wave.paths, (), rebuild=False).faults)
        with pytest.raises(HotlineError, match=fault):
            wave.ingest()
        path.rmdir()
        path.write_bytes(content)
    assert verify(wave.paths, (), rebuild=False).faults == []


def test_checksums_that_were_rewritten_with_the_exports_are_found(wave: SmallWave) -> None:
    freeze(wave)
    change_export(wave)
    hashes = delivered_hashes(wave.paths, load_wave(wave.paths, WAVE))
    text = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items()))
    wave.paths.checksums(WAVE).write_text(text, encoding="utf-8")
    assert any("dial_1.csv" in fault for fault in verify(wave.paths, (), rebuild=False).faults)
    for act in (wave.ingest, lambda: freeze(wave)):
        with pytest.raises(InputRejected, match=r"dial_1\.csv"):
            act()


def test_checksums_that_came_with_the_raw_files_are_recorded_by_the_next_run(wave: SmallWave) -> None:
    freeze(wave)
    for path in wave.paths.home.glob("log.*"):
        path.unlink()
    wave.ingest()
    wave.paths.checksums(WAVE).unlink()
    with pytest.raises(NotReconciled, match="SHA256SUMS"):
        wave.ingest()


def releases(wave: SmallWave, *ids: str) -> None:
    """Releases that were made and not published."""
    for each in ids:
        folder = wave.paths.releases(WAVE) / each
        folder.mkdir(parents=True)
        manifest = {
            "wave": WAVE, "release": each, "files": {}, "ledger_head": None, "raw_files": [], "baseline": None,
            "code_version": "1", "declaration_version": "1", "method_version": "v", "packages": {}, "gate": {},
            "declaration_files": {},
        }  # fmt: skip
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        runlog.record_release(wave.paths, folder)


SEQUENCES: list[tuple[str, str | None, str | None]] = [
    ("A", None, None), ("AB", "A", "A"), ("ABC", "B", "B"), ("ABCB", "C", "C"), ("ABA", "B", "B"),
    ("ABB", "A", "A"), ("AA", None, None), ("AB<", "B", "B"), ("AB<<", "A", "A"), ("ABC<", "C", "C"),
    ("ABC<<", "B", "B"), ("ABC<A", "B", "B"), ("ABCA<", "A", "A"), ("ABAB<", "B", "B"),
]  # fmt: skip


@pytest.mark.parametrize(("sequence", "before", "restored"), SEQUENCES)
def test_before_is_what_readers_saw_immediately_before(
    wave: SmallWave, sequence: str, before: str | None, restored: str | None
) -> None:
    releases(wave, "A", "B", "C")
    seen: list[str] = []
    for step in sequence:
        folder = rollback(wave.paths, WAVE) if step == "<" else publish(wave.paths, WAVE, step)
        seen.append(folder.name)
        assert str(wave.paths.current(WAVE).readlink()) == folder.name
    assert previous_release(wave.paths, WAVE) == before
    if restored is None:
        with pytest.raises(UsageError):
            rollback(wave.paths, WAVE)
    else:
        assert rollback(wave.paths, WAVE).name == restored
        assert previous_release(wave.paths, WAVE) == seen[-1]


def test_a_current_that_was_moved_is_found_by_what_builds_on_it(wave: SmallWave) -> None:
    releases(wave, "A", "B", "C")
    publish(wave.paths, WAVE, "A")
    publish(wave.paths, WAVE, "B")
    for moved in (lambda: LinkChange("releases", WAVE, "A").apply(wave.paths), wave.paths.current(WAVE).unlink):
        moved()
        assert any("hotline publish B" in fault for fault in verify(wave.paths, (), rebuild=False).faults)
        for act in (
            lambda: publish(wave.paths, WAVE, "C"), lambda: rollback(wave.paths, WAVE), wave.ingest, lambda: ask(wave),
            lambda: previous_release(wave.paths, WAVE),
        ):  # fmt: skip
            with pytest.raises(NotReconciled, match="hotline publish B"):
                act()
        publish(wave.paths, WAVE, "B")
        assert str(wave.paths.current(WAVE).readlink()) == "B"
        assert previous_release(wave.paths, WAVE) == "A", "restoring is no publication"


def test_a_current_of_what_was_never_published_is_found(wave: SmallWave) -> None:
    releases(wave, "A")
    LinkChange("releases", WAVE, "A").apply(wave.paths)
    assert any("current" in fault for fault in verify(wave.paths, (), rebuild=False).faults)
    with pytest.raises(NotReconciled, match="current"):
        previous_release(wave.paths, WAVE)
