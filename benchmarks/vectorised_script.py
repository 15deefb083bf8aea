"""The same scoring of one wave, as fast as an expert makes it in one file: calamine, csv, NumPy.

Belongs here: a careful vectorised script of METHOD.md's scoring, written apart from the plain one
and from the dbt models, to time the pipeline against. Does not belong here: what the pipeline adds
(guarded reading, quarantine, corrections, gates, releases, history).

No data frame: its import alone takes longer than all the arithmetic below. Scores lie in dense
arrays, one row per line in the order of the frame, one column per indicator; NaN where nothing counts.

`python -m benchmarks.vectorised_script 2023 scores.json`
"""

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import python_calamine
import yaml

from dagster_project.paths import Paths, paths

CHANNELS = {"dial_attempt": "phone", "phone_probe": "phone", "web_inspection": "web", "web_submission": "web"}
POOLED = ("all", "phone", "web")
MINUTE = np.timedelta64(1, "m")

Rows = list[dict[str, str]]
Column = list[str | None]
Places = dict[str | None, int]


@dataclass
class Units:
    """Units of one kind: position of the line and the scenario of each, text and number of each field."""

    line: np.ndarray
    scenario: np.ndarray
    text: dict[str, Column]
    number: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Observed:
    """One indicator on all units of its kind: position of its rule, and the score (NaN: excluded)."""

    units: Units
    channel: str
    indicator: str
    rule: np.ndarray
    score: np.ndarray
    is_observed: np.ndarray


def read_rows(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


# Exports ---------------------------------------------------------------------


def read_export(raw: Paths, wave: str, export: dict[str, str]) -> dict[str, Column]:
    """{field: column of codes or text, None where not given} of an export's files together."""
    profile = yaml.load(raw.profile(export["profile"]).read_text(encoding="utf-8"), yaml.CSafeLoader)
    skipped = {"": None, **profile["skip_codes"]}
    table: dict[str, Column] = defaultdict(list)
    for path in sorted(raw.wave_raw(wave).glob(export["glob"])):
        header, *rows = read_cells(path, profile["file"])
        vendor = dict(zip(header, zip(*rows, strict=True), strict=True))
        for name, column in profile["columns"].items():
            if "values" in column:
                codes = {**column["values"], **skipped}
                table[column["field"]] += [codes[text(cell)] for cell in vendor[name]]
            else:
                table[column["field"]] += [None if (cell := text(each)) in skipped else cell for each in vendor[name]]
    return table


def read_cells(path: Path, file: dict[str, str]) -> list[list[Any]]:
    if file["type"] == "xlsx":
        return python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    with path.open(encoding=file["encoding"], newline="") as handle:
        return list(csv.reader(handle, delimiter=file["delimiter"], quotechar=file["quote"]))


def text(cell: Any) -> str:
    return cell if isinstance(cell, str) else str(int(cell))


def times(column: Column) -> np.ndarray:
    return np.array([cell.replace("/", "-") if cell else "NaT" for cell in column], "datetime64[s]")


def minutes(earlier: Column, later: Column) -> np.ndarray:
    """Whole minutes between two columns of times, NaN where one is not given."""
    spans = times(later) - times(earlier)
    with np.errstate(invalid="ignore"):
        return np.where(np.isnat(spans), np.nan, spans // MINUTE)


def read_units(
    raw: Paths, wave: str, exports: list[dict[str, str]], places: Places, scenarios: Places
) -> dict[str, Units]:
    """The four kinds of units that the scoring rules know. `places`, `scenarios`: positions by code."""
    tables = {export["table"]: read_export(raw, wave, export) for export in exports}
    attempts, phone, web = tables["dial_attempts"], tables["phone_probes"], tables["web_probes"]
    add_unasked(phone, attempts)
    replied: Column = ["no" if time is None else "yes" for time in web["replied_at"]]
    for name in ("reply_wording", "reply_quality"):
        web[name] = ["no_reply" if has == "no" else code for has, code in zip(replied, web[name], strict=True)]
    web |= {"replied": replied, "submitted": ["no" if time is None else "yes" for time in web["submitted_at"]]}

    def units(table: dict[str, Column], known: Places, **number: np.ndarray) -> Units:
        line = np.array([places[code] for code in table["line_id"]])
        scenario = np.array([known[code] for code in table["scenario_code"]])
        return Units(line, scenario, table, number)

    waits = np.array([np.nan if wait is None else float(wait) for wait in attempts["wait_s"]])
    visits = units(web, scenarios, reply_minutes=minutes(web["submitted_at"], web["replied_at"]))
    is_submission = np.array([kind == "submission" for kind in web["probe_kind"]])
    return {
        # a pure connection test has no scenario
        "dial_attempt": units(attempts, {**scenarios, None: -1}, wait_s=waits),
        "phone_probe": units(phone, scenarios, response_minutes=minutes(phone["called_at"], phone["responded_at"])),
        "web_inspection": chosen(visits, ~is_submission),
        "web_submission": chosen(visits, is_submission),
    }


def chosen(units: Units, mask: np.ndarray) -> Units:
    picked = np.flatnonzero(mask).tolist()
    return Units(
        units.line[mask],
        units.scenario[mask],
        {name: [column[row] for row in picked] for name, column in units.text.items()},
        {name: column[mask] for name, column in units.number.items()},
    )


def add_unasked(phone: dict[str, Column], attempts: dict[str, Column]) -> None:
    """Append the planned probes without a questionnaire: not reached, or missing where one was put through."""
    has_questionnaire = set(phone["probe_id"])
    unasked: dict[str, tuple[str | None, str | None, str]] = {}
    columns = (attempts[name] for name in ("probe_id", "line_id", "scenario_code", "connected"))
    for probe, line, scenario, connected in zip(*columns, strict=True):
        if probe is not None and probe not in has_questionnaire:
            before = unasked.get(probe, (line, scenario, "not_reached"))
            unasked[probe] = (*before[:2], "missing" if connected == "yes" else before[2])
    for name, column in phone.items():
        if name == "line_id":
            column += [line for line, _, _ in unasked.values()]
        elif name == "scenario_code":
            column += [scenario for _, scenario, _ in unasked.values()]
        else:
            column += [None if name.endswith("_at") else answer for _, _, answer in unasked.values()]


# From answers to line scores -------------------------------------------------


def observe(units: dict[str, Units], rules: Rows, na_policy: dict[tuple[str, str], str]) -> list[Observed]:
    """Every indicator of every kind of unit. Raises ValueError where a unit has no rule or several."""
    observed = []
    worth = np.array([rule_worth(rule, na_policy) for rule in rules])
    is_na = np.array([rule["na_code"] != "" for rule in rules])
    masks = rule_masks(units, rules)
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, rule in enumerate(rules):
        places[rule["source"], rule["indicator_code"]].append(place)
    for (source, indicator), own in places.items():
        matches = np.stack([masks[place] for place in own])
        if not (matches.sum(axis=0) == 1).all():
            raise ValueError(f"{indicator}: a {source} has no rule, or several")
        chosen_rule = np.array(own)[matches.argmax(axis=0)]
        observed.append(
            Observed(units[source], CHANNELS[source], indicator, chosen_rule, worth[chosen_rule], ~is_na[chosen_rule])
        )
    return observed


def rule_worth(rule: dict[str, str], na_policy: dict[tuple[str, str], str]) -> float:
    """What an answer that meets the rule counts: its score, zero, or NaN where it is excluded."""
    if not rule["na_code"]:
        return float(rule["score"])
    return {"zero": 0.0, "exclude": np.nan}[na_policy[rule["na_code"], rule["indicator_code"]]]


def rule_masks(units: dict[str, Units], rules: Rows) -> list[np.ndarray]:
    """Per rule, which units of its kind meet it."""
    codes: dict[str, int] = {"missing": 0}
    for rule in rules:
        codes.setdefault(rule["match"], len(codes))
    answers: dict[tuple[str, str], np.ndarray] = {}
    masks = []
    for rule in rules:
        source, name = rule["source"], rule["field"]
        if rule["match"]:
            if (source, name) not in answers:
                column = units[source].text[name]
                answers[source, name] = np.array([codes.get(answer or "missing", -1) for answer in column], np.int16)
            masks.append(answers[source, name] == codes[rule["match"]])
        else:
            numbers = units[source].number[name]
            upper = float(rule["max_value"] or "inf")
            masks.append((numbers >= float(rule["min_value"])) & (numbers < upper))
    return masks


def indicator_means(each: Observed, n_lines: int, scenario_weights: np.ndarray) -> np.ndarray:
    """(n_lines,) mean of what counts: over scenarios of each scenario's mean; an attempt belongs to none."""
    is_attempt = "attempt_id" in each.units.text
    n_scenarios = 1 if is_attempt else len(scenario_weights)
    weights = np.ones(1) if is_attempt else scenario_weights
    cell = each.units.line if is_attempt else each.units.line * n_scenarios + each.units.scenario
    counts_in = ~np.isnan(each.score)
    shape, size = (n_lines, n_scenarios), n_lines * n_scenarios
    total = np.bincount(cell[counts_in], each.score[counts_in], size).reshape(shape)
    count = np.bincount(cell[counts_in], minlength=size).reshape(shape)
    with np.errstate(invalid="ignore"):
        return weighted_mean(total / count, weights[:, None])[:, 0]


def weighted_mean(scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(lines, children) and (children, parents) to (lines, parents), among the children present."""
    is_present = ~np.isnan(scores)
    with np.errstate(invalid="ignore"):
        return np.where(is_present, scores, 0.0) @ weights / (is_present @ weights)


@dataclass
class Method:
    """What a method version says about the tree: columns of every level, weights between them."""

    codes: list[list[str]]  # levels 3, 2, 1, 0
    edges: list[np.ndarray]  # (children, parents) weights, from level 3 up
    channel_weights: dict[tuple[str, str], float]  # (indicator, channel)
    is_by_count: bool
    min_availability_pct: float


def read_tree(folder: Path) -> Method:
    indicators = read_rows(folder / "indicators.csv")
    settings = {row["setting"]: row["value"] for row in read_rows(folder / "settings.csv")}
    steps = [
        ("indicator_code", "l2_code", "l3_weight"),
        ("l2_code", "l1_code", "l2_weight"),
        ("l1_code", "", "l1_weight"),
    ]
    codes, edges = [list(dict.fromkeys(row["indicator_code"] for row in indicators))], []
    for child, parent, weight in steps:
        codes.append(list(dict.fromkeys(row.get(parent, "T") for row in indicators)))
        matrix = np.zeros((len(codes[-2]), len(codes[-1])))
        for row in indicators:
            matrix[codes[-2].index(row[child]), codes[-1].index(row.get(parent, "T"))] = float(row[weight])
        edges.append(matrix)
    weights = {
        (row["indicator_code"], row["channel"]): float(row["weight"])
        for row in read_rows(folder / "channel_weights.csv")
        if float(row["weight"]) > 0
    }
    return Method(
        codes, edges, weights, settings["availability_basis"] == "count", float(settings["min_availability_pct"])
    )


def node_scores(
    thirds: dict[tuple[str, str], np.ndarray], method: Method, n_lines: int
) -> dict[str, dict[str, np.ndarray]]:
    """{channel: {node: (n_lines,) scores}}; pooled under `all`. A node that a channel lacks is not there."""
    nothing = np.full(n_lines, np.nan)
    nodes = {}
    for channel in POOLED:
        level, is_defined = [], []
        for indicator in method.codes[0]:
            own = [name for name in POOLED[1:] if (indicator, name) in method.channel_weights]
            own = [name for name in own if channel in ("all", name)]
            weights = np.array([[method.channel_weights[indicator, name]] for name in own])
            scores = np.array([thirds.get((indicator, name), nothing) for name in own]).T
            level.append(weighted_mean(scores, weights)[:, 0] if own else nothing)
            is_defined.append(bool(own))
        nodes[channel] = roll_up(np.array(level).T, np.array(is_defined), method)
    return nodes


def roll_up(scores: np.ndarray, is_defined: np.ndarray, method: Method) -> dict[str, np.ndarray]:
    """Every level from (n_lines, n_indicators) up; `is_defined`: the indicators that the channel has."""
    nodes: dict[str, np.ndarray] = {}
    for codes, edges in zip(method.codes, [*method.edges, None], strict=True):
        nodes |= {code: scores[:, place] for place, code in enumerate(codes) if is_defined[place]}
        if edges is not None:
            measure = (edges > 0).astype(float) if method.is_by_count else edges
            defined, present = is_defined @ measure, ~np.isnan(scores) @ measure
            is_enough = 100 * present >= method.min_availability_pct * defined
            scores = np.where(is_enough, weighted_mean(scores, edges), np.nan)
            is_defined = defined > 0
    return nodes


def line_classes(attempts: Units, rules: Rows, n_lines: int) -> list[tuple[int, int, dict[str, str]]]:
    """Per line: attempts, connected, and the first class rule that holds."""
    is_connected = np.array([answer == "yes" for answer in attempts.text["connected"]])
    n_attempts = np.bincount(attempts.line, minlength=n_lines).tolist()
    n_connected = np.bincount(attempts.line[is_connected], minlength=n_lines).tolist()
    tests: dict[str, Callable[[int, int, str], bool]] = {
        "no_attempts": lambda n, _y, _below: n == 0,
        "none_connected": lambda _n, y, _below: y == 0,
        "rate_below": lambda n, y, below: 100 * y < int(below) * n,
        "otherwise": lambda _n, _y, _below: True,
    }
    ordered = sorted(rules, key=lambda rule: int(rule["rule_order"]))
    return [
        (n, y, next(rule for rule in ordered if tests[rule["test"]](n, y, rule["below_pct"])))
        for n, y in zip(n_attempts, n_connected, strict=True)
    ]


# What is published -----------------------------------------------------------


def rankings(lines: Rows, totals: np.ndarray, is_ranked: np.ndarray, groups: Rows) -> dict[str, list[dict[str, Any]]]:
    """{group: its lines or provinces with published score and rank}."""
    provinces: dict[str, list[int]] = defaultdict(list)
    members: dict[str, list[int]] = defaultdict(list)
    for place, line in enumerate(lines):
        provinces[line["province_code"]].append(place)
        members[line["rank_group"]].append(place)
    units = {
        group["group_code"]: dict(sorted(provinces.items()))
        if group["unit"] == "province"
        else {lines[place]["line_id"]: [place] for place in members[group["rank_group"]]}
        for group in groups
    }
    return {
        group: rank([(code, mean(totals[own]), bool(is_ranked[own].any())) for code, own in unit.items()])
        for group, unit in units.items()
    }


def rank(units: list[tuple[str, float, bool]]) -> list[dict[str, Any]]:
    """Competition ranks of (code, score, is ranked) on the published score; the unranked come last."""
    scores = published(np.array([score for _, score, _ in units]))
    counted = np.array([is_ranked for _, _, is_ranked in units]) & ~np.isnan(scores)
    ascending = np.sort(scores[counted])
    places = 1 + len(ascending) - np.searchsorted(ascending, scores, "right")
    ties = np.searchsorted(ascending, scores, "right") - np.searchsorted(ascending, scores, "left")
    rows = [
        {
            "unit_code": code,
            "rank": int(place) if is_counted else None,
            "is_tied": bool(is_counted and tie > 1),
            "score": number(score),
        }
        for (code, _, _), place, tie, is_counted, score in zip(units, places, ties, counted, scores, strict=True)
    ]
    return sorted(rows, key=lambda row: (row["rank"] is None, row["rank"], row["unit_code"]))


def published(scores: np.ndarray) -> np.ndarray:
    """Half up to 2 decimals of the value first rounded half up to 8."""
    return np.floor(np.floor(scores * 1e8 + 0.5) / 1e6 + 0.5) / 100


def mean(scores: np.ndarray) -> float:
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if len(present) else np.nan


def number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def share(k: int, n: int) -> dict[str, Any]:
    return {"value": 100 * k / n if n else None, "k": int(k), "n": int(n)}


class Figures:
    """The measures that figures.csv names; each method answers (dimension, member, channel, code)."""

    def __init__(
        self,
        folder: Path,
        lines: Rows,
        nodes: dict[str, dict[str, np.ndarray]],
        classes: list,
        observed: list[Observed],
    ):
        self.lines, self.nodes, self.classes, self.observed = lines, nodes, classes, observed
        self.flags = {row["flag_code"]: row for row in read_rows(folder / "line_flags.csv")}
        self.bands = {row["band_code"]: row for row in read_rows(folder / "line_bands.csv")}
        self.rules = read_rows(folder / "scoring_rules.csv")
        self.scenarios = [row["scenario_code"] for row in read_rows(folder / "scenarios.csv")]
        self.definitions = read_rows(folder / "figures.csv")
        self.by_indicator = {(each.indicator, each.channel): each for each in observed}

    def all(self) -> dict[str, dict[str, Any]]:
        found = {}
        for row in self.definitions:
            if row["kind"] in ("mean", "share", "count"):
                measure = getattr(self, row["measure"])
                figure = measure(row["dimension"], row["member"], row["channel"], row["code"])
                found[row["figure_id"]] = {**figure, "value": float(figure["k"])} if row["kind"] == "count" else figure
        return found

    def members(self, dimension: str, member: str) -> np.ndarray:
        return np.array([dimension == "national" or line["tier"] == member for line in self.lines])

    def mean_score(self, dimension: str, member: str, channel: str, code: str) -> dict[str, Any]:
        scores = self.nodes[channel][code][self.members(dimension, member)]
        return {"value": number(mean(scores)), "k": None, "n": int((~np.isnan(scores)).sum())}

    def connection_rate(self, dimension: str, member: str, _channel: str, _code: str) -> dict[str, Any]:
        counts = np.array([(y, n) for n, y, _ in self.classes])[self.members(dimension, member)].sum(axis=0)
        return share(*counts)

    def class_count(self, _dimension: str, _member: str, _channel: str, code: str) -> dict[str, Any]:
        count = sum(rule["line_class"] == code for _, _, rule in self.classes)
        return share(count, len(self.lines))

    def flag_share(self, _dimension: str, _member: str, channel: str, code: str) -> dict[str, Any]:
        flag = self.flags[code]
        scores = self.nodes[channel][flag["indicator_code"]]
        return share((scores >= float(flag["min_rate_pct"])).sum(), len(self.lines))

    def coverage(self, _dimension: str, _member: str, channel: str, _code: str) -> dict[str, Any]:
        return share((~np.isnan(self.nodes[channel]["T"])).sum(), len(self.lines))

    def band_share(self, _dimension: str, _member: str, channel: str, code: str) -> dict[str, Any]:
        band = self.bands[code]
        each = self.by_indicator[band["indicator_code"], channel]
        seen = np.unique(each.units.line[each.is_observed])
        scores = self.nodes[channel][band["indicator_code"]][seen]
        upper = np.inf if band["max_pct"] == "100" else float(band["max_pct"])
        return share(((scores >= float(band["min_pct"])) & (scores < upper)).sum(), len(seen))

    def rule_share(self, _dimension: str, _member: str, channel: str, code: str) -> dict[str, Any]:
        place = next(place for place, rule in enumerate(self.rules) if rule["rule_code"] == code)
        partition = self.rules[place]["partition_code"]
        whole = [place for place, rule in enumerate(self.rules) if rule["partition_code"] == partition]
        own = [each.rule for each in self.observed if each.channel == channel]
        return share(sum((rule == place).sum() for rule in own), sum(np.isin(rule, whole).sum() for rule in own))

    def scenario_mean(self, _dimension: str, member: str, channel: str, code: str) -> dict[str, Any]:
        each = self.by_indicator[code, channel]
        scores = each.score[each.units.scenario == self.scenarios.index(member)]
        return {"value": number(mean(scores)), "k": None, "n": int((~np.isnan(scores)).sum())}


# The whole -------------------------------------------------------------------


def score_wave(raw: Paths, wave: str) -> dict[str, Any]:
    """Totals, channel totals, classes, rankings and figures of a wave, in points."""
    declared = yaml.load(raw.wave_yml(wave).read_text(encoding="utf-8"), yaml.CSafeLoader)
    folder = raw.method(declared["method"])
    lines = read_rows(raw.frame(declared["frame"]))
    scenarios = read_rows(folder / "scenarios.csv")
    places: Places = {line["line_id"]: place for place, line in enumerate(lines)}
    scenario_places: Places = {row["scenario_code"]: place for place, row in enumerate(scenarios)}
    units = read_units(raw, wave, declared["exports"], places, scenario_places)

    policy = {(row["na_code"], row["indicator_code"]): row["treatment"] for row in read_rows(folder / "na_policy.csv")}
    observed = observe(units, read_rows(folder / "scoring_rules.csv"), policy)
    scenario_weights = np.array([float(row["weight"]) for row in scenarios])
    thirds = {(each.indicator, each.channel): indicator_means(each, len(lines), scenario_weights) for each in observed}
    nodes = node_scores(thirds, read_tree(folder), len(lines))
    classes = line_classes(units["dial_attempt"], read_rows(folder / "line_class_rules.csv"), len(lines))
    is_ranked = np.array([rule["is_ranked"] == "1" for _, _, rule in classes]) & ~np.isnan(nodes["all"]["T"])
    totals = {
        channel: {line: number(score) for line, score in zip(places, nodes[channel]["T"], strict=True)}
        for channel in POOLED
    }
    return {
        "wave": wave,
        "totals": totals["all"],
        "channels": {name: totals[name] for name in POOLED[1:]},
        "classes": {
            line: {"attempts": n, "connected": y, "line_class": rule["line_class"]}
            for line, (n, y, rule) in zip(places, classes, strict=True)
        },
        "rankings": rankings(lines, nodes["all"]["T"], is_ranked, read_rows(folder / "rank_groups.csv")),
        "figures": Figures(folder, lines, nodes, classes, observed).all(),
    }


def main(wave: str, out: str) -> None:
    Path(out).write_text(json.dumps(score_wave(paths(), wave), ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
