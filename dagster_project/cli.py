"""`hotline`: a thin layer over the jobs.

Exit codes: 0 ok, 1 unexpected, 2 usage, 3 input rejected, 4 gate failed, 5 busy, 6 not reconciled,
130 interrupted.
Results go to stdout (as JSON with --json), progress and messages to stderr. Nothing heavy is
imported before a command needs it.
"""

import json
import logging
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from dagster_project import console
from dagster_project.corrections.commands import correct
from dagster_project.errors import UNEXPECTED, HotlineError, InputRejected, Interrupted, NotReconciled, UsageError
from dagster_project.files import refusal
from dagster_project.ingest.personal import masked_message
from dagster_project.names import require_line_id, require_wave_id
from dagster_project.options import AllowedHosts, Json, Waves, print_result
from dagster_project.paths import paths
from dagster_project.private import keep_new_files_private
from dagster_project.release.commands import diff, plan, publish, releases, rollback, sensitivity, verify, whatif
from dagster_project.safe_path import become
from dagster_project.serve import serve
from dagster_project.store.commands import store
from dagster_project.transform.engine import DUCKDB

app = typer.Typer(
    help=(
        "12345 热线服务质量监测:从原始导出到发布 / from raw probe exports to published rankings.\n\n"
        "退出码 / exit codes: 0 成功 ok, 1 意外 unexpected, 2 用法 usage, 3 输入被拒 input rejected, "
        "4 质量门未过 gate failed, 5 正忙 busy, 6 对账不符 not reconciled, 130 已中断 interrupted."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(correct, name="correct")
app.add_typer(serve, name="serve")
app.add_typer(store, name="store")
for command in (publish, rollback, releases, diff, sensitivity, whatif, plan, verify):
    app.command()(command)

CORRECTIONS = {
    "pending": "待批准的更正 / corrections that wait for approval: {}",
    "withdrawal_pending": "待批准的撤回 / withdrawals that wait for approval: {}",
    "approved_not_applied": "已批准而当前发布未采用的更正,请重新运行 / approved corrections that the current release "
    "does not apply; run the wave again: {}",
    "withdrawn_still_applied": "已撤回而当前发布仍采用的更正,请重新运行 / withdrawn corrections that the current "
    "release still applies; run the wave again: {}",
}
UNITS = {"point": "分", "percent": "%", "count": "条"}

_options = {"debug": False}


def _wave_id(text: str | None) -> str | None:
    return None if text is None else require_wave_id(text)


def _line_ids(texts: list[str] | None) -> list[str] | None:
    return None if texts is None else [require_line_id(text) for text in texts]


LineOption = Annotated[
    list[str] | None,
    typer.Option(
        "--line", "-l", callback=_line_ids, help="只重算这些热线,可重复 / recompute these lines only, repeatable."
    ),
]
TargetOption = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        help="执行模型的计算引擎 / the engine that executes the models: duckdb, spark, sail, postgres.",
    ),
]


# What these write is beside the exports, where several persons may work: their own umask decides who reads it.
WRITES_RAW = ("simulate", "correct", "freeze")


@app.callback()
def _common(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="出错时显示完整堆栈 / show tracebacks.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="不显示进度 / no progress.")] = False,
) -> None:
    _options["debug"] = debug
    if context.invoked_subcommand not in WRITES_RAW:
        keep_new_files_private()
    _show_progress(logging.WARNING if quiet else logging.INFO)


@app.command()
def check(wave: Waves = None, as_json: Json = False) -> None:
    """检查导出文件与各项声明,不写任何数据 / judge the exports and declarations of a wave; writes nothing."""
    from dagster_project.corrections.people import read_people
    from dagster_project.declared import declaration_faults
    from dagster_project.ingest.bronze import check_wave
    from dagster_project.ingest.wave import load_wave, order_waves

    installation = paths()
    read_people(installation)
    judged = []
    order = order_waves(installation)
    left_out = {} if wave else dict(order.faults)
    for wave_id in wave or order.ordered:
        try:
            declared = load_wave(installation, wave_id)
            report = check_wave(installation, declared, progress=logging.getLogger("hotline").info)
            judged.append((report, declaration_faults(installation, declared)))
        except (UsageError, InputRejected, NotReconciled) as fault:
            if wave or len(order.ordered) == 1:
                raise
            left_out[wave_id] = fault
    results = [{**json.loads(report.to_json()), "declaration_faults": faults} for report, faults in judged]
    text = "\n".join(_report_text(report, faults) for report, faults in judged)
    print_result(as_json, results + _left_out(left_out), text)
    _end_where_left_out(left_out)
    if any(report.n_quarantined or faults for report, faults in judged):
        raise typer.Exit(3)


@app.command()
def run(
    wave: Waves = None,
    line: LineOption = None,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="只发布数据,不生成报告 / publish the data only; render no report.")
    ] = False,
    target: TargetOption = DUCKDB.name,
    as_json: Json = False,
) -> None:
    """运行监测期:采集、评分、质量门、发布、报告 / ingest, score, gate, publish and report waves, baselines first."""
    _run(wave, line, target, as_json, publish=True, report=not no_report)


@app.command()
def release(
    wave: Waves = None, line: LineOption = None, target: TargetOption = DUCKDB.name, as_json: Json = False
) -> None:
    """运行但不公布:生成可供核对的发布 / run without publishing: make a release to look at; then `hotline publish`."""
    _run(wave, line, target, as_json, publish=False, report=False)


def _run(
    wave: list[str] | None, line: list[str] | None, target: str, as_json: bool, *, publish: bool, report: bool
) -> None:
    from dagster_project.worker import GATE

    GATE.warm_up()  # first of all: its import takes longer than anything else that a run begins with
    from dagster_project.launch import Request, run_waves
    from dagster_project.release.folder import fieldwork_flags, headlines

    outcomes, left_out = run_waves(paths(), tuple(wave or ()), Request(tuple(line or ()), publish, report, target))
    results = [
        {
            "wave": outcome.wave,
            "release": outcome.release.name,
            "path": str(outcome.release),
            "report": None if outcome.report is None else str(outcome.report),
            "seconds": round(outcome.seconds, 2),
            "run_id": outcome.run_id,
            "synthetic": outcome.is_synthetic,
            "figures": headlines(outcome.release),
            "fieldwork_flags": fieldwork_flags(outcome.release),
        }
        for outcome in outcomes
    ]
    print_result(as_json, results + _left_out(left_out), "\n".join(_outcome_text(result) for result in results))
    _end_where_left_out(left_out)


def _left_out(faults: dict[str, HotlineError]) -> list[dict[str, Any]]:
    """Waves that were declared wrongly or stopped, as --json shows them."""
    return [
        {
            "wave": wave_id,
            "error": type(fault).__name__,
            "exit_code": fault.exit_code,
            "message": masked_message(str(fault)),
        }
        for wave_id, fault in faults.items()
    ]


def _end_where_left_out(faults: dict[str, HotlineError]) -> None:
    """End with the messages and the exit code of the first fault, where waves were left out."""
    if faults:
        typer.echo(masked_message("\n".join(str(fault) for fault in faults.values())), err=True)
        raise typer.Exit(next(iter(faults.values())).exit_code)


@app.command()
def report(wave: Waves = None, as_json: Json = False) -> None:
    """生成报告:由当前发布生成网站、工作簿与 PDF / render site, workbook and PDF from the current release."""
    from dagster_project.ingest.wave import list_waves
    from dagster_project.lock import run_lock
    from dagster_project.report.publish import publish_report

    installation = paths()
    released = [each for each in list_waves(installation) if installation.current(each).is_symlink()]
    with run_lock(installation):
        rendered = {wave_id: publish_report(installation, wave_id, check_all=True) for wave_id in wave or released}
    results: list[dict[str, Any]] = [
        {
            "wave": wave_id,
            "release": each.release,
            "site": str(each.index),
            "path": str(each.folder),
            "replaced": list(each.replaced),
        }
        for wave_id, each in rendered.items()
    ]
    text = "\n".join(each["site"] for each in results) or "尚无发布 / nothing is published yet"
    print_result(as_json, results, text)
    if any(each.lacking for each in rendered.values()):
        raise typer.Exit(1)


@app.command()
def scorecard(
    line: Annotated[list[str], typer.Argument(callback=_line_ids, help="热线编码 / codes of lines.")],
    wave: Annotated[str, typer.Option("--wave", "-w", callback=_wave_id, help="监测期 / wave.")],
    out: Annotated[Path, typer.Option(help="写入此目录 / write into this folder.")] = Path(),
    as_json: Json = False,
) -> None:
    """生成热线单页成绩单(PDF)/ set the one-page scorecard of lines, from the current release."""
    from dagster_project.release.reading import read_current
    from dagster_project.report.pdf import write_scorecard

    release = read_current(paths(), wave)
    out.mkdir(parents=True, exist_ok=True)
    written = {line_id: out / f"scorecard-{wave}-{line_id}.pdf" for line_id in line}
    for line_id, path in written.items():
        write_scorecard(release, line_id, path)
    print_result(as_json, [str(path) for path in written.values()], "\n".join(map(str, written.values())))


@app.command()
def status(as_json: Json = False) -> None:
    """各期现状:数据、得分新旧、当前发布 / what stands: exports, freshness of scores, current release."""
    from dagster_project.status import wave_statuses

    statuses = wave_statuses(paths())
    print_result(as_json, statuses, "\n".join(_status_text(each) for each in statuses))


@app.command()
def audit(
    file: Annotated[Path, typer.Argument(help="写明各句表述的 YAML 文件 / a text's claims as YAML.")],
    wave: Annotated[
        str | None,
        typer.Option(
            "--wave", "-w", callback=_wave_id, help="与该期当前发布核对 / hold it against this wave's current release."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """核对文本中的表述:数值、差、增幅、占比、排名等 / check what a text claims: levels, changes, shares, ranks …"""
    from dagster_project.claims.audit import audit as audited
    from dagster_project.claims.audit import published_world

    result = audited(file, published_world(paths(), wave) if wave is not None else None)
    print_result(as_json, result.to_json(), result.to_text())
    if not result.holds:
        raise typer.Exit(4)


@app.command()
def freeze(wave: Annotated[str, typer.Option("--wave", "-w", help="监测期 / wave.")], as_json: Json = False) -> None:
    """冻结导出文件,此后只能通过更正改动 / freeze a wave's exports; only corrections change it from then on."""
    from dagster_project.ingest.bronze import delivered_hashes
    from dagster_project.ingest.frozen import freeze_exports
    from dagster_project.ingest.wave import load_wave
    from dagster_project.lock import run_lock

    installation = paths()
    with run_lock(installation):
        hashes = delivered_hashes(installation, load_wave(installation, wave))
        is_written = freeze_exports(installation, wave, hashes)
    state = "已冻结 / frozen" if is_written else "此前已冻结,未变 / frozen before, unchanged"
    print_result(as_json, hashes, "\n".join([*(f"{sha256}  {name}" for name, sha256 in hashes.items()), state]))


@app.command()
def simulate(
    wave: Waves = None,
    seed: Annotated[int | None, typer.Option(help="随机种子,缺省见 wave.yml / seed; default: wave.yml's.")] = None,
    lines: Annotated[int | None, typer.Option(min=1, help="热线数 / number of lines.")] = None,
    probes: Annotated[int | None, typer.Option(min=1, help="每条热线的电话监测数 / phone probes per line.")] = None,
    out: Annotated[Path | None, typer.Option(help="写入另一原始数据目录 / write a raw folder of its own here.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="覆盖已有导出 / replace existing exports.")] = False,
    as_json: Json = False,
) -> None:
    """生成模拟导出,缺省只补缺失者 / simulate exports of synthetic waves; default: those that lack them."""
    from dagster_project.ingest.wave import load_wave
    from dagster_project.launch import synthetic_waves
    from dagster_project.simulate import simulate_wave

    installation = paths()
    written: list[Path] = []
    missing, faults = synthetic_waves(installation, lacking_exports=out is None)
    for wave_id in wave or missing:
        written += simulate_wave(
            installation,
            load_wave(installation, wave_id),
            seed=seed,
            n_lines=lines,
            n_probes=probes,
            out=out,
            overwrite=overwrite,
            progress=logging.getLogger("hotline").info,
        )
    text = (
        "\n".join(str(path) for path in written) or "导出已存在,未作改动 / exports are there already; nothing written"
    )
    print_result(as_json, [str(path) for path in written], text)
    _end_where_left_out({} if wave else faults)


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1024, max=65535, help="端口 / port.")] = 3000,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="只读:不能启动运行或改动任何内容 / nothing can be started or changed.")
    ] = False,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy",
            help="监听所有网络地址,须有带身份验证的反向代理在前(docs/deploy.md) / listen on every address; an "
            "authenticating reverse proxy must stand in front.",
        ),
    ] = False,
    allowed_host: AllowedHosts = None,
) -> None:
    """打开 Dagster 界面,缺省仅限本机 / serve the Dagster UI, on loopback unless told otherwise; history is kept."""
    from dagster_project.launch import EVERY_ADDRESS, LOOPBACK, OPERATORS_UI, READERS_UI, prepare_ui

    if behind_proxy and not read_only:
        raise UsageError(
            "--behind-proxy 只与 --read-only 合用:Dagster 不验证身份,可操作的界面只对本机开放 / --behind-proxy needs "
            "--read-only: Dagster knows no users, so the UI that can change things stays on loopback"
        )
    if behind_proxy and not allowed_host:
        raise UsageError(
            "--behind-proxy 须用 --allowed-host 指明代理的名称,如 --allowed-host hotline.example.org / --behind-proxy "
            "needs the proxy's name, for example: --allowed-host hotline.example.org"
        )
    address = EVERY_ADDRESS if behind_proxy else LOOPBACK
    form = READERS_UI if read_only else OPERATORS_UI
    command = prepare_ui(paths(), port, address, form, tuple(allowed_host or ()))
    typer.echo(f"Dagster: http://{address}:{port}  (Ctrl-C 结束 / to stop)", err=True)
    become(command)


@app.command()
def doctor(as_json: Json = False) -> None:
    """检查本机是否具备运行条件 / check that this machine and installation can run the pipeline."""
    from dagster_project.doctor import diagnose

    findings = diagnose(paths())
    text = "\n".join(f"{'✓' if finding.is_ok else '✗'} {finding.name}: {finding.detail}" for finding in findings)
    print_result(as_json, [finding.__dict__ for finding in findings], text)
    if not all(finding.is_ok for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Runs the command line; does not return. The console script enters by `__main__.py`, before this is imported."""
    console.run(exit_code)


def exit_code() -> int:
    """Runs one command and returns its exit code; a failure that we can explain ends with its message."""
    try:
        app()
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except HotlineError as error:
        if console.is_interrupted():
            return Interrupted.exit_code
        reason = refusal(error) if error.exit_code == HotlineError.exit_code else None
        return _failed(f"{error}\n{_refused(reason)}" if reason else str(error), error.exit_code, error)
    except Exception as error:  # noqa: BLE001  # last stop before the user: say so, and how to see more
        if console.is_interrupted():  # DuckDB, for one, turns Ctrl-C into a failure of its own
            return Interrupted.exit_code
        reason = refusal(error)
        if reason is not None:
            return _failed(_refused(reason), 1, error)
        if isinstance(error, OSError):
            return _failed(f"系统错误 / the system refused: {error.strerror}: {error.filename or ''}", 1, error)
        text = f"{UNEXPECTED}: {type(error).__name__}: {error}"
        return _failed(f"{text}\n加 --debug 查看详情 / see more with --debug", 1, error)
    return 0


def _refused(reason: str) -> str:
    return (
        f"系统错误 / the system refused: {reason}\n"
        f"状态目录 / state folder: {paths().home}\n"
        "腾出空间或恢复写权限后,再次运行同一命令;已发布的内容保持原样 / make room or allow writing, then run the same "
        "command again; what is published stays as it was"
    )


def _failed(message: str, code: int, error: Exception) -> int:
    message = masked_message(message)
    if _options["debug"]:
        traceback.print_exception(error)
    print(message, file=sys.stderr)
    if "--json" in sys.argv:
        failure = {"error": type(error).__name__, "exit_code": code, "message": message}
        with suppress(OSError):  # stdout cannot be written: message and exit code have said what is wrong
            print(json.dumps(failure, ensure_ascii=False))
    return code


def _show_progress(level: int) -> None:
    started = time.perf_counter()
    handler = logging.StreamHandler(sys.stderr)

    def line(record: logging.LogRecord) -> str:
        return f"[{time.perf_counter() - started:5.1f}s] {masked_message(record.getMessage())}"

    handler.format = line  # type: ignore[method-assign]  # a formatter can not know when the command began
    logger = logging.getLogger("hotline")
    logger.handlers = [handler]
    handler.setLevel(level)  # Dagster sets the logger's own level during a run
    logger.setLevel(level)
    logger.propagate = False


def _outcome_text(result: dict[str, Any]) -> str:
    mark = "  模拟数据 / simulated data" if result["synthetic"] else ""
    lines = [
        f"{result['wave']}{mark}",
        f"  发布 / release  {result['release']}  ({result['seconds']:.1f} s)",
        f"  {result['path']}",
        *([f"  报告 / report  {result['report']}"] if result["report"] else []),
    ]
    for figure in result["figures"].values():
        change = "" if figure["change"] is None else f"  {figure['change']:+}"
        lines.append(f"  {figure['label']}  {figure['value']} {UNITS[figure['unit']]}{change}")
    if text := _fieldwork_text(result["fieldwork_flags"]):
        lines.append(f"  {text}")
    return "\n".join(lines)


def _fieldwork_text(flags: dict[str, int]) -> str:
    """One line on what is flagged; empty where nothing is."""
    labels = {"agreement": "编码一致性 agreement", "coders": "编码员 coders", "drift": "随时间推移 drift"}
    found = ", ".join(f"{labels[name]} {count}" for name, count in flags.items() if count)
    return f"现场工作提示 / field work, flagged: {found} (quality.json)" if found else ""


def _report_text(report: Any, declaration_faults: list[str]) -> str:
    lines = [f"{report.wave}"]
    lines += [
        f"  {file.file}: 读取 read {file.n_read} = 采信 bronze {file.n_bronze} + 隔离 quarantined {file.n_quarantined}"
        f" + 空行 blank {file.n_blank}"
        for file in report.files
    ]
    lines += [f"  {code}: {count}" for code, count in sorted(report.fault_counts.items())]
    return "\n".join([*lines, *report.messages, *declaration_faults])


def _status_text(each: dict[str, Any]) -> str:
    release = each["release"] or "未发布 / not published"
    if each["fault"] is not None:
        return f"{each['wave']}\n  {each['fault']}\n  当前发布 / current release: {release}"
    stale = "尚未采集 / not ingested yet" if each["n_stale_lines"] is None else each["n_stale_lines"]
    lines = [
        f"{each['wave']}  {each['label']}",
        f"  导出 / exports: {each['n_exports']}  得分过期热线 / stale lines: {stale}",
        f"  当前发布 / current release: {release}",
        *(f"  {CORRECTIONS[name].format(n)}" for name, n in each["corrections"].items() if n),
        *(f"  {text}" for text in [_fieldwork_text(each["fieldwork_flags"])] if text),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
