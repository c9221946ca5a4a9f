"""The page of the rules and faults: the active ones, the ready-made ones, and forms for new ones."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from mock_server.console.control_client import ControlError
from mock_server.console.page import (
    Page,
    PageRequest,
    PageResult,
    Redirect,
    create_unknown_action_error,
    parse_whole_number,
)
from mock_server.console.pages.requests import build_rule_name, find_request
from mock_server.console.rule_form import (
    SelectOption,
    add_rule,
    assign_rule_errors,
    build_rule_fields,
    fill_from_request,
    list_operation_choices,
    parse_rule_form,
)
from mock_server.web.forced_responses import find_examples
from spec.model import Contract

RULE_EXAMPLE = '{"match": {"operation": "%s"}, "respond": {"status": 503}, "times": 1}'


async def show_rules(request: PageRequest) -> Page:
    """Show the rules and the forms. Query ``request``: number of a recorded request, whose response fills the form."""
    if not request.query.get("request"):
        return await _build_page(request, {})
    try:
        form = await _read_saved_response(request, request.query["request"])
    except ControlError as error:
        return (await _build_page(request, {})).with_error(error)
    return await _build_page(request, form)


async def _read_saved_response(request: PageRequest, number: str) -> dict[str, str]:
    """Return the texts of a form that repeats the response of a recorded request. Raises ControlError (404, 422)."""
    entry = await find_request(request, parse_whole_number(number) or 0)
    if entry["operation"] is None:
        message = f"request {number}: unknown operation (expected a request to an operation of the contract)."
        raise ControlError(HTTPStatus.UNPROCESSABLE_ENTITY, [message])
    return fill_from_request(entry, build_rule_name("saved", entry))


async def _build_page(request: PageRequest, form: Mapping[str, str], error: ControlError | None = None) -> Page:
    """Return the page. `form`: the texts of the forms; `error`: of the form that the user submitted."""
    rules = (await request.get("rules"))["rules"]
    presets = (await request.client.get("presets"))["presets"]
    schemas = (await request.client.get("openapi.json"))["components"]["schemas"]
    faults = schemas["RuleResponse"]["properties"]["fault"]["enum"]
    examples = list_example_names(request.contract, form.get("operation", ""))
    choices = {
        "operation": list_operation_choices(request.contract),
        "fault": [SelectOption(name, name) for name in faults],
        "example": [SelectOption(name, name) for name in examples],
    }
    errors = assign_rule_errors(error) if error is not None and form.get("do") == "create" else None
    fields = build_rule_fields(form, choices, errors)
    example = RULE_EXAMPLE % next(iter(request.contract.operations), "")
    context = {"rules": rules, "presets": presets, "fields": fields, "text": form.get("rule") or example}
    page = Page("rules.html.j2", context)
    if error is None:
        return page
    return page.with_error(error) if errors is None else page.with_form_errors(error, errors)


def list_example_names(contract: Contract, operation_id: str) -> list[str]:
    """Return the names of the examples of an operation's responses; of all operations if there is none of that id."""
    operation = contract.operations.get(operation_id)
    operations = contract.operations.values() if operation is None else [operation]
    names = {name for o in operations for status in o.responses for name in find_examples(contract, o, status)}
    return sorted(names)


async def change_rules(request: PageRequest) -> PageResult:
    """Add a rule of the form, a ready-made one or one as JSON, or delete one or all of them (field ``do``)."""
    try:
        return await _run_rule_action(request, request.form.get("do", ""), request.form.get("name", ""))
    except ControlError as error:
        return await _build_page(request, request.form, error)


async def _run_rule_action(request: PageRequest, action: str, name: str) -> Redirect:
    """Run an action. Returns the page to show then. Raises ControlError."""
    match action:
        case "preset":
            return await add_rule(request, {"preset": name})
        case "create":
            return await add_rule(request, parse_rule_form(request.form))
        case "create-json":
            return await add_rule(request, _parse_json_rule(request.form.get("rule", "")))
        case "delete":
            await request.send("DELETE", "rules", name)
        case "delete-all":
            await request.send("DELETE", "rules")
        case _:
            raise create_unknown_action_error(action)
    return Redirect(request.build_url("rules"))


def _parse_json_rule(text: str) -> Any:
    """Return the JSON of a rule. Raises ControlError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ControlError(
            HTTPStatus.UNPROCESSABLE_ENTITY, [f"rule: invalid JSON: {error} (expected a JSON object)."]
        ) from None
