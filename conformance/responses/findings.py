"""What any answer shows by itself: its status, its media type, its schema, a fault of the server."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conformance.responses.schema_violations import distinguishing_input, format_path, violation_details
from conformance.transport.messages import AUTHORIZATION, Exchange
from spec.document import escape
from spec.loader import Operation
from spec.validators import SchemaValidators

# These belong to the server and stand on no operation.
SERVER_STATUSES = frozenset({405, 406, 408, 413, 414, 429, 431, 502, 503, 504})
STACK_TRACE_MARKERS = (
    b"Traceback (most recent call last)",
    b"Stack trace:",
    b"#0 /",
    b"/vendor/laravel/",
    b"SQLSTATE[",
    b'"exception":',
    b'"trace":',
)
MAX_VIOLATIONS = 5  # breaches told of one answer


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise that an answer shows. `check`: the law that tells of it. `keyword`: decides the grade."""

    check: str
    pointer: str
    keyword: str | None
    message: str
    parameter: str = ""


def inspect_response(schemas: SchemaValidators, operation: Operation, exchange: Exchange) -> Iterator[Finding]:
    """What is wrong with an answer, whatever the request was."""
    response = exchange.response
    if response.status >= 500 and response.status not in SERVER_STATUSES:
        input_text = distinguishing_input(schemas, operation, exchange.request)
        message = f"answered {response.status}, a fault of the server" + (f" ({input_text})" if input_text else "")
        yield Finding("no-server-error", operation.pointer, None, message, input_text)
    markers = (
        STACK_TRACE_MARKERS if response.status >= 400 else STACK_TRACE_MARKERS[:1]
    )  # a success may speak of the others
    marker = next((candidate for candidate in markers if candidate in response.content), None)
    if marker is not None:
        message = f"an answer of {response.status} shows what is inside of the server: {marker.decode()!r}"
        input_text = distinguishing_input(schemas, operation, exchange.request)
        yield Finding("no-traceback", operation.pointer, None, message, f"{response.status} {input_text}".rstrip())
    if exchange.request.method != operation.method or response.status in SERVER_STATUSES or response.status >= 500:
        return
    if response.status == 401 and 401 not in operation.responses and _is_anonymous(exchange) and operation.security:
        return  # what is secured says so by itself
    if response.status not in operation.responses:
        expected = ", ".join(map(str, operation.responses))
        responses_pointer = f"{operation.pointer}/responses"
        yield Finding(
            "status-is-documented",
            responses_pointer,
            "*",
            f"answered {response.status}, due: {expected}",
            str(response.status),
        )
        return
    yield from _inspect_body(schemas, operation, exchange)


def _is_anonymous(exchange: Exchange) -> bool:
    return exchange.request.actor == "nobody" or AUTHORIZATION in exchange.request.headers


def _inspect_body(schemas: SchemaValidators, operation: Operation, exchange: Exchange) -> Iterator[Finding]:
    response = exchange.response
    pointer = operation.responses[response.status]
    if pointer is None:
        return
    media_type = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if not (media_type == "application/json" or media_type.endswith("+json")):
        message = f"{response.status} came as {media_type or 'no media type'}, due: application/json"
        yield Finding("content-type-is-json", pointer, None, message, str(response.status))
    body = response.json
    if body is None and response.content.strip() != b"null":
        yield Finding("response-matches-schema", pointer, None, f"the body of {response.status} is no JSON")
        return
    reported: set[tuple[str, str, str]] = set()
    for violation in schemas.get(pointer, "read").iter_errors(body):
        keyword_pointer, keyword = locate_violation(pointer, violation.schema_path)
        value_path = ".".join(map(str, violation.instance_path))
        message = f"{value_path or 'the body'} of {response.status}: {violation.message[:300]}"
        for detail in violation_details(keyword, violation):
            subject = f"{format_path(violation.instance_path)} {detail}".strip()
            if (keyword_pointer, keyword, subject) not in reported and len(reported) < MAX_VIOLATIONS:
                reported.add((keyword_pointer, keyword, subject))
                yield Finding("response-matches-schema", keyword_pointer, keyword, message, subject)


def locate_violation(pointer: str, path: list[Any]) -> tuple[str, str]:
    """Where in the contract a breach's keyword stands: pointer of the schema, and the keyword.

    A validator's root is ``allOf: [the schema]``; what it refers to stands at its own place in the document.
    """
    *parent_parts, keyword = [str(part) for part in path] or ["type"]
    if parent_parts[:2] == ["allOf", "0"]:
        parent_parts = parent_parts[2:]
    else:
        pointer = "#"
    return "/".join([pointer, *map(escape, parent_parts)]), keyword
