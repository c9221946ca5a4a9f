"""Faults for the clinic that no mutant has: each violates the requirement of one check.

Functions that return a `Fault` have no arguments; every fault has its own state.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import (
    MakeFault,
    accept,
    build_response,
    change_response,
    on_status,
    on_success,
    respond_if,
)
from spec.loader import load_contract

AppWrapper = Callable[[ASGIApp], ASGIApp]

CLINIC = load_contract(Path(__file__).parents[1] / "foreign" / "clinic.yaml")

OWNER_TOKEN = "Bearer demo-token"
OTHER_TOKEN = "Bearer other-token"


def build_error(status: int, message: str) -> InterceptedResponse:
    """Build an error response of the contract."""
    return build_response(status, {"message": message})


def has_token(request: InterceptedRequest, token: str) -> bool:
    """Return whether a request has this token."""
    return request.headers.get("authorization") == token


def query_value(request: InterceptedRequest, name: str) -> str:
    """Return the value of a query parameter, or ""."""
    return dict(request.query).get(name, "")


def change_json(change: Callable[[InterceptedRequest, Any], Any]) -> MakeFault:
    """Fault in the JSON of successful responses: `change(request, body)` returns the new body."""
    return on_success(lambda request, response: response.with_json(change(request, response.json)))


def change_data(**changes: Callable[[Any], Any]) -> MakeFault:
    """Fault in the record of successful responses: name of a property -> function that changes its value."""

    def change(request: InterceptedRequest, body: Any) -> Any:
        data = body["data"]
        return {**body, "data": {**data, **{name: convert(data[name]) for name, convert in changes.items()}}}

    return change_json(change)


def accept_any_media_type(request: InterceptedRequest) -> InterceptedRequest:
    """Every body is parsed as JSON."""
    return request.with_headers(content_type="application/json") if request.body else request


# Lists


def report_page_total(request: InterceptedRequest, body: Any) -> Any:
    """The total is the number of rows of the page."""
    return {**body, "meta": {**body["meta"], "total": len(body["data"])}}


def ignore_bracketed_arrays(request: InterceptedRequest) -> InterceptedRequest:
    """Array parameters with brackets are ignored."""
    return request.with_query(tuple((name, value) for name, value in request.query if not name.endswith("[]")))


def filter_by_blank(request: InterceptedRequest, body: Any) -> Any:
    """A blank parameter filters by the empty value."""
    has_blank = any(not value for _, value in request.query)
    return {**body, "data": [], "meta": {**body["meta"], "from": None, "to": None, "total": 0}} if has_blank else body


def report_unfiltered_total() -> Fault:
    """A filtered list has the total of the unfiltered list."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        unfiltered = await call_next(request.with_query(()))
        if not response.is_success or not unfiltered.is_success:
            return response
        body = response.json
        return response.with_json({**body, "meta": {**body["meta"], "total": unfiltered.json["meta"]["total"]}})

    return fault


def decrease_count(name: str) -> Callable[[InterceptedRequest, Any], Any]:
    """A count in the rows of a list is too low by one."""

    def change(request: InterceptedRequest, body: Any) -> Any:
        return {**body, "data": [{**row, name: max(0, row[name] - 1)} for row in body["data"]]}

    return change


def sort_by_creation_time(request: InterceptedRequest) -> InterceptedRequest:
    """Sorting by update time sorts by creation time."""
    replacements = {"updated_at": "created_at"}
    return request.with_query(tuple((name, replacements.get(value, value)) for name, value in request.query))


def fail_on_apostrophe() -> Fault:
    """The search term is concatenated into SQL."""
    return respond_if(lambda request: "'" in query_value(request, "search"), build_error(500, "Server Error"))()


def use_wildcards(request: InterceptedRequest) -> InterceptedRequest:
    """The search term is a LIKE pattern: here a wildcard matches the rest of the term too."""
    replaced = {"search": query_value(request, "search").replace("%", "_").partition("_")[0]}
    return request.with_query(tuple((name, replaced.get(name, value)) for name, value in request.query))


def search_all_tenants(request: InterceptedRequest) -> InterceptedRequest:
    """An OR without parentheses: a search includes the records of other accounts."""
    return (
        request.with_headers(authorization=OWNER_TOKEN)
        if query_value(request, "search") and has_token(request, OTHER_TOKEN)
        else request
    )


# HTTP


def serve_unknown_paths(app: ASGIApp) -> ASGIApp:
    """Unknown paths return the HTML page of a single-page application."""

    async def serve_page(scope: Scope, receive: Receive, send: Send) -> None:
        if "no-such-path" not in scope["path"]:
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<!doctype html><title>Clinic</title>"})

    return serve_page


# Accounts


def return_first_account(request: InterceptedRequest) -> InterceptedRequest:
    """Every token identifies the first account."""
    return request.with_headers(authorization=OWNER_TOKEN) if has_token(request, OTHER_TOKEN) else request


def return_another_owner(request: InterceptedRequest, body: Any) -> Any:
    """A new record belongs to another account."""
    vet = body["data"]["vet"]
    return {**body, "data": {**body["data"], "vet": {**vet, "id": vet["id"] + 1}}}


def accept_any_password() -> Fault:
    """A login with the wrong password succeeds."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        body = request.json
        is_wrong_password = isinstance(body, dict) and body.get("password") == "conformance-wrong-password"
        return await call_next(request.with_json({**body, "password": "password"}) if is_wrong_password else request)

    return fault


def return_unknown_token() -> Fault:
    """A login returns an invalid token."""
    return change_data(token=lambda token: token[::-1])()


# Writes


def return_first_key() -> Fault:
    """Every create returns the key of the first record."""
    keys: list[Any] = []

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if not response.is_success:
            return response
        keys.append(response.json["data"]["uuid"])
        return response.with_json({"data": {**response.json["data"], "uuid": keys[0]}})

    return fault


def accept_server_set_fields() -> Fault:
    """Mass assignment: a timestamp in the request is stored."""
    created_at: dict[Any, Any] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if not response.is_success or not response.body:
            return response
        data = response.json["data"]
        if request.method == "" and request.operation.method == "post" and "created_at" in (request.json or {}):
            created_at[data["uuid"]] = request.json["created_at"]
        return response.with_json({"data": {**data, "created_at": created_at.get(data["uuid"], data["created_at"])}})

    return fault


def increase_at_every_update() -> Fault:
    """Every update increases a value."""
    counts: dict[str, int] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if not response.is_success:
            return response
        counts[request.path] = counts.get(request.path, 0) + 1
        data = response.json["data"]
        return response.with_json({"data": {**data, "cost": data["cost"] + counts[request.path] - 1}})

    return fault


def shift_date_header() -> Fault:
    """Timestamps are in local time but marked as UTC: the Date header is two hours earlier."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        date = parsedate_to_datetime(response.headers["date"]) - timedelta(hours=2)
        return replace(response, headers={**response.headers, "date": format_datetime(date)})

    return fault


def decrease_update_time() -> Fault:
    """The update timestamp decreases with every request."""
    requests: dict[str, int] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if not response.is_success:
            return response
        count = requests[request.path] = requests.get(request.path, 0) + 1
        data = response.json["data"]
        return response.with_json({"data": {**data, "updated_at": f"20{99 - count % 90:02}-01-01T00:00:00.000000Z"}})

    return fault


def keep_created_records() -> Fault:
    """Created records remain retrievable after they are deleted."""
    responses: dict[str, InterceptedResponse] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if request.operation.method == "post" and response.is_success:
            responses[f"{request.path}/{response.json['data']['uuid']}"] = replace(response, status=200)
        return responses.get(request.path, response) if request.operation.method == "get" else response

    return fault


def confirm_restricted_delete() -> Fault:
    """A delete that must be rejected returns 204."""
    return on_status(409, lambda response: InterceptedResponse(204, {}, b""))()


def change_name_after_delete() -> Fault:
    """A create that follows a delete stores another name."""
    deletes = 0

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        nonlocal deletes
        body = request.json
        if request.operation.method == "post" and deletes and isinstance(body, dict) and "name" in body:
            deletes -= 1
            request = request.with_json({**body, "name": "another name"})
        response = await call_next(request)
        deletes += request.operation.method == "delete" and response.is_success
        return response

    return fault


def embed_first_version() -> Fault:
    """An embedded record keeps the values of its first embedding."""
    first_versions: dict[str, Any] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        patient = response.json["data"].get("patient") if response.is_success else None
        if not patient:
            return response
        first_version = first_versions.setdefault(patient["uuid"], patient)
        return response.with_json({"data": {**response.json["data"], "patient": first_version}})

    return fault


def hide_referenced_record() -> Fault:
    """A referenced record cannot be retrieved."""
    return change_response(lambda _, response: build_error(404, "Not found.") if response.is_success else response)()


# Actions


def return_another_record() -> Fault:
    """An action returns another record than that in its path."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        rows = (await call_next(request.follow_up(CLINIC.operations["listTreatments"]))).json["data"]
        other = next(row["uuid"] for row in reversed(rows) if row["uuid"] != request.path_values["uuid"])
        retrieved = await call_next(request.follow_up(CLINIC.operations["retrieveTreatment"], other))
        return replace(retrieved, status=response.status) if response.is_success else response

    return fault


def accept_second_stop() -> Fault:
    """Stopping a stopped treatment succeeds."""

    def correct(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedRequest | None:
        retrieve = request.follow_up(CLINIC.operations["retrieveTreatment"], *request.path_values.values())
        return retrieve if response.status == 409 else None

    return accept(correct)()


def hide_shared_records() -> Fault:
    """A referral does not grant access."""
    return respond_if(lambda request: has_token(request, OTHER_TOKEN), build_error(404, "Not found."))()


def keep_shared_records_visible() -> Fault:
    """A patient remains visible after the referral is deleted."""
    responses: dict[str, InterceptedResponse] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if has_token(request, OTHER_TOKEN) and response.is_success:
            responses[request.path] = response
        return responses.get(request.path, response) if has_token(request, OTHER_TOKEN) else response

    return fault


def return_first_metric() -> Fault:
    """A metric keeps its first value."""
    responses: dict[bytes, InterceptedResponse] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        return responses.setdefault(request.body, response) if response.is_success else response

    return fault


def increase_total(request: InterceptedRequest, body: Any) -> Any:
    """A total is the sum of its parts plus one."""
    return {**body, "total": body["total"] + 1}
