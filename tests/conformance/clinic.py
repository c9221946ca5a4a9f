"""The clinic, a foreign contract on which every law has something to judge: served in process, and judged."""

from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import format_datetime
from functools import cache

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conformance.checks.support.check import Check
from conformance.mutation import Mutant, derive_mutants
from conformance.mutation.fault_injection import FaultInjector, OperationRouter
from conformance.mutation.in_process_mock import (
    TOKENS,
    InProcessMock,
    InProcessTarget,
    build_demo_image,
    create_session,
)
from conformance.runner.runner import RunResult, run
from tests.conformance.clinic_faults import CLINIC, Dress, Plant

SEED = 1


@dataclass(frozen=True, slots=True)
class Row:
    """A fault, and the law and operation that have to tell of it.

    `beside`: the law whose requests show it, where the law itself asks for successes only.
    """

    law: str
    operation: str
    fault: Dress
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dated:
    """An application whose answers say when they were given, as those of every server do."""

    app: ASGIApp
    mock: InProcessMock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["date"] = format_datetime(self.mock.clock(), usegmt=True)
            await send(message)

        await self.app(scope, receive, dated)


@cache
def mock() -> InProcessMock:
    """The clinic with a dozen of everything; every judging begins it anew."""
    return InProcessMock.from_image(CLINIC, build_demo_image(CLINIC))


@cache
def pool() -> dict[str, Mutant]:
    """Its mutants by their names."""
    return {mutant.id: mutant for mutant in derive_mutants(CLINIC, TOKENS["self"])}


def mutant(name: str) -> Dress:
    """The application with a mutant of the pool planted in it."""

    def dress(app: ASGIApp) -> ASGIApp:
        found = pool()[name]
        return FaultInjector(app, OperationRouter.from_contract(CLINIC), found.fault_operations, found.make_fault())

    return dress


def planted(plant: Plant, *stands_in: str) -> Dress:
    """The application with a fault in some of its operations."""

    def dress(app: ASGIApp) -> ASGIApp:
        return FaultInjector(app, OperationRouter.from_contract(CLINIC), frozenset(stands_in), plant())

    return dress


def judged(laws: Iterable[Check], operations: Iterable[str] | None = None, fault: Dress | None = None) -> RunResult:
    """What becomes of laws on some operations, or on all, of a sound server or of one with a fault."""
    served = mock()
    served.reset()
    app: ASGIApp = Dated(served.app, served)
    made = create_session(served, fault(app) if fault else app, SEED)
    asked = CLINIC.operations
    try:
        return run(made, laws, [asked[name] for name in operations or asked], lambda outcome: None)
    finally:
        if isinstance(made.target, InProcessTarget):
            made.target.close()
