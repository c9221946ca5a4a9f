"""Rules and faults, clock, sandboxes, and the coverage of the contract."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from mock_server.console.control_client import ControlError
from mock_server.console.page import Page, PageRequest, PageResult, Redirect

RULE_EXAMPLE = '{"match": {"operation": "%s"}, "respond": {"status": 503}, "times": 1}'
ADVANCES = ((60, "1 minute"), (3600, "1 hour"), (86400, "1 day"), (30 * 86400, "30 days"))


async def show_rules(request: PageRequest, messages: list[str] | None = None, text: str = "") -> Page:
    rules = (await request.get("/rules"))["rules"]
    presets = (await request.client.get("/presets"))["presets"]
    example = RULE_EXAMPLE % next(iter(request.contract.operations), "")
    context = {"rules": rules, "presets": presets, "errors": messages or [], "text": text or example}
    return Page("rules.html.j2", context, HTTPStatus.UNPROCESSABLE_ENTITY if messages else HTTPStatus.OK)


async def change_rules(request: PageRequest) -> PageResult:
    """Add a ready-made rule or one as JSON, or delete one or all of them (field ``do``)."""
    form = request.form
    match form.get("do"):
        case "preset":
            await request.send("POST", "/rules", {"preset": form.get("name", "")})
        case "delete":
            await request.send("DELETE", f"/rules/{form.get('name', '')}")
        case "delete-all":
            await request.send("DELETE", "/rules")
        case _:
            text = form.get("rule", "")
            try:
                await request.send("POST", "/rules", orjson.loads(text))
            except orjson.JSONDecodeError as error:
                return await show_rules(request, [f"The rule is not JSON: {error}."], text)
            except ControlError as error:
                return await show_rules(request, error.messages, text)
    return Redirect(request.build_url("rules"))


async def show_clock(request: PageRequest, messages: list[str] | None = None) -> Page:
    clock = await request.get("/clock")
    context = {"clock": clock, "advances": ADVANCES, "errors": messages or []}
    return Page("clock.html.j2", context, HTTPStatus.UNPROCESSABLE_ENTITY if messages else HTTPStatus.OK)


async def change_clock(request: PageRequest) -> PageResult:
    """Advance, freeze, continue, set or accelerate the clock (field ``do``)."""
    form = request.form
    try:
        if form.get("do") == "advance":
            await request.send("POST", "/clock/advance", {"seconds": _parse_number(form.get("seconds", ""))})
        else:
            await request.send("PATCH", "/clock", _parse_clock_changes(form))
    except ControlError as error:
        return await show_clock(request, error.messages)
    return Redirect(request.build_url("clock"))


def _parse_clock_changes(form: Mapping[str, str]) -> dict[str, Any]:
    match form.get("do"):
        case "freeze":
            return {"frozen": True}
        case "continue":
            return {"frozen": False}
        case "speed":
            return {"speed": _parse_number(form.get("speed", ""))}
        case _:
            return {"now": form.get("now", "")}


def _parse_number(text: str) -> Any:
    """Return the number that a field contains; the text itself if it is none, so that the control API rejects it."""
    try:
        return float(text)
    except ValueError:
        return text


async def show_sandboxes(request: PageRequest, messages: list[str] | None = None) -> Page:
    listed = await request.client.get("/sandboxes")
    document = await request.client.get("/openapi.json")
    parameters = document["components"]["schemas"]["SandboxParameters"]["properties"]
    context = {**listed, "datasets": parameters["dataset"].get("enum", []), "errors": messages or []}
    return Page("sandboxes.html.j2", context, HTTPStatus.UNPROCESSABLE_ENTITY if messages else HTTPStatus.OK)


async def change_sandboxes(request: PageRequest) -> PageResult:
    """Create or delete a sandbox (field ``do``)."""
    form, name = request.form, request.form.get("name", "")
    try:
        if form.get("do") == "delete":
            await request.client.send("DELETE", f"/sandboxes/{name}")
        else:
            parameters = {"dataset": form["dataset"]} if form.get("dataset") else {}
            await request.client.send("PUT", f"/sandboxes/{name}", parameters)
    except ControlError as error:
        return await show_sandboxes(request, error.messages)
    return Redirect(request.build_url("sandboxes"))


async def show_contract(request: PageRequest) -> PageResult:
    coverage = await request.get("/coverage")
    called = [item for item in coverage["operations"] if item["requests"]]
    return Page("contract.html.j2", {**coverage, "called_count": len(called)})
