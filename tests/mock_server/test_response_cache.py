"""Caches are invisible: a mock with caches responds byte for byte like one whose caches are cleared for each request.

The same holds for the search index, which only the first mock uses. Two mocks of one image get the same requests; reads
are repeated after each write.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from mock_server.sandbox.response_cache import (
    MAX_KEY_BYTES,
    MAX_RESPONSE_BYTES,
    MAX_TOTAL_BYTES,
    MAX_TRACKED_TAGS,
    CachedResponse,
    ResponseCache,
)
from mock_server.store import Dependencies, Store, Tag
from spec.model import Operation
from spec.record import Record
from tests.mock_server.athena import Api, athena_contract, athena_schemas
from tests.mock_server.museum_contract import museum

TOKENS = ("demo-token", "other-token", "viewer-token")
MAX_PREVIOUS_REQUESTS = 4
OPERATIONS = athena_contract().operations
READS = [o.id for o in OPERATIONS.values() if o.action in ("list", "retrieve")]
WRITES = [o.id for o in OPERATIONS.values() if o.method in ("post", "put", "delete")]
# The resource of an example, and those related to it, so that its writes affect its reads.
RESOURCES = sorted({o.resource for o in OPERATIONS.values() if o.id in READS and o.resource})
# Few records of each resource, so that writes affect the records that are read.
MAX_KEYS_PER_END = 2


@cache
def mock_pair() -> tuple[Api, Api]:
    """A mock with caches and one without, created once and reset for each example."""
    apis = (Api.create(athena_contract(), athena_schemas(), "demo") for _ in range(2))
    return next(apis), next(apis)


@cache
def examples() -> Mapping[str, Any]:
    """Return the example body of each operation that has one."""
    document = athena_contract().document
    bodies = (
        (o.id, document.resolve(o.request_body.pointer.removesuffix("/schema")))
        for o in OPERATIONS.values()
        if o.request_body
    )
    return {name: node["example"] for name, node in bodies if "example" in node}


def draw_argument(data: st.DataObject, api: Api, operation: Operation, name: str) -> Any:
    """Draw a value of a query parameter by its schema and role; None omits it."""
    parameter = next(p for p in operation.query_parameters if p.name == name)
    role = parameter.x_query.role if parameter.x_query else None
    schema = parameter.schema
    choices: list[Any] = list(schema.get("enum") or schema.get("items", {}).get("enum") or ())
    if role == "page":
        choices = [1, 2, 3]
    elif role == "search":
        choices = ["a", "he", "the", "customer", "Zz"]
    elif not choices and name.endswith("_uuid"):
        choices = list_keys(api, name.removesuffix("_uuid").title().replace("_", ""))
    return data.draw(st.sampled_from([None, *choices]), label=name)


def list_keys(api: Api, resource: str) -> list[Any]:
    """Return the keys of the oldest and newest records of a resource, if it exists."""
    if resource not in api.contract.resources:
        return []
    table = api.sandbox.store.tables[resource].name
    sql = f"SELECT key FROM {table} ORDER BY n {{}} LIMIT {MAX_KEYS_PER_END}"
    keys = [row[0] for direction in ("", "DESC") for row in api.sandbox.store.connection.execute(sql.format(direction))]
    return list(dict.fromkeys(keys))


class CacheMachine(RuleBasedStateMachine):
    """Sends the same requests to both mocks."""

    @initialize(resource=st.sampled_from(RESOURCES))
    def initialize_mocks(self, resource: str) -> None:
        contract = athena_contract()
        targets = {name for relation in contract.resources[resource].relations.values() for name in relation.targets}
        related = {resource, *targets}
        self.reads = [name for name in READS if OPERATIONS[name].resource in related]
        self.writes = [name for name in WRITES if OPERATIONS[name].resource in related] or WRITES
        self.cached_mock, self.uncached_mock = mock_pair()
        self.cached_mock.reset()
        self.uncached_mock.reset()
        for index in self.cached_mock.sandbox.store.search_indexes.values():
            index.max_unindexed = 0
        self.uncached_mock.sandbox.store.search_indexes.clear()
        self.previous_requests: list[dict[str, Any]] = []

    def compare_mocks(self, times: int = 1, **request: Any) -> None:
        """Send a request to both mocks, `times` times to the one with caches, and compare the responses."""
        self.uncached_mock.sandbox.store.invalidate_caches()
        uncached_reply = self.uncached_mock.send(**request)
        for _ in range(times):
            cached_reply = self.cached_mock.send(**request)
            assert (cached_reply.status, cached_reply.body) == (uncached_reply.status, uncached_reply.body), request
            reply_headers = [
                {k: v for k, v in reply.headers.items() if k != "x-request-id"}
                for reply in (cached_reply, uncached_reply)
            ]
            assert reply_headers[0] == reply_headers[1], request

    def draw_key(self, data: st.DataObject, operation: Operation) -> Any:
        """Draw a key for the path of an operation, None if it has no parameter."""
        known = list_keys(self.cached_mock, operation.resource or "")
        return data.draw(st.sampled_from([*known, "gone"]), label="key") if operation.path_parameter_names else None

    def read(self, data: st.DataObject) -> None:
        """Send a random read and record it for later repetition."""
        operation = OPERATIONS[data.draw(st.sampled_from(self.reads), label="operation")]
        sizes = {p.name for p in operation.query_parameters if p.x_query and p.x_query.role == "size"}
        others = sorted({p.name for p in operation.query_parameters} - sizes)
        names = data.draw(st.sets(st.sampled_from(others), max_size=3), label="parameters") if others else ()
        arguments = {name: draw_argument(data, self.cached_mock, operation, name) for name in sorted(names)}
        arguments |= dict.fromkeys(sizes, data.draw(st.sampled_from((1, 2, 3)), label="size"))  # long pages are slow
        request = {
            "name": operation.id,
            "key": self.draw_key(data, operation),
            "query": {name: value for name, value in arguments.items() if value is not None},
            "token": data.draw(st.sampled_from(TOKENS), label="token"),
            "headers": {"host": data.draw(st.sampled_from(("localhost:8000", "127.0.0.1:8001")), label="host")},
        }
        self.compare_mocks(times=2, **request)
        self.previous_requests = [*self.previous_requests, request][-MAX_PREVIOUS_REQUESTS:]

    @rule(data=st.data(), token=st.sampled_from(TOKENS), seconds=st.sampled_from((0, 1, 3600)))
    def reads_and_write(self, data: st.DataObject, token: str, seconds: int) -> None:
        self.read(data)
        self.read(data)
        operation = OPERATIONS[data.draw(st.sampled_from(self.writes), label="operation")]
        for api in (self.cached_mock, self.uncached_mock):
            api.clock.advance(seconds=seconds)
        body = examples().get(operation.id)
        if isinstance(body, dict) and body:
            omitted_names = data.draw(st.sets(st.sampled_from(sorted(body)), max_size=2), label="left out")
            body = {name: value for name, value in body.items() if name not in omitted_names}
        self.compare_mocks(name=operation.id, key=self.draw_key(data, operation), body=body, token=token)
        for request in self.previous_requests:
            self.compare_mocks(**request)


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=25, stateful_step_count=8, deadline=None)


def test_every_read_operation_is_tested() -> None:
    assert {"listMessages", "retrieveMessage"} <= set(READS)


def response_cache(api: Api) -> ResponseCache:
    """Return the cache of an application, valid until it is reset."""
    return api.sandbox.responses


def test_repeated_read_is_served_from_the_cache(api: Api) -> None:
    api.data("listMessages")
    cache_key, (generation, response) = next(iter(response_cache(api).entries.items()))
    response_cache(api).entries[cache_key] = (generation, replace(response, body=b'{"data":"cached"}'))
    assert api.send("listMessages").body == b'{"data":"cached"}'


def test_cached_record_survives_unrelated_write(api: Api) -> None:
    first, second = (row["uuid"] for row in api.data("listMessages")[:2])
    api.data("retrieveMessage", first)
    cache_key, (generation, response) = list(response_cache(api).entries.items())[-1]
    response_cache(api).entries[cache_key] = (generation, replace(response, body=b'{"data":"cached"}'))
    api.data("updateMessage", second, {"content": "changed"})
    assert api.send("retrieveMessage", first).body == b'{"data":"cached"}'
    api.data("updateMessage", first, {"content": "changed"})
    assert api.data("retrieveMessage", first)["content"] == "changed"


def test_related_write_invalidates_the_cached_response(api: Api) -> None:
    before = api.send("listMessages").body
    key = api.data("listMessages")[0]["uuid"]
    api.data("updateMessage", key, {"content": "changed"})
    assert api.send("listMessages").body != before


def create_cache() -> ResponseCache:
    """The response cache of an empty museum."""
    return ResponseCache(Store.create(museum()))


def put(cache: ResponseCache, key: str, length: int, *tags: Tag, resources: tuple[str, ...] = ()) -> None:
    """Cache a response that was read now."""
    dependencies = Dependencies(cache.store.generation, set(tags), resources)
    cache.put((key,), CachedResponse(b"x" * length, 200, None, None, dependencies))


def test_total_size_of_cache_is_limited() -> None:
    cache = create_cache()
    for number in range(100):
        put(cache, str(number), MAX_RESPONSE_BYTES)
        assert sum(len(response.body) for _, response in cache.entries.values()) <= cache.total_bytes <= MAX_TOTAL_BYTES
        assert cache.get((str(number),)) is not None


def test_replaced_response_frees_its_size() -> None:
    cache = create_cache()
    for length in (10, 30, 20):
        put(cache, "page", length)
    size_before = cache.total_bytes
    cache.store.invalidate_caches()
    put(cache, "page", 20)
    assert cache.total_bytes == size_before


@pytest.mark.parametrize(("request_length", "length"), [(1, MAX_RESPONSE_BYTES + 1), (MAX_KEY_BYTES + 1, 1)])
def test_oversized_response_is_not_cached(request_length: int, length: int) -> None:
    cache = create_cache()
    put(cache, "x" * request_length, length)
    assert not cache.entries


def test_write_invalidates_only_responses_that_depend_on_it() -> None:
    cache, room, other = (
        create_cache(),
        Record("Room", "r", {"uuid": "r"}, {}),
        Record("Room", "o", {"uuid": "o"}, {}),
    )
    cache.store.add(room)
    put(cache, "room", 1, ("Room", "r"))
    put(cache, "rooms", 1, resources=("Room",))
    put(cache, "people", 1, ("Person", "p"), resources=("Person",))
    cache.store.add(other)
    assert [cache.get((name,)) is not None for name in ("room", "rooms", "people")] == [True, False, True]
    cache.store.delete("Room", "r")
    assert [cache.get((name,)) is not None for name in ("room", "people")] == [False, True]
    cache.store.invalidate_caches()
    assert cache.get(("people",)) is None


def test_response_read_before_the_last_write_is_not_cached() -> None:
    cache = create_cache()
    response = CachedResponse(b"x", 200, None, None, Dependencies(cache.store.generation, set(), ("Room",)))
    cache.store.add(Record("Person", "p", {"uuid": "p"}, {}))
    cache.put(("rooms",), response)
    assert not cache.entries


def test_number_of_tracked_tags_is_limited() -> None:
    cache = create_cache()
    put(cache, "first", 1, ("Room", 0))
    for number in range(MAX_TRACKED_TAGS + 2):
        cache.on_write({("Room", number)})
    assert len(cache.write_generations) <= MAX_TRACKED_TAGS + 1
    assert cache.get(("first",)) is None


MAX_RECORDS = 5  # whose dependencies are compared
SAMPLES: Mapping[Any, str] = {
    "boolean": "true",
    "integer": "1",
    "string": "x",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
    "date": "2026-01-01",
    "date-time": "2026-01-01",
}


def list_sample_values(schema: Mapping[str, Any]) -> list[str]:
    """Return sample values of a query parameter: its enum, or one value of its type."""
    item_schema = schema.get("items", schema)
    return item_schema.get("enum") or [
        SAMPLES[item_schema.get("format") if item_schema.get("format") in SAMPLES else item_schema["type"]]
    ]


ARGUMENTS = [
    (o.id, p.name, value)
    for o in OPERATIONS.values()
    if o.action == "list"
    for p in o.query_parameters
    if p.x_query and p.x_query.role in ("filter", "search", "sort", "count", "show", "include")
    for value in list_sample_values(p.schema)
]


def find_missing_dependencies(api: Api, **request: Any) -> set[str]:
    """Return the resources whose table was read and on which the response does not depend."""
    api.send(**request)
    memo = api.sandbox.store.changes.memo
    # the viewer of a cached response is resolved for each request
    api.sandbox.store.changes.memo = {key: value for key, value in memo.items() if key[0] in ("builtin", "viewer")}
    for listener in (response_cache(api).on_write, api.sandbox.encoder.on_write):
        listener(None)
    api.sandbox.store.reader.record_cache.clear()
    tables_read: set[str] = set()

    def authorize(action: int, table: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ and table:
            tables_read.add(table.partition(".")[0])
        return sqlite3.SQLITE_OK

    connection = Store.from_image(api.contract, api.image).connection  # a connection without prepared statements
    connection.set_authorizer(authorize)
    api.sandbox.store.connection = api.sandbox.store.reader.connection = connection
    for counts in api.sandbox.store.count_caches.values():
        counts.connection = connection
        counts.clear()
    assert api.send(**request).status == 200
    ((_, response),) = response_cache(api).entries.values()
    assert OPERATIONS[request["name"]].resource in tables_read
    known = {*response.dependencies.resources, *(tag[0] for tag in response.dependencies.tags)}
    return (tables_read & api.contract.resources.keys()) - known


@pytest.mark.parametrize(("name", "parameter", "value"), ARGUMENTS)
def test_list_depends_on_every_table_that_it_reads(api: Api, name: str, parameter: str, value: Any) -> None:
    assert find_missing_dependencies(api, name=name, query={parameter: value}) == set()


@pytest.mark.parametrize("name", [name for name in READS if OPERATIONS[name].path_parameter_names])
def test_record_depends_on_every_table_that_it_reads(api: Api, name: str) -> None:
    existing_keys = [
        key for key in list_keys(api, OPERATIONS[name].resource or "") if api.send(name, key).status == 200
    ]
    # A record without related records reads their table and does not depend on it; some record has related ones.
    missing: list[set[str]] = []
    for key in existing_keys[:MAX_RECORDS]:
        api.reset()
        missing.append(find_missing_dependencies(api, name=name, key=key))
    assert set.intersection(*missing) == set()


def sign_in(api: Api) -> str:
    body = {"email": "john.doe@example.com", "password": "password"}
    token: str = api.send("signIn", body=body, token=None).json["data"]["token"]
    return token


def test_cached_response_is_not_served_to_a_revoked_token(api: Api) -> None:
    first, second = sign_in(api), sign_in(api)
    assert [api.status("listMessages", token=token) for token in (first, first, second)] == [200, 200, 200]
    assert api.status("logout", token=first) == 204
    assert [api.status("listMessages", token=token) for token in (first, second)] == [401, 200]
    api.clock.advance(hours=12)
    assert api.status("listMessages", token=second) == 401


def test_cache_key_contains_everything_that_is_read_of_a_request(api: Api) -> None:
    assert api.send("listMessages").status == 200
    assert api.send("listMessages", headers={"accept": "text/plain"}).status == 406
    assert api.send("listMessages", headers={"host": "example.com"}).status == 421
    assert api.send("listMessages", token=None).status == 401
    assert api.send("listMessages", query={"per_page": 0}).status == 422
    page = api.send("listMessages", headers={"origin": "http://localhost:3000"})
    assert page.headers["access-control-allow-origin"] == "http://localhost:3000"
    forwarded = api.send("listMessages", headers={"x-forwarded-host": "example.com"})
    assert b"http://example.com/" in forwarded.body
    assert len(response_cache(api).entries) == 3


@pytest.mark.parametrize("last", ["Bearer junk", "Bearer expired-token", "", "Basic x"])
def test_cached_response_is_not_served_to_the_last_of_two_tokens(api: Api, last: str) -> None:
    # Two headers whose names differ in case are one header, sent twice.
    both_headers = {"authorization": "Bearer demo-token", "Authorization": last}
    for headers in (both_headers, {"authorization": last}, both_headers):
        assert api.send("listMessages", token=None, headers=headers).status == 401
    valid_headers = {"authorization": last, "Authorization": "Bearer demo-token"}
    assert api.send("listMessages", token=None, headers=valid_headers).status == 200


def test_ignored_header_is_not_part_of_the_cache_key(api: Api) -> None:
    for number in range(3):
        reply = api.send("listMessages", headers={"traceparent": f"{number}", "x-request-id": f"r{number}"})
        assert reply.headers["x-request-id"] == f"r{number}"
    assert len(response_cache(api).entries) == 1
