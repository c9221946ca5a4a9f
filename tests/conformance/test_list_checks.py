"""List checks: all pass on the mock, and each fails for the fault that violates its requirement.

A fault wraps the mock and changes the query or the response of one list.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from starlette.types import ASGIApp

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Case, Check
from conformance.model.queries import build_collation_keys, sorts_before
from conformance.results import CheckResult, Status
from conformance.runner.runner import run
from tests.conformance.app_wrappers import Pairs, change_queries, change_responses, drop_parameters
from tests.conformance.asgi_session import session
from tests.mock_server.athena import Api, shared_api

LIST_CHECKS = {check.id: check for check in CHECKS if check.affected_by_other_clients}


@pytest.fixture
def api() -> Iterator[Api]:
    """The Athena mock with the demo dataset in its initial state."""
    api = shared_api()
    api.reset()
    yield api
    api.reset()


def run_check(api: Api, app: ASGIApp, check: Check, *operations: str, read_only: bool = False) -> list[CheckResult]:
    """Run one check on an application."""
    selected = [api.contract.operations[name] for name in operations] or api.contract.operations.values()
    check_session = session(app, api.contract, schemas=api.schemas, read_only=read_only)
    run_result = run(check_session, [check], selected, lambda _: None)
    assert not run_result.abort_reason
    assert not run_result.records_not_deleted
    return run_result.results


def run_once(api: Api, app: ASGIApp, check: Check, operation: str) -> list[CheckResult]:
    """Run one check on one operation of an application, without the reruns of a failure."""
    check_session = session(app, api.contract, schemas=api.schemas)
    return list(check.run(Case(check, check_session, api.contract.operations[operation])))


def find_failures(results: list[CheckResult]) -> list[tuple[str, str, str]]:
    """Return (operation, parameter, message) of the failed results."""
    return [(o.requirement.operation, o.requirement.parameter, o.message) for o in results if o.status is Status.FAILED]


@pytest.mark.parametrize("check", LIST_CHECKS.values(), ids=LIST_CHECKS)
def test_check_passes_on_the_mock(api: Api, check: Check) -> None:
    # The slow tests of complete runs run the model on all lists.
    operations = ("listAgents", "listMemories", "listWorkflowExecutions") if check.id == "model-list" else ()
    results = run_check(api, api.app, check, *operations)
    assert not find_failures(results)
    assert any(o.status is Status.PASSED for o in results)


@pytest.mark.parametrize("check", LIST_CHECKS.values(), ids=LIST_CHECKS)
def test_read_only_run_sends_only_get(api: Api, check: Check) -> None:
    writes = []

    async def record_writes(scope: Any, receive: Any, send: Any) -> None:
        writes.extend([] if scope["method"] == "GET" else [scope["path"]])
        await api.app(scope, receive, send)

    assert not find_failures(run_check(api, record_writes, check, "listAgents", read_only=True))
    assert not writes


# Faults

Change = Callable[[Pairs, Any], None]


def change_response(path: str, change: Change) -> Callable[[ASGIApp], ASGIApp]:
    """Fault in the responses of the list at a path: `change` modifies the body in place."""

    def change_at_path(request_path: str, pairs: Pairs, body: Any) -> Any:
        if request_path.endswith(path):
            change(pairs, body)
        return body

    return lambda app: change_responses(app, change_at_path)


def change_query(path: str, change: Callable[[Pairs], Pairs]) -> Callable[[ASGIApp], ASGIApp]:
    """Fault in the query of the list at a path."""
    return lambda app: change_queries(
        app, lambda request_path, pairs: change(pairs) if request_path.endswith(path) else pairs
    )


def ignore_parameters(path: str, *names: str) -> Callable[[ASGIApp], ASGIApp]:
    """Fault: some parameters of the list at a path are ignored."""
    return lambda app: drop_parameters(app, path, *names)


def duplicate_first_row(pairs: Pairs, body: Any) -> None:
    body["data"] += body["data"][:1]


def drop_last_row(pairs: Pairs, body: Any) -> None:
    if len(body["data"]) > 1 and "per_page" in dict(pairs):
        del body["data"][-1]


def report_page_total(pairs: Pairs, body: Any) -> None:
    body["meta"]["total"] = len(body["data"])


def set_page_value(parent: str, name: str, value: Any) -> Change:
    """Set a pagination value to a constant."""

    def change(pairs: Pairs, body: Any) -> None:
        body[parent][name] = value

    return change


def shift_pages(pairs: Pairs) -> Pairs:
    """Return the previous page, so that pages overlap."""
    return [(n, str(max(1, int(v) - 1)) if n == "page" else v) for n, v in pairs]


def wrap_past_last_page(pairs: Pairs) -> Pairs:
    """Return the first page after the last one."""
    return [(n, "1" if n == "page" and int(v) > 40 else v) for n, v in pairs]


def reverse_rows(pairs: Pairs, body: Any) -> None:
    if dict(pairs).get("sort_by"):
        body["data"].reverse()


def alternate_order() -> Change:
    """Reverse the rows of every other response."""
    requests: list[Pairs] = []

    def change(pairs: Pairs, body: Any) -> None:
        requests.append(pairs)
        if len(requests) % 2:
            body["data"].reverse()

    return change


def drop_first_filtered_row(name: str) -> Change:
    """Drop the first row of a filtered list."""

    def change(pairs: Pairs, body: Any) -> None:
        if dict(pairs).get(name):
            del body["data"][:1]
            body["meta"]["total"] = len(body["data"])

    return change


def use_first_filter_only(*names: str) -> Callable[[Pairs], Pairs]:
    """Ignore all but the first of some filters."""

    def change(pairs: Pairs) -> Pairs:
        sent = [n for n, _ in pairs if n in names]
        return [(n, v) for n, v in pairs if n not in sent[1:]]

    return change


def drop_bracketed_parameters(pairs: Pairs) -> Pairs:
    return [(n, v) for n, v in pairs if not n.endswith("[]")]


def ignore_upper_case_terms(pairs: Pairs) -> Pairs:
    return [(n, "nothing-like-it" if n == "search" and v.isupper() else v) for n, v in pairs]


def filter_by_blank(name: str) -> Change:
    def change(pairs: Pairs, body: Any) -> None:
        if (name, "") in pairs:
            body["data"] = []

    return change


def drop_relation(name: str) -> Change:
    def change(pairs: Pairs, body: Any) -> None:
        for row in body["data"]:
            row.pop(name, None)

    return change


def add_relation(name: str) -> Change:
    def change(pairs: Pairs, body: Any) -> None:
        for row in body["data"]:
            row.setdefault(name, [])

    return change


def set_stale_value(name: str, attribute: str) -> Change:
    def change(pairs: Pairs, body: Any) -> None:
        for row in body["data"]:
            row[name][attribute] = "an old value"

    return change


def set_in_every_row(name: str, value: Any) -> Change:
    def change(pairs: Pairs, body: Any) -> None:
        for row in body["data"]:
            row[name] = value

    return change


def exclude_last_day(pairs: Pairs) -> Pairs:
    """Exclude the last day of a range."""
    day = timedelta(days=1)
    return [(n, str(date.fromisoformat(v) - day) if n == "date_to" and v else v) for n, v in pairs]


def round_last_page_down(pairs: Pairs, body: Any) -> None:
    body["meta"]["last_page"] = max(1, body["meta"]["total"] // body["meta"]["per_page"])


def report_unfiltered_total(pairs: Pairs, body: Any) -> None:
    """Return a total that ignores the filters."""
    if dict(pairs).get("type"):
        body["meta"]["total"] += 7


def drop_from_links(name: str) -> Change:
    """Drop one parameter from all links."""

    def change(pairs: Pairs, body: Any) -> None:
        for role, link in body["links"].items():
            if isinstance(link, str):
                remaining = [(n, v) for n, v in parse_qsl(urlsplit(link).query) if n != name]
                body["links"][role] = f"{link.partition('?')[0]}?{urlencode(remaining)}"

    return change


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, the check that must fail, and the operation and parameter of the failure."""

    check_id: str
    wrap: Callable[[ASGIApp], ASGIApp]
    operation: str
    parameter: str


DESCENDING = "sort_by=created_at sort_direction=desc"

FAULTS = {
    "extra row": Fault("model-list", change_response("/prompts", duplicate_first_row), "listPrompts", "rows"),
    "page size ignored": Fault("model-list", ignore_parameters("/memories", "per_page"), "listMemories", "size"),
    "row missing on each page": Fault(
        "model-list", change_response("/prompts", drop_last_row), "listPrompts", "search"
    ),
    "pages overlap": Fault("model-list", change_query("/threads", shift_pages), "listThreads", "pages"),
    "total of the page": Fault("model-list", change_response("/prompts", report_page_total), "listPrompts", "total"),
    "current page always 1": Fault(
        "pagination-metadata-correct",
        change_response("/agents", set_page_value("meta", "current_page", 1)),
        "listAgents",
        "meta.current_page",
    ),
    "first item always 1": Fault(
        "pagination-metadata-correct",
        change_response("/agents", set_page_value("meta", "from", 1)),
        "listAgents",
        "meta.from",
    ),
    "last item is null": Fault(
        "pagination-metadata-correct",
        change_response("/agents", set_page_value("meta", "to", None)),
        "listAgents",
        "meta.to",
    ),
    "last page is 1": Fault(
        "pagination-metadata-correct",
        change_response("/agents", set_page_value("meta", "last_page", 1)),
        "listAgents",
        "meta.last_page",
    ),
    "last page rounded down": Fault(
        "pagination-metadata-correct", change_response("/agents", round_last_page_down), "listAgents", "meta.last_page"
    ),
    "total ignores the filter": Fault(
        "model-list", change_response("/memories", report_unfiltered_total), "listMemories", "total"
    ),
    "links drop the size": Fault(
        "page-links-keep-query", change_response("/agents", drop_from_links("per_page")), "listAgents", "links.first"
    ),
    "links drop the order": Fault(
        "page-links-keep-query",
        change_response("/prompts", drop_from_links("sort_direction")),
        "listPrompts",
        "links.first",
    ),
    "links drop a filter": Fault(
        "page-links-keep-query",
        change_response("/messages", drop_from_links("thread_uuid")),
        "listMessages",
        "links.first",
    ),
    "size always 20": Fault(
        "pagination-metadata-correct",
        change_response("/agents", set_page_value("meta", "per_page", 20)),
        "listAgents",
        "meta.per_page",
    ),
    "path of another list": Fault(
        "pagination-metadata-correct",
        change_response("/agents", set_page_value("meta", "path", "https://x/agent")),
        "listAgents",
        "meta.path",
    ),
    "no next page": Fault(
        "pagination-metadata-correct",
        change_response("/agents", set_page_value("links", "next", None)),
        "listAgents",
        "links.next",
    ),
    "previous link on the first page": Fault(
        "pagination-metadata-correct",
        change_response("/agents", set_page_value("links", "prev", "/agents?page=1")),
        "listAgents",
        "links.prev",
    ),
    "wrong last link": Fault(
        "pagination-metadata-correct",
        change_response("/agents", set_page_value("links", "last", "/agents?page=1")),
        "listAgents",
        "links.last",
    ),
    "first page after the last": Fault(
        "model-list", change_query("/prompts", wrap_past_last_page), "listPrompts", "page"
    ),
    "sort ignored": Fault("model-list", ignore_parameters("/prompts", "sort_by"), "listPrompts", "sort_by=name"),
    "reverse order": Fault("model-list", change_response("/memories", reverse_rows), "listMemories", DESCENDING),
    "direction ignored": Fault(
        "model-list", ignore_parameters("/memories", "sort_direction"), "listMemories", DESCENDING
    ),
    "order alternates": Fault("model-list", change_response("/prompts", alternate_order()), "listPrompts", "order"),
    "filter ignored": Fault("model-list", ignore_parameters("/memories", "type"), "listMemories", "type"),
    "relation filter ignored": Fault(
        "model-list", ignore_parameters("/memories", "agent_uuid"), "listMemories", "agent_uuid"
    ),
    "array filter ignored": Fault(
        "model-list",
        ignore_parameters("/workflow-executions", "workflow_uuids"),
        "listWorkflowExecutions",
        "workflow_uuids",
    ),
    "date range start ignored": Fault(
        "model-list", ignore_parameters("/workflow-executions", "date_from"), "listWorkflowExecutions", "date_from"
    ),
    "existence filter ignored": Fault(
        "model-list", ignore_parameters("/workflows", "is_shared"), "listWorkflows", "is_shared"
    ),
    "filter drops a row": Fault(
        "model-list", change_response("/memories", drop_first_filtered_row("type")), "listMemories", "type"
    ),
    "filter by hidden attribute ignored": Fault(
        "model-list", ignore_parameters("/workflows", "favorite"), "listWorkflows", "favorite"
    ),
    "last day excluded": Fault(
        "model-list", change_query("/workflow-executions", exclude_last_day), "listWorkflowExecutions", "date_to"
    ),
    "second filter ignored": Fault(
        "model-list",
        change_query("/memories", use_first_filter_only("workspace_uuid", "agent_uuid", "type")),
        "listMemories",
        "agent_uuid",
    ),
    "bracketed array ignored": Fault(
        "array-encodings-equivalent",
        change_query("/workflow-executions", drop_bracketed_parameters),
        "listWorkflowExecutions",
        "workflow_uuids",
    ),
    "search is case-sensitive": Fault(
        "model-list", change_query("/memories", ignore_upper_case_terms), "listMemories", "search"
    ),
    "search ignored": Fault("model-list", ignore_parameters("/memories", "search"), "listMemories", "search"),
    "blank used as a value": Fault(
        "blank-parameter-ignored", change_response("/messages", filter_by_blank("role")), "listMessages", "role"
    ),
    "requested relation missing": Fault(
        "model-list", change_response("/memories", drop_relation("agent")), "listMemories", "with=agent"
    ),
    "unrequested relation embedded": Fault(
        "model-list", change_response("/workflows", add_relation("shares")), "listWorkflows", "with=shares"
    ),
    "embedded record is stale": Fault(
        "embedded-matches-retrieved",
        change_response("/messages", set_stale_value("thread", "name")),
        "listMessages",
        "thread",
    ),
    "count always 0": Fault(
        "relation-count-correct",
        change_response("/agents", set_in_every_row("threads_count", 0)),
        "listAgents",
        "threads_count",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_check_fails_for_its_fault(api: Api, fault: Fault) -> None:
    results = run_once(api, fault.wrap(api.app), LIST_CHECKS[fault.check_id], fault.operation)
    parameters = [parameter for _, parameter, message in find_failures(results) if message]
    assert fault.parameter in parameters, [(o.requirement.parameter, o.status, o.message) for o in results]
    assert all(o.evidence for o in results if o.status is Status.FAILED)


def test_every_list_check_has_a_fault() -> None:
    assert {fault.check_id for fault in FAULTS.values()} == set(LIST_CHECKS)


# Conforming variants


def drop_query_from_links(path: str, pairs: Pairs, body: Any) -> Any:
    """Links of Laravel with default settings: without the query."""
    for name, link in body.get("links", {}).items():
        if isinstance(link, str):
            page = dict(parse_qsl(urlsplit(link).query)).get("page", "1")
            body["links"][name] = f"{link.partition('?')[0]}?page={page}"
    return body


def truncate_to_seconds(path: str, pairs: Pairs, body: Any) -> Any:
    """Timestamps of MySQL in another notation, and another key order."""
    text = re.sub(r"(T\d\d:\d\d:\d\d)\.\d+Z", r"\1+00:00", json.dumps(body, sort_keys=True))
    return json.loads(text)


# The checks that a variant affects; the slow tests run all others.
RELEVANT_CHECKS = {
    drop_query_from_links: ("pagination-metadata-correct", "model-list"),
    truncate_to_seconds: ("model-list", "embedded-matches-retrieved"),
}
VARIANT_CASES = [
    pytest.param(check, variant, id=f"{variant.__name__}-{name}", marks=() if name in relevant else pytest.mark.slow)
    for variant, relevant in RELEVANT_CHECKS.items()
    for name, check in LIST_CHECKS.items()
]


@pytest.mark.parametrize(("check", "variant"), VARIANT_CASES)
def test_check_passes_on_a_conforming_variant(
    api: Api, check: Check, variant: Callable[[str, Pairs, Any], Any]
) -> None:
    if variant is drop_query_from_links and check.id == "page-links-keep-query":
        pytest.skip("this check verifies that links have the query")
    assert not find_failures(run_check(api, change_responses(api.app, variant), check, "listThreads", "listMemories"))


# Collations


@pytest.mark.parametrize(
    ("left", "right"),
    [("Zoe", "adam"), ("Émile", "Frank"), ("a b", "ab"), ("_x", "x"), ("Øst", "Ost"), ("😀", "a"), (None, "a")],
)
def test_values_that_collations_order_differently_are_not_compared(left: Any, right: Any) -> None:
    first, second = build_collation_keys(left), build_collation_keys(right)
    assert first is None or second is None or not (sorts_before(first, second) or sorts_before(second, first))


def test_values_that_all_collations_order_equally_are_compared() -> None:
    for left, right in (
        ("adam", "zoe"),
        (1, 2.5),
        (False, True),
        ("2026-01-01T00:00:00Z", "2026-01-01T02:00:00+01:00"),
    ):
        first, second = build_collation_keys(left), build_collation_keys(right)
        assert first is not None
        assert second is not None
        assert sorts_before(first, second)
