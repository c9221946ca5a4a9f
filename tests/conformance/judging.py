"""A law judged on an operation of the mock, sound or with a fault planted in it."""

from collections.abc import Callable
from functools import cache
from typing import Any

from starlette.types import ASGIApp

from conformance.checks.access import leaks, sessions
from conformance.checks.actions import actions, relations
from conformance.checks.lists import search, sorting
from conformance.checks.support.check import Check
from conformance.checks.validation import accepted_input, rejected_input, responses
from conformance.checks.writes import crud
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult, run
from conformance.session.session import Session
from tests.conformance.served import session
from tests.conformance.writing_faults import Faulty
from tests.mock_server.athena import PASSWORD, Api, athena_contract, athena_schemas

MEANING = (*sessions.CHECKS, *accepted_input.CHECKS, *relations.CHECKS, *actions.CHECKS)
LISTED = (*sorting.UPDATE_CHECKS, *search.SPECIAL_TEXT_CHECKS, *leaks.CHECKS)
LAWS = {law.id: law for law in (*rejected_input.CHECKS, *crud.CHECKS, *MEANING, *LISTED, *responses.CHECKS)}
CREDENTIALS = {"email": "john.doe@example.com", "password": PASSWORD}


@cache
def mock() -> Api:
    """Athena with its demo; every judging begins it anew."""
    return Api.of(athena_contract(), athena_schemas(), "demo")


def judge(laws: list[Check], operation: str | None = None, fault: Callable[..., Any] | None = None) -> RunResult:
    """What becomes of laws on one operation, or on all, of a mock that has a fault, or none."""
    return judged(laws, operation, fault)[0]


def judged(
    laws: list[Check],
    operation: str | None = None,
    fault: Callable[..., Any] | None = None,
    *,
    tokens: dict[str, str] | None = None,
    effects: bool = True,
) -> tuple[RunResult, Session]:
    """The same, and the session. Waiting moves the mock's clock."""
    api = mock()
    api.begin_anew()
    app: ASGIApp = Faulty(api.app, fault) if fault else api.app
    asked = [o for o in api.contract.operations.values() if operation in (None, o.id)]
    made = session(app, api.contract, schemas=api.schemas, tokens=tokens)
    made.allow_effects, made.credentials = effects, CREDENTIALS
    made.sleep = lambda seconds: api.watch.wait(seconds=seconds)
    return run(made, laws, asked, lambda outcome: None), made


def broken(law: str, operation: str, fault: Callable[..., Any]) -> list[CheckResult]:
    """What a law calls broken of an operation with a fault."""
    return list(judge([LAWS[law]], operation, fault).with_status(Status.FAILED))


def amiss(law: str, operation: str, fault: Callable[..., Any], about: str) -> list[str]:
    """What is missing or too much where a law is due to find a fault of one operation, and to say of it `about`."""
    found = broken(law, operation, fault)
    told = {(o.requirement.check, o.requirement.operation) for o in found}
    parameters = {o.requirement.parameter for o in found}
    return [
        *(f"told of {other}" for other in told - {(law, operation)}),
        *([] if about in parameters else [f"told of {sorted(parameters)}, due: {about!r}"]),
        *(f"{o.requirement.fingerprint}: nothing said or shown" for o in found if not (o.message and o.evidence)),
    ]
