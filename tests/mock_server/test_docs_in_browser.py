"""Tests the docs page in a browser: authorize, try it out, read the response."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mock_server.test_command import environment, run_library_mock

__all__ = ["environment"]

pytestmark = pytest.mark.browser
TIMEOUT_MS = 20_000
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
            "request",
            lambda request: browser_page.faults.extend([request.url] if "127.0.0.1" not in request.url else []),
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


def test_authorize_and_try_it_out_work(page: Any, environment: dict[str, str]) -> None:
    contract = str(ROOT / "spec" / "openapi.yaml")
    with run_library_mock(environment, "--contract", contract, "--dataset", "demo") as (_, banner):
        url = banner.split("/api/")[0]
        page.goto(f"{url}/docs")
        page.locator(".opblock-tag").first.wait_for()
        assert page.locator(".servers select option").first.inner_text() == f"{url}/api/v1"
        page.locator("[id$='-listAgents'].opblock").wait_for()
        assert page.locator(".opblock-tag-section:not(.is-open)").count() == 0

        assert execute_operation(page, "listAgents")[0] == 401
        page.locator(".auth-wrapper .authorize").first.click()
        bearer = page.locator(".auth-container").filter(has=page.locator("h4 code", has_text="bearer")).last
        bearer.locator("input[type=text]").fill("demo-token")
        bearer.locator(".auth-btn-wrapper .authorize").click()
        page.locator(".btn-done").first.click()

        page.locator("[id$='-listAgents'].opblock .btn-clear").click()
        status, agents = execute_operation(page, "listAgents")
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
