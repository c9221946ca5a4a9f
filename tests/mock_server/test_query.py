"""Queries with any combination of parameters return the same records as a plain-Python model."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mock_server import actions
from mock_server.actions.call import ActionRequest
from mock_server.query import ListQuery, Query, Viewer, collect_query_arguments
from mock_server.query.filters import build_search
from mock_server.sandbox.clock import Clock, get_system_time
from mock_server.serialization.layout import insert_base_url
from mock_server.serialization.pagination import PageUrls, build_page_url_prefix, build_pagination_values
from mock_server.store import Store
from spec.extensions import QueryExtension
from spec.model import Operation, Parameter
from spec.property_paths import resolve_property_path
from spec.record import Record, Reference
from tests.mock_server.museum_contract import (
    ARTIST_KEYS,
    DATES,
    INSTANTS,
    TAGS,
    TEXTS,
    WEIGHTS,
    MuseumModel,
    create_sandbox,
    datasets,
    fetch_page,
    museum,
    texts,
    to_instant,
)

LISTS = ("listRooms", "listExhibits", "listArtists", "listNotes")
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
BASE = "http://127.0.0.1:8000"


@dataclass
class LoadedMuseum:
    """The same records in a store and in a model."""

    store: Store
    model: MuseumModel

    def viewers(self) -> list[Viewer | None]:
        """No viewer, and every person."""
        return [None, *(self.model.create_viewer(person) for person in self.model.list_references("Person"))]


def load_museum(records: list[Record]) -> LoadedMuseum:
    """Load records into a store and a model."""
    museum_data = LoadedMuseum(Store.create(museum()), MuseumModel())
    for record in records:
        museum_data.store.add(record)
        museum_data.model.add(record)
    return museum_data


# Filters, search and order in plain Python ---------------------------------------------------------------------------


def to_comparable_value(value: Any) -> Any:
    """Convert a value for sorting: nulls first, booleans as integers, instants in UTC."""
    value = to_instant(value)
    return (0,) if value is None else (1, value)


def matches_filter(
    model: MuseumModel, reference: Reference, x_query: QueryExtension, value: Any, viewer: Viewer | None
) -> bool:
    """Whether a record matches a filter."""
    path = x_query.paths[0]
    if x_query.operator == "exists":
        relation, related = (
            museum().resources[reference.resource].relations[path[0]],
            model.find_related(reference, path[0]),
        )
        is_in_column = relation.is_stored and not relation.to_many
        return any(is_in_column or model.is_visible(viewer, r) for r in related) is value
    values = model.find_values(reference, path, viewer, is_key_known=True)
    values = [v for item in values for v in (item if isinstance(item, list) else [item])]
    if x_query.operator == "eq":
        return any(v in values for v in (value if isinstance(value, list) else [value]))
    low, high = (f"{value}T00:00:00Z", f"{value}T23:59:59.999999Z") if is_date(reference, path, value) else (value,) * 2
    if x_query.operator == "from":
        return any(to_instant(v) >= to_instant(low) for v in values)
    return any(to_instant(v) <= to_instant(high) for v in values)


def is_date(reference: Reference, path: tuple[str, ...], value: Any) -> bool:
    """Whether a bound of a date-time property is a date, which includes the complete day."""
    _, target, attribute_path = resolve_property_path(museum(), museum().resources[reference.resource], path, "")
    return isinstance(value, str) and len(value) == 10 and target.attributes[attribute_path[0]].format == "date-time"


def matches_search(
    model: MuseumModel, reference: Reference, x_query: QueryExtension, term: str, viewer: Viewer | None
) -> bool:
    """Whether one of the searched properties contains the term, case-insensitively."""
    values = [v for path in x_query.paths for v in model.find_values(reference, path, viewer)]
    return any(isinstance(v, str) and term.casefold() in v.casefold() for v in values)


def find_expected_keys(
    model: MuseumModel, operation: Operation, values: Mapping[str, Any], viewer: Viewer | None
) -> list[Any]:
    """Return the keys of all records of a list, in order, without paging."""
    assert operation.resource is not None
    resource = museum().resources[operation.resource]
    arguments = {p.name: p.x_query for p in operation.parameters if p.x_query and p.name in values}
    matches = [r for r in model.list_references(resource.name) if model.is_visible(viewer, r)]
    for name, x_query in arguments.items():
        if x_query.role == "filter" and x_query.unless_parameter not in values:
            matches = [r for r in matches if matches_filter(model, r, x_query, values[name], viewer)]
        elif x_query.role == "search":
            matches = [r for r in matches if matches_search(model, r, x_query, values[name], viewer)]
    sort, direction = values.get("sort"), values.get("direction")
    matches.sort(key=lambda r: str(r.key))  # the sorts below are stable: equal values stay in the order of keys
    if sort is not None:
        matches.sort(
            key=lambda r: to_comparable_value(get_property(model, r, sort, viewer)), reverse=direction == "desc"
        )
    else:
        created = resource.attributes_with_stamp("created")

        def get_age(reference: Reference) -> Any:
            entry = model.entries[reference]
            return to_comparable_value(entry.attributes.get(created[0])) if created else (1, entry.number)

        matches.sort(key=get_age, reverse=direction != "asc")
    return [r.key for r in matches]


def get_property(model: MuseumModel, reference: Reference, name: str, viewer: Viewer | None) -> Any:
    """Return the value of an attribute or derived property."""
    derived = museum().resources[reference.resource].derived_properties.get(name)
    if derived is not None:
        return model.compute_derived(reference, derived, viewer)
    return model.entries[reference].attributes.get(name)


# Queries ------------------------------------------------------------------------------------------------------------

SAMPLE_TEXTS = (*TEXTS, *ARTIST_KEYS, "r1", "r2", "m1", "m2", "e1", "north", "i", "s", "ss", "Σ")


INSTANT_BOUNDS = st.sampled_from([text for text in (*INSTANTS, *DATES) if text])
DATE_BOUNDS = st.sampled_from(DATES[1:])
# Parameter -> values to send.
PARAMETER_STRATEGIES: Mapping[str, st.SearchStrategy[Any]] = {
    "shown_from": INSTANT_BOUNDS,
    "shown_to": INSTANT_BOUNDS,
    "made_from": DATE_BOUNDS,
    "made_to": DATE_BOUNDS,
    "tags": st.sampled_from(TAGS),
    "page": st.integers(1, 4),
}
# Schema type -> values of all other parameters.
TYPE_STRATEGIES: Mapping[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-2, 4),
    "number": st.sampled_from(WEIGHTS[1:]),
    "string": st.sampled_from(SAMPLE_TEXTS),
}


@st.composite
def parameter_values(draw: st.DrawFn, parameter: Parameter) -> Any:
    """Draw a valid value of a query parameter."""
    schema = parameter.schema
    if schema.get("type") == "array":
        return draw(st.lists(scalar_values(parameter.name, schema["items"]), min_size=1, max_size=3))
    return draw(scalar_values(parameter.name, schema))


def scalar_values(name: str, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return the strategy for one value of a parameter."""
    if "$ref" in schema:
        schema = museum().document.resolve(schema["$ref"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if name in PARAMETER_STRATEGIES:
        return PARAMETER_STRATEGIES[name]
    return TYPE_STRATEGIES[schema["type"]]


@st.composite
def queries(draw: st.DrawFn, operation: Operation) -> dict[str, Any]:
    """Draw values of up to five query parameters, with a page size of 1 to 3."""
    names = draw(st.sets(st.sampled_from([p.name for p in operation.query_parameters]), max_size=5))
    values = {p.name: draw(parameter_values(p)) for p in operation.query_parameters if p.name in names}
    if "size" in values:
        values["size"] = draw(st.integers(1, 3))
    return values


operations = st.sampled_from([museum().operations[name] for name in LISTS])


@given(datasets(), operations, st.data())
def test_page_contains_the_matching_records(records: list[Record], operation: Operation, data: st.DataObject) -> None:
    museum_data = load_museum(records)
    for _ in range(4):
        viewer = data.draw(st.sampled_from(museum_data.viewers()), label="viewer")
        values = data.draw(queries(operation), label="query")
        resource = museum().resources[operation.resource or ""]
        page = fetch_page(
            Query(museum_data.store, viewer), resource, collect_query_arguments(operation.parameters, values)
        )
        expected_keys = find_expected_keys(museum_data.model, operation, values, viewer)
        number, size = values.get("page", 1), values.get("size", 20)
        assert page.total == len(expected_keys)
        assert [row.key for row in page.rows] == expected_keys[(number - 1) * size : number * size]
    museum_data.store.close()


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (operation, parameter.name)
        for operation in LISTS
        for parameter in museum().operations[operation].query_parameters
        if parameter.x_query and parameter.x_query.role in ("filter", "search", "sort")
    ],
)
@settings(max_examples=settings().max_examples // 5)  # there are many parameters
@given(records=datasets(), data=st.data())
def test_each_query_parameter_alone_selects_the_expected_records(
    operation: str, name: str, records: list[Record], data: st.DataObject
) -> None:
    museum_data = load_museum(records)
    definition = museum().operations[operation]
    resource = museum().resources[definition.resource or ""]
    parameter = next(p for p in definition.query_parameters if p.name == name)
    for _ in range(3):
        values = {name: data.draw(parameter_values(parameter))}
        if parameter.x_query and parameter.x_query.role == "sort":
            values["direction"] = data.draw(st.sampled_from(("asc", "desc")))
        page = fetch_page(
            Query(museum_data.store, None),
            resource,
            collect_query_arguments(definition.parameters, {**values, "size": 100}),
        )
        assert [row.key for row in page.rows] == find_expected_keys(museum_data.model, definition, values, None)
    museum_data.store.close()


def list_read_columns(store: Store, listing: ListQuery) -> set[tuple[str, str]]:
    """Return (table or link table, column) of everything that SQLite reads to evaluate a list's condition and order."""
    columns: set[tuple[str, str]] = set()

    def authorize(action: int, table: str | None, column: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ:
            columns.add((table or "", column or ""))
        return sqlite3.SQLITE_OK

    sql = f"SELECT {listing.condition.sql} FROM {store.tables[listing.resource.name].name} ORDER BY {listing.order}"
    store.connection.set_authorizer(authorize)
    store.connection.execute(sql, (*listing.condition.parameters, *listing.order_parameters))
    store.connection.set_authorizer(None)
    return columns


@pytest.mark.parametrize("operation", LISTS)
@given(data=st.data())
def test_list_query_declares_the_tables_and_columns_that_it_reads(operation: str, data: st.DataObject) -> None:
    store, definition = Store.create(museum()), museum().operations[operation]
    resource, values = museum().resources[definition.resource or ""], data.draw(queries(definition), label="query")
    viewer = data.draw(st.sampled_from((None, Viewer(1, ("m1", "m2")))), label="viewer")
    listing = Query(store, viewer).create_list_query(resource, collect_query_arguments(definition.parameters, values))
    columns = list_read_columns(store, listing)
    tables = {table.partition(".")[0] for table, _ in columns} & museum().resources.keys()
    assert tables <= {resource.name, *listing.read_resources}
    if not listing.condition.resources:
        sort_column = listing.order.split(" ")[0].rpartition(".")[2]
        declared = {name.strip('"') for name in (*listing.condition.columns, sort_column)}
        assert {column for table, column in columns if table == resource.name} - {"key", "n"} <= declared
    store.close()


@given(datasets())
def test_visible_records_are_in_the_viewers_tenants_public_or_shared(records: list[Record]) -> None:
    museum_data = load_museum(records)
    for viewer in museum_data.viewers():
        for resource in museum().resources.values():
            condition = Query(museum_data.store, viewer).build_visibility_condition(resource)
            visible = museum_data.store.select(resource.name, condition)
            assert [r.key for r in visible] == [
                r.key
                for r in museum_data.model.list_references(resource.name)
                if museum_data.model.is_visible(viewer, r)
            ]
    museum_data.store.close()


@given(datasets())
def test_viewer_tenants_are_home_and_memberships(records: list[Record]) -> None:
    museum_data = load_museum(records)
    sandbox = create_sandbox(museum_data.store, Clock(get_system_time))
    for person in museum_data.model.list_references("Person"):
        viewer, expected_viewer = sandbox.get_viewer(person.key), museum_data.model.create_viewer(person)
        assert (viewer.user_key, viewer.tenant_keys[:1], set(viewer.tenant_keys)) == (
            expected_viewer.user_key,
            expected_viewer.tenant_keys[:1],
            set(expected_viewer.tenant_keys),
        )
    museum_data.store.close()


def test_token_is_revoked_with_its_account() -> None:
    store = Store.create(museum())
    store.add(Record("Person", 1, {"id": 1, "name": "P", "email": "p@example.org", "password": "word"}, {}))
    sandbox = create_sandbox(store, Clock(get_system_time))
    signed_in = sandbox.sign_in("P@example.org", "word", NOW)
    assert signed_in is not None
    store.delete("Person", 1)
    assert sandbox.resolve_token(signed_in[0], NOW) is None
    store.close()


def test_token_is_valid_for_its_account_until_it_expires() -> None:
    store = Store.create(museum())
    store.add(Record("Person", 1, {"id": 1, "name": "P", "email": "p@example.org", "password": "word"}, {}))
    sandbox = create_sandbox(store, Clock(get_system_time))
    signed_in = sandbox.sign_in("p@example.org", "word", NOW)
    assert signed_in is not None
    token, expires_at, _ = signed_in
    viewers = [sandbox.resolve_token(token, NOW), sandbox.resolve_token(token, expires_at)]
    assert viewers == [Viewer(1, ()), None]
    store.close()


@given(texts, texts)
def test_search_is_case_insensitive_in_every_script(name: str, term: str) -> None:
    store = Store.create(museum())
    store.add(Record("Room", "r1", {"uuid": "r1", "name": name, "open": False}, {}))
    condition = build_search(store, museum().resources["Room"], ("name",), term)
    assert bool(store.select("Room", condition)) == (term.casefold() in name.casefold())
    store.close()


# Out-of-range numbers -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def museum_data() -> Iterator[LoadedMuseum]:
    loaded = load_museum(
        [
            Record("Museum", "m1", {"uuid": "m1", "name": "One"}, {}),
            Record("Person", 1, {"id": 1, "name": "P"}, {"home": Reference("Museum", "m1")}),
            *(
                Record(
                    "Room",
                    f"r{i}",
                    {"uuid": f"r{i}", "name": f"R{i}", "floor": i, "open": False, "created_at": None},
                    {"museum": Reference("Museum", "m1")},
                )
                for i in range(1, 8)
            ),
        ]
    )
    yield loaded
    loaded.store.close()


@pytest.mark.parametrize("name", ["floor", "floor_from", "floor_to"])
@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**400])
def test_integer_beyond_64_bits_is_compared(museum_data: LoadedMuseum, name: str, value: int) -> None:
    operation = museum().operations["listRooms"]
    values = {name: [value] if name == "floor" else value}
    page = fetch_page(
        Query(museum_data.store, None),
        museum().resources["Room"],
        collect_query_arguments(operation.parameters, values),
    )
    assert page.total == len(find_expected_keys(museum_data.model, operation, values, None))


def test_key_beyond_64_bits_matches_no_record(museum_data: LoadedMuseum) -> None:
    operation = museum().operations["listExhibits"]
    arguments = collect_query_arguments(operation.parameters, {"curator": [2**64]})
    assert fetch_page(Query(museum_data.store, None), museum().resources["Exhibit"], arguments).total == 0


def test_page_after_the_last_is_empty_with_the_total(museum_data: LoadedMuseum) -> None:
    operation = museum().operations["listRooms"]
    arguments = collect_query_arguments(operation.parameters, {"page": 2147483647, "size": 100})
    page = fetch_page(Query(museum_data.store, None), museum().resources["Room"], arguments)
    assert (page.rows, page.total) == ([], 7)


def test_empty_list_of_values_matches_nothing(museum_data: LoadedMuseum) -> None:
    operation = museum().operations["listRooms"]
    page = fetch_page(
        Query(museum_data.store, None),
        museum().resources["Room"],
        collect_query_arguments(operation.parameters, {"floor": []}),
    )
    assert page.total == 0


# Pagination values and links ----------------------------------------------------------------------------------------


def fetch_body(museum_data: LoadedMuseum, raw_query: str, **query: Any) -> Any:
    """Return the parsed body of the list of rooms."""
    operation = museum().operations["listRooms"]
    sandbox = create_sandbox(museum_data.store, Clock(get_system_time))
    call = ActionRequest(operation, sandbox, None, {}, query, raw_query, None, BASE, NOW)
    return orjson.loads(insert_base_url(actions.run_action(call).body or b"", BASE))


@given(st.integers(0, 60), st.integers(1, 12), st.integers(1, 12))
def test_pagination_values_are_consistent(total: int, size: int, page: int) -> None:
    on_page = max(0, min(size, total - (page - 1) * size))
    arguments = build_pagination_values(
        offset=(page - 1) * size,
        page_size=size,
        total=total,
        row_count=on_page,
        base_url="",
        url="/x",
        page_urls=PageUrls("page", "/x?page="),
    )
    rows = list(range(1, total + 1))[(page - 1) * size : page * size]
    assert (arguments["first-item"], arguments["last-item"]) == ((rows[0], rows[-1]) if rows else (None, None))
    assert arguments["last-page"] == max(1, -(-total // size))
    assert (arguments["next"] is None) == (page >= arguments["last-page"])
    assert (arguments["previous"] is None) == (page == 1)


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), max_size=4))
def test_links_keep_the_rest_of_the_query(pairs: list[tuple[str, str]]) -> None:
    raw = urlencode([*pairs, ("page", "3")])
    arguments = build_pagination_values(
        offset=2,
        page_size=1,
        total=9,
        row_count=1,
        base_url="",
        url="/x",
        page_urls=PageUrls("page", build_page_url_prefix("/x", raw, "page")),
    )
    link_query = parse_qsl(urlsplit(arguments["next"]).query, keep_blank_values=True)
    assert link_query == [*(p for p in parse_qsl(raw, keep_blank_values=True) if p[0] != "page"), ("page", "4")]


def test_next_links_lead_through_every_record_once(museum_data: LoadedMuseum) -> None:
    seen: list[str] = []
    query: dict[str, Any] = {"size": 3, "sort": "floor"}
    raw = "size=3&sort=floor"
    while True:
        body = fetch_body(museum_data, raw, **query)
        seen += [row["uuid"] for row in body["data"]]
        if body["links"]["next"] is None:
            break
        raw = urlsplit(body["links"]["next"]).query
        query["page"] = int(dict(parse_qsl(raw))["page"])
    assert seen == [f"r{i}" for i in range(1, 8)]


def test_links_use_the_requested_base_url(museum_data: LoadedMuseum) -> None:
    body = fetch_body(museum_data, "page=2&size=2&search=%C3%A4%26", page=2, size=2)
    assert body["links"] == {
        "first": f"{BASE}/house/rooms?size=2&search=%C3%A4%26&page=1",
        "last": f"{BASE}/house/rooms?size=2&search=%C3%A4%26&page=4",
        "prev": f"{BASE}/house/rooms?size=2&search=%C3%A4%26&page=1",
        "next": f"{BASE}/house/rooms?size=2&search=%C3%A4%26&page=3",
    }


def test_page_object_describes_its_position(museum_data: LoadedMuseum) -> None:
    assert fetch_body(museum_data, "page=3&size=3", page=3, size=3)["meta"] == {
        "page": 3,
        "from": 7,
        "last": 3,
        "size": 3,
        "to": 7,
        "total": 7,
        "path": f"{BASE}/house/rooms",
    }


def test_previous_link_after_the_last_page_goes_back_by_one(museum_data: LoadedMuseum) -> None:
    links = fetch_body(museum_data, "page=9&size=3", page=9, size=3)["links"]
    assert (links["prev"], links["next"]) == (f"{BASE}/house/rooms?size=3&page=8", None)
