"""Identifies a schema violation across runs: the key, type or value that it is about, in addition to its location."""

import re
from hashlib import sha256
from typing import Any

from conformance.transport.messages import Request
from spec.model import Operation
from spec.validators import SchemaValidators, SchemaViolation

PLAIN_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
_JSON_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


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
    return text if PLAIN_WORD.fullmatch(text) else "#" + sha256(text.encode(errors="replace")).hexdigest()[:8]


def distinguishing_input(schemas: SchemaValidators, operation: Operation, request: Request) -> str:
    """What distinguishes a request from others of its operation: parameters, and invalid or missing body fields."""
    features = sorted({name for name, value in request.query if value})
    if request.actor != "self":
        features.append(f"as {request.actor}")
    if request.method != operation.method:
        features.append(request.method.upper())
    if request.raw_body is not None:
        return " ".join([*features, "raw body"])
    fields = operation.request_body.fields if operation.request_body else {}
    body = request.body if isinstance(request.body, dict) else {}
    for name, field in fields.items():
        if name in body and not schemas.get(field.pointer, "write").is_valid(body[name]):
            features.append(f"invalid {name}")
        elif name not in body and field.required:
            features.append(f"without {name}")
    return " ".join(features)
