"""The console under load: its page of requests is open and used while the API answers many requests a second.

    python -m bench.console_load [--rate 1000] [--seconds 30]

Prints the times of clicks in Chromium, the rate that was reached, and the memory of the server. Needs the packages of
`make test-browser` and Chromium.
"""

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from urllib.parse import urlsplit

from playwright.sync_api import Page, sync_playwright

from bench.servers import BenchmarkServer, find_free_port, run_server

_CONNECTIONS = 4
_TARGET = "/api/v1/agents?per_page=1"
_STEPS = ("open a request", "go back to the list", "filter by 4xx", "remove the filter")


def send_requests(base_url: str, rate: int, stop: Event, sent: list[int]) -> None:
    """Send requests at a rate until `stop` is set; append the number of responses to `sent`."""
    url = urlsplit(base_url)
    head = f"GET {_TARGET} HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer demo-token\r\n\r\n".encode()

    async def use_connection() -> None:
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        started_at, count = time.monotonic(), 0
        while not stop.is_set():
            writer.write(head)
            response_head = await reader.readuntil(b"\r\n\r\n")
            length = int(response_head.lower().partition(b"content-length:")[2].split()[0])
            await reader.readexactly(length)
            count += 1
            await asyncio.sleep(max(0.0, started_at + count * _CONNECTIONS / rate - time.monotonic()))
        sent.append(count)
        writer.close()

    async def use_connections() -> None:
        await asyncio.gather(*(use_connection() for _ in range(_CONNECTIONS)))

    asyncio.run(use_connections())


def click_through(page: Page, console_url: str) -> list[float]:
    """Use the page of requests once; return the seconds of each step in `_STEPS`."""
    steps: tuple[Callable[[], object], ...] = (
        lambda: page.locator("main table a").first.click(),
        lambda: page.goto(f"{console_url}requests"),
        lambda: page.goto(f"{console_url}requests?status=4xx"),
        lambda: page.goto(f"{console_url}requests"),
    )
    durations = []
    for step in steps:
        started_at = time.perf_counter()
        step()
        page.wait_for_load_state("domcontentloaded")
        durations.append(time.perf_counter() - started_at)
    return durations


def measure(server: BenchmarkServer, rate: int, seconds: float) -> None:
    """Print the figures for one server."""
    console_url, stop, sent = f"{server.base_url}/__mock/", Event(), list[int]()
    client = Thread(target=send_requests, args=(server.base_url, rate, stop, sent))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        before = server.rss_mib()
        client.start()
        time.sleep(1)  # until the list has rows
        page.goto(f"{console_url}requests")
        started_at = time.monotonic()
        rounds = [click_through(page, console_url)]
        while time.monotonic() - started_at < seconds:
            rounds.append(click_through(page, console_url))
        duration = time.monotonic() - started_at + 1
        stop.set()
        client.join()
        browser.close()
    print(
        f"{sum(sent) / duration:.0f} requests/s for {duration:.0f} s; memory {before:.0f} -> {server.rss_mib():.0f} MiB"
    )
    print("| step | median s | longest s |\n|---|--:|--:|")
    for number, name in enumerate(_STEPS):
        values = sorted(durations[number] for durations in rounds)
        print(f"| {name} | {values[len(values) // 2]:.2f} | {values[-1]:.2f} |")


def main(arguments: list[str]) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.console_load")
    parser.add_argument("--rate", type=int, default=1_000, help="requests a second (default 1000)")
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args(arguments)
    port = find_free_port()
    base_url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mock_server", "--port", str(port), "--quiet"]
    with run_server("athena-mock", command, base_url, "/__mock/health") as server:
        if server is None:
            return 1
        measure(server, options.rate, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
