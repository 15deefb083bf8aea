"""One wave that is declared wrongly: it is named wherever it matters, and the others go on."""

import shutil
from collections.abc import Iterator

import pytest

from dagster_project import chain, runlog
from dagster_project.launch import dagster_instance, prepare_ui
from tests.conftest import Installation, copied
from tests.integration.conftest import WAVE

BAD = "2031"


@pytest.fixture(scope="module")
def installation(published_six: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = copied(published_six, tmp_path_factory.mktemp("malformed") / "copy")
    yml = installation.paths.wave_yml(BAD)
    yml.parent.mkdir()
    yml.write_text("colour: [red\n", encoding="utf-8")
    yield installation


def failures(installation: Installation) -> list[tuple[str, str, int]]:
    return [
        (each["wave"], each["error"], each["exit_code"])
        for each in chain.read(installation.paths.log)
        if each["event"] == runlog.FAILED
    ]


def test_status_shows_the_fault_of_that_wave(installation: Installation) -> None:
    done = installation.hotline("status")
    assert done.code == 0
    assert f"{BAD}/wave.yml" in done.out
    assert installation.current(WAVE) in done.out
    good, bad = installation.hotline("status", "--json").json
    assert (good["wave"], good["fault"], good["n_stale_lines"]) == (WAVE, None, 0)
    assert (bad["wave"], bad["release"], bad["label"]) == (BAD, None, None)
    assert "not valid YAML" in bad["fault"]


def test_a_run_of_all_runs_the_others_and_says_so(installation: Installation) -> None:
    done = installation.hotline("run", "--no-report", "--json")
    assert done.code == 3, done.err
    good, bad = done.json
    assert (good["wave"], good["release"]) == (WAVE, installation.current(WAVE))
    assert (bad["wave"], bad["error"], bad["exit_code"]) == (BAD, "InputRejected", 3)
    assert f"{BAD}/wave.yml" in done.err
    assert failures(installation) == [(BAD, "InputRejected", 3)]


def test_a_run_of_another_wave_is_not_concerned(installation: Installation) -> None:
    before = failures(installation)
    assert installation.hotline("run", "--no-report", "--wave", WAVE).code == 0
    assert failures(installation) == before
    refused = installation.hotline("run", "--wave", BAD)
    assert refused.code == 3
    assert "not valid YAML" in refused.err
    assert failures(installation) == [*before, (BAD, "InputRejected", 3)]


@pytest.mark.parametrize("command", ["check", "report", "simulate"])
def test_other_commands_go_on_with_the_others(installation: Installation, command: str) -> None:
    done = installation.hotline(command)
    if command == "report":
        assert done.code in (0, 1), done.err  # 1: this machine has no font for the PDF
        return
    assert done.code == 3
    assert f"{BAD}/wave.yml" in done.err
    assert "Traceback" not in done.err


def test_the_ui_starts_with_the_others(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in installation.variables().items():
        monkeypatch.setenv(name, value)
    prepare_ui(installation.paths, 3000)
    with dagster_instance(installation.paths) as instance:
        assert instance.get_dynamic_partitions("waves") == [WAVE]


def test_doctor_names_every_fault(installation: Installation) -> None:
    (finding,) = [each for each in installation.hotline("doctor", "--json").json if "waves" in each["name"]]
    assert not finding["is_ok"]
    assert f"{BAD}/wave.yml" in finding["detail"]


def test_what_keeps_a_run_from_beginning_is_in_the_log(installation: Installation) -> None:
    n_before = len(failures(installation))
    assert installation.hotline("run", "--wave", "1999").code == 2
    assert installation.hotline("run", "--line", "110000").code == 2
    with installation.paths.lock.open("a") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        assert installation.hotline("run", "--wave", WAVE).code == 5
    found = failures(installation)[n_before:]
    assert found == [("1999", "UsageError", 2), (None, "UsageError", 2), (WAVE, "Busy", 5)]


def test_a_wave_that_stops_does_not_stop_the_others(installation: Installation) -> None:
    """Its declaration is right; what it names is not."""
    first = installation.paths.wave_raw("1999")  # comes before the others
    shutil.copytree(installation.paths.wave_raw(WAVE), first)
    text = (first / "wave.yml").read_text(encoding="utf-8")
    lines = [f'wave: "{first.name}"' if line.startswith("wave:") else line for line in text.splitlines()]
    (first / "wave.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for export in first.glob("*.csv"):
        export.unlink()
    checked = installation.hotline("check", "--json")
    assert checked.code == 3
    assert [each["wave"] for each in checked.json] == [WAVE, BAD, first.name], checked.err

    n_before = len(failures(installation))
    done = installation.hotline("run", "--no-report", "--json")
    assert done.code == 3, done.err
    assert [each["wave"] for each in done.json] == [WAVE, BAD, first.name]
    assert done.json[0]["release"] == installation.current(WAVE)
    assert "E_NO_FILE" in done.err
    assert failures(installation)[n_before:] == [(BAD, "InputRejected", 3), (first.name, "InputRejected", 3)]
