"""Tests in Chromium which pages can read from the mock and control it: DNS rebinding fails, allowed origins work."""

import json
import os
import re
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.mock_server.test_command import environment, run_library_mock, send

__all__ = ["environment"]

pytestmark = pytest.mark.browser
TIMEOUT_MS = 20_000
# The attacker's and the other names resolve to this machine, as after DNS rebinding.
RESOLVER_RULES = ", ".join(
    f"MAP {name} 127.0.0.1" for name in ("evil.test", "frontend", "athena", "10.0.2.2", "192.168.1.20", "192.168.1.66")
)
READ_SCRIPT = """async url => {
    try {
        const response = await fetch(url, {headers: {"X-Request-Id": "page", "Authorization": "Bearer demo-token"}});
        return [response.status, (await response.text()).slice(0, 200)];
    } catch (error) {
        return [0, String(error)];
    }
}"""


class EmptyPage(BaseHTTPRequestHandler):
    """Responds to every request with an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title>")

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def page_port() -> Iterator[int]:
    """The port of a web server whose pages are the origins."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def mock_ports(environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """The ports of a mock on loopback and of one on all addresses."""
    with (
        run_library_mock(environment) as (_, loopback_banner),
        run_library_mock(environment, "--host", "0.0.0.0") as (_, network_banner),
    ):
        ports = [int(re.findall(r":(\d+)/", banner)[0]) for banner in (loopback_banner, network_banner)]
        yield ports[0], ports[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    arguments = ["--no-sandbox", f"--host-resolver-rules={RESOLVER_RULES}", "--no-proxy-server"]
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=executable, args=arguments)
        yield chromium
        chromium.close()


def read(browser: Any, page_url: str, url: str) -> tuple[int, str]:
    """Open a page and let its script read a URL; return status and start of the body, or 0 and the error."""
    page = browser.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    try:
        page.goto(page_url)
        status, text = page.evaluate(READ_SCRIPT, url)
        return int(status), str(text)
    finally:
        page.close()


@pytest.mark.parametrize("index", [0, 1], ids=["loopback", "all addresses"])
def test_page_after_dns_rebinding_reads_nothing(browser: Any, mock_ports: tuple[int, int], index: int) -> None:
    port = mock_ports[index]
    # The page itself is the response of the mock, so its origin is that of the attacker and of the mock.
    status, text = read(browser, f"http://evil.test:{port}/", f"http://evil.test:{port}/api/v2/authors")
    assert (status, "This host is not served here." in text) == (421, True)
    assert '"data"' not in text


@pytest.mark.parametrize(
    ("origin_host", "host", "index", "is_readable"),
    [
        ("evil.test", "localhost", 0, False),
        ("evil.test", "127.0.0.1", 1, False),
        ("localhost", "127.0.0.1", 0, True),
        ("app.localhost", "localhost", 0, True),
        ("10.0.2.2", "10.0.2.2", 0, True),
        ("10.0.2.2", "localhost", 0, False),
        ("frontend", "athena", 1, True),
        ("frontend", "athena", 0, False),
        ("192.168.1.66", "192.168.1.20", 1, True),
        ("192.168.1.66", "localhost", 1, False),
    ],
)
def test_page_reads_from_the_mock_if_its_origin_is_allowed(
    browser: Any,
    page_port: int,
    mock_ports: tuple[int, int],
    origin_host: str,
    host: str,
    index: int,
    is_readable: bool,
) -> None:
    url = f"http://{host}:{mock_ports[index]}/api/v2/authors"
    status, text = read(browser, f"http://{origin_host}:{page_port}/", url)
    assert (status, text.startswith('{"data":')) == ((200, True) if is_readable else (0, False)), text


# Test control

SANDBOXES = "/__mock/api/sandboxes"
# Each request that a page can send, with and without preflight; returns status and body, or 0 if the page gets nothing.
CONTROL_SCRIPT = """async base => {
    const json = {"Content-Type": "application/json"};
    const requests = [
        ["GET", "", {}], ["GET", "/default", {}], ["GET", "/default/changes", {}],
        ["GET", "/default", {mode: "no-cors"}],
        ["PUT", "/attack", {}], ["PUT", "/attack", {headers: json, body: "{}"}], ["DELETE", "/victim", {}],
        ["POST", "/victim/reset", {}], ["POST", "/victim/reset", {mode: "no-cors"}],
        ["POST", "/victim/records", {mode: "no-cors", body: '{"Author": [{}]}'}],
        ["POST", "/victim/rules", {mode: "no-cors", body: '{"name": "attack", "respond": {"status": 500}}'}],
        ["POST", "/victim/clock/advance", {mode: "no-cors", credentials: "include", body: '{"seconds": 9}'}],
        ["PATCH", "/victim/clock", {headers: json, body: '{"frozen": false}'}],
        ["PUT", "/victim/snapshots/attack", {}], ["GET", "/victim/requests", {}], ["GET", "/victim/requests.har", {}],
        ["GET", "/victim/requests/events", {}], ["DELETE", "/victim/requests", {}],
    ];
    const results = [];
    for (const [method, path, options] of requests) {
        try {
            const response = await fetch(base + "/__mock/api/sandboxes" + path, {method, ...options});
            results.push([response.status, await response.text()]);
        } catch (error) {
            results.push([0, ""]);
        }
    }
    for (const path of ["/__mock/s/image/api/v2/authors", "/__mock/api/sandboxes"]) {
        const image = new Image();
        await new Promise(resolve => { image.onload = image.onerror = resolve; image.src = base + path; });
    }
    await new Promise(resolve => {
        const frame = Object.assign(document.createElement("iframe"), {name: "frame", onload: resolve});
        const action = base + "/__mock/api/sandboxes/victim/reset";
        const form = Object.assign(document.createElement("form"), {method: "post", target: "frame", action});
        document.body.append(frame, form);
        form.submit();
        setTimeout(resolve, 2000);
    });
    return results;
}"""


def control(port: int, method: str, path: str, body: Any = None) -> Any:
    """Send a request to the control API as a program of this machine does."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{SANDBOXES}{path}", data, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        content = response.read()
    return json.loads(content) if content else None


def read_state(port: int) -> Any:
    """Read everything that the requests of the script would change, without what moves with the time."""
    paths = ("/victim/changes", "/victim/rules", "/victim/clock", "/victim/snapshots", "/victim/requests")
    sandboxes = [
        {name: value for name, value in sandbox.items() if name not in ("age_seconds", "idle_seconds")}
        for sandbox in control(port, "GET", "")["sandboxes"]
    ]
    states = [control(port, "GET", path) for path in paths]
    states[paths.index("/victim/clock")].pop("offset_seconds")
    return [sandboxes, *states]


def list_sandboxes(port: int) -> set[str]:
    return {sandbox["name"] for sandbox in control(port, "GET", "")["sandboxes"]}


def prepare_victim(port: int) -> Any:
    """Create a sandbox with a new record, a frozen clock and a request; delete all others. Returns the state."""
    for name in list_sandboxes(port) - {"default"}:
        control(port, "DELETE", f"/{name}")
    control(port, "PUT", "/victim")
    control(port, "PATCH", "/victim/clock", {"frozen": True})
    control(port, "POST", "/victim/records", {"Author": [{}]})
    assert send(f"http://127.0.0.1:{port}/__mock/s/victim/api/v2/authors", authorization="Bearer demo-token")[0] == 200
    return read_state(port)


@pytest.mark.parametrize(
    ("page_url", "host"),
    [
        ("http://evil.test:{page_port}/", "127.0.0.1"),
        ("http://evil.test:{page_port}/", "localhost"),
        ("http://evil.test:{page_port}/", "victim.localhost"),
        ("http://evil.test:{mock_port}/", "evil.test"),
        ("http://evil.test:{mock_port}/", "127.0.0.1"),
    ],
)
def test_page_of_another_origin_or_after_dns_rebinding_controls_nothing(
    browser: Any, page_port: int, mock_ports: tuple[int, int], page_url: str, host: str
) -> None:
    port = mock_ports[0]
    state = prepare_victim(port)
    page = browser.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    try:
        page.goto(page_url.format(page_port=page_port, mock_port=port))
        results = page.evaluate(CONTROL_SCRIPT, f"http://{host}:{port}")
    finally:
        page.close()
    # The page gets no response, an opaque one, or the rejection of its host.
    assert {status for status, _ in results} <= {0, 421}, results
    assert [text for _, text in results if text and "not served here" not in text] == []
    assert read_state(port) == state


def test_page_of_this_machine_uses_the_control_api(browser: Any, page_port: int, mock_ports: tuple[int, int]) -> None:
    """Shows that the requests of the script have an effect if the page is allowed to send them."""
    port = mock_ports[0]
    prepare_victim(port)
    page = browser.new_page()
    try:
        page.goto(f"http://localhost:{page_port}/")
        page.evaluate(CONTROL_SCRIPT, f"http://localhost:{port}")
    finally:
        page.close()
    assert {"attack", "image"} <= list_sandboxes(port)
    assert "victim" not in list_sandboxes(port)
