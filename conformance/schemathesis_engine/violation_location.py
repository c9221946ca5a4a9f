"""Location of the contract violation in an invalid case, independent of Schemathesis."""

import json
import re
from collections.abc import Iterator
from typing import Any

from conformance.responses.findings import Finding, format_path, iter_causes, locate_violation
from conformance.session.session import Session
from conformance.transport.messages import Request, iter_leaves
from spec.model import Operation, Parameter
from spec.validators import SchemaViolation

CHECK = "engine-negative-data-rejection"
MAX_COLUMN_CHARS = 191  # fits into common column types
MAX_INT32 = 2**31 - 1  # fits into common column types
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
BOOLEAN_LIKE_VALUES = (0, 1, "0", "1", "true", "false", "")


def find_violation(session: Session, operation: Operation, request: Request) -> Finding | None:
    """Find the first violation in a request that common servers do not tolerate; None when there is none."""
    return next(find_violations(session, operation, request), None)


def find_violations(session: Session, operation: Operation, request: Request) -> Iterator[Finding]:
    """Find every violation that common servers do not tolerate."""
    yield from _body_violations(session, operation, request)
    for parameter in operation.parameters:
        if parameter.location == "query":
            yield from _parameter_violations(session, parameter, _query_texts(session, parameter, request))
        elif parameter.location == "path" and parameter.name in request.path_values:
            yield from _parameter_violations(session, parameter, [str(request.path_values[parameter.name])])


def _query_texts(session: Session, parameter: Parameter, request: Request) -> list[str] | None:
    """The texts of a query parameter. Only an array may have the `[]` suffix: otherwise it is another parameter."""
    is_array = session.payloads.resolve_schema(parameter.schema).get("type") == "array"
    names = (parameter.name, f"{parameter.name}[]") if is_array else (parameter.name,)
    return [text for name in names for sent_name, text in request.query if sent_name == name] or None


def _body_violations(session: Session, operation: Operation, request: Request) -> Iterator[Finding]:
    body = operation.request_body
    if body is None:
        return
    value = request.body
    if request.raw_body is not None:
        try:
            value = json.loads(request.raw_body)
        except (ValueError, RecursionError):
            yield Finding(CHECK, body.pointer, "type", "the body is not JSON", "body")
            return
    elif value is None:
        if body.required:
            yield Finding(CHECK, f"{operation.pointer}/requestBody", "required", "the body is missing", "body")
        return
    yield from _schema_violations(session, body.pointer, value, "")


def _schema_violations(session: Session, schema: str, value: Any, name: str) -> Iterator[Finding]:
    """The violations of the schema at a pointer. `name`: of the value; "": the path in the value."""
    for error in iter_causes(session.schemas.get(schema, "write").iter_errors(value)):
        pointer, keyword = locate_violation(schema, error.schema_path)
        node = session.contract.document.resolve(pointer)
        expected_type = str(node.get("type", "")) if isinstance(node, dict) else ""  # a list: of alternatives
        if not is_commonly_accepted(keyword, expected_type, error):
            subject = name or format_path(error.instance_path) or "body"
            yield Finding(CHECK, pointer, keyword, f"{subject} violates {keyword}: {error.message[:200]}", subject)


def is_commonly_accepted(keyword: str, expected_type: str, error: SchemaViolation) -> bool:
    """Whether common servers accept such a value, as PHP converts numbers, booleans, lists and texts."""
    value = error.instance
    if keyword == "additionalProperties":
        return True  # a server may ignore unknown properties
    if isinstance(value, str) and value != value.strip():
        return True  # may be trimmed before validation
    if keyword == "type" and expected_type in ("integer", "number"):
        return isinstance(value, float) or (isinstance(value, str) and bool(NUMBER.fullmatch(value)))
    if keyword == "type" and expected_type == "boolean":
        return any(value == accepted and type(value) is type(accepted) for accepted in BOOLEAN_LIKE_VALUES)
    if keyword == "type" and expected_type in ("array", "object"):
        return isinstance(value, (list, dict))
    return False


def _parameter_violations(session: Session, parameter: Parameter, texts: list[str] | None) -> Iterator[Finding]:
    if texts is None:
        if parameter.required:
            yield Finding(CHECK, parameter.pointer, "required", f"{parameter.name} is missing", parameter.name)
        return
    if texts == [""] and (parameter.allow_empty_value or not parameter.required):
        return
    schema = session.payloads.resolve_schema(parameter.schema)
    value: Any = texts[-1]
    if schema.get("type") == "array":
        items = texts if parameter.explode else [item for text in texts for item in text.split(",")]
        item_type = str(session.payloads.resolve_schema(schema.get("items", {})).get("type"))
        value = [_parse_text(item, item_type) for item in items]
    else:
        value = _parse_text(value, str(schema.get("type")))
    yield from _schema_violations(session, parameter.schema_pointer, value, parameter.name)


def _parse_text(text: str, expected_type: str) -> Any:
    """Convert a text to the expected type, if it has that form."""
    if expected_type == "integer" and re.fullmatch(r"-?[0-9]{1,4000}", text):
        return int(text)
    if expected_type == "number" and NUMBER.fullmatch(text):
        return float(text)
    if expected_type == "boolean" and text.lower() in ("1", "true", "0", "false"):
        return text.lower() in ("1", "true")
    return text


def is_ordinary(request: Request) -> bool:
    """Whether a request contains nothing that a server may reject for its own reasons.

    Those are blank texts, texts longer than a column, control characters, characters outside the Basic Multilingual
    Plane, numbers of more than 32 bits, and dates outside 1970 to 2039.
    """
    values: list[Any] = [value for _, value in request.query]
    values += [request.body, *request.path_values.values()]
    return request.raw_body is None and all(map(_is_ordinary_value, iter_leaves(values)))


def _is_ordinary_value(value: Any) -> bool:
    if isinstance(value, str):
        is_printable = all((char.isprintable() or char == "\n") and ord(char) < 0x10000 for char in value)
        is_date, is_plausible = re.match(r"\d{4}-\d\d-\d\d", value), re.match(r"(19[7-9]|20[0-3])\d", value)
        has_ordinary_length = 0 < len(value) <= MAX_COLUMN_CHARS and value == value.strip()
        return is_printable and has_ordinary_length and (not is_date or is_plausible is not None)
    if isinstance(value, (int, float)):
        return abs(value) <= MAX_INT32
    return True
