"""Request ids: what is sent, what failures show, and curl commands that send the same request again."""

import os
import re
import subprocess
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from conformance.transport.client import Budget, HttpTarget
from conformance.transport.credentials import OperationCredentials, PrintedCredentials
from conformance.transport.messages import Actor, Exchange, Request, Response
from conformance.transport.redaction import Redactor
from conformance.transport.request_ids import RequestIdFactory, RequestIds, find_server_ids
from tests.conformance.support.http_target import run_http_target

REDACTOR = Redactor((), frozenset())
CREDENTIALS = PrintedCredentials(OperationCredentials(), {Actor.OWNER: "TOKEN"})
REQUEST = Request("listThings", "get", "/things")


def send(*requests: Request, headers: dict[str, str] | None = None) -> tuple[list[httpx.Request], list[Response]]:
    """Send requests; return (requests as received, responses)."""
    received: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        received.append(request)
        return httpx.Response(200, headers={"X-Request-Id": f"server-{len(received)}"})

    target = HttpTarget(
        "http://stub",
        {},
        Budget(None, None),
        headers or {},
        transport=httpx.MockTransport(handle),
        request_ids=RequestIdFactory("abcd1234"),
    )
    return received, [target.send(request) for request in requests]


def test_each_request_has_the_headers_of_the_run_and_unique_ids() -> None:
    received, responses = send(REQUEST, REQUEST)
    for request, response in zip(received, responses, strict=True):
        assert re.fullmatch(r"athena-conformance/\S+ run=abcd1234", request.headers["user-agent"])
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", request.headers["traceparent"])
        assert response.ids is not None
        assert response.ids.request_id == request.headers["x-request-id"]
        assert response.ids.traceparent == request.headers["traceparent"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", response.ids.sent_at)
    for name in ("x-request-id", "traceparent"):
        assert received[0].headers[name] != received[1].headers[name]


def test_ids_do_not_replace_headers_of_the_request_or_of_the_options() -> None:
    own_id = Request("listThings", "get", "/things", headers={"x-request-id": "mine"})
    received, _ = send(own_id, headers={"User-Agent": "other", "Traceparent": "given"})
    request = received[0]
    names = ("x-request-id", "user-agent", "traceparent")
    assert [request.headers.get_list(name) for name in names] == [["mine"], ["other"], ["given"]]


def test_ids_do_not_make_responses_differ() -> None:
    _, (first, second) = send(REQUEST, REQUEST)
    assert Response(200, first.headers, b"", 0.0, ids=first.ids) == Response(
        200, first.headers, b"", 0.0, ids=second.ids
    )


def test_failure_shows_the_ids_and_the_time() -> None:
    ids = RequestIds("run-7", "00-1-2-01", "2026-03-01T10:00:00.000Z")
    exchange = Exchange(REQUEST, Response(500, {"cf-ray": "8a1b", "x-request-id": "run-7"}, b"", 0.0, ids=ids))
    text = REDACTOR.format_ids(exchange)
    assert text == "2026-03-01T10:00:00.000Z request id run-7, traceparent 00-1-2-01, server's cf-ray 8a1b"
    assert REDACTOR.format_ids(Exchange(REQUEST, Response(500, {}, b"", 0.0))) == ""
    assert find_server_ids(ids, {"x-request-id": "other", "date": "today"}) == {"x-request-id": "other"}


AGENT = Request("createAgent", "post", "/agents", body={"name": "two  spaces, 'quotes', ä and \x7f", "n": [1.5, None]})
CASES = {
    "query": Request("list", "get", "/things/{id}", {"id": "a/b c"}, (("x[]", "1"), ("y", "ä&="))),
    "brackets": Request("list", "get", "/things[1]/{}", {}),
    "json": AGENT,
    "empty body": Request("create", "post", "/agents", raw_body=b""),
    "file name": Request("create", "post", "/agents", raw_body=b"@/etc/hostname"),
    "bytes": Request("create", "post", "/agents", raw_body=bytes(range(256)) + b"  %s \\n'"),
    "text": Request("create", "post", "/agents", raw_body=b'{"a":  1', headers={"Content-Type": "application/json"}),
    "headers": Request("list", "get", "/things", headers={"Accept": "text/html", "X-Empty": "", "X-A": "it's"}),
    "head": Request("list", "head", "/things"),
    "anonymous": Request("list", "get", "/things", actor=Actor.ANONYMOUS),
}


@pytest.mark.skipif(os.name == "nt", reason="the commands need a POSIX shell")
@pytest.mark.parametrize("name", CASES)
def test_curl_command_sends_the_same_request(name: str) -> None:
    received: list[tuple[Any, ...]] = []

    def handle(handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name: handler.headers[name] for name in ("Accept", "Authorization", "X-A", "X-Empty", "X-Key")}
        content_type = handler.headers["Content-Type"] or ""
        content = parse_or_keep(body) if "json" in content_type else body
        received.append((handler.command, handler.path, content_type, headers, content))
        handler.send_response(204)
        handler.end_headers()

    with run_http_target(handle) as base:
        target = HttpTarget(base, {Actor.OWNER: "secret-token"}, Budget(None, None), {"X-Key": "k"}, trust_env=False)
        exchange = Exchange(CASES[name], target.send(CASES[name]))
        target.close()
        command = REDACTOR.format_curl(exchange, base, CREDENTIALS, {"X-Key": "HEADER_X_KEY"})
        environment = {**os.environ, "TOKEN": "secret-token", "HEADER_X_KEY": "k", "no_proxy": "*"}
        subprocess.run(["sh", "-c", command], check=True, timeout=20, capture_output=True, env=environment)
    assert len(received) == 2
    assert received[1] == received[0]


def parse_or_keep(body: bytes) -> Any:
    """JSON, or the bytes if it is invalid."""
    try:
        return httpx.Response(200, content=body).json()
    except ValueError:
        return body


def test_too_long_curl_command_is_a_comment() -> None:
    exchange = Exchange(Request("create", "post", "/agents", raw_body=b"\x00" * 5_000), Response(500, {}, b"", 0.0))
    assert REDACTOR.format_curl(exchange, "http://stub", CREDENTIALS).startswith("# the curl command has ")
