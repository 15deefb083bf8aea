"""The demonstration waves from exports to release, as an analyst runs them."""

import csv
import itertools
import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dagster_project.ingest.reference import MAX_PATH, MAX_SIBLINGS
from dagster_project.paths import PROJECT
from tests.conftest import Installation, fresh
from tests.independent_errors import standard_errors
from tests.independent_scorer import score

PUBLISHED = PROJECT / "tests/golden/published_figures_2023.csv"
IMPOSSIBLE = "impossible"
# Scores and growth rates may differ by this much; counts and shares of known k and n may not differ at all.
TOLERANCE = Decimal("0.15")


def published_rows() -> list[dict[str, str]]:
    with PUBLISHED.open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


CASES = [
    (wave, row)
    for row in published_rows()
    for wave in ("2022", "2023")
    if row[f"value_{wave}"] and IMPOSSIBLE not in row["note"]
]


@pytest.mark.parametrize(("wave", "row"), CASES, ids=[f"{wave}-{row['figure_id']}" for wave, row in CASES])
def test_calibration(published: Installation, wave: str, row: dict[str, str]) -> None:
    figures = {figure["id"]: figure for figure in read_json(published, wave, "figures.json")}
    figure = figures[row["figure_id"]]
    expected = Decimal(row[f"value_{wave}"])
    actual = Decimal(str(figure["value"]))
    if row["kind"] == "count":
        assert actual == expected
    elif wave == "2023" and row["k"]:
        assert (figure["k"], figure["n"]) == (int(row["k"]), int(row["n"]))
        assert actual == expected
    else:
        assert abs(actual - expected) <= TOLERANCE


@pytest.mark.parametrize("wave", ["2022", "2023"])
def test_an_independent_scorer_agrees_to_the_digit(published: Installation, wave: str) -> None:
    folder = published.paths.current(wave)
    lines = pq.read_table(folder / "lines.parquet")["line_id"].to_pylist()
    totals = score(pq.read_table(folder / "observations.parquet"), folder / "method", lines)
    stated = pq.read_table(
        folder / "line_scores.parquet", filters=[("channel", "=", "all"), ("level", "=", 0)]
    ).to_pylist()
    assert len(stated) == 349
    assert {row["line_id"]: row["score_nano"] for row in stated} == totals


def test_the_largest_weights_that_are_permitted_give_what_whole_numbers_give(copy: Installation) -> None:
    """Weights of the tree and of scenarios at the bounds of `check`; beyond them they are refused."""
    method = copy.paths.method("v2023")
    with (method / "indicators.csv").open(encoding="utf-8", newline="") as handle:
        tree = list(csv.DictReader(handle))
    firsts = sorted({row["l1_code"] for row in tree})
    below = max(
        sum({row["l2_code"]: int(row["l2_weight"]) for row in tree if row["l1_code"] == each["l1_code"]}.values())
        * sum(int(row["l3_weight"]) for row in tree if row["l2_code"] == each["l2_code"])
        for each in tree
    )
    largest = MAX_PATH // below // len(firsts) - len(firsts)
    # consecutive numbers have nothing in common; what is common to the other levels takes nothing away from them
    weights = {code: (largest + number) * 10 for number, code in enumerate(firsts)}
    rewrite(method / "indicators.csv", "l1_weight", lambda row: weights[row["l1_code"]])
    scenarios = len((method / "scenarios.csv").read_text(encoding="utf-8").splitlines()) - 1
    numbers = itertools.count(MAX_SIBLINGS // scenarios - scenarios)
    rewrite(method / "scenarios.csv", "weight", lambda _: next(numbers))
    copy.run("--wave", "2023", "--no-report")
    folder = copy.paths.current("2023")
    lines = pq.read_table(folder / "lines.parquet")["line_id"].to_pylist()
    totals = score(pq.read_table(folder / "observations.parquet"), folder / "method", lines)
    rows = pq.read_table(folder / "line_scores.parquet", filters=[("channel", "=", "all")]).to_pylist()
    assert {row["line_id"]: row["score_nano"] for row in rows if row["level"] == 0} == totals
    effective = Counter[str]()
    for row in rows:
        if row["level"] == 3:
            effective[row["line_id"]] += int(row["effective_weight"].scaleb(9))
    assert all(abs(effective[line] - 10**9) < 50 for line, total in totals.items() if total is not None)
    numbers = itertools.count(MAX_SIBLINGS // scenarios)
    rewrite(method / "scenarios.csv", "weight", lambda _: next(numbers))
    refused = copy.hotline("check", "--wave", "2023")
    assert refused.code == 3 and "scenarios.csv" in refused.err and str(MAX_SIBLINGS) in refused.err


def rewrite(path: Path, column: str, value: Callable[[dict[str, str]], int]) -> None:
    with path.open(encoding="utf-8", newline="") as handle:
        rows = [{**row, column: str(value(row))} for row in csv.DictReader(handle)]
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def test_an_independent_computation_gives_the_same_standard_errors(published: Installation) -> None:
    folder = published.paths.current("2023")
    stated = {
        (row["dimension"], row["member"]): float(row["standard_error"])
        for row in pq.read_table(folder / "standard_errors.parquet").to_pylist()
    }
    computed = standard_errors(folder)
    assert {member: error for (dimension, member), error in stated.items() if dimension == "line"} == pytest.approx(
        computed, abs=1e-6
    )
    # a mean of independent scores: the root of the summed variances, divided by their number
    assert stated["national", "all"] == pytest.approx(sum(each**2 for each in computed.values()) ** 0.5 / 349, abs=1e-6)
    assert stated["province", "110000"] == pytest.approx(computed["110000"], abs=1e-6)


@pytest.mark.parametrize("wave", ["2022", "2023"])
def test_rank_sets_hold_the_ranks_and_one_another(published: Installation, wave: str) -> None:
    rows = pq.read_table(published.paths.current(wave) / "rankings.parquet").to_pylist()
    ranked = [row for row in rows if row["rank"] is not None]
    assert len(ranked) > 300
    for row in ranked:
        n = sum(each["group_code"] == row["group_code"] for each in ranked)
        bounds = [row[name] for name in ("rank_low_all", "rank_low", "rank", "rank_high", "rank_high_all")]
        assert [1, *bounds, n] == sorted([1, *bounds, n])
        assert (row["top_10"] == "sure") == (row["rank_high_all"] <= 10)
        assert (row["top_10"] == "no") == (row["rank_low_all"] > 10)
        assert row["standard_error"] > 0
    assert all(row["rank_low"] is None and row["top_10"] is None for row in rows if row["rank"] is None)


def test_everything_of_a_release_is_named_in_its_manifest(published: Installation) -> None:
    folder = published.paths.current("2023")
    manifest = read_json(published, "2023", "manifest.json")
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert on_disk == {*manifest["files"], "manifest.json"}
    assert manifest["synthetic"] is True
    assert manifest["release"] == published.current("2023")
    assert manifest["baseline"] == {"wave": "2022", "release": published.current("2022")}
    assert {file["file"] for file in manifest["raw_files"]} == {"phone_2023.xlsx", "dial_2023.csv", "web_2023.csv"}


def test_rows_are_all_accounted_for(published: Installation) -> None:
    for file in read_json(published, "2023", "manifest.json")["raw_files"]:
        assert file["n_read"] == file["n_bronze"] + file["n_quarantined"] + file["n_blank"]
        assert file["n_read"] > 0


def test_effective_weights_sum_to_one_and_give_the_total(published: Installation) -> None:
    rows = pq.read_table(
        published.paths.current("2023") / "line_scores.parquet", filters=[("channel", "=", "all")]
    ).to_pylist()
    totals = {row["line_id"]: row["score_nano"] for row in rows if row["level"] == 0}
    for line, total in totals.items():
        leaves = [row for row in rows if row["line_id"] == line and row["level"] == 3 and row["effective_weight"]]
        assert abs(sum(row["effective_weight"] for row in leaves) - 1) <= Decimal("27e-9")
        assert abs(sum(row["effective_weight"] * row["score_nano"] for row in leaves) - total) <= 100 * 27


def test_a_table_that_travels_alone_says_that_it_is_simulated(published: Installation) -> None:
    with (published.paths.current("2023") / "rankings.csv").open(encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 31 + 349 - 4
    assert {row["note"] for row in rows} == {"模拟数据"}


def test_figures_carry_unit_numerator_and_change(published: Installation) -> None:
    figures = {figure["id"]: figure for figure in read_json(published, "2023", "figures.json")}
    for figure in figures.values():
        assert figure["value"] is not None, figure["id"]
        if figure["kind"] in ("share", "count"):
            assert figure["k"] is not None and figure["n"] is not None, figure["id"]
    earlier = {figure["id"]: figure for figure in read_json(published, "2022", "figures.json")}
    total = figures["total.score"]
    assert Decimal(str(total["change"])) == Decimal(str(total["value"])) - Decimal(str(earlier["total.score"]["value"]))
    parts = ("web.reply_within_3d", "web.reply_3_to_5d", "web.reply_over_5d", "web.no_reply")
    assert sum(Decimal(str(figures[part]["value"])) for part in parts) == 100


def test_the_three_rankings_hold_every_line_in_its_place(published: Installation) -> None:
    rows = pq.read_table(published.paths.current("2023") / "rankings.parquet").to_pylist()
    lines = pq.read_table(published.paths.current("2023") / "lines.parquet").to_pylist()
    by_group = {
        name: [row for row in rows if row["group_code"] == name] for name in ("province", "key_city", "ordinary_city")
    }
    assert len(by_group["key_city"]) == 32
    assert len(by_group["province"]) == 31
    municipalities = {line["line_id"] for line in lines if line["rank_group"] == "province_only"}
    assert len(by_group["ordinary_city"]) == len(lines) - 32 - len(municipalities)
    for ranked in by_group.values():
        for row in ranked:
            better = sum(other["published"] > row["published"] for other in ranked if other["rank"] is not None)
            assert row["rank"] in (None, better + 1)
    unranked = {row["unit_code"] for row in rows if row["unit"] == "line" and row["rank"] is None}
    dead = {
        row["line_id"]
        for row in pq.read_table(published.paths.current("2023") / "line_classes.parquet").to_pylist()
        if row["line_class"] in ("dead", "not_measured")
    }
    assert unranked == dead - municipalities


def test_bytes_depend_on_the_exports_alone(published: Installation, raw: Path, tmp_path: Path) -> None:
    """Another path, one thread, another time zone and language: the same release, byte for byte."""
    other = fresh(
        tmp_path / "elsewhere" / "with blanks", raw,
        HOTLINE_THREADS="1", TZ="America/Lima", LANG="C", LC_ALL="C", PYTHONHASHSEED="7",
    )  # fmt: skip
    other.run()
    for wave in ("2022", "2023"):
        assert other.current(wave) == published.current(wave)
        assert other.hashes(wave) == published.hashes(wave)
        mine, theirs = (one.paths.current(wave) / "manifest.json" for one in (other, published))
        assert mine.read_bytes() == theirs.read_bytes()


def test_one_line_again_equals_a_full_run(copy: Installation, raw: Path, tmp_path: Path) -> None:
    line = "370100"
    before = copy.current("2023")
    change_one_answer(copy.paths.raw / "2023" / "web_2023.csv", line)
    result = copy.hotline("run", "--wave", "2023", "--line", line)
    assert result.code == 0, result.err
    assert "1 条热线" in result.err
    assert copy.current("2023") != before
    full = fresh(tmp_path / "full", raw)
    change_one_answer(full.paths.raw / "2023" / "web_2023.csv", line)
    full.run()
    assert copy.current("2023") == full.current("2023")
    assert copy.hashes("2023") == full.hashes("2023")


def test_running_again_publishes_the_same(copy: Installation) -> None:
    before = {wave: (copy.current(wave), copy.hashes(wave)) for wave in ("2022", "2023")}
    result = copy.run("--json")
    assert [(each["wave"], each["release"]) for each in result.json] == [
        (wave, name) for wave, (name, _) in before.items()
    ]
    assert {wave: (copy.current(wave), copy.hashes(wave)) for wave in ("2022", "2023")} == before


def change_one_answer(path: Path, line: str) -> None:
    """Turn one 丰富 of the line's inspections into 欠缺, or the other way round."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    for number, text in enumerate(lines):
        if f",{line}," in text and ",丰富," in text:
            lines[number] = text.replace(",丰富,", ",欠缺,", 1)
            break
    else:
        raise AssertionError(f"no 丰富 for {line}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")


def read_json(installation: Installation, wave: str, name: str) -> list | dict:
    return json.loads((installation.paths.current(wave) / name).read_text(encoding="utf-8"))
