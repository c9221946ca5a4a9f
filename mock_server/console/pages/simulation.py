"""Pages that control the simulation: rules and faults, clock, sandboxes; and the coverage of the contract."""

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import orjson

from mock_server.console.control_client import ControlError
from mock_server.console.page import Page, PageRequest, PageResult, Redirect, create_unknown_action_error
from mock_server.sandbox.sandbox import TOKEN_LIFETIME

RULE_EXAMPLE = '{"match": {"operation": "%s"}, "respond": {"status": 503}, "times": 1}'
ADVANCES = ((60, "1 minute"), (3600, "1 hour"), (86400, "1 day"), (30 * 86400, "30 days"))


async def show_rules(request: PageRequest, text: str = "") -> Page:
    """Show the active rules, the ready-made ones and a form. `text`: of the form; default: an example."""
    rules = (await request.get("rules"))["rules"]
    presets = (await request.client.get("presets"))["presets"]
    example = RULE_EXAMPLE % next(iter(request.contract.operations), "")
    context = {"rules": rules, "presets": presets, "text": text or example}
    return Page("rules.html.j2", context)


async def change_rules(request: PageRequest) -> PageResult:
    """Add a ready-made rule or one as JSON, or delete one or all of them (field ``do``)."""
    text = request.form.get("rule", "")
    try:
        await _run_rule_action(request, request.form.get("do", ""), request.form.get("name", ""), text)
    except ControlError as error:
        return (await show_rules(request, text)).with_error(error)
    return Redirect(request.build_url("rules"))


async def _run_rule_action(request: PageRequest, action: str, name: str, text: str) -> None:
    match action:
        case "preset":
            await request.send("POST", "rules", body={"preset": name})
        case "create":
            await request.send("POST", "rules", body=_parse_rule(text))
        case "delete":
            await request.send("DELETE", "rules", name)
        case "delete-all":
            await request.send("DELETE", "rules")
        case _:
            raise create_unknown_action_error(action)


def _parse_rule(text: str) -> Any:
    """Return the JSON of a rule. Raises ControlError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ControlError(
            HTTPStatus.UNPROCESSABLE_ENTITY, [f"rule: invalid JSON: {error} (expected a JSON object)."]
        ) from None


async def show_clock(request: PageRequest) -> Page:
    """Show the time of the sandbox."""
    clock = await request.get("clock")
    context = {"clock": clock, "advances": ADVANCES, "token_hours": TOKEN_LIFETIME // timedelta(hours=1)}
    return Page("clock.html.j2", context)


async def change_clock(request: PageRequest) -> PageResult:
    """Advance, freeze, continue, set or accelerate the clock (field ``do``)."""
    form = request.form
    try:
        if form.get("do") == "advance":
            await request.send("POST", "clock", "advance", body={"seconds": _parse_number(form.get("seconds", ""))})
        else:
            await request.send("PATCH", "clock", body=_parse_clock_changes(form))
    except ControlError as error:
        return (await show_clock(request)).with_error(error)
    return Redirect(request.build_url("clock"))


def _parse_clock_changes(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the changes of a form as the body of a PATCH request. Raises ControlError for an unknown button."""
    match action := form.get("do", ""):
        case "freeze":
            return {"frozen": True}
        case "continue":
            return {"frozen": False}
        case "speed":
            return {"speed": _parse_number(form.get("speed", ""))}
        case "set":
            return {"now": form.get("now", "")}
        case _:
            raise create_unknown_action_error(action)


def _parse_number(text: str) -> Any:
    """Parse a number; return any other text unchanged, so that the control API rejects it."""
    try:
        return float(text)
    except ValueError:
        return text


async def show_sandboxes(request: PageRequest) -> Page:
    """Show all sandboxes, and the datasets for a new one."""
    listed = await request.client.get("sandboxes")
    document = await request.client.get("openapi.json")
    parameters = document["components"]["schemas"]["SandboxParameters"]["properties"]
    context = {**listed, "datasets": parameters["dataset"].get("enum", [])}
    return Page("sandboxes.html.j2", context)


async def change_sandboxes(request: PageRequest) -> PageResult:
    """Create or delete a sandbox (field ``do``)."""
    form, name = request.form, request.form.get("name", "")
    try:
        match action := form.get("do", ""):
            case "delete":
                await request.client.send("DELETE", "sandboxes", name)
            case "create":
                parameters = {"dataset": form["dataset"]} if form.get("dataset") else {}
                await request.client.send("PUT", "sandboxes", name, body=parameters)
            case _:
                raise create_unknown_action_error(action)
    except ControlError as error:
        return (await show_sandboxes(request)).with_error(error)
    return Redirect(request.build_url("sandboxes"))


async def show_contract(request: PageRequest) -> PageResult:
    """Show which operations the recorded requests called, and the inferred facts that they depend on."""
    coverage = await request.get("coverage")
    called = [item for item in coverage["operations"] if item["requests"]]
    return Page("contract.html.j2", {**coverage, "called_count": len(called)})
