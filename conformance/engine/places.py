"""Where in the contract a case of the engine is broken on purpose, by our own reading of the contract."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.exchange import Request
from conformance.notice import locate_violation
from conformance.session import Session
from spec.contract import Operation, Parameter
from spec.schemas import SchemaViolation

LONGEST = 191  # characters of a text that no usual column is too narrow for
LARGEST = 2**31 - 1  # what any column of numbers takes
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
AS_BOOLEAN = (0, 1, "0", "1", "true", "false", "")


@dataclass(frozen=True, slots=True)
class Place:
    """A place of the contract, the keyword that is broken there, the parameter or property, and how."""

    pointer: str
    keyword: str | None
    parameter: str
    said: str


def broken_at(session: Session, operation: Operation, request: Request) -> Place | None:
    """The first place at which a request breaks the contract in a way that no usual server overlooks; None: at none."""
    return next(breaches(session, operation, request), None)


def breaches(session: Session, operation: Operation, request: Request) -> Iterator[Place]:
    """Every such place."""
    yield from _of_body(session, operation, request)
    query: dict[str, list[str]] = {}
    for name, value in request.query:
        query.setdefault(name, []).append(value)
    for parameter in operation.parameters:
        if parameter.location == "query":
            yield from _of_parameter(session, parameter, _texts(session, parameter, query))
        elif parameter.location == "path" and parameter.name in request.path_values:
            yield from _of_parameter(session, parameter, [str(request.path_values[parameter.name])])


def _texts(session: Session, parameter: Parameter, query: Mapping[str, list[str]]) -> list[str] | None:
    """What a query says of a parameter. Only an array has a bracketed spelling: elsewhere that is another name."""
    bracketed = (
        query.get(f"{parameter.name}[]")
        if session.payloads.resolve_schema(parameter.schema).get("type") == "array"
        else None
    )
    plain = query.get(parameter.name)
    return None if plain is None and bracketed is None else [*(plain or ()), *(bracketed or ())]


def _of_body(session: Session, operation: Operation, request: Request) -> Iterator[Place]:
    body = operation.request_body
    if body is None:
        return
    value = request.body
    if request.raw_body is not None:
        try:
            value = json.loads(request.raw_body)
        except (ValueError, RecursionError):
            yield Place(body.pointer, "type", "body", "the body is no JSON")
            return
    elif value is None:
        if body.required:
            yield Place(f"{operation.pointer}/requestBody", "required", "body", "there is no body")
        return
    for breach in session.schemas.get(body.pointer, "write").iter_errors(value):
        pointer, keyword = locate_violation(body.pointer, breach.schema_path)
        if not overlooked(keyword, _type_at(session, pointer), breach):
            name = ".".join("[]" if isinstance(part, int) else part for part in breach.instance_path) or "body"
            yield Place(pointer, keyword, name, f"{name} breaks {keyword}: {breach.message[:200]}")


def _type_at(session: Session, pointer: str) -> str:
    try:
        found = session.contract.document.resolve(pointer)
    except (KeyError, IndexError, TypeError, ValueError):
        return ""
    return str(found.get("type", "")) if isinstance(found, dict) else ""


def overlooked(keyword: str, kind: str, breach: SchemaViolation) -> bool:
    """Whether servers that are no worse for it take such a value: as PHP reads numbers, booleans, lists and texts."""
    value = breach.instance
    if keyword == "additionalProperties":
        return True  # a server may ignore what it does not know
    if isinstance(value, str) and value != value.strip():
        return True  # trimmed before it is looked at
    if keyword == "type" and kind in ("integer", "number"):
        return isinstance(value, float) or (isinstance(value, str) and bool(NUMBER.fullmatch(value)))
    if keyword == "type" and kind == "boolean":
        return any(value == one and type(value) is type(one) for one in AS_BOOLEAN)
    if keyword == "type" and kind in ("array", "object"):
        return isinstance(value, (list, dict))
    return False


def _of_parameter(session: Session, parameter: Parameter, texts: list[str] | None) -> Iterator[Place]:
    place = f"{parameter.pointer}/schema"
    if texts is None:
        if parameter.required:
            yield Place(parameter.pointer, "required", parameter.name, f"{parameter.name} is missing")
        return
    if texts == [""] and (parameter.allow_empty_value or not parameter.required):
        return
    schema = session.payloads.resolve_schema(parameter.schema)
    value: Any = texts[-1]
    if schema.get("type") == "array":
        split = texts if parameter.explode else [one for text in texts for one in text.split(",")]
        value = [_read(one, str(session.payloads.resolve_schema(schema.get("items", {})).get("type"))) for one in split]
    else:
        value = _read(value, str(schema.get("type")))
    for breach in session.schemas.get(place, "write").iter_errors(value):
        pointer, keyword = locate_violation(place, breach.schema_path)
        if not overlooked(keyword, _type_at(session, pointer), breach):
            yield Place(pointer, keyword, parameter.name, f"{parameter.name} breaks {keyword}: {breach.message[:200]}")


def _read(text: str, kind: str) -> Any:
    """The value that a text stands for where a kind of value is due."""
    if kind == "integer" and re.fullmatch(r"-?[0-9]{1,4000}", text):
        return int(text)
    if kind == "number" and NUMBER.fullmatch(text):
        return float(text)
    if kind == "boolean" and text.lower() in ("1", "true", "0", "false"):
        return text.lower() in ("1", "true")
    return text


def ordinary(request: Request) -> bool:
    """Whether a request holds nothing that a sound server may refuse for itself.

    Such are texts that are blank or longer than a column, control characters, characters beyond the first plane,
    numbers beyond 32 bits, and times that are none in its calendar.
    """
    values: list[Any] = [value for _, value in request.query]
    values += [request.body, *request.path_values.values()]
    return request.raw_body is None and all(_ordinary(one) for value in values for one in _leaves(value))


def _ordinary(value: Any) -> bool:
    if isinstance(value, str):
        plain = all((one.isprintable() or one == "\n") and ord(one) < 0x10000 for one in value)
        stamp = not re.match(r"\d{4}-\d\d-\d\d", value) or re.match(r"(19[7-9]|20[0-3])\d", value) is not None
        return plain and stamp and value == value.strip() and value != "" and len(value) <= LONGEST
    if isinstance(value, (int, float)):
        return abs(value) <= LARGEST
    return True


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _leaves(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _leaves(one)
    else:
        yield value
