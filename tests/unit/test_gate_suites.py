"""A suite that says less than it seems to is refused: by the loader, or by the evaluation in the worker."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dagster_project.errors import InputRejected
from dagster_project.gate.suites import load_suites, resolve_parameters
from dagster_project.worker import GATE
from tests.unit.gate_world import WAVE

GOOD: dict[str, Any] = {
    "name": "lines_seen",
    "meta": {
        "stage": "delivered",
        "asset": "bronze/phone_probes",
        "index_columns": ["line_id"],
        "parameters": {"max_calls": {"value": 20, "reason": "because"}, "lines": {"from": "frame.lines"}},
    },
    "expectations": [
        {
            "type": "expect_table_row_count_to_equal",
            "kwargs": {"value": {"$PARAMETER": "lines"}},
            "severity": "critical",
            "meta": {"check": "lines_all_there"},
            "notes": "Why.",
        },
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "n_calls", "min_value": 1, "max_value": {"$PARAMETER": "max_calls"}},
            "severity": "warning",
            "meta": {"check": "calls_in_bounds"},
            "notes": "Why.",
        },
    ],
}
QUERY = "select line_id, 1 as n_calls from lines where wave = $wave"


def write(folder: Path, suite: dict[str, Any], query: str | None = QUERY) -> Path:
    (folder / f"{GOOD['name']}.json").write_text(json.dumps(suite), encoding="utf-8")
    if query is not None:
        (folder / f"{GOOD['name']}.sql").write_text(query, encoding="utf-8")
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(InputRejected) as raised:
        load_suites(folder)
    return str(raised.value)


def test_a_good_suite_loads(tmp_path: Path) -> None:
    (suite,) = load_suites(write(tmp_path, GOOD))
    assert (suite.name, suite.stage, suite.asset, suite.rejects_input) == (
        "lines_seen", "delivered", "bronze/phone_probes", False,
    )  # fmt: skip
    assert resolve_parameters(suite, WAVE, 349, 15) == {"lines": 349, "max_calls": 20}
    assert suite.query == QUERY
    assert len(suite.sha256) == 64


Change = Callable[[dict[str, Any]], object]
FAULTY: dict[str, tuple[Change, str]] = {
    "unknown key": (lambda suite: suite.update(note="x"), "lines_seen.json: note: "),
    "unknown meta key": (lambda suite: suite["meta"].update(reject_input=True), "meta.reject_input"),
    "unknown key of an expectation": (
        lambda suite: suite["expectations"][1].update(severty="critical"), r"expectations[1].severty",
    ),
    "empty suite": (lambda suite: suite["expectations"].clear(), "expectations: 套件为空"),
    "no expectations": (lambda suite: suite.pop("expectations"), "expectations: 缺少此项"),
    "misspelt severity": (lambda suite: suite["expectations"][0].update(severity="crtical"), "severity: 「crtical」"),
    "no severity": (lambda suite: suite["expectations"][0].pop("severity"), "expectations[0].severity"),
    "no check": (lambda suite: suite["expectations"][0]["meta"].pop("check"), "expectations[0].meta.check"),
    "check that is no name": (
        lambda suite: suite["expectations"][0]["meta"].update(check="Lines there"), "expectations[0].meta.check",
    ),
    "check named twice": (
        lambda suite: suite["expectations"][0]["meta"].update(check="calls_in_bounds"), "「calls_in_bounds」已用于",
    ),
    "no notes": (lambda suite: suite["expectations"][0].update(notes=" "), "expectations[0].notes"),
    "undeclared parameter": (lambda suite: suite["meta"]["parameters"].pop("lines"), "$lines: 没有声明"),
    "unused parameter": (
        lambda suite: suite["meta"]["parameters"].update(other={"from": "frame.lines"}), "other: 没有期望使用",
    ),
    "value without reason": (
        lambda suite: suite["meta"]["parameters"]["max_calls"].pop("reason"), "max_calls.reason: 缺少此项",
    ),
    "value with empty reason": (
        lambda suite: suite["meta"]["parameters"]["max_calls"].update(reason=" "), "max_calls.reason: 必须写明",
    ),
    "unknown source": (lambda suite: suite["meta"]["parameters"]["lines"].update({"from": "plan.calls"}), "lines.from"),
    "unknown stage": (lambda suite: suite["meta"].update(stage="published"), "meta.stage"),
    "other name than the file": (lambda suite: suite.update(name="lines"), "name: 应与文件名"),
    "an expectation that is none": (lambda suite: suite["expectations"].append("x"), "expectations[2]."),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTY)
def test_a_faulty_suite_is_refused_with_its_place(case: str, tmp_path: Path) -> None:
    change, place = FAULTY[case]
    suite = copy.deepcopy(GOOD)
    change(suite)
    assert place in refusal(write(tmp_path, suite))


def test_suite_and_query_come_in_pairs(tmp_path: Path) -> None:
    assert "lines_seen.sql / its query is missing" in refusal(write(tmp_path, GOOD, query=None))
    write(tmp_path, GOOD)
    (tmp_path / "other.sql").write_text(QUERY)
    assert "other.json / its suite is missing" in refusal(tmp_path)


def test_a_query_of_all_waves_is_refused(tmp_path: Path) -> None:
    assert "lines_seen.sql" in refusal(write(tmp_path, GOOD, query="select 1 as n_calls"))


def test_what_is_no_suite_is_refused(tmp_path: Path) -> None:
    assert "there is no suite" in refusal(tmp_path)
    write(tmp_path, GOOD)
    for text in ("{", "[]", '{"name": "a", "name": "b"}', '{"name": NaN}'):
        (tmp_path / "lines_seen.json").write_text(text)
        assert "lines_seen.json" in refusal(tmp_path)


def test_a_bound_that_a_wave_may_set_has_one_suite(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    other = copy.deepcopy(GOOD)
    other["name"] = "other"
    for number, each in enumerate(other["expectations"]):
        each["meta"]["check"] = f"other_{number}"
    (tmp_path / "other.json").write_text(json.dumps(other))
    (tmp_path / "other.sql").write_text(QUERY)
    assert "meta.parameters.max_calls: 其他套件也有同名参数" in refusal(tmp_path)


# --- what only Great Expectations can know -----------------------------------------------------

TABLE = pa.table({"line_id": ["a", "b"], "n_calls": [1, 2], "city": ["济南", None]})


def declared(check: str = "c", **changes: Any) -> dict[str, Any]:
    good = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "n_calls", "min_value": 1},
        "severity": "critical",
        "meta": {"check": check},
        "notes": "Why.",
    }
    return {**good, **changes}


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "misspelt type": ([declared(type="expect_column_values_to_be_betwen")], "expect_column_values_to_be_betwen"),
    "misspelt kwarg": ([declared(kwargs={"column": "n_calls", "min_value": 1, "max_vale": 2})], "kwargs.max_vale"),
    "misspelt column": ([declared(kwargs={"column": "n_call", "min_value": 1})], "「n_call」"),
    "misspelt severity": ([declared(severity="crtical")], "severity"),
    "no severity": ([declared(severity=None)], "severity"),
    "no bound": ([declared(kwargs={"column": "n_calls"})], "cannot both be None"),
    "share in per cent": ([declared(kwargs={"column": "n_calls", "min_value": 1, "mostly": 98})], "mostly"),
    "condition": ([declared(kwargs={"column": "n_calls", "min_value": 1, "row_condition": "x"})], "row_condition"),
    "no check": ([declared(meta={})], "meta.check"),
    "check named twice": ([declared("c"), declared("c", kwargs={"column": "n_calls", "min_value": 0})], "c"),
    "exception": ([declared(kwargs={"column": "line_id", "min_value": 1})], "could not be evaluated"),
    "one of two": ([declared("a"), declared("b", type="expect_nothing")], "b: type「expect_nothing」"),
    "empty suite": ([], "an empty suite"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_evaluation_refuses(case: str) -> None:
    expectations, place = REFUSED[case]
    with pytest.raises(InputRejected) as raised:
        GATE.ask(("lines_seen", expectations, ["line_id"], TABLE))
    assert "lines_seen.json" in str(raised.value)
    assert place in str(raised.value)


def test_index_columns_must_be_there() -> None:
    with pytest.raises(InputRejected, match="index_columns"):
        GATE.ask(("lines_seen", [declared()], ["city_name"], TABLE))


def test_nulls_and_the_share_that_holds() -> None:
    holds = declared(type="expect_column_values_to_not_be_null", kwargs={"column": "city", "mostly": 0.5})
    (verdict,) = GATE.ask(("lines_seen", [holds], ["line_id"], TABLE))
    assert verdict["success"]
    assert (verdict["observed"], verdict["n_evaluated"], verdict["n_failing"]) == (0.5, 2, 1)
    assert verdict["failing_rows"] == [{"line_id": "b", "city": None}]
