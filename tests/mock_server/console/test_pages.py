"""The pages of the console: each answers, links to pages that exist, and is protected."""

import json
from urllib.parse import urlsplit

import pytest

from tests.asgi import Client
from tests.mock_server.athena import Api
from tests.mock_server.console.browser_client import BrowserClient, HtmlPage
from tests.mock_server.controlled_mock import ControlledMock

HEADINGS = {
    "": "Requests",
    "requests": "Requests",
    "data": "Data",
    "data/Agent": "Agent",
    "data/Agent/new": "New Agent",
    "changes": "Changes since the creation of the sandbox",
    "rules": "Rules and faults",
    "clock": "Clock",
    "sandboxes": "Sandboxes",
    "contract": "Contract: 0 of",
    "token": "Sign in",
}
UNKNOWN_PATHS = [
    "requests/7",
    "requests/²",
    "requests/" + "9" * 5000,
    "requests/x",
    "requests/1/2",
    "data/Nothing",
    "data/Nothing/new",
    "data/Agent/nothing",
    "data/Agent/a/b/c",
    "data/Agent%2Fnew",
    "clock/x",
    "requests.har/x",
    "assets/nothing.js",
    "assets/../app.py",
    "data/Agent/%00",
    "data/%F0%9F%98%80",
]
EVENT_PREFIX, INLINE_STYLE = "on", "style"


def send_samples(mock: ControlledMock) -> None:
    """Send requests that succeed, fail and match a rule, and save a snapshot."""
    mock.request("GET", "/api/v1/agents", authorization="Bearer demo-token")
    mock.request("POST", "/api/v1/agents", {"name": 7, "extra": 1}, authorization="Bearer demo-token")
    mock.control("POST", "/sandboxes/default/rules", {"preset": "server-error"})
    mock.request("GET", "/api/v1/agents", authorization="Bearer demo-token")
    mock.control("DELETE", "/sandboxes/default/rules")
    mock.control("PUT", "/sandboxes/default/snapshots/before")


def crawl(browser: BrowserClient) -> dict[str, HtmlPage]:
    """Open every page that a link of the console leads to, except further records of a kind; by path."""
    queue, pages = ["/__mock/"], dict[str, HtmlPage]()
    kinds = dict[tuple[str, ...], int]()
    while queue:
        path = urlsplit(queue.pop(0))
        kind = tuple(path.path.split("/")[2:4])
        if path.path in pages or not path.path.startswith("/__mock/") or path.path.endswith(".har"):
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] > 3:
            continue
        target = path.path.removeprefix("/__mock/") + f"?{path.query}"
        reply = browser.get(target)
        assert reply.status == 200, target
        pages[path.path] = HtmlPage(reply.body)
        queue += pages[path.path].list_attributes("a", "href")
    return pages


@pytest.mark.parametrize("path", HEADINGS)
def test_page_answers(browser: BrowserClient, path: str) -> None:
    reply = browser.get(path)
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = HtmlPage(reply.body)
    assert page.open_elements == []
    assert HEADINGS[path] in page.text
    assert page.alerts == []


def test_path_without_slash_is_the_list_of_requests(browser: BrowserClient) -> None:
    reply = Client(browser.mock.app, {}).get("/__mock")
    assert reply.status == 200
    assert HtmlPage(reply.body).text.startswith("Requests · Mock server")


def test_every_link_leads_to_a_page_without_scripts_or_styles_in_it(browser: BrowserClient) -> None:
    send_samples(browser.mock)
    pages = crawl(browser)
    assert {"/__mock/requests/1", "/__mock/data/Agent", "/__mock/contract", "/__mock/changes"} <= set(pages)
    assert len(pages) > 30
    for path, page in pages.items():
        names = {name for _, attributes in page.elements for name in attributes}
        assert not [name for name in names if name.startswith(EVENT_PREFIX) or name == INLINE_STYLE], path
        assert [tag for tag, _ in page.elements if tag == "style"] == []
        sources = [attributes.get("src", "inline") for tag, attributes in page.elements if tag == "script"]
        assert sources == ["/__mock/assets/htmx.min.js", "/__mock/assets/console.js"], path


@pytest.mark.parametrize("path", ["", "data/Agent", "requests/9", "requests.har", "assets/console.css", "token"])
def test_content_security_policy_allows_own_files_only(browser: BrowserClient, path: str) -> None:
    headers = browser.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
def test_unknown_page_returns_404(browser: BrowserClient, path: str) -> None:
    reply = browser.get(path)
    assert reply.status == 404
    if not path.startswith("assets/"):
        assert len(HtmlPage(reply.body).alerts) == 1


def test_unknown_sandbox_returns_404_and_creates_none(browser: BrowserClient) -> None:
    for path in ("requests", "data", "changes", "rules", "clock", "contract", "requests.har"):
        reply = browser.get(path, sandbox="nothing")
        assert reply.status == 404, path
        assert "nothing" in HtmlPage(reply.body).alerts[0]
    assert list(browser.mock.registry.entries) == ["default"]


@pytest.mark.parametrize("name", ["../default", "default/requests", "a b", "<b>", "ä", "default?x=1", "\n", "a" * 300])
def test_invalid_sandbox_is_an_error_page(browser: BrowserClient, name: str) -> None:
    reply = browser.get("requests", sandbox=name)
    assert 400 <= reply.status < 500
    page = HtmlPage(reply.body)
    assert len(page.alerts) == 1
    assert "b" not in [tag for tag, _ in page.elements]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("requests", {"status": "x"}),
        ("requests", {"before": "-1"}),
        ("requests", {"operation": "nothing"}),
        ("data/Agent", {"offset": "x"}),
        ("data/Agent", {"offset": "-1"}),
        ("data/Agent", {"offset": "²"}),
        ("data/Agent", {"search": "x" * 1000}),
        ("changes", {"since": "nothing"}),
    ],
)
def test_invalid_query_parameter_is_named(browser: BrowserClient, path: str, query: dict[str, str]) -> None:
    reply = browser.get(path, **query)
    (name,) = query
    assert 400 <= reply.status < 500
    (alert,) = HtmlPage(reply.body).alerts
    assert name in alert or "nothing" in alert


def test_empty_query_parameters_count_as_absent(browser: BrowserClient) -> None:
    for path in ("requests", "data/Agent"):
        page = browser.open(path, operation="", status="", before="", offset="", search="", sandbox="")
        assert page.alerts == []


def test_other_methods_are_not_allowed(browser: BrowserClient) -> None:
    client = Client(browser.mock.app, {})
    assert client.request("PUT", "/__mock/rules").headers["allow"] == "GET, HEAD, POST"
    reply = client.request("POST", "/__mock/contract")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_head_has_no_body(browser: BrowserClient) -> None:
    reply = Client(browser.mock.app, {}).request("HEAD", "/__mock/rules")
    assert (reply.status, reply.body) == (200, b"")


def test_assets_are_served_with_their_types(browser: BrowserClient) -> None:
    types = {"htmx.min.js": "text/javascript", "console.js": "text/javascript", "console.css": "text/css"}
    for name, media_type in types.items():
        reply = browser.get(f"assets/{name}")
        assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (200, media_type)
        assert len(reply.body) > 100


def test_archive_is_a_download(browser: BrowserClient) -> None:
    send_samples(browser.mock)
    reply = browser.get("requests.har", sandbox="default")
    assert reply.headers["content-disposition"] == 'attachment; filename="default.har"'
    assert len(json.loads(reply.body)["log"]["entries"]) == 3


def test_pages_are_not_recorded(browser: BrowserClient) -> None:
    browser.get("requests")
    browser.get("nothing-of-the-console")
    assert "/__mock/requests" not in browser.open("requests").text.split("Differences")[-1]


def test_console_is_absent_without_control_api(api: Api) -> None:
    assert Client(api.app, {}).get("/__mock/requests").status == 404
