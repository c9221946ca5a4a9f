"""Parse request bodies of other media types than JSON: forms, text and binary data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from mock_server.errors import ApiError, ErrorKind
from mock_server.web import body
from mock_server.web.request_values.text_values import TextConverter, build_tree, split_name
from spec.document import Document
from spec.http.media_types import (
    FORM,
    MULTIPART,
    find_item_separator,
    find_media_type,
    is_json_media_type,
    strip_parameters,
)
from spec.model import RequestBody
from spec.validators import SchemaValidators, Validator

MAX_FORM_FIELDS = 2_000
_BINARY = "application/octet-stream"
_CONTENT_TYPE = b"content-type"


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """The value of a body, and the schema that it must match: its pointer and validator; None: it has no JSON value."""

    value: Any
    has_floats: bool
    pointer: str
    validator: Validator | None


@dataclass(frozen=True, slots=True)
class BodyFormats:
    """The media types of the body of an operation, with the pointers of their schemas."""

    document: Document
    schemas: SchemaValidators
    pointers: Mapping[str, str]

    @classmethod
    def from_request_body(
        cls, document: Document, schemas: SchemaValidators, request_body: RequestBody
    ) -> "BodyFormats | None":
        """Return the formats of a body; None if it has one schema, and JSON is its only format."""
        pointers = request_body.pointers
        if all(map(is_json_media_type, pointers)) and len(pointers) == 1:
            return None
        return cls(document, schemas, pointers)

    def parse(self, headers: Mapping[bytes, bytes], raw: bytes) -> ParsedBody:
        """Parse a body by its content type. Raises ApiError (400, 415)."""
        body.check_content_encoding(headers)
        content_type = headers.get(_CONTENT_TYPE, b"").decode("latin-1")
        declared = self.find_declared(content_type)
        pointer, sent = self.pointers[declared], strip_parameters(content_type)
        schema, validator = self.document.resolve(pointer), self.schemas.get(pointer, "write")
        if is_json_media_type(sent):
            body.check_charset(content_type)
            value, has_floats = body.parse_json(raw)
            return ParsedBody(value, has_floats, pointer, validator)
        if sent in (FORM, MULTIPART):
            fields = _iter_form_fields(raw) if sent == FORM else _iter_parts(raw, content_type)
            encodings = self.find_encodings(pointer)
            return ParsedBody(self.convert_form(schema, encodings, list(fields)), False, pointer, validator)
        types = TextConverter(self.document).list_types(schema)
        if types and "string" not in types:  # for example XML, of which the schema describes the content
            return ParsedBody(None, False, pointer, None)
        return ParsedBody(_decode_text(raw, content_type), False, pointer, validator)

    def find_declared(self, content_type: str) -> str:
        """Return the declared media type or range for a content type. Raises ApiError (415)."""
        declared = find_media_type(content_type or _BINARY, self.pointers)
        if declared is None and is_json_media_type(content_type):
            declared = next(filter(is_json_media_type, self.pointers), None)
        if declared is None:
            expected = " or ".join(map(strip_parameters, self.pointers))
            received = f"invalid value {strip_parameters(content_type)!r}" if content_type else "no Content-Type"
            detail = f"Content-Type: {received} (expected {expected})"
            raise body.media_type_error(detail, f"The content type must be {expected}.", tuple(self.pointers))
        return declared

    def find_encodings(self, pointer: str) -> Mapping[str, Any]:
        """Return the encoding objects of a form by property."""
        encodings = self.document.resolve(pointer.rpartition("/")[0]).get("encoding")
        return encodings if isinstance(encodings, dict) else {}

    def convert_form(
        self, schema: Mapping[str, Any], encodings: Mapping[str, Any], fields: list[tuple[str, str]]
    ) -> dict[str, Any]:
        """Return the object of a form. A blank field is absent unless its schema accepts texts."""
        converter = TextConverter(self.document)
        properties = converter.list_properties(schema)
        pairs: list[tuple[list[str], str]] = []
        for field_name, text in fields:
            names = [field_name] if field_name in properties else split_name(field_name)
            types = converter.list_types(converter.find_property_schema(schema, names[0]))
            if not text and types and "string" not in types:
                continue
            separator = find_item_separator(encodings.get(names[0])) if "array" in types else None
            pairs += [(names, part) for part in (text.split(separator) if separator else (text,))]
        return {
            name: converter.convert_tree(converter.find_property_schema(schema, name), node)
            for name, node in build_tree(pairs).items()
        }


def _iter_form_fields(raw: bytes) -> Iterator[tuple[str, str]]:
    """Yield the fields of a form in the format of a query string. Raises ApiError (400)."""
    try:
        yield from parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS)
    except UnicodeDecodeError:
        raise _malformed_error(FORM, "it is not UTF-8") from None
    except ValueError:
        raise _malformed_error(FORM, f"it has more than {MAX_FORM_FIELDS} fields") from None


def _iter_parts(raw: bytes, content_type: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of a multipart form; the bytes of a file as characters up to U+00FF. Raises ApiError (400)."""
    from werkzeug.exceptions import RequestEntityTooLarge  # not imported by a server that starts
    from werkzeug.formparser import MultiPartParser
    from werkzeug.http import parse_options_header

    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        raise _malformed_error(MULTIPART, "the content type has no boundary")
    parser = MultiPartParser(stream_factory=_create_stream, max_form_parts=MAX_FORM_FIELDS)
    try:
        fields, files = parser.parse(BytesIO(raw), boundary.encode("latin-1"), len(raw))
    except RequestEntityTooLarge:
        raise _malformed_error(MULTIPART, f"it has more than {MAX_FORM_FIELDS} parts") from None
    except (ValueError, LookupError):
        raise _malformed_error(MULTIPART, "its parts do not end as its boundary requires") from None
    yield from fields.items(multi=True)
    for name, file in files.items(multi=True):
        yield name, _decode_text(file.read(), file.content_type or "")


def _create_stream(*_: Any, **__: Any) -> BytesIO:
    """Return the stream for a file. The body is in memory, and smaller than its limit."""
    return BytesIO()


def _decode_text(raw: bytes, content_type: str) -> str:
    """Return a text; bytes that are no UTF-8 text as characters up to U+00FF."""
    media_type = strip_parameters(content_type)
    if media_type.startswith("text/") or is_json_media_type(media_type) or not media_type:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            pass
    return raw.decode("latin-1")


def _malformed_error(media_type: str, detail: str) -> ApiError:
    return ApiError(ErrorKind.BAD_REQUEST, detail, message=f"The request body is not valid {media_type}: {detail}.")
