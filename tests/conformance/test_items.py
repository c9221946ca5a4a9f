"""The suite as pytest's items: chosen, stopped and written down by pytest's own options."""

from pathlib import Path
from xml.etree import ElementTree as etree

from conformance.gate.verdict import ExitCode
from tests.conformance.test_command import GOOD, answering, ran, serving

BAD = answering(500, "application/json", b'{"message": "\\u001b[31mno"}')


def test_items_that_are_kept_end_with_0(tmp_path: Path) -> None:
    with serving(GOOD) as base:
        code, said = ran("pytest", "--base-url", base, "--", "-v", f"--junitxml={tmp_path / 'items.xml'}")
    assert code == ExitCode.PASSED, said
    assert "answers[listMessages] PASSED" in said
    names = [case.get("name") for case in etree.parse(tmp_path / "items.xml").iter("testcase")]
    assert "answers[listAgents]" in names


def test_pytests_own_choice_is_obeyed() -> None:
    with serving(GOOD) as base:
        code, said = ran("pytest", "--base-url", base, "--", "-k", "listMessages or listAgents", "-q")
        assert code == ExitCode.PASSED, said
        assert "2 passed" in said
        code, said = ran("pytest", "--base-url", base, "--", "-k", "none")
    assert code == ExitCode.NO_CHECKS_RAN, said


def test_a_broken_promise_is_a_failing_item_without_a_traceback() -> None:
    with serving(BAD) as base:
        code, said = ran("pytest", "--base-url", base, "--strict", "--", "-x", "-k", "listMessages or listAgents")
    assert code == ExitCode.FAILED, said
    assert "1 failed" in said
    assert "found: found 500" in said
    assert "due:   It answers." in said
    assert 'curl -i -X GET -H "Authorization: Bearer $ATHENA_TOKEN"' in said
    assert "pytest_items.py" not in said


def test_what_is_only_inferred_is_a_gap_and_skipped() -> None:
    with serving(BAD) as base:
        code, said = ran("pytest", "--base-url", base, "--operation", "listWorkspaces", "--", "-rs")
    assert code == ExitCode.PASSED, said
    assert "contract gap" in said


def test_a_target_that_is_down_ends_with_3() -> None:
    code, said = ran("pytest", "--base-url", "http://127.0.0.1:1/api/v1", "--", "-q")
    assert code == ExitCode.TARGET_UNREACHABLE, said
    assert "Connection refused" in said


def test_a_wrong_token_ends_with_5() -> None:
    with serving(answering(401, "application/json", b'{"message": "Unauthenticated."}')) as base:
        code, said = ran("pytest", "--base-url", base, token="wrong-token")
    assert code == ExitCode.INCOMPLETE, said
    assert "put a valid token there" in said


def test_a_wrong_option_of_pytests_ends_with_2() -> None:
    with serving(GOOD) as base:
        code, said = ran("pytest", "--base-url", base, "--", "--none")
    assert code == ExitCode.USAGE, said
    assert "--none" in said


def test_a_run_that_is_cut_short_says_what_was_not_reached() -> None:
    with serving(GOOD) as base:
        code, said = ran("pytest", "--base-url", base, "--max-requests", "5", "--", "-rs")
    assert code == ExitCode.INCOMPLETE, said
    assert "not reached: the 5 requests of --max-requests are used up" in said
