"""Mutants that refuse a request with the right status, and apply it nevertheless."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from conformance.errors import SkipCheck, not_testable
from conformance.mutation.crud import CrudOperations
from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, stateless
from conformance.mutation.mutant import Mutant, Operator
from conformance.mutation.triggers import build_body, resolve_path
from conformance.session.session import Session
from conformance.transport.messages import Actor
from spec.model import Contract, Operation

APPLY_REFUSED = Operator(
    "refused-request",
    "applied in spite of {name}",
    "A refused request changes nothing.",
    None,
    provenance_independent=True,
)
BODY_STATUSES = (400, 415)


def derive_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Derive a mutant for each status with which a create, update or delete can be refused."""
    for resource in contract.resources.values():
        crud = CrudOperations.from_contract(contract, resource)
        for action in ("create", "update", "delete") if {"create", "retrieve", "list"} <= crud.by_action.keys() else ():
            operation = crud.by_action.get(action)
            if operation is None or (action != "delete" and not crud.text_fields(action)):
                continue
            statuses = BODY_STATUSES if operation.request_body is not None else ()
            for status in (401, *(s for s in statuses if s in operation.responses)):
                if status == 401 and not operation.requires_auth:
                    continue
                row, trigger = APPLY_REFUSED.named(name=status), partial(_trigger_refusal, status=status)
                yield row.mutant(operation, _apply_refused(status, token), trigger)


def _apply_refused(status: int, token: str) -> MakeFault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if response.status == status and request.has_documented_method:
            await call_next(_correct(request, token))
        return response

    return stateless(fault)


def _correct(request: InterceptedRequest, token: str) -> InterceptedRequest:
    """Return a request that is accepted: with a valid token, and a body that is complete JSON."""
    corrected = request.with_token(token)
    if not request.body:
        return corrected
    content = request.body if request.json is not None else request.body + b"}"
    return replace(corrected, body=content, headers={**corrected.headers, "content-type": "application/json"})


def _trigger_refusal(session: Session, operation: Operation, status: int) -> None:
    """Send a valid request that is refused with a status, and read the record, or the list after a create."""
    path_values, body = resolve_path(session, operation), build_body(session, operation)
    content = json.dumps(body).encode()
    if status == 401:
        session.client.send(operation, path=path_values, body=body, actor=Actor.ANONYMOUS)
    elif status == 400:
        headers = {"Content-Type": "application/json"}
        session.client.send(operation, path=path_values, raw=content[:-1], headers=headers)
    else:
        session.client.send(operation, path=path_values, raw=content, headers={"Content-Type": "text/plain"})
    resource = operation.resource or ""
    if path_values:
        session.client.retrieve(resource, next(iter(path_values.values())))
        return
    listing = session.operations.find(resource, "list")
    if listing is None:
        raise SkipCheck(not_testable(f"the contract defines no operation to list a {resource}"))
    session.client.send(listing)
