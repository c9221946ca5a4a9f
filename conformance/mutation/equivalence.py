"""Equivalence test of mutants: send the same requests to mock and mutant and compare the responses."""

from contextlib import suppress

from starlette.types import ASGIApp

from conformance.errors import SkipCheck
from conformance.mutation.fault_injection import FaultInjector
from conformance.mutation.in_process_mock import EPOCH, InProcessMock, InProcessTarget, create_session
from conformance.mutation.mutant import Mutant
from conformance.responses.findings import inspect_response
from conformance.transport.messages import Exchange, Response

SEED = 0xA7
COMPARED_HEADERS = ("content-type", "allow", "www-authenticate", "location", "retry-after")


def create_mutant_app(mutant: Mutant, mock: InProcessMock) -> ASGIApp:
    """Wrap the mock's application with a new fault of the mutant."""
    return FaultInjector.create(mock.app, mock.contract, mutant.make_fault(), mutant.fault_operations)


def find_witness(mutant: Mutant, mock: InProcessMock) -> tuple[Exchange, Exchange] | None:
    """Find the first request to which the mutant responds differently; None when the mutant is equivalent.

    Returns the exchange with the mock, and that with the mutant. The mock is deterministic: equal requests in equal
    order get equal responses.
    """
    mock.reset()
    exchanges: list[Exchange] = []
    suite_session = create_session(mock, mock.app, SEED, on_exchange=exchanges.append)
    mock.clock.current_time = EPOCH  # the look-ups for the session advanced the clock
    with suppress(SkipCheck):  # the requests sent so far may suffice
        mutant.trigger(suite_session, mock.contract.operations[mutant.operation])
    mock.reset()
    client = suite_session.client
    mutant_app = create_mutant_app(mutant, mock)
    mutant_target = InProcessTarget(mutant_app, mock.clock, client.target.base, credentials=client.credentials)
    for exchange in exchanges:
        mutant_exchange = Exchange(exchange.request, mutant_target.send(exchange.request))
        if _is_different(exchange.response, mutant_exchange.response):
            operation = mock.contract.operations[exchange.request.operation]
            if not mutant.violates_schema or any(inspect_response(mock.schemas, operation, mutant_exchange)):
                return exchange, mutant_exchange
    return None


def _is_different(original: Response, mutated: Response) -> bool:
    if original.status != mutated.status or (original.content != mutated.content and original.json != mutated.json):
        return True
    return any(original.headers.get(name) != mutated.headers.get(name) for name in COMPARED_HEADERS)
