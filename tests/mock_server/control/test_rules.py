"""Rules of a sandbox: which requests they match, and what they respond."""

from typing import Any

import pytest

from tests.asgi import Reply
from tests.mock_server.controlled_mock import SANDBOXES, ControlledMock

AGENT = {"name": "New", "instruction": "Answer."}


pytestmark = pytest.mark.usefixtures("sandbox_a")


def add(mock: ControlledMock, respond: Any, **parameters: Any) -> Any:
    return mock.control("POST", "/sandboxes/a/rules", {"respond": respond, **parameters})


def list_agents(mock: ControlledMock, query: str = "per_page=1") -> Reply:
    return mock.call("a", "GET", f"/agents?{query}")


def statuses(mock: ControlledMock, count: int) -> list[int]:
    return [list_agents(mock).status for _ in range(count)]


def test_rule_determines_the_response_in_its_sandbox_only(mock: ControlledMock) -> None:
    rule = add(mock, {"status": 500})
    reply = list_agents(mock)
    assert (reply.status, reply.json) == (500, {"message": "Server Error"})
    assert (reply.headers["x-mock-rule"], rule["name"]) == ("rule-1", "rule-1")
    assert mock.call("default", "GET", "/agents").status == 200
    mock.control("DELETE", "/sandboxes/a/rules/rule-1")
    assert list_agents(mock).status == 200


@pytest.mark.parametrize(
    ("match", "is_match"),
    [
        ({}, True),
        ({"operation": "listAgents"}, True),
        ({"operation": "createAgent"}, False),
        ({"method": "GET", "path": "/agents"}, True),
        ({"method": "POST", "path": "/agents"}, False),
        ({"path": "/age*"}, True),
        ({"path": "/agents/*"}, False),
        ({"query": {"per_page": "1"}}, True),
        ({"query": {"per_page": "2"}}, False),
        ({"headers": {"Authorization": "Bearer demo-token"}}, True),
        ({"headers": {"X-Trace": "1"}}, False),
        ({"body": {}}, False),
        ({"operation": "listAgents", "query": {"page": "1"}}, False),
    ],
)
def test_all_conditions_must_be_fulfilled(mock: ControlledMock, match: dict[str, Any], is_match: bool) -> None:
    add(mock, {"status": 503}, match=match)
    assert (list_agents(mock).status == 503) is is_match


def test_tag_matches_its_operations(mock: ControlledMock) -> None:
    tag = mock.registry.default.contract.operations["listAgents"].tag
    add(mock, {"status": 503}, match={"tag": tag})
    assert list_agents(mock).status == 503
    assert mock.call("a", "GET", "/prompts").status == 200


def test_body_matches_by_a_part_and_is_still_processed(mock: ControlledMock) -> None:
    add(mock, {"status": 409}, match={"body": {"name": "Bad"}})
    assert mock.call("a", "POST", "/agents", {**AGENT, "name": "Bad"}).status == 409
    reply = mock.call("a", "POST", "/agents", AGENT)
    assert (reply.status, reply.json["data"]["name"]) == (201, "New")


def test_responses_follow_each_other_and_the_last_repeats(mock: ControlledMock) -> None:
    add(mock, [{"status": 429}, {"status": 503}, {}])
    assert statuses(mock, 4) == [429, 503, 200, 200]


def test_rule_applies_a_number_of_times(mock: ControlledMock) -> None:
    add(mock, {"status": 429}, times=2)
    assert statuses(mock, 3) == [429, 429, 200]
    assert [(rule["hits"], rule["applied"]) for rule in mock.control("GET", "/sandboxes/a/rules")["rules"]] == [(2, 2)]


def test_latest_rule_takes_precedence_unless_another_one_has_a_higher_priority(mock: ControlledMock) -> None:
    for status, priority in ((500, 0), (502, 0), (503, 5), (504, 0)):
        add(mock, {"status": status}, priority=priority, times=1)
    assert statuses(mock, 5) == [503, 504, 502, 500, 200]


def test_probability_is_the_same_in_each_run() -> None:
    runs = []
    for _ in range(2):
        mock = ControlledMock.create()
        mock.control("PUT", "/sandboxes/a")
        add(mock, {"status": 503}, probability=0.5)
        runs.append(statuses(mock, 40))
    assert runs[0] == runs[1]
    assert 8 < runs[0].count(503) < 32


def test_rule_of_the_same_name_is_replaced(mock: ControlledMock) -> None:
    for status in (500, 503):
        add(mock, {"status": status}, name="down")
    assert [rule["name"] for rule in mock.control("GET", "/sandboxes/a/rules")["rules"]] == ["down"]
    assert list_agents(mock).status == 503


def test_headers_and_body_are_sent_as_given(mock: ControlledMock) -> None:
    add(mock, {"status": 402, "body": {"error": "pay"}, "headers": ["Retry-After: 7", "X-Total: 1"]})
    reply = mock.request("GET", "/__mock/s/a/api/v1/agents", origin="http://localhost:3000")
    assert (reply.status, reply.json) == (402, {"error": "pay"})
    assert (reply.headers["retry-after"], reply.headers["x-total"]) == ("7", "1")
    assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert int(reply.headers["content-length"]) == len(reply.body)


def test_header_lines_of_the_same_name_are_all_sent(mock: ControlledMock) -> None:
    add(mock, {"headers": ["Set-Cookie: a=1", "Set-Cookie: b=2"]})
    assert list_agents(mock).set_cookies == ("a=1", "b=2")


def test_header_lines_replace_those_of_a_rate_limit(mock: ControlledMock) -> None:
    add(mock, {"headers": ["x-ratelimit-limit: 9"], "rate_limit": {"requests": 1, "seconds": 60}})
    assert [list_agents(mock).headers["x-ratelimit-limit"] for _ in range(2)] == ["9", "9"]


def test_patch_changes_the_usual_response_and_not_the_record(mock: ControlledMock) -> None:
    usual = list_agents(mock).json
    add(mock, {"patch": {"meta": {"total": 7}, "links": None}}, times=1)
    patched = list_agents(mock)
    assert patched.json == {"data": usual["data"], "meta": {**usual["meta"], "total": 7}}
    assert int(patched.headers["content-length"]) == len(patched.body)
    assert list_agents(mock).json == usual


def test_rejected_request_is_patched_too(mock: ControlledMock) -> None:
    add(mock, {"patch": {"message": "Custom"}, "headers": ["X-Extra: 1"]})
    reply = mock.call("a", "POST", "/agents", {})
    assert (reply.status, reply.json["message"], reply.headers["x-extra"]) == (422, "Custom", "1")
    assert reply.json["errors"]


def test_preference_of_the_request_takes_precedence(mock: ControlledMock) -> None:
    add(mock, {"status": 503})
    assert mock.request("GET", "/__mock/s/a/api/v1/agents", prefer="code=500").status == 500


def test_reset_deletes_the_rules(mock: ControlledMock) -> None:
    add(mock, {"status": 503})
    mock.control("POST", "/sandboxes/a/reset")
    assert mock.control("GET", "/sandboxes/a/rules") == {"rules": []}
    assert list_agents(mock).status == 200


def test_rules_are_deleted(mock: ControlledMock) -> None:
    add(mock, {"status": 503})
    assert mock.control_status("DELETE", "/sandboxes/a/rules/nothing") == 404
    assert mock.control_status("DELETE", "/sandboxes/a/rules") == 204
    assert list_agents(mock).status == 200


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ({}, {"respond"}),
        ({"respond": {"status": 99}}, {"respond.status"}),
        ({"respond": {"fault": "fire"}, "times": 0, "match": {"operation": "x"}},
         {"respond.fault", "times", "match.operation"}),
        ({"respond": [{"headers": ["no colon"]}]}, {"respond.0.headers.0"}),
        ({"respond": {"headers": ["X-A: 1", "content-length: 5", "Transfer-Encoding: chunked", "Connection: upgrade"]}},
         {"respond.headers.1", "respond.headers.2", "respond.headers.3"}),
        ({"respond": {}, "probabilty": 1}, {"probabilty"}),
        ({"respond": {"status": 500}, "match": {"operation": "listAgents", "method": "POST"}}, {"match"}),
        ({"respond": {"status": 500}, "match": {"operation": "listAgents", "path": "/prompts"}}, {"match"}),
        ({"respond": {"outcome": "error"}, "match": {"operation": "listAgents"}}, {"respond.outcome"}),
        ({"respond": {"outcome": "error"}, "match": {"operation": "runAgent"}}, {"respond.outcome"}),
        ({"respond": [{}, {"text": "x"}], "match": {"method": "GET"}}, {"respond.1.text"}),
        ({"respond": {"patch": {}}}, {"respond"}),
        ({"respond": {"headers": []}}, {"respond"}),
        ({"respond": {"delay_ms": 0, "patch": {}}}, {"respond"}),
        ({"respond": {"status": 500}, "probability": 0}, {"probability"}),
        ({"respond": {"status": 204, "body": {}}}, {"respond.body"}),
        ({"respond": {"status": 204, "patch": {"a": 1}, "fault": "truncate"}}, {"respond.patch", "respond.fault"}),
    ],
)  # fmt: skip
def test_all_invalid_fields_are_named(mock: ControlledMock, rule: dict[str, Any], fields: set[str]) -> None:
    reply = mock.request("POST", f"{SANDBOXES}/a/rules", rule)
    assert reply.status == 422
    assert set(reply.json["errors"]) == fields
    assert mock.control("GET", "/sandboxes/a/rules") == {"rules": []}


def test_framing_header_is_rejected_with_the_reason(mock: ControlledMock) -> None:
    reply = mock.request("POST", f"{SANDBOXES}/a/rules", {"respond": {"headers": ["Content-Length: 5"]}})
    message = (
        'The respond.headers.0 field would break the HTTP message (received "Content-Length: 5", expected no such '
        "header: the mock sets it from the body; the fault truncate cuts the body off)."
    )
    assert reply.json["errors"] == {"respond.headers.0": [message]}
    add(mock, {"headers": ["Connection: close"]})


def test_rule_without_a_name_replaces_no_other_rule(mock: ControlledMock) -> None:
    add(mock, {"status": 500}, name="rule-1")
    assert [add(mock, {"status": 503})["name"] for _ in range(2)] == ["rule-2", "rule-3"]
    assert len(mock.control("GET", "/sandboxes/a/rules")["rules"]) == 3


def test_rules_beyond_the_memory_limit_are_a_429() -> None:
    mock = ControlledMock.create(max_bytes=6 * 1024 * 1024)
    empty = mock.control("PUT", "/sandboxes/a")["bytes"]
    rule = {"respond": {"body": "x" * 900_000}}
    replies = [mock.request("POST", f"{SANDBOXES}/a/rules", rule) for _ in range(8)]
    accepted = sum(reply.status == 201 for reply in replies)
    assert 0 < accepted < 8
    assert (replies[-1].status, replies[-1].headers["x-mock-reason"]) == (429, "sandbox-memory")
    assert mock.control("GET", "/sandboxes/a")["bytes"] > empty + accepted * 900_000
    mock.control("POST", "/sandboxes/a/rules", {"name": "rule-1", **rule})  # in place of an equally large one
    mock.control("DELETE", "/sandboxes/a/rules")
    assert mock.control("GET", "/sandboxes/a")["bytes"] == empty


@pytest.mark.parametrize(
    "rule",
    [
        {"respond": {"status": 500, "delay_ms": 0, "headers": []}},
        {"respond": [{"delay_ms": 0}]},
        {"respond": {"status": 204}, "match": {"method": "DELETE", "path": "/agents/*"}},
        {"respond": {"status": 500}, "match": {"operation": "listAgents", "method": "HEAD", "path": "/agents"}},
        {"respond": {"outcome": "error", "text": "x"}},
        {"respond": {"status": 200, "body": None}},
    ],
)
def test_rule_with_an_effect_is_accepted(mock: ControlledMock, rule: dict[str, Any]) -> None:
    assert mock.control_status("POST", "/sandboxes/a/rules", rule) == 201


def test_message_names_the_operations_that_use_a_property(mock: ControlledMock) -> None:
    rule = {"respond": {"text": "x"}, "match": {"operation": "listAgents"}}
    errors = mock.request("POST", f"{SANDBOXES}/a/rules", rule).json["errors"]
    expected = "the rule matches no operation that uses it, expected runAgent or runPrompt or runThread"
    assert errors == {"respond.text": [f"The respond.text field has no effect ({expected})."]}


def test_fault_without_a_connection_is_rejected(mock: ControlledMock) -> None:
    add(mock, {"fault": "connection-reset"})
    assert list_agents(mock).status == 400
