"""A wave of three lines in the vendors' formats, small enough to spoil one cell at a time.

Profiles and method are the project's own; the frame holds three of its lines.
"""

import csv
import io
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import xlsxwriter
import yaml

from dagster_project.ingest.bronze import IngestReport, ingest_wave
from dagster_project.ingest.wave import load_wave
from dagster_project.paths import PROJECT, Paths

WAVE = "2023"
LINES = ("110000", "130100", "370100")
RAW = PROJECT / "raw"
Row = dict[str, Any]

WAVE_YML: dict[str, Any] = {
    "wave": WAVE, "label": "试点", "kind": "annual", "synthetic": True,
    "field_period": {"start": "2023-03-01", "end": "2023-06-30"}, "method": "v2023", "frame": "lines_2023",
    "baseline": None,
    "plan": {"phone_probes": 2, "dial_attempts": 3, "web_inspections": 2, "web_submissions": 1},
    "quarantine": {"max_share_pct": 0},
    "exports": [
        {"table": "phone_probes", "glob": "phone_*.xlsx", "profile": "survey_phone"},
        {"table": "dial_attempts", "glob": "dial_*.csv", "profile": "dialler"},
        {"table": "web_probes", "glob": "web_*.csv", "profile": "web_inspection"},
    ],
}  # fmt: skip


def phone_rows() -> list[Row]:
    """Two questionnaires per line, the second double-coded."""
    rows = []
    for line in LINES:
        for number in (1, 2):
            second = {"24、复核编码员": "C9", "26、复核:语气态度": "一般"} if number == 2 else {}
            rows.append(
                {
                    "序号": len(rows) + 1, "提交答卷时间": "2023/03/02 12:00:00", "所用时间": "300秒",
                    "来源": "手机提交", "来源详情": "直接访问", "来自IP": "192.0.2.7(本地)",
                    "6、监测编号": f"P{line}{number}",
                    "7、热线编码": line, "8、场景编号": f"S0{number}", "9、接通时间": f"2023/03/02 10:0{number}:00",
                    "10、编码员": "C1", "11、问候与自报身份": "完整", "12、语气态度": "热情", "13、结束语": "没有",
                    "14、倾听与诉求确认": "部分", "15、表达清晰": "清晰", "16、登记与告知": "登记并告知",
                    "17、语音导航便捷度": -3, "18、解答准确性": "准确", "19、解答完整性": "完整", "20、是否响应": "是",
                    "21、响应时间": "2023/03/03 10:00:00", "22、工单编号": f"T{number}", "23、录音编号": "-2",
                    "24、复核编码员": -2, "25、复核:问候与自报身份": -2, "26、复核:语气态度": -2, "27、复核:结束语": -2,
                    "28、复核:倾听与诉求确认": -2, "29、复核:表达清晰": -2, "30、复核:解答准确性": -2,
                    "31、复核:解答完整性": -2, **second,
                }
            )  # fmt: skip
    return rows


def dial_rows() -> list[Row]:
    """Three diallings per line, the last one without an answer."""
    rows = []
    for line in LINES:
        for number in (1, 2, 3):
            is_put_through = number < 3
            rows.append(
                {
                    "拨测编号": f"D{line}{number}", "任务编号": f"P{line}{number}", "热线编码": line,
                    "场景编号": "S01", "拨打时间": f"2023-03-02 09:5{number}:00",
                    "是否接通": "接通" if is_put_through else "未接通", "失败原因": "" if is_put_through else "占线",
                    "导航层数": "2" if is_put_through else "", "智能语音": "有" if is_put_through else "",
                    "等待秒数": "12" if is_put_through else "", "主叫号码": "13800000001", "坐席工号": "工号0007",
                }
            )  # fmt: skip
    return rows


def web_rows() -> list[Row]:
    """An inspection and a submitted request per line."""
    rows = []
    for line in LINES:
        common = {"热线编码": line, "场景编号": "S01", "平台": "门户", "编码员": "C2", "注册登录": "可",
                  "访问时间": "2023-03-05 08:00:00", "备注": "张三 13900000000"}  # fmt: skip
        rows.append(
            {**common, "监测编号": f"V{line}", "监测类型": "平台检查", "可访问": "是", "链接与系统稳定": "稳定",
             "内容丰富度": "丰富", "关键词检索": "可搜到", "导航检索": "搜不到", "智能问答": "无"}
        )  # fmt: skip
        rows.append(
            {**common, "监测编号": f"W{line}", "监测类型": "诉求提交", "提交时间": "2023-03-05 08:10:00",
             "工单编号": "G1", "受理告知": "有", "答复时间": "2023-03-06 08:10:00", "解决程度": "全部解决",
             "答复质量": "好", "答复用语": "规范"}
        )  # fmt: skip
    return rows


WEB_HEADER = [*yaml.safe_load((RAW / "profiles/web_inspection.yml").read_text(encoding="utf-8"))["columns"], "备注"]


class SmallWave:
    """The folder of one installation; change `phone`, `dial`, `web` or `declared`, then `write` or `ingest`."""

    def __init__(self, folder: Path):
        self.paths = Paths(raw=folder / "raw", home=folder / "home")
        self.folder = self.paths.wave_raw(WAVE)
        self.phone, self.dial, self.web = phone_rows(), dial_rows(), web_rows()
        self.declared = {**WAVE_YML}
        self.folder.mkdir(parents=True)
        shutil.copytree(RAW / "profiles", self.paths.raw / "profiles")
        shutil.copytree(RAW / "methods/v2023", self.paths.method("v2023"))
        frame = (RAW / "frames/lines_2023.csv").read_text(encoding="utf-8").splitlines()
        self.paths.frame("x").parent.mkdir()
        kept = [frame[0], *(row for row in frame if row.startswith(LINES))]
        self.paths.frame("lines_2023").write_text("\n".join(kept) + "\n", encoding="utf-8")

    def declare(self) -> None:
        text = yaml.safe_dump(self.declared, allow_unicode=True, sort_keys=False).replace("'2023-0", "2023-0")
        self.paths.wave_yml(WAVE).write_text(text.replace("-01'", "-01").replace("-30'", "-30"), encoding="utf-8")

    def write(self) -> None:
        self.declare()
        write_xlsx(self.folder / "phone_1.xlsx", self.phone)
        write_csv(self.folder / "dial_1.csv", self.dial, "gb18030")
        write_csv(self.folder / "web_1.csv", self.web, "utf-8-sig", WEB_HEADER)

    def ingest(self) -> IngestReport:
        return ingest_wave(self.paths, load_wave(self.paths, WAVE))


def write_csv(path: Path, rows: list[Row], encoding: str, header: list[str] | None = None) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header or list(rows[0]), restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))


def write_xlsx(
    path: Path,
    rows: list[Row],
    header: list[str] | None = None,
    formats: dict[str, str] | None = None,
    sheet_name: str = "Sheet1",
) -> None:
    """Cells by the type of their value; `formats`: a number format per column."""
    header = header or list(rows[0])
    with xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd hh:mm:ss"}) as workbook:
        workbook.set_properties({"created": datetime(2023, 7, 1)})  # not now: the same rows give the same file
        sheet = workbook.add_worksheet(sheet_name)
        styles = {name: workbook.add_format({"num_format": each}) for name, each in (formats or {}).items()}
        sheet.write_row(0, 0, header)
        for number, row in enumerate(rows, start=1):
            for column, name in enumerate(header):
                value = row.get(name)
                if isinstance(value, str) and value.startswith("="):
                    sheet.write_formula(number, column, value, None, "#DIV/0!")
                elif value is not None:
                    sheet.write(number, column, value, styles.get(name))
