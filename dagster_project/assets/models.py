"""The dbt models as Dagster shows them: assets, their columns and lineage, their tests as checks.

Read from dbt's `manifest.json` without importing dbt. dagster-dbt's decorator imports all of it,
which costs every start a second that the worker (`transform/child.py`) spends already; the tests
hold these specifications against dagster-dbt's own.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dagster_project.transform.dbt_step import step_of

Manifest = Mapping[str, Any]
Node = Mapping[str, Any]


def model_specs(manifest: Manifest, step: str) -> list[dg.AssetSpec]:
    """One asset per model of the step: keyed by its name, grouped by its folder."""
    return [
        dg.AssetSpec(
            _key(node),
            deps=sorted({_key(parent) for parent in _parents(manifest, node)}),
            skippable=True,
            description=node["description"],
            group_name=node["fqn"][1],
            owners=["team:analysts"],
            kinds={"dbt", "duckdb"},
            tags=dict.fromkeys(node["tags"], ""),
            code_version=hashlib.sha256(node["raw_code"].encode()).hexdigest(),
            metadata={
                "dagster/table_name": f"{node['database']}.{node['schema']}.{node['alias']}",
                "materialization": node["config"]["materialized"],
                **({"dagster/column_schema": _columns(node)} if node["columns"] else {}),
            },
        )
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and step_of(node["tags"]) == step
    ]


def check_specs(manifest: Manifest, step: str) -> list[dg.AssetCheckSpec]:
    """One check per test on a model of the step; those of severity error block what comes after."""
    return [
        dg.AssetCheckSpec(
            test["name"],
            asset=_key(model),
            additional_deps=sorted({_key(parent) for parent in _parents(manifest, test)} - {_key(model)}),
            description=test["description"] or None,
            blocking=test["config"]["severity"].lower() == "error",
        )
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test"
        for model in [manifest["nodes"][test["attached_node"]]]
        if step_of(model["tags"]) == step
    ]


def _parents(manifest: Manifest, node: Node) -> Iterator[Node]:
    for name in node["depends_on"]["nodes"]:
        yield manifest["sources"][name] if name in manifest["sources"] else manifest["nodes"][name]


def _key(node: Node) -> dg.AssetKey:
    """Models keep their names; sources are the assets that the ingest makes."""
    if node["resource_type"] != "source":
        return dg.AssetKey(node["name"])
    return dg.AssetKey(["bronze", node["name"] if node["source_name"] == "bronze" else "reference"])


def _columns(node: Node) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column["name"], column["data_type"] or "?", column["description"])
            for column in node["columns"].values()
        ]
    )
