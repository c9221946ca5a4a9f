"""Pages of the recorded requests: the list, one request with the reason for its response, and rules made from it."""

import re
import shlex
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from mock_server.console.control_client import ControlError
from mock_server.console.page import (
    Download,
    Page,
    PageRequest,
    PageResult,
    Redirect,
    create_unknown_page_error,
    parse_whole_number,
)
from mock_server.console.rule_form import add_rule, list_operation_choices
from spec.model import BodyField, Contract, Operation, Parameter
from spec.provenance import get_provenance

PAGE_SIZE = 50
FAILURE_STATUSES = (401, 403, 404, 409, 422, 429, 500, 503)
REDACTED_HEADER = "[redacted]"
_UNSENT_HEADERS = frozenset({"host", "content-length", "connection", "accept-encoding", "user-agent", "accept"})
_STATUS_CLASS = re.compile("[1-5]xx")
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")
_NAME_CHARACTERS = re.compile(r"[^a-z0-9]+")


async def show_requests(request: PageRequest) -> PageResult:
    """Show the list, one request (`parts`: its number), or the list's rows only (query ``rows``)."""
    if request.parts:
        return await show_request(request, _parse_request_number(request.parts, 1))
    query = request.query
    criteria = {name: query.get(name, "") for name in ("operation", "status", "before")}
    is_fragment, error = "rows" in query, None
    try:
        listed = await request.get("requests", limit=PAGE_SIZE, bodies="false", **_build_conditions(criteria))
    except ControlError as rejected:
        if is_fragment or rejected.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        error, listed = rejected, await request.get("requests", limit=PAGE_SIZE, bodies="false")
    context = {"listed": listed, "criteria": criteria, "operations": list_operation_choices(request.contract)}
    context["status_classes"] = STATUS_CLASSES
    context["is_live"] = error is None and not criteria["before"] and "paused" not in query
    page = Page("request_rows.html.j2" if is_fragment else "requests.html.j2", context, is_fragment=is_fragment)
    return page if error is None else page.with_error(error)


def _build_conditions(criteria: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of the control API: a class of statuses (``4xx``) is another parameter than a status."""
    status_class = criteria["status"].lower()
    if not _STATUS_CLASS.fullmatch(status_class):
        return dict(criteria)
    return {**criteria, "status": "", "status_class": status_class}


async def show_request(request: PageRequest, number: int) -> Page:
    """Show one request and its operation. Raises ControlError (404)."""
    entry = await find_request(request, number)
    operation = request.contract.operations.get(entry["operation"] or "")
    context = {
        "entry": entry,
        "has_rule_response": await _has_rule_response(request, entry),
        "operation": None if operation is None else _describe_operation(request.contract, operation),
        "curl": build_curl(entry),
        "statuses": FAILURE_STATUSES,
    }
    return Page("request.html.j2", context)


async def _has_rule_response(request: PageRequest, entry: Mapping[str, Any]) -> bool:
    """Whether the rule of a request, as it is now, sends another response than the usual one."""
    rules = (await request.get("rules"))["rules"] if entry["rule"] else []
    responds = [rule["respond"] for rule in rules if rule["name"] == entry["rule"]]
    responses = [response for respond in responds for response in (respond if isinstance(respond, list) else [respond])]
    is_limited = entry["response"] is not None and entry["response"]["status"] == HTTPStatus.TOO_MANY_REQUESTS
    names = {"status", "body", "example", "patch", *(["rate_limit"] if is_limited else [])}
    return any(names & response.keys() for response in responses)


async def change_requests(request: PageRequest) -> PageResult:
    """Delete all requests, or make the next one like it fail (`parts`: its number, then ``fail``)."""
    if request.parts == ("delete",):
        await request.send("DELETE", "requests")
        return Redirect(request.build_url("requests"))
    number = _parse_request_number(request.parts, 2)
    entry = await find_request(request, number)
    match request.parts[1]:
        case "fail":
            rule = _build_failure(entry, request.form)
        case _:
            raise create_unknown_page_error()
    try:
        return await add_rule(request, rule)
    except ControlError as error:
        return (await show_request(request, number)).with_error(error)


async def download_archive(request: PageRequest) -> PageResult:
    """Return the recorded requests as a HAR file."""
    archive = await request.get("requests.har")
    return Download(f"{request.sandbox}.har", "application/json", orjson.dumps(archive))


def _parse_request_number(parts: tuple[str, ...], part_count: int) -> int:
    """Return the number of a request, the first of `part_count` parts. Raises ControlError (404) for other parts."""
    number = parse_whole_number(parts[0]) if len(parts) == part_count else None
    if number is None:
        raise create_unknown_page_error()
    return number


async def find_request(request: PageRequest, number: int) -> Any:
    """Return a recorded request. Raises ControlError (404)."""
    body = {"before": number + 1, "limit": 1}
    entries = (await request.send("POST", "requests", "find", body=body))["requests"] if number > 0 else []
    if not entries or entries[0]["id"] != number:
        message = f"Request {number} is not recorded: it was deleted, or dropped for newer ones (--journal-memory)."
        raise ControlError(HTTPStatus.NOT_FOUND, [message])
    return entries[0]


def _describe_operation(contract: Contract, operation: Operation) -> dict[str, Any]:
    """Return the documentation of an operation, with the provenance of each parameter and body field."""
    document = contract.document
    node = document.resolve(operation.pointer)
    parts: list[tuple[Parameter | BodyField, str]] = [(p, p.location) for p in operation.parameters]
    parts += [(field, "body") for field in operation.body_fields.values()]
    return {
        "id": operation.id,
        "title": f"{operation.method.upper()} {operation.path}",
        "summary": operation.summary,
        "description": str(node.get("description", "")),
        "provenance": get_provenance(document, operation.pointer),
        "parts": [
            {
                "name": part.name,
                "location": location,
                "required": part.required,
                "provenance": get_provenance(document, part.pointer),
            }
            for part, location in parts
        ],
        "statuses": sorted(operation.responses),
    }


def build_curl(entry: Mapping[str, Any]) -> str:
    """Build a curl command that repeats a recorded request; a redacted bearer token becomes ``$TOKEN``."""
    sent = entry["request"]
    words = ["curl", "-i", "-X", shlex.quote(sent["method"]), shlex.quote(sent["url"])]
    for name, value in sent["headers"].items():
        if name == "authorization" and REDACTED_HEADER in value:
            words += ["-H", '"Authorization: Bearer $TOKEN"']
        elif name not in _UNSENT_HEADERS and REDACTED_HEADER not in value and not name.startswith("sec-"):
            words += ["-H", shlex.quote(f"{name}: {value}")]
    if sent["body"] is not None:
        body = sent["body"] if isinstance(sent["body"], str) else orjson.dumps(sent["body"]).decode()
        words += ["--data-raw", shlex.quote(body)]
    return " ".join(words)


def _build_match(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return rule conditions that match requests to the same operation, or else with the same method and path."""
    if entry["operation"] is not None:
        return {"operation": entry["operation"]}
    return {"method": entry["request"]["method"], "path": entry["request"]["path"]}


def build_rule_name(prefix: str, entry: Mapping[str, Any]) -> str:
    """Return a name for a rule that is made from a recorded request."""
    subject = entry["operation"] or f"{entry['request']['method']}-{entry['request']['path']}"
    return _NAME_CHARACTERS.sub("-", f"{prefix}-{subject}".lower())[:60].strip("-")


def _build_failure(entry: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, Any]:
    """Return a rule that makes the next matching request fail. `form`: has the status, or a fault."""
    text = form.get("status", "")
    status = parse_whole_number(text)
    respond = {"fault": text} if text == "connection-reset" else {"status": text if status is None else status}
    return {"name": build_rule_name("fail", entry), "match": _build_match(entry), "respond": respond, "times": 1}
