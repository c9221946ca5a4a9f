"""Assigns the errors of the control API to the fields of a form, with the names that the form shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mock_server.console.control_client import ControlError


class NamedField(Protocol):
    """A field of a form. `name`: of its input; `label`: that the user sees; `id`: of the element."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AssignedErrors:
    """`by_name`: the messages of each field with errors; `fields`: these fields; `others`: messages without a field."""

    by_name: Mapping[str, tuple[str, ...]]
    fields: tuple[NamedField, ...]
    others: tuple[str, ...]


def assign_errors(error: ControlError, fields: Mapping[str, NamedField]) -> AssignedErrors:
    """Assign each message to the field of its location or of an enclosing one. `fields`: by location in the request."""
    if not error.errors:
        return AssignedErrors({}, (), tuple(error.messages))
    by_name: dict[str, tuple[str, ...]] = {}
    invalid: dict[str, NamedField] = {}
    others: list[str] = []
    for location, messages in error.errors.items():
        enclosing = find_enclosing_location(location, fields)
        if enclosing is None:
            others += [f"{location}: {message}" for message in messages]
            continue
        field = fields[enclosing]
        label = field.label + location.removeprefix(enclosing)
        renamed = tuple(rename_field(message, location, label) for message in messages)
        by_name[field.name] = by_name.get(field.name, ()) + renamed
        invalid[field.name] = field
    return AssignedErrors(by_name, tuple(invalid.values()), tuple(others))


def find_enclosing_location(location: str, fields: Mapping[str, NamedField]) -> str | None:
    """Return a location, or the closest one around it, that has a field; None without one."""
    while location and location not in fields:
        location = location.rpartition(".")[0]
    return location or None


def rename_field(message: str, location: str, label: str) -> str:
    """Return a message of the control API about a location, which names the field by its label instead."""
    for prefix in (f"The {location} field ", f"The {location.replace('_', ' ')} field "):
        if message.startswith(prefix):
            return f"The {label} field {message.removeprefix(prefix)}"
    for prefix in (f"The selected {location} ", f"The selected {location.replace('_', ' ')} "):
        if message.startswith(prefix):
            return f"The selected {label} {message.removeprefix(prefix)}"
    text = message.removeprefix(f"{location}: ")
    return text[:1].upper() + text[1:]
