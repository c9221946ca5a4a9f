"""Mutants of error responses: shape, exposed internals, server errors, wrong Allow header, revoked token."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from conformance.mutation import triggers
from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, ResponseChange, on_status, server_error
from conformance.mutation.mutant import Mutant
from spec.model import Contract, Operation

STACK_TRACE = (
    "SQLSTATE[42S02]: Base table or view not found\n#0 /var/www/vendor/laravel/framework/src/Connection.php(829)"
)
MAX_ASCII_BYTE = 0x7F
Condition = Callable[[InterceptedRequest], bool]


def derive_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Derive the mutants of every operation. `token`: of a user with access to what is requested after a logout."""
    for operation in contract.operations.values():
        yield from _derive_error_shape_mutants(operation)
        yield from _derive_robustness_mutants(operation)
        yield from _derive_allow_header_mutants(operation)
        if operation.action == "logout":
            yield Mutant(
                "auth-after-logout",
                operation.id,
                "let in",
                "A token is rejected after the logout.",
                operation.pointer,
                partial(AcceptRevokedToken, token),
                triggers.trigger_after_logout,
                operations=frozenset(contract.operations),
                provenance_independent=True,
            )


def _replace_body(response: InterceptedResponse) -> InterceptedResponse:
    return response.with_json({"error": "something went wrong"})


def _expose_stack_trace(response: InterceptedResponse) -> InterceptedResponse:
    return response.with_json({**(response.json or {}), "message": STACK_TRACE})


def _name_other_field(response: InterceptedResponse) -> InterceptedResponse:
    body = response.json or {}
    messages = next(iter(body.get("errors", {}).values()), ["wrong"])
    return response.with_json({**body, "errors": {"something_else": messages}})


def _derive_error_shape_mutants(operation: Operation) -> Iterator[Mutant]:
    def mutant(family: str, status: int, detail: str, requirement: str, change: ResponseChange) -> Mutant:
        head = (family, operation.id, detail, requirement, operation.responses[status] or operation.pointer)
        make_fault, trigger = on_status(status, change, documented_method=True), triggers.trigger_rejections
        return Mutant(*head, make_fault, trigger, provenance_independent=family == "leak")

    shape, internals = "An error response has the documented shape.", "No response exposes internal details."
    for status in sorted(s for s in operation.responses if s in (400, 401, 404, 422)):
        yield mutant("error-shape", status, f"{status} of another shape", shape, _replace_body)
        if status in (404, 422):
            yield mutant("leak", status, f"{status} shows a trace", internals, _expose_stack_trace)
    if 422 in operation.responses and operation.request_body is not None:
        named = "A validation error names the invalid field."
        yield mutant("error-field", 422, "names another field", named, _name_other_field)


def _has_non_ascii(request: InterceptedRequest) -> bool:
    return any(byte > MAX_ASCII_BYTE for byte in request.body) or b"\\u" in request.body


def _is_malformed_json(request: InterceptedRequest) -> bool:
    return bool(request.body) and request.json is None


def _has_unknown_parameter(request: InterceptedRequest) -> bool:
    known_names = {p.name for p in request.operation.query_parameters}
    return any(name.removesuffix("[]") not in known_names for name, _ in request.query)


def _derive_robustness_mutants(operation: Operation) -> Iterator[Mutant]:
    """Return 500 for unusual input."""
    conditions: dict[str, Condition] = {}
    if operation.request_body is not None:
        conditions["a body that is no JSON"] = _is_malformed_json
        if any(f.relation_setter is None for f in operation.request_body.fields.values()):
            conditions["signs beyond ASCII"] = _has_non_ascii
    if operation.query_parameters:
        conditions["a parameter that it does not know"] = _has_unknown_parameter
    for condition, applies in conditions.items():
        detail, requirement = f"500 on {condition}", "No request causes a server error."
        make_fault, trigger, pointer = _fail_with_500(applies), triggers.trigger_unusual_input, operation.pointer
        yield Mutant(
            "robustness", operation.id, detail, requirement, pointer, make_fault, trigger, provenance_independent=True
        )


def _fail_with_500(applies: Condition) -> MakeFault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if applies(request):
            return server_error(InterceptedResponse(500, {"content-type": "application/json"}, b""))
        return await call_next(request)

    return lambda: fault


def _derive_allow_header_mutants(operation: Operation) -> Iterator[Mutant]:
    requirement, pointer = "A 405 lists the methods of the path.", f"{operation.pointer}/responses"
    for detail, missing_method in (("no Allow", ""), (f"Allow without {operation.method.upper()}", operation.method)):
        make_fault, trigger = partial(_limit_allow_header, missing_method), triggers.trigger_wrong_methods
        yield Mutant("allow", operation.id, detail, requirement, pointer, make_fault, trigger, keyword="*")


def _limit_allow_header(missing_method: str) -> Fault:
    """Remove a method from the Allow header of a 405; "": remove the header."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if response.status != 405:
            return response
        allowed = response.headers.get("allow", "").split(", ") if missing_method else []
        methods = [m for m in allowed if m.lower() != missing_method]
        headers = {n: v for n, v in response.headers.items() if n != "allow"}
        return replace(response, headers={**headers, "allow": ", ".join(methods)} if methods else headers)

    return fault


@dataclass(slots=True)
class AcceptRevokedToken:
    """Accepts a token that was accepted before and is rejected now."""

    token: str
    accepted_values: set[str] = field(default_factory=set)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        authorization = request.headers.get("authorization", "")
        response = await call_next(request)
        if response.is_success:
            self.accepted_values.add(authorization)
        if response.status == 401 and authorization in self.accepted_values:
            return await call_next(request.with_headers(authorization=f"Bearer {self.token}"))
        return response
