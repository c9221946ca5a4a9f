"""Mutants of the response head: wrong status, wrong media type, truncated body."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from conformance.mutation.fault_injection import InterceptedResponse
from conformance.mutation.faults import ResponseChange, on_status, server_error
from conformance.mutation.mutant import Mutant
from conformance.mutation.triggers import trigger_rejections, trigger_success
from spec.model import Contract, Operation

# Documented status -> the wrong statuses to try; one that the operation documents is skipped.
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
_REJECTION_STATUSES = (401, 404, 422, 400)


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every operation."""
    for operation in contract.operations.values():
        yield from _derive_status_mutants(operation)
        if operation.envelope.schema_pointer is not None:
            yield from _derive_media_type_mutants(operation, operation.envelope.schema_pointer)


def _derive_status_mutants(operation: Operation) -> Iterator[Mutant]:
    success_status = operation.envelope.status
    for status in (success_status, *(s for s in _REJECTION_STATUSES if s in operation.responses)):
        wrong_status = next((s for s in WRONG_STATUSES.get(status, ()) if s not in operation.responses), 418)
        family = "status-success" if status == success_status else "status-refusal"
        detail, requirement = f"{wrong_status} for {status}", f"The operation returns {status}, as documented."
        make_fault = on_status(status, partial(_with_status, wrong_status))
        trigger = trigger_rejections if status in _REJECTION_STATUSES else trigger_success
        pointer = f"{operation.pointer}/responses"
        yield Mutant(family, operation.id, detail, requirement, pointer, make_fault, trigger, keyword="*")
    detail, requirement = "500 on every request that is granted", "No request causes a server error."
    fault, pointer = on_status(success_status, server_error), operation.pointer
    yield Mutant(
        "server-error", operation.id, detail, requirement, pointer, fault, trigger_success, provenance_independent=True
    )


def _with_status(status: int, response: InterceptedResponse) -> InterceptedResponse:
    return replace(response, status=status)


def _with_html_media_type(response: InterceptedResponse) -> InterceptedResponse:
    return replace(response, headers={**response.headers, "content-type": "text/html; charset=utf-8"})


def _without_media_type(response: InterceptedResponse) -> InterceptedResponse:
    return replace(response, headers={k: v for k, v in response.headers.items() if k != "content-type"})


def _truncate_body(response: InterceptedResponse) -> InterceptedResponse:
    return replace(response, body=response.body[: len(response.body) // 2])


def _derive_media_type_mutants(operation: Operation, pointer: str) -> Iterator[Mutant]:
    media_type_requirement = "A JSON response has a JSON media type."
    operators: tuple[tuple[str, str, str, ResponseChange], ...] = (
        ("media-type", "text/html", media_type_requirement, _with_html_media_type),
        ("media-type", "no media type", media_type_requirement, _without_media_type),
        ("body-is-json", "cut in the middle", "A body is complete JSON.", _truncate_body),
    )
    for family, detail, requirement, change in operators:
        make_fault = on_status(operation.envelope.status, change)
        yield Mutant(family, operation.id, detail, requirement, pointer, make_fault, trigger_success)
