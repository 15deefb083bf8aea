"""Personal data planted in every column of a wave's exports is in nothing that a run writes or says."""

import csv
import io
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pyarrow.parquet as pq
import pypdf
import pytest
import yaml

from dagster_project.schema import EXPORT_TABLES
from tests.conftest import Installation, Result, fresh

WAVE = "2022"
SECRET = "a secret of thirty-two characters or more"
PLANTED = ("13987654321", "+86 138-1234-5678", "11010519491231002X", "203.0.113.77", "zhang.san@example.com")
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
CHINESE = str.maketrans("0123456789", "〇一二三四五六七八九")
# sixty ways of writing numbers and addresses that are in no other column; a few in every column
FORMS = (
    *(f"139{gap}8765{gap}4321" for gap in " .-–—_/·•、|~\u00a0\u3000\u2011\u200b\u00ad\u034f\u3164\ufe00"),
    *(f"{before}13987654321" for before in ("0086", "+86", "+86 (0)", "0", "A", "GD", "电话", "（手机）")),
    *(PLANTED[0].translate(digits) for digits in (FULL_WIDTH, CHINESE)), "13987654321B", "1 3 9 8 7 6 5 4 3 2 1",
    *(f"110105{gap}19491231{gap}002X" for gap in " .-·\u00a0\u200b"), "11010519491231002Ｘ", "11010519491231002Х",
    PLANTED[2].translate(FULL_WIDTH), "110105491231002", "(010)87654321", "01087654321", "0531-82041234",
    "+852 9123 4567",
    "203．0．113．77", "2001:db8::77", "::ffff:203.0.113.77", "zhang.san＠example.com", "zhang.san(at)example.com",
    "zhang.san at example.com", "6222021234567890128", "6222 0212 3456 7890 128", "4111-1111-1111-1111", "E12345678",
    "EA1234567", "G 12345678", "H12345678", "FRA110090030701",
)  # fmt: skip
# what would be left of them in plain form
PLAIN = ("13987654321", "110105194912310021", "01087654321", "6222021234567890128", "4111111111111111")
# names stand only where they are dropped or keyed: in a column of codes nothing tells them from a wrong code
NAMES = ("欧阳娜娜", "慕容复", "Zhuge Liang")
KEYED = {"survey_phone": ("10、编码员", "24、复核编码员", "22、工单编号"), "web_inspection": ("编码员", "工单编号")}
Cells = list[list[str]]


def plant(rows: Cells, profile: dict[str, Any]) -> Cells:
    """The rows with personal data in all dropped and keyed cells, and a faulty row for each in every other column."""
    header, nothing = rows[0], set(profile["skip_codes"])
    keyed = KEYED.get(profile["profile"], ())
    everything = (*PLANTED, *NAMES)
    for number, row in enumerate(rows[1:]):
        for column, name in enumerate(header):
            if name in profile["drop"]:
                row[column] = f"{row[column]} {everything[number % len(everything)]}"
            elif name in keyed and row[column] not in nothing:
                # one pseudonym for each coder, as before
                row[column] = f"{everything[sum(map(ord, row[column])) % len(everything)]} {row[column]}"
    key = EXPORT_TABLES[profile["table"]].key
    of_key = next(header.index(name) for name, each in profile["columns"].items() if each["field"] == key)
    faulty = []
    for column, name in enumerate(header):
        if name in profile["columns"] and name not in keyed:
            for text in (*PLANTED, *FORMS[column % 20 :: 20]):
                row = list(rows[1])
                row[of_key] = f"X{len(faulty)}"
                row[column] = text
                faulty.append(row)
    return [*rows, *faulty]


def plant_csv(path: Path, profile: dict[str, Any]) -> None:
    encoding = profile["file"]["encoding"]
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode(encoding), newline="")))
    text = io.StringIO(newline="")
    csv.writer(text).writerows(plant(rows, profile))
    path.write_bytes(text.getvalue().encode(encoding))


def plant_workbook(path: Path, profile: dict[str, Any]) -> None:
    given = openpyxl.load_workbook(path, read_only=True).worksheets[0]
    rows = [["" if cell is None else str(cell) for cell in row] for row in given.iter_rows(values_only=True)]
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    for row in plant(rows, profile):
        sheet.append([int(cell) if cell in ("-2", "-3") else cell for cell in row])
    book.save(path)


@pytest.fixture(scope="module")
def planted(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    installation = fresh(tmp_path_factory.mktemp("personal"), raw, HOTLINE_SECRET=SECRET)
    paths = installation.paths
    declared = paths.wave_yml(WAVE)
    text = declared.read_text(encoding="utf-8")
    assert "{max_share_pct: 0}" in text
    declared.write_text(text.replace("{max_share_pct: 0}", "{max_share_pct: 10, reason: 试验}"), encoding="utf-8")
    for name in ("survey_phone", "dialler", "web_inspection"):
        path = paths.profile(name)
        profile = path.read_text(encoding="utf-8")
        for header in KEYED.get(name, ()):
            quoted = f'"{header}": ' if f'"{header}": ' in profile else f"  {header}: "
            head, tail = profile.split(quoted, 1)
            profile = head + quoted + tail.replace("}", ", keyed: true}", 1)
        path.write_text(profile, encoding="utf-8")
        content = yaml.safe_load(profile)
        for export in paths.wave_raw(WAVE).iterdir():
            if export.name.startswith({"survey_phone": "phone_", "dialler": "dial_"}.get(name, "web_")):
                (plant_workbook if content["file"]["type"] == "xlsx" else plant_csv)(export, content)
    return installation


@pytest.fixture(scope="module")
def done(planted: Installation) -> Result:
    result = planted.hotline("run", "--wave", WAVE)
    assert result.code == 0, result.err
    return result


# --- looking into files ------------------------------------------------------------------------


def texts(path: Path) -> Iterator[str]:
    """Everything that a file says, decoded: what it is made of, and its bytes as they are."""
    content = path.read_bytes()
    for encoding in ("utf-8", "gb18030", "utf-16-le"):
        yield content.decode(encoding, "ignore")
    yield _unescaped(content.decode("utf-8", "ignore"))
    for is_it, read in READERS:
        if is_it(content):
            yield from read(path)


def _unescaped(text: str) -> str:
    """JSON within JSON writes Chinese as escapes, once or twice."""
    return re.sub(r"\\+u([0-9a-fA-F]{4})", lambda each: chr(int(each[1], 16)), text)


def _of_parquet(path: Path) -> Iterator[str]:
    table = pq.ParquetFile(path).read()
    yield str([column.unique().to_pylist() for column in table.columns])


def _of_zip(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            yield archive.read(name).decode("utf-8", "ignore")


def _of_pdf(path: Path) -> Iterator[str]:
    reader = pypdf.PdfReader(path)
    yield str(reader.metadata)
    for page in reader.pages:
        yield page.extract_text()


def _of_sqlite(path: Path) -> Iterator[str]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        for line in connection.iterdump():
            yield line
            yield _unescaped(line)


def _of_duckdb(path: Path) -> Iterator[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        # views hold nothing of their own: they read bronze, whose files are searched too
        for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall():
            yield str(connection.execute(f"select * from {name}").fetchall())


READERS: tuple[tuple[Callable[[bytes], bool], Callable[[Path], Iterator[str]]], ...] = (
    (lambda content: content.startswith(b"PAR1"), _of_parquet),
    (lambda content: content.startswith(b"PK\x03\x04"), _of_zip),
    (lambda content: content.startswith(b"%PDF"), _of_pdf),
    (lambda content: content.startswith(b"SQLite format 3"), _of_sqlite),
    (lambda content: content[8:12] == b"DUCK", _of_duckdb),
)


def held_by(folder: Path, wanted: tuple[str, ...]) -> dict[str, set[str]]:
    """{file: which of the wanted texts it holds}."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            said = list(texts(path))
            here = {each for each in wanted if any(each in text for text in said)}
            if here:
                found[path.relative_to(folder).as_posix()] = here
    return found


# --- the promise -------------------------------------------------------------------------------


def test_the_search_finds_what_was_planted(planted: Installation) -> None:
    """In a workbook, in GB18030 and in UTF-8: else its silence about the outputs would mean nothing."""
    found = held_by(planted.paths.wave_raw(WAVE), (*PLANTED, *NAMES))
    assert {name: len(each) for name, each in found.items()} == {
        f"dial_{WAVE}.csv": 8, f"phone_{WAVE}.xlsx": 8, f"web_{WAVE}.csv": 8
    }  # fmt: skip
    assert len(FORMS) >= 60
    assert set().union(*held_by(planted.paths.wave_raw(WAVE), FORMS).values()) == set(FORMS)


@pytest.mark.usefixtures("done")
def test_the_search_looks_into_every_kind_of_file(planted: Installation) -> None:
    """What a run does write is found in Parquet, the warehouse, the history, the workbook and the PDF."""
    found = held_by(planted.paths.home, ("E_PERSONAL_DATA", "S05", "模拟数据"))
    kinds = {Path(name).suffix for name in found}
    assert {".parquet", ".duckdb", ".db", ".xlsx", ".pdf", ".json", ".html"} <= kinds, kinds


def test_nothing_personal_leaves_the_ingest(planted: Installation, done: Result) -> None:
    wanted = (*PLANTED, *NAMES, *FORMS, *PLAIN, SECRET)
    assert held_by(planted.paths.home, wanted) == {}
    said = done.out + done.err
    assert [text for text in wanted if text in said] == []
    assert "E_PERSONAL_DATA" in said
    assert "E_NOT_IN_CODES" in said


def test_neither_does_a_check_tell_it(planted: Installation) -> None:
    result = planted.hotline("check", "--wave", WAVE, "--json")
    assert result.code == 3, result.err
    assert [text for text in (*PLANTED, *NAMES, *FORMS, *PLAIN, SECRET) if text in result.out + result.err] == []


@pytest.mark.usefixtures("done")
def test_keyed_columns_leave_as_keys(planted: Installation, published: Installation) -> None:
    """As many coders as before, each under one key: shares and agreement of coders stay what they were."""
    ours, before = (
        pq.ParquetFile(each.paths.bronze_part("phone_probes", WAVE)).read() for each in (planted, published)
    )
    for name in ("coder_id", "second_coder_id", "ticket_no"):
        keys, plain = ours[name].to_pylist(), before[name].to_pylist()
        assert all(key is None or (len(key) == 33 and key[0] == "k") for key in keys), name
        assert [key is None for key in keys] == [text is None for text in plain]
        assert len(set(keys)) == len(set(plain)) == len(set(zip(keys, plain, strict=True))), name


def test_without_a_secret_nothing_is_read(planted: Installation, tmp_path: Path) -> None:
    for environment in ({"HOTLINE_SECRET": ""}, {"HOTLINE_SECRET": "short"}):
        elsewhere = Installation(planted.root, {**environment, "HOTLINE_HOME": str(tmp_path / "home")})
        result = elsewhere.hotline("check", "--wave", WAVE)
        assert result.code == 2, result.err
        assert "HOTLINE_SECRET" in result.err
