"""Pages of the clock and the sandboxes, and of the coverage of the contract."""

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from mock_server.console.clock_state import describe_duration
from mock_server.console.control_client import ControlError
from mock_server.console.page import Page, PageRequest, PageResult, Redirect, create_unknown_action_error, parse_number
from mock_server.sandbox.sandbox import TOKEN_LIFETIME

ADVANCES = ((60, "1 minute"), (3600, "1 hour"), (86400, "1 day"), (30 * 86400, "30 days"))


async def show_clock(request: PageRequest) -> Page:
    """Show the time of the sandbox."""
    clock = await request.get("clock")
    context = {"clock": clock, "advances": ADVANCES, "token_hours": TOKEN_LIFETIME // timedelta(hours=1)}
    context["advanced_by"] = _describe_advance(request.query.get("seconds", ""))
    return Page("clock.html.j2", context)


def _describe_advance(text: str) -> str:
    """Return a number of seconds as a duration; "" for any other text."""
    seconds = parse_number(text)
    return "" if isinstance(seconds, str) else describe_duration(seconds)


async def change_clock(request: PageRequest) -> PageResult:
    """Advance, freeze, continue, set, accelerate or synchronize the clock (field ``do``)."""
    form, action = request.form, request.form.get("do", "")
    try:
        if action == "advance":
            await request.send("POST", "clock", "advance", body={"seconds": parse_number(form.get("seconds", ""))})
        elif action == "synchronize":
            await request.send("POST", "clock", "synchronize")
        else:
            await request.send("PATCH", "clock", body=_parse_clock_changes(form))
    except ControlError as error:
        return (await show_clock(request)).with_error(error)
    seconds = form.get("seconds", "") if action == "advance" else ""
    return Redirect(request.build_url("clock", notice=action, seconds=seconds))


def _parse_clock_changes(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the changes of a form as the body of a PATCH request. Raises ControlError for an unknown button."""
    match action := form.get("do", ""):
        case "freeze":
            return {"frozen": True}
        case "continue":
            return {"frozen": False}
        case "speed":
            return {"speed": parse_number(form.get("speed", ""))}
        case "set":
            return {"now": form.get("now", "")}
        case _:
            raise create_unknown_action_error(action)


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
    """Show which operations the recorded requests called, and the inferred facts that they depend on.

    Query ``show``: ``called`` or ``never-called``; else all operations.
    """
    coverage, shown = await request.get("coverage"), request.query.get("show", "")
    called = [item for item in coverage["operations"] if item["requests"]]
    never_called = [item for item in coverage["operations"] if not item["requests"]]
    choices = {"": coverage["operations"], "called": called, "never-called": never_called}
    if shown not in choices:
        message = f'show: invalid value "{shown[:100]}" (expected called or never-called).'
        raise ControlError(HTTPStatus.UNPROCESSABLE_ENTITY, [message])
    counts = {name: len(items) for name, items in choices.items()}
    context = {**coverage, "operations": choices[shown], "counts": counts, "shown": shown}
    return Page("contract.html.j2", context)
