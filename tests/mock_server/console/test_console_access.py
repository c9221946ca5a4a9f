"""Who may use the console: as the control API, and with a cookie instead of a header."""

import pytest

from tests.asgi import Client
from tests.mock_server.console.browser_client import ORIGIN, BrowserClient, HtmlPage
from tests.mock_server.controlled_mock import ControlledMock

TOKEN = "a secret; token=ä"
FOREIGN_HEADERS = [
    {"origin": "https://attacker.example"},
    {"origin": "null"},
    {"origin": ORIGIN, "sec_fetch_site": "cross-site"},
]


@pytest.fixture
def public_browser() -> BrowserClient:
    """Return a client of a mock that serves the network and has a control token."""
    options = {"serves_network": True, "control_token": TOKEN, "allowed_hosts": ["mock.example"]}
    return BrowserClient(ControlledMock.create(app_options=options))


def sign_in(browser: BrowserClient, token: str) -> BrowserClient:
    """Return the client with the cookie of a sign-in."""
    reply = browser.post("token", {"token": token})
    assert (reply.status, reply.headers["location"]) == (303, "/__mock/")
    return BrowserClient(browser.mock, {"cookie": reply.set_cookies[0].partition(";")[0]})


@pytest.mark.parametrize("path", ["", "requests", "requests/1", "requests.har", "data", "rules", "sandboxes"])
def test_mock_in_the_network_shows_the_sign_in_only(public_browser: BrowserClient, path: str) -> None:
    reply = public_browser.get(path)
    assert reply.status == 401
    page = HtmlPage(reply.body)
    assert page.list_attributes("form", "action") == ["/__mock/token"]
    assert page.list_attributes("input", "type") == ["password"]


def test_form_without_token_changes_nothing(public_browser: BrowserClient) -> None:
    assert public_browser.post("sandboxes", {"do": "create", "name": "mine"}).status == 401
    assert list(public_browser.mock.registry.entries) == ["default"]


def test_sign_in_gives_access(public_browser: BrowserClient) -> None:
    browser = sign_in(public_browser, TOKEN)
    assert "No requests yet." in browser.open("requests").text
    assert "mine" in browser.submit("sandboxes", do="create", name="mine").text


def test_cookie_is_not_readable_by_scripts_or_sent_by_other_sites(public_browser: BrowserClient) -> None:
    (cookie,) = public_browser.post("token", {"token": TOKEN}).set_cookies
    attributes = {part.strip() for part in cookie.split(";")[1:]}
    assert {"HttpOnly", "SameSite=Strict", "Path=/__mock/"} <= attributes


def test_cookie_is_secure_on_https(public_browser: BrowserClient) -> None:
    options = {"trusted_proxies": ["127.0.0.1"]}
    mock = ControlledMock.create(app_options=options)
    headers = {"x_forwarded_proto": "https", "origin": "https://localhost:8000"}
    reply = BrowserClient(mock).post("token", {"token": "any"}, **headers)
    assert reply.status == 303
    assert "; Secure" in reply.set_cookies[0]


@pytest.mark.parametrize("token", ["", "wrong", "ü€", "a\r\nSet-Cookie: x=1", "x" * 10_000])
def test_wrong_token_is_rejected_and_not_stored(public_browser: BrowserClient, token: str) -> None:
    reply = public_browser.post("token", {"token": token})
    assert (reply.status, reply.set_cookies) == (401, ())
    page = HtmlPage(reply.body)
    assert "Control token" in page.text
    assert page.alerts


def test_bearer_token_gives_access_without_a_cookie(public_browser: BrowserClient) -> None:
    browser = BrowserClient(public_browser.mock, {"authorization": f"Bearer {TOKEN}".encode().decode("latin-1")})
    assert browser.get("rules").status == 200


def test_cookie_does_not_open_the_control_api(public_browser: BrowserClient) -> None:
    browser = sign_in(public_browser, TOKEN)
    assert Client(browser.mock.app, browser.headers).get("/__mock/api/sandboxes").status == 401


def test_console_without_token_is_off_in_the_network() -> None:
    browser = BrowserClient(ControlledMock.create(app_options={"serves_network": True}))
    reply = browser.get("requests")
    assert reply.status == 403
    assert "--control-token" in HtmlPage(reply.body).alerts[0]
    assert browser.post("token", {"token": "x"}).status == 403


@pytest.mark.parametrize("headers", FOREIGN_HEADERS)
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("sandboxes", {"do": "create", "name": "mine"}),
        ("changes", {"do": "reset"}),
        ("rules", {"do": "preset", "name": "server-error"}),
        ("data/Agent/new", {"name": "x"}),
        ("requests/delete", {}),
    ],
)
def test_forms_of_other_sites_are_refused(
    browser: BrowserClient, path: str, fields: dict[str, str], headers: dict[str, str]
) -> None:
    browser.mock.request("GET", "/api/v1/agents", authorization="Bearer demo-token")
    assert browser.post(path, fields, **headers).status == 403
    mock = browser.mock
    assert list(mock.registry.entries) == ["default"]
    assert mock.control("GET", "/sandboxes/default/rules")["rules"] == []
    assert mock.control("GET", "/sandboxes/default/changes") == {"created": [], "changed": [], "deleted": []}
    assert mock.control("GET", "/sandboxes/default/requests")["total"] == 1


@pytest.mark.parametrize("headers", FOREIGN_HEADERS)
def test_other_sites_store_no_token(browser: BrowserClient, headers: dict[str, str]) -> None:
    assert browser.post("token", {"token": "x"}, **headers).set_cookies == ()


def test_unknown_host_is_refused(browser: BrowserClient) -> None:
    assert BrowserClient(browser.mock, {"host": "attacker.example"}).get("requests").status == 421
