"""Tests the outermost application: host and CORS rules, response headers, logging and robustness."""

import logging
import re
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.errors import ApiError, ErrorKind
from mock_server.web.outer_app import MockApp
from tests.asgi import Client
from tests.mock_server.library_contract import API, POE, LogCapture, RecordedCalls, app, client, recording_client

AUTHORS = f"{API}/authors"


@pytest.fixture
def calls() -> RecordedCalls:
    calls = recording_client()[1]
    calls.all.clear()
    return calls


@pytest.fixture
def caller(calls: RecordedCalls) -> Client:
    return recording_client()[0]


# Host ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST",
        "localhost.:8000",
        "app.localhost:1",
        "127.0.0.1:8000",
        "127.8.9.1",
        "[::1]",
        "[::1]:8000",
    ],
)
def test_loopback_hosts_are_served(caller: Client, host: str) -> None:
    assert caller.get(AUTHORS, host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "localhost.example.com",
        "notlocalhost",
        "127.0.0.1.nip.io",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "192.168.1.5:8000",
        "[::2]",
        "[::ffff:10.0.0.1]",
        "localhost:8000:8000",
        "localhost/",
        "user@localhost",
        "localhost, example.com",
        "local host",
        "[::1",
        "\xff",
        " ",
        "127.0.0.1:99999",
        "localhost:65536",
        "localhost:abc",
        "localhost:-1",
    ],
)
@pytest.mark.parametrize("path", [AUTHORS, "/docs", "/__mock/health", "/storage/a.svg"])
def test_other_hosts_return_421(caller: Client, host: str, path: str) -> None:
    reply = caller.get(path, host=host)
    assert (reply.status, reply.headers["x-mock-reason"]) == (421, "validation")


def test_only_allowed_hosts_are_served() -> None:
    caller = client(app(RecordedCalls(), allowed_hosts=("mock.example.test",)))
    assert caller.get(AUTHORS, host="Mock.example.test:8000").status == 200
    assert caller.get(AUTHORS, host="localhost").status == 200
    assert caller.get(AUTHORS, host="x.mock.example.test").status == 421


def test_star_allows_any_valid_host() -> None:
    caller = client(app(RecordedCalls(), allowed_hosts=("*",)))
    assert caller.get(AUTHORS, host="anything.example").status == 200
    assert caller.get(AUTHORS, host="any thing").status == 421


def test_host_header_is_optional_in_http_1_0(calls: RecordedCalls, caller: Client) -> None:
    async def app_with_http_1_0(scope: Any, receive: Any, send: Any) -> None:
        await caller.app({**scope, "http_version": "1.0"}, receive, send)

    assert Client(app_with_http_1_0, caller.headers).get(AUTHORS, host="").status == 200
    assert calls.last.base_url == "http://127.0.0.1:8000"
    reply = caller.get(AUTHORS, host="")  # the base URL of the previous connection is not used
    assert (reply.status, reply.headers["x-mock-reason"]) == (400, "validation")
    assert reply.json == {"message": "The request has no Host header."}


@pytest.mark.parametrize("host", ["10.0.2.2:8000", "10.0.3.2", "Host.Docker.Internal:8000", "gateway.docker.internal"])
def test_aliases_of_this_machine_are_served(caller: Client, host: str) -> None:
    assert caller.get(AUTHORS, host=host).status == 200


@pytest.mark.parametrize("host", ["athena", "192.168.1.20", "mac.local", "[fe80::1]"])
def test_hosts_of_the_local_network_are_served_unless_the_mock_listens_on_loopback(caller: Client, host: str) -> None:
    assert caller.get(AUTHORS, host=host).status == 421
    assert client(app(RecordedCalls(), serves_network=True)).get(AUTHORS, host=host).status == 200


@pytest.mark.parametrize("serves_network", [True, False])
def test_public_hosts_return_421_on_every_address(serves_network: bool) -> None:
    caller = client(app(RecordedCalls(), serves_network=serves_network))
    for host in ("example.com", "10.0.2.2.nip.io", "2130706433", "athena.", "8.8.8.8", "[2001:db8::1]"):
        assert caller.get(AUTHORS, host=host).status == 421


def test_421_states_the_option_that_allows_the_host() -> None:
    terminal = LogCapture()
    caller = client(app(terminal=terminal))
    reply = caller.get(AUTHORS, host="Mock.Example.test:8000")
    assert reply.json == {
        "message": "This host is not served here. To serve it, start the mock with --allowed-hosts mock.example.test "
        "(environment variable: ATHENA_MOCK_ALLOWED_HOSTS=mock.example.test)."
    }
    assert "Host: invalid value 'Mock.Example.test:8000': to serve it, use --allowed-hosts mock.example.test" in (
        terminal.getvalue()
    )
    for host in ("a b", "a..local", "é.test"):
        reply = caller.request("GET", AUTHORS, headers={"host": host.encode()})
        assert reply.json == {"message": "This host is not served here."}
        assert f"Host: invalid value {host!r} (expected " in terminal.getvalue()


def test_number_of_cached_hosts_is_limited() -> None:
    mock = app(RecordedCalls(), allowed_hosts=("*",))
    assert isinstance(mock, MockApp)
    for number in range(600):
        assert client(mock).get(AUTHORS, host=f"h{number}.test").status == 200
    assert 0 < len(mock.host_policy.base_urls) <= 256


# Base URL -----------------------------------------------------------------------------------------------------------

PROXY = {"x_forwarded_host": "api.example.test", "x_forwarded_proto": "https", "x_forwarded_prefix": "/mock/"}


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"host": "localhost:8000"}, "http://localhost:8000"),
        ({"host": "[::1]:8000"}, "http://[::1]:8000"),
        (PROXY, "https://api.example.test/mock"),
        ({"x_forwarded_proto": "https"}, "https://localhost:8000"),
        ({"x_forwarded_host": "a.example:81, b.example"}, "http://a.example:81"),
        ({"x_forwarded_prefix": "/a/b"}, "http://localhost:8000/a/b"),
        ({"x_forwarded_host": "evil/path"}, "http://localhost:8000"),
        ({"x_forwarded_host": "a\r\nb"}, "http://localhost:8000"),
        ({"x_forwarded_proto": "javascript"}, "http://localhost:8000"),
        ({"x_forwarded_prefix": "//evil.example"}, "http://localhost:8000"),
        ({"x_forwarded_prefix": "/a/../b"}, "http://localhost:8000"),
        ({"x_forwarded_prefix": "relative"}, "http://localhost:8000"),
        ({"x_forwarded_prefix": "/a\r\nb"}, "http://localhost:8000"),
        ({"x_forwarded_prefix": "/a b"}, "http://localhost:8000"),
        ({"x_forwarded_prefix": "/a/, /b"}, "http://localhost:8000/a"),
        ({"x_forwarded_proto": "HTTPS, http"}, "https://localhost:8000"),
        ({"x_forwarded_host": "a.example:99999"}, "http://localhost:8000"),
        ({"x_forwarded_host": "a.example:0"}, "http://localhost:8000"),
        ({"x_forwarded_host": "[fd00::1]:0"}, "http://localhost:8000"),
        ({"x_forwarded_host": "[fd00::1]:81"}, "http://[fd00::1]:81"),
        ({"x_forwarded_host": ""}, "http://localhost:8000"),
        ({"x_forwarded_port": "8443"}, "http://localhost:8443"),
        ({"x_forwarded_port": "8443", "host": "[::1]:8000"}, "http://[::1]:8443"),
        ({"x_forwarded_port": "443", "x_forwarded_proto": "https"}, "https://localhost"),
        ({"x_forwarded_port": "80", "x_forwarded_host": "a.example:81"}, "http://a.example"),
        ({"x_forwarded_port": "0"}, "http://localhost:8000"),
        ({"x_forwarded_port": "65536"}, "http://localhost:8000"),
        ({"x_forwarded_port": "+80"}, "http://localhost:8000"),
        ({"forwarded": "proto=https;host=a.example"}, "https://a.example"),
        ({"forwarded": 'for="[2001:db8::1]:47";Proto=HTTPS; host="a.example:81", proto=http'}, "https://a.example:81"),
        ({"forwarded": "host=a.example:81;by=_x;;secret=1"}, "http://a.example:81"),
        ({"forwarded": r'host="a\.example"'}, "http://a.example"),
        ({"forwarded": 'for="a,b;c";host=a.example'}, "http://a.example"),
        ({"forwarded": "for=10.0.0.1"}, "http://localhost:8000"),
        ({"forwarded": ""}, "http://localhost:8000"),
        ({"forwarded": "proto=https", **PROXY}, "https://api.example.test/mock"),
        ({"forwarded": "host=a.example", "x_forwarded_port": "8443", **PROXY}, "https://a.example/mock"),
        ({"forwarded": "proto=gopher;host=a.example"}, "http://localhost:8000"),
        ({"forwarded": "host=evil/path"}, "http://localhost:8000"),
        ({"forwarded": "host=a.example;host=b.example"}, "http://localhost:8000"),
        ({"forwarded": 'host="a.example'}, "http://localhost:8000"),
        ({"forwarded": "a.example"}, "http://localhost:8000"),
    ],
)
def test_base_url_follows_host_and_forwarded_headers(
    calls: RecordedCalls, caller: Client, headers: dict[str, str], base: str
) -> None:
    assert caller.get(AUTHORS, **headers).status == 200
    assert calls.last.base_url == base


@pytest.mark.parametrize(
    ("peer", "is_used"), [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.7", False)]
)
def test_forwarded_headers_are_used_from_loopback_only(calls: RecordedCalls, peer: str, is_used: bool) -> None:
    caller = Client(recording_client()[0].app, recording_client()[0].headers, (peer, 1))
    note = None if is_used else f"ignored: forwarded headers of {peer}: not in --trusted-proxies"
    reply = caller.get(AUTHORS, **PROXY)
    assert (reply.status, reply.headers.get("x-mock-note")) == (200, note)
    assert (calls.last.base_url == "https://api.example.test/mock") is is_used
    reply = caller.get(AUTHORS, forwarded="proto=https", x_forwarded_port="8443")
    assert (reply.status, reply.headers.get("x-mock-note")) == (200, note)
    assert (calls.last.base_url == "https://localhost:8443") is is_used


@pytest.mark.parametrize(
    ("peer", "is_used"),
    [("10.0.0.7", True), ("::ffff:10.0.0.7", True), ("fd00::7", True), ("127.0.0.1", True), ("11.0.0.7", False)],
)
def test_forwarded_headers_are_used_from_trusted_proxies(peer: str, is_used: bool) -> None:
    calls = RecordedCalls()
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::7"))
    caller = client(app(calls, trusted_proxies=networks))
    assert Client(caller.app, caller.headers, (peer, 1)).get(AUTHORS, **PROXY).status == 200
    assert (calls.last.base_url == "https://api.example.test/mock") is is_used


def test_first_line_of_a_repeated_forwarded_header_is_used(calls: RecordedCalls, caller: Client) -> None:
    async def app_with_repeated_headers(scope: Any, receive: Any, send: Any) -> None:
        headers = [(name, line) for name, value in scope["headers"] for line in value.split(b"|")]
        await caller.app({**scope, "headers": headers}, receive, send)

    repeating_caller = Client(app_with_repeated_headers, caller.headers)
    assert repeating_caller.get(AUTHORS, x_forwarded_host="a.example, b.example|c.example").status == 200
    assert calls.last.base_url == "http://a.example"
    assert repeating_caller.get(AUTHORS, forwarded="proto=https;host=a.example|host=b.example").status == 200
    assert calls.last.base_url == "https://a.example"


def test_invalid_forwarded_headers_are_noted() -> None:
    terminal = LogCapture()
    headers = PROXY | {"x_forwarded_host": "evil/path", "x_forwarded_prefix": "//evil"}
    reply = client(app(terminal=terminal)).get(f"{AUTHORS}?nothing=1", **headers)
    assert reply.headers["x-mock-note"] == "ignored: x-forwarded-host, x-forwarded-prefix, query.nothing"
    assert "ignored: x-forwarded-host, x-forwarded-prefix, query.nothing" in terminal.getvalue()
    reply = client(app()).get(AUTHORS, forwarded="proto", x_forwarded_port="0", x_forwarded_proto="https")
    assert reply.headers["x-mock-note"] == "ignored: forwarded, x-forwarded-port"


def test_forwarded_host_does_not_allow_a_host(caller: Client) -> None:
    assert caller.get(AUTHORS, host="example.com", x_forwarded_host="localhost").status == 421
    assert caller.get(AUTHORS, host="example.com", forwarded="host=localhost").status == 421


@given(st.text('forhst=prlecaxm;,\\" .:/1', max_size=40))
def test_any_forwarded_header_yields_a_valid_base_url(text: str) -> None:
    caller, calls = recording_client()
    assert caller.get(AUTHORS, forwarded=text).status == 200
    assert re.fullmatch(r"https?://[A-Za-z0-9_.:\[\]-]+", calls.last.base_url)


# CORS ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:5173",
        "https://localhost",
        "http://127.0.0.1:3000",
        "http://[::1]:1",
        "http://app.localhost",
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
    ],
)
def test_loopback_origins_may_read(caller: Client, origin: str) -> None:
    headers = caller.get(AUTHORS, origin=origin).headers
    assert headers["access-control-allow-origin"] == origin
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["vary"] == "Origin"
    exposed_headers = {"X-Request-Id", "X-Mock-Reason", "X-Mock-Note", "Retry-After", "Location"}
    exposed_headers |= {"X-Mock-Rule", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    assert exposed_headers <= set(headers["access-control-expose-headers"].split(", "))


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://example.com",
        "http://localhost.example.com",
        "http://localhost@example.com",
        "http://example.com/localhost",
        "file://localhost",
        "chrome-extension://localhost",
        "capacitor://example.com",
        "capacitor:localhost",
        "http://localhost:1 http://example.com",
        "\xff",
    ],
)
def test_other_origins_may_not_read(caller: Client, origin: str) -> None:
    reply = caller.get(AUTHORS, origin=origin)
    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert reply.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("host", "origin", "is_allowed"),
    [
        ("10.0.2.2:8000", "http://10.0.2.2:5173", True),
        ("10.0.2.2:8000", "http://localhost:5173", True),
        ("localhost:8000", "http://10.0.2.2:5173", False),
        ("localhost:8000", "http://host.docker.internal:5173", False),
        ("localhost:8000", "http://192.168.1.20:5173", False),
        ("192.168.1.20:8000", "http://192.168.1.20:5173", True),
        ("192.168.1.20:8000", "http://10.0.2.2:5173", False),
        ("mac.local:8000", "http://192.168.1.20:5173", True),
        ("athena:8000", "http://frontend:3000", True),
        ("athena:8000", "http://frontend.:3000", False),
        ("athena:8000", "file://frontend", False),
        ("athena:8000", "http://example.com", False),
    ],
)
def test_other_origin_may_read_if_it_is_of_the_kind_of_the_host(host: str, origin: str, is_allowed: bool) -> None:
    caller = client(app(RecordedCalls(), serves_network=True))
    reply = caller.get(AUTHORS, host=host, origin=origin)
    assert (reply.status, reply.headers.get("access-control-allow-origin")) == (200, origin if is_allowed else None)
    assert ("allow-methods" in send_preflight(caller, AUTHORS, origin, host=host)) is is_allowed


def test_origin_of_the_local_network_may_not_read_from_a_mock_on_loopback(caller: Client) -> None:
    assert "access-control-allow-origin" not in caller.get(AUTHORS, origin="http://192.168.1.20:5173").headers
    reply = caller.get(AUTHORS, host="10.0.2.2:8000", origin="http://10.0.2.2:5173")
    assert reply.headers["access-control-allow-origin"] == "http://10.0.2.2:5173"


@pytest.mark.parametrize("origin", ["capacitor://localhost", "ionic://localhost"])
def test_preflight_of_an_app_is_allowed(caller: Client, origin: str) -> None:
    cors_headers = send_preflight(caller, AUTHORS, origin, access_control_request_headers="authorization")
    assert (cors_headers["allow-origin"], cors_headers["allow-headers"]) == (origin, "authorization")
    assert cors_headers["allow-credentials"] == "true"


@pytest.mark.parametrize("allowed", ["https://app.example.test", "*"])
def test_allowed_origins_may_read(allowed: str) -> None:
    caller = client(app(RecordedCalls(), cors_origins=(allowed,)))
    reply = caller.get(AUTHORS, origin="https://app.example.test")
    assert reply.headers["access-control-allow-origin"] == "https://app.example.test"
    other = caller.get(AUTHORS, origin="https://other.example.test").headers
    assert ("access-control-allow-origin" in other) is (allowed == "*")
    assert ("access-control-allow-credentials" in reply.headers) is (allowed != "*")  # any page, but no cookies with it
    assert caller.get(AUTHORS, origin="http://localhost:1").headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in caller.get(AUTHORS, origin="null").headers


def test_denied_origin_is_logged_once() -> None:
    terminal = LogCapture()
    caller = client(app(terminal=terminal))
    origin = "https://app.example.test"
    send_preflight(caller, AUTHORS, origin)
    for _ in range(2):
        caller.get(AUTHORS, origin=origin)
    caller.get(AUTHORS, origin="https://other.example.test:8443", x_request_id="abc")
    caller.get(AUTHORS, origin="null")
    first, second, third = terminal.getvalue().splitlines()
    assert first.startswith(f"204 OPTIONS {AUTHORS} - cross-origin: pages from {origin} cannot read this response; ")
    assert "to allow it, use --cors-origin https://app.example.test [req" in first
    assert second.startswith(f"200 GET {AUTHORS} - cross-origin: ")
    assert second.endswith("to allow it, use --cors-origin https://other.example.test:8443 [req abc]")
    assert "pages with origin 'null' cannot read this response" in third


def test_allowed_origin_is_not_logged() -> None:
    terminal = LogCapture()
    hosts, origins = ("mock.example.test",), ("https://app.example.test",)
    caller = client(app(allowed_hosts=hosts, cors_origins=origins, terminal=terminal))
    caller.get(AUTHORS, origin="https://app.example.test")
    caller.get(AUTHORS, origin="http://localhost:5173")
    caller.get(AUTHORS, host="mock.example.test:81", origin="http://mock.example.test:81")  # its own documentation
    assert terminal.getvalue() == ""


def test_number_of_logged_origins_is_limited() -> None:
    terminal = LogCapture()
    caller = client(app(terminal=terminal))
    for number in range(300):
        caller.request("OPTIONS", AUTHORS, headers={"origin": f"https://{number}.example.test"})
    assert len(terminal.getvalue().splitlines()) == 256


def test_error_responses_have_cors_headers(caller: Client) -> None:
    for path in (f"{AUTHORS}?page=0", f"{API}/nothing"):
        headers = caller.get(path, origin="http://localhost:1").headers
        assert headers["access-control-allow-origin"] == "http://localhost:1"


def send_preflight(caller: Client, path: str, origin: str = "http://localhost:5173", **headers: str) -> dict[str, str]:
    request_headers = {"origin": origin, "access-control-request-method": "PUT"} | {
        k.replace("_", "-"): v for k, v in headers.items()
    }
    reply = Client(caller.app, {}).request("OPTIONS", path, headers=request_headers)
    assert (reply.status, reply.body) == (204, b"")
    return {name.removeprefix("access-control-"): text for name, text in reply.headers.items()}


def test_preflight_needs_no_token(caller: Client) -> None:
    cors_headers = send_preflight(
        caller, f"{AUTHORS}/{POE}", access_control_request_headers="authorization, content-type"
    )
    assert cors_headers["allow-origin"] == "http://localhost:5173"
    assert cors_headers["allow-methods"] == cors_headers["allow"] == "GET, PUT, DELETE, HEAD, OPTIONS"
    assert cors_headers["allow-headers"] == "authorization, content-type"
    assert cors_headers["allow-credentials"] == "true"
    assert cors_headers["max-age"] == "600"


def test_preflight_of_a_denied_origin_has_no_cors_headers(caller: Client) -> None:
    cors_headers = send_preflight(caller, AUTHORS, "https://example.com")
    assert not {"allow-origin", "allow-methods", "allow-headers"} & cors_headers.keys()


def test_preflight_of_an_unknown_path_is_allowed(caller: Client) -> None:
    assert "PUT" in send_preflight(caller, f"{API}/nothing")["allow-methods"]


def test_malformed_requested_headers_are_not_echoed(caller: Client) -> None:
    assert "allow-headers" not in send_preflight(caller, AUTHORS, access_control_request_headers="a\r\nb: c")


def test_private_network_access_is_allowed_for_allowed_origins() -> None:
    caller = client(app(RecordedCalls(), cors_origins=("https://app.example.test",)))
    request_headers = {"access_control_request_private_network": "true"}
    assert (
        send_preflight(caller, AUTHORS, "https://app.example.test", **request_headers)["allow-private-network"]
        == "true"
    )
    assert "allow-private-network" not in send_preflight(caller, AUTHORS, "https://example.com", **request_headers)


# What every answer carries --------------------------------------------------------------------------------------------


def test_each_response_has_a_unique_request_id(caller: Client) -> None:
    paths = (AUTHORS, f"{API}/nothing", "/docs", f"{AUTHORS}?page=0", "/nothing")
    ids = [caller.get(path).headers["x-request-id"] for path in paths]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("request_id", "is_valid"), [("abc-1.2_3", True), ("x" * 65, False), ("a b", False), ("a\r\nb", False)]
)
def test_valid_request_id_is_echoed(caller: Client, request_id: str, is_valid: bool) -> None:
    assert (caller.get(AUTHORS, x_request_id=request_id).headers["x-request-id"] == request_id) is is_valid


def test_internal_error_returns_500_without_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def fail(call: ActionRequest) -> ActionResult:
        raise RuntimeError("a secret")

    terminal = LogCapture()
    with caplog.at_level(logging.ERROR):
        reply = client(app(fail, terminal=terminal)).get(AUTHORS, x_request_id="abc")
    assert (reply.status, reply.json) == (500, {"message": "Server Error"})
    assert "a secret" not in terminal.getvalue()
    assert terminal.getvalue().startswith(f"500 GET {AUTHORS} - internal-error")
    assert "a secret" in caplog.text
    assert "abc" in caplog.text


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        (ErrorKind.FORBIDDEN, 403, "auth"),
        (ErrorKind.CONFLICT, 409, "conflict"),
        (ErrorKind.RECORD_NOT_FOUND, 404, "record-not-found"),
        (ErrorKind.OTHER_TENANT, 404, "other-tenant"),
    ],
)
def test_api_error_of_an_action_sets_status_and_reason(kind: ErrorKind, status: int, reason: str) -> None:
    def raise_error(call: ActionRequest) -> ActionResult:
        raise ApiError(kind, "because", resource="Author", key="{0}", message="{nothing}", headers={"Retry-After": "1"})

    terminal = LogCapture()
    reply = client(app(raise_error, terminal=terminal)).get(AUTHORS)
    assert (reply.status, reply.headers["x-mock-reason"], reply.headers["retry-after"]) == (status, reason, "1")
    assert set(reply.json) == {"message"}
    assert f"{status} GET {AUTHORS} - {reason}: because (" in terminal.getvalue()


@pytest.mark.parametrize(
    ("target", "status"), [(AUTHORS, 200), ("/docs", 200), (f"{AUTHORS}?page=0", 422), (f"{API}/\x1bnothing", 404)]
)
def test_log_level_info_logs_each_request(
    caller: Client, caplog: pytest.LogCaptureFixture, target: str, status: int
) -> None:
    with caplog.at_level(logging.INFO, "mock_server"):
        reply = caller.get(target, x_request_id="abc")
    path = target.partition("?")[0].replace("\x1b", "\\x1b")
    assert (reply.status, caplog.messages) == (status, [f"{status} GET {path} [req abc]"])
    caplog.clear()
    with caplog.at_level(logging.WARNING, "mock_server"):
        caller.get(target)
    assert caplog.messages == []


# The console --------------------------------------------------------------------------------------------------------


def test_control_characters_are_escaped_in_the_request_log() -> None:
    terminal = LogCapture()
    caller = client(app(terminal=terminal))
    caller.get(b"/a\x1b[31m\r\n\xc3\xa9" + b"x" * 2000)
    caller.get(AUTHORS, host="\x1b]0;x\x07")
    caller.post(AUTHORS, {"name": "x", "\x1b\n": 1})
    lines = terminal.getvalue().split("\n")
    assert len(lines) == 4
    assert lines.pop() == ""
    assert all(line.isprintable() and len(line) < 700 for line in lines)


def test_successful_request_prints_nothing() -> None:
    terminal = LogCapture()
    client(app(terminal=terminal)).get(AUTHORS)
    assert terminal.getvalue() == ""


def test_closed_terminal_does_not_fail_requests() -> None:
    terminal = LogCapture()
    terminal.close()
    assert client(app(terminal=terminal)).get(f"{API}/nothing").status == 404


# Any bytes ----------------------------------------------------------------------------------------------------------

METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"]) | st.text(
    "AZ-", min_size=1
)
PATHS = st.binary(max_size=40) | st.sampled_from([b"authors", b"books", b"me", b"auth/sign-in", b"auth/logout"])


@given(
    METHODS, PATHS, st.binary(max_size=60), st.binary(max_size=60), st.sampled_from(["application/json", "", "\xff"])
)
def test_no_request_returns_5xx(method: str, path: bytes, query: bytes, body: bytes, content_type: str) -> None:
    for target in (f"{API}/".encode() + path, b"/" + path, b"/storage/" + path, b"/docs/" + path):
        headers = {"content-type": content_type, "x-desk": content_type, "accept": "*/*"}
        reply = recording_client()[0].request(method, target + b"?" + query, body=body, headers=headers)
        assert reply.status < 500
        assert "x-request-id" in reply.headers
        assert reply.status < 400 or reply.headers["x-mock-reason"]


@given(
    st.dictionaries(st.sampled_from(["host", "origin", "accept", "x-forwarded-host", "cookie"]), st.binary(max_size=40))
)
def test_no_header_returns_5xx(headers: dict[str, bytes]) -> None:
    assert recording_client()[0].request("GET", AUTHORS, headers=headers).status < 500
    request_headers = {
        "access-control-request-method": b"PUT",
        "access-control-request-headers": headers.get("cookie", b""),
    }
    assert recording_client()[0].request("OPTIONS", AUTHORS, headers=headers | request_headers).status < 500
