"""Parse query and header parameters into values of the contract's types.

Query strings are parsed as in PHP: ``x=1&x=2``, ``x[]=1&x[]=2`` and ``x[0]=1`` are arrays, the last value of a repeated
scalar is used, and a blank value is absent. A scalar with brackets (``page[]=1``) is a type error.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from mock_server.web.validation_messages import FieldError, list_field_errors, required_error, type_error
from mock_server.web.violations import find_violations
from spec.document import Document
from spec.errors import ContractError
from spec.model import BodyField, Contract, Operation, Parameter
from spec.validators import SchemaValidators, Validator

_INTEGER_PATTERN = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_NUMBER_PATTERN = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,4})?", re.ASCII)
_BOOLEANS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}
_BRACKETED_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])+)")
_INT64_LIMIT = 2**63
_MAX_IGNORED = 20


@dataclass(frozen=True, slots=True)
class ParsedParameters:
    """Values by name, errors, and the names that the operation does not define."""

    values: Mapping[str, Any]
    errors: tuple[FieldError, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParameterParser:
    """Parses one parameter: its dereferenced schema and compiled validator. `scalar_type`: empty for other types."""

    parameter: Parameter
    type: str
    scalar_type: str
    item_schema: Mapping[str, Any]
    property_schemas: Mapping[str, Mapping[str, Any]]
    is_closed: bool
    validator: Validator
    document: Document = field(repr=False)

    @classmethod
    def from_parameter(cls, document: Document, schemas: SchemaValidators, parameter: Parameter) -> "ParameterParser":
        pointer = f"{parameter.pointer}/schema"
        schema = parameter.schema
        resolved_type = str(_dereference(document, schema).get("type", ""))
        return cls(
            parameter,
            str(schema.get("type", "")),
            resolved_type if resolved_type in ("string", "integer", "number", "boolean") else "",
            _dereference(document, schema.get("items", {})),
            {name: _dereference(document, node) for name, node in schema.get("properties", {}).items()},
            schema.get("additionalProperties") is False,
            schemas.get(pointer, "write"),
            document,
        )

    def accepts_part(self, part: str) -> bool:
        """Whether an object's part is known to the schema, which may also prohibit it."""
        return "[" not in part and (part in self.property_schemas or self.is_closed or not self.property_schemas)

    def parse(self, texts: Sequence[str], parts: Mapping[str, str]) -> tuple[Any, bool]:
        """Return (value, whether it is present) from the sent texts and, for an object, its parts by name."""
        if self.type == "object":
            if not parts and texts and texts[-1]:
                return texts[-1], True
            schemas = self.property_schemas
            value = {name: self.coerce(schemas.get(name, {}), text) for name, text in parts.items() if text}
            return value, bool(value)
        if self.type == "array":
            if not self.parameter.explode:
                texts = [part for text in texts if text for part in text.split(",")]
            if not texts or (len(texts) == 1 and not texts[0]):
                return [], False
            return [self.coerce(self.item_schema, text) for text in texts], True
        text = texts[-1] if texts else ""
        return (self.coerce(self.parameter.schema, text), True) if text else (None, False)

    def coerce(self, schema: Mapping[str, Any], text: str) -> Any:
        """Convert `text` to the first type of the schema that it matches; unchanged if it matches none."""
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf") or ()
        for option in (schema, *(_dereference(self.document, node) for node in options)):
            value = _coerce_to_type(str(option.get("type", "")), text)
            if value is not None:
                return value
        return text

    def validate(self, value: Any) -> Iterator[FieldError]:
        if not self.validator.is_valid(value):
            name, violations = self.parameter.name, find_violations(self.validator, value)
            is_exploded = self.type == "array" and self.parameter.explode
            has_commas = is_exploded and any("," in str(part) for part in value)
            for error in list_field_errors(violations, f"{self.parameter.pointer}/schema", path_prefix=(name,)):
                yield replace(error, expected=f"{name}=1&{name}=2 or {name}[]=1") if has_commas else error


def collect_defaults(document: Document, fields: Mapping[str, BodyField]) -> dict[str, Any]:
    """Return the defaults of fields that a body may omit."""
    schemas = {name: {**_dereference(document, field.schema), **field.schema} for name, field in fields.items()}
    return {name: schema["default"] for name, schema in schemas.items() if "default" in schema}


def _dereference(document: Document, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    schema, _ = document.dereference(schema, "")
    while len(schema.get("allOf", ())) == 1:
        schema, _ = document.dereference(schema["allOf"][0], "")
    return schema


def _coerce_to_type(type_name: str, text: str) -> Any:
    """Convert `text` to a type; None if it does not match."""
    if type_name == "integer" and _INTEGER_PATTERN.fullmatch(text):
        number = int(text)
        return number if -_INT64_LIMIT <= number < _INT64_LIMIT else None
    if type_name == "number" and _NUMBER_PATTERN.fullmatch(text):
        real = float(text)
        if real in (float("inf"), float("-inf")):
            return None
        return int(real) if real.is_integer() and abs(real) < 2**53 else real
    if type_name == "boolean":
        return _BOOLEANS.get(text)
    return None


def list_header_names(contract: Contract) -> Iterator[bytes]:
    """Yield the names of the header parameters of all operations."""
    for operation in contract.operations.values():
        yield from (encode_header_name(p.name) for p in operation.parameters if p.location == "header")


def encode_header_name(name: str) -> bytes:
    """Return a header name as in the ASGI scope."""
    return name.lower().encode("latin-1")


def check_styles(contract: Contract) -> None:
    """Raise ContractError for a parameter whose style is not supported."""
    for operation in contract.operations.values():
        for parameter in operation.parameters:
            style = (parameter.location, parameter.style)
            if parameter.schema.get("type") == "object" and style != ("query", "deepObject"):
                actual = f"unsupported style {parameter.style} of an object"
                raise ContractError(parameter.pointer, actual, "style: deepObject in the query")
            if style not in (("query", "form"), ("query", "deepObject"), ("header", "simple"), ("path", "simple")):
                actual = f"unsupported style {parameter.style} in {parameter.location}"
                expected = "form or deepObject in the query, simple in path and header"
                raise ContractError(parameter.pointer, actual, expected)


@dataclass(frozen=True, slots=True)
class OperationParameters:
    """The query and header parameters of one operation."""

    query: Mapping[str, ParameterParser]
    headers: tuple[ParameterParser, ...]

    @classmethod
    def from_operation(
        cls, document: Document, schemas: SchemaValidators, operation: Operation
    ) -> "OperationParameters":
        create = partial(ParameterParser.from_parameter, document, schemas)
        query = {p.name: create(p) for p in operation.parameters if p.location == "query"}
        return cls(query, tuple(create(p) for p in operation.parameters if p.location == "header"))

    def parse_query(self, raw: bytes) -> ParsedParameters:
        texts: dict[str, list[str]] = {}
        parts: dict[str, dict[str, str]] = {}
        errors: list[FieldError] = []
        ignored: dict[str, None] = {}
        for pair in raw.split(b"&") if raw else ():
            encoded_name, _, encoded_value = pair.partition(b"=")
            name, text = _decode(encoded_name), _decode(encoded_value)
            parameter_name, part = self.match_name(name)
            if parameter_name is None:
                if encoded_name:
                    ignored[name if name is not None else encoded_name.decode("latin-1")] = None
            elif text is None:
                message = f"The {parameter_name.replace('_', ' ')} field must be valid UTF-8."
                errors.append(FieldError(parameter_name, message, self.query[parameter_name].parameter.pointer))
            elif part is None:
                texts.setdefault(parameter_name, []).append(text)
            else:
                parts.setdefault(parameter_name, {})[part] = text
        values: dict[str, Any] = {}
        for name, parser in self.query.items():
            errors += _parse_parameter(parser, name, texts.get(name, ()), parts.get(name, {}), values)
        return ParsedParameters(values, tuple(errors), tuple(ignored)[:_MAX_IGNORED])

    def match_name(self, name: str | None) -> tuple[str | None, str | None]:
        """Return (parameter, part of an object) for a name in the query, (None, None) for an unknown one."""
        if name is None or name in self.query:
            return name, None
        brackets = _BRACKETED_NAME.fullmatch(name)
        parser = self.query.get(brackets[1]) if brackets else None
        if brackets is None or parser is None:
            return None, None
        part = brackets[2][1:-1]
        if (parser.type == "array" and part.isdecimal()) or (parser.type in ("array", "object") and not part):
            return brackets[1], None  # `name[]` of an object is an array, which is invalid
        if parser.scalar_type or (parser.type == "object" and part and parser.accepts_part(part)):
            return brackets[1], part
        return None, None

    def validate_headers(self, headers: Mapping[bytes, bytes]) -> Iterator[FieldError]:
        """Yield the errors of the header parameters, whose values have no effect."""
        for parser in self.headers:
            name = parser.parameter.name
            text = headers.get(encode_header_name(name), b"").decode("latin-1").strip()
            yield from _parse_parameter(parser, name, (text,) if text else (), {}, {})


def _parse_parameter(
    parser: ParameterParser, name: str, texts: Sequence[str], parts: Mapping[str, str], values: dict[str, Any]
) -> Iterator[FieldError]:
    """Add the parameter's value or default to `values`; yield its errors."""
    if parts and parser.scalar_type:
        yield type_error(name, parser.scalar_type, f"{parser.parameter.pointer}/schema")
        return
    value, is_present = parser.parse(texts, parts)
    if not is_present:
        if parser.parameter.required:
            yield required_error(name, parser.parameter.pointer)
        elif "default" in parser.parameter.schema:
            values[name] = parser.parameter.schema["default"]
        return
    errors = list(parser.validate(value))
    yield from errors
    if not errors:
        values[name] = value


def _decode(encoded: bytes) -> str | None:
    """Decode a name or value of a query string; None if it is not UTF-8."""
    try:
        return unquote_to_bytes(encoded.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        return None
