"""`hotline correct`: a thin layer over `acts.py`. Nothing heavy is imported before a command needs it."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.errors import UsageError
from dagster_project.options import Json, Wave
from dagster_project.paths import paths

if TYPE_CHECKING:
    from dagster_project.corrections.ledger import Correction

correct = typer.Typer(
    help=(
        "更正个别数值:提出、由另一人批准、撤回 / correct single values: ask, have another person approve, withdraw.\n\n"
        "原始文件从不改动;批准后运行 hotline run 即生成新的发布 / raw files are never touched; after approval "
        "`hotline run` makes a new release."
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

By = Annotated[str, typer.Option(help="经办人姓名 / name of the person who does this.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="更正编号,如 C0001 / ids of corrections.")]


@correct.command()
def add(
    wave: Wave,
    by: By,
    file: Annotated[
        Path | None,
        typer.Argument(
            help=(
                "CSV(UTF-8)或 YAML(列表 corrections),列名与下列选项相同,全部通过才写入 / CSV (UTF-8) or YAML (a list "
                "`corrections`) with columns named as the options; all are taken or none."
            )
        ),
    ] = None,
    probe: Annotated[str | None, typer.Option(help="电话或网络监测编号 / probe_id.")] = None,
    attempt: Annotated[str | None, typer.Option(help="拨测编号 / attempt_id.")] = None,
    table: Annotated[
        str | None,
        typer.Option(help="监测编号见于两表时注明 / phone_probes or web_probes, where a probe_id stands in both."),
    ] = None,
    field: Annotated[str | None, typer.Option(help="字段(标准名称)/ the field's canonical name.")] = None,
    expect: Annotated[
        str | None, typer.Option(help='现值(标准代码),空值写作 "" / the value that stands; "" for null.')
    ] = None,
    to: Annotated[str | None, typer.Option(help='新值(标准代码),空值写作 "" / the new value; "" for null.')] = None,
    reason: Annotated[str | None, typer.Option(help="理由,将随发布公开 / why; published with the release.")] = None,
    evidence: Annotated[str | None, typer.Option(help="证据文件,只记其哈希 / a file; its hash is kept.")] = None,
    as_json: Json = False,
) -> None:
    """提出更正,等待另一人批准 / ask for corrections; they wait for another person's approval."""
    from dagster_project.corrections import acts
    from dagster_project.corrections.request import from_file, from_options

    options = {
        "probe": probe, "attempt": attempt, "table": table, "field": field, "expect": expect, "to": to,
        "reason": reason, "evidence": evidence,
    }  # fmt: skip
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if file is not None and given:
        raise UsageError(f"文件与选项不可并用 / give a file or options, not both: {', '.join(given)}")
    requests = from_options(options) if file is None else from_file(file)
    added, lacking = acts.add(paths(), wave, requests, by, logging.getLogger("hotline").info)
    for text in lacking:
        typer.echo(f"批准前须补齐 / needed before approval: {text}", err=True)
    _print(as_json, added)


@correct.command()
def approve(ids: Ids, wave: Wave, by: By, as_json: Json = False) -> None:
    """批准(不得由提出人批准);同一行须一并成立 / approve what another person asked for; all of the ids, or none."""
    from dagster_project.corrections import acts

    _print(as_json, acts.approve(paths(), wave, ids, by, logging.getLogger("hotline").info))


@correct.command()
def withdraw(
    ids: Ids,
    wave: Wave,
    by: By,
    reason: Annotated[str, typer.Option(help="理由 / why.")],
    as_json: Json = False,
) -> None:
    """撤回,已批准的亦可;台账只增不减 / withdraw, also what was approved; the ledger keeps every entry."""
    from dagster_project.corrections import acts

    _print(as_json, acts.withdraw(paths(), wave, ids, by, reason))


@correct.command("list")
def list_corrections(wave: Wave, as_json: Json = False) -> None:
    """列出全部更正及其状态 / list every correction and its state."""
    from dagster_project.corrections.ledger import read_ledger
    from dagster_project.ingest.wave import load_wave

    _print(as_json, list(read_ledger(paths(), load_wave(paths(), wave).id).corrections.values()))


def _print(as_json: bool, corrections: list["Correction"]) -> None:
    if as_json:
        records: list[dict[str, Any]] = [dict(each.__dict__) for each in corrections]
        typer.echo(json.dumps(records, ensure_ascii=False, indent=1))
    else:
        typer.echo("\n".join(map(_text, corrections)) or "没有更正 / no corrections")


def _text(each: "Correction") -> str:
    from dagster_project.corrections.ledger import STATES
    from dagster_project.ingest.faults import shown

    persons = [f"提出 added {shown(each.by)} {each.at}"]
    if each.approved_by:
        persons.append(f"批准 approved {shown(each.approved_by)} {each.approved_at}")
    if each.withdrawn_by:
        why = shown(each.withdrawn_reason or "")
        persons.append(f"撤回 withdrawn {shown(each.withdrawn_by)} {each.withdrawn_at} 「{why}」")
    return "\n".join(
        [f"{each.text()}  [{STATES[each.state]} / {each.state}]", f"  {shown(each.reason)}", f"  {'; '.join(persons)}"]
    )
