"""The release as PDF: the report, and a page for one line.

Belongs here: what the templates are given, as texts ready to print, and how they are set. Does not
belong here: how a page looks (`templates/*.typ`), and sentences, which are the release's claims.
The templates are given JSON and nothing else: a text of the release is never part of a template.
"""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import typst

from dagster_project.claims.wording import is_wide, place_words
from dagster_project.errors import HotlineError, UsageError
from dagster_project.files import replace_files
from dagster_project.release.reading import CHANNELS, TOTAL, Node, Release, Row, extremes
from dagster_project.report import findings as findings_of
from dagster_project.report.comparison import is_plain, told
from dagster_project.report.findings import Finding, findings
from dagster_project.report.workbook import (
    EMPTY,
    NOT_RANKED,
    UNITS,
    class_rules,
    footnote,
    na_mark,
    period_end,
    visible,
)
from dagster_project.rounding import share

TEMPLATES = Path(__file__).parent / "templates"
TITLE = "12345热线服务质量监测报告"
# The first that is installed is used; any other family that says CJK will do as well.
CJK_FAMILIES = (
    "Noto Sans CJK SC", "Source Han Sans SC", "Source Han Sans CN", "Noto Sans SC", "Noto Sans CJK TC",
    "Noto Sans CJK JP", "Noto Serif CJK SC", "Source Han Serif SC", "Microsoft YaHei", "PingFang SC",
    "Hiragino Sans GB", "SimHei", "SimSun", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback",
    "AR PL UMing CN",
)  # fmt: skip
PIECE = 10
LONG_WORD = re.compile(r"[!-\u2e7f]{17,}")  # a release id is left whole
COMPARED = 5  # strongest and weakest indicators on a scorecard
MINUS = "−"
Chart = dict[str, Any]


@functools.cache
def _fonts() -> typst.Fonts:
    return typst.Fonts()


def cjk_font() -> str:
    """Name of an installed family with Chinese glyphs. Raises HotlineError where there is none."""
    families = _fonts().families()
    for family in (*CJK_FAMILIES, *sorted(name for name in families if "CJK" in name)):
        if family in families:
            return family
    raise HotlineError(
        "没有找到中文字体,无法生成 PDF;请安装,例如 apt install fonts-noto-cjk / "
        "no Chinese font is installed, so no PDF can be set; install one, e.g. apt install fonts-noto-cjk"
    )


def write_pdf(release: Release, path: Path) -> None:
    """Write the report to `path`; equal releases and fonts give equal bytes."""
    _write(release, "report.typ", _report(release), path)


def write_scorecard(release: Release, line_id: str, path: Path) -> None:
    """Write the page of one line to `path`. Raises UsageError where the release has no such line."""
    if line_id not in release.lines:
        raise UsageError(f"{line_id}:此发布中没有这条热线 / this release has no such line")
    _write(release, "scorecard.typ", _scorecard(release, line_id), path)


def _write(release: Release, template: str, content: Row, path: Path) -> None:
    wave = {"font": cjk_font(), "label": release.label, "note": release.note, "release": release.id}
    data = json.dumps(_printable({**wave, **content}), ensure_ascii=False, sort_keys=True)
    try:
        pdf = typst.compile(
            TEMPLATES / template,
            root=TEMPLATES,
            font_paths=_fonts(),
            format="pdf",
            sys_inputs={"data": data},
            timestamp=datetime.combine(period_end(release), time(), tzinfo=UTC),
        )
    except typst.TypstError as error:
        raise HotlineError(f"PDF 排版失败 / the PDF could not be set: {error.message}") from error
    replace_files({path: pdf})


def _printable(value: Any) -> Any:
    """`value` with every text of it safe to print, and numbers as JSON has them."""
    if isinstance(value, str):
        return _wrappable(visible(value))
    if isinstance(value, Mapping):
        return {key: _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def _wrappable(text: str) -> str:
    """Lets a long run of Latin characters break, as it may be wider than its column."""
    return LONG_WORD.sub(lambda found: "\u200b".join(re.findall(f".{{1,{PIECE}}}", found[0])), text)


# --- texts of numbers -------------------------------------------------------------------------


def _shown(value: Any, kind: str = "") -> str:
    if value is None:
        return EMPTY
    return str(int(value)) if kind == "count" else f"{value:.2f}"


def _signed(value: Any, kind: str = "") -> str:
    if value is None:
        return EMPTY
    text = _shown(abs(value), kind)
    if not value:
        return text
    return f"{'+' if value > 0 else MINUS}{text}"


def _change(row: Row, kind: str = "") -> str:
    return told(row, lambda value: _signed(value, kind))


def _gained(row: Row) -> str:
    """Places gained; in brackets, so that no arrow is drawn, where they do not rest on one method."""
    text = _signed(row["places_gained"], "count")
    return text if is_plain(row) or row["places_gained"] is None else f"({text})"


def _score(row: Row | None) -> str:
    """A printed score, why there is none, or nothing where the channel does not have the node."""
    if row is None:
        return ""
    return na_mark(row["na_reason"]) if row["published"] is None else _shown(row["published"])


def _rate(line: Row) -> str:
    if not line["attempts"]:
        return EMPTY
    return f"{share(line['connected'], line['attempts'])}%"


def _basis(figure: Row) -> str:
    if figure["kind"] == "count" or figure["n"] is None:
        return EMPTY
    return f"{figure['k']} / {figure['n']}" if figure["k"] is not None else f"n={figure['n']}"


# --- the report -------------------------------------------------------------------------------


def _report(release: Release) -> Row:
    release = _told(release)
    return {
        "title": TITLE,
        "facts": _facts(release),
        "sections": _sections(release),
        "recommendations": [
            {"title": each["title"], "text": each["text"]} for each in release.claims["recommendations"]
        ],
        "rankings": [_ranking(release, group) for group in release.method("rank_groups")],
        "not-ranked": NOT_RANKED,
        "classes": _class_lists(release),
        **_method(release),
    }  # fmt: skip


class _Untold(Release):
    """A release that was made before there were sentences."""

    claims: Row = {"sections": [], "recommendations": []}  # noqa: RUF012


def _told(release: Release) -> Release:
    return release if (release.folder / "claims.json").exists() else _Untold(release.folder)


def _facts(release: Release) -> list[tuple[str, str]]:
    manifest = release.manifest
    period, baseline = manifest["field_period"], manifest["baseline"]
    return [
        ("监测期", f"{period['start']} 至 {period['end']}"),
        ("热线数", f"{len(release.lines)} 条"),
        ("基期", f"{baseline['wave']}(发布编号 {baseline['release']})" if baseline else "无"),
        ("方法版本", str(manifest["method_version"])),
        ("发布编号", release.id),
        ("数据性质", release.note or "实测数据"),
    ]


def _sections(release: Release) -> list[Row]:
    """The findings, then what no finding draws: scores by scenario, and the figures that are left."""
    told = findings(release)
    drawn = {bar.figure_id for finding in told for chart in finding.charts for bar in chart.bars}
    sections = [
        {
            "title": finding.title, "sentences": finding.sentences,
            "charts": [_chart(release, chart) for chart in finding.charts], "footnotes": _footnotes(release, finding),
        }
        for finding in told
    ]  # fmt: skip
    means = release.aggregates["national", "all"]
    by_channel = _by_channel("总体与一级指标得分(按渠道)", _first_level(release), means)
    sections.append({"title": "分渠道得分", "charts": [by_channel]})
    scenarios, figures = _scenarios(release)
    if figures:
        sections.append({"title": "分场景得分", "charts": [scenarios]})
    left = [figure for name, figure in release.figures.items() if name not in drawn | figures]
    if left:
        sections.append({"title": "其余数据", "numbers": [_number_row(figure) for figure in left]})
    empty: Row = {"sentences": [], "charts": [], "numbers": [], "footnotes": []}
    return [empty | section for section in sections]


def _first_level(release: Release) -> list[Node]:
    return [node for node in release.tree.values() if node.level <= 1]


def _footnotes(release: Release, finding: Finding) -> list[str]:
    bars = (bar for chart in finding.charts for bar in chart.bars)
    return [f"{bar.label}:{footnote(release.figures[bar.figure_id])}。" for bar in bars if bar.footnote]


def _chart(release: Release, chart: findings_of.Chart) -> Chart:
    """A finding's chart. Scores and shares run to 100, numbers of lines to all of them."""
    title = f"{chart.title}({chart.unit})"
    if chart.kind == "partition":
        parts = [{"label": bar.label, "value": bar.value, "shown": f"{_shown(bar.value)}%"} for bar in chart.bars]
        return {"kind": "stacked", "title": title, "parts": parts}
    rows = [{**_bar(release.figures[bar.figure_id]), "before": bar.before} for bar in chart.bars]
    values = [value for bar in chart.bars for value in (bar.value, bar.before) if value is not None]
    top = 100 if chart.unit in (UNITS["point"], UNITS["percent"]) else max(len(release.lines), *values)
    baseline = release.manifest["baseline"]
    mark = f"竖线为基期({baseline['wave']})" if baseline and chart.has_before else ""
    return {"kind": "bars", "title": title, "max": top, "rows": rows, "mark": mark}


def _scenarios(release: Release) -> tuple[Chart, set[str]]:
    """Scores by scenario, a bar for each indicator, and the ids of the figures that they are."""
    names = {row["scenario_code"]: row["scenario"] for row in release.method("scenarios")}
    measures = [row for row in release.method("figures") if row["measure"] == "scenario_mean"]
    values = {
        (row["member"], row["code"]): release.figures[row["figure_id"]]["value"]
        for row in measures
        if row["figure_id"] in release.figures
    }
    codes = list(dict.fromkeys(code for _, code in values))
    rows = []
    for scenario in dict.fromkeys(scenario for scenario, _ in values):
        own = [values.get((scenario, code)) for code in codes]
        shown = [_shown(value) for value in own]
        rows.append({"label": names.get(scenario, scenario), "values": own, "shown": shown})
    series = [release.tree[code].label if code in release.tree else code for code in codes]
    chart = {"kind": "grouped", "title": "各场景得分(分)", "max": 100, "series": series, "rows": rows}
    return chart, {row["figure_id"] for row in measures}


def _by_channel(title: str, nodes: Iterable[Node], scores: Mapping[tuple[str, str], Row]) -> Chart:
    """A chart with a bar per channel for each node."""
    rows = []
    for node in nodes:
        own = [scores.get((channel, node.code)) for channel in CHANNELS]
        values = [row["published"] if row else None for row in own]
        shown = [_score(row) if row and "na_reason" in row else _shown(row and row["published"]) for row in own]
        rows.append({"label": node.label, "values": values, "shown": shown})
    return {"kind": "grouped", "title": title, "max": 100, "series": [*CHANNELS.values()], "rows": rows}


def _bar(figure: Row) -> Row:
    remarks = [_basis(figure)] if _basis(figure) != EMPTY else []
    if figure["change"] is not None:
        remarks.append(f"较基期 {_change(figure, figure['kind'])}")
    return {
        "label": figure["label"], "value": figure["value"], "shown": _shown(figure["value"], figure["kind"]),
        "remark": "  ".join(remarks),
    }  # fmt: skip


def _number_row(figure: Row) -> Row:
    unit = UNITS.get(figure["unit"], figure["unit"])
    return {
        "label": f"{figure['label']}({unit})", "shown": _shown(figure["value"], figure["kind"]),
        "basis": _basis(figure), "change": _change(figure, figure["kind"]),
        "growth": _signed(figure["growth_pct"]),
    }  # fmt: skip


def _ranking(release: Release, group: Mapping[str, str]) -> Row:
    is_line = group["unit"] == "line"
    rows = release.rankings[group["group_code"]]
    ranked = sum(row["rank"] is not None for row in rows)
    about = f"{ranked} 个参加排名,按总体得分排列;变化与名次升降均与基期相比。"
    if ranked < len(rows):
        about += f"{len(rows) - ranked} 个{NOT_RANKED},列在最后。"
    if any(row.get("rank_low") is not None for row in rows):
        about += "名次后的小字是抽样误差范围内可能的名次(95%)。"
    return {
        "title": group["group_label"], "about": about, "is-line": is_line,
        "rows": [_ranking_row(release, row, is_line=is_line) for row in rows],
    }  # fmt: skip


def _ranking_row(release: Release, row: Row, *, is_line: bool) -> Row:
    own = release.class_labels.get(row["line_class"], EMPTY) if is_line else str(row["n_lines"])
    return {
        "rank": "" if row["rank"] is None else str(row["rank"]), "tied": row["is_tied"], "name": row["unit_name"],
        "set": "" if row.get("rank_low") is None else f"{row['rank_low']}–{row['rank_high']}",
        "own": own, "score": _shown(row["published"]), "change": _change(row),
        "gained": _gained(row),
    }  # fmt: skip


def _class_lists(release: Release) -> list[Row]:
    """The lines of each class, hot ones first as in the report; of small classes with their counts."""
    rules = dict(class_rules(release))
    lists = []
    for name, label in reversed(release.class_labels.items()):
        lines = [code for code, row in release.classes.items() if row["line_class"] == name]
        is_short = len(lines) <= 20
        lists.append(
            {
                "label": label, "rule": rules[label], "count": f"{len(lines)} 条",
                "names": [_named(release, code, with_counts=is_short) for code in lines],
            }
        )  # fmt: skip
    return lists


def _named(release: Release, line: str, *, with_counts: bool) -> str:
    name, row = str(release.lines[line]["city"]), release.classes[line]
    return f"{name}(接通 {row['connected']} / 拨打 {row['attempts']})" if with_counts else name


def _method(release: Release) -> Row:
    settings = {row["setting"]: row["value"] for row in release.method("settings")}
    minimum = settings.get("min_availability_pct", EMPTY)
    rules = ";".join(f"{label}:{rule}" for label, rule in class_rules(release))
    tops, constructed = _weights(release)
    paragraphs = [
        "得分满分100分,由三级指标按下表权重逐级加权得出;没有有效数据的指标不参与计算,其权重按比例分给同组其余指标。"
        f"可计分的下级指标权重低于{minimum}%时,该指标不计分。",
        f"线路按电话接通率分类,依次判断——{rules}。",
        "均值先按线路计算再求平均;占比的 k 为分子、n 为分母。变化为本期公布值减基期公布值,增幅为变化除以基期公布值。",
    ]
    note = "带 * 的权重由本方法设定,其余取自已公布的评价办法(含部分公布)。" if constructed else ""
    return {"method": paragraphs, "weights": tops, "weights-note": note}


def _weights(release: Release) -> tuple[list[Row], bool]:
    """The tree of weights as texts, and whether any of them is marked as the method's own."""
    tops: dict[str, Row] = {}
    constructed = False
    for row in release.method("indicators"):
        marks = {basis: "*" if row[basis] == "constructed" else "" for basis in ("l2_basis", "l3_basis")}
        constructed = constructed or any(marks.values())
        top = tops.setdefault(row["l1_code"], {"label": f"{row['l1']} ({row['l1_weight']})", "parts": {}})
        label = f"{row['l2']} ({row['l2_weight']}{marks['l2_basis']})"
        part = top["parts"].setdefault(row["l2_code"], {"label": label, "parts": []})
        part["parts"].append(f"{row['indicator']} ({row['l3_weight']}{marks['l3_basis']})")
    for top in tops.values():
        top["parts"] = [{**part, "parts": "、".join(part["parts"])} for part in top["parts"].values()]
    return list(tops.values()), constructed


# --- the scorecard ----------------------------------------------------------------------------


def _scorecard(release: Release, line_id: str) -> Row:
    line, scores = release.lines[line_id], release.scores[line_id]
    means = release.aggregates["tier", line["tier"]]
    nodes = list(release.tree.values())
    above, below = (
        [_lead(release, line_id, node, gap) for node, gap in leads]
        for leads in extremes(release.gaps(line_id, "tier", line["tier"]), COMPARED)
    )
    name = str(line["city"])
    return {
        "title": f"{TITLE} {name}",
        "name": name,
        "name-size": 20 if len(name) <= 24 else 12 if len(name) <= 60 else 7,
        "facts": f"{line['province']} · {line['tier']} · 编码 {line_id} · 监测期 {_facts(release)[0][1]}",
        "tiles": [_total_tile(scores), _class_tile(release, line_id), *_rank_tiles(release, line_id)],
        "first-level": _by_channel("总体与一级指标得分(按渠道)", _first_level(release), scores),
        "second-level": [_second_level(release, node, scores, means) for node in nodes if node.level == 2],
        "strongest-title": f"高于{line['tier']}均值最多的指标",
        "weakest-title": f"低于{line['tier']}均值最多的指标",
        "strongest": above,
        "weakest": below,
        "legend": f"同级均值为全部{line['tier']}热线的合并得分均值;差距为公布得分之差。"
        f"{EMPTY} 表示没有可比数据,空白表示该渠道没有这一指标。",
    }  # fmt: skip


def _gap(own: Row | None, mean: Row | None) -> Decimal | None:
    if own is None or mean is None or own["published"] is None or mean["published"] is None:
        return None
    gap: Decimal = own["published"] - mean["published"]
    return gap


def _lead(release: Release, line_id: str, node: Node, gap: Decimal) -> Row:
    mean = release.aggregates["tier", release.lines[line_id]["tier"]]["all", node.code]
    own = _score(release.scores[line_id]["all", node.code])
    return {"label": node.label, "own": own, "mean": _shown(mean["published"]), "gap": _signed(gap)}


def _second_level(
    release: Release, node: Node, scores: Mapping[tuple[str, str], Row], means: Mapping[tuple[str, str], Row]
) -> Row:
    own, mean = scores.get(("all", node.code)), means.get(("all", node.code))
    return {
        "top": release.tree[node.parent or TOTAL].label, "label": node.label,
        **{channel: _score(scores.get((channel, node.code))) for channel in CHANNELS},
        "mean": _shown(mean and mean["published"]), "gap": _signed(_gap(own, mean)),
        "change": _change(own) if own else EMPTY,
    }  # fmt: skip


def _total_tile(scores: Mapping[tuple[str, str], Row]) -> Row:
    total = scores["all", TOTAL]
    return {"name": "总体得分", "value": _score(total), "remark": f"较基期 {_change(total)}"}


def _class_tile(release: Release, line_id: str) -> Row:
    row = release.classes[line_id]
    label = release.class_labels.get(row["line_class"], row["line_class"])
    remark = f"接通 {row['connected']} / 拨打 {row['attempts']},{_rate(row)}"
    repeat = row.get(f"p_repeat_{row['line_class']}")
    if repeat is not None:
        remark += f"。再测一次仍为此类的概率 {repeat:.2f}"
    return {"name": "线路类别", "value": label, "remark": remark}


def _rank_tiles(release: Release, line_id: str) -> list[Row]:
    """The places of the line in its group, and of its province."""
    tiles = []
    for group, row in release.places(line_id):
        ranked = sum(each["rank"] is not None for each in release.rankings[group["group_code"]])
        name = re.split(r"[(\uff08]", group["group_label"])[0] if group["unit"] == "line" else "所在省级单位"
        tiles.append(_rank_tile(name, row, ranked))
    return tiles


def _rank_tile(name: str, row: Row, ranked: int) -> Row:
    if row["rank"] is None:
        return {"name": name, "value": NOT_RANKED, "remark": f"共 {ranked} 个参加排名"}
    remark = f"共 {ranked} 个"
    if row["places_gained"] is not None:
        remark += f",升降 {_gained(row)}"
    if is_wide(row, ranked):
        remark = f"按得分列第 {row['rank']}," + remark
    return {"name": name, "value": place_words(row, ranked), "remark": remark}
