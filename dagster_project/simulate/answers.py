"""What the callers noted of the calls that were put through: the phone questionnaires.

Belongs here: one row per reached probe, in bronze's columns. Does not belong here: the
dialling (`dialling.py`), how a survey platform writes it (`vendor.py`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dagster_project.simulate.chance import settled, stream
from dagster_project.simulate.columns import only
from dagster_project.simulate.connection import Plan
from dagster_project.simulate.lines import Lines, chosen
from dagster_project.simulate.method import Method, forecast_totals
from dagster_project.simulate.quota import cells, line_means, place, rank_in_line, share_out
from dagster_project.simulate.targets import Targets

MINUTES_PER_DAY = 1440
LONGEST_RESPONSE_DAYS = 9
DOUBLE_CODED = 0.10
CODERS = np.array([f"C{number:02d}" for number in range(1, 25)], dtype=object)


@dataclass(frozen=True)
class Question:
    """A question of the questionnaire: how its lesser answers divide, how far lines differ, what is left open.

    `second_differs` is the share of double-coded answers that the second coder gives another code.
    """

    indicator: str
    field: str
    domain: str
    lesser: tuple[float, float]
    spread: float
    not_applicable: float = 0.0
    invalid: float = 0.003
    second_differs: float | None = None


MANNERS = (
    Question("I07", "greeting", "manners", (0.80, 0.20), 4.5, second_differs=0.04),
    Question("I08", "tone", "manners", (0.88, 0.12), 3.0, second_differs=0.11),
    Question("I09", "closing", "manners", (0.78, 0.22), 5.0, second_differs=0.05),
    Question("I10", "listening", "manners", (0.85, 0.15), 4.0, second_differs=0.07),
    Question("I11", "clarity", "manners", (0.88, 0.12), 3.0, second_differs=0.08),
    Question("I12", "registered", "manners", (0.82, 0.18), 4.5, not_applicable=0.12),
    Question("I13", "ivr_ease", "menu", (0.85, 0.15), 4.0, not_applicable=0.06),
)
SOLUTIONS = (
    Question("I20", "answer_correct", "answers", (0.88, 0.12), 3.0, not_applicable=0.02, second_differs=0.03),
    Question("I21", "answer_complete", "answers", (0.92, 0.08), 3.0, not_applicable=0.02, second_differs=0.04),
)
QUICKNESS = (0.72, 0.20, 0.08)  # of the responses that did not come within the first range
# Wished response rates of the lines in the best band and of the others, in percent.
RESPONSE_USUAL, RESPONSE_SPREAD, RESPONSE_LOW, RESPONSE_LOW_SPREAD = 91.0, 4.0, 54.0, 5.0
QUICK_USUAL, QUICK_SPREAD = 94.0, 5.0


@dataclass(frozen=True)
class Answered:
    """The questionnaires in bronze's columns, and the means per line and indicator that they will give."""

    questionnaires: pd.DataFrame
    means: dict[str, np.ndarray]


@dataclass(frozen=True)
class Calls:
    """The reached probes: row of the frame, scenario, time, and how hard each was (higher: worse answers)."""

    line: np.ndarray
    scenario: np.ndarray
    called_at: np.ndarray
    burden: np.ndarray


def answer(
    lines: Lines,
    plan: Plan,
    probes: pd.DataFrame,
    other_means: dict[str, np.ndarray],
    method: Method,
    targets: Targets,
    seed: int,
    wave: str,
) -> Answered:
    """Fills in the questionnaires of the reached probes.

    `other_means`: what the dialling and the web give each line, so that the tiers can be
    brought to their published distance by what is said on the phone.
    """
    rng = stream(seed, wave, "answers")
    reached = probes[probes["reached"]].reset_index(drop=True)
    calls = _calls(rng, reached, len(method.scenarios), seed)
    responses, response_means = _responses(rng, lines, plan, calls, method, targets)
    means = {**other_means, **response_means}
    columns = {
        "probe_id": reached["probe_id"],
        "line_id": lines.ids[calls.line],
        "scenario_code": method.scenarios["scenario_code"].to_numpy(dtype=object)[calls.scenario],
        "called_at": calls.called_at,
    }
    goals = _goals(lines, means, method, targets, MANNERS + SOLUTIONS)
    for question in MANNERS + SOLUTIONS:
        if question is SOLUTIONS[-1]:  # makes up for what rounding to whole answers left of the distance
            goals = {**goals, **_goals(lines, means, method, targets, SOLUTIONS[-1:])}
        columns[question.field], means[question.indicator] = _ask(
            rng, lines, plan, calls, method, question, goals[question.indicator]
        )
    table = pd.DataFrame({**columns, **responses})
    return Answered(table.assign(**_tickets(rng, table, wave), **_second_codes(rng, table, method)), means)


def _calls(rng: np.random.Generator, reached: pd.DataFrame, scenarios: int, seed: int) -> Calls:
    """Scenarios that are hard stay so in every wave; the rest of the burden is the call's own."""
    hard = stream(seed, "scenario", "burden").standard_normal(scenarios)
    scenario = reached["scenario"].to_numpy()
    return Calls(
        reached["line"].to_numpy(),
        scenario,
        reached["called_at"].to_numpy(),
        settled(0.5 * hard[scenario] + 0.6 * rng.standard_normal(len(reached))),
    )


def _ask(
    rng: np.random.Generator,
    lines: Lines,
    plan: Plan,
    calls: Calls,
    method: Method,
    question: Question,
    goals: dict[str, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of one question for every call, and its mean per line; `goals` by tier, "" for the others."""
    scale = method.scale(question.indicator, *question.lesser)
    burden = settled(calls.burden + 0.8 * rng.standard_normal(len(calls.line)))
    codes = _left_open(rng, calls, question)
    open_calls = np.flatnonzero(codes == "")
    n = np.bincount(calls.line[open_calls], minlength=len(lines))
    zeros = plan.planned - plan.reached if question in SOLUTIONS else np.zeros_like(n)
    todo = cells(n, zeros=zeros)
    wish = settled(
        90 + question.spread * lines.quality[question.domain] + 0.5 * question.spread * rng.standard_normal(len(lines))
    )
    counts = np.zeros((len(lines), len(scale.codes)), dtype=np.int64)
    tier = lines.frame["tier"].where(lines.frame["tier"].isin(list(goals)), "").to_numpy()
    for name, goal in goals.items():
        members = tier == name
        if (n + zeros)[members].any():
            counts[members] = share_out(rng, todo.of(members), wish[members], scale, goal)
    codes[open_calls] = scale.labels[place(calls.line[open_calls], counts, burden[open_calls])]
    return codes, line_means(counts, todo, scale)


def _left_open(rng: np.random.Generator, calls: Calls, question: Question) -> np.ndarray:
    """NA codes where a call has no scored answer, "" elsewhere; never for more than a third of a line's calls."""
    size = len(calls.line)
    position = rank_in_line(calls.line, rng.random(size))
    allowed = position < np.bincount(calls.line)[calls.line] // 3
    chance = np.where(allowed, rng.random(size) / 3, 1.0)
    codes = np.full(size, "", dtype=object)
    codes[chance < question.not_applicable + question.invalid] = "not_applicable"
    codes[chance < question.invalid] = "invalid"
    return codes


def _responses(
    rng: np.random.Generator, lines: Lines, plan: Plan, calls: Calls, method: Method, targets: Targets
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Whether and when the responsible offices responded: columns per call, means per line."""
    size, scale = len(calls.line), method.scale("I22")
    responded = _response_open(rng, lines, plan, calls, method, targets)
    asked = np.flatnonzero(responded == "")
    n = np.bincount(calls.line[asked], minlength=len(lines))
    unreached = plan.planned - plan.reached
    measured = n > 0
    in_band = -(-method.band_pct[targets.response_band] * (n + unreached) // 100)
    well = chosen(
        lines.quality["responses"],
        targets.of_lines(targets.response_lines, len(lines)),
        measured & (in_band <= n),
    )
    todo = cells(
        n,
        zeros=unreached,
        least=np.where(well, in_band, 0),
        most=np.where(well, n, np.minimum(n, np.maximum(in_band - 1, 0))),
    )
    standing = np.where(well, _within(lines.quality["responses"], well), _within(lines.quality["responses"], ~well))
    wish = np.where(well, RESPONSE_USUAL + RESPONSE_SPREAD * standing, RESPONSE_LOW + RESPONSE_LOW_SPREAD * standing)
    counts = share_out(rng, todo, settled(wish), scale, targets.scores["I22"])
    burden = settled(calls.burden[asked] + rng.standard_normal(len(asked)))
    responded[asked] = scale.labels[place(calls.line[asked], counts, burden)]
    yes = np.flatnonzero(responded == scale.codes[0])
    minutes, quick = _response_minutes(rng, lines, todo.zeros + counts[:, -1], calls.line[yes], method, targets)
    responded_at = np.full(size, np.datetime64("NaT"), dtype="datetime64[s]")
    responded_at[yes] = calls.called_at[yes] + minutes.astype("timedelta64[m]")
    return (
        {"responded": responded, "responded_at": responded_at},
        {"I22": line_means(counts, todo, scale), "I23": quick},
    )


def _within(quality: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Quality against the mean of the members."""
    return quality - (quality[members].mean() if members.any() else 0.0)


def _response_open(
    rng: np.random.Generator, lines: Lines, plan: Plan, calls: Calls, method: Method, targets: Targets
) -> np.ndarray:
    """NA codes of `responded`: mostly questions answered on the spot, in a few lines all of them."""
    consulting = (method.scenarios["request_type"] == "咨询").to_numpy()[calls.scenario]
    chance = rng.random(len(calls.line))
    codes = np.full(len(calls.line), "", dtype=object)
    codes[chance < np.where(consulting, 0.30, 0.03)] = "not_applicable"
    codes[chance > 0.997] = "invalid"
    live = plan.reached > 0
    silent = live.sum() - targets.of_lines(targets.response_measured, len(lines))
    on_the_spot = chosen(settled(rng.random(len(lines))), max(int(silent), 0), live & (plan.reached == plan.planned))
    # All others keep at least one question that an office had to respond to.
    last = rank_in_line(calls.line, settled(calls.burden)) == 0
    codes[last] = ""
    codes[on_the_spot[calls.line]] = "not_applicable"
    return codes


def _response_minutes(
    rng: np.random.Generator, lines: Lines, zeros: np.ndarray, line: np.ndarray, method: Method, targets: Targets
) -> tuple[np.ndarray, np.ndarray]:
    """Minutes from the call (of `line`) to the response, and the mean score per line."""
    scale, ranges = method.scale("I23", *QUICKNESS), method.ranges("I23")
    todo = cells(np.bincount(line, minlength=len(lines)), zeros=zeros)
    wish = settled(QUICK_USUAL + QUICK_SPREAD * lines.quality["responses"] + 3 * rng.standard_normal(len(lines)))
    counts = share_out(rng, todo, wish, scale, targets.scores["I23"])
    kind = place(line, counts, rng.random(len(line)))
    low = np.array([max(low, 30) for low, _ in ranges])
    high = np.array([LONGEST_RESPONSE_DAYS * MINUTES_PER_DAY if high is None else high for _, high in ranges])
    return rng.integers(low[kind], high[kind]), line_means(counts, todo, scale)


def _goals(
    lines: Lines,
    means: dict[str, np.ndarray],
    method: Method,
    targets: Targets,
    questions: tuple[Question, ...],
) -> dict[str, dict[str, float]]:
    """Per indicator, the mean to aim at in the two tiers whose distance is published, and in all others ("").

    The distance is what the questions still open must make up for, spread over all of them alike.
    """
    goal = {question.indicator: targets.scores[question.indicator] for question in questions}
    plain = {indicator: {"": score} for indicator, score in goal.items()}
    tier, lead = lines.frame["tier"].to_numpy(), targets.lead
    if lead is None or not (tier == lead.tier).any() or not (tier == lead.over).any():
        return plain
    later = {question.indicator: targets.scores[question.indicator] for question in MANNERS + SOLUTIONS}
    expected = {code: np.full(len(lines), score) for code, score in later.items()}

    def distance(raised: float) -> float:
        known = {code: mean for code, mean in means.items() if code not in goal}
        open_means = {code: expected[code] + np.where(tier == lead.tier, raised, 0.0) for code in goal}
        totals = forecast_totals(method, {**expected, **known, **open_means})
        return float(np.nanmean(totals[tier == lead.tier]) - np.nanmean(totals[tier == lead.over]))

    slope = distance(1.0) - distance(0.0)
    apart = (lead.points - distance(0.0)) / slope
    ahead, behind = int((tier == lead.tier).sum()), int((tier == lead.over).sum())
    return {
        indicator: {
            lead.tier: score + apart * behind / (ahead + behind),
            lead.over: score - apart * ahead / (ahead + behind),
            "": score,
        }
        for indicator, score in goal.items()
    }


def _tickets(rng: np.random.Generator, table: pd.DataFrame, wave: str) -> dict[str, np.ndarray]:
    """Ticket numbers of registered requests, and recordings."""
    size = len(table)
    number = rng.permutation(size) + 100001
    registered = (table["registered"] == "yes").to_numpy() | (table["responded"] == "yes").to_numpy()
    return {
        "ticket_no": only(registered, [f"GD{wave[:4]}{n}" for n in number]),
        "recording_ref": np.array([f"REC-{wave}-{n}" for n in rng.permutation(size) + 100001], dtype=object),
    }


def _second_codes(rng: np.random.Generator, table: pd.DataFrame, method: Method) -> dict[str, np.ndarray]:
    """A tenth of the probes coded again by another coder, who mostly sees it the same way.

    Clear cases are seconded more often than the lesser answers; another code is a neighbouring one.
    """
    size = len(table)
    double = rng.random(size) < DOUBLE_CODED
    first = rng.integers(0, len(CODERS), size)
    second = (first + rng.integers(1, len(CODERS), size)) % len(CODERS)
    columns = {"coder_id": CODERS[first], "second_coder_id": only(double, CODERS[second])}
    for question in MANNERS + SOLUTIONS:
        if question.second_differs is not None:
            columns[f"second_{question.field}"] = only(
                double, _seconded(rng, table[question.field].to_numpy(dtype=object), method, question)
            )
    return columns


def _seconded(rng: np.random.Generator, codes: np.ndarray, method: Method, question: Question) -> np.ndarray:
    """What a second coder would note for every call."""
    scale = method.scale(question.indicator, *question.lesser)
    ladder = scale.codes
    position = np.array([ladder.index(code) if code in ladder else -1 for code in codes])
    differs = rng.random(len(codes)) < (question.second_differs or 0) * np.where(position == 0, 1.0, 3.0)
    step = np.where(rng.random(len(codes)) < 0.7, -1, 1)
    other = np.clip(np.where(position == 0, 1, position + step), 0, len(ladder) - 1)
    return np.where(differs & (position >= 0), scale.labels[other], codes)
