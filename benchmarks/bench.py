"""Times the pipeline beside two scripts of the same scoring, all in one run, and prints JSON.

Belongs here: what is timed, in which state of the installation, and how it is summed up. Does not
belong here: scoring (the scripts), what must be equal (`agreement.py`).

Every command is a process of its own, measured from its start to its end, with the files in the
system's cache and the bytecode compiled. The commands take turns, so that a slow minute of the machine
falls on all of them. Nothing outside the standard library is imported here: a child's peak memory
can not be read below that of the process which started it.

`python -m benchmarks.bench [--repeat 5] [--json FILE]`
"""

import argparse
import csv
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dagster_project.paths import PROJECT, Paths, paths

WAVE, BASELINE, LINE = "2023", "2022", "370100"
# What an analyst can wait for, on 2 cores.
TARGETS_S = {"full_run": 15.0, "full_run_unchanged": 15.0, "one_line_unchanged": 6.0, "one_line_changed": 6.0}
SCRIPTS = ("plain_script", "vectorised_script")
PACKAGES = (
    "dagster", "dbt-core", "dbt-duckdb", "duckdb", "great-expectations", "numpy", "openpyxl", "pandas",
    "pyarrow", "python-calamine",
)  # fmt: skip
HEAVY_IMPORTS = "dagster, dbt.cli.main, duckdb, great_expectations, openpyxl, pandas, pyarrow"
# The tests' engine brings a pyspark that ends the process of who imports it in search of a whole Spark: for
# Great Expectations there is none.
NO_SPARK = "import sys; sys.modules['pyspark'] = None"
WITHOUT_BYTECODE = f"""
import pathlib
{NO_SPARK}
import {HEAVY_IMPORTS}
specs = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
print(sum(1 for spec in specs if spec and spec.cached and not pathlib.Path(spec.cached).exists()))
"""


class BenchmarkFailed(Exception):
    """A command that was to be timed did not end well, or the scores do not agree."""


@dataclass(frozen=True)
class Bench:
    """One benchmark's folder: exports that may be changed, and an installation's state."""

    folder: Path

    @property
    def paths(self) -> Paths:
        return Paths(raw=self.folder / "raw", home=self.folder / "home")

    def scores(self, script: str) -> Path:
        return self.folder / f"{script}.json"

    def environment(self) -> dict[str, str]:
        """The caller's, for this folder. Bytecode is written: without it every start costs seconds more."""
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**inherited, "HOTLINE_RAW": str(self.paths.raw), "HOTLINE_HOME": str(self.paths.home)}


@dataclass(frozen=True)
class Case:
    """One command to time; `prepare` brings the installation into the state that it starts from."""

    name: str
    command: list[str]
    prepare: Callable[[], None]


@dataclass(frozen=True)
class Measured:
    """One process from start to end. CPU and memory include the children that it waited for."""

    wall_s: float
    cpu_s: float
    peak_rss_mib: float


# What is timed ---------------------------------------------------------------


def cases(bench: Bench) -> list[Case]:
    """In the order of every round: what changes the exports comes before what reads them for comparison."""
    # what people read of a release is timed by itself
    run = hotline("run", "--wave", WAVE, "--no-report", "--json")
    one_line = [*run, "--line", LINE]
    scripts = [
        Case(name, python("-m", f"benchmarks.{name}", WAVE, str(bench.scores(name))), nothing) for name in SCRIPTS
    ]
    floors = {
        "start_python": "pass",
        "start_duckdb": "import duckdb",
        "start_dagster": "import dagster",
        "start_dbt": "import dbt.cli.main",
        "start_great_expectations": f"{NO_SPARK}; import great_expectations",
    }
    return [
        Case("full_run", run, lambda: forget_wave(bench.paths)),
        Case("full_run_unchanged", run, nothing),
        Case("one_line_unchanged", one_line, nothing),
        Case("one_line_changed", one_line, lambda: change_one_answer(bench.paths)),
        Case("report", hotline("report", "--wave", WAVE, "--json"), nothing),
        *scripts,
        *(Case(name, python("-c", statement), nothing) for name, statement in floors.items()),
    ]


def hotline(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("hotline")), *arguments]


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def nothing() -> None:
    """The state that the command before left."""


def forget_wave(paths: Paths) -> None:
    """Leave of the wave nothing but its exports; the baseline's release stays."""
    for part in paths.bronze.glob(f"*/wave={WAVE}"):
        shutil.rmtree(part)
    shutil.rmtree(paths.releases(WAVE))
    for file in (paths.ingest_report(WAVE), paths.fieldwork(WAVE), paths.quality(WAVE), paths.warehouse):
        file.unlink()


def change_one_answer(paths: Paths) -> None:
    """Turn the first web inspection of the line that reads 丰富 or 一般 into the other."""
    (file,) = paths.wave_raw(WAVE).glob("web_*.csv")
    with file.open(encoding="utf-8-sig", newline="") as handle:
        header, *rows = csv.reader(handle)
    line, kind, answer = (header.index(name) for name in ("热线编码", "监测类型", "内容丰富度"))
    other = {"丰富": "一般", "一般": "丰富"}
    row = next(row for row in rows if row[line] == LINE and row[kind] == "平台检查" and row[answer] in other)
    row[answer] = other[row[answer]]
    with file.open("w", encoding="utf-8-sig", newline="") as handle:
        csv.writer(handle, lineterminator="\r\n").writerows([header, *rows])


# Timing ----------------------------------------------------------------------


def measure(command: list[str], bench: Bench) -> Measured:
    """Run a command to its end. Raises BenchmarkFailed, with what it said, where it fails."""
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=PROJECT, env=bench.environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            text = said.read().decode(errors="replace")
            raise BenchmarkFailed(f"{name_of(command)} ended with {process.returncode}:\n{text[-4000:]}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / rss_units_per_mib())


def name_of(command: list[str]) -> str:
    return " ".join([Path(command[0]).name, *command[1:]])


def rss_units_per_mib() -> int:
    """Linux counts in KiB, macOS in bytes."""
    return 2**20 if sys.platform == "darwin" else 2**10


def prepare(bench: Bench) -> Measured:
    """Copy the exports, simulate what is missing, and time the first run of both waves in an empty home."""
    shutil.copytree(paths().raw, bench.paths.raw)
    say("exports")
    measure(hotline("simulate"), bench)
    say("first run of both waves, in an empty installation")
    return measure(hotline("run", "--wave", BASELINE, "--wave", WAVE), bench)


def time_all(bench: Bench, repeat: int) -> dict[str, list[Measured]]:
    """{case: its measurements}. A round before the first is not counted."""
    every = cases(bench)
    measured: dict[str, list[Measured]] = {case.name: [] for case in every}
    for number in range(repeat + 1):
        for case in every:
            case.prepare()
            once = measure(case.command, bench)
            if number > 0:
                measured[case.name].append(once)
            say(f"round {number}/{repeat}  {case.name:26}{once.wall_s:7.2f} s{'' if number else '  (warm-up)'}")
    return measured


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# What is reported ------------------------------------------------------------


def summary(measured: list[Measured]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "median": round(statistics.median(values), 3),
            "min": round(min(values), 3),
            "max": round(max(values), 3),
        }
        for name in ("wall_s", "cpu_s", "peak_rss_mib")
        for values in [[getattr(each, name) for each in measured]]
    }


def ratios(cases: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Median wall time of each run of the pipeline over that of each script."""
    wall = {name: case["wall_s"]["median"] for name, case in cases.items()}
    return {name: {f"to_{script}": round(wall[name] / wall[script], 2) for script in SCRIPTS} for name in TARGETS_S}


def agreement(bench: Bench) -> dict[str, Any]:
    """The scripts' scores of the last round and the release, held against one another."""
    said = subprocess.run(
        python("-m", "benchmarks.agreement", str(bench.paths.current(WAVE)), *(str(bench.scores(s)) for s in SCRIPTS)),
        cwd=PROJECT, env=bench.environment(), capture_output=True, text=True,
    )  # fmt: skip
    if said.returncode not in (0, 6):
        raise BenchmarkFailed(said.stderr)
    return json.loads(said.stdout)


def modules_without_bytecode(bench: Bench) -> int:
    said = subprocess.run(
        python("-c", WITHOUT_BYTECODE), cwd=PROJECT, env=bench.environment(), capture_output=True, text=True, check=True
    )
    return int(said.stdout)


def input_rows(bench: Bench) -> dict[str, int]:
    totals = json.loads(bench.paths.ingest_report(WAVE).read_text(encoding="utf-8"))["totals"]
    return {table: counts["n_read"] for table, counts in totals.items()}


def machine() -> dict[str, Any]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu_count": os.cpu_count(),
        "cpus_usable": usable,
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def busy_elsewhere_s() -> float | None:
    """Processor seconds that others have used since the machine's start; None where the system does not tell."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    # user, nice, system, idle, iowait, irq, softirq, steal
    ticks = [int(count) for count in stat.read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    used = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return used - sum(usage.ru_utime + usage.ru_stime for usage in own)


def busy_elsewhere_pct(before_s: float | None, after_s: float | None, elapsed_s: float) -> float | None:
    """Share of the machine that others used meanwhile: the times are as good as this is small."""
    if before_s is None or after_s is None:
        return None
    return round(100 * (after_s - before_s) / (elapsed_s * (os.cpu_count() or 1)), 1)


def benchmark(repeat: int) -> dict[str, Any]:
    """The whole report. Raises BenchmarkFailed where a command fails or bytecode is not compiled."""
    with tempfile.TemporaryDirectory(prefix="hotline-bench-") as folder:
        bench = Bench(Path(folder))
        first = prepare(bench)
        started, busy_before = time.perf_counter(), busy_elsewhere_s()
        measured = time_all(bench, repeat)
        busy_pct = busy_elsewhere_pct(busy_before, busy_elsewhere_s(), time.perf_counter() - started)
        n_uncompiled = modules_without_bytecode(bench)
        if n_uncompiled:
            raise BenchmarkFailed(
                f"{n_uncompiled} modules have no bytecode: the times are not those of an installation"
            )
        timed = {name: summary(runs) for name, runs in measured.items()}
        return {
            "wave": WAVE,
            "line": LINE,
            "rows": input_rows(bench),
            "repetitions": repeat,
            "cases": timed,
            "ratios": ratios(timed),
            "targets": {
                name: {"wall_s": limit, "is_met": timed[name]["wall_s"]["median"] <= limit}
                for name, limit in TARGETS_S.items()
            },
            "first_run_of_both_waves": {name: round(value, 3) for name, value in vars(first).items()},
            "agreement": agreement(bench),
            "machine": {**machine(), "busy_elsewhere_pct": busy_pct},
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5, help="timed rounds (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report here too")
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    try:
        report = benchmark(options.repeat)
    except BenchmarkFailed as failed:
        sys.exit(str(failed))
    text = json.dumps(report, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    if not report["agreement"]["is_agreed"]:
        sys.exit("the scripts and the release do not agree")


if __name__ == "__main__":
    main()
