"""Parameters of a request: how the text of a query or a header is read as the values that the contract speaks of.

Read as PHP reads them: ``x=1&x=2``, ``x[]=1&x[]=2`` and ``x[0]=1`` are all the array x, of a repeated scalar the last
counts, and blank is absent. A scalar with brackets behind its name (``page[]=1``) is an array where none is due.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote_to_bytes

from mock_server.sentences import Complaint, complaints, not_of_type, required
from spec.contract import BodyField, Contract, Operation, Parameter
from spec.document import Document
from spec.errors import ContractError
from spec.schemas import SchemaValidators, Validator

_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_BOOLEANS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}
_BRACKETS = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])+)")
_BITS = 2**63
_NOTES = 20


@dataclass(frozen=True, slots=True)
class Found:
    """What was read: values by name, complaints, and the names that mean nothing to the operation."""

    values: Mapping[str, Any]
    complaints: tuple[Complaint, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reader:
    """One parameter, ready to read: what its schema is behind references, and its compiled validator.

    `scalar`: its type, where it is one that has no parts, else empty.
    """

    parameter: Parameter
    kind: str
    scalar: str
    items: Mapping[str, Any]
    properties: Mapping[str, Mapping[str, Any]]
    closed: bool
    validator: Validator
    document: Document = field(repr=False)

    @classmethod
    def of(cls, document: Document, schemas: SchemaValidators, parameter: Parameter) -> "Reader":
        """The reader of `parameter`."""
        place = f"{parameter.pointer}/schema"
        schema = parameter.schema
        return cls(
            parameter,
            str(schema.get("type", "")),
            _scalar(_resolved(document, schema)),
            _resolved(document, schema.get("items", {})),
            {name: _resolved(document, node) for name, node in schema.get("properties", {}).items()},
            schema.get("additionalProperties") is False,
            schemas.get(place, "write"),
            document,
        )

    def takes(self, part: str) -> bool:
        """Whether a part of an object means anything, if only that it may not be there."""
        return "[" not in part and (part in self.properties or self.closed or not self.properties)

    def read(self, texts: Sequence[str], parts: Mapping[str, str]) -> tuple[Any, bool]:
        """(the value, whether there is one) of all texts sent for it and, for an object, its parts by name."""
        if self.kind == "object":
            if not parts and texts and texts[-1]:
                return texts[-1], True
            sent = {name: self.coerced(self.properties.get(name, {}), text) for name, text in parts.items() if text}
            return sent, bool(sent)
        if self.kind == "array":
            if not self.parameter.explode:
                texts = [part for text in texts if text for part in text.split(",")]
            if not texts or (len(texts) == 1 and not texts[0]):
                return [], False
            return [self.coerced(self.items, text) for text in texts], True
        text = texts[-1] if texts else ""
        return (self.coerced(self.parameter.schema, text), True) if text else (None, False)

    def coerced(self, schema: Mapping[str, Any], text: str) -> Any:
        """`text` as the first of the schema's types that it can be; itself when it can be none."""
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or ()
        for option in (schema, *(_resolved(self.document, node) for node in options)):
            value = _coerced(str(option.get("type", "")), text)
            if value is not None:
                return value
        return text

    def complaints(self, value: Any) -> Iterator[Complaint]:
        """What is wrong with a value."""
        if not self.validator.is_valid(value):
            breaches = self.validator.iter_errors(value)
            name = self.parameter.name
            joined = self.kind == "array" and self.parameter.explode and any("," in str(part) for part in value)
            for complaint in complaints(breaches, f"{self.parameter.pointer}/schema", within=(name,)):
                yield replace(complaint, allowed=f"{name}=1&{name}=2 or {name}[]=1") if joined else complaint


def defaults_of(document: Document, fields: Mapping[str, BodyField]) -> dict[str, Any]:
    """What a body says that leaves fields out, as their schemas' defaults have it."""
    found = {name: {**_resolved(document, field.schema), **field.schema} for name, field in fields.items()}
    return {name: schema["default"] for name, schema in found.items() if "default" in schema}


def _resolved(document: Document, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    schema, _ = document.dereference(schema, "")
    while len(schema.get("allOf", ())) == 1:
        schema, _ = document.dereference(schema["allOf"][0], "")
    return schema


def _scalar(schema: Mapping[str, Any]) -> str:
    """The type of a schema that no array and no object fits; empty for any other, and where it is not said."""
    kind = str(schema.get("type", ""))
    return kind if kind in ("string", "integer", "number", "boolean") else ""


def _coerced(kind: str, text: str) -> Any:
    """`text` as a value of a type, or None."""
    if kind == "integer" and _INTEGER.fullmatch(text):
        number = int(text)
        return number if -_BITS <= number < _BITS else None
    if kind == "number" and _NUMBER.fullmatch(text):
        real = float(text)
        if real in (float("inf"), float("-inf")):
            return None
        return int(real) if real.is_integer() and abs(real) < 2**53 else real
    if kind == "boolean":
        return _BOOLEANS.get(text)
    return None


def headers(contract: Contract) -> Iterator[bytes]:
    """The headers that the operations of a contract read."""
    for operation in contract.operations.values():
        yield from (header_name(p.name) for p in operation.parameters if p.location == "header")


def header_name(name: str) -> bytes:
    """A header as requests have it, lower case."""
    return name.lower().encode("latin-1")


def check_styles(contract: Contract) -> None:
    """Refuse parameters whose style cannot be read. Raises ContractError."""
    for operation in contract.operations.values():
        for parameter in operation.parameters:
            style = (parameter.location, parameter.style)
            if parameter.schema.get("type") == "object" and style != ("query", "deepObject"):
                found = f"an object in style {parameter.style}"
                raise ContractError(parameter.pointer, found, "style: deepObject in the query")
            if style not in (("query", "form"), ("query", "deepObject"), ("header", "simple"), ("path", "simple")):
                allowed = "form or deepObject in the query, simple in path and header"
                raise ContractError(parameter.pointer, f"style {parameter.style} in {parameter.location}", allowed)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The query and header parameters of one operation."""

    query: Mapping[str, Reader]
    headers: tuple[Reader, ...]

    @classmethod
    def of(cls, document: Document, schemas: SchemaValidators, operation: Operation) -> "Parameters":
        """The parameters of `operation`."""
        readers = [Reader.of(document, schemas, p) for p in operation.parameters if p.location in ("query", "header")]
        return cls(
            {r.parameter.name: r for r in readers if r.parameter.location == "query"},
            tuple(r for r in readers if r.parameter.location == "header"),
        )

    def from_query(self, raw: bytes) -> Found:
        """Read a query string as it was sent."""
        texts: dict[str, list[str]] = {}
        parts: dict[str, dict[str, str]] = {}
        wrong: list[Complaint] = []
        ignored: dict[str, None] = {}
        for pair in raw.split(b"&") if raw else ():
            left, _, right = pair.partition(b"=")
            name, text = _text(left), _text(right)
            known, part = self.addressed(name)
            if known is None:
                if left:
                    ignored[name if name is not None else left.decode("latin-1")] = None
            elif text is None:
                said = f"The {known.replace('_', ' ')} field must be valid UTF-8."
                wrong.append(Complaint(known, said, self.query[known].parameter.pointer))
            elif part is None:
                texts.setdefault(known, []).append(text)
            else:
                parts.setdefault(known, {})[part] = text
        values: dict[str, Any] = {}
        for name, reader in self.query.items():
            wrong += _read(reader, name, texts.get(name, ()), parts.get(name, {}), values)
        return Found(values, tuple(wrong), tuple(ignored)[:_NOTES])

    def addressed(self, name: str | None) -> tuple[str | None, str | None]:
        """(the parameter that a name in the query means, the part of an object); None for one that is not known."""
        if name is None or name in self.query:
            return name, None
        brackets = _BRACKETS.fullmatch(name)
        reader = self.query.get(brackets[1]) if brackets else None
        if brackets is None or reader is None:
            return None, None
        inner = brackets[2][1:-1]
        if reader.kind == "array" and (not inner or inner.isdecimal()):
            return brackets[1], None
        if reader.scalar or (reader.kind == "object" and inner and reader.takes(inner)):
            return brackets[1], inner
        return None, None

    def from_headers(self, headers: Mapping[bytes, bytes]) -> Found:
        """Read the header parameters."""
        values: dict[str, Any] = {}
        wrong: list[Complaint] = []
        for reader in self.headers:
            name = reader.parameter.name
            text = headers.get(header_name(name), b"").decode("latin-1").strip()
            wrong += _read(reader, name, (text,) if text else (), {}, values)
        return Found(values, tuple(wrong))


def _read(
    reader: Reader, name: str, texts: Sequence[str], parts: Mapping[str, str], values: dict[str, Any]
) -> Iterator[Complaint]:
    """Put the parameter's value among `values`, its default where there is none; yields what is wrong with it."""
    if parts and reader.scalar:
        yield not_of_type(name, reader.scalar, f"{reader.parameter.pointer}/schema")
        return
    value, there = reader.read(texts, parts)
    if not there:
        if reader.parameter.required:
            yield required(name, reader.parameter.pointer)
        elif "default" in reader.parameter.schema:
            values[name] = reader.parameter.schema["default"]
        return
    broken = list(reader.complaints(value))
    yield from broken
    if not broken:
        values[name] = value


def _text(encoded: bytes) -> str | None:
    """A name or value of a query, decoded; None when it is not UTF-8."""
    try:
        return unquote_to_bytes(encoded.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None
