"""The benchmark's large wave scores what the small one does; its results become the same chart and tables each time."""

import re
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from benchmarks import bench_scale, scale_data
from benchmarks.bench_scale import STAGES, OutOfBounds, Scratch, measure, spread, verdicts
from benchmarks.scale_chart import BEGIN, END, tables, write_chart, write_table
from benchmarks.scale_data import BASE, BASE_LINES, BASE_OBSERVATIONS, MAX_FILE_BYTES, Size, write_waves
from benchmarks.scale_stages import STAGES as STAGES_OF_CHILD
from dagster_project.files import files_digest
from dagster_project.ingest.bronze import ingest_wave, write_tables
from dagster_project.ingest.wave import load_wave
from dagster_project.paths import PROJECT, Paths
from dagster_project.release.baseline import baseline_tables
from dagster_project.simulate.wave import simulate_wave
from dagster_project.transform.dbt_step import SCORES, raise_for_failures, run_step
from dagster_project.transform.scope import full_scope, write_scope

LINES, ONE, LARGE = 4, "2101", "2102"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """The base wave on a few lines."""
    folder = tmp_path_factory.mktemp("source")
    project = Paths(raw=PROJECT / "raw", home=folder)
    simulate_wave(project, load_wave(project, BASE), n_lines=LINES, out=folder / "raw")
    return Paths(raw=folder / "raw", home=folder)


def digest(folder: Path) -> str:
    return files_digest([path for path in folder.rglob("*") if path.is_file()], folder)


def test_the_same_size_gives_the_same_bytes(source: Paths, tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_waves(source, tmp_path / name, Size(LINES, 2), [ONE])
    assert digest(tmp_path / "one") == digest(tmp_path / "other")
    write_waves(source, tmp_path / "other", Size(LINES, 3), [ONE])
    assert digest(tmp_path / "one") != digest(tmp_path / "other")


def test_a_wave_repeated_scores_what_it_scored_once(source: Paths, tmp_path: Path) -> None:
    paths = Paths(raw=tmp_path / "raw", home=tmp_path / "home")
    for wave_id, copies in ((ONE, 1), (LARGE, 3)):
        write_waves(source, paths.raw, Size(LINES, copies), [wave_id])
        wave = load_wave(paths, wave_id)
        report = ingest_wave(paths, wave)
        assert (report.n_quarantined, report.n_blank) == (0, 0)
        write_tables(paths, wave_id, baseline_tables(paths, wave))
        write_scope(paths, full_scope(paths, wave_id))
        raise_for_failures(run_step(paths, SCORES))
    with duckdb.connect(str(paths.warehouse), read_only=True) as connection:
        columns = "line_id, channel, level, node_code, score_nano, effective_weight_nano, na_reason"
        one, large = (
            connection.execute(f"select {columns} from score_nodes where wave = ? order by all", [wave]).fetchall()
            for wave in (ONE, LARGE)
        )
        counts = dict(connection.execute("select wave, sum(n_observations) from score_l3 group by wave").fetchall())
        units = dict(connection.execute("select wave, sum(attempts) from score_line_classes group by wave").fetchall())
    assert {line for line, *_ in one} and any(nano for *_, nano, _, _ in one)
    assert large == one
    assert counts[LARGE] == 3 * counts[ONE]
    assert units[LARGE] == 3 * units[ONE]


def test_no_file_is_larger_than_the_reader_takes(
    source: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_FILE_BYTES < 32 << 20
    monkeypatch.setattr("benchmarks.scale_data.MAX_FILE_BYTES", 30_000)
    write_waves(source, tmp_path, Size(LINES, 5), [ONE])
    files = sorted((tmp_path / ONE).glob("web_probes_*.csv"))
    assert len(files) > 1
    assert max(file.stat().st_size for file in files) <= 30_000
    texts = [file.read_bytes().decode("utf-8-sig").splitlines() for file in files]
    assert len({text[0] for text in texts}) == 1
    ids = [row.split(",")[0] for text in texts for row in text[1:]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("observations", "size"),
    [
        (20_000, Size(64, 1)),
        (BASE_OBSERVATIONS, Size(BASE_LINES, 1)),
        (1_000_000, Size(BASE_LINES, 9)),
        (100_000_000, Size(BASE_LINES, 916)),
    ],
)
def test_sizes(observations: int, size: Size) -> None:
    assert Size.of(observations) == size


# --- processes ---------------------------------------------------------------------------------


def test_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    """A parent that holds 80 MiB while its child does."""
    child = "import sys; held = bytearray(80 << 20); print(flush=True); sys.stdin.read()"
    code = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
held = bytearray(80 << 20)
time.sleep(0.5)
child.communicate()
print('{{"held": 2}}')
"""
    found = measure([sys.executable, "-c", code], Scratch(tmp_path))
    assert found["held"] == 2
    assert 160 < found["tree_mib"] < 320


def test_what_breaks_a_bound_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = f"import time, pathlib; time.sleep(2); pathlib.Path({str(mark)!r}).touch()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(OutOfBounds, match=r"more than 0\.5 s"):
        measure([sys.executable, "-c", code], Scratch(tmp_path), timeout_s=0.5)
    with pytest.raises(OutOfBounds, match=r"more than 0\.1 GiB"):
        measure([sys.executable, "-c", "import time; a = bytearray(b'1' * (200 << 20)); time.sleep(60)"],
                Scratch(tmp_path), limit_gib=0.1)  # fmt: skip
    time.sleep(2)
    assert not mark.exists()


def test_names_that_stand_twice_are_the_same() -> None:
    """The parent imports nothing but the standard library, so it can not ask."""
    assert {*STAGES, *bench_scale.BESIDE} <= set(STAGES_OF_CHILD)
    assert (int(bench_scale.WAVE), bench_scale.BASE) == (scale_data.FIRST_WAVE, scale_data.BASE)


# --- results -----------------------------------------------------------------------------------


def measured(observations: int, factor: float) -> dict[str, Any]:
    def case(seconds: float, mib: float) -> dict[str, Any]:
        return {
            "seconds": spread([seconds * factor]), "wall_s": spread([seconds * factor + 1]),
            "cpu_s": spread([seconds]), "tree_mib": spread([mib]), "process_mib": spread([mib]),
        }  # fmt: skip

    cases = {name: case(2, 300) for name in STAGES} | {"floor": case(1, 80), "one_line_scores": case(0.1, 250)}
    full_run = {name: value for name, value in case(2 * len(STAGES), 900).items() if name != "seconds"}
    full_run["overhead_s"] = spread([2 + factor / 100])
    return {
        "code": {"commit": "abc1234", "is_clean": True}, "busy_elsewhere_pct": 0.5, "observations": observations,
        "rows": observations // 6, "export_bytes": 1 << 20, "bronze_bytes": 1 << 18, "repetitions": 5,
        "cases": {**cases, "full_run": full_run}, "nodes": {}, "left_out": {"bronze_pandas": "more than 16 GiB"},
    }  # fmt: skip


@pytest.fixture
def results() -> dict[str, Any]:
    sizes = {str(size): measured(size, size / 1e6) for size in (20_000, 10_000_000, 100_000_000)}
    return {"machine": {"cpus_usable": 2, "memory_gib": 8.0, "system": "Linux", "python": "3.11"}, "sizes": sizes}


def test_targets_are_judged_by_what_was_measured(results: dict[str, Any]) -> None:
    found = {each.target: (each.measured, each.is_met) for each in verdicts(results)}
    assert found["scoring over the floor at 100 million"] == (2.0, True)
    assert found["memory of the pipeline at any size, MiB"] == (900.0, True)
    assert found["one line over full scoring at 10 million"] == (0.05, True)
    assert found["reading a workbook over unpacking it"] == (None, None)
    assert found["growth of the overhead over the sizes, s"] == (1.0, True)
    results["sizes"]["100000000"]["cases"]["scores"]["seconds"] = spread([251.0])
    results["sizes"]["20000"]["cases"]["full_run"]["tree_mib"] = spread([2049.0])
    found = {each.target: (each.measured, each.is_met) for each in verdicts(results)}
    assert found["scoring over the floor at 100 million"] == (2.51, False)
    assert found["memory of the pipeline at any size, MiB"] == (2049.0, False)
    assert found["one line over full scoring at 100 million"] == (0.04, True)


def test_the_chart_and_the_tables_are_made_of_the_results(results: dict[str, Any], tmp_path: Path) -> None:
    chart, page = tmp_path / "chart.svg", tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n", encoding="utf-8")
    for _ in range(2):
        write_chart(results, chart)
        write_table(results, page)
    text = page.read_text(encoding="utf-8")
    assert text == f"before\n\n{BEGIN}\n{tables(results)}{END}\n\nafter\n"
    assert "| `scores` | 0.04 (300) | 20.0 (300) | 200 (300) |" in text
    assert "Left out: `bronze_pandas`, more than 16 GiB." in text
    drawn = chart.read_text(encoding="utf-8")
    # a point of a curve per size
    assert drawn.count('<circle class="c0"') == 2 * 3
    assert ">100,000,000<" in drawn
    places = [float(each) for each in re.findall(r'<circle class="c0" cx="([0-9.]+)"', drawn)][:3]
    ticks = [float(each) for each in re.findall(r'<text class="x soft" x="([0-9.]+)"', drawn)][:2]
    # ten times the observations are one tick to the right
    assert places[2] - places[1] == pytest.approx(ticks[1] - ticks[0], abs=0.2)


def test_a_page_without_the_place_is_left_alone(results: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers\n", encoding="utf-8")
    with pytest.raises(ValueError, match="markers"):
        write_table(results, page)
    assert page.read_text(encoding="utf-8") == "no markers\n"
