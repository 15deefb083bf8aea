"""The static site of a release: pages that work from a folder, without a server and without a network.

Belongs here: which pages there are, and what of the release stands on each. Does not belong here:
how a page looks (`templates/`, `static/`), what the numbers are (`release/reading.py`).

Every name from the release is text: the templates escape it, and isolate its writing direction.
"""

import csv
import io
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dagster_project.claims.wording import is_wide, place_words
from dagster_project.errors import HotlineError
from dagster_project.paths import NAME
from dagster_project.release.changes import KINDS, OTHER_RULES, OTHERS
from dagster_project.release.diff import Changes
from dagster_project.release.reading import CHANNELS, TOTAL, Lead, Node, Release, Row, extremes
from dagster_project.release.sensitivity import Sensitivity, sensitivity_of
from dagster_project.release.tables import inert
from dagster_project.report.comparison import is_plain, told
from dagster_project.report.findings import findings
from dagster_project.report.whatif import what_if
from dagster_project.rounding import half_up

HERE = Path(__file__).parent
N_WEIGHTS = 3  # that are named as those that matter most
STATIC = ("echarts.bar.min.js", "echarts.LICENSE.txt", "echarts.NOTICE.txt", "site.css", "site.js", "whatif.js")
DOWNLOADS = ("figures.json", "claims.json", "rankings.csv", "quality.json", "manifest.json")
NA_LABELS = {
    "not_applicable": "不适用", "invalid": "无效", "not_reached": "未接通", "no_reply": "未回复", "missing": "缺失",
}  # fmt: skip
# Observations that a line's page tells one by one. A line of the usual plan has three to four hundred; a
# page of thousands is read by nobody, and three thousand such pages are no site that opens from a folder.
MOST_TOLD = 1_000
TITLES = {("phone", "attempt"): "拨打", ("phone", "probe"): "电话监测", ("web", "probe"): "网络监测"}
NO_SCENARIO = "none"  # of scenarios.parquet: an indicator of diallings is a plain mean
N_EXTREMES = 3  # strengths and weaknesses that a line's page names


Scores = Mapping[tuple[str, str], Row]


@dataclass(frozen=True)
class Compared:
    """A line beside the mean of a group, or beside itself before: what lies furthest above and below, in points."""

    title: str
    above: list[Lead]
    below: list[Lead]


@dataclass(frozen=True)
class ProbeTable:
    """The observations of one kind of unit of a line.

    `units`: what each of them is called, by its scenario where that says which. `rows`: (indicator code
    and label, the units by their score in points, or by why there is none).
    """

    title: str
    n_units: int
    units: str
    rows: tuple[tuple[str, str], ...]


def write_site(release: Release, folder: Path, changes: Changes | None = None) -> None:
    """Write every page into `folder`, which must be empty. The same release gives the same bytes.

    `changes` from the release that readers saw before, where there was one.
    """
    for name, text in pages(release, changes):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    (folder / "static").mkdir()
    for name in STATIC:
        shutil.copyfile(HERE / "static" / name, folder / "static" / name)
    (folder / "data").mkdir()
    for name in DOWNLOADS:
        shutil.copyfile(release.folder / name, folder / "data" / name)
    (folder / "data" / "line_scores.csv").write_text(_scores_csv(release), encoding="utf-8-sig")


def pages(release: Release, changes: Changes | None = None) -> Iterator[tuple[str, str]]:
    """(name relative to the site, HTML) of every page."""
    environment = _environment(release)
    shared = {"findings": findings(release), "grid": _province_grid(release)}
    yield "index.html", environment.get_template("index.html").render(up="", **shared)
    sensitivity = sensitivity_of(release.folder)
    ranges = sensitivity.weight_sensitivity.to_pylist()
    for group in release.method("rank_groups"):
        code = _code(group["group_code"])
        rows = [_ranked(release, row) for row in release.rankings[code]]
        page = environment.get_template("ranking.html")
        by_weights = {row["unit_code"]: row for row in ranges if row["group_code"] == code}
        yield (
            f"rankings/{code}.html",
            page.render(up="../", group=group, rows=rows, by_weights=by_weights, **_firmness(rows)),
        )
    line_page = environment.get_template("line.html")
    for line_id in release.lines:
        yield f"lines/{_code(line_id)}.html", line_page.render(up="../", **_line(release, line_id))
    group_page = environment.get_template("group.html")
    for dimension in ("province", "tier"):
        for number, (member, title) in enumerate(_members(release, dimension), start=1):
            name = _code(member) if dimension == "province" else str(number)
            yield f"{dimension}s/{name}.html", group_page.render(up="../", **_group(release, dimension, member, title))
    firm = _weights(release, sensitivity)
    has_sets = any(_firmness(rows)["has_sets"] for rows in release.rankings.values())
    total = release.aggregates["national", "all"]["all", TOTAL]["published"]
    yield "whatif.html", environment.get_template("whatif.html").render(up="", data=what_if(release), total=total)
    for name in ("method", "quality", "revisions", "data"):
        page = environment.get_template(f"{name}.html")
        yield f"{name}.html", page.render(up="", changes=changes, has_sets=has_sets, firm=firm)


def _environment(release: Release) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    environment.filters |= {"points": points, "signed": signed, "percent": percent, "change": change}
    environment.filters |= {"bounds": bounds, "observed": observed}
    environment.globals |= {
        "release": release,
        "class_labels": release.class_labels,
        "channels": CHANNELS,
        "tier_numbers": {member: number for number, (member, _) in enumerate(_members(release, "tier"), start=1)},
        "kinds": KINDS,
        "causes": OTHERS,
        "other_rules": OTHER_RULES,
        "is_one_method": all(is_plain(figure) for figure in release.figures.values()),
        "moved": _moved(release),
        "downloads": [*DOWNLOADS, "line_scores.csv"],
    }
    return environment


def _moved(release: Release) -> Row | None:
    """The parts of the nation's change, where lines came or went."""
    row = release.set_changes.get(("national", "all"))
    return row if row and (row["n_entry"] or row["n_exit"]) else None


def _code(code: str) -> str:
    if not NAME.fullmatch(code):
        raise HotlineError(f"代码「{code}」不能作为文件名 / the code can not be the name of a page: {code!r}")
    return code


# --- numbers as text ---------------------------------------------------------------------------


def points(value: Decimal | float | None) -> str:
    """A printed value as it stands, with two decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"


def bounds(of: Row) -> str:
    """What an expectation asks for, as a reader writes it."""
    low, high = of.get("min_value"), of.get("max_value")
    if "mostly" in of:
        return f"≥ {observed(100 * of['mostly'])}%"
    if "value_set" in of:
        return "、".join(map(observed, of["value_set"]))
    if low is not None and high is not None and low != high:
        return f"{observed(low)}–{observed(high)}"
    if low is not None and high is None:
        return f"≥ {observed(low)}"
    if high is not None and low is None:
        return f"≤ {observed(high)}"
    return observed(of.get("value", low))


def observed(value: Any) -> str:
    """What an expectation found: a number with at most two decimals, or the lowest and the highest."""
    if isinstance(value, dict):
        return f"{observed(value['min'])}–{observed(value['max'])}"
    if isinstance(value, float | Decimal):
        return f"{value:.2f}".removesuffix(".00")
    return "" if value is None else str(value)


def signed(value: Decimal | float | None) -> str:
    """A change with its sign, two decimals; an empty text where there is nothing to compare with."""
    return "" if value is None else f"{value:+.2f}"


def change(row: Row) -> str:
    """The change of a score or figure with its sign, and what of it can be compared."""
    return told(row, whole if row.get("unit") == "count" else signed)


def whole(value: Decimal | float | None) -> str:
    """A change of a number of things with its sign."""
    return "" if value is None else f"{value:+.0f}"


def percent(share: Decimal) -> str:
    """A share of one as per cent, one decimal."""
    return f"{share * 100:.1f}%"


# --- what stands on a page ---------------------------------------------------------------------


def _weights(release: Release, sensitivity: Sensitivity) -> list[Row]:
    """Per ranking: how far it hangs on the weights, and the weights that matter most."""
    groups = {group["group_code"]: group["group_label"] for group in release.method("rank_groups")}
    importance = sensitivity.weight_importance.to_pylist()
    told = []
    for row in sensitivity.rank_shifts.to_pylist():
        own = [each for each in importance if each["group_code"] == row["group_code"]]
        largest = sorted(own, key=lambda each: (-each["importance"], each["node_code"]))[:N_WEIGHTS]
        weights = [{**each, "label": release.tree[each["node_code"]].label} for each in largest]
        told.append({**row, "title": groups[row["group_code"]], "weights": weights})
    return told


def _firmness(rows: Sequence[Row]) -> Row:
    """How firm the places of a table are. A release of an older version says nothing of it."""
    top = Counter(row.get("top_10") for row in rows)
    return {
        "has_sets": any(row.get("rank_low") is not None for row in rows),
        "n_apart": sum(bool(row.get("is_apart_from_next")) for row in rows),
        "sure": top["sure"],
        "possible": top["sure"] + top["possible"],
    }


def _ranked(release: Release, row: Row) -> Row:
    line = release.lines.get(row["unit_code"]) if row["unit"] == "line" else None
    folder = "lines" if line else "provinces"
    return {
        **row,
        "province": line["province"] if line else None,
        "href": f"../{folder}/{_code(row['unit_code'])}.html",
    }


def _place(release: Release, row: Row) -> Row:
    n_ranked = sum(each["rank"] is not None for each in release.rankings[row["group_code"]])
    return {"place": place_words(row, n_ranked), "is_wide": is_wide(row, n_ranked)}


def _line(release: Release, line_id: str) -> Row:
    line, scores = release.lines[line_id], release.scores[line_id]
    tier = release.aggregates["tier", line["tier"]]
    n_observations = release.n_observations.get(line_id, 0)
    return {
        "line": line,
        "total": scores["all", TOTAL],
        "phone": scores.get(("phone", TOTAL)),
        "web": scores.get(("web", TOTAL)),
        "line_class": release.classes[line_id],
        "standard_error": release.standard_errors.get(("line", line_id)),
        "places": [
            {**row, "group": group, "of": len(release.rankings[group["group_code"]])} | _place(release, row)
            for group, row in release.places(line_id)
        ],
        "nodes": [
            {**_line_node(node, scores, tier), "contribution": release.contribution(line_id, node)}
            for node in release.tree.values()
        ],
        "changed": _changed(release, line_id),
        # a municipality is its province: there is nothing to compare
        "compared": [
            _compared(release, line_id, dimension, member, title)
            for dimension, member, title in (
                ("tier", line["tier"], line["tier"]),
                ("province", line["province_code"], line["province"]),
            )
            if release.aggregates[dimension, member]["all", TOTAL]["n"] > 1
        ],
        "n_untold": n_observations if n_observations > MOST_TOLD else None,
        "probes": (_summary_tables if n_observations > MOST_TOLD else _probe_tables)(release, line_id),
    }


def _line_node(node: Node, scores: Scores, tier: Scores) -> Row:
    pooled, mean = scores.get(("all", node.code)), tier.get(("all", node.code))
    return {
        "label": node.label,
        "level": node.level,
        "all": pooled["published"] if pooled else None,
        **{channel: (scores.get((channel, node.code)) or {}).get("published") for channel in ("phone", "web")},
        "change": change(pooled) if pooled else "",
        "weight": pooled["effective_weight"] if pooled else None,
        "tier_mean": mean["published"] if mean else None,
    }


def _changed(release: Release, line_id: str) -> Compared | None:
    """The indicators that raised and lowered the line's total most; None where there is nothing to compare with."""
    contributions = release.contributions.get(line_id)
    if contributions is None:
        return None
    leads = [(release.tree[code], row["contribution"]) for code, row in contributions.items()]
    return Compared(f"较{release.manifest['baseline']['wave']}", *extremes(leads, N_EXTREMES))


def _compared(release: Release, line_id: str, dimension: str, member: str, title: str) -> Compared:
    return Compared(title, *extremes(release.gaps(line_id, dimension, member), N_EXTREMES))


def _probe_tables(release: Release, line_id: str) -> list[ProbeTable]:
    """Diallings, calls, web visits and web requests: a unit with the same indicators is of one kind."""
    units: dict[str, dict[str, Row]] = {}
    for row in release.observations.get(line_id, []):
        units.setdefault(row["unit_id"], {})[row["indicator_code"]] = row
    kinds: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for unit_id, cells in units.items():
        first = next(iter(cells.values()))
        kinds.setdefault((first["channel"], first["unit"], tuple(sorted(cells))), []).append(unit_id)
    return [
        _probe_table(
            release, TITLES.get((channel, unit), f"{channel} {unit}"), codes, {each: units[each] for each in ids}
        )
        for (channel, unit, codes), ids in kinds.items()
    ]


def _summary_tables(release: Release, line_id: str) -> list[ProbeTable]:
    """The same kinds where a line has too many observations: the mean of each scenario, and of how many it is."""
    kinds: dict[tuple[str, str, str], dict[str, list[Row]]] = {}
    for row in release.scenarios[line_id]:
        unit = "attempt" if row["scenario_code"] == NO_SCENARIO else "probe"
        kind = release.probe_kinds[row["channel"], row["indicator_code"]]
        cells = kinds.setdefault((row["channel"], unit, kind), {})
        cells.setdefault(row["indicator_code"], []).append(row)
    order = {row["scenario_code"]: number for number, row in enumerate(release.method("scenarios"))}
    tables = []
    for (channel, unit, _), cells in kinds.items():
        first = next(iter(cells.values()))
        units = "均分" if unit == "attempt" else _listed((row["scenario_code"] for row in first), order)
        rows = [(f"{code} {release.tree[code].label}", "；".join(map(_mean, own))) for code, own in cells.items()]
        n_units = sum(row["n_observations"] for row in first)
        tables.append(ProbeTable(TITLES.get((channel, unit), f"{channel} {unit}"), n_units, units, tuple(rows)))
    return tables


def _mean(row: Row) -> str:
    """`S01 83.25（120）`: a scenario's mean score, and of how many valid observations."""
    nano = row["score_nano"]
    mean = "无有效得分" if nano is None else str(half_up(Fraction(nano, 10**9)))
    name = "" if row["scenario_code"] == NO_SCENARIO else f"{row['scenario_code']} "
    return f"{name}{mean}（{row['n_valid']}）"


def _probe_table(release: Release, title: str, codes: tuple[str, ...], units: dict[str, dict[str, Row]]) -> ProbeTable:
    scenarios = {unit_id: next(iter(cells.values()))["scenario_code"] for unit_id, cells in units.items()}
    times = Counter(scenarios.values())
    numbers = {unit_id: number for number, unit_id in enumerate(units, start=1)}
    names = {
        unit_id: scenario if scenario and times[scenario] == 1 else f"第{numbers[unit_id]}次{scenario or ''}"
        for unit_id, scenario in scenarios.items()
    }
    order = {row["scenario_code"]: number for number, row in enumerate(release.method("scenarios"))}
    rows = []
    for code in codes:
        results = {names[each]: _result(units[each][code]) for each in units}
        rows.append((f"{code} {release.tree[code].label}", _by_result(results, order)))
    return ProbeTable(title, len(names), _listed(names.values(), order), tuple(rows))


def _by_result(results: dict[str, str], order: Mapping[str, int]) -> str:
    """`60：S09、S12；其余 100`: which units have which result, the most frequent one last and unnamed."""
    units: dict[str, list[str]] = {}
    for name, result in results.items():
        units.setdefault(result, []).append(name)
    usual = max(units, key=lambda result: len(units[result]))
    if len(units) == 1:
        return usual if len(results) == 1 else f"均为 {usual}"
    others = sorted((result for result in units if result != usual), key=_best_first)
    return "；".join([*(f"{result}：{_listed(units[result], order)}" for result in others), f"其余 {usual}"])


def _best_first(result: str) -> tuple[bool, float]:
    is_score = result[0].isdigit()
    return not is_score, -float(result) if is_score else 0


def _listed(names: Iterable[str], order: Mapping[str, int]) -> str:
    """The names; three scenarios and more that follow one another in the method by the first and the last."""
    runs: list[list[str]] = []
    for name in names:
        if runs and name in order and order.get(runs[-1][-1]) == order[name] - 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    return "、".join(f"{run[0]}–{run[-1]}" if len(run) > 2 else "、".join(run) for run in runs)


def _result(observation: Row) -> str:
    nano = observation["score_nano"]
    if nano is None:
        return NA_LABELS.get(str(observation["na_code"]), str(observation["na_code"]))
    return f"{Decimal(nano).scaleb(-9).normalize():f}"


def _members(release: Release, dimension: str) -> list[tuple[str, str]]:
    """(member, title) of each province by code, or of each tier in the method's order."""
    if dimension == "tier":
        return [(tier, tier) for tier in release.tiers]
    return sorted({line["province_code"]: line["province"] for line in release.lines.values()}.items())


def _group(release: Release, dimension: str, member: str, title: str) -> Row:
    column = "province_code" if dimension == "province" else "tier"
    ids = [line_id for line_id, line in release.lines.items() if line[column] == member]
    national, ours = release.aggregates["national", "all"], release.aggregates[dimension, member]
    rows = [
        {
            "label": node.label, "level": node.level, "ours": ours.get(("all", node.code)),
            "national": national.get(("all", node.code)),
        }
        for node in release.tree.values() if node.level <= 2
    ]  # fmt: skip
    lines = [
        {**release.lines[each], **release.classes[each], "total": release.scores[each]["all", TOTAL]} for each in ids
    ]
    lines.sort(key=lambda each: (-(each["total"]["published"] or Decimal(-1)), each["line_id"]))
    places = [
        _place(release, row)["place"] for row in release.rankings.get("province", []) if row["unit_code"] == member
    ]
    return {
        "dimension": dimension, "title": title, "nodes": rows, "lines": lines, "places": places,
        "standard_error": release.standard_errors.get((dimension, member)),
    }  # fmt: skip


def _province_grid(release: Release) -> list[Row]:
    """The 34 provincial units by their place in the tile grid, with the score and its shade (1 low to 5 high)."""
    with (HERE / "static" / "province_grid.csv").open(encoding="utf-8", newline="") as stream:
        tiles: list[Row] = list(csv.DictReader(stream))
    published = {
        member: rows["all", TOTAL]["published"]
        for (dimension, member), rows in release.aggregates.items()
        if dimension == "province"
    }
    ordered = sorted(value for value in published.values() if value is not None)
    for tile in tiles:
        value = published.get(tile["province_code"])
        below = sum(each < value for each in ordered) if value is not None else 0
        tile |= {"value": value, "shade": 0 if value is None else 1 + 5 * below // max(len(ordered), 1)}
    return sorted(tiles, key=lambda tile: (int(tile["row"]), int(tile["column"])))


def _scores_csv(release: Release) -> str:
    """One row per line: pooled score of every node, and the total of each channel; printed values."""
    columns = [("all", code) for code in release.tree] + [(channel, TOTAL) for channel in CHANNELS if channel != "all"]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    names = [code if channel == "all" else f"{code}_{channel}" for channel, code in columns]
    writer.writerow(["line_id", "city", *names, "note"])
    for line_id, scores in release.scores.items():
        values = [scores.get(column) for column in columns]
        printed = ["" if row is None or row["published"] is None else f"{row['published']:.2f}" for row in values]
        writer.writerow([inert(line_id), inert(release.lines[line_id]["city"]), *printed, release.note])
    return text.getvalue()
