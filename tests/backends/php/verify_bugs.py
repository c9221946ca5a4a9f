"""Verify that each planted bug of the PHP backend changes behaviour, and that the backend itself never returns 5xx.

    python tests/backends/php/verify_bugs.py [NAME ...]

A scenario sends requests and returns an observed value. It must equal the expected value without the bug, and differ
from it with the bug.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FOLDER = pathlib.Path(__file__).parent
FIRST = "550e8400-e29b-41d4-a716-446655440000"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
JOHN, JANE, NOOR = "demo-token", "other-token", "viewer-token"


@dataclass(frozen=True, slots=True)
class BackendReply:
    """A response: status, decoded body (text if it is not JSON) and headers."""

    status: int
    body: Any
    headers: http.client.HTTPMessage

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def total(self) -> int:
        return int(self.body["meta"]["total"])


@dataclass(slots=True)
class BackendClient:
    """Sends requests to the backend. `failures`: requests that returned 5xx."""

    port: int
    failures: list[str] = field(default_factory=list)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str = JOHN,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> BackendReply:
        """Send a request. `body`: sent as JSON. `token`: "" for none. `raw`: bytes of the body instead of `body`."""
        request_headers = {"Authorization": f"Bearer {token}"} if token else {}
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if content is not None:
            request_headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, f"/api/v1{path}", content, request_headers | (headers or {}))
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 500:
            self.failures.append(f"{method} {path}: {response.status}")
        try:
            decoded = json.loads(text) if text else None
        except ValueError:
            decoded = text
        return BackendReply(response.status, decoded, response.headers)

    def get(self, path: str, token: str = JOHN) -> BackendReply:
        return self.send("GET", path, token=token)

    def post(self, path: str, body: object, token: str = JOHN) -> BackendReply:
        return self.send("POST", path, body, token=token)

    def put(self, path: str, body: object, token: str = JOHN) -> BackendReply:
        return self.send("PUT", path, body, token=token)

    def delete(self, path: str, token: str = JOHN) -> BackendReply:
        return self.send("DELETE", path, token=token)

    def list_all(self, path: str, token: str = JOHN) -> list[dict[str, Any]]:
        """Return the first 100 records of a list."""
        separator = "&" if "?" in path else "?"
        return list(self.get(f"{path}{separator}per_page=100", token).data)

    def uuid(self, collection: str, name: str, token: str, attribute: str = "name") -> str:
        """Return the UUID of the seeded record with a name."""
        return next(str(row["uuid"]) for row in self.list_all(f"/{collection}", token) if row[attribute] == name)

    def create(self, collection: str, token: str = JOHN, **body: object) -> dict[str, Any]:
        """Create a record and return it."""
        return dict(self.post(f"/{collection}", body, token).data)


Scenario = Callable[[BackendClient], object]
SCENARIOS: dict[str, tuple[Scenario, object]] = {}


def scenario(name: str, expected: object) -> Callable[[Scenario], Scenario]:
    """Register the scenario of a bug, with what it observes on the backend without the bug."""

    def register(function: Scenario) -> Scenario:
        SCENARIOS[name] = (function, expected)
        return function

    return register


def add_scenario(name: str, expected: object, function: Scenario) -> None:
    """Register a scenario that is one expression; see `scenario`."""
    SCENARIOS[name] = (function, expected)


def format_today() -> str:
    """Return the current date in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def is_sorted(values: list[Any], *, reverse: bool = False) -> bool:
    return values == sorted(values, reverse=reverse)


# Lists

add_scenario(
    "offset-uses-default-size",
    True,
    lambda c: c.get("/messages?per_page=5&page=2").data[0]["uuid"] == c.list_all("/messages")[5]["uuid"],
)
add_scenario(
    "last-page-rounded-down", 3, lambda c: c.get("/large-language-models?per_page=2").body["meta"]["last_page"]
)
add_scenario("total-is-page-count", True, lambda c: c.get("/prompts?per_page=3").total == len(c.list_all("/prompts")))
add_scenario(
    "next-link-on-full-last-page", None, lambda c: c.get("/large-language-models?per_page=5").body["links"]["next"]
)
add_scenario(
    "links-drop-filters",
    True,
    lambda c: "search=arrive" in c.get("/messages?search=arrive&per_page=1").body["links"]["next"],
)
add_scenario(
    "workflow-sort-direction-ignored",
    True,
    lambda c: is_sorted(
        [row["name"] for row in c.list_all("/workflows?sort_by=name&sort_direction=desc")], reverse=True
    ),
)
add_scenario(
    "memories-oldest-first",
    True,
    lambda c: is_sorted([row["created_at"] for row in c.list_all("/memories")], reverse=True),
)
add_scenario(
    "threads-sorted-descending-by-default",
    True,
    lambda c: is_sorted([row["name"] for row in c.list_all("/threads?sort_by=name")]),
)
add_scenario("per-page-clamped", 422, lambda c: c.get("/agents?per_page=101").status)
add_scenario("page-zero-accepted", 422, lambda c: c.get("/agents?page=0").status)
add_scenario(
    "usage-count-sorted-as-text",
    True,
    lambda c: is_sorted([row["usage_count"] for row in c.list_all("/prompts?sort_by=usage_count")]),
)


@scenario("late-pages-read-backwards", True)
def page_through_messages(client: BackendClient) -> object:
    pages = [client.get(f"/messages?sort_by=role&per_page=4&page={page}") for page in range(1, 15)]
    return len({row["uuid"] for page in pages for row in page.data}) == pages[0].total


# Search and filters

add_scenario("search-wildcards-not-escaped", 0, lambda c: c.get("/agents?search=%25").total)
add_scenario("search-case-sensitive", 1, lambda c: c.get("/prompts?search=EMAIL%20WRITER").total)
add_scenario("search-or-without-parentheses", 0, lambda c: c.get("/providers?search=notion").total)
add_scenario("workflow-search-in-name-only", True, lambda c: c.get("/workflows?search=automates").total > 0)
add_scenario(
    "false-filter-ignored", {False}, lambda c: {row["is_active"] for row in c.list_all("/workflows?is_active=false")}
)
add_scenario(
    "user-ids-last-value-only",
    {123, 125},
    lambda c: {row["user"]["id"] for row in c.list_all("/agents?user_ids=123&user_ids=125")},
)
add_scenario(
    "organization-filter-always-applied",
    True,
    lambda c: c.get(f"/workflows?workspace_uuid={FIRST}&organization_multiplai_id=org_south").total > 0,
)
add_scenario(
    "running-filter-includes-pending",
    {"running"},
    lambda c: {row["status"] for row in c.list_all("/workflow-executions?status=running")},
)
add_scenario(
    "camel-case-relation-ignored",
    True,
    lambda c: "workflow_execution_data" in c.get("/workflow-executions?with=workflowExecutionData").data[0],
)


@scenario("search-ascii-case-only", 1)
def search_in_other_case(client: BackendClient) -> object:
    client.create("threads", name="\u00c4RGER")
    return client.get("/threads?search=" + urllib.parse.quote("\u00e4rger")).total


@scenario("favorite-filters-templates", 1)
def filter_favorites(client: BackendClient) -> object:
    client.create("agents", name="Favourite of today", favorite=True)
    return client.get("/agents?favorite=true&search=favourite").total


@scenario("date-to-excludes-the-day", True)
def filter_until_today(client: BackendClient) -> object:
    uuid = client.create("workflow-executions", workflow_uuid=FIRST)["uuid"]
    return uuid in {row["uuid"] for row in client.list_all(f"/workflow-executions?date_to={format_today()}")}


@scenario("dates-in-local-time", True)
def count_by_day(client: BackendClient) -> object:
    listed = [row["created_at"][:10] for row in client.list_all("/workflow-executions")]
    counts = {
        day: client.get(f"/workflow-executions/count?start_date={day}&end_date={day}").data["total"]
        for day in set(listed)
    }
    return counts == {day: listed.count(day) for day in set(listed)}


@scenario("pending-approvals-count-all", True)
def compare_approval_counts(client: BackendClient) -> object:
    rows = client.list_all("/workflow-executions?with_count=workflowApprovals,pendingWorkflowApprovals")
    return any(row["pending_workflow_approvals_count"] < row["workflow_approvals_count"] for row in rows)


# Access

add_scenario("member-workspaces-not-listed", 2, lambda c: c.get("/workspaces", NOOR).total)
add_scenario(
    "foreign-memory-can-be-read", 404, lambda c: c.get(f"/memories/{c.list_all('/memories', JANE)[0]['uuid']}").status
)
add_scenario(
    "foreign-prompt-can-be-updated",
    404,
    lambda c: c.put(f"/prompts/{c.list_all('/prompts', JANE)[0]['uuid']}", {"name": "Mine"}).status,
)
add_scenario(
    "foreign-thread-can-be-deleted",
    404,
    lambda c: c.delete(f"/threads/{c.list_all('/threads', JANE)[0]['uuid']}").status,
)
add_scenario(
    "messages-of-foreign-thread-listed",
    0,
    lambda c: c.get(f"/messages?thread_uuid={c.list_all('/threads', JANE)[0]['uuid']}").total,
)
add_scenario(
    "foreign-workspace-accepted",
    404,
    lambda c: c.post("/prompts", {"name": "a", "content": "b", "workspace_uuid": FIRST}, JANE).status,
)
add_scenario(
    "hidden-workflows-can-be-linked",
    404,
    lambda c: c.post("/agents", {"name": "a", "workflow_uuids": [c.uuid("workflows", "Old Reports", JANE)]}).status,
)
add_scenario(
    "foreign-workspace-embedded",
    False,
    lambda c: "primary_workspace" in c.get(f"/agents/{c.uuid('agents', 'Event Host', JANE)}").data["user"],
)
add_scenario(
    "counts-include-hidden-threads",
    0,
    lambda c: c.get(f"/agents/{c.uuid('agents', 'Event Host', JANE)}").data["threads_count"],
)
add_scenario(
    "shares-to-workspace-ignored", 200, lambda c: c.get(f"/agents/{c.uuid('agents', 'Copy Writer', JANE)}", NOOR).status
)
add_scenario(
    "read-share-may-update-workflow",
    403,
    lambda c: c.put(f"/workflows/{c.uuid('workflows', 'Daily Summary', JOHN)}", {"name": "x"}, JANE).status,
)
add_scenario(
    "write-share-may-delete-agent",
    403,
    lambda c: c.delete(f"/agents/{c.uuid('agents', 'Travel Planner', JOHN)}", JANE).status,
)
add_scenario("members-may-update-workspace", 403, lambda c: c.put(f"/workspaces/{FIRST}", {"name": "x"}, NOOR).status)
add_scenario(
    "members-may-update-accounts",
    403,
    lambda c: (
        c.put(f"/accounts/{c.list_all('/accounts', JOHN)[-1]['uuid']}", {"provider_display_name": "x"}, NOOR).status
    ),
)
add_scenario(
    "share-writes-by-default",
    "read",
    lambda c: c.post(f"/agents/{FIRST}/share", {"entity_type": "user", "entity_id": 124}).data["permission"],
)
add_scenario(
    "bearer-token-first",
    124,
    lambda c: c.send("GET", "/user", headers={"X-Multiplai-Authorization": JANE}).data["id"],
)


def sign_in(client: BackendClient) -> tuple[str, str]:
    """Sign in; return the token and the session cookie."""
    reply = client.send("POST", "/auth/sign-in", {"email": "john.doe@example.com", "password": "password"}, token="")
    cookies = reply.headers.get_all("Set-Cookie") or []
    return reply.data["token"], cookies[0].split(";")[0]


@scenario("logout-keeps-session", 401)
def use_session_after_logout(client: BackendClient) -> object:
    token, cookie = sign_in(client)
    client.send("POST", "/auth/logout", token=token)
    return client.send("GET", "/user", token="", headers={"Cookie": cookie}).status


@scenario("csrf-checked-for-post-only", 419)
def write_without_csrf_token(client: BackendClient) -> object:
    _, cookie = sign_in(client)
    return client.send("PUT", f"/agents/{FIRST}", {"name": "x"}, token="", headers={"Cookie": cookie}).status


# Writes

add_scenario("credentials-returned", False, lambda c: "credentials" in c.get("/accounts").data[0])
add_scenario("null-ignored-in-updates", None, lambda c: c.put(f"/providers/{FIRST}", {"website": None}).data["website"])
add_scenario(
    "empty-values-ignored-in-updates", "", lambda c: c.put(f"/agents/{FIRST}", {"description": ""}).data["description"]
)
add_scenario(
    "agent-metadata-replaced",
    "Welcome!",
    lambda c: c.put(f"/agents/{FIRST}", {"metadata": {"role": "x"}}).data["metadata"].get("greetings"),
)
add_scenario(
    "prompt-metadata-without-defaults",
    "gpt-4",
    lambda c: c.create("prompts", name="a", content="b", metadata={"temperature": 1})["metadata"].get(
        "large_language_model"
    ),
)
add_scenario("content-truncated-at-64k", 90000, lambda c: len(create_message(c, "x" * 90000)["content"]))
add_scenario("length-in-bytes", 201, lambda c: c.post("/threads", {"name": "\u00e9" * 255}).status)
add_scenario("content-html-escaped", "a < b & c", lambda c: create_message(c, "a < b & c")["content"])
add_scenario("strips-four-byte-characters", "Hi \U0001f44b", lambda c: create_message(c, "Hi \U0001f44b")["content"])
add_scenario(
    "message-role-not-validated", 422, lambda c: c.post("/messages", build_message(c) | {"role": "robot"}).status
)
add_scenario(
    "provider-private-by-default", "workspace", lambda c: c.create("providers", name="a", slug="b")["visibility"]
)
add_scenario("empty-prompt-content-accepted", 422, lambda c: c.post("/prompts", {"name": "a", "content": ""}).status)
add_scenario("unknown-agent-of-thread-ignored", 404, lambda c: c.post("/threads", {"agent_uuid": UNKNOWN}).status)
add_scenario("thread-created-with-200", 201, lambda c: c.post("/threads", {}).status)
add_scenario("quote-in-path-fails", 404, lambda c: c.get("/accounts/it's").status)
add_scenario("empty-objects-become-lists", {}, lambda c: c.create("workflows", name="a", settings={})["settings"])
add_scenario("numeric-strings-as-numbers", "007", lambda c: c.create("threads", name="007")["name"])
add_scenario("first-error-only", 2, lambda c: len(c.post("/prompts", {}).body["errors"]))
add_scenario("unknown-path-returns-html", "application/json", lambda c: c.get("/nothing").headers["Content-Type"])
add_scenario(
    "errors-without-content-type", "application/json", lambda c: c.post("/prompts", {}).headers["Content-Type"]
)
add_scenario(
    "update-ignores-malformed-json",
    400,
    lambda c: c.send("PUT", f"/agents/{FIRST}", raw=b'{"name": ').status,
)
add_scenario(
    "temperature-rounded",
    0.75,
    lambda c: c.put(f"/prompts/{c.list_all('/prompts')[0]['uuid']}", {"metadata": {"temperature": 0.75}}).data[
        "metadata"
    ]["temperature"],
)


def build_message(client: BackendClient, content: str = "Hello") -> dict[str, Any]:
    """Return a valid body for a new message."""
    return {"thread_uuid": client.list_all("/threads")[0]["uuid"], "content": content}


def create_message(client: BackendClient, content: str) -> dict[str, Any]:
    """Create a message and retrieve it."""
    uuid = client.create("messages", **build_message(client, content))["uuid"]
    return dict(client.get(f"/messages/{uuid}").data)


@scenario("updated-at-kept-by-message-update", True)
def update_message(client: BackendClient) -> object:
    before = client.create("messages", **build_message(client))
    return client.put(f"/messages/{before['uuid']}", {"content": "Bye"}).data["updated_at"] > before["updated_at"]


@scenario("workflow-touched-when-read", True)
def read_workflow_twice(client: BackendClient) -> object:
    client.get(f"/workflows/{FIRST}")
    first = client.get(f"/workflows/{FIRST}").data["updated_at"]
    return client.get(f"/workflows/{FIRST}").data["updated_at"] == first


@scenario("tools-added-instead-of-replaced", 1)
def replace_tools(client: BackendClient) -> object:
    agent = client.uuid("agents", "Legal Reviewer", JOHN)
    tool = client.get(f"/agents/{agent}").data["tools"][0]["uuid"]
    return client.put(f"/agents/{agent}", {"tool_uuids": [tool]}).data["tools_count"]


@scenario("agent-of-thread-cannot-be-removed", None)
def remove_agent(client: BackendClient) -> object:
    uuid = client.create("threads", agent_uuid=FIRST)["uuid"]
    return client.put(f"/threads/{uuid}", {"agent_uuid": None}).data["agent"]


@scenario("workspace-cached-for-all-users", [True, False])
def retrieve_workspace_as_two_users(client: BackendClient) -> object:
    return [client.get(f"/workspaces/{FIRST}", token).data["is_owner"] for token in (JOHN, NOOR)]


@scenario("message-stored-before-files-are-validated", [422, True])
def create_invalid_message(client: BackendClient) -> object:
    before = client.get("/messages").total
    status = client.post("/messages", build_message(client) | {"files": [{"key": "a"}]}).status
    return [status, client.get("/messages").total == before]


@scenario("explicit-false-replaced-by-default", False)
def forbid_cloning(client: BackendClient) -> object:
    workflow = client.create("workflows", name="a", allow_cloning=False)["uuid"]
    return client.create("workflow-executions", workflow_uuid=workflow)["workflow"]["allow_cloning"]


@scenario("booleans-as-integers", True)
def embed_favorite(client: BackendClient) -> object:
    favorite = client.get("/workflow-executions").data[0]["workflow"]["is_favorite"]
    return isinstance(favorite, bool)


# Deletion

add_scenario(
    "provider-delete-removes-accounts",
    409,
    lambda c: c.delete(f"/providers/{c.uuid('providers', 'Slack', JOHN)}").status,
)


@scenario("agent-delete-keeps-memories", 404)
def delete_agent(client: BackendClient) -> object:
    memory = client.list_all(f"/memories?agent_uuid={FIRST}")[0]["uuid"]
    client.delete(f"/agents/{FIRST}")
    return client.get(f"/memories/{memory}").status


@scenario("task-delete-removes-execution", 200)
def delete_task(client: BackendClient) -> object:
    execution = client.create("workflow-executions", workflow_uuid=FIRST)["uuid"]
    task = client.create("command-room-tasks", taskable_type="workflow_execution", taskable_uuid=execution, title="x")[
        "uuid"
    ]
    client.delete(f"/command-room-tasks/{task}")
    return client.get(f"/workflow-executions/{execution}").status


@scenario("second-delete-succeeds", [204, 404])
def delete_twice(client: BackendClient) -> object:
    uuid = client.list_all("/memories")[0]["uuid"]
    return [client.delete(f"/memories/{uuid}").status for _ in range(2)]


# Workflows and executions

add_scenario(
    "execution-status-writable",
    "pending",
    lambda c: c.put(f"/workflow-executions/{create_execution(c)['uuid']}", {"status": "completed"}).data["status"],
)
add_scenario(
    "stop-keeps-is-finished",
    True,
    lambda c: c.send("POST", f"/workflow-executions/{create_execution(c)['uuid']}/stop").data["is_finished"],
)
add_scenario(
    "offset-of-time-ignored",
    "2030-01-01T08:00:00",
    lambda c: c.put(
        f"/workflow-executions/{create_execution(c)['uuid']}", {"wait_till": "2030-01-01T10:00:00+02:00"}
    ).data["wait_till"][:19],
)
add_scenario(
    "webhook-runs-inactive-workflow",
    409,
    lambda c: c.post(f"/workflows/{c.uuid('workflows', 'Lead Processing', JOHN)}/webhook", {}).status,
)


def create_execution(client: BackendClient) -> dict[str, Any]:
    """Create an execution and return it."""
    return client.create("workflow-executions", workflow_uuid=FIRST)


@scenario("finished-execution-can-be-stopped", [200, 409])
def stop_twice(client: BackendClient) -> object:
    uuid = create_execution(client)["uuid"]
    return [client.send("POST", f"/workflow-executions/{uuid}/stop").status for _ in range(2)]


@scenario("execution-id-reused", True)
def create_after_delete(client: BackendClient) -> object:
    first = create_execution(client)
    client.delete(f"/workflow-executions/{first['uuid']}")
    return bool(create_execution(client)["id"] != first["id"])


@scenario("trigger-count-ignores-webhooks", 1)
def trigger_webhook(client: BackendClient) -> object:
    uuid = client.create("workflows", name="a")["uuid"]
    client.post(f"/workflows/{uuid}/webhook", {"a": 1})
    return client.get(f"/workflows/{uuid}").data["trigger_count"]


@scenario("completed-count-includes-stopped", 0)
def stop_execution(client: BackendClient) -> object:
    workflow = client.create("workflows", name="a")["uuid"]
    uuid = client.create("workflow-executions", workflow_uuid=workflow)["uuid"]
    reply = client.send("POST", f"/workflow-executions/{uuid}/stop")
    return reply.data["workflow"]["executions_completed_count"]


@scenario("execution-total-without-waiting", True)
def count_executions(client: BackendClient) -> object:
    counts = client.get("/workflow-executions/count").data
    return counts.pop("total") == sum(counts.values())


# Metrics and actions

add_scenario(
    "message-metrics-of-all-tenants",
    True,
    lambda c: (
        c.post("/messages/metrics", {"calculation": "accumulated_count"}).body["total"] == c.get("/messages").total
    ),
)
add_scenario(
    "empty-periods-omitted",
    30,
    lambda c: len(
        c.post(
            "/threads/metrics",
            {"calculation": "time_series_count", "date_from": "2024-06-01", "date_to": "2024-06-30"},
        ).data
    ),
)
add_scenario(
    "leaderboard-limited-before-ranking",
    True,
    lambda c: (
        c.get("/agents/leaderboard?limit=1").data[0]["score"] == c.get("/agents/leaderboard?limit=100").data[0]["score"]
    ),
)


@scenario("metrics-property-ignored", True)
def sum_output_tokens(client: BackendClient) -> object:
    sums = {
        name: client.post(
            "/messages/metrics", {"calculation": "accumulated_sum", "property": f"metadata.tokens.{name}"}
        ).body["total"]
        for name in ("input", "output", "total")
    }
    return bool(sums["input"] + sums["output"] == sums["total"])


@scenario("variable-values-as-replacement-pattern", "It costs $10.")
def run_prompt(client: BackendClient) -> object:
    uuid = client.create("prompts", name="a", content="It costs {{price}}.")["uuid"]
    return client.post(f"/prompts/{uuid}/run", {"variables": {"price": "$10"}}).data["prompt"]


@scenario("agent-runs-not-counted", 1)
def run_agent(client: BackendClient) -> object:
    uuid = client.create("agents", name="a")["uuid"]
    client.post(f"/agents/{uuid}/run", {"content": "Hello"})
    return client.get(f"/agents/{uuid}").data["usage_count"]


@scenario("total-tokens-without-output", True)
def add_tokens(client: BackendClient) -> object:
    tokens = client.post(f"/agents/{FIRST}/run", {"content": "Hello"}).data["answer"]["metadata"]["tokens"]
    return bool(tokens["total"] == tokens["input"] + tokens["output"])


@scenario("generated-name-not-saved", True)
def generate_name(client: BackendClient) -> object:
    uuid = client.list_all("/threads")[0]["uuid"]
    name = client.send("POST", f"/threads/{uuid}/generate-name").data["name"]
    return client.get(f"/threads/{uuid}").data["name"] == name


@scenario("trained-urls-have-type-text", ["text", "url"])
def train_agent(client: BackendClient) -> object:
    reply = client.post(f"/agents/{FIRST}/train", {"texts": ["a"], "urls": ["https://example.com"]})
    return [memory["type"] for memory in reply.data]


# Round 2: authentication, users and workspaces


@scenario("logout-ends-all-sign-ins", 200)
def use_second_token_after_logout(client: BackendClient) -> object:
    first, second = sign_in(client)[0], sign_in(client)[0]
    client.send("POST", "/auth/logout", token=first)
    return client.get("/user", second).status


@scenario("csrf-cookie-http-only", ["athena_session"])
def list_http_only_cookies(client: BackendClient) -> object:
    reply = client.send("POST", "/auth/sign-in", {"email": "john.doe@example.com", "password": "password"}, token="")
    cookies = reply.headers.get_all("Set-Cookie") or []
    return [cookie.split("=")[0] for cookie in cookies if "httponly" in cookie.lower()]


add_scenario(
    "invalid-session-blocks-token",
    200,
    lambda c: c.send("GET", "/user", headers={"Cookie": "athena_session=ended"}).status,
)
add_scenario("user-touched-by-each-request", 1, lambda c: len({c.get("/user").data["updated_at"] for _ in range(2)}))
add_scenario(
    "workspace-metadata-lists-appended",
    ["notion"],
    lambda c: c.put(f"/workspaces/{FIRST}", {"metadata": {"tools": ["notion"]}}).data["metadata"]["tools"],
)
add_scenario(
    "workspace-slug-follows-name",
    "my-ai-workspace",
    lambda c: c.put(f"/workspaces/{FIRST}", {"name": "Our Workspace"}).data["slug"],
)


@scenario("share-metric-of-all-types", True)
def compare_share_metric(client: BackendClient) -> object:
    agents = client.list_all(f"/agents?workspace_uuid={FIRST}&with=shares")
    path = f"/workspaces/metrics?workspace_uuid={FIRST}&entity=agents&metric=shares"
    return client.get(path).data["total"] == sum(len(agent["shares"]) for agent in agents)


# Round 2: providers and accounts

add_scenario(
    "members-may-delete-provider",
    403,
    lambda c: c.delete(f"/providers/{c.uuid('providers', 'Old CRM', NOOR)}", NOOR).status,
)
add_scenario(
    "provider-slug-normalized", "Open_AI", lambda c: c.create("providers", name="OpenAI", slug="Open_AI")["slug"]
)
add_scenario(
    "workspace-filter-keeps-public-providers",
    False,
    lambda c: "Anthropic" in {provider["name"] for provider in c.list_all(f"/providers?workspace_uuid={FIRST}")},
)
add_scenario(
    "accounts-sorted-by-provider-name",
    True,
    lambda c: is_sorted(
        [account["provider_display_name"] for account in c.list_all("/accounts?sort_by=provider_display_name")]
    ),
)


@scenario("account-update-changes-provider", FIRST)
def update_provider_of_account(client: BackendClient) -> object:
    account = client.create("accounts", provider_uuid=FIRST, provider_display_name="Ours")["uuid"]
    slack = client.uuid("providers", "Slack", JOHN)
    return client.put(f"/accounts/{account}", {"provider_uuid": slack}).data["provider"]["uuid"]


# Round 2: agents


@scenario("last-used-at-is-first-run", True)
def run_agent_again(client: BackendClient) -> object:
    agent = client.uuid("agents", "Sales Coach", JOHN)
    before = client.get(f"/agents/{agent}").data["last_used_at"]
    client.post(f"/agents/{agent}/run", {"content": "Hello"})
    return client.get(f"/agents/{agent}").data["last_used_at"] > before


@scenario("workspace-owner-is-agent-owner", 123)
def embed_owner_of_workspace(client: BackendClient) -> object:
    agent = client.uuid("agents", "Legal Reviewer", JOHN)
    return client.get(f"/agents/{agent}?with=workspace.user").data["workspace"]["user"]["id"]


@scenario("second-share-replaces-first", 2)
def share_with_two_users(client: BackendClient) -> object:
    for user in (124, 125):
        client.post(f"/agents/{FIRST}/share", {"entity_type": "user", "entity_id": user})
    return len(client.get(f"/agents/{FIRST}?with=shares").data["shares"])


@scenario("agent-delete-removes-workflow-shares", 200)
def delete_agent_with_number_of_workflow(client: BackendClient) -> object:
    workflow = client.uuid("workflows", "Daily Summary", JANE)
    client.delete(f"/agents/{client.uuid('agents', 'Sales Coach', JOHN)}")
    return client.get(f"/workflows/{workflow}", JANE).status


add_scenario(
    "shared-filter-ignores-workspaces",
    True,
    lambda c: "Travel Planner" in {agent["name"] for agent in c.list_all("/agents?is_shared=true")},
)
add_scenario(
    "agent-runs-in-foreign-thread",
    404,
    lambda c: (
        c.post(
            f"/agents/{FIRST}/run", {"content": "Hello", "thread_uuid": c.list_all("/threads", JANE)[0]["uuid"]}
        ).status
    ),
)

# Round 2: workflows and executions


@scenario("workflow-update-deactivates", True)
def rename_workflow(client: BackendClient) -> object:
    return client.put(f"/workflows/{FIRST}", {"name": "Onboarding"}).data["is_active"]


@scenario("deleted-workflow-keeps-executions", [404, 404])
def delete_workflow(client: BackendClient) -> object:
    workflow = client.create("workflows", name="a")["uuid"]
    execution = client.create("workflow-executions", workflow_uuid=workflow)["uuid"]
    client.delete(f"/workflows/{workflow}")
    return [client.get(path).status for path in (f"/workflows/{workflow}", f"/workflow-executions/{execution}")]


@scenario("executions-limited-across-workflows", True)
def embed_executions(client: BackendClient) -> object:
    workflows = client.list_all("/workflows?with=executions")
    return all(len(workflow["executions"]) == workflow["trigger_count"] for workflow in workflows)


@scenario("in-progress-without-pending", 1)
def count_executions_in_progress(client: BackendClient) -> object:
    workflow = client.create("workflows", name="a")["uuid"]
    execution = client.create("workflow-executions", workflow_uuid=workflow)
    return execution["workflow"]["executions_in_progress_count"]


@scenario("patch-returns-old-values", "retry")
def patch_execution(client: BackendClient) -> object:
    return client.send("PATCH", f"/workflow-executions/{create_execution(client)['uuid']}", {"mode": "retry"}).data[
        "mode"
    ]


@scenario("date-from-uses-start-time", True)
def filter_pending_from_today(client: BackendClient) -> object:
    uuid = create_execution(client)["uuid"]
    return uuid in {row["uuid"] for row in client.list_all(f"/workflow-executions?date_from={format_today()}")}


@scenario("stopped-at-missing-for-pending", True)
def stop_pending_execution(client: BackendClient) -> object:
    reply = client.send("POST", f"/workflow-executions/{create_execution(client)['uuid']}/stop")
    return reply.data["stopped_at"] is not None


@scenario("human-review-not-stored", True)
def require_human_review(client: BackendClient) -> object:
    path = "/workflow-executions/count?requires_human_review=true"
    before = client.get(path).data["total"]
    client.put(f"/workflow-executions/{create_execution(client)['uuid']}", {"requires_human_review": True})
    return client.get(path).data["total"] == before + 1


@scenario("deleted-executions-counted", [404, 0])
def delete_execution(client: BackendClient) -> object:
    workflow = client.create("workflows", name="a")["uuid"]
    execution = client.create("workflow-executions", workflow_uuid=workflow)["uuid"]
    client.delete(f"/workflow-executions/{execution}")
    status = client.get(f"/workflow-executions/{execution}").status
    return [status, client.get(f"/workflows/{workflow}").data["trigger_count"]]


@scenario("stop-ends-all-executions-of-workflow", "pending")
def stop_one_of_two_executions(client: BackendClient) -> object:
    first, second = create_execution(client)["uuid"], create_execution(client)["uuid"]
    client.send("POST", f"/workflow-executions/{first}/stop")
    return client.get(f"/workflow-executions/{second}").data["status"]


# Round 2: prompts, memories and threads

add_scenario(
    "prompt-owner-filter-uses-workspace",
    {125},
    lambda c: {prompt["user"]["id"] for prompt in c.list_all("/prompts?user_id=125&with=user")},
)


@scenario("repeated-variable-filled-once", "tea or more tea")
def run_prompt_with_repeated_variable(client: BackendClient) -> object:
    uuid = client.create("prompts", name="Offer", content="{{drink}} or more {{drink}}")["uuid"]
    return client.post(f"/prompts/{uuid}/run", {"variables": {"drink": "tea"}}).data["prompt"]


add_scenario(
    "prompt-name-unique",
    [201, 201],
    lambda c: [c.post("/prompts", {"name": "Weekly report", "content": "a"}).status for _ in range(2)],
)


@scenario("memory-update-clears-source", "https://example.com/help")
def update_memory(client: BackendClient) -> object:
    memory = client.list_all("/memories?type=url")[0]["uuid"]
    return client.put(f"/memories/{memory}", {"content": "New help page"}).data["source"]


add_scenario(
    "memories-of-shared-agents-visible",
    0,
    lambda c: c.get(f"/memories?agent_uuid={c.uuid('agents', 'Sales Coach', JANE)}", JANE).total,
)
add_scenario(
    "memories-without-agent-dropped", True, lambda c: c.get("/memories?with=agent").total == c.get("/memories").total
)


@scenario("thread-update-accepts-foreign-agent", 404)
def update_agent_of_thread(client: BackendClient) -> object:
    agent = client.uuid("agents", "Bookkeeper", JANE)
    thread = client.create("threads")["uuid"]
    return client.put(f"/threads/{thread}", {"agent_uuid": agent}).status


@scenario("nested-relations-of-thread-ignored", True)
def embed_tools_of_agent(client: BackendClient) -> object:
    thread = client.create("threads", agent_uuid=FIRST)["uuid"]
    return "tools" in client.get(f"/threads/{thread}?with=agent.tools").data["agent"]


# Round 2: lists, messages, language models, tasks and metrics

add_scenario(
    "page-after-last-clamped",
    [9, 0],
    lambda c: [c.get("/threads?page=9").body["meta"]["current_page"], len(c.get("/threads?page=9").data)],
)
add_scenario(
    "search-in-first-characters-only",
    1,
    lambda c: c.get(f"/messages?search={create_message(c, 'word ' * 60 + 'pineapple')['content'][-9:]}").total,
)
add_scenario("temperature-as-text", 0.7, lambda c: create_message(c, "Hello")["metadata"]["temperature"])
add_scenario(
    "only-first-file-attached",
    ["a.txt", "b.txt"],
    lambda c: [row["attachable"]["file_name"] for row in create_message_with_files(c)["attachments"]],
)


def create_message_with_files(client: BackendClient) -> dict[str, Any]:
    """Create a message with two files and return it."""
    files = [{"key": f"uploads/{name}", "name": name} for name in ("a.txt", "b.txt")]
    return client.create("messages", **build_message(client), files=files)


@scenario("messages-repeated-for-attachments", True)
def list_messages_with_attachments(client: BackendClient) -> object:
    create_message_with_files(client)
    return client.get("/messages?with=attachments").total == client.get("/messages").total


add_scenario(
    "disabled-model-not-found",
    200,
    lambda c: c.get(f"/large-language-models/{c.uuid('large-language-models', 'Llama 2', JOHN)}").status,
)
add_scenario(
    "model-list-cached-without-filters",
    [{True}, {False}],
    lambda c: [
        {model["is_enabled"] for model in c.list_all(f"/large-language-models?is_enabled={value}")}
        for value in ("true", "false")
    ],
)
add_scenario(
    "taskable-type-shortened",
    "workflow_execution",
    lambda c: c.create(
        "command-room-tasks",
        taskable_type="workflow_execution",
        taskable_uuid=create_execution(c)["uuid"],
        title="Look at it",
    )["taskable_type"],
)


@scenario("task-delete-removes-siblings", [204, 204])
def delete_two_tasks(client: BackendClient) -> object:
    tasks = [
        client.create("command-room-tasks", taskable_type="agent", taskable_uuid=FIRST, title=title)["uuid"]
        for title in ("Check the greeting", "Check the tone")
    ]
    return [client.delete(f"/command-room-tasks/{task}").status for task in tasks]


def compute_series(client: BackendClient, collection: str, **options: object) -> Any:
    """Return the body of a time series."""
    return client.post(f"/{collection}/metrics", {"calculation": "time_series_count"} | options).body


@scenario("last-period-excluded", 1)
def count_threads_of_today(client: BackendClient) -> object:
    before = compute_series(client, "threads")["data"][-1]
    client.create("threads")
    after = compute_series(client, "threads")["data"][-1]
    return after["value"] - before["value"]


add_scenario(
    "month-end-overflows",
    ["2024-01-01", "2024-02-01", "2024-03-01"],
    lambda c: [
        point["date"]
        for point in compute_series(c, "threads", granularity="monthly", date_from="2024-01-31", date_to="2024-03-20")[
            "data"
        ]
    ],
)


@scenario("series-total-truncated", True)
def add_temperatures(client: BackendClient) -> object:
    client.create("threads", metadata={"temperature": 0.45})
    body = compute_series(client, "threads", calculation="time_series_sum", property="metadata.temperature")
    return abs(body["total"] - sum(point["value"] for point in body["data"])) < 0.001


# Round 3: writes

add_scenario(
    "message-content-trimmed",
    "  indented\n",
    lambda c: c.get(f"/messages/{create_message(c, '  indented' + chr(10))['uuid']}").data["content"],
)
add_scenario(
    "empty-source-becomes-null",
    "",
    lambda c: c.put(f"/memories/{c.list_all('/memories?type=url')[0]['uuid']}", {"source": ""}).data["source"],
)


@scenario("thread-metadata-update-restores-defaults", 1.5)
def update_model_of_thread(client: BackendClient) -> object:
    thread = client.create("threads", metadata={"temperature": 1.5})["uuid"]
    return client.put(f"/threads/{thread}", {"metadata": {"model": "claude"}}).data["metadata"]["temperature"]


add_scenario(
    "zero-temperature-replaced-by-default",
    0,
    lambda c: c.create("prompts", name="a", content="b", metadata={"temperature": 0})["metadata"]["temperature"],
)


@scenario("agent-update-partly-applied", [404, "Before"])
def update_agent_with_unknown_tool(client: BackendClient) -> object:
    agent = client.create("agents", name="Before")["uuid"]
    status = client.put(f"/agents/{agent}", {"name": "After", "tool_uuids": [UNKNOWN]}).status
    return [status, client.get(f"/agents/{agent}").data["name"]]


add_scenario(
    "node-parameters-dropped",
    [{"id": "mail", "type": "email", "parameters": {"to": "team"}}],
    lambda c: c.create("workflows", name="a", nodes=[{"id": "mail", "type": "email", "parameters": {"to": "team"}}])[
        "nodes"
    ],
)


@scenario("agent-links-update-keeps-updated-at", True)
def remove_tools_of_agent(client: BackendClient) -> object:
    agent = client.uuid("agents", "Legal Reviewer", JOHN)
    before = client.get(f"/agents/{agent}").data["updated_at"]
    return client.put(f"/agents/{agent}", {"tool_uuids": []}).data["updated_at"] > before


@scenario("second-account-replaces-first", ["First", "Second"])
def connect_twice(client: BackendClient) -> object:
    provider = client.create("providers", name="a", slug="a")["uuid"]
    names = ("First", "Second")
    accounts = [client.create("accounts", provider_uuid=provider, provider_display_name=name)["uuid"] for name in names]
    return [client.get(f"/accounts/{account}").data["provider_display_name"] for account in accounts]


# Round 3: lists


@scenario("last-item-beyond-total", True)
def compare_last_item(client: BackendClient) -> object:
    meta = client.get("/memories?per_page=100").body["meta"]
    return meta["to"] == meta["total"]


@scenario("category-filter-requires-all", True)
def filter_by_two_categories(client: BackendClient) -> object:
    category = "7d3c2a10-0000-4000-8000-000000000009"
    client.create("agents", name="a", category_uuids=[category])
    return client.get(f"/agents?category_uuids={category}&category_uuids={UNKNOWN}").total == 1


add_scenario("workflow-total-ignores-search", 1, lambda c: c.get("/workflows?search=invoice").total)


@scenario("threads-sorted-by-creation", True)
def sort_threads_by_update(client: BackendClient) -> object:
    oldest = client.list_all("/threads?sort_by=created_at")[0]["uuid"]
    client.put(f"/threads/{oldest}", {"name": "Changed"})
    return bool(client.list_all("/threads?sort_by=updated_at")[-1]["uuid"] == oldest)


add_scenario("message-search-finds-any-word", 0, lambda c: c.get("/messages?search=arrive%20lamp").total)
add_scenario("search-for-zero-ignored", 0, lambda c: c.get("/large-language-models?search=0").total)


@scenario("execution-counts-cached", 1)
def count_before_and_after_create(client: BackendClient) -> object:
    before = client.get("/workflow-executions/count").data["total"]
    create_execution(client)
    return client.get("/workflow-executions/count").data["total"] - before


# Round 3: relations


@scenario("thread-update-returns-old-agent", FIRST)
def set_agent_of_thread(client: BackendClient) -> object:
    agent = client.put(f"/threads/{client.create('threads')['uuid']}", {"agent_uuid": FIRST}).data["agent"]
    return agent["uuid"]


add_scenario(
    "provider-user-is-caller",
    124,
    lambda c: c.get(f"/providers/{c.uuid('providers', 'Anthropic', JOHN)}").data["user"]["id"],
)


@scenario("threads-count-not-decremented", 0)
def delete_thread_of_agent(client: BackendClient) -> object:
    agent = client.create("agents", name="a")["uuid"]
    client.delete(f"/threads/{client.create('threads', agent_uuid=agent)['uuid']}")
    return client.get(f"/agents/{agent}").data["threads_count"]


@scenario("account-delete-removes-provider", [204, 200])
def delete_only_account_of_provider(client: BackendClient) -> object:
    provider = client.create("providers", name="a", slug="a")["uuid"]
    account = client.create("accounts", provider_uuid=provider, provider_display_name="a")["uuid"]
    return [client.delete(f"/accounts/{account}").status, client.get(f"/providers/{provider}").status]


add_scenario(
    "with-ignored-for-single-memory",
    True,
    lambda c: "agent" in c.get(f"/memories/{c.list_all('/memories')[0]['uuid']}?with=agent").data,
)


@scenario("message-shows-attachments-of-thread", [2, 0])
def create_message_after_files(client: BackendClient) -> object:
    thread = client.create("threads")["uuid"]
    files = [{"key": f"uploads/{name}", "name": name} for name in ("a.txt", "b.txt")]
    first = client.create("messages", thread_uuid=thread, content="With files", files=files)
    second = client.create("messages", thread_uuid=thread, content="Without files")
    return [len(message["attachments"]) for message in (first, second)]


# Round 3: access


@scenario("foreign-task-can-be-deleted", 404)
def delete_foreign_task(client: BackendClient) -> object:
    task = client.create("command-room-tasks", taskable_type="agent", taskable_uuid=FIRST, title="Check it")["uuid"]
    return client.delete(f"/command-room-tasks/{task}", JANE).status


add_scenario(
    "foreign-execution-can-be-stopped",
    404,
    lambda c: c.send("POST", f"/workflow-executions/{create_execution(c)['uuid']}/stop", token=JANE).status,
)
add_scenario(
    "provider-owner-from-body",
    123,
    lambda c: c.create("providers", name="a", slug="a", user_id=125)["user"]["id"],
)
add_scenario(
    "account-of-hidden-provider",
    404,
    lambda c: (
        c.post(
            "/accounts", {"provider_uuid": c.uuid("providers", "Zoom", JANE), "provider_display_name": "Ours"}
        ).status
    ),
)
add_scenario(
    "foreign-prompt-returns-403",
    404,
    lambda c: c.get(f"/prompts/{c.list_all('/prompts', JANE)[0]['uuid']}").status,
)
add_scenario(
    "leaderboard-of-any-workspace",
    [],
    lambda c: c.get(f"/agents/leaderboard?workspace_uuid={FIRST}", JANE).data,
)


# Round 3: validation

add_scenario("agent-name-emptied-by-update", 422, lambda c: c.put(f"/agents/{FIRST}", {"name": ""}).status)
add_scenario("null-description-fails", 422, lambda c: c.put(f"/workflows/{FIRST}", {"description": None}).status)
add_scenario(
    "longest-provider-name-rejected", 201, lambda c: c.post("/providers", {"name": "x" * 255, "slug": "a"}).status
)
add_scenario("impossible-date-accepted", 422, lambda c: c.get("/workflow-executions?date_from=2024-02-30").status)
add_scenario("integer-accepted-as-boolean", 422, lambda c: c.put(f"/workspaces/{FIRST}", {"is_onboarded": 1}).status)

# Round 3: actions, metrics and HTTP


@scenario("write-share-may-share-workflow", 403)
def share_workflow_of_other_tenant(client: BackendClient) -> object:
    workflow = client.uuid("workflows", "Invoice Import", JANE)
    return client.post(f"/workflows/{workflow}/share", {"entity_type": "user", "entity_id": 126}, JANE).status


add_scenario(
    "unknown-email-returns-404",
    401,
    lambda c: (
        c.send("POST", "/auth/sign-in", {"email": "unknown@example.com", "password": "password"}, token="").status
    ),
)


@scenario("waiting-execution-cannot-be-stopped", 200)
def stop_waiting_execution(client: BackendClient) -> object:
    uuid = client.list_all(f"/workflow-executions?status=waiting&workspace_uuid={FIRST}")[0]["uuid"]
    return client.send("POST", f"/workflow-executions/{uuid}/stop").status


@scenario("agent-run-ignores-thread", True)
def run_agent_in_thread(client: BackendClient) -> object:
    thread = client.create("threads", agent_uuid=FIRST)["uuid"]
    reply = client.post(f"/agents/{FIRST}/run", {"content": "Hello", "thread_uuid": thread})
    return bool(reply.data["thread"]["uuid"] == thread)


@scenario("series-ignores-status", True)
def count_pending_executions_by_day(client: BackendClient) -> object:
    body = compute_series(client, "workflow-executions", status="pending")
    return sum(point["value"] for point in body["data"]) == body["total"]


@scenario("total-of-shown-groups", True)
def limit_groups(client: BackendClient) -> object:
    path = f"/workspaces/metrics?workspace_uuid={FIRST}&entity=agents&metric=created"
    return client.get(f"{path}&group_by=user&limit=1").data["total"] == client.get(path).data["total"]


add_scenario(
    "charset-of-content-type-rejected",
    201,
    lambda c: c.send("POST", "/threads", {}, headers={"Content-Type": "application/json; charset=utf-8"}).status,
)
add_scenario("unauthenticated-request-redirected", 401, lambda c: c.get("/agents", "").status)


# Round 4: authentication, tenants and sharing


@scenario("revoked-token-cached", 401)
def use_token_after_logout(client: BackendClient) -> object:
    token = sign_in(client)[0]
    client.get("/user", token)
    client.send("POST", "/auth/logout", token=token)
    return client.get("/user", token).status


@scenario("token-expires-at-sign-in", True)
def compare_expiry_with_time(client: BackendClient) -> object:
    reply = client.send("POST", "/auth/sign-in", {"email": "john.doe@example.com", "password": "password"}, token="")
    return bool(reply.data["expires_at"][:19] > datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"))


add_scenario("primary-workspace-delete-fails", 409, lambda c: c.delete(f"/workspaces/{FIRST}").status)
add_scenario(
    "public-agents-visible-to-all",
    False,
    lambda c: "Recruiter" in {agent["name"] for agent in c.list_all("/agents", JANE)},
)
add_scenario(
    "read-share-cannot-run-agent",
    200,
    lambda c: c.post(f"/agents/{c.uuid('agents', 'Sales Coach', JANE)}/run", {"content": "Hello"}, JANE).status,
)


@scenario("run-of-shared-agent-hides-thread", 200)
def retrieve_thread_of_shared_agent(client: BackendClient) -> object:
    agent = client.uuid("agents", "Travel Planner", JANE)
    thread = client.post(f"/agents/{agent}/run", {"content": "Hello"}, JANE).data["thread"]["uuid"]
    return client.get(f"/threads/{thread}", JANE).status


@scenario("repeated-share-keeps-permission", ["read", "write"])
def share_again_with_other_permission(client: BackendClient) -> object:
    recipient = {"entity_type": "user", "entity_id": 124}
    return [
        client.post(f"/agents/{FIRST}/share", recipient | {"permission": permission}).data["permission"]
        for permission in ("read", "write")
    ]


@scenario("executions-of-shared-workflow-hidden", True)
def list_executions_of_shared_workflow(client: BackendClient) -> object:
    workflow = client.uuid("workflows", "Daily Summary", JANE)
    total = client.get(f"/workflow-executions?workflow_uuid={workflow}", JANE).total
    return bool(total == client.get(f"/workflows/{workflow}", JANE).data["trigger_count"])


# Round 4: providers, accounts and agents

add_scenario(
    "provider-delete-checks-own-accounts",
    409,
    lambda c: c.delete(f"/providers/{c.uuid('providers', 'Anthropic', JANE)}", JANE).status,
)


@scenario("account-filters-exclude-each-other", {"Slack"})
def filter_accounts_twice(client: BackendClient) -> object:
    slack = client.uuid("providers", "Slack", JOHN)
    accounts = client.list_all(f"/accounts?workspace_uuid={FIRST}&provider_uuid={slack}")
    return {account["provider"]["name"] for account in accounts}


@scenario("account-list-providers-by-position", True)
def compare_providers_of_list(client: BackendClient) -> object:
    return all(
        account["provider"]["uuid"] == client.get(f"/accounts/{account['uuid']}").data["provider"]["uuid"]
        for account in client.list_all("/accounts")
    )


@scenario("agent-duration-multiplied-by-threads", 500)
def add_durations_of_two_runs(client: BackendClient) -> object:
    agent = client.create("agents", name="Stopwatch")["uuid"]
    for _ in range(2):
        client.post(f"/agents/{agent}/run", {"content": "Hello"})
    return client.get("/agents?search=stopwatch&with_metrics=true").data[0]["metrics"]["total_duration_ms"]


@scenario("users-count-not-distinct", 1)
def count_users_of_two_runs(client: BackendClient) -> object:
    agent = client.create("agents", name="a")["uuid"]
    for _ in range(2):
        client.post(f"/agents/{agent}/run", {"content": "Hello"})
    ranked = client.get("/agents/leaderboard?limit=100").data
    return next(entry["users_count"] for entry in ranked if entry["agent"]["uuid"] == agent)


@scenario("generated-agent-in-primary-workspace", True)
def generate_agent_in_workspace(client: BackendClient) -> object:
    workspace = client.uuid("workspaces", "Research Lab", JOHN)
    agent = client.post("/agents/generate", {"prompt": "A tutor", "workspace_uuid": workspace}).data
    return bool(agent["workspace"]["uuid"] == workspace)


add_scenario(
    "agent-instruction-tags-stripped",
    "Read <context> first.",
    lambda c: c.create("agents", name="a", instruction="Read <context> first.")["instruction"],
)

# Round 4: workflows and executions


@scenario("workflow-settings-merged", {"retries": 2})
def replace_settings(client: BackendClient) -> object:
    workflow = client.create("workflows", name="a", settings={"delay": 5})["uuid"]
    return client.put(f"/workflows/{workflow}", {"settings": {"retries": 2}}).data["settings"]


@scenario("workflow-of-agent-cannot-be-deleted", [204, 0])
def delete_workflow_of_agent(client: BackendClient) -> object:
    workflow = client.create("workflows", name="a")["uuid"]
    agent = client.create("agents", name="a", workflow_uuids=[workflow])["uuid"]
    status = client.delete(f"/workflows/{workflow}").status
    return [status, client.get(f"/agents/{agent}").data["workflows_count"]]


@scenario("execution-embeds-old-workflow-name", "After")
def rename_workflow_of_execution(client: BackendClient) -> object:
    workflow = client.create("workflows", name="Before")["uuid"]
    execution = client.create("workflow-executions", workflow_uuid=workflow)["uuid"]
    client.put(f"/workflows/{workflow}", {"name": "After"})
    return client.get(f"/workflow-executions/{execution}").data["workflow"]["name"]


@scenario("count-multiplai-id-uses-organization", True)
def count_executions_of_workspace(client: BackendClient) -> object:
    key = client.get(f"/workspaces/{FIRST}").data["multiplai_id"]
    return bool(client.get(f"/workflow-executions/count?multiplai_id={key}").data["total"] > 0)


add_scenario(
    "wait-till-loses-fraction",
    "2030-01-01T10:00:00.250000Z",
    lambda c: c.put(
        f"/workflow-executions/{create_execution(c)['uuid']}", {"wait_till": "2030-01-01T10:00:00.25Z"}
    ).data["wait_till"],
)


@scenario("patch-ignores-permission", 403)
def patch_execution_of_shared_workflow(client: BackendClient) -> object:
    workflow = client.uuid("workflows", "Daily Summary", JOHN)
    execution = client.list_all(f"/workflow-executions?workflow_uuid={workflow}")[0]["uuid"]
    return client.send("PATCH", f"/workflow-executions/{execution}", {"mode": "retry"}, token=JANE).status


# Round 4: prompts and memories


@scenario("lost-prompt-runs", 6)
def run_prompt_twice_at_once(client: BackendClient) -> object:
    prompt = client.create("prompts", name="a", content="b")["uuid"]
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            for run in [pool.submit(client.post, f"/prompts/{prompt}/run", {}) for _ in range(2)]:
                run.result()
    return client.get(f"/prompts/{prompt}").data["usage_count"]


add_scenario(
    "prompt-tags-sorted",
    ["sales", "mail"],
    lambda c: c.create("prompts", name="a", content="b", tags=["sales", "mail"])["tags"],
)


@scenario("private-prompts-of-others-not-listed", True)
def list_private_prompt_of_member(client: BackendClient) -> object:
    prompt = client.create("prompts", name="a", content="b", visibility="private")["uuid"]
    return prompt in {row["uuid"] for row in client.list_all("/prompts", NOOR)}


@scenario("last-used-at-without-zone", True)
def retrieve_prompt_after_run(client: BackendClient) -> object:
    prompt = client.create("prompts", name="a", content="b")["uuid"]
    client.post(f"/prompts/{prompt}/run", {})
    return bool(datetime.fromisoformat(client.get(f"/prompts/{prompt}").data["last_used_at"]).tzinfo)


add_scenario(
    "memories-of-primary-workspace-only",
    1,
    lambda c: c.get("/memories?search=lab%20closes").total,
)

# Round 4: threads, messages, language models and tasks


@scenario("update-changes-creator", 123)
def update_thread_as_member(client: BackendClient) -> object:
    thread = client.create("threads")["uuid"]
    client.put(f"/threads/{thread}", {"name": "Renamed"}, NOOR)
    return client.get(f"/threads/{thread}").data["creator"]["id"]


add_scenario(
    "run-without-agent-fails",
    200,
    lambda c: c.post(f"/threads/{c.create('threads')['uuid']}/run", {"content": "Hello"}).status,
)
add_scenario(
    "thread-metadata-not-validated", 422, lambda c: c.post("/threads", {"metadata": {"temperature": "hot"}}).status
)
add_scenario("line-breaks-normalized", "a\r\nb", lambda c: create_message(c, "a\r\nb")["content"])


@scenario("file-url-not-encoded", "https://example.com/storage/uploads/my%20file.txt")
def attach_file_with_space(client: BackendClient) -> object:
    files = [{"key": "uploads/my file.txt", "name": "my file.txt"}]
    message = client.create("messages", **build_message(client), files=files)
    return message["attachments"][0]["attachable"]["url"]


add_scenario("family-filter-matches-part", 0, lambda c: c.get("/large-language-models?family=gp").total)
add_scenario(
    "task-of-workflow-rejected",
    201,
    lambda c: (
        c.post("/command-room-tasks", {"taskable_type": "workflow", "taskable_uuid": FIRST, "title": "Check it"}).status
    ),
)

# Round 4: metrics


@scenario("metrics-date-range-requires-both", 0)
def count_threads_from_future_date(client: BackendClient) -> object:
    body = {"calculation": "accumulated_count", "date_from": "2999-01-01"}
    return client.post("/threads/metrics", body).body["total"]


@scenario("average-duration-in-seconds", True)
def compare_average_duration(client: BackendClient) -> object:
    sums = {
        name: client.post(
            "/workflow-executions/metrics", {"calculation": f"accumulated_{name}", "workspace_uuid": FIRST}
        ).body["total"]
        for name in ("sum", "count")
    }
    path = f"/workspaces/metrics?workspace_uuid={FIRST}&entity=workflows&metric=avg_duration"
    return abs(client.get(path).data["total"] - sums["sum"] / sums["count"]) < 0.001


# Round 4: lists, errors and HTTP


@scenario("validation-message-generic", True)
def compare_message_with_errors(client: BackendClient) -> object:
    body = client.post("/prompts", {}).body
    return bool(body["message"] == next(iter(body["errors"].values()))[0])


add_scenario("empty-parameter-rejected", 200, lambda c: c.get("/agents?workspace_uuid=&page=").status)
add_scenario("malformed-uuid-fails", 404, lambda c: c.get("/prompts/unknown").status)
add_scenario(
    "page-links-use-configured-host",
    True,
    lambda c: c.get("/messages?per_page=1").body["links"]["next"].startswith(f"http://127.0.0.1:{c.port}/"),
)
add_scenario(
    "last-page-of-empty-list-zero", 1, lambda c: c.get("/agents?search=nothing%20at%20all").body["meta"]["last_page"]
)


# Round 5: authentication, errors and workspaces


@scenario("token-expiry-is-null", True)
def compare_expiry_with_today(client: BackendClient) -> object:
    reply = client.send("POST", "/auth/sign-in", {"email": "john.doe@example.com", "password": "password"}, token="")
    return str(reply.data["expires_at"]) >= format_today() and reply.data["expires_at"] is not None


add_scenario("method-error-without-allow", "DELETE", lambda c: c.get(f"/command-room-tasks/{UNKNOWN}").headers["Allow"])
add_scenario("unknown-sort-of-workspaces-ignored", 422, lambda c: c.get("/workspaces?sort_by=owner").status)


@scenario("workspace-metrics-cached", 1)
def count_agents_before_and_after_create(client: BackendClient) -> object:
    path = f"/workspaces/metrics?workspace_uuid={FIRST}&entity=agents&metric=created"
    before = client.get(path).data["total"]
    client.create("agents", name="a")
    return client.get(path).data["total"] - before


# Round 5: providers and accounts

add_scenario("provider-search-ignores-page-size", 1, lambda c: len(c.get("/providers?search=connects&per_page=1").data))
add_scenario("unchanged-slug-rejected", 200, lambda c: c.put(f"/providers/{FIRST}", {"slug": "openai-gpt"}).status)


@scenario("provider-metadata-replaced", [True, True])
def feature_provider(client: BackendClient) -> object:
    metadata = client.put(f"/providers/{FIRST}", {"metadata": {"is_featured": True}}).data["metadata"]
    return [metadata["is_featured"], metadata.get("is_official")]


add_scenario(
    "account-created-with-200",
    201,
    lambda c: c.post("/accounts", {"provider_uuid": FIRST, "provider_display_name": "Ours"}).status,
)


@scenario("account-id-at-provider-not-saved", ["acct-9", "acct-9"])
def update_account_id(client: BackendClient) -> object:
    account = client.create("accounts", provider_uuid=FIRST, provider_display_name="Ours")["uuid"]
    updated = client.put(f"/accounts/{account}", {"provider_account_id": "acct-9"})
    return [reply.data["provider_account_id"] for reply in (updated, client.get(f"/accounts/{account}"))]


@scenario("provider-of-account-cached", "Renamed")
def rename_provider_of_account(client: BackendClient) -> object:
    account = client.create("accounts", provider_uuid=FIRST, provider_display_name="Ours")["uuid"]
    client.get(f"/accounts/{account}")
    client.put(f"/providers/{FIRST}", {"name": "Renamed"})
    return client.get(f"/accounts/{account}").data["provider"]["name"]


# Round 5: agents

add_scenario(
    "unknown-tools-of-new-agent-ignored",
    404,
    lambda c: c.post("/agents", {"name": "a", "tool_uuids": [UNKNOWN]}).status,
)
add_scenario("members-own-agents", False, lambda c: c.get(f"/agents/{FIRST}", NOOR).data["is_owner"])


@scenario("workflows-count-includes-deleted", [1, 0])
def count_workflows_after_delete(client: BackendClient) -> object:
    workflow = client.create("workflows", name="a")["uuid"]
    agent = client.create("agents", name="a", workflow_uuids=[workflow])
    client.delete(f"/workflows/{workflow}")
    return [agent["workflows_count"], client.get(f"/agents/{agent['uuid']}").data["workflows_count"]]


@scenario("shared-agents-repeated", 1)
def list_agent_with_two_shares(client: BackendClient) -> object:
    agent = client.create("agents", name="Juggler")["uuid"]
    for user in (124, 126):
        client.post(f"/agents/{agent}/share", {"entity_type": "user", "entity_id": user})
    return client.get("/agents?is_shared=true&search=juggler").total


@scenario("agent-cached-until-update", [0, 1])
def count_runs_before_and_after_run(client: BackendClient) -> object:
    agent = client.create("agents", name="a")["uuid"]
    before = client.get(f"/agents/{agent}").data["usage_count"]
    client.post(f"/agents/{agent}/run", {"content": "Hello"})
    return [before, client.get(f"/agents/{agent}").data["usage_count"]]


@scenario("agent-run-drops-files", ["a.txt"])
def run_agent_with_file(client: BackendClient) -> object:
    files = [{"key": "uploads/a.txt", "name": "a.txt"}]
    message = client.post(f"/agents/{FIRST}/run", {"content": "Hello", "files": files}).data["message"]
    return [attachment["attachable"]["file_name"] for attachment in message["attachments"]]


add_scenario(
    "leaderboard-score-as-text",
    True,
    lambda c: isinstance(c.get("/agents/leaderboard").data[0]["score"], int | float),
)
add_scenario(
    "agent-metrics-of-foreign-workspace",
    0,
    lambda c: c.post("/agents/metrics", {"calculation": "accumulated_count", "workspace_uuid": FIRST}, JANE).body[
        "total"
    ],
)

# Round 5: workflows and executions


@scenario("workflow-total-ignores-favorite", True)
def list_favorite_workflows(client: BackendClient) -> object:
    return client.get("/workflows?favorite=true").total == len(client.list_all("/workflows?favorite=true"))


add_scenario(
    "workflow-description-truncated",
    1000,
    lambda c: len(c.create("workflows", name="a", description="x" * 1000)["description"]),
)


@scenario("generated-workflow-in-primary-workspace", True)
def generate_workflow_in_workspace(client: BackendClient) -> object:
    workspace = client.uuid("workspaces", "Research Lab", JOHN)
    workflow = client.post("/workflows/generate", {"prompt": "Greet", "workspace_uuid": workspace}).data["uuid"]
    return workflow in {row["uuid"] for row in client.list_all(f"/workflows?workspace_uuid={workspace}")}


add_scenario(
    "execution-links-drop-lists",
    True,
    lambda c: (
        f"workflow_uuids={FIRST}"
        in c.get(f"/workflow-executions?workflow_uuids={FIRST}&per_page=1").body["links"]["last"]
    ),
)


@scenario("null-ignored-in-patch", None)
def clear_waiting_time(client: BackendClient) -> object:
    path = f"/workflow-executions/{create_execution(client)['uuid']}"
    client.put(path, {"wait_till": "2030-01-01T10:00:00Z"})
    return client.send("PATCH", path, {"wait_till": None}).data["wait_till"]


@scenario("in-progress-includes-waiting", True)
def compare_executions_in_progress(client: BackendClient) -> object:
    execution = client.list_all("/workflow-executions?status=waiting")[0]
    rows = client.list_all(f"/workflow-executions?workflow_uuid={execution['workflow']['uuid']}")
    in_progress = [row for row in rows if row["status"] in ("pending", "running")]
    return len(in_progress) == execution["workflow"]["executions_in_progress_count"]


@scenario("count-without-task-ignored", True)
def add_counts_with_and_without_task(client: BackendClient) -> object:
    path = "/workflow-executions/count"
    parts = [client.get(f"{path}?has_command_room_task={value}").data["total"] for value in ("true", "false")]
    return sum(parts) == client.get(path).data["total"]


# Round 5: prompts and memories


@scenario("prompts-sorted-within-page", True)
def sort_prompts_on_pages(client: BackendClient) -> object:
    pages = [client.get(f"/prompts?sort_by=name&per_page=3&page={page}").data for page in (1, 2, 3)]
    return is_sorted([row["name"] for page in pages for row in page])


@scenario("prompt-content-trimmed", "Write:\n\n")
def create_prompt_with_line_breaks(client: BackendClient) -> object:
    prompt = client.create("prompts", name="a", content="Write:\n\n")["uuid"]
    return client.get(f"/prompts/{prompt}").data["content"]


@scenario("empty-prompt-description-becomes-null", "")
def clear_description(client: BackendClient) -> object:
    prompt = client.create("prompts", name="a", content="b", description="c")["uuid"]
    return client.put(f"/prompts/{prompt}", {"description": ""}).data["description"]


@scenario("prompt-run-keeps-last-used-at", True)
def retrieve_time_of_run(client: BackendClient) -> object:
    prompt = client.create("prompts", name="a", content="b")["uuid"]
    client.post(f"/prompts/{prompt}/run", {})
    return client.get(f"/prompts/{prompt}").data["last_used_at"] is not None


add_scenario(
    "foreign-memory-can-be-updated",
    404,
    lambda c: c.put(f"/memories/{c.list_all('/memories', JANE)[0]['uuid']}", {"content": "Ours"}).status,
)


@scenario("updated-at-kept-by-memory-update", True)
def change_memory(client: BackendClient) -> object:
    before = client.list_all("/memories")[0]
    updated = client.put(f"/memories/{before['uuid']}", {"content": "New"}).data["updated_at"]
    return bool(updated > before["updated_at"])


@scenario("memory-deleted-with-200", [204, None])
def delete_memory(client: BackendClient) -> object:
    reply = client.delete(f"/memories/{client.list_all('/memories')[0]['uuid']}")
    return [reply.status, reply.body]


# Round 5: threads, messages, language models and tasks

add_scenario(
    "new-thread-accepts-foreign-agent",
    404,
    lambda c: c.post("/threads", {"agent_uuid": c.uuid("agents", "Bookkeeper", JANE)}).status,
)
add_scenario("thread-max-tokens-as-text", 422, lambda c: c.post("/threads", {"metadata": {"max_tokens": "512"}}).status)
add_scenario(
    "null-message-content-accepted",
    422,
    lambda c: c.put(f"/messages/{c.list_all('/messages')[0]['uuid']}", {"content": None}).status,
)
add_scenario("message-search-wildcards", 0, lambda c: c.get("/messages?search=does_it").total)


@scenario("message-delete-keeps-attachments", [2, 0])
def delete_message_with_files(client: BackendClient) -> object:
    thread = client.create("threads")["uuid"]
    files = [{"key": f"uploads/{name}", "name": name} for name in ("a.txt", "b.txt")]
    message = client.create("messages", thread_uuid=thread, content="With files", files=files)
    client.delete(f"/messages/{message['uuid']}")
    return [len(message["attachments"]), len(client.get(f"/threads/{thread}").data["attachments"])]


@scenario("model-flags-as-integers", True)
def retrieve_flags_of_model(client: BackendClient) -> object:
    model = client.get("/large-language-models").data[0]
    return isinstance(model["supports_tools"], bool) and isinstance(model["supports_vision"], bool)


@scenario("task-of-foreign-record", 404)
def create_task_for_foreign_agent(client: BackendClient) -> object:
    agent = client.uuid("agents", "Bookkeeper", JANE)
    body = {"taskable_type": "agent", "taskable_uuid": agent, "title": "Check it"}
    return client.post("/command-room-tasks", body).status


add_scenario(
    "task-title-truncated",
    422,
    lambda c: (
        c.post("/command-room-tasks", {"taskable_type": "agent", "taskable_uuid": FIRST, "title": "x" * 256}).status
    ),
)


def find_free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def run_backend(database: pathlib.Path, bug: str = "") -> Iterator[BackendClient]:
    """Run the backend with a database and at most one bug; yield a client."""
    port = find_free_port()
    command = ["php", str(FOLDER / "server.php"), "--port", str(port), "--database", str(database), "--workers", "2"]
    with subprocess.Popen(
        command, env=os.environ | {"BUG": bug}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_for_port(port)
            yield BackendClient(port)
        finally:
            server.terminate()
            server.wait(10)


def wait_for_port(port: int) -> None:
    """Wait until the backend accepts connections. Raises SystemExit after 10 seconds."""
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"127.0.0.1:{port}: no connection within 10 s, expected the backend")


def observe(base: pathlib.Path, name: str, bug: str) -> tuple[object, list[str]]:
    """Run a scenario on a copy of the database; return the observed value and the requests that returned 5xx.

    An exception in the scenario is an observed value, because a bug may change the structure of a response.
    """
    database = base.with_name("copy.db")
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    shutil.copy(base, database)
    with run_backend(database, bug) as client:
        try:
            return SCENARIOS[name][0](client), client.failures
        except (KeyError, TypeError, IndexError) as error:
            return f"{type(error).__name__}: {error}", client.failures


def verify(base: pathlib.Path, name: str) -> list[str]:
    """Return the problems of a bug; none if only the backend with the bug deviates from the expected value."""
    expected = SCENARIOS[name][1]
    problems = []
    observed, failures = observe(base, name, "")
    if observed != expected:
        problems.append(f"{name}: without the bug got {observed!r}, expected {expected!r}")
    problems += [f"{name}: {failure}" for failure in failures]
    if observe(base, name, name)[0] == expected:
        problems.append(f"{name}: with the bug got {expected!r}, expected another value")
    return problems


COLLECTIONS = [
    "workspaces",
    "providers",
    "accounts",
    "agents",
    "workflows",
    "workflow-executions",
    "prompts",
    "memories",
    "threads",
    "messages",
    "large-language-models",
]
UNUSUAL_VALUES: list[object] = [
    None,
    "",
    0,
    -1,
    1.5,
    True,
    [],
    {},
    [None],
    [{}],
    "x" * 300,
    "\x00",
    "'",
    10**30,
    {"a": None},
    {"x": [[]]},
]
UNUSUAL_TEXTS = ["", "'", "%", "%ff", "%00", "-1", "0", "99999999999999999999", "x" * 300, "true", "[]"]
UNUSUAL_BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"\xff",
    b'{"a": 1e999}',
    b'{"\\u0000": 1}',
    b'{"name": "\\ud800"}',
]
PARAMETERS = [
    "page",
    "per_page",
    "search",
    "with",
    "with_count",
    "sort_by",
    "sort_direction",
    "workspace_uuid",
    "user_ids",
    "type",
    "status",
    "date_from",
    "is_active",
]
FIELDS = [
    "name",
    "slug",
    "content",
    "metadata",
    "files",
    "thread_uuid",
    "agent_uuid",
    "workspace_uuid",
    "tool_uuids",
    "nodes",
    "texts",
    "entity_id",
    "entity_type",
    "prompt",
    "workflow_uuid",
    "input",
    "variables",
    "credentials",
    "wait_till",
    "calculation",
    "date_from",
    "provider_uuid",
    "authentication_config",
    "role",
    "tags",
]


def send_unusual_queries(client: BackendClient, collection: str) -> None:
    """Send unusual tokens, parameters and keys to a collection."""
    for token in (JOHN, JANE, NOOR, "", "wrong"):
        client.get(f"/{collection}", token)
    for name in PARAMETERS:
        for text in UNUSUAL_TEXTS:
            client.get(f"/{collection}?{name}={text}")
    for key in ("x", "'", "%00", "%ff", UNKNOWN, FIRST):
        for method in ("GET", "PUT", "PATCH", "POST"):
            client.send(method, f"/{collection}/{key}", {})


def send_unusual_bodies(client: BackendClient, path: str) -> None:
    """Send unusual request bodies and field values."""
    for raw in UNUSUAL_BODIES:
        client.send("POST", path, raw=raw)
    for name in FIELDS:
        for value in UNUSUAL_VALUES:
            client.post(path, {name: value})


def send_unusual_requests(client: BackendClient) -> None:
    """Send unusual and invalid requests to all collections, then delete their records."""
    for collection in COLLECTIONS:
        send_unusual_queries(client, collection)
    names = [*COLLECTIONS, "command-room-tasks", "agents/generate", "workflows/generate", "auth/sign-in"]
    names += [f"agents/{FIRST}/{name}" for name in ("run", "train", "share")] + [f"workflows/{FIRST}/share"]
    names += [f"{name}/metrics" for name in ("agents", "workflows", "threads", "messages", "workflow-executions")]
    for name in names:
        send_unusual_bodies(client, f"/{name}")
    for collection in COLLECTIONS:
        for row in client.list_all(f"/{collection}"):
            client.delete(f"/{collection}/{row['uuid']}")


def main(names: list[str]) -> int:
    """Verify the named bugs, or all bugs and the backend without one; return 1 if there are problems."""
    listed = {str(bug["name"]) for bug in json.loads((FOLDER / "bugs.json").read_text())}
    problems = [f"{name}: listed in bugs.json, but has no scenario" for name in sorted(listed - set(SCENARIOS))]
    problems += [f"{name}: has a scenario, but is not listed in bugs.json" for name in sorted(set(SCENARIOS) - listed)]
    with tempfile.TemporaryDirectory() as folder:
        base = pathlib.Path(folder) / "base.db"
        with run_backend(base):
            pass
        for name in names or sorted(SCENARIOS):
            problems += verify(base, name)
        if not names:
            with run_backend(base) as client:
                send_unusual_requests(client)
                problems += [f"without a bug: {failure}" for failure in client.failures]
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    sys.stdout.write(f"{len(names or SCENARIOS)} bugs verified, {len(problems)} problems\n")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
