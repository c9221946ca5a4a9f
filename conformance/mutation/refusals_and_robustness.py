"""Mutants of refusals and of robustness: errors of another shape, faults of the server, words not to be shown."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.mutant import Mutant
from conformance.mutation.triggers import (
    trigger_after_logout,
    trigger_rejections,
    trigger_unusual_input,
    trigger_wrong_methods,
)
from spec.loader import Contract, Operation

STACK_TRACE = (
    "SQLSTATE[42S02]: Base table or view not found\n#0 /var/www/vendor/laravel/framework/src/Connection.php(829)"
)
MAX_ASCII_BYTE = 0x7F


def derive_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Of every operation. `token`: of somebody who may see what is asked for after a logout."""
    for operation in contract.operations.values():
        yield from _derive_error_shape_mutants(operation)
        yield from _derive_robustness_mutants(operation)
        yield from _derive_allow_header_mutants(operation)
        if operation.action == "logout":
            yield _derive_after_logout_mutant(contract, operation, token)


def _on_status(status: int, change: Callable[[InterceptedResponse], InterceptedResponse]) -> Callable[[], Fault]:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        return change(response) if response.status == status and not request.method else response

    return lambda: fault


def _derive_error_shape_mutants(operation: Operation) -> Iterator[Mutant]:
    requirement = "A refusal has the documented shape."
    for status in sorted(s for s in operation.responses if s in (400, 401, 404, 422)):
        pointer = operation.responses[status] or operation.pointer
        make_fault = _on_status(status, lambda response: response.with_json({"error": "something went wrong"}))
        yield Mutant(
            "error-shape",
            operation.id,
            f"{status} of another shape",
            requirement,
            pointer,
            make_fault,
            trigger_rejections,
        )
        make_fault = _on_status(
            status, lambda response: response.with_json({**(response.json or {}), "message": STACK_TRACE})
        )
        leak_requirement = "No answer shows what is inside of the server."
        if status in (404, 422):
            yield Mutant(
                "leak",
                operation.id,
                f"{status} shows a trace",
                leak_requirement,
                pointer,
                make_fault,
                trigger_rejections,
                provenance_independent=True,
            )
    if 422 in operation.responses and operation.request_body is not None:
        pointer = operation.responses[422] or operation.pointer
        make_fault = _on_status(422, _name_other_field)
        field_requirement = "A refusal names the field that is wrong."
        yield Mutant(
            "error-field",
            operation.id,
            "names another field",
            field_requirement,
            pointer,
            make_fault,
            trigger_rejections,
        )


def _name_other_field(response: InterceptedResponse) -> InterceptedResponse:
    body = response.json or {}
    return response.with_json(
        {**body, "errors": {"something_else": next(iter(body.get("errors", {}).values()), ["wrong"])}}
    )


def _derive_robustness_mutants(operation: Operation) -> Iterator[Mutant]:
    """Answers 500 to what is unusual: a body that is no JSON, signs beyond ASCII, an unknown key."""

    def has_non_ascii(request: InterceptedRequest) -> bool:
        return any(byte > MAX_ASCII_BYTE for byte in request.body) or b"\\u" in request.body

    def is_malformed_json(request: InterceptedRequest) -> bool:
        return bool(request.body) and request.json is None

    def has_unknown_parameter(request: InterceptedRequest) -> bool:
        known_names = {p.name for p in operation.query_parameters}
        return any(name.removesuffix("[]") not in known_names for name, _ in request.query)

    conditions: dict[str, Callable[[InterceptedRequest], bool]] = {}
    if operation.request_body is not None:
        conditions = {"a body that is no JSON": is_malformed_json}
        if any(f.relation_setter is None for f in operation.request_body.fields.values()):
            conditions["signs beyond ASCII"] = has_non_ascii
    if operation.query_parameters:
        conditions["a parameter that it does not know"] = has_unknown_parameter
    for detail, applies in conditions.items():
        yield Mutant(
            "robustness",
            operation.id,
            f"500 on {detail}",
            "No request makes a fault of the server.",
            operation.pointer,
            _fail_with_500(applies),
            trigger_unusual_input,
            provenance_independent=True,
        )


def _fail_with_500(applies: Callable[[InterceptedRequest], bool]) -> Callable[[], Fault]:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if applies(request):
            return InterceptedResponse(500, {"content-type": "application/json"}, b"").with_json(
                {"message": "Server Error"}
            )
        return await call_next(request)

    return lambda: fault


def _derive_allow_header_mutants(operation: Operation) -> Iterator[Mutant]:
    """A 405 that does not say, or not fully, what is allowed."""
    requirement = "A 405 says which methods the path has."
    for detail, missing_method in (("no Allow", ""), (f"Allow without {operation.method.upper()}", operation.method)):
        make_fault = partial(_limit_allow_header, missing_method)
        pointer = f"{operation.pointer}/responses"
        yield Mutant("allow", operation.id, detail, requirement, pointer, make_fault, trigger_wrong_methods, "*")


def _limit_allow_header(missing_method: str) -> Fault:
    """A 405 whose Allow lacks a method; "": it has no Allow."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if response.status != 405:
            return response
        methods = [
            m for m in response.headers.get("allow", "").split(", ") if missing_method and m.lower() != missing_method
        ]
        headers = {n: v for n, v in response.headers.items() if n != "allow"}
        return replace(response, headers={**headers, "allow": ", ".join(methods)} if methods else headers)

    return fault


@dataclass(slots=True)
class AcceptRevokedToken:
    """Grants what a token is refused that was granted before."""

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


def _derive_after_logout_mutant(contract: Contract, operation: Operation, token: str) -> Mutant:
    return Mutant(
        "auth-after-logout",
        operation.id,
        "let in",
        "A token that was logged out gets nothing.",
        operation.pointer,
        partial(AcceptRevokedToken, token),
        trigger_after_logout,
        operations=frozenset(contract.operations),
        provenance_independent=True,
    )
