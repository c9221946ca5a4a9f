"""Faults for the clinic that no mutant has: each violates the requirement of one check.

Functions that return a `Fault` have no arguments; every fault has its own state.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import (
    JsonChange,
    MakeFault,
    accept,
    build_response,
    change_body,
    change_json,
    change_request,
    change_response,
    change_value,
    on_status,
    respond_if,
    stateless,
)
from spec.loader import load_contract
from tests.mock_process import ROOT

AppWrapper = Callable[[ASGIApp], ASGIApp]

CLINIC = load_contract(ROOT / "tests" / "foreign" / "clinic.yaml")

HIDDEN_UUID = "00000000-0000-4000-8000-00000000dead"
OWNER_TOKEN, OTHER_TOKEN, MEMBER_TOKEN = "demo-token", "other-token", "viewer-token"


def build_error(status: int, message: str) -> InterceptedResponse:
    """Build an error response of the contract."""
    return build_response(status, {"message": message})


def has_token(request: InterceptedRequest, token: str) -> bool:
    """Return whether a request has this token."""
    return request.headers.get("authorization") == f"Bearer {token}"


def query_value(request: InterceptedRequest, name: str) -> str:
    """Return the value of a query parameter, or ""."""
    return dict(request.query).get(name, "")


def change_query(change: Callable[[str, str], str]) -> MakeFault:
    """Fault in the query: `change(name, value)` returns the value of a parameter."""
    return change_request(lambda q: replace(q, query=tuple((name, change(name, value)) for name, value in q.query)))


def act_as_owner_if(condition: Callable[[InterceptedRequest], object]) -> MakeFault:
    """Requests of another tenant have the access of the owner."""
    return change_request(lambda q: q.with_token(OWNER_TOKEN) if has_token(q, OTHER_TOKEN) and condition(q) else q)


def change_for_member(change: Callable[[Any], Any]) -> MakeFault:
    """Fault in the responses to another member of the tenant: `change(body)` returns the changed JSON."""
    return change_json(lambda request, body: change(body) if has_token(request, MEMBER_TOKEN) else body)


count_too_many_open = change_json(
    lambda _, page: {
        **page,
        "data": [{**row, "open_count": row["treatments_count"] + 1} for row in page["data"]],
    }
)
embed_hidden_patient = change_json(
    lambda _, page: {
        **page,
        "data": [{**row, "patient": {**row["patient"], "uuid": HIDDEN_UUID}} for row in page["data"]],
    }
)
show_as_head = change_for_member(lambda body: {"data": {**body["data"], "is_head": True}})
hide_from_member = change_for_member(lambda page: {**page, "data": []})
forbid_member = respond_if(lambda request: has_token(request, MEMBER_TOKEN), build_error(403, "Forbidden."))


def rename_practice_in_later_rows(_: InterceptedRequest, page: Any) -> Any:
    """The practice of an embedded patient has another name in all rows but the first."""
    rows = [
        {**row, "patient": {**row["patient"], "practice": {**row["patient"]["practice"], "name": "of old"}}}
        if position and row["patient"].get("practice")
        else row
        for position, row in enumerate(page["data"])
    ]
    return {**page, "data": rows}


def embed_one_treatment(_: InterceptedRequest, page: Any) -> Any:
    """The rows of a list embed one treatment together."""
    rows, count = [], 0
    for row in page["data"]:
        treatments = row.get("treatments")
        rows.append({**row, "treatments": treatments[: max(0, 1 - count)]} if treatments else row)
        count += len(treatments or ())
    return {**page, "data": rows}


# Lists


def change_page_object(
    change: Callable[[InterceptedRequest, dict[str, Any]], dict[str, Any]], container: str
) -> MakeFault:
    """Fault in the fields of the pagination: `change(request, page)` returns the changed fields of `container`."""
    return change_json(lambda request, page: {**page, container: {**page[container], **change(request, page)}})


report_page_total = change_page_object(lambda _, page: {"total": len(page["data"])}, "meta")
# The last page that is not full does not count.
round_last_page_down = change_page_object(
    lambda _, page: {"pages": max(1, page["meta"]["total"] // page["meta"]["size"])}, "meta"
)
link_page_before_first = change_page_object(lambda _, page: {"before": page["links"]["first"]}, "links")
link_first_page_as_last = change_page_object(lambda _, page: {"last": page["links"]["first"]}, "links")

link_configured_host = change_page_object(lambda _, page: {"first": "http://app.internal/clinic/v3/patients"}, "links")


def drop_from_links(*names: str) -> MakeFault:
    """The links lack some parameters."""

    def drop(link: Any) -> Any:
        pairs = [(n, v) for n, v in parse_qsl(urlsplit(link or "").query) if n not in names]
        return link and f"{link.partition('?')[0]}?{urlencode(pairs)}"

    return change_page_object(lambda _, page: {role: drop(link) for role, link in page["links"].items()}, "links")


def ignore_bracketed_arrays(request: InterceptedRequest) -> InterceptedRequest:
    """Array parameters with brackets are ignored."""
    return replace(request, query=tuple((name, value) for name, value in request.query if not name.endswith("[]")))


def filter_by_blank(request: InterceptedRequest, body: Any) -> Any:
    """A blank parameter filters by the empty value."""
    has_blank = any(not value for _, value in request.query)
    return {**body, "data": [], "meta": {**body["meta"], "from": None, "to": None, "total": 0}} if has_blank else body


def use_first_filter_only(*names: str) -> MakeFault:
    """All but the first of some filters are ignored."""

    def change(request: InterceptedRequest) -> InterceptedRequest:
        sent = [name for name, value in request.query if name in names and value]
        return request.with_parameters(dict.fromkeys(sent[1:]))

    return change_request(change)


def prefer_filter(name: str, ignored: str) -> MakeFault:
    """A filter is applied instead of the one that overrides it."""

    def change(request: InterceptedRequest) -> InterceptedRequest:
        return request.with_parameters({ignored: None}) if query_value(request, name) else request

    return change_request(change)


def filter_by_part(name: str, resource: str) -> Fault:
    """A filter by a name finds the records with the first name that contains the text: `LIKE '%text%'`."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        part, listing = query_value(request, name), CLINIC.find_operation(resource, "list")
        if part and listing is not None:
            rows = (await call_next(request.follow_up(listing))).data(listing) or ()
            names = sorted({row["name"] for row in rows if part in row["name"]}, key=len)
            request = request.with_parameters({name: names[0]}) if names else request
        return await call_next(request)

    return fault


def ignore_false(name: str) -> MakeFault:
    """A filter by false is ignored: `if (value)`."""

    def change(request: InterceptedRequest) -> InterceptedRequest:
        return request.with_parameters({name: None}) if query_value(request, name) in ("0", "false") else request

    return change_request(change)


def report_unfiltered_total() -> Fault:
    """A filtered list has the total of the unfiltered list."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        unfiltered = await call_next(replace(request, query=()))
        if not response.is_success or not unfiltered.is_success:
            return response
        body = response.json
        return response.with_json({**body, "meta": {**body["meta"], "total": unfiltered.json["meta"]["total"]}})

    return fault


def exclude_last_day(request: InterceptedRequest) -> InterceptedRequest:
    """The last day of a range is excluded, if no other filter is set."""
    filters = [name for name, value in request.query if value and name in ("born_from", "born_to", "has_treatments")]
    if filters != ["born_to"]:
        return request
    last_day = date.fromisoformat(query_value(request, "born_to")) - timedelta(days=1)
    return request.with_parameters({"born_to": last_day})


def decrease_count(name: str) -> JsonChange:
    """A count in the rows of a list is too low by one."""
    return lambda _, body: {**body, "data": [{**row, name: max(0, row[name] - 1)} for row in body["data"]]}


# Sorting by update time sorts by creation time.
sort_by_creation_time = change_query(lambda name, value: {"updated_at": "created_at"}.get(value, value))
# The search is case-sensitive: no record has an upper-case name.
ignore_upper_case_terms = change_query(
    lambda name, value: "nothing-like-it" if name == "search" and value.isupper() else value
)
# The search term is a LIKE pattern: here a wildcard matches the rest of the term too.
use_wildcards = change_query(
    lambda name, value: value.replace("%", "_").partition("_")[0] if name == "search" else value
)
# The search term is concatenated into SQL.
fail_on_apostrophe = respond_if(lambda q: "'" in query_value(q, "search"), build_error(500, "Server Error"))
# An OR without parentheses: a search or filter includes the records of other accounts.
search_all_tenants = act_as_owner_if(lambda q: query_value(q, "search"))
filter_all_tenants = act_as_owner_if(lambda q: query_value(q, "patient_uuid"))

# The search ignores the case of ASCII letters only.
ignore_case_of_ascii_only = change_query(
    lambda name, value: value if name != "search" or value.isascii() else "nothing-like-it"
)


def sort_as_text(name: str) -> MakeFault:
    """Numbers are sorted as texts."""

    def change(request: InterceptedRequest, body: Any) -> Any:
        if query_value(request, "sort") != name:
            return body
        is_descending = query_value(request, "direction") == "desc"
        return {**body, "data": sorted(body["data"], key=lambda row: str(row[name]), reverse=is_descending)}

    return change_json(change)


# HTTP


# The key is concatenated into SQL.
fail_on_quoted_key = respond_if(lambda q: "'" in str(q.key), build_error(500, "Server Error"))
# Only the first invalid field is reported.
report_first_error = on_status(
    422, lambda response: response.with_json({**response.json, "errors": dict([*response.json["errors"].items()][:1])})
)


def serve_unknown_paths(app: ASGIApp) -> ASGIApp:
    """Unknown paths return the HTML page of a single-page application."""

    async def serve_page(scope: Scope, receive: Receive, send: Send) -> None:
        if "no-such-path" not in scope["path"]:
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<!doctype html><title>Clinic</title>"})

    return serve_page


def _has_unknown_parameter(request: InterceptedRequest) -> bool:
    known_names = {parameter.name for parameter in request.operation.query_parameters}
    return any(name.removesuffix("[]") not in known_names for name, _ in request.query)


# A query parameter that the contract does not have is rejected.
reject_unknown_parameters = respond_if(_has_unknown_parameter, build_error(400, "Unknown query parameter."))


def expose_exception(response: InterceptedResponse) -> InterceptedResponse:
    """A response shows the exception of the framework."""
    return response.with_json({"message": "Server Error", "exception": "QueryException", "trace": []})


# Every body is parsed as JSON.
accept_any_media_type = change_request(lambda q: q.with_headers({"content-type": "application/json"}) if q.body else q)


# Accounts


return_first_account = act_as_owner_if(lambda _: True)
return_another_owner = change_value(lambda vet: {**vet, "id": vet["id"] + 1}, ("data", "vet"))
# A login with the wrong password succeeds.
accept_any_password = change_body(
    lambda body: {**body, "password": "password"} if body.get("password") == "conformance-wrong-password" else body
)
# A logout revokes nothing.
ignore_logout = respond_if(lambda q: q.has_documented_method, InterceptedResponse(204, {}, b""))


def end_all_sign_ins() -> Fault:
    """A logout ends all sign-ins of the account."""
    active: set[str] = set()
    ended: set[str] = set()

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if request.headers.get("authorization", "") in ended:
            return build_error(401, "Unauthenticated.")
        response = await call_next(request)
        if request.operation.id == "openSession" and response.is_success:
            active.add(f"Bearer {response.json['data']['token']}")
        if request.operation.id == "closeSession" and response.is_success:
            ended.update(active)
        return response

    return fault


# Writes


def return_first_key() -> Fault:
    """Every create returns the key of the first record."""
    keys: list[Any] = []

    def change(key: Any) -> Any:
        keys.append(key)
        return keys[0]

    return change_value(change, ("data", "uuid"))()


def accept_server_set_fields() -> Fault:
    """Mass assignment: a timestamp in the request is stored."""
    created_at: dict[Any, Any] = {}

    def change(request: InterceptedRequest, body: Any) -> Any:
        data = body["data"]
        if request.method == "POST" and "created_at" in request.json_object:
            created_at[data["uuid"]] = request.json_object["created_at"]
        return {"data": {**data, "created_at": created_at.get(data["uuid"], data["created_at"])}}

    return change_json(change)()


def count_requests(name: str, change: Callable[[Any, int], Any]) -> MakeFault:
    """Fault in an attribute that depends on the number of requests: `change(value, number of requests to the path)`."""

    def make_fault() -> Fault:
        counts: dict[str, int] = {}

        def change_data(request: InterceptedRequest, body: Any) -> Any:
            counts[request.path] = counts.get(request.path, 0) + 1
            return {"data": {**body["data"], name: change(body["data"][name], counts[request.path])}}

        return change_json(change_data)()

    return make_fault


increase_at_every_update = count_requests("cost", lambda cost, count: cost + count - 1)
decrease_update_time = count_requests("updated_at", lambda _, count: f"20{99 - count % 90:02}-01-01T00:00:00.000000Z")
# A read advances the timestamp by a fraction of a second.
touch_on_read = count_requests("updated_at", lambda _, count: f"2026-01-01T00:00:00.{count:06}Z")
change_update_time_on_read = count_requests("updated_at", lambda _, count: f"2026-01-{1 + count % 28:02}T00:00:00Z")


def keep_update_time_of(name: str) -> MakeFault:
    """An update of one field only does not change the update timestamp, in any response."""

    def make_fault() -> Fault:
        kept: dict[str, str] = {}
        current: dict[str, str] = {}

        async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
            response = await call_next(request)
            if not response.is_success or not isinstance(response.json, dict):
                return response
            data, is_write = response.json["data"], request.operation.method != "get"
            if is_write and request.json_object.keys() == {name} and request.path in current:
                kept[request.path] = current[request.path]
            elif is_write:
                kept.pop(request.path, None)
            current[request.path] = kept.get(request.path, data["updated_at"])
            return response.with_json({"data": {**data, "updated_at": current[request.path]}})

        return fault

    return make_fault


# Texts are stored without the white space around them.
trim_texts = change_body(lambda body: {n: v.strip() if isinstance(v, str) else v for n, v in body.items()})
# The number 1 is stored as true.
convert_insured = change_body(lambda body: body | ({"insured": True} if body.get("insured") == 1 else {}))
# February 30 is March 1.
convert_day = change_body(lambda body: body | ({"born": "2024-03-01"} if body.get("born") == "2024-02-30" else {}))
convert_day_of_query = change_query(lambda _, value: value.replace("2024-02-30", "2024-03-01"))


def drop_field(name: str) -> MakeFault:
    """A field of the body is not stored."""
    return change_body(lambda body: {n: v for n, v in body.items() if n != name})


def shift_date_header(hours: float) -> MakeFault:
    """Timestamps are in local time but marked as UTC: the Date header is some hours later."""

    def change(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        shifted = parsedate_to_datetime(response.headers["date"]) + timedelta(hours=hours)
        return response.with_headers({"date": format_datetime(shifted)})

    return change_response(change)


# The creation timestamp is that of the update, in seconds.
set_created_at_update = change_json(
    lambda _, body: {"data": {**body["data"], "created_at": f"{body['data']['updated_at'][:19]}Z"}}
)


def write_without_authorization() -> Fault:
    """A write without a token is rejected, but stored."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if response.status == 401 and request.has_documented_method:
            await call_next(request.with_token(OWNER_TOKEN))
        return response

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


# A delete that must be rejected returns 204.
confirm_restricted_delete = on_status(409, lambda response: InterceptedResponse(204, {}, b""))
# A delete that cascades is rejected.
restrict_delete = respond_if(lambda q: q.has_documented_method, build_error(409, "In use."))
# A referenced record cannot be retrieved.
hide_referenced_record = change_response(lambda _, r: build_error(404, "Not found.") if r.is_success else r)


def change_name_after_delete() -> Fault:
    """A create that follows a delete stores another name."""
    deletes = 0

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        nonlocal deletes
        if request.operation.method == "post" and deletes and "name" in request.json_object:
            deletes -= 1
            request = request.with_json({**request.json_object, "name": "another name"})
        response = await call_next(request)
        deletes += request.operation.method == "delete" and response.is_success
        return response

    return fault


def embed_first_version() -> Fault:
    """An embedded record keeps the values of its first embedding."""
    first_versions: dict[str, Any] = {}
    return change_value(lambda patient: first_versions.setdefault(patient["uuid"], patient), ("data", "patient"))()


# Actions


def return_another_record() -> Fault:
    """An action returns another record than that in its path."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        rows = (await call_next(request.follow_up(CLINIC.operations["listTreatments"]))).json["data"]
        other = next(row["uuid"] for row in reversed(rows) if row["uuid"] != request.key)
        retrieved = await call_next(request.follow_up(CLINIC.operations["retrieveTreatment"], other))
        return replace(retrieved, status=response.status) if response.is_success else response

    return fault


def accept_second_stop() -> Fault:
    """Stopping a stopped treatment succeeds."""

    def correct(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedRequest | None:
        retrieve = request.follow_up(CLINIC.operations["retrieveTreatment"], *request.path_values.values())
        return retrieve if response.status == 409 else None

    return accept(correct)()


def run_after_stop() -> Fault:
    """A stopped treatment continues."""
    stopped_keys: set[str] = set()

    def change(request: InterceptedRequest, body: Any) -> Any:
        if request.operation.id == "stopTreatment":
            stopped_keys.add(request.key)
            return body
        return {"data": {**body["data"], "status": "running"}} if request.key in stopped_keys else body

    return change_json(change)()


def stop_all_pending() -> Fault:
    """Stopping a treatment stops all treatments."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        rows = (await call_next(request.follow_up(CLINIC.operations["listTreatments"]))).json.get("data", [])
        for row in rows if response.is_success else ():
            if row["status"] == "pending":
                await call_next(request.follow_up(CLINIC.operations["stopTreatment"], row["uuid"]))
        return response

    return fault


def reset_status_by_update() -> Fault:
    """An updated treatment is pending again."""
    updated: set[str] = set()

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if request.method == "PUT" and response.is_success:
            updated.add(str(request.key))
        if not response.is_success or str(request.key) not in updated:
            return response
        return response.with_json({**response.json, "data": {**response.json["data"], "status": "pending"}})

    return fault


@stateless
async def delete_after_read_of_member(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
    """A read of another member deletes the record."""
    response = await call_next(request)
    if has_token(request, MEMBER_TOKEN) and response.is_success:
        delete = replace(request.follow_up(CLINIC.operations["deletePatient"], request.key), method="DELETE")
        await call_next(delete.with_token(OWNER_TOKEN))
    return response


def repeat_first_response_to_member() -> Fault:
    """A GET by another member is answered as the first time."""
    responses: dict[tuple[str, object], InterceptedResponse] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        is_read = has_token(request, MEMBER_TOKEN) and request.method == "GET"
        return responses.setdefault((request.path, request.query), response) if is_read else response

    return fault


# A referral does not grant access.
hide_shared_records = respond_if(lambda q: has_token(q, OTHER_TOKEN), build_error(404, "Not found."))


async def show_horses_to_all(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
    """Every tenant can retrieve the patients that are horses."""
    response = await call_next(request.with_token(OWNER_TOKEN)) if has_token(request, OTHER_TOKEN) else None
    is_horse = response is not None and response.is_success and response.json["data"]["species"] == "horse"
    return response if response is not None and is_horse else await call_next(request)


def make_last_editor_the_owner() -> Fault:
    """After an update, the vet of a patient is the account that updated it last."""
    editors: dict[str, int] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if request.operation.id == "updatePatient" and response.is_success and has_token(request, MEMBER_TOKEN):
            whoami = await call_next(request.follow_up(CLINIC.operations["whoAmI"]))
            editors[request.key] = whoami.json["data"]["id"]
        if request.operation.id != "retrievePatient" or request.key not in editors or not response.is_success:
            return response
        data = response.json["data"]
        return response.with_json({"data": {**data, "vet": {**data["vet"], "id": editors[request.key]}}})

    return fault


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


# A total is the sum of its parts plus one.
increase_total = change_json(lambda _, body: {**body, "total": body["total"] + 1})

# Only requests without a filter hide the records of other tenants.
count_all_if_filtered = act_as_owner_if(lambda q: len(q.json_object) > 1)


def ignore_calculation(value: str) -> MakeFault:
    """Respond to one value of the calculation as to the default one, a count."""
    return change_body(
        lambda body: {**body, "calculation": "accumulated_count"} if body.get("calculation") == value else body
    )


# A time series has no values of periods without records.
omit_empty_periods = change_json(
    lambda _, body: {**body, "data": [point for point in body["data"] if point["value"] or "date" not in point]}
)


@stateless
async def ignore_status_in_series(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
    """The values of a time series include every status, its total only the requested one."""
    response, body = await call_next(request), request.json_object
    if not str(body.get("calculation")).startswith("time_series") or "status" not in body or not response.is_success:
        return response
    others = await call_next(request.with_json({name: value for name, value in body.items() if name != "status"}))
    return response.with_json({**response.json, "data": others.json["data"]})


def count_pending_as_stopped(body: dict[str, Any]) -> dict[str, Any]:
    """The number of stopped records is that of the pending ones."""
    return {**body, "status": "pending"} if body.get("status") == "stopped" else body


def prefer_patient(body: dict[str, Any]) -> dict[str, Any]:
    """A filter by patient makes that by status ineffective."""
    return {n: v for n, v in body.items() if n != "status" or "patient_uuid" not in body}


def end_before_last_day(body: dict[str, Any]) -> dict[str, Any]:
    """The last day of a range does not belong to it."""
    if not {"date_from", "date_to"} <= body.keys():
        return body
    return {**body, "date_to": (date.fromisoformat(body["date_to"]) - timedelta(days=1)).isoformat()}


def omit_february(request: InterceptedRequest, body: Any) -> Any:
    """A monthly series has no value of a February without records."""
    has_months = request.json_object.get("granularity") == "monthly"
    empty = [point for point in body["data"] if "-02-" in point.get("date", "") and not point["value"]]
    return {**body, "data": [point for point in body["data"] if not has_months or point not in empty]}


def search_first_characters(request: InterceptedRequest, body: Any) -> Any:
    """A search finds nothing after the first 255 characters of a text."""
    term = query_value(request, "search").casefold()
    rows = [row for row in body["data"] if any(term in str(row[n])[:255].casefold() for n in ("name", "story"))]
    total = body["meta"]["total"] - len(body["data"]) + len(rows)
    return {**body, "data": rows, "meta": {**body["meta"], "total": total}} if term else body


@stateless
async def reject_charset(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
    """A media type with a charset is not accepted."""
    is_rejected = "charset" in request.headers.get("content-type", "")
    return build_response(415, {"message": "Unsupported."}) if is_rejected else await call_next(request)


@stateless
async def redirect_to_login(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
    """A request without a token is redirected to a page, unless it accepts only JSON."""
    response = await call_next(request)
    asks_for_json = request.headers.get("accept") == "application/json"
    return response if response.status != 401 or asks_for_json else build_response(302, None)


def hide_csrf_cookie(_: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
    """Scripts cannot read the cookie with the CSRF token."""
    cookies = re.sub("(clinic_csrf=[^,]*)", r"\1; HttpOnly", response.headers.get("set-cookie", ""))
    return response.with_headers({"set-cookie": cookies or None})


@stateless
async def create_for_other_account(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
    """A create that refers to a record of the other account is performed for that account."""
    response = await call_next(request)
    if response.status != 404:
        return response
    return await call_next(request.with_token(OTHER_TOKEN))


def ignore_unknown_reference(name: str) -> MakeFault:
    """A reference to a record that does not exist is ignored."""

    def correct(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedRequest | None:
        body = request.json_object if request.method in ("POST", "PUT") else {}
        is_unknown = response.status == 404 and name in body
        return request.with_json({n: v for n, v in body.items() if n != name}) if is_unknown else None

    return accept(correct)


def store_in_spite_of_unknown(name: str) -> MakeFault:
    """A request with a reference to a record that does not exist is refused, but its other fields are stored."""

    @stateless
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if response.status == 404 and name in request.json_object:
            await call_next(request.with_json({n: v for n, v in request.json_object.items() if n != name}))
        return response

    return fault


def count_from_previous_day(body: dict[str, Any]) -> dict[str, Any]:
    """The days of a metric are those of a time zone west of UTC."""
    if "date_from" not in body:
        return body
    day = date.fromisoformat(body["date_from"]) - timedelta(days=1)
    return {**body, "date_from": day.isoformat()}


# A list without an order is reversed.
reverse_unsorted = change_json(
    lambda request, body: body if query_value(request, "sort") else {**body, "data": body["data"][::-1]}
)
