"""Tests the documentation in a browser: read and search the contract, try operations, read their responses."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mock_server.test_command import environment, run_library_mock

__all__ = ["environment"]

pytestmark = pytest.mark.browser
TIMEOUT_MS = 20_000
LOCAL_URLS = ("http://127.0.0.1", "data:", "blob:")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of a fresh browser; it fails the test on any error of the page's own."""
    playwright = pytest.importorskip("playwright.sync_api")
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        browser_page = browser.new_page()
        browser_page.set_default_timeout(TIMEOUT_MS)
        browser_page.faults = []
        browser_page.on("pageerror", lambda error: browser_page.faults.append(str(error)))
        browser_page.on(
            "console",
            lambda message: browser_page.faults.extend([message.text] if "Content Security" in message.text else []),
        )
        browser_page.on(
            "request",
            lambda request: browser_page.faults.extend([request.url] if not request.url.startswith(LOCAL_URLS) else []),
        )
        yield browser_page
        browser.close()


def execute_operation(page: Any, operation: str, **values: str) -> tuple[int, Any]:
    """Open an operation, fill in its parameters, execute it; the status and the JSON that the page shows."""
    block = page.locator(f"[id$='-{operation}'].opblock")
    if "is-open" not in block.get_attribute("class"):
        block.locator(".opblock-summary").click()
        block.locator(".try-out__btn").wait_for()
    if block.locator(".try-out__btn:not(.cancel)").count():
        block.locator(".try-out__btn").click()
    for name, value in values.items():
        block.locator(f"tr[data-param-name='{name}'] input").fill(value)
    block.locator("button.execute").click()
    response = block.locator(".live-responses-table .response")
    response.wait_for()
    status = int(response.locator(".response-col_status").inner_text().split()[0])
    body = response.locator(".highlight-code pre")
    return status, json.loads(body.first.inner_text()) if body.count() else None


def test_operations_are_tried_with_the_token_of_the_page(page: Any, environment: dict[str, str]) -> None:
    contract = str(ROOT / "spec" / "openapi.yaml")
    with run_library_mock(environment, "--contract", contract, "--dataset", "demo") as (_, banner):
        url = banner.split("/api/")[0]
        page.goto(f"{url}/docs/try")
        page.locator(".opblock-tag").first.wait_for()
        assert page.locator(".servers select option").first.inner_text() == f"{url}/api/v1"
        page.locator("[id$='-listAgents'].opblock").wait_for()
        assert page.locator(".opblock-tag-section:not(.is-open)").count() == 0
        status, agents = execute_operation(page, "listAgents")  # with the token that the page has filled in
        assert status == 200
        key = agents["data"][0]["uuid"]
        status, agent = execute_operation(page, "retrieveAgent", uuid=key)
        assert (status, agent["data"]["uuid"]) == (200, key)
        for operation in ("runThread", "stopWorkflowExecution", "retrieveMessage", "deleteProvider"):
            status, text = execute_operation(page, operation)  # as the page has filled it in
            assert 200 <= status < 300, text
        assert len(execute_operation(page, "getWorkspacesMetrics")[1]["data"]["results"]) > 1
        assert page.locator(".errors-wrapper").count() == 0  # what the page says of a description it cannot follow
    assert page.faults == []


def test_tags_are_filtered_without_regard_to_case_and_shown_in_dark_colors(
    page: Any, environment: dict[str, str]
) -> None:
    contract = str(ROOT / "spec" / "openapi.yaml")
    with run_library_mock(environment, "--contract", contract, "--dataset", "demo") as (_, banner):
        page.emulate_media(color_scheme="dark")
        page.goto(f"{banner.split('/api/')[0]}/docs/try")
        page.locator(".opblock-tag").first.wait_for()
        page.locator(".operation-filter-input").fill("thread")
        page.locator(".opblock-tag").nth(1).wait_for(state="detached")
        assert page.locator(".opblock-tag").inner_text().startswith("Thread")
        assert page.evaluate("getComputedStyle(document.documentElement).filter").startswith("invert(")
        page.emulate_media(color_scheme="light")
        assert page.evaluate("getComputedStyle(document.documentElement).filter") == "none"
    assert page.faults == []


def test_contract_is_read_with_badges_and_search(page: Any, environment: dict[str, str]) -> None:
    contract = str(ROOT / "spec" / "openapi.yaml")
    with run_library_mock(environment, "--contract", contract, "--dataset", "demo") as (_, banner):
        page.goto(f"{banner.split('/api/')[0]}/docs")
        page.get_by_role("heading", name="Athena API").wait_for()
        page.get_by_text("Search", exact=True).first.click()
        page.get_by_role("combobox", name="Enter search query").fill("get agents")
        page.get_by_role("option", name="Get Agents").first.click()
        operation = page.locator("section", has=page.get_by_role("heading", name="Get Agents")).last
        operation.get_by_text(re.compile("^(Documented|Published|Confirmed|Inferred)$")).first.wait_for()
        token = operation.get_by_text("demo-token").first
        token.wait_for()
        cells = page.locator("td code")
        assert cells.first.evaluate("element => element.getClientRects().length") == 1  # words are not split
        assert token.evaluate("element => parseFloat(getComputedStyle(element).fontSize)") > 10
    assert page.faults == []
