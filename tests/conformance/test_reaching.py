"""How a target is reached: tokens that a command prints, certificates, proxies; what is never sent."""

import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conformance.cli.main import main
from conformance.errors import BudgetExhausted, UsageError
from conformance.gate.verdict import ExitCode
from conformance.transport.client import Budget, HttpTarget
from conformance.transport.messages import Request
from conformance.transport.token_refresh import TokenCommand, TokenRefreshingTarget
from tests.conformance.test_command import GOOD, Answer, answering, ran, serving

WELL = Request("listThings", "get", "/things")


def printing(tmp_path: Path, *tokens: str) -> str:
    """A command that prints one token after the other, and fails when there is none left."""
    (tmp_path / "tokens").write_text("".join(f"{token}\n" for token in tokens))
    script = tmp_path / "token.sh"
    script.write_text(
        f"cd '{tmp_path}' && read -r token < tokens && sed 1d tokens > rest && mv rest tokens && echo \"$token\"\n"
    )
    return f"sh '{script}'"


def taking(*tokens: str, requests: int = 3) -> tuple[list[str], Answer]:
    """A target that takes each token for so many requests, then the next alone; whose tokens it was shown."""
    shown: list[str] = []
    left = [token for token in tokens for _ in range(requests)]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        shown.append(token)
        if left and token == left[0]:
            left.pop(0)
            GOOD(handler)
        else:
            answering(401, "application/json", b'{"message": "Unauthenticated."}')(handler)

    return shown, answer


posix = pytest.mark.skipif(os.name == "nt", reason="the commands here are a POSIX shell's")


@posix
def test_a_token_that_expires_is_asked_for_anew(tmp_path: Path) -> None:
    shown, answer = taking("first-token", "second-token", "third-token")
    command = printing(tmp_path, "first-token", "second-token", "third-token")
    with serving(answer) as base:
        target = HttpTarget(base, {"self": "first-token"}, Budget(None, None))
        source = TokenCommand(command)
        assert source.token() == "first-token"
        through = TokenRefreshingTarget(target, source.token, lambda operation: True)
        assert [through.send(WELL).status for _ in range(9)] == [200] * 9
        target.close()
    assert source.printed_tokens == ["first-token", "second-token", "third-token"]
    assert shown.count("first-token") == 4


@posix
def test_a_401_before_the_token_was_ever_taken_is_the_answer(tmp_path: Path) -> None:
    shown, answer = taking("another-token")
    with serving(answer) as base:
        target = HttpTarget(base, {"self": "first-token"}, Budget(None, None))
        through = TokenRefreshingTarget(target, TokenCommand("exit 1").token, lambda operation: True)
        assert through.send(WELL).status == 401
        target.close()
    assert shown == ["first-token"]


def test_a_401_to_somebody_else_or_of_what_is_public_is_the_answer() -> None:
    _, answer = taking("first-token", requests=1)
    with serving(answer) as base:
        target = HttpTarget(base, {"self": "first-token"}, Budget(None, None))
        through = TokenRefreshingTarget(
            target, TokenCommand("exit 1").token, lambda operation: operation == WELL.operation
        )
        assert through.send(WELL).status == 200
        assert through.send(Request("signIn", "get", "/sign-in")).status == 401
        assert through.send(Request("listThings", "get", "/things", actor="nobody")).status == 401
        assert through.send(Request("listThings", "get", "/", headers={"authorization": "Bearer x"})).status == 401
        with pytest.raises(BudgetExhausted, match="the token expired, and no new one could be had: --token-command"):
            through.send(WELL)
        target.close()


@posix
@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("echo the-secret >&2; exit 3", "ended with 3"),
        ("true", "prints nothing"),
        ("echo the-secret and more", "prints more than a token"),
        ("printf 'the-secret\\nand-more'", "prints more than a token"),
        ("none-such-the-command", "ended with 127"),
    ],
)
def test_a_command_without_a_token_ends_with_2_and_shows_nothing(
    command: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--base-url", "http://127.0.0.1:1", "--token-command", command], {}) == ExitCode.USAGE
    said = "".join(capsys.readouterr())
    assert f"--token-command: found one that {found}" in said
    assert "allowed: a command that prints a token" in said
    assert "the-secret" not in said


@posix
def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(UsageError, match=r"did not end within 0\.2 s"):
        TokenCommand("exec sleep 20", 0.2).token()


@posix
def test_a_run_takes_the_commands_token_and_shows_it_nowhere(tmp_path: Path) -> None:
    told: list[str] = []

    def echoing(handler: BaseHTTPRequestHandler) -> None:
        told.append(handler.headers.get("Authorization", ""))
        answering(500, "application/json", f'{{"message": "{told[-1]} is bad"}}'.encode())(handler)

    with serving(echoing) as base:
        command = ("--token-command", "echo printed-token", "--report-dir", str(tmp_path))
        code, said = ran("run", "--base-url", base, "--operation", "listMessages", "--strict", *command, token="")
    assert code == ExitCode.FAILED, said
    assert set(told) == {"Bearer printed-token"}
    for text in (said, *(file.read_text() for file in tmp_path.iterdir())):
        assert "printed-token" not in text


def test_a_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def proxying(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        GOOD(handler)

    with serving(proxying) as base:
        monkeypatch.setenv("HTTP_PROXY", base.removesuffix("/api/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        code = main(
            ["run", "--base-url", "http://api.invalid/v1", "--operation", "listMessages"],
            {"ATHENA_TOKEN": "x-token"},
            [],
        )
    assert code == ExitCode.NO_CHECKS_RAN
    assert asked[0].startswith("http://api.invalid/v1/")


def test_a_proxy_is_not_asked_for_this_machines_own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serving(GOOD) as base:
        code = main(["run", "--base-url", base, "--operation", "listMessages"], {"ATHENA_TOKEN": "x-token"}, [])
    assert code == ExitCode.NO_CHECKS_RAN


def test_a_proxy_that_is_none_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HTTP_PROXY", "gopher://x")
    assert main(["run", "--base-url", "http://api.invalid"], {"ATHENA_TOKEN": "x-token"}, []) == ExitCode.USAGE
    assert "the environment's proxy: found one that cannot be used" in capsys.readouterr().err


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signed itself, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here")
    file = tmp_path_factory.mktemp("tls") / "own.pem"
    line = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1")
    made = (*line, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", f"{file}.crt")
    subprocess.run(made, check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


@pytest.fixture
def guarded(certificate: Path) -> Iterator[str]:
    """A target of HTTPS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            GOOD(self)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: who does not trust it hangs up."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}/api/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_certificates_of_a_file_are_trusted(guarded: str, certificate: Path) -> None:
    line = ["run", "--base-url", guarded, "--operation", "listMessages"]
    assert main(line, {"ATHENA_TOKEN": "x-token"}, []) == ExitCode.TARGET_UNREACHABLE
    trusting = [*line, "--ca-file", f"{certificate}.crt"]
    assert main(trusting, {"ATHENA_TOKEN": "x-token"}, []) == ExitCode.NO_CHECKS_RAN


def test_a_file_without_certificates_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none.pem").write_text("none")
    line = ["run", "--base-url", "https://127.0.0.1:1", "--ca-file", str(tmp_path / "none.pem")]
    assert main(line, {"ATHENA_TOKEN": "x-token"}, []) == ExitCode.USAGE
    assert "allowed: certificates in PEM" in capsys.readouterr().err


def test_a_skipped_operation_is_not_sent_and_said_to_be(tmp_path: Path) -> None:
    asked: list[str] = []

    def noting(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        GOOD(handler)

    file = tmp_path / "settings.toml"
    file.write_text("[skip]\nlistMessages = 'times out; ticket 12'\n")
    chosen = ("--read-only", "--operation", "listMessages,listAgents", "--config", str(file))
    with serving(noting) as base:
        code, said = ran("run", "--base-url", base, *chosen)
        assert code == ExitCode.PASSED, said
        assert "skipped: times out; ticket 12" in said
        assert "note: not sent, as the file of settings says: listMessages" in said
        code, said = ran("run", "--base-url", base, "--operation", "listMessages", "--config", str(file))
        assert code == ExitCode.NO_CHECKS_RAN, said
    assert asked
    assert not [path for path in asked if "/messages" in path]
