"""A vendor's export format as its profile declares it.

Belongs here: what may stand in raw/profiles/*.yml. Does not belong here: reading a file by it.
"""

import codecs
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from dagster_project.ingest.declaration import Declaration, read_declaration
from dagster_project.ingest.faults import reject
from dagster_project.paths import Paths
from dagster_project.schema import EXPORT_TABLES, TEXT, TIME, Column, Table

# gb18030 holds all that gbk and gb2312 hold; the narrower names are refused, not guessed at.
ENCODINGS = ("utf-8", "utf-8-sig", "gb18030")
TIME_PARTS = ("Y", "m", "d", "H", "M", "S")


@dataclass(frozen=True)
class FileFormat:
    """How the file is written. CSV has an encoding, delimiter and quote; XLSX perhaps a sheet."""

    type: str
    header_row: int
    encoding: str = ""
    delimiter: str = ","
    quote: str = '"'
    sheet: str | None = None


@dataclass(frozen=True)
class ProfileColumn:
    """One vendor column: the bronze column it fills, and the vendor's words for its codes (None: codes as such).

    `is_keyed`: it holds personal data, of which only a key leaves the ingest (`personal.py`).
    """

    header: str
    column: Column
    values: dict[str, str] | None
    is_keyed: bool = False


@dataclass(frozen=True)
class Profile:
    """One export format. `skip_codes`: what the vendor writes where a question was skipped, and what it means."""

    name: str
    table: Table
    file: FileFormat
    skip_codes: dict[str, str | None]
    time_formats: tuple[str, ...]
    columns: tuple[ProfileColumn, ...]
    drop: tuple[str, ...]


def normal(text: str) -> str:
    """A header or value as it is compared: NFC, without surrounding white space."""
    return unicodedata.normalize("NFC", text).strip()


def load_profile(paths: Paths, name: str) -> Profile:
    """The profile of that name. Raises InputRejected with every fault of the file."""
    yml = read_declaration(paths.profile(name), f"profiles/{name}.yml")
    profile = None if yml.faults else _profile(yml, name)
    if profile is None or yml.faults:
        reject(yml.file, yml.faults)
    return profile


def _profile(yml: Declaration, name: str) -> Profile | None:
    if yml.take("profile", str) not in (None, name):
        yml.fault("profile", f"应与文件名 {name} 一致", f"must be the file's name, {name}")
    table_name = yml.take("table", str, choices=tuple(EXPORT_TABLES))
    file = _file(yml.nested("file"))
    skip_codes, time_formats = _skip_codes(yml), _time_formats(yml)
    drop = tuple(normal(header) for header in _texts(yml, "drop"))
    content = yml.take("columns", dict) or {}
    yml.close()
    if table_name is None:
        return None
    table = EXPORT_TABLES[table_name]
    columns = tuple(
        column for header, each in content.items() if (column := _column(yml, table, header, each)) is not None
    )
    _check_columns(yml, table, columns, drop, skip_codes)
    return Profile(name, table, file, skip_codes, time_formats, columns, drop)


def _file(yml: Declaration) -> FileFormat:
    kind = yml.take("type", str, choices=("csv", "xlsx"))
    header_row = yml.take_number("header_row", int, 1, 1000) or 1
    if kind == "xlsx":
        file = FileFormat("xlsx", header_row, sheet=yml.take("sheet", str, None))
    else:
        encoding = yml.take("encoding", str, choices=ENCODINGS) if kind else None
        delimiter, quote = yml.take("delimiter", str, ","), yml.take("quote", str, '"')
        for key, value in (("delimiter", delimiter), ("quote", quote)):
            if value is not None and (len(value) != 1 or value in "\r\n\0"):
                yml.fault(key, "应为一个字符", "must be one character")
        if delimiter is not None and delimiter == quote:
            yml.fault("quote", "不能与 delimiter 相同", "must differ from the delimiter")
        file = FileFormat("csv", header_row, codecs.lookup(encoding).name if encoding else "", delimiter, quote)
    if kind:
        yml.close()
    return file


def _texts(yml: Declaration, key: str) -> list[str]:
    content = yml.take(key, list, []) or []
    for each in content:
        if not isinstance(each, str) or not each.strip():
            yml.fault(key, f"{each!r} 应为文本(加引号)", "must be text (put it in quotes)")
    return [each for each in content if isinstance(each, str)]


def _time_formats(yml: Declaration) -> tuple[str, ...]:
    """Formats of digits only, each with year, month and day, no two alike but for the order of their parts."""
    formats, shapes = _texts(yml, "time_formats"), []
    for each in formats:
        parts = re.findall(r"%(.)", each)
        if not {"Y", "m", "d"} <= set(parts) <= set(TIME_PARTS) or len(set(parts)) < len(parts):
            yml.fault("time_formats", f"{each!r} 只可用 %Y %m %d(必有)%H %M %S,各一次",
                      "only %Y %m %d (needed) and %H %M %S, once each")  # fmt: skip
        shapes.append(re.sub(r"%[mdHMS]", "%", each))
    if len(set(shapes)) < len(shapes):
        yml.fault("time_formats", "两个格式可匹配同一文本,含义不明", "two formats fit the same text: ambiguous")
    return tuple(formats)


def _skip_codes(yml: Declaration) -> dict[str, str | None]:
    codes: dict[str, str | None] = {}
    for text, code in (yml.take("skip_codes", dict, {}) or {}).items():
        if not isinstance(text, str) or not isinstance(code, str | None):
            yml.fault(f"skip_codes.{text}", "键与值应为文本(加引号)或 null", "text in quotes, or null")
            continue
        codes[normal(text)] = code
    return codes


def _column(yml: Declaration, table: Table, header: Any, content: Any) -> ProfileColumn | None:
    at = f"columns.{header}."
    each = Declaration(content if isinstance(content, dict) else {}, yml.file, at, yml.faults)
    by_name = {column.name: column for column in table.columns}
    field = each.take("field", str)
    values = each.take("values", dict, None)
    is_keyed = each.take("keyed", bool, False)
    each.close()
    if not isinstance(header, str) or not normal(header):
        each.fault("", "列名应为文本(加引号)", "the header must be text (put it in quotes)")
        return None
    if field is None:
        return None
    if field not in by_name:
        each.fault("field", f"{table.name} 没有列 {field}", f"{table.name} has no such column")
        return None
    column = by_name[field]
    if values is not None and not column.codes:
        each.fault("values", f"{field} 没有代码表", "this column has no code list")
    if is_keyed and (
        column.codes or column.type != TEXT or column.references or column.name in (table.key, "probe_id")
    ):
        each.fault("keyed", f"{field} 不能加密钥:它是代码、数值、时间或编号",
                   "a code, number, time or identifier cannot be keyed")  # fmt: skip
    return ProfileColumn(normal(header), column, _values(each, column, values), bool(is_keyed))


def _values(each: Declaration, column: Column, values: dict[Any, Any] | None) -> dict[str, str] | None:
    if values is None:
        return {code: code for code in column.codes} if column.codes else None
    words = {}
    for word, code in values.items():
        if not isinstance(word, str) or not isinstance(code, str):
            each.fault(f"values.{word}", f"{code!r} 应为文本(yes、no 须加引号)", "must be text (quote yes and no)")
        elif code not in column.codes:
            each.fault(f"values.{word}", f"{code} 不在 {' | '.join(column.codes)} 中", "not a code of this column")
        elif normal(word) in words:
            each.fault(f"values.{word}", "重复", "is duplicated")
        else:
            words[normal(word)] = code
    return words


def _check_columns(
    yml: Declaration, table: Table, columns: tuple[ProfileColumn, ...], drop: tuple[str, ...],
    skip_codes: dict[str, str | None],
) -> None:  # fmt: skip
    """Every header and every field once, every column that rows need covered, skip codes that mean something."""
    headers = [each.header for each in columns] + list(drop)
    for header in sorted({header for header in headers if headers.count(header) > 1}):
        yml.fault("columns", f"列「{header}」出现多次", "this header is duplicated (columns and drop together)")
    fields = [each.column.name for each in columns]
    for field in sorted({field for field in fields if fields.count(field) > 1}):
        yml.fault("columns", f"字段 {field} 出现多次", "two headers fill this field")
    for column in table.columns:
        if (column.required or column.required_when) and column.name not in fields:
            yml.fault("columns", f"缺少必填字段 {column.name}", "no header fills this required field")
    if any(each.column.type == TIME for each in columns) and not yml.content.get("time_formats"):
        yml.fault("time_formats", "有时间列,须声明格式", "there are time columns: declare their formats")
    known = {code for column in table.columns for code in column.codes}
    for text, code in skip_codes.items():
        if code is not None and code not in known:
            yml.fault(f"skip_codes.{text}", f"{code} 不是任何列的代码", "not a code of any column")
