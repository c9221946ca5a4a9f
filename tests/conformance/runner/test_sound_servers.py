"""All checks on small sound servers that show what once raised false alarms."""

import pytest

from conformance.checks.registry import CHECKS
from conformance.results import Status
from conformance.runner.runner import RunResult, run
from tests.conformance.support.asgi_session import session
from tests.conformance.support.notes_server import CONTRACT, NotesServer, load_contract


def run_checks(server: NotesServer, seed: int = 1) -> RunResult:
    contract_session = session(server, server.contract, seed)
    return run(contract_session, CHECKS, list(server.contract.operations.values()), lambda result: None)


def failures(run_result: RunResult) -> list[str]:
    results = (*run_result.with_status(Status.FAILED), *run_result.flaky)
    return [f"{result.requirement.check} {result.requirement.operation}: {result.message}" for result in results]


REQUIRED = "required: [title, folder]  # of an update"


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "update_schema",
    [REQUIRED, "minProperties: 1", "minProperties: 2", "anyOf: [{required: [title]}, {required: [text, folder]}]"],
)
def test_update_that_requires_properties_raises_no_alarm(update_schema: str, seed: int) -> None:
    """`{}` is no valid update: it is rejected before the record is looked up."""
    server = NotesServer(load_contract(CONTRACT.replace(REQUIRED, update_schema)))
    run_result = run_checks(server, seed)
    assert not failures(run_result)
    assert {200, 401, 404, 422} <= {status for method, _, status in server.request_log if method == "PUT"}
    assert b"{}" not in server.update_bodies
    passed = {(r.requirement.check, r.requirement.operation) for r in run_result.with_status(Status.PASSED)}
    assert ("model-update", "updateNote") in passed
