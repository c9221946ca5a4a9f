"""Lists: pagination, sorting, search, filters and embedded relations.

Expected results are computed in plain Python from the records in the store.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from mock_server.store import StoredRecord
from spec.model import Operation, Parameter
from spec.record import Reference
from tests.mock_server.athena import Api, athena_contract

OPERATIONS = athena_contract().operations
LISTS = [operation for operation in OPERATIONS.values() if operation.action == "list"]
AGENT = "550e8400-e29b-41d4-a716-446655440000"

parametrize_lists = pytest.mark.parametrize("listing", [operation.id for operation in LISTS])


def parameters_by_role(operation: Operation, role: str) -> list[Parameter]:
    """Return the parameters of an operation with an `x-query` role."""
    return [p for p in operation.query_parameters if p.x_query is not None and p.x_query.role == role]


# Pages ---------------------------------------------------------------------------------------------------------------


@parametrize_lists
def test_following_next_links_visits_each_record_once(api: Api, listing: str) -> None:
    expected = [row["uuid"] for row in api.list_all(listing)]
    keys: list[Any] = []
    query: Mapping[str, Any] | None = {"per_page": 5}
    while query is not None and len(keys) <= len(expected):
        page = api.call_json(listing, query=query)
        keys += [row["uuid"] for row in page["data"]]
        next_link = page["links"]["next"]
        query = None if next_link is None or not page["data"] else dict(parse_qsl(urlsplit(next_link).query))
    assert next_link is None
    assert keys == expected
    assert len(set(keys)) == len(keys) == page["meta"]["total"]


@pytest.mark.parametrize(
    ("number", "first", "last", "previous", "following"),
    [(1, 1, 5, None, 2), (2, 6, 10, 1, 3), (3, 11, 11, 2, None), (4, None, None, 3, None), (99, None, None, 98, None)],
)
def test_page_has_correct_meta_and_links(
    api: Api, number: int, first: int | None, last: int | None, previous: int | None, following: int | None
) -> None:
    thread = api.data("createThread", body={})["uuid"]
    for _ in range(11):
        api.data("createMessage", body={"thread_uuid": thread, "content": "Hello"})
    page = api.call_json("listMessages", query={"thread_uuid": thread, "per_page": 5, "page": number})
    path = "http://localhost:8000/api/v1/messages"

    def link(page_number: int | None) -> str | None:
        return None if page_number is None else f"{path}?thread_uuid={thread}&per_page=5&page={page_number}"

    assert page["meta"] == {
        "current_page": number,
        "from": first,
        "last_page": 3,
        "per_page": 5,
        "to": last,
        "total": 11,
        "path": path,
    }
    assert page["links"] == {"first": link(1), "last": link(3), "prev": link(previous), "next": link(following)}
    assert len(page["data"]) == (0 if first is None or last is None else last - first + 1)


def test_empty_list_has_one_empty_page(api: Api) -> None:
    page = api.call_json("listThreads", query={"search": "no such thread"})
    assert page["data"] == []
    meta = page["meta"]
    assert (meta["current_page"], meta["last_page"], meta["total"], meta["from"], meta["to"]) == (1, 1, 0, None, None)


@parametrize_lists
@pytest.mark.parametrize("size", [1, 7, 100])
def test_page_has_the_requested_size(api: Api, listing: str, size: int) -> None:
    page = api.call_json(listing, query={"per_page": size})
    assert page["meta"]["per_page"] == size
    assert len(page["data"]) == min(size, page["meta"]["total"])


@parametrize_lists
@pytest.mark.parametrize("query", [{"per_page": 0}, {"per_page": 101}, {"page": 0}, {"page": -1}, {"page": 2**31}])
def test_invalid_page_or_size_returns_422(api: Api, listing: str, query: Mapping[str, int]) -> None:
    assert api.status(listing, query=query) == 422


def test_links_preserve_the_query(api: Api) -> None:
    query = {"search": "a b&c", "role": "user", "with": "thread,attachments", "per_page": "1"}
    page = api.call_json("listMessages", query=query)
    parameters = dict(parse_qsl(urlsplit(page["links"]["first"]).query))
    assert parameters == {**query, "page": "1"}


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"host": "localhost:8000"}, "http://localhost:8000"),
        ({"host": "127.0.0.1:9"}, "http://127.0.0.1:9"),
        ({"x-forwarded-host": "api.example.com", "x-forwarded-proto": "https"}, "https://api.example.com"),
        ({"x-forwarded-prefix": "/athena"}, "http://localhost:8000/athena"),
    ],
)
def test_every_url_uses_the_address_of_the_client(api: Api, headers: Mapping[str, str], base: str) -> None:
    reply = api.send("listAgents", query={"per_page": 3}, headers=headers)
    api.assert_valid("listAgents", reply)
    page = reply.json
    mock_urls = [text for text in iter_texts(page) if re.search(r"(?<!example\.com)(/api/v1|/storage)/", text)]
    assert page["meta"]["path"] == f"{base}/api/v1/agents"
    assert [text for text in mock_urls if not text.startswith(base + "/")] == []


def iter_texts(value: Any) -> Iterator[str]:
    """Yield every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from iter_texts(item)


# Order ---------------------------------------------------------------------------------------------------------------


def sort_key(name: str, value: Any) -> Any:
    """Return a comparable value; date-times may have several formats."""
    return datetime.fromisoformat(value) if name.endswith("_at") else value


@pytest.mark.parametrize(
    ("listing", "sort"),
    [(o.id, value) for o in LISTS for p in parameters_by_role(o, "sort") for value in p.schema["enum"]],
)
@pytest.mark.parametrize("direction", ["asc", "desc", None])
def test_list_is_sorted_as_requested(api: Api, listing: str, sort: str, direction: str | None) -> None:
    rows = api.list_all(listing, {"sort_by": sort} | ({"sort_direction": direction} if direction else {}))
    pairs = [(sort_key(sort, row[sort]), row["uuid"]) for row in rows]
    expected = sorted(pairs, key=lambda pair: pair[1])  # ties are sorted by key, always ascending
    expected.sort(key=lambda pair: pair[0], reverse=direction == "desc")
    assert pairs == expected


@parametrize_lists
def test_default_order_is_newest_first(api: Api, listing: str) -> None:
    times = [sort_key("created_at", row["created_at"]) for row in api.list_all(listing)]
    assert times == sorted(times, reverse=True)


# Filters and search --------------------------------------------------------------------------------------------------


def resolve_path(api: Api, record: StoredRecord, path: tuple[str, ...]) -> list[Any]:
    """Return the values at the end of a property path, following references; a list yields its elements."""
    if not path:
        return [record]
    contract, store = api.contract, api.sandbox.store
    relation = contract.resources[record.resource].relations.get(path[0])
    if relation is None:
        value: Any = record.attributes
        for part in path:
            value = (value or {}).get(part)
        return value if isinstance(value, list) else [value]
    references: list[Reference | None]
    if relation.inverse is not None:
        references = [*store.find_inverse(relation, record.reference)]
    elif relation.to_many:
        references = [*store.get_linked_references(record.resource, relation, record.key)]
    else:
        references = [record.references[path[0]]]
    targets = [store.get_existing(reference) for reference in references if reference is not None]
    return [value for target in targets for value in resolve_path(api, target, path[1:])]


def list_visible_records(api: Api, listing: str) -> list[StoredRecord]:
    """Return the stored records of a list without filters."""
    resource = OPERATIONS[listing].resource or ""
    keys = [row["uuid"] for row in api.list_all(listing)]
    return [api.sandbox.store.get_existing(Reference(resource, key)) for key in keys]


def parametrize_filters(operator: str) -> pytest.MarkDecorator:
    """Parametrize with the lists and their filters with an operator."""
    cases = [
        (operation.id, p.name)
        for operation in LISTS
        for p in parameters_by_role(operation, "filter")
        if p.x_query is not None and p.x_query.operator == operator
    ]
    return pytest.mark.parametrize(("listing", "name"), cases)


def get_filter_path(listing: str, name: str) -> tuple[str, ...]:
    """Return the property path of a filter."""
    x_query = next(p.x_query for p in OPERATIONS[listing].query_parameters if p.name == name)
    assert x_query is not None
    return x_query.paths[0]


def format_query_value(value: Any) -> str:
    """Format a value for a query string."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@parametrize_filters("eq")
def test_filter_returns_exactly_the_matching_records(api: Api, listing: str, name: str) -> None:
    path = get_filter_path(listing, name)
    rows = [(record.key, resolve_path(api, record, path)) for record in list_visible_records(api, listing)]
    values = list(dict.fromkeys(value for _, record_values in rows for value in record_values if value is not None))[:4]
    assert values, "the demo dataset has no value for this filter"
    for value in values:
        keys = [row["uuid"] for row in api.list_all(listing, {name: format_query_value(value)})]
        assert keys == [key for key, record_values in rows if value in record_values]


@parametrize_filters("exists")
def test_filter_by_presence_partitions_the_list(api: Api, listing: str, name: str) -> None:
    path = get_filter_path(listing, name)
    rows = {record.key: bool(resolve_path(api, record, path)) for record in list_visible_records(api, listing)}
    assert set(rows.values()) == {True, False}
    for is_present in (True, False):
        keys = {row["uuid"] for row in api.list_all(listing, {name: format_query_value(is_present)})}
        assert keys == {key for key, has_value in rows.items() if has_value is is_present}


@pytest.mark.parametrize(
    ("listing", "name"),
    [
        (o.id, p.name)
        for o in LISTS
        for p in parameters_by_role(o, "filter")
        if p.schema["type"] == "array" and p.x_query and p.x_query.operator == "eq"
    ],
)
def test_filter_with_several_values_matches_any_of_them(api: Api, listing: str, name: str) -> None:
    path = get_filter_path(listing, name)
    rows = [(record.key, resolve_path(api, record, path)) for record in list_visible_records(api, listing)]
    values = list(dict.fromkeys(value for _, record_values in rows for value in record_values))[:2]
    expected = [key for key, record_values in rows if set(record_values) & set(values)]
    for spelling in (name, f"{name}[]"):
        assert [row["uuid"] for row in api.list_all(listing, {spelling: values})] == expected


def test_date_filters_include_complete_days(api: Api) -> None:
    rows = {row["uuid"]: row["created_at"][:10] for row in api.list_all("listWorkflowExecutions")}
    days = sorted(rows.values())
    first, last = days[len(days) // 3], days[2 * len(days) // 3]
    keys = {row["uuid"] for row in api.list_all("listWorkflowExecutions", {"date_from": first, "date_to": last})}
    assert keys == {key for key, day in rows.items() if first <= day <= last}


def test_workspace_filter_takes_precedence_over_organization(api: Api) -> None:
    query = {"workspace_uuid": AGENT, "organization_multiplai_id": "org-456"}
    rows = api.list_all("listAgents", query)
    assert rows == api.list_all("listAgents", {"workspace_uuid": AGENT})
    assert rows


def test_several_filters_are_combined_with_and(api: Api) -> None:
    rows = api.list_all("listMessages", {"role": "user"})
    thread = rows[0]["thread"]["uuid"]
    filtered_rows = api.list_all("listMessages", {"role": "user", "thread_uuid": thread})
    assert [row["uuid"] for row in filtered_rows] == [row["uuid"] for row in rows if row["thread"]["uuid"] == thread]


SEARCHES = [operation.id for operation in LISTS if parameters_by_role(operation, "search")]


@pytest.mark.parametrize("listing", SEARCHES)
def test_search_is_complete_and_case_insensitive(api: Api, listing: str) -> None:
    (parameter,) = parameters_by_role(OPERATIONS[listing], "search")
    assert parameter.x_query is not None
    rows = {
        record.key: " \n ".join(
            str(value) for path in parameter.x_query.paths for value in resolve_path(api, record, path)
        )
        for record in list_visible_records(api, listing)
    }
    for text in list(rows.values())[:3]:
        term = max(text.split(), key=len)
        for spelling in (term.upper(), term.lower(), term[1:-1]):
            keys = {row["uuid"] for row in api.list_all(listing, {"search": spelling})}
            assert keys == {key for key, text in rows.items() if spelling.casefold() in text.casefold()}


# What is embedded ----------------------------------------------------------------------------------------------------


def find_embedded_relations(row: Mapping[str, Any], resource: str) -> set[str]:
    """Return the names of the relations that a record embeds."""
    return row.keys() & athena_contract().resources[resource].relations.keys()


INCLUDES = [
    (o.id, value)
    for o in LISTS
    for p in parameters_by_role(o, "include")
    for value in p.schema["items"]["enum"]
    if value == value.lower() and "." not in value
]


@pytest.mark.parametrize(("listing", "relation"), INCLUDES)
def test_with_embeds_only_the_named_relations(api: Api, listing: str, relation: str) -> None:
    resource = OPERATIONS[listing].resource or ""
    rows = api.data(listing, query={"with": relation})
    assert rows
    for row in rows:
        assert find_embedded_relations(row, resource) == {relation}


@pytest.mark.parametrize("listing", sorted({listing for listing, _ in INCLUDES}))
def test_default_relations_are_those_of_the_documentation(api: Api, listing: str) -> None:
    resource = athena_contract().resources[OPERATIONS[listing].resource or ""]
    default_relations = {relation.name for relation in resource.relations.values() if relation.is_embedded}
    rows = api.data(listing)
    assert rows
    for row in rows:
        assert find_embedded_relations(row, resource.name) == default_relations


def test_embedded_records_have_no_relations_unless_named(api: Api) -> None:
    (row,) = api.data("listMessages", query={"with": "thread", "per_page": 1})
    assert find_embedded_relations(row["thread"], "Thread") == set()
    (row,) = api.data("listMessages", query={"with": "thread.creator,thread.agent.tools", "per_page": 1})
    assert find_embedded_relations(row["thread"], "Thread") == {"creator", "agent"}
    assert find_embedded_relations(row["thread"]["creator"], "User") == set()


CAMEL = [
    (o.id, p.name, value)
    for o in OPERATIONS.values()
    for role in ("include", "count")
    for p in parameters_by_role(o, role)
    for value in p.schema["items"]["enum"]
    if value != value.lower()
]


@pytest.mark.parametrize(("name", "parameter", "value"), CAMEL)
def test_camel_case_names_are_equivalent(api: Api, name: str, parameter: str, value: str) -> None:
    operation = OPERATIONS[name]
    key = api.find_seeded_key(operation.resource or "") if operation.path_parameter_names else None
    snake_name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in value)
    camel_data, snake_data = (api.data(name, key, query={parameter: spelling}) for spelling in (value, snake_name))
    assert camel_data == snake_data


def test_with_count_adds_counts(api: Api) -> None:
    rows_without_counts = api.list_all("listWorkflowExecutions")
    rows = api.list_all("listWorkflowExecutions", {"with_count": "workflow_approvals,pending_workflow_approvals"})
    names = {"workflow_approvals_count", "pending_workflow_approvals_count"}
    assert all(not names & row.keys() for row in rows_without_counts)
    store = api.sandbox.store
    approvals: dict[Any, list[str]] = {row["uuid"]: [] for row in rows}
    for record in store.select("WorkflowApproval"):
        reference = record.references["workflow_execution"]
        if reference is not None and reference.key in approvals:
            approvals[reference.key].append(record.attributes["status"])
    assert any(approvals.values())
    for row in rows:
        statuses = approvals[row["uuid"]]
        assert row["workflow_approvals_count"] == len(statuses)
        assert row["pending_workflow_approvals_count"] == statuses.count("pending")


def test_requested_metrics_agree_with_other_values(api: Api) -> None:
    assert all("metrics" not in row for row in api.list_all("listAgents"))
    memories = [row["agent"]["uuid"] for row in api.list_all("listMemories", {"with": "agent"}) if row["agent"]]
    for row in api.list_all("listAgents", {"with_metrics": "true"}):
        metrics = row["metrics"]
        assert metrics["executions_count"] == row["usage_count"]
        assert metrics["threads_count"] == row["threads_count"]
        assert metrics["shares_count"] == len(row["shares"])
        if row["is_owner"]:
            assert metrics["memories_count"] == memories.count(row["uuid"])


def test_counts_of_an_agent_equal_its_lists(api: Api) -> None:
    for row in api.list_all("listAgents", {"workspace_uuid": AGENT}):
        assert (row["tools_count"], row["workflows_count"]) == (len(row["tools"]), len(row["workflows"]))
        assert row["threads_count"] == api.call_json("listThreads", query={"agent_uuid": row["uuid"]})["meta"]["total"]


# Size of responses --------------------------------------------------------------------------------------------------


def test_page_larger_than_the_limit_returns_413(api: Api) -> None:
    thread = api.data("createThread", body={"name": "Large", "metadata": {"notes": "x" * 900_000}})["uuid"]
    for number in range(10):
        api.data("createMessage", body={"thread_uuid": thread, "role": "user", "content": f"Question {number}"})
    query = {"thread_uuid": thread, "per_page": 100}
    reply = api.send("listMessages", query=query)
    assert len(json.loads(reply.body)["data"]) == 10
    for number in range(10, 20):
        api.data("createMessage", body={"thread_uuid": thread, "role": "user", "content": f"Question {number}"})
    reply = api.send("listMessages", query=query)
    assert (reply.status, reply.headers["x-mock-reason"]) == (413, "response-too-large")
    advice = "Request a smaller page, or fewer related records."
    assert reply.json == {"message": f"The response would be larger than 16 MiB. {advice}"}
    assert api.send("listMessages", query={**query, "per_page": 5}).status == 200
