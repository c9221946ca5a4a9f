"""Errors of the control API at the fields of a form."""

from dataclasses import dataclass

import pytest

from mock_server.console.control_client import ControlError
from mock_server.console.field_errors import NamedField, assign_errors, rename_field


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    label: str
    id: str


FIELD = Field("delay", "Delay", "field-1")
FIELDS: dict[str, NamedField] = {"respond.delay_ms": FIELD}


@pytest.mark.parametrize(
    ("message", "renamed"),
    [
        ("The respond.delay ms field must be an integer.", "The Delay field must be an integer."),
        ("The respond.delay_ms field has no effect.", "The Delay field has no effect."),
        ("The selected respond.delay ms is invalid.", "The selected Delay is invalid."),
        ("respond.delay_ms: the value exists.", "The value exists."),
        ("Another message.", "Another message."),
    ],
)
def test_message_names_the_field_by_its_label(message: str, renamed: str) -> None:
    assert rename_field(message, "respond.delay_ms", "Delay") == renamed


def test_error_within_a_field_belongs_to_it() -> None:
    error = ControlError.from_fields(422, {"respond.delay_ms.0": ["The respond.delay ms.0 field is invalid."]})
    errors = assign_errors(error, FIELDS)
    assert errors.by_name == {"delay": ("The Delay.0 field is invalid.",)}
    assert (errors.fields, errors.others) == ((FIELD,), ())


def test_error_of_another_field_is_listed_with_its_location() -> None:
    errors = assign_errors(ControlError.from_fields(422, {"respond.text": ["It is wrong."], "": ["Empty."]}), FIELDS)
    assert (errors.by_name, errors.others) == ({}, ("respond.text: It is wrong.", ": Empty."))


def test_error_without_fields_is_listed() -> None:
    errors = assign_errors(ControlError(409, ["Too many."]), FIELDS)
    assert (errors.by_name, errors.fields, errors.others) == ({}, (), ("Too many.",))
