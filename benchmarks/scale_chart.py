"""The results of `bench_scale.py` as a chart with two logarithmic axes and as tables of docs/performance.md.

Belongs here: what is shown of the results, and where it is written. Does not belong here: measuring, targets.
The same results give the same bytes.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.bench_scale import BESIDE, SCRIPTS, STAGES, verdicts
from dagster_project.paths import PROJECT
from dagster_project.report.plan_chart import HEIGHT, WIDTH, Curve, Panel, Scale, Tick

CHART = PROJECT / "docs" / "performance-scale.svg"
PAGE = PROJECT / "docs" / "performance.md"
BEGIN, END = "<!-- scale: written by `python -m benchmarks.bench_scale --chart` -->", "<!-- end of scale -->"
# what is drawn, and its name: the other stages stand in the table
DRAWN = {
    "scores": "scoring", "floor": "bare scan", "bronze_polars": "polars script", "bronze_pandas": "pandas script",
    "ingest": "ingest", "one_line_scores": "scoring of one line", "full_run": "whole run", "release": "release",
}  # fmt: skip
ROWS = (*STAGES, *BESIDE, "full_run", "one_line_run", "floor", *SCRIPTS)
Results = dict[str, Any]


def write_chart(results: Results, path: Path = CHART) -> None:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    panels = [
        _panel(results, "Seconds of its own", seconds_of, None),
        _panel(results, "Memory of all processes at once, MiB", memory_of, 2048),
    ]
    text = environment.get_template("scale_chart.svg").render(panels=panels, width=WIDTH, height=HEIGHT)
    path.write_text(text, encoding="utf-8")


def write_table(results: Results, page: Path = PAGE) -> None:
    """Replace what stands between the two markers of the page. Raises ValueError where they are not there."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page.name} lacks the markers of the scale tables")
    page.write_text(f"{before}{begin}\n{tables(results)}{end}{after}", encoding="utf-8")


def tables(results: Results) -> str:
    """Where and how it was measured, the chart, one row per case, one per target: Markdown."""
    chart = [f"![Seconds and memory by the number of observations]({CHART.name})"]
    parts = (_how(results), chart, _cases(results), _targets(results))
    return "\n" + "\n\n".join(["\n".join(part) for part in parts]) + "\n\n"


def seconds_of(case: Results) -> float:
    """Seconds of a stage's own work; of a command, from its start to its end."""
    seconds: float = case.get("seconds", case["wall_s"])["median"]
    return seconds


def memory_of(case: Results) -> float:
    memory: float = case["tree_mib"]["median"]
    return memory


# The tables -------------------------------------------------------------------------------------------


def _sizes(results: Results) -> dict[int, Results]:
    return {int(size): results["sizes"][size] for size in sorted(results["sizes"], key=int)}


def _how(results: Results) -> Iterator[str]:
    machine = results["machine"]
    system = f"{machine['system']}, Python {machine['python']}"
    yield f"{machine['cpus_usable']} cores, {machine['memory_gib']} GiB, {system}, the versions of `requirements.lock`."
    yield ""
    for size, each in _sizes(results).items():
        is_changed = "" if each["code"]["is_clean"] else ", changed"
        overhead = each["cases"]["full_run"]["overhead_s"]
        rounds = "one round" if each["repetitions"] == 1 else f"medians of {each['repetitions']}"
        yield (
            f"- {_number(size)}: commit {each['code']['commit']}{is_changed}; {each['observations']:,} observations of "
            f"{each['rows']:,} rows; {each['export_bytes'] / 2**20:,.0f} MiB of exports, "
            f"{each['bronze_bytes'] / 2**20:,.1f} MiB of bronze; {rounds}; others used "
            f"{each['busy_elsewhere_pct']} % of the machine meanwhile; overhead {_spread(overhead)} s."
        )
        for name, reason in each["left_out"].items():
            yield f"  Left out: `{name}`, {reason}."


def _cases(results: Results) -> Iterator[str]:
    sizes = _sizes(results)
    yield "| seconds (MiB) | " + " | ".join(map(_number, sizes)) + " |"
    yield "|---" * (len(sizes) + 1) + "|"
    for name in ROWS:
        cells = [
            f"{_digits(seconds_of(case))} ({memory_of(case):,.0f})" if (case := each["cases"].get(name)) else ""
            for each in sizes.values()
        ]
        yield f"| `{name}` | " + " | ".join(cells) + " |"


def _targets(results: Results) -> Iterator[str]:
    yield "| target | measured | limit | |"
    yield "|---|---|---|---|"
    words = {True: "met", False: "**not met**", None: "not measured"}
    for each in verdicts(results):
        measured = "" if each.measured is None else _digits(each.measured)
        yield f"| {each.target} | {measured} | {each.limit:,g} | {words[each.is_met]} |"


def _number(size: int) -> str:
    return f"{size // 10**6} million" if size >= 10**6 else f"{size // 1000} thousand"


def _spread(values: dict[str, float]) -> str:
    return f"{values['median']:.1f} ({values['min']:.1f} to {values['max']:.1f})"


def _digits(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.2f}"


# The chart --------------------------------------------------------------------------------------------


def _panel(results: Results, title: str, value: Callable[[Results], float], bound: float | None) -> Panel:
    sizes = _sizes(results)
    points = {
        name: [(each["observations"], value(each["cases"][name])) for each in sizes.values() if name in each["cases"]]
        for name in DRAWN
    }
    values = [value for of_case in points.values() for _, value in of_case] + ([bound] if bound else [])
    x_powers, y_powers = _powers([each["observations"] for each in sizes.values()]), _powers(values)
    x, y = _log(x_powers, 0, WIDTH), _log(y_powers, HEIGHT, 0)
    return Panel(
        title=title,
        x_title="observations",
        x_ticks=tuple(Tick(x(10**power), f"{10**power:,}") for power in x_powers),
        y_ticks=tuple(Tick(y(10.0**power), f"{10.0**power:,g}") for power in y_powers),
        curves=tuple(
            Curve(label, tuple((x(size), y(value)) for size, value in points[name])) for name, label in DRAWN.items()
        ),
        across=Tick(y(bound), f"target {bound:,g}") if bound else None,
        down=None,
    )


def _powers(values: list[float]) -> range:
    """Powers of ten that hold all the values."""
    return range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)


def _log(powers: range, at_low: float, at_high: float) -> Scale:
    span = max(len(powers) - 1, 1)
    return lambda value: round(at_low + (math.log10(value) - powers[0]) / span * (at_high - at_low), 1)
