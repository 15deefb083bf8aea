"""A frozen wave: `raw/<wave>/SHA256SUMS` and the log hold what was delivered, and no export may differ from it.

Belongs here: that file (as sha256sum writes it; `sha256sum -c SHA256SUMS` proves it too), its record in
the log, and what they forbid. Does not belong here: how a value of a frozen wave is changed
(`corrections/`). Deleting or changing the file does not unfreeze the wave.
"""

import logging
import re
from collections.abc import Mapping

from dagster_project import runlog
from dagster_project.errors import InputRejected, NotReconciled
from dagster_project.files import replace_files
from dagster_project.ingest.faults import reject, shown
from dagster_project.paths import Paths

LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[^/\\\x00-\x1f]+)")
logger = logging.getLogger("hotline")
WAY_OUT = (
    "本期已冻结,请恢复原文件,需更改的值请用 hotline correct 更正 / the wave is frozen: put the delivered file back, "
    "and correct values with hotline correct"
)


def freeze_exports(paths: Paths, wave: str, delivered: Mapping[str, str]) -> bool:
    """Write the hashes of the exports ({name: sha256}) and record them in the log; False where both exist already.

    Where the log records them already, the file is written again from the log if it is not as recorded.
    Raises InputRejected where other exports were frozen: what is frozen stays frozen.
    """
    recorded = runlog.frozen_files(runlog.read(paths), wave)
    if recorded is not None:
        _require_equal(wave, recorded, delivered)
        if _stated(paths, wave) == recorded:
            return False
        _write(paths, wave, recorded)
        logger.warning("%s:SHA256SUMS 已由日志恢复 / SHA256SUMS was restored from the log", wave)
        return True
    if paths.checksums(wave).exists():
        require_frozen(paths, wave, delivered)
        record_frozen(paths, wave)
        return False
    odd = [name for name in sorted(delivered) if not LINE.fullmatch(_line(name, delivered[name]))]
    if odd:
        reject(wave, [f"{shown(name)}: 文件名含有特殊字符,请改名 / odd characters; rename it" for name in odd])
    _write(paths, wave, delivered)
    record_frozen(paths, wave)
    return True


def is_frozen(paths: Paths, wave: str) -> bool:
    """Returns whether the wave is frozen, by the log or by its file of checksums."""
    return paths.checksums(wave).exists() or runlog.frozen_files(runlog.read(paths), wave) is not None


def record_frozen(paths: Paths, wave: str) -> None:
    """Record what SHA256SUMS states, unless the log has it: from then on the file cannot be replaced unnoticed."""
    stated = _frozen(paths, wave)
    if stated is not None and runlog.frozen_files(runlog.read(paths), wave) is None:
        runlog.record(paths, runlog.FROZEN, wave=wave, files=stated)


def require_frozen(paths: Paths, wave: str, delivered: Mapping[str, str]) -> None:
    """Raise InputRejected with every export of a frozen wave that differs, is missing or is new.

    What was frozen is what the log recorded. Raises NotReconciled where SHA256SUMS is missing or states
    anything else.
    """
    # the log first: `hotline freeze` writes the file before the record
    recorded = runlog.frozen_files(runlog.read(paths), wave)
    frozen = _frozen(paths, wave) if recorded is None else recorded
    if frozen is None:
        return
    _require_equal(wave, frozen, delivered)
    if recorded is not None and _frozen(paths, wave) != recorded:
        name = paths.checksums(wave).name
        state = "被改动 / was changed" if paths.checksums(wave).exists() else "缺失 / is missing"
        raise NotReconciled(
            f"{wave}/{name} {state}: 日志记录本期已冻结,请恢复原文件,或由日志重新写出 / the log recorded that this "
            f"wave is frozen; put the file back, or write it again from the log: hotline freeze --wave {wave}"
        )


def _require_equal(wave: str, frozen: Mapping[str, str], delivered: Mapping[str, str]) -> None:
    faults = []
    for name in sorted(frozen.keys() | delivered.keys()):
        expected, found = frozen.get(name), delivered.get(name)
        if expected != found:
            faults.append(
                f"{wave}/{shown(name)}: 应为 / expected {expected or '无此文件 / no such file'}, 现为 / found "
                f"{found or '无此文件 / no such file'}; {WAY_OUT}"
            )
    if faults:
        reject(wave, faults)


def _line(name: str, sha256: str) -> str:
    return f"{sha256}  {name}"


def _write(paths: Paths, wave: str, files: Mapping[str, str]) -> None:
    text = "".join(f"{_line(name, sha256)}\n" for name, sha256 in sorted(files.items()))
    replace_files({paths.checksums(wave): text.encode()})


def _stated(paths: Paths, wave: str) -> dict[str, str] | None:
    """What SHA256SUMS states; None where it does not exist or is not as sha256sum writes it."""
    try:
        return _frozen(paths, wave)
    except InputRejected:
        return None


def _frozen(paths: Paths, wave: str) -> dict[str, str] | None:
    """{name: sha256} of a frozen wave; None where it is not."""
    path = paths.checksums(wave)
    if not path.exists():
        return None
    frozen: dict[str, str] = {}
    content = path.read_bytes() if path.is_file() else b""  # of a folder in its place nothing can be read
    for number, line in enumerate(content.split(b"\n")[:-1] or [b""], start=1):
        match = LINE.fullmatch(line.decode("utf-8", errors="replace"))
        if match is None or match["name"] in frozen:
            raise InputRejected(
                f"{wave}/{path.name} 第 {number} 行不是 sha256sum 的格式,请从备份恢复,或由日志重新写出 / line "
                f"{number} is not as sha256sum writes it; restore the file from a copy, or write it again from the "
                f"log: hotline freeze --wave {wave}"
            )
        frozen[match["name"]] = match["sha256"]
    return frozen
