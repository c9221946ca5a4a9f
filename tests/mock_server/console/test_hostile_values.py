"""Values of clients and records are data in every page."""

import pytest

from tests.mock_server.console.browser_client import BrowserClient, HtmlPage

MARKUP = "</textarea></title><script>window.__ran=1</script><img src=x onerror=window.__ran=1>'\"{{41*271}}"
VALUES = [
    MARKUP,
    "\u202eabc\u2066",
    "a\u0000b\u001b[31m",
    "x" * 2000,
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
]
FORBIDDEN_ELEMENTS = {"img", "iframe", "object", "svg"}
TOKEN = "Bearer demo-token"


def check_page(content: bytes) -> HtmlPage:
    """Parse a page; fail if a value has become an element."""
    page = HtmlPage(content)
    assert page.open_elements == []
    tags = [tag for tag, _ in page.elements]
    assert not FORBIDDEN_ELEMENTS & set(tags)
    assert tags.count("script") in (0, 2)
    assert "11111" not in page.text
    assert all(not name.startswith("on") for _, attributes in page.elements for name in attributes)
    return page


def encode(value: str) -> str:
    return "".join(f"%{byte:02X}" for byte in value.encode("utf-8", "replace"))


@pytest.mark.parametrize("value", VALUES)
def test_requests_with_hostile_parts_are_shown_as_text(browser: BrowserClient, value: str) -> None:
    target = f"/api/v1/agents?search={encode(value)}&{encode(value)}=1"
    body = {"name": value, "instruction": value, value: value}
    header = value.encode("latin-1", "replace").decode("latin-1").replace("\0", "")
    browser.mock.request("POST", target, body, authorization=TOKEN, user_agent=header)
    browser.mock.request("GET", f"/api/v1/{encode(value)}", authorization=TOKEN)
    browser.mock.request(header[:20].replace(" ", "") or "X", "/api/v1/agents", authorization=TOKEN)
    for path in ("requests", "requests/1", "requests/2", "requests/3", "contract"):
        check_page(browser.get(path).body)
    if value == MARKUP:
        assert "window.__ran=1" in check_page(browser.get("requests/1").body).text


@pytest.mark.parametrize("value", VALUES)
def test_records_with_hostile_values_are_shown_and_saved_unchanged(browser: BrowserClient, value: str) -> None:
    value = value[:200]
    created = browser.mock.control("POST", "/sandboxes/default/records", {"Agent": [{"name": value}]})
    key = created["Agent"][0]["uuid"]
    for path in ("data/Agent", f"data/Agent/{key}", "changes"):
        check_page(browser.get(path).body)
    fields = check_page(browser.get(f"data/Agent/{key}").body).fields
    browser.submit(f"data/Agent/{key}", description="changed", name=fields["name"])
    record = browser.mock.control("GET", f"/sandboxes/default/records/Agent/{key}")["record"]
    assert record["name"] == value


# slow: each case sends hundreds of forms
@pytest.mark.parametrize("value", [VALUES[0], *(pytest.param(value, marks=pytest.mark.slow) for value in VALUES[1:])])
def test_hostile_forms_and_queries_are_shown_as_text(browser: BrowserClient, value: str) -> None:
    queries = {
        "requests": ("operation", "status", "before", "sandbox"),
        "data/Agent": ("search", "offset", "notice"),
        "changes": ("since", "notice"),
        "rules": ("notice", "request"),
    }
    for path, names in queries.items():
        for name in names:
            check_page(browser.get(path, **{name: value}).body)
    for path in ("changes", "rules", "clock", "sandboxes", "token", "data/Agent/new"):
        for field in ("do", "name", "rule", "status", "body", "seconds", "now", "dataset", "sandbox", "user"):
            for action in ("save", "create", "delete", "preset", "advance", "set", "speed"):
                check_page(browser.post(path, {"do": action, field: value}).body)


def test_hostile_rule_is_shown_as_text(browser: BrowserClient) -> None:
    rule = {"match": {"query": {MARKUP: MARKUP}}, "respond": {"status": 503, "body": MARKUP, "headers": ["X-A: <b>"]}}
    browser.mock.control("POST", "/sandboxes/default/rules", rule)
    assert "window.__ran=1" in check_page(browser.get("rules").body).text
    assert "b" not in [tag for tag, _ in check_page(browser.get("rules").body).elements]


@pytest.mark.parametrize(
    "path", ["requests/%3Cb%3E", "data/%3Cscript%3E", "data/Agent/%22%3E%3Cimg%3E", "clock/%3Cb%3E"]
)
def test_hostile_paths_are_shown_as_text(browser: BrowserClient, path: str) -> None:
    check_page(browser.get(path).body)


def test_redirect_has_no_line_break_of_a_form(browser: BrowserClient) -> None:
    reply = browser.post("changes", {"do": "reset", "sandbox": "default\r\nX-Injected: 1"})
    assert reply.status in (400, 404, 422)
    assert "x-injected" not in reply.headers
