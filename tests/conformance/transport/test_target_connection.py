"""Connections to a target: tokens from a command, certificates, proxies, skipped operations."""

import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from conformance.cli.commands import parse_settings
from conformance.cli.main import main
from conformance.cli.wiring import open_session, resolve_contract, resolve_token
from conformance.errors import BudgetExhausted, UsageError
from conformance.gate.verdict import ExitCode
from conformance.transport.client import Budget, HttpTarget
from conformance.transport.messages import Actor, Request
from conformance.transport.token_refresh import TokenCommand, TokenRefreshingTarget
from tests.conformance.support.http_target import GOOD, Handler, respond_with, run_command, run_http_target

REQUEST = Request("listThings", "get", "/things")


def write_token_command(tmp_path: Path, *tokens: str) -> str:
    """Write a command that prints the next token on each call and fails after the last."""
    (tmp_path / "tokens").write_text("".join(f"{token}\n" for token in tokens))
    script = tmp_path / "token.sh"
    script.write_text(
        f"cd '{tmp_path}' && read -r token < tokens && sed 1d tokens > rest && mv rest tokens && echo \"$token\"\n"
    )
    return f"sh '{script}'"


def serve_with_tokens(*tokens: str, requests: int = 3) -> tuple[list[str], Handler]:
    """Return (received tokens, handler); the handler accepts each token for `requests` requests, then only the next."""
    received: list[str] = []
    accepted = [token for token in tokens for _ in range(requests)]

    def handle(handler: BaseHTTPRequestHandler) -> None:
        token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        received.append(token)
        if accepted and token == accepted[0]:
            accepted.pop(0)
            GOOD(handler)
        else:
            respond_with(401, "application/json", b'{"message": "Unauthenticated."}')(handler)

    return received, handle


posix = pytest.mark.skipif(os.name == "nt", reason="the commands need a POSIX shell")


@posix
def test_expired_token_is_refreshed(tmp_path: Path) -> None:
    received, handle = serve_with_tokens("first-token", "second-token", "third-token")
    command = write_token_command(tmp_path, "first-token", "second-token", "third-token")
    with run_http_target(handle) as base:
        target = HttpTarget(base, {"self": "first-token"}, Budget(None, None))
        token_command = TokenCommand(command)
        assert token_command.token() == "first-token"
        target_with_refresh = TokenRefreshingTarget(target, token_command.token, lambda operation: True)
        assert [target_with_refresh.send(REQUEST).status for _ in range(9)] == [200] * 9
        target.close()
    assert token_command.printed_tokens == ["first-token", "second-token", "third-token"]
    assert received.count("first-token") == 4


@posix
def test_401_before_any_success_is_returned(tmp_path: Path) -> None:
    received, handle = serve_with_tokens("another-token")
    with run_http_target(handle) as base:
        target = HttpTarget(base, {"self": "first-token"}, Budget(None, None))
        target_with_refresh = TokenRefreshingTarget(target, TokenCommand("exit 1").token, lambda operation: True)
        assert target_with_refresh.send(REQUEST).status == 401
        target.close()
    assert received == ["first-token"]


def test_401_of_another_actor_or_a_public_operation_is_returned() -> None:
    _, handle = serve_with_tokens("first-token", requests=1)
    with run_http_target(handle) as base:
        target = HttpTarget(base, {"self": "first-token"}, Budget(None, None))
        target_with_refresh = TokenRefreshingTarget(
            target, TokenCommand("exit 1").token, lambda operation: operation == REQUEST.operation
        )
        assert target_with_refresh.send(REQUEST).status == 200
        assert target_with_refresh.send(Request("signIn", "get", "/sign-in")).status == 401
        assert target_with_refresh.send(Request("listThings", "get", "/things", actor=Actor.ANONYMOUS)).status == 401
        assert (
            target_with_refresh.send(Request("listThings", "get", "/", headers={"authorization": "Bearer x"})).status
            == 401
        )
        with pytest.raises(BudgetExhausted, match="the token expired and could not be refreshed: --token-command"):
            target_with_refresh.send(REQUEST)
        target.close()


@posix
@pytest.mark.parametrize("other_token", ["", "other-token"])
def test_run_with_a_token_command_has_a_second_token_only_if_one_is_set(other_token: str) -> None:
    environment = {"ATHENA_OTHER_TOKEN": other_token}
    arguments = ["run", "--base-url", "http://127.0.0.1:1", "--token-command", "echo first-token"]
    settings, token_command = resolve_token(parse_settings(arguments, environment))
    session, target = open_session(settings, resolve_contract(settings), "run", token_command)
    target.close()
    assert session.client.has_token(Actor.OWNER)
    assert session.client.has_token(Actor.OTHER_TENANT) is bool(other_token)


@posix
@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("echo the-secret >&2; exit 3", "exited with 3"),
        ("true", "printed nothing"),
        ("echo the-secret and more", "printed more than a token"),
        ("printf 'the-secret\\nand-more'", "printed more than a token"),
        ("none-such-the-command", "exited with 127"),
    ],
)
def test_token_command_without_a_token_is_a_usage_error_and_is_not_shown(
    command: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--base-url", "http://127.0.0.1:1", "--token-command", command], {}) == ExitCode.USAGE
    output = "".join(capsys.readouterr())
    assert f"--token-command: the command {problem}" in output
    assert "expected a command that prints only a token" in output
    assert "the-secret" not in output


@posix
def test_token_command_that_hangs_is_terminated() -> None:
    with pytest.raises(UsageError, match=r"no exit within 0\.2 s"):
        TokenCommand("exec sleep 20", 0.2).token()


@posix
def test_run_sends_the_token_of_the_command_and_redacts_it(tmp_path: Path) -> None:
    received: list[str] = []

    def echo_token(handler: BaseHTTPRequestHandler) -> None:
        received.append(handler.headers.get("Authorization", ""))
        respond_with(500, "application/json", f'{{"message": "{received[-1]} is bad"}}'.encode())(handler)

    with run_http_target(echo_token) as base:
        command = ("--token-command", "echo printed-token", "--report-dir", str(tmp_path))
        code, output = run_command(
            "run", "--base-url", base, "--operation", "listMessages", "--strict", *command, token=""
        )
    assert code == ExitCode.FAILED, output
    assert set(received) == {"Bearer printed-token"}
    for text in (output, *(path.read_text() for path in tmp_path.iterdir())):
        assert "printed-token" not in text


def test_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[str] = []

    def handle_proxy_request(handler: BaseHTTPRequestHandler) -> None:
        paths.append(handler.path)
        GOOD(handler)

    with run_http_target(handle_proxy_request) as base:
        monkeypatch.setenv("HTTP_PROXY", base.removesuffix("/api/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        code = main(
            ["run", "--base-url", "http://api.invalid/v1", "--operation", "listMessages"],
            {"ATHENA_TOKEN": "x-token"},
            [],
        )
    assert code == ExitCode.NO_CHECKS_RAN
    assert paths[0].startswith("http://api.invalid/v1/")


def test_proxy_is_not_used_for_loopback_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with run_http_target(GOOD) as base:
        code = main(["run", "--base-url", base, "--operation", "listMessages"], {"ATHENA_TOKEN": "x-token"}, [])
    assert code == ExitCode.NO_CHECKS_RAN


def test_invalid_proxy_is_a_usage_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://x")
    assert main(["run", "--base-url", "http://api.invalid"], {"ATHENA_TOKEN": "x-token"}, []) == ExitCode.USAGE
    assert "invalid proxy in the environment" in capsys.readouterr().err


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    line = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1")
    command = (*line, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt")
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def https_target(certificate: Path) -> Iterator[str]:
    """Base URL of an HTTPS target."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            GOOD(self)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    class TlsServer(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Log nothing: clients that do not trust the certificate close the connection."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = TlsServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}/api/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_ca_file_is_trusted(https_target: str, certificate: Path) -> None:
    line = ["run", "--base-url", https_target, "--operation", "listMessages"]
    assert main(line, {"ATHENA_TOKEN": "x-token"}, []) == ExitCode.TARGET_UNREACHABLE
    line_with_ca = [*line, "--ca-file", f"{certificate}.crt"]
    assert main(line_with_ca, {"ATHENA_TOKEN": "x-token"}, []) == ExitCode.NO_CHECKS_RAN


def test_ca_file_without_certificates_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none.pem").write_text("none")
    line = ["run", "--base-url", "https://127.0.0.1:1", "--ca-file", str(tmp_path / "none.pem")]
    assert main(line, {"ATHENA_TOKEN": "x-token"}, []) == ExitCode.USAGE
    assert "--ca-file: cannot load" in capsys.readouterr().err


def test_skipped_operation_is_reported_and_not_called(tmp_path: Path) -> None:
    paths: list[str] = []

    def record_path(handler: BaseHTTPRequestHandler) -> None:
        paths.append(handler.path)
        GOOD(handler)

    path = tmp_path / "settings.toml"
    path.write_text("[skip]\nlistMessages = 'times out; ticket 12'\n")
    options = ("--read-only", "--operation", "listMessages,listAgents", "--config", str(path))
    with run_http_target(record_path) as base:
        code, output = run_command("run", "--base-url", base, *options)
        assert code == ExitCode.PASSED, output
        assert "skipped: times out; ticket 12" in output
        assert "note: skipped by the settings file: listMessages" in output
        code, output = run_command("run", "--base-url", base, "--operation", "listMessages", "--config", str(path))
        assert code == ExitCode.NO_CHECKS_RAN, output
    assert paths
    assert not [path for path in paths if "/messages" in path]


def test_cookies_of_a_response_are_not_sent_with_the_next_request() -> None:
    """A session cookie would authenticate later requests as another user."""
    sent: list[str | None] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"Set-Cookie": "session=1; Path=/"})

    target = HttpTarget("http://127.0.0.1:1", {}, Budget(None, None), transport=httpx.MockTransport(respond))
    for headers in ({}, {}, {"Cookie": "own=2"}):
        target.send(Request("list", "get", "/x", headers=headers))
    assert sent == [None, None, "own=2"]


def test_target_with_http2_only_is_named() -> None:
    settings_frame = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"

    def handle(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(settings_frame)
        handler.close_connection = True

    with run_http_target(handle) as base:
        code, output = run_command("run", "--base-url", base, "--operation", "listMessages", "--wait-ready", "0")
    assert code == ExitCode.TARGET_UNREACHABLE, output
    assert "the target seems to speak HTTP/2 only (expected a port with HTTP/1.1)" in output
