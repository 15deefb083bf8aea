"""The dbt project by itself: its unit tests, and what its texts promise."""

import json
import re
from pathlib import Path

import pytest

from dagster_project.paths import DBT_PROJECT, Paths
from dagster_project.schema import SCORING_FIELDS
from dagster_project.transform import dbt_step


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict:
    home = tmp_path_factory.mktemp("dbt")
    return json.loads(dbt_step.ensure_parsed(Paths(raw=home, home=home)).read_text(encoding="utf-8"))


def test_unit_tests_of_the_models_hold(tmp_path: Path) -> None:
    results = dbt_step.run_unit_tests(Paths(raw=tmp_path, home=tmp_path))
    assert len(results) == 11
    assert [(result.name, result.message) for result in results if result.status != "pass"] == []


def test_every_model_and_contracted_column_is_described(manifest: dict) -> None:
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(models) > 15
    assert [node["name"] for node in models if not node["description"]] == []
    bare = [
        (node["name"], name) for node in models for name, column in node["columns"].items() if not column["description"]
    ]
    assert bare == []


def test_published_and_score_tables_carry_contracts_and_a_tested_grain(manifest: dict) -> None:
    tables = {
        key: node
        for key, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["config"]["materialized"] == "scoped"
    }
    grains = {
        node["attached_node"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and node["test_metadata"]["name"] == "grain"
    }
    assert [node["name"] for node in tables.values() if not node["config"]["contract"]["enforced"]] == []
    assert set(tables) - grains == set()
    assert [node["name"] for node in tables.values() if not node["description"].startswith("One row per ")] == []


def test_answers_are_made_of_the_fields_that_rules_may_name() -> None:
    """The lists in answers.sql and schema.SCORING_FIELDS are one."""
    text = (DBT_PROJECT / "macros/answers.sql").read_text(encoding="utf-8")
    named = {
        source: {
            field: kind for kind in ("text", "number") for field in re.findall(r"'(\w+)'", lists[f"{kind}_fields"])
        }
        for source, part in re.findall(r"'source': '(\w+)'(.*?)\n        }", text, flags=re.DOTALL)
        for lists in [dict(re.findall(r"'(\w+_fields)': \[(.*?)\]", part, flags=re.DOTALL))]
    }
    assert named == SCORING_FIELDS


def test_the_dbt_folder_is_not_a_package() -> None:
    """A dbt/__init__.py would hide the dbt package itself."""
    assert not (DBT_PROJECT / "__init__.py").exists()
