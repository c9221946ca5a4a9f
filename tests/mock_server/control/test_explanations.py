"""X-Mock-Explain: why a request gets its response."""

from typing import Any

import pytest

from tests.mock_server.controlled_mock import ControlledMock

AGENT = {"name": "New", "instruction": "Answer."}


pytestmark = pytest.mark.usefixtures("sandbox_a")


def explain(mock: ControlledMock, method: str, path: str, data: Any = None, **headers: str) -> Any:
    authorization = {"authorization": "Bearer demo-token~a"}
    reply = mock.request(method, f"/api/v1{path}", data, **(authorization | headers), x_mock_explain="1")
    assert reply.status == 200
    assert int(reply.headers["content-length"]) == len(reply.body)
    return reply.json


def test_parameters_are_parsed_with_defaults(mock: ControlledMock) -> None:
    explanation = explain(mock, "GET", "/agents?page=2&colour=1")
    assert (explanation["operation"], explanation["sandbox"], explanation["source"]) == ("listAgents", "a", "processed")
    assert explanation["parameters"]["query"] == {"page": 2, "per_page": 20} | explanation["parameters"]["query"]
    assert explanation["ignored"] == ["query.colour"]
    assert explanation["response"]["body"]["meta"]["current_page"] == 2
    assert explanation["contract"]["pointer"] == "#/paths/~1agents/get"
    assert explanation["contract"]["line"] > 1


def test_request_is_processed_and_recorded_as_usual(mock: ControlledMock) -> None:
    explanation = explain(mock, "POST", "/agents", AGENT)
    assert explanation["response"]["status"] == 201
    assert explanation["parameters"]["body"] == AGENT | explanation["parameters"]["body"]
    (created,) = mock.control("GET", "/sandboxes/a/changes")["created"]
    assert created["record"]["name"] == "New"
    (entry,) = mock.control("GET", "/sandboxes/a/requests")["requests"]
    assert (entry["response"]["status"], entry["response"]["body"]) == (201, explanation["response"]["body"])


def test_response_without_a_body_is_explained(mock: ControlledMock) -> None:
    key = mock.read("a", "/prompts?per_page=1")[0]["uuid"]
    explanation = explain(mock, "DELETE", f"/prompts/{key}")
    assert (explanation["response"]["status"], explanation["response"]["body"]) == (204, None)
    assert explanation["record"] == {"resource": "Prompt", "key": key, "exists": False}


def test_unknown_record_and_unknown_path_are_named(mock: ControlledMock) -> None:
    key = "00000000-0000-4000-8000-000000000000"
    explanation = explain(mock, "GET", f"/prompts/{key}")
    assert explanation["record"] == {"resource": "Prompt", "key": key, "exists": False}
    assert (explanation["error"]["reason"], explanation["response"]["status"]) == ("record-not-found", 404)
    unknown = explain(mock, "GET", "/promts")
    assert (unknown["operation"], unknown["error"]["reason"]) == (None, "route-not-found")


def test_violated_keyword_is_located_in_the_contract(mock: ControlledMock) -> None:
    error = explain(mock, "POST", "/agents", {**AGENT, "name": 3})["error"]
    assert error["reason"] == "validation"
    assert error["contract"]["pointer"].endswith("/name/type")
    assert error["contract"]["file"].endswith("openapi.yaml")


def test_rule_cache_and_forced_response_are_named(mock: ControlledMock) -> None:
    for _ in range(2):
        explanation = explain(mock, "GET", "/agents?per_page=1")
    assert (explanation["source"], explanation["operation"]) == ("cache", "listAgents")
    assert explanation["user"] is not None
    assert explanation["parameters"]["query"]["per_page"] == 1
    assert explain(mock, "GET", "/agents", prefer="code=503")["source"] == "request"
    mock.control("POST", "/sandboxes/a/rules", {"name": "down", "respond": {"status": 502}})
    explanation = explain(mock, "GET", "/agents")
    assert (explanation["source"], explanation["rule"]) == ("rule", "down")
    assert explanation["response"]["status"] == 502


@pytest.mark.parametrize("value", ["0", "false", ""])
def test_header_can_be_turned_off(mock: ControlledMock, value: str) -> None:
    reply = mock.request("GET", "/api/v1/agents", authorization="Bearer demo-token", x_mock_explain=value)
    assert "data" in reply.json


# Rejected credentials


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        ("", "no token (expected Authorization: Bearer TOKEN)"),
        ("Basic ZGVtbzpkZW1v", "Authorization: wrong scheme: Basic (expected Bearer TOKEN)"),
        ("Token secret", "Authorization: wrong scheme: Token (expected Bearer TOKEN)"),
        ("demo-token", "Authorization: wrong scheme: missing or unknown (expected Bearer TOKEN)"),
        ("Bearer", "Authorization: no token after Bearer (expected Bearer TOKEN)"),
        ("Bearer expired-token", "the built-in token is always rejected"),
        (
            "Bearer secret~a",
            "the token is unknown in the sandbox a (not issued, or revoked)",
        ),
    ],
)
def test_reason_of_a_401_is_explained_and_recorded(mock: ControlledMock, authorization: str, detail: str) -> None:
    headers = {"authorization": authorization, "x_mock_sandbox": "a"}
    explanation = explain(mock, "GET", "/agents", **headers)
    assert (explanation["response"]["status"], explanation["error"]["detail"]) == (401, detail)
    mock.request("GET", "/api/v1/agents", **headers)
    entries = mock.control("GET", "/sandboxes/a/requests")["requests"]
    assert [(entry["response"]["status"], entry["detail"]) for entry in entries] == [(401, detail)] * 2
    assert "secret" not in detail


def sign_in(mock: ControlledMock, sandbox: str, account_index: int = 0) -> str:
    account = mock.control("GET", f"/sandboxes/{sandbox}")["accounts"][account_index]
    token: str = mock.request("POST", "/api/v1/auth/sign-in", account, x_mock_sandbox=sandbox).json["data"]["token"]
    return token


def test_expired_token_is_recorded_with_its_time(mock: ControlledMock) -> None:
    token = sign_in(mock, "a")
    mock.control("POST", "/sandboxes/a/clock/advance", {"seconds": 86400})
    assert mock.request("GET", "/api/v1/agents", authorization=f"Bearer {token}").status == 401
    (entry, *_) = mock.control("GET", "/sandboxes/a/requests")["requests"]
    expected = "the token expired at 2026-03-01T12:00:00.000000Z (time of the sandbox: 2026-03-02T00:00:00.000000Z)"
    assert entry["detail"] == expected


def test_revoked_token_is_unknown(mock: ControlledMock) -> None:
    token = sign_in(mock, "a")
    assert mock.request("POST", "/api/v1/auth/logout", authorization=f"Bearer {token}").status in (200, 204)
    assert "revoked" in explain(mock, "GET", "/agents", authorization=f"Bearer {token}")["error"]["detail"]


def test_token_of_another_sandbox_is_named(mock: ControlledMock) -> None:
    token = sign_in(mock, "default")
    headers = {"authorization": f"Bearer {token}", "x_mock_sandbox": "a"}
    detail = explain(mock, "GET", "/agents", **headers)["error"]["detail"]
    assert detail == "the token belongs to the sandbox default (the request selects the sandbox a)"


def test_token_of_a_deleted_user_is_explained(mock: ControlledMock) -> None:
    token = sign_in(mock, "a", account_index=1)
    key = explain(mock, "GET", "/agents", authorization=f"Bearer {token}")["user"]
    mock.control("DELETE", f"/sandboxes/a/records/User/{key}")
    detail = explain(mock, "GET", "/agents", authorization=f"Bearer {token}")["error"]["detail"]
    assert detail == "the user of the token does not exist"


def test_detail_of_other_responses_is_null(mock: ControlledMock) -> None:
    mock.call("a", "GET", "/agents")
    mock.call("a", "POST", "/agents", {"name": 3})
    entries = mock.control("GET", "/sandboxes/a/requests")["requests"]
    assert [(entry["response"]["status"], entry["detail"]) for entry in entries] == [(422, None), (200, None)]
