"""Tests in Chromium which pages can read from the mock: DNS rebinding fails, allowed origins work."""

import os
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.mock_server.test_command import environment, run_library_mock

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
