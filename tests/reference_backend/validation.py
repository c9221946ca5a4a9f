"""Rules for what clients send, and Laravel's words for what breaks them.

A rule is asked with the name and the value of a field, and yields (name, message) for each breach.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Breach = tuple[str, str]
Rule = Callable[[str, Any], Iterator[Breach]]

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})+")


class Refusal(Exception):
    """An answer other than a success: its status, message and, for a 422, the errors by field."""

    def __init__(self, status: int, message: str, errors: Mapping[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors


def refuse(breaches: list[Breach]) -> None:
    """Raise Laravel's 422 when there is any breach."""
    if not breaches:
        return
    errors: dict[str, list[str]] = {}
    for name, message in breaches:
        errors.setdefault(name, []).append(message)
    more = len(breaches) - 1
    rest = f" (and {more} more error{'s' if more > 1 else ''})" if more else ""
    raise Refusal(422, breaches[0][1] + rest, errors)


def spoken(name: str) -> str:
    """A field's name as a sentence says it."""
    return name.replace("_", " ")


def string(least: int = 0, most: int = 255, pattern: re.Pattern[str] | None = None, what: str = "") -> Rule:
    """A text of a length, and of a pattern called `what`."""

    def rule(name: str, value: Any) -> Iterator[Breach]:
        if not isinstance(value, str):
            yield name, f"The {spoken(name)} field must be a string."
        elif len(value) < least:
            yield name, f"The {spoken(name)} field must be at least {least} characters."
        elif len(value) > most:
            yield name, f"The {spoken(name)} field must not be greater than {most} characters."
        elif pattern is not None and pattern.fullmatch(value) is None:
            yield name, f"The {spoken(name)} field must be a valid {what}."

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
    """One of some words."""

    def rule(name: str, value: Any) -> Iterator[Breach]:
        if not isinstance(value, str) or value not in allowed:
            yield name, f"The selected {spoken(name)} is invalid."

    return rule


def boolean() -> Rule:
    """True or false."""

    def rule(name: str, value: Any) -> Iterator[Breach]:
        if not isinstance(value, bool):
            yield name, f"The {spoken(name)} field must be true or false."

    return rule


def number(least: float, most: float, *, whole: bool = False) -> Rule:
    """A number within bounds; 1.0 is whole."""
    kind = "an integer" if whole else "a number"

    def rule(name: str, value: Any) -> Iterator[Breach]:
        numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not numeric or (whole and isinstance(value, float) and not value.is_integer()):
            yield name, f"The {spoken(name)} field must be {kind}."
        elif value < least:
            yield name, f"The {spoken(name)} field must be at least {least}."
        elif value > most:
            yield name, f"The {spoken(name)} field must not be greater than {most}."

    return rule


def array(of: Rule, most: int) -> Rule:
    """A list of at most `most`, every element by a rule (`files.0.key` is its name)."""

    def rule(name: str, value: Any) -> Iterator[Breach]:
        if not isinstance(value, list):
            yield name, f"The {spoken(name)} field must be an array."
            return
        if len(value) > most:
            yield name, f"The {spoken(name)} field must not have more than {most} items."
        for index, one in enumerate(value):
            yield from of(f"{name}.{index}", one)

    return rule


def record(fields: Mapping[str, Rule], *required: str, closed: bool = False) -> Rule:
    """An object; `closed`: it may hold no other keys."""

    def rule(name: str, value: Any) -> Iterator[Breach]:
        if not isinstance(value, dict):
            yield name, f"The {spoken(name)} field must be an array."
            return
        yield from breaches(value, fields, required, f"{name}.")
        for key in sorted(value.keys() - fields.keys()) if closed else ():
            yield f"{name}.{key}", f"The {spoken(name)}.{key} field is prohibited."

    return rule


def nullable(of: Rule) -> Rule:
    """The same, or null."""

    def rule(name: str, value: Any) -> Iterator[Breach]:
        if value is not None:
            yield from of(name, value)

    return rule


def breaches(
    sent: Mapping[str, Any], fields: Mapping[str, Rule], required: tuple[str, ...] = (), above: str = ""
) -> Iterator[Breach]:
    """What is wrong with the keys of an object; unknown ones are nobody's concern."""
    for name, rule in fields.items():
        if name in sent:
            yield from rule(above + name, sent[name])
        elif name in required:
            yield above + name, f"The {spoken(above + name)} field is required."
