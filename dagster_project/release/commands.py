"""What releases are asked: `publish`, `rollback`, `releases`, `diff`, `sensitivity`, `whatif`, `plan`, `verify`.

Belongs here: options and what is printed. Does not belong here: what the commands do.
"""

import json
import logging
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer

from dagster_project.errors import UsageError
from dagster_project.options import Json, Wave
from dagster_project.paths import Paths, paths, store_url

# Of a cost or a standard error: scores are printed to a hundredth, and end at a hundred; costs may be in yuan.
MINIMUM, MAXIMUM = Decimal("0.01"), Decimal(1_000_000)
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
    """恢复读者此前看到的发布;再次运行即撤销 / publish the release that readers saw before; a second run undoes it."""
    from dagster_project.lock import run_lock
    from dagster_project.release.publish import rollback as go_back

    with run_lock(paths()):
        folder = go_back(paths(), wave)
        _rendered(paths(), wave, folder.name, as_json, no_report)


def _rendered(installation: Paths, wave: str, release: str, as_json: bool, no_report: bool) -> None:
    from dagster_project.report.publish import publish_report

    if store_url() is not None:
        from dagster_project.store.mirror import open_store, push

        push(installation, open_store(), wave)
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
        str | None, typer.Argument(help="缺省为读者此前看到的发布 / default: what readers saw before the current one.")
    ] = None,
    after: Annotated[str | None, typer.Argument(help="缺省为当前发布 / default: the current release.")] = None,
    as_json: Json = False,
) -> None:
    """比较两个发布:每处变化及其来源 / tell what differs between two releases, and what each change is made of."""
    from dagster_project.release.changes import as_json as in_json
    from dagster_project.release.changes import as_markdown
    from dagster_project.release.diff import compare
    from dagster_project.release.folder import require_whole
    from dagster_project.release.publish import previous_release, release_folder
    from dagster_project.release.reading import Release, read_current

    installation = paths()
    former = before or previous_release(installation, wave)
    if former is None:
        raise UsageError(f"{wave}:没有更早的发布可比 / there is no earlier release to compare with")
    earlier = release_folder(installation, wave, former)
    require_whole(earlier)
    if after:
        require_whole(release_folder(installation, wave, after))
    later = Release(release_folder(installation, wave, after)) if after else read_current(installation, wave)
    changes = compare(Release(earlier), later)
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
    anchor_hash: Annotated[
        str | None,
        typer.Argument(metavar="HASH", help="与 --anchor 合用:待核对的锚值 / with --anchor: the anchor to check."),
    ] = None,
    anchor: Annotated[
        bool,
        typer.Option(
            "--anchor",
            help="无误时输出一个锚值(一个哈希),请另存他处;附上 HASH 则核对当时的状态是否仍在 / print one hash to be "
            "kept elsewhere, if all holds; with HASH, check that the state of that time is part of today's.",
        ),
    ] = False,
    wave: Annotated[
        list[str] | None,
        typer.Option("--wave", "-w", help="监测期,可重复;缺省为全部 / wave, repeatable; default: all."),
    ] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="由原始文件与台账重做并比对 / make the current releases anew and compare.")
    ] = False,
    as_json: Json = False,
) -> None:
    """核验原始文件、台账、日志、发布与报告未被改动 / prove that inputs, log, releases and reports are unchanged."""
    from dagster_project.release.verify import verify as prove

    to_check = None if anchor_hash is None else anchor_hash.strip().lower()
    if to_check is not None and not (anchor and re.fullmatch("[0-9a-f]{64}", to_check)):
        raise UsageError("核对锚值请用 / to check an anchor: hotline verify --anchor HASH (64 × 0-9a-f)")
    proof = prove(paths(), tuple(wave or ()), rebuild, to_check)
    made = proof.anchor if anchor and not proof.faults else None  # no hash vouches for what is at fault
    result: dict[str, Any] = {"checked": proof.checked, "faults": proof.faults} | ({"anchor": made} if anchor else {})
    lines = [*proof.faults, f"已核验 / checked: {', '.join(f'{n} {what}' for what, n in proof.checked.items())}"]
    if to_check and not proof.faults:
        lines.append(f"锚值相符 / the anchor holds: {to_check}")
    if made:
        lines.append(f"锚值,请另存他处 / anchor, to be kept elsewhere: {made}")
    typer.echo(json.dumps(result, ensure_ascii=False, indent=1) if as_json else "\n".join(lines))
    if proof.faults:
        raise typer.Exit(6)


def plan(
    wave: Wave,
    target_se: Annotated[
        str | None, typer.Option("--target-se", help="热线总分的目标标准误(分)/ standard error of a total, in points.")
    ] = None,
    separate_top: Annotated[
        int | None,
        typer.Option("--separate-top", help="要与其余区分开的前几名 / the top K to tell apart from the rest."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="排名组,缺省为第一个热线排名组 / table of --separate-top; default: the first of lines."),
    ] = None,
    cost: Annotated[
        str | None,
        typer.Option(help="单价,如 call=1,inspection=0.5,request=2;缺省均为 1 / cost of one of each kind; default 1."),
    ] = None,
    chart: Annotated[Path | None, typer.Option(help="另存图表(.svg)/ draw it here, as .svg.")] = None,
    as_json: Json = False,
) -> None:
    """按已发布一期的方差规划监测数量 / how many probes and diallings a line needs, by the variances of a past wave."""
    from dagster_project.ingest.wave import load_wave
    from dagster_project.release import plan as planning
    from dagster_project.release.plan_text import as_data, as_text
    from dagster_project.release.reading import read_current
    from dagster_project.report.plan_chart import write_chart

    if (target_se is None) == (separate_top is None):
        raise UsageError("--target-se 与 --separate-top 须用其一 / give one of --target-se and --separate-top")
    if (group if separate_top is None else cost) is not None:
        raise UsageError(
            "--cost 用于 --target-se,--group 用于 --separate-top / --cost goes with --target-se, --group with "
            "--separate-top"
        )
    if chart is not None and chart.suffix != ".svg":
        raise UsageError(f"图表文件应以 .svg 结尾 / the chart's name must end in .svg: {chart}")
    release = read_current(paths(), wave)
    commissioned = load_wave(paths(), wave).plan
    if target_se is not None:
        target, costs = _decimal("--target-se", target_se), _costs(cost)
        found = planning.plan_for_error(release, commissioned, target, costs)
    else:
        found = planning.plan_for_top(release, commissioned, separate_top or 0, group, _tell_factor)
    if chart is not None:
        write_chart(found, chart)
    data = {**as_data(found), "chart": str(chart) if chart else None}
    text = as_text(found) + (f"\n\n图表 / chart: {chart}" if chart else "")
    typer.echo(json.dumps(data, ensure_ascii=False, indent=1) if as_json else text)


def _tell_factor(factor: int, n_sure: int) -> None:
    logging.getLogger("hotline").info(
        "%d 倍监测:%d 名确定 / with %d times the probes %d sure", factor, n_sure, factor, n_sure
    )


def _costs(text: str | None) -> list[Decimal]:
    """One per kind of probe, 1 where none is given. Raises UsageError where the text is no list of them."""
    from dagster_project.release.uncertainty import KINDS

    costs = dict.fromkeys(KINDS, Decimal(1))
    given = [each.partition("=") for each in text.split(",")] if text is not None else []
    names = [name.strip() for name, _, _ in given]
    if len(set(names)) < len(names) or not set(names) <= set(KINDS):
        raise UsageError(
            f"--cost 应写作 种类=单价,以逗号分隔,种类为 / --cost takes KIND=COST, separated by commas, each kind once: "
            f"{', '.join(KINDS)}"
        )
    for name, (_, _, value) in zip(names, given, strict=True):
        costs[name] = _decimal(f"--cost {name}", value)
    return list(costs.values())


def _decimal(option: str, text: str) -> Decimal:
    """A positive number. Raises UsageError where it is none."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("nan")
    if not (value.is_finite() and MINIMUM <= value <= MAXIMUM):
        raise UsageError(
            f"{option} 应为 {MINIMUM} 至 {MAXIMUM} 的数 / {option} must be a number from {MINIMUM} to {MAXIMUM}"
        )
    return value
