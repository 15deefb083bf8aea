"""What the repository may hold: no secret, no machine, no registry; and a true list of what it is built from."""

import json
import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_project.paths import PROJECT

SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{20}|xox[abprs]-[0-9A-Za-z-]{10}|sk-[0-9A-Za-z]{20}"
    r"|eyJ[0-9A-Za-z_-]{20,}\.eyJ"
    r"|(?i:password|passwd|secret|token|api_?key)\w*[\"']?\s*[:=]\s*[\"'][^\"'<>{}$\s][^\"'<>{}$]{7,}[\"']"
    r"|://[^/\s:@\"']+:[^/\s@\"']+@"
)
HOSTS = re.compile(r"(?:https?|wss?|ftp|s3)://([^/\s\"'<>)`:]+)")
MACHINE_PATHS = re.compile(
    r"(?<![\w./:}~-])/(?:home|Users|root|work|workspace|tmp|mnt|opt|private|var|srv|Volumes)/[\w./-]+"
    r"|\b[A-Z]:\\\\?(?:Users|Windows)"
)
REGISTRIES = re.compile(
    r"index-url|trusted-host|find-links|registry[.=]|pypi\.(?:org|python)|files\.pythonhosted", re.I
)
# What tests make up, in the files that make it up.
MADE_UP = {
    "tests/unit/test_personal.py": {'SECRET = "0123456789abcdef0123456789abcdef"'},
    "tests/integration/test_personal_data.py": {'SECRET = "a secret of thirty-two characters or more"'},
    "tests/unit/test_database.py": {'secret": "create persistent secret kept (type http)"'},
}
KNOWN_HOSTS = {
    "127.0.0.1",  # the UI
    "bucket", "BUCKET", "no-such-bucket",  # what examples and tests call a store
    "{address}",  # the same, in a message
    "dagster.io",  # what the README names
    "example.com",  # reserved for examples
    "github.com", "www.apache.org",  # in licence texts
    "purl.oclc.org", "schemas.openxmlformats.org", "www.w3.org",  # names of XML vocabularies
}  # fmt: skip
# where an installation lies in the examples of its deployment
DEPLOYMENT = (
    "docs/deploy.md", "deploy/Dockerfile", "deploy/compose.yml", "deploy/hotline.env.example",
    "deploy/systemd/hotline-code.service", "deploy/systemd/hotline-daemon.service",
    "deploy/systemd/hotline-webserver.service",
)  # fmt: skip
EXAMPLE_PATHS = dict.fromkeys(DEPLOYMENT, "/srv/hotline")


def texts() -> Iterator[tuple[str, str]]:
    """(name, content) of every text file that is or is about to be under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=False, cwd=PROJECT,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git repository")
    for name in listed.stdout.splitlines():
        path = PROJECT / name
        if path.is_file() and name != "tests/unit/test_repository.py":
            content = path.read_bytes()
            if b"\0" not in content:
                yield name, content.decode("utf-8", "replace")


def test_no_file_holds_a_secret() -> None:
    found = {name: set(SECRETS.findall(text)) - MADE_UP.get(name, set()) for name, text in texts()}
    assert {name: each for name, each in found.items() if each} == {}


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN RSA PRIVATE KEY-----", "AKIA" + "A" * 16, "ghp_" + "a" * 30, 'password: "correct horse"',
        "HOTLINE_SECRET='0123456789abcdef'", "https://user:word@host.example/x",
    ],
)  # fmt: skip
def test_the_search_knows_a_secret(text: str) -> None:
    assert SECRETS.search(text)


def test_no_file_names_a_machine_or_a_registry() -> None:
    hosts, places, registries = {}, {}, {}
    for name, text in texts():
        hosts[name] = set(HOSTS.findall(text)) - KNOWN_HOSTS
        example = EXAMPLE_PATHS.get(name, "\0")
        places[name] = {each for each in MACHINE_PATHS.findall(text) if not each.startswith(example)}
        registries[name] = set(REGISTRIES.findall(text))
    for found in (hosts, places, registries):
        assert {name: each for name, each in found.items() if each} == {}


def test_only_one_module_reads_the_environment() -> None:
    """A secret has one way in. Others set variables for their children; dbt's profile reads what they set."""
    reading = re.compile(r"os\.environ(?:\.get\(|\[[^]]+\](?! = ))|os\.getenv|environ\.get")
    package = PROJECT / "dagster_project"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if reading.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"paths.py"}


# --- what it is built from ---------------------------------------------------------------------


def pins() -> dict[str, str]:
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s\\;]+)", lock, flags=re.MULTILINE))


def test_the_sbom_lists_the_lock() -> None:
    sbom = json.loads((PROJECT / "docs" / "sbom.json").read_text(encoding="utf-8"))
    listed = {each["name"]: each["version"] for each in sbom["components"] if each["purl"].startswith("pkg:pypi/")}
    assert listed == pins()
    assert len(listed) > 100
    refs = {each["bom-ref"] for each in [sbom["metadata"]["component"], *sbom["components"]]}
    assert len(refs) == len(sbom["components"]) + 1
    assert {ref for each in sbom["dependencies"] for ref in [each["ref"], *each["dependsOn"]]} == refs
    assert all(each["licenses"] for each in sbom["components"])
    assert not {"serialNumber", "timestamp"} & {*sbom, *sbom["metadata"]}
    # what is in the repository itself
    vendored = [each for each in sbom["components"] if "evidence" in each]
    for each in vendored:
        content = (PROJECT / each["evidence"]["occurrences"][0]["location"]).read_text(encoding="utf-8")
        assert f"{each['version']}" in content[:200], each["name"]
    minified = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "dagster_project").rglob("*.min.*")}
    assert minified == {each["evidence"]["occurrences"][0]["location"] for each in vendored}


def test_the_lists_are_what_the_script_makes(tmp_path: Path) -> None:
    """After a change of the lock: .venv/bin/python .ci/sbom.py"""
    runpy.run_path(str(PROJECT / ".ci" / "sbom.py"))["main"](tmp_path)
    for name in ("sbom.json", "licences.md"):
        assert (tmp_path / name).read_bytes() == (PROJECT / "docs" / name).read_bytes(), name


def test_installation_takes_what_is_locked_and_nothing_else() -> None:
    """Every pin has hashes, both installations of the Makefile are of the lock or offline."""
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock.strip())
    assert len(entries) == len(pins())
    assert [each.split("==")[0] for each in entries if "--hash=sha256:" not in each] == []
    installs = [row for row in (PROJECT / "Makefile").read_text(encoding="utf-8").splitlines() if "pip install" in row]
    assert len(installs) == 3
    assert "--require-hashes" in installs[0]
    assert "--no-deps" in installs[0]
    assert "--no-index" in installs[1]
    assert "--no-deps" in installs[1]
    # Spark itself, for the tests
    assert "--require-hashes" in installs[2]
    assert "--no-deps" in installs[2]
