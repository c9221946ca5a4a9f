# ruff: noqa: E501 - one mistake a line
"""A contract is read whole or refused: with the place, what stands there, and what may stand there."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec.document import escape, parse_document
from spec.errors import ContractError
from spec.loader import Contract, load_contract, parse_contract, resolve_count, resolve_include, resolve_property_path
from tests.spec.edited import FOREIGN, GONE, contract, original

SCHEMAS = "#/components/schemas"
LIST = "#/paths/~1authors/get/parameters"
AUTHOR = f"{SCHEMAS}/Author"
ROOM = f"{SCHEMAS}/Room"


def refused(name: str, *changes: tuple[str, Any]) -> ContractError:
    """How an edited contract is refused."""
    with pytest.raises(ContractError) as error:
        contract(name, *changes)
    return error.value


# Each: pointer and what is written there -> place of the refusal, what it found, what it allows.
LIBRARY = [
    # The document
    ("#/openapi", "3.1.0", "#/openapi", "'3.1.0'", "3.0.x"),
    ("#/openapi", GONE, "#/openapi", "None", "3.0.x"),
    ("#/paths", None, "#/paths", "None", "a mapping"),
    ("#/paths/authors", {}, "#/paths/authors", "'authors'", "a path that begins with /"),
    # Kinds of values
    (f"{AUTHOR}/properties", None, f"{AUTHOR}/properties", "None", "a mapping of names to mappings"),
    (f"{AUTHOR}/properties/name", 5, f"{AUTHOR}/properties", "", "a mapping of names to mappings"),
    (f"{AUTHOR}/required", "name", f"{AUTHOR}/required", "'name'", "a list of names, or of a parameter a boolean"),
    (f"{AUTHOR}/required", True, f"{AUTHOR}/required", "True", "a list of names"),
    (f"{AUTHOR}/properties/library/allOf", {}, f"{AUTHOR}/properties/library/allOf", "{}", "a list of mappings"),
    (f"{LIST}/4/name", GONE, f"{LIST}/4", "no name", "name: a text"),
    (f"{LIST}/4/in", 5, f"{LIST}/4", "no in", "in: a text"),
    (f"{LIST}/0/$ref", 5, f"{LIST}/0/$ref", "5", "a text"),
    # Unknown words and grades
    (f"{AUTHOR}/x-colour", 1, f"{AUTHOR}/x-colour", "the unknown word 'x-colour'", "x-action, x-derived,"),
    (f"{AUTHOR}/properties/name/x-Source", 1, f"{AUTHOR}/properties/name/x-Source", "the unknown word 'x-Source'", "x-action"),
    ("#/info/x-source", "known", "#/info/x-source", "'known'", "documented, published, confirmed, inferred"),
    ("#/info/x-source", {"*": "inferred", "title": "sure"}, "#/info/x-source", "'sure'", "documented, published, confirmed, inferred"),
    # Evidence
    ("#/info/x-evidence", {"date": "2026-03-01", "found": "a"}, "#/info/x-evidence", "evidence of nothing", "x-evidence beside an x-source"),
    ("#/info/x-evidence", "seen", "#/info/x-evidence", "'seen'", "a mapping of date, found"),
    ("#/info/x-evidence", {"by": "me"}, "#/info/x-evidence", "the unknown key 'by'", "date, found"),
    ("#/info/x-evidence", {"date": "2026-13-01", "found": "a"}, "#/info/x-evidence/date", "'2026-13-01'", "the day when"),
    ("#/info/x-evidence", {"date": "2026-03-01"}, "#/info/x-evidence/found", "None", "a text: what was asked"),
    # Resources
    (f"{AUTHOR}/x-resource/table", "a", f"{AUTHOR}/x-resource", "the unknown key 'table'", "collection, key, tenant"),
    (f"{AUTHOR}/x-resource", "authors", f"{AUTHOR}/x-resource", "'authors'", "a mapping"),
    (f"{AUTHOR}/x-resource/collection", GONE, f"{AUTHOR}/x-resource", "no collection", "collection: a name"),
    (f"{AUTHOR}/x-resource/key", "id", f"{AUTHOR}/x-resource/key", "'id'", "one of uuid, name"),
    (f"{AUTHOR}/x-resource/key", "books", f"{AUTHOR}/x-resource/key", "'books'", "one of uuid, name"),
    (f"{AUTHOR}/x-resource/tenant", "books", f"{AUTHOR}/x-resource/tenant", "'books'", "of Author: library, keeper"),
    (f"{AUTHOR}/x-resource/tenant", "library.", f"{AUTHOR}/x-resource/tenant", "'library.'", "a path of names joined by dots"),
    (f"{AUTHOR}/x-resource/owner", "keeper.name", f"{AUTHOR}/x-resource/owner", "'name'", "of User: home"),
    (f"{AUTHOR}/x-resource/writers", "all", f"{AUTHOR}/x-resource/writers", "'all'", "members, owner"),
    (f"{AUTHOR}/x-resource/public", {"colour": 1}, f"{AUTHOR}/x-resource/public", "'colour'", "uuid, name"),
    (f"{SCHEMAS}/Library/x-resource/members", "keeper", f"{SCHEMAS}/Library/x-resource/members", "'keeper'", "members"),
    (f"{SCHEMAS}/User/x-resource/account/secret", "pin", f"{SCHEMAS}/User/x-resource/account", "'pin'", "id, name, email, password"),
    (f"{SCHEMAS}/User/x-resource/account/pin", "pin", f"{SCHEMAS}/User/x-resource/account", "the unknown key 'pin'", "login, secret"),
    # Relations
    (f"{AUTHOR}/properties/books/x-relation/via", "writer", f"{AUTHOR}/properties/books/x-relation/via", "'writer'", "of Book: author"),
    (f"{AUTHOR}/properties/books/x-relation/via", "title", f"{AUTHOR}/properties/books/x-relation/via", "'title'", "of Book: author"),
    (f"{AUTHOR}/properties/books/x-relation/on-delete", "clear", f"{AUTHOR}/properties/books/x-relation/on-delete", "'clear'", "no on-delete beside via"),
    (f"{AUTHOR}/properties/library/x-relation/to", "Shelf", f"{AUTHOR}/properties/library/x-relation/to", "'Shelf'", "a schema with x-resource that is no view"),
    (f"{AUTHOR}/properties/library/x-relation/to", "Genre", f"{AUTHOR}/properties/library/x-relation/to", "'Genre'", "a schema with x-resource that is no view"),
    (f"{AUTHOR}/properties/library/x-relation/to", GONE, f"{AUTHOR}/properties/library/x-relation/to", "None", "a schema with x-resource that is no view"),
    (f"{AUTHOR}/properties/library/x-relation/to", [], f"{AUTHOR}/properties/library/x-relation/to", "None", "a schema with x-resource that is no view"),
    (f"{AUTHOR}/properties/library/x-relation/on-delete", "keep", f"{AUTHOR}/properties/library/x-relation/on-delete", "'keep'", "cascade, clear, refuse"),
    (f"{AUTHOR}/properties/library/x-relation/on-delete", GONE, f"{AUTHOR}/properties/library/x-relation/on-delete", "None", "cascade, clear, refuse"),
    (f"{AUTHOR}/properties/library/x-relation/on-delete", "clear", f"{AUTHOR}/properties/library", "on-delete: clear on what may not be null", "nullable, or cascade, refuse"),
    (f"{AUTHOR}/properties/library/x-relation/ondelete", "clear", f"{AUTHOR}/properties/library/x-relation", "the unknown key 'ondelete'", "to, via, on-delete, embed"),
    # Computed properties
    (f"{AUTHOR}/properties/books_count/x-derived", {"count": "shelves"}, f"{AUTHOR}/properties/books_count/x-derived", "'shelves'", "of Author: library, keeper, books"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"count": "books.pages"}, f"{AUTHOR}/properties/books_count/x-derived", "'books.pages'", "a relation"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"sum": "books"}, f"{AUTHOR}/properties/books_count/x-derived", "'books'", "relation.property"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"max": "books.colour"}, f"{AUTHOR}/properties/books_count/x-derived", "'colour'", "of Book: uuid, title"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"count": "books", "where": {"colour": 1}}, f"{AUTHOR}/properties/books_count/x-derived", "'colour'", "of Book: uuid, title"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"count": "books", "where": "long"}, f"{AUTHOR}/properties/books_count/x-derived/where", "'long'", "own property: value"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"count": "books", "sum": "books.pages"}, f"{AUTHOR}/properties/books_count/x-derived", "2 of count, sum", "exactly one of them"),
    (f"{AUTHOR}/properties/books_count/x-derived", {}, f"{AUTHOR}/properties/books_count/x-derived", "0 of count, sum", "exactly one of them"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"from": "library.colour"}, f"{AUTHOR}/properties/books_count/x-derived", "'colour'", "of Library: uuid, name"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"from": "name"}, f"{AUTHOR}/properties/books_count/x-derived", "'name'", "own properties of a related record"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"from": "library.keeper"}, f"{AUTHOR}/properties/books_count/x-derived", "'library.keeper'", "own properties of a related record"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"number": "books"}, f"{AUTHOR}/properties/books_count/x-derived", "'books'", "of Author: library, keeper"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"viewer": "reader"}, f"{AUTHOR}/properties/books_count/x-derived", "'reader'", "of Author: library, keeper"),
    (f"{AUTHOR}/properties/created_at/x-stamp", "made", f"{AUTHOR}/properties/created_at/x-stamp", "'made'", "created, updated, number"),
    # Query words
    (f"{LIST}/3/schema/enum/0", "title", f"{LIST}/3/schema", "'title'", "own properties and counts of Author: uuid, name"),
    (f"{LIST}/3/schema/enum/0", "library", f"{LIST}/3/schema", "'library'", "own properties and counts of Author: uuid, name"),
    (f"{LIST}/3/schema/enum/0", None, f"{LIST}/3/schema/enum", "None", "names"),
    (f"{LIST}/3/schema/enum", GONE, f"{LIST}/3/schema", "no enum, and sort beside it", "an enum of the names that may be asked for"),
    (f"{LIST}/4/x-query/search", ["name", "title"], f"{LIST}/4/x-query", "'title'", "of Author: uuid, name"),
    (f"{LIST}/4/x-query/search", [], f"{LIST}/4/x-query", "a search in nothing", "one property path or more"),
    (f"{LIST}/4/x-query/search", ["library"], f"{LIST}/4/x-query", "'library', a relation", "a path to an own property"),
    (f"{LIST}/4/x-query/unless", "genre", f"{LIST}/4/x-query/unless", "'unless' beside search", "unless beside filter only"),
    (f"{LIST}/5/x-query/filter", "library.colour", f"{LIST}/5/x-query", "'colour'", "of Library: uuid, name"),
    (f"{LIST}/5/x-query/filter", "library", f"{LIST}/5/x-query", "'library', a relation", "a path to an own property"),
    (f"{LIST}/5/x-query/filter", ["library.uuid"], f"{LIST}/5/x-query", "['library.uuid']", "a path of names joined by dots"),
    (f"{LIST}/5/x-query/op", "near", f"{LIST}/5/x-query/op", "'near'", "eq, from, to, exists"),
    (f"{LIST}/5/x-query/unless", "genres", f"{LIST}/5/x-query/unless", "'genres'", "page, per_page"),
    (f"{LIST}/5/x-query/unless", "library_uuid", f"{LIST}/5/x-query/unless", "'library_uuid'", "page, per_page"),
    (f"{LIST}/10/x-query/filter", "name", f"{LIST}/10/x-query", "'name'", "a relation of Author: library, keeper, books"),
    (f"{LIST}/10/x-query/filter", "books.author", f"{LIST}/10/x-query", "'books.author'", "a relation of Author: library, keeper, books"),
    (f"{LIST}/11/schema/items/enum/0", "shelves", f"{LIST}/11/schema", "'shelves'", "relations of Author: library, books"),
    (f"{LIST}/11/schema/items/enum/0", "keeper", f"{LIST}/11/schema", "'keeper'", "relations of Author: library, books"),
    (f"{LIST}/11/schema/items/enum", GONE, f"{LIST}/11/schema", "no enum, and include beside it", "an enum of the names that may be asked for"),
    (f"{LIST}/12/schema/items/enum/0", "library", f"{LIST}/12/schema", "'library'", "of Author: books"),
    (f"{LIST}/4/x-query", "find", f"{LIST}/4/x-query", "'find'", "page, size, sort, direction, include, count"),
    (f"{LIST}/4/x-query", {"search": ["name"], "filter": "name"}, f"{LIST}/4/x-query", "2 of search, filter, include", "exactly one of them"),
    (f"{LIST}/4/x-query", {"look": "name"}, f"{LIST}/4/x-query", "the unknown key 'look'", "search, filter, include, op, unless"),
    # Operations
    ("#/paths/~1authors/get/operationId", GONE, "#/paths/~1authors/get", "no operationId", "operationId: a name of its own"),
    ("#/paths/~1authors/get/operationId", "listBooks", "#/paths/~1books/get", "the operationId 'listBooks' again", "one of its own"),
    ("#/paths/~1authors/get/responses", {"404": {}}, "#/paths/~1authors/get/responses", "404", "a 2xx status"),
    ("#/paths/~1authors/get/responses/default", {}, "#/paths/~1authors/get/responses/default", "the status 'default'", "three digits"),
    ("#/paths/~1authors/get/x-effects", ["fax"], "#/paths/~1authors/get/x-effects", "'fax'", "language-model, mail, webhook"),
    ("#/paths/~1authors~1{uuid}/post", {"operationId": "x", "responses": {"204": {}}}, "#/paths/~1authors~1{uuid}/post", "POST /authors/{uuid}, which says no action", "x-action, or a path /collection"),
    ("#/paths/~1authors/post/requestBody/content", {"text/plain": {}}, "#/paths/~1authors/post/requestBody/content", "text/plain", "a JSON media type"),
    (f"{SCHEMAS}/CreateBookRequest/properties/author_uuid/x-relation/sets", "writer", f"{SCHEMAS}/CreateBookRequest/properties/author_uuid/x-relation/sets", "'writer'", "of Book: author"),
    (f"{SCHEMAS}/CreateBookRequest/properties/author_uuid/x-relation", {}, f"{SCHEMAS}/CreateBookRequest/properties/author_uuid/x-relation", "no 'sets'", "sets: the relation whose record this names"),
    (f"{SCHEMAS}/PageMeta/properties/page/x-page", "number", f"{SCHEMAS}/PageMeta/properties/page/x-page", "'number'", "current-page, first-item"),
    # A created record needs a value for each property
    (f"{SCHEMAS}/Book/properties/pages/default", GONE, f"{SCHEMAS}/Book/properties/pages", "nothing that fills it when createBook does not send it", "a default, nullable, x-stamp, or required in the body"),
    (f"{SCHEMAS}/CreateBookRequest/required", ["author_uuid"], f"{SCHEMAS}/Book/properties/title", "nothing that fills it when createBook does not send it", "a default, nullable, x-stamp, or required in the body"),
    # References
    (f"{LIST}/0/$ref", "#/components/parameters/Nowhere", "library.json", "a reference to #/components/parameters/Nowhere", "a place that exists in this file"),
]  # fmt: skip

MUSEUM = [
    (f"{SCHEMAS}/Pass/x-resource/collection", "notes", f"{SCHEMAS}/Pass/x-resource/collection", "'notes', which is the collection of Note", "one of its own"),
    (f"{SCHEMAS}/Pass/x-resource/grants/subject", "thing", f"{SCHEMAS}/Pass/x-resource/grants", "'thing'", "subject, entity"),
    (f"{SCHEMAS}/Pass/x-resource/grants/permission", "subject", f"{SCHEMAS}/Pass/x-resource/grants", "'subject'", "uuid, permission"),
    (f"{SCHEMAS}/RoomCard/x-resource/view-of", "Hall", f"{SCHEMAS}/RoomCard/x-resource/view-of", "'Hall'", "Person, Museum, Room"),
    (f"{SCHEMAS}/RoomCard/x-resource/collection", "cards", f"{SCHEMAS}/RoomCard/x-resource", "the unknown key 'collection'", "view-of"),
    (f"{SCHEMAS}/RoomCard/properties/colour", {"type": "string"}, f"{SCHEMAS}/RoomCard/properties/colour", "a property that its resource does not store", "uuid, name"),
    (f"{SCHEMAS}/Exhibit/properties/room/x-relation/to", "RoomCard", f"{SCHEMAS}/Exhibit/properties/room/x-relation/to", "'RoomCard'", "a schema with x-resource that is no view"),
    (f"{ROOM}/properties/figures/properties/plain", {"type": "integer"}, f"{ROOM}/properties/figures/properties/plain", "no x-derived", "x-derived on each part of a group"),
    (f"{SCHEMAS}/Label/x-resource/tenant", "exhibit.artists", f"{SCHEMAS}/Label/x-resource/tenant", "'artists'", "of Exhibit: room, curator"),
    (f"{SCHEMAS}/Note/properties/last_name/x-derived/max", "about.floor", f"{SCHEMAS}/Note/properties/last_name/x-derived", "'floor'", "of Artist: slug, name"),
    ("#/paths/~1notes/get/parameters/3/x-query/filter", "subject.colour", "#/paths/~1notes/get/parameters/3/x-query", "'colour'", "of Artist: slug, name"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "pointer", "value", "place", "found", "allowed"),
    [("library", *case) for case in LIBRARY] + [("museum", *case) for case in MUSEUM],
)
def test_a_mistake_is_refused_where_it_stands(
    name: str, pointer: str, value: Any, place: str, found: str, allowed: str
) -> None:
    error = refused(name, (pointer, value))
    assert (error.location, error.actual[: len(found)], error.expected[: len(allowed)]) == (place, found, allowed)


def test_a_refusal_reads_as_a_sentence() -> None:
    error = refused("library", ("#/openapi", "2.0"))
    assert str(error) == "#/openapi: found '2.0'; allowed: 3.0.x"


def places(node: Any, at: str = "#") -> list[str]:
    """Pointers to everything in a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    below = [found for key, value in items for found in places(value, f"{at}/{escape(str(key))}")]
    return [at, *below] if at != "#" else below


@settings(max_examples=settings().max_examples * 4)
@given(st.sampled_from(("library", "museum")), st.data())
def test_whatever_is_written_anywhere_is_read_or_refused(name: str, data: st.DataObject) -> None:
    pointer = data.draw(st.sampled_from(places(original(name).root)), label="place")
    value = data.draw(st.sampled_from((GONE, None, True, 5, "x", "a.b", "Room", [], {}, ["x"], [None], {"x": 1})))
    try:
        found: Contract | ContractError = contract(name, (pointer, value))
    except ContractError as error:
        found = error
    assert found is not None


# What is read --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "action", "resource"),
    [
        ("listAuthors", "list", "Author"),
        ("createAuthor", "create", "Author"),
        ("retrieveAuthor", "retrieve", "Author"),
        ("updateAuthor", "update", "Author"),
        ("deleteBook", "delete", "Book"),
        ("signIn", "sign-in", None),
    ],
)
def test_method_and_path_say_the_action(operation: str, action: str, resource: str | None) -> None:
    said = contract("library").operations[operation]
    assert (said.action, said.resource) == (action, resource)


@pytest.mark.parametrize(
    ("operation", "generic", "writes", "secured"),
    [
        ("listAuthors", True, False, True),
        ("createAuthor", True, True, True),
        ("updateAuthor", True, True, True),
        ("deleteAuthor", True, True, True),
        ("signIn", False, True, False),
        ("me", False, False, True),  # two schemes, one of which is due
    ],
)
def test_an_operation_says_what_it_is(operation: str, generic: bool, writes: bool, secured: bool) -> None:
    said = contract("library").operations[operation]
    assert (said.is_generic, said.is_write, said.requires_auth) == (generic, writes, secured)


def test_an_alternative_without_a_scheme_secures_nothing() -> None:
    said = contract("library", ("#/paths/~1me/get/security", [{"desk": []}, {}]))
    assert not said.operations["me"].requires_auth


def test_a_body_that_filters_asks() -> None:
    assert not contract("library").operations["createAuthor"].has_query_body
    field = "#/paths/~1authors/post/requestBody/content/application~1json/schema"
    schema = {"type": "object", "properties": {"genre": {"type": "string", "x-query": {"filter": "genre"}}}}
    asking = (("#/paths/~1authors/post/x-action", "find"), (field, schema))
    assert contract("library", *asking).operations["createAuthor"].has_query_body


def test_what_creates_is_the_action_or_a_post_on_the_collection_that_answers_its_record() -> None:
    library = contract("library")
    named = contract("library", ("#/paths/~1authors/post/x-action", "enrol"))
    for said in (library, named):
        creating = said.operations["createAuthor"]
        assert (said.find_created_resource(creating), said.find_create_operation("Author")) == ("Author", creating)
    assert (named.find_operation("Author", "create"), library.find_operation("Author", "create")) == (
        None,
        library.operations["createAuthor"],
    )
    assert library.find_created_resource(library.operations["updateAuthor"]) is None
    assert library.find_create_operation("Library") is None


def test_a_post_on_another_record_that_answers_new_ones_creates_them_too() -> None:
    answers = {"type": "object", "properties": {"data": {"type": "array", "items": {"$ref": f"{SCHEMAS}/Library"}}}}
    path = {
        "parameters": [{"name": "uuid", "in": "path", "required": True, "schema": {"type": "string"}}],
        "post": {
            "operationId": "openBranches",
            "x-action": "open-branches",
            "responses": {"200": {"description": "Opened.", "content": {"application/json": {"schema": answers}}}},
        },
    }
    said = contract("library", ("#/paths/~1authors~1{uuid}~1branches", path))
    assert said.find_create_operation("Library") is said.operations["openBranches"]
    assert said.find_created_resource(said.operations["openBranches"]) is None


def test_who_a_token_is_says_the_read_of_one_account_that_names_none() -> None:
    library = contract("library")
    assert [o.id for o in library.operations.values() if library.is_whoami(o)] == ["me"]


@pytest.mark.parametrize(
    ("resource", "relation", "many", "stored"),
    [
        ("Room", "parent", False, True),
        ("Room", "children", True, False),
        ("Exhibit", "artists", True, True),
        ("Exhibit", "label", False, False),
    ],
)
def test_schema_and_words_say_the_kind_of_a_relation(resource: str, relation: str, many: bool, stored: bool) -> None:
    said = contract("museum").resources[resource].relations[relation]
    assert (said.to_many, said.is_stored) == (many, stored)


def test_a_nullable_object_may_be_an_alternative() -> None:
    assert contract("museum").resources["Room"].relations["parent"].nullable


def test_an_empty_closed_schema_beside_a_resource_is_its_stub() -> None:
    assert contract("library").resources["User"].relations["home"].allows_empty_object


def test_a_reference_wrapped_in_allof_says_type_and_enum() -> None:
    genre = contract("library").resources["Author"].attributes["genre"]
    assert (genre.type, genre.default, genre.nullable) == ("string", "novel", False)
    assert genre.enum_values == ("novel", "essay", "poem", "play")
    assert contract("library").resources["Author"].attributes["living"].enum_values == ()


def test_a_count_is_always_shown_where_the_schema_requires_it() -> None:
    derived = contract("museum").resources["Room"].derived_properties
    assert (derived["children_count"].required, derived["notes_count"].required) == (True, False)


def test_what_is_write_only_is_in_no_view() -> None:
    said = contract("library")
    assert not {"password", "members", "keeper"} & {
        *said.views["User"].property_names,
        *said.views["Author"].property_names,
    }


def test_the_own_view_of_a_resource_comes_first_wherever_it_stands() -> None:
    assert [view.name for view in contract("museum").views_by_resource["Room"]] == ["Room", "RoomCard"]


def test_the_envelope_is_read_from_the_schema() -> None:
    result = contract("museum").operations["listRooms"].envelope
    assert (result.status, result.data_property, result.view_name, result.is_list) == (200, "data", "Room", True)


def test_the_page_words_stand_by_their_property() -> None:
    pages = contract("museum").operations["listRooms"].envelope.pagination
    assert pages["links"] == {"first": "first", "last": "last", "prev": "previous", "next": "next"}


def test_a_status_without_quotes_is_a_status() -> None:
    text = (FOREIGN / "library.yaml").read_bytes().replace(b'"200":', b"200:").replace(b'"404":', b"404:")
    operations = parse_contract(parse_document(text, "x")).operations
    assert operations["retrieveAuthor"].responses.keys() >= {200, 404}


def test_an_operations_own_security_replaces_the_documents() -> None:
    operations = contract("library").operations
    assert (operations["signIn"].security, operations["me"].security) == ((), (("desk",), ("bearer",)))


def test_parameters_of_the_path_belong_to_each_of_its_operations() -> None:
    assert contract("library").operations["deleteAuthor"].path_parameter_names == ("uuid",)


def test_a_path_leads_through_relations_to_an_own_property() -> None:
    said = contract("museum")
    steps, end, own = resolve_property_path(said, said.resources["Label"], ("exhibit", "room", "name"), "")
    assert ([s.name for s in steps], end.name, own) == (["exhibit", "room"], "Room", ("name",))


@pytest.mark.parametrize("name", ["books.author", "Books.Author"])
def test_an_include_path_is_known_in_both_spellings(name: str) -> None:
    said = contract("library")
    found = resolve_include(said, said.resources["Author"], name[0].lower() + name[1:].replace("A", "a"), "")
    assert found == ("books", "author")


def test_a_count_is_named_by_its_relation() -> None:
    assert resolve_count(contract("museum").resources["Room"], "notes", "") == "notes_count"


def test_loading_twice_gives_the_same() -> None:
    path = FOREIGN / "museum.yaml"
    one, other = load_contract(path), load_contract(path)
    assert (one.resources, one.views, one.operations) == (other.resources, other.views, other.operations)


def test_json_says_the_same_as_yaml() -> None:
    yaml = original("library")
    json = parse_document(orjson.dumps(yaml.root), "library.json")
    assert parse_contract(json).operations == parse_contract(yaml).operations
