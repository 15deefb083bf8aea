"""A wave scored by another method, without publishing: what would differ from the current release.

Belongs here: the installation in which it is run, and what is said of its release beside the
comparison. Does not belong here: any arithmetic (the pipeline itself scores), the comparison
(`diff.py`), how it is told (`changes.py`).

Only the method is another one. Exports, corrections, texts and thresholds are the wave's own, the baseline
is the release that the current one was measured against, and the gates are asked as ever: a method by
which the scores may not be published gives no release, and GateFailed says why.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from dagster_project.errors import GateFailed, UsageError
from dagster_project.ingest.reference import METHOD, METHOD_BY_FILE, SETTINGS_COLUMNS, method_file
from dagster_project.ingest.wave import load_wave, reference_tables
from dagster_project.paths import Paths
from dagster_project.release.diff import Changes, RankChange, compare
from dagster_project.release.publish import release_folder
from dagster_project.release.reading import TOTAL, Release, read_current
from dagster_project.release.scratch import run_apart

N_MOVERS = 5  # per ranking
# indicators.csv repeats a node's name, weight and parent in every row below it
NODE_OF = {
    "l1": "l1_code", "l1_weight": "l1_code", "l2": "l2_code", "l2_weight": "l2_code", "l1_code": "l2_code",
}  # fmt: skip
Table = dict[str, dict[str, str]]  # {what a row is about: its cells by column}

logger = logging.getLogger("hotline")


@dataclass(frozen=True)
class MethodChange:
    """A value of a method version that is another one; `column` None: all that the file says of `of` came or went.

    `of`: the key of the row, or the node of the tree; `label`: its name, where the file has one.
    """

    file: str
    of: str
    label: str
    column: str | None
    before: str | None
    after: str | None


@dataclass(frozen=True)
class WhatIf:
    """What another method would change. `totals`: the national score, before and after.

    `movers`: per ranking the units whose rank moves furthest, the furthest first.
    """

    method: tuple[MethodChange, ...]
    totals: tuple[Decimal | None, Decimal | None]
    n_class_changes: int
    movers: tuple[RankChange, ...]
    changes: Changes


def what_if(paths: Paths, wave_id: str, method: Path) -> WhatIf:
    """Score the wave by `method`, a whole method version or one file of it, and compare with its current release.

    Nothing under `paths` is written. Raises UsageError where the wave has no release, or `method` is not
    there or no method version, InputRejected with every place where the method is wrong, and what stops a run.
    """
    current = read_current(paths, wave_id)
    with tempfile.TemporaryDirectory(prefix="hotline-whatif-") as folder:
        scratch = Paths(Path(folder).resolve() / "raw", Path(folder).resolve() / "home")
        _lay_out(paths, scratch, wave_id)
        _replace(scratch.method(load_wave(paths, wave_id).method), method)
        reference_tables(scratch, load_wave(scratch, wave_id))  # tells what is wrong before anything is run
        _take_baseline(paths, scratch, current)
        logger.info(
            "%s:按所给方法重新计算,约需一次完整运行的时间 / scoring by this method; takes as long as a full run",
            wave_id,
        )
        try:
            run_apart(scratch, [wave_id])
        except GateFailed as closed:
            raise GateFailed(
                f"{wave_id}:按此方法不可发布,因此没有可比较的结果;要看结果,请在 raw/ 的副本(HOTLINE_RAW)中更改拦住它的"
                "内容 / by this method the wave may not be published, so there is nothing to compare; to see it all "
                f"the same, change what stops it in a copy of raw/ (HOTLINE_RAW)\n{closed}"
            ) from closed
        return _compared(current, read_current(scratch, wave_id))


def _lay_out(paths: Paths, scratch: Paths, wave_id: str) -> None:
    """A copy of the raw folder. Of other waves their declaration is enough: they are named, and not read."""

    def left_out(folder: str, names: list[str]) -> Iterable[str]:
        is_other = "wave.yml" in names and Path(folder) != paths.wave_raw(wave_id)
        return [name for name in names if name != "wave.yml"] if is_other else []

    # links stay links: a delivery that is one is refused here as it is there
    shutil.copytree(paths.raw, scratch.raw, symlinks=True, ignore=left_out)


def _replace(version: Path, method: Path) -> None:
    """Put `method`, a folder or one file, in the place of a method version or of a file of it."""
    if method.is_dir():
        if not any((method / file).is_file() for file in METHOD_BY_FILE):
            raise UsageError(
                f"{method} 不是方法版本:其中没有 {'、'.join(METHOD_BY_FILE)} 任何一个 / is no method version: none of "
                "these files is in it"
            )
        shutil.rmtree(version)
        version.mkdir()
        for path in method.glob("*.csv"):
            shutil.copyfile(path, version / path.name)
    elif method.is_file():
        shutil.copyfile(method, version / method_file(method))
    else:
        raise UsageError(f"没有 {method} 这个文件或文件夹 / there is no such file or folder")


def _take_baseline(paths: Paths, scratch: Paths, current: Release) -> None:
    """Let changes be measured against what the current release was measured against, whatever was published since."""
    baseline = current.manifest["baseline"]
    if baseline is None:
        return
    link = scratch.current(baseline["wave"])
    link.parent.mkdir(parents=True)
    link.symlink_to(release_folder(paths, baseline["wave"], baseline["release"]))


def _compared(current: Release, other: Release) -> WhatIf:
    changes = compare(current, other)
    before, after = (release.aggregates["national", "all"]["all", TOTAL]["published"] for release in (current, other))
    return WhatIf(
        method=tuple(method_changes(current, other)),
        totals=(before, after),
        n_class_changes=sum(line.class_before != line.class_after for line in changes.lines),
        movers=tuple(_movers(changes.ranks)),
        changes=changes,
    )


def method_changes(before: Release, after: Release) -> Iterator[MethodChange]:
    """Every value that differs between the method versions of two releases, once, by file and row."""
    nodes = {**before.tree, **after.tree}
    for spec in METHOD.values():
        key = spec.key or SETTINGS_COLUMNS[:1]
        old, new = (_table(release.method(spec.file.removesuffix(".csv")), key) for release in (before, after))
        for of in dict.fromkeys([*old, *new]):
            was, now = old.get(of), new.get(of)
            label = nodes[of].label if of in nodes else (now or was or {}).get("label", "")
            if was is None or now is None:
                yield MethodChange(spec.file, of, label, None, None if was is None else of, None if now is None else of)
                continue
            for column in dict.fromkeys([*was, *now]):
                if was.get(column) != now.get(column):
                    yield MethodChange(spec.file, of, label, column, was.get(column), now.get(column))


def _table(rows: Iterable[dict[str, str]], key: tuple[str, ...]) -> Table:
    table: Table = {}
    for row in rows:
        for column, value in row.items():
            of = (NODE_OF[column],) if column in NODE_OF else key
            table.setdefault(" ".join(row[each] for each in of), {})[column] = value
    return table


def _movers(ranks: Iterable[RankChange]) -> Iterator[RankChange]:
    by_group: dict[str, list[tuple[int, RankChange]]] = {}
    for each in ranks:
        if each.before is not None and each.after is not None and each.before != each.after:
            by_group.setdefault(each.group, []).append((abs(each.after - each.before), each))
    for moved in by_group.values():
        moved.sort(key=lambda pair: (-pair[0], pair[1].unit_code))
        yield from (each for _, each in moved[:N_MOVERS])
