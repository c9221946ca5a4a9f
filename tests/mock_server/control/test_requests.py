"""The request journal: what is recorded, how it is searched, and what it says about the client."""

import asyncio
import gc
import json
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.har.audit import TrafficAudit
from conformance.har.format import read_har
from conformance.har.openapi_core_adapter import OpenapiCoreValidator
from mock_server.sandbox.journal import MAX_RECORDED_BODY_BYTES, RequestJournal
from tests.asgi import Client
from tests.mock_server.athena import athena_contract, athena_schemas
from tests.mock_server.controlled_mock import SANDBOXES, ControlledMock

AGENT = {"name": "New", "instruction": "Answer."}
REQUESTS = "/sandboxes/a/requests"


pytestmark = pytest.mark.usefixtures("sandbox_a")


def list_requests(mock: ControlledMock, query: str = "") -> list[dict[str, Any]]:
    requests: list[dict[str, Any]] = mock.control("GET", f"{REQUESTS}?{query}")["requests"]
    return requests


def find_kinds(entry: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["kind"], finding["location"]) for finding in entry["findings"]]


def test_request_is_recorded_with_its_response(mock: ControlledMock) -> None:
    mock.request(
        "POST", "/api/v1/agents?x=1", AGENT, x_mock_sandbox="a", x_request_id="mine", authorization="Bearer demo-token"
    )
    (entry,) = list_requests(mock)
    assert (entry["id"], entry["request_id"], entry["operation"], entry["source"]) == (
        1,
        "mine",
        "createAgent",
        "processed",
    )
    assert entry["request"]["url"] == "http://localhost:8000/api/v1/agents?x=1"
    assert (entry["request"]["path"], entry["request"]["query"]) == ("/agents", {"x": "1"})
    assert (entry["request"]["method"], entry["request"]["body"]) == ("POST", AGENT)
    assert entry["request"]["body_bytes"] == len(json.dumps(AGENT))
    assert entry["response"]["status"] == 201
    assert entry["response"]["body"]["data"]["name"] == "New"
    assert entry["response"]["headers"]["x-request-id"] == "mine"


@pytest.mark.parametrize("patch", [{}, {"data": {"name": "Patched"}}])
def test_recorded_response_body_is_the_one_that_was_sent(mock: ControlledMock, patch: Any) -> None:
    """Also a body that contains embedded records and URLs of the mock, and one that a rule changes."""
    thread = mock.read("a", "/threads?per_page=1")[0]["uuid"]
    account = mock.read("a", "/accounts?per_page=1")[0]["uuid"]
    if patch:
        mock.control("POST", "/sandboxes/a/rules", {"respond": {"patch": patch}})
    replies = [
        mock.call("a", "POST", "/messages", {"thread_uuid": thread, "content": "Hello"}),
        mock.call("a", "PUT", f"/threads/{thread}", {"name": "Renamed"}),
        mock.call("a", "PUT", f"/accounts/{account}", {"provider_display_name": "Renamed"}),
        mock.call("a", "POST", "/agents", AGENT),
    ]
    journal = mock.registry.entries["a"].sandbox.journal
    assert journal is not None
    assert [(entry.status, entry.response_body) for entry in journal.entries[2:]] == [
        (reply.status, reply.body) for reply in replies
    ]
    assert {reply.status for reply in replies} <= {200, 201}
    assert any(b"http://localhost:8000" in reply.body for reply in replies)


def test_list_without_bodies_has_their_sizes(mock: ControlledMock) -> None:
    mock.call("a", "POST", "/agents", {"name": 7})
    (entry,), (complete,) = list_requests(mock, "bodies=false"), list_requests(mock)
    assert complete["request"]["body"] == {"name": 7}
    assert (entry["request"]["body"], entry["response"]["body"]) == (None, None)
    assert entry["request"]["body_bytes"] == complete["request"]["body_bytes"] == len(b'{"name": 7}')
    assert entry["response"]["body_bytes"] == complete["response"]["body_bytes"] > 0
    assert entry["findings"] == complete["findings"] != []


def test_sandboxes_record_their_own_requests_only(mock: ControlledMock) -> None:
    mock.call("a", "GET", "/agents")
    mock.call("b", "GET", "/prompts")
    assert [entry["operation"] for entry in list_requests(mock)] == ["listAgents"]
    assert [e["operation"] for e in mock.control("GET", "/sandboxes/b/requests")["requests"]] == ["listPrompts"]


def test_sign_in_is_recorded_in_the_sandbox_that_it_selects(mock: ControlledMock) -> None:
    account = mock.control("GET", "/sandboxes/a")["accounts"][0]
    assert mock.request("POST", "/api/v1/auth/sign-in", account).status == 200
    (entry,) = list_requests(mock)
    assert entry["request"]["body"] == {"email": account["email"], "password": "[redacted]"}
    assert entry["response"]["body"]["data"]["token"] == "[redacted]"


def test_preflights_control_requests_and_pages_are_not_recorded(mock: ControlledMock) -> None:
    headers = {"access_control_request_method": "GET", "origin": "http://localhost:3000", "x_mock_sandbox": "a"}
    assert mock.request("OPTIONS", "/api/v1/agents", **headers).status == 204
    mock.request("GET", "/__mock/health", x_mock_sandbox="a")
    mock.request("GET", f"{SANDBOXES}/a", x_mock_sandbox="a")
    assert list_requests(mock) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "attacker.example"}, 421),
        ({"x_mock_sandbox": "a", "baggage": "mock-sandbox=b"}, 400),
        ({"x_mock_sandbox": "new", "origin": "https://attacker.example"}, 403),
    ],
)
def test_requests_without_a_valid_host_or_sandbox_are_not_recorded(
    mock: ControlledMock, headers: dict[str, str], status: int
) -> None:
    assert mock.request("GET", "/api/v1/agents", **headers).status == status
    assert mock.control("GET", "/sandboxes/default/requests")["requests"] == []
    assert list_requests(mock) == []


@pytest.mark.parametrize(
    ("method", "path", "token"),
    [("POST", "/agents", "nope"), ("POST", "/unknown", "demo-token"), ("PUT", "/agents", "demo-token")],
)
def test_body_of_a_rejected_request_is_recorded(mock: ControlledMock, method: str, path: str, token: str) -> None:
    reply = mock.call("a", method, path, AGENT, token=token)
    (entry,) = list_requests(mock)
    assert entry["request"]["body"] == AGENT
    assert (entry["response"]["status"], entry["reason"]) == (reply.status, reply.headers["x-mock-reason"])


def test_body_that_the_operation_does_not_have_is_a_finding(mock: ControlledMock) -> None:
    key = mock.read("a", "/prompts?per_page=1")[0]["uuid"]
    assert mock.call("a", "DELETE", f"/prompts/{key}", {"reason": "old"}).status == 204
    entry = list_requests(mock)[0]
    assert (entry["request"]["body"], find_kinds(entry)) == ({"reason": "old"}, [("invalid-body", "body")])


def test_body_in_parts_is_recorded(mock: ControlledMock) -> None:
    content = json.dumps(AGENT).encode()
    request_in_parts(mock, [content[:10], content[10:]])
    (entry,) = list_requests(mock)
    assert (entry["request"]["body"], entry["request"]["body_bytes"]) == (AGENT, len(content))


def test_too_large_body_is_recorded_as_far_as_it_was_received(mock: ControlledMock) -> None:
    request_in_parts(mock, [b"x" * 600_000] * 3)
    (entry,) = list_requests(mock)
    assert (entry["response"]["status"], entry["request"]["body_bytes"]) == (413, 1_200_000)


def test_body_of_a_request_that_a_rule_answers_is_recorded(mock: ControlledMock) -> None:
    mock.control("POST", "/sandboxes/a/rules", {"respond": {"status": 503}})
    mock.call("a", "POST", "/agents", AGENT)
    (entry,) = list_requests(mock)
    assert (entry["response"]["status"], entry["request"]["body"]) == (503, AGENT)


def test_body_is_not_demanded_from_a_client_that_waits(mock: ControlledMock) -> None:
    request_in_parts(mock, [json.dumps(AGENT).encode()], expect="100-continue", authorization="Bearer nope")
    (entry,) = list_requests(mock)
    assert (entry["response"]["status"], entry["request"]["body"]) == (401, None)


def request_in_parts(mock: ControlledMock, parts: list[bytes], **headers: str) -> None:
    """Create an agent; the body arrives in parts."""
    all_headers = {"authorization": "Bearer demo-token", "content-type": "application/json", **headers}
    Client(mock.app, all_headers).request("POST", "/__mock/s/a/api/v1/agents", body=parts)


def test_source_of_the_response_is_named(mock: ControlledMock) -> None:
    mock.control(
        "POST",
        "/sandboxes/a/rules",
        {"name": "down", "match": {"operation": "listPrompts"}, "respond": {"status": 502}},
    )
    for path in ("/agents?per_page=1", "/agents?per_page=1", "/agents?__code=503", "/prompts"):
        mock.call("a", "GET", path)
    entries = list_requests(mock)[::-1]
    assert [(e["source"], e["rule"], e["response"]["status"]) for e in entries] == [
        ("processed", None, 200),
        ("cache", None, 200),
        ("request", None, 503),
        ("rule", "down", 502),
    ]
    assert [entry["response"]["is_documented"] for entry in entries] == [True, True, False, False]
    assert [entry["findings"] for entry in entries] == [[], [], [], []]


def test_response_of_a_rule_is_recorded_as_sent(mock: ControlledMock) -> None:
    mock.control("POST", "/sandboxes/a/rules", {"respond": {"patch": {"meta": None}, "headers": ["X-Extra: 1"]}})
    reply = mock.call("a", "GET", "/agents?per_page=1")
    (entry,) = list_requests(mock)
    assert entry["response"]["body"] == reply.json
    assert entry["response"]["headers"]["x-extra"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "body", "findings"),
    [
        ("GET", "/agents?colour=1", None, [("unknown-parameter", "query.colour")]),
        ("GET", "/agents?per_page=many", None, [("invalid-value", "query.per_page")]),
        ("GET", "/agnts", None, [("unknown-path", "path")]),
        ("PUT", "/agents", AGENT, [("unknown-method", "path")]),
        ("POST", "/agents", {"name": 3, "instruction": "x"}, [("invalid-value", "body.name")]),
        ("POST", "/agents", {}, [("invalid-value", "body.name")]),
        ("POST", "/agents", {**AGENT, "nme": 1}, [("unknown-field", "body.nme")]),
        ("POST", "/agents", {"nme": "x"}, [("invalid-value", "body.name"), ("unknown-field", "body.nme")]),
        ("POST", "/agents", {**AGENT, "visibility": "nobody"}, [("invalid-value", "body.visibility")]),
        ("POST", "/agents", AGENT, []),
    ],
)
def test_differences_from_the_contract_are_found(
    mock: ControlledMock, method: str, path: str, body: Any, findings: list[tuple[str, str]]
) -> None:
    mock.call("a", method, path, body)
    (entry,) = list_requests(mock)
    assert set(findings) <= set(find_kinds(entry))
    assert bool(findings) is bool(entry["findings"])


@pytest.mark.parametrize(
    ("method", "path", "body", "suggestion"),
    [
        ("POST", "/agents", {**AGENT, "nme": 1}, ["name"]),
        ("POST", "/agents", {**AGENT, "NAME": 1}, ["name"]),
        ("POST", "/agents", {**AGENT, "isntrution": 1}, ["instruction"]),
        ("POST", "/agents", {**AGENT, "colour": 1}, []),
        ("GET", "/agents?per_pgae=1", None, ["per_page"]),
    ],
)
def test_name_that_was_probably_meant_is_suggested(
    mock: ControlledMock, method: str, path: str, body: Any, suggestion: list[str]
) -> None:
    mock.call("a", method, path, body)
    (entry,) = list_requests(mock)
    messages = [finding["message"] for finding in entry["findings"]]
    assert re.findall(r"; did you mean (.*?)\? \(expected ", " ".join(messages)) == suggestion


def test_findings_of_a_rejected_or_forced_request_are_complete(mock: ControlledMock) -> None:
    mock.call("a", "POST", "/agents", {**AGENT, "nme": 1}, token="nope")
    mock.call("a", "POST", "/agents?__code=500", {**AGENT, "nme": 1})
    assert [find_kinds(entry) for entry in list_requests(mock)] == [[("unknown-field", "body.nme")]] * 2


def test_malformed_body_is_text_with_a_finding(mock: ControlledMock) -> None:
    headers = {"content-type": "application/json", "x-mock-sandbox": "a", "authorization": "Bearer demo-token"}
    reply = Client(mock.app, {}).request("POST", "/api/v1/agents", body=b'{"name": ', headers=headers)
    (entry,) = list_requests(mock)
    assert (reply.status, entry["request"]["body"], find_kinds(entry)) == (400, '{"name": ', [("invalid-body", "body")])


@pytest.mark.parametrize("depth", [200, 250, 1000, 5000])
def test_deeply_nested_body_is_shown_everywhere(mock: ControlledMock, depth: int) -> None:
    body = b"[" * depth + b'{"password": "hidden-1"}' + b"]" * depth
    headers = {"content-type": "application/json", "x-mock-sandbox": "a", "authorization": "Bearer demo-token"}
    assert Client(mock.app, {}).request("POST", "/api/v1/agents", body=body, headers=headers).status == 400
    (entry,) = list_requests(mock)
    assert (entry["request"]["body"].count("["), find_kinds(entry)) == (depth + 1, [("invalid-body", "body")])
    condition = {"body": {"name": "New"}}
    near_miss = mock.request("POST", f"{SANDBOXES}/a/requests/verify", condition)
    assert near_miss.json["near_misses"][0]["request"] == entry
    archive = mock.request("GET", f"{SANDBOXES}/a/requests.har")
    assert archive.json["log"]["entries"][0]["request"]["postData"]["text"] == entry["request"]["body"]
    events = mock.request("GET", f"{SANDBOXES}/a/requests/events")
    assert mock.control("POST", f"{REQUESTS}/find", condition)["total"] == 0
    assert b'"[[[' in events.body
    assert b"hidden-1" not in near_miss.body + archive.body + events.body


def test_pages_are_newest_first_and_can_be_continued(mock: ControlledMock) -> None:
    for _ in range(5):
        mock.call("a", "GET", "/agents")
    first = mock.control("GET", f"{REQUESTS}?limit=2")
    assert ([e["id"] for e in first["requests"]], first["total"], first["next_before"]) == ([5, 4], 5, 4)
    second = mock.control("GET", f"{REQUESTS}?limit=3&before={first['next_before']}")
    assert ([e["id"] for e in second["requests"]], second["next_before"]) == ([3, 2, 1], None)


def test_filters_select_by_operation_and_status(mock: ControlledMock) -> None:
    mock.call("a", "POST", "/agents", AGENT)
    mock.call("a", "POST", "/agents", {})
    mock.call("a", "GET", "/agents")
    assert [entry["id"] for entry in list_requests(mock, "operation=createAgent")] == [2, 1]
    assert [entry["id"] for entry in list_requests(mock, "operation=createAgent&status=422")] == [2]
    assert [entry["id"] for entry in list_requests(mock, "operation=createAgent&status_class=2xx")] == [1]
    assert list_requests(mock, "status_class=5xx") == []
    assert mock.control_status("GET", f"{REQUESTS}?operation=createAgnt") == 422
    assert mock.control_status("GET", f"{REQUESTS}?status_class=6xx") == 422


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({}, 2),
        ({"operation": "createAgent"}, 1),
        ({"status_class": "2xx"}, 2),
        ({"status_class": "4xx"}, 0),
        ({"method": "GET", "path": "/age*"}, 1),
        ({"query": {"per_page": "1"}}, 1),
        ({"query": {"per_page": "2"}}, 0),
        ({"headers": {"Authorization": "Bearer demo-token"}}, 2),
        ({"body": {"name": "New"}}, 1),
        ({"body": {"name": "Old"}}, 0),
        ({"status": 201}, 1),
        ({"secured": True}, 2),
        ({"secured": False}, 0),
        ({"effect": "language-model"}, 0),
    ],
)
def test_conditions_select_requests(mock: ControlledMock, conditions: dict[str, Any], count: int) -> None:
    mock.call("a", "GET", "/agents?per_page=1")
    mock.call("a", "POST", "/agents", AGENT)
    assert mock.control("POST", f"{REQUESTS}/count", conditions) == {"count": count}
    assert len(mock.control("POST", f"{REQUESTS}/find", conditions)["requests"]) == count


def test_paths_that_the_contract_does_not_have_are_found(mock: ControlledMock) -> None:
    for path in ("/agent", "/agents"):
        mock.call("a", "GET", path)
    for path, expected in (("/agent", 1), ("/api/v1/agent", 1), ("/agen", 0)):
        assert mock.control("POST", f"{REQUESTS}/count", {"path": path}) == {"count": expected}
        assert mock.control("POST", f"{REQUESTS}/find", {"path": path})["total"] == expected
        assert mock.control("POST", f"{REQUESTS}/verify", {"path": path, "count": expected})["verified"]


def test_near_miss_names_effect_and_security(mock: ControlledMock) -> None:
    mock.call("a", "GET", "/agents")
    conditions = {"effect": "language-model", "secured": False}
    result = mock.request("POST", f"{SANDBOXES}/a/requests/verify", conditions).json
    assert result["near_misses"][0]["differences"] == [
        {"location": "secured", "expected": False, "received": True},
        {"location": "effect", "expected": "language-model", "received": None},
    ]


@pytest.mark.parametrize(
    ("expectation", "status"),
    [
        ({}, 200),
        ({"count": 2}, 200),
        ({"count": 1}, 409),
        ({"count": 3}, 409),
        ({"at_least": 2}, 200),
        ({"at_least": 3}, 409),
        ({"at_most": 2}, 200),
        ({"at_most": 1}, 409),
        ({"at_least": 0, "body": {"name": "Old"}}, 200),
        ({"body": {"name": "Old"}}, 409),
        ({"count": 0, "body": {"name": "Old"}}, 200),
    ],
)
def test_verify_compares_the_number(mock: ControlledMock, expectation: dict[str, Any], status: int) -> None:
    for _ in range(2):
        mock.call("a", "POST", "/agents", AGENT)
    reply = mock.request("POST", f"{SANDBOXES}/a/requests/verify", {"operation": "createAgent", **expectation})
    assert (reply.status, reply.json["verified"]) == (status, status == 200)


def test_near_miss_names_another_class_of_statuses(mock: ControlledMock) -> None:
    mock.call("a", "GET", "/agents")
    expectation = {"operation": "listAgents", "status_class": "4xx"}
    result = mock.request("POST", f"{SANDBOXES}/a/requests/verify", expectation).json
    (difference,) = result["near_misses"][0]["differences"]
    assert difference == {"location": "status_class", "expected": "4xx", "received": "2xx"}


def test_near_misses_are_the_most_similar_requests_with_their_differences(mock: ControlledMock) -> None:
    mock.call("a", "POST", "/agents", {**AGENT, "description": "old"})
    mock.call("a", "POST", "/agents", {"name": "Other"})
    mock.call("a", "GET", "/prompts")
    expectation = {"operation": "createAgent", "body": {"name": "New", "description": "new"}}
    result = mock.request("POST", f"{SANDBOXES}/a/requests/verify", expectation).json
    assert result["message"] == "Expected at least 1 request, got 0."
    nearest = result["near_misses"][0]
    assert nearest["request"]["id"] == 1
    assert nearest["differences"] == [{"location": "body.description", "expected": "new", "received": "old"}]
    assert [miss["request"]["operation"] for miss in result["near_misses"]] == [
        "createAgent",
        "createAgent",
        "listPrompts",
    ]


def test_too_many_requests_are_listed(mock: ControlledMock) -> None:
    for _ in range(2):
        mock.call("a", "GET", "/agents")
    result = mock.request("POST", f"{SANDBOXES}/a/requests/verify", {"operation": "listAgents", "count": 1}).json
    assert (result["message"], result["near_misses"]) == ("Expected 1 request, got 2.", [])
    assert [entry["id"] for entry in result["requests"]] == [2, 1]


def test_secrets_are_redacted_everywhere(mock: ControlledMock) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijk"
    headers = {"cookie": "session=hidden-1", "x_multiplai_authorization": "Bearer hidden-2", "x_mock_sandbox": "a"}
    body = {"name": f"has {token}", "password": "hidden-3"}
    mock.request("POST", "/api/v1/agents?token=hidden-4", body, **headers)
    conditions = {"operation": "createAgent", "count": 5, "body": {"password": "hidden-5"}}
    shown = [
        mock.request("GET", f"{SANDBOXES}/a/requests").body,
        mock.request("GET", f"{SANDBOXES}/a/requests.har").body,
        mock.request("POST", f"{SANDBOXES}/a/requests/verify", conditions).body,
    ]
    assert [text for text in shown if b"hidden-" in text or token.encode() in text] == []
    assert all(b"[redacted]" in text for text in shown)


def test_delete_and_reset_remove_the_requests(mock: ControlledMock) -> None:
    for method, path in (("DELETE", REQUESTS), ("POST", "/sandboxes/a/reset")):
        mock.call("a", "GET", "/agents")
        assert list_requests(mock)
        mock.control(method, path)
        assert list_requests(mock) == []


# Memory


def test_oldest_requests_are_dropped_and_counted() -> None:
    mock = ControlledMock.create(journal_bytes=64 * 1024)
    mock.control("PUT", "/sandboxes/a")
    for _ in range(40):
        mock.call("a", "GET", "/agents?per_page=1")
    result = mock.control("GET", REQUESTS)
    assert result["requests"][0]["id"] == 40
    assert 0 < result["total"] < 40
    assert result["dropped"] == 40 - result["total"]
    journal = mock.registry.entries["a"].sandbox.journal
    assert journal is not None
    assert journal.byte_count == sum(entry.size for entry in journal.entries) <= 64 * 1024


def test_large_bodies_are_cut_off(mock: ControlledMock) -> None:
    text = "x" * (MAX_RECORDED_BODY_BYTES + 10)
    mock.call("a", "POST", "/agents", {**AGENT, "description": text})
    journal = mock.registry.entries["a"].sandbox.journal
    assert journal is not None
    assert len(journal.entries[0].body or b"") == MAX_RECORDED_BODY_BYTES
    (entry,) = list_requests(mock)
    assert isinstance(entry["request"]["body"], str)
    assert entry["request"]["body_bytes"] > MAX_RECORDED_BODY_BYTES


def test_journal_counts_towards_the_memory_of_its_sandbox(mock: ControlledMock) -> None:
    before = mock.control("GET", "/sandboxes/a")["bytes"]
    mock.call("a", "GET", "/agents")
    assert mock.control("GET", "/sandboxes/a")["bytes"] > before + 1000


@pytest.mark.parametrize("token", ["nope", "demo-token"])
@pytest.mark.slow
def test_memory_of_the_entries_is_not_underestimated(token: str) -> None:
    mock = ControlledMock.create(journal_bytes=1024 * 1024)
    mock.call("a", "POST", "/agents", {}, token=token)
    journal = mock.registry.entries["a"].sandbox.journal
    assert journal is not None
    tracemalloc.start()
    while not journal.dropped_count:
        mock.call("a", "POST", "/agents", {}, token=token)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    journal.clear()
    freed = used - tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert 0.5 * journal.max_bytes < freed <= 1.1 * journal.max_bytes


def test_journal_can_be_turned_off() -> None:
    mock = ControlledMock.create(journal_bytes=0)
    mock.control("PUT", "/sandboxes/a")
    mock.call("a", "POST", "/agents", AGENT)
    reply = mock.request("GET", f"{SANDBOXES}/a/requests")
    assert (reply.status, "--journal-memory" in reply.json["message"]) == (409, True)


@pytest.mark.parametrize("respond", [{"patch": {"meta": None}}, {"headers": ["X-Extra: 1"]}, {"delay_ms": 1}])
def test_cached_response_that_a_rule_changes_has_the_source_rule(mock: ControlledMock, respond: Any) -> None:
    mock.call("a", "GET", "/agents?per_page=1")
    mock.control("POST", "/sandboxes/a/rules", {"name": "changed", "respond": respond})
    mock.call("a", "GET", "/agents?per_page=1")
    assert [(entry["source"], entry["rule"]) for entry in list_requests(mock)] == [
        ("rule", "changed"),
        ("processed", None),
    ]


def test_messages_about_a_secret_field_are_shown(mock: ControlledMock) -> None:
    reply = mock.request("POST", "/api/v1/auth/sign-in", {"email": "a@example.com"}, x_mock_sandbox="a")
    (entry,) = list_requests(mock)
    assert reply.status == 422
    assert entry["response"]["body"] == reply.json
    assert reply.json["errors"]["password"][0].startswith("The password field is required")


# HTTP Archive


def test_archive_is_read_by_the_traffic_audit(mock: ControlledMock, tmp_path: Path) -> None:
    mock.call("a", "GET", "/agents?per_page=1")
    mock.request("GET", "/api/v1/agents?colour=1", x_mock_sandbox="a", authorization="Bearer demo-token")
    mock.call("a", "POST", "/agents", AGENT)
    mock.call("a", "GET", "/unknown")
    file = tmp_path / "requests.har"
    file.write_bytes(mock.request("GET", f"{SANDBOXES}/a/requests.har").body)
    entries = read_har(file).entries
    assert [(entry.method, entry.response.status) for entry in entries] == [
        ("get", 200),
        ("get", 200),
        ("post", 201),
        ("get", 404),
    ]
    assert entries[2].request_json == AGENT
    audit = TrafficAudit(OpenapiCoreValidator(athena_contract(), athena_schemas()), "http://localhost:8000/api/v1")
    audit.check(entries)
    assert (audit.entries, dict(audit.skipped)) == (4, {})
    assert audit.call_counts[("createAgent", 201)] == 1
    failed = {result.requirement.check for result in audit.results() if result.status.value == "failed"}
    assert failed == {"parameter-is-documented"}


def test_archive_has_one_base_url_for_all_selections_of_the_sandbox(mock: ControlledMock) -> None:
    token = {"authorization": "Bearer demo-token~a"}
    mock.call("a", "GET", "/agents")
    mock.request("GET", "/api/v1/agents", **token)
    mock.request("GET", "/api/v1/agents", host="a.localhost:8000", **token)
    mock.request("GET", "/api/v1/agents", host="127.0.0.1:8000", **token)
    archive = mock.control("GET", f"{REQUESTS}.har")
    assert [entry["request"]["url"] for entry in archive["log"]["entries"]] == [
        "http://localhost:8000/api/v1/agents"
    ] * 4


# Events


async def read_events(mock: ControlledMock, headers: list[tuple[bytes, bytes]], actions: Iterator[Any]) -> str:
    """Listen to the events of a sandbox; after each event, the next of `actions` is called. Then disconnect."""
    path = f"{SANDBOXES}/a/requests/events"
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
    }
    scope |= {"raw_path": path.encode(), "headers": [(b"host", b"localhost:8000"), *headers]}
    received: list[bytes] = []
    is_finished = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await is_finished.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        received.append(message.get("body", b""))
        if message.get("more_body"):
            action = next(actions, None)
            if action is None:
                is_finished.set()
            else:
                asyncio.get_running_loop().call_soon(action)

    await asyncio.wait_for(mock.app(scope, receive, send), 10)
    return b"".join(received).decode()


ACCEPT = (b"accept", b"text/event-stream")


def record(mock: ControlledMock, count: int = 1) -> None:
    """Add entries to the journal of the sandbox, as requests do."""
    journal = mock.registry.entries["a"].sandbox.journal
    assert journal is not None
    entry = journal.entries[0]
    response = (entry.status, entry.response_headers, entry.response_body, None, entry.source, entry.fault)
    for _ in range(count):
        journal.record(*entry[1:7], entry.raw_path, entry.raw_query, entry.headers, entry.body, *response)


def test_each_new_request_is_an_event(mock: ControlledMock) -> None:
    mock.call("a", "GET", "/agents?per_page=1")
    text = asyncio.run(read_events(mock, [ACCEPT], iter([lambda: record(mock), lambda: record(mock)])))
    events = [event for event in text.split("\n\n") if event.startswith("event: ")]
    assert [event.splitlines()[:2] for event in events] == [["event: request", "id: 2"], ["event: request", "id: 3"]]
    assert json.loads(events[0].splitlines()[2].removeprefix("data: "))["operation"] == "listAgents"


def test_stream_continues_after_the_last_event(mock: ControlledMock) -> None:
    for _ in range(3):
        mock.call("a", "GET", "/agents?per_page=1")
    text = asyncio.run(read_events(mock, [ACCEPT, (b"last-event-id", b"1")], iter([lambda: None, lambda: None])))
    assert [line for line in text.splitlines() if line.startswith("id: ")] == ["id: 2", "id: 3"]


def test_number_of_missed_requests_is_an_event() -> None:
    mock = ControlledMock.create(journal_bytes=64 * 1024)
    mock.control("PUT", "/sandboxes/a")
    mock.call("a", "GET", "/agents?per_page=1")
    text = asyncio.run(read_events(mock, [ACCEPT], iter([lambda: record(mock, 30), lambda: None])))
    journal = mock.registry.entries["a"].sandbox.journal
    assert journal is not None
    missed = journal.entries[0].number - 2
    assert f'event: dropped\ndata: {{"count": {missed}}}\n\n' in text


def test_deleted_sandbox_ends_the_stream(mock: ControlledMock) -> None:
    actions = iter([lambda: mock.registry.delete("a"), lambda: None])
    assert asyncio.run(read_events(mock, [ACCEPT], actions)) == ": requests of the sandbox\n\n"
    assert mock.registry.find("a") is None


def test_client_that_does_not_accept_streams_gets_the_recorded_requests(mock: ControlledMock) -> None:
    for _ in range(3):
        mock.call("a", "GET", "/agents?per_page=1")
    reply = mock.request("GET", f"{SANDBOXES}/a/requests/events", last_event_id="1")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream")
    assert [line for line in reply.body.decode().splitlines() if line.startswith("id: ")] == ["id: 2", "id: 3"]


def test_deleted_requests_are_not_counted_as_missed() -> None:
    journal = RequestJournal()
    journal.last_number, journal.dropped_count = 7, 2
    journal.clear()
    assert (journal.list_after(3), journal.count_dropped_after(3)) == ([], 0)


def test_impossible_number_of_requests_is_rejected(mock: ControlledMock) -> None:
    reply = mock.request("POST", f"{SANDBOXES}/a/requests/verify", {"at_least": 2, "at_most": 1})
    expected = "No number is at least 2 and at most 1 (expected at_least not greater than at_most)."
    assert (reply.status, reply.json["errors"]) == (422, {"at_least": [expected]})
