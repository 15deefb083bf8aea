"""What the gate says of a wave, kept as quality.json, and the refusal to go on where it says no.

Belongs here: evaluating a stage's suites on the tables as they are now, the file, the message.
Does not belong here: Dagster (`checks.py`).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster_project.database import reading
from dagster_project.errors import GateFailed, InputRejected, NotReconciled
from dagster_project.files import read_sealed, write_sealed
from dagster_project.gate.measures import measure
from dagster_project.gate.suites import (
    CRITICAL,
    DELIVERED,
    PUBLISHABLE,
    SEVERITIES,
    STAGES,
    Suite,
    load_suites,
    parameter_reasons,
    require_known_thresholds,
    resolve_kwargs,
    resolve_parameters,
)
from dagster_project.gate.tables import BRONZE_TABLES, connect_delivered, connect_publishable
from dagster_project.paths import Paths
from dagster_project.worker import GATE

if TYPE_CHECKING:
    import duckdb

    from dagster_project.ingest.wave import Wave

__all__ = [
    "DELIVERED", "PUBLISHABLE", "GateResult", "evaluate_gate", "raise_for_failures", "read_quality", "require",
    "write_quality",
]  # fmt: skip

CONNECT = {DELIVERED: connect_delivered, PUBLISHABLE: connect_publishable}
MAX_ROWS_TOLD = 3


@dataclass(frozen=True)
class GateResult:
    """Verdicts of one stage on a wave, by suite and then as declared.

    A verdict is what `gate.evaluate.evaluate` returns, with `stage`, `asset` and `parameter_reasons`.
    `refused_input`: a suite that judges the delivery itself failed.
    """

    wave: str
    stage: str
    verdicts: tuple[dict[str, Any], ...]
    n_failed: dict[str, int]
    refused_input: bool

    @property
    def failures(self) -> tuple[dict[str, Any], ...]:
        """The verdicts that close the gate."""
        return tuple(each for each in self.verdicts if _blocks(each))


# The last answer per stage, with what it was given on: a run asks three times.
_answers: dict[str, tuple[Any, GateResult]] = {}


def evaluate_gate(paths: Paths, wave: "Wave", stage: str) -> GateResult:
    """Evaluate the suites of `stage` on the tables as they are now. Writes nothing.

    Asked again on the very files that it has judged, it answers as before. Raises InputRejected
    where a suite or a threshold of wave.yml is wrong, GateFailed where the tables are not there.
    """
    suites = load_suites()
    require_known_thresholds(suites, wave)
    ours = [suite for suite in suites if suite.stage == stage]
    asked = (wave, ours, _files_read(paths, wave.id, stage))
    if stage not in _answers or _answers[stage][0] != asked:
        _answers[stage] = (asked, _evaluate(paths, wave, stage, ours))
    return _answers[stage][1]


def _files_read(paths: Paths, wave_id: str, stage: str) -> list[tuple[str, int, int, int]]:
    """Every file that the suites of `stage` read, with what changes when it is written."""
    files = [paths.bronze_part(name, wave_id) for name in BRONZE_TABLES]
    files += [paths.warehouse] if stage == PUBLISHABLE else []
    known = [(str(path), path.stat()) for path in files if path.exists()]
    return [(name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in known]


def _evaluate(paths: Paths, wave: "Wave", stage: str, ours: list[Suite]) -> GateResult:
    GATE.warm_up()
    with CONNECT[stage](paths, wave.id) as connection, reading(paths.home):
        judged = judge(connection, ours, wave)
    verdicts = tuple(verdict for suite in ours for verdict in judged[suite.name])
    return GateResult(
        wave=wave.id,
        stage=stage,
        verdicts=verdicts,
        n_failed=_failed_by_severity(verdicts),
        refused_input=any(suite.rejects_input and any(map(_blocks, judged[suite.name])) for suite in ours),
    )


def judge(
    connection: "duckdb.DuckDBPyConnection", suites: list[Suite], wave: "Wave"
) -> dict[str, list[dict[str, Any]]]:
    """{suite: its verdicts} on what its query gives; one suite is evaluated while the next is queried."""
    counts = _counts(connection, wave.id)
    answers = GATE.ask_all(_request(connection, suite, wave, *counts) for suite in suites)
    return {suite.name: _judged(suite, wave, answer) for suite, answer in zip(suites, answers, strict=True)}


def write_quality(paths: Paths, wave_id: str, results: Iterable[GateResult]) -> None:
    """Put the results into the wave's quality.json. Whole or not at all.

    The verdicts of earlier stages stay; those of later ones go, for they were given on what stood before.
    """
    stages = {result.stage: list(result.verdicts) for result in results}
    path = paths.quality(wave_id)
    if earlier := STAGES[: min(STAGES.index(stage) for stage in stages)]:
        previous = (read_sealed(path) or {"stages": {}})["stages"]
        stages = {**{stage: previous[stage] for stage in earlier if stage in previous}, **stages}
    verdicts = [verdict for stage in STAGES for verdict in stages.get(stage, [])]
    quality = {
        "wave": wave_id,
        "stages": {stage: stages[stage] for stage in STAGES if stage in stages},
        "counts": {"n_checks": len(verdicts), "n_failed": _failed_by_severity(verdicts)},
    }
    write_sealed(path, quality)


def read_quality(paths: Paths, wave_id: str) -> dict[str, Any]:
    """The latest verdicts on a wave: {wave, stages: {stage: [verdict]}, counts: {n_checks, n_failed}}.

    Raises NotReconciled where there are none that can be read.
    """
    quality = read_sealed(paths.quality(wave_id))
    if quality is None:
        raise NotReconciled(
            f"{wave_id}:没有可读取的检查结果,请重新运行 / there are no verdicts of the gate that can be read; run the "
            f"wave again: hotline run --wave {wave_id}"
        )
    return quality


def require(paths: Paths, wave: "Wave", stages: tuple[str, ...]) -> None:
    """Evaluate the stages again and write quality.json; return only where no critical check fails.

    Raises InputRejected where the delivery itself is refused, GateFailed where its content or the
    scores are implausible, and what `evaluate_gate` raises.
    """
    results = [evaluate_gate(paths, wave, stage) for stage in stages]
    write_quality(paths, wave.id, results)
    raise_for_failures(paths, results)


def raise_for_failures(paths: Paths, results: Iterable[GateResult]) -> None:
    """Raise InputRejected or GateFailed, naming every critical check that fails; warnings never raise."""
    results = list(results)
    failures = [verdict for result in results for verdict in result.failures]
    if not failures:
        return
    wave_id = results[0].wave
    text = "\n".join(
        [
            f"{wave_id}:质量门未通过({len(failures)} 项),未发布任何内容 / the gate is closed "
            f"({len(failures)} failing), nothing is published:",
            *map(_told, failures),
            f"全部结果 / all verdicts: {paths.quality(wave_id)}",
        ]
    )
    raise InputRejected(text) if any(result.refused_input for result in results) else GateFailed(text)


# --- evaluating --------------------------------------------------------------------------------


def _counts(connection: "duckdb.DuckDBPyConnection", wave_id: str) -> tuple[int, int]:
    """Lines of the wave's frame and scenarios of its method."""
    n_lines, n_scenarios = (
        connection.execute(query, {"wave": wave_id}).fetchall()[0][0]
        for query in (
            "select count(distinct line_id) from lines where wave = $wave",
            "select count(distinct scenario_code) from scenarios where wave = $wave",
        )
    )
    if not n_lines or not n_scenarios:
        # every bound on every line would hold of nothing
        raise GateFailed(
            f"{wave_id}:监测范围或场景为空({n_lines} 条热线,{n_scenarios} 个场景),请重新采集 / the frame or the method "
            f"is empty ({n_lines} lines, {n_scenarios} scenarios); ingest the wave again"
        )
    return n_lines, n_scenarios


def _request(
    connection: "duckdb.DuckDBPyConnection", suite: Suite, wave: "Wave", n_lines: int, n_scenarios: int
) -> tuple[Any, ...]:
    """What `gate.evaluate.evaluate` is to judge, with what is measured of the rows that the suite's query gives."""
    values = resolve_parameters(suite, wave, n_lines, n_scenarios)
    expectations = [
        {
            "type": each.type,
            "kwargs": resolve_kwargs(each.kwargs, values),
            "severity": each.severity,
            "meta": {"check": each.check},
            "notes": each.notes,
        }
        for each in suite.expectations
    ]
    measures = measure(connection, suite.query, wave.id, suite.name, expectations, suite.index_columns)
    return suite.name, expectations, suite.index_columns, measures


def _judged(suite: Suite, wave: "Wave", verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            **verdict,
            "stage": suite.stage,
            "asset": suite.asset,
            "parameter_reasons": parameter_reasons(suite, each, wave),
        }
        for verdict, each in zip(verdicts, suite.expectations, strict=True)
    ]


def _blocks(verdict: dict[str, Any]) -> bool:
    return verdict["severity"] == CRITICAL and not verdict["success"]


def _failed_by_severity(verdicts: Iterable[dict[str, Any]]) -> dict[str, int]:
    failed = [verdict["severity"] for verdict in verdicts if not verdict["success"]]
    return {severity: failed.count(severity) for severity in SEVERITIES}


# --- telling -----------------------------------------------------------------------------------


def _told(verdict: dict[str, Any]) -> str:
    bounds, observed = _compact(verdict["bounds"]), _compact(verdict["observed"])
    lines = [
        f"  {verdict['suite']} · {verdict['check']}: {verdict['expectation']} 「{verdict['column'] or '*'}」",
        f"    应为 / required: {bounds}; 实为 / observed: {observed}; "
        f"不符行数 / failing rows: {verdict['n_failing']} / {verdict['n_evaluated']}",
        f"    {verdict['notes']}",
        *[f"    {name}: {reason}" for name, reason in verdict["parameter_reasons"].items()],
        *[f"    {_compact(row)}" for row in verdict["failing_rows"][:MAX_ROWS_TOLD]],
    ]
    return "\n".join(lines)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
