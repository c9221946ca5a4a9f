"""Forms for records: builds the fields from the schema of a resource, and parses the submitted values."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import orjson

from mock_server.console.control_client import ControlError

_NUMBER_TYPES = ("integer", "number")
_MAX_INPUT_CHARS = 200  # a longer text gets an input field of several lines
NULL_SUFFIX = ":null"  # checkbox that sets a field to null: field name with this suffix


@dataclass(frozen=True, slots=True)
class FormField:
    """An input field. `kind`: text, choice, number or json. `text`: the current value. `choices`: the enum values."""

    name: str
    kind: str
    text: str
    is_nullable: bool
    is_null: bool
    choices: tuple[str, ...] = ()

    @property
    def is_long(self) -> bool:
        """Whether the field needs several lines."""
        return self.kind == "json" or (self.kind == "text" and (len(self.text) > _MAX_INPUT_CHARS or "\n" in self.text))


def build_fields(schema: Mapping[str, Any], record: Mapping[str, Any]) -> list[FormField]:
    """Build the fields of a record. `schema`: schema of the record in requests to the control API."""
    return [_build_field(name, node, record.get(name)) for name, node in schema.get("properties", {}).items()]


def _build_field(name: str, schema: Mapping[str, Any], value: Any) -> FormField:
    choices = tuple(str(item) for item in schema.get("enum", ()) if item is not None)
    kind = "choice" if choices and schema.get("type") == "string" else _find_kind(schema)
    is_nullable = bool(schema.get("nullable")) or None in schema.get("enum", ())
    return FormField(name, kind, _format_value(kind, value), is_nullable, value is None, choices)


def _find_kind(schema: Mapping[str, Any]) -> str:
    value_type = schema.get("type")
    if value_type == "string":
        return "text"
    return "number" if value_type in _NUMBER_TYPES else "json"


def _format_value(kind: str, value: Any) -> str:
    if value is None:
        return ""
    if kind == "json":
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return str(value)


def fill_fields(fields: Iterable[FormField], form: Mapping[str, str]) -> list[FormField]:
    """Return the fields with the submitted texts, so that a rejected form keeps the user's input."""
    return [
        replace(field, text=form.get(field.name, field.text), is_null=field.name + NULL_SUFFIX in form)
        for field in fields
    ]


def parse_changes(fields: Iterable[FormField], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the submitted values that differ from the current ones. Raises ControlError with all invalid fields."""
    changes: dict[str, Any] = {}
    errors: list[str] = []
    for field, text in _iter_changed_texts(fields, form):
        try:
            changes[field.name] = None if text is None else _parse_text(field, text)
        except ValueError:
            expected = "a number" if field.kind == "number" else "JSON"
            errors.append(f'{field.name}: invalid value "{str(text)[:100]}" (expected {expected}).')
    if errors:
        raise ControlError(HTTPStatus.UNPROCESSABLE_ENTITY, errors)
    return changes


def _iter_changed_texts(fields: Iterable[FormField], form: Mapping[str, str]) -> Iterator[tuple[FormField, str | None]]:
    """Yield each changed field and its submitted text; None if the checkbox for null is checked."""
    for field in fields:
        text = form.get(field.name, "").replace("\r\n", "\n")
        if field.name + NULL_SUFFIX in form:
            if not field.is_null:
                yield field, None
        elif field.name in form and (text != field.text or (field.is_null and field.is_nullable and text)):
            yield field, text


def _parse_text(field: FormField, text: str) -> Any:
    if field.kind in ("text", "choice"):
        return text
    value = orjson.loads(text)
    if field.kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise ValueError(text)
    return value
