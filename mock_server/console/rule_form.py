"""The form of a rule: parses its fields, fills them from a recorded request, and adds a rule by the control API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import orjson

from mock_server.console.control_client import ControlError
from mock_server.console.field_errors import AssignedErrors, NamedField, assign_errors
from mock_server.console.page import PageRequest, Redirect, parse_number
from spec.model import Contract


@dataclass(frozen=True, slots=True)
class SelectOption:
    """A value of a field to choose from. `text`: that the user sees."""

    value: str
    text: str


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
    choices: tuple[SelectOption, ...] = ()
    text: str = ""
    errors: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The id of its element."""
        return f"rule-{self.name}"

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
    RuleField(name="times", label="Times", location="times", kind="number", hint="1: only the next one; empty: always"),
    RuleField(name="probability", label="Probability", location="probability", kind="number", hint="0 to 1; empty: 1"),
    RuleField(name="priority", label="Priority", location="priority", kind="number", hint="highest first; empty: 0"),
    RuleField(name="name", label="Name", location="name", hint="lower-case letters, digits, hyphens; empty: generated"),
)
# Errors about several fields, and the field that shows them.
_SHARED_LOCATIONS = {"match": "operation", "respond": "status"}


def build_rule_fields(
    form: Mapping[str, str], choices: Mapping[str, Sequence[SelectOption]], errors: AssignedErrors | None = None
) -> list[RuleField]:
    """Return the fields with the texts of `form`, the choices by field, and the errors of the control API."""
    return [
        replace(
            field,
            text=form.get(field.name, ""),
            choices=tuple(choices.get(field.name, ())),
            errors=() if errors is None else errors.by_name.get(field.name, ()),
        )
        for field in _FIELDS
    ]


def assign_rule_errors(error: ControlError) -> AssignedErrors:
    """Assign the errors of the control API to the fields of the form."""
    by_name = {field.name: field for field in _FIELDS}
    locations: dict[str, NamedField] = {field.location: field for field in _FIELDS}
    shared = {location: by_name[name] for location, name in _SHARED_LOCATIONS.items()}
    return assign_errors(error, {**locations, **shared})


def parse_rule_form(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the rule of a form. Empty fields are absent.

    Raises ControlError if the body is not JSON, or without a response.
    """
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
    if not rule["respond"]:
        message = "No response (expected a status, a fault, an example, a body or a delay)."
        raise ControlError.from_fields(HTTPStatus.UNPROCESSABLE_ENTITY, {"respond": [message]})
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


def list_operation_choices(contract: Contract) -> list[SelectOption]:
    """Return the operations by id, each with its method and path."""
    operations = sorted(contract.operations.values(), key=lambda operation: operation.id.lower())
    return [SelectOption(o.id, f"{o.id} ({o.method.upper()} {o.path})") for o in operations]


async def add_rule(request: PageRequest, rule: Any) -> Redirect:
    """Add a rule and show the rules, with a notice that says whether it replaced another one. Raises ControlError."""
    names = [existing["name"] for existing in (await request.get("rules"))["rules"]]
    created = await request.send("POST", "rules", body=rule)
    is_replaced = created["name"] in names
    return Redirect(request.build_url("rules", notice=created["name"], replaced="1" if is_replaced else ""))
