"""The sensor `new_input`: it asks for a run of a wave whose input is not what its last release was made from."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from dagster_project import chain, runlog
from dagster_project.errors import Busy, GateFailed, InputRejected
from dagster_project.ingest.frozen import freeze_exports
from dagster_project.ingest.wave import load_wave
from dagster_project.jobs import new_input
from dagster_project.launch import dagster_instance
from dagster_project.new_input import look, state_of
from dagster_project.paths import Paths
from dagster_project.release.folder import MANIFEST, switch
from tests.small_wave import WAVE, SmallWave
from tests.unit.test_runs import HOLDING, LIVING

OTHER = "2031-adhoc-1"
Status = dg.DagsterRunStatus


@dataclass
class Sensor:
    """The sensor as the daemon evaluates it, with an instance of its own."""

    paths: Paths
    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    cursor: str | None = None
    keys: list[str | None] = field(default_factory=list)
    message: str | None = None

    def tick(self) -> list[dg.RunRequest]:
        with (
            dg.build_sensor_context(self.instance, self.cursor, repository_def=self.repository) as context,
            dg.partition_loading_context(dynamic_partitions_store=self.instance),
        ):
            data = new_input.evaluate_tick(context)
        self.cursor, self.message = data.cursor, data.skip_message
        requests = list(data.run_requests or [])
        assert not {each.run_key for each in requests} & set(self.keys), "the daemon would take it for one of before"
        self.keys += [each.run_key for each in requests]
        return requests

    def asked(self) -> list[str | None]:
        """The waves that it asks for once files have kept still from one look to the next."""
        assert self.tick() == []
        return [each.partition_key for each in self.tick()]

    def run(self, request: dg.RunRequest, error: Exception | None = None) -> str:
        """What the daemon makes of a request: a run, which is stopped by `error`, or has made a release."""

        @dg.op
        def work() -> None:
            if error is not None:
                raise error
            self.release(str(request.partition_key))

        @dg.job(partitions_def=dg.DynamicPartitionsDefinition(name="waves"))
        def wave_job() -> None:
            work()

        result = wave_job.execute_in_process(
            instance=self.instance, partition_key=request.partition_key, tags=request.tags, raise_on_error=False
        )
        assert result.success is (error is None)
        return result.run_id

    def release(self, wave_id: str, current: bool = True) -> Path:
        """A release of the present input, with its record."""
        wave = load_wave(self.paths, wave_id)
        seen = look(self.paths, wave, {})
        for name, facts in seen.items():
            facts[-1] = runlog.sha256_of(self.paths.raw / name)
        state = state_of(self.paths, wave, seen)
        release = f"{len(chain.read(self.paths.log)):016x}"
        folder = self.paths.releases(wave_id) / release
        folder.mkdir(parents=True)
        manifest = {
            "files": {},
            "raw_files": [{"file": name, "sha256": sha256} for name, sha256 in state["inputs"].items()],
            "declaration_version": state["declaration"], "ledger_head": state["ledger_head"],
            "baseline": {"wave": wave.baseline, "release": state["baseline"]} if wave.baseline else None,
        }  # fmt: skip
        (folder / MANIFEST).write_text(json.dumps(manifest))
        runlog.record(self.paths, runlog.RELEASED, wave=wave_id, release=release)
        if current:
            runlog.record(self.paths, runlog.PUBLISHED, wave=wave_id, release=release, previous_release=None)
            switch(folder)
        return folder


@pytest.fixture
def wave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWave:
    wave = SmallWave(tmp_path)
    wave.write()
    monkeypatch.setenv("HOTLINE_RAW", str(wave.paths.raw))
    monkeypatch.setenv("HOTLINE_HOME", str(wave.paths.home))
    return wave


@pytest.fixture
def sensor(wave: SmallWave) -> Iterator[Sensor]:
    from dagster_project.definitions import defs

    with dagster_instance(wave.paths) as instance:
        yield Sensor(wave.paths, instance, defs.get_repository_def())


def declare_other(wave: SmallWave, **changes: object) -> Path:
    """A second wave, declared like the first one but for `changes`."""
    folder = wave.paths.wave_raw(OTHER)
    folder.mkdir()
    before = wave.declared
    wave.declared = {**before, "wave": OTHER, "kind": "adhoc", **changes}
    wave.declare()
    shutil.move(wave.paths.wave_yml(WAVE), wave.paths.wave_yml(OTHER))
    wave.declared = before
    wave.declare()
    return folder


def deliver_other(wave: SmallWave) -> None:
    for path in sorted(wave.folder.glob("*_1.*")):
        shutil.copy(path, wave.paths.wave_raw(OTHER))


def web(wave: SmallWave) -> Path:
    return wave.folder / "web_1.csv"


def change(path: Path) -> bytes:
    """Change a file without changing its size or time; what it held before."""
    times, before = path.stat(), path.read_bytes()
    path.write_bytes(before[:-3] + bytes([before[-3] ^ 1]) + before[-2:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return before


def put_back(path: Path, content: bytes, times: os.stat_result) -> None:
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_it_asks_once_per_change(sensor: Sensor, wave: SmallWave) -> None:
    declare_other(wave)
    assert sensor.asked() == [WAVE]
    assert sensor.instance.get_dynamic_partitions("waves") == [WAVE]
    sensor.release(WAVE)
    assert (sensor.tick(), sensor.tick()) == ([], [])
    chain.append(wave.paths.ledger(WAVE), {"entry": "tested"})
    assert sensor.asked() == [WAVE]
    sensor.release(WAVE)
    chain.append(wave.paths.ledger(WAVE), {"entry": "tested"})
    assert sensor.asked() == [WAVE]
    sensor.release(WAVE)
    deliver_other(wave)
    assert [(each.job_name, each.partition_key) for each in (*sensor.tick(), *sensor.tick())] == [("adhoc_wave", OTHER)]
    sensor.release(OTHER)
    (wave.folder / "dial_1.csv").rename(wave.folder / "dial_2.csv")
    assert sensor.asked() == [WAVE]


def test_switched_on_it_runs_nothing_that_has_not_changed(sensor: Sensor, wave: SmallWave) -> None:
    sensor.release(WAVE)
    assert (sensor.asked(), sensor.tick()) == ([], [])
    for path in wave.folder.glob("*"):
        path.touch()  # another time, the same content
    assert sensor.asked() == []
    sensor.cursor = json.dumps({WAVE: "the digest that an earlier version kept"})
    assert sensor.asked() == []


def test_an_export_that_is_replaced_and_put_back_is_seen_both_times(sensor: Sensor, wave: SmallWave) -> None:
    times = web(wave).stat()
    (request,) = [*sensor.tick(), *sensor.tick()]
    sensor.run(request)
    before = change(web(wave))
    (request,) = [*sensor.tick(), *sensor.tick()]
    sensor.run(request)
    put_back(web(wave), before, times)
    (request,) = [*sensor.tick(), *sensor.tick()]
    sensor.run(request)
    assert (sensor.tick(), sensor.tick()) == ([], [])


def test_after_a_rollback_nothing_has_changed(sensor: Sensor, wave: SmallWave) -> None:
    first = sensor.release(WAVE)
    change(web(wave))
    second = sensor.release(WAVE)
    runlog.record(wave.paths, runlog.PUBLISHED, wave=WAVE, release=first.name, previous_release=second.name)
    switch(first)
    assert sensor.asked() == []


def test_what_is_not_published_yet_is_not_run_again(sensor: Sensor) -> None:
    sensor.release(WAVE, current=False)  # `hotline release`: somebody looks at it first
    assert sensor.asked() == []


@pytest.mark.parametrize(
    "changed", ["wave.yml", "profiles/web_inspection.yml", "methods/v2023/indicators.csv", "frames/lines_2023.csv"]
)
def test_a_changed_declaration_is_seen(sensor: Sensor, wave: SmallWave, changed: str) -> None:
    sensor.release(WAVE)
    assert sensor.asked() == []
    path = wave.paths.wave_yml(WAVE) if changed == "wave.yml" else wave.paths.raw / changed
    path.write_bytes(path.read_bytes() + b"\n")
    assert sensor.asked() == [WAVE]


def test_recommendations_and_the_text_of_the_installation_are_seen(sensor: Sensor, wave: SmallWave) -> None:
    sensor.release(WAVE)
    assert sensor.asked() == []
    (wave.folder / "recommendations.yml").write_text("[]")
    assert sensor.asked() == [WAVE]
    sensor.release(WAVE)
    (wave.paths.raw / "narratives").mkdir()
    (wave.paths.raw / "narratives" / "default.yml").write_text("{}")
    assert sensor.asked() == [WAVE]


def test_a_wave_waits_for_its_baseline_and_follows_it(sensor: Sensor, wave: SmallWave) -> None:
    declare_other(wave, baseline=WAVE)
    deliver_other(wave)
    assert sensor.asked() == [WAVE]  # the other one has nothing to compare with
    assert sensor.message is None or OTHER in sensor.message
    sensor.release(WAVE)
    assert [each.partition_key for each in sensor.tick()] == [OTHER]
    sensor.release(OTHER)
    assert sensor.tick() == []
    change(web(wave))
    assert sensor.asked() == [WAVE]
    sensor.release(WAVE)
    assert [each.partition_key for each in sensor.tick()] == [OTHER]


# --- files that are being written --------------------------------------------------------------


def test_a_file_that_is_being_copied_is_waited_for(sensor: Sensor, wave: SmallWave) -> None:
    content = web(wave).read_bytes()
    for size in (0, 10, 100, len(content)):
        web(wave).write_bytes(content[:size])
        assert sensor.tick() == []
        assert "no longer change" in (sensor.message or "")
    assert [each.partition_key for each in sensor.tick()] == [WAVE]


@pytest.mark.parametrize(
    "name", [".web_2.csv", "~$web_2.csv", "web_2.csv.part", "web_2.CRDOWNLOAD", "web_2.csv.filepart", "web_2.csv~",
             ".web_2.csv.x81hd", "._web_1.csv", "web_2.partial", "web_2.csv.tmp"]
)  # fmt: skip
def test_what_other_programs_leave_is_no_export(sensor: Sensor, wave: SmallWave, name: str) -> None:
    (export,) = [each for each in wave.declared["exports"] if each["table"] == "web_probes"]
    export["glob"] = "*web*"
    wave.declare()
    wave.ingest()
    sensor.release(WAVE)
    assert sensor.asked() == []
    (wave.folder / name).write_bytes(b"half")
    assert (sensor.tick(), sensor.tick()) == ([], [])
    assert [each.file for each in wave.ingest().files] == ["phone_1.xlsx", "dial_1.csv", "web_1.csv"]
    freeze_exports(wave.paths, WAVE, {"web_1.csv": "0" * 64})  # and no name for the list of a frozen wave


def test_what_is_no_file_holds_nothing_up(sensor: Sensor, wave: SmallWave) -> None:
    sensor.release(WAVE)
    os.mkfifo(wave.folder / "web_9.csv")
    assert sensor.asked() == [WAVE]  # the run refuses it
    (wave.folder / "web_9.csv").unlink()
    (wave.folder / "web_9.csv").mkdir()
    assert sensor.asked() == []
    assert WAVE in (sensor.message or "")


# --- runs that were stopped --------------------------------------------------------------------


def test_a_run_that_met_a_held_lock_is_asked_for_again(sensor: Sensor) -> None:
    sensor.tick()
    for _ in range(5):
        (request,) = sensor.tick()
        sensor.run(request, Busy("held"))
        with subprocess.Popen([sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            assert sensor.tick() == []  # it would be in vain
            holder.kill()
    (request,) = sensor.tick()
    sensor.run(request)
    assert sensor.tick() == []


@pytest.mark.parametrize("error", [InputRejected("x"), GateFailed("x"), ValueError("x")])
def test_a_run_that_its_input_stopped_is_not_asked_for_again(sensor: Sensor, wave: SmallWave, error: Exception) -> None:
    (request,) = [*sensor.tick(), *sensor.tick()]
    sensor.run(request, error)
    assert (sensor.tick(), sensor.tick()) == ([], [])
    before = change(web(wave))
    assert sensor.asked() == [WAVE]
    put_back(web(wave), before, web(wave).stat())
    assert sensor.asked() == []


def test_a_run_that_was_killed_is_asked_for_again_a_few_times(sensor: Sensor) -> None:
    from dagster_project.runs import end_abandoned_runs

    sensor.tick()
    for _ in range(3):
        (request,) = sensor.tick()

        @dg.job
        def doomed() -> None: ...

        run = sensor.instance.create_run_for_job(doomed, status=Status.STARTED, tags=request.tags)
        with subprocess.Popen(
            [sys.executable, "-c", LIVING, run.run_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert sensor.tick() == []  # it is at work
            process.kill()
        assert end_abandoned_runs(sensor.paths, sensor.instance) == [run.run_id]
    assert sensor.tick() == []


def test_a_run_that_somebody_cancelled_is_not_asked_for_again(sensor: Sensor) -> None:
    @dg.job
    def waiting() -> None: ...

    (request,) = [*sensor.tick(), *sensor.tick()]
    run = sensor.instance.create_run_for_job(waiting, status=Status.STARTED, tags=request.tags)
    sensor.instance.report_run_canceled(run)
    assert (sensor.tick(), sensor.tick()) == ([], [])


# --- waves that are declared wrongly -----------------------------------------------------------


@pytest.mark.parametrize("damage", ["colour: red\n", "a: [", "", "\x00", "- a\n", "wave: *a\n"])
def test_one_malformed_wave_stops_no_other(sensor: Sensor, wave: SmallWave, damage: str) -> None:
    declare_other(wave)
    deliver_other(wave)
    wave.paths.wave_yml(OTHER).write_text(damage)
    assert sensor.asked() == [WAVE]
    sensor.release(WAVE)
    assert sensor.tick() == []
    assert f"{OTHER}/wave.yml" in (sensor.message or "")


def test_neither_does_a_circle_of_baselines_or_a_ledger_that_was_changed(sensor: Sensor, wave: SmallWave) -> None:
    folder = declare_other(wave)
    deliver_other(wave)
    for one, other in (("2041", "2042"), ("2042", "2041")):
        shutil.copytree(folder, wave.paths.wave_raw(one))
        yml = wave.paths.wave_yml(one)
        text = yml.read_text().replace("baseline: null\n", "")
        yml.write_text(f"baseline: '{other}'\n" + text.replace(OTHER, f"'{one}'"))
    wave.paths.ledger(OTHER).parent.mkdir()
    wave.paths.ledger(OTHER).write_text("{}\n")
    assert sensor.asked() == [WAVE]
    sensor.release(WAVE)
    assert sensor.tick() == []
    for text in ("2041 → 2042 → 2041", "2042 → 2041 → 2042", f"{OTHER}: ledger.jsonl"):
        assert text in (sensor.message or "")


def test_a_damaged_log_is_reported(sensor: Sensor, wave: SmallWave) -> None:
    wave.paths.log.write_text("{}\n")
    assert sensor.asked() == []
    assert "log.jsonl" in (sensor.message or "")
