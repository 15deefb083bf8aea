"""The dialler's side of a wave: which planned probes were put through, after how many tries.

Belongs here: the planned probes and the log of diallings, in bronze's columns. Does not
belong here: how often a line is connected (`connection.py`), what was said on the phone.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dagster_project.simulate.calendar import Calendar
from dagster_project.simulate.chance import settled, stream
from dagster_project.simulate.columns import at, numbered, only
from dagster_project.simulate.connection import MAX_TRIES, Plan
from dagster_project.simulate.lines import Lines, chosen
from dagster_project.simulate.method import Method
from dagster_project.simulate.quota import cells, line_means, place, rank_in_line, share_out
from dagster_project.simulate.targets import Targets

WAITING = (0.62, 0.27, 0.11)  # of the answered calls that waited longer than the shortest range
LONGEST_WAIT_S = 240
QUEUE_SPREAD = 5.0
# Percent of the calls that offer smart voice, where a line has it and where it is only tried out.
SMART_USUAL, SMART_ELSEWHERE, SMART_SPREAD = 97.0, -6.0, 5.0

FAILURES = np.array(["busy", "no_answer", "queue_timeout", "out_of_service"], dtype=object)
FAILURES_LIVE = (0.46, 0.30, 0.23, 0.01)
FAILURES_DEAD = (0.00, 0.35, 0.00, 0.65)


@dataclass(frozen=True)
class Dialled:
    """The log, the planned probes, and the means per line and indicator that the log will give."""

    log: pd.DataFrame
    probes: pd.DataFrame
    means: dict[str, np.ndarray]


def dial(lines: Lines, plan: Plan, method: Method, targets: Targets, days: Calendar, seed: int, wave: str) -> Dialled:
    """Plays the plan: `probes` has one row per planned probe, `log` one per dialling.

    Columns of `probes`: line (row of the frame), scenario (row of the method's scenarios),
    probe_id, reached, called_at (NaT where not reached).
    """
    rng = stream(seed, wave, "dial")
    probes = _planned_probes(rng, lines, plan, len(method.scenarios), wave)
    log = _tries(rng, lines, plan, probes, days)
    answered = np.flatnonzero(log["connected"])
    means = {"I01": 100.0 * plan.connected / plan.attempts}
    wait, means["I02"] = _waits(rng, lines, plan, method, targets, log["line"].to_numpy()[answered])
    smart, means["I14"] = _smart_voice(rng, lines, plan, method, targets, log["line"].to_numpy()[answered])
    served = log[log["connected"] & (log["probe"] >= 0)]
    called_at = np.full(len(probes), np.datetime64("NaT"), dtype="datetime64[s]")
    called_at[served["probe"].to_numpy()] = served["dialled_at"].to_numpy()
    return Dialled(
        _named(rng, lines, plan, method, probes, log, wave).assign(
            wait_s=at(answered, wait, len(log)), smart_voice=at(answered, smart, len(log))
        ),
        probes.assign(called_at=called_at),
        means,
    )


def _planned_probes(rng: np.random.Generator, lines: Lines, plan: Plan, scenarios: int, wave: str) -> pd.DataFrame:
    """One row per planned probe, with the number of its diallings that failed."""
    line = np.repeat(np.arange(len(lines)), plan.planned)
    number = np.tile(np.arange(plan.planned), len(lines))
    reached = rank_in_line(line, rng.random(len(line))) < plan.reached[line]
    failed = plan.attempts - plan.connected
    unreached = plan.planned - plan.reached  # each of them was dialled once at least
    for_tests = failed * (plan.connected - plan.reached) // np.maximum(plan.connected, 1)
    retries = np.maximum(failed - unreached - for_tests, 0)
    slot = np.repeat(np.arange(len(line)), MAX_TRIES - 1)
    # The probes that stayed unreached are the ones that were tried again first.
    taken = rank_in_line(line[slot], rng.random(len(slot)) - 0.5 * ~reached[slot]) < retries[line[slot]]
    return pd.DataFrame(
        {
            "line": line,
            "scenario": number % scenarios,
            "probe_id": numbered(f"P{wave}", lines.ids[line], number, 2),
            "reached": reached,
            "failed": np.bincount(slot[taken], minlength=len(line)) + ~reached,
        }
    )


def _tries(rng: np.random.Generator, lines: Lines, plan: Plan, probes: pd.DataFrame, days: Calendar) -> pd.DataFrame:
    """One row per dialling in the order of time; `probe` is the row of the probe, -1 for a pure connection test."""
    line, failed, reached = (probes[name].to_numpy() for name in ("line", "failed", "reached"))
    tries = failed + reached
    probe = np.repeat(np.arange(len(probes)), tries)
    order = np.arange(len(probe)) - np.repeat(np.cumsum(tries) - tries, tries)
    gap = rng.integers(1, 3, len(probes))
    tried_at = days.at(days.first_days(rng, len(probes))[probe] + gap[probe] * order, days.seconds(rng, len(probe)))
    tried_at = tried_at[np.lexsort((tried_at, probe))]  # a short field period may put two tries on one day
    own_failures = np.bincount(line, weights=failed, minlength=len(lines)).astype(np.int64)
    tests_connected = plan.connected - plan.reached
    test_line = np.repeat(np.arange(len(lines)), plan.attempts - plan.reached - own_failures)
    tested_at = days.at(days.first_days(rng, len(test_line)), days.seconds(rng, len(test_line)))
    log = pd.DataFrame(
        {
            "line": np.concatenate([line[probe], test_line]),
            "probe": np.concatenate([probe, np.full(len(test_line), -1)]),
            "dialled_at": np.concatenate([tried_at, tested_at]),
            "connected": np.concatenate(
                [
                    (order == failed[probe]) & reached[probe],
                    rank_in_line(test_line, rng.random(len(test_line))) < tests_connected[test_line],
                ]
            ),
        }
    )
    return log.sort_values(["line", "dialled_at", "probe"], kind="stable", ignore_index=True)


def _waits(
    rng: np.random.Generator, lines: Lines, plan: Plan, method: Method, targets: Targets, line: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds that each answered call (of `line`) waited, and the mean score per line."""
    scale, ranges = method.scale("I02", *WAITING), method.ranges("I02")
    todo = cells(plan.connected, zeros=plan.attempts - plan.connected)
    wish = settled(90 + QUEUE_SPREAD * lines.quality["queue"])
    counts = share_out(rng, todo, wish, scale, targets.scores["I02"])
    answer = place(line, counts, rng.random(len(line)))
    low = np.array([max(low, 3) for low, _ in ranges])
    high = np.array([LONGEST_WAIT_S if high is None else high for _, high in ranges])
    return rng.integers(low[answer], high[answer]), line_means(counts, todo, scale)


def _smart_voice(
    rng: np.random.Generator, lines: Lines, plan: Plan, method: Method, targets: Targets, line: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each answered call (of `line`) was offered smart voice, and the mean score per line."""
    scale = method.scale("I14")
    has = chosen(lines.quality["smart"], targets.of_lines(targets.flags["smart_voice"], len(lines)), plan.connected > 0)
    enough = -(-method.flag_pct["smart_voice"] * plan.connected // 100)
    todo = cells(
        plan.connected,
        least=np.where(has, enough, 0),
        most=np.where(has, plan.connected, np.maximum(enough - 1, 0)),
    )
    wish = np.where(has, SMART_USUAL, SMART_ELSEWHERE) + SMART_SPREAD * rng.standard_normal(len(lines))
    counts = share_out(rng, todo, settled(wish), scale, targets.scores["I14"])
    answer = place(line, counts, rng.random(len(line)))
    return scale.labels[answer], line_means(counts, todo, scale)


def _named(
    rng: np.random.Generator,
    lines: Lines,
    plan: Plan,
    method: Method,
    probes: pd.DataFrame,
    log: pd.DataFrame,
    wave: str,
) -> pd.DataFrame:
    """The log in bronze's columns, without what is known of answered calls alone."""
    line, probe, connected = (log[name].to_numpy() for name in ("line", "probe", "connected"))
    number = rank_in_line(line, np.arange(len(log)))
    ids, is_test = lines.ids[line], probe < 0
    scenario = method.scenarios["scenario_code"].to_numpy(dtype=object)[probes["scenario"].to_numpy()[probe]]
    dead = (plan.line_class == "dead")[line]
    reason = np.where(
        dead, rng.choice(FAILURES, len(log), p=FAILURES_DEAD), rng.choice(FAILURES, len(log), p=FAILURES_LIVE)
    )
    layers = np.clip(rng.integers(1, 5, len(lines))[line] + rng.integers(-1, 2, len(log)), 1, 6).astype(object)
    heard = connected | (reason == "queue_timeout")
    return pd.DataFrame(
        {
            "attempt_id": numbered(f"D{wave}", ids, number, 3),
            "probe_id": only(~is_test, probes["probe_id"].to_numpy(dtype=object)[probe]),
            "line_id": ids,
            "scenario_code": only(~is_test, scenario),
            "dialled_at": log["dialled_at"],
            "connected": np.where(connected, "yes", "no"),
            "fail_reason": only(~connected, reason),
            "ivr_layers": only(heard, layers),
        }
    )
