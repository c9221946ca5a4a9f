"""Faults of a connection, over sockets."""

import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from conformance.har.bodies import BodyProblem
from conformance.har.format import read_har
from tests.mock_process import MODULE, ROOT, build_environment, run_mock


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a mock."""
    folder: Path = tmp_path_factory.mktemp("faults")
    command = (*MODULE, "--port", "0", "--epoch", "2026-03-01T00:00:00Z")
    with run_mock(command, build_environment(folder) | {"PYTHONPATH": str(ROOT)}) as (_, banner):
        yield next(word for word in banner.split() if word.startswith("http://")).removesuffix("/api/v1")


def set_rule(address: str, respond: Any) -> None:
    """Let the sandbox `a` have one rule."""
    httpx.put(f"{address}/__mock/api/sandboxes/a", timeout=30).raise_for_status()
    rule = {"name": "fault", "respond": respond}
    httpx.post(f"{address}/__mock/api/sandboxes/a/rules", json=rule, timeout=30).raise_for_status()


def exchange(address: str, timeout: float = 10) -> tuple[bytes, str]:
    """Send a request; return the received bytes and how the connection ended: closed, reset or timeout."""
    host, _, port = address.removeprefix("http://").partition(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout) as connection:
        connection.sendall(
            b"GET /__mock/s/a/api/v1/agents?per_page=5 HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer demo-token\r\nConnection: close\r\n\r\n"
        )
        with suppress(TimeoutError):
            try:
                while data := connection.recv(65536):
                    received += data
            except ConnectionResetError:
                return received, "reset"
            return received, "closed"
    return received, "timeout"


@pytest.mark.slow
def test_usual_response_is_complete(address: str) -> None:
    set_rule(address, [{}])
    received, end = exchange(address)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert (b"content-length: %d" % len(body)) in head.lower()
    assert end == "closed"


def test_rule_that_closes_the_connection_does_not_announce_keep_alive(address: str) -> None:
    with httpx.Client(headers={"Authorization": "Bearer demo-token"}, timeout=30) as client:
        set_rule(address, [{}])
        usual = client.get(f"{address}/__mock/s/a/api/v1/agents")
        assert (usual.headers["connection"], usual.headers["keep-alive"]) == ("keep-alive", "timeout=30")
        set_rule(address, {"headers": ["Connection: close"]})
        response = client.get(f"{address}/__mock/s/a/api/v1/agents")
        assert response.headers.get_list("connection") == ["close"]
        assert "keep-alive" not in response.headers


def test_connection_is_reset(address: str) -> None:
    set_rule(address, {"fault": "connection-reset"})
    assert exchange(address) == (b"", "reset")


def test_empty_response(address: str) -> None:
    set_rule(address, {"fault": "empty-response"})
    assert exchange(address) == (b"", "closed")


@pytest.mark.parametrize("respond", [{"status": 500}, {"fault": "connection-reset"}])
@pytest.mark.parametrize("token", ["demo-token", "unknown"])
def test_body_in_a_separate_packet_is_recorded(address: str, respond: dict[str, Any], token: str) -> None:
    set_rule(address, respond)
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection, suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"POST /__mock/s/a/api/v1/agents HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 11\r\n\r\n".encode())
        time.sleep(0.03)
        connection.sendall(b'{"nmae": 7}')
        connection.recv(100)
    (entry,) = httpx.get(f"{address}/__mock/api/sandboxes/a/requests?limit=1").json()["requests"]
    assert entry["request"]["body"] == {"nmae": 7}
    assert "body.nmae" in [finding["location"] for finding in entry["findings"]]


def test_malformed_chunk(address: str) -> None:
    set_rule(address, {"fault": "malformed-chunk"})
    received, end = exchange(address)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.endswith(b"\r\n\r\nnot a chunk size\r\n")
    assert end == "closed"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{address}/__mock/s/a/api/v1/agents")


def test_status_before_a_malformed_chunk_is_recorded(address: str, tmp_path: Path) -> None:
    set_rule(address, {"fault": "malformed-chunk"})
    journal = f"{address}/__mock/api/sandboxes/a/requests"
    httpx.delete(journal).raise_for_status()
    received, _ = exchange(address)
    assert b"\r\nx-mock-rule: fault\r\n" in received
    (entry,) = httpx.get(journal).json()["requests"]
    assert (entry["rule"], entry["fault"], entry["source"]) == ("fault", "malformed-chunk", "rule")
    assert (entry["response"]["status"], entry["response"]["body"]) == (200, None)
    assert entry["response"]["headers"]["transfer-encoding"] == "chunked"
    file = tmp_path / "requests.har"
    file.write_bytes(httpx.get(f"{journal}.har").content)
    (exported,) = read_har(file).entries
    assert (exported.response.status, exported.response_body.problem) == (200, BodyProblem.NOT_RECORDED)


def test_random_bytes(address: str) -> None:
    set_rule(address, {"fault": "random-then-close"})
    first, end = exchange(address)
    assert (len(first), end) == (512, "closed")
    assert not first.startswith(b"HTTP")
    assert exchange(address)[0] != first
    set_rule(address, {"fault": "random-then-close"})
    assert exchange(address)[0] == first


def test_no_response(address: str) -> None:
    set_rule(address, {"fault": "no-response"})
    assert exchange(address, timeout=1) == (b"", "timeout")


def test_request_without_response_is_recorded_when_the_client_leaves(address: str) -> None:
    set_rule(address, {"fault": "no-response"})
    journal = f"{address}/__mock/api/sandboxes/a/requests"
    httpx.delete(journal).raise_for_status()
    exchange(address, timeout=0.3)
    deadline = time.monotonic() + 5
    while not (requests := httpx.get(journal).json()["requests"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [(entry["fault"], entry["response"]) for entry in requests] == [("no-response", None)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "respond", [{"fault": "no-response"}, {"delay_ms": 60_000}, {"fault": "dribble", "duration_ms": 60_000}]
)
def test_mock_stops_while_a_request_waits(tmp_path: Path, respond: dict[str, Any]) -> None:
    command = (*MODULE, "--port", "0")
    with run_mock(command, build_environment(tmp_path) | {"PYTHONPATH": str(ROOT)}) as (mock, banner):
        own_address = next(word for word in banner.split() if word.startswith("http://")).removesuffix("/api/v1")
        set_rule(own_address, respond)
        with ThreadPoolExecutor() as pool:
            exchanging = pool.submit(exchange, own_address, 30)
            time.sleep(0.5)
            mock.send_signal(signal.SIGTERM)
            _, errors = mock.communicate(timeout=20)
            received, end = exchanging.result()
    assert "Cancel" not in errors
    assert "Traceback" not in errors
    assert end == "closed"
    assert bool(received) is (respond.get("fault") != "no-response")


def test_truncated_body(address: str) -> None:
    set_rule(address, {"fault": "truncate"})
    received, end = exchange(address)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert (len(body), end) == (length // 2, "closed")


def test_dribbled_body_is_complete_and_slow(address: str) -> None:
    set_rule(address, [{}])
    usual = exchange(address)[0].partition(b"\r\n\r\n")[2]
    set_rule(address, {"fault": "dribble", "chunks": 5, "duration_ms": 500})
    started_at = time.monotonic()
    body = exchange(address)[0].partition(b"\r\n\r\n")[2]
    assert time.monotonic() - started_at >= 0.5
    assert body == usual


def test_mock_serves_other_requests_after_each_fault(address: str) -> None:
    for fault in ("connection-reset", "empty-response", "malformed-chunk", "random-then-close", "truncate"):
        set_rule(address, {"fault": fault})
        exchange(address)
        assert httpx.get(f"{address}/__mock/health").json()["status"] == "ok"
