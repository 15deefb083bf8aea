"""Releases and bronze in an S3-compatible store: copied whole, fetched onto a fresh host, held against their hashes."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project.errors import NotReconciled, UsageError
from dagster_project.files import sha256_of
from dagster_project.paths import PROJECT
from dagster_project.release.folder import MANIFEST
from dagster_project.store import mirror
from tests.conftest import Installation, copied, fresh
from tests.integration.conftest import WAVE
from tests.servers import free_port

# A process that pushes and is killed while it sends its n-th object, before the last byte of it.
DOOMED = """
import os, signal, sys
from itertools import count
from dagster_project.lock import run_lock
from dagster_project.paths import paths
from dagster_project.store import mirror
moment, numbers = int(sys.argv[1]), count()
send, write = mirror._send, mirror._write

def end():
    os.kill(os.getpid(), signal.SIGKILL)

def sending(store, source, path):
    if next(numbers) == moment:
        stream = store.filesystem.open_output_stream(path)
        stream.write(source.read_bytes()[:-1])
        stream.flush()
        end()
    send(store, source, path)

mirror._send = sending
mirror._write = lambda *arguments: end() if moment == -1 else write(*arguments)
with run_lock(paths()):
    mirror.push(paths(), mirror.open_store(), sys.argv[2])
"""


@pytest.fixture
def store(s3: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables of an installation with an empty store of its own."""
    name = "".join(each if each.isalnum() else "-" for each in request.node.name)
    return {**s3, "HOTLINE_STORE": f"s3://bucket/{name}"}


@pytest.fixture
def opened(store: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[mirror.Store]:
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    yield mirror.open_store()


@pytest.fixture
def home(published_six: Installation, store: dict[str, str], tmp_path: Path) -> Installation:
    """An installation that has published, and whose store is empty."""
    return Installation(copied(published_six, tmp_path / "home").root, store)


def tree(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def objects(store: mirror.Store) -> dict[str, int]:
    """{name below the store's root: size}."""
    from pyarrow.fs import FileSelector

    found = store.filesystem.get_file_info(FileSelector(store.root, recursive=True, allow_not_found=True))
    return {each.path.removeprefix(f"{store.root}/"): each.size for each in found if each.is_file}


def without_exports(root: Path, source: Installation, **environment: str) -> Installation:
    """A fresh host that has the declarations, as from version control, and nothing else."""
    exports = shutil.ignore_patterns("*.xlsx", "phone_*.csv", "dial_*.csv", "web_*.csv")
    shutil.copytree(source.paths.raw, root / "raw", ignore=exports)
    return Installation(root, environment)


def test_what_is_pushed_is_pulled_byte_for_byte_and_can_be_rendered_verified_and_scored_again(
    home: Installation, opened: mirror.Store, store: dict[str, str], tmp_path: Path
) -> None:
    (pushed,) = home.hotline("store", "push", "--json").json
    assert pushed["release"] == home.current(WAVE)
    assert pushed["has_bronze"]
    assert pushed["n_objects"] == len(objects(opened)) - 1  # and `current`
    (again,) = home.hotline("store", "push", "--json").json
    assert again["n_objects"] == 0

    other = fresh(tmp_path / "other", home.paths.raw, **store)
    (pulled,) = other.hotline("store", "pull", "--json").json
    assert pulled["n_bytes"] == pushed["n_bytes"]
    assert tree(other.paths.releases(WAVE)) == tree(home.paths.releases(WAVE))
    assert other.current(WAVE) == home.current(WAVE)
    assert tree(other.paths.bronze) == tree(home.paths.bronze)
    (stands,) = other.hotline("store", "status", "--json").json
    assert (stands["here"], stands["stored"], stands["missing"]) == (pushed["release"], pushed["release"], [])

    verified = other.hotline("verify")
    assert verified.code == 0, verified.out
    assert (record := json.loads(other.paths.log.read_text().splitlines()[0]))["event"] == "pulled", record
    # scored anew: bronze is not read again, and the release is the same
    done = other.run("--wave", WAVE, "--line", _a_line(home), "--no-report")
    assert "bronze is kept" in done.err
    assert other.current(WAVE) == home.current(WAVE)

    reader = without_exports(tmp_path / "reader", home, **store)
    assert reader.hotline("store", "pull", "--no-bronze").code == 0
    assert not reader.paths.bronze.exists()
    assert reader.hotline("report", "--wave", WAVE).code in (0, 1)  # 1: no Chinese font, so no PDF
    assert reader.paths.site_index(WAVE).is_file()


def _a_line(installation: Installation) -> str:
    import pyarrow.parquet as pq

    return str(pq.read_table(installation.paths.current(WAVE) / "lines.parquet")["line_id"][0])


def test_a_run_copies_its_release_when_readers_have_it(
    six_lines: Path, opened: mirror.Store, store: dict[str, str], tmp_path: Path
) -> None:
    installation = fresh(tmp_path, six_lines, **store)
    made = installation.hotline("release", "--wave", WAVE, "--json")
    assert made.code == 0, made.err
    assert objects(opened) == {}  # nobody was given it
    (release,) = [each["release"] for each in made.json]
    assert installation.hotline("publish", release, "--wave", WAVE, "--no-report").code == 0
    current = mirror.read_current(opened, WAVE)
    assert current is not None
    assert (current.release, bool(current.bronze)) == (release, True)
    # the bucket is gone: the run says so, and what it published here stands
    broken = Installation(tmp_path, {**store, "HOTLINE_STORE": "s3://no-such-bucket"})
    failed = broken.hotline("run", "--wave", WAVE, "--no-report")
    assert failed.code == 1
    assert "NO_SUCH_BUCKET" in failed.err
    assert installation.current(WAVE) == release
    done = installation.run("--wave", WAVE, "--no-report")
    assert "copied to the store" in done.err


@pytest.mark.parametrize("moment", [0, 5, 20, 30, -1])
def test_a_push_that_is_killed_leaves_what_readers_had_and_goes_on_where_it_stopped(
    home: Installation, opened: mirror.Store, moment: int, tmp_path: Path
) -> None:
    """0, 5: in the bronze; 20, 30: in the release; -1: when all is there but `current`."""
    older = mirror.Current("0" * 16, "0" * 64, {})
    pointer = opened.path("releases", WAVE, "current")
    mirror._write(opened, pointer, json.dumps(older.__dict__).encode())
    killed = subprocess.run(
        [sys.executable, "-c", DOOMED, str(moment), WAVE], env=home.variables(), cwd=PROJECT, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert mirror.read_current(opened, WAVE) == older
    n_there = len(objects(opened)) - 1
    (done,) = home.hotline("store", "push", "--json").json
    n_all = len(objects(opened)) - 1
    assert n_there == (n_all if moment == -1 else moment)
    assert done["n_objects"] == n_all - n_there
    other = fresh(tmp_path / "other", home.paths.raw, **home.environment)
    assert other.hotline("store", "pull").code == 0
    assert tree(other.paths.releases(WAVE)) == tree(home.paths.releases(WAVE))
    assert tree(other.paths.bronze) == tree(home.paths.bronze)


def test_no_damaged_object_takes_a_name_here(
    home: Installation, opened: mirror.Store, store: dict[str, str], tmp_path: Path
) -> None:
    paths = home.paths
    mirror.push(paths, opened, WAVE)
    whole = {name: mirror._read(opened, opened.path(name)) for name in objects(opened)}
    release = f"releases/{WAVE}/{home.current(WAVE)}"
    bronze = next(name for name in whole if name.startswith("bronze/"))
    current = f"releases/{WAVE}/current"
    climbing = json.loads(whole[f"{release}/{MANIFEST}"])
    climbing["files"]["../../out"] = climbing["files"]["figures.json"]
    manifest = json.dumps(climbing).encode()
    told = json.loads(whole[current])
    renamed = json.dumps({**told, "release": "0123456789abcdef"}).encode()
    damages: list[dict[str, bytes | None]] = [
        {f"{release}/figures.json": whole[f"{release}/figures.json"].replace(b"1", b"2", 1)},
        {f"{release}/figures.json": None},
        {f"{release}/{MANIFEST}": whole[f"{release}/{MANIFEST}"].replace(b"1", b"2", 1)},
        {f"{release}/{MANIFEST}": manifest, current: json.dumps(
            {**told, "manifest": hashlib.sha256(manifest).hexdigest()}).encode()},
        {bronze: whole[bronze][:-1] + b"?"},
        {bronze: None},
        {current: b"{"},
        {current: json.dumps({**told, "release": "../x"}).encode()},
        {current: json.dumps({**told, "bronze": {"../x": told["manifest"]}}).encode()},
        {current: renamed} | {name.replace(home.current(WAVE), "0123456789abcdef"): content
                              for name, content in whole.items() if name.startswith(release)},
    ]  # fmt: skip
    for number, damage in enumerate(damages):
        for name, content in damage.items():
            if content is None:
                opened.filesystem.delete_file(opened.path(name))
            else:
                mirror._write(opened, opened.path(name), content)
        other = fresh(tmp_path / f"other-{number}", home.paths.raw, **store)
        with pytest.raises(NotReconciled):
            mirror.pull(other.paths, opened, WAVE)
        assert not other.paths.current(WAVE).exists(), damage.keys()
        assert not other.paths.ingest_report(WAVE).exists()
        assert [
            path for path in other.paths.home.rglob("*") if path.name.startswith(".") or path.suffix == ".new"
        ] == []
        for name in damage:
            if name in whole:
                mirror._write(opened, opened.path(name), whole[name])
            else:
                opened.filesystem.delete_file(opened.path(name))
    assert mirror.pull(fresh(tmp_path / "last", home.paths.raw).paths, opened, WAVE).has_bronze


def test_what_was_made_here_is_not_replaced_by_what_another_pushed(
    home: Installation, opened: mirror.Store, store: dict[str, str], tmp_path: Path
) -> None:
    other = Installation(copied(home, tmp_path / "other").root, store)
    web = other.paths.raw / WAVE / f"web_{WAVE}.csv"
    web.write_bytes(web.read_bytes().replace(",丰富,".encode(), ",欠缺,".encode(), 1))
    other.run("--wave", WAVE, "--no-report")
    assert other.current(WAVE) != home.current(WAVE)
    with pytest.raises(UsageError, match="is not replaced"):
        mirror.pull(home.paths, opened, WAVE)
    # going back is seen by readers of the store too; the bronze that stands is not that of the older release
    assert other.hotline("rollback", "--wave", WAVE, "--no-report").code == 0
    current = mirror.read_current(opened, WAVE)
    assert current is not None
    assert (current.release, current.bronze) == (home.current(WAVE), {})
    assert other.hotline("store", "status").code == 0  # the newer one is there too
    third = fresh(tmp_path / "third", home.paths.raw, **store)
    assert not mirror.pull(third.paths, opened, WAVE).has_bronze
    assert third.current(WAVE) == home.current(WAVE)


def test_bronze_of_another_declaration_is_not_taken_for_that_of_the_release(
    home: Installation, opened: mirror.Store, store: dict[str, str], tmp_path: Path
) -> None:
    """The exports are the same; what they are read by, and so the bronze, is not."""
    mirror.push(home.paths, opened, WAVE)
    other = Installation(copied(home, tmp_path / "other").root, store)
    first = other.current(WAVE)
    declared = other.paths.wave_yml(WAVE)
    declared.write_text(declared.read_text(encoding="utf-8") + "\n# another declaration\n", encoding="utf-8")
    other.run("--wave", WAVE, "--no-report")
    assert other.current(WAVE) != first
    assert other.hotline("rollback", "--wave", WAVE, "--no-report").code == 0
    current = mirror.read_current(opened, WAVE)
    assert current is not None
    assert (current.release, current.bronze) == (first, {})


def test_a_push_without_the_bronze_leaves_the_one_that_the_store_has(home: Installation, opened: mirror.Store) -> None:
    assert mirror.push(home.paths, opened, WAVE).has_bronze
    before = mirror.read_current(opened, WAVE)
    home.paths.ingest_report(WAVE).unlink()
    done = mirror.push(home.paths, opened, WAVE)
    assert (done.n_objects, done.has_bronze) == (0, True)
    assert mirror.read_current(opened, WAVE) == before


def test_a_release_that_the_store_lacks_and_a_damaged_current_are_told_and_mended_by_a_push(
    home: Installation, opened: mirror.Store
) -> None:
    told = home.hotline("store", "status")
    assert told.code == 6
    assert f"{home.current(WAVE)}/{MANIFEST}" in told.out
    mirror.push(home.paths, opened, WAVE)
    assert home.hotline("store", "status").code == 0
    mirror._write(opened, opened.path("releases", WAVE, "current"), b"{")
    told = home.hotline("store", "status")
    assert (told.code, "the next push mends it" in told.err) == (6, True), told.err
    pushed = home.hotline("store", "push")
    assert pushed.code == 0, pushed.err
    assert home.hotline("store", "status").code == 0


def test_doctor_tells_of_the_store_what_is_wrong(
    home: Installation, opened: mirror.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project.doctor import diagnose

    def told() -> list[tuple[bool, str]]:
        return [(each.is_ok, each.detail) for each in diagnose(home.paths) if "store" in each.name]

    mirror.push(home.paths, opened, WAVE)
    assert told() == [(True, mirror.SCHEME + opened.root), (True, f"{WAVE} {home.current(WAVE)}")]
    lost = opened.path("releases", WAVE, home.current(WAVE), "figures.json")
    opened.filesystem.delete_file(lost)
    assert told() == [(True, mirror.SCHEME + opened.root), (False, f"缺失 / missing: {lost}")]
    assert home.hotline("store", "status").code == 6
    assert home.hotline("store", "push").code == 0
    assert all(is_ok for is_ok, _ in told())
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert [is_ok for is_ok, _ in told()] == [False, False]
    assert "did not answer" in told()[0][1]
    for wrong in ("", "name:word@bucket/x", "bucket/../x", "bucket/x?endpoint=y"):
        monkeypatch.setenv("HOTLINE_STORE", mirror.SCHEME + wrong)
        assert [is_ok for is_ok, _ in told()] == [False, False], wrong
        assert "s3://BUCKET/PREFIX" in told()[0][1]


def test_without_a_store_nothing_of_it_is_loaded(published_six: Installation) -> None:
    code = (
        "import sys; import dagster_project.cli, dagster_project.definitions, dagster_project.launch; "
        "print(sorted({'dagster_project.store.mirror', 'dagster_postgres', 'psycopg2'} "
        "& set(sys.modules)))"
    )
    environment = {name: value for name, value in published_six.variables().items() if "HOTLINE_STORE" not in name}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
    with pytest.raises(UsageError, match="HOTLINE_STORE"):
        mirror.open_store()
    refused = published_six.hotline("store", "push")
    assert (refused.code, "HOTLINE_STORE" in refused.err) == (2, True)
