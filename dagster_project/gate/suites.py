"""The hand-written suites of `expectations/`, read strictly, with their bounds resolved for a wave.

Belongs here: what may stand in a suite, and where a bound comes from.
Does not belong here: evaluating (`evaluate.py`), the tables (`tables.py`). Imports neither Great
Expectations nor Dagster, so that definitions and commands load without them.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dagster_project.ingest.declaration import Declaration
from dagster_project.ingest.faults import reject, shown
from dagster_project.paths import EXPECTATIONS

if TYPE_CHECKING:
    from dagster_project.ingest.wave import Wave

DELIVERED, PUBLISHABLE = "delivered", "publishable"
STAGES = (DELIVERED, PUBLISHABLE)
CRITICAL, WARNING = "critical", "warning"
SEVERITIES = (CRITICAL, WARNING)
REFERENCE = "$PARAMETER"
# A check's name becomes a Dagster check, an asset its key.
NAME = re.compile(r"[a-z][a-z0-9_]*")
ASSET = re.compile(r"(bronze/)?[a-z][a-z0-9_]*")

# What a bound may be taken `from`: (wave, lines of its frame, scenarios of its method) -> number.
SOURCES: dict[str, Callable[["Wave", int, int], float]] = {
    "frame.lines": lambda _, n_lines, __: n_lines,
    "frame.line_scenarios": lambda _, n_lines, n_scenarios: n_lines * n_scenarios,
    "plan.phone_probes": lambda wave, *_: wave.plan.phone_probes,
    "plan.dial_attempts": lambda wave, *_: wave.plan.dial_attempts,
    "plan.web_inspections": lambda wave, *_: wave.plan.web_inspections,
    "plan.web_submissions": lambda wave, *_: wave.plan.web_submissions,
    "plan.phone_probes_total": lambda wave, n_lines, _: n_lines * wave.plan.phone_probes,
    "plan.units_total": lambda wave, n_lines, _: (
        n_lines * (wave.plan.dial_attempts + wave.plan.web_inspections + wave.plan.web_submissions)
    ),
    # what a line gets of each scenario at least, when its probes are dealt out evenly
    "plan.phone_probes_per_scenario": lambda wave, _, n_scenarios: wave.plan.phone_probes // n_scenarios,
    "plan.web_inspections_per_scenario": lambda wave, _, n_scenarios: wave.plan.web_inspections // n_scenarios,
    "quarantine.max_share_pct": lambda wave, *_: wave.max_quarantined_share_pct,
}


@dataclass(frozen=True)
class Parameter:
    """A bound that has a name: taken from a wave's declaration (`source`), or a `value` with its `reason`."""

    name: str
    source: str | None
    value: float | None
    reason: str | None


@dataclass(frozen=True)
class Expectation:
    """One expectation as declared; `kwargs` may refer to parameters. `check` names it in all suites."""

    check: str
    type: str
    kwargs: dict[str, Any]
    severity: str
    notes: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that its kwargs refer to."""
        return tuple(sorted(set(_references(self.kwargs))))


@dataclass(frozen=True)
class Suite:
    """The expectations on one table, and the `query` that makes it; `$wave` is the query's one parameter.

    `asset`: what the checks hang on in Dagster. `rejects_input`: a failure means that the delivery
    is refused, not that its content is implausible. `sha256`: of both files.
    """

    name: str
    stage: str
    asset: str
    index_columns: tuple[str, ...]
    rejects_input: bool
    parameters: dict[str, Parameter]
    expectations: tuple[Expectation, ...]
    query: str
    sha256: str


def load_suites(folder: Path = EXPECTATIONS) -> tuple[Suite, ...]:
    """Every suite of `folder`, sorted by name.

    Raises InputRejected with all faults: unknown or missing keys, an empty suite, a check's name
    used twice, a parameter undeclared, unused or without reason, a .json or .sql without the other.
    """
    files = sorted(folder.glob("*.json"))
    faults = _unpaired(folder)
    suites = [_suite(path, faults) for path in files]
    faults += _repeated((suite.name, each.check) for suite in suites for each in suite.expectations)
    faults += _ambiguous(suites)
    if not files:
        faults.append(f"{folder.name}: 没有任何套件 / there is no suite")
    if faults:
        reject(folder.name, faults)
    return tuple(suites)


def threshold_faults(suites: Iterable[Suite], wave: "Wave") -> list[str]:
    """Returns one message per threshold of wave.yml that no suite asks for: it would change nothing."""
    values = {each.name for suite in suites for each in suite.parameters.values() if each.source is None}
    known = ", ".join(sorted(values))
    return [
        f"{wave.id}/wave.yml: thresholds.{shown(name)}: 没有套件使用这个界限;可设:{known} / "
        "no suite has this bound; the names above may be set"
        for name in sorted(set(wave.thresholds) - values)
    ]


def require_known_thresholds(suites: Iterable[Suite], wave: "Wave") -> None:
    """Raises InputRejected with every one of `threshold_faults`."""
    faults = threshold_faults(suites, wave)
    if faults:
        reject(f"{wave.id}/wave.yml", faults)


def resolve_parameters(suite: Suite, wave: "Wave", n_lines: int, n_scenarios: int) -> dict[str, float]:
    """{parameter: its number for `wave`}. The wave's own threshold goes before the suite's value."""
    return {
        name: _number(parameter, wave, n_lines, n_scenarios) for name, parameter in sorted(suite.parameters.items())
    }


def parameter_reasons(suite: Suite, expectation: Expectation, wave: "Wave") -> dict[str, str]:
    """{parameter: why it has its number} for the parameters that `expectation` refers to."""
    return {name: _reason(suite.parameters[name], wave) for name in expectation.parameters}


def resolve_kwargs(kwargs: Any, values: dict[str, float]) -> Any:
    """The same kwargs with every reference to a parameter replaced by its number."""
    if isinstance(kwargs, dict):
        if set(kwargs) == {REFERENCE}:
            return values[kwargs[REFERENCE]]
        return {key: resolve_kwargs(value, values) for key, value in kwargs.items()}
    if isinstance(kwargs, list):
        return [resolve_kwargs(each, values) for each in kwargs]
    return kwargs


# --- bounds ------------------------------------------------------------------------------------


def _number(parameter: Parameter, wave: "Wave", n_lines: int, n_scenarios: int) -> float:
    if parameter.source is not None:
        return SOURCES[parameter.source](wave, n_lines, n_scenarios)
    if parameter.name in wave.thresholds:
        return wave.thresholds[parameter.name].value
    assert parameter.value is not None  # the loader refuses a parameter with neither
    return parameter.value


def _reason(parameter: Parameter, wave: "Wave") -> str:
    if parameter.source == "quarantine.max_share_pct" and wave.quarantine_reason:
        return f"{parameter.source}: {wave.quarantine_reason}"
    if parameter.source is not None:
        return parameter.source
    if parameter.name in wave.thresholds:
        return f"wave.yml: {wave.thresholds[parameter.name].reason}"
    return parameter.reason or ""


def _references(kwargs: Any) -> Iterator[str]:
    if isinstance(kwargs, dict):
        if REFERENCE in kwargs:
            yield str(kwargs[REFERENCE])
        else:
            for value in kwargs.values():
                yield from _references(value)
    elif isinstance(kwargs, list):
        for value in kwargs:
            yield from _references(value)


# --- reading -----------------------------------------------------------------------------------


def _suite(path: Path, faults: list[str]) -> Suite:
    """One suite; what is wrong with it is added to `faults`, and the suite is then not fit for use."""
    content = path.read_bytes()
    script = path.with_suffix(".sql")
    query = script.read_text(encoding="utf-8") if script.exists() else ""
    root = Declaration(_json(path.name, content, faults), path.name, faults=faults)
    meta = root.nested("meta")
    if root.take("name", str) not in (None, path.stem):
        root.fault("name", f"应与文件名 {path.stem} 一致", "must be the file's name")
    if query and "$wave" not in query:
        faults.append(f"{script.name}: 查询没有以 $wave 限定监测期 / the query is not limited to $wave")
    parameters = _parameters(meta)
    expectations = tuple(_expectations(root))
    _check_references(root, parameters, expectations)
    suite = Suite(
        name=path.stem,
        stage=meta.take("stage", str, choices=STAGES),
        asset=_named(meta, "asset", ASSET),
        index_columns=tuple(meta.take("index_columns", list) or ()),
        rejects_input=meta.take("rejects_input", bool, False),
        parameters=parameters,
        expectations=expectations,
        query=query,
        sha256=hashlib.sha256(content + b"\0" + query.encode()).hexdigest(),
    )
    meta.close()
    root.close()
    return suite


def _json(name: str, content: bytes, faults: list[str]) -> dict[str, Any]:
    try:
        read = json.loads(content, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except ValueError as error:  # not JSON, not UTF-8, a key twice, NaN
        faults.append(f"{name}: 不是合法的 JSON / not valid JSON: {error}")
        return {}
    if not isinstance(read, dict):
        faults.append(f"{name}: 应为 JSON 对象 / must be a JSON object")
        return {}
    return read


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError(f"duplicate key among {[key for key, _ in pairs]}")
    return read


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _named(declaration: Declaration, key: str, pattern: re.Pattern[str]) -> str:
    name = declaration.take(key, str)
    if name is not None and not pattern.fullmatch(name):
        declaration.fault(key, f"「{shown(name)}」不是合法的名称", f"must match {pattern.pattern}")
    return name or ""


def _parameters(meta: Declaration) -> dict[str, Parameter]:
    declared = Declaration(meta.take("parameters", dict, {}), meta.file, f"{meta.at}parameters.", meta.faults)
    return {name: _parameter(declared, name) for name in declared.content}


def _parameter(declared: Declaration, name: str) -> Parameter:
    each = declared.nested(name)
    if "from" in each.content:
        source, value, reason = each.take("from", str, choices=tuple(SOURCES)), None, None
    else:
        source, value, reason = None, each.take("value", float), each.take("reason", str)
        if reason is not None and not reason.strip():
            each.fault("reason", "必须写明理由", "must not be empty")
    each.close()
    return Parameter(name, source, value, reason)


def _expectations(root: Declaration) -> Iterator[Expectation]:
    listed = root.take("expectations", list)
    if listed is not None and not listed:
        root.fault("expectations", "套件为空,任何数据都会通过", "an empty suite passes whatever the data")
    for number, content in enumerate(listed or []):
        at = f"expectations[{number}]."
        if not isinstance(content, dict):
            root.fault(at, "应为映射", "must be a mapping")
            continue
        each = Declaration(content, root.file, at, root.faults)
        meta = each.nested("meta")
        notes = each.take("notes", str)
        if notes is not None and not notes.strip():
            each.fault("notes", "必须写明用意", "must not be empty")
        yield Expectation(
            check=_named(meta, "check", NAME),
            type=each.take("type", str),
            kwargs=each.take("kwargs", dict) or {},
            severity=each.take("severity", str, choices=SEVERITIES),
            notes=notes,
        )
        meta.close()
        each.close()


def _check_references(
    root: Declaration, parameters: dict[str, Parameter], expectations: tuple[Expectation, ...]
) -> None:
    used = {name: each.check for each in expectations for name in each.parameters}
    for name in sorted(set(used) - set(parameters)):
        root.fault(f"{used[name]}: ${shown(name)}", "没有声明这个参数", "the parameter is not declared")
    for name in sorted(set(parameters) - set(used)):
        root.fault(f"meta.parameters.{shown(name)}", "没有期望使用这个参数", "no expectation uses the parameter")


def _unpaired(folder: Path) -> list[str]:
    suites, queries = ({path.stem for path in folder.glob(f"*.{kind}")} for kind in ("json", "sql"))
    return [f"{name}.json: 缺少 {name}.sql / its query is missing" for name in sorted(suites - queries)] + [
        f"{name}.sql: 缺少 {name}.json / its suite is missing" for name in sorted(queries - suites)
    ]


def _repeated(checks: Iterable[tuple[str, str]]) -> list[str]:
    first: dict[str, str] = {}
    faults = []
    for suite, check in checks:
        if check in first:
            faults.append(
                f"{suite}.json: 检查名「{check}」已用于 {first[check]}.json / the check's name is taken there"
            )
        elif check:  # a missing name has been told already
            first[check] = suite
    return faults


def _ambiguous(suites: list[Suite]) -> list[str]:
    """A wave's threshold names a parameter without its suite, so a `value` stands in one suite only."""
    holders: dict[str, list[str]] = {}
    for suite in suites:
        for name in suite.parameters:
            holders.setdefault(name, []).append(suite.name)
    return [
        f"{suite.name}.json: meta.parameters.{name}: 其他套件也有同名参数({', '.join(holders[name])}) / "
        "other suites have a parameter of this name"
        for suite in suites
        for name, parameter in suite.parameters.items()
        if parameter.source is None and len(holders[name]) > 1
    ]
