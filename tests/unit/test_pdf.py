"""Report and scorecard of a small release whose lines have hostile names."""

import hashlib
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pypdf
import pytest

from dagster_project.errors import HotlineError, UsageError
from dagster_project.release.reading import Release
from dagster_project.report import pdf
from dagster_project.report.workbook import visible
from tests.unit.small_release import FRAME, HOSTILE_NAMES, write_small_release

RENDER = """
import sys
from pathlib import Path
from dagster_project.report import pdf
from dagster_project.release.reading import Release
release = Release(Path(sys.argv[1]))
pdf.write_pdf(release, Path(sys.argv[2]) / "report.pdf")
pdf.write_scorecard(release, "110100", Path(sys.argv[2]) / "card.pdf")
"""


class NoFonts:
    def families(self) -> list[str]:
        return ["DejaVu Sans", "Liberation Serif"]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(write_small_release(tmp_path_factory.mktemp("pdf") / "release"))


@pytest.fixture(scope="module")
def report(release: Release) -> pypdf.PdfReader:
    path = release.folder.parent / "report.pdf"
    pdf.write_pdf(release, path)
    return pypdf.PdfReader(path)


@pytest.fixture(scope="module")
def text(report: pypdf.PdfReader) -> str:
    return "".join(_bare(page.extract_text()) for page in report.pages)


def _bare(text: str) -> str:
    """Without what a line break may put in: blanks and the breaking points of long words."""
    return re.sub(r"[\s\u200b]", "", text)


def _card(release: Release, line_id: str, folder: Path) -> tuple[int, str]:
    path = folder / f"{line_id}.pdf"
    pdf.write_scorecard(release, line_id, path)
    pages = pypdf.PdfReader(path).pages
    return len(pages), "".join(_bare(page.extract_text()) for page in pages)


def _fonts(reader: pypdf.PdfReader) -> dict[str, Any]:
    """{name: descriptor} of every font that a page uses."""
    fonts = {}
    for page in reader.pages:
        for font in page["/Resources"]["/Font"].values():
            descendant = font.get_object()["/DescendantFonts"][0].get_object()
            fonts[font.get_object()["/BaseFont"]] = descendant["/FontDescriptor"].get_object()
    return fonts


def test_equal_releases_give_equal_bytes_in_any_process(tmp_path: Path) -> None:
    digests = []
    for name, zone, locale in (("one", "UTC", "C.UTF-8"), ("two", "Asia/Shanghai", "de_DE.UTF-8")):
        folder = write_small_release(tmp_path / name / "release").parent
        env = {**os.environ, "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": "0" if name == "one" else "7"}
        subprocess.run([sys.executable, "-c", RENDER, folder / "release", folder], env=env, check=True)
        files = [folder / "report.pdf", folder / "card.pdf"]
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
        assert not [path for path in files if str(tmp_path).encode() in path.read_bytes()]
    assert digests[0] == digests[1]


def test_dates_are_the_end_of_the_field_period(report: pypdf.PdfReader) -> None:
    assert report.metadata is not None
    assert {report.metadata["/CreationDate"], report.metadata["/ModDate"]} == {"D:20230630000000Z"}


def test_chinese_fonts_are_embedded_as_subsets(report: pypdf.PdfReader) -> None:
    fonts = _fonts(report)
    assert [name for name in fonts if "CJK" in name]
    for name, descriptor in fonts.items():
        assert re.match(r"/[A-Z]{6}\+", name)
        assert "/FontFile3" in descriptor or "/FontFile2" in descriptor


def test_hostile_names_are_printed_as_text(report: pypdf.PdfReader, text: str) -> None:
    for name in HOSTILE_NAMES:
        assert _bare(visible(name)) in text
    assert "root:" not in text
    assert "\u202e" not in "".join(page.extract_text() for page in report.pages)
    assert not [page for page in report.pages if "/Annots" in page]


@pytest.mark.parametrize(
    "name", ["#panic()", "]#panic()", '"); panic(', "$#panic()$", "`#panic()`", "\\u{0} \\ \x00\n"]
)
def test_no_name_is_evaluated(name: str, tmp_path: Path) -> None:
    release = Release(write_small_release(tmp_path / "release", [name, *HOSTILE_NAMES[1:]]))
    _, text = _card(release, "110100", tmp_path)
    assert _bare(visible(name)) in text


def test_every_page_says_that_the_wave_is_simulated_and_which_release_it_is(report: pypdf.PdfReader) -> None:
    assert len(report.pages) > 5
    for page in report.pages:
        text = _bare(page.extract_text())
        assert "模拟数据" in text
        assert "0123456789abcdef" in text


def test_a_probed_wave_does_not(tmp_path: Path) -> None:
    release = Release(write_small_release(tmp_path / "release", synthetic=False))
    pdf.write_pdf(release, tmp_path / "report.pdf")
    text = "".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "report.pdf").pages)
    assert "模拟" not in text
    assert "实测数据" in text


def test_the_report_has_sentences_rankings_and_every_figure(release: Release, text: str) -> None:
    for section in release.claims["sections"]:
        for sentence in section["sentences"]:
            assert _bare(sentence["text"]) in text
    assert _bare(release.claims["recommendations"][0]["text"]) in text
    for rows in release.rankings.values():
        for row in rows:
            name = _bare(visible(row["unit_name"]))
            assert row["published"] is None or str(row["published"]) in text
            place = "不排名" if row["rank"] is None else f"{row['rank']}(并列)?{row['rank_low']}–{row['rank_high']}"
            assert re.search(rf"{place}{re.escape(name)}", text), name
    scenarios = {row["scenario"] for row in release.method("scenarios")}
    for figure in release.figures.values():
        if figure["value"] is not None:
            shown = str(figure["value"]) if figure["kind"] == "count" else f"{figure['value']:.2f}"
            assert shown in text, figure["id"]
            assert _bare(figure["label"]) in text or figure["label"].split(":")[0] in scenarios, figure["id"]


def test_a_release_from_before_the_claims_has_no_sentences(tmp_path: Path) -> None:
    folder = write_small_release(tmp_path / "release")
    (folder / "claims.json").unlink()
    pdf.write_pdf(Release(folder), tmp_path / "report.pdf")
    text = "".join(_bare(page.extract_text()) for page in pypdf.PdfReader(tmp_path / "report.pdf").pages)
    assert "总体水平" in text
    assert "总体得分为" not in text
    assert "建议" not in text


@pytest.mark.parametrize("line_id", [frame[0] for frame in FRAME])
def test_a_scorecard_is_one_page(release: Release, line_id: str, tmp_path: Path) -> None:
    pages, text = _card(release, line_id, tmp_path)
    assert pages == 1
    line, total = release.lines[line_id], release.scores[line_id]["all", "T"]
    counts = release.classes[line_id]
    assert _bare(visible(line["city"])) in text
    assert ("数据不足" if total["published"] is None else str(total["published"])) in text
    assert f"接通{counts['connected']}/拨打{counts['attempts']}" in text
    assert "模拟数据" in text
    for node in release.tree.values():
        assert node.level != 2 or node.label in text


@pytest.mark.parametrize("name", ["长" * 500, "W" * 500, "long name " * 50, "西双版纳傣族自治州勐腊县" * 3])
def test_a_long_name_leaves_the_scorecard_on_one_page(name: str, tmp_path: Path) -> None:
    release = Release(write_small_release(tmp_path / "release", [name, *HOSTILE_NAMES[1:]]))
    assert _card(release, "110100", tmp_path)[0] == 1


def gap_of(row: dict[str, str]) -> Decimal:
    return Decimal(row["gap"].replace(pdf.MINUS, "-"))


def test_a_scorecard_compares_with_the_mean_of_the_tier(release: Release) -> None:
    card = pdf._scorecard(release, "110200")
    for rows, sign in ((card["strongest"], 1), (card["weakest"], -1)):
        gaps = [gap_of(row) * sign for row in rows]
        assert gaps == sorted(gaps, reverse=True)
        assert min(gaps) > 0
    for row in (*card["strongest"], *card["weakest"]):
        assert gap_of(row) == Decimal(row["own"]) - Decimal(row["mean"])
    tiles = {tile["name"]: tile["value"] for tile in card["tiles"]}
    assert tiles["普通城市"] == "第1名（并列）"
    assert tiles["所在省级单位"] == "第2名"


def test_an_unknown_line_is_explained(release: Release, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"999999.*no such line"):
        pdf.write_scorecard(release, "999999", tmp_path / "card.pdf")
    assert not (tmp_path / "card.pdf").exists()


def test_without_a_chinese_font_it_says_what_to_install(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "_fonts", NoFonts)
    with pytest.raises(HotlineError, match=r"中文字体.*fonts-noto-cjk.*no Chinese font is installed"):
        pdf.write_pdf(release, tmp_path / "report.pdf")
    assert not (tmp_path / "report.pdf").exists()


def test_an_installed_family_is_chosen() -> None:
    assert pdf.cjk_font() in pdf._fonts().families()


def test_templates_can_read_nothing_outside_their_folder(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("geheim", encoding="utf-8")
    (folder / "report.typ").write_text('#read("../secret.txt")', encoding="utf-8")
    monkeypatch.setattr(pdf, "TEMPLATES", folder)
    with pytest.raises(HotlineError, match="the PDF could not be set"):
        pdf.write_pdf(release, tmp_path / "report.pdf")
