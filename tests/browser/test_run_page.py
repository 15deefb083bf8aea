"""Dagster's run page follows a run: every step is finished on it without a reload."""

import re
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import needs_chromium
from tests.conftest import Installation, copied
from tests.integration.test_ui import graphql, launch, served
from tests.servers import free_port

PATIENCE = 300  # seconds: a wave is scored meanwhile, on a machine that may be busy
MILLISECONDS = PATIENCE * 1000
pytestmark = needs_chromium

RUNS = "{ runsOrError { ... on Runs { results { runId status } } } }"
STEPS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { stepStats { stepKey status } } } }"


def known_runs(port: int) -> set[str]:
    return {run["runId"] for run in graphql(port, RUNS)["runsOrError"]["results"]}


def open_page(browser: Browser, port: int, run_id: str) -> Page:
    page = browser.new_page(viewport={"width": 1600, "height": 1000})
    page.set_default_timeout(MILLISECONDS)
    page.goto(f"http://127.0.0.1:{port}/runs/{run_id}")
    return page


def shows_all_finished(page: Page, port: int, run_id: str) -> None:
    """The page says so itself; steps and status are those of the history."""
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=MILLISECONDS)
    steps = graphql(port, STEPS, {"id": run_id})["runOrError"]["stepStats"]
    assert {step["status"] for step in steps} == {"SUCCESS"}
    expect(page.get_by_text(re.compile(rf"Succeeded\s*\(?\s*{len(steps)}\)?")).first).to_be_visible(
        timeout=MILLISECONDS
    )
    expect(page.get_by_text("RUN_SUCCESS").first).to_be_visible(timeout=MILLISECONDS)


def test_the_page_of_a_run_of_the_command_line_follows_it(
    published: Installation, tmp_path: Path, browser: Browser
) -> None:
    installation = copied(published, tmp_path)
    port = free_port()
    with served(installation, port):
        before = known_runs(port)
        running = subprocess.Popen(
            [sys.executable, "-m", "dagster_project.cli", "--quiet", "run", "--wave", "2023"],
            env=installation.variables(), cwd=installation.root,
        )  # fmt: skip
        while not (new := known_runs(port) - before):
            assert running.poll() is None, "the run ended before its page was opened"
            time.sleep(0.1)
        page = open_page(browser, port, new.pop())
        assert running.wait(PATIENCE) == 0
        shows_all_finished(page, port, page.url.rpartition("/")[2])


def test_the_page_of_a_run_launched_in_the_ui_follows_it(
    published: Installation, tmp_path: Path, browser: Browser
) -> None:
    installation = copied(published, tmp_path)
    port = free_port()
    with served(installation, port):
        run_id = launch(port, "2023")
        page = open_page(browser, port, run_id)
        shows_all_finished(page, port, run_id)
