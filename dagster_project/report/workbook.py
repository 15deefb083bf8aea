"""The release as a workbook: rankings, scores, classes, figures, changes, and how to read them.

Belongs here: which sheets there are, their columns and how they look; the words that workbook and PDF
share. Does not belong here: numbers, which are the release's own, and sentences about them.
Every text cell is written as a string: nothing that a name says can become a formula or a link.
"""

import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter

from dagster_project.files import replace_files
from dagster_project.release.comparability import NOT_COMPARABLE, RESCORED, SAME
from dagster_project.release.reading import CHANNELS, TOTAL, Release, Row
from dagster_project.release.sensitivity import sensitivity_of
from dagster_project.report.comparison import is_plain

SECTIONS = {
    "overall": "总体情况", "tier": "城市分级", "class": "线路分类", "phone": "电话端", "smart": "智能语音",
    "web": "网络端", "scenario": "分场景",
}  # fmt: skip
UNITS = {"point": "分", "percent": "%", "count": "个"}
KINDS = {"mean": "均值", "share": "占比", "count": "计数", "difference": "差值", "growth": "增幅"}
# What stands in place of a score, and what it means.
NA_REASONS = {
    "not_observed": ("未监测", "本次没有监测到该指标"),
    "no_valid_observation": ("无有效值", "有监测记录,但没有一条可以计分"),
    "availability_below_minimum": ("数据不足", "可计分的下级指标权重低于方法规定的最低比例"),
}
FOOTNOTES = {"largest-remainder rounding: the shares sum to 100.00": "按最大余数法修约,各项占比合计为100.00%"}
CHANGE_BASES = {"published values of the baseline wave, plain difference": "与基期公布值之差"}
COMPARABILITIES = {SAME: "同一方法", RESCORED: "共同指标重算", NOT_COMPARABLE: "不可比"}
SETS = {"national": "全国", "tier": "分级", "province": "省份", "rank_group": "排名组"}
LONGEST_TEXT = 32767  # Excel holds no more in a cell
NOT_RANKED = "不排名"
TOP_TEN = {"sure": "确定", "possible": "可能", "no": "否"}
EMPTY = "—"


def visible(text: str) -> str:
    """`text` with its invisible controls spelled out: [U+202E] cannot turn round what is printed after it."""
    return "".join(f"[U+{ord(char):04X}]" if unicodedata.category(char) in _INVISIBLE else char for char in text)


_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


def period_end(release: Release) -> date:
    """The one date that a file of this release carries: files made of equal releases are equal."""
    return date.fromisoformat(release.manifest["field_period"]["end"])


def footnote(figure: Row) -> str:
    text = figure["footnote"] or ""
    return FOOTNOTES.get(text, text)


def write_workbook(release: Release, path: Path) -> None:
    """Write the workbook of `release` to `path`; equal releases give equal bytes."""
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(
        stream,
        {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False},
    )
    title = visible(f"{release.label} {release.note}".strip())
    book.set_properties(
        {
            "title": title, "subject": "12345热线服务质量监测", "comments": f"{release.id} {release.note}".strip(),
            "created": datetime.combine(period_end(release), datetime.min.time()),
        }
    )  # fmt: skip
    sheets = [*_rankings(release), _matrix(release), _channel_matrix(release), _classes(release)]
    sheets += _sensitivities(release)
    sheets += [_figures(release), _changes(release), *_contributions(release), *_set_changes(release)]
    writer = _Writer(book, release)
    writer.notes(_notes(release, sheets))
    for sheet in sheets:
        writer.table(sheet)
    book.close()
    replace_files({path: stream.getvalue()})


@dataclass(frozen=True)
class Column:
    """`header` holds one text per header row; `width` is in characters, a Chinese one counting two."""

    header: tuple[str, ...]
    width: float
    style: str = "text"
    level: int = 0


@dataclass(frozen=True)
class Styled:
    """A number that is not of its column's style."""

    value: float | Decimal | None
    style: str


@dataclass(frozen=True)
class Sheet:
    """A table. `fixed` columns stay in view; a text among `rows` is a text whatever its column's style."""

    name: str
    about: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    fixed: int
    is_wide: bool = False


def _text_width(texts: Iterable[str], low: float, high: float) -> float:
    longest = max((sum(2 if ord(char) > 0x2E7F else 1 for char in text) for text in texts), default=0)
    return min(max(longest * 1.1 + 2, low), high)


class _Writer:
    """Puts sheets into the book. A cell's style is a name: `text`, `code`, `score`, `change` …"""

    HEAD_ROWS = 2  # title and note above each table
    FORMATS: Mapping[str, Mapping[str, Any]] = {
        # "@": a text stays one when its cell is edited
        "text": {"num_format": "@"},
        "wrap": {"num_format": "@", "text_wrap": True, "valign": "top"},
        "code": {"num_format": "@"},
        "score": {"num_format": "0.00"},
        "change": {"num_format": "+0.00;-0.00;0.00"},
        "count": {"num_format": "0"},
        "places": {"num_format": "+0;-0;0"},
        "share": {"num_format": "0.0000"},
        "na": {"font_color": "#8A6D3B", "align": "right", "italic": True},
        "title": {"bold": True, "font_size": 14},
        "note": {"bold": True, "font_color": "#B00020"},
        "head0": {"bold": True, "bg_color": "#1F4E79", "font_color": "#FFFFFF"},
        "head1": {"bold": True, "bg_color": "#2E75B6", "font_color": "#FFFFFF"},
        "head2": {"bold": True, "bg_color": "#BDD7EE"},
        "head3": {"bg_color": "#EAF2FA"},
    }

    def __init__(self, book: xlsxwriter.Workbook, release: Release) -> None:
        self.book = book
        self.release = release
        self.formats: dict[tuple[str, bool], Any] = {}

    def format(self, name: str, *, bold: bool = False) -> Any:
        if (name, bold) not in self.formats:
            look = {"font_name": "Microsoft YaHei", "font_size": 10, "valign": "vcenter", **self.FORMATS[name]}
            if name.startswith("head"):
                look |= {"text_wrap": True, "align": "center", "border": 1, "border_color": "#9DB2C6"}
            self.formats[name, bold] = self.book.add_format(look | ({"bold": True} if bold else {}))
        return self.formats[name, bold]

    def _sheet(self, name: str) -> Any:
        """A sheet with its title, its note and its printed page in place."""
        sheet = self.book.add_worksheet(name)
        release = self.release
        sheet.write_string(0, 0, visible(f"{name} · {release.label}"), self.format("title"))
        sheet.write_string(1, 0, _origin(release), self.format("note"))
        sheet.set_row(0, 24)
        sheet.set_row(1, 18)
        label, note = (visible(text).replace("&", "&&") for text in (release.label, release.note))
        sheet.set_header(f"&L{label[:90]}&C{note}&R{release.id}")
        sheet.set_footer(f"&L&A&C{note}&R&P / &N")
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        return sheet

    def notes(self, blocks: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> None:
        sheet = self._sheet("说明")
        sheet.set_column(0, 0, 26)
        sheet.set_column(1, 1, 96)
        row = self.HEAD_ROWS
        sheet.freeze_panes(row, 0)
        for title, pairs in blocks:
            sheet.write_string(row, 0, title, self.format("head1"))
            sheet.write_string(row, 1, "", self.format("head1"))
            for name, text in pairs:
                row += 1
                sheet.write_string(row, 0, _cell_text(name), self.format("wrap", bold=True))
                sheet.write_string(row, 1, _cell_text(text), self.format("wrap"))
            row += 2

    def table(self, content: Sheet) -> None:
        sheet = self._sheet(content.name)
        height = len(content.columns[0].header)
        first = self.HEAD_ROWS + height
        sheet.freeze_panes(first, content.fixed)
        sheet.repeat_rows(0, first - 1)
        sheet.set_landscape()
        if content.is_wide:
            sheet.set_paper(8)
            sheet.outline_settings(True, True, False, False)
        for index, column in enumerate(content.columns):
            self._head(sheet, index, column)
        sheet.set_row(first - 1, 32)
        sheet.ignore_errors({"number_stored_as_text": f"A1:XFD{first + len(content.rows) + 1}"})
        last = max(first + len(content.rows) - 1, first)
        sheet.autofilter(first - 1, 0, last, len(content.columns) - 1)
        for number, row in enumerate(content.rows):
            for index, (value, column) in enumerate(zip(row, content.columns, strict=True)):
                self._cell(sheet, first + number, index, value, column)

    def _head(self, sheet: Any, index: int, column: Column) -> None:
        folded = {"level": column.level - 1} if column.level > 1 else {}
        sheet.set_column(index, index, column.width, None, folded)
        for row, text in enumerate(column.header, self.HEAD_ROWS):
            sheet.write_string(row, index, visible(text), self.format(f"head{column.level}"))

    def _cell(self, sheet: Any, row: int, index: int, value: Any, column: Column) -> None:
        style = column.style
        if isinstance(value, Styled):
            value, style = value.value, value.style
        if isinstance(value, str):
            style = style if style in ("text", "code", "wrap") else "na"
            sheet.write_string(row, index, _cell_text(value), self.format(style))
        elif value is not None:
            sheet.write_number(row, index, float(value), self.format(style))


def _cell_text(text: str) -> str:
    return visible(text)[:LONGEST_TEXT]


def _origin(release: Release) -> str:
    return "  ".join(part for part in (release.note, f"发布编号 {release.id}") if part)


def _score(row: Row | None) -> Decimal | str | None:
    """A printed score, the mark for why there is none, or nothing where the node does not exist."""
    if row is None:
        return None
    if row["published"] is not None:
        return row["published"]
    return na_mark(row["na_reason"])


def na_mark(reason: str | None) -> str:
    return NA_REASONS[reason][0] if reason in NA_REASONS else (reason or EMPTY)


def _rankings(release: Release) -> list[Sheet]:
    """One sheet per ranking group, listed as the release lists it."""
    taken: set[str] = set()
    sheets = []
    for group in release.method("rank_groups"):
        is_line = group["unit"] == "line"
        rows = release.rankings[group["group_code"]]
        compared = bool(_comparable_columns(rows))
        name = _sheet_name(f"排名 {group['group_label']}", taken)
        sheets.append(
            Sheet(
                name=name,
                about=f"{group['group_label']}按总体得分排名;并列者名次相同,{NOT_RANKED}者列在最后",
                columns=_ranking_columns(rows, is_line=is_line),
                rows=[_ranking_row(release, row, is_line=is_line, compared=compared) for row in rows],
                fixed=4,
            )
        )
    return sheets


def _ranking_columns(rows: Sequence[Row], *, is_line: bool) -> list[Column]:
    names = _text_width((visible(row["unit_name"]) for row in rows), 16, 48)
    own = [Column(("类别",), 9)] if is_line else [Column(("热线数",), 9, "count")]
    place = [Column(("名次",), 8, "count"), Column(("并列",), 7), Column(("编码",), 10, "code")]
    results = [Column(("得分",), 10, "score"), Column(("得分变化",), 11, "change"), Column(("名次上升",), 11, "places")]
    sets = [
        Column(("标准误",), 9, "score"),
        *(Column((f"可能名次{end}",), 12, "count") for end in ("最高", "最低")),
        *(Column((f"全表同时{end}",), 12, "count") for end in ("最高", "最低")),
        Column(("前十",), 7),
        Column(("与下一名可区分",), 15),
    ]
    return [*place, Column(("名称",), names), *own, *results, *_comparable_columns(rows), *sets]


def _comparable_columns(rows: Sequence[Row]) -> list[Column]:
    """What stands beside changes that are not those of one method; nothing where all are."""
    if all(map(is_plain, rows)):
        return []
    return [Column(("可比口径变化",), 13, "change"), Column(("可比性",), 16)]


def _comparable_cells(row: Row) -> list[Any]:
    return [row["comparable_change"], COMPARABILITIES.get(row["comparability"])]


def _ranking_row(release: Release, row: Row, *, is_line: bool, compared: bool) -> list[Any]:
    own = release.class_labels.get(row["line_class"], row["line_class"]) if is_line else row["n_lines"]
    place = NOT_RANKED if row["rank"] is None else row["rank"]
    tied = "并列" if row["is_tied"] else None
    result = [row["published"], row["change"], row["places_gained"]]
    sets = [row.get(name) for name in ("standard_error", "rank_low", "rank_high", "rank_low_all", "rank_high_all")]
    is_apart = row.get("is_apart_from_next")
    told = [TOP_TEN.get(row.get("top_10") or ""), None if is_apart is None else "是" if is_apart else "否"]
    comparable = _comparable_cells(row) if compared else []
    return [place, tied, row["unit_code"], row["unit_name"], own, *result, *comparable, *sets, *told]


def _sensitivities(release: Release) -> list[Sheet]:
    """How far ranks and classes hang on the weights and thresholds that the method chose."""
    found = sensitivity_of(release.folder)
    groups = {group["group_code"]: group["group_label"] for group in release.method("rank_groups")}
    listed = {(row["group_code"], row["unit_code"]): row for rows in release.rankings.values() for row in rows}
    ranges = [
        [
            groups[row["group_code"]], row["unit_code"], listed[row["group_code"], row["unit_code"]]["unit_name"],
            listed[row["group_code"], row["unit_code"]]["rank"], row["rank_p05"], row["rank_p95"],
            100 * row["p_top_10"],
        ]
        for row in found.weight_sensitivity.to_pylist()
    ]  # fmt: skip
    weights = [
        [
            groups[row["group_code"]], row["level"], row["node_code"], release.tree[row["node_code"]].label,
            *(100 * row[name] for name in ("importance", "low", "high")),
        ]
        for row in found.weight_importance.to_pylist()
    ]  # fmt: skip
    labels = release.class_labels
    thresholds = [
        [labels[row["threshold"]], row["below_pct"], labels[row["line_class"]], row["n_lines"]]
        for row in found.threshold_sensitivity.to_pylist()
    ]
    group = Column(("排名组",), 34)
    return [
        Sheet(
            "权重与名次",
            "每个权重各自在原值的75%至125%之间随机取值2000次后的名次;与抽样误差是两件事,不相加",
            [
                group, Column(("编码",), 10, "code"), Column(("名称",), 24), Column(("名次",), 8, "count"),
                Column(("名次第5百分位",), 15, "count"), Column(("名次第95百分位",), 15, "count"),
                Column(("进入前十的次数占比%",), 20, "score"),
            ],
            ranges,
            fixed=4,
        ),
        Sheet(
            "权重的影响",
            "各权重单独解释的名次变动所占比例,及其95%区间",
            [
                group, Column(("级",), 6, "count"), Column(("编码",), 10, "code"), Column(("指标",), 24),
                Column(("占比%",), 10, "score"), Column(("下限%",), 10, "score"), Column(("上限%",), 10, "score"),
            ],
            weights,
            fixed=4,
        ),
        Sheet(
            "阈值的影响",
            "线路类别的上限逐点移动时各类的热线数",
            [
                Column(("移动的类别上限",), 16), Column(("接通率低于%",), 14, "count"), Column(("类别",), 10),
                Column(("热线数",), 10, "count"),
            ],
            thresholds,
            fixed=2,
        ),
    ]  # fmt: skip


def _sheet_name(text: str, taken: set[str]) -> str:
    """A name that Excel accepts: no bracketed part, none of its forbidden characters, 31 at most, unique."""
    bare = re.sub(r"[\[\]:*?/\\']", " ", visible(re.split(r"[(\uff08]", text)[0])).strip()[:28] or "排名"
    name, number = bare, 2
    while name.lower() in taken:
        name, number = f"{bare} {number}", number + 1
    taken.add(name.lower())
    return name


def _line_columns(release: Release, blank: Sequence[str]) -> list[Column]:
    """The columns that name a line. `blank` are the texts of header rows above the last."""
    names = _text_width((visible(line["city"]) for line in release.lines.values()), 14, 48)
    shape = (("编码", 10, "code"), ("名称", names, "text"), ("省份", 18, "text"), ("分级", 9, "text"))
    return [Column((*blank, header), width, style) for header, width, style in shape]


def _line_cells(line: Row) -> list[Any]:
    return [line["line_id"], line["city"], line["province"], line["tier"]]


def _matrix(release: Release) -> Sheet:
    nodes = list(release.tree.values())
    return Sheet(
        name="指标矩阵",
        about=f"各热线在全部{len(nodes)}个指标上的合并得分;一级指标深色,二级浅色,三级最浅,列可按级折叠",
        columns=[
            *_line_columns(release, [""]),
            *(Column((node.code, node.label), 11, "score", node.level) for node in nodes),
        ],
        rows=[
            [*_line_cells(line), *(_score(release.scores[code].get(("all", node.code))) for node in nodes)]
            for code, line in release.lines.items()
        ],
        fixed=2,
        is_wide=True,
    )


def _channel_matrix(release: Release) -> Sheet:
    nodes = list(release.tree.values())
    channels = [channel for channel in CHANNELS if channel != "all"]
    return Sheet(
        name="分渠道矩阵",
        about="同上,电话端与网络端各一行;空白表示该渠道没有这一指标",
        columns=[
            *_line_columns(release, [""]),
            Column(("", "渠道"), 9),
            *(Column((node.code, node.label), 11, "score", node.level) for node in nodes),
        ],
        rows=[
            [
                *_line_cells(line),
                CHANNELS[channel],
                *(_score(release.scores[code].get((channel, node.code))) for node in nodes),
            ]
            for code, line in release.lines.items()
            for channel in channels
        ],
        fixed=2,
        is_wide=True,
    )


def _classes(release: Release) -> Sheet:
    # a method's classes; a release states the repeat of those only that its counts can lead to
    first = next(iter(release.classes.values()), {})
    repeats = [name for name in release.class_labels if f"p_repeat_{name}" in first]
    rows = []
    for code, row in release.classes.items():
        rate = 100 * row["connected"] / row["attempts"] if row["attempts"] else None
        rows.append(
            [
                *_line_cells(release.lines[code]), row["attempts"], row["connected"], rate,
                release.class_labels.get(row["line_class"], row["line_class"]),
                "是" if row["is_ranked"] else NOT_RANKED,
                *(row[f"p_repeat_{name}"] for name in repeats),
            ]
        )  # fmt: skip
    return Sheet(
        name="线路分类",
        about="拨打次数、接通次数、接通率和类别;重测概率为同等条件再测一次落入各类别的概率",
        columns=[
            *_line_columns(release, []), Column(("拨打次数",), 10, "count"), Column(("接通次数",), 10, "count"),
            Column(("接通率 %",), 10, "score"), Column(("类别",), 9), Column(("参加排名",), 10),
            *(Column((f"重测概率 {release.class_labels[name]}",), 12, "share") for name in repeats),
        ],
        rows=rows,
        fixed=2,
    )  # fmt: skip


def _figures(release: Release) -> Sheet:
    columns = [
        Column(("指标编号",), 40, "code"), Column(("名称",), 36), Column(("章节",), 12), Column(("类型",), 8),
        Column(("单位",), 7), Column(("数值",), 11, "score"), Column(("k",), 9, "count"), Column(("n",), 9, "count"),
        Column(("变化",), 11, "change"), Column(("增幅 %",), 11, "change"), Column(("脚注",), 40, "wrap"),
        Column(("变化口径",), 22), Column(("可比性",), 16), Column(("可比口径变化",), 13, "change"),
        Column(("未修约值",), 18, "code"),
    ]  # fmt: skip
    return Sheet(
        name="指标数据",
        about="报告所引用的全部数据;k 为分子,n 为分母或样本数,变化与增幅均以基期公布值计算",
        columns=columns,
        rows=[_figure_row(figure) for figure in release.figures.values()],
        fixed=2,
    )


def _figure_row(figure: Row) -> list[Any]:
    basis = figure["change_basis"]
    is_count = figure["kind"] == "count"
    return [
        figure["id"], figure["label"], SECTIONS.get(figure["section"], figure["section"]),
        KINDS.get(figure["kind"], figure["kind"]), UNITS.get(figure["unit"], figure["unit"]),
        Styled(figure["value"], "count" if is_count else "score"), figure["k"], figure["n"],
        Styled(figure["change"], "places" if is_count else "change"), figure["growth_pct"], footnote(figure) or None,
        CHANGE_BASES.get(basis, basis), COMPARABILITIES.get(figure.get("comparability") or ""),
        Styled(figure.get("comparable_change"), "places" if is_count else "change"), figure["unrounded"],
    ]  # fmt: skip


def _changes(release: Release) -> Sheet:
    nodes = [node for node in release.tree.values() if node.level <= 1]
    keys = [("all", node.code) for node in nodes]
    compared = not all(is_plain(scores[key]) for scores in release.scores.values() for key in keys if key in scores)
    columns = _line_columns(release, [""])
    for node in nodes:
        columns.append(Column((node.label, "得分"), 11, "score", node.level))
        columns.append(Column((node.label, "变化"), 11, "change", node.level))
        if compared:
            columns.append(Column((node.label, "可比口径变化"), 13, "change", node.level))
    rows = []
    for code, line in release.lines.items():
        cells = _line_cells(line)
        for node in nodes:
            row = release.scores[code].get(("all", node.code))
            cells += [_score(row), row["change"] if row else None]
            if compared:
                cells.append(row["comparable_change"] if row else None)
        rows.append(cells)
    about = "各热线总体与一级指标得分及其较基期的变化;空白表示基期没有可比的得分"
    return Sheet("变化", about, columns, rows, fixed=2)


def _contributions(release: Release) -> list[Sheet]:
    """What each indicator added to a line's change; no sheet where there is no wave to compare with."""
    if not release.contributions:
        return []
    nodes = list(release.tree.values())
    return [
        Sheet(
            name="变化贡献",
            about="总体得分变化中来自各指标的部分;各级合计均等于总体变化,方法见报告网站",
            columns=[
                *_line_columns(release, [""]),
                *(Column((node.code, node.label), 11, "change", node.level) for node in nodes),
            ],
            rows=[
                [*_line_cells(release.lines[code]), *(release.contribution(code, node) for node in nodes)]
                for code in release.contributions
            ],
            fixed=2,
            is_wide=True,
        )
    ]


def _set_changes(release: Release) -> list[Sheet]:
    """What the change of each group's mean is made of; no sheet where no line came or went."""
    rows = [row for row in release.set_changes.values() if row["n_entry"] or row["n_exit"]]
    if not rows:
        return []
    names = {line["province_code"]: line["province"] for line in release.lines.values()}
    counts = [Column((name,), 10, "count") for name in ("两期均有", "新增", "退出")]
    parts = [Column((name,), 12, "change") for name in ("变化", "来自两期均有", "来自新增", "来自退出")]
    return [
        Sheet(
            name="范围变化",
            about="各组热线均值的变化:两期均有得分的热线、新增与退出热线各占多少;三部分之和恰为变化",
            columns=[
                Column(("维度",), 10), Column(("组",), 24), *counts,
                *parts, Column(("可比性",), 16),
            ],
            rows=[
                [
                    SETS[row["dimension"]], None if row["member"] == "all" else names.get(row["member"], row["member"]),
                    row["n_matched"], row["n_entry"], row["n_exit"], row["change"], row["matched"], row["entry"],
                    row["exit"], COMPARABILITIES.get(row["comparability"]),
                ]
                for row in rows
            ],
            fixed=2,
        )
    ]  # fmt: skip


Block = tuple[str, list[tuple[str, str]]]


def _notes(release: Release, sheets: Sequence[Sheet]) -> list[Block]:
    """What stands on the first sheet: (heading, [(name, text)])."""
    return [
        ("本文件", _about(release)),
        ("工作表", [(sheet.name, sheet.about) for sheet in sheets]),
        ("怎样阅读", _how_to_read(release)),
        ("没有得分的原因", [*NA_REASONS.values()]),
        ("线路类别", class_rules(release)),
    ]


def _about(release: Release) -> list[tuple[str, str]]:
    manifest = release.manifest
    period, baseline = manifest["field_period"], manifest["baseline"]
    return [
        ("名称", f"{release.label} 数据附表"),
        ("数据性质", release.note or "实测数据"),
        ("轮次", str(manifest["wave"])),
        ("监测期", f"{period['start']} 至 {period['end']}"),
        ("发布编号", release.id),
        ("基期", f"{baseline['wave']}(发布编号 {baseline['release']})" if baseline else "无"),
        ("方法版本", str(manifest["method_version"])),
        ("热线数", str(len(release.lines))),
    ]


def _how_to_read(release: Release) -> list[tuple[str, str]]:
    top = release.tree[TOTAL].label
    return [
        ("得分", f"满分100分,保留两位小数;{top}由各级指标按方法权重逐级加权"),
        ("变化", "本期公布值减基期公布值;正数为提高"),
        ("名次上升", "基期名次减本期名次;正数为上升"),
        ("标准误", "重复监测时得分出入的大小;真实得分多半在得分上下两个标准误之内"),
        ("可能名次", "每个单位各自有95%的把握;“全表同时”指全表所有名次同时成立的把握为95%,前十与可区分按此判断"),
        ("编码", "以文本存储,可用于与其他数据对接"),
        ("特殊字符", "名称中不可见的控制字符以 [U+编号] 写出"),
    ]


def class_rules(release: Release) -> list[tuple[str, str]]:
    """(label, when a line is of this class), in the order in which the method asks."""
    conditions = {"no_attempts": "没有拨打记录", "none_connected": "拨打均未接通", "otherwise": "其余"}
    rules = []
    for rule in release.method("line_class_rules"):
        if rule["test"] == "rate_below":
            condition = f"接通率低于{rule['below_pct']}%"
            conditions["otherwise"] = f"接通率不低于{rule['below_pct']}%"
        else:
            condition = conditions.get(rule["test"], rule["test"])
        rules.append((rule["label"], condition + ("" if rule["is_ranked"] == "1" else f";{NOT_RANKED}")))
    return rules
