"""A release as it is read: every file of it, once, by what it is asked for.

Belongs here: reading and looking up. Does not belong here: what is said of it, or how it looks.
Numbers stay what the release holds: printed values are Decimal, in points unless a figure's unit
says otherwise; nothing is rounded or computed here.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dagster_project.errors import UsageError
from dagster_project.ingest.reference import METHOD_BY_FILE, SOURCE_CHANNEL
from dagster_project.names import require_wave_id
from dagster_project.paths import Paths
from dagster_project.release.by_line import ByLine, Row
from dagster_project.release.folder import MANIFEST, SYNTHETIC_NOTE, whole_release
from dagster_project.release.observations import FILE

CHANNELS = {"all": "合并", "phone": "电话端", "web": "网络端"}
TOTAL = "T"
# {source of a scoring rule: what a vendor is asked for}; a call comes with its diallings
KIND_OF_SOURCE = {
    "dial_attempt": "call", "phone_probe": "call", "web_inspection": "inspection", "web_submission": "request",
}  # fmt: skip
Lead = tuple["Node", Decimal]  # an indicator, and by how many points it is ahead


@dataclass(frozen=True)
class Node:
    """One node of the method's tree. `parent` is None for the total; `level` 0 (total) to 3."""

    code: str
    label: str
    level: int
    parent: str | None


class Release:
    """A release folder. Rows come in the order of the files, which is the order of their keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _table(self, name: str) -> list[Row]:
        rows: list[Row] = pq.ParquetFile(self.folder / f"{name}.parquet").read().to_pylist()
        return rows

    def _json(self, name: str) -> Any:
        """Fractions come as Decimal: digits as the file has them."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"), parse_float=Decimal)

    def method(self, name: str) -> list[dict[str, str]]:
        """Rows of one CSV of the method version that the release carries, as ingest took them.

        People write these files in spreadsheets: a mark of the encoding, blanks and empty rows mean nothing.
        A file that a method version may do without has no rows where it is not there.
        """
        file = self.folder / "method" / f"{name}.csv"
        spec = METHOD_BY_FILE[file.name]
        if spec.may_be_absent and not file.exists():
            return []
        with file.open(encoding="utf-8-sig", newline="") as stream:
            records = [[cell.strip() for cell in record] for record in csv.reader(stream)]
        header, *rows = (record for record in records if any(record))
        return [{**dict.fromkeys(spec.notes, ""), **dict(zip(header, row, strict=True))} for row in rows]

    @cached_property
    def manifest(self) -> Row:
        manifest: Row = self._json(MANIFEST)
        return manifest

    @property
    def id(self) -> str:
        return str(self.manifest["release"])

    @property
    def label(self) -> str:
        return str(self.manifest["label"])

    @property
    def note(self) -> str:
        """What every page, sheet and file has to say; empty for a wave that was probed."""
        return SYNTHETIC_NOTE if self.manifest["synthetic"] else ""

    @cached_property
    def figures(self) -> dict[str, Row]:
        """{figure id: id, label, section, kind, unit, value, unrounded, k, n, change, growth_pct, footnote …}."""
        return {figure["id"]: figure for figure in self._json("figures.json")}

    @cached_property
    def claims(self) -> Row:
        """sections: [{id, title, sentences: [{text, claims}]}], recommendations: [{title, text}], counts."""
        claims: Row = self._json("claims.json")
        return claims

    @cached_property
    def quality(self) -> Row:
        quality: Row = self._json("quality.json")
        return quality

    @cached_property
    def lines(self) -> dict[str, Row]:
        """{line_id: its row of the frame}."""
        return {row["line_id"]: row for row in self._table("lines")}

    @cached_property
    def scores(self) -> ByLine[dict[tuple[str, str], Row]]:
        """{line_id: {(channel, node code): level, score_nano, published, change, effective_weight, na_reason}}."""
        return ByLine(
            self.folder / "line_scores.parquet",
            lambda rows: {(row["channel"], row["node_code"]): row for row in rows},
        )

    @cached_property
    def contributions(self) -> ByLine[dict[str, Row]]:
        """{line_id: {third-level code: score_effect_nano, structure_effect_nano, contribution}} to its change."""
        return ByLine(self.folder / "contributions.parquet", lambda rows: {row["node_code"]: row for row in rows})

    @cached_property
    def set_changes(self) -> dict[tuple[str, str], Row]:
        """{(dimension, member): n_matched, n_entry, n_exit, matched, entry, exit, change, comparability …}."""
        if not (self.folder / "set_changes.parquet").exists():  # the release is older than this file
            return {}
        return {(row["dimension"], row["member"]): row for row in self._table("set_changes")}

    @cached_property
    def classes(self) -> dict[str, Row]:
        """{line_id: attempts, connected, line_class, is_ranked, p_repeat_<class>}."""
        return {row["line_id"]: row for row in self._table("line_classes")}

    @cached_property
    def flags(self) -> dict[str, dict[str, bool]]:
        """{line_id: {flag code: whether it is set}}."""
        flags: dict[str, dict[str, bool]] = defaultdict(dict)
        for row in self._table("line_flags"):
            flags[row["line_id"]][row["flag_code"]] = row["is_set"]
        return dict(flags)

    @cached_property
    def rankings(self) -> dict[str, list[Row]]:
        """{group code: its rows as they are listed}."""
        rankings: dict[str, list[Row]] = {group["group_code"]: [] for group in self.method("rank_groups")}
        for row in self._table("rankings"):
            rankings[row["group_code"]].append(row)
        return rankings

    @cached_property
    def aggregates(self) -> dict[tuple[str, str], dict[tuple[str, str], Row]]:
        """{(dimension, member): {(channel, node code): level, n, n_na, mean_nano, published, change …}}."""
        aggregates: dict[tuple[str, str], dict[tuple[str, str], Row]] = defaultdict(dict)
        for row in self._table("aggregates"):
            aggregates[row["dimension"], row["member"]][row["channel"], row["node_code"]] = row
        return dict(aggregates)

    @cached_property
    def standard_errors(self) -> dict[tuple[str, str], Decimal]:
        """{(dimension, member): of its total, in points}; dimension `line` or one of `aggregates`.

        Empty for a release from before they were computed.
        """
        if not (self.folder / "standard_errors.parquet").exists():
            return {}
        rows = self._table("standard_errors")
        return {(row["dimension"], row["member"]): row["standard_error"] for row in rows}

    @cached_property
    def scenarios(self) -> ByLine[list[Row]]:
        """{line_id: channel, indicator_code, scenario_code, n_observations, n_observed, n_valid, score_nano}."""
        return ByLine(self.folder / "scenarios.parquet", list)

    @cached_property
    def n_observations(self) -> dict[str, int]:
        """{line_id: how many observations it has}."""
        counts = pq.ParquetFile(self.folder / "scenarios.parquet").read(["line_id", "n_observations"])
        sums = counts.group_by("line_id").aggregate([("n_observations", "sum")])
        return dict(zip(sums["line_id"].to_pylist(), sums["n_observations_sum"].to_pylist(), strict=True))

    @cached_property
    def observations(self) -> ByLine[list[Row]]:
        """{line_id: channel, unit, unit_id, probe_id, scenario_code, indicator_code, score_nano, na_code}."""
        return ByLine(self.folder / FILE, list, n_held=1)

    @cached_property
    def probe_kinds(self) -> dict[tuple[str, str], str]:
        """{(channel, indicator): the kind of probe that answers it}, of KIND_OF_SOURCE."""
        sources = {(row["indicator_code"], row["source"]) for row in self.method("scoring_rules")}
        return {(SOURCE_CHANNEL[source], indicator): KIND_OF_SOURCE[source] for indicator, source in sources}

    @cached_property
    def tree(self) -> dict[str, Node]:
        """{node code: node}, the total first, then each first-level indicator followed by what is below it."""
        nodes = {TOTAL: Node(TOTAL, "总体得分", 0, None)}
        for row in self.method("indicators"):
            parent = TOTAL
            for level, code, label in ((1, "l1_code", "l1"), (2, "l2_code", "l2"), (3, "indicator_code", "indicator")):
                nodes.setdefault(row[code], Node(row[code], row[label], level, parent))
                parent = row[code]
        return nodes

    @cached_property
    def tiers(self) -> list[str]:
        """The tiers of the frame, in the order in which the method's figures name them."""
        present = {member for dimension, member in self.aggregates if dimension == "tier"}
        named = [row["member"] for row in self.method("figures") if row["dimension"] == "tier"]
        return [tier for tier in dict.fromkeys([*named, *sorted(present)]) if tier in present]

    @cached_property
    def class_labels(self) -> dict[str, str]:
        return {row["line_class"]: row["label"] for row in self.method("line_class_rules")}

    def contribution(self, line_id: str, node: Node) -> Decimal | None:
        """What a node added to the change of the line's printed total: the sum of what is below it."""
        own = self.contributions.get(line_id)
        if own is None:
            return None
        if node.level == 3:
            return own[node.code]["contribution"] if node.code in own else None
        below = (each for each in self.tree.values() if each.parent == node.code)
        return sum((self.contribution(line_id, each) or Decimal(0) for each in below), Decimal(0))

    def places(self, line_id: str) -> list[tuple[dict[str, str], Row]]:
        """(group, row) of each ranking in which the line, or else its province, stands."""
        return [
            (group, row)
            for group in self.method("rank_groups")
            for wanted in [line_id if group["unit"] == "line" else self.lines[line_id]["province_code"]]
            for row in self.rankings[group["group_code"]]
            if row["unit_code"] == wanted
        ]

    def gaps(self, line_id: str, dimension: str, member: str) -> list[Lead]:
        """Each third-level indicator of the line with its printed score minus the group's mean; tree order."""
        scores, means = self.scores[line_id], self.aggregates[dimension, member]
        found = []
        for node in self.tree.values():
            own, mean = scores.get(("all", node.code)), means.get(("all", node.code))
            if node.level == 3 and own and mean and None not in (own["published"], mean["published"]):
                found.append((node, own["published"] - mean["published"]))
        return found


def extremes(leads: Iterable[Lead], n: int) -> tuple[list[Lead], list[Lead]]:
    """(the n furthest above zero, the n furthest below), the furthest first; equal ones by their code."""
    found = list(leads)
    above = sorted((each for each in found if each[1] > 0), key=lambda each: (-each[1], each[0].code))
    below = sorted((each for each in found if each[1] < 0), key=lambda each: (each[1], each[0].code))
    return above[:n], below[:n]


def read_current(paths: Paths, wave: str) -> Release:
    """The wave's current release.

    Raises UsageError where the wave does not exist or nothing is published yet, Damaged where a file of the release
    was changed.
    """
    folder = whole_release(paths.current(require_wave_id(wave)))
    if folder is None:
        raise UsageError(f"{wave}:尚无发布,请先运行 / nothing is published yet; run the wave first")
    return Release(folder)
