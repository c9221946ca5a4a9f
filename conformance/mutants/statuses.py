"""Mutants of the answer's frame: another status, another media type, a header that is due left out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.mutants.mutant import Mutant
from conformance.mutants.planted import Answered, Ask, Asked, Fault
from conformance.mutants.probes import refused, succeed
from spec.contract import Contract, Operation

# What another status stands in place of a documented one; never one that the operation documents itself.
OTHERS: Mapping[int, tuple[int, ...]] = {
    200: (202, 203),
    201: (200, 202),
    204: (200, 202),
    400: (422, 418),
    401: (403, 418),
    403: (401, 418),
    404: (400, 418),
    409: (400, 418),
    415: (400, 418),
    422: (400, 418),
}
_ASKED_FOR = {401: refused, 404: refused, 422: refused, 400: refused}


def mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every operation."""
    for operation in contract.operations.values():
        yield from _statuses(operation)
        if operation.envelope.schema_pointer is not None:
            yield from _media(operation)


def answering(status: int, change: Callable[[Answered], Answered]) -> Callable[[], Fault]:
    """What plants a fault that changes the answers of a status."""

    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        return change(answered) if answered.status == status else answered

    return lambda: fault


def _statuses(operation: Operation) -> Iterator[Mutant]:
    success = operation.envelope.status
    for status in (success, *(s for s in _ASKED_FOR if s in operation.responses)):
        other = next((s for s in OTHERS.get(status, ()) if s not in operation.responses), 418)
        yield Mutant(
            "status-success" if status == success else "status-refusal",
            operation.id,
            f"{other} for {status}",
            f"It answers {status}, as the contract says.",
            f"{operation.pointer}/responses",
            answering(status, lambda answered, other=other: replace(answered, status=other)),  # type: ignore[misc]
            _ASKED_FOR.get(status, succeed),
            "*",
        )
    yield Mutant(
        "server-error",
        operation.id,
        "500 on every request that is granted",
        "No request makes a fault of the server.",
        operation.pointer,
        answering(success, _failed),
        succeed,
        always=True,
    )


def _failed(answered: Answered) -> Answered:
    return replace(answered, status=500).showing({"message": "Server Error"})


def _media(operation: Operation) -> Iterator[Mutant]:
    status = operation.envelope.status
    pointer = str(operation.envelope.schema_pointer)
    kinds: Mapping[str, Any] = {
        "text/html": lambda a: replace(a, headers={**a.headers, "content-type": "text/html; charset=utf-8"}),
        "no media type": lambda a: replace(a, headers={k: v for k, v in a.headers.items() if k != "content-type"}),
    }
    for kind, change in kinds.items():
        yield Mutant(
            "media-type",
            operation.id,
            kind,
            "An answer says that it is JSON.",
            pointer,
            answering(status, change),
            succeed,
        )
    yield Mutant(
        "body-is-json",
        operation.id,
        "cut in the middle",
        "A body is whole JSON.",
        pointer,
        answering(status, lambda a: replace(a, body=a.body[: len(a.body) // 2])),
        succeed,
    )
