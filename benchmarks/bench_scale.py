"""Times every stage of the pipeline at growing sizes, beside a bare scan and two scripts, and says what holds.

Belongs here: the order of a size's measurements, processes and their memory, results, targets. Does not
belong here: what a stage is (`scale_stages.py`), data (`scale_data.py`), the scripts, drawing (`scale_chart.py`).

Nothing outside the standard library is imported here: a child's peak memory can not be read below that of
the process which started it. Results are kept round by round: a size that was measured at this commit, with a
clean tree and as many repetitions, is not measured again.

`python -m benchmarks.bench_scale [--sizes 20000,1000000] [--repeat 5] [--scratch FOLDER]`
`python -m benchmarks.bench_scale --chart` draws the chart and the table from the results that are there
"""

import argparse
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from benchmarks.bench import (
    BenchmarkFailed,
    busy_elsewhere_pct,
    busy_elsewhere_s,
    hotline,
    machine,
    name_of,
    python,
    rss_units_per_mib,
    say,
)
from dagster_project.paths import PROJECT, Paths

RESULTS = PROJECT / "benchmarks" / "results" / "scale.json"
SIZES = (20_000, 1_000_000, 10_000_000, 100_000_000)
WAVE, METHOD, LINE = "2101", "v2023", "110000"  # of scale_data.py, which imports more than may be imported here
BASE = "2022"
# the stages of a run, in their order; what is measured beside them is no part of its sum
STAGES = ("ingest", "fieldwork", "gate_1", "scores", "gate_2", "published", "release", "report")
BESIDE = ("statistics", "one_line_scores")
SCRIPTS = {"bronze_polars": "polars", "bronze_pandas": "pandas"}  # and the library of each
WAVES_AT, N_WAVES = 1_000_000, 5
POLL_S = 0.02
THREADS = "2"
# A script that needs more than this machine can give is left out, and the report says why.
SCRIPT_MEMORY_GIB, SCRIPT_TIMEOUT_S = 16.0, 1800.0
# Whatever else takes nearly all of the machine is ended before the system ends something of its choice.
MACHINE_GIB = 0.85 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
XLSX_ROWS = 100_000
Row = dict[str, Any]


class OutOfBounds(BenchmarkFailed):
    """A command took more memory or time than it may, and was ended; says which."""


@dataclass(frozen=True)
class Scratch:
    """The installation of one size, made anew; `sources` holds the exports that it is made of."""

    folder: Path

    @property
    def paths(self) -> Paths:
        return Paths(raw=self.folder / "raw", home=self.folder / "home")

    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        here = {"HOTLINE_RAW": str(self.paths.raw), "HOTLINE_HOME": str(self.paths.home)}
        return {**inherited, **here, "POLARS_MAX_THREADS": THREADS, "TMPDIR": str(self.folder)}


# One process and all that it starts ----------------------------------------------------------------


class Watch:
    """Looks every POLL_S at a process and its descendants, and ends them where they go beyond a bound.

    `tree_mib`: the largest sum of resident memory at one moment; pages that processes share count in each, so
    it is rather too large. `process_mib`: the largest high-water mark of a single process, which the kernel
    keeps. `ended_for`: the bound that was broken, in words.
    """

    def __init__(self, pid: int, limit_gib: float = MACHINE_GIB, timeout_s: float = math.inf):
        self.tree_mib, self.process_mib, self.ended_for = 0.0, 0.0, ""
        self._pid, self._limit_gib, self._timeout_s = pid, limit_gib, timeout_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        started = time.perf_counter()
        while not self._is_over.wait(POLL_S):
            found = [status for pid in _descendants(self._pid) if (status := _status(pid))]
            now_mib = sum(rss for rss, _ in found)
            self.tree_mib = max(self.tree_mib, now_mib)
            self.process_mib = max(self.process_mib, max((peak for _, peak in found), default=0.0))
            if now_mib > self._limit_gib * 1024:
                self.ended_for = f"more than {self._limit_gib:.1f} GiB"
            elif time.perf_counter() - started > self._timeout_s:
                self.ended_for = f"more than {self._timeout_s:g} s"
            if self.ended_for:
                os.killpg(self._pid, signal.SIGKILL)
                return


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = children.read_text(encoding="ascii").split()
        except OSError:  # the task has ended
            continue
        for child in pids:
            yield from _descendants(int(child))


def _status(pid: int) -> tuple[float, float] | None:
    """(resident now, most ever) in MiB; None where the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    values = {name: text for name, _, text in (line.partition(":") for line in lines)}
    if "VmRSS" not in values:  # a zombie has none
        return None
    now, most = (int(values[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def measure(command: list[str], scratch: Scratch, **bounds: float) -> Row:
    """Run a command to its end: wall_s, cpu_s, memory, and what its last line of output says as JSON.

    `bounds`: of `Watch`. Raises OutOfBounds where it breaks one, BenchmarkFailed, with its words, where it fails.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        # a session of its own: what is ended is the process with all that it started
        process = subprocess.Popen(
            command, cwd=PROJECT, env=scratch.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
        watch = Watch(process.pid, **bounds)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            watch.stop()
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if watch.ended_for:
            raise OutOfBounds(f"{watch.ended_for}: {name_of(command)}")
        if process.returncode != 0:
            raise BenchmarkFailed(f"{name_of(command)} ended with {process.returncode}:\n{_text(err)[-2000:]}")
        said = _said(_text(out))
    return {
        "wall_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "tree_mib": watch.tree_mib,
        "process_mib": max(watch.process_mib, usage.ru_maxrss / rss_units_per_mib()),
        **said,
    }


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()


def _said(text: str) -> Row:
    try:
        said = json.loads(text.splitlines()[-1]) if text else {}
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


# One size -------------------------------------------------------------------------------------------


def stage(name: str, *lines: str, wave: str = WAVE) -> list[str]:
    return python("-m", "benchmarks.scale_stages", name, wave, *lines)


def script(name: str, *more: str) -> list[str]:
    return python("-m", f"benchmarks.{name}", WAVE, METHOD, *more)


def measure_size(observations: int, repeat: int, scratch: Scratch, source: Paths) -> Iterator[Row]:
    """All measurements of one size, taking turns; after each round, those so far."""
    say(f"{observations:,} observations: making the exports")
    made = make_data(observations, 1, scratch, source)
    rounds: dict[str, list[Row]] = {}
    left_out = {name: f"{library} is not installed" for name, library in SCRIPTS.items() if not find_spec(library)}

    def once(name: str, command: list[str], **limits: Any) -> Row:
        measured = measure(command, scratch, **limits)
        rounds.setdefault(name, []).append(measured)
        inner = f"{measured['seconds']:9.2f} s of its own" if "seconds" in measured else ""
        say(f"  {name:17}{measured['wall_s']:9.2f} s wall{measured['tree_mib']:8.0f} MiB{inner}")
        return measured

    for number in range(1, repeat + 1):
        say(f"{observations:,} observations: round {number}/{repeat}")
        for name in STAGES:
            once(name, stage(name))
        once("statistics", stage("statistics"))
        measure(stage("forget_wave"), scratch)
        full_run = once("full_run", hotline("run", "--wave", WAVE, "--json"))
        steps = measure(stage("run_steps"), scratch)["steps"]
        full_run["overhead_s"] = full_run["wall_s"] - sum(steps.values())
        once("one_line_run", hotline("run", "--wave", WAVE, "--line", LINE, "--no-report", "--json"))
        once("one_line_scores", stage("one_line_scores", LINE))
        once("floor", script("bronze_floor"))
        for name in SCRIPTS:
            if name in left_out:
                continue
            scores = scratch.folder / f"{name}.json"
            try:
                once(name, script(name, str(scores)), limit_gib=SCRIPT_MEMORY_GIB, timeout_s=SCRIPT_TIMEOUT_S)
            except OutOfBounds as reason:
                left_out[name] = str(reason).partition(":")[0]
                say(f"  {name} is left out: {left_out[name]}")
                continue
            require_equal(scratch, scores)
        yield of_rounds(number, made, rounds, scratch) | {"left_out": left_out}


def of_rounds(repetitions: int, made: Row, rounds: dict[str, list[Row]], scratch: Scratch) -> Row:
    return {
        "made_in_s": round(made["wall_s"], 1),
        "observations": rounds["release"][0]["observations"],
        "rows": rounds["ingest"][0]["rows"],
        "export_bytes": rounds["ingest"][0]["bytes"],
        "bronze_bytes": sum(file.stat().st_size for file in scratch.paths.bronze.rglob("*.parquet")),
        "repetitions": repetitions,
        "cases": {name: summary(measured) for name, measured in rounds.items()},
        "nodes": {name: nodes(rounds[name]) for name in ("scores", "published", "one_line_scores")},
    }


def make_data(observations: int, n_waves: int, scratch: Scratch, source: Paths) -> Row:
    shutil.rmtree(scratch.folder, ignore_errors=True)
    scratch.paths.home.mkdir(parents=True)
    command = python(
        "-m", "benchmarks.scale_data", str(scratch.paths.raw), "--observations", str(observations),
        "--waves", str(n_waves), "--source", str(source.raw),
    )  # fmt: skip
    return measure(command, scratch)


def require_equal(scratch: Scratch, scores: Path) -> None:
    """Every node of the release and of the script, to the nanopoint."""
    measure(python("-m", "benchmarks.bronze_columns", str(scratch.paths.current(WAVE)), str(scores)), scratch)


def measure_waves(repeat: int, scratch: Scratch, source: Paths) -> Iterator[Row]:
    """One line rescored where one wave stands, and where N_WAVES do."""
    result = {}
    for n_waves in (1, N_WAVES):
        say(f"{n_waves} waves of {WAVES_AT:,} observations")
        make_data(WAVES_AT, n_waves, scratch, source)
        measure(hotline("run", "--no-report", "--json"), scratch)
        steps = [measure(stage("one_line_scores", LINE), scratch) for _ in range(repeat)]
        runs = [
            measure(hotline("run", "--wave", WAVE, "--line", LINE, "--no-report", "--json"), scratch)
            for _ in range(repeat)
        ]
        result[str(n_waves)] = {"one_line_scores": summary(steps), "one_line_run": summary(runs)}
    yield {"observations_each": WAVES_AT, "repetitions": repeat, "waves": result}


def measure_workbook(repeat: int, scratch: Scratch, source: Paths) -> Iterator[Row]:
    """Reading a workbook through the guard against unpacking it, in one process per turn."""
    shutil.rmtree(scratch.folder, ignore_errors=True)
    scratch.paths.home.mkdir(parents=True)
    file = scratch.folder / "large.xlsx"
    command = python("-m", "benchmarks.scale_workbook")
    measure([*command, "write", str(file), str(XLSX_ROWS), str(source.raw)], scratch)
    runs = [measure([*command, "read", str(file)], scratch) for _ in range(repeat)]
    yield {
        "rows": XLSX_ROWS,
        "bytes": file.stat().st_size,
        "repetitions": repeat,
        **{name: spread([run[name] for run in runs]) for name in ("unzip_s", "read_s", "tree_mib")},
    }


# What is kept ---------------------------------------------------------------------------------------


def summary(measured: list[Row]) -> Row:
    names = ("seconds", "wall_s", "cpu_s", "tree_mib", "process_mib", "gate_s", "standard_errors_s", "overhead_s")
    return {name: spread([each[name] for each in measured]) for name in names if name in measured[0]}


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3),
    }  # fmt: skip


def nodes(measured: list[Row]) -> dict[str, float]:
    """Median seconds of each dbt node, the longest first."""
    found = {name: statistics.median(each["nodes"][name] for each in measured) for name in measured[0]["nodes"]}
    return {name: round(found[name], 4) for name in sorted(found, key=lambda name: -found[name])}


def code_state() -> Row:
    """The commit, and whether the tree is what it says."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True).stdout

    changed = [line for line in git("status", "--porcelain").splitlines() if "benchmarks/results" not in line]
    return {"commit": git("rev-parse", "--short", "HEAD").strip(), "is_clean": not changed}


def load_results(path: Path) -> Row:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def keep(path: Path, key: tuple[str, ...], measured: Row) -> None:
    """Put one measurement among the results; the file is whole at any time."""
    results = load_results(path)
    place = results
    for name in key[:-1]:
        place = place.setdefault(name, {})
    place[key[-1]] = measured
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


def is_standing(path: Path, key: tuple[str, ...], state: Row, repeat: int) -> bool:
    place: Any = load_results(path)
    for name in key:
        place = place.get(name, {})
    is_ours = place.get("code") == state and place.get("repetitions", 0) >= repeat
    return bool(is_ours and state["is_clean"])


# Targets ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """One target: what it says, what was measured (None: not measured), and whether that is within it."""

    target: str
    measured: float | None
    limit: float

    @property
    def is_met(self) -> bool | None:
        return None if self.measured is None else self.measured <= self.limit


def verdicts(results: Row) -> list[Verdict]:
    sizes = {int(size): each for size, each in results.get("sizes", {}).items()}

    def median(size: int, case: str, name: str) -> float | None:
        measured = sizes.get(size, {}).get("cases", {}).get(case, {}).get(name)
        return measured["median"] if measured else None

    def share(size: int, case: str, of: str) -> float | None:
        part, whole = median(size, case, "seconds"), median(size, of, "seconds")
        return None if part is None or not whole else round(part / whole, 3)

    def largest(cases: tuple[str, ...], name: str) -> float | None:
        measured = [each["cases"][case][name] for each in sizes.values() for case in cases if case in each["cases"]]
        return max((each["max"] for each in measured), default=None)

    overheads = [each["cases"]["full_run"]["overhead_s"]["median"] for each in sizes.values()]
    waves = results.get("waves", {}).get("waves", {})
    by_waves = [waves[name]["one_line_scores"]["seconds"]["median"] for name in sorted(waves, key=int)]
    workbook = results.get("workbook", {})
    growth = max(overheads) - min(overheads) if len(overheads) > 1 else None
    return [
        Verdict("scoring over the floor at 100 million", share(SIZES[3], "scores", "floor"), 2.5),
        Verdict("memory of scoring at any size, MiB", largest(("scores",), "tree_mib"), 512),
        Verdict("memory of the pipeline at any size, MiB", largest((*STAGES, "full_run"), "tree_mib"), 2048),
        Verdict(
            "reading a workbook over unpacking it",
            round(workbook["read_s"]["median"] / workbook["unzip_s"]["median"], 2) if workbook else None,
            10,
        ),
        Verdict("one line over full scoring at 10 million", share(SIZES[2], "one_line_scores", "scores"), 0.2),
        Verdict("one line over full scoring at 100 million", share(SIZES[3], "one_line_scores", "scores"), 0.05),
        # as far apart as two measurements of the same may be
        Verdict(
            f"one line among {N_WAVES} waves over one line in one",
            round(by_waves[1] / by_waves[0], 2) if len(by_waves) > 1 else None,
            1.25,
        ),
        Verdict("growth of the overhead over the sizes, s", None if growth is None else round(growth, 2), 3),
    ]


def tell(results: Row) -> None:
    for each in verdicts(results):
        word = {True: "met", False: "NOT MET", None: "not measured"}[each.is_met]
        value = "" if each.measured is None else f"{each.measured:g}"
        print(f"{each.target:52}{value:>10}  (≤ {each.limit:g})  {word}")


# The whole --------------------------------------------------------------------------------------------


def run_all(options: argparse.Namespace) -> None:
    state = code_state()
    options.scratch.mkdir(parents=True, exist_ok=True)
    source = simulated(options.scratch)
    todo: dict[tuple[str, ...], Callable[[int, Scratch, Paths], Iterator[Row]]] = {
        ("sizes", str(size)): partial(measure_size, size) for size in options.sizes
    }
    if not options.no_extras:
        todo |= {("waves",): measure_waves, ("workbook",): measure_workbook}
    for key, measure_it in todo.items():
        if is_standing(options.json, key, state, options.repeat):
            say(f"{' '.join(key)}: measured at this commit; kept")
            continue
        scratch = Scratch(options.scratch / "-".join(key))
        started, busy_before = time.perf_counter(), busy_elsewhere_s()
        for measured in measure_it(options.repeat, scratch, source):
            busy = busy_elsewhere_pct(busy_before, busy_elsewhere_s(), time.perf_counter() - started)
            keep(options.json, key, {"code": state, "busy_elsewhere_pct": busy, **measured})
        if not options.keep_scratch:
            shutil.rmtree(scratch.folder)
    keep(options.json, ("machine",), machine())


def simulated(scratch: Path) -> Paths:
    """The demonstration's declarations, and its exports as they are simulated: never what somebody delivered."""
    source = Scratch(scratch / "source")
    shutil.rmtree(source.folder, ignore_errors=True)

    def undeclared(_: str, names: list[str]) -> list[str]:
        return [name for name in names if "wave.yml" in names and not name.endswith(".yml")]

    shutil.copytree(PROJECT / "raw", source.paths.raw, ignore=undeclared)
    measure(hotline("simulate", "--wave", BASE), source)
    return source.paths


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_scale", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--sizes", type=sizes, default=SIZES, help="observations, with commas between (default: all four)"
    )
    parser.add_argument("--repeat", type=int, default=5, help="rounds per size (default: 5)")
    parser.add_argument("--scratch", type=Path, default=PROJECT / "data" / "bench-scale", help="folder for the data")
    parser.add_argument("--keep-scratch", action="store_true", help="leave each size's installation there")
    parser.add_argument("--no-extras", action="store_true", help="sizes only: neither several waves nor the workbook")
    parser.add_argument("--json", type=Path, default=RESULTS, help="results, read and written")
    parser.add_argument("--chart", action="store_true", help="measure nothing: draw what was measured, write the table")
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    options.scratch = options.scratch.resolve()
    try:
        if not options.chart:
            run_all(options)
    except BenchmarkFailed as failed:
        sys.exit(str(failed))
    except KeyboardInterrupt:
        sys.exit("stopped; what was measured is kept")
    results = load_results(options.json)
    if options.chart:
        from benchmarks.scale_chart import write_chart, write_table

        write_chart(results)
        write_table(results)
    tell(results)


def sizes(text: str) -> tuple[int, ...]:
    return tuple(int(each.replace("_", "")) for each in text.split(","))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end, it ends as on Ctrl-C
    main()
