"""Options that commands of several modules take, and the one way in which they print a result.

Belongs here: what is the same wherever it is asked for. Does not belong here: commands. Nothing heavy is
imported: every start of the command line reads this.
"""

import json
from typing import Annotated, Any

import typer

from dagster_project.names import require_wave_id


def _wave_ids(texts: list[str] | None) -> list[str] | None:
    return None if texts is None else [require_wave_id(text) for text in texts]


Wave = Annotated[str, typer.Option("--wave", "-w", help="监测期 / wave.")]
Waves = Annotated[
    list[str] | None,
    typer.Option("--wave", "-w", callback=_wave_ids, help="监测期,可重复;缺省为全部 / wave, repeatable; default: all."),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        help="浏览器地址栏中代理的名称,可重复;127.0.0.1 与 localhost 始终接受 / name of the proxy as browsers show it, "
        "repeatable; 127.0.0.1 and localhost are always accepted.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="结果以 JSON 输出 / print the result as JSON.")]


def print_result(as_json: bool, data: Any, text: str) -> None:
    typer.echo(json.dumps(data, ensure_ascii=False, indent=1) if as_json else text)
