"""Forms for records: builds the fields from the schema of a resource, and parses the submitted values."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import orjson

from mock_server.console.control_client import ControlError
from mock_server.console.field_errors import AssignedErrors
from spec.model import Relation, Resource

_NUMBER_TYPES = ("integer", "number")
_MAX_INPUT_CHARS = 200  # a longer text gets an input field of several lines
NULL_SUFFIX = ":null"  # checkbox that sets a field to null: field name with this suffix
ORIGINAL_SUFFIX = ":original"  # hidden input with the fingerprint of the value that the page was made with
_FINGERPRINT_DIGITS = 16
_BOOLEANS = ("true", "false")
_EXPECTED_VALUES = {
    "boolean": "true or false",
    "number": "a number",
    "json": "JSON",
    "key": "an integer",
    "keys": "integers",
}
_DIGITS = re.compile("-?[0-9]{1,15}", re.ASCII)
_JSON_HINT = "JSON"
_FORMAT_HINTS = {
    "date-time": "date and time in UTC, such as 2026-03-01T09:00:00Z",
    "date": "date, such as 2026-03-01",
    "time": "time, such as 09:00:00Z",
    "email": "e-mail address",
    "uri": "URL",
    "uuid": "UUID",
}


@dataclass(frozen=True, slots=True)
class FormField:
    """An input field.

    `kind`: text, choice, boolean, number, json, key or keys. `text`: the current value. `original`: fingerprint of the
    value that the page was made with. `choices`: the values to choose from. `hint`: the expected format. `provenance`:
    how far the contract knows the property. `targets`: the resources whose keys a relation accepts.
    `has_integer_keys`: whether these keys are integers. `errors`: messages about the text. `id`: of the input element.
    """

    name: str
    kind: str
    text: str
    is_nullable: bool
    is_null: bool
    original: str
    choices: tuple[str, ...] = ()
    hint: str = ""
    provenance: str = ""
    targets: tuple[str, ...] = ()
    has_integer_keys: bool = False
    errors: tuple[str, ...] = ()
    id: str = ""

    @property
    def label(self) -> str:
        """The name that the form shows."""
        return self.name

    @property
    def is_long(self) -> bool:
        """Whether the field needs several lines."""
        has_lines = "\n" in self.text or "\r" in self.text
        return self.kind in ("json", "keys") or (
            self.kind == "text" and (has_lines or len(self.text) > _MAX_INPUT_CHARS)
        )

    @property
    def current(self) -> str | None:
        """The current value as a browser submits it; None if the checkbox for null is checked."""
        return None if self.is_null and self.is_nullable else _normalize_newlines(self.text)


def build_fields(
    schema: Mapping[str, Any], record: Mapping[str, Any], provenance: Mapping[str, str], resource: Resource
) -> list[FormField]:
    """Build the fields of a record.

    `schema`: schema of the record in requests to the control API. `provenance`: level of each property. `resource`: has
    the relations of the record.
    """
    properties: Mapping[str, Any] = schema.get("properties", {})
    return [
        replace(
            _build_field(name, node, record.get(name), resource.relations.get(name)),
            provenance=provenance.get(name, ""),
            id=f"field-{number}",
        )
        for number, (name, node) in enumerate(properties.items(), 1)
    ]


def _build_field(name: str, schema: Mapping[str, Any], value: Any, relation: Relation | None) -> FormField:
    schema = _merge_parts(schema)
    kind = _find_kind(schema) if relation is None else "keys" if relation.to_many else "key"
    alternatives = (schema, *schema.get("oneOf", ()))
    is_nullable = any(node.get("nullable") or None in node.get("enum", ()) for node in alternatives)
    field = FormField(name, kind, _format_value(kind, value), is_nullable, value is None, "")
    choices = _BOOLEANS if kind == "boolean" else tuple(str(v) for v in schema.get("enum", ()) if v is not None)
    hint = _JSON_HINT if kind == "json" else _FORMAT_HINTS.get(schema.get("format", ""), "")
    return replace(
        field,
        original=_compute_fingerprint(field.current),
        choices=choices if kind in ("choice", "boolean") else (),
        hint=hint,
        targets=() if relation is None else relation.targets,
        has_integer_keys=relation is not None and _accepts_integers(schema),
    )


def _accepts_integers(schema: Mapping[str, Any]) -> bool:
    """Whether a reference, or an item of a list of references, may be an integer."""
    single = schema.get("items", schema)
    return any(node.get("type") == "integer" for node in (single, *single.get("oneOf", ())))


def _merge_parts(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with the keywords of its ``allOf``; its own take precedence."""
    merged: dict[str, Any] = {}
    for part in schema.get("allOf", ()):
        merged |= _merge_parts(part)
    return {**merged, **schema}


def _compute_fingerprint(text: str | None) -> str:
    """Return a short hash of a submitted value. `text`: None for null."""
    content = "null" if text is None else f"text {text}"
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:_FINGERPRINT_DIGITS]


def _normalize_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _find_kind(schema: Mapping[str, Any]) -> str:
    value_type = schema.get("type")
    if value_type == "string":
        return "choice" if any(value is not None for value in schema.get("enum", ())) else "text"
    if value_type == "boolean":
        return "boolean"
    return "number" if value_type in _NUMBER_TYPES else "json"


def _format_value(kind: str, value: Any) -> str:
    if value is None:
        return ""
    if kind == "keys":
        return "\n".join(map(str, value))
    if kind in ("json", "boolean"):
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return str(value)


def fill_fields(fields: Iterable[FormField], form: Mapping[str, str], errors: AssignedErrors) -> list[FormField]:
    """Return the fields with their errors, and with what was submitted: a rejected form keeps the user's input."""
    return [
        replace(
            field,
            text=form.get(field.name, field.text),
            is_null=field.name + NULL_SUFFIX in form,
            original=form.get(field.name + ORIGINAL_SUFFIX, field.original),
            errors=errors.by_name.get(field.name, ()),
        )
        for field in fields
    ]


def parse_changes(fields: Iterable[FormField], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that the user changed and that differ from the current ones.

    Without a fingerprint in the form, each submitted value counts as changed by the user. Raises ControlError with all
    invalid fields.
    """
    changes: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for field, text in _iter_changed_texts(fields, form):
        try:
            changes[field.name] = None if text is None else _parse_text(field, text)
        except ValueError:
            expected = _EXPECTED_VALUES[field.kind]
            errors[field.name] = [f'Invalid value "{str(text)[:100]}" (expected {expected}).']
    if errors:
        raise ControlError.from_fields(HTTPStatus.UNPROCESSABLE_ENTITY, errors)
    return changes


def _iter_changed_texts(fields: Iterable[FormField], form: Mapping[str, str]) -> Iterator[tuple[FormField, str | None]]:
    """Yield each changed field and its submitted text; None if the checkbox for null is checked."""
    for field in fields:
        is_null = field.name + NULL_SUFFIX in form
        if not is_null and field.name not in form:
            continue
        text = None if is_null else _normalize_newlines(form[field.name])
        is_untouched = form.get(field.name + ORIGINAL_SUFFIX) == _compute_fingerprint(text)
        if not is_untouched and text != field.current:
            yield field, text


def _parse_text(field: FormField, text: str) -> Any:
    if field.kind in ("text", "choice"):
        return text.replace("\n", "\r\n") if "\r\n" in field.text else text
    if field.kind == "keys":
        return [_parse_key(field, line.strip()) for line in text.split("\n") if line.strip()]
    if field.kind == "key":
        return _parse_key(field, text.strip()) if text.strip() or not field.is_nullable else None
    value = orjson.loads(text)
    if field.kind == "boolean" and not isinstance(value, bool):
        raise ValueError(text)
    if field.kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise ValueError(text)
    return value


def _parse_key(field: FormField, text: str) -> Any:
    if not field.has_integer_keys:
        return text
    if _DIGITS.fullmatch(text) is None:
        raise ValueError(text)
    return int(text)
