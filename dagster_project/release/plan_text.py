"""A fieldwork plan in words and as data.

Belongs here: how a plan is told. Does not belong here: what is in it (`plan.py`), its chart
(`report/plan_chart.py`).
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import is_dataclass
from decimal import Decimal
from typing import Any

from dagster_project.release.plan import RATES_PCT, Allocation, AttemptsPlan, ErrorPlan, FieldPlan, TierPlan, TopPlan
from dagster_project.release.uncertainty import KINDS
from dagster_project.statistics.planning import ATTEMPTS_LIMIT, FACTOR_LIMIT, PROBABILITY

KIND_LABELS = {"call": "电话", "inspection": "网页检查", "request": "网上诉求"}
PER_LINE = ("电话 calls", "网页检查 inspections", "网上诉求 requests", "拨打 diallings", "标准误 s.e.")
Rows = Sequence[Sequence[str]]


def as_data(plan: FieldPlan) -> Any:
    """The plan as JSON takes it: probes by their kind, numbers to six decimals."""
    return {**_plain(plan), "kinds": list(KINDS), "rates_pct": list(RATES_PCT)}


def _plain(value: Any) -> Any:
    if isinstance(value, Allocation):
        probes = dict(zip(KINDS, value.probes, strict=True))
        return {**probes, "diallings": value.diallings, "standard_error": round(value.standard_error, 6)}
    if is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return str(value)
    return round(value, 6) if isinstance(value, float) else value


def as_text(plan: FieldPlan) -> str:
    """The plan for a terminal, in Chinese and English."""
    mark = f"  {plan.note} / simulated data" if plan.note else ""
    lines = [f"{plan.wave}  {plan.label}{mark}", f"  依据发布 / from release {plan.release}"]
    lines += _errors(plan.errors) if plan.errors else []
    lines += _top(plan.top) if plan.top else []
    return "\n".join([*lines, *_attempts(plan.attempts)])


def _errors(plan: ErrorPlan) -> list[str]:
    lines = [
        "",
        f"标准误 {plan.target} 分,每条热线所需(现有 → 所需)",
        f"per line, for a standard error of {plan.target} points (now → needed)",
        "",
        "方差来源,全部热线的中位数 / what the variance is made of, median line",
        *_table(("种类 kind", "现有 now", "一次的标准差 s.d. of one", "占方差 share", "单价 cost"), _kinds(plan)),
    ]
    for title, which in (
        ("按现有比例增加 / all kinds in the present proportion", "proportional"),
        ("最省 / at the lowest cost", "cheapest"),
    ):
        rows = [
            [tier.tier, str(tier.n_lines), *_changes(tier.now, getattr(tier, which)), _cost(plan, tier, which)]
            for tier in plan.tiers
        ]
        lines += ["", title, *_table(("层级 tier", "热线 lines", *PER_LINE, "费用 cost"), rows), _most(plan, which)]
    published = f"{plan.tiers[0].published_error:.2f}"
    return [
        *lines,
        "",
        f"“现有”指中位数热线,半数热线的标准误更大。已公布标准误的中位数为 {published} 分(经收缩)。",
        f"now: the median line; half of the lines have a larger error. The median of the published ones, which are "
        f"shrunk, is {published}.",
    ]


def _kinds(plan: ErrorPlan) -> Rows:
    everyone = plan.tiers[0]
    whole = everyone.now.standard_error**2
    rows = []
    for kind, n, unit, cost in zip(KINDS, everyone.now.probes, everyone.unit_variances, plan.costs, strict=True):
        share = f"{unit / n / whole:.0%}" if n and whole else "–"
        rows.append([f"{KIND_LABELS[kind]} {kind}", str(n), f"{unit**0.5:.2f}", share, f"{cost}"])
    return rows


def _cells(each: Allocation) -> list[str]:
    return [*map(str, each.probes), str(each.diallings), f"{each.standard_error:.2f}"]


def _changes(now: Allocation, needed: Allocation) -> list[str]:
    return [f"{before} → {after}" for before, after in zip(_cells(now), _cells(needed), strict=True)]


def _cost(plan: ErrorPlan, tier: TierPlan, which: str) -> str:
    return " → ".join(
        f"{sum(n * cost for n, cost in zip(each.probes, plan.costs, strict=True)):f}"
        for each in (tier.now, getattr(tier, which))
    )


def _most(plan: ErrorPlan, which: str) -> str:
    """What suffices for the median line of every tier."""
    allocations: list[Allocation] = [getattr(tier, which) for tier in plan.tiers]
    probes = [max(of_kind) for of_kind in zip(*(each.probes for each in allocations), strict=True)]
    chinese, english = _named(probes, max(each.diallings for each in allocations))
    return f"各级都够 / enough for every tier: {chinese} / {english}"


def _named(probes: Sequence[int], diallings: int) -> tuple[str, str]:
    chinese = "、".join(f"{KIND_LABELS[kind]} {n}" for kind, n in zip(KINDS, probes, strict=True))
    english = ", ".join(f"{n} {kind}s" for kind, n in zip(KINDS, probes, strict=True))
    return f"{chinese}、拨打 {diallings}", f"{english}, {diallings} diallings"


def _top(plan: TopPlan) -> list[str]:
    header = ("倍数 factor", f"确定在前{plan.top}名 sure of top {plan.top}", *PER_LINE)
    steps = plan.steps if plan.needed is None else (*plan.steps, plan.needed)
    rows = [
        [f"{step.factor:g}", f"{step.n_sure}/{plan.top}", *_cells(step.per_line)]
        for step in sorted(steps, key=lambda step: step.factor)
    ]
    return [
        "",
        f"{plan.group}:得分保持不变时,把前 {plan.top} 名与其余 {plan.n_units - plan.top} 个全部区分开(整表 95%)",
        f"the top {plan.top} of {plan.n_units} told apart from all others (95 % for the table), scores as they were",
        f"第 {plan.top} 名 {plan.last_in:.2f} 分,其后 {plan.first_out:.2f} 分 / the last in and the first out",
        "",
        *_table(header, rows),
        "",
        *_verdict(plan),
    ]


def _verdict(plan: TopPlan) -> list[str]:
    if plan.needed is None:
        return [
            f"{FACTOR_LIMIT} 倍仍不够:仅靠增加监测无法区分,得分相同或过于接近",
            f"not reachable by probing alone: {FACTOR_LIMIT} times the probes do not suffice; scores are "
            "equal or too close",
        ]
    chinese, english = _named(plan.needed.per_line.probes, plan.needed.per_line.diallings)
    factor = f"{plan.needed.factor:g}"
    return [f"需要 {factor} 倍,每条热线:{chinese}", f"needed: {factor} times, per line {english}"]


def _attempts(plan: AttemptsPlan) -> list[str]:
    best, sure = plan.best_class, f"{float(PROBABILITY):.0%}"
    header = (
        "拨打 diallings",
        "容许未接通 misses",
        "一次未接通后 after one miss",
        *(f"实际 {rate}% true rate" for rate in RATES_PCT),
    )
    rows = [
        [f"{row.attempts}", f"{row.allowed_misses}", row.after_one_miss, *(f"{each:.1%}" for each in row.probabilities)]
        for row in plan.rows
    ]
    lines = [
        "",
        f"拨打次数与“{best}”:容许几次未接通;按实际接通率,一期中评为{best}的概率",
        "diallings and the best class: failures allowed; its probability in one wave, by a line's true rate",
        "",
        *_table(header, rows),
        "",
        f"以 {sure} 的概率评为{best}所需拨打 / diallings for a probability of {sure}",
    ]
    needed = [
        [f"{rate}%", *(f"{n}" if n else f">{ATTEMPTS_LIMIT}" for n in (each.smallest, each.always_from))]
        for rate, each in zip(RATES_PCT, plan.needed, strict=True)
    ]
    smallest = f"委托 {plan.commissioned} 次起最少 fewest from {plan.commissioned}"
    return [*lines, *_table(("实际接通率 true rate", smallest, "此后总够 always from"), needed)]


def _table(header: Sequence[str], rows: Rows) -> list[str]:
    """Columns as wide as their widest cell on a terminal; the first to the left, the others to the right."""
    widths = [max(_width(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return [
        "  ".join(
            _pad(cell, width, is_left=column == 0) for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *rows]
    ]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _pad(text: str, width: int, is_left: bool) -> str:
    space = " " * (width - _width(text))
    return text + space if is_left else space + text
