"""What makes a breach the same one in another run: which key, type or value it is about, beside its place."""

import re
from hashlib import sha256
from typing import Any

from conformance.exchange import Request
from spec.contract import Operation
from spec.schemas import SchemaValidators, SchemaViolation

PLAIN = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
_JSON = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


def place_in(path: Any) -> str:
    """Where in a body: names joined by dots; positions in lists do not tell one breach from another."""
    return ".".join("[]" if isinstance(part, int) else str(part) for part in path)


def details(keyword: str, breach: SchemaViolation) -> list[str]:
    """What a breach of a keyword is about: each key that is too many or lacks, the type or the choice that was found.

    [""] where the keyword says it all. What the target says stands there as it is only where it is a plain word.
    """
    kind = breach.kind
    match keyword:
        case "required":
            return [_word(kind.property)]
        case "additionalProperties":
            return [_word(name) for name in sorted(kind.unexpected)]
        case "enum":
            return [_word(str(breach.instance))]
        case "type":
            return [_JSON.get(type(breach.instance), "null")]
        case "anyOf" | "oneOf":
            return [_below(below, len(breach.instance_path)) for below in _first(kind)] or [""]
    return [""]


def _first(kind: Any) -> list[SchemaViolation]:
    """How a value breaks the first alternative."""
    context = getattr(kind, "context", None)
    return list(context[0]) if context else []


def _below(breach: SchemaViolation, depth: int) -> str:
    """A breach of an alternative, from the value on that the alternatives are for, which stands `depth` deep."""
    keyword = str(breach.schema_path[-1]) if breach.schema_path else ""
    place = place_in(breach.instance_path[depth:])
    return " ".join([part for part in (place, keyword, *details(keyword, breach)) if part])


def _word(text: str) -> str:
    """A text of the target as a part of a name."""
    return text if PLAIN.fullmatch(text) else "#" + sha256(text.encode(errors="replace")).hexdigest()[:8]


def peculiar(schemas: SchemaValidators, operation: Operation, request: Request) -> str:
    """What sets a request apart from others of its operation: parameters, and what of its body breaks the contract."""
    found = sorted({name for name, value in request.query if value})
    if request.as_ != "self":
        found.append(f"as {request.as_}")
    if request.method != operation.method:
        found.append(request.method.upper())
    if request.raw is not None:
        return " ".join([*found, "raw body"])
    fields = operation.request_body.fields if operation.request_body else {}
    sent = request.body if isinstance(request.body, dict) else {}
    for name, field in fields.items():
        if name in sent and not schemas.get(field.pointer, "write").is_valid(sent[name]):
            found.append(f"broken {name}")
        elif name not in sent and field.required:
            found.append(f"without {name}")
    return " ".join(found)
