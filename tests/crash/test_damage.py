"""Damaged state: what can be made again is, a history is set aside, a release names what repairs it.

And databases that another program has open are waited for, and then named with the program's pid.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import pytest

from dagster_project import chain, database, history_files, runlog
from dagster_project.database import connect
from dagster_project.errors import Busy, Damaged, NotReconciled
from dagster_project.files import read_sealed, write_sealed
from dagster_project.launch import dagster_instance
from dagster_project.paths import Paths
from dagster_project.recovery import clear_state_folder
from dagster_project.release.folder import MANIFEST, current_release, file_hashes, keep, switch, whole_release
from dagster_project.transform.scope import scored_fingerprints
from tests.conftest import Result, copied
from tests.crash.conftest import WAVE, Small, bytes_of

Damage = Callable[[Path], None]


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(min(len(content) - 1, 20), len(content), max(1, len(content) // 40)):
        content[at] ^= 0x55
    path.write_bytes(bytes(content))


def as_text(path: Path) -> None:
    path.write_text("这不是数据 / not data\n" * 50, encoding="utf-8")


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "content").write_text("x", encoding="utf-8")


def removed(path: Path) -> None:
    path.unlink()


DAMAGES: tuple[Damage, ...] = (emptied, truncated, flipped, as_text, as_folder, removed)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(raw=tmp_path / "raw", home=tmp_path / "home")


# --- sealed files ------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [each for each in DAMAGES if each is not removed])
def test_a_sealed_file_is_read_whole_or_not_at_all(
    paths: Paths, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    file = paths.home / "kept.json"
    content = {"figures": [1, 2.5, None], "names": {"甲": "b"}}
    write_sealed(file, content)
    assert read_sealed(file) == content
    damage(file)
    assert read_sealed(file) is None
    assert "is damaged and is made again" in caplog.text


def test_no_single_changed_byte_of_a_sealed_file_is_taken_for_its_content(paths: Paths) -> None:
    file = paths.home / "kept.json"
    write_sealed(file, {"rank_low": 3, "name": "x"})
    content = file.read_bytes()
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 0x01
        file.write_bytes(bytes(changed))
        assert read_sealed(file) in (None, {"rank_low": 3, "name": "x"})  # blanks between values say nothing


def test_a_sealed_file_of_another_form_is_not_called_damaged(paths: Paths, caplog: pytest.LogCaptureFixture) -> None:
    paths.home.mkdir()
    (paths.home / "old.json").write_text('{"figures": []}', encoding="utf-8")
    assert read_sealed(paths.home / "old.json") is None
    assert read_sealed(paths.home / "missing.json") is None
    assert not caplog.text


# --- Dagster's history -------------------------------------------------------------------------


def partitions(paths: Paths) -> list[str]:
    with dagster_instance(paths) as instance:
        return list(instance.get_dynamic_partitions("waves"))


@pytest.fixture
def history(paths: Paths) -> Paths:
    with dagster_instance(paths) as instance:
        instance.add_dynamic_partitions("waves", ["2023"])
    return paths


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["runs.db", "event_log.db", "schedules.db"])
def test_a_damaged_history_is_set_aside_and_a_new_one_begun(
    history: Paths, name: str, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    damage(history.dagster_home / name)
    is_kept = name == "schedules.db"  # the runs do not depend on it
    assert partitions(history) == (["2023"] if is_kept else [])
    assert "is begun again" in caplog.text
    (record,) = chain.read(history.log)
    assert record["event"] == runlog.HISTORY_SET_ASIDE
    assert name in record["databases"]
    if damage is not removed:
        assert record["kept"] in caplog.text
        assert (history.home / record["kept"] / "dagster" / name).exists()
    assert not (history.home / ".new").exists()
    caplog.clear()
    partitions(history)
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_folder_beside_a_database_is_set_aside_with_it(history: Paths, suffix: str) -> None:
    (history.dagster_home / f"event_log.db{suffix}").mkdir()
    assert partitions(history) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_settings_of_dagster_are_written_again(history: Paths, damage: Damage) -> None:
    settings = history.dagster_home / "dagster.yaml"
    before = settings.read_bytes()
    damage(settings)
    assert partitions(history) == ["2023"]
    assert settings.read_bytes() == before


def test_a_file_in_the_place_of_the_history_is_set_aside(paths: Paths) -> None:
    paths.home.mkdir()
    paths.dagster_home.write_text("x", encoding="utf-8")
    assert partitions(paths) == []
    (kept,) = (paths.home / "damaged").iterdir()
    assert (kept / "dagster").read_text(encoding="utf-8") == "x"


# --- things in the wrong places ----------------------------------------------------------------


def test_what_has_the_wrong_kind_is_set_aside_and_the_rest_stays(paths: Paths) -> None:
    for folder in (
        "quality/2023.json",
        "warehouse.duckdb",
        "bronze/lines/wave=2023/part-0.parquet",
        "scope/scope.parquet",
    ):
        (paths.home / folder).mkdir(parents=True)
        (paths.home / folder / "mine").write_text("x", encoding="utf-8")
    (paths.home / "ingest").write_text("x", encoding="utf-8")
    (paths.home / "releases").mkdir()
    (paths.home / "releases" / "README").write_text("a note of the operators", encoding="utf-8")
    (paths.home / "releases" / "2023").write_text("x", encoding="utf-8")
    clear_state_folder(paths, "2023")
    (kept,) = (paths.home / "damaged").iterdir()
    found = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    assert found == {
        "quality/2023.json/mine", "warehouse.duckdb/mine", "bronze/lines/wave=2023/part-0.parquet/mine",
        "scope/scope.parquet/mine", "ingest", "releases/2023",
    }  # fmt: skip
    assert (paths.home / "releases" / "README").exists()
    clear_state_folder(paths, "2023")
    assert len(list((paths.home / "damaged").iterdir())) == 1


def test_unreadable_bronze_of_another_wave_is_removed_with_its_report(
    paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    for wave in ("2022", "2023"):
        part = paths.bronze_part("lines", wave)
        part.parent.mkdir(parents=True)
        part.write_bytes(b"no Parquet")
        write_sealed(paths.ingest_report(wave), {})
    clear_state_folder(paths, "2023")
    assert not paths.bronze_part("lines", "2022").exists()
    assert not paths.ingest_report("2022").exists()
    assert "hotline run --wave 2022" in caplog.text
    assert paths.bronze_part("lines", "2023").exists()  # the ingest of this run reads the exports again


# --- the warehouse -----------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [emptied, truncated, flipped, as_text])
def test_a_damaged_warehouse_is_named_with_its_remedy(paths: Paths, damage: Damage) -> None:
    paths.home.mkdir()
    with duckdb.connect(str(paths.warehouse)) as connection:
        connection.execute("create table score_line_inputs as select '2023' as wave, range as line_id from range(9999)")
    damage(paths.warehouse)
    with pytest.raises(Damaged, match="hotline run"):
        scored_fingerprints(paths, "2023")


# --- files that another program holds ------------------------------------------------------------


@contextmanager
def holding(code: str, *arguments: str) -> Iterator[int]:
    """A process that runs `code` and then waits; its pid."""
    wait = "print('ready', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", f"import sys, sqlite3, duckdb\n{code}\n{wait}", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process.pid
        finally:
            process.communicate("")


DUCKDB_WRITER = "held = duckdb.connect(sys.argv[1]); held.execute('create or replace table t as select 1')"
DUCKDB_READER = "held = duckdb.connect(sys.argv[1], read_only=True)"
SQLITE = "held = sqlite3.connect(sys.argv[1], isolation_level=None); held.execute('begin {mode}')"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (database, history_files):
        monkeypatch.setattr(module, "WAIT_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("code", "read_only"), [(DUCKDB_WRITER, True), (DUCKDB_WRITER, False), (DUCKDB_READER, False)])
def test_a_warehouse_that_another_program_has_open_is_busy_with_its_pid(
    paths: Paths, code: str, read_only: bool, caplog: pytest.LogCaptureFixture
) -> None:
    paths.home.mkdir()
    duckdb.connect(str(paths.warehouse)).close()
    with holding(code, str(paths.warehouse)) as pid, pytest.raises(Busy, match=f"pid {pid} "):
        connect(paths.home, paths.warehouse, read_only=read_only)
    assert f"pid {pid} " in caplog.text
    assert "waiting up to" in caplog.text
    connect(paths.home, paths.warehouse, read_only=read_only).close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("mode", ["immediate", "exclusive"])
@pytest.mark.parametrize("name", ["runs.db", "event_log.db", "schedules.db"])
def test_a_history_that_another_program_locks_is_busy_with_its_pid(history: Paths, name: str, mode: str) -> None:
    held = str(history.dagster_home / name)
    with holding(SQLITE.format(mode=mode), held) as pid, pytest.raises(Busy, match=f"pid {pid} "):
        partitions(history)
    assert partitions(history) == ["2023"]
    assert not (history.home / "damaged").exists()


def test_a_lock_that_is_given_back_in_time_is_waited_for(history: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder lets go when the wait begins."""
    held = sqlite3.connect(history.dagster_home / "runs.db", isolation_level=None, check_same_thread=False)
    with closing(held):
        held.execute("begin immediate")
        monkeypatch.setattr("dagster_project.history_files.time.sleep", lambda _: held.rollback())
        assert partitions(history) == ["2023"]


# --- releases ----------------------------------------------------------------------------------


@pytest.fixture
def release(paths: Paths) -> Path:
    """A release that is current, and the folder `staged` with the same bytes beside it."""
    folder = paths.releases("2023") / "0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "figures.json").write_text("[1]", encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps({"files": file_hashes(folder)}), encoding="utf-8")
    shutil.copytree(folder, folder.with_name(".staged-x"))
    switch(folder)
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["figures.json", MANIFEST])
def test_a_damaged_release_names_what_repairs_it_and_making_it_again_does(
    paths: Paths, release: Path, name: str, damage: Damage
) -> None:
    damage(release / name)
    with pytest.raises(Damaged, match="hotline verify --rebuild --wave 2023"):
        whole_release(paths.current("2023"))
    keep(release.with_name(".staged-x"), release)
    assert whole_release(paths.current("2023")) == release
    (kept,) = (paths.home / "damaged").iterdir()
    assert (kept / "releases" / "2023" / release.name).is_dir()


def test_a_manifest_that_the_log_does_not_know_replaces_nothing(release: Path) -> None:
    flipped(release / "figures.json")
    before = bytes_of(release)
    with pytest.raises(NotReconciled):
        keep(release.with_name(".staged-x"), release, recorded="0" * 64)
    assert bytes_of(release) == before


def test_a_folder_in_the_place_of_current_is_told_and_moved_by_publishing(paths: Paths, release: Path) -> None:
    paths.current("2023").unlink()
    paths.current("2023").mkdir()
    with pytest.raises(Damaged, match="hotline publish"):
        current_release(paths.current("2023"))
    switch(release)
    assert current_release(paths.current("2023")) == release


# --- whole runs --------------------------------------------------------------------------------

# A file below the state folder, and how it is damaged, all at once: one run mends every one of them.
AT_ONCE: dict[str, Damage] = {
    "warehouse.duckdb": truncated,
    "dbt_target/manifest.json": flipped,
    "dbt_target/compiled/hotline/models/scores/score_l1.sql": as_folder,
    "dagster/event_log.db": as_text,
    f"quality/{WAVE}.json": emptied,
    f"fieldwork/{WAVE}.json": as_folder,
    f"ingest/{WAVE}.json": truncated,
    f"bronze/phone_probes/wave={WAVE}/part-0.parquet": flipped,
    f"bronze/baseline_figures/wave={WAVE}/part-0.parquet": as_folder,
    "scope/scope.parquet": as_folder,
}
NEVER = ("意外", "unexpected", "Traceback")


def told(result: Result) -> str:
    return f"{result.code}\n{result.out}\n{result.err}"


def test_one_run_makes_again_all_that_can_be_made_again(undisturbed: Small, tmp_path: Path) -> None:
    installation = copied(undisturbed.installation, tmp_path / "copy")
    home = installation.paths.home
    for name, damage in AT_ONCE.items():
        damage(home / name)
    for each in (home / "rank_sets" / WAVE).iterdir():
        as_text(each)
    released = installation.paths.current(WAVE).resolve()
    flipped(released / "rankings.parquet")
    expected = undisturbed.undisturbed[undisturbed.standing()]
    for command in (["status"], ["report"], ["verify"]):
        result = installation.hotline(*command)
        assert result.code in (0, 6), told(result)
        assert not any(word in told(result) for word in NEVER), told(result)
    result = installation.hotline("run", "--no-report")
    assert result.code == 0, told(result)
    assert bytes_of(installation.paths.current(WAVE)) == expected
    for words in ("warehouse.duckdb", "dbt 的解析结果已损坏", "Dagster 的运行历史已损坏", "现已修复"):
        assert words in result.err, told(result)


@pytest.mark.soak
def test_every_file_of_the_state_folder_in_every_way(undisturbed: Small, tmp_path: Path) -> None:
    """Each file damaged alone: the next command succeeds, or explains itself, and what it names helps."""
    home = undisturbed.installation.paths.home
    expected = undisturbed.undisturbed[undisturbed.standing()]
    left_out = ("dbt_target/run", "reports", "run.lock", "log.")
    names = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    for name in (each for each in sorted(names) if not each.startswith(left_out)):
        for damage in DAMAGES:
            copy = copied(undisturbed.installation, tmp_path / "copy")
            damage(copy.paths.home / name)
            for command in (["status"], ["verify"], ["run", "--no-report"]):
                result = copy.hotline(*command)
                assert result.code in (0, 6), (name, damage.__name__, told(result))
                assert not any(word in told(result) for word in NEVER), (name, damage.__name__, told(result))
            assert result.code == 0, (name, damage.__name__, told(result))
            assert bytes_of(copy.paths.current(WAVE)) == expected, (name, damage.__name__)
            shutil.rmtree(tmp_path / "copy")


def test_a_run_beside_a_program_that_holds_the_warehouse_is_busy_and_works_afterwards(
    undisturbed: Small, tmp_path: Path
) -> None:
    installation = copied(undisturbed.installation, tmp_path / "copy")
    with holding(DUCKDB_READER, str(installation.paths.warehouse)) as pid:
        result = installation.hotline("run", "--no-report")
    assert result.code == Busy.exit_code, told(result)
    assert f"pid {pid} " in result.err
    assert not any(word in told(result) for word in NEVER), told(result)
    installation.run("--no-report")
    assert bytes_of(installation.paths.current(WAVE)) == undisturbed.undisturbed[undisturbed.standing()]


def test_verify_repairs_a_damaged_release_and_then_proves_it(undisturbed: Small, tmp_path: Path) -> None:
    installation = copied(undisturbed.installation, tmp_path / "copy")
    released = installation.paths.current(WAVE).resolve()
    expected = bytes_of(released)
    as_text(released / MANIFEST)
    assert installation.hotline("verify").code == NotReconciled.exit_code
    result = installation.hotline("verify", "--rebuild", "--wave", WAVE)
    assert "现已修复" in result.err, told(result)
    assert bytes_of(released) == expected
    assert [each["event"] for each in chain.read(installation.paths.log)][-1] == runlog.REPAIRED


def test_a_lock_on_the_history_in_the_middle_of_a_run_is_busy(history: Paths) -> None:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    wrapped = RuntimeError("a step failed")
    wrapped.__cause__ = error
    found = history_files.busy_history(history, wrapped)
    assert found is not None
    assert found.exit_code == Busy.exit_code
    assert history_files.busy_history(history, RuntimeError("something else")) is None


def test_a_history_that_is_written_while_it_is_checked_is_not_called_damaged(history: Paths) -> None:
    """Another program commits again and again; the check waits for its turn and finds every database whole."""
    code = (
        "import threading, time\n"
        "def commit():\n"
        "    held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n"
        "    held.execute('create table if not exists busy (n)')\n"
        "    while True:\n"
        "        held.execute('begin immediate')\n"
        "        held.execute('insert into busy values (1)')\n"
        "        held.execute('commit')\n"
        "        time.sleep(0.02)\n"
        "threading.Thread(target=commit, daemon=True).start()"
    )
    with holding(code, str(history.dagster_home / "runs.db")):
        for _ in range(5):
            assert history_files.unusable_databases(history) == []
