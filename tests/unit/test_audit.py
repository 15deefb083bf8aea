"""`hotline audit`: the published 2023 report, and files of every fault."""

import csv
import json
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from dagster_project.claims.audit import Audit, audit
from dagster_project.claims.claim import World
from dagster_project.cli import app
from dagster_project.errors import InputRejected, UsageError
from dagster_project.paths import PROJECT
from tests.unit.small_release import write_small_release

PUBLISHED = PROJECT / "docs/audit/published_2023.yml"


@pytest.fixture(scope="module")
def published() -> Audit:
    return audit(PUBLISHED)


def false_of(result: Audit, words: str) -> list[tuple[str, str, str]]:
    """(type, claimed, computed) of what does not hold in the one sentence with these words."""
    found = [one for one in result.sentences if words in one.text]
    assert len(found) == 1
    return [(each.type, each.claimed, each.computed) for each in found[0].verdicts if not each.holds]


def test_two_dead_lines_or_one(published: Audit) -> None:
    (found,) = published.contradictions
    assert (found.figure, found.what) == ("class.dead", "value")
    assert [claimed for _, _, claimed in found.statements] == ["2", "1"]
    assert "死线2条" in found.statements[0][1] and "降至1条" in found.statements[1][1]
    assert ("difference", "2 → 1", "0 (2 → 2)") in false_of(published, "降至1条")


def test_the_score_does_not_rise_with_the_tier(published: Audit) -> None:
    assert false_of(published, "随城市级别") == [
        ("ordering", "tier.score.tier3 < tier.score.tier2", "tier.score.tier2 − tier.score.tier3 = -0.07")
    ]
    assert false_of(published, "三线城市高于二线城市") == []


def test_the_response_share_is_of_no_349(published: Audit) -> None:
    assert false_of(published, "70.71%") == [("share", "70.71% (k/349)", "246/349 = 70.49%, 247/349 = 70.77%")]


def test_the_resolved_shares_do_not_sum_to_a_whole(published: Audit) -> None:
    assert false_of(published, "40.62%") == [("partition", "40.62 + 52.05 + 7.31", "Σ = 99.98")]


def test_none_of_the_reply_shares_is_of_349(published: Audit) -> None:
    found = false_of(published, "38.83%")
    assert [(name, claimed) for name, claimed, _ in found] == [
        ("share", f"{value}% (k/349)") for value in ("38.83", "35.75", "10.62", "14.80")
    ]


def test_nothing_else_is_found(published: Audit) -> None:
    counts = published.to_json()["counts"]
    assert counts["n_false"] == 1 + 2 + 1 + 4 + 1
    assert counts["n_contradictions"] == 1
    sound = [one for one in published.sentences if all(each.holds for each in one.verdicts)]
    assert len(sound) == len(published.sentences) - 5


def write(folder: Path, **content: Any) -> Path:
    path = folder / "text.yml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def test_the_audited_figures_are_the_published_ones() -> None:
    with (PROJECT / "tests/golden/published_figures_2023.csv").open(encoding="utf-8") as handle:
        rows = {row["figure_id"]: row for row in csv.DictReader(handle)}
    figures = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))["figures"]
    for name, figure in figures.items():
        if "value" in figure:
            assert D(str(figure["value"])) == D(rows[name]["value_2023"]), name
        if "baseline" in figure:
            assert D(str(figure["baseline"])) == D(rows[name]["value_2022"]), name
        if "growth_pct" in figure:
            change = rows[name.replace("connection_rate", "connection_rate_change")]
            assert D(str(figure["growth_pct"])) == D(change["value_2023"]), name


FIGURES = {
    "a": {"unit": "point", "value": 89.08, "baseline": 85.5},
    "b": {"unit": "point", "value": 86.45, "change": 2.63, "comparable_change": -0.98},
}


def test_ranks_are_computed_from_values(tmp_path: Path) -> None:
    cities = [{"name": "甲", "value": 90}, {"name": "乙", "value": 95.5}, {"name": "丙", "value": 90}]
    claims = [{"type": "rank", "group": "城市", "unit": "丙", "rank": rank, "printed": "第二"} for rank in (2, 3)]
    path = write(tmp_path, rankings={"城市": cities}, sentences=[{"text": "丙列第二。", "claims": claims}])
    result = audit(path)
    assert [each.holds for each in result.sentences[0].verdicts] == [True, False]
    assert len(result.contradictions) == 1


def test_two_values_of_one_figure_contradict_even_where_each_is_possible(tmp_path: Path) -> None:
    claims = [{"type": "share", "figure": "x", "value": value, "n": 4} for value in (25, 50)]
    sentences = [{"text": f"占{claim['value']}%。", "claims": [claim]} for claim in claims]
    result = audit(write(tmp_path, figures={"x": {"unit": "percent"}}, sentences=sentences))
    assert all(each.holds for one in result.sentences for each in one.verdicts)
    assert [claimed for _, _, claimed in result.contradictions[0].statements] == ["25.00", "50.00"]
    assert not result.holds


def test_improvement_is_not_said_where_the_comparable_change_is_a_fall(tmp_path: Path) -> None:
    claims = [{"type": "difference", "figure": "b", "value": 2.63}]
    for text, holds in (("提升2.63分。", False), ("提升2.63分,口径不可比。", True), ("相差2.63分。", True)):
        assert audit(write(tmp_path, figures=FIGURES, sentences=[{"text": text, "claims": claims}])).holds is holds


def test_improvement_is_not_said_where_nothing_compares_the_waves(tmp_path: Path) -> None:
    figures = {"b": {"unit": "point", "value": 86.45, "change": 2.63, "comparability": "not_comparable"}}
    claims = [{"type": "difference", "figure": "b", "value": 2.63}]
    for text, holds in (("提升2.63分。", False), ("提升2.63分,口径不可比。", True)):
        assert audit(write(tmp_path, figures=figures, sentences=[{"text": text, "claims": claims}])).holds is holds


def test_a_text_is_held_against_a_release(tmp_path: Path) -> None:
    path = write(
        tmp_path, sentences=[{"text": "得分89.08分。", "claims": [{"type": "level", "figure": "a", "value": 89.08}]}]
    )
    assert audit(path, World({"a": {"value": D("89.08")}})).holds
    assert not audit(path, World({"a": {"value": D("89.09")}})).holds
    with pytest.raises(UsageError):
        audit(path)
    with pytest.raises(InputRejected, match="没有指标「a」"):
        audit(path, World({}))
    both = write(tmp_path, figures=FIGURES, sentences=[])
    with pytest.raises(UsageError):
        audit(both, World({}))


LEVEL = {"type": "level", "figure": "a", "value": 89.08}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ({"sentences": "x"}, "sentences"),
        ({"figures": FIGURES}, "sentences"),
        ({"figures": FIGURES, "sentences": [{"claims": []}]}, "sentences[0].text"),
        ({"figures": FIGURES, "sentences": ["x"]}, "sentences[0]"),
        ({"figures": FIGURES, "sentences": [], "sentence": []}, "sentence"),
        ({"figures": {"a": {"unit": "grams"}}, "sentences": []}, "figures.a.unit"),
        ({"figures": {"a": {"n": 0}}, "sentences": []}, "figures.a.n"),
        ({"figures": {1: {"n": 1}}, "sentences": []}, "figures.1"),
        ({"figures": {"a": 3}, "sentences": []}, "figures.a"),
        ({"rankings": {"g": [{"name": "甲"}]}, "sentences": []}, "rankings.g[0].value"),
        ({"figures": FIGURES, "sentences": [{"text": "89.80", "claims": [LEVEL]}]}, "sentences[0].claims"),
        (
            {"figures": FIGURES, "sentences": [{"text": "89.08", "claims": [{**LEVEL, "figure": "c"}]}]},
            "sentences[0].claims",
        ),
        (
            {"figures": FIGURES, "sentences": [{"text": "1", "claims": [
                {"type": "rank", "group": "g", "unit": "x", "rank": 1}]}]},
            "sentences[0].claims",
        ),
        ({"figures": FIGURES, "sentences": [{"text": "89.08", "claims": [{**LEVEL, "printed": "89"}, LEVEL, 3]}]},
         "sentences[0].claims[2]"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_refused_with_the_place(tmp_path: Path, content: dict[str, Any], place: str) -> None:
    with pytest.raises(InputRejected) as refused:
        audit(write(tmp_path, **content))
    assert f"text.yml: {place}: " in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"a: [",
        b"- 1",
        b"",
        b"\xff\xfe\x00",
        b"sentences: []\nsentences: []\n",
        b"title: 2023-02-31\n",
        b"!!python/object/apply:os.system ['true']",
        b"[" * 100_000,
        b"#" * 1_000_001,
        b"figures: {a: {value: .nan}}\nsentences: []\n",
        b"figures: {a: {value: 1e300}}\nsentences: []\n",
    ],
    ids=range(11),
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.yml"
    path.write_bytes(content)
    with pytest.raises(InputRejected, match=r"text\.yml"):
        audit(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="无法读取"):
        audit(tmp_path / "nothing.yml")


# --- the command -------------------------------------------------------------------------------


def test_the_command_ends_with_4_where_something_is_false() -> None:
    result = CliRunner().invoke(app, ["audit", str(PUBLISHED), "--json"])
    assert result.exit_code == 4
    assert json.loads(result.stdout)["counts"]["n_contradictions"] == 1


def test_the_command_ends_with_0_where_all_holds(tmp_path: Path) -> None:
    path = write(tmp_path, figures=FIGURES, sentences=[{"text": "得分89.08分。", "claims": [LEVEL]}])
    result = CliRunner().invoke(app, ["audit", str(path)])
    assert result.exit_code == 0, result.output
    assert "✓ 1. 得分89.08分。" in result.stdout


def test_the_command_ends_with_3_on_a_malformed_file_and_with_2_on_an_unknown_wave(tmp_path: Path) -> None:
    path = write(tmp_path, sentences="x")
    assert isinstance(CliRunner().invoke(app, ["audit", str(path)]).exception, InputRejected)
    for wave in ("../2023", "1999"):
        error = CliRunner().invoke(app, ["audit", str(path), "--wave", wave]).exception
        assert isinstance(error, UsageError)


def test_the_command_takes_the_figures_of_a_wave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    releases = tmp_path / "home" / "releases" / "2023"
    folder = write_small_release(releases / "one")
    (releases / "current").symlink_to("one")
    monkeypatch.setenv("HOTLINE_HOME", str(tmp_path / "home"))
    figures = {row["id"]: row for row in json.loads((folder / "figures.json").read_text(encoding="utf-8"))}
    value = figures["total.score"]["value"]
    for claimed, code in ((value, 0), (round(value + 1, 2), 4)):
        claim = {"type": "level", "figure": "total.score", "value": claimed}
        path = write(tmp_path, sentences=[{"text": f"得分{claimed}分。", "claims": [claim]}])
        assert CliRunner().invoke(app, ["audit", str(path), "--wave", "2023"]).exit_code == code
