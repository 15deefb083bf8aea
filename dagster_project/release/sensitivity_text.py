"""Sensitivity of a release, as people and programs read it.

Belongs here: what is shown, and in which words. Does not belong here: how it is computed (`sensitivity.py`).
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from typing import Any

from dagster_project.release.reading import Release, Row
from dagster_project.release.sensitivity import Sensitivity
from dagster_project.statistics.sobol import Sobol
from dagster_project.statistics.weight_sensitivity import N_DRAWS, SPREAD

Indices = Mapping[str, Mapping[str, Sobol]]
N_WEIGHTS, N_UNITS = 8, 5  # that are shown of each group; --json has them all


def as_json(release: Release, found: Sensitivity, indices: Indices | None = None) -> str:
    """Every row of every table; `sobol` where it was asked for."""
    content: dict[str, Any] = {
        "wave": release.manifest["wave"],
        "release": release.id,
        "synthetic": release.manifest["synthetic"],
        **{name: table.to_pylist() for name, table in vars(found).items()},
    }
    if indices is not None:
        content["sobol"] = {
            group: {code: asdict(index) for code, index in each.items()} for group, each in indices.items()
        }
    return json.dumps(content, ensure_ascii=False, indent=1)


def as_text(release: Release, found: Sensitivity, indices: Indices | None = None) -> str:
    """The weights that matter most, the widest ranges, and what thresholds decide."""
    shifts = found.rank_shifts.to_pylist()
    labels = {group["group_code"]: group["group_label"] for group in release.method("rank_groups")}
    lines = [
        f"{release.manifest['wave']}  {release.id}" + (f"  {release.note}" if release.note else ""),
        f"各级权重各乘 {1 - SPREAD:g}–{1 + SPREAD:g} 间的随机数,共 {N_DRAWS:,} 次;与抽样误差是两回事,不相加",
        f"every weight times {1 - SPREAD:g} to {1 + SPREAD:g}, drawn {N_DRAWS:,} times; this is not sampling "
        "uncertainty, and never added to it",
    ]
    for shift in shifts:
        group = shift["group_code"]
        lines += [
            "",
            f"{labels[group]} / {group}: n = {shift['n_units']}, 平均移动位次 / mean shift in ranks "
            f"{shift['mean_rank_shift']:.2f}",
            *_weights(release, _of(found.weight_importance.to_pylist(), group)),
            *_ranges(release, group, _of(found.weight_sensitivity.to_pylist(), group)),
            *(_sobol(release, indices[group]) if indices is not None else []),
        ]
    return "\n".join([*lines, "", *_thresholds(release, found)])


def _of(rows: list[Row], group: str) -> list[Row]:
    return [row for row in rows if row["group_code"] == group]


def _weights(release: Release, rows: list[Row]) -> list[str]:
    largest = sorted(rows, key=lambda row: (-row["importance"], row["node_code"]))[:N_WEIGHTS]
    return [
        "  影响最大的权重:占名次变动的份额(95% 区间)/ weights that matter most: share of the ranks' variance (95 %)",
        *(
            f"    {row['importance']:6.1%}  {row['low']:5.1%}–{row['high']:5.1%}  {row['node_code']} "
            f"{release.tree[row['node_code']].label}"
            for row in largest
        ),
        f"    {sum(row['importance'] for row in rows):6.1%}  各权重单独之和,余为共同作用 / all; the rest is joint",
    ]


def _ranges(release: Release, group: str, rows: list[Row]) -> list[str]:
    listed = {row["unit_code"]: row for row in release.rankings[group]}
    widest = sorted(rows, key=lambda row: (row["rank_p05"] - row["rank_p95"], row["unit_code"]))[:N_UNITS]
    in_doubt = [row for row in rows if 0 < row["p_top_10"] < 1]
    return [
        "  名次区间最宽者(5–95%)/ widest ranges of ranks (5–95 %)",
        *(
            f"    {listed[row['unit_code']]['rank']:4}  {row['rank_p05']:4}–{row['rank_p95']:<4}  {row['unit_code']} "
            f"{listed[row['unit_code']]['unit_name']}"
            for row in widest
        ),
        f"  前十取决于权重者 {len(in_doubt)} 个 / units whose place in the top ten hangs on the weights",
        *(
            f"    {listed[row['unit_code']]['rank']:4}  {row['p_top_10']:6.1%}  {row['unit_code']} "
            f"{listed[row['unit_code']]['unit_name']}"
            for row in sorted(in_doubt, key=lambda row: (-row["p_top_10"], row["unit_code"]))
            if row["p_top_10"] >= 0.01
        ),
    ]


def _sobol(release: Release, indices: Mapping[str, Sobol]) -> list[str]:
    largest = sorted(indices.items(), key=lambda each: (-each[1].total, each[0]))[:N_WEIGHTS]
    return [
        "  Sobol 指数(平均名次移动):单独 / 含共同作用 / Sobol indices of the mean shift in ranks: first order, total",
        *(
            f"    {index.first:6.3f} ±{index.first_error:.3f}  {index.total:6.3f} ±{index.total_error:.3f}  {code} "
            f"{release.tree[code].label}"
            for code, index in largest
        ),
    ]


def _thresholds(release: Release, found: Sensitivity) -> list[str]:
    classes = release.class_labels
    margins = found.class_margins.to_pylist()
    lines = ["阈值移动后各类热线数(* 为现行)/ lines per class under moved thresholds (* the method's)"]
    for (threshold, is_own, counts), values in groupby(_settings(release, found), key=itemgetter(0, 1, 2)):
        span = "–".join(dict.fromkeys(str(each) for each in _ends([value for *_, value in values])))
        told = "  ".join(f"{classes[name]} {n:3}" for name, n in counts)
        lines.append(f"  {'*' if is_own else ' '} {classes[threshold]} {threshold} < {span:6} %  {told}")
    for column, words in (
        ("misses_to_other", "少接通一次即换类 / one connected call less means another class"),
        ("hits_to_other", "多接通一次即换类 / one connected call more means another class"),
    ):
        n_lines = Counter(row["line_class"] for row in margins if row[column] == 1)
        lines.append(f"  {words}: {', '.join(f'{classes[code]} {n_lines[code]}' for code in classes)}")
    return lines


def _settings(release: Release, found: Sensitivity) -> list[tuple[str, bool, tuple[tuple[str, int], ...], int]]:
    """(threshold, whether its value is the method's, lines per class, value), by threshold and value."""
    own = {(row["line_class"], row["below_pct"]) for row in release.method("line_class_rules")}
    rows = groupby(found.threshold_sensitivity.to_pylist(), key=itemgetter("threshold", "below_pct"))
    return [
        (threshold, (threshold, str(value)) in own, tuple((row["line_class"], row["n_lines"]) for row in each), value)
        for (threshold, value), each in rows
    ]


def _ends(values: list[int]) -> tuple[int, int]:
    return values[0], values[-1]
