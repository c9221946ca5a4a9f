"""Write checks: they pass on the unmodified mock, and each detects an injected fault."""

import json
from typing import Any

import pytest

from conformance.checks.support.check import Check
from conformance.checks.support.values import contains, equal
from conformance.results import Status
from tests.conformance.check_runner import (
    CHECKS_BY_ID,
    MODEL_CHECKS,
    WRITE_CHECKS,
    find_failures,
    find_unexpected_failures,
    run_checks,
)
from tests.conformance.fault_injection import CallNext, FaultRequest, FaultResponse, serialize_like_php

DEMO_TOKEN = "demo-token"


# Operations on which the fast tests run the checks of the model; the slow tests run them on all.
MODEL_OPERATIONS = (
    ("model-create", "createMessage"),
    ("model-create", "createAgent"),
    ("model-update", "updateAgent"),
    ("model-retrieve", "retrieveThread"),
    ("model-list", "listThreads"),
    ("model-delete", "deleteThread"),
    ("model-sequence", "createPrompt"),
)
CONFORMING_RUNS = [
    *(pytest.param(check, None, id=check.id) for check in WRITE_CHECKS),
    *(pytest.param(check, None, id=check.id, marks=pytest.mark.slow) for check in MODEL_CHECKS),
    *(pytest.param(CHECKS_BY_ID[name], operation, id=f"{name}-{operation}") for name, operation in MODEL_OPERATIONS),
]


@pytest.mark.parametrize(("check", "operation"), CONFORMING_RUNS)
def test_check_passes_on_unmodified_mock(check: Check, operation: str | None) -> None:
    run = run_checks([check], operation)
    assert not [f"{r.requirement.fingerprint}: {r.message}" for r in run.with_status(Status.FAILED)]
    # The in-process mock sends no Date header: see test_search_and_relation_checks.
    assert any(run.with_status(Status.PASSED)) or {r.message for r in run.results} == {"the response has no Date"}
    assert not run.records_not_deleted


def is_record_request(request: FaultRequest, method: str) -> bool:
    """Whether the path of a request names one record."""
    return request.method == method and request.path.count("/") == 2


def format_day(count: int) -> str:
    return f"2026-01-{1 + count % 28:02d}T00:00:00Z"


async def drop_description(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    body = request.body
    if request.method == "POST" and isinstance(body, dict):
        request = request.with_json({n: v for n, v in body.items() if n != "description"})
    response: FaultResponse = await call_next(request)
    return response


async def return_empty_list(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Return an empty list."""
    response: FaultResponse = await call_next(request)
    if request.method == "GET" and request.path == "/prompts":
        return response.with_json({**response.body, "data": []})
    return response


async def replace_four_byte_characters(
    request: FaultRequest, call_next: CallNext, memory: dict[str, Any]
) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.method == "POST":
        text = json.dumps(json.loads(response.raw), ensure_ascii=False)
        return response.with_json(json.loads("".join(c if ord(c) < 0x10000 else "?" for c in text)))
    return response


async def hide_children_of_thread(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.method == "GET" and "thread_uuid=" in request.query:
        return response.with_json({**response.body, "data": []})
    return response


async def return_same_key(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    key = "00000000-0000-4000-8000-000000000001"
    return response.with_data(uuid=key) if request.method == "POST" else response


async def return_sent_timestamp(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.method == "POST" and "created_at" in request.body:
        return response.with_data(created_at=request.body["created_at"])
    return response


async def overwrite_description(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    if request.method == "PUT" and "description" not in request.body:
        request = request.with_json({**request.body, "description": f"written over by {request.body}"})
    response: FaultResponse = await call_next(request)
    return response


async def rename_on_each_update(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    if request.method == "PUT" and "name" in request.body:
        memory["count"] = memory.get("count", 0) + 1
        request = request.with_json({**request.body, "name": f"{memory['count']}"})
    response: FaultResponse = await call_next(request)
    return response


async def store_before_validation(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.method == "PUT" and response.status == 422:
        await call_next(request.with_json({"name": request.body["name"]}))
    return response


async def write_without_authorization(
    request: FaultRequest, call_next: CallNext, memory: dict[str, Any]
) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.method == "PUT" and response.status == 401:
        await call_next(request.with_token(DEMO_TOKEN))
    return response


async def change_created_timestamp(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    memory["puts"] = memory.get("puts", 0) + (request.method == "PUT")
    return response.with_data(created_at=format_day(memory["puts"])) if is_record_request(request, "GET") else response


async def decrease_updated_timestamp(
    request: FaultRequest, call_next: CallNext, memory: dict[str, Any]
) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    memory["puts"] = memory.get("puts", 0) + (request.method == "PUT")
    return (
        response.with_data(updated_at=format_day(20 - memory["puts"]))
        if is_record_request(request, "GET")
        else response
    )


async def freeze_updated_timestamp(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if is_record_request(request, "GET") and response.status == 200:
        stamp = memory.setdefault(request.path, response.body["data"]["updated_at"])
        return response.with_data(updated_at=stamp)
    return response


async def change_updated_timestamp_on_read(
    request: FaultRequest, call_next: CallNext, memory: dict[str, Any]
) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    memory["reads"] = memory.get("reads", 0) + 1
    return response.with_data(updated_at=format_day(memory["reads"])) if is_record_request(request, "GET") else response


async def update_all_records(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Update all records, as SQL without a WHERE clause."""
    response: FaultResponse = await call_next(request)
    if is_record_request(request, "PUT") and "name" in request.body:
        memory["name"] = request.body["name"]
    return response.with_data(**memory) if is_record_request(request, "GET") and response.status == 200 else response


async def ignore_delete(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    if request.method != "DELETE":
        response: FaultResponse = await call_next(request)
        return response
    return FaultResponse(204, {}, b"")


async def delete_siblings(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Delete all messages of the thread of a deleted message."""
    response: FaultResponse = await call_next(request)
    threads, key = memory.setdefault("threads", {}), request.path.rpartition("/")[2]
    if (request.method, request.path, response.status) == ("POST", "/messages", 201):
        threads[response.body["data"]["uuid"]] = request.body["thread_uuid"]
    if request.method == "DELETE" and key in threads:
        memory.setdefault("deleted", set()).add(threads.pop(key))
    is_deleted = request.method == "GET" and threads.get(key) in memory.get("deleted", ())
    return FaultResponse(404, response.headers, b'{"message": "Not Found"}') if is_deleted else response


async def create_twice(request: FaultRequest, call_next: CallNext, memory: dict[str, Any]) -> FaultResponse:
    if (request.method, request.path) == ("POST", "/workflows"):
        await call_next(request)
    response: FaultResponse = await call_next(request)
    return response


@pytest.mark.parametrize(
    ("check", "operation", "fault", "parameter"),
    [
        ("model-retrieve", "retrieveAgent", change_updated_timestamp_on_read, "updated_at"),
        ("create-adds-one-record", "createWorkflow", create_twice, ""),
        ("model-create", "createAgent", drop_description, "description"),
        ("model-list", "listPrompts", return_empty_list, "rows"),
        ("model-create", "createMessage", replace_four_byte_characters, "content"),
        ("model-list", "listMessages", hide_children_of_thread, "thread_uuid"),
        ("model-create", "createPrompt", return_same_key, "duplicate"),
        ("model-create", "createPrompt", return_sent_timestamp, "created_at"),
        ("model-update", "updateAgent", overwrite_description, "description"),
        ("model-update", "updateAgent", rename_on_each_update, "name"),
        ("rejected-write-has-no-effect", "updateAgent", store_before_validation, "description"),
        ("rejected-write-has-no-effect", "updatePrompt", write_without_authorization, "anonymous"),
        ("created-timestamp-constant", "updateAgent", change_created_timestamp, "created_at"),
        ("updated-timestamp-monotonic", "updateThread", decrease_updated_timestamp, "updated_at"),
        ("updated-timestamp-advances", "updateThread", freeze_updated_timestamp, "updated_at"),
        ("model-update", "updatePrompt", update_all_records, "name"),
        ("model-delete", "deleteMessage", delete_siblings, "retrieved"),
        ("model-delete", "deleteThread", ignore_delete, "retrieve"),
        ("model-delete", "deleteThread", ignore_delete, "deleted record"),
    ],
)
def test_check_detects_fault(check: str, operation: str, fault: Any, parameter: str) -> None:
    assert not find_unexpected_failures(check, operation, fault, parameter)


def test_lost_emoji_fails_in_documented_field() -> None:
    failures = find_failures("model-create", "createMessage", replace_four_byte_characters)
    assert {r.requirement.parameter for r in failures} == {"content"}
    assert {r.requirement.provenance for r in failures} == {"documented"}


@pytest.mark.slow
@pytest.mark.parametrize(("check", "operation"), CONFORMING_RUNS)
def test_check_passes_on_php_serialization(check: Check, operation: str | None) -> None:
    run = run_checks([check], operation, serialize_like_php)
    assert not [f"{r.requirement.fingerprint}: {r.message}" for r in run.with_status(Status.FAILED)]


def test_equal_ignores_notation() -> None:
    assert equal({"a": 1, "b": [1.0]}, {"b": [1], "a": 1.0})
    assert equal("2026-01-15T10:30:00Z", "2026-01-15T10:30:00.999999+00:00")
    assert equal(" text ", "text")
    assert not equal(True, 1)
    assert not equal("one", "two")
    assert contains({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}})
    assert not contains({"a": 1}, {})
