"""What a suite's query gives, measured in SQL: how many rows there are, how many fail, and the first of those.

Belongs here: for each kind of expectation the condition under which a row fails, as Great
Expectations puts it to a pandas frame. Does not belong here: whether the expectation then holds.
That Great Expectations says, of these measures as of a frame (`evaluate.py`).

A wave of a hundred million observations gives ten million rows to some queries. They stay in
DuckDB, which spills what its memory does not hold. Great Expectations' own SQL engine is not used:
it reads a result after its connection went back to the pool, where the one driver that SQLAlchemy has
for DuckDB (duckdb-engine 0.17) has lost it, so that every metric ends in "list index out of range".
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dagster_project.database import quoted
from dagster_project.ingest.faults import reject, shown

if TYPE_CHECKING:
    import duckdb

MAX_ROWS_TOLD = 20  # of those that fail: what Great Expectations tells by itself, and as much as anybody reads
# What is not measured here goes to the worker as a frame. A million rows of a suite's few columns
# take .4 GB in this process and .5 GB in that one, and both together have 2 GB for everything.
MAX_ROWS_FETCHED = 1_000_000
# Below it a frame, which has integers beside nulls as floating-point numbers, compares as SQL does.
EXACT = 2**53


@dataclass(frozen=True)
class Measured:
    """The rows as one expectation sees them. Missing are null and not-a-number.

    `n_missing` in its column; `n_failing` of the others, or of an expectation on nulls the missing;
    `n_distinct`: values of its column, None where nobody asks. `extremes`: least and greatest number
    of its column, None where it holds none. `failing_rows`: the first, index columns and its column.
    """

    n_missing: int
    n_failing: int
    n_distinct: int | None
    extremes: tuple[Any, Any] | None
    failing_rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Measures:
    """The rows of a query, counted; `of_expectations` in the order of the expectations."""

    column_names: list[str]
    n_rows: int
    of_expectations: list[Measured]


def measure(
    connection: "duckdb.DuckDBPyConnection",
    query: str,
    wave_id: str,
    suite_name: str,
    expectations: Sequence[dict[str, Any]],
    index_columns: Sequence[str],
) -> "Measures | pa.Table":
    """What `gate.evaluate.evaluate` is to judge: measures of the rows of `query`, however many there are.

    Where one expectation is none of KINDS, or not one that SQL can be asked, it is the rows
    themselves, in the same order: Great Expectations then judges or refuses it as it does. Raises
    InputRejected where these are more than MAX_ROWS_FETCHED.
    """
    rows = _Rows(connection, query, {"wave": wave_id}, index_columns)
    questions = [_question(each, rows.schema, place) for place, each in enumerate(expectations)]
    asked = [question for question in questions if question is not None]
    if len(asked) == len(questions) and set(index_columns) <= set(rows.schema.names):
        return rows.measured(asked)
    table = rows.fetched(MAX_ROWS_FETCHED + 1)
    if table.num_rows > MAX_ROWS_FETCHED:
        reject(
            suite_name,
            [
                f"{suite_name}.json: {(each.get('meta') or {}).get('check')}: 「{shown(each['type'])}」 "
                f"查询结果超过 {MAX_ROWS_FETCHED} 行时无法评估,请先在查询中汇总 / can not be asked of more than "
                f"{MAX_ROWS_FETCHED} rows; let the query aggregate, or ask of its columns, with numbers as bounds: "
                f"{', '.join(KINDS)}"
                for each, question in zip(expectations, questions, strict=True)
                if question is None
            ],
        )
    return table


# --- the rows ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Question:
    """`fails`: SQL that is true of a row that fails; `values` are its parameters."""

    column: str | None = None
    fails: str = "false"
    is_of_distinct: bool = False
    values: dict[str, Any] = field(default_factory=dict)


class _Rows:
    """The rows of a suite's query. Each method runs it anew: kept, they would be the largest table of all."""

    def __init__(
        self, connection: "duckdb.DuckDBPyConnection", query: str, values: dict[str, Any], index_columns: Sequence[str]
    ) -> None:
        self._connection = connection
        self._source = f"(\n{query.strip().rstrip(';')}\n) as result"
        self._values = values
        self._index_columns = index_columns
        self.schema: pa.Schema = self._select("*", "limit 0").schema

    def fetched(self, n_rows: int) -> pa.Table:
        """The first `n_rows` of them, all columns."""
        return self._select("*", f"order by {self._order()} limit {n_rows}")

    def measured(self, questions: list[_Question]) -> Measures:
        selected = [
            "count(*) as n_rows",
            *(each for at, asked in enumerate(questions) for each in self._counts(at, asked)),
        ]
        values = {name: value for asked in questions for name, value in asked.values.items()}
        (counts,) = self._select(", ".join(selected), values=values).to_pylist()
        return Measures(
            column_names=self.schema.names,
            n_rows=counts["n_rows"],
            of_expectations=[
                Measured(
                    n_missing=counts[f"n_missing_{at}"],
                    n_failing=counts[f"n_failing_{at}"],
                    n_distinct=counts.get(f"n_distinct_{at}"),
                    extremes=(counts[f"least_{at}"], counts[f"greatest_{at}"]) if f"least_{at}" in counts else None,
                    failing_rows=self._failing(asked) if counts[f"n_failing_{at}"] else [],
                )
                for at, asked in enumerate(questions)
            ],
        )

    def _counts(self, at: int, asked: _Question) -> list[str]:
        counts = [f"count(*) filter (where {asked.fails}) as n_failing_{at}"]
        if asked.column is None:
            return [*counts, f"0 as n_missing_{at}"]
        kind, name, missing = (
            self.schema.field(asked.column).type,
            quoted(asked.column),
            _missing(asked.column, self.schema),
        )
        counts.append(f"count(*) filter (where {missing}) as n_missing_{at}")
        if asked.is_of_distinct:
            counts.append(f"count(distinct {name}) filter (where not {missing}) as n_distinct_{at}")
        if is_number(kind):
            counts += [
                f"{function}({name}) filter (where not {missing}) as {title}_{at}"
                for function, title in (("min", "least"), ("max", "greatest"))
            ]
        return counts

    def _failing(self, asked: _Question) -> list[dict[str, Any]]:
        names = list(dict.fromkeys([*self._index_columns, *([asked.column] if asked.column else [])]))
        rest = f"where {asked.fails} order by {self._order()} limit {MAX_ROWS_TOLD}"
        rows: list[dict[str, Any]] = self._select(", ".join(map(quoted, names)), rest, asked.values).to_pylist()
        return rows

    def _order(self) -> str:
        """By the index columns; by the others where these do not tell rows apart."""
        first = [name for name in self._index_columns if name in self.schema.names]
        return ", ".join(map(quoted, dict.fromkeys([*first, *self.schema.names])))

    def _select(self, what: str, rest: str = "", values: dict[str, Any] | None = None) -> pa.Table:
        query = f"select {what} from {self._source} {rest}"  # noqa: S608  # the suite's own text, quoted names, conditions below
        return self._connection.sql(query, params={**self._values, **(values or {})}).to_arrow_table()


# --- the kinds of expectations -----------------------------------------------------------------


def _question(declared: dict[str, Any], schema: pa.Schema, place: int) -> _Question | None:
    """What to ask of the rows; None where SQL would not answer it as a frame does."""
    if declared["type"] not in KINDS:
        return None
    arguments, ask = KINDS[declared["type"]]
    kwargs = declared["kwargs"]
    if not set(kwargs) <= arguments or ("column" in arguments and kwargs.get("column") not in schema.names):
        return None
    return ask(kwargs, schema, f"value_{place}")


def _table_question(_kwargs: dict[str, Any], _schema: pa.Schema, _prefix: str) -> _Question:
    return _Question()


def _distinct_question(kwargs: dict[str, Any], schema: pa.Schema, _prefix: str) -> _Question | None:
    return _Question(kwargs["column"], is_of_distinct=True) if _is_plain(kwargs["column"], schema) else None


def _null_question(kwargs: dict[str, Any], schema: pa.Schema, _prefix: str) -> _Question | None:
    column = kwargs["column"]
    return _Question(column, _missing(column, schema)) if _is_plain(column, schema) else None


def _between_question(kwargs: dict[str, Any], schema: pa.Schema, prefix: str) -> _Question | None:
    column = kwargs["column"]
    bounds = {name: kwargs[name] for name in ("min_value", "max_value") if kwargs.get(name) is not None}
    is_strict = [kwargs.get(name, False) for name in ("strict_min", "strict_max")]
    if not bounds or not all(map(_is_exact, bounds.values())) or not all(type(each) is bool for each in is_strict):
        return None
    if not is_number(schema.field(column).type) or list(bounds.values()) != sorted(bounds.values()):
        return None
    beyond = {"min_value": "<=" if is_strict[0] else "<", "max_value": ">=" if is_strict[1] else ">"}
    outside = " or ".join(f"{quoted(column)} {beyond[name]} ${prefix}_{name}" for name in bounds)
    return _Question(
        column,
        f"(not {_missing(column, schema)} and ({outside}))",
        values={f"{prefix}_{name}": value for name, value in bounds.items()},
    )


def _set_question(kwargs: dict[str, Any], schema: pa.Schema, prefix: str) -> _Question | None:
    column, allowed = kwargs["column"], kwargs.get("value_set")
    kind = schema.field(column).type
    fits = _is_exact if is_number(kind) else _is_text if pa.types.is_string(kind) else None
    if fits is None or not isinstance(allowed, list) or not allowed or not all(map(fits, allowed)):
        return None
    values = {f"{prefix}_{number}": value for number, value in enumerate(allowed)}
    inside = f"{quoted(column)} in ({', '.join(f'${name}' for name in values)})"
    return _Question(column, f"(not {_missing(column, schema)} and not {inside})", values=values)


Ask = Callable[[dict[str, Any], pa.Schema, str], _Question | None]
_BOUNDS = frozenset({"min_value", "max_value", "strict_min", "strict_max"})
# {type: (the arguments that SQL can be asked with, how)}
KINDS: dict[str, tuple[frozenset[str], Ask]] = {
    "expect_table_row_count_to_equal": (frozenset({"value"}), _table_question),
    "expect_table_row_count_to_be_between": (_BOUNDS, _table_question),
    "expect_column_unique_value_count_to_be_between": (_BOUNDS | {"column"}, _distinct_question),
    "expect_column_values_to_not_be_null": (frozenset({"column", "mostly"}), _null_question),
    "expect_column_values_to_be_between": (_BOUNDS | {"column", "mostly"}, _between_question),
    "expect_column_values_to_be_in_set": (frozenset({"column", "value_set", "mostly"}), _set_question),
}


def is_number(kind: pa.DataType) -> bool:
    """Whether numbers of `kind` have the same order in SQL and in a frame: integers and double precision."""
    is_whole = pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0)
    return bool(is_whole or pa.types.is_float64(kind))


def _is_plain(column: str, schema: pa.Schema) -> bool:
    kind = schema.field(column).type
    return is_number(kind) or bool(pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_date(kind))


def _is_exact(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < EXACT


def _is_text(value: Any) -> bool:
    return type(value) is str


def _missing(column: str, schema: pa.Schema) -> str:
    """True of what a frame has as missing; never null."""
    name = quoted(column)
    return (
        f"({name} is null or isnan({name}))" if pa.types.is_float64(schema.field(column).type) else f"({name} is null)"
    )
