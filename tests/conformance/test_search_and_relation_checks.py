"""Checks of searches, counts, on-delete rules, timestamps and access: each detects an injected fault.

The tests of each check module verify that the checks pass on the unmodified mock.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from conformance.checks.support.check import Check
from conformance.results import Status
from tests.conformance.check_runner import (
    CHECKS_BY_ID,
    LIST_WRITE_CHECKS,
    find_failures,
    find_unexpected_failures,
    run_checks,
)
from tests.conformance.fault_injection import CallNext, FaultRequest, FaultResponse, serialize_like_php
from tests.conformance.test_write_checks import is_record_request

pytestmark = pytest.mark.slow  # each case sends many requests to a restored mock

DEMO_TOKEN = "demo-token"


def list_query(request: FaultRequest, path: str) -> dict[str, str]:
    """Return the query of a list request; empty for other requests."""
    is_list = request.method == "GET" and request.path == path
    return dict(parse_qsl(request.query, keep_blank_values=True)) if is_list else {}


@pytest.mark.parametrize("check", LIST_WRITE_CHECKS, ids=lambda check: check.id)
@pytest.mark.parametrize("variant", [None, serialize_like_php])
def test_check_passes_on_mock_and_php_serialization(check: Check, variant: Callable[..., Any] | None) -> None:
    run = run_checks([check], None, variant)
    assert not [f"{r.requirement.fingerprint}: {r.message}" for r in run.with_status(Status.FAILED)]
    assert any(run.with_status(Status.PASSED))
    assert not run.records_not_deleted


# Searches and filters ----------------------------------------------------------------------------------------------


async def search_all_tenants(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Search all tenants, as an SQL OR without parentheses."""
    is_search = bool(list_query(request, "/agents").get("search"))
    response: FaultResponse = await call_next(request.with_token(DEMO_TOKEN) if is_search else request)
    return response


async def filter_all_tenants(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    is_search = bool(list_query(request, "/messages").get("thread_uuid"))
    response: FaultResponse = await call_next(request.with_token(DEMO_TOKEN) if is_search else request)
    return response


async def fail_on_apostrophe(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    failed = FaultResponse(500, {"content-type": "application/json"}, b'{"message": "Server Error"}')
    return failed if "'" in list_query(request, "/agents").get("search", "") else response


async def interpret_wildcards(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Pass the search text to SQL LIKE without escaping wildcards."""
    query = list_query(request, "/prompts")
    term = query.get("search", "")
    if "%" in term or "_" in term:
        query["search"] = term.replace("%", "_").partition("_")[0]
        request = replace(request, query=urlencode(query))
    response: FaultResponse = await call_next(request)
    return response


async def sort_by_creation(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    if list_query(request, "/prompts").get("sort_by") == "updated_at":
        request = replace(request, query=request.query.replace("updated_at", "created_at"))
    response: FaultResponse = await call_next(request)
    return response


# Writes ----------------------------------------------------------------------------------------------


async def decrement_count(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if is_record_request(request, "GET") and request.path.startswith("/agents/") and response.status == 200:
        return response.with_data(threads_count=max(0, response.body["data"]["threads_count"] - 1))
    return response


async def list_zero_count(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if list_query(request, "/agents") and response.status == 200:
        rows = [{**row, "threads_count": 0} for row in response.body["data"]]
        return response.with_json({**response.body, "data": rows})
    return response


async def return_deleted_threads(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Return threads whose agent was deleted."""
    response: FaultResponse = await call_next(request)
    if is_record_request(request, "GET") and request.path.startswith("/threads/"):
        if response.status == 200:
            memory[request.path] = response
        cached: FaultResponse = memory.get(request.path, response)
        return cached
    if (request.method, request.path) == ("POST", "/threads") and response.status == 201:
        memory[f"/threads/{response.body['data']['uuid']}"] = FaultResponse(200, response.headers, response.raw)
    return response


async def ignore_restrict_rule(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Return 204 for a delete that the contract rejects with 409."""
    response: FaultResponse = await call_next(request)
    return FaultResponse(204, {}, b"") if request.method == "DELETE" and response.status == 409 else response


async def reject_parent_delete(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    if is_record_request(request, "DELETE") and request.path.startswith("/agents/"):
        return FaultResponse(409, {"content-type": "application/json"}, b'{"message": "In use."}')
    response: FaultResponse = await call_next(request)
    return response


async def change_created_on_update(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Truncate timestamps to seconds and set the creation timestamp on every update."""
    response: FaultResponse = await call_next(request)
    if is_record_request(request, "GET") and response.status == 200 and request.path.startswith("/threads/"):
        data = response.body["data"]
        return response.with_data(created_at=f"{data['updated_at'][:19]}Z")
    return response


async def update_previous_message(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Apply the update of a message to the previous message, too."""
    response: FaultResponse = await call_next(request)
    if (request.method, request.path) == ("POST", "/messages") and response.status == 201:
        memory.setdefault("keys", []).append(response.body["data"]["uuid"])
    if is_record_request(request, "PUT") and request.path.startswith("/messages/"):
        before = [key for key in memory.get("keys", []) if key not in request.path]
        await call_next(replace(request, path=f"/messages/{before[-1]}"))
    return response


async def delete_previous_message(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if (request.method, request.path) == ("POST", "/messages") and response.status == 201:
        memory.setdefault("keys", []).append(response.body["data"]["uuid"])
    if is_record_request(request, "DELETE") and request.path.startswith("/messages/"):
        before = [key for key in memory.get("keys", []) if key not in request.path]
        await call_next(replace(request, path=f"/messages/{before[-1]}"))
    return response


def set_date_header(hours: float) -> Callable[..., Any]:
    """Build a fault that sets the Date header `hours` after the creation timestamp."""

    async def fault(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
        response: FaultResponse = await call_next(request)
        if request.method == "POST" and response.status == 201:
            date = datetime.fromisoformat(response.body["data"]["created_at"]) + timedelta(hours=hours, seconds=20)
            return FaultResponse(201, {**response.headers, "date": format_datetime(date)}, response.raw)
        return response

    return fault


async def ignore_null(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Ignore null values."""
    if request.method == "PUT" and isinstance(request.body, dict):
        request = request.with_json({n: v for n, v in request.body.items() if v is not None})
    response: FaultResponse = await call_next(request)
    return response


async def reject_non_ascii(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    if request.method == "PUT" and not str(request.body.get("name", "")).isascii():
        refusal = b'{"message": "Invalid.", "errors": {"name": ["Invalid."]}}'
        return FaultResponse(422, {"content-type": "application/json"}, refusal)
    response: FaultResponse = await call_next(request)
    return response


async def reject_monthly(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    if "granularity=monthly" in request.query:
        refusal = b'{"message": "Invalid.", "errors": {"granularity": ["Invalid."]}}'
        return FaultResponse(422, {"content-type": "application/json"}, refusal)
    response: FaultResponse = await call_next(request)
    return response


async def accept_any_bearer(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Accept any bearer token."""
    is_unknown = request.headers.get("authorization", "").startswith("Bearer conformance")
    response: FaultResponse = await call_next(request.with_token(DEMO_TOKEN) if is_unknown else request)
    return response


async def accept_basic_auth(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    is_basic = request.path == "/workspaces/metrics" and request.headers.get("authorization", "").startswith("Basic")
    response: FaultResponse = await call_next(request.with_token(DEMO_TOKEN) if is_basic else request)
    return response


@pytest.mark.parametrize(
    ("check", "operation", "fault", "parameter"),
    [
        ("search-hides-other-tenants", "listAgents", search_all_tenants, "search:name"),
        ("search-hides-other-tenants", "listAgents", search_all_tenants, "search:description"),
        ("search-hides-other-tenants", "listMessages", filter_all_tenants, "thread_uuid:thread.uuid"),
        ("any-search-text-accepted", "listAgents", fail_on_apostrophe, "an apostrophe"),
        ("model-list", "listPrompts", interpret_wildcards, "search"),
        ("model-list", "listPrompts", sort_by_creation, "sort_by=updated_at"),
        ("model-create", "createThread", decrement_count, "threads_count"),
        ("model-list", "listAgents", list_zero_count, "threads_count"),
        ("model-delete", "deleteAgent", return_deleted_threads, "Thread.agent cascade"),
        ("model-delete", "deleteAgent", reject_parent_delete, "delete"),
        ("model-delete", "deleteProvider", ignore_restrict_rule, "Account.provider refuse"),
        ("created-timestamp-constant", "updateThread", change_created_on_update, "created_at"),
        ("created-timestamp-correct", "createThread", set_date_header(-2), "created_at"),
        ("created-timestamp-correct", "createThread", set_date_header(5.5), "created_at"),
        ("model-update", "updateMessage", update_previous_message, "content"),
        ("model-delete", "deleteMessage", delete_previous_message, "retrieved"),
        ("invalid-field-is-422", "updatePrompt", ignore_null, "name nullable"),
        ("valid-body-accepted", "updatePrompt", reject_non_ascii, "name type beyond ASCII"),
        ("valid-parameter-accepted", "getWorkspacesMetrics", reject_monthly, "granularity monthly"),
        ("unauthenticated-access-denied", "runAgent", accept_any_bearer, "an unknown token"),
        ("unauthenticated-access-denied", "getWorkspacesMetrics", accept_basic_auth, "another scheme"),
    ],
)
def test_check_detects_fault(check: str, operation: str, fault: Any, parameter: str) -> None:
    assert not find_unexpected_failures(check, operation, fault, parameter)


@pytest.mark.parametrize(("hours", "status"), [(0.0, Status.PASSED), (0.1, Status.SKIPPED), (500, Status.SKIPPED)])
def test_clock_offset_that_is_no_time_zone_skips_check(hours: float, status: Status) -> None:
    run = run_checks([CHECKS_BY_ID["created-timestamp-correct"]], "createThread", set_date_header(hours))
    assert [r.status for r in run.results] == [status]


def test_accepted_call_with_effects_is_sent_once_per_run() -> None:
    accepted_tokens: list[str] = []

    async def record_accepted(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
        response: FaultResponse = await call_next(request.with_token(DEMO_TOKEN))
        if request.path.endswith("/run") and response.status < 300:
            accepted_tokens.append(request.headers.get("authorization", ""))
        return response

    assert find_failures("unauthenticated-access-denied", "runAgent", record_accepted)
    assert set(accepted_tokens) == {""}
