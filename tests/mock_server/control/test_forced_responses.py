"""Responses and delays that a request asks for."""

import time
from http import HTTPStatus

import pytest

from mock_server.web.forced_responses import SERVER_ERRORS, parse_preferences
from spec.model import Operation
from tests.mock_server.athena import athena_contract, athena_schemas
from tests.mock_server.controlled_mock import ControlledMock

ERRORS = [
    (name, status)
    for name, operation in athena_contract().operations.items()
    for status in sorted({*operation.responses, *SERVER_ERRORS})
    if status >= HTTPStatus.BAD_REQUEST
]


@pytest.fixture(scope="module")
def mock() -> ControlledMock:
    return ControlledMock.create()


@pytest.mark.parametrize("name", athena_contract().operations)
def test_every_documented_error_can_be_forced_and_is_valid(mock: ControlledMock, name: str) -> None:
    for status in (status for operation, status in ERRORS if operation == name):
        force_error(mock, athena_contract().operations[name], status)


def force_error(mock: ControlledMock, operation: Operation, status: int) -> None:
    """Force a status and assert that the response is valid."""
    path = athena_contract().base_path + operation.path
    reply = mock.request(operation.method.upper(), path, prefer=f"code={status}")
    assert (reply.status, reply.headers["preference-applied"]) == (status, f"code={status}")
    pointer = operation.responses.get(status)
    if pointer is not None:
        assert [error.message for error in athena_schemas().get(pointer, "read").iter_errors(reply.json)] == []
    elif status in SERVER_ERRORS:
        assert list(reply.json) == ["message"]


def test_forced_error_changes_nothing(mock: ControlledMock) -> None:
    body = {"name": "New", "instruction": "Answer."}
    assert mock.request("POST", "/api/v1/agents", body, prefer="code=500").json == {"message": "Server Error"}
    assert mock.control("GET", "/sandboxes/default/changes")["created"] == []


def test_validation_error_names_the_required_fields(mock: ControlledMock) -> None:
    reply = mock.request("POST", "/api/v1/providers", prefer="code=422")
    required = {f.name for f in athena_contract().operations["createProvider"].body_fields.values() if f.required}
    assert set(reply.json["errors"]) == required != set()


def test_rejected_rate_has_the_headers_of_laravel(mock: ControlledMock) -> None:
    name = next(n for n, o in athena_contract().operations.items() if o.responses.keys() & {429} and o.method == "get")
    path = athena_contract().base_path + athena_contract().operations[name].path
    reply = mock.request("GET", path, prefer="code=429")
    assert reply.json == {"message": "Too Many Attempts."}
    assert (reply.headers["retry-after"], reply.headers["x-ratelimit-remaining"]) == ("60", "0")


def test_query_forces_a_response_too_and_is_not_reported_as_ignored(mock: ControlledMock) -> None:
    assert mock.request("GET", "/api/v1/agents?per_page=1&__code=503").status == 503
    headers = {"authorization": "Bearer demo-token"}
    reply = mock.request("GET", "/api/v1/agents?per_page=1&__code=200", **headers)
    assert (reply.status, len(reply.json["data"])) == (200, 1)
    assert "x-mock-note" not in reply.headers
    assert "__code" not in reply.json["links"]["next"]


def test_undocumented_status_is_rejected_with_the_documented_ones(mock: ControlledMock) -> None:
    for code in ("418", "abc", "5000"):
        reply = mock.request("GET", "/api/v1/agents", prefer=f"code={code}")
        assert reply.status == 400
        assert f"'{code}' is not documented for listAgents (expected 200, " in reply.json["message"]


def test_unknown_example_is_rejected(mock: ControlledMock) -> None:
    reply = mock.request("GET", "/api/v1/agents", prefer="example=nothing")
    assert reply.status == 400
    assert "no example 'nothing' for 200" in reply.json["message"]


def test_named_example_is_sent() -> None:
    document = athena_contract().document
    for operation in athena_contract().operations.values():
        for status, pointer in operation.responses.items():
            media_type = document.resolve(pointer.rpartition("/")[0]) if pointer else {}
            if "example" in media_type:
                path = athena_contract().base_path + operation.path
                preference = f"code={status}; example=example"
                reply = ControlledMock.create().request(operation.method.upper(), path, prefer=preference)
                assert (reply.status, reply.json) == (status, media_type["example"])
                return
    pytest.skip("the contract has no example of a response")


def test_success_status_is_processed_as_usual(mock: ControlledMock) -> None:
    headers = {"authorization": "Bearer demo-token", "prefer": "code=200, respond-async, wait=10"}
    reply = mock.request("GET", "/api/v1/agents?per_page=1", **headers)
    assert (reply.status, reply.headers["preference-applied"]) == (200, "code=200")
    assert len(reply.json["data"]) == 1
    assert mock.request("GET", "/api/v1/agents", prefer="code=200").status == 401


def test_other_preferences_are_ignored(mock: ControlledMock) -> None:
    headers = {"authorization": "Bearer demo-token", "prefer": "return=minimal; foo, wait=1"}
    reply = mock.request("GET", "/api/v1/agents?per_page=1", **headers)
    assert reply.status == 200
    assert "preference-applied" not in reply.headers


def test_forced_response_can_be_read_by_a_page(mock: ControlledMock) -> None:
    reply = mock.request("GET", "/api/v1/agents", prefer="code=500", origin="http://localhost:3000")
    assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "Preference-Applied" in reply.headers["access-control-expose-headers"]


def test_delay_postpones_the_response(mock: ControlledMock) -> None:
    started_at = time.monotonic()
    headers = {"authorization": "Bearer demo-token", "x_mock_delay": "120"}
    assert mock.request("GET", "/api/v1/agents?per_page=1", **headers).status == 200
    assert time.monotonic() - started_at >= 0.12


@pytest.mark.parametrize("delay", ["-1", "1.5", "x", "300001", "9" * 30])
def test_invalid_delay_is_rejected(mock: ControlledMock, delay: str) -> None:
    assert mock.request("GET", "/api/v1/agents", x_mock_delay=delay).status == 400


def test_nothing_can_be_forced_without_control() -> None:
    mock = ControlledMock.create(app_options={"serves_network": True})
    assert mock.request("GET", "/api/v1/agents", prefer="code=500").status == 401


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("code=429", {"code": "429"}),
        ('Code="429"; example=slow', {"code": "429", "example": "slow"}),
        ("example=a, code=500, code=502", {"example": "a", "code": "500"}),
        (" , ;=3", {}),
    ],
)
def test_preferences_are_separated_by_commas_or_semicolons(text: str, expected: dict[str, str]) -> None:
    assert parse_preferences(text) == expected
