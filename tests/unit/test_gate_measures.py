"""What SQL measures of a query's rows is judged as the rows themselves would be, and the rows stay where they are."""

from datetime import date
from typing import Any
from unittest.mock import patch

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_project.errors import InputRejected
from dagster_project.gate import measures, verdicts
from dagster_project.gate.measures import KINDS, MAX_ROWS_TOLD, Measures, measure
from dagster_project.gate.suites import Suite, load_suites
from dagster_project.worker import GATE
from tests.unit.gate_world import SPOILERS, WAVE, good_world, in_memory
from tests.unit.test_gate_suites import REFUSED

SUITES = {suite.name: suite for suite in load_suites()}
INDEX = ["line_id", "place"]
SCHEMA = pa.schema(
    {
        "line_id": pa.string(),
        "place": pa.int64(),
        "whole": pa.int64(),
        "short": pa.int32(),
        "total": pa.decimal128(38, 0),  # what DuckDB gives for the sum of a BIGINT
        "share": pa.float64(),
        "label": pa.string(),
        "is_seen": pa.bool_(),
        "seen_on": pa.date32(),
    }
)
NUMBERS = ("whole", "short", "total", "share")
COLUMNS = (*NUMBERS, "label", "is_seen", "seen_on")

few = st.integers(-3, 3)
large = st.integers(-(2**53) + 1, 2**53 - 1)
fraction = st.sampled_from(
    [-3.0, -0.5, -0.0, 0.0, 0.1, 0.5, 1.0, 2.5, 1e300, float("inf"), float("-inf"), float("nan")]
)
text = st.sampled_from(["", "a", "b", "济南", "'", "a\0b", "NaN"])
bound = st.one_of(few, st.sampled_from([-0.5, 0.0, 0.1, 0.5]), large)
VALUES = {
    "line_id": text,
    "place": few,
    "whole": few | large,
    "short": few,
    "total": few | large,
    "share": fraction | st.floats(-4, 4),
    "label": text,
    "is_seen": st.booleans(),
    "seen_on": st.sampled_from([date(2023, 3, 1), date(1899, 12, 30)]),
}
shares = st.one_of(
    st.sampled_from([0, 0.5, 0.98, 1]),
    st.builds(lambda n, m: min(n, m) / max(n, m), st.integers(1, 12), st.integers(1, 12)),
)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    n_rows = draw(st.integers(0, 3) | st.integers(0, 40))
    columns = {}
    for name, values in VALUES.items():
        given_or_not = draw(st.sampled_from([values, values | st.none(), st.none()] if name in COLUMNS else [values]))
        columns[name] = draw(st.lists(given_or_not, min_size=n_rows, max_size=n_rows))
    return pa.table({name: pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names})


def bounds(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """At least one bound; both in their order."""
    pairs = st.one_of(
        st.builds(lambda low: {"min_value": low}, values),
        st.builds(lambda high: {"max_value": high}, values),
        st.lists(values, min_size=2, max_size=2)
        .map(sorted)
        .map(lambda pair: dict(zip(("min_value", "max_value"), pair, strict=True))),
    )
    strict = st.fixed_dictionaries({}, optional={"strict_min": st.booleans(), "strict_max": st.booleans()})
    return st.builds(lambda *parts: {**parts[0], **parts[1]}, pairs, strict)


def with_column(names: tuple[str, ...], rest: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda name, kwargs: {"column": name, **kwargs}, st.sampled_from(names), rest)


mostly = st.fixed_dictionaries({}, optional={"mostly": shares})
counts = st.integers(0, 12)
KWARGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "expect_table_row_count_to_equal": st.builds(lambda n: {"value": n}, counts),
    "expect_table_row_count_to_be_between": bounds(counts),
    "expect_column_unique_value_count_to_be_between": with_column(COLUMNS, bounds(counts)),
    "expect_column_values_to_not_be_null": with_column(COLUMNS, mostly),
    "expect_column_values_to_be_between": with_column(
        NUMBERS, st.builds(lambda *parts: {**parts[0], **parts[1]}, bounds(bound), mostly)
    ),
    "expect_column_values_to_be_in_set": st.one_of(
        with_column(
            NUMBERS,
            st.builds(lambda allowed, share: {"value_set": allowed, **share}, st.lists(bound, min_size=1), mostly),
        ),
        with_column(
            ("label",),
            st.builds(lambda allowed, share: {"value_set": allowed, **share}, st.lists(text, min_size=1), mostly),
        ),
    ),
}


def suite_of(asked: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [
        {"type": kind, "kwargs": kwargs, "severity": "critical", "meta": {"check": f"c{place}"}, "notes": "Why."}
        for place, (kind, kwargs) in enumerate(asked)
    ]


def measured(table: pa.Table, expectations: list[dict[str, Any]]) -> Measures | pa.Table:
    with duckdb.connect() as connection:
        connection.register("given", table)
        query = "-- one row\nselect * from given where $wave = '2023' -- and no more"
        return measure(connection, query, "2023", "s", expectations, INDEX)


def verdicts_on(found: Measures | pa.Table, expectations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = GATE.ask(("s", expectations, INDEX, found))
    return answer


def test_every_kind_is_held_against_great_expectations() -> None:
    assert sorted(KWARGS) == sorted(KINDS)


@settings(max_examples=60, deadline=None)
@given(
    tables(),
    st.lists(
        st.sampled_from(sorted(KWARGS)).flatmap(lambda kind: st.tuples(st.just(kind), KWARGS[kind])),
        min_size=1,
        max_size=8,
    ),
)
def test_measures_are_judged_as_the_frame_is(table: pa.Table, asked: list[tuple[str, dict[str, Any]]]) -> None:
    expectations = suite_of(asked)
    counted = measured(table, expectations)
    assert isinstance(counted, Measures)
    with patch.object(measures, "KINDS", {}):
        fetched = measured(table, expectations)
    assert isinstance(fetched, pa.Table)
    assert verdicts_on(counted, expectations) == verdicts_on(fetched, expectations)


NOT_FOR_SQL: dict[str, tuple[str, dict[str, Any]]] = {
    "another kind": ("expect_column_values_to_be_unique", {"column": "whole"}),
    "an unknown kind": ("expect_column_values_to_be_betwen", {"column": "whole", "min_value": 0}),
    "an unknown argument": ("expect_column_values_to_be_between", {"column": "whole", "min_vale": 0}),
    "a condition": ("expect_column_values_to_not_be_null", {"column": "whole", "row_condition": "x"}),
    "an unknown column": ("expect_column_values_to_not_be_null", {"column": "hole"}),
    "no column": ("expect_column_values_to_not_be_null", {}),
    "no bound": ("expect_column_values_to_be_between", {"column": "whole"}),
    "bounds crossed": ("expect_column_values_to_be_between", {"column": "whole", "min_value": 2, "max_value": 1}),
    "a bound that is text": ("expect_column_values_to_be_between", {"column": "whole", "min_value": "0"}),
    "too large a bound": ("expect_column_values_to_be_between", {"column": "whole", "min_value": 2**53}),
    "numbers asked of text": ("expect_column_values_to_be_between", {"column": "label", "min_value": 0}),
    "text allowed for numbers": ("expect_column_values_to_be_in_set", {"column": "whole", "value_set": ["0"]}),
    "null allowed": ("expect_column_values_to_be_in_set", {"column": "whole", "value_set": [0, None]}),
    "nothing allowed": ("expect_column_values_to_be_in_set", {"column": "whole", "value_set": []}),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_FOR_SQL)
def test_what_sql_is_not_asked_goes_to_great_expectations_if_the_rows_are_few(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"line_id": "b", "place": 0}, {"line_id": "a", "place": 1}]
    table = pa.Table.from_pylist([dict.fromkeys(SCHEMA.names) | row for row in rows], SCHEMA)
    expectations = suite_of([("expect_table_row_count_to_equal", {"value": 2}), NOT_FOR_SQL[case]])
    fetched = measured(table, expectations)
    assert isinstance(fetched, pa.Table)
    assert fetched["line_id"].to_pylist() == ["a", "b"]
    monkeypatch.setattr(measures, "MAX_ROWS_FETCHED", 1)
    with pytest.raises(InputRejected) as raised:
        measured(table, expectations)
    assert "s.json: c1: " in str(raised.value)
    assert "c0" not in str(raised.value)


@pytest.mark.parametrize("case", REFUSED)
def test_what_great_expectations_refuses_of_rows_it_refuses_of_measures(case: str) -> None:
    expectations, place = REFUSED[case]
    table = pa.Table.from_pylist([{**dict.fromkeys(SCHEMA.names), "line_id": "a"}], SCHEMA)
    table = table.rename_columns(["n_calls" if name == "whole" else name for name in SCHEMA.names])
    with pytest.raises(InputRejected) as raised:
        verdicts_on(measured(table, expectations), expectations)
    assert place in str(raised.value)


def test_values_no_frame_could_tell_apart_are_told_apart() -> None:
    table = pa.Table.from_pylist([{**dict.fromkeys(SCHEMA.names), "line_id": "a", "whole": 2**53 + 1}], SCHEMA)
    expectations = suite_of([("expect_column_values_to_be_between", {"column": "whole", "max_value": 0})])
    (verdict,) = verdicts_on(measured(table, expectations), expectations)
    assert verdict["observed"] == 2**53 + 1


# --- the suites of this project ----------------------------------------------------------------


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_rows_of_a_suite_never_leave_the_database(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are and fail: only counts do, and the few that are told."""
    world = good_world()
    for table, key in (("dial_attempts", "attempt_id"), ("phone_probes", "probe_id"), ("web_probes", "probe_id")):
        first = world[table][0]
        world[table] += [{**first, key: f"X{number}", "coder_id": f"X{number}"} for number in range(200)]
    SPOILERS[suite.expectations[-1].check](world)
    world["lines"] += [{"line_id": f"{number}", "city": "x"} for number in range(200)]
    monkeypatch.setattr(measures, "MAX_ROWS_FETCHED", 0)
    n_rows = []
    select = measures._Rows._select

    def spied(rows: measures._Rows, *args: Any, **options: Any) -> pa.Table:
        table = select(rows, *args, **options)
        n_rows.append(table.num_rows)
        return table

    monkeypatch.setattr(measures._Rows, "_select", spied)
    with in_memory(world) as connection:
        found = verdicts.judge(connection, [suite], WAVE)[suite.name]
    assert any(verdict["n_failing"] or not verdict["success"] for verdict in found)
    assert n_rows
    assert max(n_rows) <= MAX_ROWS_TOLD
