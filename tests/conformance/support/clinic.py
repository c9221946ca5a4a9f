"""Runs checks against the clinic, a second contract that every check applies to, in process."""

from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import format_datetime
from functools import cache

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conformance.checks.support.check import Check
from conformance.mutation import Mutant, derive_mutants
from conformance.mutation.fault_injection import FaultInjector
from conformance.mutation.faults import MakeFault
from conformance.mutation.in_process_mock import (
    TOKENS,
    InProcessMock,
    build_demo_image,
    create_session,
)
from conformance.runner.runner import RunResult, run
from tests.conformance.support.clinic_faults import CLINIC, AppWrapper

SEED = 1


@dataclass(frozen=True, slots=True)
class DateHeader:
    """Wrap an application: responses have a Date header, as those of every server."""

    app: ASGIApp
    mock: InProcessMock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add_date(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["date"] = format_datetime(self.mock.clock(), usegmt=True)
            await send(message)

        await self.app(scope, receive, add_date)


@cache
def demo_clinic() -> InProcessMock:
    """The clinic with the demo dataset; every run resets it."""
    return InProcessMock.from_image(CLINIC, build_demo_image(CLINIC))


@cache
def mutants_by_id() -> dict[str, Mutant]:
    """The mutants of the clinic by id."""
    return {mutant.id: mutant for mutant in derive_mutants(CLINIC, TOKENS["self"])}


def mutant(name: str) -> AppWrapper:
    """Build a wrapper that injects a mutant."""
    selected = mutants_by_id()[name]
    return inject_fault(selected.make_fault, *selected.fault_operations)


def inject_fault(make_fault: MakeFault, *operations: str) -> AppWrapper:
    """Build a wrapper that injects a fault into some operations, or into all."""
    return lambda app: FaultInjector.create(app, CLINIC, make_fault(), operations)


def run_checks(
    checks: Iterable[Check], operations: Iterable[str] | None = None, fault: AppWrapper | None = None
) -> RunResult:
    """Run checks on some or all operations of the clinic, with an optional fault."""
    clinic_mock = demo_clinic()
    clinic_mock.reset()
    app: ASGIApp = DateHeader(clinic_mock.app, clinic_mock)
    clinic_session = create_session(clinic_mock, fault(app) if fault else app, SEED)
    selected = [CLINIC.operations[name] for name in operations or CLINIC.operations]
    return run(clinic_session, checks, selected, lambda result: None)
