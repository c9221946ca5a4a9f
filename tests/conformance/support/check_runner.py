"""Runs checks on operations of the mock, with or without an injected fault."""

from collections.abc import Iterable
from functools import cache

from starlette.types import ASGIApp

from conformance.checks.access import auth, sessions, sharing
from conformance.checks.actions import actions, metrics
from conformance.checks.registry import CHECKS, find_checks
from conformance.checks.support.check import Check
from conformance.checks.validation import accepted_input, http_errors, rejected_input
from conformance.checks.writes import single_create, timestamps, update
from conformance.mutation.fault_injection import FaultInjector
from conformance.mutation.faults import MakeFault
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult, run
from conformance.session.session import Session
from tests.conformance.support.asgi_session import session
from tests.mock_server.athena import PASSWORD, Api, athena_contract, athena_schemas

ACCESS_AND_ACTION_CHECKS = find_checks(sessions, accepted_input, actions, sharing, metrics)
REJECTION_CHECKS = find_checks(rejected_input, auth, http_errors)
WRITE_CHECKS = find_checks(single_create, timestamps, update)
CHECKS_BY_ID = {check.id: check for check in CHECKS}
CREDENTIALS = {"email": "john.doe@example.com", "password": PASSWORD}


@cache
def demo_mock() -> Api:
    """The Athena mock with the demo dataset; every run resets it."""
    return Api.create(athena_contract(), athena_schemas(), "demo")


def inject_fault(make_fault: MakeFault | None, *operations: str) -> ASGIApp:
    """Reset the Athena mock; return its application with a fault in some operations, or in all."""
    api = demo_mock()
    api.reset()
    return FaultInjector.create(api.app, api.contract, make_fault(), operations) if make_fault else api.app


def run_checks(checks: list[Check], operation: str | None = None, make_fault: MakeFault | None = None) -> RunResult:
    """Run checks on one or all operations of a mock, with an optional fault."""
    return run_checks_with_session(checks, operation, make_fault)[0]


def run_checks_with_session(
    checks: list[Check],
    operation: str | None = None,
    make_fault: MakeFault | None = None,
    *,
    fault_operations: Iterable[str] = (),
    tokens: dict[str, str] | None = None,
    effects: bool = True,
    effect_calls: int = 1,
) -> tuple[RunResult, Session]:
    """Run checks and return the session too. `sleep` advances the clock of the mock."""
    api, app = demo_mock(), inject_fault(make_fault, *fault_operations)
    operations = [o for o in api.contract.operations.values() if operation in (None, o.id)]
    check_session = session(app, api.contract, schemas=api.schemas, tokens=tokens)
    check_session.update_options(allow_effects=effects, max_effect_calls=effect_calls, credentials=CREDENTIALS)
    check_session.client.sleep = lambda seconds: api.clock.advance(seconds=seconds)
    return run(check_session, checks, operations, lambda outcome: None), check_session


def find_failures(check: str, operation: str, make_fault: MakeFault) -> list[CheckResult]:
    """Return the failures of a check on an operation with a fault in it."""
    checks = [CHECKS_BY_ID[check]]
    run_result, _ = run_checks_with_session(checks, operation, make_fault, fault_operations=[operation])
    return list(run_result.with_status(Status.FAILED))
