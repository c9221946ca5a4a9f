"""The command as a user runs it: by subprocess, against targets that are down, hang, answer HTML, refuse the token."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conformance.cli.main import main
from conformance.cli.wiring import build_redactor, open_session
from conformance.config.settings import from_arguments
from conformance.gate.verdict import ExitCode
from tests.mock_server.athena import athena_contract

ROOT = Path(__file__).parents[2]
# The command with one law in place of all: each list answers.
STUBBED = """
import sys
from conformance.cli.main import main
from conformance.checks.support.check import Category, Check

def judging(case):
    asked = case.session.send(case.operation)
    yield case.build_result(case.build_requirement(), "" if asked.response.ok else f"found {asked.response.status}", asked)

law = Check("answers", "It answers.", Category.RESPONSES, lambda contract, operation: operation.action == "list", judging)
sys.exit(main(sys.argv[1:], laws=[law]))
"""

Answer = Callable[[BaseHTTPRequestHandler], None]


def answering(status: int, kind: str, body: bytes, pause: float = 0.0) -> Answer:
    """A handler that answers every request so."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(pause)
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A target of loopback; its base address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: the command may well have hung up."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def started(
    *arguments: str, token: str = "a-token", other: str = "", out: int = subprocess.PIPE
) -> "subprocess.Popen[str]":
    """The command, started."""
    around = {k: v for k, v in os.environ.items() if not k.startswith("ATHENA_")} | {"PYTHONPATH": str(ROOT)}
    around |= {"ATHENA_TOKEN": token} if token else {}
    around |= {"ATHENA_OTHER_TOKEN": other} if other else {}
    command = [sys.executable, "-c", STUBBED, *arguments]
    return subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=around)


def ran(*arguments: str, token: str = "a-token", other: str = "") -> tuple[int, str]:
    """Exit code, and all that was printed; never a traceback."""
    with started(*arguments, token=token, other=other) as process:
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, out + err


GOOD = answering(200, "application/json", b'{"data": []}')


def test_a_target_that_keeps_its_promises_ends_with_0(tmp_path: Path) -> None:
    with serving(GOOD) as base:
        code, said = ran("run", "--base-url", base, "--read-only", "--tag", "Message", "--report-dir", str(tmp_path))
        # nothing retrieves a message here, which makes it incomplete, and says so
        assert code == ExitCode.INCOMPLETE, said
        assert "retrieveMessage" in said
        code, said = ran("run", "--base-url", base, "--read-only", "--operation", "listMessages")
    assert code == ExitCode.PASSED, said
    assert json.loads((tmp_path / "conformance.json").read_text())["counts"]["kept"] == 1
    assert (tmp_path / "junit.xml").exists()


def test_a_broken_target_ends_with_1() -> None:
    with serving(answering(500, "application/json", b'{"message": "\\u001b[31mno"}')) as base:
        code, said = ran("run", "--base-url", base, "--operation", "listMessages", "--strict")
    assert code == ExitCode.FAILED, said
    assert "BROKEN  listMessages answers" in said
    assert 'curl -i -X GET -H "Authorization: Bearer $ATHENA_TOKEN"' in said


def test_github_gets_annotations_and_no_commands_of_a_target() -> None:
    with serving(answering(500, "application/json", b'{"message": "no\\n::error::planted"}')) as base:
        code, said = ran("run", "--base-url", base, "--operation", "listMessages", "--strict", "--github")
    assert code == ExitCode.FAILED, said
    commands = [line for line in said.splitlines() if line.startswith("::")]
    assert commands[0].startswith("::error file=spec/openapi.yaml,line=")
    assert not any(line.startswith("::error::planted") for line in commands)


def test_a_target_that_is_down_ends_with_3() -> None:
    code, said = ran("run", "--base-url", "http://127.0.0.1:1/api/v1")
    assert code == ExitCode.TARGET_UNREACHABLE
    assert "Connection refused" in said
    assert " 0 broken" in said


def test_a_hanging_target_ends_with_3() -> None:
    with serving(answering(200, "application/json", b"{}", pause=3)) as base:
        code, said = ran("run", "--base-url", base, "--timeout", "0.2")
    assert code == ExitCode.TARGET_UNREACHABLE
    assert "no answer within 0.2 s (--timeout)" in said


@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_target_that_answers_html_is_no_api_and_ends_with_3(status: int) -> None:
    with serving(answering(status, "text/html", b"<html>Sign in</html>")) as base:
        code, said = ran("run", "--base-url", base)
    assert code == ExitCode.TARGET_UNREACHABLE
    assert "answers /" in said
    assert "HTML page" in said


def test_what_speaks_no_http_ends_with_3() -> None:
    def greeting(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"220 mail.example.com ESMTP\r\n")

    with serving(greeting) as base:
        code, said = ran("run", "--base-url", base)
    assert code == ExitCode.TARGET_UNREACHABLE
    assert "does not speak HTTP" in said


def test_a_redirecting_target_ends_with_3_and_the_token_stays_here() -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(301)
        handler.send_header("Location", "https://elsewhere.example.com/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with serving(redirect) as base:
        code, said = ran("run", "--base-url", base)
    assert code == ExitCode.TARGET_UNREACHABLE
    assert "redirect to https://elsewhere.example.com/" in said


def test_a_wrong_token_ends_with_5_and_says_what_to_do() -> None:
    with serving(answering(401, "application/json", b'{"message": "Unauthenticated."}')) as base:
        code, said = ran("run", "--base-url", base, token="wrong-token")
    assert code == ExitCode.INCOMPLETE
    assert "the target refuses the token in $ATHENA_TOKEN" in said
    assert "put a valid token there" in said
    assert "wrong-token" not in said


def test_a_target_that_dies_in_mid_run_ends_with_3_and_breaks_nothing() -> None:
    left = iter([True] * 5)

    def dying(handler: BaseHTTPRequestHandler) -> None:
        if next(left, False):
            GOOD(handler)
        else:
            handler.close_connection = True

    with serving(dying) as base:
        code, said = ran("run", "--base-url", base)
    assert code == ExitCode.TARGET_UNREACHABLE, said
    assert "0 broken" in said


def test_a_scope_without_operations_ends_with_4() -> None:
    with serving(GOOD) as base:
        code, said = ran("run", "--base-url", base, "--tag", "Message", "--provenance", "confirmed")
    assert code == ExitCode.NO_CHECKS_RAN
    assert "nothing was tested" in said


@pytest.fixture
def unread() -> Iterator[int]:
    """The end of a pipe that nobody reads from."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("word", [["run", "--dry-run"], ["run", "--show-config"]])
def test_who_stops_reading_is_told_nothing_and_changes_no_exit_code(unread: int, word: list[str]) -> None:
    command = [sys.executable, "-m", "conformance", *word]
    done = subprocess.run(command, stdout=unread, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_who_stops_reading_loses_no_verdict_and_no_report(unread: int, tmp_path: Path) -> None:
    with serving(answering(500, "application/json", b"{}")) as base:
        asked = ("run", "--base-url", base, "--operation", "listMessages", "--strict", "--report-dir", str(tmp_path))
        with started(*asked, out=unread) as process:
            errors = process.communicate(timeout=60)[1]
    assert "Traceback" not in errors
    assert process.returncode == ExitCode.FAILED
    assert json.loads((tmp_path / "conformance.json").read_text())["verdict"]["name"] == "broken"


def test_interrupting_ends_with_the_report_so_far(tmp_path: Path) -> None:
    judging = threading.Event()
    asked = iter(range(1000))

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        if next(asked) == 6:  # past the first look at the target
            judging.set()
            time.sleep(1)
        GOOD(handler)

    with serving(slowly) as base, started("run", "--base-url", base, "--report-dir", str(tmp_path)) as process:
        assert judging.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert "Traceback" not in out + err
    assert process.returncode == ExitCode.INCOMPLETE, out + err
    assert "the run ended before its time: interrupted" in out
    assert json.loads((tmp_path / "conformance.json").read_text())["run"]["ended"] == "interrupted"


def test_a_used_up_budget_ends_with_5() -> None:
    with serving(GOOD) as base:
        code, said = ran("run", "--base-url", base, "--max-requests", "6")
    assert code == ExitCode.INCOMPLETE
    assert "--max-requests are used up" in said


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), "required: WORD"),
        (("run",), "--base-url: found nothing"),
        (("run", "--base-url", "ftp://x"), "--base-url: found 'ftp://x'"),
        (("run", "--base-url", "http://u:p@x/"), "without query and credentials"),
        (("run", "--base-url", "http://x", "--bogus"), "--bogus"),
        (("run", "--base-url", "http://x", "--seed", "-1"), "--seed: found '-1'"),
        (("run", "--base-url", "http://x", "--timeout", "nan"), "--timeout: found 'nan'"),
        (("run", "--base-url", "http://x", "--provenance", "guessed"), "--provenance: found 'guessed'"),
        (("run", "--base-url", "http://x", "--operation", "none"), "--operation: found 'none'"),
        (("run", "--base-url", "http://x", "--tag", "none"), "--tag: found 'none'"),
        (("run", "--base-url", "http://x", "--header", "Authorization: Bearer x"), "--token-env"),
        (("run", "--base-url", "http://x", "--header", "no colon"), "--header: found"),
        (("run", "--base-url", "http://x", "--contract", "none.yaml"), "--contract: found 'none.yaml'"),
        (("run", "--base-url", "http://x", "--contract", "pyproject.toml"), "pyproject.toml"),
        (("run", "--base-url", "http://x", "--token-env", "NONE"), "$NONE: found no token"),
        (
            ("run", "--base-url", "http://x", "--profile", "quick"),
            "found 'quick'; allowed: smoke, gate, deep",
        ),
        (("run", "--base-url", "http://x", "--max-effect-calls", "-1"), "--max-effect-calls: found '-1'"),
        (("run", "--base-url", "http://x", "--ca-file", "none.pem"), "--ca-file: found 'none.pem'"),
        (("run", "--base-url", "http://x", "--mutable-record", "Workspace"), "allowed: RESOURCE=KEY"),
        (
            ("run", "--base-url", "http://x", "--mutable-record", "None=1"),
            "--mutable-record: found 'None'; allowed: User",
        ),
        (
            ("run", "--base-url", "http://x", "--mutable-record", "User=\x1b[31m"),
            "--mutable-record: found 'User=\\x1b[31m'",
        ),
        (("run", "--base-url", "http://x", "--tenant", ""), "--tenant: found ''"),
        (("run", "--base-url", "http://x", "--tenant", "a\x00b"), "--tenant: found 'a\\x00b'"),
        (("run", "--base-url", "http://x", "--config", "none.toml"), "--config: found none.toml"),
        (("run", "--base-url", "http://x", "--env", "none"), "--env: found 'none'"),
        (("run", "--base-url", "http://x", "--write-log", "."), "--write-log: found ."),
        (("pytest", "--dry-run"), "unrecognized arguments: --dry-run"),
        (("run", "--dry-run", "--tag", "none"), "--tag: found 'none'"),
        (("rnu",), "invalid choice: 'rnu'; allowed: run, items"),
        (("run", "--bas-url", "http://x"), "--bas-url http://x; did you mean '--base-url'?; allowed: "),
        (
            ("run", "--base-url", "http://x", "--operation", "listMesages"),
            "found 'listMesages'; did you mean 'listMessages'?; allowed: ",
        ),
        (("run", "--dry-run", "--tag", "Mesage"), "--tag: found 'Mesage'; did you mean 'Message'?; allowed: "),
        (("cleanup",), "the following arguments are required: LEDGER-FILE"),
        (("cleanup", "none.jsonl"), "LEDGER: found none.jsonl"),
        (("pytest", "--base-url", "http://x", "--report-dir", "x"), "unrecognized arguments: --report-dir"),
        (("run", "--base-url", "http://x", "--report-dir", "pyproject.toml"), "--report-dir: found"),
        (("run", "--base-url", "http://x.example", "--operation", "createMessage"), "--allow-writes-to x.example"),
    ],
)
def test_a_wrong_option_is_told_in_one_line_and_ends_with_2(
    arguments: tuple[str, ...], found: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    code = main(arguments, {"ATHENA_TOKEN": "a-token"}, [])
    said = "".join(capsys.readouterr())
    assert (code, len(said.splitlines())) == (ExitCode.USAGE, 1), said
    assert found in said
    assert "allowed" in said


def test_a_wrong_token_of_the_other_tenant_breaks_nothing_and_ends_with_5() -> None:
    def by_token(handler: BaseHTTPRequestHandler) -> None:
        mine = handler.headers.get("Authorization") == "Bearer a-token"
        refusal = answering(401, "application/json", b'{"message": "Unauthenticated."}')
        (GOOD if mine else refusal)(handler)

    with serving(by_token) as base:
        code, said = ran("run", "--base-url", base, "--operation", "listMessages", other="wrong")
    assert code == ExitCode.INCOMPLETE
    assert "the target refuses the token in $ATHENA_OTHER_TOKEN" in said


@pytest.mark.parametrize(
    ("arguments", "around", "found"),
    [
        ((), {"ATHENA_LOGIN": "me@example.com"}, "$ATHENA_PASSWORD: found no password"),
        ((), {"ATHENA_PASSWORD": "Canary-4711"}, "$ATHENA_LOGIN: found no login"),
        (("--login-env", "NONE"), {}, "$NONE: found no login"),
        (("--password-env", "NONE"), {"ATHENA_LOGIN": "me@example.com"}, "$NONE: found no password"),
    ],
)
def test_a_login_without_a_password_ends_with_2(
    arguments: tuple[str, ...], around: dict[str, str], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", "--base-url", "http://x", *arguments], {"ATHENA_TOKEN": "a-token", **around}, [])
    said = "".join(capsys.readouterr())
    assert code == ExitCode.USAGE
    assert f"{found} in the environment; allowed: login and password, both" in said
    assert "Canary" not in said


def test_one_token_for_two_tenants_ends_with_2() -> None:
    code, said = ran("run", "--base-url", "http://127.0.0.1:1", other="a-token")
    assert code == ExitCode.USAGE
    assert "$ATHENA_OTHER_TOKEN: found the token of $ATHENA_TOKEN" in said


def test_a_token_is_due_even_where_some_operations_are_public() -> None:
    code, said = ran("run", "--base-url", "http://127.0.0.1:1", token="")
    assert code == ExitCode.USAGE
    assert "$ATHENA_TOKEN: found no token" in said


def test_a_missing_token_ends_with_2() -> None:
    code, said = ran("run", "--base-url", "http://127.0.0.1:1", "--operation", "listMessages", token="")
    assert code == ExitCode.USAGE
    assert "$ATHENA_TOKEN: found no token" in said


def test_a_login_signs_in_as_the_contracts_account_and_its_password_is_in_no_report() -> None:
    around = {"ATHENA_TOKEN": "a", "ATHENA_LOGIN": "me@example.com", "ATHENA_PASSWORD": "Canary 4711 ü"}
    settings = from_arguments(["run", "--base-url", "http://127.0.0.1:1"], around, "0")
    session, target = open_session(settings, athena_contract(), "run")
    target.close()
    assert session.credentials == {"email": "me@example.com", "password": "Canary 4711 ü"}
    assert "Canary" not in build_redactor(settings, athena_contract()).line("its password is Canary 4711 ü")
    assert "Canary" not in repr(settings) + repr(session)


def test_a_password_that_the_contract_itself_shows_garbles_no_report() -> None:
    settings = from_arguments(
        ["run", "--base-url", "http://x"],
        {"ATHENA_TOKEN": "a-token", "ATHENA_LOGIN": "me@example.com", "ATHENA_PASSWORD": "password"},
        "0",
    )
    assert build_redactor(settings, athena_contract()).line("#/properties/password") == "#/properties/password"


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("run", "0  every promise that was judged is kept"),
        ("cleanup", "5  something is left"),
        ("replay", "1  reproduced"),
        ("confirm", "0  what there was to confirm"),
    ],
)
def test_help_says_what_the_exit_codes_mean_of_each_word(
    word: str, means: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([word, "--help"], {})
    said = capsys.readouterr().out
    assert means in said
    assert said.count("\n  0  ") == 1
