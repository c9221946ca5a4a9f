"""Parse the parameters of requests into values of the contract's types.

Query strings are parsed as in PHP: ``x=1&x=2``, ``x[]=1&x[]=2`` and ``x[0]=1`` are arrays, and the last value of a
repeated scalar is used. A blank value is absent. Operations without an action follow OpenAPI: a repeated scalar is an
error, and so is a blank one that its schema rejects. A scalar with brackets (``page[]=1``) is a type error. The style
of a parameter determines how arrays and objects are sent (`parameter_styles`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from mock_server.web.request_values.parameter_styles import (
    iter_cookies,
    remove_prefix,
    split_array,
    split_exploded_cookies,
    split_object,
)
from mock_server.web.request_values.text_values import TextConverter, build_tree, parse_json_text, split_name
from mock_server.web.validation_messages import FieldError, list_field_errors, required_error, type_error
from mock_server.web.violations import find_violations
from spec.document import Document
from spec.http.media_types import is_json_media_type
from spec.model import STATIC_ACTION, BodyField, Contract, Operation, Parameter
from spec.validators import SchemaValidators, Validator

_ADDITIONAL = "additionalProperties"
_BRACKETED_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])+)")
_MAX_IGNORED = 20


@dataclass(frozen=True, slots=True)
class ParsedParameters:
    """Values by name, errors, and the names that the operation does not define."""

    values: Mapping[str, Any]
    errors: tuple[FieldError, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParameterParser:
    """Parses one parameter: its dereferenced schema and compiled validator.

    `type`: array, object or that of the schema; empty if the schema has none, or several. `scalar_type`: empty for
    other types. `accepts_lists`: whether an array is one of several types. `accepts_blank`: whether a blank value is
    present. `occurs_once`: whether a repeated value is an error.
    """

    parameter: Parameter
    type: str
    scalar_type: str
    accepts_lists: bool
    accepts_blank: bool
    occurs_once: bool
    property_schemas: Mapping[str, Mapping[str, Any]]
    is_closed: bool
    validator: Validator
    converter: TextConverter = field(repr=False)

    @classmethod
    def from_parameter(
        cls, document: Document, schemas: SchemaValidators, parameter: Parameter, *, is_static: bool = False
    ) -> "ParameterParser":
        """Create the parser. `is_static`: the operation of the parameter has no action."""
        converter, schema = TextConverter(document), parameter.schema
        types, validator = converter.list_types(schema), schemas.get(parameter.schema_pointer, "write")
        resolved_type = next(iter(types)) if len(types) == 1 else ""
        return cls(
            parameter,
            resolved_type,
            resolved_type if resolved_type in ("string", "integer", "number", "boolean") else "",
            "array" in types and len(types) > 1,
            is_static and not (parameter.allow_empty_value or validator.is_valid(None)),
            is_static and bool(types) and types.isdisjoint(("array", "object")),
            converter.list_properties(schema),
            schema.get("additionalProperties") is False,
            validator,
            converter,
        )

    @property
    def is_exploded_object(self) -> bool:
        """Whether each property has its own name in the query or in the cookies."""
        parameter = self.parameter
        return self.type == "object" and parameter.explode and parameter.style != "deepObject" and self.is_serialized

    @property
    def is_serialized(self) -> bool:
        """Whether the style determines the text, not a media type."""
        return self.parameter.media_type is None

    @property
    def is_open_object(self) -> bool:
        """Whether the object may have properties that the schema does not name."""
        return not self.is_closed and (not self.property_schemas or bool(self.parameter.schema.get(_ADDITIONAL)))

    def accepts_part(self, part: str) -> bool:
        """Whether an object's part is known to the schema, which may also prohibit it."""
        name, bracket, _ = part.partition("][")
        schema = self.property_schemas.get(name)
        if bracket and (schema is None or not self.converter.list_types(schema) & {"array", "object"}):
            return bool(bracket) and schema is None and self.is_open_object
        return "[" not in name and (schema is not None or self.is_closed or self.is_open_object)

    def parse(self, texts: Sequence[str], parts: Mapping[str, Sequence[str]]) -> tuple[Any, bool]:
        """Return (value, whether it is present) from the sent texts and, for an object, the texts of its parts."""
        schema, converter = self.parameter.schema, self.converter
        if not self.is_serialized:
            return self.parse_content(texts)
        if self.type == "object":
            if not parts and texts and texts[-1]:
                return self.parse_object(texts[-1]), True
            pairs = ((part.split("]["), text) for part, part_texts in parts.items() for text in part_texts if text)
            value = converter.convert_tree(schema, build_tree(pairs))
            return value, bool(value)
        if self.type == "array" or (self.accepts_lists and len(texts) > 1):
            if not texts or (len(texts) == 1 and not texts[0]):
                is_item = bool(texts) and self.accepts_blank and self.validator.is_valid([""])
                return ([""], True) if is_item else ([], False)
            return self.parse_array(texts), True
        text = texts[-1] if texts else ""
        if not text:
            return text, bool(texts) and self.accepts_blank
        return converter.convert(schema, text), True

    def parse_content(self, texts: Sequence[str]) -> tuple[Any, bool]:
        """Parse the text of a parameter with a media type."""
        text = texts[-1] if texts else ""
        if not text:
            return None, False
        return (parse_json_text(text) if is_json_media_type(self.parameter.media_type or "") else text), True

    def parse_array(self, texts: Sequence[str]) -> list[Any]:
        parameter = self.parameter
        if not parameter.explode or parameter.location in ("path", "header"):
            style, name, explode = parameter.style, parameter.name, parameter.explode
            texts = [part for text in texts if text for part in split_array(text, style, name, explode=explode)]
        items = self.converter.find_item_schema(parameter.schema)
        return [self.converter.convert(items, text) for text in texts]

    def parse_object(self, text: str) -> Any:
        """Return the object of one text; the text itself if it is none."""
        parameter = self.parameter
        if parameter.style == "deepObject" or (parameter.explode and parameter.location not in ("path", "header")):
            return text
        properties = split_object(text, parameter.style, parameter.name, explode=parameter.explode)
        if properties is None:
            return text
        return self.converter.convert_tree(parameter.schema, {name: [part] for name, part in properties.items()})

    def validate(self, value: Any) -> Iterator[FieldError]:
        if not self.validator.is_valid(value):
            name, violations = self.parameter.name, find_violations(self.validator, value)
            is_exploded = self.type == "array" and self.parameter.explode
            has_commas = is_exploded and any("," in str(part) for part in value)
            for error in list_field_errors(violations, self.parameter.schema_pointer, path_prefix=(name,)):
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


def list_header_names(contract: Contract) -> Iterator[bytes]:
    """Yield the names of the headers that contain parameters of any operation."""
    for operation in contract.operations.values():
        yield from (encode_header_name(p.name) for p in operation.parameters if p.location == "header")
        if any(parameter.location == "cookie" for parameter in operation.parameters):
            yield b"cookie"


def encode_header_name(name: str) -> bytes:
    """Return a header name as in the ASGI scope."""
    return name.lower().encode("latin-1")


@dataclass(frozen=True, slots=True)
class OperationParameters:
    """The parameters of one operation.

    `path`: those whose text is more than their value, or whose value no action checks. `exploded_names`: of the
    properties of exploded objects in the query, with the parameter. `open_parameter`: the exploded object that has all
    unknown names; empty without one. `credential_names`: of keys in the query.
    """

    query: Mapping[str, ParameterParser]
    headers: tuple[ParameterParser, ...]
    cookies: tuple[ParameterParser, ...] = ()
    path: tuple[ParameterParser, ...] = ()
    exploded_names: Mapping[str, str] = field(default_factory=dict)
    open_parameter: str = ""
    credential_names: frozenset[str] = frozenset()

    @classmethod
    def from_operation(
        cls,
        document: Document,
        schemas: SchemaValidators,
        operation: Operation,
        credential_names: frozenset[str] = frozenset(),
    ) -> "OperationParameters":
        parsers: dict[str, list[ParameterParser]] = {"query": [], "header": [], "cookie": [], "path": []}
        is_static = operation.action == STATIC_ACTION
        for parameter in operation.parameters:
            parser = ParameterParser.from_parameter(document, schemas, parameter, is_static=is_static)
            parsers[parameter.location].append(parser)
        exploded = [parser for parser in parsers["query"] if parser.is_exploded_object]
        path = [p for p in parsers["path"] if p.parameter.style != "simple" or is_static]
        return cls(
            {parser.parameter.name: parser for parser in parsers["query"]},
            tuple(parsers["header"]),
            tuple(parsers["cookie"]),
            tuple(path),
            {name: parser.parameter.name for parser in reversed(exploded) for name in parser.property_schemas},
            next((parser.parameter.name for parser in exploded if parser.is_open_object), ""),
            credential_names,
        )

    def parse_query(self, raw: bytes) -> ParsedParameters:
        texts: dict[str, list[str]] = {}
        parts: dict[str, dict[str, list[str]]] = {}
        errors: list[FieldError] = []
        ignored: dict[str, None] = {}
        for pair in raw.split(b"&") if raw else ():
            encoded_name, _, encoded_value = pair.partition(b"=")
            name, text = _decode(encoded_name), _decode(encoded_value)
            parameter_name, part = self.match_name(name)
            if parameter_name is None:
                if encoded_name and name not in self.credential_names:
                    ignored[name if name is not None else encoded_name.decode("latin-1")] = None
            elif text is None:
                message = f"The {parameter_name.replace('_', ' ')} field must be valid UTF-8."
                errors.append(FieldError(parameter_name, message, self.query[parameter_name].parameter.pointer))
            elif part is None:
                texts.setdefault(parameter_name, []).append(text)
            else:
                parts.setdefault(parameter_name, {}).setdefault(part, []).append(text)
        values: dict[str, Any] = {}
        for name, parser in self.query.items():
            errors += _parse_parameter(parser, name, texts.get(name, ()), parts.get(name, {}), values)
        return ParsedParameters(values, tuple(errors), tuple(ignored)[:_MAX_IGNORED])

    def match_name(self, name: str | None) -> tuple[str | None, str | None]:
        """Return (parameter, part of an object) for a name in the query, (None, None) for an unknown one."""
        if name is not None and name in self.exploded_names:
            return self.exploded_names[name], name
        if name is None or name in self.query:
            return name, None
        brackets = _BRACKETED_NAME.fullmatch(name)
        parser = self.query.get(brackets[1]) if brackets else None
        if brackets is None or parser is None:
            return self.match_open_name(name)
        part = brackets[2][1:-1]
        is_array = parser.type == "array" or parser.accepts_lists
        if (is_array and part.isdecimal()) or ((is_array or parser.type == "object") and not part):
            return brackets[1], None  # `name[]` of an object is an array, which is invalid
        if parser.scalar_type or (parser.type == "object" and part and parser.accepts_part(part)):
            return brackets[1], part
        return None, None

    def match_open_name(self, name: str) -> tuple[str | None, str | None]:
        """Return (parameter, part of an object) for a name that is no parameter's."""
        start = split_name(name)
        if len(start) > 1 and start[0] in self.exploded_names:
            return self.exploded_names[start[0]], "][".join(start)
        return (self.open_parameter, name) if self.open_parameter and name else (None, None)

    def validate_headers(self, headers: Mapping[bytes, bytes]) -> Iterator[FieldError]:
        """Yield the errors of the header and cookie parameters, whose values have no effect."""
        for parser in self.headers:
            name = parser.parameter.name
            text = headers.get(encode_header_name(name), b"").decode("latin-1").strip()
            yield from _parse_parameter(parser, name, (text,) if text else (), {}, {})
        if self.cookies:
            yield from self.validate_cookies(headers.get(b"cookie", b"").decode("latin-1"))

    def validate_cookies(self, header: str) -> Iterator[FieldError]:
        """Yield the errors of the cookie parameters in a header."""
        for parser, texts, parts in self.split_cookies(header):
            yield from _parse_parameter(parser, parser.parameter.name, texts, parts, {})

    def split_cookies(self, header: str) -> Iterator[tuple[ParameterParser, list[str], dict[str, list[str]]]]:
        """Yield the texts of each cookie parameter, and of the parts of an exploded object."""
        sent = list(iter_cookies(header))
        for parser in self.cookies:
            cookies = list(split_exploded_cookies(sent)) if parser.parameter.explode else sent
            decoded = [(name, unquote(text)) for name, text in cookies]
            texts = [text for name, text in decoded if name == parser.parameter.name]
            parts: dict[str, list[str]] = {}
            for name, text in decoded if parser.is_exploded_object else ():
                if name in parser.property_schemas:
                    parts.setdefault(name, []).append(text)
            yield parser, texts, parts

    def parse_path(self, values: Mapping[str, str]) -> tuple[dict[str, str], list[FieldError]]:
        """Return (texts of the path parameters without what their styles add, errors)."""
        texts, errors = dict(values), list[FieldError]()
        for parser in self.path:
            name, style = parser.parameter.name, parser.parameter.style
            if name in texts:
                if parser.type not in ("array", "object"):
                    texts[name] = remove_prefix(texts[name], style, name)
                errors += _parse_parameter(parser, name, (texts[name],), {}, {})
        return texts, errors


def _parse_parameter(
    parser: ParameterParser,
    name: str,
    texts: Sequence[str],
    parts: Mapping[str, Sequence[str]],
    values: dict[str, Any],
) -> Iterator[FieldError]:
    """Add the parameter's value or default to `values`; yield its errors."""
    if parts and parser.scalar_type:
        yield type_error(name, parser.scalar_type, parser.parameter.schema_pointer)
        return
    if parser.occurs_once and len(texts) > 1:
        message = f"The {name.replace('_', ' ')} field must not be repeated."
        yield FieldError(name, message, parser.parameter.pointer, expected="one value")
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
