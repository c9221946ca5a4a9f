"""The HTML report in a browser: texts of a hostile target are not executed or requested, and the page is readable."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.reporting import html
from tests.conformance.support.sample_reports import hostile_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as api:
        chromium = api.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The report of a hostile target, as a file."""
    path = tmp_path / "report.html"
    path.write_text(html.render(hostile_report()), encoding="utf-8")
    return path


def open_page(browser: Any, path: Path, scheme: str = "light") -> tuple[Any, list[str]]:
    """Open the page; return it and its events: requests, errors, console messages."""
    page, events = browser.new_page(color_scheme=scheme), []
    page.on("request", lambda request: events.append(request.url) if not request.url.startswith("file:") else None)
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("console", lambda message: events.append(message.text))
    page.goto(path.as_uri())
    page.wait_for_load_state("networkidle")
    return page, events


def test_hostile_texts_are_not_executed(browser: Any, report: Path) -> None:
    page, events = open_page(browser, report)
    assert events == []
    assert page.title().startswith("FAILED (exit 1)")
    assert page.locator("script, img, iframe, link, body style").count() == 0
    assert page.locator("a:not([href^='#'])").count() == 0
    assert "<script>" in page.locator("#b1").inner_text()


def test_content_security_policy_blocks_injected_markup(browser: Any, report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    injected = (
        "<script>document.title='run'</script><img src='https://evil.invalid/x' onerror=\"document.title='run'\">"
    )
    report.write_text(text.replace("</body>", f"{injected}</body>"), encoding="utf-8")
    page, events = open_page(browser, report)
    assert page.title().startswith("FAILED (exit 1)")
    messages = [event for event in events if "Content Security Policy" in event]
    assert len(messages) >= 2, "the script and the image are reported as blocked"
    assert "blocked" in " ".join(messages)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_style_applies_and_text_has_contrast(browser: Any, report: Path, scheme: str) -> None:
    page, _ = open_page(browser, report, scheme)
    colors = page.evaluate(
        "() => [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    light = [sum(int(part) for part in color[4:-1].split(",")) / 765 for color in colors]
    assert abs(light[0] - light[1]) > 0.7
    assert (light[1] > light[0]) is (scheme == "light")


def test_page_fits_on_small_screen(browser: Any, report: Path) -> None:
    page, _ = open_page(browser, report)
    page.set_viewport_size({"width": 800, "height": 600})
    assert page.evaluate("document.documentElement.scrollWidth") <= 800


def test_overview_links_to_evidence(browser: Any, report: Path) -> None:
    page, _ = open_page(browser, report)
    page.locator(".first a").first.click()
    assert page.url.endswith("#b1")
    text = page.locator("#b1").inner_text()
    assert all(
        part in text for part in ("The request is stored.", "curl -i -X POST", "RESPONSE", "REQUEST", "CONTRACT")
    )
