"""What the product is built from: docs/sbom.json (CycloneDX 1.6) and docs/licences.md, from requirements.lock.

    .venv/bin/python .ci/sbom.py [FOLDER]

Packages, versions and who needs whom are the lock's; licences are what the installed packages say.
No time, serial number, address or path goes in: the same lock gives the same bytes.
"""

import json
import re
import sys
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s\\;]+)")
VIA = re.compile(r"^    #(?:   | via )([A-Za-z0-9_.-]+)(?: \(pyproject\.toml\))?$")
# What is in the repository and not in the lock: (name, version, licence, purl, where).
VENDORED = (
    ("echarts", "6.1.0", "Apache-2.0", "pkg:npm/echarts@6.1.0", "dagster_project/report/static/echarts.bar.min.js"),
)
CLASSIFIERS = {
    "MIT License": "MIT", "Apache Software License": "Apache-2.0", "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "Python Software Foundation License": "PSF-2.0",
}  # fmt: skip
# Words for a licence in old metadata, and the SPDX identifier that they mean.
WORDS = {
    "MIT": "MIT", "MIT License": "MIT", "MIT license": "MIT", "BSD-3-Clause": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause", "Apache-2.0": "Apache-2.0", "Apache-2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "Apache License Version 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0", "MPL-2.0": "MPL-2.0", "MPL-2.0 AND MIT": "MPL-2.0 AND MIT",
    "ISC License": "ISC",
}  # fmt: skip
# A single licence has an `id` only where SPDX has one.
SPDX = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}


@dataclass(frozen=True)
class Package:
    """One pin of the lock. `needed_by`: names of the packages that require it, and of the project."""

    name: str
    version: str
    needed_by: tuple[str, ...]
    licence: str

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def packages() -> list[Package]:
    """Every pin of the lock, by name. Raises PackageNotFoundError where one is not installed."""
    pins: list[tuple[str, str, list[str]]] = []
    for row in (PROJECT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if pin := PIN.match(row):
            pins.append((pin[1], pin[2], []))
        elif via := VIA.match(row):
            pins[-1][2].append(via[1])
    return [Package(name, version, tuple(sorted(needed_by)), licence(name)) for name, version, needed_by in pins]


def licence(name: str) -> str:
    """SPDX expression or identifier where the metadata says one, else the words that it has."""
    said = metadata(name)
    if said["License-Expression"]:
        return str(said["License-Expression"])
    words = (said["License"] or "").strip()
    if words in WORDS:
        return WORDS[words]
    classifiers = [each.rsplit(" :: ", 1)[1] for each in said.get_all("Classifier") or [] if each.startswith("License")]
    known = [CLASSIFIERS.get(each, each) for each in classifiers]
    return " / ".join(known) or words.splitlines()[0]


def sbom(found: list[Package]) -> dict[str, Any]:
    """The CycloneDX document."""
    project = _project()
    components = [
        {
            "type": "library", "bom-ref": each.purl, "name": each.name, "version": each.version, "purl": each.purl,
            "licenses": _licenses(each.licence),
        }
        for each in found
    ] + [
        {
            "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "licenses": _licenses(licence), "evidence": {"occurrences": [{"location": where}]},
        }
        for name, version, licence, purl, where in VENDORED
    ]  # fmt: skip
    refs = {each.name: each.purl for each in found} | {project["name"]: project["bom-ref"]}
    needs: dict[str, set[str]] = {ref: set() for ref in refs.values()}
    for each in found:
        for parent in each.needed_by:
            needs[refs[parent]].add(each.purl)
    needs[project["bom-ref"]] |= {purl for *_, purl, _ in VENDORED}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": project},
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(needs[ref])} for ref in sorted(needs)],
    }


def _project() -> dict[str, str]:
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    # ignored: pyproject.toml has both lines; without one this ends here, and should
    name, version = (re.search(rf'^{key} = "(.+)"$', text, re.MULTILINE)[1] for key in ("name", "version"))  # type: ignore[index]
    return {"type": "application", "bom-ref": f"{name}@{version}", "name": name, "version": version}


def _licenses(text: str) -> list[dict[str, Any]]:
    if re.search(r" (AND|OR|WITH) ", text):
        return [{"expression": text}]
    return [{"license": {"id": text} if text in SPDX else {"name": text}}]


def licences(found: list[Package]) -> str:
    """The same as a table for people."""
    rows = [(each.name, each.version, each.licence, "") for each in found]
    rows += [(name, version, licence, f"`{where}`") for name, version, licence, _, where in VENDORED]
    return "\n".join(
        [
            "# Licences of what this is built from",
            "",
            "Made by `.ci/sbom.py` from `requirements.lock` and the packages' own metadata; with who needs whom in",
            "[sbom.json](sbom.json). Nothing but what has a place here is part of the repository; the others are",
            "installed from a package index.",
            "",
            "| package | version | licence | in the repository |",
            "|---|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
        ]
    )


def main(folder: Path) -> None:
    """Write both files into `folder`."""
    found = packages()
    (folder / "sbom.json").write_text(json.dumps(sbom(found), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "licences.md").write_text(licences(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "docs")
