"""Releases one after the other: made, published, compared, undone, proved, and made anew from nothing."""

import json
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.bench import LINE, change_one_answer
from dagster_project import chain
from dagster_project.files import sha256_of
from dagster_project.release.reading import Release
from dagster_project.release.verify import verify
from tests.conftest import Installation, copied
from tests.independent_scorer import half_up, score


def test_a_release_is_made_looked_at_published_and_undone(copy: Installation) -> None:
    first = copy.current("2023")
    change_one_answer(copy.paths)

    made = copy.hotline("release", "--wave", "2023", "--line", LINE, "--json")
    assert made.code == 0, made.err
    second = made.json[0]["release"]
    assert second != first and copy.current("2023") == first, "readers see it only when it is published"
    listed = copy.hotline("releases", "--wave", "2023", "--json").json
    assert [(each["release"], each["is_current"], each["n_published"]) for each in listed] == [
        (first, True, 1), (second, False, 0),
    ]  # fmt: skip
    told = copy.hotline("diff", "--wave", "2023", first, second)
    assert told.code == 0 and LINE in told.out and "重新交付" in told.out

    published = copy.hotline("publish", second, "--wave", "2023", "--json")
    assert published.code == 0, published.err
    assert copy.current("2023") == second
    report = Path(published.json["report"]).parent.parent
    changes = json.loads((report / "changes.json").read_text(encoding="utf-8"))
    assert (changes["before"], changes["after"], changes["kind"]) == (first, second, "delivery")
    (line,) = changes["lines"]
    assert line["line_id"] == LINE and line["residual_nano"] == 0
    assert (report / "CHANGES.md").read_text(encoding="utf-8") == told.out
    assert copy.hotline("diff", "--wave", "2023").out == told.out, "what stood before, and what stands"
    assert first in (report / "site/revisions.html").read_text(encoding="utf-8")
    assert copy.hotline("verify").code == 0

    back = copy.hotline("rollback", "--wave", "2023", "--no-report")
    assert back.code == 0, back.err
    assert copy.current("2023") == first
    proof = copy.hotline("verify", "--wave", "2023", "--json")
    assert proof.code == 6
    (fault,) = proof.json["faults"]
    assert "raw/2023/web_2023.csv" in fault, "the exports are those of the release that was undone"

    events = [(each["event"], each.get("release")) for each in chain.read(copy.paths.log) if each["wave"] == "2023"]
    assert events[-3:] == [("released", second), ("published", second), ("published", first)]


def execute_job(installation: Installation, config: Path) -> subprocess.CompletedProcess[str]:
    """What the launchpad does, from Dagster's own command line: its configuration is the same text."""
    return subprocess.run(
        [sys.executable, "-m", "dagster", "job", "execute", "-m", "dagster_project.definitions", "-j", "adhoc_wave",
         "--tags", '{"dagster/partition": "2023"}', "-c", str(config)],
        capture_output=True, text=True, timeout=300, check=False,
        env={**installation.variables(), "DAGSTER_HOME": str(installation.paths.dagster_home)},
    )  # fmt: skip


def test_the_launchpad_makes_the_release_of_the_command_line(copy: Installation, tmp_path: Path) -> None:
    change_one_answer(copy.paths)
    other = copied(copy, tmp_path / "other")
    copy.run("--wave", "2023", "--line", LINE, "--no-report")
    config = tmp_path / "launchpad.yml"
    config.write_text(f'ops: {{scores: {{config: {{lines: ["{LINE}"]}}}}}}', encoding="utf-8")
    done = execute_job(other, config)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (other.current("2023"), other.hashes("2023")) == (copy.current("2023"), copy.hashes("2023"))
    assert f"1 lines: {LINE}" in done.stderr
    config.write_text('ops: {scores: {config: {lines: ["999999"]}}}', encoding="utf-8")
    assert execute_job(other, config).returncode != 0
    *_, last = chain.read(other.paths.log)
    assert (last["event"], last["wave"], last["error"], last["exit_code"]) == ("failed", "2023", "UsageError", 2)


def test_what_is_not_there_is_refused(copy: Installation) -> None:
    for arguments in (
        ("publish", "0123456789abcdef", "--wave", "2023"),
        ("rollback", "--wave", "2023"),
        ("diff", "--wave", "2023"),
        ("diff", "--wave", "2023", "../../etc", "current"),
        ("publish", "current", "--wave", "2023"),
        ("releases", "--wave", "../2023"),
        ("verify", "--wave", "1999"),
    ):
        result = copy.hotline(*arguments)
        assert result.code == 2, (arguments, result.err)
        assert "Traceback" not in result.err


def test_a_changed_release_is_not_published(copy: Installation) -> None:
    change_one_answer(copy.paths)
    second = copy.hotline("release", "--wave", "2023", "--json").json[0]["release"]
    figures = copy.paths.releases("2023") / second / "figures.json"
    figures.write_bytes(figures.read_bytes().replace(b"89.0", b"99.0", 1))
    result = copy.hotline("publish", second, "--wave", "2023")
    assert result.code == 6 and "figures.json" in result.err
    figures.write_bytes(figures.read_bytes().replace(b"99.0", b"89.0", 1))
    manifest = figures.with_name("manifest.json")
    manifest.write_bytes(manifest.read_bytes().replace(b'"synthetic": true', b'"synthetic": false', 1))
    result = copy.hotline("publish", second, "--wave", "2023")
    assert result.code == 6 and "manifest.json" in result.err
    assert copy.current("2023") != second
    repaired = copy.run("--wave", "2023", "--no-report")  # makes it again from its sources, and keeps the changed one
    assert "data/damaged/" in repaired.err
    assert copy.current("2023") == second and b'"synthetic": true' in manifest.read_bytes()


def test_before_is_what_readers_saw_before_in_every_command(copy: Installation) -> None:
    first = copy.current("2023")
    seen = [first]
    for _ in range(2):
        change_one_answer(copy.paths)
        narrative = copy.paths.raw / "2023/recommendations.yml"
        narrative.write_text(narrative.read_text(encoding="utf-8") + f"# {len(seen)}\n", encoding="utf-8")
        copy.run("--wave", "2023", "--no-report")
        seen.append(copy.current("2023"))
    assert len(set(seen)) == 3
    back = copy.hotline("rollback", "--wave", "2023", "--json")
    assert back.code == 0, back.err
    assert copy.current("2023") == seen[1]
    # A, B, C and B again: readers saw C before
    changes = json.loads((Path(back.json["report"]).parent.parent / "changes.json").read_text(encoding="utf-8"))
    told = copy.hotline("diff", "--wave", "2023", "--json").json
    assert [(each["before"], each["after"]) for each in (changes, told)] == [(seen[2], seen[1])] * 2
    assert copy.hotline("rollback", "--wave", "2023", "--no-report").code == 0
    assert copy.current("2023") == seen[2], "a second rollback undoes the first"


def test_a_method_that_changes_before_the_release_is_frozen_is_noticed(copy: Installation) -> None:
    """The scores that stand were made by another: a release must not name this one."""
    before = copy.current("2023")
    rules = copy.paths.method("v2023") / "scenarios.csv"
    rules.write_text(rules.read_text(encoding="utf-8").replace("社保", "社会保险", 1), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "release", "--partition", "2023",
         "-m", "dagster_project.definitions"],
        capture_output=True, text=True, timeout=300, check=False,
        env={**copy.variables(), "DAGSTER_HOME": str(copy.paths.dagster_home)},
    )  # fmt: skip
    assert done.returncode != 0
    assert "run the wave again" in done.stdout + done.stderr
    assert copy.current("2023") == before


PLACES = {
    "export": ("raw/2023/dial_2023.csv", "raw/2023/dial_2023.csv"),
    "workbook": ("raw/2023/phone_2023.xlsx", "raw/2023/phone_2023.xlsx"),
    "declaration": ("raw/2023/wave.yml", "raw/2023/wave.yml"),
    "recommendations": ("raw/2023/recommendations.yml", "raw/2023/recommendations.yml"),
    "frame": ("raw/frames/lines_2023.csv", "raw/frames/lines_2023.csv"),
    "method": ("raw/methods/v2023/scoring_rules.csv", "raw/methods/v2023/scoring_rules.csv"),
    "profile": ("raw/profiles/dialler.yml", "raw/profiles/dialler.yml"),
    "log": ("data/log.jsonl", "log.jsonl"),
    "table": ("data/releases/2023/current/line_scores.parquet", "line_scores.parquet"),
    "method of the release": ("data/releases/2023/current/method/indicators.csv", "method/indicators.csv"),
    "manifest": ("data/releases/2023/current/manifest.json", "manifest.json"),
    "baseline": ("data/releases/2022/current/rankings.csv", "rankings.csv"),
}


@pytest.fixture(scope="module")
def proved(published: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return copied(published, tmp_path_factory.mktemp("proved") / "copy")


@pytest.mark.parametrize("name", PLACES)
def test_one_flipped_bit_is_found_and_its_place_is_told(proved: Installation, name: str) -> None:
    file, place = PLACES[name]
    path = proved.root / file
    whole = path.read_bytes()
    for at in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x04]) + whole[at + 1 :])
        try:
            proof = verify(proved.paths, (), rebuild=False)
        finally:
            path.write_bytes(whole)
        assert any(place in fault for fault in proof.faults), (at, proof.faults)
    assert verify(proved.paths, (), rebuild=False).faults == []


def test_a_flipped_bit_inside_a_key_of_the_manifest_is_a_fault_like_others(proved: Installation) -> None:
    path = proved.paths.current("2023") / "manifest.json"
    whole = path.read_bytes()
    for key in (b'"raw_files"', b'"sha256"', b'"declaration_files"', b'"corrections"', b'"synthetic"'):
        at = whole.index(key) + 2
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x01]) + whole[at + 1 :])
        try:
            assert any("manifest.json" in fault for fault in verify(proved.paths, (), rebuild=False).faults), key
        finally:
            path.write_bytes(whole)


def test_a_current_that_is_gone_or_is_no_link_is_found(proved: Installation) -> None:
    link = proved.paths.current("2023")
    release = link.readlink()
    link.unlink()
    try:
        assert any("current" in fault for fault in verify(proved.paths, (), rebuild=False).faults)
        shutil.copytree(link.parent / release, link)
        assert any("must be a link" in fault for fault in verify(proved.paths, (), rebuild=False).faults)
        shutil.rmtree(link)
    finally:
        link.symlink_to(release)
    assert verify(proved.paths, (), rebuild=False).faults == []


def test_what_is_missing_or_new_in_a_release_is_found(proved: Installation) -> None:
    folder = proved.paths.current("2023").resolve()
    (folder / "more.txt").write_text("?")
    assert any("more.txt" in fault for fault in verify(proved.paths, (), rebuild=False).faults)
    (folder / "more.txt").rename(proved.root / "more.txt")
    (folder / "lines.parquet").rename(proved.root / "lines.parquet")
    assert any("lines.parquet" in fault for fault in verify(proved.paths, (), rebuild=False).faults)
    (proved.root / "lines.parquet").rename(folder / "lines.parquet")


def test_raw_files_ledger_and_code_alone_make_the_release_again(published: Installation) -> None:
    result = published.hotline("verify", "--wave", "2023", "--rebuild", "--json")
    assert result.code == 0, result.out
    assert result.json["faults"] == []
    assert result.json["checked"]["重做 / rebuilt"] == 1


def other_weights(installation: Installation, folder: Path) -> Path:
    """indicators.csv under another name, its first-level weights 20/40/40; the whole version lies in `folder`."""
    shutil.copytree(installation.paths.method("v2023"), folder)
    rows = (folder / "indicators.csv").read_text(encoding="utf-8").splitlines()
    changed = [row.replace(",attempt,10,", ",attempt,20,").replace(",probe,10,", ",probe,20,") for row in rows]
    changed = [row.replace(",probe,50,", ",probe,40,") for row in changed]
    assert changed != rows
    (folder / "indicators.csv").write_text("\n".join(changed) + "\n", encoding="utf-8")
    return Path(shutil.copyfile(folder / "indicators.csv", folder.with_name("weights.csv")))


def state(installation: Installation) -> dict[str, tuple[str, int, str]]:
    """Everything of an installation: mode, time of change, and content or what a link points at."""
    return {
        path.relative_to(installation.root).as_posix(): (
            oct(path.lstat().st_mode), path.lstat().st_mtime_ns,
            str(path.readlink()) if path.is_symlink() else sha256_of(path) if path.is_file() else "",
        )
        for path in installation.root.rglob("*")
    }  # fmt: skip


def test_other_weights_are_told_as_a_diff_and_nothing_is_changed(copy: Installation, tmp_path: Path) -> None:
    weights = other_weights(copy, tmp_path / "version")
    before = state(copy)
    result = copy.hotline("whatif", "--wave", "2023", "--method", str(weights), "--json")
    assert result.code == 0, result.err
    assert state(copy) == before
    told = result.json
    assert [(each["of"], each["before"], each["after"]) for each in told["what_if"]["method"]] == [
        ("A1", "10", "20"), ("A3", "50", "40"),
    ]  # fmt: skip
    assert (told["kind"], told["before"]) == ("method", copy.current("2023")), "baseline and corrections are the same"
    folder = copy.paths.current("2023").resolve()
    published = Release(folder)
    totals = score(pq.read_table(folder / "observations.parquet"), tmp_path / "version", published.lines)
    assert {each["line_id"]: each["total_after"] for each in told["lines"]} == {
        line_id: printed(nano)
        for line_id, nano in totals.items()
        if nano is not None and nano != published.scores[line_id]["all", "T"]["score_nano"]
    }
    assert told["what_if"]["totals"][1] == printed(half_up(sum(totals.values()), len(totals)))
    assert told["what_if"]["n_class_changes"] == 0 and told["what_if"]["movers"]


def printed(nano: int) -> str:
    return f"{Decimal(half_up(half_up(nano, 10), 10**6)).scaleb(-2):.2f}"


def test_a_method_that_closes_the_gate_is_told_with_the_reason(copy: Installation, tmp_path: Path) -> None:
    rules = tmp_path / "rules.csv"
    text = (copy.paths.method("v2023") / "line_class_rules.csv").read_text(encoding="utf-8")
    rules.write_text(text.replace("rate_below,95", "rate_below,100").replace("none_connected,,0", "rate_below,99,0"))
    before = state(copy)
    result = copy.hotline("whatif", "--wave", "2023", "--method", str(rules))
    assert result.code == 4, (result.out[-2000:], result.err)
    assert "dead_share_within_bound" in result.err and "max_dead_share_pct" in result.err
    assert state(copy) == before
