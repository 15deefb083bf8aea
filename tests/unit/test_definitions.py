"""What stands in the asset graph, by name; a change of the graph is a change of this file."""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets

from dagster_project.assets.models import check_specs, model_specs
from dagster_project.gate.suites import CRITICAL, load_suites
from dagster_project.launch import DAGSTER_YAML, dagster_instance
from dagster_project.partitions import waves
from dagster_project.paths import DBT_PROJECT, Paths
from dagster_project.transform.dbt_step import PUBLISHED as PUBLISHED_STEP
from dagster_project.transform.dbt_step import SCORES as SCORES_STEP
from dagster_project.transform.dbt_step import SELECTION, ensure_parsed

RAW = {"baseline", "corrections", "exports", "frame", "method", "narratives", "profiles", "wave"}
BRONZE = {"dial_attempts", "open_probes", "phone_probes", "quarantine", "reference", "web_probes"}
STAGING = {"stg_answers", "stg_attempts", "stg_phone_probes", "stg_web_probes"}
SCORES = {
    "score_answer_counts", "score_answers", "score_l1", "score_l2", "score_l3", "score_line_classes",
    "score_line_inputs", "score_nodes", "score_observations", "score_scenarios", "score_total", "score_tree",
}  # fmt: skip
PUBLISHED = {
    "pub_aggregates", "pub_class_outcomes", "pub_comparable_scores", "pub_figures", "pub_line_classes",
    "pub_line_flags", "pub_line_scores", "pub_measures", "pub_rankings", "pub_waves",
}  # fmt: skip


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    from dagster_project.definitions import defs

    return defs


def specs(defs: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_assets_by_name_and_group(defs: dg.Definitions) -> None:
    groups: dict[str, set[str]] = {}
    for name, spec in specs(defs).items():
        groups.setdefault(str(spec.group_name), set()).add(name.removeprefix("bronze/").removeprefix("raw/"))
    assert groups == {
        "bronze": BRONZE, "staging": STAGING, "scores": SCORES, "published": PUBLISHED,
        "fieldwork": {"fieldwork"}, "release": {"release", "report"}, "raw": RAW,
    }  # fmt: skip


def test_every_asset_has_owner_description_kind_and_the_wave_as_partition(defs: dg.Definitions) -> None:
    for name, spec in specs(defs).items():
        assert spec.owners, name
        assert spec.description, name
        assert spec.kinds, name
        assert isinstance(spec.partitions_def, dg.DynamicPartitionsDefinition), name


def test_tables_show_their_columns(defs: dg.Definitions) -> None:
    for name, spec in specs(defs).items():
        if name.startswith(("pub_", "score_")) and name != "score_tree":
            schema = spec.metadata["dagster/column_schema"]
            assert all(column.description for column in schema.columns), name


class Translator(DagsterDbtTranslator):
    """Names as ours, for dagster-dbt to make the same assets."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] != "source":
            return dg.AssetKey(dbt_resource_props["name"])
        is_export = dbt_resource_props["source_name"] == "bronze"
        return dg.AssetKey(["bronze", dbt_resource_props["name"] if is_export else "reference"])


@pytest.mark.parametrize("step", [SCORES_STEP, PUBLISHED_STEP])
def test_models_and_their_tests_are_what_dagster_dbt_makes_of_them(step: str, tmp_path: Path) -> None:
    manifest = json.loads(ensure_parsed(Paths(raw=tmp_path, home=tmp_path)).read_text(encoding="utf-8"))
    settings = DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True, enable_code_references=True)
    selection = {flag.removeprefix("--"): tag for flag, tag in [SELECTION[step]]}

    @dbt_assets(
        manifest=manifest,
        name=step,
        dagster_dbt_translator=Translator(settings),
        project=DbtProject(DBT_PROJECT),
        **selection,
    )
    def theirs():  # no annotation: dagster wants a tuple of as many as there are models
        ...

    ours = {spec.key: spec for spec in model_specs(manifest, step)}
    assert set(ours) == set(theirs.keys)
    for spec in theirs.specs:
        our = ours[spec.key]
        assert {each.asset_key for each in our.deps} == {each.asset_key for each in spec.deps}, spec.key
        assert our.kinds == spec.kinds and our.skippable == spec.skippable
        assert our.description == spec.description
        assert our.metadata["dagster/code_references"] == spec.metadata["dagster/code_references"]
        columns = spec.metadata.get("dagster/column_schema")
        assert our.metadata.get("dagster/column_schema") == columns, spec.key
        assert our.metadata["dagster/table_name"] == spec.metadata["dagster/table_name"]
    checks = {spec.key: spec for spec in check_specs(manifest, step)}
    assert set(checks) == set(theirs.check_keys)
    for check in theirs.check_specs:
        assert {each.asset_key for each in checks[check.key].additional_deps} == {
            each.asset_key for each in check.additional_deps
        }
        assert checks[check.key].blocking == check.blocking


@pytest.mark.parametrize(
    ("macro", "stale", "unaffected"),
    [
        ("half_up", {"score_l1", "score_l3", "pub_aggregates"}, {"score_tree", "score_line_inputs", "stg_answers"}),
        ("duckdb__idiv", {"score_l1", "stg_phone_probes"}, {"score_tree", "stg_answers"}),
        ("spark__idiv", {"score_l1", "stg_phone_probes"}, {"score_tree", "stg_answers"}),
        ("materialization_scoped_duckdb", {"score_l1", "pub_waves"}, {"stg_answers", "score_tree"}),
    ],
)
def test_an_edited_macro_makes_stale_the_models_that_it_takes_part_in(
    macro: str, stale: set[str], unaffected: set[str], tmp_path: Path
) -> None:
    text = ensure_parsed(Paths(raw=tmp_path, home=tmp_path)).read_text(encoding="utf-8")
    before, after = json.loads(text), json.loads(text)
    after["macros"][f"macro.hotline.{macro}"]["macro_sql"] += " "
    changed = set()
    for step in (SCORES_STEP, PUBLISHED_STEP):
        for old, new in zip(model_specs(before, step), model_specs(after, step), strict=True):
            if old.code_version != new.code_version:
                changed.add(old.key.to_user_string())
    assert stale <= changed
    assert not unaffected & changed


def test_every_check_has_a_result_per_wave(defs: dg.Definitions) -> None:
    graph = defs.get_repository_def().asset_graph
    assert len(graph.asset_check_keys) > 50
    assert {graph.get(key).partitions_def for key in graph.asset_check_keys} == {waves}


def test_loading_definitions_warns_of_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", "import dagster_project.definitions"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Warning" not in done.stderr


def test_every_expectation_is_a_check_and_every_critical_one_blocks(defs: dg.Definitions) -> None:
    checks = {
        spec.name: spec
        for each in defs.asset_checks or []
        for spec in each.check_specs  # type: ignore[union-attr]  # only our own two definitions are in the list
    }
    expectations = {each.check: each for suite in load_suites() for each in suite.expectations}
    assert set(checks) == set(expectations)
    for name, spec in checks.items():
        assert spec.blocking == (expectations[name].severity == CRITICAL), name


def test_findings_on_the_field_work_come_before_the_release_and_hold_nothing_back(defs: dg.Definitions) -> None:
    upstream = {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in specs(defs).items()}
    assert upstream["fieldwork"] == {"bronze/phone_probes", "bronze/web_probes", "bronze/reference"}
    assert "fieldwork" in upstream["release"]
    checks = [
        spec
        for each in defs.assets or []
        for spec in each.check_specs  # type: ignore[union-attr]  # only our own assets are in the list
        if spec.asset_key.to_user_string() == "fieldwork"
    ]
    assert [spec.name for spec in checks] == ["fieldwork_agreement", "fieldwork_coders", "fieldwork_drift"]
    assert not any(spec.blocking for spec in checks)


def test_jobs_hold_everything_and_run_in_one_process(defs: dg.Definitions) -> None:
    bronze = {f"bronze/{name}" for name in BRONZE}
    everything = {*bronze, "fieldwork", *STAGING, *SCORES, *PUBLISHED, "release", "report"}
    for name in ("annual_wave", "adhoc_wave"):
        job = defs.resolve_job_def(name)
        assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == everything
        assert job.executor_def.name == "in_process"


def test_the_annual_schedule_adds_its_partition_first(
    defs: dg.Definitions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project.jobs import every_july

    (tmp_path / "raw/2031").mkdir(parents=True)
    (tmp_path / "raw/2031/wave.yml").write_text("wave: '2031'\n")
    monkeypatch.setenv("HOTLINE_RAW", str(tmp_path / "raw"))
    with dagster_instance(Paths(raw=tmp_path, home=tmp_path / "data")) as instance:
        for year, expected in ((2031, ["2031"]), (2032, [])):
            moment = datetime(year, 7, 1, 6, tzinfo=ZoneInfo("Asia/Shanghai"))
            repository = defs.get_repository_def()
            with dg.build_schedule_context(instance, moment, repository_def=repository) as context:
                data = every_july.evaluate_tick(context)
            assert [request.partition_key for request in data.run_requests or []] == expected
        assert instance.get_dynamic_partitions("waves") == ["2031"]


def test_jobs_schedules_and_sensors_by_name(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} >= {"annual_wave", "adhoc_wave"}
    statuses = {each.name: each.default_status.value for each in (*repository.schedule_defs, *repository.sensor_defs)}
    # what starts runs is off until somebody switches it on; what records, or ends dead runs, is always on
    assert statuses == {
        "every_july": "STOPPED",
        "new_input": "STOPPED",
        "changed_inputs": "RUNNING",
        "abandoned_runs": "RUNNING",
    }


def test_loading_definitions_imports_nothing_that_is_not_needed_for_them() -> None:
    code = (
        "import sys; import dagster_project.definitions; "
        "heavy = {'dbt', 'great_expectations', 'pandas', 'xlsxwriter', 'python_calamine', 'openpyxl'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_instance_of_an_installation_sends_nothing_and_keeps_its_history(tmp_path: Path) -> None:
    paths = Paths(raw=tmp_path, home=tmp_path / "data")
    with dagster_instance(paths) as instance:
        assert instance.telemetry_enabled is False
        instance.add_dynamic_partitions("waves", ["2023"])
    with dagster_instance(paths) as instance:
        assert instance.get_dynamic_partitions("waves") == ["2023"]
    assert (paths.dagster_home / "dagster.yaml").read_text() == DAGSTER_YAML
