"""The report's own text: what is written for which figures, and what a false or faulty one does."""

import json
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagster_project.claims import narrative
from dagster_project.claims.narrative import Sources, claims_of, read_text, require, sources, text_faults
from dagster_project.claims.wording import DOWN_WORDS, QUALIFIERS, UP_WORDS
from dagster_project.errors import GateFailed, InputRejected
from dagster_project.paths import PROJECT, Paths
from dagster_project.release.identity import declaration_files, declaration_version
from tests.unit.gate_world import wave
from tests.unit.small_release import write_small_release

TEMPLATE = PROJECT / "raw/narratives/default.yml"
WORDS = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))["words"]
Row = dict[str, Any]


def figure(name: str, value: Any, unit: str = "point", **more: Any) -> Row:
    blank = dict.fromkeys(("k", "n", "change", "growth_pct", "footnote"))
    return {"id": name, "label": name, "unit": unit, "value": value, **blank, **more}


class Release:
    """A release folder with the figures of a test; a raw folder with texts, and a method that declares the figures."""

    def __init__(self, folder: Path):
        self.folder = write_small_release(folder / "release")
        self.baseline = folder / "baseline"
        self.paths = Paths(raw=folder / "raw", home=folder / "home")
        self.template = self.paths.raw / "narratives/default.yml"
        self.advice = self.paths.wave_raw("2023") / "recommendations.yml"
        for file in (self.template, self.advice):
            file.parent.mkdir(parents=True)
        self.declare_method("m", "a")

    def declare_method(self, name: str, *figures: str) -> None:
        folder = self.paths.method(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "figures.csv").write_text("\n".join(["figure_id", *figures]), encoding="utf-8")
        (folder / "rank_groups.csv").write_text("group_code\nprovince", encoding="utf-8")

    def figures(self, *rows: Row) -> None:
        self.declare_method("m", *(row["id"] for row in rows))
        (self.folder / "figures.json").write_text(json.dumps(rows), encoding="utf-8")

    def before(self, **values: Any) -> None:
        self.baseline.mkdir()
        rows = [figure(name, value) for name, value in values.items()]
        (self.baseline / "figures.json").write_text(json.dumps(rows), encoding="utf-8")

    def declare(self, *sentences: Any) -> None:
        content = {"words": WORDS, "sections": [{"id": "one", "title": "一", "sentences": list(sentences)}]}
        self.template.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    def recommend(self, **item: Any) -> None:
        content = {"recommendations": [{"title": "建议", **item}]}
        self.advice.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    def claims(self) -> dict[str, Any]:
        text = read_text(self.paths, "2023", "m")
        return claims_of(self.folder, "2023", text, self.baseline if self.baseline.exists() else None)

    def faults(self) -> list[str]:
        return text_faults(self.paths, "2023", "m")

    def texts(self) -> list[str]:
        return [sentence["text"] for sentence in self.claims()["sections"][0]["sentences"]]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


def sentence(text: str, **more: Any) -> Row:
    return {"text": text, **more}


# --- what is written ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "growth", "expected"),
    [
        (3.58, 4.19, "得分较基期上升3.58分,增幅为4.19%。"),
        (-1.5, -1.68, "得分较基期下降1.50分,降幅为1.68%。"),
        (0.0, 0.0, "得分与基期持平,幅度为零。"),
    ],
)
def test_words_of_direction_follow_the_sign(release: Release, change: float, growth: float, expected: str) -> None:
    release.figures(figure("a", 89.08, change=change, growth_pct=growth))
    release.declare(sentence("得分{change:a},{growth:a}。"))
    assert release.texts() == [expected]
    assert release.claims()["counts"] == {"n_claims": 2, "n_false": 0}


def test_a_change_that_another_basis_reverses_has_no_word_of_direction(release: Release) -> None:
    release.figures(figure("a", 86.45, change=2.63, growth_pct=3.14, comparable_change=-0.98))
    release.declare(sentence("得分{change:a}。"), sentence("得分{growth:a}。"))
    change, growth = release.texts()
    assert "+2.63" in change and "−0.98" in change and "+3.14%" in growth
    for text in (change, growth):
        assert any(word in text for word in QUALIFIERS)
        assert not any(word in text for word in (*UP_WORDS, *DOWN_WORDS))
    assert release.claims()["counts"]["n_false"] == 0


def test_a_change_that_nothing_compares_has_no_word_of_direction(release: Release) -> None:
    release.figures(figure("a", 86.45, change=-2.63, growth_pct=-3.14, comparability="not_comparable"))
    release.declare(sentence("得分{change:a},{growth:a}。"))
    (text,) = release.texts()
    assert "−2.63" in text and "不可比" in text and "可比口径" not in text
    assert not any(word in text for word in (*UP_WORDS, *DOWN_WORDS))


def test_both_numbers_are_told_where_they_differ_with_one_sign(release: Release) -> None:
    release.figures(figure("a", 86.45, change=2.63, comparability="comparable_basis", comparable_change=0.98))
    release.declare(sentence("得分{change:a}。"))
    (text,) = release.texts()
    assert "+2.63" in text and "+0.98" in text


def test_an_edited_word_for_such_a_change_stops_publication(release: Release) -> None:
    release.figures(figure("a", 86.45, change=2.63, comparable_change=-0.98))
    release.declare(sentence("得分{change:a}。"))
    text = release.template.read_text(encoding="utf-8")
    edited = {**WORDS, "not_comparable": "提升{value}{unit}"}
    content = {**yaml.safe_load(text), "words": edited}
    release.template.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.raises(GateFailed, match="提升"):
        require(release.claims())


def test_swapped_words_stop_publication(release: Release) -> None:
    release.figures(figure("a", 86.45, change=2.63))
    release.declare(sentence("得分{change:a}。"))
    content = yaml.safe_load(release.template.read_text(encoding="utf-8"))
    content["words"] |= {"up": WORDS["down"], "down": WORDS["up"]}
    release.template.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.raises(GateFailed, match="下降"):
        require(release.claims())


def test_the_first_variant_that_holds_is_written(release: Release) -> None:
    rising = {"type": "ordering", "figures": ["low", "high"], "direction": "increasing"}
    variants = [
        sentence("得分随级别而变,依次为{level:low}与{level:high}。", when=[rising]),
        sentence("高为{level:high}。"),
    ]
    release.declare(variants)
    release.figures(figure("low", 1.5), figure("high", 2))
    assert release.texts() == ["得分随级别而变,依次为1.50与2.00。"]
    assert [each["type"] for each in release.claims()["sections"][0]["sentences"][0]["claims"]] == [
        "ordering", "level", "level",
    ]  # fmt: skip
    release.figures(figure("low", 2), figure("high", 2))
    assert release.texts() == ["高为2.00。"]


def test_a_sentence_about_a_figure_without_value_is_left_out(release: Release) -> None:
    release.declare(sentence("得分{level:a}。"), sentence("得分{level:b}。"), sentence("{change:b}。"))
    release.figures(figure("a", None), figure("b", 1))
    assert release.texts() == ["得分1.00。"]


def test_shares_and_extremes_and_places(release: Release) -> None:
    release.figures(
        figure("s.one", 38.83, "percent", k=139, n=358, label="甲:响应率"),
        figure("s.two", 12.5, "percent", k=1, n=8, label="乙:响应率"),
    )
    release.declare(
        sentence("占{share:s.one},共{whole:s.one}件。"),
        sentence("最高{highest:s.*:响应率},最低{lowest:s.*:响应率}。"),
        sentence("首位{top:province:1}。"),
    )
    share, extremes, place = release.texts()
    assert (share, extremes) == (
        "占38.83%\uff08139/358\uff09,共358件。",
        "最高甲\uff0838.83%\uff09,最低乙\uff0812.50%\uff09。",
    )
    ranked = narrative.read_world(release.folder).rankings["province"]
    assert place == f"首位{'、'.join(row['unit_name'] for row in ranked if row['rank'] == 1)}。"
    assert release.claims()["counts"]["n_false"] == 0


def test_a_tie_has_no_highest(release: Release) -> None:
    release.figures(figure("s.one", 5), figure("s.two", 5))
    release.declare(sentence("最高{highest:s.*}。"))
    assert release.texts() == []


def test_names_are_text_whatever_they_hold(release: Release) -> None:
    """A name is put in last: what looks like a placeholder in it stays as it is."""
    release.figures(figure("s.one", 5, label="{level:s.two}"), figure("s.two", 4))
    release.declare(sentence("最高{highest:s.*}。"))
    assert release.texts() == ["最高{level:s.two}\uff085.00分\uff09。"]


# --- what stops publication --------------------------------------------------------------------


def test_a_stated_change_that_the_two_releases_do_not_bear_out(release: Release) -> None:
    release.figures(figure("a", 89.08, change=3.57, growth_pct=4.19))
    release.before(a=85.5)
    release.declare(sentence("得分{change:a},{growth:a}。"))
    with pytest.raises(GateFailed) as refused:
        require(release.claims())
    message = str(refused.value)
    assert "得分较基期上升3.57分" in message
    assert "+3.57" in message and "+3.58 (85.50 → 89.08)" in message
    assert release.claims()["counts"] == {"n_claims": 2, "n_false": 1}


@pytest.mark.parametrize(
    "claim",
    [
        {"type": "ordering", "figures": ["t2", "t3"], "direction": "decreasing"},
        {"type": "threshold", "figure": "t2", "operator": "above", "bound": 95},
    ],
)
def test_a_false_claim_of_a_template_or_a_recommendation(release: Release, claim: Row) -> None:
    release.figures(figure("t2", 90.33), figure("t3", 90.4))
    release.declare(sentence("得分随城市级别而变。", claims=[claim]))
    with pytest.raises(GateFailed, match="得分随城市级别而变"):
        require(release.claims())
    release.declare(sentence("得分{level:t2}。"))
    require(release.claims())
    release.recommend(text="应当推广。", claims=[claim])
    with pytest.raises(GateFailed, match="应当推广"):
        require(release.claims())


def test_a_share_that_is_not_k_of_n(release: Release) -> None:
    release.figures(figure("a", 70.71, "percent", k=247, n=349))
    release.declare(sentence("占{share:a}。"))
    with pytest.raises(GateFailed, match=r"70\.77"):
        require(release.claims())


# --- faults of the files -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("得分89.08分。", "89.08"),
        ("得分{value:a}。", "{value:a}"),
        ("得分{level:a}。}", "花括号"),
        ("得分提升{level:a}分。", "升降词"),
        ("{text:得分提升}。", "升降词"),
        ("得分{text:89.08}。", "整数"),
        ("首位{top:province}。", "名次"),
        (89, "应为文本"),
    ],
)
def test_a_faulty_sentence_is_told_with_its_place(release: Release, text: Any, told: str) -> None:
    release.declare(sentence("得分。"), [sentence("得分。"), sentence(text)])
    with pytest.raises(InputRejected) as refused:
        release.claims()
    assert "sections[0].sentences[1][1].text" in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("claim", "place"),
    [
        ({"type": "guess"}, "claims[0].type"),
        ({"type": "level", "figure": "a"}, "claims[0].value"),
        ({"type": "level", "figure": "a", "value": "many"}, "claims[0].value"),
        ({"type": "level", "figure": "a", "value": float("inf")}, "claims[0].value"),
        ({"type": "level", "figure": "a", "value": 1, "valeu": 1}, "claims[0].valeu"),
        ({"type": "ordering", "figures": ["a"], "direction": "increasing"}, "claims[0].figures"),
        ({"type": "ordering", "figures": ["a", "b"], "direction": "rising"}, "claims[0].direction"),
        ({"type": "partition", "figures": ["a", "b"], "values": [1]}, "claims[0].values"),
        ({"type": "share", "value": 1}, "claims[0].n"),
        ({"type": "share", "value": 1, "n": 0}, "claims[0].n"),
        ({"type": "difference", "figure": "a"}, "claims[0].value"),
        ("level", "claims[0]"),
    ],
)
def test_a_faulty_claim_is_told_with_its_place(release: Release, claim: Any, place: str) -> None:
    release.declare(sentence("得分。"))
    release.declare_method("m", "a", "b")
    release.recommend(text="应当推广。", claims=[claim])
    assert {tuple(each.split(": ")[:2]) for each in release.faults()} == {
        ("2023/recommendations.yml", f"recommendations[0].{place}")
    }
    with pytest.raises(InputRejected, match=r"2023/recommendations\.yml"):
        release.claims()


@pytest.mark.parametrize(
    ("item", "place", "unknown"),
    [
        (sentence("得分{level:aa}。"), "text", "aa"),
        (sentence("最高{highest:a,b.*}。"), "text", "b.*"),
        (sentence("首位{top:country:1}。"), "text", "country"),
        (sentence("得分。", claims=[{"type": "level", "figure": "aa", "value": 1}]), "claims", "aa"),
        (sentence("得分。", claims=[{"type": "rank", "group": "city", "unit": "甲", "rank": 1}]), "claims", "city"),
        (sentence("得分。", when=[{"type": "partition", "figures": ["a", "aa"]}]), "when", "aa"),
    ],
)
def test_a_name_that_no_method_declares_is_told_before_there_is_a_release(
    release: Release, item: Row, place: str, unknown: str
) -> None:
    """At publication the sentence would be left out without a word."""
    release.declare(sentence("得分{level:a}。首位{top:province:1}。最高{highest:a*}。{text:12}。"), item)
    (fault,) = release.faults()
    assert fault.startswith(f"narratives/default.yml: sections[0].sentences[1][0].{place}: ")
    assert f"「{unknown}」" in fault


def test_one_template_serves_waves_of_different_methods_a_recommendation_one_wave(release: Release) -> None:
    release.declare_method("later", "b")
    release.declare(sentence("得分{level:a}。"), sentence("得分{level:b}。"))
    assert release.faults() == []
    release.recommend(text="得分{level:b}。")
    (fault,) = release.faults()
    assert fault.startswith("2023/recommendations.yml: recommendations[0].text: ")


def test_faults_of_both_files_are_told_at_once(release: Release) -> None:
    release.template.write_text("sections: [", encoding="utf-8")
    release.recommend(text="得分89分。")
    assert [each.split(": ")[0] for each in release.faults()] == ["narratives/default.yml", "2023/recommendations.yml"]


def test_a_recommendation_may_say_improve_but_no_number_of_its_own(release: Release) -> None:
    release.figures(figure("a", 29.23, "percent", k=102, n=349))
    release.declare(sentence("得分。"))
    release.recommend(text="占{share:a},建议提升。")
    assert release.claims()["recommendations"][0]["text"].endswith("建议提升。")
    release.recommend(text="占29.23%,建议提升。", claims=[{"type": "level", "figure": "a", "value": 29.23}])
    require(release.claims())
    release.recommend(text="占29.24%,建议提升。", claims=[{"type": "level", "figure": "a", "value": 29.24}])
    with pytest.raises(GateFailed, match=r"29\.24"):
        require(release.claims())
    release.recommend(text="占29.23%,建议提升。")
    with pytest.raises(InputRejected, match=r"29\.23"):
        release.claims()


def test_a_recommendation_about_nothing_is_refused(release: Release) -> None:
    release.figures(figure("a", None))
    release.declare(sentence("得分。"))
    release.recommend(text="得分{level:a}。")
    with pytest.raises(InputRejected, match=r"recommendations\[0\]"):
        release.claims()


# --- the project's own text --------------------------------------------------------------------


@pytest.mark.parametrize("wave", ["2022", "2023"])
def test_the_text_of_both_waves_can_be_read_and_has_the_sections_that_the_report_shows(
    tmp_path: Path, wave: str
) -> None:
    text = read_text(Paths(raw=PROJECT / "raw", home=tmp_path), wave, "v2023")
    assert text.recommendations
    assert [section.id for section in text.template.sections] == [
        "overall", "connection", "hot_cold", "web", "intelligence", "phone_resolution", "web_timeliness",
    ]  # fmt: skip


def test_claims_are_the_same_bytes_again(release: Release) -> None:
    release.figures(figure("a", 89.0, change=-0.5), figure("hot", 242, "count", k=242, n=349))
    release.declare(sentence("得分{level:a}分,{change:a};热线{level:hot}条。"))
    content = release.claims()
    assert narrative.as_json(content) == narrative.as_json(release.claims())
    claims = content["sections"][0]["sentences"][0]["claims"]
    assert claims[0] == {"type": "level", "figures": ["a"], "claimed": "89.00", "computed": "89.00", "holds": True}
    assert claims[2] == {"type": "count", "figures": ["hot"], "claimed": "242", "computed": "242", "holds": True}
    assert narrative.read_world(release.folder).number("a") == D("89.0")


def test_the_text_is_part_of_what_a_release_is_made_from(tmp_path: Path) -> None:
    paths = Paths(raw=tmp_path / "raw", home=tmp_path / "home")
    for file in (paths.wave_yml("2023"), paths.frame("f"), paths.method("m") / "settings.csv"):
        file.parent.mkdir(parents=True)
        file.write_text("x", encoding="utf-8")
    assert sources(paths, "2023") == Sources(TEMPLATE, None)
    declared = wave(method="m", frame="f")
    versions = [declaration_version(declaration_files(paths, declared))]
    for file in (paths.raw / "2023/recommendations.yml", paths.raw / "narratives/default.yml"):
        for text in ("a", "b"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
            versions.append(declaration_version(declaration_files(paths, declared)))
    assert len(set(versions)) == 5
    assert sources(paths, "2023").template == paths.raw / "narratives/default.yml"
