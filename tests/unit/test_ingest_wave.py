"""What a wave declares: wave.yml, profiles, frame and method, each fault told with its place."""

import csv
import math
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from dagster_project import cli
from dagster_project.errors import InputRejected, UsageError
from dagster_project.ingest.declaration import read_declaration
from dagster_project.ingest.profile import load_profile
from dagster_project.ingest.reference import SOURCE_CHANNEL
from dagster_project.ingest.wave import (
    Plan,
    Threshold,
    export_files,
    list_waves,
    load_wave,
    order_waves,
    reference_tables,
)
from dagster_project.paths import PROJECT, Paths
from dagster_project.schema import REFERENCE_TABLES, SCORING_FIELDS
from tests.small_wave import LINES, WAVE, SmallWave, write_csv


@pytest.fixture
def wave(tmp_path: Path) -> SmallWave:
    wave = SmallWave(tmp_path)
    wave.write()
    return wave


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


# --- wave.yml ----------------------------------------------------------------------------------


def test_a_wave_is_what_it_declares(wave: SmallWave) -> None:
    bounds = {"max_jump": {"value": 7.5, "reason": "首次纳入新城市"}}
    wave.declared |= {"thresholds": bounds, "simulation": {"seed": 1, "calibrate_to": "2023"}}
    wave.declare()
    loaded = load_wave(wave.paths, WAVE)
    assert (loaded.period_start, loaded.period_end) == (date(2023, 3, 1), date(2023, 6, 30))
    assert loaded.plan == Plan(2, 3, 2, 1)
    assert loaded.thresholds == {"max_jump": Threshold(7.5, "首次纳入新城市")}
    assert list_waves(wave.paths) == [WAVE]
    assert [path.name for path in export_files(wave.paths, loaded)] == ["dial_1.csv", "phone_1.xlsx", "web_1.csv"]


@pytest.mark.parametrize("wave_id", ["2024", "..", "2023/../2023", "2023;drop", "", "2023-A"])
def test_a_wave_that_is_not_there_is_a_usage_error(wave: SmallWave, wave_id: str) -> None:
    with pytest.raises(UsageError):
        load_wave(wave.paths, wave_id)


@pytest.mark.parametrize(
    "declared, told",
    [
        ({"colour": "red"}, "colour: 未知的项 / unknown key"),
        ({"label": None}, "label: 缺少此项 / missing"),
        ({"wave": 2023}, "wave: 应为文本(加引号)"),
        ({"wave": "2022"}, "wave: 应与文件夹名 2023 一致"),
        ({"kind": "monthly"}, "kind: 「monthly」应为 annual | adhoc 之一"),
        ({"synthetic": "yes"}, "synthetic: 应为true 或 false"),
        ({"field_period": {"start": "2023-06-30", "end": "2023-03-01"}}, "field_period.end: 早于 start"),
        ({"baseline": WAVE}, "baseline: 不能以自身为基期"),
        ({"baseline": "2019"}, "baseline: 没有监测期 2019"),
        ({"method": "../x"}, "method: 「../x」只可含字母"),
        ({"frame": "lines_1999"}, "frame: 没有 raw/frames/lines_1999.csv"),
        ({"plan": {"phone_probes": True, "dial_attempts": -1}}, "plan.dial_attempts: -1 超出范围"),
        ({"plan": {"phone_probes": True}}, "plan.phone_probes: 应为整数"),
        ({"quarantine": {"max_share_pct": 2}}, "quarantine.reason: 允许隔离行时必须写明理由"),
        ({"quarantine": {"max_share_pct": 101, "reason": "x"}}, "quarantine.max_share_pct: 101 超出范围"),
        ({"thresholds": {"x": {"value": 1}}}, "thresholds.x.reason: 缺少此项"),
        ({"exports": []}, "exports: 缺少 dial_attempts, phone_probes, web_probes 的导出"),
        ({"exports": [{"table": "web_probes", "glob": "../*.csv", "profile": "none"}]}, "exports[0].glob: 只能匹配"),
        ({"exports": [{"table": "web_probes", "glob": "*.csv", "profile": "none"}]}, "没有 raw/profiles/none.yml"),
        ({"synthetic": False, "simulation": {"seed": 1, "calibrate_to": "2023"}}, "simulation: 只用于模拟监测"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_place(wave: SmallWave, declared: dict, told: str) -> None:
    wave.declared |= declared
    wave.declare()
    with pytest.raises(InputRejected) as rejected:
        load_wave(wave.paths, WAVE)
    assert told in str(rejected.value)


@pytest.mark.parametrize("kind", ["folder", "link to nowhere", "link to itself", "device"])
def test_a_declaration_that_is_no_file_is_refused_and_the_others_go_on(wave: SmallWave, kind: str) -> None:
    paths = Paths(raw=wave.paths.raw, home=wave.paths.home)
    yml = paths.wave_yml("2099")
    yml.parent.mkdir()
    targets = {"link to nowhere": "nowhere", "link to itself": "wave.yml", "device": "/dev/zero"}
    yml.mkdir() if kind == "folder" else yml.symlink_to(targets[kind])
    with pytest.raises(InputRejected, match=r"2099/wave\.yml: 不是文件"):
        load_wave(paths, "2099")
    order = order_waves(paths)
    assert order.ordered == [WAVE]
    assert list(order.faults) == ["2099"]


def test_all_faults_are_told_at_once(wave: SmallWave) -> None:
    wave.declared |= {"label": 3, "kind": "x", "colour": 1}
    wave.declare()
    with pytest.raises(InputRejected, match="3 fault"):
        load_wave(wave.paths, WAVE)


@pytest.mark.parametrize("text", ["wave: '2023'\nwave: '2024'\n", "- a\n", "a: [", "!!python/object:os.x {}\n", ""])
def test_what_is_not_plain_yaml_is_refused(wave: SmallWave, text: str) -> None:
    wave.paths.wave_yml(WAVE).write_text(text, encoding="utf-8")
    with pytest.raises(InputRejected):
        load_wave(wave.paths, WAVE)


# --- profiles ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["survey_phone", "dialler", "web_inspection"])
def test_the_projects_profiles_load(name: str) -> None:
    profile = load_profile(Paths(raw=PROJECT / "raw", home=PROJECT), name)
    assert {each.column.name for each in profile.columns} == {column.name for column in profile.table.columns}


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("{field: wait_s}", "{field: wait}", "dial_attempts 没有列 wait"),
        ("{field: wait_s}", "{field: ivr_layers}", "字段 ivr_layers 出现多次"),
        ("  等待秒数: {field: wait_s}\n", "", "缺少必填字段 wait_s"),
        ('接通: "yes"', "接通: yes", "yes、no 须加引号"),
        ("占线: busy", "占线: engaged", "engaged 不在"),
        ("drop: [主叫号码", "drop: [热线编码", "列「热线编码」出现多次"),
        ("type: csv", "type: dbf", "file.type: 「dbf」应为 csv | xlsx 之一"),
        ("encoding: gb18030", "encoding: gbk", "file.encoding: 「gbk」应为"),
        ('delimiter: ","', 'delimiter: ",,"', "file.delimiter: 应为一个字符"),
        ("header_row: 1", "header_row: 0", "file.header_row: 0 超出范围"),
        ("%Y-%m-%d", "%y-%m-%d", "只可用 %Y %m %d"),
        ('time_formats: ["', 'time_formats: ["%Y-%d-%m %H:%M:%S", "', "含义不明"),
        ('skip_codes: {"": null}', 'skip_codes: {"-3": unasked}', "unasked 不是任何列的代码"),
        ("{field: wait_s}", "{field: wait_s, values: {}}", "wait_s 没有代码表"),
        ("profile: dialler", "profile: dialer", "profile: 应与文件名 dialler 一致"),
    ],
)
def test_a_wrong_profile_is_refused(wave: SmallWave, old: str, new: str, told: str) -> None:
    edit(wave.paths.profile("dialler"), old, new)
    with pytest.raises(InputRejected) as rejected:
        load_profile(wave.paths, "dialler")
    assert told in str(rejected.value)


# --- frame and method --------------------------------------------------------------------------


def test_the_declared_tables_are_typed_as_the_schema_says(wave: SmallWave) -> None:
    tables = reference_tables(wave.paths, load_wave(wave.paths, WAVE))
    others = {"line_inputs", "open_probes", *(name for name in REFERENCE_TABLES if name.startswith("baseline_"))}
    assert set(tables) == set(REFERENCE_TABLES) - others
    for name, table in tables.items():
        assert table.schema.equals(REFERENCE_TABLES[name]), name
    assert tables["lines"]["line_id"].to_pylist() == list(LINES)
    rules = {row["rule_code"]: row for row in tables["scoring_rules"].to_pylist()}
    assert rules["I02_15_to_30s"]["score_nano"] == 80 * 10**9
    assert (rules["I02_over_60s"]["max_value"], rules["I01_missing"]["score_nano"]) == (None, None)
    assert tables["settings"].to_pylist() == [{"availability_basis": "weight", "min_availability_pct": 50}]
    assert tables["figure_definitions"]["figure_order"].to_pylist()[:2] == [1, 2]
    assert tables["waves"].to_pylist()[0]["period_start"] == "2023-03-01"


def test_the_sources_of_rules_are_those_of_the_schema() -> None:
    assert set(SOURCE_CHANNEL) == set(SCORING_FIELDS)


METHOD_FAULTS: list[tuple[str, str, str, str]] = [
    ("indicators.csv", "I02,接通时长", "I01,接通时长", "row 3 「indicator_code」 「I01」 与第 2 行重复"),
    ("indicators.csv", "attempt,10,45,40", "attempt,10,44,40", "「l2_weight」 「44」 与第 2 行 B01 不一致"),
    ("indicators.csv", "attempt,10,45,60", "attempt,10,45,0", "「l3_weight」 「0」 应在 1 至"),
    ("indicators.csv", "attempt,10,45,60", "attempt,10,45,6.5", "「l3_weight」 「6.5」 不是整数"),
    ("indicators.csv", "attempt,10,45,60", "probe,10,45,60", "「unit」 「probe」 由拨测记录"),
    ("indicators.csv", "attempt,10,45,60", "day,10,45,60", "「unit」 「day」 应为"),
    ("indicators.csv", "I01,接通率,B01", "I01,接通率,I02", "编码在不同层级重复"),
    ("indicators.csv", "l3_weight", "weight", "indicators.csv: 缺少列 l3_weight"),
    ("channel_weights.csv", "I01,phone,100", "I99,phone,100", "「I99」 indicators.csv 中没有此指标"),
    ("channel_weights.csv", "I01,phone,100", "I01,phone,0", "在 channel_weights.csv 中没有渠道权重"),
    ("channel_weights.csv", "I03,web,100", "I03,phone,100", "phone 渠道没有评分规则"),
    ("scoring_rules.csv", "dial_attempt,connected,yes", "dial_attempt,conected,yes", "「conected」 dial_attempt"),
    ("scoring_rules.csv", "connected,yes,,,100", "connected,yes,5,,100", "match 与 min_value 应恰填其一"),
    ("scoring_rules.csv", "connected,yes,,,100,", "connected,yes,,,100,missing", "score 与 na_code 应恰填其一"),
    ("scoring_rules.csv", "connected,yes,,,100", "connected,yes,,,101", "应在 0 至 100"),
    ("scoring_rules.csv", "connected,yes,,,100", "connected,yes,,,1e", "「score」 「1e」 不是至多 9 位小数的数"),
    ("scoring_rules.csv", "connected,no,,,0,", "connected,yes,,,0,", "已有同一取值的规则"),
    ("scoring_rules.csv", "wait_s,,15,30", "wait_s,,14,30", "「min_value」 「14」 与第"),
    ("scoring_rules.csv", "wait_s,,15,30", "wait_s,,15,15", "应大于 min_value"),
    ("scoring_rules.csv", "phone_probe,greeting,none", "phone_probe,wait_s,none", "phone_probe 只有字段"),
    ("indicators.csv", "attempt,10,45,40", "probe,10,45,40", "「unit」 「probe」 由拨测记录"),
    ("na_policy.csv", "missing,I01,exclude\n", "", "na_policy.csv 未列出它对 I01 的处理"),
    ("na_policy.csv", "missing,I01,exclude", "missing,I01,ignore", "「treatment」 「ignore」 应为 exclude | zero 之一"),
    ("scenarios.csv", "S02,", "S01,", "「scenario_code」 「S01」 与第 2 行重复"),
    ("line_class_rules.csv", "rate_below,30", "rate_below,", "「below_pct」 仅 rate_below 填写"),
    ("line_class_rules.csv", "5,hot", "1,hot", "顺序重复"),
    ("rank_groups.csv", "line,key_city", "line,", "仅 unit 为 line 时填写"),
    ("settings.csv", "min_availability_pct,50", "min_availability_pct,500", "「500」 应在 0 至 100"),
    ("settings.csv", "min_availability_pct", "min_availability", "缺少列 min_availability_pct"),
    ("line_flags.csv", "smart_voice,I14,phone", "smart_voice,I14,web", "该指标不在此渠道测量"),
    ("line_bands.csv", "30,60,响应率60", "30,61,响应率60", "「min_pct」 「60」 与第"),
    ("figures.csv", "tier3,tier.score.tier2", "tier3,tier.score.tier9", "「tier.score.tier9」 没有此指标编号"),
    ("figures.csv", "tier3,tier.score.tier2", "tier3,", "与 kind=difference 不符"),
    ("figures.csv", "总体得分,overall", "总体得分,\"overall", "不是 UTF-8 CSV"),
]  # fmt: skip


@pytest.mark.parametrize("file, old, new, told", METHOD_FAULTS)
def test_a_wrong_method_is_refused_with_file_row_column_and_value(
    wave: SmallWave, file: str, old: str, new: str, told: str
) -> None:
    edit(wave.paths.method("v2023") / file, old, new)
    with pytest.raises(InputRejected) as rejected:
        reference_tables(wave.paths, load_wave(wave.paths, WAVE))
    assert told in str(rejected.value)
    assert file in str(rejected.value)


def test_weights_are_divided_by_what_they_have_in_common(wave: SmallWave) -> None:
    method = wave.paths.method("v2023")
    before = reference_tables(wave.paths, load_wave(wave.paths, WAVE))
    for name, columns in (
        ("indicators", ("l1_weight", "l2_weight", "l3_weight")), ("channel_weights", ("weight",)),
        ("scenarios", ("weight",)),
    ):  # fmt: skip
        with (method / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
            rows = [
                {**row, **{each: str(int(row[each]) * 10**6) for each in columns}} for row in csv.DictReader(handle)
            ]
        write_csv(method / f"{name}.csv", rows, "utf-8")
    after = reference_tables(wave.paths, load_wave(wave.paths, WAVE))
    assert all(after[name].equals(before[name]) for name in before)
    tree = before["indicators"].to_pylist()
    assert math.gcd(*{row["l1_weight"] for row in tree}) == 1
    assert {row["l1_code"]: row["l1_weight"] for row in tree} == {"A1": 1, "A2": 4, "A3": 5}


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("scenarios.csv", ",咨询,1,", ",咨询,999999937,", "scenarios.csv 第 2 行 / row 2 「weight」"),
        ("indicators.csv", "10,45,60", "10,45,999999937", "indicators.csv 第 2 行 / row 2 「l3_weight」"),
    ],
)  # fmt: skip
def test_weights_that_the_models_could_not_multiply_are_refused(
    wave: SmallWave, file: str, old: str, new: str, told: str
) -> None:
    path = wave.paths.method("v2023") / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputRejected, match=r"请减少有效位数.*use fewer digits") as rejected:
        reference_tables(wave.paths, load_wave(wave.paths, WAVE))
    assert told in str(rejected.value)


def test_an_indicator_is_seen_in_one_source_of_a_channel(wave: SmallWave) -> None:
    rules = wave.paths.method("v2023") / "scoring_rules.csv"
    edit(rules, "I08,phone_probe,tone,cold", "I08,dial_attempt,connected,yes")
    with pytest.raises(InputRejected, match=r"I08.*规则来自多个来源"):
        reference_tables(wave.paths, load_wave(wave.paths, WAVE))


FRAME_FAULTS: list[tuple[Callable[[str], str], str]] = [
    (lambda text: text.replace("130100,石家庄市", "110000,石家庄市", 1), "「line_id」 「110000」 与第 2 行重复"),
    (lambda text: text.replace("石家庄市", "", 1), "lines_2023.csv 第 3 行 / row 3 「city」 必填而为空"),
    (lambda text: text.splitlines()[0], "lines_2023.csv: 没有数据行"),
    (lambda text: text + "1,2\n", "第 5 行有 2 格"),
]


@pytest.mark.parametrize("change, told", FRAME_FAULTS)
def test_a_wrong_frame_is_refused(wave: SmallWave, change: Callable[[str], str], told: str) -> None:
    path = wave.paths.frame("lines_2023")
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InputRejected) as rejected:
        reference_tables(wave.paths, load_wave(wave.paths, WAVE))
    assert told in str(rejected.value)


def test_a_declaration_nested_without_end_is_refused_before_it_crashes_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "wave.yml"
    path.write_text("wave: " + "[" * 100_000, encoding="utf-8")
    declaration = read_declaration(path, "wave.yml")
    assert declaration.content == {}
    assert "nested more than" in declaration.faults[0]


# --- codes that become part of a path or of a query ----------------------------------------------

NO_NAMES = ["../../x", "a/b", "/abs", "a" * 300, "370100'; drop table lines", ".hidden", "-option", "a\\b", "甲"]


@pytest.mark.parametrize("name", [*NO_NAMES, "..", "2023 ", "C:x", "a\nb", "a%2fb"])
@pytest.mark.parametrize("key", ["method", "frame"])
def test_a_declared_name_stays_in_its_folder(wave: SmallWave, key: str, name: str) -> None:
    wave.declared |= {key: name}
    wave.declare()
    with pytest.raises(InputRejected, match=rf"{key}: 「.*至多 80 个"):
        load_wave(wave.paths, WAVE)


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_declared_profile_and_baseline_stay_in_their_folders(wave: SmallWave, name: str) -> None:
    exports = [{**each, "profile": name} for each in wave.declared["exports"]]
    wave.declared |= {"exports": exports, "baseline": name}
    wave.declare()
    with pytest.raises(InputRejected, match="4 fault") as rejected:
        load_wave(wave.paths, WAVE)
    assert "baseline: 没有监测期" in str(rejected.value)


@pytest.mark.parametrize("code", NO_NAMES)
@pytest.mark.parametrize(
    "file, column, old",
    [
        ("frames/lines_2023.csv", "line_id", "110000,"),
        ("frames/lines_2023.csv", "province_code", "110000,110000,北"),
        ("methods/v2023/rank_groups.csv", "group_code", "key_city,"),
        ("methods/v2023/line_class_rules.csv", "line_class", "dead,"),
        ("methods/v2023/figures.csv", "figure_id", "total.score,"),
        ("methods/v2023/scenarios.csv", "scenario_code", "S01,"),
    ],
)
def test_a_declared_code_can_name_a_page(wave: SmallWave, file: str, column: str, old: str, code: str) -> None:
    new = '"' + code + '",' if column != "province_code" else f'110000,"{code}",北'
    edit(wave.paths.raw / file, old, new)
    with pytest.raises(InputRejected) as rejected:
        reference_tables(wave.paths, load_wave(wave.paths, WAVE))
    assert f"「{column}」" in str(rejected.value)
    assert "至多 80 个" in str(rejected.value)


@pytest.mark.parametrize("name", ["../x", "/etc", "a/b", "", ".", "..", "a" * 300, "x\0"])
def test_no_path_is_made_of_what_is_no_name(name: str) -> None:
    """The guard behind all others: whoever forgot to judge a name gets no path."""
    paths = Paths(raw=Path("raw"), home=Path("home"))
    makers = [
        paths.wave_raw, paths.wave_yml, paths.profile, paths.method, paths.frame, paths.ingest_report, paths.quality,
        paths.releases, paths.current, paths.reports, paths.current_report, paths.site_index,
    ]  # fmt: skip
    for make in (*makers, lambda wave: paths.bronze_part("lines", wave), lambda name: paths.bronze_part(name, WAVE)):
        with pytest.raises(ValueError, match="not a name"):
            make(name)


@pytest.mark.parametrize(
    "arguments",
    [
        *(["run", "--wave", name] for name in [*NO_NAMES, "2023-A", "2023-" + "a" * 300]),
        ["run", "--wave", "2023", "--line", "370100'; drop table lines"],
        ["run", "--wave", "2023", "--line", "../x"],
        ["check", "--wave", "../2023"],
        ["report", "--wave", "../2023"],
        ["simulate", "--wave", "../2023"],
        ["scorecard", "370100", "--wave", "../2023"],
        ["scorecard", "../../370100", "--wave", "2023"],
        ["audit", "x.yml", "--wave", "../2023"],
    ],
)
def test_the_command_line_takes_names_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setenv("HOTLINE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("sys.argv", ["hotline", *arguments])
    assert cli.exit_code() == 2
    assert "/ not " in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
