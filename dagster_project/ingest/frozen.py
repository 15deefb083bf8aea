"""A frozen wave: `raw/<wave>/SHA256SUMS` holds what was delivered, and no export may differ from it.

Belongs here: that file (as sha256sum writes it; `sha256sum -c SHA256SUMS` proves it too) and what it
forbids. Does not belong here: how a value of a frozen wave is changed (`corrections/`).
"""

import re
from collections.abc import Mapping

from dagster_project.errors import InputRejected
from dagster_project.files import replace_files
from dagster_project.ingest.faults import reject, shown
from dagster_project.paths import Paths

LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[^/\\\x00-\x1f]+)")
WAY_OUT = (
    "本期已冻结,请恢复原文件,需更改的值请用 hotline correct 更正 / the wave is frozen: put the delivered file back, "
    "and correct values with hotline correct"
)


def freeze_exports(paths: Paths, wave: str, delivered: Mapping[str, str]) -> bool:
    """Write the hashes of the exports ({name: sha256}); False where they stand there already.

    Raises InputRejected where other hashes stand there: what is frozen stays so.
    """
    if paths.checksums(wave).exists():
        require_frozen(paths, wave, delivered)
        return False
    lines = [f"{sha256}  {name}" for name, sha256 in sorted(delivered.items())]
    odd = [line for line in lines if not LINE.fullmatch(line)]
    if odd:
        reject(wave, [f"{shown(line[66:])}: 文件名含有特殊字符,请改名 / odd characters; rename it" for line in odd])
    replace_files({paths.checksums(wave): "".join(f"{line}\n" for line in lines).encode()})
    return True


def require_frozen(paths: Paths, wave: str, delivered: Mapping[str, str]) -> None:
    """Raise InputRejected with every export of a frozen wave that differs, is missing or is new."""
    frozen = _frozen(paths, wave)
    if frozen is None:
        return
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


def _frozen(paths: Paths, wave: str) -> dict[str, str] | None:
    """{name: sha256} of a frozen wave; None where it is not."""
    path = paths.checksums(wave)
    if not path.exists():
        return None
    frozen: dict[str, str] = {}
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1] or [b""], start=1):
        match = LINE.fullmatch(line.decode("utf-8", errors="replace"))
        if match is None or match["name"] in frozen:
            raise InputRejected(
                f"{wave}/{path.name} 第 {number} 行不是 sha256sum 的格式,请从备份恢复 / line {number} is not as "
                "sha256sum writes it; restore the file from a copy"
            )
        frozen[match["name"]] = match["sha256"]
    return frozen
