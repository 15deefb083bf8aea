"""Whether this machine and this installation can run the pipeline, one finding per question."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from dagster_project.errors import HotlineError
from dagster_project.paths import PROJECT, Paths, group_may_read, postgres_url, store_url
from dagster_project.private import is_private

MIN_PYTHON = (3, 11)
MIN_FREE_BYTES = 2 * 2**30  # a wave of the default size takes some 50 MB; a scaled one much more


@dataclass(frozen=True)
class Finding:
    name: str
    is_ok: bool
    detail: str


def diagnose(paths: Paths) -> list[Finding]:
    """Answer every question; a question that raises is answered with what it raised."""
    questions: dict[str, Callable[[Paths], str]] = {
        "Python": _python,
        "程序包与锁定版本一致 / packages as locked": _packages,
        "状态目录可写 / state folder is writable": _writable,
        "状态目录不对他人开放 / state folder is private": _private,
        "磁盘空间 / disk space": _disk,
        "监测期声明 / waves": _waves,
        "质量门套件 / expectation suites": _suites,
        "dbt 项目 / dbt project": _dbt,
    }
    if postgres_url() is not None:
        questions["PostgreSQL"] = _postgres
    if store_url() is not None:
        questions["存储可读写 / store can be read and written"] = _store
        questions["存储中的当前发布完整 / what the store's `current` names is there"] = _stored
    return [_answer(name, question, paths) for name, question in questions.items()]


def _answer(name: str, question: Callable[[Paths], str], paths: Paths) -> Finding:
    try:
        return Finding(name, True, question(paths))
    except (HotlineError, OSError, PackageNotFoundError) as error:
        return Finding(name, False, str(error))


def _python(_: Paths) -> str:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MIN_PYTHON:
        raise HotlineError(f"{found},需要 3.11 以上 / 3.11 or later is needed")
    return found


def _packages(_: Paths) -> str:
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s\\;]+)", lock, flags=re.MULTILINE))
    differing = [
        f"{name} {version(name)} (锁定 / locked {pin})" for name, pin in pinned.items() if version(name) != pin
    ]
    if differing:
        raise HotlineError(f"{', '.join(differing)};重装 / reinstall: make setup")
    return f"{len(pinned)}"


def _writable(paths: Paths) -> str:
    paths.home.mkdir(parents=True, exist_ok=True)
    if not os.access(paths.home, os.W_OK):
        raise HotlineError(f"不可写 / not writable: {paths.home}")
    return str(paths.home)


def _private(paths: Paths) -> str:
    if not is_private(paths.home):
        raise HotlineError(
            f"他人可以读取 / others may read it: {paths.home};下次运行时收紧,或 / the next run changes that, or: "
            f"chmod go-rwx {paths.home}"
        )
    return "HOTLINE_GROUP_READ=1" if group_may_read() else "0700"


def _disk(paths: Paths) -> str:
    paths.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(paths.home).free
    if free < MIN_FREE_BYTES:
        raise HotlineError(f"仅剩 / only {free / 2**30:.1f} GiB")
    return f"{free / 2**30:.0f} GiB"


def _waves(paths: Paths) -> str:
    from dagster_project.ingest.wave import load_wave, order_waves, reference_tables

    order = order_waves(paths)
    faults = [str(fault) for fault in order.faults.values()]
    for wave_id in order.ordered:
        try:
            reference_tables(paths, load_wave(paths, wave_id))
        except HotlineError as fault:
            faults.append(str(fault))
    if faults:
        raise HotlineError("\n".join(faults))
    return ", ".join(order.ordered) or "无 / none"


def _suites(_: Paths) -> str:
    from dagster_project.gate.suites import load_suites

    return f"{len(load_suites())}"


def _dbt(paths: Paths) -> str:
    from dagster_project.transform.dbt_step import ensure_parsed

    ensure_parsed(paths)
    return "可解析 / parses"


def _postgres(_: Paths) -> str:
    from dagster_project import team

    team.is_shared()
    name = team.own_name()
    found, needed = team.schema_revisions()
    if found is None:
        return f"{name}:空库,首次运行时建表 / empty; the first command that needs tables makes them"
    if found != needed:
        raise HotlineError(
            f"表结构版本 {found},需要 {needed};请备份后运行 / its tables are of revision {found}, {needed} is needed; "
            "after a backup: dagster instance migrate (docs/deploy.md)"
        )
    return f"{name}:{found}"


def _store(_: Paths) -> str:
    from dagster_project.store.mirror import open_store, require_usable

    return require_usable(open_store())


def _stored(paths: Paths) -> str:
    from dagster_project.store.mirror import open_store, standing, stored_waves

    store = open_store()
    found = [standing(paths, store, wave) for wave in stored_waves(store)]
    if missing := [name for each in found for name in each.missing]:
        raise HotlineError(f"缺失 / missing: {', '.join(missing[:10])}")
    return ", ".join(f"{each.wave} {each.stored}" for each in found) or "无 / none"
