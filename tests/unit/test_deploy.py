"""The units, the compose file and the examples of variables: they name commands, options and variables that exist."""

import re
import shlex
from collections.abc import Iterator

import pytest
import yaml
from typer.testing import CliRunner

from dagster_project.cli import app
from dagster_project.paths import PROJECT

DEPLOY = PROJECT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yml").read_text(encoding="utf-8"))
OURS = ("code", "daemon", "webserver")


def commands() -> Iterator[tuple[str, list[str]]]:
    for name in OURS:
        unit = (DEPLOY / "systemd" / f"hotline-{name}.service").read_text(encoding="utf-8")
        (started,) = re.findall(r"^ExecStart=\S+/hotline (.*)$", unit, flags=re.MULTILINE)
        yield f"unit {name}", shlex.split(started)
        yield f"compose {name}", COMPOSE["services"][name]["command"]


@pytest.mark.parametrize(("where", "command"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_what_is_started_exists_with_its_options(where: str, command: list[str]) -> None:
    assert command[1] == where.split()[1]
    assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0
    assert CliRunner().invoke(app, [*command, "--no-such-option", "--help"]).exit_code == 2


def test_containers_listen_on_loopback_and_publish_no_port() -> None:
    for name, service in COMPOSE["services"].items():
        assert service["network_mode"] == "host", name
        assert "ports" not in service, name
    assert "listen_addresses=127.0.0.1" in COMPOSE["services"]["postgres"]["command"]
    assert "${HOTLINE_CODE_ADDRESS:-127.0.0.1}" in COMPOSE["services"]["code"]["command"]
    # credentials of the store go to the one that writes it
    files = {name: str(service["env_file"]) for name, service in COMPOSE["services"].items()}
    assert [name for name, named in files.items() if "store.env" in named] == ["code"]


def test_the_examples_name_variables_that_are_read_and_hold_no_secret() -> None:
    source = (PROJECT / "dagster_project" / "paths.py").read_text(encoding="utf-8")
    for name in ("hotline", "store"):
        lines = (DEPLOY / f"{name}.env.example").read_text(encoding="utf-8").splitlines()
        given = dict(line.lstrip("# ").split("=", 1) for line in lines if re.match(r"(# )?[A-Z_0-9]+=", line))
        read_elsewhere = {"PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
        assert {each for each in given if f'"{each}"' not in source} <= read_elsewhere
        assert all(not value for each, value in given.items() if "PASSWORD" in each or "KEY" in each)
