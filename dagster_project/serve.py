"""`hotline serve`: the three long-lived processes of a Dagster instance that several hosts share (docs/deploy.md).

Belongs here: options. Does not belong here: what is prepared before they start (`launch.py`), the UI of
one host (`hotline ui`).
"""

from pathlib import Path
from typing import Annotated

import typer

from dagster_project.options import AllowedHosts
from dagster_project.paths import paths
from dagster_project.safe_path import become

serve = typer.Typer(
    help=(
        "多台主机共用一个 Dagster(PostgreSQL)时的常驻进程 / the long-lived processes of a Dagster instance that "
        "several hosts share on PostgreSQL."
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

LOOPBACK = "127.0.0.1"
Port = Annotated[int, typer.Option(min=1024, max=65535, help="端口 / port.")]
Workspace = Annotated[
    Path, typer.Option("--workspace", "-w", help="各代码位置 / the code locations, see deploy/workspace.yaml.")
]


@serve.command()
def code(
    port: Port = 4266,
    address: Annotated[
        str,
        typer.Option(
            help="监听地址;能连上者即可启动运行,只对守护进程与界面开放 / address to listen on: whoever reaches it can "
            "start runs, so only daemon and webserver may."
        ),
    ] = LOOPBACK,
) -> None:
    """本安装的代码位置,每台主机一个 / the code location of this installation, where its runs are executed."""
    from dagster_project.launch import prepare_code_server

    become(prepare_code_server(paths(), port, address))


@serve.command()
def daemon(workspace: Workspace) -> None:
    """队列、调度与传感器,整个实例只有一个 / queue, schedules and sensors: one in the whole instance."""
    from dagster_project.launch import prepare_shared_daemon

    become(prepare_shared_daemon(paths(), workspace))


@serve.command()
def webserver(
    workspace: Workspace,
    port: Port = 3000,
    read_only: Annotated[bool, typer.Option("--read-only", help="只读 / nothing can be started or changed.")] = False,
    allowed_host: AllowedHosts = None,
) -> None:
    """共用实例的界面,仅限本机 / the UI of the shared instance, on loopback."""
    from dagster_project.launch import READERS_UI, prepare_shared_ui

    form = READERS_UI if read_only else ()
    become(prepare_shared_ui(paths(), workspace, port, form, tuple(allowed_host or ())))
