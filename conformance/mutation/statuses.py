"""Mutants of the answer's frame: another status, another media type, a header that is due left out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.mutant import Mutant
from conformance.mutation.triggers import trigger_rejections, trigger_success
from spec.loader import Contract, Operation

# What another status stands in place of a documented one; never one that the operation documents itself.
WRONG_STATUSES: Mapping[int, tuple[int, ...]] = {
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
_TRIGGERS = {401: trigger_rejections, 404: trigger_rejections, 422: trigger_rejections, 400: trigger_rejections}


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every operation."""
    for operation in contract.operations.values():
        yield from _derive_status_mutants(operation)
        if operation.envelope.schema_pointer is not None:
            yield from _derive_media_type_mutants(operation)


def change_on_status(status: int, change: Callable[[InterceptedResponse], InterceptedResponse]) -> Callable[[], Fault]:
    """What plants a fault that changes the answers of a status."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        return change(response) if response.status == status else response

    return lambda: fault


def _derive_status_mutants(operation: Operation) -> Iterator[Mutant]:
    success_status = operation.envelope.status
    for status in (success_status, *(s for s in _TRIGGERS if s in operation.responses)):
        wrong_status = next((s for s in WRONG_STATUSES.get(status, ()) if s not in operation.responses), 418)
        yield Mutant(
            "status-success" if status == success_status else "status-refusal",
            operation.id,
            f"{wrong_status} for {status}",
            f"It answers {status}, as the contract says.",
            f"{operation.pointer}/responses",
            change_on_status(status, partial(_with_status, wrong_status)),
            _TRIGGERS.get(status, trigger_success),
            "*",
        )
    yield Mutant(
        "server-error",
        operation.id,
        "500 on every request that is granted",
        "No request makes a fault of the server.",
        operation.pointer,
        change_on_status(success_status, _fail_with_500),
        trigger_success,
        provenance_independent=True,
    )


def _with_status(status: int, response: InterceptedResponse) -> InterceptedResponse:
    return replace(response, status=status)


def _fail_with_500(response: InterceptedResponse) -> InterceptedResponse:
    return replace(response, status=500).with_json({"message": "Server Error"})


def _derive_media_type_mutants(operation: Operation) -> Iterator[Mutant]:
    status = operation.envelope.status
    pointer = str(operation.envelope.schema_pointer)
    changes: Mapping[str, Any] = {
        "text/html": lambda response: replace(
            response, headers={**response.headers, "content-type": "text/html; charset=utf-8"}
        ),
        "no media type": lambda response: replace(
            response, headers={k: v for k, v in response.headers.items() if k != "content-type"}
        ),
    }
    for detail, change in changes.items():
        yield Mutant(
            "media-type",
            operation.id,
            detail,
            "An answer says that it is JSON.",
            pointer,
            change_on_status(status, change),
            trigger_success,
        )
    yield Mutant(
        "body-is-json",
        operation.id,
        "cut in the middle",
        "A body is whole JSON.",
        pointer,
        change_on_status(status, lambda response: replace(response, body=response.body[: len(response.body) // 2])),
        trigger_success,
    )
