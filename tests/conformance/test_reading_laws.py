"""Laws on lists: none is broken by the mock, and each tells of the one fault that breaks it.

A fault is planted around the mock, and changes what one list is asked or what it answers.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from starlette.types import ASGIApp

from conformance.checks import CHECKS as ALL
from conformance.checks.lists.sorting import build_collation_keys, sorts_before
from conformance.checks.support.check import Check
from conformance.results import CheckResult, Status
from conformance.runner.runner import run
from tests.conformance.faults import Pairs, answer, question, without
from tests.conformance.served import session
from tests.mock_server.athena import Api, served

LAWS = {law.id: law for law in ALL if law.affected_by_other_clients}


@pytest.fixture
def api() -> Api:
    """Athena with its demo data, begun anew."""
    found = served()
    found.begin_anew()
    return found


def judged(api: Api, app: ASGIApp, law: Check, *operations: str, read_only: bool = False) -> list[CheckResult]:
    """What a law says of an application."""
    asked = [api.contract.operations[name] for name in operations] or api.contract.operations.values()
    made = session(app, api.contract, schemas=api.schemas, read_only=read_only)
    outcome = run(made, [law], asked, lambda _: None)
    assert not outcome.abort_reason
    assert not outcome.records_not_deleted
    return outcome.results


def broken(outcomes: list[CheckResult]) -> list[tuple[str, str, str]]:
    """(operation, parameter, what was found) of what is broken."""
    return [
        (o.requirement.operation, o.requirement.parameter, o.message) for o in outcomes if o.status is Status.FAILED
    ]


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_the_mock_keeps_it(api: Api, law: Check) -> None:
    outcomes = judged(api, api.app, law)
    assert not broken(outcomes)
    assert any(o.status is Status.PASSED for o in outcomes)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_nothing_is_written_in_a_read_only_run(api: Api, law: Check) -> None:
    written = []

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        written.extend([] if scope["method"] == "GET" else [scope["path"]])
        await api.app(scope, receive, send)

    assert not broken(judged(api, watched, law, "listMessages", read_only=True))
    assert not written


# Faults ---------------------------------------------------------------------------------------------------------

Change = Callable[[Pairs, Any], None]


def at(path: str, change: Change) -> Callable[[ASGIApp], ASGIApp]:
    """A fault in the answers of the list at a path; `change` works on the body."""

    def changed(asked: str, pairs: Pairs, body: Any) -> Any:
        if asked.endswith(path):
            change(pairs, body)
        return body

    return lambda app: answer(app, changed)


def asked(path: str, change: Callable[[Pairs], Pairs]) -> Callable[[ASGIApp], ASGIApp]:
    """A fault in how the list at a path understands its query."""
    return lambda app: question(app, lambda place, pairs: change(pairs) if place.endswith(path) else pairs)


def deaf(path: str, *names: str) -> Callable[[ASGIApp], ASGIApp]:
    """A list that does not know some of its parameters."""
    return lambda app: without(app, path, *names)


def one_row_more(pairs: Pairs, body: Any) -> None:
    body["data"] += body["data"][:1]


def last_row_less(pairs: Pairs, body: Any) -> None:
    if len(body["data"]) > 1 and "per_page" in dict(pairs):
        del body["data"][-1]


def total_by_page(pairs: Pairs, body: Any) -> None:
    body["meta"]["total"] = len(body["data"])


def word(place: str, name: str, value: Any) -> Change:
    """A page word that always says the same."""

    def change(pairs: Pairs, body: Any) -> None:
        body[place][name] = value

    return change


def shifted(pairs: Pairs) -> Pairs:
    """Pages that begin where the one before did not end."""
    return [(n, str(max(1, int(v) - 1)) if n == "page" else v) for n, v in pairs]


def clamped(pairs: Pairs) -> Pairs:
    """Behind the last page stands the first again."""
    return [(n, "1" if n == "page" and int(v) > 40 else v) for n, v in pairs]


def reversed_rows(pairs: Pairs, body: Any) -> None:
    if dict(pairs).get("sort_by"):
        body["data"].reverse()


def flapping() -> Change:
    """Every other answer stands in another order."""
    asked_so_far: list[Pairs] = []

    def change(pairs: Pairs, body: Any) -> None:
        asked_so_far.append(pairs)
        if len(asked_so_far) % 2:
            body["data"].reverse()

    return change


def first_is_lost(name: str) -> Change:
    """A list that loses its first row when it is filtered."""

    def change(pairs: Pairs, body: Any) -> None:
        if dict(pairs).get(name):
            del body["data"][:1]
            body["meta"]["total"] = len(body["data"])

    return change


def first_of(*names: str) -> Callable[[Pairs], Pairs]:
    """Only the first of some filters counts."""

    def change(pairs: Pairs) -> Pairs:
        given = [n for n, _ in pairs if n in names]
        return [(n, v) for n, v in pairs if n not in given[1:]]

    return change


def no_brackets(pairs: Pairs) -> Pairs:
    return [(n, v) for n, v in pairs if not n.endswith("[]")]


def no_capitals(pairs: Pairs) -> Pairs:
    return [(n, "nothing-like-it" if n == "search" and v.isupper() else v) for n, v in pairs]


def blank_counts(name: str) -> Change:
    def change(pairs: Pairs, body: Any) -> None:
        if (name, "") in pairs:
            body["data"] = []

    return change


def not_embedded(name: str) -> Change:
    def change(pairs: Pairs, body: Any) -> None:
        for row in body["data"]:
            row.pop(name, None)

    return change


def always_embedded(name: str) -> Change:
    def change(pairs: Pairs, body: Any) -> None:
        for row in body["data"]:
            row.setdefault(name, [])

    return change


def stale(name: str, prop: str) -> Change:
    def change(pairs: Pairs, body: Any) -> None:
        for row in body["data"]:
            row[name][prop] = "as it was"

    return change


def every_row(name: str, value: Any) -> Change:
    def change(pairs: Pairs, body: Any) -> None:
        for row in body["data"]:
            row[name] = value

    return change


def exclusive(pairs: Pairs) -> Pairs:
    """A last day that does not count."""
    return [(n, f"{v[:8]}{max(1, int(v[8:]) - 1):02d}" if n == "date_to" and v else v) for n, v in pairs]


def rounded_down(pairs: Pairs, body: Any) -> None:
    body["meta"]["last_page"] = max(1, body["meta"]["total"] // body["meta"]["per_page"])


def whole_total(pairs: Pairs, body: Any) -> None:
    """A total that was counted without the filters."""
    if dict(pairs).get("role"):
        body["meta"]["total"] += 7


def losing(name: str) -> Change:
    """Links without a part of the query that they came from."""

    def change(pairs: Pairs, body: Any) -> None:
        for word, link in body["links"].items():
            if isinstance(link, str):
                kept = [(n, v) for n, v in parse_qsl(urlsplit(link).query) if n != name]
                body["links"][word] = f"{link.partition('?')[0]}?{urlencode(kept)}"

    return change


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, the law that it breaks, and where the law must say so."""

    law: str
    planted: Callable[[ASGIApp], ASGIApp]
    operation: str
    parameter: str


FAULTS = {
    "one row too many": Fault("page-size-respected", at("/agents", one_row_more), "listAgents", "per_page"),
    "the size is not known": Fault("page-size-respected", deaf("/messages", "per_page"), "listMessages", "per_page"),
    "a row lost on each page": Fault("pages-are-complete", at("/prompts", last_row_less), "listPrompts", "page"),
    "pages overlap": Fault("pages-are-complete", asked("/threads", shifted), "listThreads", "page"),
    "the total is the page's": Fault(
        "total-independent-of-page-size", at("/agents", total_by_page), "listAgents", "meta.total"
    ),
    "current page is always 1": Fault(
        "pagination-metadata-correct", at("/agents", word("meta", "current_page", 1)), "listAgents", "meta.current_page"
    ),
    "first item is always 1": Fault(
        "pagination-metadata-correct", at("/agents", word("meta", "from", 1)), "listAgents", "meta.from"
    ),
    "last item is null": Fault(
        "pagination-metadata-correct", at("/agents", word("meta", "to", None)), "listAgents", "meta.to"
    ),
    "last page is 1": Fault(
        "pagination-metadata-correct", at("/agents", word("meta", "last_page", 1)), "listAgents", "meta.last_page"
    ),
    "the last page is rounded down": Fault(
        "pagination-metadata-correct", at("/agents", rounded_down), "listAgents", "meta.last_page"
    ),
    "the total is without the filter": Fault(
        "filtered-total-correct", at("/messages", whole_total), "listMessages", "role"
    ),
    "links lose the size": Fault(
        "page-links-keep-query", at("/agents", losing("per_page")), "listAgents", "links.first"
    ),
    "links lose the order": Fault(
        "page-links-keep-query", at("/prompts", losing("sort_direction")), "listPrompts", "links.first"
    ),
    "links lose a filter": Fault(
        "page-links-keep-query", at("/messages", losing("thread_uuid")), "listMessages", "links.first"
    ),
    "size is always 20": Fault(
        "pagination-metadata-correct", at("/agents", word("meta", "per_page", 20)), "listAgents", "meta.per_page"
    ),
    "path of another list": Fault(
        "pagination-metadata-correct", at("/agents", word("meta", "path", "https://x/agent")), "listAgents", "meta.path"
    ),
    "no next page": Fault(
        "pagination-metadata-correct", at("/agents", word("links", "next", None)), "listAgents", "links.next"
    ),
    "a page before the first": Fault(
        "pagination-metadata-correct",
        at("/agents", word("links", "prev", "/agents?page=1")),
        "listAgents",
        "links.prev",
    ),
    "a last page that is not": Fault(
        "pagination-metadata-correct",
        at("/agents", word("links", "last", "/agents?page=1")),
        "listAgents",
        "links.last",
    ),
    "behind the end it begins again": Fault("page-past-end-is-empty", asked("/agents", clamped), "listAgents", "page"),
    "the sort is not known": Fault("sort-order-respected", deaf("/agents", "sort_by"), "listAgents", "sort_by=name"),
    "always the other way": Fault(
        "sort-order-respected", at("/messages", reversed_rows), "listMessages", "sort_by=created_at"
    ),
    "the direction is not known": Fault(
        "descending-reverses-ascending", deaf("/messages", "sort_direction"), "listMessages", "sort_by=role"
    ),
    "the order flaps": Fault("list-is-repeatable", at("/agents", flapping()), "listAgents", ""),
    "a filter is not known": Fault("filter-excludes-non-matches", deaf("/messages", "role"), "listMessages", "role"),
    "a filter through a relation is not known": Fault(
        "filter-excludes-non-matches", deaf("/messages", "thread_uuid"), "listMessages", "thread_uuid"
    ),
    "an array is not known": Fault(
        "filter-excludes-non-matches",
        deaf("/workflow-executions", "workflow_uuids"),
        "listWorkflowExecutions",
        "workflow_uuids",
    ),
    "a first day is not known": Fault(
        "filter-excludes-non-matches", deaf("/workflow-executions", "date_from"), "listWorkflowExecutions", "date_from"
    ),
    "whether there are any is not known": Fault(
        "filter-excludes-non-matches", deaf("/agents", "is_shared"), "listAgents", "is_shared"
    ),
    "a filter loses a row": Fault(
        "filter-includes-all-matches", at("/messages", first_is_lost("role")), "listMessages", "role"
    ),
    "a filter by what no answer shows is not known": Fault(
        "filter-includes-all-matches", deaf("/agents", "favorite"), "listAgents", "favorite"
    ),
    "the last day does not count": Fault(
        "filter-includes-all-matches", asked("/workflow-executions", exclusive), "listWorkflowExecutions", "date_to"
    ),
    "only one filter counts": Fault(
        "combined-filters-intersect",
        asked("/messages", first_of("thread_uuid", "role", "workspace_uuid")),
        "listMessages",
        "thread_uuid&role",
    ),
    "brackets are not known": Fault(
        "array-encodings-equivalent",
        asked("/workflow-executions", no_brackets),
        "listWorkflowExecutions",
        "workflow_uuids",
    ),
    "capitals count": Fault(
        "search-includes-all-matches", asked("/messages", no_capitals), "listMessages", "search:content"
    ),
    "the search is not known": Fault(
        "search-excludes-non-matches", deaf("/messages", "search"), "listMessages", "search"
    ),
    "a blank is a value": Fault(
        "blank-parameter-ignored", at("/messages", blank_counts("role")), "listMessages", "role"
    ),
    "a relation is not embedded": Fault(
        "include-embeds-requested", at("/memories", not_embedded("agent")), "listMemories", "with=agent"
    ),
    "a relation is always embedded": Fault(
        "include-embeds-only-requested", at("/workflows", always_embedded("shares")), "listWorkflows", "with=user"
    ),
    "an embedded record is stale": Fault(
        "embedded-matches-retrieved", at("/messages", stale("thread", "name")), "listMessages", "thread"
    ),
    "a count is always 0": Fault(
        "relation-count-correct", at("/agents", every_row("threads_count", 0)), "listAgents", "threads_count"
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told(api: Api, fault: Fault) -> None:
    outcomes = judged(api, fault.planted(api.app), LAWS[fault.law], fault.operation)
    found = [parameter for _, parameter, said in broken(outcomes) if said]
    assert fault.parameter in found, [(o.requirement.parameter, o.status, o.message) for o in outcomes]
    assert all(o.evidence for o in outcomes if o.status is Status.FAILED)


def test_each_law_has_a_fault() -> None:
    assert {fault.law for fault in FAULTS.values()} == set(LAWS)


# What is no fault ----------------------------------------------------------------------------------------------


def by_page_only(asked: str, pairs: Pairs, body: Any) -> Any:
    """Links as Laravel makes them unless told otherwise: without the query that they came from."""
    for name, link in body.get("links", {}).items():
        if isinstance(link, str):
            page = dict(parse_qsl(urlsplit(link).query)).get("page", "1")
            body["links"][name] = f"{link.partition('?')[0]}?page={page}"
    return body


def whole_seconds(asked: str, pairs: Pairs, body: Any) -> Any:
    """Instants as MySQL keeps them, and texts and keys in another dress."""
    bare = re.sub(r"(T\d\d:\d\d:\d\d)\.\d+Z", r"\1+00:00", json.dumps(body, sort_keys=True))
    return json.loads(bare)


# What each dress changes is what these laws look at; how it goes with the others, the slow tests say.
TELLING = {
    by_page_only: ("pagination-metadata-correct", "pages-are-complete"),
    whole_seconds: ("sort-order-respected", "embedded-matches-retrieved", "filter-includes-all-matches"),
}
DRESSED = [
    pytest.param(law, dress, id=f"{dress.__name__}-{name}", marks=() if name in telling else pytest.mark.slow)
    for dress, telling in TELLING.items()
    for name, law in LAWS.items()
]


@pytest.mark.parametrize(("law", "dress"), DRESSED)
def test_an_ordinary_backend_keeps_it(api: Api, law: Check, dress: Callable[[str, Pairs, Any], Any]) -> None:
    if dress is by_page_only and law.id == "page-links-keep-query":
        pytest.skip("it is the one law about that: such links lead a client out of its own list")
    assert not broken(judged(api, answer(api.app, dress), law, "listMessages", "listAgents"))


# Collations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [("Zoe", "adam"), ("Émile", "Frank"), ("a b", "ab"), ("_x", "x"), ("Øst", "Ost"), ("😀", "a"), (None, "a")],
)
def test_what_collations_sort_differently_is_not_judged(one: Any, other: Any) -> None:
    first, second = build_collation_keys(one), build_collation_keys(other)
    assert first is None or second is None or not (sorts_before(first, second) or sorts_before(second, first))


def test_what_every_collation_sorts_alike_is_judged() -> None:
    for one, other in (("adam", "zoe"), (1, 2.5), (False, True), ("2026-01-01T00:00:00Z", "2026-01-01T02:00:00+01:00")):
        first, second = build_collation_keys(one), build_collation_keys(other)
        assert first is not None
        assert second is not None
        assert sorts_before(first, second)
