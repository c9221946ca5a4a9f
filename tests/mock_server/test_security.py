"""Tests authentication: valid tokens are accepted, all others return 401."""

import re
from base64 import b64encode
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp

from mock_server.app import create_app
from mock_server.sandbox.clock import Clock
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from mock_server.web.request_log import RequestLog
from spec.errors import ContractError
from spec.model import Contract
from spec.validators import SchemaValidators
from tests.asgi import Client, Reply
from tests.mock_server.library_contract import (
    API,
    NOW,
    RECORDS,
    LogCapture,
    RecordedCalls,
    app,
    client,
    create_sandbox,
    edit_contract,
    recording_client,
)

AUTHORS = f"{API}/authors"
ME = f"{API}/me"


def is_unauthenticated(reply: Reply, challenge: str = "Bearer") -> bool:
    body = (reply.status, reply.json) == (401, {"message": "Unauthenticated."})
    return body and (reply.headers["www-authenticate"], reply.headers["x-mock-reason"]) == (challenge, "auth")


@pytest.fixture(scope="module")
def caller() -> Client:
    return client(app(RecordedCalls()), token=None)


def test_builtin_token_identifies_the_viewer() -> None:
    calls = RecordedCalls()
    assert client(app(calls)).get(AUTHORS).status == 200
    viewer = calls.last.viewer
    assert viewer is not None
    assert (viewer.user_key, calls.last.token) == (1, "demo-token")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "demo-token",
        "Bearer",
        "Bearer ",
        "Bearer no-such-token",
        "Bearer expired-token",
        "Basic ZGVtby10b2tlbg==",
        "Token demo-token",
        "Bearer demo-token demo-token",
        "Bearer d\xe9mo",
    ],
)
def test_invalid_authorization_returns_401(caller: Client, authorization: str) -> None:
    assert is_unauthenticated(caller.get(AUTHORS, authorization=authorization))


def test_missing_authorization_returns_401(caller: Client) -> None:
    assert is_unauthenticated(caller.get(AUTHORS))


@pytest.mark.parametrize("authorization", ["bearer demo-token", "BEARER demo-token", "Bearer   demo-token "])
def test_scheme_is_case_insensitive(caller: Client, authorization: str) -> None:
    assert caller.get(AUTHORS, authorization=authorization).status == 200


@given(st.binary(max_size=60))
def test_no_authorization_returns_5xx(header: bytes) -> None:
    caller = Client(recording_client()[0].app, {})
    assert caller.request("GET", AUTHORS, headers={"authorization": header}).status == 401
    assert caller.request("GET", AUTHORS, headers={"authorization": b"Bearer " + header}).status == 401
    assert caller.request("GET", ME, headers={"x-desk-token": header}).status == 401


@pytest.mark.parametrize(
    ("headers", "is_accepted"),
    [
        ({"x_desk_token": "demo-token"}, True),
        ({"authorization": "Bearer demo-token"}, True),
        ({"x_desk_token": "demo-token", "authorization": "Bearer wrong"}, True),
        ({"x_desk_token": "", "authorization": "Bearer demo-token"}, True),
        ({"x_desk_token": "wrong", "authorization": "Bearer demo-token"}, True),
        ({"x_desk_token": "wrong", "authorization": "Bearer wrong"}, False),
        ({"x_desk_token": "wrong"}, False),
        ({"x_desk_token": ""}, False),
        ({}, False),
    ],
)
def test_next_alternative_is_tried_if_one_is_missing_or_invalid(
    caller: Client, headers: dict[str, str], is_accepted: bool
) -> None:
    reply = caller.get(ME, **headers)
    assert reply.status == 200 if is_accepted else is_unauthenticated(reply)


def test_api_key_does_not_satisfy_a_bearer_scheme(caller: Client) -> None:
    assert is_unauthenticated(caller.get(AUTHORS, x_desk_token="demo-token"))


def test_public_operation_needs_no_token() -> None:
    caller = client(app(), token=None)
    reply = caller.post(f"{API}/auth/sign-in", {"email": "ada@example.com", "password": "password"})
    assert reply.status == 200


def test_token_is_valid_from_sign_in_to_sign_out() -> None:
    application = app()
    reply = client(application, None).post(f"{API}/auth/sign-in", {"email": "ada@example.com", "password": "password"})
    caller = client(application, reply.json["data"]["token"])
    assert caller.get(AUTHORS).status == 200
    assert caller.request("POST", f"{API}/auth/logout").status == 204
    assert is_unauthenticated(caller.get(AUTHORS))


def test_token_expires_by_the_clock_of_the_sandbox() -> None:
    sandbox = create_sandbox()
    session = sandbox.sign_in("ada@example.com", "password", NOW)
    assert session is not None
    assert client(app(sandbox=sandbox), session[0]).get(AUTHORS).status == 200
    sandbox.clock = Clock(lambda: NOW, timedelta(days=2))
    assert is_unauthenticated(client(app(sandbox=sandbox), session[0]).get(AUTHORS))


def test_security_is_between_routing_and_validation(caller: Client) -> None:
    assert is_unauthenticated(caller.request("POST", AUTHORS, body=b"\xff"))
    assert caller.get(f"{API}/nothing").status == 404
    assert caller.request("PATCH", AUTHORS).status == 405


def test_optional_security_permits_anonymous_access() -> None:
    contract = edit_contract(("security: [{desk: []}, {bearer: []}]", "security: [{bearer: []}, {}]"))
    calls = RecordedCalls()
    caller = Client(create_app_with_contract(contract, calls), {})
    assert [caller.get(ME, **headers).status for headers in ({}, {"authorization": "Bearer demo-token"})] == [200, 200]
    assert [call.viewer is None for call in calls.all] == [True, False]


@pytest.mark.parametrize(("security", "header"), [("{desk: [], bearer: []}", True), ("{desk: []}", False)])
def test_all_schemes_of_one_requirement_are_needed(security: str, header: bool) -> None:
    contract = edit_contract(("security: [{desk: []}, {bearer: []}]", f"security: [{security}]"))
    caller = Client(create_app_with_contract(contract, RecordedCalls()), {})
    bearer = {"authorization": "Bearer demo-token"} if header else {}
    assert caller.get(ME, x_desk_token="demo-token", **bearer).status == 200
    challenge = "Bearer" if header else 'ApiKey name="X-Desk-Token"'
    assert is_unauthenticated(caller.get(ME, authorization="Bearer demo-token"), challenge)
    assert is_unauthenticated(caller.get(ME), challenge)


def create_app_with_contract(contract: Contract, calls: RecordedCalls) -> ASGIApp:
    sandbox = Sandbox(
        contract, SchemaValidators.from_document(contract.document), Store.create(contract), Clock(lambda: NOW), 0
    )
    for record in RECORDS:
        sandbox.store.add(record)
    return create_app(
        contract,
        sandbox,
        request_log=RequestLog(contract.document, LogCapture(), quiet=True),
        run_action=calls,
    )


@pytest.mark.parametrize(
    ("scheme", "problem"),
    [
        ("{type: http}", "scheme: a text"),
        ("{type: apiKey, in: body, name: key}", "one of header, query, cookie"),
        ("{type: apiKey, in: header}", "name: a text"),
        ("{type: password}", "one of apiKey, http, oauth2, openIdConnect, mutualTLS"),
    ],
)
def test_invalid_scheme_is_an_error(scheme: str, problem: str) -> None:
    with pytest.raises(ContractError, match=problem):
        edit_contract(("desk: {type: apiKey, in: header, name: X-Desk-Token}", f"desk: {scheme}"))


def test_scheme_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(ContractError, match="unknown scheme 'other'"):
        edit_contract(("security: [{desk: []}, {bearer: []}]", "security: [{other: []}]"))


def test_login_of_an_account_is_a_basic_credential() -> None:
    contract = edit_contract(
        ("desk: {type: apiKey, in: header, name: X-Desk-Token}", "desk: {type: http, scheme: basic}")
    )
    calls = RecordedCalls()
    caller = Client(create_app_with_contract(contract, calls), {})
    assert caller.get(ME, authorization=basic("ada@example.com:password")).status == 200
    assert calls.last.viewer is not None
    assert caller.get(ME, authorization="Bearer demo-token").status == 200
    for credential in ("ada@example.com:other", "unknown@example.com:password", "ada@example.com"):
        reply = caller.get(ME, authorization=basic(credential))
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Basic, Bearer"


def basic(credential: str) -> str:
    return f"Basic {b64encode(credential.encode()).decode()}"


def test_cause_of_a_401_is_only_logged() -> None:
    terminal = LogCapture()
    caller = client(app(terminal=terminal), "no-such-token")
    assert is_unauthenticated(caller.get(AUTHORS))
    assert (
        "401 GET /api/v2/authors - auth: the token is unknown in the sandbox default (not issued, or revoked)"
        in terminal.getvalue()
    )
    assert "no-such-token" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        (None, "no token (expected Authorization: Bearer TOKEN)"),
        ("no-such-token", "Authorization: wrong scheme: missing or unknown (expected Bearer TOKEN)"),
        ("secret secret", "Authorization: wrong scheme: missing or unknown (expected Bearer TOKEN)"),
        ("Basic YWRh", "Authorization: wrong scheme: Basic (expected Bearer TOKEN)"),
        ("Bearer ", "Authorization: no token after Bearer (expected Bearer TOKEN)"),
        ("Bearer expired-token", "the built-in token is always rejected"),
        ("Bearer session-1", "the token is the id of a session (expected a token)"),
        (
            "bearer x",
            "the token is unknown in the sandbox default (not issued, or revoked)",
        ),
    ],
)
def test_request_log_describes_invalid_credentials(authorization: str | None, detail: str) -> None:
    terminal = LogCapture()
    headers = {} if authorization is None else {"authorization": authorization}
    assert is_unauthenticated(Client(app(terminal=terminal), {}).get(AUTHORS, **headers))
    assert re.fullmatch(rf"401 GET \S+ - auth: {re.escape(detail)} \(\S+\) \[req 1\]\n", terminal.getvalue())
