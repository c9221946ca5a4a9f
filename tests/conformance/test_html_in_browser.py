"""The HTML report in a browser: what a hostile target said is text, nothing runs, nothing leaves, all can be read."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.reporting import html
from tests.conformance.telling import hostile_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as engine:
        opened = engine.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The report of a hostile target, as a file."""
    path = tmp_path / "report.html"
    path.write_text(html.render(hostile_report()), encoding="utf-8")
    return path


def opened(browser: Any, path: Path, scheme: str = "light") -> tuple[Any, list[str]]:
    """The page, and what it did beside being shown: requests, errors, words on the console."""
    page, did = browser.new_page(color_scheme=scheme), []
    page.on("request", lambda sent: did.append(sent.url) if not sent.url.startswith("file:") else None)
    page.on("pageerror", lambda error: did.append(str(error)))
    page.on("console", lambda said: did.append(said.text))
    page.goto(path.as_uri())
    page.wait_for_load_state("networkidle")
    return page, did


def test_nothing_of_a_hostile_target_runs_or_leaves(browser: Any, report: Path) -> None:
    page, did = opened(browser, report)
    assert did == []
    assert page.title().startswith("BROKEN (exit 1)")
    assert page.locator("script, img, iframe, link, body style").count() == 0
    assert page.locator("a:not([href^='#'])").count() == 0
    assert "<script>" in page.locator("#b1").inner_text()


def test_the_policy_would_stop_markup_that_got_through(browser: Any, report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    planted = "<script>document.title='run'</script><img src='https://evil.invalid/x' onerror=\"document.title='run'\">"
    report.write_text(text.replace("</body>", f"{planted}</body>"), encoding="utf-8")
    page, did = opened(browser, report)
    assert page.title().startswith("BROKEN (exit 1)")
    told = [said for said in did if "Content Security Policy" in said]
    assert len(told) >= 2, "the script and the image are told of as stopped"
    assert "blocked" in " ".join(told)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_style_applies_and_text_stands_out(browser: Any, report: Path, scheme: str) -> None:
    page, _ = opened(browser, report, scheme)
    colours = page.evaluate(
        "() => [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    light = [sum(int(part) for part in colour[4:-1].split(",")) / 765 for colour in colours]
    assert abs(light[0] - light[1]) > 0.7
    assert (light[1] > light[0]) is (scheme == "light")


def test_the_page_is_no_wider_than_a_small_screen(browser: Any, report: Path) -> None:
    page, _ = opened(browser, report)
    page.set_viewport_size({"width": 800, "height": 600})
    assert page.evaluate("document.documentElement.scrollWidth") <= 800


def test_the_overview_leads_to_the_evidence(browser: Any, report: Path) -> None:
    page, _ = opened(browser, report)
    page.locator(".first a").first.click()
    assert page.url.endswith("#b1")
    shown = page.locator("#b1").inner_text()
    assert all(
        word in shown for word in ("What was sent is stored.", "curl -i -X POST", "ANSWER", "REQUEST", "CONTRACT")
    )
