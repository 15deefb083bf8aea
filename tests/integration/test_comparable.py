"""Two waves whose trees differ: wave 2022 by a method version of its own, made here.

Its tree lacks indicators that score low and weighs those that score high, so that the total falls from
2022 to 2023 although it rises on the common indicators. Every kind of row of comparable_with.csv is there.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dagster_project.claims.wording import DOWN_WORDS, QUALIFIERS, UP_WORDS
from tests.conftest import Installation, fresh, made_once

Row = dict[str, Any]
NANO = 10**9
WEIGHTS = {  # of the older tree: first level, second level, third level
    "A1": (10, {"B01": (45, {"I01": 60, "I02": 40}), "B02": (25, {"I03": 50, "I04": 50}),
                "B03": (30, {"I05": 40, "I06": 60})}),
    "A2": (40, {"B04": (60, {"I07": 30, "J08": 40, "J09a": 20, "J09b": 10}),
                "B05": (30, {"J10": 60, "I12": 30, "J99": 10}), "B06": (5, {"I13": 100}),
                "B07": (5, {"I15": 100})}),
    "A3": (50, {"B09": (90, {"I20": 60, "I21": 40}), "B10": (4, {"I22": 60, "I23": 40}),
                "B11": (2, {"I24": 100}), "B12": (4, {"I26": 70, "I27": 30})}),
}  # fmt: skip
LIKE = {"J08": "I08", "J09a": "I09", "J09b": "I10", "J10": "I10", "J99": "I11"}  # scored as this one is now
MAPPING = [
    *({"old": code, "new": code, "kind": "same"} for code in (
        "I01", "I02", "I03", "I04", "I05", "I06", "I07", "I12", "I13", "I15", "I20", "I21", "I22", "I23", "I24", "I26",
        "I27",
    )),
    {"old": "J08", "new": "I08", "kind": "renamed"},
    {"old": "J09a", "new": "I09", "kind": "merged"},
    {"old": "J09b", "new": "I09", "kind": "merged"},
    {"old": "J10", "new": "I10", "kind": "split", "share": "70"},
    {"old": "J10", "new": "I11", "kind": "split", "share": "30"},
    {"old": "J99", "new": "", "kind": "dropped"},
    *({"old": "", "new": code, "kind": "new"} for code in ("I14", "I16", "I17", "I18", "I19", "I25")),
]  # fmt: skip
# (second level, older indicators with their weights, newer ones with their shares), by hand from the above
COMMON = [
    *(
        (parent, {code: weight}, {code: 1})
        for _, seconds in WEIGHTS.values()
        for parent, (_, leaves) in seconds.items()
        for code, weight in leaves.items()
        if code.startswith("I")
    ),
    ("B04", {"J08": 40}, {"I08": 1}),
    ("B04", {"J09a": 20, "J09b": 10}, {"I09": 1}),
    ("B05", {"J10": 60}, {"I10": 70, "I11": 30}),
]


@pytest.fixture(scope="module")
def compared(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with made_once(tmp_path_factory, "compared") as (root, is_ours):
        if is_ours:
            installation = fresh(root, raw)
            write_older_method(installation.paths.method("v2023"), installation.paths.method("v2022"))
            declare(installation)
            write_mapping(installation.paths.method("v2023") / "comparable_with.csv")
            installation.run()
    yield Installation(root)


def declare(installation: Installation) -> None:
    yml = installation.paths.wave_yml("2022")
    yml.write_text(yml.read_text(encoding="utf-8").replace("method: v2023", "method: v2022"), encoding="utf-8")
    (yml.parent / "recommendations.yml").unlink()  # of indicators that this tree lacks


def write_older_method(newer: Path, older: Path) -> None:
    """The method version of WEIGHTS: what the newer one says of the indicators that it has, or is like."""
    shutil.copytree(newer, older)
    own = {code: LIKE.get(code, code) for _, seconds in WEIGHTS.values() for _, l3 in seconds.values() for code in l3}
    rows = {row["indicator_code"]: row for row in read(older / "indicators.csv")}
    names = {row[code]: row[name] for row in rows.values() for code, name in (("l1_code", "l1"), ("l2_code", "l2"))}
    indicators = [
        {
            **rows[LIKE.get(code, code)], "indicator_code": code, "l1_code": l1, "l1": names[l1], "l2_code": l2,
            "l2": names[l2], "l1_weight": l1_weight, "l2_weight": l2_weight, "l3_weight": l3_weight,
        }
        for l1, (l1_weight, seconds) in WEIGHTS.items()
        for l2, (l2_weight, leaves) in seconds.items()
        for code, l3_weight in leaves.items()
    ]  # fmt: skip
    write(older / "indicators.csv", indicators)
    for name in ("channel_weights", "na_policy", "scoring_rules"):
        given = read(older / f"{name}.csv")
        taken = [
            {**row, "indicator_code": code}
            for code, as_ in own.items()
            for row in given
            if row["indicator_code"] == as_
        ]
        for number, row in enumerate(taken):
            if "rule_code" in row and row["indicator_code"] in LIKE:
                row |= {"rule_code": f"{row['indicator_code']}_{number}", "partition_code": ""}
        write(older / f"{name}.csv", taken)
    for name in ("line_flags", "line_bands"):
        given = read(older / f"{name}.csv")
        write(older / f"{name}.csv", [row for row in given if row["indicator_code"] in own], list(given[0]))


def write_mapping(path: Path, rows: list[dict[str, str]] = MAPPING) -> None:
    write(
        path,
        [
            {
                "baseline_method": "v2022", "baseline_indicator_code": row["old"], "indicator_code": row["new"],
                "kind": row["kind"], "share_pct": row.get("share", ""),
            }
            for row in rows
        ],
    )  # fmt: skip


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def write(path: Path, rows: list[Row], header: list[str] | None = None) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, header or list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def table(installation: Installation, wave: str, name: str) -> list[Row]:
    return pq.ParquetFile(installation.paths.current(wave) / f"{name}.parquet").read().to_pylist()


def figures(installation: Installation, wave: str = "2023") -> dict[str, Row]:
    text = (installation.paths.current(wave) / "figures.json").read_text(encoding="utf-8")
    return {row["id"]: row for row in json.loads(text, parse_float=Decimal)}


# --- the rescored waves a second time, in fractions --------------------------------------------

Scores = dict[str, dict[str, Fraction | None]]  # line -> node -> score in points


def leaves_of(installation: Installation, wave: str, channel: str) -> Scores:
    found: Scores = {}
    for row in table(installation, wave, "line_scores"):
        if row["channel"] == channel and row["level"] == 3:
            score = None if row["score_nano"] is None else Fraction(row["score_nano"], NANO)
            found.setdefault(row["line_id"], {})[row["node_code"]] = score
    return found


def mean(children: list[tuple[int, Fraction | None]]) -> Fraction | None:
    present = [(weight, score) for weight, score in children if score is not None]
    weight = sum(weight for weight, _ in present)
    if 2 * weight < sum(weight for weight, _ in children):
        return None
    return sum((share * score for share, score in present), Fraction(0)) / weight


def rescored(leaves: Mapping[str, Fraction | None], side: int, common: list[Any]) -> dict[str, Fraction | None]:
    """Every node of the common tree of one line; `side` 1 for the older wave, 2 for the newer one."""
    scores: dict[str, Fraction | None] = {}
    tops = []
    for first, (first_weight, seconds) in WEIGHTS.items():
        middles = []
        for second, (second_weight, _) in seconds.items():
            nodes = [row for row in common if row[0] == second]
            if not nodes:
                continue
            parts = []
            for row in nodes:
                score = mean([(weight, leaves[code]) for code, weight in row[side].items()])
                parts.append((sum(row[1].values()), score))
                if len(row[2]) == 1:
                    scores[next(iter(row[2]))] = score
            scores[second] = mean(parts)
            middles.append((second_weight, scores[second]))
        if middles:
            scores[first] = mean(middles)
            tops.append((first_weight, scores[first]))
    scores["T"] = mean(tops)
    return scores


def both(installation: Installation, channel: str) -> tuple[Scores, Scores]:
    leaves = [leaves_of(installation, wave, channel) for wave in ("2022", "2023")]
    known = [set(next(iter(each.values()))) for each in leaves]
    common = [row for row in COMMON if set(row[1]) <= known[0] and set(row[2]) <= known[1]]
    before, after = ({line: rescored(own, side, common) for line, own in leaves[side - 1].items()} for side in (1, 2))
    return before, after


def printed(value: Fraction | None) -> Decimal | None:
    """Half up to two decimals, of whole nanopoints to eight; no rescored score here lies nearer to a half."""
    if value is None:
        return None
    eight = Decimal(int((value * 10**8 * 2 + 1) // 2))
    return eight.scaleb(-8).quantize(Decimal("0.01"), ROUND_HALF_UP)


def change(before: Fraction | None, after: Fraction | None) -> Decimal | None:
    ends = printed(before), printed(after)
    return None if ends[0] is None or ends[1] is None else ends[1] - ends[0]


@pytest.mark.parametrize("channel", ["all", "phone", "web"])
def test_every_comparable_change_of_a_line_is_that_of_a_second_computation(
    compared: Installation, channel: str
) -> None:
    before, after = both(compared, channel)
    rows = [row for row in table(compared, "2023", "line_scores") if row["channel"] == channel]
    seen = 0
    for row in rows:
        line, node = row["line_id"], row["node_code"]
        expected = change(before[line].get(node), after[line].get(node))
        assert row["comparable_change"] == expected, (line, node)
        seen += expected is not None
        word = "comparable_basis" if expected is not None else "not_comparable" if row["change"] is not None else None
        assert row["comparability"] == word, (line, node)
    assert seen > 349 * (5 if channel == "web" else 10)


def test_every_comparable_mean_is_that_of_a_second_computation(compared: Installation) -> None:
    before, after = both(compared, "all")
    frames = [{row["line_id"]: row for row in table(compared, wave, "lines")} for wave in ("2022", "2023")]
    columns = {"tier": "tier", "province": "province_code", "rank_group": "rank_group"}
    checked = 0
    for row in table(compared, "2023", "aggregates"):
        if row["channel"] != "all" or row["node_code"] not in after["110000"]:
            continue
        column = columns.get(row["dimension"])
        ends = []
        for scores, frame in zip((before, after), frames, strict=True):
            lines = [line for line, each in frame.items() if column is None or each[column] == row["member"]]
            values = [value for line in lines if (value := scores[line][row["node_code"]]) is not None]
            ends.append(sum(values, Fraction(0)) / len(values) if values else None)
        assert (row["comparable_before"], row["comparable_after"]) == (printed(ends[0]), printed(ends[1]))
        assert row["comparable_change"] == change(*ends)
        checked += row["comparable_change"] is not None
    assert checked > 42 * 30


def test_plain_and_comparable_change_differ_in_sign_and_both_are_told(compared: Installation) -> None:
    total = figures(compared)["total.score"]
    assert total["comparability"] == "comparable_basis"
    assert total["change"] < 0 < total["comparable_change"]
    assert total["change"] == total["value"] - figures(compared, "2022")["total.score"]["value"]
    claims = json.loads((compared.paths.current("2023") / "claims.json").read_text(encoding="utf-8"))
    first = claims["sections"][0]["sentences"][0]["text"]
    assert f"{-total['change']:.2f}" in first and f"{total['comparable_change']:.2f}" in first
    assert any(word in first for word in QUALIFIERS)
    assert not any(word in first for word in (*UP_WORDS, *DOWN_WORDS))


def test_what_a_method_has_no_say_in_stays_comparable(compared: Installation) -> None:
    told = figures(compared)
    for name in ("phone.connection_rate", "class.hot"):
        assert told[name]["comparability"] == "same_method"
        assert told[name]["comparable_change"] == told[name]["change"]
    assert told["web.reply_within_3d"]["comparability"] in (None, "not_comparable")
    assert told["phone.response_rate_60_100"]["comparability"] == "not_comparable"
    assert told["phone.response_rate_60_100"]["comparable_change"] is None
    lead = told["tier.lead_of_tier3_over_tier2"]
    ends = [told[name]["comparable_change"] for name in ("tier.score.tier3", "tier.score.tier2")]
    assert lead["comparable_change"] == ends[0] - ends[1]


def test_rankings_carry_both_changes(compared: Installation) -> None:
    totals = {row["line_id"]: row for row in table(compared, "2023", "line_scores")
              if row["channel"] == "all" and row["level"] == 0}  # fmt: skip
    rows = table(compared, "2023", "rankings")
    assert {row["comparability"] for row in rows} == {"comparable_basis"}
    for row in rows:
        if row["unit"] == "line":
            assert row["comparable_change"] == totals[row["unit_code"]]["comparable_change"]
    assert any(row["change"] < 0 < row["comparable_change"] for row in rows)


def test_the_site_shows_both_numbers_and_no_arrow(compared: Installation) -> None:
    total = figures(compared)["total.score"]
    site = compared.paths.current_report("2023") / "site"
    index = (site / "index.html").read_text(encoding="utf-8")
    assert f"{total['change']:+.2f}（可比 {total['comparable_change']:+.2f}）" in index
    for page in ("index.html", "rankings/key_city.html", "lines/110000.html"):
        text = (site / page).read_text(encoding="utf-8")
        assert "可比" in text
        assert not any(arrow in text for arrow in "▲▼↑↓")


def edited(rows: list[dict[str, str]], change: Callable[[list[dict[str, str]]], None]) -> list[dict[str, str]]:
    copies = [{**row} for row in rows]
    change(copies)
    return copies


def test_without_a_mapping_nothing_is_comparable_and_the_text_says_so(compared: Installation, tmp_path: Path) -> None:
    shutil.copytree(compared.root, tmp_path / "copy", symlinks=True)
    bare = Installation(tmp_path / "copy")
    (bare.paths.method("v2023") / "comparable_with.csv").unlink()
    bare.run("--wave", "2023", "--no-report")
    total = figures(bare)["total.score"]
    assert (total["comparability"], total["comparable_change"]) == ("not_comparable", None)
    assert {row["comparability"] for row in table(bare, "2023", "rankings")} == {"not_comparable"}
    claims = json.loads((bare.paths.current("2023") / "claims.json").read_text(encoding="utf-8"))
    first = claims["sections"][0]["sentences"][0]["text"]
    assert "不可比" in first and not any(word in first for word in (*UP_WORDS, *DOWN_WORDS))


def test_a_mapping_that_forgets_an_indicator_stops_the_run(compared: Installation, tmp_path: Path) -> None:
    shutil.copytree(compared.root / "raw", tmp_path / "raw")
    wrong = Installation(tmp_path)
    write_mapping(wrong.paths.method("v2023") / "comparable_with.csv", MAPPING[1:])
    result = wrong.hotline("check", "--wave", "2023")
    assert result.code == 3
    assert "comparable_with.csv" in result.out + result.err and "I01" in result.out + result.err
