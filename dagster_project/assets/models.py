"""The dbt models as Dagster shows them: assets, their columns and lineage, their tests as checks.

Read from dbt's `manifest.json` without importing dbt. dagster-dbt's decorator imports all of it,
which costs every start a second that the worker (`transform/child.py`) spends already; the tests
hold these specifications against dagster-dbt's own.
"""

import hashlib
import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dagster_project.partitions import wave_check
from dagster_project.paths import DBT_PROJECT
from dagster_project.previews import CODE_REFERENCES, accepted
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
            description=_description(node),
            group_name=node["fqn"][1],
            owners=["team:analysts"],
            kinds={"dbt", "duckdb"},
            tags=dict.fromkeys(node["tags"], ""),
            code_version=_code_version(manifest, node),
            metadata={
                "dagster/table_name": f"{node['database']}.{node['schema']}.{node['alias']}",
                "materialization": node["config"]["materialized"],
                "dagster/code_references": _code_references(node),
                **({"dagster/column_schema": _columns(node)} if node["columns"] else {}),
            },
        )
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and step_of(node["tags"]) == step
    ]


def check_specs(manifest: Manifest, step: str) -> list[dg.AssetCheckSpec]:
    """One check per test on a model of the step; those of severity error block what comes after."""
    return [
        wave_check(
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


def _description(node: Node) -> str:
    """The model's description and its SQL, as dagster-dbt writes it."""
    return f"{node['description']}\n\n#### Raw SQL:\n```sql\n{textwrap.indent(node['raw_code'], '    ')}\n```"


def _code_references(node: Node) -> dg.CodeReferencesMetadataValue:
    path = DBT_PROJECT / node["original_file_path"]
    with accepted(CODE_REFERENCES):
        return dg.CodeReferencesMetadataValue(code_references=[dg.LocalFileCodeReference(file_path=str(path))])


def _code_version(manifest: Manifest, node: Node) -> str:
    """Hash of the model's SQL and of every macro that takes part in it, so that an edited macro makes it stale."""
    used = {name: manifest["macros"][name]["macro_sql"] for name in _macros(manifest, node)}
    return hashlib.sha256(json.dumps([node["raw_code"], used], sort_keys=True).encode()).hexdigest()


def _macros(manifest: Manifest, node: Node) -> set[str]:
    """Ids of the macros that a model calls, directly or through others, and of its materialization."""
    materialization = f"materialization_{node['config']['materialized']}_"
    called = [
        *node["depends_on"]["macros"],
        *(name for name, macro in manifest["macros"].items()
          if macro["package_name"] == node["package_name"] and macro["name"].startswith(materialization)),
    ]  # fmt: skip
    found: set[str] = set()
    while called:
        name = called.pop()
        if name in found:
            continue
        found.add(name)
        called += [*manifest["macros"][name]["depends_on"]["macros"], *_variants(manifest, name)]
    return found


def _variants(manifest: Manifest, name: str) -> Iterator[str]:
    """The forms of a macro for each engine (`spark__idiv`): dbt lists the one of its own target alone."""
    package, _, macro = name.rpartition(".")
    return (each for each in manifest["macros"] if each.startswith(f"{package}.") and each.endswith(f"__{macro}"))


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
