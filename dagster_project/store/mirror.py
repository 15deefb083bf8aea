"""Push what is published to the store, pull it onto another host, and tell what stands where.

In the store, below HOTLINE_STORE:

    releases/<wave>/current              which release, and the hashes of its manifest and of its bronze (JSON)
    releases/<wave>/<release>/…          the files of a release, as on disk
    bronze/<wave>/<sha256>               the bronze files of the wave and the report of its ingest

An object of S3 appears whole or not at all, and `current` is the last to be written: whenever a push
is killed, readers see the release of before, and the same command goes on where it stopped. A name
says what bytes an object has (a release's id is a hash of all that it is made from), so what is there in its
length is not sent again; what this machine's disk broke off is there in another. Nothing is ever removed.

The S3 client is pyarrow's, which the pipeline has anyway.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_project import runlog
from dagster_project.errors import HotlineError, NotReconciled, UsageError
from dagster_project.files import flush_folder, sha256_of
from dagster_project.ingest.bronze import find_report
from dagster_project.ingest.fingerprint import surroundings_fingerprint
from dagster_project.ingest.wave import list_waves, load_wave
from dagster_project.paths import WAVE_ID, Paths, store_endpoint, store_url
from dagster_project.release.folder import (
    MANIFEST,
    current_id,
    current_release,
    is_whole,
    replace_damaged,
    require_whole,
    settle,
    staging_folder,
)
from dagster_project.release.freeze import identify
from dagster_project.release.identity import declaration_files
from dagster_project.release.publish import publish
from dagster_project.release.verify import release_faults

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, S3FileSystem

SCHEME = "s3://"
PLACE = re.compile(r"(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/[0-9A-Za-z_-][0-9A-Za-z._-]*)*)/?")
SHA256 = re.compile(r"[0-9a-f]{64}")
RELEASE_ID = re.compile(r"[0-9a-f]{16}")
FILE = re.compile(r"[0-9A-Za-z_][0-9A-Za-z._-]*(/[0-9A-Za-z_][0-9A-Za-z._-]*)*")
INGEST_REPORT = "report"  # stands for the report of the ingest among the names of bronze tables
CHUNK = 1 << 20
CONNECT_SECONDS, REQUEST_SECONDS, ATTEMPTS = 5, 60, 3

logger = logging.getLogger("hotline")


@dataclass(frozen=True)
class Store:
    """A bucket, the folder in it, and the client."""

    filesystem: "S3FileSystem"
    root: str

    def path(self, *names: str) -> str:
        return "/".join([self.root, *names])


@dataclass(frozen=True)
class Current:
    """What `current` of a wave says: the release, the sha256 of its manifest and of each bronze table.

    `bronze` is empty where the bronze that stood was not that of the release: readers have the release alone.
    """

    release: str
    manifest: str
    bronze: dict[str, str]


@dataclass(frozen=True)
class Done:
    """One push or pull: how many objects were carried, and how many bytes they have."""

    wave: str
    release: str
    n_objects: int
    n_bytes: int
    has_bronze: bool

    def told(self) -> str:
        bronze = "" if self.has_bronze else "(无 bronze / without bronze)"
        return (
            f"{self.wave}  {self.release}{bronze}:传输 {self.n_objects} 个对象 / objects carried: {self.n_objects}, "
            f"{self.n_bytes / 2**20:.1f} MiB"
        )


@dataclass(frozen=True)
class Standing:
    """The current release of a wave here and in the store; `missing`: objects that the store lacks, of both."""

    wave: str
    here: str | None
    stored: str | None
    has_bronze: bool
    missing: list[str]

    def told(self) -> str:
        none = "无 / none"
        state = "一致 / same" if self.here == self.stored else "不同 / different"
        bronze = "" if self.has_bronze or self.stored is None else " (无 bronze / without bronze)"
        lines = [f"{self.wave}  本机 / here: {self.here or none}  存储 / store: {self.stored or none}{bronze}  {state}"]
        return "\n".join([*lines, *(f"  缺失 / missing: {each}" for each in self.missing)])


# --- the store ---------------------------------------------------------------------------------


def open_store() -> Store:
    """The store that HOTLINE_STORE names. Contacts nobody. Raises UsageError where it names none."""
    url = store_url() or ""
    named = PLACE.fullmatch(url.removeprefix(SCHEME)) if url.startswith(SCHEME) else None
    if named is None:
        raise UsageError(
            "HOTLINE_STORE 应形如下式,凭据与端点用 AWS_* 变量 / HOTLINE_STORE must look like this, credentials "
            "and endpoint in the AWS_* variables: s3://BUCKET/PREFIX"
        )
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    scheme, _, address = (store_endpoint() or "https://").rpartition("://")
    filesystem = S3FileSystem(
        scheme=scheme or "https",
        endpoint_override=address.rstrip("/") or None,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # small objects in one request
    )
    return Store(filesystem, named["bucket"] + named["prefix"])


def require_usable(store: Store) -> str:
    """Write, read and remove an object, and return where. Raises HotlineError with what the store says."""
    path, content = store.path(".hotline-doctor"), b"hotline"
    with _told():
        _write(store, path, content)
        found = _read(store, path)
        store.filesystem.delete_file(path)
    if found != content:
        raise HotlineError(f"写入与读出不同 / what is read is not what was written: {path}")
    return SCHEME + store.root


def stored_waves(store: Store) -> list[str]:
    """Waves of which the store has a release, sorted."""
    from pyarrow.fs import FileSelector, FileType

    with _told():
        found = store.filesystem.get_file_info(FileSelector(store.path("releases"), allow_not_found=True))
    waves = [each.base_name for each in found if each.type == FileType.Directory and WAVE_ID.fullmatch(each.base_name)]
    return sorted(wave for wave in waves if read_current(store, wave) is not None)


def read_current(store: Store, wave: str) -> Current | None:
    """What the store says is current; None where it has none of the wave. Raises NotReconciled where it is damaged."""
    path = store.path("releases", wave, "current")
    try:
        with _told():
            content = _read(store, path)
    except FileNotFoundError:
        return None
    try:
        stated = json.loads(content)
        current = Current(stated["release"], stated["manifest"], dict(stated["bronze"]))
        hashes = [current.manifest, *current.bronze.values()]
        if not RELEASE_ID.fullmatch(current.release) or not all(SHA256.fullmatch(each) for each in hashes):
            raise ValueError("not a release's id, or not a hash")
    except (ValueError, KeyError, TypeError) as error:
        raise NotReconciled(
            f"{path}: 不能读取,重新 push 即可修复 / can not be read; the next push mends it: {error}"
        ) from error
    return current


def standing(paths: Paths, store: Store, wave: str) -> Standing:
    """What stands here and in the store, and which objects the store lacks. Raises NotReconciled.

    An older or another release there is no fault, where the one that stands here is there too.
    """
    folder = current_release(paths.current(wave))
    current = read_current(store, wave)
    missing = _missing(store, wave, current) if current else []
    if folder and (current is None or folder.name != current.release):
        # the manifest is the last that a push sends of a release
        missing += _not_there(store, [store.path("releases", wave, folder.name, MANIFEST)])
    return Standing(
        wave,
        folder.name if folder else None,
        current.release if current else None,
        bool(current and current.bronze),
        missing,
    )


def _missing(store: Store, wave: str, current: Current) -> list[str]:
    manifest = store.path("releases", wave, current.release, MANIFEST)
    try:
        with _told():
            content = _read(store, manifest)
    except FileNotFoundError:
        return [manifest]
    names = _files(content, current.manifest, manifest)
    paths = [store.path("releases", wave, current.release, name) for name in names]
    paths += [store.path("bronze", wave, sha256) for sha256 in sorted(set(current.bronze.values()))]
    return _not_there(store, paths)


def _not_there(store: Store, paths: list[str]) -> list[str]:
    return [path for path, info in _infos(store, paths).items() if not info.is_file]


# --- push --------------------------------------------------------------------------------------


def published_waves(paths: Paths) -> list[str]:
    """Waves that have a current release here, in the order of their names."""
    return [wave for wave in list_waves(paths) if paths.current(wave).is_symlink()]


def push(paths: Paths, store: Store, wave: str) -> Done:
    """Copy the wave's current release and its bronze, and then let the store's `current` name it.

    To be called with the installation held. Raises UsageError where nothing is published, NotReconciled where
    a file of the release was changed, HotlineError where the store can not be reached or refuses.
    """
    folder = current_release(paths.current(wave))
    if folder is None:
        raise UsageError(f"{wave}:尚未发布 / nothing is published yet")
    require_whole(folder)
    bronze = _bronze_of(paths, wave, folder)
    objects = {store.path("bronze", wave, sha256): path for path, sha256 in bronze.values()}
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    # the manifest last: a folder that has it is whole
    for path in sorted(files, key=lambda path: path.name == MANIFEST):
        objects[store.path("releases", wave, folder.name, path.relative_to(folder).as_posix())] = path
    current = Current(folder.name, sha256_of(folder / MANIFEST), {name: sha for name, (_, sha) in bronze.items()})
    sent = []
    with _told():
        for target, info in _infos(store, [*objects]).items():
            if not info.is_file or info.size != objects[target].stat().st_size:
                _send(store, objects[target], target)
                sent.append(objects[target].stat().st_size)
        there = _readable_current(store, wave)
        # bronze that no longer stands here is still that of the release
        has_more = there is not None and not bronze and replace(there, bronze={}) == current
        if there != current and not has_more:
            content = json.dumps(asdict(current), indent=1, sort_keys=True).encode()
            _write(store, store.path("releases", wave, "current"), content)
    logger.info("已复制到存储 / copied to the store: %s/%s", wave, folder.name)
    return Done(wave, folder.name, len(sent), sum(sent), bool(bronze) or has_more)


def _readable_current(store: Store, wave: str) -> Current | None:
    """What is current there; None also where it is damaged: a push mends it."""
    try:
        return read_current(store, wave)
    except NotReconciled as damaged:
        logger.warning("%s", damaged)
        return None


def _bronze_of(paths: Paths, wave: str, folder: Path) -> dict[str, tuple[Path, str]]:
    """{table, or `report`: (file, sha256)} of the bronze that stands; empty where it is not the release's.

    It is where a release that is made of it now would be this one: the same exports, ledger, declarations,
    code and baseline (and secret, where a profile keys personal data).
    """
    account = paths.ingest_report(wave)
    report = find_report(paths, wave)
    if report is None:
        return {}
    declared = load_wave(paths, wave)
    baseline = current_release(paths.current(declared.baseline)) if declared.baseline else None
    made_now = identify(declared, report, declaration_files(paths, declared), baseline).release
    if made_now != folder.name or report.surroundings != surroundings_fingerprint(paths, declared):
        return {}
    found = {table: (path, sha256_of(path)) for table, path in paths.bronze_parts(wave).items()}
    differing = [table for table, sha256 in report.outputs.items() if found.get(table, (None, None))[1] != sha256]
    if differing:
        raise NotReconciled(
            f"{wave}:bronze 与采集记录不符,请重新运行 / bronze is not what its ingest wrote; run the wave again: "
            f"{', '.join(differing)}"
        )
    return found | {INGEST_REPORT: (account, sha256_of(account))}


# --- pull --------------------------------------------------------------------------------------


def pull(paths: Paths, store: Store, wave: str, bronze: bool = True) -> Done:
    """Fetch the store's current release of a wave, and the bronze that it was made from; give readers the release.

    Every byte is held against the release's hashes before anything takes its name. To be called with the
    installation held. Raises UsageError where the store has no release of the wave, where this installation has
    one of its own that is another, or has no such wave; NotReconciled where an object is not what it must be.
    """
    current = read_current(store, wave)
    if current is None:
        raise UsageError(f"存储中没有 {wave} 的发布 / the store has no release of {wave}")
    _require_not_ahead(paths, wave, current)
    carried = _pull_release(paths, store, wave, current)
    if runlog.recorded_manifest(runlog.read(paths), current.release) != current.manifest:
        manifest = json.loads((paths.releases(wave) / current.release / MANIFEST).read_bytes())
        runlog.record(
            paths,
            runlog.PULLED,
            wave=wave,
            release=current.release,
            manifest=current.manifest,
            ledger_head=manifest["ledger_head"],
        )
    if bronze and current.bronze:
        carried += _pull_bronze(paths, store, wave, current)
    publish(paths, wave, current.release)
    return Done(wave, current.release, len(carried), sum(carried), bronze and bool(current.bronze))


def _require_not_ahead(paths: Paths, wave: str, current: Current) -> None:
    """What was made here is the truth of it: the store does not take its place."""
    standing_here = current_id(paths.current(wave))
    if standing_here is None or standing_here == current.release:
        return
    made_here = {each["release"] for each in runlog.read(paths) if each["event"] == runlog.RELEASED}
    if standing_here in made_here:
        raise UsageError(
            f"{wave}:当前发布 {standing_here} 由本安装生成,不以存储中的 {current.release} 取代 / the current release "
            f"was made here and is not replaced by the store's; to copy it: hotline store push --wave {wave}"
        )


def _pull_release(paths: Paths, store: Store, wave: str, current: Current) -> list[int]:
    """Sizes of the objects that were fetched; none where the release is here already."""
    folder = paths.releases(wave) / current.release
    if is_whole(folder):
        if sha256_of(folder / MANIFEST) != current.manifest:
            raise NotReconciled(f"发布 {current.release} 与存储中的不同 / release differs from the one in the store")
        return []
    root = ("releases", wave, current.release)
    with staging_folder(folder.parent, current.release) as staging:
        staged = staging / current.release
        manifest = store.path(*root, MANIFEST)
        sizes = [_fetch(store, manifest, staged / MANIFEST, current.manifest)]
        files = _files((staged / MANIFEST).read_bytes(), current.manifest, manifest)
        sizes += [_fetch(store, store.path(*root, name), staged / name, sha256) for name, sha256 in files.items()]
        if faults := [*release_faults(staged, current.manifest)]:
            raise NotReconciled("\n".join(faults))
        if folder.exists():
            replace_damaged(staged, folder)
        else:
            settle(staged, folder)
    return sizes


def _pull_bronze(paths: Paths, store: Store, wave: str, current: Current) -> list[int]:
    """Sizes of the files that were fetched. As with an ingest, bronze is whole where its report stands."""
    account = paths.ingest_report(wave)
    try:
        targets = {
            account if name == INGEST_REPORT else paths.bronze_part(name, wave): sha256
            for name, sha256 in current.bronze.items()
        }
    except ValueError as error:
        raise NotReconciled(f"{store.path('releases', wave, 'current')}: {error}") from error
    wanted = {path for path, sha256 in targets.items() if not path.is_file() or sha256_of(path) != sha256}
    if not wanted:
        return []
    staged = {path: path.with_name(f".{path.name}.new") for path in sorted(wanted | {account})}
    try:
        sizes = [
            _fetch(store, store.path("bronze", wave, targets[path]), temporary, targets[path])
            for path, temporary in staged.items()
        ]
        account.unlink(missing_ok=True)
        for path in sorted(staged, key=lambda path: path == account):  # the report last
            staged[path].replace(path)
            flush_folder(path.parent)
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)
    return sizes


# --- objects -----------------------------------------------------------------------------------


@contextmanager
def _told() -> Iterator[None]:
    """What the store says becomes a failure that is explained; an object that is not there stays FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if "AWS Error" not in str(error):  # this machine's disk
            raise
        raise HotlineError(f"存储未应答或拒绝 / the store did not answer, or refused: {error}") from error


def _files(content: bytes, sha256: str, path: str) -> dict[str, str]:
    """{name: sha256} of a manifest's files. Raises NotReconciled where it is not the one that `current` names."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise NotReconciled(f"{path}: 与 current 所述的不同 / is not the one that `current` states")
    files: dict[str, str] = json.loads(content)["files"]
    for name in files:
        if not FILE.fullmatch(name):
            raise NotReconciled(f"{path}: 不能作为文件名 / can not be the name of a file: {name!r}")
    return files


def _infos(store: Store, paths: list[str]) -> dict[str, "FileInfo"]:
    with _told():
        return dict(zip(paths, store.filesystem.get_file_info(paths), strict=True))


def _read(store: Store, path: str) -> bytes:
    with store.filesystem.open_input_stream(path) as stream:
        content: bytes = stream.read()
    return content


def _write(store: Store, path: str, content: bytes) -> None:
    with store.filesystem.open_output_stream(path) as stream:
        stream.write(content)


def _send(store: Store, source: Path, path: str) -> None:
    with source.open("rb") as file, store.filesystem.open_output_stream(path) as stream:
        shutil.copyfileobj(file, stream, CHUNK)


def _fetch(store: Store, path: str, target: Path, sha256: str) -> int:
    """Size of the object, which is now the file `target`. Raises NotReconciled where it is missing or another."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    try:
        with _told(), store.filesystem.open_input_stream(path) as stream, target.open("wb") as file:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError as error:
        raise NotReconciled(f"{path}: 存储中缺失 / is missing in the store") from error
    if digest.hexdigest() != sha256:
        raise NotReconciled(
            f"{path}: 内容与其哈希不符;删除该对象后重新 push / its bytes are not those of its hash; remove the "
            "object and push again"
        )
    return target.stat().st_size
