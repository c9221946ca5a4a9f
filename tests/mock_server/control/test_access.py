"""Who may use the control API."""

from typing import Any

import pytest

from tests.mock_server.controlled_mock import SANDBOXES, ControlledMock

TOKEN = "a-secret-token"


def put(mock: ControlledMock, **headers: str) -> int:
    return mock.request("PUT", f"{SANDBOXES}/a", **headers).status


def test_bare_request_is_allowed(mock: ControlledMock) -> None:
    assert put(mock) == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "same-origin", "origin": "http://localhost:8000"},
        {"sec_fetch_site": "same-site", "origin": "http://localhost:3000"},
        {"sec_fetch_site": "none"},
        {"origin": "http://app.localhost:5173"},
    ],
)
def test_pages_of_this_machine_are_allowed(mock: ControlledMock, headers: dict[str, str]) -> None:
    assert put(mock, **headers) == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"origin": "https://attacker.example"},
        {"origin": "null"},
        {"origin": "http://localhost.attacker.example"},
    ],
)
def test_pages_of_other_sites_change_nothing(mock: ControlledMock, headers: dict[str, str]) -> None:
    assert put(mock, **headers) == 403
    assert list(mock.registry.entries) == ["default"]


def test_pages_of_other_sites_read_nothing(mock: ControlledMock) -> None:
    reply = mock.request("GET", SANDBOXES, origin="https://attacker.example")
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers
    assert mock.request("GET", SANDBOXES, host="attacker.example").status == 421


@pytest.mark.parametrize(
    "headers",
    [{"sec_fetch_site": "cross-site"}, {"origin": "https://attacker.example"}, {"origin": "null"}],
)
def test_pages_of_other_sites_create_no_sandbox_by_its_first_use(mock: ControlledMock, headers: dict[str, str]) -> None:
    path = "/__mock/s/a/api/v1/agents"
    reply = mock.request("GET", path, **headers)
    assert (reply.status, reply.headers["x-mock-reason"]) == (403, "control")
    assert list(mock.registry.entries) == ["default"]
    put(mock)
    assert mock.request("GET", path, authorization="Bearer demo-token", **headers).status == 200


@pytest.mark.parametrize("headers", [{"sec_fetch_site": "same-site"}, {"origin": "http://localhost:3000"}])
def test_pages_of_this_machine_create_a_sandbox_by_its_first_use(mock: ControlledMock, headers: dict[str, str]) -> None:
    assert mock.request("GET", "/__mock/s/a/api/v1/agents", authorization="Bearer demo-token", **headers).status == 200


def test_allowed_origin_may_change_something() -> None:
    mock = ControlledMock.create(app_options={"cors_origins": ["https://app.example.test"]})
    assert put(mock, origin="https://app.example.test") == 201


def test_any_readable_origin_is_not_trusted() -> None:
    mock = ControlledMock.create(app_options={"cors_origins": ["*"]})
    assert put(mock, origin="https://attacker.example") == 403


def test_control_and_sandboxes_are_off_beyond_loopback_without_a_token() -> None:
    mock = ControlledMock.create(app_options={"serves_network": True})
    reply = mock.request("PUT", f"{SANDBOXES}/a")
    assert (reply.status, reply.headers["x-mock-reason"]) == (403, "control")
    assert "--control-token" in reply.json["message"]
    assert mock.request("GET", "/api/v1/agents", authorization="Bearer demo-token~a").status == 401
    assert list(mock.registry.entries) == ["default"]


@pytest.mark.parametrize("serves_network", [True, False])
def test_control_token_is_required_if_it_is_set(serves_network: bool) -> None:
    options: dict[str, Any] = {"serves_network": serves_network, "control_token": TOKEN}
    mock = ControlledMock.create(app_options=options)
    for authorization in ("", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer demo-token", "Bearer é"):
        reply = mock.request("PUT", f"{SANDBOXES}/a", authorization=authorization)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
    assert put(mock, authorization=f"Bearer {TOKEN}") == 201


def test_preflight_of_a_trusted_page_permits_all_methods(mock: ControlledMock) -> None:
    headers = {"origin": "http://localhost:3000", "access_control_request_method": "PUT"}
    reply = mock.request("OPTIONS", f"{SANDBOXES}/a", **headers)
    assert reply.status == 204
    assert "PUT" in reply.headers["access-control-allow-methods"]
    assert list(mock.registry.entries) == ["default"]


def test_form_content_type_of_curl_is_read_as_json(mock: ControlledMock) -> None:
    body = {"now": "2030-01-01T00:00:00Z", "frozen": True}
    path = f"{SANDBOXES}/default/clock"
    form = "application/x-www-form-urlencoded"
    reply = mock.request("PATCH", path, body, content_type=form)
    assert (reply.status, reply.json["now"]) == (200, "2030-01-01T00:00:00.000000Z")
    assert mock.request("PATCH", path, body, content_type="text/plain").status == 415


def test_unknown_path_and_method_are_rejected(mock: ControlledMock) -> None:
    assert mock.request("GET", "/__mock/api/nothing").status == 404
    reply = mock.request("POST", SANDBOXES)
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_request_log_does_not_show_places_of_the_contract(mock: ControlledMock) -> None:
    mock.request("PUT", f"{SANDBOXES}/a", {"seed": "x"})
    line = mock.log.getvalue()
    assert "422 PUT /__mock/api/sandboxes/a - validation: seed: " in line
    assert "openapi.yaml" not in line
