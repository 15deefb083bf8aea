"""Who reads `current` while it is replaced has the whole of one release, always."""

import json
import subprocess
import sys
from pathlib import Path

from dagster_project.files import sha256_of
from dagster_project.release.folder import MANIFEST, keep, staging_folder, switch

N_PUBLICATIONS = 100
READER = """
import hashlib, json, sys
from pathlib import Path

current, n_read, seen = Path(sys.argv[1]), 0, set()
print("reading", flush=True)
while not Path(sys.argv[2]).exists():
    folder = current.resolve(strict=True)  # which release it is is asked once; then all is read
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for name, sha256 in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256, (folder, name)
    json.loads((current / "manifest.json").read_bytes())  # and so is who asks anew for every file never without one
    n_read += 1
    seen.add(manifest["release"])
print(json.dumps([n_read, len(seen)]))
"""


def fill(folder: Path, release: str) -> None:
    (folder / "method").mkdir()
    for name in ("scores.csv", "method/rules.csv"):
        (folder / name).write_text(f"{release} {name}\n" * 2000, encoding="utf-8")
    hashes = {name: sha256_of(folder / name) for name in ("scores.csv", "method/rules.csv")}
    (folder / MANIFEST).write_text(json.dumps({"release": release, "files": hashes}), encoding="utf-8")


def test_readers_see_a_whole_release_during_a_hundred_publications(tmp_path: Path) -> None:
    releases, done = tmp_path / "releases", tmp_path / "done"

    def publish(release: str) -> None:
        with staging_folder(releases, release) as staged:
            fill(staged, release)
            keep(staged, releases / release)
        switch(releases / release)

    publish("release-0")
    command = [sys.executable, "-c", READER, str(releases / "current"), str(done)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
        for number in range(N_PUBLICATIONS):
            # new ones, and in turn one that is there already
            publish(f"release-{number if number % 2 else 0}")
    finally:
        done.touch()
    for reader in readers:
        out, errors = reader.communicate(timeout=60)
        assert reader.returncode == 0, errors
        n_read, n_releases = json.loads(out)
        assert n_read > 10
        assert n_releases > 1
