"""Where processes are started, and what path they get."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dagster_project import safe_path
from dagster_project.paths import PROJECT

PACKAGE = PROJECT / "dagster_project"
# Whatever starts a process; `protect_children` has been called in it, or its command says -P or -I itself.
STARTERS = {
    "ingest/workbook.py",  # -I -S, an empty environment
    "release/scratch.py",  # -P
    "safe_path.py",  # `become`
    "webserver.py",  # started by `become`
    "worker.py",  # -P
}
STARTS = {
    "Popen", "run", "call", "check_call", "check_output", "system", "popen", "fork", "posix_spawn", "execv", "execvp",
    "execve", "execvpe", "execl", "execlp", "spawnv", "spawnl", "create_subprocess_exec", "create_subprocess_shell",
    "Process", "ProcessPoolExecutor",
}  # fmt: skip


def starts(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {
        (node.func.value.id, node.func.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
    }
    imported = {
        (node.module, name.name) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names
    }
    modules = {"subprocess", "os", "multiprocessing", "asyncio", "concurrent.futures"}
    return any(module in modules and name in STARTS for module, name in called | imported)


def test_these_are_all_the_places_that_start_a_process() -> None:
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if starts(path)}
    assert found == STARTERS


@pytest.mark.parametrize(
    ("written", "left"),
    [("", ""), (":", ""), (".", ""), (":/a:", "/a"), ("b:/a:./c:/d", "/a:/d"), ("~:/a", "/a"), ("..", "")],
)
def test_children_get_a_safe_path(monkeypatch: pytest.MonkeyPatch, written: str, left: str) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setenv("PYTHONPATH", written)
    safe_path.protect_children()
    assert (os.environ["PYTHONSAFEPATH"], os.environ["PYTHONPATH"]) == ("1", left)


def test_a_server_runs_in_the_project_with_the_folders_that_were_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"HOTLINE_RAW": "raw", "HOTLINE_HOME": "./data", "PYTHONPATH": "", "PYTHONSAFEPATH": ""}.items():
        monkeypatch.setenv(name, value)
    started: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: started.append((program, command)))
    safe_path.become(["/program", "--option"])
    assert started == [("/program", ["/program", "--option"])]
    assert Path.cwd() == PROJECT
    assert os.environ["HOTLINE_RAW"] == str(tmp_path / "raw")
    assert os.environ["HOTLINE_HOME"] == str(tmp_path / "data")
    assert os.environ["PYTHONSAFEPATH"] == "1"


@pytest.mark.parametrize("python_path", [":", ".", "x/..", f".{os.pathsep}{PROJECT}"])
def test_the_current_folder_leaves_the_path_as_far_as_nobody_named_it(tmp_path: Path, python_path: str) -> None:
    (tmp_path / "x").mkdir()
    code = "import sys; import dagster_project; print(sys.path)"
    environment = {**os.environ, "PYTHONPATH": python_path, "PYTHONSAFEPATH": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert repr(str(tmp_path)) not in shown.stdout
    assert (repr(str(PROJECT)) in shown.stdout) == (str(PROJECT) in python_path)
    for written in (f"{tmp_path}", f"{tmp_path}{os.sep}", f":{tmp_path}/x/.."):
        named = {**environment, "PYTHONPATH": written}
        shown = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=named, capture_output=True, text=True, check=True
        )
        assert repr(str(tmp_path)) in shown.stdout
