"""What people read, rendered from the release that is current now."""

import dagster as dg

from dagster_project.assets.release import release
from dagster_project.partitions import waves
from dagster_project.resources import Installation
from dagster_project.team import pool


@dg.asset(
    deps=[release],
    partitions_def=waves,
    pool=pool(),
    group_name="release",
    owners=["team:analysts"],
    kinds={"html", "excel", "pdf"},
)
def report(context: dg.AssetExecutionContext, installation: Installation) -> dg.MaterializeResult:
    """Site, workbook and PDF of the current release. They open from the folder, without a server."""
    from dagster_project.report.publish import PDF, WORKBOOK, publish_report  # loaded when there is something to render

    rendered = publish_report(installation.paths, context.partition_key)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(rendered.folder.name),
        metadata={
            "release": rendered.release,
            "site": dg.MetadataValue.url(rendered.index.as_uri()),
            "workbook": dg.MetadataValue.path(rendered.folder / WORKBOOK),
            "PDF": rendered.lacking or dg.MetadataValue.path(rendered.folder / PDF),
        },
    )
