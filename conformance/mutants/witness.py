"""Proof that a mutant is one: the same requests to the mock and to the mutant, and the first answer that differs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from conformance.errors import SkipCheck
from conformance.exchange import Exchange, Request, Response
from conformance.mutants.inside import EPOCH, Inside, Mock, session
from conformance.mutants.mutant import Mutant, Witness
from conformance.mutants.planted import Paths, Planted
from conformance.notice import inspect_response

SEED = 0xA7
TELLING = ("content-type", "allow", "www-authenticate", "location", "retry-after")  # headers that a promise is about


@dataclass(slots=True)
class Recording:
    """What was sent to the mock, and answered, in order."""

    exchanges: list[Exchange] = field(default_factory=list)

    def __call__(self, request: Request, response: Response) -> None:
        self.exchanges.append(Exchange(request, response))


def planted(mutant: Mutant, mock: Mock) -> ASGIApp:
    """The mutant, around the mock's application, with a fresh memory."""
    return Planted(mock.app, Paths.of(mock.contract), mutant.stands_in, mutant.plant())


def witness(mutant: Mutant, mock: Mock) -> Witness | None:
    """The first answer in which it differs from the mock and breaks its promise; None when there is none.

    The mock is a function of its seed and of what it is asked, so that two that are asked the same answer the same.
    """
    mock.begin_anew()
    recording = Recording()
    asking = session(mock, mock.app, SEED, told=recording)
    mock.watch.at = EPOCH  # what was looked up for the session took time, and will not be for the mutant
    try:
        mutant.probe(asking, mock.contract.operations[mutant.operation])
    except SkipCheck:
        pass  # what was sent until then may do
    finally:
        _close(asking.target)
    mock.begin_anew()
    twin = Inside(planted(mutant, mock), mock.watch, asking.target.base)
    try:
        return _first(mutant, mock, recording.exchanges, twin.send)
    finally:
        twin.close()


def _first(
    mutant: Mutant, mock: Mock, sound: Iterable[Exchange], send: Callable[[Request], Response]
) -> Witness | None:
    for exchange in sound:
        answer = send(exchange.request)
        if _differ(exchange.response, answer):
            shown = Exchange(exchange.request, answer)
            operation = mock.contract.operations[shown.request.operation]
            if not mutant.schema or any(inspect_response(mock.schemas, operation, shown)):
                return Witness(shown, exchange)
    return None


def _differ(one: Response, other: Response) -> bool:
    if one.status != other.status or (one.content != other.content and one.json != other.json):
        return True
    return any(one.headers.get(name) != other.headers.get(name) for name in TELLING)


def _close(target: object) -> None:
    if isinstance(target, Inside):
        target.close()
