"""The web side of a wave: inspections of the lines' platforms, and the requests submitted there.

Belongs here: one row per visit, in bronze's columns. Does not belong here: the phone.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dagster_project.simulate.answers import CODERS, MINUTES_PER_DAY
from dagster_project.simulate.calendar import Calendar
from dagster_project.simulate.chance import settled, stream
from dagster_project.simulate.columns import at, numbered, only
from dagster_project.simulate.lines import Lines, chosen
from dagster_project.simulate.method import Method
from dagster_project.simulate.quota import cells, line_means, place, rank_in_line, share_out
from dagster_project.simulate.targets import Targets

PLATFORMS = np.array(["12345网站", "政务服务网", "微信公众号", "手机客户端"], dtype=object)

REACH_SPREAD, STABLE_SPREAD, CONTENT_SPREAD = 0.3, 1.0, 5.0
STABLE, CONTENT, REGISTERING, WORDING = (0.8, 0.2), (0.85, 0.15), (0.7, 0.3), (0.8, 0.2)
# Percent of the questions found by search, in lines where search works and where it does not.
FOUND, FOUND_SPREAD, MISSED, MISSED_SPREAD = 85.0, 10.0, 24.0, 12.0
REPLY_SPREAD = 6.0
LONGEST_REPLY_DAYS = 14


@dataclass(frozen=True)
class Visited:
    """The visits in bronze's columns, and the means per line and indicator that they will give."""

    visits: pd.DataFrame
    means: dict[str, np.ndarray]


@dataclass(frozen=True)
class Requests:
    """Submitted requests: row of the frame, and how well each is treated; `lines` in all."""

    line: np.ndarray
    quality: np.ndarray
    lines: int


def visit(
    lines: Lines, method: Method, targets: Targets, inspections: int, days: Calendar, seed: int, wave: str
) -> Visited:
    """`inspections` visits per line to its main platform, and one request on each of its platforms."""
    rng = stream(seed, wave, "web")
    main = stream(seed, "line", "platform").integers(0, len(PLATFORMS), len(lines))
    inspected, inspection_means = _inspect(rng, lines, method, targets, inspections, days)
    submitted, submission_means = _submit(rng, lines, method, targets, days, seed)
    inspected["platform"] = PLATFORMS[main[inspected["line"]]]
    submitted["platform"] = PLATFORMS[(main[submitted["line"]] + submitted["number"]) % len(PLATFORMS)]
    visits = pd.concat([inspected, submitted], ignore_index=True)
    line = visits["line"].to_numpy()
    number = rank_in_line(line, np.arange(len(visits)))
    scenario = method.scenarios["scenario_code"].to_numpy(dtype=object)
    visits["probe_id"] = numbered(f"W{wave}", lines.ids[line], number, 2)
    visits["line_id"] = lines.ids[line]
    visits["scenario_code"] = scenario[visits["scenario"].to_numpy(dtype=np.int64)]
    visits["coder_id"] = CODERS[rng.integers(0, len(CODERS), len(visits))]
    in_order = visits.iloc[np.lexsort((number, line))].drop(columns=["line", "number", "scenario"])
    return Visited(in_order.reset_index(drop=True), {**inspection_means, **submission_means})


def _inspect(
    rng: np.random.Generator, lines: Lines, method: Method, targets: Targets, inspections: int, days: Calendar
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Inspections: one row per visit, and the means that they give."""
    line = np.repeat(np.arange(len(lines)), inspections)
    size = len(line)
    burden = settled(rng.standard_normal(size))
    means: dict[str, np.ndarray] = {}

    everything = cells(np.full(len(lines), inspections))
    scale = method.scale("I03")
    counts = share_out(rng, everything, _wish(rng, lines, "platform", REACH_SPREAD), scale, targets.scores["I03"])
    means["I03"] = line_means(counts, everything, scale)
    reachable = scale.labels[place(line, counts, burden)]
    there = np.flatnonzero(reachable == scale.codes[0])
    away = counts[:, -1]

    columns: dict[str, np.ndarray] = {"reachable": reachable}
    for indicator, name, lesser, spread, zeros in (
        ("I04", "stable", STABLE, STABLE_SPREAD, away),
        ("I15", "content_rich", CONTENT, CONTENT_SPREAD, None),
    ):
        scale, todo = method.scale(indicator, *lesser), cells(counts[:, 0], zeros=zeros)
        kinds = share_out(rng, todo, _wish(rng, lines, "platform", spread), scale, targets.scores[indicator])
        columns[name] = _seen(there, scale.labels[place(line[there], kinds, rng.random(len(there)))], size)
        means[indicator] = line_means(kinds, todo, scale)
    for indicator, name, flag in (
        ("I16", "keyword_hit", "keyword_search"),
        ("I17", "navigation_hit", "navigation_search"),
    ):
        kinds, means[indicator] = _search(rng, lines, method, targets, counts[:, 0], indicator, flag)
        found = method.scale(indicator).labels[place(line[there], kinds, rng.random(len(there)))]
        columns[name] = _seen(there, found, size)
    bots = settled(lines.quality["smart"] + 0.5 * rng.standard_normal(len(lines))) > 0.4
    table = pd.DataFrame(
        {
            "line": line,
            "scenario": np.tile(np.arange(inspections) % len(method.scenarios), len(lines)),
            "number": 0,
            "probe_kind": "inspection",
            "visited_at": days.at(days.first_days(rng, size), days.seconds(rng, size)),
            **columns,
            "bot_present": np.where(bots[line], "yes", "no"),
        }
    )
    return table, means


def _search(
    rng: np.random.Generator, lines: Lines, method: Method, targets: Targets, n: np.ndarray, indicator: str, flag: str
) -> tuple[np.ndarray, np.ndarray]:
    """Hits and misses per line, so that the published number of lines is found by search; and the means."""
    scale = method.scale(indicator)
    enough = -(-method.flag_pct[flag] * n // 100)
    quality = settled(lines.quality["search"] + 0.6 * rng.standard_normal(len(lines)))
    works = chosen(quality, targets.of_lines(targets.flags[flag], len(lines)), n > 0)
    todo = cells(n, least=np.where(works, enough, 0), most=np.where(works, n, np.maximum(enough - 1, 0)))
    spread = np.where(works, FOUND_SPREAD, MISSED_SPREAD)
    wish = np.where(works, FOUND, MISSED) + spread * rng.standard_normal(len(lines))
    counts = share_out(rng, todo, settled(wish), scale, targets.scores[indicator])
    return counts, line_means(counts, todo, scale)


def _submit(
    rng: np.random.Generator, lines: Lines, method: Method, targets: Targets, days: Calendar, seed: int
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Submitted requests: one row per platform, and the means that they give."""
    second = chosen(
        settled(lines.quality["platform"] + stream(seed, "line", "second platform").standard_normal(len(lines))),
        targets.of_lines(targets.submissions - targets.lines, len(lines)),
    )
    line = np.repeat(np.arange(len(lines)), 1 + second)
    size = len(line)
    requests = Requests(line, settled(lines.quality["replies"][line] + 0.7 * rng.standard_normal(size)), len(lines))
    all_of_them, per_line = np.ones(size, dtype=bool), np.bincount(line, minlength=len(lines))

    def share(indicator: str, which: np.ndarray, zeros: np.ndarray, *lesser: float) -> np.ndarray:
        answers, means[indicator] = _share(rng, lines, requests, method, targets, indicator, which, zeros, lesser)
        return answers

    means: dict[str, np.ndarray] = {}
    none = np.zeros(len(lines), dtype=np.int64)
    registered = share("I05", all_of_them, none, *REGISTERING)
    accepted = share("I06", all_of_them, none) == method.scale("I06").codes[0]
    acknowledged = share("I18", accepted, none)
    acknowledged[~accepted] = "not_reached"
    reply = _reply_kinds(requests, accepted, method, targets)
    replied = reply < len(method.ranges("I25"))
    resolved = _resolutions(rng, requests, accepted, replied, method, targets)
    silent = per_line - np.bincount(line[replied], minlength=len(lines))
    means |= _reply_means(requests, per_line, reply, resolved, method)
    table = pd.DataFrame(
        {
            "line": line,
            "scenario": rng.integers(0, len(method.scenarios), size),
            "number": rank_in_line(line, np.arange(size)),
            "probe_kind": "submission",
            "reachable": "yes",
            "registered": registered,
            "acknowledged": acknowledged,
            "resolved": resolved,
            "reply_quality": share("I27", replied, silent, *WORDING),
            "reply_wording": share("I19", replied, none, *WORDING),
            **_request_times(rng, accepted, reply, method, days),
            "ticket_no": only(accepted, [f"WL{number}" for number in rng.permutation(size) + 200001]),
        }
    )
    return table, means


def _share(
    rng: np.random.Generator,
    lines: Lines,
    requests: Requests,
    method: Method,
    targets: Targets,
    indicator: str,
    which: np.ndarray,
    zeros: np.ndarray,
    lesser: tuple[float, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Answers to one question for the requests in `which`, and the mean per line."""
    scale = method.scale(indicator, *lesser)
    line = requests.line[which]
    todo = cells(np.bincount(line, minlength=len(lines)), zeros=zeros)
    counts = share_out(rng, todo, _wish(rng, lines, "replies", REPLY_SPREAD), scale, targets.scores[indicator])
    kind = place(line, counts, -requests.quality[which])
    return at(np.flatnonzero(which), scale.labels[kind], len(which)), line_means(counts, todo, scale)


def _reply_kinds(requests: Requests, accepted: np.ndarray, method: Method, targets: Targets) -> np.ndarray:
    """Row of the reply-time scale for every request, the quick ones where replies are good; past its end: none."""
    counts = targets.of_submissions(targets.reply_time, len(accepted))
    kinds = np.repeat(np.arange(len(counts)), [counts[code] for code in _with_none(method.rule_codes("I25"), counts)])
    reply = np.empty(len(accepted), dtype=np.int64)
    reply[np.lexsort((-requests.quality, ~accepted))] = kinds
    return reply


def _with_none(scored: list[str], counts: dict[str, int]) -> list[str]:
    """The scored kinds in the order of the scale, then those that have no score."""
    return scored + [code for code in counts if code not in scored]


def _resolutions(
    rng: np.random.Generator,
    requests: Requests,
    accepted: np.ndarray,
    replied: np.ndarray,
    method: Method,
    targets: Targets,
) -> np.ndarray:
    """How far every request was resolved; some are processed without a written reply, a few are not at all."""
    counts = targets.of_submissions(targets.resolution, len(accepted))
    codes = np.array([*method.scale("I26").codes, "no_reply"], dtype=object)
    amounts = [counts[code] for code in method.rule_codes("I26")]
    kinds = np.repeat(np.arange(len(codes)), [*amounts, len(accepted) - sum(amounts)])
    standing = settled(requests.quality + rng.standard_normal(len(accepted)))
    idle = np.lexsort((standing, accepted, replied))[: len(accepted) - sum(amounts)]
    standing[idle] = -np.inf
    resolved = np.empty(len(accepted), dtype=object)
    resolved[np.argsort(-standing, kind="stable")] = codes[kinds]
    return resolved


def _reply_means(
    requests: Requests, per_line: np.ndarray, reply: np.ndarray, resolved: np.ndarray, method: Method
) -> dict[str, np.ndarray]:
    """Means of reply, reply time and resolution per line; what has no score counts as 0."""
    times = np.append(method.scale("I25").scores, 0.0)
    scale = method.scale("I26")
    resolution = dict(zip(scale.codes, scale.scores, strict=True))
    points = {
        "I24": np.where(reply < len(times) - 1, 100.0, 0.0),
        "I25": times[reply],
        "I26": np.array([resolution.get(code, 0.0) for code in resolved]),
    }
    return {
        code: np.bincount(requests.line, weights=values, minlength=requests.lines) / per_line
        for code, values in points.items()
    }


def _request_times(
    rng: np.random.Generator, accepted: np.ndarray, reply: np.ndarray, method: Method, days: Calendar
) -> dict[str, np.ndarray]:
    """Visit, submission and reply of every request."""
    size, ranges = len(accepted), method.ranges("I25")
    never = np.datetime64("NaT", "s")
    visited_at = days.at(days.first_days(rng, size), days.seconds(rng, size))
    submitted_at = visited_at + rng.integers(240, 2400, size).astype("timedelta64[s]")
    low = np.array([max(low, 90) for low, _ in ranges] + [0])
    high = np.array([LONGEST_REPLY_DAYS * MINUTES_PER_DAY if high is None else high for _, high in ranges] + [1])
    minutes = rng.integers(low[reply], high[reply]).astype("timedelta64[m]")
    return {
        "visited_at": visited_at,
        "submitted_at": np.where(accepted, submitted_at, never),
        "replied_at": np.where(reply < len(ranges), submitted_at + minutes, never),
    }


def _wish(rng: np.random.Generator, lines: Lines, domain: str, spread: float) -> np.ndarray:
    """What each line would like to score, before all are shifted to the goal."""
    return settled(80 + spread * lines.quality[domain] + 0.6 * spread * rng.standard_normal(len(lines)))


def _seen(there: np.ndarray, answers: np.ndarray, size: int) -> np.ndarray:
    """Answers of the visits in which the platform could be reached; the others saw nothing of it."""
    column = np.full(size, "not_reached", dtype=object)
    column[there] = answers
    return column
