"""Session cookies: sign-in sets them, unsafe requests need the CSRF token, and they precede the other credentials."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from mock_server.web.context import RequestContext
from tests.asgi import Client, Reply
from tests.mock_server.athena import PASSWORD, Api, athena_contract
from tests.mock_server.controlled_mock import ControlledMock

SESSION_COOKIE = athena_contract().session_cookie
assert SESSION_COOKIE is not None
SESSION, CSRF_COOKIE, CSRF_HEADER = SESSION_COOKIE.name, SESSION_COOKIE.csrf_cookie, SESSION_COOKIE.csrf_header
APP_HEADER = athena_contract().security_schemes["multiplai"]["name"]
UNSAFE = [operation.id for operation in athena_contract().operations.values() if 419 in operation.responses]
JOHN, JANE, NOOR = 123, 124, 125
NEW_AGENT = {"name": "New"}


@dataclass(frozen=True, slots=True)
class Login:
    """The credentials of one sign-in."""

    session: str
    csrf_token: str
    token: str

    @property
    def cookie(self) -> dict[str, str]:
        """The header that a browser sends."""
        return {"cookie": f"{SESSION}={self.session}; {CSRF_COOKIE}={self.csrf_token}"}

    @property
    def with_csrf(self) -> dict[str, str]:
        """The headers that a browser application sends."""
        return {**self.cookie, CSRF_HEADER: self.csrf_token}


def read_login(reply: Reply) -> Login:
    assert reply.status == 200
    values = dict(cookie.partition(";")[0].split("=", 1) for cookie in reply.set_cookies)
    return Login(values[SESSION], values[CSRF_COOKIE], reply.json["data"]["token"])


def sign_in(api: Api, email: str = "jane.smith@example.com") -> Login:
    return read_login(api.send("signIn", body={"email": email, "password": PASSWORD}, token=None))


def find_user(api: Api, headers: Mapping[str, str]) -> int | None:
    """Return the id of the user of a request; None if it is 401."""
    reply = api.send("getAuthenticatedUser", token=None, headers=headers)
    api.assert_valid("getAuthenticatedUser", reply)
    return int(reply.json["data"]["id"]) if reply.status == 200 else None


def create_agent(api: Api, headers: Mapping[str, str], body: Any = NEW_AGENT) -> Reply:
    reply = api.send("createAgent", body=body, token=None, headers=headers)
    api.assert_valid("createAgent", reply)
    return reply


# Cookies of sign-in and logout ---------------------------------------------------------------------------------------


def test_sign_in_sets_the_session_and_csrf_cookies(api: Api) -> None:
    reply = api.send("signIn", body={"email": "jane.smith@example.com", "password": PASSWORD}, token=None)
    login = read_login(reply)
    assert reply.set_cookies == (
        f"{SESSION}={login.session}; Path=/; Max-Age=43200; SameSite=Lax; HttpOnly",
        f"{CSRF_COOKIE}={login.csrf_token}; Path=/; Max-Age=43200; SameSite=Lax",
    )
    assert len({login.session, login.csrf_token, login.token}) == 3


def test_cookies_are_secure_over_https(api: Api) -> None:
    body = {"email": "jane.smith@example.com", "password": PASSWORD}
    reply = api.send("signIn", body=body, token=None, headers={"x-forwarded-proto": "https"})
    assert len(reply.set_cookies) == 2
    assert all("; Secure" in cookie for cookie in reply.set_cookies)


def test_rejected_sign_in_sets_no_cookie(api: Api) -> None:
    reply = api.send("signIn", body={"email": "jane.smith@example.com", "password": "wrong"}, token=None)
    assert (reply.status, reply.set_cookies) == (401, ())


@pytest.mark.parametrize("uses_session", [True, False])
def test_logout_ends_token_and_session_of_its_sign_in_only(api: Api, uses_session: bool) -> None:
    login, other = sign_in(api), sign_in(api)
    bearer = {"authorization": f"Bearer {login.token}"}
    reply = api.send("logout", token=None, headers=login.with_csrf if uses_session else bearer)
    assert reply.status == 204
    assert [cookie.split("; ")[:3] for cookie in reply.set_cookies] == [
        [f"{name}=", "Path=/", "Max-Age=0"] for name in (SESSION, CSRF_COOKIE)
    ]
    assert [find_user(api, headers) for headers in (login.cookie, bearer)] == [None, None]
    remaining = ({"authorization": f"Bearer {other.token}"}, other.cookie)
    assert [find_user(api, headers) for headers in remaining] == [JANE, JANE]


def test_session_expires_by_the_clock_of_the_sandbox(api: Api) -> None:
    login = sign_in(api)
    api.clock.advance(hours=11, minutes=59, seconds=59)
    assert find_user(api, login.cookie) == JANE
    api.clock.advance(seconds=1)
    assert find_user(api, login.cookie) is None
    assert create_agent(api, login.with_csrf).status == 401


# Order ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "app_token", "bearer", "user"),
    [
        ("valid", "demo-token", "viewer-token", JANE),
        ("valid", "wrong", "wrong", JANE),
        ("valid", None, None, JANE),
        ("wrong", "demo-token", "viewer-token", JOHN),
        (None, "demo-token", "viewer-token", JOHN),
        (None, "demo-token", None, JOHN),
        ("wrong", "wrong", "viewer-token", NOOR),
        ("wrong", None, "viewer-token", NOOR),
        (None, "expired-token", "viewer-token", NOOR),
        (None, "", "viewer-token", NOOR),
        ("wrong", "wrong", "wrong", None),
        ("wrong", None, None, None),
        (None, None, None, None),
    ],
)
def test_session_precedes_app_token_and_bearer_token(
    api: Api, session: str | None, app_token: str | None, bearer: str | None, user: int | None
) -> None:
    headers = sign_in(api).cookie if session == "valid" else {}
    headers |= {"cookie": f"{SESSION}=session-unknown"} if session == "wrong" else {}
    headers |= {} if app_token is None else {APP_HEADER: app_token}
    headers |= {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    assert [find_user(api, headers) for _ in range(2)] == [user, user]  # the second may come from the cache


def test_session_is_no_token_and_a_token_no_session(api: Api) -> None:
    login = sign_in(api)
    assert find_user(api, {"authorization": f"Bearer {login.session}"}) is None
    assert find_user(api, {APP_HEADER: login.session}) is None
    assert find_user(api, {"cookie": f"{SESSION}={login.token}"}) is None
    assert find_user(api, {"cookie": f"{SESSION}=demo-token"}) is None


@pytest.mark.parametrize(
    "cookie",
    ["_ga=GA1.1.5; theme=dark", 'settings={"a": "b,c"}; x', f"my{SESSION}=session-1", "=", ";;"],
)
def test_cookies_of_other_applications_are_ignored(api: Api, cookie: str) -> None:
    bearer = {"authorization": "Bearer demo-token"}
    assert find_user(api, {"cookie": cookie, **bearer}) == JOHN
    assert create_agent(api, {"cookie": cookie, **bearer}).status == 201
    assert find_user(api, {"cookie": f"{cookie}; {SESSION}={sign_in(api).session}"}) == JANE


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ('a={"b": 1}; c; n=1~x; n=2', "1~x"),
        ("a=1;n=2", "2"),
        ("", None),
        ("m=1", None),
        ("n=", None),
        ('n="1"', None),
        ("n=a b", None),
    ],
)
def test_cookie_is_found_among_malformed_cookies(api: Api, header: str, value: str | None) -> None:
    headers = {b"cookie": header.encode()}
    now = api.clock()
    assert RequestContext("1", "GET", b"/", b"", headers, [], "", now, api.sandbox, now).get_cookie("n") == value


def test_cache_returns_the_user_of_the_session_after_it_starts_again(api: Api) -> None:
    """A response to a fallback is not served once the session is valid."""
    login = sign_in(api)
    headers = {**login.cookie, "authorization": "Bearer demo-token"}
    api.clock.advance(hours=13)
    assert [find_user(api, headers) for _ in range(2)] == [JOHN, JOHN]
    api.clock.advance(hours=-13)
    assert [find_user(api, headers) for _ in range(2)] == [JANE, JANE]


def test_cached_response_to_a_session_ends_with_it(api: Api) -> None:
    login = sign_in(api)
    statuses = [api.send("listAgents", token=None, headers=login.cookie).status for _ in range(2)]
    api.send("logout", token=None, headers=login.with_csrf)
    statuses.append(api.send("listAgents", token=None, headers=login.cookie).status)
    assert statuses == [200, 200, 401]


# CSRF ----------------------------------------------------------------------------------------------------------------


def test_unsafe_request_needs_the_csrf_token_of_its_session(api: Api) -> None:
    login, other = sign_in(api), sign_in(api)
    assert create_agent(api, login.with_csrf).status == 201
    for headers in ({}, {CSRF_HEADER: ""}, {CSRF_HEADER: "wrong"}, {CSRF_HEADER: other.csrf_token}):
        reply = create_agent(api, {**login.cookie, **headers})
        assert (reply.status, reply.json) == (419, {"message": "CSRF token mismatch."})
        assert reply.headers["x-mock-reason"] == "csrf"


@pytest.mark.parametrize("name", UNSAFE)
def test_every_unsafe_operation_needs_the_csrf_token(api: Api, name: str) -> None:
    cookie = sign_in(api).cookie
    reply = api.send(name, "550e8400-e29b-41d4-a716-446655440000", token=None, headers=cookie)
    api.assert_valid(name, reply)
    assert reply.status == 419


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_form_of_another_site_is_rejected(api: Api, content_type: str) -> None:
    """Such a form sends cookies, but a page cannot read the CSRF token and set a header for another site."""
    before = api.call_json("listAgents")["meta"]["total"]
    headers = {**sign_in(api).cookie, "origin": "https://evil.example", "content-type": content_type}
    reply = Client(api.app, {}).request("POST", api.target("createAgent"), body=b"name=x", headers=headers)
    assert reply.status == 419
    assert "access-control-allow-origin" not in reply.headers
    assert api.call_json("listAgents")["meta"]["total"] == before


def test_read_needs_no_csrf_token(api: Api) -> None:
    login = sign_in(api)
    assert find_user(api, login.cookie) == find_user(api, {**login.cookie, CSRF_HEADER: "wrong"}) == JANE


def test_bearer_token_authenticates_without_the_csrf_token(api: Api) -> None:
    """No other site can send the header, so that clients with a token and a cookie jar continue to work."""
    reply = create_agent(api, {**sign_in(api).cookie, "authorization": "Bearer demo-token"})
    assert (reply.status, reply.json["data"]["user"]["id"]) == (201, JOHN)


@pytest.mark.parametrize(("origin", "is_allowed"), [("http://localhost:3000", True), ("https://evil.example", False)])
def test_only_admitted_origins_may_read_with_cookies(api: Api, origin: str, is_allowed: bool) -> None:
    headers = {**sign_in(api).cookie, "origin": origin}
    reply = api.send("getAuthenticatedUser", token=None, headers=headers)
    assert (reply.headers.get("access-control-allow-credentials") == "true") is is_allowed
    preflight = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": CSRF_HEADER,
    }
    reply = Client(api.app, {}).request("OPTIONS", api.target("createAgent"), headers=preflight)
    assert (reply.headers.get("access-control-allow-headers") == CSRF_HEADER) is is_allowed


def test_request_log_states_what_is_missing() -> None:
    mock = ControlledMock.create()
    login = sign_in_to(mock, "john.doe@example.com")
    mock.request("POST", "/api/v1/agents", NEW_AGENT, **login.cookie)
    mock.request("GET", "/api/v1/agents", cookie=f"{SESSION}=session-unknown")
    assert f"{CSRF_HEADER}: missing or wrong (expected the value of the cookie {CSRF_COOKIE})" in mock.log.getvalue()
    assert f"auth: {SESSION}: the session is unknown in the sandbox default" in mock.log.getvalue()
    assert login.session not in mock.log.getvalue()


# Sandboxes -----------------------------------------------------------------------------------------------------------


def sign_in_to(mock: ControlledMock, email: str, **headers: str) -> Login:
    return read_login(mock.request("POST", "/api/v1/auth/sign-in", {"email": email, "password": PASSWORD}, **headers))


@pytest.fixture(scope="module")
def mock() -> ControlledMock:
    mock = ControlledMock.create()
    for name in ("a", "b"):
        mock.control("PUT", f"/sandboxes/{name}")
    return mock


def test_session_cookie_selects_its_sandbox(mock: ControlledMock) -> None:
    login = sign_in_to(mock, "john.doe+a@example.com")
    assert login.session.endswith("~a")
    headers = {"cookie": login.cookie["cookie"], CSRF_HEADER: login.csrf_token}
    created = mock.request("POST", "/api/v1/agents", NEW_AGENT, **headers)
    assert created.status == 201
    path = f"/agents/{created.json['data']['uuid']}"
    assert [mock.call(name, "GET", path).status for name in ("a", "b", "default")] == [200, 404, 404]
    assert mock.request("GET", f"/api/v1{path}", **login.cookie).status == 200


def test_session_cookie_yields_to_what_else_names_a_sandbox(mock: ControlledMock) -> None:
    cookie = sign_in_to(mock, "jane.smith+a@example.com").cookie
    reply = mock.request("GET", "/api/v1/user", authorization="Bearer demo-token~b", **cookie)
    assert (reply.status, reply.json["data"]["id"]) == (200, JOHN)
    assert mock.request("GET", "/__mock/s/b/api/v1/user", **cookie).status == 401


def test_session_cookie_of_a_deleted_sandbox_is_ignored(mock: ControlledMock) -> None:
    mock.control("PUT", "/sandboxes/gone")
    cookie = sign_in_to(mock, "jane.smith+gone@example.com").cookie
    mock.control("DELETE", "/sandboxes/gone")
    reply = mock.request("GET", "/api/v1/user", authorization="Bearer demo-token", **cookie)
    assert (reply.status, reply.json["data"]["id"]) == (200, JOHN)
    assert mock.request("GET", "/api/v1/user", **cookie).status == 401


def test_reset_ends_sessions(mock: ControlledMock) -> None:
    cookie = sign_in_to(mock, "jane.smith+b@example.com").cookie
    assert mock.request("GET", "/api/v1/user", **cookie).status == 200
    mock.control("POST", "/sandboxes/b/reset")
    assert mock.request("GET", "/api/v1/user", **cookie).status == 401
