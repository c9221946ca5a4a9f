"""Ready-made rules, rate limits that count, and files of rules."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mock_server.control.rule_files import RuleFileError, read_rules
from mock_server.control.rules import create_rule_set
from tests.asgi import Reply
from tests.mock_server.athena import athena_contract
from tests.mock_server.controlled_mock import ControlledMock

AGENT_RUN = "/agents/550e8400-e29b-41d4-a716-446655440000/run"
RULES = "/sandboxes/a/rules"


pytestmark = pytest.mark.usefixtures("sandbox_a")


def limit(mock: ControlledMock, requests: int, seconds: float, **parameters: Any) -> None:
    rule = {"respond": {"rate_limit": {"requests": requests, "seconds": seconds}}, **parameters}
    mock.control("POST", RULES, rule)


def read_limit(reply: Reply) -> tuple[int | str | None, ...]:
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "retry-after")
    return (reply.status, *(reply.headers.get(name) for name in names))


def test_presets_are_listed_and_can_be_added(mock: ControlledMock) -> None:
    presets = mock.control("GET", "/presets")["presets"]
    assert [preset["name"] for preset in presets] == [
        "token-expires",
        "provider-down",
        "slow-model",
        "rate-limited",
        "server-error",
        "slow",
        "offline",
    ]
    for preset in presets:
        rule = mock.control("POST", RULES, {"preset": preset["name"]})
        assert rule["name"] == preset["name"]
        assert rule["respond"] == preset["rule"]["respond"]
        assert preset["description"]


def test_expired_token_is_rejected_until_the_rule_is_deleted(mock: ControlledMock) -> None:
    mock.control("POST", RULES, {"preset": "token-expires"})
    assert [mock.call("a", "GET", path).status for path in ("/agents", "/prompts")] == [401, 401]
    account = mock.control("GET", "/sandboxes/a")["accounts"][0]
    assert mock.request("POST", "/api/v1/auth/sign-in", account).status == 200
    mock.control("DELETE", f"{RULES}/token-expires")
    assert mock.call("a", "GET", "/agents").status == 200


def test_unavailable_provider_affects_model_runs_only(mock: ControlledMock) -> None:
    mock.control("POST", RULES, {"preset": "provider-down"})
    reply = mock.call("a", "POST", AGENT_RUN, {"content": "Hi"})
    assert (reply.status, reply.headers["retry-after"]) == (503, "30")
    assert mock.call("a", "GET", "/agents").status == 200


def test_own_properties_replace_those_of_the_preset(mock: ControlledMock) -> None:
    mock.control("POST", RULES, {"preset": "provider-down", "name": "mine", "respond": {"status": 502}, "times": 1})
    assert [mock.call("a", "POST", AGENT_RUN, {"content": "Hi"}).status for _ in range(2)] == [502, 200]
    assert [rule["name"] for rule in mock.control("GET", RULES)["rules"]] == ["mine"]


@pytest.mark.parametrize("body", [{}, {"preset": "slw"}, {"preset": 1}])
def test_rule_needs_a_response_or_a_known_preset(mock: ControlledMock, body: dict[str, Any]) -> None:
    assert mock.control_status("POST", RULES, body) == 422
    assert mock.control("GET", RULES) == {"rules": []}


# Rate limits


def test_requests_beyond_the_limit_are_rejected_until_the_time_is_over(mock: ControlledMock) -> None:
    limit(mock, 2, 60)
    mock.control("PATCH", "/sandboxes/a/clock", {"frozen": True})
    replies = [mock.call("a", "GET", "/agents") for _ in range(3)]
    assert [read_limit(reply) for reply in replies] == [
        (200, "2", "1", None),
        (200, "2", "0", None),
        (429, "2", "0", "60"),
    ]
    assert replies[2].json == {"message": "Too Many Attempts."}
    assert int(replies[2].headers["x-ratelimit-reset"]) == int(mock.clock().timestamp()) + 60
    mock.control("POST", "/sandboxes/a/clock/advance", {"seconds": 59})
    assert read_limit(mock.call("a", "GET", "/agents")) == (429, "2", "0", "1")
    mock.control("POST", "/sandboxes/a/clock/advance", {"seconds": 1})
    assert read_limit(mock.call("a", "GET", "/agents")) == (200, "2", "1", None)


def test_each_client_has_its_own_limit(mock: ControlledMock) -> None:
    limit(mock, 1, 60)
    statuses = [mock.call("a", "GET", "/agents", token=token).status for token in ("demo-token", "other-token") * 2]
    assert statuses == [200, 200, 429, 429]


def test_rejected_request_changes_nothing_and_counts_as_rejected_only(mock: ControlledMock) -> None:
    limit(mock, 0, 60)
    assert mock.call("a", "POST", "/agents", {"name": "New", "instruction": "x"}).status == 429
    assert mock.control("GET", "/sandboxes/a/changes") == {"created": [], "changed": [], "deleted": []}


def test_clock_that_is_set_back_does_not_extend_the_wait(mock: ControlledMock) -> None:
    limit(mock, 1, 60)
    mock.call("a", "GET", "/agents")
    mock.control("PATCH", "/sandboxes/a/clock", {"now": "2020-01-01T00:00:00Z"})
    assert mock.call("a", "GET", "/agents").status == 200


# Files


def test_file_of_rules_is_used_by_each_sandbox_and_restored_by_a_reset(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("- {name: first, respond: {status: 502}, times: 1}\n- {preset: provider-down, match: {}}\n")
    rules = read_rules(file, athena_contract())
    mock = ControlledMock.create(create_rules=partial(create_rule_set, athena_contract(), rules))
    for name in ("default", "a", "b"):
        assert [mock.call(name, "GET", "/agents").status for _ in range(2)] == [502, 503]
    mock.control("DELETE", RULES)
    assert mock.call("a", "GET", "/agents").status == 200
    mock.control("POST", "/sandboxes/a/reset")
    assert [rule["name"] for rule in mock.control("GET", RULES)["rules"]] == ["first", "provider-down"]
    assert [mock.call("a", "GET", "/agents").status for _ in range(2)] == [502, 503]


def test_rule_of_a_file_without_a_name_replaces_no_other_rule(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("- respond: {status: 500}\n- {name: rule-1, respond: {status: 503}}\n")
    rules = create_rule_set(athena_contract(), read_rules(file, athena_contract()))
    assert [rule.name for rule in rules.rules] == ["rule-2", "rule-1"]


def test_file_may_be_json_with_a_key(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"rules": [{"preset": "slow-model"}]}))
    assert read_rules(file, athena_contract()) == [{"preset": "slow-model"}]


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        ("- {respond: {status: 5000}}", ["rules.0.respond.status: "]),
        ("- {preset: slw}", ["rules.0.preset: ", "expected offline, provider-down, rate-limited, server-error, slow"]),
        ("- {respond: {status: 500}}\n- {match: {operation: listAgnts}, respond: {}}", ["rules.1.match.operation: "]),
        ("- {name: x}", ["rules.0.respond: "]),
        ("- 3", ["rules.0"]),
        ("rules: 3", ["expected a list of at most 1000 rules"]),
        ("- {respond: {chunks: 3}}", ["rules.0.respond.chunks: ", "expected fault dribble"]),
        ("- {respond: {headers: ['Content-Length: 5']}}", ["rules.0.respond.headers.0: ", "break the HTTP message"]),
        ("- {respond: {}, unknown: 1}", ["rules.0.unknown: "]),
        ("- {respond: {}, respond: {}}", ["respond"]),
    ],
)
def test_invalid_file_is_rejected_with_the_location(tmp_path: Path, content: str, problems: list[str]) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(content)
    with pytest.raises(RuleFileError) as raised:
        read_rules(file, athena_contract())
    assert str(file) in str(raised.value)
    assert [text for text in problems if text not in str(raised.value)] == []
