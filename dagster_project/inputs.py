"""The inputs of a wave as Dagster observes them: one data version per input, recorded where it has changed.

Belongs here: the version of every input, and what is new in it. Does not belong here: whether an input is
correct (`ingest/`), and which lines a run recomputes (`transform/scope.py`).
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import dagster as dg

from dagster_project.claims.narrative import sources
from dagster_project.errors import HotlineError
from dagster_project.files import sha256_of
from dagster_project.ingest.personal import masked_message
from dagster_project.ingest.wave import Wave, export_files, load_wave
from dagster_project.paths import Paths
from dagster_project.release.folder import current_id
from dagster_project.team import own_mark

VERSION_TAG = "dagster/data_version"  # the tag by which Dagster compares two events of an asset
SHARED_RECORDS = 100  # where others share the history: how far back this installation's own record is looked for
NOTHING = "none"  # the version of an input that does not exist


def input_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["raw", name])


def new_observations(
    instance: dg.DagsterInstance, paths: Paths, wave_ids: Iterable[str], logger: logging.Logger
) -> Iterator[dg.AssetObservation]:
    """One observation per wave and input whose version differs from the last recorded one.

    Inputs of a wave that cannot be read are left out, with a warning: a run of it reports the fault.
    """
    for wave_id in wave_ids:
        for name, version in _versions(paths, wave_id, logger).items():
            key = input_key(name)
            if _last_version(instance, key, wave_id) != version:
                yield dg.AssetObservation(key, partition=wave_id, tags={VERSION_TAG: version, **own_mark()})


def record_inputs(instance: dg.DagsterInstance, paths: Paths, wave_id: str, logger: logging.Logger) -> None:
    """Record the versions that a run of the wave begins with: what it makes is up to date with these."""
    for observation in new_observations(instance, paths, [wave_id], logger):
        instance.report_runless_asset_event(observation)


def _last_version(instance: dg.DagsterInstance, key: dg.AssetKey, wave_id: str) -> str | None:
    """The version that this installation recorded last: others may share the history, with exports of their own."""
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[wave_id])
    for record in instance.fetch_observations(wanted, limit=SHARED_RECORDS if own_mark() else 1).records:
        observation = record.asset_observation
        if observation is not None and own_mark().items() <= observation.tags.items():
            return observation.data_version
    return None


def _versions(paths: Paths, wave_id: str, logger: logging.Logger) -> dict[str, str]:
    """{input: its version}: of all inputs, or of those before the first that cannot be read."""
    versions = {}
    try:
        versions["wave"] = _digest(paths, [paths.wave_yml(wave_id)])
        wave = load_wave(paths, wave_id)
        for name, files in _files(paths, wave).items():
            versions[name] = _digest(paths, files)
        versions["baseline"] = _baseline(paths, wave)
    except (HotlineError, OSError) as error:
        logger.warning("%s:输入无法读取 / its input cannot be read: %s", wave_id, masked_message(str(error)))
    return versions


def _files(paths: Paths, wave: Wave) -> dict[str, list[Path]]:
    texts = sources(paths, wave.id)
    return {
        "exports": export_files(paths, wave),
        "corrections": [path for path in [paths.ledger(wave.id)] if path.exists()],
        "profiles": [paths.profile(name) for name in sorted({export.profile for export in wave.exports})],
        "method": sorted(paths.method(wave.method).glob("*.csv")),
        "frame": [paths.frame(wave.frame)],
        "narratives": [path for path in (texts.template, texts.recommendations) if path is not None],
    }


def _baseline(paths: Paths, wave: Wave) -> str:
    release = current_id(paths.current(wave.baseline)) if wave.baseline else None
    return release or NOTHING


def _digest(paths: Paths, files: Iterable[Path]) -> str:
    """One hash over names and contents, independent of where the installation lies."""
    named = [(path.relative_to(paths.raw).as_posix() if path.is_relative_to(paths.raw) else path.name, path)
             for path in files]  # fmt: skip
    contents = [[name, _sha256(path)] for name, path in named]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest() if contents else NOTHING


def _sha256(path: Path) -> str:
    """The hash of a file's content, computed once for each state of the file."""
    stat = path.stat()
    return _sha256_of_state(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=4096)
def _sha256_of_state(path: Path, *_state: int) -> str:
    return sha256_of(path)
