"""Mutants that accept requests without a token, with an unknown token or scheme, or from another tenant."""

from collections.abc import Callable, Iterator

from conformance.mutation.fault_injection import InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, accept
from conformance.mutation.mutant import Mutant, Operator
from conformance.mutation.triggers import trigger_other_tenant, trigger_unauthorized
from spec.model import Contract

AcceptCondition = Callable[[InterceptedRequest, InterceptedResponse], bool]


def _has_no_token(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return response.status == 401 and not request.headers.get("authorization")


def _has_scheme(scheme: str) -> AcceptCondition:
    return lambda q, r: r.status == 401 and q.headers.get("authorization", "").lower().startswith(f"{scheme} ")


def _operator(family: str, requirement: str, condition: AcceptCondition) -> Operator[AcceptCondition]:
    return Operator(family, "let in", requirement, condition, provenance_independent=True)


# Which rejected requests are accepted as requests of the token's user.
AUTHENTICATION_OPERATORS = (
    _operator("auth-none", "A request without a token is rejected.", _has_no_token),
    _operator("auth-any-token", "An unknown token is rejected.", _has_scheme("bearer")),
    _operator("auth-other-scheme", "Another scheme than bearer is rejected.", _has_scheme("basic")),
)
TENANT_OPERATOR = _operator(
    "auth-other-tenant", "A record is accessible to its tenant only.", lambda q, r: r.status in (403, 404)
)


def derive_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Derive the mutants of every operation that requires authentication. `token`: of a user with full access."""
    for operation in contract.operations.values():
        if not operation.requires_auth:
            continue
        for row in AUTHENTICATION_OPERATORS:
            yield row.mutant(operation, _accept_as(token, row.fault), trigger_unauthorized)
        resource = contract.resources.get(operation.resource or "")
        if resource is not None and resource.tenant_path and len(operation.path_parameter_names) == 1:
            make_fault = _accept_as(token, TENANT_OPERATOR.fault)
            yield TENANT_OPERATOR.mutant(operation, make_fault, trigger_other_tenant)


def _accept_as(token: str, condition: AcceptCondition) -> MakeFault:
    return accept(lambda q, r: q.with_token(token) if condition(q, r) else None)
