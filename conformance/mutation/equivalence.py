"""Equivalence test of mutants: send the same requests to mock and mutant and compare the responses."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from conformance.errors import SkipCheck
from conformance.mutation.fault_injection import FaultInjector
from conformance.mutation.in_process_mock import EPOCH, InProcessMock, InProcessTarget, create_session
from conformance.mutation.mutant import Mutant, Witness
from conformance.responses.findings import inspect_response
from conformance.transport.messages import Exchange, Request, Response

SEED = 0xA7
COMPARED_HEADERS = ("content-type", "allow", "www-authenticate", "location", "retry-after")


@dataclass(slots=True)
class ExchangeRecorder:
    """Records the exchanges with the mock in order."""

    exchanges: list[Exchange] = field(default_factory=list)

    def __call__(self, request: Request, response: Response) -> None:
        self.exchanges.append(Exchange(request, response))


def create_mutant_app(mutant: Mutant, mock: InProcessMock) -> ASGIApp:
    """Wrap the mock's application with a new fault of the mutant."""
    return FaultInjector.create(mock.app, mock.contract, mutant.make_fault(), mutant.fault_operations)


def find_witness(mutant: Mutant, mock: InProcessMock) -> Witness | None:
    """Find the first response that differs from the mock's; None when the mutant is equivalent.

    The mock is deterministic: equal requests in equal order get equal responses.
    """
    mock.reset()
    recorder = ExchangeRecorder()
    suite_session = create_session(mock, mock.app, SEED, on_exchange=recorder)
    mock.clock.current_time = EPOCH  # the look-ups for the session advanced the clock
    try:
        mutant.trigger(suite_session, mock.contract.operations[mutant.operation])
    except SkipCheck:
        pass  # the requests sent so far may suffice
    finally:
        _close_target(suite_session.client.target)
    mock.reset()
    mutant_target = InProcessTarget(create_mutant_app(mutant, mock), mock.clock, suite_session.client.target.base)
    try:
        return _find_difference(mutant, mock, recorder.exchanges, mutant_target.send)
    finally:
        mutant_target.close()


def _find_difference(
    mutant: Mutant, mock: InProcessMock, original_exchanges: Iterable[Exchange], send: Callable[[Request], Response]
) -> Witness | None:
    for exchange in original_exchanges:
        mutant_response = send(exchange.request)
        if _is_different(exchange.response, mutant_response):
            mutant_exchange = Exchange(exchange.request, mutant_response)
            operation = mock.contract.operations[mutant_exchange.request.operation]
            if not mutant.violates_schema or any(inspect_response(mock.schemas, operation, mutant_exchange)):
                return Witness(mutant_exchange, exchange)
    return None


def _is_different(original: Response, mutated: Response) -> bool:
    if original.status != mutated.status or (original.content != mutated.content and original.json != mutated.json):
        return True
    return any(original.headers.get(name) != mutated.headers.get(name) for name in COMPARED_HEADERS)


def _close_target(target: object) -> None:
    if isinstance(target, InProcessTarget):
        target.close()
