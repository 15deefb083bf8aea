"""The chart of a fieldwork plan, as one SVG that any browser opens from its folder.

Belongs here: what stands where on it. Does not belong here: how it looks (`templates/plan.svg`), what is
planned (`release/plan.py`).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dagster_project.files import replace_files
from dagster_project.release.plan import AttemptsPlan, ErrorPlan, FieldPlan, TopPlan
from dagster_project.release.plan_text import KIND_LABELS
from dagster_project.release.uncertainty import KINDS
from dagster_project.statistics.planning import standard_error

HERE = Path(__file__).parent
WIDTH, HEIGHT = 480, 300  # of a panel's inside, in pixels
STEPS_PER_DOUBLING = 8  # of a curve
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Curve:
    """`points` in order; `is_dotted`: each of them is marked, since nothing is known between them."""

    label: str
    points: tuple[tuple[float, float], ...]
    is_dotted: bool = False


@dataclass(frozen=True)
class Panel:
    """One drawing, in pixels from its upper left corner. `across`, `down`: a line at a value, if there is one."""

    title: str
    x_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...]
    across: Tick | None
    down: Tick | None


def write_chart(plan: FieldPlan, path: Path) -> None:
    """Draw the plan into `path`. The same plan gives the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    first = _errors(plan.errors) if plan.errors else _top(plan.top) if plan.top else None
    panels = [panel for panel in (first, _misses(plan.attempts)) if panel]
    text = environment.get_template("plan.svg").render(plan=plan, panels=panels, width=WIDTH, height=HEIGHT)
    replace_files({path: text.encode()})


def _errors(plan: ErrorPlan) -> Panel:
    """The standard error of the median line: all kinds more often, or one of them alone."""
    tier = plan.tiers[0]
    unit, now, target = tier.unit_variances, tier.now, float(plan.target)
    needed = max((now.standard_error / target) ** 2, 1.0)
    doublings = min(max(math.ceil(math.log2(needed)), 3), 10)
    top = max(now.standard_error, target) * 1.1
    factors = [2 ** (step / STEPS_PER_DOUBLING) for step in range(doublings * STEPS_PER_DOUBLING + 1)]

    def error(factor: float, kinds: Iterable[str]) -> float:
        return standard_error(
            unit, [n * factor if kind in kinds else n for kind, n in zip(KINDS, now.probes, strict=True)]
        )

    named = [("全部 all kinds", KINDS), *((f"只加{KIND_LABELS[kind]} {kind}s only", (kind,)) for kind in KINDS)]
    x, y = _doublings(doublings), _linear(0, top, HEIGHT, 0)
    return Panel(
        title="标准误与监测数量 / standard error and number of probes",
        x_title="现有的倍数,下为电话次数 / times the present number; below: calls",
        x_ticks=tuple(Tick(x(2**n), f"×{2**n}|{now.probes[0] * 2**n}") for n in range(doublings + 1)),
        y_ticks=_ticks(y, top),
        curves=tuple(
            Curve(label, tuple((x(factor), y(error(factor, kinds))) for factor in factors)) for label, kinds in named
        ),
        across=Tick(y(target), f"目标 target {plan.target}"),
        down=Tick(x(needed), f"×{needed:.1f}") if needed <= factors[-1] else None,
    )


def _top(plan: TopPlan) -> Panel:
    """How many of the top are sure, at doubling numbers of probes."""
    doublings = len(plan.steps) - 1 or 1
    x, y = _doublings(doublings), _linear(0, plan.top * 1.1, HEIGHT, 0)
    known = sorted((*plan.steps, *([plan.needed] if plan.needed else [])), key=lambda step: step.factor)
    return Panel(
        title=f"确定在前 {plan.top} 名的单位数 / units that are surely among the top {plan.top}",
        x_title="现有的倍数,下为电话次数 / times the present number; below: calls",
        x_ticks=tuple(Tick(x(step.factor), f"×{step.factor:g}|{step.per_line.probes[0]}") for step in plan.steps),
        y_ticks=_ticks(y, plan.top, least=1),
        curves=(Curve("确定 sure", tuple((x(step.factor), y(step.n_sure)) for step in known), is_dotted=True),),
        across=Tick(y(plan.top), f"前 {plan.top} 名 top {plan.top}"),
        down=Tick(x(plan.needed.factor), f"×{plan.needed.factor:g}") if plan.needed else None,
    )


def _misses(plan: AttemptsPlan) -> Panel:
    """How many failed diallings leave a line in the best class: a staircase."""
    most = len(plan.misses)
    top = plan.misses[-1] * 1.1 or 1.0
    x, y = _linear(0, most, 0, WIDTH), _linear(0, top, HEIGHT, 0)
    stairs = [(x(n), y(at)) for n in range(2, most + 1) for at in plan.misses[n - 2 : n]]
    return Panel(
        title=f"仍为{plan.best_class}容许的未接通次数 / failed diallings that the best class allows",
        x_title="拨打次数 / diallings",
        x_ticks=tuple(Tick(x(n), str(n)) for n in range(0, most + 1, max(most // 5, 1))),
        y_ticks=_ticks(y, top, least=1),
        curves=(Curve("容许未接通 misses allowed", tuple(stairs)),),
        across=None,
        down=Tick(x(plan.commissioned), f"委托 commissioned {plan.commissioned}"),
    )


def _linear(low: float, high: float, at_low: float, at_high: float) -> Scale:
    return lambda value: round(at_low + (value - low) / (high - low) * (at_high - at_low), 1)


def _doublings(n: int) -> Scale:
    """From 1 to 2^n across a panel."""
    return lambda factor: round(math.log2(factor) / n * WIDTH, 1)


def _ticks(y: Scale, top: float, least: float = 0) -> tuple[Tick, ...]:
    """At most six round values from 0 to `top`, `least` or more apart."""
    steps = (base * 10**power for power in range(-3, 6) for base in (1, 2, 5))
    step = next(step for step in steps if step >= least and top / step <= 6)
    return tuple(Tick(y(n * step), f"{n * step:g}") for n in range(int(top / step) + 1))
