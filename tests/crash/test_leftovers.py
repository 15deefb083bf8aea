"""What a crash may leave half made, and who must not take it for whole."""

import json
import sqlite3
from pathlib import Path

import pytest

from dagster_project.errors import HotlineError, NotReconciled
from dagster_project.files import refusal
from dagster_project.ingest.bronze import require_ingested
from dagster_project.launch import dagster_instance
from dagster_project.paths import Paths
from dagster_project.transform import dbt_step
from dagster_project.transform.warehouse import drop_stale_warehouse
from tests.small_wave import WAVE, SmallWave


class Killed(BaseException):
    """Stands for the end of the process: no handler of ours catches it."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(raw=tmp_path / "raw", home=tmp_path / "home")


@pytest.mark.parametrize("n_replaced", [0, 1, 7, 15])
def test_half_replaced_bronze_is_used_by_nobody_and_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_replaced: int
) -> None:
    wave = SmallWave(tmp_path)
    wave.write()
    wave.ingest()
    wave.web[0]["内容丰富度"] = "欠缺"
    wave.write()
    replace, replaced = Path.replace, []

    def replace_some(self: Path, target: Path) -> Path:
        if len(replaced) == n_replaced:
            raise Killed
        replaced.append(target)
        return replace(self, target)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Path, "replace", replace_some)
        wave.ingest()
    with pytest.raises(NotReconciled, match="ingest the wave again"):
        require_ingested(wave.paths, WAVE)
    again = wave.ingest()
    assert not again.is_cached
    require_ingested(wave.paths, WAVE)
    afresh = SmallWave(tmp_path / "afresh")
    afresh.web = wave.web
    afresh.write()
    assert again.outputs == afresh.ingest().outputs


def test_a_history_that_was_being_made_is_made_anew(paths: Paths) -> None:
    """Dagster takes an event log that is there for a whole one: a half made one must not have its name."""
    half = paths.home / ".new" / "dagster" / "event_log.db"
    half.parent.mkdir(parents=True)
    sqlite3.connect(half).close()
    half.write_bytes(b"")
    with dagster_instance(paths) as instance:
        instance.add_dynamic_partitions("waves", ["2023"])
        assert instance.get_dynamic_partitions("waves") == ["2023"]
        assert instance.event_log_storage.has_table("event_logs")
    assert not half.parent.parent.exists()


@pytest.mark.parametrize("stamp", [b"", b'{"dbt_pro', b"[]", b'{"dbt_project": "other"}'])
def test_a_warehouse_whose_stamp_is_half_written_is_made_anew(paths: Paths, stamp: bytes) -> None:
    paths.home.mkdir()
    log = paths.warehouse.with_name(paths.warehouse.name + ".wal")
    for each in (paths.warehouse, log):
        each.write_bytes(b"of another time")
    (paths.home / "warehouse.json").write_bytes(stamp)
    assert drop_stale_warehouse(paths)
    assert not paths.warehouse.exists()
    assert not log.exists()
    assert json.loads((paths.home / "warehouse.json").read_bytes())
    assert not drop_stale_warehouse(paths)


def test_a_parse_that_was_killed_does_not_stand(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither under the name of what was parsed before: an older stamp may come to be true again."""
    paths.dbt_target.mkdir(parents=True)
    stamp = paths.dbt_target / "fingerprint"
    stamp.write_text("of the models before")

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(dbt_step, "_invoke", killed)
    with pytest.raises(Killed):
        dbt_step.ensure_parsed(paths)
    assert not stamp.exists()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device", "/data/x"), "No space left on device: /data/x"),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), "database or disk is full"),
        (HotlineError("dbt could not parse: [Errno 30] Read-only file system: 'x'"), "Read-only file system"),
        (FileNotFoundError(2, "No such file or directory", "x"), None),
        (ValueError("no"), None),
    ],
)
def test_a_refusal_of_the_system_is_known_by_whoever_tells_of_it(error: Exception, expected: str | None) -> None:
    assert refusal(error) == expected
    wrapped = RuntimeError("a step failed")
    wrapped.__cause__ = error
    assert refusal(wrapped) == expected


def test_causes_that_go_round_in_a_circle_are_asked_once_each() -> None:
    first, second = RuntimeError("a step failed"), ValueError("because of this")
    first.__cause__, second.__context__ = second, first
    assert refusal(first) is None
