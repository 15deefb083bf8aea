"""A PostgreSQL server of its own for a test: from the system's packages, on loopback, ended with it."""

import getpass
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = DATABASE = "hotline"


def programs() -> Path | None:
    """The folder of initdb, of the newest version that is installed; Debian keeps it off the PATH."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return debian[-1].parent if debian else Path(found).resolve().parent if found else None


@contextmanager
def server(bin_folder: Path) -> Iterator[dict[str, str]]:
    """An empty database that sorts by bytes; the variables that its clients read."""
    # the server refuses to be root: then it is the user whom the package has made
    becoming = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [*becoming, str(bin_folder / program), *arguments], check=True, cwd="/", stdout=subprocess.DEVNULL
        )

    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        if becoming:
            shutil.chown(folder, "postgres")
        data = f"{folder}/data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        run("initdb", "-D", data, "-U", USER, "--auth=trust", "--locale=C", "--encoding=UTF8", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
        run("pg_ctl", "-D", data, "-l", f"{folder}/log", "-o", options, "-w", "start")
        try:
            run("createdb", "-h", "127.0.0.1", "-p", port, "-U", USER, DATABASE)
            yield {"PGHOST": "127.0.0.1", "PGPORT": port, "PGUSER": USER, "PGDATABASE": DATABASE}
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
