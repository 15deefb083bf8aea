"""Reports, log and anchor of a published installation: every single-file change is found, with its place."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_project import chain
from dagster_project.release.verify import verify
from tests.conftest import Installation, copied


@pytest.fixture(scope="module")
def proved(published: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return copied(published, tmp_path_factory.mktemp("integrity") / "copy")


def rendering(installation: Installation) -> Path:
    return installation.paths.current_report("2023").resolve()


def edit(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])


def as_link(path: Path) -> None:
    """The same bytes, elsewhere."""
    moved = path.parents[3] / "moved"
    shutil.move(path, moved)
    path.symlink_to(moved)


def as_folder(link: Path) -> None:
    target = link.resolve()
    link.unlink()
    shutil.copytree(target, link)


def pointed(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


# (what is done to the rendering, the place that verify names)
REPORTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a page": (lambda folder: edit(folder / "site/index.html"), "site/index.html"),
    "the workbook": (lambda folder: edit(folder / "workbook.xlsx"), "workbook.xlsx"),
    "the PDF": (lambda folder: edit(folder / "report.pdf"), "report.pdf"),
    "the checksums": (lambda folder: edit(folder / "SHA256SUMS"), "SHA256SUMS"),
    "no checksums": (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS"),
    "a page less": (lambda folder: (folder / "site/index.html").unlink(), "site/index.html"),
    "a page emptied": (lambda folder: (folder / "site/index.html").write_bytes(b""), "site/index.html"),
    "a page more": (lambda folder: (folder / "site/更多.html").write_text("x"), "site/更多.html"),
    "a hidden page": (lambda folder: (folder / "site/.more.html").write_text("x"), "site/.more.html"),
    "an empty folder": (lambda folder: (folder / "site/more").mkdir(), "site/more"),
    "a link": (lambda folder: as_link(folder / "site/index.html"), "site/index.html"),
    "a linked folder": (lambda folder: (folder / "site/more").symlink_to("lines"), "site/more"),
    "a pipe": (lambda folder: os.mkfifo(folder / "site/more"), "site/more"),
    "a name that is no text": (lambda folder: Path(os.fsdecode(bytes(folder) + b"/\xff")).touch(), "\\xff"),
    "a report renamed": (lambda folder: folder.rename(folder.with_name("other")), "缺失 / is missing"),
    "a report more": (lambda folder: shutil.copytree(folder, folder.with_name("other")), "reports/2023/other"),
    "a file next to it": (lambda folder: (folder.parent / "index.html").write_text("x"), "reports/2023/index.html"),
    "a file next to the waves": (lambda folder: (folder.parent.parent / "index.html").touch(), "reports/index.html"),
    "current elsewhere": (lambda folder: pointed(folder.parent / "current", "../2022/current"), "2023/current"),
    "no current": (lambda folder: (folder.parent / "current").unlink(), "2023/current"),
    "current a folder": (lambda folder: as_folder(folder.parent / "current"), "2023/current"),
    "no reports of the wave": (lambda folder: shutil.rmtree(folder.parent), "reports/2023/"),
    "no reports": (lambda folder: shutil.rmtree(folder.parent.parent), "reports/2023/"),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_changed_report_is_found_with_its_place(proved: Installation, name: str) -> None:
    change, place = REPORTS[name]
    whole = proved.root / "whole"
    shutil.copytree(proved.paths.home / "reports", whole, symlinks=True)
    try:
        change(rendering(proved))
        faults = verify(proved.paths, (), rebuild=False).faults
        assert faults and any(place in fault for fault in faults), faults
        assert all("hotline report" in fault or "请移开" in fault for fault in faults), "each names what to do"
    finally:
        shutil.rmtree(proved.paths.home / "reports", ignore_errors=True)
        whole.rename(proved.paths.home / "reports")
    assert verify(proved.paths, (), rebuild=False).faults == []


def test_mode_and_time_of_a_report_do_not_matter(proved: Installation) -> None:
    page = rendering(proved) / "site/index.html"
    page.chmod(0o600)
    os.utime(page, (0, 0))
    assert verify(proved.paths, (), rebuild=False).faults == []


def test_rendering_again_replaces_what_differs_and_says_so(copy: Installation) -> None:
    index = rendering(copy) / "site/index.html"
    whole = index.read_bytes()
    assert "89.01" in whole.decode()
    index.write_bytes(whole.replace(b"89.01", b"99.01"))
    (rendering(copy) / "site/more.html").touch()
    (copy.paths.reports("2023") / "stray").touch()
    proof = copy.hotline("verify", "--json")
    assert proof.code == 6 and len(proof.json["faults"]) == 3

    again = copy.run("--wave", "2023")
    assert "报告曾被改动" in again.err and "site/index.html" in again.err and "site/more.html" in again.err
    assert index.read_bytes() == whole and not index.with_name("more.html").exists()
    index.write_bytes(whole.replace(b"89.01", b"99.01"))
    pointed(copy.paths.current_report("2023"), "nowhere")
    for file in ("workbook.xlsx", "report.pdf"):  # of another wave, which `hotline report` renders as well
        edit(copy.paths.current_report("2022") / file)
    done = copy.hotline("report", "--json")
    assert done.code == 0, done.err
    replaced = [place for each in done.json for place in each["replaced"]]
    assert [place.rpartition("/")[2] for place in replaced] == [
        "report.pdf", "workbook.xlsx", "current", "index.html", "stray",
    ]  # fmt: skip
    assert index.read_bytes() == whole
    assert copy.hotline("verify").code == 0
    quiet = copy.hotline("report", "--json")
    assert quiet.code == 0 and not any(each["replaced"] for each in quiet.json) and "改动" not in quiet.err


def test_reports_of_earlier_releases_are_checked_and_mended(copy: Installation) -> None:
    first = rendering(copy)
    narrative = copy.paths.raw / "2023/recommendations.yml"
    narrative.write_text(narrative.read_text(encoding="utf-8") + "# noted\n", encoding="utf-8")
    copy.run("--wave", "2023")
    assert rendering(copy) != first and (rendering(copy) / "CHANGES.md").exists()
    whole = (first / "site/index.html").read_bytes()
    edit(first / "site/index.html")
    proof = copy.hotline("verify")
    assert proof.code == 6 and f"{first.name}/site/index.html" in proof.out
    done = copy.hotline("report", "--wave", "2023")
    assert done.code == 0 and f"{first.name}/site/index.html" in done.err
    assert (first / "site/index.html").read_bytes() == whole
    shown = rendering(copy)
    assert copy.hotline("verify").code == 0, "the report that readers see is still that of the current release"
    edit(shown / "CHANGES.md")
    assert f"{shown.name}/CHANGES.md" in copy.hotline("verify").out


def rewritten_log(paths: Path, *, without: str) -> bytes:
    """The log as somebody who knows the format would write it, without the records of one kind."""
    kept = [
        {name: value for name, value in each.items() if name not in ("previous", "hash")}
        for each in chain.read(paths / "log.jsonl")
        if each["event"] != without
    ]
    chain.append(paths / "forged", *({**each, "record": at} for at, each in enumerate(kept, start=1)))
    content = (paths / "forged").read_bytes()
    (paths / "forged").unlink()
    return content


@pytest.mark.parametrize("name", ["deleted", "cut off", "rewritten", "without its head", "with the head deleted too"])
def test_a_log_that_is_replaced_stops_runs_and_is_found(proved: Installation, name: str) -> None:
    paths = proved.paths
    whole = {path: path.read_bytes() for path in (paths.log, paths.log_head)}
    try:
        if name in ("deleted", "with the head deleted too"):
            paths.log.unlink()
        elif name == "cut off":
            paths.log.write_bytes(b"".join(whole[paths.log].splitlines(keepends=True)[:-1]))
        elif name == "rewritten":
            paths.log.write_bytes(rewritten_log(paths.home, without="published"))
        if name in ("without its head", "with the head deleted too"):
            paths.log_head.unlink()
        faults = verify(paths, (), rebuild=False).faults
        assert any("log" in fault or "日志" in fault for fault in faults), faults
        if name != "with the head deleted too":  # then it is a new installation, which has no log yet
            run = proved.hotline("run", "--wave", "2023", "--no-report")
            assert run.code == 6 and "log.head" in run.err, run.err
            assert not paths.log.exists() or paths.log.read_bytes() != b""
    finally:
        for path, content in whole.items():
            path.write_bytes(content)
    assert verify(paths, (), rebuild=False).faults == []


def test_a_release_that_is_gone_is_found(proved: Installation) -> None:
    folder = proved.paths.current("2022").resolve()
    folder.rename(proved.root / "moved")
    try:
        faults = verify(proved.paths, (), rebuild=False).faults
        assert any(f"releases/2022/{folder.name}" in fault and "missing" in fault for fault in faults)
        run = proved.hotline("run", "--wave", "2023", "--no-report")
        assert run.code == 6 and folder.name in run.err, "2023 builds on its baseline, 2022"
        (folder.parent / folder.name).symlink_to(proved.root / "moved")
        assert any("missing" in fault for fault in verify(proved.paths, (), rebuild=False).faults)
        folder.unlink()
    finally:
        (proved.root / "moved").rename(folder)
    assert verify(proved.paths, (), rebuild=False).faults == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda folder: as_link(folder / "figures.json"), "figures.json"),
        (lambda folder: as_link(folder / "manifest.json"), "manifest.json"),
        (lambda folder: (folder / "method/more").mkdir(), "method/more"),
        (lambda folder: shutil.copytree(folder, folder.with_name("0" * 16)), "0" * 16),
        (lambda folder: (folder.parent / "more").touch(), "releases/2023/more"),
        (lambda folder: pointed(folder.parent / "current", "../2022/current"), "current"),
    ],
)
def test_what_no_release_may_contain_is_found(
    proved: Installation, change: Callable[[Path], object], place: str
) -> None:
    whole = proved.root / "whole"
    shutil.copytree(proved.paths.home / "releases", whole, symlinks=True)
    try:
        change(proved.paths.current("2023").resolve())
        assert any(place in fault for fault in verify(proved.paths, (), rebuild=False).faults)
    finally:
        shutil.rmtree(proved.paths.home / "releases")
        (proved.root / "moved").unlink(missing_ok=True)
        whole.rename(proved.paths.home / "releases")
    assert verify(proved.paths, (), rebuild=False).faults == []


def test_an_anchor_holds_after_later_runs_and_not_after_the_history_is_replaced(copy: Installation) -> None:
    printed = copy.hotline("verify", "--anchor", "--json")
    assert printed.code == 0
    anchor = printed.json["anchor"]
    assert anchor in copy.hotline("verify", "--anchor").out
    assert "anchor" not in copy.hotline("verify", "--json").json
    copy.run("--wave", "2023", "--no-report")
    checked = copy.hotline("verify", "--anchor", anchor.upper())
    assert checked.code == 0 and "锚值相符" in checked.out
    later = copy.hotline("verify", "--anchor", "--json").json["anchor"]
    assert later != anchor
    for text in ("", "0", anchor[:-1], "g" * 64):
        assert copy.hotline("verify", "--anchor", text).code == 2
    assert copy.hotline("verify", anchor).code == 2, "a hash without --anchor"

    edit(copy.paths.current_report("2023") / "workbook.xlsx")
    faulty = copy.hotline("verify", "--anchor", "--json")
    assert faulty.code == 6 and faulty.json["anchor"] is None, "nothing vouches for what is at fault"
    assert copy.hotline("report").code == 0

    # a history that is whole, of the same waves: everything was made again
    for name in ("log.jsonl", "log.head", "releases", "reports"):
        path = copy.paths.home / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    copy.run()
    assert copy.hotline("verify").code == 0
    replaced = copy.hotline("verify", "--anchor", anchor, "--json")
    assert replaced.code == 6 and any(anchor in fault for fault in replaced.json["faults"])
