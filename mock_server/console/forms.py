"""Forms for records: fields made from the schema of a resource, and the values that a form sends."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import orjson

from mock_server.console.control_client import ControlError

_NUMBER_TYPES = ("integer", "number")
_LONG_TEXT = 200  # characters, from which a text gets several lines
NULL_SUFFIX = ":null"  # of the name of the checkbox that sets null


@dataclass(frozen=True, slots=True)
class FormField:
    """A field. `kind`: text, choice, number or json; `text`: the present value; `choices`: of an enumeration."""

    name: str
    kind: str
    text: str
    is_nullable: bool
    is_null: bool
    choices: tuple[str, ...] = ()

    @property
    def is_long(self) -> bool:
        """Whether the field needs several lines."""
        return self.kind == "json" or (self.kind == "text" and (len(self.text) > _LONG_TEXT or "\n" in self.text))


def build_fields(schema: Mapping[str, Any], record: Mapping[str, Any]) -> list[FormField]:
    """Build the fields of a record. `schema`: of the record in a request of the control API."""
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
    """Return fields with the texts of a form, so that a rejected form does not lose them."""
    return [
        replace(field, text=form.get(field.name, field.text), is_null=field.name + NULL_SUFFIX in form)
        for field in fields
    ]


def parse_changes(fields: Iterable[FormField], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that differ from the present ones. Raises ControlError with all invalid fields."""
    changes: dict[str, Any] = {}
    errors: list[str] = []
    for field, text in _iter_changed_texts(fields, form):
        try:
            changes[field.name] = None if text is None else _parse_text(field, text)
        except ValueError:
            expected = "a number" if field.kind == "number" else "JSON"
            errors.append(f'{field.name}: "{str(text)[:100]}" is not valid (expected {expected}).')
    if errors:
        raise ControlError(HTTPStatus.UNPROCESSABLE_ENTITY, errors)
    return changes


def _iter_changed_texts(fields: Iterable[FormField], form: Mapping[str, str]) -> Iterator[tuple[FormField, str | None]]:
    """Yield the fields with another text than before; None if the checkbox for null is set."""
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
