"""What the simulator must know of a method version: scales, bounds of flags and classes, weights.

Belongs here: reading `raw/methods/<v>/` for the simulator. Does not belong here: any
number of its own, and any published score (scoring is dbt's).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dagster_project.simulate.quota import Scale

ROOT = "T"


@dataclass(frozen=True)
class Method:
    """One method version, as its CSVs say it."""

    scenarios: pd.DataFrame
    rules: pd.DataFrame
    indicators: pd.DataFrame
    class_below_pct: dict[str, int]
    flag_pct: dict[str, int]
    band_pct: dict[str, int]
    min_availability_pct: int

    def scale(self, indicator: str, *lesser: float) -> Scale:
        """The scored answers of an indicator, best first; `lesser` divides those after the best."""
        scored = self._scored(indicator)
        match = scored["match"].where(scored["match"] != "", scored["rule_code"])
        return Scale(tuple(match), scored["score"].astype(float).to_numpy(), np.array(lesser or (1.0,)))

    def rule_codes(self, indicator: str) -> list[str]:
        """The rules behind the scale of an indicator, in its order."""
        return list(self._scored(indicator)["rule_code"])

    def ranges(self, indicator: str) -> list[tuple[int, int | None]]:
        """Value ranges of an indicator that is measured, in the order of its scale: from, below."""
        scored = self._scored(indicator)
        scored = scored[scored["min_value"] != ""]
        return [
            (int(low), int(high) if high else None)
            for low, high in zip(scored["min_value"], scored["max_value"], strict=True)
        ]

    def _scored(self, indicator: str) -> pd.DataFrame:
        rules = self.rules[(self.rules["indicator_code"] == indicator) & (self.rules["score"] != "")]
        return rules.assign(points=rules["score"].astype(float)).sort_values("points", ascending=False, kind="stable")


def load_method(folder: Path) -> Method:
    """The method version in `folder`."""

    def table(name: str) -> pd.DataFrame:
        return pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)

    classes, flags, bands, settings = (table(t) for t in ("line_class_rules", "line_flags", "line_bands", "settings"))
    below = classes[classes["below_pct"] != ""]
    setting = dict(zip(settings["setting"], settings["value"], strict=True))
    return Method(
        scenarios=table("scenarios"),
        rules=table("scoring_rules"),
        indicators=table("indicators"),
        class_below_pct=_percents(below, "line_class", "below_pct"),
        flag_pct=_percents(flags, "flag_code", "min_rate_pct"),
        band_pct=_percents(bands, "band_code", "min_pct"),
        min_availability_pct=int(setting["min_availability_pct"]),
    )


def _percents(table: pd.DataFrame, code: str, percent: str) -> dict[str, int]:
    return {name: int(value) for name, value in zip(table[code], table[percent], strict=True)}


def forecast_totals(method: Method, means: dict[str, np.ndarray]) -> np.ndarray:
    """Roughly the total of every line, from its mean per indicator (NaN: not available).

    Floating point, and only to shape probes by: the score itself is computed by dbt, in integers.
    """
    tree = method.indicators
    level = {code: means[code] for code in tree["indicator_code"]}
    for child, parent, weight in (
        ("indicator_code", "l2_code", "l3_weight"),
        ("l2_code", "l1_code", "l2_weight"),
        ("l1_code", None, "l1_weight"),
    ):
        edges = tree.drop_duplicates(child)
        parents = edges[parent] if parent else pd.Series(ROOT, index=edges.index)
        level = {
            node: _weighted(
                [level[code] for code in group[child]],
                group[weight].astype(float).to_numpy(),
                method.min_availability_pct,
            )
            for node, group in edges.groupby(parents, sort=True)
        }
    return level[ROOT]


def _weighted(children: list[np.ndarray], weights: np.ndarray, min_pct: int) -> np.ndarray:
    stacked = np.stack(children)
    present = (~np.isnan(stacked) * weights[:, None]).sum(axis=0)
    total = np.nansum(stacked * weights[:, None], axis=0)
    enough = present * 100 >= min_pct * weights.sum()
    return np.where(enough, total / np.where(present > 0, present, 1), np.nan)
