"""Convert schema violations to Laravel's validation messages, one for each schema keyword.

A field is named by its dotted path (``files.0.name``); messages show its underscores as spaces, as Laravel does.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import orjson

from mock_server.web.violations import ViolationList
from spec.document import Document, escape
from spec.errors import ContractError
from spec.patterns import BACKTRACK_LIMIT
from spec.validators import SchemaViolation

_TYPE_NAMES: Mapping[str, str] = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_FORMAT_RULES: Mapping[str, str] = {
    "uuid": "must be a valid UUID.",
    "email": "must be a valid email address.",
    "date": "must be a valid date.",
    "date-time": "must be a valid date.",
    "uri": "must be a valid URL.",
    "ipv4": "must be a valid IPv4 address.",
    "ipv6": "must be a valid IPv6 address.",
}
_FORMAT_EXAMPLES: Mapping[str, str] = {
    "date": "a date, for example 2026-03-01",
    "date-time": "a date and time, for example 2026-03-01T10:30:00Z",
}
_MAX_LISTED_VALUES, _MAX_TEXT_CHARS = 20, 300
MAX_FIELD_CHARS = 255
_MAX_NAMES, _MAX_EXAMPLE_NAMES, _MAX_RECEIVED_CHARS = 12, 3, 100
NOT_RECEIVED = object()


@dataclass(frozen=True, slots=True)
class FieldError:
    """An invalid field (dotted path) and its message.

    `location`: JSON pointer of the violated keyword; `expected`: the accepted values if the message does not name them.
    `has_more`: whether the value has further errors that were not looked for. `received`: the invalid value.
    """

    field: str
    message: str
    location: str
    expected: str = ""
    has_more: bool = False
    received: Any = NOT_RECEIVED


def required_error(field: str, location: str) -> FieldError:
    return FieldError(field, f"The {_display_name(field)} field is required.", location)


def type_error(field: str, type_name: str, pointer: str) -> FieldError:
    """Return the error for a field whose type differs from that of the schema at `pointer`."""
    message = f"The {_display_name(field)} field must be {_TYPE_NAMES.get(type_name, type_name)}."
    return FieldError(field, message, f"{pointer}/type")


def _resolve_location(pointer: str, steps: Sequence[str | int]) -> str:
    """Return the JSON pointer of a keyword. `steps`: the validator's path from the schema at `pointer`.

    For a referenced schema the path starts at the root of the document.
    """
    escaped = [escape(str(step)) for step in steps]
    if escaped[-2:] == ["then", "pattern"] and escaped[-3:-2] not in (["properties"], ["patternProperties"]):
        del escaped[-2]  # a keyword that the translation adds, see `spec.validators`
    if escaped[:2] == ["allOf", "0"]:
        return "/".join((pointer, *escaped[2:]))
    return "/".join(("#", *escaped))


def field_errors(
    violations: Iterable[SchemaViolation],
    pointer: str,
    *,
    path_prefix: tuple[str, ...] = (),
    required_fields: Collection[str] = (),
    item_offset: int = 0,
) -> Iterator[FieldError]:
    """Yield the errors for violations of the schema at `pointer`.

    `path_prefix`: path of the value (a query parameter's name); `required_fields`: top-level names for which null is
    reported as missing; `item_offset`: added to the index in the second place of a path.
    """
    for violation in violations:
        for error in _iter_violation_errors(violation, pointer, path_prefix, required_fields, item_offset):
            is_long = len(error.field) > MAX_FIELD_CHARS
            yield _shorten_field(error) if is_long else error


def _shorten_field(error: FieldError) -> FieldError:
    """Shorten the path of a field, which the message contains too: the names in it are those of the client."""
    field = error.field[:MAX_FIELD_CHARS] + "..."
    return replace(error, field=field, message=error.message.replace(_display_name(error.field), _display_name(field)))


def list_field_errors(
    violations: ViolationList,
    pointer: str,
    *,
    path_prefix: tuple[str, ...] = (),
    required_fields: Collection[str] = (),
) -> list[FieldError]:
    """Return the errors for violations of the schema at `pointer`, see `field_errors`."""
    errors = list(
        field_errors(
            violations.violations,
            pointer,
            path_prefix=path_prefix,
            required_fields=required_fields,
            item_offset=violations.item_offset,
        )
    )
    if violations.invalid_field is not None:
        name = ".".join((*path_prefix, *filter(None, [violations.invalid_field]))) or "body"
        location = f"{pointer}/properties/{escape(violations.invalid_field)}" if violations.invalid_field else pointer
        errors.append(FieldError(name, f"The {_display_name(name)} field is invalid.", location))
    if errors and not violations.is_complete:
        errors[-1] = replace(errors[-1], has_more=True)
    return errors


def _iter_violation_errors(
    violation: SchemaViolation,
    pointer: str,
    path_prefix: tuple[str, ...],
    required_fields: Collection[str],
    item_offset: int,
) -> Iterator[FieldError]:
    kind = violation.kind
    keyword: str = kind.name
    steps = violation.instance_path
    if item_offset and len(steps) > 1 and isinstance(steps[1], int):
        steps = [steps[0], steps[1] + item_offset, *steps[2:]]
    path = (*path_prefix, *map(str, steps))
    location = _resolve_location(pointer, violation.schema_path)
    if keyword == "required":
        yield required_error(".".join((*path, kind.property)), location)
    elif keyword == "additionalProperties":
        for name in kind.unexpected:
            field = ".".join((*path, name))
            yield FieldError(field, f"The {_display_name(field)} field is prohibited.", location)
    elif keyword in ("anyOf", "oneOf") and (branch := _find_best_branch(kind, len(violation.instance_path))):
        for branch_violation in branch:
            yield from _iter_violation_errors(branch_violation, pointer, path_prefix, required_fields, item_offset)
    else:
        field = ".".join(path) or "body"
        if violation.instance is None and len(path) == 1 and field in required_fields:
            yield required_error(field, location)
        else:
            build, describe = _MESSAGES.get(keyword), _EXPECTED_DESCRIPTIONS.get(keyword)
            message = build(kind, violation.instance) if build else "The {} field is invalid."
            expected = describe(kind) if describe else ""
            text = message.format(_display_name(field))
            yield FieldError(field, text, location, expected, received=violation.instance)


def _find_best_branch(kind: Any, depth: int) -> list[SchemaViolation]:
    """Return the violations of the best branch: of the same type, without missing fields, then the fewest."""
    branches: list[list[SchemaViolation]] = [branch for branch in getattr(kind, "context", ()) if branch]

    def rank_mismatch(branch: list[SchemaViolation]) -> tuple[bool, bool, int, int]:
        keywords = [b.kind.name for b in branch if len(b.instance_path) == depth]
        is_only_null = any(b.kind.name == "enum" and b.kind.options == [None] for b in branch)
        is_other_type = any(name in ("type", "enum", "const") for name in keywords)
        return is_only_null, is_other_type, keywords.count("required"), len(branch)

    ranks = [rank_mismatch(branch) for branch in branches]
    best = min(ranks, default=None)
    if best is None or (ranks.count(best) > 1 and best[1]):
        return []  # several types are allowed and the value has none of them
    return branches[ranks.index(best)]


def _format_values(values: Iterable[Any]) -> str:
    """Format values as JSON, strings without quotation marks; a long list is truncated."""
    texts = [value if isinstance(value, str) and value else orjson.dumps(value).decode() for value in values]
    text = ", ".join(texts[:_MAX_LISTED_VALUES])
    return f"{text[:_MAX_TEXT_CHARS]}..." if len(texts) > _MAX_LISTED_VALUES or len(text) > _MAX_TEXT_CHARS else text


def _list_branch_types(kind: Any) -> str:
    """Return the types that the branches allow."""
    type_lists = [b.kind.types for branch in kind.context for b in branch if b.kind.name == "type"]
    return " or ".join(dict.fromkeys(_TYPE_NAMES.get(name, name) for types in type_lists for name in types))


def _describe_pattern(kind: Any) -> str:
    """Describe the accepted texts. A violation because of the backtracking limit does not have the pattern."""
    pattern = getattr(kind, "pattern", None)
    return f"a match of {pattern[:_MAX_TEXT_CHARS]}" if pattern else f"a match within {BACKTRACK_LIMIT} steps"


# The accepted values, for keywords whose message does not name them.
_EXPECTED_DESCRIPTIONS: Mapping[str, Callable[[Any], str]] = {
    "enum": lambda kind: _format_values(kind.options),
    "const": lambda kind: _format_values([kind.expected_value]),
    "format": lambda kind: _FORMAT_EXAMPLES.get(kind.format, ""),
    "pattern": _describe_pattern,
    "anyOf": _list_branch_types,
    "oneOf": _list_branch_types,
}


def _build_type_message(kind: Any, value: Any) -> str:
    type_names = [_TYPE_NAMES.get(name, name) for name in kind.types if name != "null"] or ["null"]
    return "The {} field must be " + " or ".join(type_names) + "."


def _build_format_message(kind: Any, value: Any) -> str:
    return "The {} field " + _FORMAT_RULES.get(kind.format, f"must match the format {kind.format}.")


def _build_min_length_message(kind: Any, value: Any) -> str:
    if value == "":
        return "The {} field is required."
    return f"The {{}} field must be at least {kind.limit} characters."


def _count_properties(count: int) -> str:
    return f"{count} property" if count == 1 else f"{count} properties"


# The message, with ``{}`` for the field's name.
_MESSAGES: Mapping[str, Callable[[Any, Any], str]] = {
    "type": _build_type_message,
    "format": _build_format_message,
    "minLength": _build_min_length_message,
    "enum": lambda kind, value: "The selected {} is invalid.",
    "const": lambda kind, value: "The selected {} is invalid.",
    "maxLength": lambda kind, value: f"The {{}} field must not be greater than {kind.limit} characters.",
    "minimum": lambda kind, value: f"The {{}} field must be at least {kind.limit}.",
    "maximum": lambda kind, value: f"The {{}} field must not be greater than {kind.limit}.",
    "exclusiveMinimum": lambda kind, value: f"The {{}} field must be greater than {kind.limit}.",
    "exclusiveMaximum": lambda kind, value: f"The {{}} field must be less than {kind.limit}.",
    "multipleOf": lambda kind, value: f"The {{}} field must be a multiple of {kind.multiple_of}.",
    "minItems": lambda kind, value: f"The {{}} field must have at least {kind.limit} items.",
    "maxItems": lambda kind, value: f"The {{}} field must not have more than {kind.limit} items.",
    "minProperties": lambda kind, value: f"The {{}} field must have at least {_count_properties(kind.limit)}.",
    "maxProperties": lambda kind, value: f"The {{}} field must not have more than {kind.limit} items.",
    "uniqueItems": lambda kind, value: "The {} field has a duplicate value.",
    "pattern": lambda kind, value: "The {} field format is invalid.",
}


def _display_name(field: str) -> str:
    return field.replace("_", " ")


# Details


def describe_error(document: Document, error: FieldError) -> str:
    """Return the message of an error with the received value, and with what `document` allows in its place."""
    received = [] if error.received is NOT_RECEIVED else [f"received {_format_value(error.received)}"]
    expected = _describe_expected(document, error)
    details = ", ".join([*received, *([f"expected {expected}"] if expected else [])])
    return f"{error.message.removesuffix('.')} ({details})." if details else error.message


def describe_names(received: Any, names: Collection[str]) -> str:
    """List names in place of an unknown one: all if they are few, else the similar ones or some examples."""
    similar = get_close_matches(received[:_MAX_RECEIVED_CHARS], names, _MAX_EXAMPLE_NAMES) if received else []
    suggestion = f"; did you mean {join_names(similar)}?" if similar else ""
    if not names:
        return "none"
    if len(names) <= _MAX_NAMES:
        return join_names(names) + suggestion
    if similar:
        return f"one of {len(names)} names{suggestion}"
    return f"one of {len(names)} names, for example {join_names(list(names)[:_MAX_EXAMPLE_NAMES])}"


def join_names(names: Collection[str]) -> str:
    """Return ``a, b or c``."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def _describe_expected(document: Document, error: FieldError) -> str:
    parent_pointer, _, keyword = error.location.rpartition("/")
    try:
        schema = document.resolve(parent_pointer)
    except ContractError:
        return error.expected
    if keyword == "additionalProperties":
        return describe_names(error.field.rpartition(".")[2], sorted(schema.get("properties", ())))
    if keyword == "enum" and all(isinstance(option, str) for option in schema[keyword]):
        return describe_names(error.received if isinstance(error.received, str) else "", schema[keyword])
    if keyword == "minProperties" and schema.get("properties"):
        return f"at least {schema[keyword]} of {', '.join(sorted(schema['properties']))}"
    if keyword == "pattern":
        example, description = schema.get("example"), schema.get("description", "").strip().rstrip(".")
        parts = [description, f"for example {example}" if example else ""]
        return ", ".join(filter(None, parts)) or error.expected
    return error.expected


def _format_value(value: Any) -> str:
    """Return a value as JSON; of a long text the first part, of an array or object only the type."""
    if isinstance(value, (list, dict)):
        return f"an array of {len(value)} items" if isinstance(value, list) else "an object"
    text = orjson.dumps(value).decode()
    return text if len(text) <= _MAX_RECEIVED_CHARS else text[:_MAX_RECEIVED_CHARS] + "..."
