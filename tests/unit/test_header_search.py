"""A header that is not where the profile says: the message shows what was found and names the key to change."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter

from dagster_project.errors import InputRejected
from tests.small_wave import SmallWave

DIAL = "dial_1.csv"


@pytest.fixture
def wave(tmp_path: Path) -> SmallWave:
    wave = SmallWave(tmp_path)
    wave.write()
    return wave


def rewritten(wave: SmallWave, change: Callable[[str], str]) -> str:
    """The message about the diallings after their text was changed."""
    path = wave.folder / DIAL
    path.write_bytes(change(path.read_bytes().decode("gb18030")).encode("gb18030"))
    with pytest.raises(InputRejected) as rejected:
        wave.ingest()
    return str(rejected.value)


def with_delimiter(delimiter: str, quoting: int = csv.QUOTE_MINIMAL) -> Callable[[str], str]:
    def change(text: str) -> str:
        out = io.StringIO()
        writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\r\n")
        writer.writerows(csv.reader(io.StringIO(text)))
        return out.getvalue()

    return change


@pytest.mark.parametrize(
    "title",
    [
        "2023年第一轮拨测记录\r\n",
        "2023年第一轮拨测记录,,,\r\n",
        "导出时间,2023-07-01\r\n\r\n",
        "a,b\r\n" * 5,
        '"两行\r\n标题"\r\n',
    ],
)
def test_a_title_above_the_header_names_the_header_row(wave: SmallWave, title: str) -> None:
    message = rewritten(wave, lambda text: title + text)
    assert "E_HEADER_ELSEWHERE" in message
    assert f"header_row: {1 + title.count(chr(10))}" in message
    assert "delimiter" not in message


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_another_delimiter_is_named(wave: SmallWave, delimiter: str, quoting: int) -> None:
    message = rewritten(wave, with_delimiter(delimiter, quoting))
    assert "E_HEADER_ELSEWHERE" in message
    assert f'delimiter: "{delimiter}"'.replace("\t", "\\t") in message
    assert "header_row:" not in message


def test_title_and_delimiter_are_named_together(wave: SmallWave) -> None:
    message = rewritten(wave, lambda text: "拨测记录\r\n" + with_delimiter(";")(text))
    assert 'delimiter: ";", header_row: 2' in message


def test_a_header_above_its_declared_row_is_found(wave: SmallWave) -> None:
    profile = wave.paths.profile("dialler")
    profile.write_text(profile.read_text(encoding="utf-8").replace("header_row: 1", "header_row: 50"), encoding="utf-8")
    assert "header_row: 1" in rewritten(wave, lambda text: text)


def test_a_row_without_a_declared_header_is_shown(wave: SmallWave) -> None:
    message = rewritten(wave, lambda _: "编号,结果,备注\r\n" + "\r\n".join(["a,b,c"] * 3))
    assert "E_HEADER_NOT_FOUND" in message
    assert "「编号」 「结果」 「备注」" in message
    assert "header_row" in message and "delimiter" in message


def test_a_row_of_data_is_shown_masked(wave: SmallWave) -> None:
    message = rewritten(wave, lambda text: text.split("\r\n", 1)[1].replace("P1100001", "欧阳小明"))
    assert "E_HEADER_NOT_FOUND" in message
    assert "欧阳小明" not in message and "D1100001" not in message


@pytest.mark.parametrize("rows_above, declared", [(1, 1), (3, 1), (0, 3)])
def test_a_title_in_a_workbook_names_the_header_row(wave: SmallWave, rows_above: int, declared: int) -> None:
    profile = wave.paths.profile("survey_phone")
    profile.write_text(
        profile.read_text(encoding="utf-8").replace("header_row: 1", f"header_row: {declared}"), encoding="utf-8"
    )
    with xlsxwriter.Workbook(str(wave.folder / "phone_1.xlsx")) as book:
        sheet = book.add_worksheet()
        if rows_above:
            sheet.write(0, 0, "2023年电话监测答卷")
        for number, row in enumerate([list(wave.phone[0]), *(row.values() for row in wave.phone)], start=rows_above):
            sheet.write_row(number, 0, [str(value) for value in row])
    with pytest.raises(InputRejected) as rejected:
        wave.ingest()
    assert "E_HEADER_ELSEWHERE" in str(rejected.value)
    assert f"header_row: {rows_above + 1}" in str(rejected.value)
