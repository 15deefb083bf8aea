"""Raw exports to bronze: every row ends in a table or in quarantine, with its reason."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
import pyarrow as pa

from dagster_project.assets.raw import KEYS
from dagster_project.declared import require_declared
from dagster_project.ingest.bronze import IngestReport, ingest_wave, write_tables
from dagster_project.ingest.wave import load_wave
from dagster_project.partitions import waves
from dagster_project.release.baseline import baseline_tables
from dagster_project.resources import Installation
from dagster_project.schema import EXPORT_TABLES, QUARANTINE, REFERENCE_TABLES, Table
from dagster_project.team import pool
from dagster_project.transform.dbt_step import warm_up
from dagster_project.worker import GATE

logger = logging.getLogger("hotline")

# inputs (`raw.py`) of the tables that are read from exports, and of those that are declared
READ = ("wave", "exports", "corrections", "profiles", "method", "frame")
DECLARED = (*READ, "baseline")  # with the fingerprint of every line, which is made from its rows


def _columns(table: Table) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                str(column.type),
                column.description + (f" ({', '.join(column.codes)})" if column.codes else ""),
                constraints=dg.TableColumnConstraints(nullable=not column.required, unique=column.name == table.key),
            )
            for column in table.columns
        ]
    )


def _spec(
    name: str, description: str, columns: dg.TableSchema | None = None, deps: Sequence[str] = READ
) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["bronze", name],
        deps=[KEYS[each] for each in deps],
        description=description,
        group_name="bronze",
        owners=["team:data-stewards"],
        kinds={"parquet"},
        metadata={"dagster/column_schema": columns} if columns else {},
    )


def _fields(schema: pa.Schema) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(field.name, str(field.type)) for field in schema])


def _specs() -> list[dg.AssetSpec]:
    return [
        *(
            _spec(table.name, f"{table.label}:按表结构校验 / the vendor's export, typed and keyed.", _columns(table))
            for table in EXPORT_TABLES.values()
        ),
        _spec(
            "open_probes",
            "拨打过而没有问卷的电话探测 / phone probes that were dialled for and have no questionnaire.",
            _fields(REFERENCE_TABLES["open_probes"]),
        ),
        _spec(
            "quarantine",
            "无法采信的行,含文件、工作表、行号、原文与原因 / rows that could not be accepted, and why.",
            _fields(QUARANTINE),
        ),
        _spec(
            "reference",
            "本期声明:wave.yml、监测范围、方法版本,以及基期已发布的数值 / what the wave declares, and the published "
            "values of its baseline wave.",
            deps=DECLARED,
        ),
    ]


@dg.multi_asset(specs=_specs(), partitions_def=waves, name="ingest", pool=pool())
def ingest(context: dg.AssetExecutionContext, installation: Installation) -> Iterator[dg.MaterializeResult]:
    """Read the wave's exports, judge every row, write bronze and quarantine.

    Identity on every run: rows read = bronze + quarantined + blank.
    """
    paths = installation.paths
    GATE.warm_up()  # Great Expectations and dbt take seconds to import: meanwhile, read
    warm_up(paths)
    wave = load_wave(paths, context.partition_key)
    require_declared(paths, wave)
    report = ingest_wave(paths, wave, progress=logger.info)
    for message in report.messages:
        logger.warning(message)
    baseline = write_tables(paths, wave.id, baseline_tables(paths, wave))
    yield from _results(report, baseline)


def _results(report: IngestReport, baseline: Mapping[str, str]) -> Iterator[dg.MaterializeResult]:
    """Each with the hash of its bytes as data version; `baseline`: hashes of the baseline's tables, by name."""
    for name in EXPORT_TABLES:
        files = [file for file in report.files if file.table == name]
        yield dg.MaterializeResult(
            ["bronze", name],
            data_version=dg.DataVersion(report.outputs[name]),
            metadata={
                "dagster/row_count": sum(file.n_bronze for file in files),
                "rows read": sum(file.n_read for file in files),
                "rows in bronze": sum(file.n_bronze for file in files),
                "rows quarantined": sum(file.n_quarantined for file in files),
                "rows blank": sum(file.n_blank for file in files),
                "values corrected": sum(each["table"] == name for each in report.corrections),
                "identity": dg.MetadataValue.text("read = bronze + quarantined + blank: holds"),
                "files": dg.MetadataValue.json([{"file": file.file, "sha256": file.sha256} for file in files]),
                "unchanged since the last run": report.is_cached,
            },
        )
    yield dg.MaterializeResult(["bronze", "open_probes"], data_version=dg.DataVersion(report.outputs["open_probes"]))
    yield dg.MaterializeResult(
        ["bronze", "quarantine"],
        data_version=dg.DataVersion(report.outputs["quarantine"]),
        metadata={
            "dagster/row_count": sum(file.n_quarantined for file in report.files),
            "faults by code": dg.MetadataValue.json(report.fault_counts),
        },
    )
    others = {
        name: sha256
        for name, sha256 in report.outputs.items()
        if name not in {*EXPORT_TABLES, "open_probes", "quarantine"}
    }
    declared = json.dumps({**others, **baseline}, sort_keys=True)
    yield dg.MaterializeResult(
        ["bronze", "reference"],
        data_version=dg.DataVersion(hashlib.sha256(declared.encode()).hexdigest()),
        metadata={"input fingerprint": report.input_fingerprint},
    )
