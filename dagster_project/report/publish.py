"""Render everything that people read of a wave's current release, and let readers see it at once.

Reports lie beside the releases and not in them: a release has the same bytes on every machine, while a
PDF embeds that machine's fonts, and a better template is no new release. A rendering is a folder
named by its content; `current` points at the latest, and is replaced in one step. The log records the
hash of every rendering, so that a changed one is found (`release/rendered.py`) and replaced here.
"""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_project import runlog
from dagster_project.errors import Damaged, HotlineError
from dagster_project.journal import LinkChange, Record
from dagster_project.paths import Paths
from dagster_project.release.changes import as_json, as_markdown
from dagster_project.release.diff import compare
from dagster_project.release.folder import file_hashes, remove, require_whole, settle, staging_folder, switch
from dagster_project.release.publish import previous_release
from dagster_project.release.reading import Release, read_current
from dagster_project.release.recorded import current_name, require_current
from dagster_project.release.rendered import (
    recorded_renderings,
    rendering_differences,
    shown_rendering,
    unrecorded,
    write_sums,
)
from dagster_project.report.pdf import cjk_font, write_pdf
from dagster_project.report.site import write_site
from dagster_project.report.workbook import write_workbook

INDEX = "site/index.html"
WORKBOOK = "workbook.xlsx"
PDF = "report.pdf"
CHANGES_JSON, CHANGES_MD = "changes.json", "CHANGES.md"

logger = logging.getLogger("hotline")


@dataclass(frozen=True)
class Report:
    """One rendering: its folder, and the release that it shows. `lacking`: why it has no PDF, if it has none.

    `replaced`: what was not as the log had recorded it, and was rendered again or removed.
    """

    folder: Path
    release: str
    lacking: str | None
    replaced: tuple[str, ...]

    @property
    def index(self) -> Path:
        return self.folder / INDEX


@dataclass(frozen=True)
class _Rendering:
    """What was rendered. `facts`: what the log records of it."""

    folder: Path
    facts: dict[str, Any]
    lacking: str | None
    replaced: tuple[str, ...]


def publish_report(paths: Paths, wave_id: str, *, check_all: bool = False) -> Report:
    """Render site, workbook, PDF and changes of the wave's current release, and point `current` at them.

    Changes are those since the release that readers saw before. Rendered again, the same release gives the
    same folder; an older rendering of it is removed, those of other releases stay. What was changed, added or
    removed since is replaced, and reported. A machine that cannot set the PDF still renders the others.

    Args:
        paths: The installation, held by the caller.
        wave_id: The wave.
        check_all: Also render again what differs in reports of other releases, and remove what is no report.

    Raises:
        UsageError: Nothing is published yet.
        NotReconciled: The release, or another file that the log recorded of the wave, was changed.
    """
    require_current(paths, wave_id)
    release = read_current(paths, wave_id)
    log, reports, link = runlog.read(paths), paths.reports(wave_id), paths.current_report(wave_id)
    recorded, shown = recorded_renderings(log, wave_id), shown_rendering(log, wave_id)
    made = _render(reports, release, _previous(paths, wave_id), recorded.get(release.id))
    replaced = list(made.replaced) if shown in (None, current_name(link)) else ["current", *made.replaced]
    if shown != made.folder.name or not made.facts.items() <= recorded[release.id].items():
        _record(paths, wave_id, made, is_shown=True)
    elif current_name(link) != shown:
        switch(made.folder)
    _remove_older(made)
    strays: list[str] = []
    if check_all:
        for old in recorded.values():
            if old["release"] != release.id and rendering_differences(reports / old["rendering"], old["sums"]):
                replaced += _render_again(paths, wave_id, old)
        strays = unrecorded(reports, runlog.read(paths))
        for stray in strays:
            remove(reports / stray)
            logger.warning("%s:%s 不在日志中,已删除 / was removed: the log has no record of it", reports.name, stray)
    if replaced:
        logger.warning(
            "%s:报告曾被改动,已重新生成 / the report was changed outside the pipeline and was rendered again: %s",
            wave_id, ", ".join(replaced),
        )  # fmt: skip
    logger.info("已生成报告 / report rendered: %s", made.folder / INDEX)
    return Report(made.folder, release.id, made.lacking, (*replaced, *strays))


def _render(reports: Path, release: Release, before: Path | None, recorded: Record | None) -> _Rendering:
    """Render a release; `recorded` is what the log says of its latest rendering. Does not touch `current`."""
    with staging_folder(reports, release.id) as staged:
        (staged / "site").mkdir()
        changes = compare(Release(before), release) if before else None
        if changes is not None:
            (staged / CHANGES_JSON).write_text(as_json(changes), encoding="utf-8")
            (staged / CHANGES_MD).write_text(as_markdown(changes), encoding="utf-8")
        write_site(release, staged / "site", changes)
        write_workbook(release, staged / WORKBOOK)
        lacking = _write_pdf(release, staged / PDF)
        target = reports / f"{release.id}-{_content(staged)}"
        sums = write_sums(staged)
        changed = rendering_differences(reports / recorded["rendering"], recorded["sums"]) if recorded else []
        if os.path.lexists(target) and (found := rendering_differences(target, sums)):
            changed = changed or found
            remove(target)
        settle(staged, target)
    facts = {
        "release": release.id, "rendering": target.name, "sums": sums, "compared_with": before.name if before else None,
    }  # fmt: skip
    place = recorded["rendering"] if recorded else target.name
    return _Rendering(target, facts, lacking, tuple(f"{place}/{name}" for name in changed))


def _render_again(paths: Paths, wave_id: str, old: Record) -> tuple[str, ...]:
    """Replace a rendering, which is not the one that readers see, of a release. Returns what was replaced."""
    releases = paths.releases(wave_id)
    before = releases / old["compared_with"] if old["compared_with"] else None
    made = _render(paths.reports(wave_id), Release(releases / old["release"]), before, old)
    if not made.facts.items() <= old.items():
        _record(paths, wave_id, made, is_shown=False)
    _remove_older(made)
    return made.replaced


def _record(paths: Paths, wave_id: str, made: _Rendering, *, is_shown: bool) -> None:
    """Record a rendering in the log and, where readers are to see it, point `current` at it: both or neither."""
    change = LinkChange("reports", wave_id, made.folder.name) if is_shown else None
    # a report changes nothing of its wave: the record is not among those of the wave
    runlog.record(paths, runlog.RENDERED, change, wave=None, report_of=wave_id, is_shown=is_shown, **made.facts)


def _remove_older(made: _Rendering) -> None:
    for other in made.folder.parent.glob(f"{made.facts['release']}-*"):
        if other != made.folder:
            remove(other)


def _previous(paths: Paths, wave_id: str) -> Path | None:
    """Folder of the release that readers saw before; None for the first one, or where it is missing or damaged."""
    previous = previous_release(paths, wave_id)
    folder = paths.releases(wave_id) / previous if previous else None
    try:
        if folder is not None:
            require_whole(folder)
    except Damaged as damaged:
        logger.warning("%s\n报告不含变化说明 / the report is rendered without the changes", damaged)
        return None
    return folder


def _write_pdf(release: Release, path: Path) -> str | None:
    """Write the PDF; why it could not be, where this machine has no font for it."""
    try:
        cjk_font()
    except HotlineError as error:
        logger.warning("%s", error)
        return str(error)
    write_pdf(release, path)
    return None


def _content(folder: Path) -> str:
    """Twelve letters of a hash over the names and contents of a rendering's files."""
    text = "\n".join(f"{name} {sha256}" for name, sha256 in file_hashes(folder).items())
    return hashlib.sha256(text.encode()).hexdigest()[:12]
