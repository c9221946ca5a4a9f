"""`replay`: a failure of a report is reproduced with the fault and not without it; also as a shell script."""

import json
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.cli.main import main
from conformance.gate.verdict import ExitCode
from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import (
    MakeFault,
    accept,
    build_response,
    change_request,
    change_value,
    ignore_parameters,
    on_status,
    respond_if,
    set_status,
)
from conformance.past_runs.replay import RESPONSE_CHECKS
from tests.conformance.support.check_runner import demo_mock, inject_fault
from tests.conformance.support.http_server import run_http_server
from tests.mock_server.athena import athena_contract

pytestmark = pytest.mark.slow  # each case is a run against a served mock, or of Schemathesis

SCRIPT_OPTION = "--format=sh"
TOKENS = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}


@dataclass(frozen=True, slots=True)
class ReplayedFault:
    """A fault in an operation, and the check that fails. `is_status`: statuses alone show the fault."""

    operation: str
    check_id: str
    make_fault: MakeFault
    is_status: bool = False


def lose_update() -> Fault:
    """Return the correct response to an update, but do not store the name."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if "name" not in request.json_object or not request.has_documented_method:
            return await call_next(request)
        before = await call_next(request.follow_up(athena_contract().operations["retrieveAgent"], request.key))
        response = await call_next(request)
        if before.status == response.status == 200:
            await call_next(request.with_json({"name": before.json["data"]["name"]}))
        return response

    return fault


def is_high_page(request: InterceptedRequest) -> bool:
    return any(int(value or 0) > 30 for value in request.parameter_values("page"))


FAULTS = {
    "violates the schema": ReplayedFault(
        "retrieveAgent", "response-matches-schema", change_value(lambda name: 7, ("data", "name"))
    ),
    "returns 202": ReplayedFault(
        "createAgent", "status-is-documented", on_status(201, set_status(202)), is_status=True
    ),
    "loses an update": ReplayedFault("updateAgent", "model-update", lose_update),
    "repeats the first page": ReplayedFault("listAgents", "model-list", ignore_parameters("page")),
    "ignores the token": ReplayedFault(
        "listAgents",
        "unauthenticated-access-denied",
        change_request(lambda request: request.with_token("demo-token")),
        is_status=True,
    ),
    "fails on a high page": ReplayedFault(
        "listAgents",
        "no-server-error",
        respond_if(is_high_page, build_response(500, {"message": "Server Error"})),
        is_status=True,
    ),
}
# Faults that Schemathesis finds.
ignore_invalid_query = accept(lambda q, r: replace(q, query=()) if r.status == 422 else None)
reject_tags = respond_if(
    lambda q: bool(q.json_object.get("tags")), build_response(422, {"message": "No.", "errors": {"tags": ["No tags."]}})
)


def select_checks(check_id: str) -> list[Check]:
    """Return the check, and before a response check those that send many requests."""
    senders = ("model-list", "model-create") if check_id in RESPONSE_CHECKS else ()
    return [check for check in CHECKS if check.id in (*senders, check_id)]


def run_suite(folder: Path, fault: ReplayedFault) -> tuple[Path, list[dict[str, Any]]]:
    """Run the suite against the fault; return the report and the failures of its check."""
    with run_http_server(inject_fault(fault.make_fault, fault.operation)) as base:
        options = ["--base-url", base, "--operation", fault.operation, "--report-dir", str(folder)]
        main(["run", *options], TOKENS, select_checks(fault.check_id))
    return folder / "conformance.json", find_failures(folder, fault.check_id)


def find_failures(folder: Path, check_id: str) -> list[dict[str, Any]]:
    """Return the failures of a check in a report."""
    results = json.loads((folder / "conformance.json").read_text())["results"]
    return [result for result in results if (result["check"], result["status"]) == (check_id, "failed")]


def run_replay(report: Path, failure: dict[str, Any], make_fault: MakeFault | None) -> int:
    """Return the exit code of `replay` against a fresh server, with the fault in its operation or without."""
    with run_http_server(inject_fault(make_fault, failure["operation"])) as base:
        return main(["replay", str(report), failure["id"], "--base-url", base], TOKENS)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_failure_is_reproduced_only_with_the_fault(
    fault: ReplayedFault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, failures = run_suite(tmp_path, fault)
    assert failures, capsys.readouterr().out
    demo_mock().reset()
    before = count_agents()
    assert run_replay(report, failures[0], fault.make_fault) == ExitCode.FAILED
    assert "\nREPRODUCED (exit 1)" in capsys.readouterr().out
    assert count_agents() == before, "the replay deletes the records it creates"
    assert run_replay(report, failures[0], None) == ExitCode.PASSED
    assert "\nNOT REPRODUCED (exit 0)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make_fault", "operation", "check_id"),
    [
        (ignore_invalid_query, "listAgents", "engine-negative-data-rejection"),
        (reject_tags, "createPrompt", "engine-positive-data-acceptance"),
    ],
)
def test_schemathesis_failure_is_reproduced_only_with_the_fault(
    make_fault: MakeFault, operation: str, check_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with run_http_server(inject_fault(make_fault, operation)) as base:
        main(["run", "--base-url", base, "--operation", operation, "--report-dir", str(tmp_path)], TOKENS)
    failures = find_failures(tmp_path, check_id)
    assert failures, capsys.readouterr().out
    report = tmp_path / "conformance.json"
    assert run_replay(report, failures[0], make_fault) == ExitCode.FAILED, capsys.readouterr().out
    assert run_replay(report, failures[0], None) == ExitCode.PASSED, capsys.readouterr().out


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_script_sends_the_same_requests_to_a_fresh_server(
    fault: ReplayedFault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, failures = run_suite(tmp_path, fault)
    capsys.readouterr()
    assert main(["replay", str(report), failures[0]["id"], SCRIPT_OPTION], TOKENS) == 0
    script = capsys.readouterr().out
    assert not any(token in script for token in TOKENS.values())
    app = inject_fault(fault.make_fault, fault.operation)
    before = count_agents()
    code, output = run_script(script, app)
    assert code == 0, output
    steps = failures[0]["sequence"]["steps"]
    assert sum(" in the run" in line for line in output) == len(steps)
    evidence = [step["evidence"] for step in steps]
    printed = script.count('cat "$response"; echo')
    assert printed == sum(evidence) + (not evidence[-1]), "it prints every response that shows the failure"
    assert count_agents() == before, "the script deletes the records it creates"
    code, output = run_script(script, inject_fault(None))
    assert code == (1 if fault.is_status else 0), output


def count_agents() -> int:
    """Return the number of agents of the mock."""
    return int(demo_mock().call_json("listAgents")["meta"]["total"])


def run_script(script: str, app: ASGIApp) -> tuple[int, list[str]]:
    """Return the exit code and output lines of a script against a server."""
    with run_http_server(app) as base:
        env = {**os.environ, **TOKENS, "BASE_URL": f"{base}/api/v1"}
        process = subprocess.run(["sh"], input=script, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert not process.stderr
    return process.returncode, process.stdout.splitlines()


# Invalid input --------------------------------------------------------------------------------------------------


def usage_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one-line message of an invalid command line."""
    assert main(["replay", *arguments], TOKENS) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    return err.removeprefix("athena-conformance: ").rstrip()


def result(result_id: str, **values: Any) -> dict[str, Any]:
    """Return a failed result of a report."""
    texts = dict.fromkeys(("parameter", "requirement", "message", "provenance"), "x")
    names = {"id": result_id, "fingerprint": f"f {result_id}", "check": "c", "operation": "listAgents"}
    location = {"file": "f", "line": 1, "pointer": "#"}
    return {**names, **texts, "status": "failed", "location": location, "sequence": None, **values}


def write_report(folder: Path, *results: Any, **values: Any) -> str:
    """Write a report; return its path."""
    run = {"target": "http://127.0.0.1:9/api/v1", "seed": 1, "id": "r", "started": "s", "digest": "d"}
    document = {"version": 2, "run": run, "results": results, "responses": {}, **values}
    (folder / "r.json").write_text(json.dumps(document))
    return str(folder / "r.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "invalid JSON"),
        (b'{"version": 2, "run": {', "invalid JSON"),
        (b"\xff\xfe", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b"[]", "invalid report version None (expected the conformance.json of an earlier run, version 2)"),
        (b'{"version": 7}', "invalid report version 7 (expected"),
        (b'{"version": 1}', "version 2); rerun the suite to create a new report"),
        (b'{"version": 2}', "invalid report: KeyError('run') (expected"),
        (b'{"version": 2, "run": [], "results": []}', "(expected the conformance.json of an earlier run)"),
        (
            b'{"version": 2, "run": {"target": "t", "seed": "x"}, "results": [1]}',
            "(expected the conformance.json of an earlier run)",
        ),
    ],
)
def test_invalid_report_is_a_usage_error(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_bytes(content)
    assert message in usage_error(capsys, str(tmp_path / "r.json"), "0badcafe")


def test_missing_report_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot read the file: No such file" in usage_error(capsys, str(tmp_path / "r.json"), "0badcafe")


def test_unknown_id_lists_the_ids_of_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_report(tmp_path, result("aaaa1111"), result("aaaa2222"), result("bbbb1111", status="passed"))
    expected = "(expected one of aaaa1111 (listAgents c), aaaa2222 (listAgents c))"
    assert usage_error(capsys, file, "bbbb1111") == f"id: 'bbbb1111' matches 0 failures {expected}"
    assert usage_error(capsys, file, "aaaa") == f"id: 'aaaa' matches 2 failures {expected}"


def test_id_in_report_without_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_report(tmp_path, result("aaaa1111", status="passed"))
    assert "none: the report has no failures" in usage_error(capsys, file, "aaaa1111")


def test_unknown_operation_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_report(tmp_path, result("aaaa1111", operation="none"))
    assert "'none'" in usage_error(capsys, file, "aaaa1111")


def test_failure_without_requests_has_no_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_report(tmp_path, result("aaaa1111"))
    assert "the report has no requests" in usage_error(capsys, file, "aaaa1111", SCRIPT_OPTION)


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"steps": [], "identifiers": [], "marker": ""},
        {"steps": [{}], "identifiers": [], "marker": ""},
        {"steps": [{"operation": "none"}], "identifiers": [], "marker": ""},
        {"steps": [{"operation": "listAgents", "request": "{"}], "identifiers": [], "marker": ""},
    ],
)
def test_invalid_sequence_is_a_usage_error(data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_report(tmp_path, result("aaaa1111", sequence=data))
    assert usage_error(capsys, file, "aaaa1111", SCRIPT_OPTION).startswith("sequence of the report: invalid value")


def test_unreachable_target_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_report(tmp_path, result("aaaa1111", check="model-list"))
    assert main(["replay", file, "aaaa1111"], TOKENS) == ExitCode.TARGET_UNREACHABLE
    out = capsys.readouterr().out
    assert "(exit 3): " in out
    assert "http://127.0.0.1:9/api/v1" in out
