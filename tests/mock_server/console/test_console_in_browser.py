"""The console in Chromium: each view clicked through, accessibility, and layout at two widths in both color schemes."""

import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import RemoteDisconnected
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.mock_process import MODULE, run_mock
from tests.mock_server.test_command import environment

__all__ = ["environment"]

pytestmark = pytest.mark.browser
TIMEOUT_MS = 20_000
WIDTHS = {"desktop": 1280, "phone": 390}
SERIOUS = ("serious", "critical")
VIEWS = (
    "requests",
    "requests/1",
    "requests/2",
    "requests/99",
    "data",
    "data/Agent",
    "data/Agent/new",
    "data/Message",
    "changes",
    "rules",
    "clock",
    "sandboxes",
    "contract",
    "token",
)


@dataclass(frozen=True, slots=True)
class Mock:
    """A running mock."""

    origin: str

    def call(self, method: str, path: str, data: Any = None) -> Any:
        """Send a request; return its status and its JSON."""
        body = None if data is None else json.dumps(data).encode()
        headers = {"Authorization": "Bearer demo-token", "Content-Type": "application/json"}
        request = urllib.request.Request(self.origin + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                content = response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())
        return response.status, json.loads(content) if content else None


@dataclass(slots=True)
class ConsoleBrowser:
    """A browser on the console of a mock. `faults`: errors, violations of the policy, foreign requests."""

    engine: Any
    mock: Mock
    faults: list[str] = field(default_factory=list)

    def open_page(self, scheme: str = "light", width: int = WIDTHS["desktop"]) -> Any:
        """Open an empty page in a fresh context."""
        context = self.engine.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("console", lambda message: self.faults.append(message.text) if is_fault(message) else None)
        page.on("request", lambda request: self.faults.extend([] if self.is_own(request.url) else [request.url]))
        return page

    def is_own(self, url: str) -> bool:
        return url.startswith((self.mock.origin, "data:,"))

    def go(self, page: Any, path: str, **query: str) -> None:
        """Open a page of the console."""
        parameters = "&".join(f"{name}={value}" for name, value in query.items())
        page.goto(f"{self.mock.origin}/__mock/{path}?{parameters}")


def is_fault(message: Any) -> bool:
    """Whether a line of the developer console is a defect of the page; a status of 400 or above is not."""
    return message.type in ("error", "warning") and "the server responded with a status of" not in message.text


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with playwright.sync_playwright() as api:
        chromium = api.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def running_mock(environment: dict[str, str]) -> Iterator[Mock]:
    with run_mock((*MODULE, "--dataset", "demo", "--port", "0"), environment) as (_, banner):
        (origin,) = re.findall(r"http://127\.0\.0\.1:\d+|http://localhost:\d+", banner)[:1]
        yield Mock(origin)


@pytest.fixture
def console(engine: Any, running_mock: Mock) -> Iterator[ConsoleBrowser]:
    """A console of a mock with its initial state and two recorded requests; no test may cause a fault of the page."""
    default = "/__mock/api/sandboxes/default"
    running_mock.call("POST", f"{default}/reset")
    running_mock.call("DELETE", f"{default}/rules")
    running_mock.call("DELETE", f"{default}/requests")
    browser = ConsoleBrowser(engine, running_mock)
    yield browser
    for context in engine.contexts:
        context.close()
    assert browser.faults == []


def count_rows(page: Any) -> int:
    return int(page.locator("#rows tbody tr").count())


def find_newest_number(console: ConsoleBrowser) -> int:
    """Return the number of the newest recorded request."""
    _, listed = console.mock.call("GET", "/__mock/api/sandboxes/default/requests?limit=1")
    return int(listed["requests"][0]["id"])


def test_reason_of_a_rejection_is_found_from_the_list(console: ConsoleBrowser) -> None:
    console.mock.call("POST", "/api/v1/agents", {"name": 7})
    page = console.open_page()
    console.go(page, "")
    page.get_by_role("link", name="POST /agents").click()
    assert page.locator("#why").inner_text() == "Why this response"
    assert "name" in page.locator("section[aria-labelledby=why] li").first.inner_text()
    assert "createAgent in the contract" in page.locator("#operation").inner_text()


def test_next_request_fails_by_two_clicks(console: ConsoleBrowser) -> None:
    console.mock.call("GET", "/api/v1/agents")
    page = console.open_page()
    console.go(page, f"requests/{find_newest_number(console)}")
    page.get_by_label("Make the next one fail with").select_option("429")
    page.get_by_role("button", name="Add rule").click()
    assert "is active" in page.get_by_role("status").inner_text()
    assert [console.mock.call("GET", "/api/v1/agents")[0] for _ in range(2)] == [429, 200]
    page.get_by_role("link", name="Requests").click()
    assert "fail-listagents" in page.locator("#rows").inner_text()


def test_list_of_requests_is_updated_and_can_be_paused(console: ConsoleBrowser) -> None:
    page = console.open_page()
    console.go(page, "requests")
    assert "No requests yet." in page.locator("#rows").inner_text()
    console.mock.call("GET", "/api/v1/agents")
    page.get_by_role("link", name="GET /agents").wait_for()
    page.get_by_role("link", name="Pause").click()
    console.mock.call("GET", "/api/v1/prompts")
    page.wait_for_timeout(2500)
    assert count_rows(page) == 1
    page.get_by_role("link", name="Continue").click()
    page.get_by_role("link", name="GET /prompts").wait_for()
    assert count_rows(page) == 2


def test_focus_stays_on_a_request_while_the_list_is_updated(console: ConsoleBrowser) -> None:
    console.mock.call("GET", "/api/v1/agents")
    page = console.open_page()
    console.go(page, "requests")
    page.get_by_role("link", name="GET /agents").focus()
    console.mock.call("GET", "/api/v1/prompts")
    page.get_by_role("link", name="GET /prompts").wait_for()
    assert page.evaluate("document.activeElement.textContent").startswith("GET /agents")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="GET /agents").wait_for()


def test_requests_are_filtered_exported_and_deleted(console: ConsoleBrowser) -> None:
    for path in ("agents", "prompts", "nothing"):
        console.mock.call("GET", f"/api/v1/{path}")
    page = console.open_page()
    console.go(page, "requests")
    page.get_by_label("Operation").select_option("listPrompts")
    page.get_by_role("button", name="Filter").click()
    assert count_rows(page) == 1
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as HAR").click()
    assert download.value.suggested_filename == "default.har"
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete all").click()
    assert count_rows(page) == 1
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete all").click()
    assert "No requests yet." in page.locator("#rows").inner_text()


def test_command_of_a_request_is_copied(console: ConsoleBrowser) -> None:
    console.mock.call("GET", "/api/v1/agents?per_page=1")
    page = console.open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=console.mock.origin)
    console.go(page, f"requests/{find_newest_number(console)}")
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith(f"curl -i -X GET '{console.mock.origin}/api/v1/agents?per_page=1'")
    assert '"Authorization: Bearer $TOKEN"' in command


def test_thread_of_a_message_is_found_and_a_record_is_edited(console: ConsoleBrowser) -> None:
    page = console.open_page()
    console.go(page, "")
    page.get_by_role("link", name="Data", exact=True).click()
    page.get_by_role("link", name="Message", exact=True).click()
    page.locator("tbody a").first.click()
    page.locator("dd a[href*='/data/Thread/']").first.click()
    assert page.get_by_role("heading", level=1).inner_text().startswith("Thread:")
    page.get_by_label("name", exact=True).fill("Renamed")
    page.get_by_role("button", name="Save").click()
    assert page.get_by_role("status").inner_text() == "The record is saved."
    page.get_by_role("link", name="Changes", exact=True).click()
    assert "Renamed" in page.locator("section[aria-labelledby=changed]").inner_text()


def test_record_is_searched_created_and_deleted(console: ConsoleBrowser) -> None:
    page = console.open_page()
    console.go(page, "data/Agent")
    page.get_by_role("link", name="New Agent").click()
    page.get_by_label("name", exact=True).fill("Zebra")
    page.get_by_role("button", name="Create").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Agent: Zebra"
    page.get_by_role("link", name="All Agent records").click()
    page.get_by_label("Search").fill("zebra")
    page.keyboard.press("Enter")
    page.get_by_text("1 record,").wait_for()
    page.get_by_role("link", name="Zebra").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    assert page.get_by_role("status").inner_text() == "The record is deleted."


def test_snapshot_is_saved_and_restored(console: ConsoleBrowser) -> None:
    page = console.open_page()
    console.go(page, "changes")
    page.get_by_label("Name").fill("before")
    page.get_by_role("button", name="Save the current state").click()
    console.mock.call("POST", "/__mock/api/sandboxes/default/records", {"Agent": [{}]})
    page.get_by_role("link", name="before").click()
    page.get_by_role("heading", name="Created (1)").wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Restore before").click()
    page.get_by_text("Nothing has changed.").wait_for()
    page.get_by_role("button", name="Delete before").click()
    assert page.get_by_role("link", name="before").count() == 0


def test_rules_are_added_and_deleted(console: ConsoleBrowser) -> None:
    page = console.open_page()
    console.go(page, "rules")
    page.get_by_role("button", name="server-error").click()
    assert console.mock.call("GET", "/api/v1/agents")[0] == 500
    page.get_by_label("A rule as JSON").fill("{")
    page.get_by_role("button", name="Add from JSON").click()
    assert "invalid JSON" in page.get_by_role("alert").inner_text()
    page.get_by_label("A rule as JSON").fill('{"respond": {"status": 503}}')
    page.get_by_role("button", name="Add from JSON").click()
    assert console.mock.call("GET", "/api/v1/agents")[0] == 503
    page.get_by_role("button", name="Delete all rules").click()
    assert console.mock.call("GET", "/api/v1/agents")[0] == 200


def test_rule_is_added_by_the_form_and_its_errors_are_at_the_fields(console: ConsoleBrowser) -> None:
    page = console.open_page()
    console.go(page, "rules")
    page.get_by_label("Operation").select_option("listAgents")
    page.get_by_label("Status").fill("999")
    page.get_by_role("button", name="Add rule").click()
    assert "not be greater than 599" in page.locator("#rule-status-error").inner_text()
    page.get_by_label("Status").fill("429")
    page.get_by_label("Times").fill("1")
    page.get_by_role("button", name="Add rule").click()
    assert "is active" in page.get_by_role("status").inner_text()
    assert [console.mock.call("GET", "/api/v1/agents")[0] for _ in range(2)] == [429, 200]


def test_fault_of_a_rule_is_stated_as_the_reason(console: ConsoleBrowser) -> None:
    rule = {"name": "mine", "respond": {"fault": "empty-response"}}
    console.mock.call("POST", "/__mock/api/sandboxes/default/rules", rule)
    with pytest.raises(RemoteDisconnected):
        console.mock.call("GET", "/api/v1/agents")
    page = console.open_page()
    console.go(page, f"requests/{find_newest_number(console)}")
    reason = page.locator("section[aria-labelledby=why] p").first.inner_text()
    assert reason == "The rule mine caused the fault empty-response."


def test_error_of_a_record_is_at_its_field(console: ConsoleBrowser) -> None:
    page = console.open_page()
    console.go(page, "data/Thread/new")
    page.get_by_label("agent", exact=True).fill("nothing")
    page.get_by_role("button", name="Create").click()
    assert "expected the key of Agent" in page.locator(".field-error").inner_text()
    page.get_by_role("alert").get_by_role("link", name="agent").click()
    assert page.evaluate("location.hash.slice(1) === document.querySelector('[aria-invalid]').id")


def test_actions_and_differences_are_visible_on_a_phone(console: ConsoleBrowser) -> None:
    console.mock.call("POST", "/__mock/api/sandboxes/default/rules", {"preset": "server-error"})
    console.mock.call("POST", "/api/v1/agents", {"nmae": 7})
    page = console.open_page(width=WIDTHS["phone"])
    console.go(page, "rules")
    button = page.get_by_role("button", name="Delete server-error").bounding_box()
    assert button["x"] + button["width"] <= WIDTHS["phone"]
    console.go(page, "requests")
    cell = page.get_by_role("cell", name="The name field is required.").bounding_box()
    assert cell["x"] + cell["width"] <= WIDTHS["phone"]


@pytest.mark.parametrize("path", ["requests", "contract", "rules"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_operations_are_not_split_in_tables(console: ConsoleBrowser, path: str, width: int) -> None:
    console.mock.call("POST", "/api/v1/agents", {"nmae": 7})
    console.mock.call("POST", "/__mock/api/sandboxes/default/rules", {"preset": "server-error"})
    page = console.open_page(width=width)
    console.go(page, path)
    split = page.locator("td").evaluate_all(FIND_SPLIT_WORDS)
    assert split == []


# Returns the texts of cells of one word that have more than one line.
FIND_SPLIT_WORDS = """cells => cells.filter(cell => {
  if (!/^\\w+$/.test(cell.textContent.trim())) return false;
  const range = document.createRange();
  let text = cell;
  while (text.firstChild) text = text.firstChild;
  range.selectNodeContents(text);
  return new Set([...range.getClientRects()].map(rect => Math.round(rect.top))).size > 1;
}).map(cell => cell.textContent)"""


def test_clock_is_advanced_past_the_expiry_of_a_token(console: ConsoleBrowser) -> None:
    page = console.open_page()
    console.go(page, "clock")
    before = page.locator(".clock time").inner_text()
    page.get_by_role("button", name="30 days").click()
    page.wait_for_function("before => document.querySelector('.clock time').textContent !== before", arg=before)
    page.get_by_role("button", name="Freeze").click()
    assert "frozen" in page.locator(".clock").inner_text()
    page.get_by_label("Time (UTC)").fill("tomorrow")
    page.get_by_role("button", name="Set", exact=True).click()
    assert page.get_by_role("alert").inner_text().startswith("now:")


def test_sandbox_is_created_selected_and_deleted(console: ConsoleBrowser) -> None:
    page = console.open_page()
    console.go(page, "sandboxes")
    page.get_by_label("Name").fill("browser-test")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("link", name="browser-test").click()
    assert page.locator(".sandbox").inner_text() == "Sandbox browser-test"
    page.get_by_role("link", name="Sandboxes").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete browser-test").click()
    assert page.get_by_role("link", name="browser-test", exact=True).count() == 0


def test_called_operation_leads_to_its_requests(console: ConsoleBrowser) -> None:
    console.mock.call("GET", "/api/v1/agents")
    page = console.open_page()
    console.go(page, "contract")
    assert page.get_by_role("heading", level=1).inner_text().startswith("Contract: 1 of")
    page.get_by_role("link", name="listAgents", exact=True).click()
    assert count_rows(page) == 1


def test_first_tab_leads_to_the_content(console: ConsoleBrowser) -> None:
    page = console.open_page()
    console.go(page, "rules")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize(("scheme", "width"), [("light", WIDTHS["desktop"]), ("dark", WIDTHS["phone"])])
def test_views_are_accessible_and_not_wider_than_the_window(console: ConsoleBrowser, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    prepare_views(console)
    page = console.open_page(scheme, width)
    for view in (*VIEWS, find_record_path(console)):
        console.go(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        violations = axe.run(page).response["violations"]
        assert [describe(item) for item in violations if item["impact"] in SERIOUS] == [], view


def prepare_views(console: ConsoleBrowser) -> None:
    """Give each view something to show."""
    default = "/__mock/api/sandboxes/default"
    console.mock.call("POST", "/api/v1/agents", {"name": 7, "other": 1})
    console.mock.call("GET", "/api/v1/agents?other=1")
    console.mock.call("POST", f"{default}/rules", {"respond": {"status": 503}})
    console.mock.call("PUT", f"{default}/snapshots/before")
    console.mock.call("POST", f"{default}/records", {"Agent": [{}]})
    console.mock.call(
        "PATCH", f"/__mock/api/sandboxes/default/records/{find_record_path(console)[5:]}", {"name": "Changed"}
    )


def find_record_path(console: ConsoleBrowser) -> str:
    """Return the path of the page of a record."""
    _, listed = console.mock.call("GET", "/__mock/api/sandboxes/default/records/Agent?limit=1")
    return f"data/Agent/{listed['records'][0]['key']}"


def describe(violation: dict[str, Any]) -> str:
    return f"{violation['id']}: {[node['html'] for node in violation['nodes']][:3]}"


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_long_changed_value_is_not_wider_than_the_window(console: ConsoleBrowser, width: int) -> None:
    path = f"/__mock/api/sandboxes/default/records/{find_record_path(console)[5:]}"
    assert console.mock.call("PATCH", path, {"name": "x" * 200})[0] == 200
    page = console.open_page(width=width)
    console.go(page, "changes")
    assert page.get_by_text("x" * 200).count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width


HOSTILE_RESOURCES = ("Agent", "User", "Provider", "Workflow", "Prompt", "Memory", "Thread", "Message", "Media")
FORBIDDEN_ELEMENTS = "main img, main svg, main iframe, main script, main a[href^='javascript:']"


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_hostile_values_run_nothing_and_keep_the_layout(console: ConsoleBrowser, width: int) -> None:
    paths = prepare_hostile_sandbox(console.mock)
    page = console.open_page(width=width)

    def report_dialog(dialog: Any) -> None:
        console.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", report_dialog)
    for path in paths:
        console.go(page, path, sandbox="hostile")
        assert page.evaluate("window.__ran") is None, path
        assert page.evaluate("Object.prototype.polluted") is None, path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.locator(FORBIDDEN_ELEMENTS).count() == 0, path
        assert page.get_by_role("heading", level=1).count() == 1, path


def prepare_hostile_sandbox(mock: Mock) -> list[str]:
    """Create a sandbox with hostile records and requests; return the paths of its pages."""
    control = "/__mock/api/sandboxes/hostile"
    while mock.call("PUT", control, {"dataset": "hostile"})[0] == 202:
        pass
    paths = ["requests", "data", "changes", "rules", "clock", "sandboxes", "contract"]
    names = []
    for resource in HOSTILE_RESOURCES:
        _, listed = mock.call("GET", f"{control}/records/{resource}?limit=16")
        paths += [
            f"data/{resource}",
            f"data/{resource}/new",
            *(f"data/{resource}/{r['key']}" for r in listed["records"][:3]),
        ]
        names += [record["caption"] for record in listed["records"]]
    for name in names[:20]:
        query = urlencode({"search": name, name: "1"})
        mock.call("POST", f"/__mock/s/hostile/api/v1/agents?{query}", {"name": name, "instruction": name, name: name})
    _, listed = mock.call("GET", f"{control}/requests")
    paths += [f"requests/{entry['id']}" for entry in listed["requests"][:20]]
    rule = {"match": {"query": {names[0]: names[1]}}, "respond": {"status": 503, "body": {names[2]: names[3]}}}
    mock.call("POST", f"{control}/rules", rule)
    mock.call("PUT", f"{control}/snapshots/before")
    return paths
