"""`hotline correct`: a thin layer over `acts.py`. Nothing heavy is imported before a command needs it."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagster_project.errors import UsageError
from dagster_project.options import Json, Wave, print_result
from dagster_project.paths import paths

if TYPE_CHECKING:
    from dagster_project.corrections.ledger import Account, Correction

correct = typer.Typer(
    help=(
        "更正个别数值:提出、由另一人批准、撤回 / correct single values: ask, have another person approve, withdraw.\n\n"
        "原始文件从不改动;批准后运行 hotline run 即生成新的发布 / raw files are never touched; after approval "
        "`hotline run` makes a new release."
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

By = Annotated[
    str,
    typer.Option(
        help=(
            "经办人:people.csv 中的编号或姓名;没有该文件时为姓名 / the person who does this: an id or a name in "
            "people.csv, or a name where there is no such file."
        )
    ),
]
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
    _note_undeclared()
    added, lacking = acts.add(paths(), wave, requests, by, logging.getLogger("hotline").info)
    for text in lacking:
        typer.echo(f"批准前须补齐 / needed before approval: {text}", err=True)
    _print(as_json, added)


@correct.command()
def approve(
    ids: Ids,
    wave: Wave,
    by: By,
    same_account_because: Annotated[
        str | None,
        typer.Option(
            help=(
                "两人共用一个操作系统账户的理由,记入台账 / why two persons share one account of the operating "
                "system; the ledger keeps it."
            )
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """批准他人提出的更正,或他人申请的撤回 / approve corrections, or withdrawals, that another person asked for.

    全部通过才写入;同一行的更正须一并批准 / all of the ids or none; corrections of one row are approved together.
    """
    from dagster_project.corrections import acts

    _note_undeclared()
    progress = logging.getLogger("hotline").info
    _print(as_json, acts.approve(paths(), wave, ids, by, progress, same_account_because))


@correct.command()
def withdraw(
    ids: Ids,
    wave: Wave,
    by: By,
    reason: Annotated[str, typer.Option(help="理由 / why.")],
    as_json: Json = False,
) -> None:
    """撤回待批准的更正;已批准的须另一人批准撤回 / withdraw; of an approved one another person must approve that."""
    from dagster_project.corrections import acts

    _note_undeclared()
    withdrawn = acts.withdraw(paths(), wave, ids, by, reason)
    _print(as_json, withdrawn)
    waiting = [each.id for each in withdrawn if each.is_withdrawal_requested]
    if waiting:
        typer.echo(
            f"{', '.join(waiting)} 仍然有效,须另一人批准撤回 / in force until another person approves the withdrawal: "
            f"hotline correct approve {' '.join(waiting)} --wave {wave} --by …",
            err=True,
        )


@correct.command()
def accept(
    wave: Wave,
    by: By,
    reason: Annotated[str, typer.Option(help="理由 / why.")],
    as_json: Json = False,
) -> None:
    """认可由另一安装写入台账的条目 / accept entries of the ledger that another installation made, and log that."""
    from dagster_project.corrections import acts

    lines = acts.accept(paths(), wave, by, reason)
    text = f"{wave}:已认可台账第 {lines[0]} 至 {lines[-1]} 行 / accepted lines {lines[0]} to {lines[-1]} of the ledger"
    print_result(as_json, {"wave": wave, "lines": lines}, text)


@correct.command("list")
def list_corrections(wave: Wave, as_json: Json = False) -> None:
    """列出全部更正及其状态 / list every correction and its state."""
    from dagster_project.corrections.ledger import read_ledger
    from dagster_project.ingest.wave import load_wave

    _print(as_json, list(read_ledger(paths(), load_wave(paths(), wave).id).corrections.values()))


def _note_undeclared() -> None:
    from dagster_project.corrections.people import undeclared

    if note := undeclared(paths()):
        logging.getLogger("hotline").info(note)


def _print(as_json: bool, corrections: list["Correction"]) -> None:
    if as_json:
        records: list[dict[str, Any]] = [dict(each.__dict__) for each in corrections]
        typer.echo(json.dumps(records, ensure_ascii=False, indent=1))
    else:
        typer.echo("\n".join(map(_text, corrections)) or "没有更正 / no corrections")


def _text(each: "Correction") -> str:
    from dagster_project.corrections.ledger import STATES
    from dagster_project.ingest.faults import shown

    persons = [f"提出 added {_who(each.by, each.person, each.account)} {each.at}"]
    if each.approved_by:
        who = _who(each.approved_by, each.approved_person, each.approved_account)
        persons.append(f"批准 approved {who} {each.approved_at}{_why(each.approved_same_account_because)}")
    if each.withdrawal_by:
        who = _who(each.withdrawal_by, each.withdrawal_person, each.withdrawal_account)
        persons.append(
            f"申请撤回 withdrawal requested {who} {each.withdrawal_at} 「{shown(each.withdrawal_reason or '')}」"
        )
    if each.withdrawn_by:
        who = _who(each.withdrawn_by, each.withdrawn_person, each.withdrawn_account)
        reason = "" if each.withdrawal_by else f" 「{shown(each.withdrawn_reason or '')}」"
        persons.append(f"撤回 withdrawn {who} {each.withdrawn_at}{reason}{_why(each.withdrawn_same_account_because)}")
    state = f"{STATES[each.state]} / {each.state}"
    if each.is_withdrawal_requested:
        state = "已批准,撤回待批准 / approved, withdrawal pending"
    return "\n".join([f"{each.text()}  [{state}]", f"  {shown(each.reason)}", f"  {'; '.join(persons)}"])


def _who(by: str, person: str | None, account: "Account | None") -> str:
    from dagster_project.ingest.faults import shown

    marks = ", ".join(shown(each) for each in (person, account and account["name"]) if each)
    return f"{shown(by)} ({marks})" if marks else shown(by)


def _why(same_account_because: str | None) -> str:
    from dagster_project.ingest.faults import shown

    return f" 同一账户 same account 「{shown(same_account_because)}」" if same_account_because else ""
