"""The command with targets that are down, hang, return HTML or reject the token."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from conformance.cli.commands import COMMANDS, SuiteCommand, parse_settings
from conformance.cli.main import EXTRA_MODULES, main
from conformance.cli.wiring import build_redactor, open_session
from conformance.gate.verdict import ExitCode
from spec.version import format_version
from tests.conformance.support.http_target import (
    GOOD,
    respond_with,
    run_command,
    run_http_target,
    start,
)
from tests.mock_process import ROOT
from tests.mock_server.athena import athena_contract


def test_conforming_target_exits_with_0(tmp_path: Path) -> None:
    with run_http_target(GOOD) as base:
        code, output = run_command(
            "run", "--base-url", base, "--read-only", "--tag", "Message", "--report-dir", str(tmp_path)
        )
        # no check of this test retrieves a message
        assert code == ExitCode.INCOMPLETE, output
        assert "retrieveMessage" in output
        code, output = run_command("run", "--base-url", base, "--read-only", "--operation", "listMessages")
    assert code == ExitCode.PASSED, output
    assert json.loads((tmp_path / "conformance.json").read_text())["counts"]["passed"] == 1
    assert (tmp_path / "junit.xml").exists()


def test_failing_target_exits_with_1() -> None:
    with run_http_target(respond_with(500, "application/json", b'{"message": "\\u001b[31mno"}')) as base:
        code, output = run_command("run", "--base-url", base, "--operation", "listMessages", "--strict")
    assert code == ExitCode.FAILED, output
    assert "FAILED  listMessages lists-succeed" in output
    assert 'curl -i -X GET -H "Authorization: Bearer $ATHENA_TOKEN"' in output


def test_github_annotations_contain_no_commands_of_the_target() -> None:
    with run_http_target(respond_with(500, "application/json", b'{"message": "no\\n::error::planted"}')) as base:
        code, output = run_command("run", "--base-url", base, "--operation", "listMessages", "--strict", "--github")
    assert code == ExitCode.FAILED, output
    commands = [line for line in output.splitlines() if line.startswith("::")]
    assert commands[0].startswith("::error file=spec/openapi.yaml,line=")
    assert not any(line.startswith("::error::planted") for line in commands)


def test_unreachable_target_exits_with_3() -> None:
    code, output = run_command("run", "--base-url", "http://127.0.0.1:1/api/v1")
    assert code == ExitCode.TARGET_UNREACHABLE
    assert "Connection refused" in output
    assert " 0 failed" in output


def test_hanging_target_exits_with_3() -> None:
    with run_http_target(respond_with(200, "application/json", b"{}", pause=3)) as base:
        code, output = run_command("run", "--base-url", base, "--timeout", "0.2")
    assert code == ExitCode.TARGET_UNREACHABLE
    assert "timeout after 0.2 s (--timeout)" in output


@pytest.mark.parametrize("status", [200, 404, 500])
def test_target_that_returns_html_exits_with_3(status: int) -> None:
    with run_http_target(respond_with(status, "text/html", b"<html>Sign in</html>")) as base:
        code, output = run_command("run", "--base-url", base)
    assert code == ExitCode.TARGET_UNREACHABLE
    assert "returned an HTML page" in output
    assert "HTML page" in output


def test_target_that_does_not_speak_http_exits_with_3() -> None:
    def send_smtp_banner(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"220 mail.example.com ESMTP\r\n")

    with run_http_target(send_smtp_banner) as base:
        code, output = run_command("run", "--base-url", base)
    assert code == ExitCode.TARGET_UNREACHABLE
    assert "invalid HTTP" in output


def test_redirecting_target_exits_with_3_and_gets_no_token() -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(301)
        handler.send_header("Location", "https://elsewhere.example.com/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with run_http_target(redirect) as base:
        code, output = run_command("run", "--base-url", base)
    assert code == ExitCode.TARGET_UNREACHABLE
    assert "redirects to https://elsewhere.example.com/" in output


def test_rejected_token_exits_with_5() -> None:
    with run_http_target(respond_with(401, "application/json", b'{"message": "Unauthenticated."}')) as base:
        code, output = run_command("run", "--base-url", base, token="wrong-token")
    assert code == ExitCode.INCOMPLETE
    assert "the target rejects the token in $ATHENA_TOKEN" in output
    assert "set a valid token" in output
    assert "wrong-token" not in output


def test_target_lost_during_the_run_exits_with_3_without_failures() -> None:
    responses = iter([True] * 5)

    def close_after_probes(handler: BaseHTTPRequestHandler) -> None:
        if next(responses, False):
            GOOD(handler)
        else:
            handler.close_connection = True

    with run_http_target(close_after_probes) as base:
        code, output = run_command("run", "--base-url", base)
    assert code == ExitCode.TARGET_UNREACHABLE, output
    assert "0 failed" in output


def test_selection_without_operations_exits_with_4() -> None:
    with run_http_target(GOOD) as base:
        code, output = run_command("run", "--base-url", base, "--tag", "Message", "--provenance", "confirmed")
    assert code == ExitCode.NO_CHECKS_RAN
    assert "no checks ran" in output


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """The write end of a pipe whose read end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("arguments", [["run", "--dry-run"], ["run", "--show-config"]])
@pytest.mark.slow
def test_closed_output_changes_no_exit_code(closed_pipe: int, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "conformance", *arguments]
    done = subprocess.run(
        command, stdout=closed_pipe, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_closed_output_changes_no_verdict_and_no_report(closed_pipe: int, tmp_path: Path) -> None:
    with run_http_target(respond_with(500, "application/json", b"{}")) as base:
        arguments = (
            "run",
            "--base-url",
            base,
            "--operation",
            "listMessages",
            "--strict",
            "--report-dir",
            str(tmp_path),
        )
        with start(*arguments, out=closed_pipe) as process:
            errors = process.communicate(timeout=60)[1]
    assert "Traceback" not in errors
    assert process.returncode == ExitCode.FAILED
    assert json.loads((tmp_path / "conformance.json").read_text())["verdict"]["name"] == "failed"


@pytest.mark.slow
def test_interrupted_run_writes_its_report(tmp_path: Path) -> None:
    is_running = threading.Event()
    numbers = iter(range(1000))

    def delay_one_response(handler: BaseHTTPRequestHandler) -> None:
        if next(numbers) == 6:  # after the probes of the target
            is_running.set()
            time.sleep(1)
        GOOD(handler)

    with (
        run_http_target(delay_one_response) as base,
        start("run", "--base-url", base, "--report-dir", str(tmp_path)) as process,
    ):
        assert is_running.wait(30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert "Traceback" not in out + err
    assert process.returncode == ExitCode.INCOMPLETE, out + err
    assert "run aborted: interrupted" in out
    assert json.loads((tmp_path / "conformance.json").read_text())["run"]["abort_reason"] == "interrupted"


@pytest.mark.parametrize("requests", [1, 3, 6])  # before, during and after the token is tested
def test_exhausted_budget_exits_with_5(requests: int) -> None:
    with run_http_target(GOOD) as base:
        code, output = run_command("run", "--base-url", base, "--max-requests", str(requests), other="b-token")
    assert code == ExitCode.INCOMPLETE
    noun = "request" if requests == 1 else "requests"
    assert f"the limit of {requests} {noun} is reached (--max-requests)" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing command (expected run, pytest, replay"),
        (("run",), "--base-url: no value (expected"),
        (("run", "--base-url", "ftp://x"), "--base-url: invalid value 'ftp://x' (expected a URL"),
        (("run", "--base-url", "http://u:p@x/"), "without query and credentials"),
        (("run", "--base-url", "http://x", "--bogus"), "--bogus"),
        (
            ("run", "--base-url", "http://x", "--seed", "-1"),
            "--seed: invalid value '-1' (expected an integer between 0 and 9223372036854775807)",
        ),
        (
            ("run", "--base-url", "http://x", "--timeout", "nan"),
            "--timeout: invalid value 'nan' (expected seconds: a number between 0.05 and 3600)",
        ),
        (
            ("run", "--base-url", "http://x", "--provenance", "guessed"),
            "--provenance: invalid value 'guessed' (expected documented, published",
        ),
        (("run", "--base-url", "http://x", "--operation", "none"), "--operation: unknown name 'none'"),
        (("run", "--base-url", "http://x", "--tag", "none"), "--tag: unknown name 'none'"),
        (("run", "--base-url", "http://x", "--header", "Authorization: Bearer x"), "--token-env"),
        (
            ("run", "--base-url", "http://x", "--header", "no colon"),
            "--header: invalid value 'no colon' (expected 'Name: value'",
        ),
        (
            ("run", "--base-url", "http://x", "--contract", "none.yaml"),
            "--contract: invalid value 'none.yaml' (expected an existing OpenAPI 3.0 or 3.1 file)",
        ),
        (("run", "--base-url", "http://x", "--contract", "pyproject.toml"), "pyproject.toml"),
        (("run", "--base-url", "http://x", "--token-env", "NONE"), "$NONE: no token in the environment"),
        (
            ("run", "--base-url", "http://x", "--profile", "quick"),
            "invalid value 'quick' (expected smoke, gate, deep)",
        ),
        (("run", "--base-url", "http://x", "--max-effect-calls", "-1"), "--max-effect-calls: invalid value '-1'"),
        (
            ("run", "--base-url", "http://x", "--ca-file", "none.pem"),
            "--ca-file: invalid value 'none.pem' (expected an existing PEM file)",
        ),
        (("run", "--base-url", "http://x", "--mutable-record", "Workspace"), "(expected RESOURCE=KEY"),
        (
            ("run", "--base-url", "http://x", "--mutable-record", "Planet=1"),
            "--mutable-record: unknown name 'Planet' (expected User",
        ),
        (
            ("run", "--base-url", "http://x", "--mutable-record", "User=\x1b[31m"),
            "--mutable-record: invalid value 'User=\\x1b[31m'",
        ),
        (
            ("run", "--base-url", "http://x", "--tenant", ""),
            "--tenant: invalid value '' (expected the key of a record)",
        ),
        (("run", "--base-url", "http://x", "--tenant", "a\x00b"), "--tenant: invalid value 'a\\x00b'"),
        (("run", "--base-url", "http://x", "--config", "none.toml"), "--config: cannot read none.toml"),
        (("run", "--base-url", "http://x", "--env", "none"), "--env: invalid value 'none'"),
        (("run", "--base-url", "http://x", "--write-log", "."), "--write-log: cannot write ."),
        (("pytest", "--dry-run"), "No such option '--dry-run'"),
        (("run", "--dry-run", "--tag", "none"), "--tag: unknown name 'none'"),
        (("rnu",), "No such command 'rnu'. Did you mean 'run'? (expected run, pytest"),
        (
            ("run", "--bas-url", "http://x"),
            "No such option '--bas-url'. (Did you mean one of: '--base-url', '--baseline'?) (expected ",
        ),
        (
            ("run", "--base-url", "http://x", "--operation", "listMesages"),
            "--operation: unknown name 'listMesages', did you mean 'listMessages'? (expected ",
        ),
        (("run", "--dry-run", "--tag", "Mesage"), "--tag: unknown name 'Mesage', did you mean 'Message'? (expected "),
        (("cleanup",), "WRITE_LOG: missing argument (expected athena-conformance cleanup [OPTIONS] WRITE_LOG)"),
        (("cleanup", "none.jsonl"), "none.jsonl"),
        (("pytest", "--base-url", "http://x", "--report-dir", "x"), "No such option '--report-dir'"),
        (
            ("run", "--base-url", "http://x", "--report-dir", "pyproject.toml"),
            "--report-dir: cannot create pyproject.toml",
        ),
        (("run", "--base-url", "http://x.example", "--operation", "createMessage"), "--allow-writes-to x.example"),
    ],
)
def test_usage_error_is_one_line_and_exits_with_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    code = main(arguments, {"ATHENA_TOKEN": "a-token"}, [])
    output = "".join(capsys.readouterr())
    assert (code, len(output.splitlines())) == (ExitCode.USAGE, 1), output
    assert message in output
    assert "expected" in output or "allowed" in output


def test_rejected_token_of_the_other_tenant_exits_with_5() -> None:
    def reject_other_token(handler: BaseHTTPRequestHandler) -> None:
        is_valid = handler.headers.get("Authorization") == "Bearer a-token"
        refusal = respond_with(401, "application/json", b'{"message": "Unauthenticated."}')
        (GOOD if is_valid else refusal)(handler)

    with run_http_target(reject_other_token) as base:
        code, output = run_command("run", "--base-url", base, "--operation", "listMessages", other="wrong")
    assert code == ExitCode.INCOMPLETE
    assert "the target rejects the token in $ATHENA_OTHER_TOKEN" in output


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        ((), {"ATHENA_LOGIN": "me@example.com"}, "$ATHENA_PASSWORD: no password"),
        ((), {"ATHENA_PASSWORD": "Canary-4711"}, "$ATHENA_LOGIN: no login"),
        (("--login-env", "NONE"), {}, "$NONE: no login"),
        (("--password-env", "NONE"), {"ATHENA_LOGIN": "me@example.com"}, "$NONE: no password"),
    ],
)
def test_login_without_password_exits_with_2(
    arguments: tuple[str, ...], env: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", "--base-url", "http://x", *arguments], {"ATHENA_TOKEN": "a-token", **env}, [])
    output = "".join(capsys.readouterr())
    assert code == ExitCode.USAGE
    assert f"{message} in the environment (expected login and password, both" in output
    assert "Canary" not in output


def test_same_token_for_both_tenants_exits_with_2() -> None:
    code, output = run_command("run", "--base-url", "http://127.0.0.1:1", other="a-token")
    assert code == ExitCode.USAGE
    assert "$ATHENA_OTHER_TOKEN: same token as $ATHENA_TOKEN" in output


def test_token_is_required_even_if_some_operations_are_public() -> None:
    code, output = run_command("run", "--base-url", "http://127.0.0.1:1", token="")
    assert code == ExitCode.USAGE
    assert "$ATHENA_TOKEN: no token" in output


def test_missing_token_exits_with_2() -> None:
    code, output = run_command("run", "--base-url", "http://127.0.0.1:1", "--operation", "listMessages", token="")
    assert code == ExitCode.USAGE
    assert "$ATHENA_TOKEN: no token" in output


def test_login_fills_the_sign_in_request_and_the_password_is_redacted() -> None:
    env = {"ATHENA_TOKEN": "a", "ATHENA_LOGIN": "me@example.com", "ATHENA_PASSWORD": "Canary 4711 ü"}
    settings = parse_settings(["run", "--base-url", "http://127.0.0.1:1"], env)
    session, target = open_session(settings, athena_contract(), "run")
    target.close()
    assert session.options.credentials == {"email": "me@example.com", "password": "Canary 4711 ü"}
    assert "Canary" not in build_redactor(settings, athena_contract()).redact_line("its password is Canary 4711 ü")
    assert "Canary" not in repr(settings) + repr(session)


def test_password_in_the_contract_is_not_redacted() -> None:
    env = {"ATHENA_TOKEN": "a-token", "ATHENA_LOGIN": "me@example.com", "ATHENA_PASSWORD": "password"}
    settings = parse_settings(["run", "--base-url", "http://x"], env)
    assert build_redactor(settings, athena_contract()).redact_line("#/properties/password") == "#/properties/password"


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("run", "0  passed: no blocking check failed"),
        ("cleanup", "5  records are left"),
        ("replay", "1  reproduced"),
        ("confirm", "0  the contract was edited"),
    ],
)
def test_help_lists_the_exit_codes_of_the_command(command: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"], {})
    output = capsys.readouterr().out
    assert line in output
    assert output.count("\n  0  ") == 1


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_has_one_example_with_valid_options(command: SuiteCommand, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command.name or "", "--help"], {})
    examples = re.findall(r"^  athena-conformance (.+)$", capsys.readouterr().out, re.MULTILINE)
    assert len(examples) == 1
    assert parse_settings(shlex.split(examples[0]), {}).command == command.name


def test_help_imports_neither_schemathesis_nor_httpx() -> None:
    code = "import sys; from conformance.cli.commands import GROUP; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not {"schemathesis", "httpx", "rich", "conformance.checks"} & set(done.stdout.split())


def test_version_option_prints_the_versions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"], {})
    assert capsys.readouterr().out == f"{format_version('athena-conformance')}\n"


@pytest.mark.parametrize("name", EXTRA_MODULES)
def test_missing_package_of_the_extra_is_a_usage_error(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    assert main(["run", "--base-url", "http://127.0.0.1:9"], {}) == ExitCode.USAGE
    error = capsys.readouterr().err
    install = "pip install 'athena-contract[conformance]'; in a checkout: make install"
    assert error.endswith(f"not installed: {name} (expected the extra 'conformance': {install})\n")
    assert error.count("\n") == 1


def test_modules_of_the_extra_are_those_of_its_requirements() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = [re.split(r"[^\w-]", requirement)[0].replace("-", "_") for requirement in extras["conformance"]]
    assert names == list(EXTRA_MODULES)


@pytest.mark.parametrize(
    ("words", "completion"),
    [("athena-conformance cle", "plain,cleanup"), ("athena-conformance run --profile s", "plain,smoke")],
)
def test_shell_completion_completes_commands_and_choices(words: str, completion: str) -> None:
    env = os.environ | {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    env |= {"_ATHENA_CONFORMANCE_COMPLETE": "bash_complete", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "conformance"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=True)
    assert done.stdout.splitlines() == [completion]
