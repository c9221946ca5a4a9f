"""The `pytest` command: checks as items that the options of pytest select, stop and report."""

from pathlib import Path
from xml.etree import ElementTree as etree

import pytest

from conformance.gate.verdict import ExitCode
from tests.conformance.support.http_target import GOOD, respond_with, run_http_target, run_process

BAD = respond_with(500, "application/json", b'{"message": "\\u001b[31mno"}')


@pytest.mark.slow
def test_passed_items_exit_with_0(tmp_path: Path) -> None:
    with run_http_target(GOOD) as base:
        code, output = run_process("pytest", "--base-url", base, "--", "-v", f"--junitxml={tmp_path / 'items.xml'}")
    assert code == ExitCode.PASSED, output
    assert "lists-succeed[listMessages] PASSED" in output
    names = [case.get("name") for case in etree.parse(tmp_path / "items.xml").iter("testcase")]
    assert "lists-succeed[listAgents]" in names


@pytest.mark.slow
def test_keyword_expression_selects_items() -> None:
    with run_http_target(GOOD) as base:
        code, output = run_process("pytest", "--base-url", base, "--", "-k", "listMessages or listAgents", "-q")
        assert code == ExitCode.PASSED, output
        assert "2 passed" in output
        code, output = run_process("pytest", "--base-url", base, "--", "-k", "none")
    assert code == ExitCode.NO_CHECKS_RAN, output


def test_blocking_failure_is_a_failed_item_without_traceback() -> None:
    with run_http_target(BAD) as base:
        code, output = run_process(
            "pytest", "--base-url", base, "--strict", "--", "-x", "-k", "listMessages or listAgents"
        )
    assert code == ExitCode.FAILED, output
    assert "1 failed" in output
    assert "message: got 500" in output
    assert "requirement: A list succeeds." in output
    assert 'curl -i -X GET -H "Authorization: Bearer $ATHENA_TOKEN"' in output
    assert "pytest_plugin.py" not in output


@pytest.mark.slow
def test_contract_gap_is_a_skipped_item() -> None:
    with run_http_target(BAD) as base:
        code, output = run_process("pytest", "--base-url", base, "--operation", "listWorkspaces", "--", "-rs")
    assert code == ExitCode.INCOMPLETE, output  # as `run`: no call of the operation succeeded
    assert "1 operation never succeeded" in output
    assert "contract gap" in output


@pytest.mark.slow
def test_unreachable_target_exits_with_3() -> None:
    code, output = run_process("pytest", "--base-url", "http://127.0.0.1:1/api/v1", "--", "-q")
    assert code == ExitCode.TARGET_UNREACHABLE, output
    assert "Connection refused" in output


@pytest.mark.slow
def test_rejected_token_exits_with_5() -> None:
    with run_http_target(respond_with(401, "application/json", b'{"message": "Unauthenticated."}')) as base:
        code, output = run_process("pytest", "--base-url", base, token="wrong-token")
    assert code == ExitCode.INCOMPLETE, output
    assert "set a valid token" in output


@pytest.mark.slow
@pytest.mark.parametrize("requests", [1, 3])  # before and during the test of the second token
def test_budget_exhausted_before_the_first_item_exits_with_5(requests: int) -> None:
    with run_http_target(GOOD) as base:
        code, output = run_process("pytest", "--base-url", base, "--max-requests", str(requests), other="b-token")
    assert code == ExitCode.INCOMPLETE, output
    noun = "request" if requests == 1 else "requests"
    assert f"the limit of {requests} {noun} is reached (--max-requests)" in output
    assert "internal error" not in output


@pytest.mark.slow
def test_invalid_pytest_option_exits_with_2() -> None:
    with run_http_target(GOOD) as base:
        code, output = run_process("pytest", "--base-url", base, "--", "--none")
    assert code == ExitCode.USAGE, output
    assert "--none" in output


@pytest.mark.slow
def test_aborted_run_skips_the_remaining_items() -> None:
    with run_http_target(GOOD) as base:
        code, output = run_process("pytest", "--base-url", base, "--max-requests", "5", "--", "-rs")
    assert code == ExitCode.INCOMPLETE, output
    assert "not reached: the limit of 5 requests is reached (--max-requests)" in output
