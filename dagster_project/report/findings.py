"""The findings of a release: their text from its claims, their charts from its figures.

Belongs here: which finding says and shows what (`findings.yml`). Does not belong here: how a chart
is drawn, which each form of the report does in its own way.
"""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from dagster_project.release.reading import Release, Row

DECLARED = Path(__file__).with_name("findings.yml")
UNITS = {"point": "分", "percent": "%", "count": "条"}


@dataclass(frozen=True)
class Bar:
    """One figure of a chart. `before` is the baseline's printed value, None where there is none."""

    figure_id: str
    label: str
    value: Decimal
    before: Decimal | None
    k: int | None
    n: int | None
    footnote: str | None


@dataclass(frozen=True)
class Chart:
    """`kind`: bars, or partition (the parts of one whole). `unit` as printed."""

    id: str
    title: str
    kind: str
    unit: str
    bars: tuple[Bar, ...]

    @property
    def has_before(self) -> bool:
        return any(bar.before is not None for bar in self.bars)

    @property
    def data(self) -> dict[str, Any]:
        """What draws the chart, as JSON has it: the release's own numbers."""
        return {
            "title": self.title,
            "kind": self.kind,
            "unit": self.unit,
            "labels": [bar.label for bar in self.bars],
            "values": [float(bar.value) for bar in self.bars],
            "before": [None if bar.before is None else float(bar.before) for bar in self.bars]
            if self.has_before
            else None,
        }


@dataclass(frozen=True)
class Finding:
    """One finding: sentences that have been checked, and charts."""

    id: str
    title: str
    sentences: tuple[str, ...]
    charts: tuple[Chart, ...]


def findings(release: Release) -> list[Finding]:
    """Every declared finding, in order, of which the release has a figure or a sentence."""
    declared = yaml.safe_load(DECLARED.read_text(encoding="utf-8"))
    sections = {section["id"]: section for section in release.claims["sections"]}
    result = []
    for each in declared:
        sentences = tuple(sentence["text"] for sentence in sections.get(each["claims"], {"sentences": []})["sentences"])
        charts = tuple(chart for spec in each["charts"] if (chart := _chart(release, spec)).bars)
        if sentences or charts:
            result.append(Finding(each["id"], each["title"], sentences, charts))
    return result


def _chart(release: Release, spec: Row) -> Chart:
    figures = [
        figure for name in spec["figures"] if (figure := release.figures.get(name)) and figure["value"] is not None
    ]
    unit = UNITS[figures[0]["unit"]] if figures else ""
    return Chart(spec["id"], spec["title"], spec["kind"], unit, tuple(map(_bar, figures)))


def _bar(figure: Row) -> Bar:
    value, change = figure["value"], figure["change"]
    return Bar(
        figure_id=figure["id"],
        label=figure["label"],
        value=value,
        # changes are differences of printed values: so is this
        before=None if change is None else value - change,
        k=figure["k"],
        n=figure["n"],
        footnote=figure["footnote"],
    )
