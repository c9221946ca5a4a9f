"""Runs checks on operations of the mock, with or without an injected fault."""

from collections.abc import Callable
from functools import cache
from typing import Any

from starlette.types import ASGIApp

from conformance.checks.access import auth, leaks, sessions, sharing
from conformance.checks.actions import actions, metrics
from conformance.checks.lists import query_parameters
from conformance.checks.registry import CHECKS, find_checks
from conformance.checks.support.check import Check
from conformance.checks.validation import accepted_input, http_errors, rejected_input
from conformance.checks.writes import single_create, timestamps, update
from conformance.model import checks as model
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult, run
from conformance.session.session import Session
from tests.conformance.asgi_session import session
from tests.conformance.fault_injection import FaultMiddleware
from tests.mock_server.athena import PASSWORD, Api, athena_contract, athena_schemas

ACCESS_AND_ACTION_CHECKS = find_checks(sessions, accepted_input, actions, sharing, metrics)
REJECTION_CHECKS = find_checks(rejected_input, auth, http_errors)
WRITE_CHECKS = find_checks(single_create, update, timestamps)
LIST_WRITE_CHECKS = [query_parameters.check_any_search_text, *find_checks(leaks)]
MODEL_CHECKS = find_checks(model)
CHECKS_BY_ID = {check.id: check for check in CHECKS}
CREDENTIALS = {"email": "john.doe@example.com", "password": PASSWORD}


@cache
def demo_mock() -> Api:
    """The Athena mock with the demo dataset; every run resets it."""
    return Api.create(athena_contract(), athena_schemas(), "demo")


def run_checks(checks: list[Check], operation: str | None = None, fault: Callable[..., Any] | None = None) -> RunResult:
    """Run checks on one or all operations of a mock, with an optional fault."""
    return run_checks_with_session(checks, operation, fault)[0]


def run_checks_with_session(
    checks: list[Check],
    operation: str | None = None,
    fault: Callable[..., Any] | None = None,
    *,
    tokens: dict[str, str] | None = None,
    effects: bool = True,
) -> tuple[RunResult, Session]:
    """Run checks and return the session too. `sleep` advances the clock of the mock."""
    api = demo_mock()
    api.reset()
    app: ASGIApp = FaultMiddleware(api.app, fault) if fault else api.app
    operations = [o for o in api.contract.operations.values() if operation in (None, o.id)]
    check_session = session(app, api.contract, schemas=api.schemas, tokens=tokens)
    check_session.update_options(allow_effects=effects, credentials=CREDENTIALS)
    check_session.client.sleep = lambda seconds: api.clock.advance(seconds=seconds)
    return run(check_session, checks, operations, lambda outcome: None), check_session


def find_failures(check: str, operation: str, fault: Callable[..., Any]) -> list[CheckResult]:
    """Return the failures of a check on an operation with a fault."""
    return list(run_checks([CHECKS_BY_ID[check]], operation, fault).with_status(Status.FAILED))


def find_unexpected_failures(check: str, operation: str, fault: Callable[..., Any], about: str) -> list[str]:
    """Return how the failures differ from the expected one: by this check, of this operation and parameter `about`."""
    failures = find_failures(check, operation, fault)
    locations = {(o.requirement.check, o.requirement.operation) for o in failures}
    parameters = {o.requirement.parameter for o in failures}
    return [
        *(f"unexpected failure of {other}" for other in locations - {(check, operation)}),
        *([] if about in parameters else [f"failures of {sorted(parameters)}, expected {about!r}"]),
        *(f"{o.requirement.fingerprint}: no message or evidence" for o in failures if not (o.message and o.evidence)),
    ]
