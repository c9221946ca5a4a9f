"""What a client is told of a breach: Laravel's sentences, one for each keyword of a schema.

A field is named by its dotted path (``files.0.name``); in a sentence its underscores are spaces, as Laravel has it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from spec.document import escape
from spec.schemas import SchemaViolation

_TYPES: Mapping[str, str] = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_FORMATS: Mapping[str, str] = {
    "uuid": "must be a valid UUID.",
    "email": "must be a valid email address.",
    "date": "must be a valid date.",
    "date-time": "must be a valid date.",
    "uri": "must be a valid URL.",
    "ipv4": "must be a valid IPv4 address.",
    "ipv6": "must be a valid IPv6 address.",
}
_EXAMPLES: Mapping[str, str] = {
    "date": "a date like 2026-03-01",
    "date-time": "an instant like 2026-03-01T10:30:00Z",
}
_LISTED, _LONGEST = 20, 300


@dataclass(frozen=True, slots=True)
class Complaint:
    """A broken field: its dotted path, and the sentence.

    `place`: where the contract says what was broken. `allowed`: what the contract allows where the sentence does not
    say it, for people at the console.
    """

    field: str
    sentence: str
    place: str
    allowed: str = ""


def required(field: str, place: str) -> Complaint:
    """The complaint about a field that was not sent."""
    return Complaint(field, f"The {_spoken(field)} field is required.", place)


def not_of_type(field: str, kind: str, pointer: str) -> Complaint:
    """The complaint about a field that is of another type than its schema's, at `pointer`."""
    return Complaint(field, f"The {_spoken(field)} field must be {_TYPES.get(kind, kind)}.", f"{pointer}/type")


def _place(pointer: str, steps: Sequence[str | int]) -> str:
    """Where a keyword stands. `steps`: to it from the schema at `pointer`, as the validator tells them.

    Schemas behind a reference stand at their own place.
    """
    escaped = [escape(str(step)) for step in steps]
    if escaped[:2] == ["allOf", "0"]:
        return "/".join((pointer, *escaped[2:]))
    return "/".join(("#", *escaped))


def complaints(
    breaches: Iterable[SchemaViolation], pointer: str, *, within: tuple[str, ...] = (), due: Collection[str] = ()
) -> Iterator[Complaint]:
    """Every complaint that the breaches of the schema at `pointer` come to.

    `within`: where the value stands (a query parameter's name). `due`: names that are required at the top, so that
    null is no value for them.
    """
    for breach in breaches:
        yield from _of_breach(breach, pointer, within, due)


def _of_breach(
    breach: SchemaViolation, pointer: str, within: tuple[str, ...], due: Collection[str]
) -> Iterator[Complaint]:
    kind = breach.kind
    keyword: str = kind.name
    path = (*within, *map(str, breach.instance_path))
    place = _place(pointer, breach.schema_path)
    if keyword == "required":
        yield required(".".join((*path, kind.property)), place)
    elif keyword == "additionalProperties":
        for name in kind.unexpected:
            field = ".".join((*path, name))
            yield Complaint(field, f"The {_spoken(field)} field is prohibited.", place)
    elif keyword in ("anyOf", "oneOf") and (branch := _best(kind, len(breach.instance_path))):
        for inner in branch:
            yield from _of_breach(inner, pointer, within, due)
    else:
        field = ".".join(path) or "body"
        if breach.instance is None and len(path) == 1 and field in due:
            yield required(field, place)
        else:
            said = _sentence(keyword, kind, breach.instance).format(_spoken(field))
            yield Complaint(field, said, place, _allowed(keyword, kind))


def _best(kind: Any, depth: int) -> list[SchemaViolation]:
    """The breaches of the branch that fits best: of the same kind, with nothing missing, then the fewest."""
    branches: list[list[SchemaViolation]] = [branch for branch in getattr(kind, "context", ()) if branch]

    def misfit(branch: list[SchemaViolation]) -> tuple[bool, bool, int, int]:
        here = [b.kind.name for b in branch if len(b.instance_path) == depth]
        only_null = any(b.kind.name == "enum" and b.kind.options == [None] for b in branch)
        other_kind = any(name in ("type", "enum", "const") for name in here)
        return only_null, other_kind, here.count("required"), len(branch)

    best = min(branches, key=misfit, default=[])
    if len(branches) > 1 and sum(misfit(b) == misfit(best) for b in branches) > 1 and misfit(best)[1]:
        return []  # several kinds are allowed and it is none of them
    return best


def _sentence(keyword: str, kind: Any, value: Any) -> str:
    """A sentence with ``{}`` for the attribute's name."""
    say = _SENTENCES.get(keyword)
    return "The {} field is invalid." if say is None else say(kind, value)


def _allowed(keyword: str, kind: Any) -> str:
    """What is allowed, where Laravel's sentence says only that it is not this."""
    say = _ALLOWED.get(keyword)
    return "" if say is None else say(kind)


def _listed(values: Iterable[Any]) -> str:
    """Values as JSON has them, texts without quotation marks; of a long list the beginning."""
    shown = [value if isinstance(value, str) and value else orjson.dumps(value).decode() for value in values]
    text = ", ".join(shown[:_LISTED])
    return f"{text[:_LONGEST]}..." if len(shown) > _LISTED or len(text) > _LONGEST else text


def _branches(kind: Any) -> str:
    """The kinds of value that alternatives allow, where none of them fits better than another."""
    named = [b.kind.types for branch in kind.context for b in branch if b.kind.name == "type"]
    return " or ".join(dict.fromkeys(_TYPES.get(name, name) for types in named for name in types))


_ALLOWED: Mapping[str, Callable[[Any], str]] = {
    "enum": lambda kind: _listed(kind.options),
    "const": lambda kind: _listed([kind.expected_value]),
    "format": lambda kind: _EXAMPLES.get(kind.format, ""),
    "pattern": lambda kind: f"what matches {kind.pattern[:_LONGEST]}",
    "anyOf": _branches,
    "oneOf": _branches,
}


def _type(kind: Any, value: Any) -> str:
    allowed = [_TYPES.get(name, name) for name in kind.types if name != "null"] or ["null"]
    return "The {} field must be " + " or ".join(allowed) + "."


def _format(kind: Any, value: Any) -> str:
    return "The {} field " + _FORMATS.get(kind.format, f"must match the format {kind.format}.")


def _min_length(kind: Any, value: Any) -> str:
    if value == "":
        return "The {} field is required."
    return f"The {{}} field must be at least {kind.limit} characters."


_SENTENCES: Mapping[str, Callable[[Any, Any], str]] = {
    "type": _type,
    "format": _format,
    "minLength": _min_length,
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
    "minProperties": lambda kind, value: f"The {{}} field must have at least {kind.limit} items.",
    "maxProperties": lambda kind, value: f"The {{}} field must not have more than {kind.limit} items.",
    "uniqueItems": lambda kind, value: "The {} field has a duplicate value.",
    "pattern": lambda kind, value: "The {} field format is invalid.",
}


def _spoken(field: str) -> str:
    return field.replace("_", " ")
