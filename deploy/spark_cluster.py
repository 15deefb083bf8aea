"""A small Spark standalone cluster on this machine's loopback: a master and two workers, until it is told to end.

    python deploy/spark_cluster.py          prints SPARK_MASTER=spark://127.0.0.1:PORT once both workers are there

Needs pyspark (the extra `spark`) and Java 17, and nothing else: the scripts of a Spark distribution
are not in the package, its classes are. It ends, with every process of it, at the end of its
standard input, at SIGTERM and at Ctrl-C.

A cluster of several machines is started by Spark's own means; of this script it needs only what a
run does: SPARK_MASTER, SPARK_LOCAL_IP (the address of the host of the run that the others reach), and the
state folder at the same path on every machine.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
N_WORKERS = 2
CORES, MEMORY = 1, "1500m"  # of each worker, for executors: bounded, whatever the machine has
HEAP = "-Xmx256m"  # of the master's and each worker's own process
NO_SUBMISSIONS = "-Dspark.master.rest.enabled=false"  # a second way in, which nothing here uses
SECONDS_TO_START = 60
MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
ADDRESS = re.compile(r"Starting Spark master at (spark://\S+)")
REGISTERED = "Successfully registered with master"


class NotStartedError(Exception):
    """The cluster did not come up; says why."""


@contextmanager
def cluster() -> Iterator[str]:
    """A running cluster; its address. Raises NotStartedError without Java or pyspark, or where a process ends early."""
    java, jars = _java(), _jars()
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="spark-cluster-") as folder:

        def start(name: str, *arguments: str) -> Path:
            log = Path(folder, f"{name}.log")
            environment = {
                **os.environ,
                "SPARK_LOCAL_IP": LOOPBACK,  # of the master too: its web page would listen on every address
                "SPARK_SCALA_VERSION": "2.13",
                "SPARK_HOME": str(jars.parent),
                "SPARK_LOCAL_DIRS": folder,
                "SPARK_NO_DAEMONIZE": "1",
            }
            with log.open("wb") as stream:
                processes.append(
                    subprocess.Popen(
                        [java, HEAP, NO_SUBMISSIONS, *_OPENED, "-cp", f"{jars}/*", *arguments],
                        stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment, cwd=folder,
                        start_new_session=True,  # Ctrl-C is ours to hand on: a worker ends its executors itself
                    )
                )  # fmt: skip
            return log

        try:
            log = start("master", MASTER, "--host", LOOPBACK, "--port", "0", "--webui-port", "0")
            address = _said(log, ADDRESS, processes)
            workers = [
                start(
                    f"worker-{number}", WORKER, "--host", LOOPBACK, "--webui-port", "0", "--cores", str(CORES),
                    "--memory", MEMORY, "--work-dir", str(Path(folder, f"work-{number}")), address,
                )
                for number in range(N_WORKERS)
            ]  # fmt: skip
            for worker in workers:
                _said(worker, re.compile(REGISTERED), processes)
            yield address
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()


# Spark's own list for Java 17 and later: what its launcher would pass.
_OPENED = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in (
        "java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util",
        "java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs",
        "sun.security.action", "sun.util.calendar",
    )
]  # fmt: skip


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise NotStartedError("没有 Java / there is no Java: JAVA_HOME, or java on the PATH")
    return java


def _jars() -> Path:
    try:
        import pyspark
    except ModuleNotFoundError as error:
        raise NotStartedError(
            "未安装 pyspark,请运行 / pyspark is not installed; run: pip install '.[spark]'"
        ) from error
    jars = Path(pyspark.__file__).with_name("jars")
    if not jars.is_dir():
        raise NotStartedError("pyspark-client 不含 Spark 本身 / pyspark-client does not contain Spark: install pyspark")
    return jars


def _said(log: Path, words: re.Pattern[str], processes: list[subprocess.Popen[bytes]]) -> str:
    """The first group (or all) of what a process has said in its log."""
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until:
        text = log.read_text(encoding="utf-8", errors="replace")
        if found := words.search(text):
            return found[found.re.groups]
        if any(process.poll() is not None for process in processes):
            break
        time.sleep(0.1)
    raise NotStartedError(f"{log.stem} 未能启动 / {log.stem} did not start:\n{text[-2000:]}")


def main() -> int:
    ended = threading.Event()
    for asked_to_end in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked_to_end, lambda *_: ended.set())

    def wait_for_end_of_input() -> None:
        while sys.stdin.buffer.read1():
            pass
        ended.set()

    try:
        with cluster() as address:
            print(f"SPARK_MASTER={address}", flush=True)
            threading.Thread(target=wait_for_end_of_input, daemon=True).start()
            ended.wait()
    except NotStartedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
