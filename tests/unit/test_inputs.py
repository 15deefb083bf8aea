"""The inputs of a wave as Dagster observes them: a change is recorded once, under the name of what has changed."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from dagster_project import inputs
from dagster_project.assets.raw import INPUTS, changed_inputs, raw
from dagster_project.inputs import NOTHING, new_observations, record_inputs
from dagster_project.paths import Paths
from tests.small_wave import WAVE, SmallWave

LOGGER = logging.getLogger("hotline")
OTHER = "2031-adhoc-1"


@pytest.fixture
def wave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWave:
    """A wave with exports and a text of its own, and another one of the same profiles and method."""
    small = SmallWave(tmp_path)
    small.declared["baseline"] = OTHER
    small.write()
    shutil.copytree(small.folder, small.paths.wave_raw(OTHER))
    text = small.paths.wave_yml(WAVE).read_text(encoding="utf-8")
    text = text.replace(f"'{WAVE}'", OTHER).replace(f"baseline: {OTHER}", "baseline: null")
    small.paths.wave_yml(OTHER).write_text(text, encoding="utf-8")
    (small.paths.raw / "narratives").mkdir()
    (small.paths.raw / "narratives/default.yml").write_text("sections: []\n")
    monkeypatch.setenv("HOTLINE_RAW", str(small.paths.raw))
    monkeypatch.setenv("HOTLINE_HOME", str(small.paths.home))
    return small


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def found(instance: dg.DagsterInstance, paths: Paths, *wave_ids: str) -> set[tuple[str | None, str]]:
    """(wave, input) of what has changed since it was recorded."""
    return {(each.partition, each.asset_key.path[-1]) for each in new_observations(instance, paths, wave_ids, LOGGER)}


def replace_same_size_and_time(path: Path) -> None:
    stat = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def append(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as stream:
        stream.write("\n")


def publish_other(paths: Paths) -> None:
    (paths.releases(OTHER) / "0123456789abcdef").mkdir(parents=True)
    (paths.releases(OTHER) / "0123456789abcdef/manifest.json").write_text("{}")
    paths.current(OTHER).symlink_to("0123456789abcdef")


Change = Callable[[Paths], object]
BOTH = {WAVE, OTHER}
CHANGES: dict[str, tuple[Change, str, set[str]]] = {
    "an export is replaced": (lambda paths: append(paths.wave_raw(WAVE) / "dial_1.csv"), "exports", {WAVE}),
    "by one of the same size and time": (
        lambda paths: replace_same_size_and_time(paths.wave_raw(WAVE) / "dial_1.csv"), "exports", {WAVE},
    ),
    "an export is added": (lambda paths: append(paths.wave_raw(WAVE) / "web_2.csv"), "exports", {WAVE}),
    "an export is renamed": (
        lambda paths: (paths.wave_raw(WAVE) / "web_1.csv").rename(paths.wave_raw(WAVE) / "web_3.csv"),
        "exports", {WAVE},
    ),
    "an export is deleted": (lambda paths: (paths.wave_raw(WAVE) / "web_1.csv").unlink(), "exports", {WAVE}),
    "a correction is decided": (lambda paths: append(paths.ledger(WAVE)), "corrections", {WAVE}),
    "a profile is edited": (lambda paths: append(paths.profile("dialler")), "profiles", BOTH),
    "weights are edited": (lambda paths: append(paths.method("v2023") / "indicators.csv"), "method", BOTH),
    "the frame is edited": (lambda paths: append(paths.frame("lines_2023")), "frame", BOTH),
    "the text is edited": (lambda paths: append(paths.raw / "narratives/default.yml"), "narratives", BOTH),
    "the own text is removed": (lambda paths: (paths.raw / "narratives/default.yml").unlink(), "narratives", BOTH),
    "a recommendation is added": (
        lambda paths: append(paths.wave_raw(WAVE) / "recommendations.yml"), "narratives", {WAVE},
    ),
    "wave.yml is edited": (lambda paths: append(paths.wave_yml(WAVE)), "wave", {WAVE}),
    "the baseline is released": (publish_other, "baseline", {WAVE}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_recorded_once_and_by_its_name(name: str, wave: SmallWave, instance: dg.DagsterInstance) -> None:
    change, expected, waves = CHANGES[name]
    for wave_id in BOTH:
        record_inputs(instance, wave.paths, wave_id, LOGGER)
    assert found(instance, wave.paths, *BOTH) == set()
    change(wave.paths)
    assert found(instance, wave.paths, *BOTH) == {(wave_id, expected) for wave_id in waves}
    for wave_id in BOTH:
        record_inputs(instance, wave.paths, wave_id, LOGGER)
    assert found(instance, wave.paths, *BOTH) == set()


def test_what_is_put_back_has_its_old_version(wave: SmallWave, instance: dg.DagsterInstance) -> None:
    export = wave.folder / "dial_1.csv"
    original, stat = export.read_bytes(), export.stat()
    versions = []
    for content in (original, original[::-1], original):
        export.write_bytes(content)
        os.utime(export, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        record_inputs(instance, wave.paths, WAVE, LOGGER)
        key = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["raw", "exports"]), asset_partitions=[WAVE])
        observation = instance.fetch_observations(key, limit=1).records[0].asset_observation
        assert observation is not None
        versions.append(observation.data_version)
    assert versions[0] == versions[2] != versions[1]


def test_a_version_does_not_depend_on_where_the_installation_lies(
    wave: SmallWave, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    record_inputs(instance, wave.paths, WAVE, LOGGER)
    shutil.copytree(wave.paths.raw, tmp_path / "elsewhere")
    moved = Paths(raw=tmp_path / "elsewhere", home=tmp_path / "home2")
    assert found(instance, moved, WAVE) == set()


def test_installations_that_share_a_history_do_not_answer_one_another(
    wave: SmallWave, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("north", "south", "north", "south"):
        monkeypatch.setattr(inputs, "own_mark", lambda name=name: {"hotline/installation": name})
        (wave.folder / "dial_1.csv").write_text(name)
        record_inputs(instance, wave.paths, WAVE, LOGGER)
    records = instance.fetch_observations(dg.AssetKey(["raw", "exports"]), limit=10).records
    assert len(records) == 2  # one of each, and none because of the other


def test_what_does_not_exist_has_a_version_too(wave: SmallWave, instance: dg.DagsterInstance) -> None:
    observed = {each.asset_key.path[-1]: each for each in new_observations(instance, wave.paths, [WAVE], LOGGER)}
    assert set(observed) == set(INPUTS)
    assert observed["corrections"].data_version == observed["baseline"].data_version == NOTHING


def test_a_wave_that_cannot_be_read_leaves_the_others_observed(
    wave: SmallWave, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    wave.paths.wave_yml(OTHER).write_bytes(b"\xff: [")
    with caplog.at_level(logging.WARNING, "hotline"):
        changed = found(instance, wave.paths, OTHER, WAVE)
    assert changed == {(OTHER, "wave"), *((WAVE, name) for name in INPUTS)}
    assert OTHER in caplog.text


def test_a_file_is_hashed_once_for_each_of_its_states(
    wave: SmallWave, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []
    original = inputs.sha256_of
    monkeypatch.setattr(inputs, "sha256_of", lambda path: hashed.append(path.name) or original(path))
    found(instance, wave.paths, *BOTH)
    assert "dial_1.csv" in hashed
    hashed.clear()
    found(instance, wave.paths, *BOTH)
    assert hashed == []
    append(wave.folder / "dial_1.csv")
    found(instance, wave.paths, *BOTH)
    assert hashed == ["dial_1.csv"]


def test_the_sensor_records_changes_and_new_waves_and_starts_no_run(
    wave: SmallWave, instance: dg.DagsterInstance
) -> None:
    def tick() -> tuple[set[tuple[str | None, str]], list[str]]:
        with dg.build_sensor_context(instance) as context:
            data = changed_inputs.evaluate_tick(context)
        assert not data.run_requests
        observations = [each for each in data.asset_events if isinstance(each, dg.AssetObservation)]
        for each in observations:  # as the daemon does
            instance.report_runless_asset_event(each)
        new = [key for request in data.dynamic_partitions_requests or [] for key in request.partition_keys]
        instance.add_dynamic_partitions("waves", new)
        return {(each.partition, each.asset_key.path[-1]) for each in observations}, new

    assert tick() == ({(wave_id, name) for wave_id in BOTH for name in INPUTS}, sorted(BOTH))
    assert tick() == (set(), [])
    append(wave.paths.ledger(WAVE))
    assert tick() == ({(WAVE, "corrections")}, [])


def test_inputs_are_observed_on_request_for_one_wave_or_all(wave: SmallWave, instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("waves", sorted(BOTH))
    one = dg.Definitions(assets=[raw]).resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(["raw", "exports"]), dg.AssetKey(["raw", "method"])]
    assert one.execute_in_process(instance=instance, partition_key=WAVE, asset_selection=keys).success
    assert found(instance, wave.paths, WAVE) == {(WAVE, name) for name in INPUTS} - {
        (WAVE, "exports"), (WAVE, "method")
    }  # fmt: skip
    assert one.execute_in_process(instance=instance).success
    assert found(instance, wave.paths, *BOTH) == set()
