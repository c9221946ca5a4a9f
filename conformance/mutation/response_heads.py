"""Mutants of statuses, media types and error responses: wrong, exposing internals, or a server error."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from conformance.mutation import triggers
from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import (
    Condition,
    ResponseChange,
    build_response,
    on_status,
    respond_if,
    server_error,
    set_status,
)
from conformance.mutation.mutant import Mutant, Operator
from spec.model import Contract, Operation

STACK_TRACE = (
    "SQLSTATE[42S02]: Base table or view not found\n#0 /var/www/vendor/laravel/framework/src/Connection.php(829)"
)

# Statuses

# Documented status -> the wrong statuses to try; one that the operation documents is skipped.
WRONG_STATUSES: Mapping[int, tuple[int, ...]] = {
    200: (202, 203),
    201: (200, 202),
    204: (200, 202),
    400: (422, 418),
    401: (403, 418),
    404: (400, 418),
    422: (400, 418),
}
_REJECTION_STATUSES = (401, 404, 422, 400)


def _set_media_type(media_type: str | None) -> ResponseChange:
    return lambda response: response.with_headers({"content-type": media_type})


def _truncate_body(response: InterceptedResponse) -> InterceptedResponse:
    return replace(response, body=response.body[: len(response.body) // 2])


independent = partial(Operator, provenance_independent=True)
NO_SERVER_ERROR, JSON_MEDIA_TYPE = "No request causes a server error.", "A JSON response has a JSON media type."

FAIL = independent("server-error", "500 on every request that is granted", NO_SERVER_ERROR, server_error)
# Operators for successful responses with a body; the fault changes the response.
BODY_OPERATORS: tuple[Operator[ResponseChange], ...] = (
    Operator("media-type", "text/html", JSON_MEDIA_TYPE, _set_media_type("text/html; charset=utf-8")),
    Operator("media-type", "no media type", JSON_MEDIA_TYPE, _set_media_type(None)),
    Operator("body-is-json", "cut in the middle", "A body is complete JSON.", _truncate_body),
)


def derive_status_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every operation's status and media type."""
    for operation in contract.operations.values():
        success_status, pointer = operation.envelope.status, operation.envelope.schema_pointer
        for status in (success_status, *(s for s in _REJECTION_STATUSES if s in operation.responses)):
            yield _replace_status(operation, status)
        yield FAIL.mutant(operation, on_status(success_status, FAIL.fault), triggers.trigger_success)
        for row in BODY_OPERATORS if pointer is not None else ():
            yield row.mutant(operation, on_status(success_status, row.fault), triggers.trigger_success, pointer or "")


def _replace_status(operation: Operation, status: int) -> Mutant:
    wrong_status = next((s for s in WRONG_STATUSES.get(status, ()) if s not in operation.responses), 418)
    family = "status-success" if status == operation.envelope.status else "status-refusal"
    requirement = f"The operation returns {status}, as documented."
    row = Operator(family, f"{wrong_status} for {status}", requirement, set_status(wrong_status), "*")
    trigger = triggers.trigger_rejections if status in _REJECTION_STATUSES else triggers.trigger_success
    return row.mutant(operation, on_status(status, row.fault), trigger, f"{operation.pointer}/responses")


# Error responses


def _replace_body(response: InterceptedResponse) -> InterceptedResponse:
    return response.with_json({"error": "something went wrong"})


def _expose_stack_trace(response: InterceptedResponse) -> InterceptedResponse:
    return response.with_json({**(response.json or {}), "message": STACK_TRACE})


def _name_other_field(response: InterceptedResponse) -> InterceptedResponse:
    body = response.json or {}
    messages = next(iter(body.get("errors", {}).values()), ["wrong"])
    return response.with_json({**body, "errors": {"something_else": messages}})


SHAPE, INTERNALS = "An error response has the documented shape.", "No response exposes internal details."
FIELD = "A validation error names the invalid field."
SHAPE_OPERATOR: Operator[ResponseChange] = Operator("error-shape", "{status} of another shape", SHAPE, _replace_body)
# (statuses, operator for their responses); the fault changes the response.
ERROR_OPERATORS: tuple[tuple[tuple[int, ...], Operator[ResponseChange]], ...] = (
    ((400, 401, 404, 422), SHAPE_OPERATOR),
    ((404, 422), independent("leak", "{status} shows a trace", INTERNALS, _expose_stack_trace)),
)
FIELD_OPERATOR: Operator[ResponseChange] = Operator("error-field", "names another field", FIELD, _name_other_field)


def derive_error_mutants(contract: Contract, token: str) -> Iterator[Mutant]:
    """Derive the mutants of every operation's rejections. `token`: of a user with access to every list."""
    for operation in contract.operations.values():
        for status, pointer in sorted(operation.responses.items()):
            rows = [row for statuses, row in ERROR_OPERATORS if status in statuses]
            if pointer is None:  # any body has the documented shape
                rows = [row for row in rows if row is not SHAPE_OPERATOR]
            rows += [FIELD_OPERATOR] if status == 422 and operation.request_body is not None else []
            for row in rows:
                make_fault = on_status(status, row.fault, documented_method=True)
                named_row = row.named(status=status)
                yield named_row.mutant(operation, make_fault, triggers.trigger_rejections, pointer or "")
        yield from _derive_robustness_mutants(operation)
        for allow_row in ALLOW_OPERATORS:
            make_fault, pointer = on_status(405, allow_row.fault(operation.method)), f"{operation.pointer}/responses"
            named_allow_row = allow_row.named(method=operation.method.upper())
            yield named_allow_row.mutant(operation, make_fault, triggers.trigger_wrong_methods, pointer)
        if operation.action == "logout":
            revoked, everywhere = partial(AcceptRevokedToken, token), frozenset(contract.operations)
            yield ACCEPT_AFTER_LOGOUT.mutant(operation, revoked, triggers.trigger_after_logout, operations=everywhere)


# Robustness


def _has_non_ascii(request: InterceptedRequest) -> bool:
    return not request.body.isascii() or b"\\u" in request.body


def _has_unknown_parameter(request: InterceptedRequest) -> bool:
    known_names = {p.name for p in request.operation.query_parameters}
    return any(name.removesuffix("[]") not in known_names for name, _ in request.query)


def _derive_robustness_mutants(operation: Operation) -> Iterator[Mutant]:
    """Return 500 for unusual input."""
    conditions: tuple[tuple[str, Condition, bool], ...] = (
        ("a body that is no JSON", lambda q: bool(q.body) and q.json is None, operation.request_body is not None),
        ("signs beyond ASCII", _has_non_ascii, any(f.relation_setter is None for f in operation.body_fields.values())),
        ("a parameter that it does not know", _has_unknown_parameter, bool(operation.query_parameters)),
    )
    for detail, condition, applies in conditions:
        if applies:
            make_fault = respond_if(condition, server_error(build_response(500, None)))
            row = independent("robustness", f"500 on {detail}", NO_SERVER_ERROR, make_fault)
            yield row.mutant(operation, make_fault, triggers.trigger_unusual_input)


# Allow header and logout


def _keep_in_allow(condition: Callable[[str], bool]) -> ResponseChange:
    """Keep some methods of the Allow header."""

    def change(response: InterceptedResponse) -> InterceptedResponse:
        methods = [m for m in response.headers.get("allow", "").split(", ") if condition(m.lower())]
        return response.with_headers({"allow": ", ".join(methods) or None})

    return change


ALLOWED = "A 405 lists the methods of the path."
# The fault is made of the operation's method.
ALLOW_OPERATORS: tuple[Operator[Callable[[str], ResponseChange]], ...] = (
    Operator("allow", "no Allow", ALLOWED, lambda method: _keep_in_allow(lambda m: False), "*"),
    Operator("allow", "Allow without {method}", ALLOWED, lambda method: _keep_in_allow(lambda m: m != method), "*"),
)


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
            return await call_next(request.with_token(self.token))
        return response


ACCEPT_AFTER_LOGOUT = independent(
    "auth-after-logout", "let in", "A token is rejected after the logout.", AcceptRevokedToken
)
