"""Mutants that let in whom they should not: nobody, a stranger, somebody who has left, another tenant."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from conformance.errors import SkipCheck
from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.mutant import Mutant
from conformance.mutation.triggers import resolve_path, trigger_rejections
from conformance.session.session import Session
from conformance.transport.messages import AUTHORIZATION
from spec.loader import Contract, Operation

DENIED_STATUSES = (401, 403, 404)


@dataclass(slots=True)
class AllowDeniedCaller:
    """Grants what was refused, to whom `should_allow` says, with the token that was granted something last or stands."""

    should_allow: Callable[[InterceptedRequest, InterceptedResponse], bool]
    token: str

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if response.status in DENIED_STATUSES and self.should_allow(request, response):
            return await call_next(request.with_headers(authorization=f"Bearer {self.token}"))
        return response


def _has_no_token(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return response.status == 401 and not request.headers.get("authorization")


def _has_bearer_token(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return response.status == 401 and request.headers.get("authorization", "").lower().startswith("bearer ")


def _has_basic_credentials(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return response.status == 401 and request.headers.get("authorization", "").lower().startswith("basic ")


def _is_forbidden_or_not_found(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return response.status in (403, 404)


def derive_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Of every operation that is not public. `token`: of somebody who may see and write what is probed."""
    operators = {
        "auth-none": (_has_no_token, "Who has no token gets nothing."),
        "auth-any-token": (_has_bearer_token, "A token that nobody has gets nothing."),
        "auth-other-scheme": (_has_basic_credentials, "Another scheme than bearer gets nothing."),
    }
    for operation in contract.operations.values():
        if not operation.requires_auth:
            continue
        for family, (should_allow, requirement) in operators.items():
            yield Mutant(
                family,
                operation.id,
                "let in",
                requirement,
                operation.pointer,
                _allow_denied_caller(should_allow, token),
                trigger_unauthorized,
                provenance_independent=True,
            )
        resource = contract.resources.get(operation.resource or "")
        if resource is not None and resource.tenant_path and len(operation.path_parameter_names) == 1:
            yield Mutant(
                "auth-other-tenant",
                operation.id,
                "let in",
                "A record is nobody's but its tenant's.",
                operation.pointer,
                _allow_denied_caller(_is_forbidden_or_not_found, token),
                _trigger_other_tenant,
                provenance_independent=True,
            )


def _allow_denied_caller(
    should_allow: Callable[[InterceptedRequest, InterceptedResponse], bool], token: str
) -> Callable[[], Fault]:
    return lambda: AllowDeniedCaller(should_allow, token)


def trigger_unauthorized(session: Session, operation: Operation) -> None:
    """Asks as nobody, on a record that is there and on one that is not."""
    try:
        path_values = resolve_path(session, operation)
    except SkipCheck:
        path_values = dict.fromkeys(operation.path_parameter_names, "00000000-0000-4000-8000-00000000dead")
    body = session.payloads.build(operation, session.parent) if operation.request_body else None
    for authorization in (None, "Bearer conformance-nobody", "Basic ZGVtbzpkZW1v"):
        headers = {AUTHORIZATION: authorization} if authorization else {}
        session.send(operation, path=path_values, body=body, actor="nobody", headers=headers)
    trigger_rejections(session, operation)


def _trigger_other_tenant(session: Session, operation: Operation) -> None:
    path_values = {operation.path_parameter_names[0]: session.create(operation.resource or "").key}
    body = session.payloads.build(operation, session.parent) if operation.request_body else None
    session.send(operation, path=path_values, body=body, actor="other")
    if operation.resource and session.operation(operation.resource, "retrieve"):
        session.retrieve(operation.resource, path_values[operation.path_parameter_names[0]])
