"""What differs between two releases of a wave, and why: every change, taken apart.

Belongs here: comparing what two releases hold. Does not belong here: how the comparison is told
(`changes.py`), which two are compared (`publish.py` knows what stood before).

The ranks of a table are competition ranks on printed scores. Where a unit's rank moved, `own` places
are due to its own score: its rank among the others as they were published before, less its rank
before. `others` is the rest: the others moved past it, or fell behind.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from dagster_project.errors import UsageError
from dagster_project.release.comparability import NOT_COMPARABLE, SAME, is_same_scoring
from dagster_project.release.reading import TOTAL, Release, Row
from dagster_project.statistics.decomposition import Leaf, decompose, printed

RECOMMENDATIONS = "*"  # no section of a narrative has this id
METHODS = "methods/"  # below raw/


@dataclass(frozen=True)
class Contribution:
    """What an indicator added to the change of a line's total: nanopoints, and printed points."""

    code: str
    label: str
    score_effect_nano: int
    structure_effect_nano: int
    printed: Decimal


@dataclass(frozen=True)
class LineChange:
    """A line whose total, printed or not, or whose class is another one. None: there was no total.

    `contributions`, largest first, sum to the change; `residual_nano` is what they leave of it.
    """

    line_id: str
    name: str
    total_before: Decimal | None
    total_after: Decimal | None
    class_before: str | None
    class_after: str | None
    contributions: tuple[Contribution, ...]
    residual_nano: int


@dataclass(frozen=True)
class RankChange:
    """A unit whose rank or score in a table is another one; parts are None where it was, or is, not ranked.

    `held`: its rank if all others had kept their published scores. `is_own`: its own score changed.
    """

    group: str
    unit_code: str
    name: str
    before: int | None
    after: int | None
    score_before: Decimal | None
    score_after: Decimal | None
    held: int | None
    own: int | None
    others: int | None
    is_own: bool


@dataclass(frozen=True)
class TextChange:
    """A sentence of the report that says something else; an empty text where it came or went."""

    section: str
    before: str
    after: str


@dataclass(frozen=True)
class FigureChange:
    id: str
    label: str
    unit: str
    before: Decimal | int | None
    after: Decimal | int | None


@dataclass(frozen=True)
class Causes:
    """In what the two releases were made from something else.

    `exports`: names of delivered files. `corrections_added`, `corrections_removed`: as the manifest tells
    them. `method`: files of the method version. `declared`: other declarations (wave.yml, frame, profiles,
    texts). `others`: what else, by name: (before, after).
    """

    exports: tuple[str, ...]
    corrections_added: tuple[Row, ...]
    corrections_removed: tuple[Row, ...]
    method: tuple[str, ...]
    declared: tuple[str, ...]
    others: dict[str, tuple[str, str]]

    @property
    def kind(self) -> str:
        """correction, method, delivery, other, none; or `mixed`, where no change can be put down to one of them."""
        is_corrected = bool(self.corrections_added or self.corrections_removed)
        present = [
            name
            for name, holds in (
                ("correction", is_corrected),
                ("method", bool(self.method)),
                ("delivery", bool(self.exports)),
                ("other", bool(self.declared or self.others)),
            )
            if holds
        ]
        return present[0] if len(present) == 1 else "mixed" if present else "none"


@dataclass(frozen=True)
class Changes:
    """All that differs between release `before` and release `after` of a wave.

    `comparability`: same_method, or not_comparable where they were scored by other rules.
    """

    wave: str
    label: str
    note: str
    before: str
    after: str
    comparability: str
    causes: Causes
    lines: tuple[LineChange, ...]
    ranks: tuple[RankChange, ...]
    figures: tuple[FigureChange, ...]
    texts: tuple[TextChange, ...]


def compare(before: Release, after: Release) -> Changes:
    """Every change from `before` to `after`. Raises UsageError where they are of different waves."""
    waves = [release.manifest["wave"] for release in (before, after)]
    if waves[0] != waves[1]:
        raise UsageError(f"两个发布不属于同一监测期 / the releases are of different waves: {waves[0]}, {waves[1]}")
    return Changes(
        wave=waves[1],
        label=after.label,
        note=after.note,
        before=before.id,
        after=after.id,
        comparability=SAME if is_same_scoring(before.folder / "method", after.folder / "method") else NOT_COMPARABLE,
        causes=_causes(before.manifest, after.manifest),
        lines=tuple(_line_changes(before, after)),
        ranks=tuple(_rank_changes(before, after)),
        figures=tuple(_figure_changes(before, after)),
        texts=tuple(_text_changes(before, after)),
    )


def _causes(before: Row, after: Row) -> Causes:
    exports = [{file["file"]: file["sha256"] for file in each["raw_files"]} for each in (before, after)]
    declared = _unequal(before["declaration_files"], after["declaration_files"])
    corrections = [{each["id"]: each for each in manifest["corrections"]} for manifest in (before, after)]
    return Causes(
        exports=tuple(_unequal(*exports)),
        corrections_added=tuple(each for name, each in corrections[1].items() if name not in corrections[0]),
        corrections_removed=tuple(each for name, each in corrections[0].items() if name not in corrections[1]),
        method=tuple(name for name in declared if name.startswith(METHODS)),
        declared=tuple(name for name in declared if not name.startswith(METHODS)),
        others={
            name: (_shown(before[name]), _shown(after[name]))
            for name in ("code_version", "packages", "baseline")
            if before[name] != after[name]
        },
    )


def _unequal(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _shown(value: object) -> str:
    return ", ".join(f"{name} {each}" for name, each in value.items()) if isinstance(value, dict) else str(value)


def _line_changes(before: Release, after: Release) -> Iterable[LineChange]:
    for line_id in _in_order(before.lines, after.lines):
        totals = [release.scores.get(line_id, {}).get(("all", TOTAL)) for release in (before, after)]
        nanos = [total["score_nano"] if total else None for total in totals]
        classes = [_class_label(release, line_id) for release in (before, after)]
        if nanos[0] == nanos[1] and classes[0] == classes[1]:
            continue
        contributions, residual = _contributions(before, after, line_id)
        yield LineChange(
            line_id=line_id,
            name=(after.lines.get(line_id) or before.lines[line_id])["city"],
            total_before=totals[0]["published"] if totals[0] else None,
            total_after=totals[1]["published"] if totals[1] else None,
            class_before=classes[0],
            class_after=classes[1],
            contributions=contributions,
            residual_nano=residual,
        )


def _class_label(release: Release, line_id: str) -> str | None:
    found = release.classes.get(line_id)
    return release.class_labels[found["line_class"]] if found else None


def _contributions(before: Release, after: Release, line_id: str) -> tuple[tuple[Contribution, ...], int]:
    """The contributions that are not nothing, largest first, and what they leave of the change."""
    old, new = (release.scores.get(line_id, {}).get(("all", TOTAL)) for release in (before, after))
    if not old or not new or old["score_nano"] is None or new["score_nano"] is None:
        return (), 0
    effects = decompose(_leaves(before, line_id), _leaves(after, line_id), old["score_nano"], new["score_nano"])
    change = int((new["published"] - old["published"]) * 100)
    shown = printed({code: effect.contribution for code, effect in effects.items()}, change)
    labels = {**before.tree, **after.tree}
    found = [
        Contribution(code, labels[code].label, effect.score, effect.structure, Decimal(shown[code]).scaleb(-2))
        for code, effect in effects.items()
        if effect.score or effect.structure
    ]
    found.sort(key=lambda each: -abs(each.score_effect_nano + each.structure_effect_nano))
    explained = sum(each.score_effect_nano + each.structure_effect_nano for each in found)
    return tuple(found), new["score_nano"] - old["score_nano"] - explained


def _leaves(release: Release, line_id: str) -> dict[str, Leaf]:
    return {
        code: Leaf(row["score_nano"], int(row["effective_weight"].scaleb(9)))
        for (channel, code), row in release.scores[line_id].items()
        if channel == "all" and row["level"] == 3
    }


def _rank_changes(before: Release, after: Release) -> Iterable[RankChange]:
    labels = {row["group_code"]: row["group_label"] for each in (before, after) for row in each.method("rank_groups")}
    for group in _in_order(before.rankings, after.rankings):
        old, new = ({row["unit_code"]: row for row in release.rankings.get(group, [])} for release in (before, after))
        for unit in _in_order(new, old):
            was, now = old.get(unit, {}), new.get(unit, {})
            rank_before: int | None = was.get("rank")
            rank_after: int | None = now.get("rank")
            scores = was.get("published"), now.get("published")
            if rank_before == rank_after and scores[0] == scores[1]:
                continue
            others = [row for code, row in old.items() if code != unit]
            held = None if rank_after is None else _rank_among(now["published"], others)
            is_ranked_in_both = rank_before is not None and rank_after is not None
            yield RankChange(
                group=labels[group],
                unit_code=unit,
                name=(now or was)["unit_name"],
                before=rank_before,
                after=rank_after,
                score_before=scores[0],
                score_after=scores[1],
                held=held,
                own=(held or 0) - (rank_before or 0) if is_ranked_in_both else None,
                others=(rank_after or 0) - (held or 0) if is_ranked_in_both else None,
                is_own=scores[0] != scores[1],
            )


def _rank_among(score: Decimal, others: Iterable[Row]) -> int:
    return 1 + sum(row["rank"] is not None and row["published"] > score for row in others)


def _figure_changes(before: Release, after: Release) -> Iterable[FigureChange]:
    for figure_id in _in_order(before.figures, after.figures):
        old, new = before.figures.get(figure_id), after.figures.get(figure_id)
        values = [figure["value"] if figure else None for figure in (old, new)]
        if values[0] != values[1]:
            known = new or old or {}
            yield FigureChange(figure_id, known["label"], known["unit"], *values)


def _text_changes(before: Release, after: Release) -> Iterable[TextChange]:
    titles = {section["id"]: section["title"] for each in (before, after) for section in each.claims["sections"]}
    titles[RECOMMENDATIONS] = "建议"
    old, new = (
        {section["id"]: [sentence["text"] for sentence in section["sentences"]] for section in each.claims["sections"]}
        | {RECOMMENDATIONS: [f"{advice['title']}:{advice['text']}" for advice in each.claims["recommendations"]]}
        for each in (before, after)
    )
    for section in _in_order(new, old):
        gone = [text for text in old.get(section, []) if text not in new.get(section, [])]
        come = [text for text in new.get(section, []) if text not in old.get(section, [])]
        # sentences keep their order: the nth that went gave way to the nth that came
        for number in range(max(len(gone), len(come))):
            yield TextChange(
                titles[section],
                gone[number] if number < len(gone) else "",
                come[number] if number < len(come) else "",
            )


def _in_order(*keys: Iterable[str]) -> list[str]:
    """Every key once: those of the first in their order, then what only later ones have."""
    return list(dict.fromkeys(key for each in keys for key in each))
