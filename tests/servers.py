"""Servers that tests talk to, as processes of their own on loopback: PostgreSQL from Debian's package, S3 from moto.

A machine without PostgreSQL skips what needs it, and says so; `.ci/run`, which installs it, lets that be a failure.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

PATIENCE = 120  # seconds until a server answers
USER = "hotline"
WORD = "of-the-tests-[only]"  # with characters that a URL must quote
SECRETS = (WORD, quote(WORD, safe=""))  # what nothing may show: as it is, and as it stands in a URL
S3_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip


@dataclass(frozen=True)
class Postgres:
    """A running server. `connect` opens a psycopg2 connection to a database of it."""

    port: int

    def url(self, database: str) -> str:
        return "".join(["postgresql://", USER, ":", SECRETS[1], f"@127.0.0.1:{self.port}/{database}"])

    def database(self, name: str) -> str:
        """URL of a new, empty database."""
        import psycopg2

        connection = psycopg2.connect(self.url("postgres"))
        connection.autocommit = True  # a database is not made within a transaction
        with connection.cursor() as cursor:
            cursor.execute(f'create database "{name}"')
        connection.close()
        return self.url(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="hotline-postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses root; the package brings a user
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]
    word = folder / "word"
    word.write_text(WORD)
    word.chmod(0o644)
    port = free_port()
    try:
        subprocess.run(
            [*as_user, programs / "initdb", "-D", folder / "data", "-U", USER, "--pwfile", word, "--encoding=UTF8",
             "--locale=C", "--auth=scram-sha-256"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        server = subprocess.Popen(
            [*as_user, programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder,
             "-c", "fsync=off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        try:
            _wait_until_it_serves(port, server)
            yield Postgres(port)
        finally:
            server.send_signal(signal.SIGINT)  # ends at once, and cleanly
            server.wait(PATIENCE)
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and os.environ.get("HOTLINE_TESTS_NEED_POSTGRES"):
        pytest.fail("there is no PostgreSQL, which .ci/run installs")
    if not found:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    return found[-1].parent


def _wait_until_it_serves(port: int, server: subprocess.Popen) -> None:
    """It accepts connections some time before it answers them."""
    import psycopg2

    wait_for(port, server)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg2.connect(Postgres(port).url("postgres")).close()
            return
        except psycopg2.OperationalError:
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """The variables of a process that works with it; there is a bucket `bucket`."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(port, server)
        variables = {**S3_VARIABLES, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        import boto3

        client = boto3.client(
            "s3", endpoint_url=variables["AWS_ENDPOINT_URL"], region_name="us-east-1",
            aws_access_key_id="tests", aws_secret_access_key="tests",
        )  # fmt: skip
        client.create_bucket(Bucket="bucket")
        yield variables
    finally:
        server.kill()
        server.wait()
