"""Render everything that people read of a wave's current release, and let readers see it at once.

Reports lie beside the releases and not in them: a release has the same bytes on every machine, while a
PDF embeds that machine's fonts, and a better template is no new release. A rendering is a folder
named by its content; `current` points at the latest, and is replaced in one step.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from dagster_project.errors import Damaged, HotlineError
from dagster_project.paths import Paths
from dagster_project.release.changes import as_json, as_markdown
from dagster_project.release.diff import Changes, compare
from dagster_project.release.folder import file_hashes, remove, require_whole, settle, staging_folder, switch
from dagster_project.release.publish import previous_release
from dagster_project.release.reading import Release, read_current
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
    """One rendering: its folder, and the release that it shows. `lacking`: why it has no PDF, if it has none."""

    folder: Path
    release: str
    lacking: str | None

    @property
    def index(self) -> Path:
        return self.folder / INDEX


def publish_report(paths: Paths, wave_id: str) -> Report:
    """Render site, workbook, PDF and changes of the wave's current release, and point `current` at them.

    Changes are told against the release that readers saw before. Rendered again, the same release gives
    the same folder; an older rendering of it goes, those of other releases stay. A machine that cannot
    set the PDF still renders the others. Raises UsageError where nothing is published yet.
    """
    release = read_current(paths, wave_id)
    reports = paths.reports(wave_id)
    with staging_folder(reports, release.id) as staged:
        (staged / "site").mkdir()
        changes = _changes(paths, wave_id, release)
        if changes is not None:
            (staged / CHANGES_JSON).write_text(as_json(changes), encoding="utf-8")
            (staged / CHANGES_MD).write_text(as_markdown(changes), encoding="utf-8")
        write_site(release, staged / "site", changes)
        write_workbook(release, staged / WORKBOOK)
        lacking = _write_pdf(release, staged / PDF)
        target = reports / f"{release.id}-{_content(staged)}"
        settle(staged, target)
    switch(target)
    for other in reports.glob(f"{release.id}-*"):
        if other != target:
            remove(other)
    logger.info("已生成报告 / report rendered: %s", target / INDEX)
    return Report(target, release.id, lacking)


def _changes(paths: Paths, wave_id: str, release: Release) -> Changes | None:
    """What differs from the previous release; None for the first one, or where that one was removed or damaged."""
    former = previous_release(paths, wave_id)
    folder = paths.releases(wave_id) / former if former else None
    if folder is None or not folder.exists():
        return None
    try:
        require_whole(folder)
    except Damaged as damaged:
        logger.warning("%s\n报告不含变化说明 / the report is rendered without the changes", damaged)
        return None
    return compare(Release(folder), release)


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
