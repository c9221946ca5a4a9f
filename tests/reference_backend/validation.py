"""Validation rules for request data, with Laravel's messages.

A rule takes the name and the value of a field and yields (name, message) for each error.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

FieldError = tuple[str, str]
Rule = Callable[[str, Any], Iterator[FieldError]]

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})+")


class HttpError(Exception):
    """An error response. `errors`: messages by field, for a 422."""

    def __init__(self, status: int, message: str, errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors


def raise_if_invalid(field_errors: list[FieldError]) -> None:
    """Raise Laravel's 422 if there is an error."""
    if not field_errors:
        return
    errors: dict[str, list[str]] = {}
    for name, message in field_errors:
        errors.setdefault(name, []).append(message)
    more = len(field_errors) - 1
    rest = f" (and {more} more error{'s' if more > 1 else ''})" if more else ""
    raise HttpError(422, field_errors[0][1] + rest, errors)


def display_name(name: str) -> str:
    """A field's name in a message."""
    return name.replace("_", " ")


def string(minimum: int = 0, maximum: int = 255, pattern: re.Pattern[str] | None = None, format_name: str = "") -> Rule:
    """A string with length limits and a pattern with the name `format_name`."""

    def rule(name: str, value: Any) -> Iterator[FieldError]:
        if not isinstance(value, str):
            yield name, f"The {display_name(name)} field must be a string."
        elif len(value) < minimum:
            yield name, f"The {display_name(name)} field must be at least {minimum} characters."
        elif len(value) > maximum:
            yield name, f"The {display_name(name)} field must not be greater than {maximum} characters."
        elif pattern is not None and pattern.fullmatch(value) is None:
            yield name, f"The {display_name(name)} field must be a valid {format_name}."

    return rule


def uuid() -> Rule:
    """A UUID."""
    return string(0, 36, UUID, "UUID")


def url() -> Rule:
    """An absolute URL."""
    return string(0, 2048, URL, "URL")


def email() -> Rule:
    """An e-mail address."""
    return string(0, 255, EMAIL, "email address")


def choice(*allowed: str) -> Rule:
    """One of several strings."""

    def rule(name: str, value: Any) -> Iterator[FieldError]:
        if not isinstance(value, str) or value not in allowed:
            yield name, f"The selected {display_name(name)} is invalid."

    return rule


def boolean() -> Rule:
    """True or false."""

    def rule(name: str, value: Any) -> Iterator[FieldError]:
        if not isinstance(value, bool):
            yield name, f"The {display_name(name)} field must be true or false."

    return rule


def number(minimum: float, maximum: float, *, is_integer: bool = False) -> Rule:
    """A number within bounds; `is_integer` accepts 1.0."""
    kind = "an integer" if is_integer else "a number"

    def rule(name: str, value: Any) -> Iterator[FieldError]:
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not numeric or (is_integer and isinstance(value, float) and not value.is_integer()):
            yield name, f"The {display_name(name)} field must be {kind}."
        elif value < minimum:
            yield name, f"The {display_name(name)} field must be at least {minimum}."
        elif value > maximum:
            yield name, f"The {display_name(name)} field must not be greater than {maximum}."

    return rule


def array(item_rule: Rule, maximum: int) -> Rule:
    """A list with at most `maximum` items that follow a rule (item names: `files.0.key`)."""

    def rule(name: str, value: Any) -> Iterator[FieldError]:
        if not isinstance(value, list):
            yield name, f"The {display_name(name)} field must be an array."
            return
        if len(value) > maximum:
            yield name, f"The {display_name(name)} field must not have more than {maximum} items."
        for index, item in enumerate(value):
            yield from item_rule(f"{name}.{index}", item)

    return rule


def record(fields: Mapping[str, Rule], *required: str, is_closed: bool = False) -> Rule:
    """An object; `is_closed`: no other keys are allowed."""

    def rule(name: str, value: Any) -> Iterator[FieldError]:
        if not isinstance(value, dict):
            yield name, f"The {display_name(name)} field must be an array."
            return
        yield from find_errors(value, fields, required, f"{name}.")
        for key in sorted(value.keys() - fields.keys()) if is_closed else ():
            yield f"{name}.{key}", f"The {display_name(name)}.{key} field is prohibited."

    return rule


def nullable(value_rule: Rule) -> Rule:
    """Allow null too."""

    def rule(name: str, value: Any) -> Iterator[FieldError]:
        if value is not None:
            yield from value_rule(name, value)

    return rule


def find_errors(
    sent: Mapping[str, Any], fields: Mapping[str, Rule], required: tuple[str, ...] = (), prefix: str = ""
) -> Iterator[FieldError]:
    """Find the errors in an object; unknown keys are ignored."""
    for name, rule in fields.items():
        if name in sent:
            yield from rule(prefix + name, sent[name])
        elif name in required:
            yield prefix + name, f"The {display_name(prefix + name)} field is required."
