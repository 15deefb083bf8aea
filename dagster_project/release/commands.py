"""`hotline publish`, `rollback`, `releases`, `diff`, `sensitivity`, `whatif`, `verify`: what releases are asked.

Belongs here: options and what is printed. Does not belong here: what the commands do.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dagster_project.paths import Paths, paths

Wave = Annotated[str, typer.Option("--wave", "-w", help="监测期 / wave.")]
Json = Annotated[bool, typer.Option("--json", help="结果以 JSON 输出 / print the result as JSON.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="不生成报告 / render no report.")]


def publish(
    release: Annotated[str, typer.Argument(help="发布编号,见 hotline releases / release id, see hotline releases.")],
    wave: Wave,
    no_report: NoReport = False,
    as_json: Json = False,
) -> None:
    """公布一个已生成的发布 / give readers a release that is there, and render its report."""
    from dagster_project.lock import run_lock
    from dagster_project.release.publish import publish as make_current

    with run_lock(paths()):
        folder = make_current(paths(), wave, release)
        _rendered(paths(), wave, folder.name, as_json, no_report)


def rollback(wave: Wave, no_report: NoReport = False, as_json: Json = False) -> None:
    """恢复上一个公布的发布 / go back to the release that readers saw before."""
    from dagster_project.lock import run_lock
    from dagster_project.release.publish import rollback as go_back

    with run_lock(paths()):
        folder = go_back(paths(), wave)
        _rendered(paths(), wave, folder.name, as_json, no_report)


def _rendered(installation: Paths, wave: str, release: str, as_json: bool, no_report: bool) -> None:
    from dagster_project.report.publish import publish_report

    report = None if no_report else publish_report(installation, wave)
    if report is None and installation.site_index(wave).exists():
        typer.echo(
            f"{wave}:报告仍是此前发布的,请运行 hotline report / the report still shows another release: hotline report "
            f"--wave {wave}",
            err=True,
        )
    result = {"wave": wave, "release": release, "report": str(report.index) if report else None}
    text = f"{wave}  当前发布 / current release: {release}" + (f"\n  {report.index}" if report else "")
    typer.echo(json.dumps(result, ensure_ascii=False, indent=1) if as_json else text)
    if report and report.lacking:
        raise typer.Exit(1)


def releases(wave: Wave, as_json: Json = False) -> None:
    """列出一个监测期的全部发布 / list the releases of a wave, in the order in which readers saw them."""
    from dagster_project.release.publish import list_releases

    found = list_releases(paths(), wave)
    lines = [
        f"{'*' if each.is_current else ' '} {each.release}  "
        + (
            f"公布 {each.n_published} 次 / published {each.n_published}×"
            if each.n_published
            else "未公布 / not published"
        )
        for each in found
    ]
    text = "\n".join(lines) or "尚无发布 / nothing is released yet"
    typer.echo(json.dumps([each.__dict__ for each in found], indent=1) if as_json else text)


def diff(
    wave: Wave,
    before: Annotated[
        str | None, typer.Argument(help="缺省为上一个公布的发布 / default: what readers saw before.")
    ] = None,
    after: Annotated[str | None, typer.Argument(help="缺省为当前发布 / default: the current release.")] = None,
    as_json: Json = False,
) -> None:
    """比较两个发布:每处变化及其来源 / tell what differs between two releases, and what each change is made of."""
    from dagster_project.errors import UsageError
    from dagster_project.release.changes import as_json as in_json
    from dagster_project.release.changes import as_markdown
    from dagster_project.release.diff import compare
    from dagster_project.release.publish import previous_release, release_folder
    from dagster_project.release.reading import Release, read_current

    installation = paths()
    former = before or previous_release(installation, wave)
    if former is None:
        raise UsageError(f"{wave}:没有更早的发布可比 / there is no earlier release to compare with")
    later = Release(release_folder(installation, wave, after)) if after else read_current(installation, wave)
    changes = compare(Release(release_folder(installation, wave, former)), later)
    typer.echo((in_json if as_json else as_markdown)(changes), nl=False)


def sensitivity(
    wave: Wave,
    sobol: Annotated[
        bool,
        typer.Option(
            "--sobol", help="另算 Sobol 指数(需 SALib)/ compute Sobol indices as well (needs SALib; ten seconds)."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """名次与类别对权重和阈值的敏感度 / tell how far ranks and classes hang on the method's weights and thresholds."""
    from dagster_project.release.reading import read_current
    from dagster_project.release.sensitivity import sensitivity_of, sobol_of
    from dagster_project.release.sensitivity_text import as_json as in_json
    from dagster_project.release.sensitivity_text import as_text

    release = read_current(paths(), wave)
    indices = sobol_of(release.folder) if sobol else None
    typer.echo((in_json if as_json else as_text)(release, sensitivity_of(release.folder), indices))


def whatif(
    wave: Wave,
    method: Annotated[
        Path,
        typer.Option(
            help="方法版本文件夹,或其中一个 CSV(如权重不同的 indicators.csv)/ the folder of a method version, or one "
            "CSV of it, such as indicators.csv with other weights."
        ),
    ],
    as_json: Json = False,
) -> None:
    """按另一方法计算并与当前发布比较,不公布 / score a wave by another method, without publishing: as a diff."""
    from dagster_project.release.changes import what_if_as_json, what_if_as_markdown
    from dagster_project.release.whatif import what_if

    found = what_if(paths(), wave, method)
    typer.echo((what_if_as_json if as_json else what_if_as_markdown)(found), nl=False)


def verify(
    wave: Annotated[
        list[str] | None,
        typer.Option("--wave", "-w", help="监测期,可重复;缺省为全部 / wave, repeatable; default: all."),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="由原始文件与台账重做并比对 / make the current releases anew and compare.")
    ] = False,
    as_json: Json = False,
) -> None:
    """核验原始文件、台账、日志与发布未被改动 / prove that raw files, ledger, log and releases are what they were."""
    from dagster_project.release.verify import verify as prove

    proof = prove(paths(), tuple(wave or ()), rebuild)
    result: dict[str, Any] = {"checked": proof.checked, "faults": proof.faults}
    text = "\n".join(
        [*proof.faults, f"已核验 / checked: {', '.join(f'{n} {what}' for what, n in proof.checked.items())}"]
    )
    typer.echo(json.dumps(result, ensure_ascii=False, indent=1) if as_json else text)
    if proof.faults:
        raise typer.Exit(6)
