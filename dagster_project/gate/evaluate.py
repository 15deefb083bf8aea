"""Evaluate one suite on one table with Great Expectations.

Belongs here: everything that knows Great Expectations; no other module imports it, and this one is
imported by the gate's worker only. Does not belong here: where tables and bounds come from.

Great Expectations measures a table and then judges its measures. Where SQL has measured it already
(`measures.py`), only the judging is left to do.

Great Expectations drops what it can not read and passes what it does not find: an expectation of
an unknown type or severity disappears, an exception is only noted. Each is refused here.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

import great_expectations as gx
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.exceptions import ExpectationNotFoundError
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.registry import get_expectation_impl

from dagster_project.gate.measures import Measured, Measures
from dagster_project.ingest.faults import reject, shown

COLUMN_KWARGS = ("column", "column_A", "column_B")
COLUMN_LIST_KWARGS = ("column_list", "column_set")
# A condition that selects nothing passes silently: conditions belong into the suite's query.
REFUSED_KWARGS = {"batch_id", "row_condition", "condition_parser"}
# The first 20 places come with this format; all of them would cost more and tell a reader no more.
RESULT_FORMAT = "SUMMARY"


@dataclass(frozen=True)
class _Outcome:
    """What Great Expectations says of one expectation, and what of the rows is told with it."""

    success: bool
    result: dict[str, Any]
    n_rows: int
    extremes: tuple[Any, Any] | None
    failing_rows: list[dict[str, Any]]


def evaluate(
    suite_name: str, expectations: Sequence[dict[str, Any]], index_columns: Sequence[str], table: pa.Table | Measures
) -> list[dict[str, Any]]:
    """One verdict per expectation, in the order declared, of plain JSON types.

    `expectations`: {type, kwargs with numbers in place of parameters, severity, meta.check, notes}.
    `table`: the rows, or what was measured of them for these expectations.
    `observed`: what the expectation measured; of an expectation on each value of a column, the
    column's values as one number or {min, max}, of one on nulls the share of rows that hold.
    `n_failing` counts rows and is 0 where the expectation is on the table as a whole.
    `failing_rows`: the first 20, `index_columns` and the columns concerned, in the table's order.
    Raises InputRejected where the suite does not fit Great Expectations or the table, or where an
    expectation raises.
    """
    suite = _load(suite_name, expectations, index_columns, table)
    outcomes = (
        _judged(suite, table)
        if isinstance(table, Measures)
        else _measured_and_judged(suite, expectations, index_columns, table)
    )
    return [_verdict(suite_name, each, outcome) for each, outcome in zip(expectations, outcomes, strict=True)]


# --- loading -----------------------------------------------------------------------------------


def _load(
    suite_name: str, expectations: Sequence[dict[str, Any]], index_columns: Sequence[str], table: pa.Table | Measures
) -> gx.ExpectationSuite:
    faults = [
        f"meta.index_columns: 查询结果没有列「{shown(name)}」 / the query has no such column"
        for name in index_columns
        if name not in table.column_names
    ]
    if not expectations:
        faults.append("expectations: 套件为空 / an empty suite passes whatever the data")
    for each in expectations:
        faults += _faults(each, table)
    if faults:
        reject(suite_name, [f"{suite_name}.json: {fault}" for fault in faults])
    suite = gx.ExpectationSuite(name=suite_name, expectations=[_expectation(each) for each in expectations])
    loaded = [(each.expectation_type, each.severity.value, (each.meta or {})["check"]) for each in suite.expectations]
    declared = [(each["type"], each["severity"], each["meta"]["check"]) for each in expectations]
    if len({check for *_, check in declared}) != len(declared):
        _refuse(suite_name, "检查名重复", "a check's name is duplicated", [check for *_, check in declared])
    if loaded != declared:
        missing = [check for *_, check in declared if check not in {check for *_, check in loaded}]
        _refuse(suite_name, "未能载入全部期望", "not every expectation was loaded", missing)
    return suite


def _faults(declared: dict[str, Any], table: pa.Table | Measures) -> list[str]:
    check = (declared.get("meta") or {}).get("check")
    if not check:
        return ["meta.check: 缺少检查名 / the check has no name"]
    try:
        kind = get_expectation_impl(declared["type"])
    except ExpectationNotFoundError:
        return [f"{check}: type「{shown(declared['type'])}」不是已知的期望 / no such expectation"]
    kwargs = declared["kwargs"]
    allowed = {*kind.domain_keys, *kind.success_keys} - REFUSED_KWARGS
    faults = [
        f"{check}: kwargs.{shown(name)}: 此期望不接受 / not accepted; 可用 / there are: {', '.join(sorted(allowed))}"
        for name in sorted(set(kwargs) - allowed)
    ]
    faults += [
        f"{check}: 查询结果没有列「{shown(name)}」 / the query has no such column"
        for name in _columns(kwargs)
        if name not in table.column_names
    ]
    try:
        _expectation(declared)
    except (TypeError, ValueError) as error:  # pydantic's complaint about a value, severity among them
        faults.append(f"{check}: {' '.join(str(error).split())}")
    return faults


def _expectation(declared: dict[str, Any]) -> Expectation:
    """The expectation built by its own class, which complains; a suite given the mapping would drop it."""
    described: dict[str, Any] = {name: declared.get(name) for name in ("severity", "notes", "meta")}
    return get_expectation_impl(declared["type"])(**declared["kwargs"], **described)


def _columns(kwargs: dict[str, Any]) -> list[str]:
    named = [kwargs[key] for key in COLUMN_KWARGS if key in kwargs]
    return named + [name for key in COLUMN_LIST_KWARGS for name in kwargs.get(key, [])]


def _refuse(suite_name: str, zh: str, en: str, checks: list[str]) -> None:
    reject(suite_name, [f"{suite_name}.json: {zh} / {en}: {', '.join(checks)}"])


# --- judging what was measured -----------------------------------------------------------------


def _judged(suite: gx.ExpectationSuite, measures: Measures) -> Iterator[_Outcome]:
    for expectation, measured in zip(suite.expectations, measures.of_expectations, strict=True):
        # no engine: nothing is left to compute
        needed = expectation.get_validation_dependencies(runtime_configuration={"result_format": RESULT_FORMAT})
        metrics = {
            metric.id: _metric(metric.metric_name, measures.n_rows, measured)
            for metric in needed.get_metric_configurations()
        }
        said = expectation.metrics_validate(metrics, runtime_configuration={"result_format": RESULT_FORMAT})
        yield _Outcome(bool(said.success), said.result, measures.n_rows, measured.extremes, measured.failing_rows)


def _metric(name: str, n_rows: int, measured: Measured) -> Any:
    """The measure that Great Expectations calls `name`."""
    known = {
        "table.row_count": n_rows,
        "column.distinct_values.count": measured.n_distinct,
        "column_values.nonnull.unexpected_count": measured.n_missing,
    }
    if name in known:
        return known[name]
    _, kind = name.rsplit(".", 1)
    # of the rows that fail only the number counts in the judgement; they are told beside it
    return {"unexpected_count": measured.n_failing, "unexpected_values": [], "unexpected_index_list": None,
            "unexpected_index_query": None}[kind]  # fmt: skip


# --- measuring and judging ---------------------------------------------------------------------


def _measured_and_judged(
    suite: gx.ExpectationSuite,
    expectations: Sequence[dict[str, Any]],
    index_columns: Sequence[str],
    table: pa.Table,
) -> Iterator[_Outcome]:
    results = _batch(table).validate(suite, result_format=RESULT_FORMAT).results
    by_check = {(result.expectation_config.meta or {})["check"]: result for result in results}
    declared = [each["meta"]["check"] for each in expectations]
    if not len(results) == len(by_check) == len(declared):
        _refuse(suite.name, "未逐一评估全部期望", "not every expectation was evaluated once", declared)
    raised = [f"{check}: {text}" for check in declared for text in _exceptions(by_check[check].exception_info)]
    if raised:
        reject(
            suite.name, [f"{suite.name}.json: {shown(text)} 期望无法评估 / could not be evaluated" for text in raised]
        )
    for each, check in zip(expectations, declared, strict=True):
        said = by_check[check]
        shown_columns = [*index_columns, *_columns(each["kwargs"])]
        rows = _rows(table, shown_columns, said.result.get("partial_unexpected_index_list"))
        yield _Outcome(bool(said.success), said.result, table.num_rows, _extremes(each, table), rows)


def _batch(table: pa.Table) -> Any:
    return _any_table().get_batch({"dataframe": table.to_pandas()})


@cache
def _any_table() -> Any:
    """What a table is to Great Expectations: a frame in a context in memory, silent, sending nothing."""
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    asset = context.data_sources.add_pandas("gate").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("table")


def _exceptions(info: dict[str, Any]) -> list[str]:
    """Messages of what was raised; Great Expectations gives one record, or one per metric."""
    records = [info] if "raised_exception" in info else list(info.values())
    return [str(record["exception_message"]) for record in records if record["raised_exception"]]


def _extremes(declared: dict[str, Any], table: pa.Table) -> tuple[Any, Any] | None:
    column = declared["kwargs"].get("column")
    if column is None or not _is_number(table.schema.field(column).type):
        return None
    values = table[column]
    if pa.types.is_floating(values.type):
        values = values.filter(pc.invert(pc.is_nan(values)))
    extremes = pc.min_max(values).as_py()
    return extremes["min"], extremes["max"]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _rows(table: pa.Table, columns: list[str], places: list[int] | None) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(columns))
    rows: list[dict[str, Any]] = table.select(names).take(pa.array(places or [], pa.int64())).to_pylist()
    return rows


# --- telling -----------------------------------------------------------------------------------


def _verdict(suite_name: str, declared: dict[str, Any], outcome: _Outcome) -> dict[str, Any]:
    kwargs, result = declared["kwargs"], outcome.result
    n_evaluated, n_failing = outcome.n_rows, 0
    if "element_count" in result:  # each row is judged; others count values, groups or the table
        n_evaluated = result["element_count"] - result.get("missing_count", 0)
        n_failing = result["unexpected_count"]
    return {
        "suite": suite_name,
        "check": declared["meta"]["check"],
        "expectation": declared["type"],
        "column": kwargs.get("column"),
        "severity": declared["severity"],
        "success": outcome.success,
        "observed": _plain(_observed(declared, outcome, n_evaluated, n_failing)),
        "n_evaluated": int(n_evaluated),
        "n_failing": int(n_failing),
        "failing_rows": [_plain(row) for row in outcome.failing_rows],
        "bounds": {name: value for name, value in kwargs.items() if name != "column"},
        "notes": declared["notes"],
    }


def _observed(declared: dict[str, Any], outcome: _Outcome, n_evaluated: int, n_failing: int) -> Any:
    if "observed_value" in outcome.result:
        return outcome.result["observed_value"]
    if declared["type"] == "expect_column_values_to_not_be_null":
        return (n_evaluated - n_failing) / n_evaluated if n_evaluated else None
    if outcome.extremes is None:
        return None
    least, greatest = outcome.extremes
    return least if least == greatest else {"min": least, "max": greatest}


def _plain(value: Any) -> Any:
    """`value` in types that JSON has; not a number becomes null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(each) for each in (sorted(value) if isinstance(value, set) else value)]
    if hasattr(value, "item"):  # a NumPy scalar
        return _plain(value.item())
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
