"""The site of the demonstration wave as a reader meets it: opened from the folder, without a network."""

import os
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import floor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from dagster_project.release.reading import TOTAL, Release
from dagster_project.release.sensitivity import sensitivity_of
from dagster_project.report import site as site_module
from dagster_project.report.site import write_site
from tests.browser.conftest import needs_chromium
from tests.conftest import Installation
from tests.unit.small_release import write_small_release

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def site(published: Installation) -> Path:
    return published.paths.site_index("2023").resolve().parent


@pytest.fixture(scope="module")
def release(published: Installation) -> Release:
    return Release(published.paths.current("2023").resolve())


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that may ask no network, and whose errors fail the test."""
    context = browser.new_context(offline=True, viewport={"width": 1440, "height": 900}, locale="zh-CN")
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith("file:") else errors.append(asked.url))
    yield page
    context.close()
    assert errors == []


def names(page: Page) -> list[str]:
    return page.locator("table.sortable tbody tr:not([hidden]) th").all_inner_texts()


def test_charts_are_drawn(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    boxes = page.locator("[data-chart]")
    assert boxes.count() >= 7
    for number in range(boxes.count()):
        canvas = boxes.nth(number).locator("canvas").first
        painted = canvas.evaluate(
            "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"
        )
        assert painted > 3, boxes.nth(number).get_attribute("data-chart")


def test_rankings_are_sorted_by_pinyin_and_by_number_and_filtered(page: Page, site: Path, release: Release) -> None:
    page.goto((site / "rankings/key_city.html").as_uri())
    listed = [row["unit_name"] for row in release.rankings["key_city"]]
    assert names(page) == listed

    page.get_by_role("button", name="名称").click()
    by_pinyin = names(page)
    assert sorted(by_pinyin) == sorted(listed)
    # cháng, chéng, dà, xià, zhèng: neither by code point nor by the commoner readings zhǎng and shà
    expected = ["长春市", "成都市", "大连市", "厦门市", "郑州市"]
    assert [name for name in by_pinyin if name in expected] == expected

    page.get_by_role("button", name="得分").click()
    scores = {row["unit_name"]: row["published"] for row in release.rankings["key_city"]}
    values = [scores[name] for name in names(page)]
    assert values == sorted(values)
    page.get_by_role("button", name="得分").click()
    assert [scores[name] for name in names(page)] == sorted(values, reverse=True)

    page.get_by_label("查找").fill("山东")
    assert sorted(names(page)) == sorted(
        line["city"] for line in release.lines.values()
        if line["province"] == "山东省" and line["rank_group"] == "key_city"
    )  # fmt: skip
    page.get_by_label("查找").fill("")
    page.get_by_label("分类").select_option("温线")
    warm = {row["unit_name"] for row in release.rankings["key_city"] if row["line_class"] == "warm"}
    assert set(names(page)) == warm and warm


def test_a_rank_is_followed_down_to_its_probes(page: Page, site: Path, release: Release) -> None:
    page.goto((site / "index.html").as_uri())
    page.get_by_role("link", name="普通城市排名").click()
    first = release.rankings["ordinary_city"][0]
    page.get_by_role("link", name=first["unit_name"], exact=True).click()
    assert page.locator("h1").inner_text() == first["unit_name"]
    assert page.locator(".heads b").first.inner_text() == f"{first['published']:.2f}"

    tree = page.locator("table.tree tbody tr")
    shown = {row.locator("th").inner_text(): row.locator("td").first.inner_text() for row in tree.all()}
    scores = release.scores[first["unit_code"]]
    for node in release.tree.values():
        value = scores["all", node.code]["published"]
        assert shown[node.label] == ("–" if value is None else f"{value:.2f}")

    expected: dict[str, list[float]] = {}
    for row in release.observations[first["unit_code"]]:
        if row["score_nano"] is not None:
            expected.setdefault(row["indicator_code"], []).append(row["score_nano"] / 10**9)
    probes = {}
    for table in page.locator("table.probes").all():
        n_units = int(re.findall(r"(\d+) 次", table.locator("caption").inner_text())[0])
        for told in table.locator("tr").all():
            code = told.locator("th").inner_text().split()[0]
            probes[code] = observed(told.locator("td").inner_text(), n_units)
    assert {code: sorted(found) for code, found in probes.items() if found} == {
        code: sorted(found) for code, found in expected.items()
    }


def observed(text: str, n_units: int) -> list[float]:
    """The scores that `60：S09、S12；其余 100` tells of so many units."""
    found: list[str] = []
    for part in text.split("；"):
        result, _, names = part.rpartition("：")
        if result:
            found += [result] * sum(length_of_run(name) for name in names.split("、"))
        else:
            found += [part.removeprefix("其余 ").removeprefix("均为 ")] * (n_units - len(found))
    assert len(found) == n_units
    return [float(result) for result in found if result[0].isdigit()]


def length_of_run(name: str) -> int:
    first, dash, last = name.partition("–")
    return int(last[1:]) - int(first[1:]) + 1 if dash else 1


# --- other weights -----------------------------------------------------------------------------

Placed = dict[str, tuple[str, str, str, str]]  # {unit: rank, score, published rank, change of rank}, as printed


def shown_ranking(page: Page, group: str) -> Placed:
    """The table of the page, in its order; the unit by the page that its name leads to."""
    page.get_by_label("排名", exact=True).select_option(group)
    rows: list[list[str]] = page.locator("#ranked tbody").evaluate(
        "body => [...body.rows].map(row => [row.querySelector('a').getAttribute('href'), "
        "...[...row.cells].map(cell => cell.textContent)])"
    )
    return {Path(href).stem: (rank, score, before, change) for href, rank, _, score, before, change in rows}


def half_up(exact: Fraction) -> int:
    return floor(exact + Fraction(1, 2))


def expected_total(nanos: Mapping[str, int | None], weights: Mapping[str, int], basis: str) -> int | None:
    """A line's total in exact fractions from its first-level scores; None where less than half of them is there."""
    present = {code: weight for code, weight in weights.items() if nanos[code] is not None}
    there, defined = (sum(each.values()) if basis == "weight" else len(each) for each in (present, weights))
    whole = sum(present.values())
    if whole == 0 or Fraction(there, defined) < Fraction(1, 2):
        return None
    return half_up(Fraction(sum(weight * (nanos[code] or 0) for code, weight in present.items()), whole))


def expected_ranking(release: Release, weights: Mapping[str, int], group: Mapping[str, str], basis: str) -> Placed:
    """The ranking by other first-level weights, without the page's code; in the order in which it is listed."""
    totals = {
        line_id: expected_total({code: scores["all", code]["score_nano"] for code in weights}, weights, basis)
        for line_id, scores in release.scores.items()
    }
    column = "province_code" if group["unit"] == "province" else "line_id"
    before = {row["unit_code"]: row["rank"] for row in release.rankings[group["group_code"]]}
    centis: dict[str, int | None] = {}
    ranked: dict[str, int] = {}
    for unit in before:
        lines = [line_id for line_id, line in release.lines.items() if line[column] == unit]
        found = {line_id: nano for line_id in lines if (nano := totals[line_id]) is not None}
        if not found:
            centis[unit] = None
            continue
        mean = half_up(Fraction(sum(found.values()), len(found)))
        centi = centis[unit] = half_up(Fraction(half_up(Fraction(mean, 10)), 10**6))
        if any(release.classes[line_id]["is_ranked"] for line_id in found):
            ranked[unit] = centi
    scores = list(ranked.values())
    ranks = {unit: 1 + sum(other > centi for other in scores) for unit, centi in ranked.items()}
    order = sorted(before, key=lambda unit: (unit not in ranks, ranks.get(unit, 0), unit))
    return {
        unit: printed(ranks.get(unit), centis[unit], before[unit], unit in ranked and scores.count(ranked[unit]) > 1)
        for unit in order
    }


def printed(rank: int | None, centi: int | None, before: int | None, is_tied: bool) -> tuple[str, str, str, str]:
    change = None if rank is None or before is None else before - rank
    return (
        "–" if rank is None else f"{rank}{'并列' if is_tied else ''}",
        "–" if centi is None else f"{centi // 100}.{centi % 100:02}",
        "–" if before is None else str(before),
        "–" if change is None else f"{change:+d}" if change > 0 else str(change),
    )


def test_other_weights_begin_with_the_published_digits_and_ranks(page: Page, site: Path, release: Release) -> None:
    page.goto((site / "rankings/key_city.html").as_uri())
    page.get_by_role("link", name="换一组权重会怎样").click()
    assert page.get_by_label("排名", exact=True).input_value() == "key_city"
    for group, rows in release.rankings.items():
        shown = shown_ranking(page, group)
        assert list(shown) == [row["unit_code"] for row in rows]
        for row in rows:
            is_ranked = row["rank"] is not None
            assert shown[row["unit_code"]] == (
                f"{row['rank']}{'并列' if row['is_tied'] else ''}" if is_ranked else "–",
                "–" if row["published"] is None else f"{row['published']:.2f}",
                str(row["rank"]) if is_ranked else "–",
                "0" if is_ranked else "–",
            )
    published = release.aggregates["national", "all"]["all", TOTAL]["published"]
    assert f"{published:.2f}（公布 {published:.2f}）" in page.get_by_role("status").inner_text()


@pytest.mark.parametrize("weights", [(20, 40, 40), (0, 0, 7), (5, 90, 5), (33, 33, 34)], ids=str)
def test_other_weights_give_what_fractions_give(
    page: Page, site: Path, release: Release, weights: tuple[int, ...]
) -> None:
    page.goto((site / "whatif.html").as_uri())
    chosen = dict(zip([node.code for node in release.tree.values() if node.level == 1], weights, strict=True))
    for code, weight in chosen.items():
        page.locator(f"#w-{code}").fill(str(weight))
    for group in release.method("rank_groups"):
        expected = expected_ranking(release, chosen, group, "weight")
        shown = shown_ranking(page, group["group_code"])
        assert shown == expected
        assert list(shown) == list(expected)


def test_other_weights_follow_the_methods_own_rule_of_absence(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted by children, two of three are enough, whatever the third weighs: by weight they are not."""
    folder = write_small_release(tmp_path / "release")
    # the release's ranks are those of its own rule, not of the one that is put in its place here
    sensitivity = sensitivity_of(folder)
    monkeypatch.setattr(site_module, "sensitivity_of", lambda _: sensitivity)
    settings = folder / "method/settings.csv"
    text = settings.read_text(encoding="utf-8")
    release = Release(folder)
    release.scores["120200"]["all", "A2"]["score_nano"] = None
    group = next(each for each in release.method("rank_groups") if each["group_code"] == "ordinary_city")
    chosen = {"A1": 10, "A2": 85, "A3": 5}
    seen = {}
    for basis in ("weight", "count"):
        settings.write_text(text.replace("availability_basis,weight", f"availability_basis,{basis}"), encoding="utf-8")
        (tmp_path / basis).mkdir()
        write_site(release, tmp_path / basis)
        page.goto((tmp_path / basis / "whatif.html").as_uri())
        for code, weight in chosen.items():
            page.locator(f"#w-{code}").fill(str(weight))
        seen[basis] = shown_ranking(page, "ordinary_city")
        assert seen[basis] == expected_ranking(release, chosen, group, basis)
    assert (seen["weight"]["120200"][0], seen["count"]["120200"][0]) == ("–", "1")


def test_other_weights_are_set_by_keyboard_told_and_taken_back(page: Page, site: Path) -> None:
    page.goto((site / "whatif.html").as_uri())
    slider = page.get_by_label("服务响应")
    before = page.locator("#ranked tbody").inner_text()
    slider.focus()
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "100，占 52.6%"
    assert page.locator("#ranked tbody").inner_text() != before
    assert "名次与公布的不同" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="恢复公布的权重").click()
    assert slider.input_value() == "10"
    assert page.locator("#ranked tbody").inner_text() == before
    for name in ("服务响应", "服务规范", "问题解决"):
        page.get_by_label(name).fill("0")
    assert page.get_by_role("status").inner_text() == "权重全为 0，无法计算。"


def test_a_phone_shows_every_page_without_scrolling_sideways(browser: Browser, site: Path) -> None:
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    for name in (
        "index.html",
        "rankings/province.html",
        "lines/370100.html",
        "tiers/1.html",
        "method.html",
        "quality.html",
        "whatif.html",
    ):
        page.goto((site / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
    context.close()


def test_tables_are_reached_and_sorted_by_keyboard(page: Page, site: Path) -> None:
    page.goto((site / "rankings/province.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.get_by_role("button", name="名称").focus()
    page.keyboard.press("Enter")
    head = page.locator("thead th").nth(1)
    assert head.get_attribute("aria-sort") == "ascending"


def test_the_site_is_as_small_as_promised(site: Path) -> None:
    sizes = {path.relative_to(site).as_posix(): path.stat().st_size for path in site.rglob("*") if path.is_file()}
    assert sum(sizes.values()) <= 4_000_000
    assert max(size for name, size in sizes.items() if name.startswith("lines/")) <= 20 * 2**10
    assert sizes["whatif.html"] + sizes["static/whatif.js"] <= 45_000


@pytest.fixture(scope="module", autouse=True)
def _pictures(browser: Browser, site: Path) -> Iterator[None]:
    """Where SCREENSHOTS names a folder, the pages of the documentation are photographed into it."""
    yield
    folder = os.environ.get("SCREENSHOTS")
    if not folder:
        return
    for width in (1440, 390):
        context = browser.new_context(offline=True, viewport={"width": width, "height": 900})
        page = context.new_page()
        for name in ("index", "rankings/key_city", "lines/370100"):
            page.goto((site / f"{name}.html").as_uri())
            page.screenshot(path=f"{folder}/site-{name.replace('/', '-')}-{width}.png")
        context.close()
