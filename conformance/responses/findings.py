"""Findings in any response, whatever its request: status, media type, schema, server errors.

A schema violation is identified across runs by its location and by the key, type or value that it is about.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from conformance.transport.messages import Actor, Exchange, Request, Response
from spec.document import escape
from spec.http.media_types import find_media_type
from spec.model import Operation
from spec.validators import SchemaValidators, SchemaViolation

# Statuses of the server itself, which no operation documents.
SERVER_STATUSES = frozenset({405, 406, 408, 413, 414, 429, 431, 502, 503, 504})
STATUSES_WITHOUT_BODY = frozenset({204, 205, 304})  # RFC 9110, 15.3.5, 15.3.6, 15.4.5, whatever the contract documents
NOT_IMPLEMENTED = 501  # the operation is missing: it never succeeds, and nothing else is derived from it
STACK_TRACE_MARKERS = (
    b"Traceback (most recent call last)",
    b"Stack trace:",
    b"#0 /",
    b"/vendor/laravel/",
    b"SQLSTATE[",
    b'"exception":',
    b'"trace":',
)
# The checks that any response passes or fails: they do not show that an operation works.
RESPONSE_CHECK_IDS = (
    "no-server-error",
    "no-traceback",
    "status-is-documented",
    "content-type-is-json",
    "response-matches-schema",
)
# Statuses that reject an invalid request.
REJECTION_STATUSES = frozenset({400, 404, 405, 406, 415, 422})
INVALID_INPUT_STATUSES = (400, 415, 422)
MAX_DETAILED_BYTES = 4 * 1024 * 1024  # larger bodies take too much memory: the message of a violation has the value
MAX_VIOLATIONS = 5  # reported per response
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
_JSON_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


@dataclass(frozen=True, slots=True)
class Finding:
    """A requirement that a response violates.

    `check`: id of the check. `keyword`: selects the provenance. `provenance_independent`: it blocks regardless of it.
    """

    check: str
    pointer: str
    keyword: str | None
    message: str
    parameter: str = ""
    provenance_independent: bool = False


def inspect_response(schemas: SchemaValidators, operation: Operation, exchange: Exchange) -> Iterator[Finding]:
    response = exchange.response
    if response.status >= 500 and response.status not in {*SERVER_STATUSES, NOT_IMPLEMENTED}:
        input_text = distinguishing_input(schemas, operation, exchange.request)
        message = f"got {response.status}, a server error" + (f" ({input_text})" if input_text else "")
        yield Finding("no-server-error", operation.pointer, None, message, input_text)
    # A successful response may contain the other markers as data.
    markers = STACK_TRACE_MARKERS if response.status >= 400 else STACK_TRACE_MARKERS[:1]
    marker = next((candidate for candidate in markers if candidate in response.content), None)
    if marker is not None:
        message = f"a response with {response.status} exposes internal details: {marker.decode()!r}"
        input_text = distinguishing_input(schemas, operation, exchange.request)
        yield Finding("no-traceback", operation.pointer, None, message, f"{response.status} {input_text}".rstrip())
    if exchange.request.method != operation.method or response.status in SERVER_STATUSES or response.status >= 500:
        return
    is_anonymous = exchange.request.token_actor == Actor.ANONYMOUS
    if response.status == 401 and 401 not in operation.responses and is_anonymous and operation.security:
        return  # implied by the security requirement
    if not operation.documents(response.status):
        has_responses = bool(operation.responses or operation.response_ranges)
        if not has_responses or _is_implied_rejection(operation, exchange):
            return
        message = f"got {response.status}, expected {', '.join(map(str, operation.responses))}"
        yield Finding("status-is-documented", f"{operation.pointer}/responses", "*", message, str(response.status))
        return
    yield from _inspect_body(schemas, operation, exchange)


def _is_implied_rejection(operation: Operation, exchange: Exchange) -> bool:
    """Whether a status rejects an invalid request in a way that the contract leaves open."""
    status = exchange.response.status
    if status not in REJECTION_STATUSES:
        return False
    if status == 415 and _has_other_media_type(operation, exchange.request):
        return True
    if not operation.is_static:
        return _rejects_input(operation, status)
    return status == 415 or not any(operation.documents(other) for other in REJECTION_STATUSES)


def _rejects_input(operation: Operation, status: int) -> bool:
    """Whether a status rejects a body or parameter of an operation that documents no status for that."""
    has_body = operation.request_body is not None
    if status == 422:
        has_input = has_body or bool(operation.parameters)
        return has_input and not any(operation.documents(other) for other in INVALID_INPUT_STATUSES)
    return has_body and status in (400, 415) and not (operation.documents(400) or operation.documents(415))


def _has_other_media_type(operation: Operation, request: Request) -> bool:
    """Whether a request names a media type that the operation does not document for its body."""
    content_type = next((text for name, text in request.headers.items() if name.lower() == "content-type"), "")
    body = operation.request_body
    return bool(content_type) and (body is None or find_media_type(content_type, body.media_types) is None)


def find_documented_content(schemas: SchemaValidators, pointer: str) -> Mapping[str, Any]:
    """Return the content of a response by media type. `pointer`: of the schema of one of them."""
    head, _, _ = pointer.rpartition("/content/")
    content: Mapping[str, Any] = schemas.document.resolve(f"{head}/content")
    return content


def _find_media_type(content: Mapping[str, Any], media_type: str) -> str | None:
    """Return the documented media type, or the range, that a response has."""
    names = {name.split(";")[0].strip().lower(): name for name in content}
    ranges = (media_type, f"{media_type.split('/')[0]}/*", "*/*")
    return next((names[name] for name in ranges if name in names), None)


def is_json_media_type(media_type: str) -> bool:
    """Whether a media type is JSON."""
    return media_type.split(";")[0].strip().lower().endswith(("/json", "+json"))


def _inspect_body(schemas: SchemaValidators, operation: Operation, exchange: Exchange) -> Iterator[Finding]:
    response = exchange.response
    pointer = operation.find_response_schema(response.status)
    if pointer is None or operation.method == "head" or response.status in STATUSES_WITHOUT_BODY:
        return
    media_type = response.headers.get("content-type", "").split(";")[0].strip().lower()
    content = find_documented_content(schemas, pointer)
    name = _find_media_type(content, media_type)
    if name is not None:
        if not is_json_media_type(media_type) or "schema" not in content[name]:
            return  # only JSON is validated
        pointer = f"{pointer.rpartition('/content/')[0]}/content/{escape(name)}/schema"
    elif not (is_json_media_type(media_type) and any(map(is_json_media_type, content))):
        expected = " or ".join(content)
        message = f"got {media_type or 'no media type'} for {response.status}, expected {expected}"
        status = str(response.status)
        yield Finding("content-type-is-json", pointer, None, message, status, provenance_independent=response.ok)
    body = response.json
    validator = schemas.get(pointer, "read")
    problem = response.json_problem or ("is null" if body is None and not validator.is_valid(None) else "")
    if problem:
        message = f"the body of {response.status} {problem}"
        yield Finding("response-matches-schema", pointer, None, message, provenance_independent=response.ok)
        return
    if len(response.content) > MAX_DETAILED_BYTES:
        if not validator.is_valid(body):
            message = f"the body of {response.status} does not match its schema"
            yield Finding("response-matches-schema", pointer, None, message)
        return
    yield from _describe_violations(pointer, response, validator.iter_errors(body))


def _describe_violations(pointer: str, response: Response, violations: Iterable[SchemaViolation]) -> Iterator[Finding]:
    reported: set[tuple[str, str, str]] = set()
    for violation in iter_causes(violations):
        keyword_pointer, keyword = locate_violation(pointer, violation.schema_path)
        value_path = ".".join(map(str, violation.instance_path))
        message = f"{value_path or 'the body'} of {response.status}: {violation.message[:300]}"
        for detail in violation_details(keyword, violation):
            subject = f"{format_path(violation.instance_path)} {detail}".strip()
            if (keyword_pointer, keyword, subject) not in reported and len(reported) < MAX_VIOLATIONS:
                reported.add((keyword_pointer, keyword, subject))
                yield Finding("response-matches-schema", keyword_pointer, keyword, message, subject)


def locate_violation(pointer: str, path: list[Any]) -> tuple[str, str]:
    """(pointer of the schema, keyword) of a violation in the contract.

    The root of a validator is ``allOf: [schema]``; a referenced schema has its own location in the document.
    """
    *parent_parts, keyword = [str(part) for part in path] or ["type"]
    if parent_parts[:2] == ["allOf", "0"]:
        parent_parts = parent_parts[2:]
    else:
        pointer = "#"
    return "/".join([pointer, *map(escape, parent_parts)]), keyword


def iter_causes(violations: Iterable[SchemaViolation]) -> Iterator[SchemaViolation]:
    """Replace a violation of `anyOf` or `oneOf` by those in the only alternative that has the type of the value.

    So the provenance of the part that is violated decides, not that of the alternatives.
    """
    for violation in violations:
        alternatives = [list(nested) for nested in getattr(violation.kind, "context", ())]
        candidates = [nested for nested in alternatives if not any(_excludes(v, violation) for v in nested)]
        if len(candidates) == 1 and candidates[0]:
            yield from iter_causes(candidates[0])
        else:
            yield violation


def _excludes(nested: SchemaViolation, violation: SchemaViolation) -> bool:
    """Whether a violation in an alternative shows that the value is of another one, as an object is not null."""
    if list(nested.instance_path) != list(violation.instance_path) or not nested.schema_path:
        return False
    keyword = str(nested.schema_path[-1])
    return keyword == "type" or (keyword in ("enum", "const") and isinstance(violation.instance, (dict, list)))


def json_type(value: Any) -> str:
    """The JSON type of a value: ``integer`` for an integer."""
    return _JSON_TYPES.get(type(value), "null")


def format_path(path: Any) -> str:
    """A path in a body: names joined by dots, without list indexes."""
    return ".".join("[]" if isinstance(part, int) else str(part) for part in path)


def violation_details(keyword: str, violation: SchemaViolation) -> list[str]:
    """What a violation of a keyword is about: each unexpected or missing key, the actual type or enum value.

    [""] if the keyword says it all. Text of the target is included only if it is a plain word.
    """
    kind = violation.kind
    match keyword:
        case "required":
            return [_safe_word(kind.property)]
        case "additionalProperties":
            return [_safe_word(name) for name in sorted(kind.unexpected)]
        case "enum":
            return [_safe_word(str(violation.instance))]
        case "type":
            return [json_type(violation.instance)]
        case "anyOf" | "oneOf":
            first_alternative = next(iter(getattr(kind, "context", ())), ())
            return [_nested_detail(nested, len(violation.instance_path)) for nested in first_alternative] or [""]
    return [""]


def _nested_detail(violation: SchemaViolation, depth: int) -> str:
    """A violation inside an alternative, relative to the value at `depth`."""
    keyword = str(violation.schema_path[-1]) if violation.schema_path else ""
    path_text = format_path(violation.instance_path[depth:])
    return " ".join([part for part in (path_text, keyword, *violation_details(keyword, violation)) if part])


def _safe_word(text: str) -> str:
    """A text of the target as part of an identifier."""
    return text if _PLAIN_WORD.fullmatch(text) else "#" + sha256(text.encode(errors="replace")).hexdigest()[:8]


def distinguishing_input(schemas: SchemaValidators, operation: Operation, request: Request) -> str:
    """What distinguishes a request from others of its operation: parameters, and invalid or missing body fields."""
    features = sorted({name for name, value in request.query if value})
    if request.actor != Actor.OWNER:
        features.append(f"as {request.actor}")
    if request.method != operation.method:
        features.append(request.method.upper())
    if request.raw_body is not None:
        return " ".join([*features, "raw body"])
    body = request.body if isinstance(request.body, dict) else {}
    for field in operation.body_fields.values():
        if field.name in body and not schemas.get_field(field, "write").is_valid(body[field.name]):
            features.append(f"invalid {field.name}")
        elif field.name not in body and field.required:
            features.append(f"without {field.name}")
    return " ".join(features)
