"""The form of a rule: parses its fields to a rule of the control API, and fills them from a recorded request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import orjson

from mock_server.console.control_client import ControlError
from mock_server.console.page import parse_number


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleField:
    """A field of the form.

    `location`: place of the value in the rule. `kind`: text, number, choice or json. `choices`: values of a choice, or
    suggested values. `empty_choice`: label of the choice without a value. `errors`: messages about the text.
    """

    name: str
    label: str
    location: str
    kind: str = "text"
    hint: str = ""
    empty_choice: str = ""
    choices: tuple[str, ...] = ()
    text: str = ""
    errors: tuple[str, ...] = ()

    def parse(self) -> Any:
        """Return the value of the text. Raises ValueError if it is not JSON in a field of JSON."""
        if self.kind == "json":
            return orjson.loads(self.text)
        return parse_number(self.text) if self.kind == "number" else self.text


_FIELDS = (
    RuleField(name="operation", label="Operation", location="match.operation", kind="choice", empty_choice="* (all)"),
    RuleField(name="status", label="Status", location="respond.status", kind="number", hint="200 to 599"),
    RuleField(name="fault", label="Fault", location="respond.fault", kind="choice", empty_choice="none"),
    RuleField(name="example", label="Example", location="respond.example", hint="of the contract, instead of a body"),
    RuleField(name="body", label="Body", location="respond.body", kind="json", hint="JSON; empty: the usual one"),
    RuleField(name="delay_ms", label="Delay", location="respond.delay_ms", kind="number", hint="milliseconds"),
    RuleField(name="times", label="Times", location="times", kind="number", hint="empty: always"),
    RuleField(name="probability", label="Probability", location="probability", kind="number", hint="0 to 1; empty: 1"),
    RuleField(name="priority", label="Priority", location="priority", kind="number", hint="highest first; empty: 0"),
    RuleField(name="name", label="Name", location="name", hint="lower-case letters, digits, hyphens; empty: generated"),
)
# Errors about several fields, and the field that shows them.
_SHARED_LOCATIONS = {"match": "operation", "respond": "status"}


def build_rule_fields(
    form: Mapping[str, str], choices: Mapping[str, Iterable[str]], errors: Mapping[str, list[str]] | None = None
) -> list[RuleField]:
    """Return the fields with the texts of `form`, the choices by field, and the errors of the control API."""
    messages: dict[str, list[str]] = {}
    for location, texts in (errors or {}).items():
        messages.setdefault(find_field(location) or "", []).extend(texts)
    return [
        replace(
            field,
            text=form.get(field.name, ""),
            choices=tuple(choices.get(field.name, ())),
            errors=tuple(messages.get(field.name, ())),
        )
        for field in _FIELDS
    ]


def find_field(location: str) -> str | None:
    """Return the name of the field that shows an error of the control API; None without one."""
    names = {field.location: field.name for field in _FIELDS} | _SHARED_LOCATIONS
    while location:
        if location in names:
            return names[location]
        location = location.rpartition(".")[0]
    return None


def parse_rule_form(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the rule of a form. Empty fields are absent. Raises ControlError if the body is not JSON."""
    rule: dict[str, Any] = {"match": {}, "respond": {}}
    for field in build_rule_fields(form, {}):
        if not field.text.strip():
            continue
        group, _, name = field.location.rpartition(".")
        try:
            (rule[group] if group else rule)[name] = replace(field, text=field.text.strip()).parse()
        except orjson.JSONDecodeError as error:
            message = f"invalid JSON: {error} (expected a JSON value)."
            raise ControlError.from_fields(HTTPStatus.UNPROCESSABLE_ENTITY, {field.location: [message]}) from None
    return rule


def fill_from_request(entry: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return the texts of a rule that sends the response of a recorded request to all requests of its operation.

    `name`: of the rule.
    """
    response = entry["response"]
    texts = {"operation": entry["operation"] or "", "name": name}
    if response is None:
        return {**texts, "fault": entry["fault"] or "empty-response"}
    texts["status"] = str(response["status"])
    if response["body"] is not None:
        texts["body"] = orjson.dumps(response["body"], option=orjson.OPT_INDENT_2).decode()
    return texts
