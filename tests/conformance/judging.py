"""A law judged on an operation of the mock, sound or with a fault planted in it."""

from collections.abc import Callable
from functools import cache
from typing import Any

from starlette.types import ASGIApp

from conformance.laws import answers, refusals, writes
from conformance.laws.law import Law
from conformance.outcome import Outcome, Verdict
from conformance.run import Run, run
from tests.conformance.served import session
from tests.conformance.writing_faults import Faulty
from tests.mock_server.athena import Api, athena_contract, athena_schemas

LAWS = {law.id: law for law in (*refusals.LAWS, *writes.LAWS, *answers.LAWS)}


@cache
def mock() -> Api:
    """Athena with its demo; every judging begins it anew."""
    return Api.of(athena_contract(), athena_schemas(), "demo")


def judge(laws: list[Law], operation: str | None = None, fault: Callable[..., Any] | None = None) -> Run:
    """What becomes of laws on one operation, or on all, of a mock that has a fault, or none."""
    api = mock()
    api.begin_anew()
    app: ASGIApp = Faulty(api.app, fault) if fault else api.app
    asked = [o for o in api.contract.operations.values() if operation in (None, o.id)]
    return run(session(app, api.contract, schemas=api.schemas), laws, asked, lambda outcome: None)


def broken(law: str, operation: str, fault: Callable[..., Any]) -> list[Outcome]:
    """What a law calls broken of an operation with a fault."""
    return list(judge([LAWS[law]], operation, fault).of(Verdict.BROKEN))
