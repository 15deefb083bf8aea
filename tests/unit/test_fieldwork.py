"""Findings on the field work: from bronze to what is kept, flagged and published."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_project import fieldwork
from dagster_project.errors import NotReconciled
from dagster_project.fieldwork import READ, agreement_findings, all_findings, assess, published, told
from dagster_project.paths import Paths
from tests.small_wave import WAVE, SmallWave


@pytest.fixture
def wave(tmp_path: Path) -> SmallWave:
    return SmallWave(tmp_path)


def ingested(wave: SmallWave) -> Paths:
    wave.write()
    wave.ingest()
    return wave.paths


def tables(paths: Paths) -> dict[str, pa.Table]:
    return {name: pq.ParquetFile(paths.bronze_part(name, WAVE)).read() for name in READ}


def by_hand(scores: list[tuple[str, str, str]], wave: SmallWave) -> dict[str, Any]:
    """The tone's row where probes are coded (first, second, coder) in turn."""
    for row, (first, second, _) in zip(wave.phone, scores, strict=True):
        row |= {"12、语气态度": first, "26、复核:语气态度": second, "24、复核编码员": "C9"}
    return next(row for row in agreement_findings(tables(ingested(wave))) if row["indicator_code"] == "I08")


def test_agreement_on_six_probes_by_hand(wave: SmallWave) -> None:
    """Tone of six probes. One pair is compared with an NA code and does not count: five are left.

    warm-warm twice, neutral-neutral, cold-cold, neutral-cold. Values: warm 4, neutral 3, cold 3; n = 10.
    From cold up, middles at 1.5, 4.5 and 8: cold-neutral 9. Observed 2 * 9 = 18. Expected
    2 (3*3*9 + 3*4*3.5^2 + 3*4*6.5^2) = 2 (81 + 147 + 507) = 1,470. alpha = 1 - 9 * 18 / 1,470 = .890.
    """
    found = by_hand(
        [("热情", "热情", ""), ("热情", "热情", ""), ("一般", "一般", ""), ("冷淡", "冷淡", ""), ("一般", "冷淡", ""),
         ("热情", "无效", "")],
        wave,
    )  # fmt: skip
    assert (found["n_double_coded"], found["n_compared"], found["n_scored_by_one"]) == (6, 5, 1)
    assert (found["alpha"], found["percent_agreement"], found["is_flagged"]) == (0.89, 80.0, False)
    assert found["label"] == "语气态度"


def test_constant_codes_show_a_share_and_are_not_flagged(wave: SmallWave) -> None:
    found = by_hand([("热情", "热情", "")] * 6, wave)
    assert (found["alpha"], found["low"], found["percent_agreement"], found["is_flagged"]) == (None, None, 100.0, False)


def test_disagreement_is_flagged_and_counted(wave: SmallWave) -> None:
    found = by_hand([("热情", "冷淡", ""), ("冷淡", "热情", "")] * 3, wave)
    assert found["alpha"] < 0 and found["is_flagged"]
    assert assess(wave.paths, WAVE)["counts"] == {"agreement": 1, "coders": 0, "drift": 0}


def test_a_wave_without_second_coders_or_any_probes_has_findings_too(wave: SmallWave) -> None:
    for row in wave.phone:
        row["26、复核:语气态度"] = row["24、复核编码员"] = -2
    found = tables(ingested(wave))
    rows = agreement_findings(found)
    assert {(row["n_double_coded"], row["alpha"], row["percent_agreement"]) for row in rows} == {(0, None, None)}
    empty = {**found, **{name: found[name].slice(0, 0) for name in ("phone_probes", "web_probes")}}
    nothing = all_findings(empty, agreement_findings(empty))
    assert nothing["counts"] == {"agreement": 0, "coders": 0, "drift": 0}
    assert [each["n_records"] for each in nothing["channels"]] == [0, 0]
    json.dumps(nothing, allow_nan=False)


def test_a_coder_who_gives_less_on_the_same_lines_is_flagged(wave: SmallWave) -> None:
    """Every line called twelve times in turn by four coders; what C4 hears, he notes as the worst."""
    first = wave.phone[0]
    wave.phone = [
        {
            **first, "序号": number + 1, "6、监测编号": f"P{line}{number}", "7、热线编码": line,
            "9、接通时间": f"2023/03/02 10:{number:02}:00", "10、编码员": f"C{number % 4 + 1}",
            "12、语气态度": "一般" if number % 3 else "热情",
            "11、问候与自报身份": "没有" if number % 4 == 3 else "完整",
            "14、倾听与诉求确认": "没有" if number % 4 == 3 else "完整",
        }
        for line in ("110000", "130100", "370100")
        for number in range(12)
    ]  # fmt: skip
    paths = ingested(wave)
    found = assess(paths, WAVE)
    (worst,) = (row for row in found["coders"] if row["is_flagged"])
    assert (worst["channel"], worst["coder"], worst["coder_id"], worst["n_records"]) == ("phone", 1, "C4", 9)
    assert worst["effect"] == -22.22  # nine questions were scored, two of them 100 points lower
    assert [row["effect"] for row in found["coders"] if row["channel"] == "phone"] == [-22.22, 0, 0, 0]
    assert found["counts"] == {"agreement": 0, "coders": 1, "drift": 0}


def test_what_is_told_names_no_coder(wave: SmallWave) -> None:
    paths = ingested(wave)
    found = assess(paths, WAVE)
    codes = {row["coder_id"] for row in found["coders"]}
    assert codes == {"C1", "C2"}
    out = published(paths, WAVE)
    assert out == told(found)
    assert not codes & set(json.dumps(out).replace('"', " ").split())
    assert [(row["channel"], row["coder"]) for row in out["coders"]] == [("phone", 1), ("web", 1)]
    assert "made_from" not in out


def test_findings_are_kept_while_bronze_is_the_same(wave: SmallWave, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = ingested(wave)
    first = assess(paths, WAVE)
    with monkeypatch.context() as only:
        only.setattr(fieldwork, "all_findings", None)
        only.setattr(fieldwork, "agreement_findings", None)
        assert assess(paths, WAVE) == first
    wave.web[0]["内容丰富度"] = "欠缺"
    ingested(wave)
    with pytest.raises(NotReconciled):
        published(paths, WAVE)
    with monkeypatch.context() as only:
        only.setattr(fieldwork, "agreement_findings", None)  # of calls alone: those of before stand
        again = assess(paths, WAVE)
    assert again["made_from"] != first["made_from"] and again["agreement"] == first["agreement"]
    assert told(again) == published(paths, WAVE)
    found = tables(paths)
    assert again["drift"] == all_findings(found, agreement_findings(found))["drift"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"made_from": "x"}', '{"made_from": {"code": "other"}}'])
def test_a_file_of_another_form_is_made_anew(wave: SmallWave, text: str) -> None:
    paths = ingested(wave)
    with pytest.raises(NotReconciled):
        published(paths, WAVE)
    first = assess(paths, WAVE)
    content = paths.fieldwork(WAVE).read_bytes()
    paths.fieldwork(WAVE).write_text(text)
    assert assess(paths, WAVE) == first
    assert paths.fieldwork(WAVE).read_bytes() == content


def test_every_question_that_a_person_judges_counts_and_no_time_does(wave: SmallWave) -> None:
    scales = fieldwork._scales(tables(ingested(wave))["scoring_rules"])
    assert {scale.field for scale in scales["phone_probe"]} == {
        "greeting", "tone", "closing", "listening", "clarity", "registered", "ivr_ease", "answer_correct",
        "answer_complete", "responded",
    }  # fmt: skip
    assert {scale.field for scale in scales["web_submission"]} == {
        "registered", "acknowledged", "resolved", "reply_quality", "reply_wording",
    }  # fmt: skip
    assert scales.keys() == {"phone_probe", "web_inspection", "web_submission"}
