"""`hotline store`: a thin layer over `mirror.py`. Nothing heavy is imported before a command needs it."""

from typing import Annotated

import typer

from dagster_project.options import Json, Waves, print_result
from dagster_project.paths import paths

store = typer.Typer(
    help=(
        "把发布与 bronze 复制到 S3 兼容的存储(HOTLINE_STORE),或从中取回 / copy releases and bronze to an S3-compatible "
        "store (HOTLINE_STORE), or fetch them."
    ),
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@store.command()
def push(wave: Waves = None, as_json: Json = False) -> None:
    """把当前发布及其 bronze 复制到存储 / copy the current releases, with their bronze, to the store."""
    from dagster_project.lock import run_lock
    from dagster_project.store.mirror import open_store, published_waves
    from dagster_project.store.mirror import push as copy_to_store

    with run_lock(paths()):
        done = [copy_to_store(paths(), open_store(), each) for each in wave or published_waves(paths())]
    print_result(as_json, [each.__dict__ for each in done], "\n".join(each.told() for each in done))


@store.command()
def pull(
    wave: Waves = None,
    no_bronze: Annotated[bool, typer.Option("--no-bronze", help="只取发布 / fetch the release only.")] = False,
    as_json: Json = False,
) -> None:
    """从存储取回当前发布及其 bronze,按哈希核对 / fetch current releases and bronze, each byte held against its hash."""
    from dagster_project.lock import run_lock
    from dagster_project.store.mirror import open_store, stored_waves
    from dagster_project.store.mirror import pull as fetch

    with run_lock(paths()):
        remote = open_store()
        done = [fetch(paths(), remote, each, bronze=not no_bronze) for each in wave or stored_waves(remote)]
    print_result(as_json, [each.__dict__ for each in done], "\n".join(each.told() for each in done))


@store.command()
def status(wave: Waves = None, as_json: Json = False) -> None:
    """存储与本机各持有哪个发布 / which release the store holds of each wave, which this installation."""
    from dagster_project.store.mirror import open_store, published_waves, standing, stored_waves

    remote = open_store()
    waves = wave or sorted({*published_waves(paths()), *stored_waves(remote)})
    found = [standing(paths(), remote, each) for each in waves]
    text = "\n".join(each.told() for each in found) or "尚无发布 / nothing is released yet"
    print_result(as_json, [each.__dict__ for each in found], text)
    if any(each.missing for each in found):
        raise typer.Exit(6)
