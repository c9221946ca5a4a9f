"""Mutants that accept requests without a token, with an unknown token or scheme, or from another tenant."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from conformance.errors import SkipCheck
from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse
from conformance.mutation.mutant import Mutant, Trigger
from conformance.mutation.triggers import MISSING_KEY, resolve_path, trigger_rejections
from conformance.session.session import Session
from conformance.transport.messages import AUTHORIZATION
from spec.model import Contract, Operation

DENIED_STATUSES = (401, 403, 404)
Condition = Callable[[InterceptedRequest, InterceptedResponse], bool]


@dataclass(slots=True)
class AllowDeniedCaller:
    """Repeats a rejected request with `token`, where `should_allow` accepts it."""

    should_allow: Condition
    token: str

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if response.status in DENIED_STATUSES and self.should_allow(request, response):
            return await call_next(request.with_headers(authorization=f"Bearer {self.token}"))
        return response


def _has_no_token(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return response.status == 401 and not request.headers.get("authorization")


def _has_scheme(scheme: str, request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return response.status == 401 and request.headers.get("authorization", "").lower().startswith(f"{scheme} ")


def _is_forbidden_or_not_found(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return response.status in (403, 404)


AUTHENTICATION_OPERATORS = (
    ("auth-none", _has_no_token, "A request without a token is rejected."),
    ("auth-any-token", partial(_has_scheme, "bearer"), "An unknown token is rejected."),
    ("auth-other-scheme", partial(_has_scheme, "basic"), "Another scheme than bearer is rejected."),
)


def derive_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Derive the mutants of every operation that requires authentication. `token`: of a user with full access."""

    def mutant(
        operation: Operation, family: str, requirement: str, should_allow: Condition, trigger: Trigger
    ) -> Mutant:
        make_fault, pointer = partial(AllowDeniedCaller, should_allow, token), operation.pointer
        return Mutant(
            family, operation.id, "let in", requirement, pointer, make_fault, trigger, provenance_independent=True
        )

    for operation in contract.operations.values():
        if not operation.requires_auth:
            continue
        for family, should_allow, requirement in AUTHENTICATION_OPERATORS:
            yield mutant(operation, family, requirement, should_allow, trigger_unauthorized)
        resource = contract.resources.get(operation.resource or "")
        if resource is not None and resource.tenant_path and len(operation.path_parameter_names) == 1:
            requirement = "A record is accessible to its tenant only."
            yield mutant(operation, "auth-other-tenant", requirement, _is_forbidden_or_not_found, _trigger_other_tenant)


def trigger_unauthorized(session: Session, operation: Operation) -> None:
    """Send requests without a token, with an unknown one and with another scheme; then invalid requests."""
    try:
        path_values = resolve_path(session, operation)
    except SkipCheck:
        path_values = dict.fromkeys(operation.path_parameter_names, MISSING_KEY)
    body = session.payloads.build(operation, session.parent) if operation.request_body else None
    for authorization in (None, "Bearer conformance-unknown", "Basic ZGVtbzpkZW1v"):
        headers = {AUTHORIZATION: authorization} if authorization else {}
        session.send(operation, path=path_values, body=body, actor="anonymous", headers=headers)
    trigger_rejections(session, operation)


def _trigger_other_tenant(session: Session, operation: Operation) -> None:
    path_values = {operation.path_parameter_names[0]: session.create(operation.resource or "").key}
    body = session.payloads.build(operation, session.parent) if operation.request_body else None
    session.send(operation, path=path_values, body=body, actor="other")
    if operation.resource and session.operation(operation.resource, "retrieve"):
        session.retrieve(operation.resource, path_values[operation.path_parameter_names[0]])
