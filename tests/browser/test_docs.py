"""The docs page in a real browser: Authorize with the standing token, Try it out, and the answer is there."""

import shutil
from collections.abc import Iterator

import pytest

from bench.servers import Server, ours

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with ours() as running:
        yield running


def test_an_operation_can_be_authorized_and_tried_out(server: Server) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium")
    root = server.base.partition("/api/")[0]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{root}/docs")
        page.get_by_role("button", name="Authorize").first.click()
        page.get_by_label("auth-bearer-value").fill("demo-token")
        page.locator(".modal-ux button[type=submit]").first.click()
        page.locator(".modal-ux .btn-done").first.click()
        page.locator("#operations-tag-Workspace").click()
        operation = page.locator("#operations-Workspace-listWorkspaces")
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
        operation.get_by_role("button", name="Execute").click()
        answer = operation.locator(".live-responses-table")
        answer.wait_for()
        said = answer.inner_text()
        browser.close()
    assert "My AI Workspace" in said
    assert [url for url in asked if not url.startswith((root, "data:", "blob:"))] == []
