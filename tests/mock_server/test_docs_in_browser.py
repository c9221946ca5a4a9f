"""Tests the docs page in a browser: authorize, try it out, read the response."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mock_server.test_command import environment, running

__all__ = ["environment"]

pytestmark = pytest.mark.browser
LATEST = 20_000
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of a fresh browser; it fails the test on any error of the page's own."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=found, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.set_default_timeout(LATEST)
        opened.faults = []
        opened.on("pageerror", lambda error: opened.faults.append(str(error)))
        opened.on("request", lambda sent: opened.faults.extend([sent.url] if "127.0.0.1" not in sent.url else []))
        yield opened
        browser.close()


def run(page: Any, operation: str, **values: str) -> tuple[int, Any]:
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
    shown = block.locator(".live-responses-table .response")
    shown.wait_for()
    status = int(shown.locator(".response-col_status").inner_text().split()[0])
    body = shown.locator(".highlight-code pre")
    return status, json.loads(body.first.inner_text()) if body.count() else None


def test_authorize_and_try_it_out_work(page: Any, environment: dict[str, str]) -> None:
    contract = str(ROOT / "spec" / "openapi.yaml")
    with running(environment, "--contract", contract, "--dataset", "demo") as (_, greeting):
        url = greeting.split("/api/")[0]
        page.goto(f"{url}/docs")
        page.locator(".opblock-tag").first.wait_for()
        assert page.locator(".servers select option").first.inner_text() == f"{url}/api/v1"
        page.locator("[id$='-listAgents'].opblock").wait_for()
        assert page.locator(".opblock-tag-section:not(.is-open)").count() == 0

        assert run(page, "listAgents")[0] == 401
        page.locator(".auth-wrapper .authorize").first.click()
        page.locator(".auth-container input[type=text]").first.fill("demo-token")
        page.locator(".auth-btn-wrapper .authorize").first.click()
        page.locator(".btn-done").first.click()

        page.locator("[id$='-listAgents'].opblock .btn-clear").click()
        status, agents = run(page, "listAgents")
        assert status == 200
        key = agents["data"][0]["uuid"]
        status, agent = run(page, "retrieveAgent", uuid=key)
        assert (status, agent["data"]["uuid"]) == (200, key)
        for operation in ("runThread", "stopWorkflowExecution", "retrieveMessage", "deleteProvider"):
            status, text = run(page, operation)  # as the page has filled it in
            assert 200 <= status < 300, text
        assert len(run(page, "getWorkspacesMetrics")[1]["data"]["results"]) > 1
        assert page.locator(".errors-wrapper").count() == 0  # what the page says of a description it cannot follow
    assert page.faults == []
