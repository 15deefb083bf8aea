"""A folder full of foreign modules: no process that is started in it imports one of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Installation, copied
from tests.integration.test_ui import MUTATIONS, finished, graphql, launch, served
from tests.servers import free_port

HOTLINE = str(Path(sys.executable).with_name("hotline"))
SITE_PACKAGES = Path(pytest.__file__).parent.parent
STANDARD = {name for name in sys.stdlib_module_names if name.isidentifier()}
INSTALLED = {path.stem for path in SITE_PACKAGES.iterdir() if path.stem.isidentifier() and path.suffix in ("", ".py")}
EVERYTHING = INSTALLED | STANDARD | {"sitecustomize", "usercustomize"}
# With the current folder in PYTHONPATH the interpreter itself imports from there, before any code of ours: its own
# modules, and what installed packages ask it to load.
LATER = {name for name in INSTALLED if not name.startswith("_")}
DECOY = "import os, sys\nwith open({marker!r}, 'a') as file:\n    print(__name__, sys.argv, file=file)\n"


def trap(folder: Path, names: set[str]) -> Path:
    """Fill the folder with modules that leave their name in a file; that file."""
    marker = folder.parent / "imported"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names | {"gql"}:
        (folder / f"{name}.py").write_text(DECOY.format(marker=str(marker)))
    hidden = folder / "hidden"  # for what reads the environment from the current folder
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(DECOY.format(marker=str(marker)))
    (folder / ".env").write_text(f"PYTHONPATH={hidden}\nHOTLINE_RAW=/nonexistent\n")
    return marker


def imported(marker: Path) -> str:
    return marker.read_text() if marker.exists() else ""


def test_a_decoy_is_noticed(tmp_path: Path) -> None:
    marker = trap(tmp_path / "here", {"gql"})
    subprocess.run([sys.executable, "-c", "import gql"], cwd=tmp_path / "here", check=True, env=plain())
    assert "gql" in imported(marker)


def plain(**more: str) -> dict[str, str]:
    names = ("PYTHONPATH", "PYTHONSAFEPATH")
    return {**{name: value for name, value in os.environ.items() if name not in names}, **more}


@pytest.mark.parametrize("python_path", [None, ":", ".", f".:{os.sep}nonexistent:", "here/..:../here"])
def test_commands_import_nothing_from_the_current_folder(
    copy: Installation, tmp_path: Path, python_path: str | None
) -> None:
    folder = tmp_path / "here"
    marker = trap(folder, LATER if python_path else EVERYTHING)
    variables = plain(**copy.environment, HOTLINE_RAW=str(copy.paths.raw), HOTLINE_HOME=str(copy.paths.home))
    if python_path is not None:
        variables["PYTHONPATH"] = python_path
    commands = [["status"], ["check", "--wave", "2022"]]
    if not python_path:
        commands += [
            ["run", "--wave", "2023"], ["run", "--wave", "2023", "--line", "310000"], ["report", "--wave", "2023"],
            ["simulate", "--wave", "2023", "--out", str(tmp_path / "out")], ["verify"],
            ["scorecard", "310000", "--wave", "2023", "--out", str(tmp_path)], ["sensitivity", "--wave", "2023"],
        ]  # fmt: skip
    for command in commands:
        done = subprocess.run(
            [HOTLINE, *command], cwd=folder, env=variables, capture_output=True, text=True, check=False
        )
        assert imported(marker) == "", command
        assert "Traceback" not in done.stderr, (command, done.stderr)
        assert done.returncode in (0, 3), (command, done.stderr)


def test_python_m_imports_nothing_installed_from_the_current_folder(copy: Installation) -> None:
    """`python -m` itself imports from there; what we import later does not."""
    marker = trap(copy.root, INSTALLED - {"dagster_project"})
    copy.run("--wave", "2023", "--line", "310000")
    assert imported(marker) == ""


def test_the_ui_and_its_runs_import_nothing_from_the_current_folder(published: Installation, tmp_path: Path) -> None:
    installation = copied(published, tmp_path / "copy")
    marker = trap(tmp_path / "here", EVERYTHING)
    port = free_port()
    for options in ((), ("--read-only",)):
        with served(installation, port, *options, folder=tmp_path / "here", program=(HOTLINE,)):
            nodes = graphql(port, "{ assetNodes { partitionKeys } }")["assetNodes"]
            assert nodes
            query, variables = MUTATIONS["launchRun"]
            assert graphql(port, query, variables)
            if not options:
                assert finished(port, launch(port, "2023")) == "SUCCESS"
    assert imported(marker) == ""
