"""What a wave declares, as tables: its frame, its method version, itself.

Belongs here: reading these CSVs strictly, and every rule that the scoring relies on.
Does not belong here: what the method computes (dbt), exports.
"""

import csv
import io
import itertools
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dagster_project.ingest.comparable import KINDS, mapping_faults
from dagster_project.ingest.faults import reject, shown
from dagster_project.ingest.personal import found_in
from dagster_project.paths import NAME, Paths
from dagster_project.schema import REFERENCE_TABLES, SCORING_FIELDS

if TYPE_CHECKING:
    from dagster_project.ingest.wave import Wave

NANO = 10**9
CHANNELS = ("phone", "web")
UNITS = ("attempt", "probe")
SOURCE_CHANNEL = {"dial_attempt": "phone", "phone_probe": "phone", "web_inspection": "web", "web_submission": "web"}
Row = dict[str, Any]  # typed values by column, and the row number under "#"


@dataclass(frozen=True)
class Csv:
    """One CSV of the declared side. Columns not named `optional` must be filled in every row.

    `notes`: columns for readers, which nothing is computed from; each may be absent.
    """

    file: str
    key: tuple[str, ...]
    optional: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    choices: tuple[tuple[str, tuple[str, ...]], ...] = ()
    bounds: tuple[tuple[str, int, int], ...] = ()
    may_be_empty: bool = False
    may_be_absent: bool = False


MANY = 10**9
# Weights of one parent, divided by what they have in common: (table, code of the parent, code, weight).
SIBLINGS = (
    ("indicators", None, "l1_code", "l1_weight"),
    ("indicators", "l1_code", "l2_code", "l2_weight"),
    ("indicators", "l2_code", "indicator_code", "l3_weight"),
    ("channel_weights", "indicator_code", "channel", "weight"),
    ("scenarios", None, "scenario_code", "weight"),
)
# The models compute in BIGINT: 2 × sum × 100 points in nanopoints, and 2 × 10^9 × the product along a path, must fit.
MAX_SIBLINGS = 40_000_000
MAX_PATH = 4_000_000_000
# The method's files are part of every release, as they are: people open them in spreadsheets.
FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
PERSONAL = ("含有个人信息,而此文会随发布公开,请删去", "holds personal data, and releases show it; remove it")
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
# A code becomes the name of a page, of a file and of a column; the id of a figure may have parts.
FIGURE_IDS = ("figure_id", "of_figure", "minus_figure")
FIGURE_ID = re.compile(rf"(?=.{{1,80}}\Z){NAME.pattern}(\.{NAME.pattern})*")
LINES = Csv("lines", key=("line_id",))
SETTINGS_COLUMNS = ("setting", "value")  # settings.csv alone has a row per column of its table
METHOD = {
    "indicators": Csv(
        "indicators.csv", ("indicator_code",), notes=("l2_basis", "l3_basis"), choices=(("unit", UNITS),),
        bounds=(("l1_weight", 1, MANY), ("l2_weight", 1, MANY), ("l3_weight", 1, MANY)),
    ),
    "channel_weights": Csv(
        "channel_weights.csv", ("indicator_code", "channel"),
        choices=(("channel", CHANNELS),), bounds=(("weight", 0, MANY),),
    ),
    "scoring_rules": Csv(
        "scoring_rules.csv", ("rule_code",),
        optional=("match", "min_value", "max_value", "score_nano", "na_code", "partition_code"),
        choices=(("source", tuple(SOURCE_CHANNEL)),), bounds=(("score_nano", 0, 100 * NANO),),
    ),
    "na_policy": Csv("na_policy.csv", ("na_code", "indicator_code"), choices=(("treatment", ("exclude", "zero")),)),
    "scenarios": Csv("scenarios.csv", ("scenario_code",), bounds=(("weight", 1, MANY),)),
    "line_class_rules": Csv(
        "line_class_rules.csv", ("line_class",), optional=("below_pct",),
        choices=(("test", ("no_attempts", "none_connected", "rate_below", "otherwise")),),
        bounds=(("below_pct", 1, 100), ("is_ranked", 0, 1)),
    ),
    "rank_groups": Csv(
        "rank_groups.csv", ("group_code",), optional=("rank_group",), choices=(("unit", ("province", "line")),)
    ),
    "settings": Csv(
        "settings.csv", (), choices=(("availability_basis", ("weight", "count")),),
        bounds=(("min_availability_pct", 0, 100),),
    ),
    "line_flags": Csv(
        "line_flags.csv", ("flag_code",), choices=(("channel", CHANNELS),), bounds=(("min_rate_pct", 0, 100),),
        may_be_empty=True,
    ),
    "line_bands": Csv(
        "line_bands.csv", ("band_code",), choices=(("channel", CHANNELS),),
        bounds=(("min_pct", 0, 100), ("max_pct", 0, 100)), may_be_empty=True,
    ),
    "figure_definitions": Csv(
        "figures.csv", ("figure_id",),
        optional=("measure", "dimension", "member", "channel", "code", "of_figure", "minus_figure", "note"),
    ),
    "comparable_with": Csv(
        "comparable_with.csv", ("baseline_method", "baseline_indicator_code", "indicator_code"),
        optional=("baseline_indicator_code", "indicator_code", "share_pct"),
        choices=(("kind", KINDS),), bounds=(("share_pct", 1, 100),), may_be_absent=True,
    ),
}  # fmt: skip


def reference_tables(paths: Paths, wave: "Wave") -> dict[str, pa.Table]:
    """The wave's declared tables by name, typed as schema.REFERENCE_TABLES has them.

    All but the `baseline_*` tables, `open_probes` and `line_inputs`, which others make. Scores are nanopoints.
    Raises InputRejected with every fault: file, row, column, value, and how to mend it.
    """
    faults = _Faults()
    rows = {"lines": _read(paths.frame(wave.frame), "lines", LINES, faults)}
    rows |= _method_rows(paths.method(wave.method), METHOD, faults)
    if not faults.messages:
        _check_tree(rows["indicators"], faults)
        _check_references(rows, faults)
        _check_rules(rows, faults)
        _check_classes_and_bands(rows, faults)
        _check_figures(rows["figure_definitions"], faults)
        _check_mappings(paths, rows, faults)
        reduce_weights(rows)
        _check_weights(rows, faults)
    if faults.messages:
        reject(f"{wave.id} ({wave.method}, {wave.frame})", faults.messages)
    rows["waves"] = [_wave_row(wave)]
    return {
        table: pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows[table]], schema)
        for table, schema in REFERENCE_TABLES.items()
        if table in rows
    }


def method_rows(method: Path, tables: Iterable[str]) -> dict[str, list[Row]]:
    """{table: typed rows} of a method version's folder, a release's copy among them. Scores are nanopoints.

    Raises InputRejected where a file can not be read.
    """
    faults = _Faults()
    rows = _method_rows(method, tables, faults)
    if faults.messages:
        reject(method.name, faults.messages)
    return rows


def _method_rows(method: Path, tables: Iterable[str], faults: "_Faults") -> dict[str, list[Row]]:
    return {
        table: []
        if METHOD[table].may_be_absent and not (method / METHOD[table].file).exists()
        else _read(method / METHOD[table].file, table, METHOD[table], faults)
        for table in tables
    }


def require_mapping(rows: list[Row], older: Iterable[Row], newer: Iterable[Row], place: str) -> None:
    """Raise InputRejected where the rows of comparable_with.csv do not lead from the older indicators to the newer."""
    faults = _Faults()
    _check_mapping(rows, older, newer, faults)
    if faults.messages:
        reject(place, faults.messages)


def declared_ids(method: Path, table: str) -> set[str]:
    """What the rows of one table of a method version are called. Its faults are told by `reference_tables`."""
    key = METHOD[table].key[0]
    return {row[key] for row in _raw_rows(method / METHOD[table].file, _Faults()) if key in row}


def method_file(path: Path) -> str:
    """The name that a CSV has in a method version: its own, or else that of the one file with these columns.

    Raises InputRejected where it is no CSV, or could be none of the files or several. What else is wrong
    with it is told by `reference_tables`.
    """
    if path.name in METHOD_BY_FILE:
        return path.name
    faults = _Faults()
    rows = _raw_rows(path, faults)
    if faults.messages:
        reject(path.name, faults.messages)
    needed = {table: set(_columns(table)) for table in METHOD} | {"settings": set(SETTINGS_COLUMNS)}
    fitting = [METHOD[table].file for table, columns in needed.items() if columns <= rows[0].keys()]
    if len(fitting) != 1:
        faults.file(
            f"{path.name} 第 1 行 / row 1",
            f"从表头看不出是方法版本的哪个文件({'、'.join(fitting) or '无'}),请改名为 {'、'.join(METHOD_BY_FILE)} 之一",
            "its header does not say which file of a method version it is; name it as one of these",
        )
        reject(path.name, faults.messages)
    return fitting[0]


def _wave_row(wave: "Wave") -> Row:
    return {
        "label": wave.label, "kind": wave.kind, "is_synthetic": wave.is_synthetic,
        "period_start": wave.period_start.isoformat(), "period_end": wave.period_end.isoformat(),
        "method": wave.method, "frame": wave.frame, "baseline_wave": wave.baseline,
    }  # fmt: skip


class _Faults:
    """Messages so far. `at` names the row of a CSV in which something is wrong."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def file(self, file: str, zh: str, en: str) -> None:
        self.messages.append(f"{file}: {zh} / {en}")

    def at(self, spec_file: str, row: Row, column: str, zh: str, en: str) -> None:
        value = "" if row.get(column) is None else f" 「{shown(str(row[column]))}」"
        self.messages.append(f"{spec_file} 第 {row['#']} 行 / row {row['#']} 「{column}」{value} {zh} / {en}")


# --- one CSV -----------------------------------------------------------------------------------


def _read(path: Path, table: str, spec: Csv, faults: _Faults) -> list[Row]:
    """Typed rows of one CSV; columns that the schema does not have are left behind."""
    schema, file = REFERENCE_TABLES[table], path.name
    raw = _raw_rows(path, faults)
    if table == "settings" and raw:
        name, value = SETTINGS_COLUMNS
        raw = [dict({row.get(name, ""): row.get(value, "") for row in raw}, **{"#": "2"})]
    names = _columns(table)
    missing = sorted(set(names) - set(raw[0])) if raw else []
    if missing:
        faults.file(file, f"缺少列 {', '.join(missing)},请补上", "these columns are missing; add them")
    if missing or not raw:
        return []
    rows = []
    for number, each in enumerate(raw, start=1):
        row: Row = {"#": int(each["#"])}
        if "figure_order" in schema.names:
            row["figure_order"] = number
        for column, name in names.items():
            row[name] = _typed(each[column], schema.field(name).type, column, row, spec, file, faults)
        _check_row(row, spec, file, faults)
        rows.append(row)
    _check_unique(rows, spec, file, faults)
    return rows


def _columns(table: str) -> dict[str, str]:
    """{column of the CSV: column of the table that it fills}."""
    names = (name for name in REFERENCE_TABLES[table].names if name != "figure_order")
    return {("score" if name == "score_nano" else name): name for name in names}


def _raw_rows(path: Path, faults: _Faults) -> list[dict[str, str]]:
    """Rows as text by header, each with its row number under "#". Empty after a fault."""
    if not path.is_file():
        faults.file(path.name, "文件不存在,请补上", "the file is missing; add it")
        return []
    try:
        records = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        faults.file(path.name, f"不是 UTF-8 CSV:{error}", "not a CSV in UTF-8; save it as such")
        return []
    header = [name.strip() for name in records[0]] if records else []
    if not header or len(set(header)) < len(header):
        faults.file(path.name, "表头为空或有重复的列,请更正", "the header is empty or names a column twice; correct it")
        return []
    rows = []
    for number, record in enumerate(records[1:], start=2):
        if not any(cell.strip() for cell in record):
            continue
        if len(record) != len(header):
            faults.file(
                path.name,
                f"第 {number} 行有 {len(record)} 格,应为 {len(header)} 格",
                f"row {number} has {len(record)} cells, not {len(header)}; check commas and quotes",
            )
            continue
        row = {**{name: cell.strip() for name, cell in zip(header, record, strict=True)}, "#": str(number)}
        for name in header:
            # the files of a method are published with all their columns
            if path.name in METHOD_BY_FILE and found_in(row[name]):
                faults.at(path.name, row, name, *PERSONAL)
            if row[name].startswith(FORMULA_STARTS) and not NUMBER.fullmatch(row[name]):
                faults.at(
                    path.name, row, name, "会被电子表格当作公式,请改写",
                    "a spreadsheet would take it for a formula; write it otherwise",
                )  # fmt: skip
        rows.append(row)
    if not rows and not METHOD_BY_FILE.get(path.name, LINES).may_be_empty:
        faults.file(path.name, "没有数据行,请补上", "no rows; add them")
    return rows


METHOD_BY_FILE = {spec.file: spec for spec in METHOD.values()}


def _typed(
    text: str, kind: pa.DataType, column: str, row: Row, spec: Csv, file: str, faults: _Faults
) -> str | int | None:
    name = "score_nano" if column == "score" else column
    if text == "":
        if name not in spec.optional:
            faults.at(file, row, column, "必填而为空,请补填", "required, but empty; fill it in")
        return None
    if column == "score":
        return _nano(text, row, file, faults)
    if kind == pa.int64():
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            faults.at(file, {**row, column: text}, column, "不是整数,请更正", "not a whole number; correct it")
            return None
        return int(text)
    return text


def _nano(text: str, row: Row, file: str, faults: _Faults) -> int | None:
    """Points as exact nanopoints."""
    try:
        nano = Decimal(text) * NANO
        if nano == nano.to_integral_value():
            return int(nano)
    except (InvalidOperation, OverflowError, ValueError):
        pass
    faults.at(
        file,
        {**row, "score": text},
        "score",
        "不是至多 9 位小数的数,请更正",
        "not a number of at most 9 decimals; correct it",
    )
    return None


def _check_row(row: Row, spec: Csv, file: str, faults: _Faults) -> None:
    for column, value in row.items():
        if file not in METHOD_BY_FILE and isinstance(value, str) and found_in(value):
            faults.at(file, row, column, *PERSONAL)
        is_figure = column in FIGURE_IDS
        is_code = column.endswith(("_code", "_id")) or column in ("line_class", "rank_group")
        if value is not None and (is_figure or is_code) and not (FIGURE_ID if is_figure else NAME).fullmatch(value):
            faults.at(
                file, row, column, "只可含字母、数字、_ 与 -,至多 80 个,请更正",
                "at most 80 letters, digits, _ and - are allowed; correct it",
            )  # fmt: skip
    for column, allowed in spec.choices:
        if row[column] is not None and row[column] not in allowed:
            faults.at(file, row, column, f"应为 {' | '.join(allowed)} 之一,请更正", "not one of these; correct it")
    for column, low, high in spec.bounds:
        if row[column] is not None and not low <= row[column] <= high:
            faults.at(file, row, column, f"应在 {low} 至 {high} 之间,请更正", f"outside {low}..{high}; correct it")


def _check_unique(rows: list[Row], spec: Csv, file: str, faults: _Faults) -> None:
    seen: dict[tuple[Any, ...], int] = {}
    for row in rows if spec.key else []:
        key = tuple(row[column] for column in spec.key)
        if key in seen:
            faults.at(
                file,
                row,
                spec.key[0],
                f"与第 {seen[key]} 行重复,请删去一行",
                f"the same as row {seen[key]}; remove one",
            )
        seen.setdefault(key, row["#"])


# --- rules between rows and tables -------------------------------------------------------------


def _check_tree(indicators: list[Row], faults: _Faults) -> None:
    """A node has one name, one parent and one weight wherever it is written."""
    for code, attributes in (("l1_code", ("l1", "l1_weight")), ("l2_code", ("l2", "l2_weight", "l1_code"))):
        first: dict[str, Row] = {}
        for row in indicators:
            model = first.setdefault(row[code], row)
            for name in attributes:
                if row[name] != model[name]:
                    faults.at(
                        "indicators.csv",
                        row,
                        name,
                        f"与第 {model['#']} 行 {row[code]} 不一致,请统一",
                        f"differs from row {model['#']} for {row[code]}; make them the same",
                    )
    levels = {name: {row[name] for row in indicators} for name in ("indicator_code", "l2_code", "l1_code")}
    for row in indicators:
        for name, others in (("indicator_code", ("l2_code", "l1_code")), ("l2_code", ("l1_code",))):
            if any(row[name] in levels[other] for other in others):
                faults.at(
                    "indicators.csv", row, name, "编码在不同层级重复,请改用不同编码",
                    "a code stands on two levels; use different ones",
                )  # fmt: skip


def reduce_weights(rows: dict[str, list[Row]]) -> None:
    """Divide the weights of every parent by their greatest common divisor: no mean and no share of them changes."""
    for table, parent, _, weight in SIBLINGS:
        for siblings in _families(rows.get(table, []), parent).values():
            divisor = math.gcd(*(row[weight] for row in siblings)) or 1
            for row in siblings:
                row[weight] //= divisor


def _check_weights(rows: dict[str, list[Row]], faults: _Faults) -> None:
    """That sums and products of the reduced weights fit what the models compute in."""
    sums: dict[tuple[str, Any], int] = {}
    for table, parent, code, weight in SIBLINGS:
        for family, siblings in _families(rows[table], parent).items():
            by_code = {row[code]: row[weight] for row in siblings}
            sums[weight, family] = sum(by_code.values())
            if sums[weight, family] > MAX_SIBLINGS:
                faults.at(
                    METHOD[table].file,
                    siblings[0],
                    weight,
                    f"同级权重约分后合计 {sums[weight, family]},超过 {MAX_SIBLINGS},请减少有效位数",
                    f"the weights of its siblings, divided by what they have in common, sum to {sums[weight, family]}, "
                    f"more than {MAX_SIBLINGS}; use fewer digits",
                )
    told: set[str] = set()
    for row in rows["indicators"]:
        product = sums["l1_weight", None] * sums["l2_weight", row["l1_code"]] * sums["l3_weight", row["l2_code"]]
        if product > MAX_PATH and row["l2_code"] not in told:
            told.add(row["l2_code"])
            faults.at(
                "indicators.csv",
                row,
                "l3_weight",
                f"各级权重约分后合计的乘积为 {product},超过 {MAX_PATH},请减少有效位数",
                f"the sums of the weights of its three levels, divided by what they have in common, multiply to "
                f"{product}, more than {MAX_PATH}; use fewer digits",
            )


def _families(rows: Iterable[Row], parent: str | None) -> dict[Any, list[Row]]:
    """{code of the parent: its rows}; all under None where the rows have one parent."""
    families: dict[Any, list[Row]] = {}
    for row in rows:
        families.setdefault(None if parent is None else row[parent], []).append(row)
    return families


def _check_references(rows: dict[str, list[Row]], faults: _Faults) -> None:
    """Foreign keys, and that nothing that is scored lacks its weight or its NA policy."""
    codes = {row["indicator_code"] for row in rows["indicators"]}
    for table in ("channel_weights", "scoring_rules", "na_policy", "line_flags", "line_bands"):
        for row in rows[table]:
            if row["indicator_code"] not in codes:
                faults.at(
                    METHOD[table].file,
                    row,
                    "indicator_code",
                    "indicators.csv 中没有此指标,请更正",
                    "no such indicator in indicators.csv; correct it",
                )
    weighted = {row["indicator_code"] for row in rows["channel_weights"] if row["weight"]}
    for row in rows["indicators"]:
        if row["indicator_code"] not in weighted:
            faults.at(
                "indicators.csv",
                row,
                "indicator_code",
                "在 channel_weights.csv 中没有渠道权重,请补上",
                "has no weight in channel_weights.csv; add one",
            )
    listed = {(row["na_code"], row["indicator_code"]) for row in rows["na_policy"]}
    for row in rows["scoring_rules"]:
        if row["na_code"] is not None and (row["na_code"], row["indicator_code"]) not in listed:
            faults.at(
                "scoring_rules.csv",
                row,
                "na_code",
                f"na_policy.csv 未列出它对 {row['indicator_code']} 的处理",
                "na_policy.csv does not list it for this indicator; add it",
            )
    measured = {(row["indicator_code"], row["channel"]) for row in rows["channel_weights"]}
    for table in ("line_flags", "line_bands"):
        for row in rows[table]:
            if row["indicator_code"] in codes and (row["indicator_code"], row["channel"]) not in measured:
                faults.at(
                    METHOD[table].file,
                    row,
                    "channel",
                    "该指标不在此渠道测量,请更正",
                    "the indicator is not measured in this channel; correct it",
                )


def _check_rules(rows: dict[str, list[Row]], faults: _Faults) -> None:
    """Every scoring rule says one thing about one value; an indicator's rules agree on where it is seen."""
    for row in rows["scoring_rules"]:
        _check_rule(row, faults)
    _check_overlaps(
        rows["scoring_rules"], lambda row: (row["indicator_code"], row["source"], row["field"]),
        "min_value", "max_value", "scoring_rules.csv", faults,
    )  # fmt: skip
    matches: dict[tuple[Any, ...], Row] = {}
    for row in rows["scoring_rules"]:
        key = (row["indicator_code"], row["source"], row["field"], row["match"])
        if row["match"] is not None and matches.setdefault(key, row) is not row:
            faults.at(
                "scoring_rules.csv",
                row,
                "match",
                f"第 {matches[key]['#']} 行已有同一取值的规则,请删去一行",
                f"row {matches[key]['#']} has a rule for this value; remove one",
            )
    _check_sources(rows, faults)


def _check_rule(row: Row, faults: _Faults) -> None:
    file = "scoring_rules.csv"
    fields = SCORING_FIELDS[row["source"]]
    if row["field"] not in fields:
        faults.at(
            file,
            row,
            "field",
            f"{row['source']} 只有字段 {', '.join(fields)},请更正",
            f"{row['source']} has no such field; correct it",
        )
    is_range = row["min_value"] is not None
    if is_range == (row["match"] is not None):
        faults.at(file, row, "match", "match 与 min_value 应恰填其一", "give either match or min_value")
    if row["max_value"] is not None and (not is_range or row["max_value"] <= row["min_value"]):
        faults.at(file, row, "max_value", "应大于 min_value,请更正", "must be above min_value; correct it")
    if (row["score_nano"] is None) == (row["na_code"] is None):
        faults.at(file, row, "na_code", "score 与 na_code 应恰填其一", "give either score or na_code")
    if row["field"] in fields and is_range != (fields[row["field"]] == "number"):
        faults.at(
            file,
            row,
            "field",
            "数值字段用 min_value/max_value,文本字段用 match,请更正",
            "a number field takes min_value and max_value, a text field match; correct it",
        )


def _check_sources(rows: dict[str, list[Row]], faults: _Faults) -> None:
    """An indicator is seen in at most one source per channel, in every channel that has a weight."""
    sources: dict[tuple[str, str], set[str]] = {}
    for row in rows["scoring_rules"]:
        sources.setdefault((row["indicator_code"], SOURCE_CHANNEL[row["source"]]), set()).add(row["source"])
    weights = {(row["indicator_code"], row["channel"]): row for row in rows["channel_weights"]}
    for (code, channel), row in weights.items():
        if row["weight"] and (code, channel) not in sources:
            faults.at(
                "channel_weights.csv",
                row,
                "indicator_code",
                f"{channel} 渠道没有评分规则,请补上",
                f"no scoring rule of the {channel} channel; add some",
            )
    for row in rows["indicators"]:
        code = row["indicator_code"]
        for channel in CHANNELS:
            seen = sources.get((code, channel), set())
            if len(seen) > 1:
                faults.at(
                    "indicators.csv",
                    row,
                    "indicator_code",
                    f"规则来自多个来源 {sorted(seen)},请只用一个",
                    "its rules name more than one source of a channel; use one",
                )
            if seen and (code, channel) not in weights:
                faults.at(
                    "indicators.csv",
                    row,
                    "indicator_code",
                    f"有 {channel} 规则而无该渠道权重,请补上",
                    f"has rules but no weight in the {channel} channel; add it",
                )
        by_attempt = "dial_attempt" in sources.get((code, "phone"), set())
        if by_attempt != (row["unit"] == "attempt"):
            faults.at(
                "indicators.csv",
                row,
                "unit",
                "由拨测记录评分者应为 attempt,其他为 probe,请更正",
                "attempt where dial attempts are scored, else probe; correct it",
            )


def _check_overlaps(
    rows: list[Row], group: Callable[[Row], Any], low: str, high: str, file: str, faults: _Faults
) -> None:
    """Half-open ranges [low, high) of one group do not overlap; an absent high is endless."""
    ranges = sorted((row for row in rows if row[low] is not None), key=lambda row: (str(group(row)), row[low]))
    for before, after in itertools.pairwise(ranges):
        if group(before) == group(after) and (before[high] is None or before[high] > after[low]):
            faults.at(
                file,
                after,
                low,
                f"与第 {before['#']} 行的范围重叠,请更正",
                f"overlaps the range of row {before['#']}; correct one",
            )


def _check_classes_and_bands(rows: dict[str, list[Row]], faults: _Faults) -> None:
    classes = sorted(rows["line_class_rules"], key=lambda row: row["rule_order"])
    for before, after in itertools.pairwise(classes):
        if before["rule_order"] == after["rule_order"]:
            faults.at("line_class_rules.csv", after, "rule_order", "顺序重复,请更正", "is duplicated; correct it")
    if [row["test"] for row in classes].count("otherwise") != 1 or classes[-1]["test"] != "otherwise":
        faults.at(
            "line_class_rules.csv",
            classes[-1],
            "test",
            "最后一条且仅最后一条应为 otherwise,请更正",
            "the last rule, and no other, must be otherwise; correct it",
        )
    for row in classes:
        if (row["below_pct"] is not None) != (row["test"] == "rate_below"):
            faults.at(
                "line_class_rules.csv",
                row,
                "below_pct",
                "仅 rate_below 填写,请更正",
                "given for rate_below and only there; correct it",
            )
    for row in rows["rank_groups"]:
        if (row["rank_group"] is not None) != (row["unit"] == "line"):
            faults.at(
                "rank_groups.csv",
                row,
                "rank_group",
                "仅 unit 为 line 时填写,请更正",
                "given for unit line and only there; correct it",
            )
    for row in rows["line_bands"]:
        if row["min_pct"] >= row["max_pct"]:
            faults.at("line_bands.csv", row, "max_pct", "应大于 min_pct,请更正", "must be above min_pct; correct it")
    _check_overlaps(
        rows["line_bands"], lambda row: row["partition_code"], "min_pct", "max_pct", "line_bands.csv", faults
    )


def _check_mappings(paths: Paths, rows: dict[str, list[Row]], faults: _Faults) -> None:
    """Every older method version that the mapping names is there, and accounted for."""
    by_baseline: dict[str, list[Row]] = {}
    for row in rows["comparable_with"]:
        by_baseline.setdefault(row["baseline_method"], []).append(row)
    for name, mapping in by_baseline.items():
        if not NAME.fullmatch(name) or not paths.method(name).is_dir():
            faults.at(
                MAPPING, mapping[0], "baseline_method", "没有此方法版本,请更正",
                "there is no such method version; correct it",
            )  # fmt: skip
            continue
        older = _method_rows(paths.method(name), ["indicators"], faults)["indicators"]
        _check_mapping(mapping, older, rows["indicators"], faults)


MAPPING = METHOD["comparable_with"].file


def _check_mapping(rows: list[Row], older: Iterable[Row], newer: Iterable[Row], faults: _Faults) -> None:
    parents = {row["indicator_code"]: row["l2_code"] for row in older}
    for row, column, zh, en in mapping_faults(rows, parents, [each["indicator_code"] for each in newer]):
        faults.at(MAPPING, row, column, zh, en)


def _check_figures(figures: Iterable[Row], faults: _Faults) -> None:
    """A difference or growth names figures that exist; nothing else does."""
    figures = list(figures)
    ids = {row["figure_id"] for row in figures}
    needed = {"difference": ("of_figure", "minus_figure"), "growth": ("of_figure",)}
    for row in figures:
        for column in ("of_figure", "minus_figure"):
            if row[column] is not None and (row[column] not in ids or row[column] == row["figure_id"]):
                faults.at("figures.csv", row, column, "没有此指标编号,请更正", "no such figure; correct it")
            if (row[column] is None) == (column in needed.get(row["kind"], ())):
                faults.at(
                    "figures.csv",
                    row,
                    column,
                    f"与 kind={row['kind']} 不符,请更正",
                    "does not go with this kind; correct it",
                )
