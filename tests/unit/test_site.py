"""The site by itself: complete, linked, escaped, the same every time, and small."""

import json
import re
import shutil
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from dagster_project.errors import HotlineError
from dagster_project.release.reading import TOTAL, Node, Release, extremes
from dagster_project.report import site as site_module
from dagster_project.report.site import write_site
from tests.unit.small_release import HOSTILE_NAMES, write_small_release


class Page(HTMLParser):
    """Links, tags and attributes of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.tags.append((tag, named))
        self.links += [value for name in ("href", "src") if (value := named.get(name))]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(write_small_release(tmp_path_factory.mktemp("release") / "small"))


@pytest.fixture(scope="module")
def site(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_site(release, folder)
    return folder


@pytest.fixture(scope="module")
def parsed(site: Path) -> dict[str, Page]:
    return {
        path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
    }


def test_there_is_a_page_for_every_line_province_tier_and_ranking(release: Release, parsed: dict[str, Page]) -> None:
    expected = {f"lines/{line_id}.html" for line_id in release.lines}
    expected |= {f"provinces/{line['province_code']}.html" for line in release.lines.values()}
    expected |= {f"tiers/{number + 1}.html" for number in range(len(release.tiers))}
    expected |= {f"rankings/{group['group_code']}.html" for group in release.method("rank_groups")}
    assert set(parsed) == expected | {
        f"{name}.html" for name in ("index", "method", "quality", "revisions", "data", "whatif")
    }


def test_every_link_leads_to_a_file_of_the_site(site: Path, parsed: dict[str, Page]) -> None:
    for name, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            assert not parts.scheme and not parts.netloc, (name, link)
            assert not parts.path or (site / name).parent.joinpath(parts.path).resolve().is_file(), (name, link)


def test_pages_forbid_foreign_and_inline_script_and_say_that_the_data_are_simulated(parsed: dict[str, Page]) -> None:
    for name, page in parsed.items():
        policy = next(named["content"] for tag, named in page.tags if named.get("http-equiv"))
        assert policy is not None and "default-src 'none'" in policy and "unsafe" not in policy, name
        scripts = [named for tag, named in page.tags if tag == "script"]
        assert all("src" in named or named.get("type") == "application/json" for named in scripts), name
        assert not [tag for tag, named in page.tags if any(key == "style" or key.startswith("on") for key in named)]
        assert "模拟数据" in page.text, name


def test_names_are_text_wherever_they_stand(release: Release, parsed: dict[str, Page]) -> None:
    names = {line["line_id"]: line["city"] for line in release.lines.values()}
    assert set(names.values()) == set(HOSTILE_NAMES)
    for line_id, name in names.items():
        assert name in parsed[f"lines/{line_id}.html"].text
        assert name in parsed[f"tiers/{release.tiers.index(release.lines[line_id]['tier']) + 1}.html"].text
    # a name that turns the writing direction does so within its own element only
    raw = [name for name, page in parsed.items() if "\u202e" in page.text]
    assert raw


def test_the_writing_direction_of_a_name_is_isolated(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        outside = re.sub(r"<bdi>.*?</bdi>|<title>.*?</title>", "", text, flags=re.DOTALL)
        assert "\u202e" not in outside, path.name


def test_a_line_page_holds_its_scores_and_probes(release: Release, parsed: dict[str, Page]) -> None:
    for line_id, scores in release.scores.items():
        text = parsed[f"lines/{line_id}.html"].text
        total = scores["all", TOTAL]["published"]
        assert ("–" if total is None else f"{total:.2f}") in text
        units = {row["unit_id"] for row in release.observations[line_id]}
        counted = sum(int(number) for number in re.findall(r"(?:拨打|监测) (\d+) 次", text))
        assert counted == len(units)


def test_a_line_page_of_many_observations_tells_the_means_of_scenarios(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls, visits and requests, two scenarios each; observations.parquet is not read."""
    largest = max(release.n_observations, key=lambda line_id: (release.n_observations[line_id], line_id))
    n = release.n_observations[largest]
    monkeypatch.setattr(site_module, "MOST_TOLD", n - 1)
    write_site(release, tmp_path)
    page = Page((tmp_path / "lines" / f"{largest}.html").read_text(encoding="utf-8"))
    assert f"共 {n} 条观测" in page.text and "../data.html" in page.links
    told = site_module._summary_tables(release, largest)
    assert [(each.title, each.n_units) for each in told] == [("电话监测", 2), ("网络监测", 2), ("网络监测", 2)]
    assert {each.units for each in told} == {"S01、S02"}
    row = next(each for each in release.scenarios[largest] if each["score_nano"] is not None)
    cell = f"{row['scenario_code']} {row['score_nano'] / 10**9:.2f}（{row['n_valid']}）"
    assert any(cell in text for table in told for name, text in table.rows if name.startswith(row["indicator_code"]))
    monkeypatch.setattr(site_module, "MOST_TOLD", n)
    assert "条观测，此处" not in dict(site_module.pages(release))[f"lines/{largest}.html"]


def test_contributions_stand_beside_the_changes_and_sum_to_the_lines(release: Release, site: Path) -> None:
    nodes = list(release.tree.values())
    for line_id, own in release.contributions.items():
        html = (site / "lines" / f"{line_id}.html").read_text(encoding="utf-8")
        table = html[html.index("<table class=tree>") :]
        rows = table[: table.index("</table>")].split("<tbody>")[1].split("<tr")[1:]
        assert len(rows) == len(nodes)
        shown = [row.split("<td>")[5] for row in rows]
        change = release.scores[line_id]["all", TOTAL]["change"]
        assert shown[0] == f"{change:+.2f}"
        thirds = [text for node, text in zip(nodes, shown, strict=True) if node.level == 3 and text]
        assert sum(map(Decimal, thirds)) == change
        assert len(thirds) == len(own)
    unscored = release.lines.keys() - release.contributions.keys()
    assert all("贡献" not in (site / "lines" / f"{line_id}.html").read_text(encoding="utf-8") for line_id in unscored)


def test_the_furthest_come_first_and_equal_ones_by_their_code() -> None:
    leads = [
        (Node(code, code, 3, "B01"), Decimal(lead))
        for code, lead in (("I04", 2), ("I02", 2), ("I01", 0), ("I03", -1), ("I05", 3), ("I06", -1), ("I07", -4))
    ]
    above, below = extremes(leads, 2)
    assert [node.code for node, _ in above] == ["I05", "I02"]
    assert [node.code for node, _ in below] == ["I07", "I03"]


def test_observations_are_told_by_their_result() -> None:
    order = {f"S{number:02}": number for number in range(1, 16)}
    told = {"S03": "100", "S01": "60", "S02": "60", "第4次": "未接通", "S04": "100", "S06": "100"}
    assert site_module._by_result(told, order) == "60：S01、S02；未接通：第4次；其余 100"
    assert site_module._by_result({"S01": "0"}, order) == "0"
    assert site_module._by_result({"S01": "0", "S02": "0"}, order) == "均为 0"
    # a run is one of the method's order, without a gap, and long enough to be shorter so
    assert site_module._listed(["S01", "S02", "S03", "S05", "S06", "第7次", "S12", "S13"], order) == (
        "S01–S03、S05、S06、第7次、S12、S13"
    )


def test_chart_data_are_the_releases_figures(site: Path, release: Release) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    blocks = [json.loads(each) for each in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)]
    assert blocks
    by_label = {figure["label"]: figure for figure in release.figures.values()}
    for block in blocks:
        for number, label in enumerate(block["labels"]):
            figure = by_label[label]
            assert block["values"][number] == float(figure["value"])
            if figure["change"] is not None:
                assert block["before"][number] == float(figure["value"] - figure["change"])


def test_the_same_release_gives_the_same_bytes(release: Release, site: Path, tmp_path: Path) -> None:
    write_site(Release(release.folder), tmp_path)
    ours = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == ours


def test_downloads_hold_no_formula_and_say_what_they_are(site: Path) -> None:
    header, *rows = (site / "data/line_scores.csv").read_text(encoding="utf-8-sig").splitlines()
    assert header.startswith("line_id,city,T,")
    assert all(row.endswith("模拟数据") for row in rows)
    assert not [row for row in rows if re.search(r'(^|,)"?[=+@]', row)]


def test_a_code_that_is_no_file_name_is_refused(tmp_path: Path) -> None:
    release = Release(write_small_release(tmp_path / "release"))
    line = release.lines.pop("110100")
    release.lines["../../evil"] = {**line, "line_id": "../../evil"}
    with pytest.raises(HotlineError, match="can not be the name of a page"):
        write_site(release, tmp_path / "site")


def test_rank_sets_stand_beside_the_ranks(release: Release, parsed: dict[str, Page]) -> None:
    for group, rows in release.rankings.items():
        text = re.sub(r"\s", "", parsed[f"rankings/{group}.html"].text)
        for row in rows:
            if row["rank"] is not None:
                place = f"{row['rank']}{'并列' if row['is_tied'] else ''}{row['rank_low']}–{row['rank_high']}"
                assert place + re.sub(r"\s", "", row["unit_name"]) in text
    assert "第5–23名之间" in parsed["method.html"].text


def test_a_release_from_before_rank_sets_is_rendered_without_them(release: Release, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(release.folder, folder)
    table = pq.read_table(folder / "rankings.parquet")
    pq.write_table(table.select(table.column_names[:-7]), folder / "rankings.parquet")
    (folder / "standard_errors.parquet").unlink()
    (tmp_path / "site").mkdir()
    write_site(Release(folder), tmp_path / "site")
    pages = [path for path in sorted((tmp_path / "site").rglob("*.html")) if path.parent.name in ("lines", "rankings")]
    assert len(pages) > 6
    texts = [Page(path.read_text(encoding="utf-8")).text for path in pages]
    assert not any("区间" in text or "标准误" in text for text in texts)
    assert "名次有多可靠" not in (tmp_path / "site/method.html").read_text(encoding="utf-8")


def test_what_is_flagged_of_the_field_work_is_told_without_naming_anyone(parsed: dict[str, Page]) -> None:
    text = " ".join(parsed["quality.html"].text.split())
    assert "共提示 2 项" in text
    assert "I08 语气态度" + "41" + "40" + "81.25" + "0.600" + "0.412 至 0.741" + "提示" in text
    assert "I07 问候与自报身份" + "41" + "40" + "100.00" + "–" + "–" in text
    assert "电话端第 1 号编码员（87 条记录）：比同伴严 3.50 分（标准误 0.50）。" in text
    assert "第 2 号编码员" not in text


def test_a_release_older_than_these_findings_is_shown_without_them(tmp_path: Path) -> None:
    folder = write_small_release(tmp_path / "older")
    quality = json.loads((folder / "quality.json").read_text(encoding="utf-8"))
    del quality["fieldwork"]
    (folder / "quality.json").write_text(json.dumps(quality), encoding="utf-8")
    write_site(Release(folder), tmp_path / "site")
    assert "现场工作" not in (tmp_path / "site/quality.html").read_text(encoding="utf-8")


def test_no_page_shows_how_values_are_kept(parsed: dict[str, Page]) -> None:
    for name, page in parsed.items():
        assert not re.search(r"Decimal\(|\{'|None|nan", page.text), name


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ({"min_value": 2}, "≥ 2"),
        ({"max_value": 12}, "≤ 12"),
        ({"min_value": 0, "max_value": 20}, "0–20"),
        ({"min_value": 0, "max_value": 0}, "0"),
        ({"value": 349}, "349"),
        ({"value_set": [0, 1]}, "0、1"),
        ({"mostly": Decimal("0.98")}, "≥ 98%"),
        ({}, ""),
    ],
)
def test_bounds_of_an_expectation_in_words(of: dict[str, object], words: str) -> None:
    assert site_module.bounds(of) == words


def test_what_an_expectation_found_in_words() -> None:
    found = [{"min": Decimal("3.424"), "max": Decimal("4.617")}, Decimal("89.0120"), Decimal("0.0"), 349, None]
    assert [site_module.observed(each) for each in found] == ["3.42–4.62", "89.01", "0", "349", ""]
