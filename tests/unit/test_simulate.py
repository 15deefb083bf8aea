"""The simulator: the same bytes everywhere, the published counts, and the vendors' formats."""

import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import yaml

from dagster_project.claims.narrative import read_text
from dagster_project.errors import UsageError
from dagster_project.ingest.wave import load_wave
from dagster_project.paths import PROJECT, Paths
from dagster_project.schema import EXPORT_TABLES
from dagster_project.simulate.connection import MAX_TRIES
from dagster_project.simulate.targets import load_targets
from dagster_project.simulate.wave import Simulated, simulate_tables, simulate_wave

WAVES = ("2022", "2023")
SEED = 12345  # that of wave.yml: what the targets are calibrated with


def _raw(folder: Path) -> Paths:
    """A raw folder with the project's declarations and no exports."""
    for name in ("profiles", "methods", "frames"):
        shutil.copytree(PROJECT / "raw" / name, folder / name)
    for wave in WAVES:
        (folder / wave).mkdir()
        shutil.copy(PROJECT / "raw" / wave / "wave.yml", folder / wave / "wave.yml")
    return Paths(raw=folder, home=folder.parent / "home")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return _raw(tmp_path / "raw")


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return _raw(tmp_path_factory.mktemp("given") / "raw")


@pytest.fixture(scope="module")
def frame(given: Paths) -> pd.DataFrame:
    return pd.read_csv(given.frame("lines_2023"), dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def tables(given: Paths, frame: pd.DataFrame) -> dict[str, Simulated]:
    """Both waves at their own size, before a vendor writes them."""
    waves = {wave: load_wave(given, wave) for wave in WAVES}
    return {name: simulate_tables(given, wave, frame, SEED, 15) for name, wave in waves.items()}


def _attempts(table: Simulated) -> pd.DataFrame:
    connected = (table.dial_attempts["connected"] == "yes").groupby(table.dial_attempts["line_id"])
    return pd.DataFrame({"connected": connected.sum(), "attempts": connected.size()})


# the same bytes -----------------------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
from dagster_project.ingest.wave import load_wave
from dagster_project.paths import Paths
from dagster_project.simulate import simulate_wave
paths = Paths(raw=Path(sys.argv[1]), home=Path(sys.argv[1]))
simulate_wave(paths, load_wave(paths, "2023"), n_lines=120, overwrite=True)
"""


def test_same_bytes_in_another_environment(tmp_path: Path) -> None:
    environments = (
        {"TZ": "Asia/Shanghai", "LANG": "zh_CN.UTF-8", "PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"},
        {"TZ": "America/New_York", "LC_ALL": "C", "PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "2"},
    )
    folders = [_raw(tmp_path / str(number)).raw for number in range(len(environments))]
    runs = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], cwd=PROJECT, env={**os.environ, **environment})
        for folder, environment in zip(folders, environments, strict=True)
    ]
    assert [run.wait(timeout=60) for run in runs] == [0, 0]
    first, second = (
        {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "2023").iterdir()}
        for folder in folders
    )
    assert len(first) == 4
    assert first == second


def test_another_seed_gives_another_wave(given: Paths, frame: pd.DataFrame) -> None:
    wave, few = load_wave(given, "2023"), frame.head(10)
    one, other = (simulate_tables(given, wave, few, seed, 15).dial_attempts for seed in (1, 2))
    assert not one.equals(other)


# the published counts -----------------------------------------------------------------------------


@pytest.mark.parametrize(("wave", "hot", "cold", "dead"), [("2023", 242, 1, 2), ("2022", 120, 12, 2)])
def test_line_classes(tables: dict[str, Simulated], wave: str, hot: int, cold: int, dead: int) -> None:
    lines = _attempts(tables[wave])
    rate = 100 * lines["connected"] / lines["attempts"]
    assert (rate >= 95).sum() == hot
    assert ((rate < 30) & (rate > 0)).sum() == cold
    assert (rate == 0).sum() == dead
    assert len(lines) == 349


@pytest.mark.parametrize(("wave", "smart", "keyword", "navigation"), [("2023", 162, 253, 102), ("2022", 18, 168, 77)])
def test_line_flags(tables: dict[str, Simulated], wave: str, smart: int, keyword: int, navigation: int) -> None:
    def lines_with(table: pd.DataFrame, column: str) -> int:
        seen = table[table[column].isin(["yes", "no"])]
        return int((100 * (seen[column] == "yes").groupby(seen["line_id"]).mean() >= 50).sum())

    assert lines_with(tables[wave].dial_attempts, "smart_voice") == smart
    assert lines_with(tables[wave].web_probes, "keyword_hit") == keyword
    assert lines_with(tables[wave].web_probes, "navigation_hit") == navigation


@pytest.mark.parametrize(("wave", "in_band", "measured"), [("2023", 239, 338), ("2022", 283, 334)])
def test_response_band(tables: dict[str, Simulated], wave: str, in_band: int, measured: int) -> None:
    probes = tables[wave].phone_probes
    seen = probes[probes["responded"].isin(["yes", "no"])]
    by_line = (seen["responded"] == "yes").groupby(seen["line_id"]).agg(["sum", "size"])
    unreached = 15 - probes.groupby("line_id").size().reindex(by_line.index)
    assert len(by_line) == measured
    assert (100 * by_line["sum"] >= 60 * (by_line["size"] + unreached)).sum() == in_band


def test_partitions_of_the_submissions(tables: dict[str, Simulated]) -> None:
    requests = tables["2023"].web_probes.query("probe_kind == 'submission'")
    minutes = (requests["replied_at"] - requests["submitted_at"]).dt.total_seconds() // 60
    kinds = pd.cut(minutes, [0, 4321, 7201, np.inf], right=False, labels=["3d", "5d", "later"])
    assert kinds.value_counts(dropna=False, sort=False).tolist() == [139, 128, 38, 53]
    assert requests["resolved"].value_counts().to_dict() == {"part": 178, "all": 139, "none": 25, "no_reply": 16}
    assert requests.groupby("line_id").size().value_counts().to_dict() == {1: 340, 2: 9}


@pytest.mark.parametrize(("tier", "growth"), [("一线", 40.11), ("新一线", 34.89), ("三线", 23.07)])
def test_growth_of_connection_rates(
    tables: dict[str, Simulated], frame: pd.DataFrame, tier: str, growth: float
) -> None:
    members = frame.loc[frame["tier"] == tier, "line_id"]
    before, after = (
        round(100 * sums["connected"] / sums["attempts"], 2)
        for sums in (_attempts(tables[wave]).loc[members].sum() for wave in WAVES)
    )
    assert 100 * (after / before - 1) == pytest.approx(growth, abs=0.05)


@pytest.mark.parametrize("wave", WAVES)
@pytest.mark.parametrize(
    ("indicator", "field"),
    [
        ("I07", "greeting"),
        ("I08", "tone"),
        ("I09", "closing"),
        ("I10", "listening"),
        ("I11", "clarity"),
        ("I12", "registered"),
        ("I13", "ivr_ease"),
        ("I20", "answer_correct"),
        ("I21", "answer_complete"),
    ],
)
def test_national_means_of_the_phone(
    tables: dict[str, Simulated], given: Paths, frame: pd.DataFrame, wave: str, indicator: str, field: str
) -> None:
    """Unreached probes count as 0 for the solution of the problem, and not at all for manners."""
    rules = pd.read_csv(given.method("v2023") / "scoring_rules.csv").query("indicator_code == @indicator")
    points = rules.dropna(subset=["score"]).set_index("match")["score"]
    probes = tables[wave].phone_probes
    scored = probes.assign(points=probes[field].map(points)).dropna(subset=["points"]).groupby("line_id")["points"]
    n = scored.size()
    if indicator >= "I20":
        n = n.add(15 - probes.groupby("line_id").size().reindex(frame["line_id"], fill_value=0), fill_value=0)
    means = scored.sum().reindex(n.index, fill_value=0) / n
    assert means.mean() == pytest.approx(load_targets(wave).scores[indicator], abs=0.02)


# what the schema and the gate ask for -------------------------------------------------------------


@pytest.mark.parametrize("wave", WAVES)
@pytest.mark.parametrize("name", EXPORT_TABLES)
def test_tables_hold_the_schema(tables: dict[str, Simulated], frame: pd.DataFrame, wave: str, name: str) -> None:
    table, data = EXPORT_TABLES[name], getattr(tables[wave], name)
    assert set(data.columns) == {column.name for column in table.columns}
    assert data[table.key].is_unique
    for column in table.columns:
        values = data[column.name]
        assert not (column.required and values.isna().any()), column.name
        assert not column.codes or set(values.dropna()) <= set(column.codes), column.name
        for other, value in column.required_when.items():
            assert values[data[other] == value].notna().all(), column.name
        if column.references == "line":  # a dead line has no questionnaire
            assert set(values) <= set(frame["line_id"])
            assert values.nunique() == (347 if name == "phone_probes" else 349)


@pytest.mark.parametrize("wave", WAVES)
def test_questionnaires_match_the_connected_calls(tables: dict[str, Simulated], wave: str) -> None:
    log, probes = tables[wave].dial_attempts, tables[wave].phone_probes
    planned = log.dropna(subset=["probe_id"])
    answered = planned[planned["connected"] == "yes"].set_index("probe_id")
    assert answered.index.is_unique
    matched = probes.set_index("probe_id")[["line_id", "scenario_code", "called_at"]].sort_index()
    expected = answered[["line_id", "scenario_code", "dialled_at"]].sort_index()
    assert matched.to_numpy().tolist() == expected.to_numpy().tolist()
    assert (planned.groupby(["line_id", "scenario_code"])["probe_id"].nunique() == 1).all()
    assert planned["probe_id"].nunique() == 349 * 15
    assert planned.groupby("probe_id").size().max() <= MAX_TRIES
    assert _attempts(tables[wave])["attempts"].min() >= 20


@pytest.mark.parametrize("wave", WAVES)
def test_nothing_is_missing_and_all_is_in_time(tables: dict[str, Simulated], given: Paths, wave: str) -> None:
    probes, visits = tables[wave].phone_probes, tables[wave].web_probes
    asked = [column.name for column in EXPORT_TABLES["phone_probes"].columns if column.codes]
    assert probes[[name for name in asked if not name.startswith("second_")]].notna().all(axis=None)
    inspections, requests = (visits[visits["probe_kind"] == kind] for kind in ("inspection", "submission"))
    assert inspections[["reachable", "stable", "content_rich", "keyword_hit", "navigation_hit"]].notna().all(axis=None)
    replied = requests.dropna(subset=["replied_at"])
    assert requests[["registered", "acknowledged", "resolved"]].notna().all(axis=None)
    assert replied[["reply_quality", "reply_wording"]].notna().all(axis=None)
    assert (replied["replied_at"] > replied["submitted_at"]).all()
    responded = probes.dropna(subset=["responded_at"])
    assert (responded["responded_at"] > responded["called_at"]).all()
    declared = load_wave(given, wave)
    for times in (probes["called_at"], tables[wave].dial_attempts["dialled_at"], visits["visited_at"]):
        assert times.min() >= pd.Timestamp(str(declared.period_start))
        assert times.max() < pd.Timestamp(str(declared.period_end)) + pd.Timedelta(days=1)


@pytest.mark.parametrize("wave", WAVES)
def test_coders_share_the_work_and_disagree_sometimes(tables: dict[str, Simulated], wave: str) -> None:
    probes = tables[wave].phone_probes
    assert probes["coder_id"].value_counts(normalize=True).max() < 0.1
    double = probes.dropna(subset=["second_coder_id"])
    assert 0.08 < len(double) / len(probes) < 0.12
    assert (double["coder_id"] != double["second_coder_id"]).all()
    assert 0.7 < (double["tone"] == double["second_tone"]).mean() < 0.95
    single = probes[probes["second_coder_id"].isna()]
    second = [column.name for column in EXPORT_TABLES["phone_probes"].columns if column.name.startswith("second_")]
    assert single[second].isna().all(axis=None)


def test_a_line_is_much_the_same_in_both_waves(tables: dict[str, Simulated]) -> None:
    dead = [set(lines.index[lines["connected"] == 0]) for lines in (_attempts(tables[wave]) for wave in WAVES)]
    assert dead[0] == dead[1]
    warm = [
        (table.phone_probes["tone"] == "warm").groupby(table.phone_probes["line_id"]).mean()
        for table in tables.values()
    ]
    assert warm[0].corr(warm[1]) > 0.3


# the vendors' formats -----------------------------------------------------------------------------


def _read_back(file: Path, profile: dict[str, Any]) -> pd.DataFrame:
    """An export read by its profile alone, as text: labels to codes, skip codes to nothing."""
    if profile["file"]["type"] == "xlsx":
        sheet = openpyxl.load_workbook(file, read_only=True).active
        rows = [[str(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
    else:
        text = file.read_bytes().decode(profile["file"]["encoding"])
        rows = list(csv.reader(io.StringIO(text, newline="")))
    data = pd.DataFrame(rows[1:], columns=rows[0], dtype=object)
    assert set(data.columns) == {*profile["columns"], *profile["drop"]}
    fields = {}
    for header, column in profile["columns"].items():
        meaning = {**profile["skip_codes"], **column.get("values", {})}
        fields[column["field"]] = [meaning.get(cell, cell) for cell in data[header]]
    return pd.DataFrame(fields, dtype=object)


def test_formats_read_back_through_their_profiles(paths: Paths, frame: pd.DataFrame) -> None:
    wave = load_wave(paths, "2023")
    few = frame.iloc[np.arange(12) * len(frame) // 12].reset_index(drop=True)
    drawn = simulate_tables(paths, wave, few, SEED, 15)
    files = simulate_wave(paths, wave, n_lines=12)
    assert [file.name for file in files] == ["phone_2023.xlsx", "dial_2023.csv", "web_2023.csv"]
    for file, export in zip(files, wave.exports, strict=True):
        profile = yaml.safe_load(paths.profile(export.profile).read_text(encoding="utf-8"))
        back, expected = _read_back(file, profile), getattr(drawn, export.table)
        for name in back:
            wanted = expected[name]
            if pd.api.types.is_datetime64_any_dtype(wanted):
                wanted = wanted.dt.strftime(profile["time_formats"][0])
            wanted = wanted.astype(object).where(wanted.notna(), None)
            assert back[name].tolist() == [None if value is None else str(value) for value in wanted], name


def test_dropped_columns_are_there_to_be_dropped(paths: Paths) -> None:
    phone, dial, web = simulate_wave(paths, load_wave(paths, "2023"), n_lines=3)
    header = next(openpyxl.load_workbook(phone, read_only=True).active.iter_rows(values_only=True))
    assert header[:6] == ("序号", "提交答卷时间", "所用时间", "来源", "来源详情", "来自IP")
    assert dial.read_bytes().decode("gb18030").splitlines()[0].endswith("主叫号码,坐席工号")
    assert web.read_bytes().startswith(b"\xef\xbb\xbf")


# sizes and refusals -------------------------------------------------------------------------------


def test_a_smaller_wave_uses_spread_lines_of_the_frame(paths: Paths, frame: pd.DataFrame) -> None:
    web = simulate_wave(paths, load_wave(paths, "2023"), n_lines=20, n_probes=30)[2]
    visits = pd.read_csv(web, dtype=str)
    assert visits["热线编码"].nunique() == 20
    assert set(visits["热线编码"]) <= set(frame["line_id"])
    assert (visits.query("监测类型 == '平台检查'").groupby("热线编码").size() == 30).all()


def test_a_larger_wave_is_a_raw_folder_of_its_own(paths: Paths, tmp_path: Path) -> None:
    simulate_wave(paths, load_wave(paths, "2023"), n_lines=400, n_probes=3, out=tmp_path / "large")
    large = Paths(raw=tmp_path / "large", home=tmp_path)
    wave = load_wave(large, "2023")
    lines = pd.read_csv(large.frame(wave.frame), dtype=str)
    visits = pd.read_csv(large.wave_raw("2023") / "web_2023.csv", dtype=str)
    assert lines["line_id"].is_unique
    assert len(lines) == 400
    assert set(visits["热线编码"]) == set(lines["line_id"])
    assert (wave.plan.phone_probes, wave.plan.dial_attempts, wave.plan.web_inspections) == (3, 4, 3)
    assert wave.baseline is None


@pytest.mark.parametrize("has_template", [True, False])
def test_a_raw_folder_of_its_own_says_what_this_one_says(paths: Paths, tmp_path: Path, has_template: bool) -> None:
    """The installation's narrative names a figure of another method version, and goes along with it."""
    own, advice = "narratives/default.yml", "2023/recommendations.yml"
    shutil.copy(PROJECT / "raw" / advice, paths.raw / advice)
    if has_template:
        text = (PROJECT / "raw" / own).read_text(encoding="utf-8").replace("level:total.score}", "level:later.score}")
        (paths.raw / "narratives").mkdir()
        (paths.raw / own).write_text(text, encoding="utf-8")
        shutil.copytree(paths.method("v2023"), paths.method("later"))
        figures = paths.method("later") / "figures.csv"
        figures.write_text(
            figures.read_text(encoding="utf-8").replace("total.score,", "later.score,"), encoding="utf-8"
        )
    simulate_wave(paths, load_wave(paths, "2023"), n_lines=2, out=tmp_path / "other")
    other = Paths(raw=tmp_path / "other", home=tmp_path)
    assert read_text(other, "2023", "v2023") == read_text(paths, "2023", "v2023")
    assert (other.raw / advice).read_bytes() == (paths.raw / advice).read_bytes()
    assert (other.raw / own).exists() == has_template


def test_refuses_a_real_wave(paths: Paths) -> None:
    with pytest.raises(UsageError, match="synthetic"):
        simulate_wave(paths, replace(load_wave(paths, "2023"), is_synthetic=False))


def test_refuses_to_overwrite_exports_unless_told_to(paths: Paths) -> None:
    wave = load_wave(paths, "2023")
    files = simulate_wave(paths, wave, n_lines=2)
    before = [file.read_bytes() for file in files]
    with pytest.raises(UsageError, match=r"phone_2023\.xlsx"):
        simulate_wave(paths, wave, n_lines=3)
    assert [file.read_bytes() for file in files] == before
    simulate_wave(paths, wave, n_lines=3, overwrite=True)
    assert [file.read_bytes() for file in files] != before


def test_refuses_more_lines_than_the_frame_has(paths: Paths) -> None:
    with pytest.raises(UsageError, match="349"):
        simulate_wave(paths, load_wave(paths, "2023"), n_lines=350)


def test_refuses_the_raw_folder_in_use_as_another_one(paths: Paths) -> None:
    with pytest.raises(UsageError, match="raw folder in use"):
        simulate_wave(paths, load_wave(paths, "2023"), n_lines=2, out=paths.raw)


def test_refuses_a_year_without_targets() -> None:
    with pytest.raises(UsageError, match="2022, 2023"):
        load_targets("1999")
