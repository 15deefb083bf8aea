"""The comparison of two releases in words (CHANGES.md) and as data (changes.json); that of a what-if, headed by it.

Belongs here: how changes are told. Does not belong here: what they are (`diff.py`).
"""

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from dagster_project.release.comparability import NOT_COMPARABLE
from dagster_project.release.diff import Changes, LineChange, RankChange
from dagster_project.release.whatif import MethodChange, WhatIf

KINDS = {
    "correction": "更正:数据更正引起的变化",
    "method": "方法变更:评分方法改变引起的变化,不是数据更正",
    "delivery": "重新交付:原始导出文件改变引起的变化",
    "other": "其他:数据、更正与方法均未变",
    "mixed": "多种原因:以下变化不能归于其中任何一种;请分次发布以便区分",
    "none": "无变化",
}
OTHERS = {
    "code_version": "程序", "packages": "依赖库", "baseline": "基期发布",
}  # fmt: skip
OTHER_RULES = "两次发布的评分方法不同:下列得分变化口径不可比,不得表述为服务水平的升降"
MAX_CONTRIBUTIONS = 6  # per line in the text; all are in the data


def as_json(changes: Changes) -> str:
    """The comparison as JSON; decimals as texts, so that no digit is lost."""
    return _json(_data(changes))


def what_if_as_json(found: WhatIf) -> str:
    """The comparison as `as_json` has it; before it, under `what_if`, the method and the headlines."""
    headline = {name: value for name, value in asdict(found).items() if name != "changes"}
    return _json({"what_if": headline, **_data(found.changes)})


def _data(changes: Changes) -> dict[str, Any]:
    return {"kind": changes.causes.kind, **asdict(changes)}


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1, default=_plain) + "\n"


def _plain(value: object) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{value!r} of {type(value)}")


def as_markdown(changes: Changes) -> str:
    """The comparison for readers, in Chinese."""
    causes = changes.causes
    lines = [
        f"# {_inert(changes.label)}:发布 {changes.after} 较 {changes.before} 的变化",
        *(["", f"**{changes.note}**"] if changes.note else []),
        "",
        f"- 性质:{KINDS[causes.kind]}",
        *([f"- {OTHER_RULES}"] if changes.comparability == NOT_COMPARABLE else []),
        *(f"- 更正 {each['id']}:{_correction(each)}" for each in causes.corrections_added),
        *(f"- 撤回更正 {each['id']}:{_correction(each)}" for each in causes.corrections_removed),
        *([f"- 改变的导出文件:{'、'.join(map(_inert, causes.exports))}"] if causes.exports else []),
        *([f"- 改变的方法文件:{'、'.join(map(_inert, causes.method))}"] if causes.method else []),
        *([f"- 改变的声明文件:{'、'.join(map(_inert, causes.declared))}"] if causes.declared else []),
        *(f"- {OTHERS[name]}:{_inert(old)} → {_inert(new)}" for name, (old, new) in causes.others.items()),
        "",
        f"## 得分或类别改变的热线({len(changes.lines)})",
        *([""] if changes.lines else ["", "无。"]),
        *(text for line in changes.lines for text in _line(line)),
        "",
        f"## 名次或得分改变({len(changes.ranks)})",
        "",
        *(_ranks(changes.ranks) if changes.ranks else ["无。"]),
        "",
        f"## 报告数据改变({len(changes.figures)})",
        "",
        *(
            ["| 数据 | 原值 | 新值 |", "|---|---|---|"] if changes.figures else ["无。"]
        ),
        *(f"| {_inert(each.label)} | {_value(each.before)} | {_value(each.after)} |" for each in changes.figures),
        "",
        f"## 报告文字改变({len(changes.texts)})",
        *([] if changes.texts else ["", "无。"]),
    ]  # fmt: skip
    for each in changes.texts:
        lines += ["", f"{_inert(each.section)}", ""]
        lines += [f"- 原文:{_inert(each.before) or '(无)'}", f"- 现文:{_inert(each.after) or '(删去)'}"]
    return "\n".join(lines) + "\n"


def what_if_as_markdown(found: WhatIf) -> str:
    """What the method changes, the headlines, and the comparison as `as_markdown` has it; in Chinese."""
    changes = found.changes
    lines = [
        f"# 假设:{_inert(changes.label)}按另一方法计算",
        "",
        f"**{changes.note + '。' if changes.note else ''}这是假设,不是公布的结果:发布 {changes.after} 只为比较而计算,"
        "未公布,也未保留。**",
        "",
        f"## 方法的改变({len(found.method)})",
        "",
        *(map(_method_change, found.method) if found.method else ["无。"]),
        "",
        "## 概要",
        "",
        f"- 全国总体得分:{_from_to(*found.totals)}",
        f"- 类别改变的热线:{found.n_class_changes} 条",
        "- 名次变动最大:" + ("" if found.movers else "无"),
        *(
            f"  - {_inert(each.group)}:{_inert(each.name)} {_place(each.before)} → {_place(each.after)}"
            for each in found.movers
        ),
        "",
    ]
    return "\n".join(lines) + "\n" + as_markdown(changes)


def _method_change(each: MethodChange) -> str:
    subject = f"{_inert(each.of)}{f'({_inert(each.label)})' if each.label else ''}"
    if each.column is None:
        return f"- {each.file}:{'新增' if each.before is None else '删去'} {subject}"
    return f"- {each.file}:{subject}的 {_inert(each.column)}:{_cell(each.before)} → {_cell(each.after)}"


def _cell(text: str | None) -> str:
    return _inert(text) if text else "(空)"


def _correction(each: dict[str, Any]) -> str:
    target = each.get("target") or ""
    return _inert(f"{target} {each['field']}:{_value(each['expect'])} → {_value(each['to'])}。{each['reason']}".strip())


def _line(line: LineChange) -> list[str]:
    texts = [
        f"- **{_inert(line.name)}**({line.line_id}):{_from_to(line.total_before, line.total_after)}"
        + (
            f";类别 {line.class_before or '无'} → {line.class_after or '无'}"
            if line.class_before != line.class_after
            else ""
        )
    ]
    for each in line.contributions[:MAX_CONTRIBUTIONS]:
        parts = f"得分效应 {_points(each.score_effect_nano)},权重效应 {_points(each.structure_effect_nano)}"
        texts.append(f"  - {_inert(each.label)} {each.printed:+.2f}({parts})")
    rest = line.contributions[MAX_CONTRIBUTIONS:]
    if rest:
        texts.append(f"  - 其余 {len(rest)} 项合计 {sum((each.printed for each in rest), Decimal(0)):+.2f}")
    if line.contributions:
        texts.append(f"  - 合计与总分变化之差:{_points(line.residual_nano)}")
    return texts


def _from_to(before: Decimal | None, after: Decimal | None) -> str:
    change = f"({after - before:+.2f})" if before is not None and after is not None else ""
    return f"{_value(before)} → {_value(after)}{change}"


def _points(nano: int) -> str:
    return f"{Decimal(nano).scaleb(-9):+.6f}" if nano else "0"


def _ranks(ranks: tuple[RankChange, ...]) -> list[str]:
    rows = [
        "自身:其他单位得分保持已公布值时的名次变化;他人:其余部分。正数为名次后移。",
        "",
        "| 排名 | 单位 | 原得分 | 新得分 | 原名次 | 新名次 | 自身 | 他人 | 他人保持原值时 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for each in ranks:
        cells = [
            _inert(each.group), f"{_inert(each.name)}({each.unit_code})", _value(each.score_before),
            _value(each.score_after), _place(each.before), _place(each.after), _moved(each.own), _moved(each.others),
            _place(each.held),
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _place(rank: int | None) -> str:
    return "不排名" if rank is None else str(rank)


def _moved(places: int | None) -> str:
    return "—" if places is None else f"{places:+d}" if places else "0"


def _value(value: object) -> str:
    return "—" if value is None else f"{value:.2f}" if isinstance(value, Decimal) else str(value)


def _inert(text: str) -> str:
    """A text that can be no markup: what Markdown or HTML would read is escaped, line ends are none."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>#|~&!" else char for char in " ".join(text.split()))
