"""Everything that can be wrong with a delivered file or row, by stable code, and how it is told.

Belongs here: codes, texts, the way to mend each, and the form of a message.
Does not belong here: how a fault is found.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from dagster_project.characters import unusable_character
from dagster_project.errors import InputRejected
from dagster_project.ingest.personal import masked

MAX_SHOWN = 80
# A file with more is not what its profile says, and telling each would take minutes and gigabytes.
MAX_FAULTS = 100_000


class Fault(Enum):
    """One kind of fault: Chinese text and mending, English text and mending. `{}` is the detail of the case."""

    # the wave's folder
    NO_FILE = (
        "没有与 {} 匹配的文件",
        "请放入导出文件或更正 wave.yml 的 glob",
        "no file matches {}",
        "deliver the export, or correct its glob in wave.yml",
    )
    FILE_IN_TWO_EXPORTS = (
        "文件同时匹配多个导出:{}",
        "请让 wave.yml 的 glob 互不重叠",
        "the file matches more than one export: {}",
        "make the globs of wave.yml disjoint",
    )
    FILE_UNCLAIMED = (
        "wave.yml 没有导出匹配此文件,其数据不会被读取",
        "请更正文件名或 glob,或移走此文件",
        "no export of wave.yml reads this file",
        "correct its name or a glob, or take the file away",
    )
    NOT_A_FILE = (
        "不是普通文件(符号链接、目录或设备)",
        "请放入文件本身",
        "not a regular file (a link, folder or device)",
        "put the file itself there",
    )
    FILE_NAME = (
        "文件名含有不可见或无法解码的字符",
        "请改名",
        "its name holds invisible or undecodable characters",
        "rename it",
    )
    PERSONAL_NAME = (
        "文件名或工作表名像是含有个人信息",
        "请改名:两者都会写入数据与发布",
        "the name of the file or sheet seems to hold personal data",
        "rename it: data and releases repeat both",
    )
    FILE_CHANGED = (
        "文件在采集过程中被改动",
        "请在文件传输完成后重新采集",
        "the file was changed while the wave was being ingested",
        "wait until it has been delivered whole, and ingest again",
    )
    TOO_LARGE = ("文件过大:{}", "请拆成多个文件", "the file is too large: {}", "split it into several files")
    # the file as a whole
    NOT_XLSX = (
        "不是完整的 XLSX 文件:{}",
        "请重新导出或重新传输",
        "not a whole XLSX file: {}",
        "export or transfer it again",
    )
    ENCRYPTED = (
        "文件已加密",
        "请在 Excel 中去除密码后另存",
        "the file is encrypted",
        "remove the password in Excel and save it again",
    )
    OLD_XLS = (
        "不是 .xlsx,而是旧式 .xls 等 OLE2 文件",
        "请另存为「Excel 工作簿 (*.xlsx)」",
        "not an .xlsx file but an old .xls or another OLE2 file",
        "save it as Excel Workbook (*.xlsx)",
    )
    STRICT_OOXML = (
        "这是「Strict Open XML」工作簿,无法可靠读取",
        "请另存为「Excel 工作簿 (*.xlsx)」",
        "a Strict Open XML workbook cannot be read safely",
        "save it as Excel Workbook (*.xlsx)",
    )
    ZIP_BOMB = (
        "解压后过大:{}",
        "请检查文件来源,或拆成多个文件",
        "unpacks to too much: {}",
        "check where the file comes from, or split it",
    )
    XML_DOCTYPE = (
        "内部 XML 含 DOCTYPE 或实体声明:{}",
        "此类文件不予读取;请用 Excel 重新另存",
        "its XML declares a DOCTYPE or an entity: {}",
        "such files are not read; save it anew from Excel",
    )
    XML_ENCODING = (
        "内部 XML 不是 UTF-8:{}",
        "请用 Excel 重新另存",
        "its XML is not UTF-8: {}",
        "save it anew from Excel",
    )
    UNREADABLE = (
        "读取程序无法读取此文件:{}",
        "请用 Excel 打开检查后重新另存",
        "the reader could not read the file: {}",
        "open it in Excel, check it, save it anew",
    )
    MISREAD_CELLS = (
        "工作表 XML 的写法不合规范,读取结果会与 Excel 所见不同:{}",
        "请用 Excel 打开,核对后重新另存",
        "the sheet's XML is written in a way that is read otherwise than Excel shows it: {}",
        "open it in Excel, check it, save it again",
    )
    SHEET_TOO_LARGE = (
        "工作表占用的区域或内容过大:{}",
        "请删去数据以外的行与列(Ctrl+End 可见末格)后重新保存,或拆成多个文件",
        "the sheet spans or holds too much: {}",
        "delete rows and columns beyond the data (Ctrl+End shows the last cell) and save it anew, or split it",
    )
    NO_SHEET = (
        "没有所需的工作表;现有:{}",
        "请更正档案(profile)中的 sheet 或工作表名称",
        "the sheet is not there; there are: {}",
        "correct `sheet` in the profile, or the sheet's name",
    )
    MERGED_CELLS = (
        "数据区有合并单元格:{}",
        "请取消合并并填满每个单元格",
        "merged cells in the data: {}",
        "unmerge them and fill every cell",
    )
    NO_ROWS = ("没有数据行", "请重新导出", "there are no data rows", "export it again")
    BAD_ENCODING = (
        "不是声明的编码:{}",
        "请按档案声明的编码重新导出,或更正档案",
        "not in the declared encoding: {}",
        "export it in that encoding, or correct the profile",
    )
    NUL_BYTE = (
        "含有 NUL 字节:{}",
        "文件可能损坏或为 UTF-16,请重新导出",
        "holds NUL bytes: {}",
        "it is damaged or UTF-16; export it again",
    )
    BAD_CSV = (
        "CSV 语法错误:{}",
        "请检查引号与分隔符后重新导出",
        "not valid CSV: {}",
        "check quotes and delimiter, export it again",
    )
    HEADER_NOT_FOUND = (
        "此行没有档案声明的任何列名,其内容为:{}",
        "请核对档案 file 下的 header_row、delimiter 与 sheet,或更正导出",
        "none of the declared headers is in this row, which holds: {}",
        "correct `header_row`, `delimiter` or `sheet` under `file` in the profile, or the export",
    )
    HEADER_ELSEWHERE = (
        "档案声明的表头不在此行,按以下写法可以找到:{}",
        "请核对后写入档案的 file",
        "the declared header is not in this row; it is found with {}",
        "check the file, then write this under `file` in the profile",
    )
    HEADER_MISSING = (
        "缺少此列",
        "请更正导出的表头,或更正档案",
        "this column is missing",
        "correct the export's header, or the profile",
    )
    HEADER_UNKNOWN = (
        "档案不认识此列",
        "请在档案的 columns 或 drop 中声明,或更正表头",
        "the profile does not know this column",
        "declare it under columns or drop, or correct the header",
    )
    HEADER_TWICE = (
        "此列出现多次",
        "请删去或改名重复的列",
        "this column appears more than once",
        "remove or rename the duplicate",
    )
    CELL_TOO_LONG = (
        "单元格超过 32767 字,或一字叠加 30 个以上符号",
        "请更正该单元格",
        "a cell of more than 32,767 characters, or of more than 30 marks on one letter",
        "correct the cell",
    )
    TOO_MANY_FAULTS = (
        "错误过多({}),整个文件不予采信,以下只列出前几处",
        "请核对导出格式与档案后重新导出",
        "too many faults ({}): the whole file is refused, and only the first are told",
        "compare the export with its profile, export it again",
    )
    # one row
    RAGGED_ROW = (
        "单元格数不符:{}",
        "请检查该行的分隔符与引号",
        "wrong number of cells: {}",
        "check delimiters and quotes in this row",
    )
    MISSING = ("必填而为空", "请补填", "required, but empty", "fill it in")
    REQUIRED_WHEN = ("当 {} 时必填,却为空", "请补填", "required where {}, but empty", "fill it in")
    CONTRADICTION = ("只有当 {} 时才可填写", "请更正二者之一", "may be given only where {}", "correct one of the two")
    UNKNOWN_LINE = (
        "监测范围中没有此热线编码",
        "请更正编码(注意前导零),或补充 raw/frames/",
        "the frame has no such line",
        "correct the code (mind leading zeros), or add the line to raw/frames/",
    )
    UNKNOWN_SCENARIO = ("方法版本中没有此场景编号", "请更正编号", "the method has no such scenario", "correct the code")
    DUPLICATE_KEY = (
        "编号重复:{}",
        "请删去或更正重复的行;在此之前这些行全部隔离",
        "the key is not unique: {}",
        "remove or correct the duplicates; all of them are held back until then",
    )
    NOT_IN_CODES = (
        "不在代码表中;允许:{}",
        "请更正该值,或在档案的 values 中补充",
        "not in the code list; allowed: {}",
        "correct the value, or add it to `values` in the profile",
    )
    BAD_NUMBER = ("不是整数", "请更正为整数", "not a whole number", "correct it to a whole number")
    OUT_OF_RANGE = ("超出范围 {}", "请更正该值", "outside {}", "correct the value")
    BAD_TIME = (
        "无法识别的时间;格式应为 {}",
        "请更正,或在档案的 time_formats 中补充格式",
        "not a valid time; expected {}",
        "correct it, or add its format to `time_formats` in the profile",
    )
    SERIAL_TIME = (
        "时间列中是数字(日期序列值),未设日期格式",
        "请在 Excel 中将该列设为日期时间格式",
        "a bare number in a time column (a date serial)",
        "format the column as date and time in Excel",
    )
    TIME_IMPLAUSIBLE = (
        "时间不可信:应在 2000 年至 2099 年之间",
        "请更正年份",
        "not a plausible time: before 2000 or after 2099",
        "correct the year",
    )
    TIME_ORDER = (
        "早于「{}」,或缺少该时间",
        "请更正两个时间之一",
        "earlier than {}, or without it",
        "correct one of the two times",
    )
    DIGITS_LOST = (
        "文本列中是数字单元格,可能已丢失位数",
        "请将该列设为文本格式后重新导出",
        "a number cell where text is expected: digits may be lost",
        "format the column as text, export it again",
    )
    ZEROS_LOST = (
        "以补零格式显示的数字,实际值没有前导零",
        "请将该列设为文本格式后重新导出",
        "a number shown with leading zeros that it does not have",
        "format the column as text, export it again",
    )
    DATE_IN_TEXT = (
        "文本列中是日期单元格(Excel 可能已改写原值)",
        "请将该列设为文本格式后重新导出",
        "a date cell where text is expected (Excel may have rewritten it)",
        "format the column as text, export it again",
    )
    ERROR_CELL = ("单元格为错误值", "请更正公式或改填数值", "an error cell", "correct the formula, or enter the value")
    FORMULA_WITHOUT_VALUE = (
        "公式没有保存计算结果",
        "请用 Excel 打开、计算后保存,或改填数值",
        "a formula without a stored value",
        "open the file in Excel, let it calculate, save it; or enter the value",
    )
    PERSONAL_DATA = (
        "像是个人信息(电话、证件号、邮箱、IP 或姓名)",
        "请改用代号,或在档案中为该列声明 keyed: true,或列入 drop",
        "looks like personal data (a telephone, identity card, mail or IP number, or a name)",
        "use a code, or let the profile key the column (keyed: true) or drop it",
    )
    CONTROL_CHARACTER = (
        "含有不可见或不允许的字符 {}",
        "请删去或改写该字符",
        "holds an invisible or forbidden character, {}",
        "delete the character, or write it otherwise",
    )

    @property
    def code(self) -> str:
        return f"E_{self.name}"


@dataclass(frozen=True)
class Place:
    """Where a fault is: file, sheet, row as Excel shows it, column as the vendor heads it."""

    file: str
    sheet: str | None = None
    row: int | None = None
    column: str | None = None

    def text(self) -> str:
        sheet = f" [{shown(self.sheet)}]" if self.sheet is not None else ""
        row = f" 第 {self.row} 行 / row {self.row}" if self.row is not None else ""
        column = f" 「{shown(self.column)}」" if self.column is not None else ""
        return f"{shown(self.file)}{sheet}{row}{column}"


@dataclass(frozen=True)
class Found:
    """One fault at its place. `detail` fills the text: one string, or one for Chinese and one for English."""

    fault: Fault
    place: Place
    value: str | None = None
    detail: str | tuple[str, str] = ""

    def text(self) -> str:
        """One line: place, code, value; what is wrong and how to mend it, in Chinese, then in English."""
        zh, mend_zh, en, mend_en = self.fault.value
        details = (self.detail, self.detail) if isinstance(self.detail, str) else self.detail
        detail_zh, detail_en = map(masked, details)
        value = "" if self.value is None else f" 「{shown(self.value)}」"
        return (
            f"{self.place.text()}: {self.fault.code}{value} {zh.format(detail_zh)};{mend_zh} / "
            f"{en.format(detail_en)}; {mend_en}"
        )


class FileRejected(InputRejected):
    """Faults of one file or declaration, to be told together with those of the others."""

    def __init__(self, found: Iterable[Found]):
        self.found = tuple(found)
        super().__init__("\n".join(each.text() for each in self.found))


def shown(text: str) -> str:
    """Text as a message may carry it: personal data masked, invisible characters escaped, at most 80 characters."""
    text = masked(text)
    cut = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(
        each.encode("unicode_escape").decode("ascii")
        if each != " " and (unicodedata.category(each)[0] == "Z" or unusable_character(each))
        else each
        for each in cut
    )


def reject(subject: str, messages: Iterable[str]) -> NoReturn:
    """Raise InputRejected with every message, one per line, under a line that says how many there are.

    Personal data in them is masked, whoever wrote them.
    """
    lines = [masked(message) for message in messages]
    raise InputRejected(
        "\n".join([f"{subject}:输入被拒绝,共 {len(lines)} 处错误 / input rejected, {len(lines)} fault(s):", *lines])
    )
