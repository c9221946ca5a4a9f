"""Recordings that Playwright makes of Chromium and the mock pass, in each mode, as `.har` and as `.har.zip`."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.cli.main import main
from conformance.gate.verdict import ExitCode
from tests.mock_process import run_mock
from tests.mock_server.athena import athena_contract
from tests.mock_server.test_command import COMMAND, environment

__all__ = ["environment"]

pytestmark = pytest.mark.browser
# Lists; a record that is created, updated and deleted; a rejected create; an aborted request.
SCRIPT = """async base => {
    const headers = {Authorization: "Bearer demo-token", "Content-Type": "application/json"};
    const send = (method, path, body) =>
        fetch(base + path, {method, headers, body: body && JSON.stringify(body)}).then(response => response.text());
    await send("GET", "/agents?per_page=3");
    const {data} = JSON.parse(await send("POST", "/agents", {name: "Zoë 😀"}));
    await send("PUT", `/agents/${data.uuid}`, {name: "b"});
    await send("POST", "/agents", {name: 7});
    await send("DELETE", `/agents/${data.uuid}`);
    const controller = new AbortController();
    const aborted = fetch(`${base}/agents`, {headers, signal: controller.signal}).catch(() => 0);
    controller.abort();
    await aborted;
}"""


@pytest.fixture(scope="module")
def origin(environment: dict[str, str]) -> Iterator[str]:
    """The origin of a mock."""
    with run_mock((*COMMAND, "--port", "0"), environment) as (_, banner):
        yield re.findall(r"http://[^/ ]+", banner)[0].replace("127.0.0.1", "[::1]")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=executable, args=["--no-sandbox", "--no-proxy-server"])
        yield chromium
        chromium.close()


@pytest.mark.parametrize("extension", [".har", ".har.zip"])
@pytest.mark.parametrize("mode", ["full", "minimal"])
@pytest.mark.parametrize("content", ["omit", "attach", "embed"])
def test_recording_of_playwright_passes(
    browser: Any,
    origin: str,
    content: str,
    mode: str,
    extension: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / f"recording{extension}"
    context = browser.new_context(record_har_path=file, record_har_content=content, record_har_mode=mode)
    page = context.new_page()
    page.goto(f"{origin}/docs")
    page.evaluate(SCRIPT, f"{origin}{athena_contract().base_path}")
    context.close()
    code = main(["traffic", str(file), "--strict", "--report-dir", str(tmp_path)], {})
    output = "".join(capsys.readouterr())
    results = json.loads((tmp_path / "conformance.json").read_text())["results"]
    assert (code, [result for result in results if result["status"] == "failed"]) == (ExitCode.PASSED, []), output
    assert re.search(r"note: \d+ of ", output)  # the files of the page
    is_omitted = content == "omit"
    assert ("not inspected: 2 request bodies (not in the recording)" in output) is is_omitted
    checks = {(result["check"], result["operation"]) for result in results}
    assert (("response-matches-schema", "createAgent") in checks) is not is_omitted
