# ruff: noqa: E501 - one error on each line
"""Loading of contracts: the errors of invalid ones and the model of valid ones."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec.document import escape, parse_document
from spec.errors import MAX_PRINTED_PROBLEMS, ContractError, ContractErrors
from spec.line_numbers import find_nearest_line
from spec.loader import load_contract, parse_contract
from spec.model import Contract
from spec.property_paths import resolve_count, resolve_include, resolve_property_path
from tests.spec.contract_edits import FOREIGN, REMOVED, load_edited_contract, read_foreign_document

SCHEMAS = "#/components/schemas"
LIST = "#/paths/~1authors/get/parameters"
AUTHOR = f"{SCHEMAS}/Author"
ROOM = f"{SCHEMAS}/Room"


def load_error(name: str, *changes: tuple[str, Any]) -> ContractError:
    """Return the error of an edited contract."""
    with pytest.raises(ContractError) as error:
        load_edited_contract(name, *changes)
    return error.value


DESK = "#/components/securitySchemes/desk"
AUTHOR_OF_BOOK = {
    "operationId": "retrieveAuthorOfBook",
    "x-action": "retrieve",
    "responses": {"200": {"$ref": "#/components/responses/Author"}},
}
COOKIE = {"type": "apiKey", "in": "cookie", "name": "desk"}

# Pointer and new value -> location, problem and expected values of the error (prefixes).
LIBRARY = [
    # The document
    ("#/openapi", "3.2.0", "#/openapi", "invalid value '3.2.0'", "3.0.x or 3.1.x"),
    ("#/openapi", REMOVED, "#/openapi", "missing version", "3.0.x"),
    ("#/paths", None, "#/paths", "invalid value None", "a mapping"),
    ("#/paths/authors", {}, "#/paths/authors", "invalid value 'authors'", "a path that starts with /"),
    # Types
    (f"{AUTHOR}/properties", None, f"{AUTHOR}/properties", "invalid value None", "a mapping of names to mappings"),
    (f"{AUTHOR}/properties/name", 5, f"{AUTHOR}/properties/name", "invalid value 5", "a mapping"),
    (f"{AUTHOR}/required", "name", f"{AUTHOR}/required", "invalid value 'name'", "a list of names, or a boolean for a parameter"),
    (f"{AUTHOR}/required", True, f"{AUTHOR}/required", "invalid value True", "a list of names"),
    (f"{AUTHOR}/properties/library/allOf", {}, f"{AUTHOR}/properties/library/allOf", "invalid value {}", "a list of mappings"),
    (f"{LIST}/4/name", REMOVED, f"{LIST}/4", "missing name", "name: a string"),
    (f"{LIST}/4/in", 5, f"{LIST}/4", "missing in", "in: a string"),
    (f"{LIST}/0/$ref", 5, f"{LIST}/0/$ref", "invalid value 5", "a string"),
    # Unknown extensions and provenance levels
    (f"{AUTHOR}/x-resorce", 1, f"{AUTHOR}/x-resorce", "unknown extension 'x-resorce'", "an extension of the mock; did you mean x-resource?"),
    (f"{AUTHOR}/properties/name/x-Source", 1, f"{AUTHOR}/properties/name/x-Source", "unknown extension 'x-Source'", "an extension of the mock; did you mean x-source?"),
    ("#/info/x-source", "known", "#/info/x-source", "invalid value 'known'", "documented, published, confirmed, inferred"),
    ("#/info/x-source", {"*": "inferred", "title": "sure"}, "#/info/x-source", "invalid value 'sure'", "documented, published, confirmed, inferred"),
    (f"{SCHEMAS}/Genre/x-source", {"enum": {"novel": "sure"}}, f"{SCHEMAS}/Genre/x-source", "invalid value 'sure'", "documented, published, confirmed, inferred"),
    (f"{SCHEMAS}/Genre/x-source", {"enum": {"song": "inferred"}}, f"{SCHEMAS}/Genre/x-source/enum", "invalid value 'song'", "novel, essay, poem, play"),
    (f"{SCHEMAS}/Genre/x-source", {"type": {"string": "inferred"}}, f"{SCHEMAS}/Genre/x-source/type", "invalid value {'string': 'inferred'}", "documented, published, confirmed, inferred"),
    # Sums
    (f"{AUTHOR}/properties/name/x-sum-of", ["pages"], f"{AUTHOR}/properties/name/x-sum-of", "invalid value ['pages']", "a list of "),
    (f"{AUTHOR}/properties/name/x-sum-of", "id", f"{AUTHOR}/properties/name/x-sum-of", "invalid value 'id'", "a list of "),
    (f"{SCHEMAS}/Genre/x-average-of", {"song": "Book.pages"}, f"{SCHEMAS}/Genre/x-average-of", "invalid value {'song': 'Book.pages'}", "a mapping of novel, essay"),
    (f"{SCHEMAS}/Genre/x-average-of", {"novel": "Book.title"}, f"{SCHEMAS}/Genre/x-average-of/novel", "invalid value 'Book.title'", "User.id, B"),
    # Preconditions
    ("#/paths/~1authors/get/x-precondition", ["name"], "#/paths/~1authors/get/x-precondition", "invalid value ['name']", "a mapping of property paths to values"),
    ("#/paths/~1authors/get/x-precondition", {"nam": "x"}, "#/paths/~1authors/get/x-precondition", "invalid value 'nam'", "one of Author: uuid, name"),
    # CSRF
    (f"{DESK}/x-csrf", {"cookie": "C", "header": "H"}, f"{DESK}/x-csrf", "x-csrf of a scheme without a cookie", "a scheme with type: apiKey, in: cookie"),
    (DESK, {**COOKIE, "x-csrf": {"cookie": "C"}}, f"{DESK}/x-csrf/header", "invalid value None", "the name of a header"),
    (DESK, {**COOKIE, "x-csrf": {"cookie": "a b", "header": "H"}}, f"{DESK}/x-csrf/cookie", "invalid value 'a b'", "the name of a cookie"),
    (DESK, {**COOKIE, "x-csrf": {"cookie": "C", "header": "H", "status": 419}}, f"{DESK}/x-csrf", "unknown key 'status'", "cookie, header"),
    # Evidence
    ("#/info/x-evidence", {"date": "2026-03-01", "found": "a"}, "#/info/x-evidence", "evidence without a confirmed level", "x-source: confirmed"),
    ("#/info/x-evidence", "seen", "#/info/x-evidence", "invalid value 'seen'", "a mapping of date, found"),
    ("#/info/x-evidence", {"by": "me"}, "#/info/x-evidence", "unknown key 'by'", "date, found"),
    ("#/info/x-evidence", {"date": "2026-13-01", "found": "a"}, "#/info/x-evidence/date", "invalid value '2026-13-01'", "the date of the observation"),
    ("#/info/x-evidence", {"date": "2026-03-01"}, "#/info/x-evidence/found", "invalid value None", "the request, the backend"),
    # Resources
    (f"{AUTHOR}/x-resource/table", "a", f"{AUTHOR}/x-resource", "unknown key 'table'", "collection, key, tenant"),
    (f"{AUTHOR}/x-resource", "authors", f"{AUTHOR}/x-resource", "invalid value 'authors'", "a mapping"),
    (f"{AUTHOR}/x-resource/collection", REMOVED, f"{AUTHOR}/x-resource", "missing collection", "collection: a name"),
    (f"{AUTHOR}/x-resource/key", "id", f"{AUTHOR}/x-resource/key", "invalid value 'id'", "one of uuid, name"),
    (f"{AUTHOR}/x-resource/key", "books", f"{AUTHOR}/x-resource/key", "invalid value 'books'", "one of uuid, name"),
    (f"{AUTHOR}/x-resource/tenant", "books", f"{AUTHOR}/x-resource/tenant", "invalid value 'books'", "one of Author: library, keeper"),
    (f"{AUTHOR}/x-resource/tenant", "library.", f"{AUTHOR}/x-resource/tenant", "invalid value 'library.'", "a path of names separated by dots"),
    (f"{AUTHOR}/x-resource/owner", "keeper.name", f"{AUTHOR}/x-resource/owner", "invalid value 'name'", "one of User: home"),
    (f"{AUTHOR}/x-resource/writers", "all", f"{AUTHOR}/x-resource/writers", "invalid value 'all'", "members, owner"),
    (f"{AUTHOR}/x-resource/public", {"colour": 1}, f"{AUTHOR}/x-resource/public", "invalid value 'colour'", "uuid, name"),
    (f"{SCHEMAS}/Library/x-resource/members", "keeper", f"{SCHEMAS}/Library/x-resource/members", "invalid value 'keeper'", "members"),
    (f"{SCHEMAS}/User/x-resource/account/secret", "pin", f"{SCHEMAS}/User/x-resource/account", "invalid value 'pin'", "id, name, email, password"),
    (f"{SCHEMAS}/User/x-resource/account/pin", "pin", f"{SCHEMAS}/User/x-resource/account", "unknown key 'pin'", "login, secret"),
    (f"{AUTHOR}/x-resource/stores", [], f"{AUTHOR}/x-resource/stores", "invalid value []", "a mapping of property names"),
    (f"{AUTHOR}/x-resource/stores/pen", "name", f"{AUTHOR}/x-resource/stores/pen", "invalid value 'name'", "a schema"),
    (f"{AUTHOR}/x-resource/stores/name", {}, f"{AUTHOR}/x-resource/stores/name", "'name' is also in properties", "a property of the schema, or a stored one"),
    (f"{AUTHOR}/x-resource/stores/pen", {"x-stmap": 1}, f"{AUTHOR}/x-resource/stores/pen/x-stmap", "unknown extension 'x-stmap'", "an extension of the mock; did you mean x-stamp?"),
    (f"{AUTHOR}/x-resource/stores/pen", {"type": 1}, f"{AUTHOR}/x-resource/stores/pen/type", "invalid value 1", "array, boolean, integer, number, object, string"),
    (f"{AUTHOR}/x-resource/defaults", "novel", f"{AUTHOR}/x-resource/defaults", "invalid value 'novel'", "a mapping of property names"),
    (f"{AUTHOR}/x-resource/defaults/pen", "a", f"{AUTHOR}/x-resource/defaults", "invalid value 'pen'", "uuid, name"),
    (f"{AUTHOR}/x-resource/defaults/genre", "poem", f"{AUTHOR}/x-resource/defaults/genre", "two defaults", "default in the schema, or in x-resource"),
    (f"{AUTHOR}/x-resource/stored-only", True, "#/components/responses/Author/content/application~1json/schema/properties/data", "reference to Author, which is only stored", "a schema without stored-only"),
    # Relations
    (f"{AUTHOR}/properties/books/x-relation/via", "writer", f"{AUTHOR}/properties/books/x-relation/via", "invalid value 'writer'", "one of Book: author"),
    (f"{AUTHOR}/properties/books/x-relation/via", "title", f"{AUTHOR}/properties/books/x-relation/via", "invalid value 'title'", "one of Book: author"),
    (f"{AUTHOR}/properties/books/x-relation/on-delete", "clear", f"{AUTHOR}/properties/books/x-relation/on-delete", "invalid value 'clear'", "no on-delete with via"),
    (f"{AUTHOR}/properties/library/x-relation/to", "Shelf", f"{AUTHOR}/properties/library/x-relation/to", "invalid value 'Shelf'", "a schema with x-resource and without view-of"),
    (f"{AUTHOR}/properties/library/x-relation/to", "Genre", f"{AUTHOR}/properties/library/x-relation/to", "invalid value 'Genre'", "a schema with x-resource and without view-of"),
    (f"{AUTHOR}/properties/library/x-relation/to", REMOVED, f"{AUTHOR}/properties/library/x-relation/to", "invalid value None", "a schema with x-resource and without view-of"),
    (f"{AUTHOR}/properties/library/x-relation/to", [], f"{AUTHOR}/properties/library/x-relation/to", "invalid value None", "a schema with x-resource and without view-of"),
    (f"{AUTHOR}/properties/library/x-relation/on-delete", "keep", f"{AUTHOR}/properties/library/x-relation/on-delete", "invalid value 'keep'", "cascade, clear, refuse"),
    (f"{AUTHOR}/properties/library/x-relation/on-delete", REMOVED, f"{AUTHOR}/properties/library/x-relation/on-delete", "invalid value None", "cascade, clear, refuse"),
    (f"{AUTHOR}/properties/library/x-relation/on-delete", "clear", f"{AUTHOR}/properties/library", "on-delete: clear without nullable", "nullable, or cascade, refuse"),
    (f"{AUTHOR}/properties/library/x-relation/ondelete", "clear", f"{AUTHOR}/properties/library/x-relation", "unknown key 'ondelete'", "to, via, on-delete, embed, by"),
    (f"{AUTHOR}/properties/library/x-relation/by", "name", f"{AUTHOR}/properties/library/x-relation/by", "invalid value 'name'", ""),
    (f"{AUTHOR}/properties/library", {"type": "string", "x-relation": {"to": "Library", "on-delete": "cascade"}}, f"{AUTHOR}/properties/library/x-relation", "a relation on type string", "an object; to show a key: x-derived: {from: library.uuid}"),
    (f"{AUTHOR}/properties/library", {"type": "array", "items": {"type": "string"}, "x-relation": {"to": "Library", "on-delete": "cascade"}}, f"{AUTHOR}/properties/library/x-relation", "a relation on an array of type string", "an array of objects; to show keys: no x-relation"),
    (f"{AUTHOR}/properties/books", {"type": "integer", "x-relation": {"to": "Book", "via": "author"}}, f"{AUTHOR}/properties/books/x-relation", "a relation on type integer", "an object or an array of objects"),
    # Derived properties
    (f"{AUTHOR}/properties/books_count/x-derived", {"count": "shelves"}, f"{AUTHOR}/properties/books_count/x-derived", "invalid value 'shelves'", "one of Author: library, keeper, books"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"count": "books.pages"}, f"{AUTHOR}/properties/books_count/x-derived", "invalid value 'books.pages'", "a relation"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"sum": "books"}, f"{AUTHOR}/properties/books_count/x-derived", "invalid value 'books'", "relation.property"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"max": "books.colour"}, f"{AUTHOR}/properties/books_count/x-derived", "invalid value 'colour'", "one of Book: uuid, title"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"count": "books", "where": {"colour": 1}}, f"{AUTHOR}/properties/books_count/x-derived", "invalid value 'colour'", "one of Book: uuid, title"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"count": "books", "where": "long"}, f"{AUTHOR}/properties/books_count/x-derived/where", "invalid value 'long'", "attribute: value"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"count": "books", "sum": "books.pages"}, f"{AUTHOR}/properties/books_count/x-derived", "2 of count, sum", "exactly one of them"),
    (f"{AUTHOR}/properties/books_count/x-derived", {}, f"{AUTHOR}/properties/books_count/x-derived", "0 of count, sum", "exactly one of them"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"from": "library.colour"}, f"{AUTHOR}/properties/books_count/x-derived", "invalid value 'colour'", "one of Library: uuid, name"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"from": "name"}, f"{AUTHOR}/properties/books_count/x-derived", "invalid value 'name'", "attributes of a related record"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"from": "library.keeper"}, f"{AUTHOR}/properties/books_count/x-derived", "invalid value 'library.keeper'", "attributes of a related record"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"number": "books"}, f"{AUTHOR}/properties/books_count/x-derived", "invalid value 'books'", "one of Author: library, keeper"),
    (f"{AUTHOR}/properties/books_count/x-derived", {"viewer": "reader"}, f"{AUTHOR}/properties/books_count/x-derived", "invalid value 'reader'", "one of Author: library, keeper"),
    (f"{AUTHOR}/properties/created_at/x-stamp", "made", f"{AUTHOR}/properties/created_at/x-stamp", "invalid value 'made'", "created, updated, number"),
    # Query extensions
    (f"{LIST}/3/schema/enum/0", "title", f"{LIST}/3/schema", "invalid value 'title'", "attributes and aggregates of Author: uuid, name"),
    (f"{LIST}/3/schema/enum/0", "library", f"{LIST}/3/schema", "invalid value 'library'", "attributes and aggregates of Author: uuid, name"),
    (f"{LIST}/3/schema/enum/0", None, f"{LIST}/3/schema/enum", "invalid value None", "strings"),
    (f"{LIST}/3/schema/enum", REMOVED, f"{LIST}/3/schema", "missing enum for x-query: sort", "an enum of the valid names"),
    (f"{LIST}/4/x-query/search", ["name", "title"], f"{LIST}/4/x-query", "invalid value 'title'", "one of Author: uuid, name"),
    (f"{LIST}/4/x-query/search", [], f"{LIST}/4/x-query", "search without a path", "one or more property paths"),
    (f"{LIST}/4/x-query/search", ["library"], f"{LIST}/4/x-query", "invalid value 'library', a relation", "the path of an attribute, for example library.uuid"),
    (f"{LIST}/4/x-query/unless", "genre", f"{LIST}/4/x-query/unless", "unless with search", "unless only with filter"),
    (f"{LIST}/5/x-query/filter", "library.colour", f"{LIST}/5/x-query", "invalid value 'colour'", "one of Library: uuid, name"),
    (f"{LIST}/5/x-query/filter", "library", f"{LIST}/5/x-query", "invalid value 'library', a relation", "the path of an attribute, for example library.uuid"),
    (f"{LIST}/5/x-query/filter", ["library.uuid"], f"{LIST}/5/x-query", "invalid value ['library.uuid']", "a path of names separated by dots"),
    (f"{LIST}/5/x-query/op", "near", f"{LIST}/5/x-query/op", "invalid value 'near'", "eq, from, to, exists"),
    (f"{LIST}/5/x-query/unless", "genres", f"{LIST}/5/x-query/unless", "invalid value 'genres'", "page, per_page"),
    (f"{LIST}/5/x-query/unless", "library_uuid", f"{LIST}/5/x-query/unless", "invalid value 'library_uuid'", "page, per_page"),
    (f"{LIST}/10/x-query/filter", "name", f"{LIST}/10/x-query", "invalid value 'name'", "a relation of Author: library, keeper, books"),
    (f"{LIST}/10/x-query/filter", "books.author", f"{LIST}/10/x-query", "invalid value 'books.author'", "a relation of Author: library, keeper, books"),
    (f"{LIST}/11/schema/items/enum/0", "shelves", f"{LIST}/11/schema", "invalid value 'shelves'", "relations of Author: library, books"),
    (f"{LIST}/11/schema/items/enum/0", "keeper", f"{LIST}/11/schema", "invalid value 'keeper'", "relations of Author: library, books"),
    (f"{LIST}/11/schema/items/enum", REMOVED, f"{LIST}/11/schema", "missing enum for x-query: include", "an enum of the valid names"),
    (f"{LIST}/12/schema/items/enum/0", "library", f"{LIST}/12/schema", "invalid value 'library'", "one of Author: books"),
    (f"{LIST}/4/x-query", "find", f"{LIST}/4/x-query", "invalid value 'find'", "page, offset, cursor, size, sort, direction, include, count"),
    (f"{LIST}/4/x-query", {"search": ["name"], "filter": "name"}, f"{LIST}/4/x-query", "2 of search, filter, include", "exactly one of them"),
    (f"{LIST}/4/x-query", {"look": "name"}, f"{LIST}/4/x-query", "unknown key 'look'", "search, filter, include, op, unless"),
    # Operations
    ("#/paths/~1authors/get/operationId", "listBooks", "#/paths/~1books/get", "duplicate operationId 'listBooks'", "a unique name"),
    ("#/paths/~1authors/get/responses/ok", {}, "#/paths/~1authors/get/responses/ok", "invalid value 'ok'", "three digits, 4XX or default"),
    ("#/paths/~1authors/get/x-effects", ["fax"], "#/paths/~1authors/get/x-effects", "invalid value 'fax'", "language-model, mail, webhook"),
    (f"{SCHEMAS}/CreateBookRequest/properties/author_uuid/x-relation/sets", "writer", f"{SCHEMAS}/CreateBookRequest/properties/author_uuid/x-relation/sets", "invalid value 'writer'", "one of Book: author"),
    (f"{SCHEMAS}/CreateBookRequest/properties/author_uuid/x-relation", {}, f"{SCHEMAS}/CreateBookRequest/properties/author_uuid/x-relation", "missing 'sets'", "sets: the name of the relation"),
    (f"{SCHEMAS}/PageMeta/properties/page/x-page", "number", f"{SCHEMAS}/PageMeta/properties/page/x-page", "invalid value 'number'", "current-page, first-item"),
    ("#/paths/~1authors/get/x-action", "delete", "#/paths/~1authors/get/x-action", "invalid value 'delete' on GET", "list or retrieve"),
    ("#/paths/~1authors/post/x-action", "update", "#/paths/~1authors/post/x-action", "invalid value 'update' on a path without a key", "a path like /authors/{key}"),
    ("#/paths/~1me/get/x-action", "retrieve", "#/paths/~1me/get/x-action", "invalid value 'retrieve' on /me", "a path that starts with a collection: /users, "),
    ("#/paths/~1books~1{uuid}/get", AUTHOR_OF_BOOK, "#/paths/~1books~1{uuid}/get/x-action", "invalid value 'retrieve' of Book, but the response shows Author", "a path that starts with /authors, or no x-action"),
    # Required attributes
    (f"{SCHEMAS}/Book/properties/pages/default", REMOVED, f"{SCHEMAS}/Book/properties/pages", "no value for a record created by createBook", "a default, nullable, x-stamp, x-derived, or required in the body"),
    (f"{SCHEMAS}/CreateBookRequest/required/0", "titel", f"{SCHEMAS}/CreateBookRequest/required", "invalid value 'titel'", "title, pages"),
    (f"{AUTHOR}/properties/genre/default", "song", f"{AUTHOR}/properties/genre/default", "invalid value 'song'", "one of novel, essay"),
    (f"{SCHEMAS}/CreateBookRequest/required", ["author_uuid"], f"{SCHEMAS}/Book/properties/title", "no value for a record created by createBook", "a default, nullable, x-stamp, x-derived, or required in the body"),
    # References
    (f"{LIST}/0/$ref", "#/components/parameters/Nowhere", f"{LIST}/0/$ref", "unresolved reference #/components/parameters/Nowhere", "a pointer into this file"),
]  # fmt: skip

MUSEUM = [
    (f"{SCHEMAS}/Pass/x-resource/collection", "notes", f"{SCHEMAS}/Pass/x-resource/collection", "invalid value 'notes', the collection of Note", "a unique name"),
    (f"{SCHEMAS}/Pass/x-resource/grants/subject", "thing", f"{SCHEMAS}/Pass/x-resource/grants", "invalid value 'thing'", "subject, entity"),
    (f"{SCHEMAS}/Pass/x-resource/grants/permission", "subject", f"{SCHEMAS}/Pass/x-resource/grants", "invalid value 'subject'", "uuid, permission"),
    (f"{SCHEMAS}/RoomCard/x-resource/view-of", "Hall", f"{SCHEMAS}/RoomCard/x-resource/view-of", "invalid value 'Hall'", "Person, Museum, Room"),
    (f"{SCHEMAS}/RoomCard/x-resource/collection", "cards", f"{SCHEMAS}/RoomCard/x-resource", "unknown key 'collection'", "view-of"),
    (f"{SCHEMAS}/RoomCard/properties/colour", {"type": "string"}, f"{SCHEMAS}/RoomCard/properties/colour", "unknown property of Room", "uuid, name"),
    (f"{SCHEMAS}/Exhibit/properties/room/x-relation/to", "RoomCard", f"{SCHEMAS}/Exhibit/properties/room/x-relation/to", "invalid value 'RoomCard'", "a schema with x-resource and without view-of"),
    (f"{ROOM}/properties/figures/properties/plain", {"type": "integer"}, f"{ROOM}/properties/figures/properties/plain", "missing x-derived", "x-derived on each property of a group"),
    (f"{SCHEMAS}/Label/x-resource/tenant", "exhibit.artists", f"{SCHEMAS}/Label/x-resource/tenant", "invalid value 'artists'", "one of Exhibit: room, curator"),
    (f"{SCHEMAS}/Note/properties/last_name/x-derived/max", "about.floor", f"{SCHEMAS}/Note/properties/last_name/x-derived", "invalid value 'floor'", "one of Artist: slug, name"),
    ("#/paths/~1notes/get/parameters/3/x-query/filter", "subject.colour", "#/paths/~1notes/get/parameters/3/x-query", "invalid value 'colour'", "one of Artist: slug, name"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "pointer", "value", "location", "problem", "expected"),
    [("library", *case) for case in LIBRARY] + [("museum", *case) for case in MUSEUM],
)
def test_invalid_contract_raises_error_with_location(
    name: str, pointer: str, value: Any, location: str, problem: str, expected: str
) -> None:
    error = load_error(name, (pointer, value))
    assert (error.location, error.problem[: len(problem)], error.expected[: len(expected)]) == (
        location,
        problem,
        expected,
    )


def test_error_message_has_location_value_and_expectation() -> None:
    error = load_error("library", ("#/openapi", "2.0"))
    assert str(error) == "#/openapi: invalid value '2.0' (expected 3.0.x or 3.1.x)"


def test_all_problems_are_reported_together() -> None:
    error = load_error(
        "library",
        (f"{AUTHOR}/properties/name/x-stmap", 1),
        (f"{AUTHOR}/properties/name/pattern", "("),
        (f"{SCHEMAS}/Book/x-resource/key", "isbn"),
        ("#/paths/~1me/get/x-effects", ["fax"]),
        ("#/paths/~1authors/get/operationId", "signIn"),
        ("#/info/title", "A\x1b"),
    )
    locations = [problem.location for problem in error.problems]
    assert sorted(locations) == sorted(
        [
            f"{AUTHOR}/properties/name/pattern",
            f"{AUTHOR}/properties/name/x-stmap",
            f"{SCHEMAS}/Book/x-resource/key",
            "#/info/title",
            "#/paths/~1me/get/x-effects",
            "#/paths/~1authors/get",
        ]
    )
    title, *lines = str(error).splitlines()
    assert title == "6 problems in library.json:"
    assert lines == [f"  {problem}" for problem in error.problems]
    assert (error.location, error.problem) == (locations[0], error.problems[0].problem)


def test_all_invalid_types_are_reported_together() -> None:
    error = load_error("library", (f"{AUTHOR}/type", 5), (f"{AUTHOR}/properties/name/maxLength", "9"))
    assert {problem.location for problem in error.problems} == {f"{AUTHOR}/type", f"{AUTHOR}/properties/name/maxLength"}


def test_all_inconsistencies_are_reported_together() -> None:
    error = load_error("library", (f"{LIST}/3/schema/enum", REMOVED), (f"{AUTHOR}/x-resource/tenant", "books"))
    assert {problem.location for problem in error.problems} == {f"{LIST}/3/schema", f"{AUTHOR}/x-resource/tenant"}


@pytest.mark.parametrize(
    "schemas",
    [
        {"A": {"allOf": [{"$ref": f"{SCHEMAS}/B"}]}, "B": {"type": "object", "allOf": [{"$ref": f"{SCHEMAS}/A"}]}},
        {"A": {"anyOf": [{"type": "string"}, {"$ref": f"{SCHEMAS}/A"}]}},
        {"A": {"oneOf": [{"allOf": [{"not": {"$ref": f"{SCHEMAS}/A"}}]}]}},
    ],
)
def test_schema_that_contains_itself_is_an_error(schemas: dict[str, Any]) -> None:
    error = load_error("library", *((f"{SCHEMAS}/{name}", schema) for name, schema in schemas.items()))
    assert error.location == f"{SCHEMAS}/A"
    assert error.problem.startswith(f"a schema that contains itself through {SCHEMAS}/A")


def test_schema_may_contain_itself_in_a_property_or_item() -> None:
    schema = {"allOf": [{"properties": {"a": {"$ref": f"{SCHEMAS}/A"}}}, {"items": {"$ref": f"{SCHEMAS}/A"}}]}
    assert load_edited_contract("library", (f"{SCHEMAS}/A", schema)).document


def test_only_some_of_many_problems_are_printed() -> None:
    error = ContractErrors(
        "a.yaml", [ContractError(f"#/{i}", "wrong", "right") for i in range(MAX_PRINTED_PROBLEMS + 2)]
    )
    assert str(error).splitlines()[-2:] == [f"  #/{MAX_PRINTED_PROBLEMS - 1}: wrong (expected right)", "  and 2 more"]


def test_problem_of_a_file_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "library.yaml"
    text = (FOREIGN / "library.yaml").read_text()
    path.write_text(text.replace("operationId: listAuthors", "operationId: signIn", 1))
    with pytest.raises(ContractError) as error:
        load_contract(path)
    match = re.fullmatch(r"(.*), line (\d+): #/paths/~1authors/get", error.value.location)
    assert match is not None
    assert match[1] == str(path)
    assert text.splitlines()[int(match[2]) - 1].strip() == "get:"


def test_problem_without_own_line_has_the_line_around_it() -> None:
    assert find_nearest_line({"#": 1, "#/a": 3}, "#/a/b/c") == 3


def test_swagger_2_is_rejected_with_a_command_that_converts_it() -> None:
    with pytest.raises(ContractError, match=r"npx swagger2openapi --yaml --outfile openapi\.yaml old\.yaml") as error:
        parse_contract(parse_document(b"swagger: '2.0'", "old.yaml"))
    assert error.value.location == "#/swagger"


def list_pointers(node: Any, pointer: str = "#") -> list[str]:
    """List the pointers to all values in a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    descendants = [child for key, value in items for child in list_pointers(value, f"{pointer}/{escape(str(key))}")]
    return [pointer, *descendants] if pointer != "#" else descendants


@settings(max_examples=settings().max_examples * 4)
@given(st.sampled_from(("library", "museum")), st.data())
def test_any_value_at_any_pointer_loads_or_raises_contract_error(name: str, data: st.DataObject) -> None:
    pointer = data.draw(st.sampled_from(list_pointers(read_foreign_document(name).root)), label="pointer")
    value = data.draw(st.sampled_from((REMOVED, None, True, 5, "x", "a.b", "Room", [], {}, ["x"], [None], {"x": 1})))
    with suppress(ContractError):
        assert load_edited_contract(name, (pointer, value)).document


# Model


@pytest.mark.parametrize(
    ("operation", "action", "resource"),
    [
        ("listAuthors", "list", "Author"),
        ("createAuthor", "create", "Author"),
        ("retrieveAuthor", "retrieve", "Author"),
        ("updateAuthor", "update", "Author"),
        ("deleteBook", "delete", "Book"),
        ("signIn", "sign-in", None),
        ("renew", "static", "Author"),
    ],
)
def test_action_is_inferred_from_method_and_path(operation: str, action: str, resource: str | None) -> None:
    renew = ("#/paths/~1authors~1{uuid}/post", {"operationId": "renew", "responses": {"204": {}}})
    result = load_edited_contract("library", renew).operations[operation]
    assert (result.action, result.resource) == (action, resource)


@pytest.mark.parametrize(
    ("operation", "is_generic", "is_write", "requires_auth"),
    [
        ("listAuthors", True, False, True),
        ("createAuthor", True, True, True),
        ("updateAuthor", True, True, True),
        ("deleteAuthor", True, True, True),
        ("signIn", False, True, False),
        ("me", False, False, True),  # two schemes, one of which is required
    ],
)
def test_operation_is_generic_writes_or_requires_auth(
    operation: str, is_generic: bool, is_write: bool, requires_auth: bool
) -> None:
    result = load_edited_contract("library").operations[operation]
    assert (result.is_generic, result.is_write, result.requires_auth) == (is_generic, is_write, requires_auth)


def test_empty_security_alternative_requires_no_auth() -> None:
    contract = load_edited_contract("library", ("#/paths/~1me/get/security", [{"desk": []}, {}]))
    assert not contract.operations["me"].requires_auth


def test_body_with_filter_is_query_body() -> None:
    assert not load_edited_contract("library").operations["createAuthor"].has_query_body
    field = "#/paths/~1authors/post/requestBody/content/application~1json/schema"
    schema = {"type": "object", "properties": {"genre": {"type": "string", "x-query": {"filter": "genre"}}}}
    changes = (("#/paths/~1authors/post/x-action", "find"), (field, schema))
    assert load_edited_contract("library", *changes).operations["createAuthor"].has_query_body


def test_create_operation_is_create_action_or_post_that_returns_the_record() -> None:
    library = load_edited_contract("library")
    enrol_contract = load_edited_contract("library", ("#/paths/~1authors/post/x-action", "enrol"))
    for contract in (library, enrol_contract):
        operation = contract.operations["createAuthor"]
        assert (contract.find_created_resource(operation), contract.find_create_operation("Author")) == (
            "Author",
            operation,
        )
    assert (enrol_contract.find_operation("Author", "create"), library.find_operation("Author", "create")) == (
        None,
        library.operations["createAuthor"],
    )
    assert library.find_created_resource(library.operations["updateAuthor"]) is None
    assert library.find_create_operation("Library") is None


def test_create_operation_is_post_on_other_record_that_returns_list() -> None:
    body_schema = {"type": "object", "properties": {"data": {"type": "array", "items": {"$ref": f"{SCHEMAS}/Library"}}}}
    path = {
        "parameters": [{"name": "uuid", "in": "path", "required": True, "schema": {"type": "string"}}],
        "post": {
            "operationId": "openBranches",
            "x-action": "open-branches",
            "responses": {"200": {"description": "Opened.", "content": {"application/json": {"schema": body_schema}}}},
        },
    }
    contract = load_edited_contract("library", ("#/paths/~1authors~1{uuid}~1branches", path))
    assert contract.find_create_operation("Library") is contract.operations["openBranches"]
    assert contract.find_created_resource(contract.operations["openBranches"]) is None


def test_whoami_is_get_of_one_account_without_path_parameter() -> None:
    library = load_edited_contract("library")
    assert [o.id for o in library.operations.values() if library.is_whoami(o)] == ["me"]


@pytest.mark.parametrize(
    ("resource", "relation", "to_many", "is_stored"),
    [
        ("Room", "parent", False, True),
        ("Room", "children", True, False),
        ("Exhibit", "artists", True, True),
        ("Exhibit", "label", False, False),
    ],
)
def test_relation_is_to_one_or_to_many_and_stored_or_derived(
    resource: str, relation: str, to_many: bool, is_stored: bool
) -> None:
    result = load_edited_contract("museum").resources[resource].relations[relation]
    assert (result.to_many, result.is_stored) == (to_many, is_stored)


def test_relation_is_to_many_by_a_referenced_array() -> None:
    books = {"type": "array", "items": {"$ref": f"{SCHEMAS}/Book"}}
    relation = {"allOf": [{"$ref": f"{SCHEMAS}/Books"}], "x-relation": {"to": "Book", "via": "author"}}
    edits = ((f"{SCHEMAS}/Books", books), (f"{AUTHOR}/properties/books", relation))
    assert load_edited_contract("library", *edits).resources["Author"].relations["books"].to_many


def test_relation_with_null_alternative_is_nullable() -> None:
    assert load_edited_contract("museum").resources["Room"].relations["parent"].nullable


def test_empty_closed_alternative_allows_empty_object() -> None:
    assert load_edited_contract("library").resources["User"].relations["home"].allows_empty_object


def test_attribute_type_and_enum_are_read_through_allof() -> None:
    genre = load_edited_contract("library").resources["Author"].attributes["genre"]
    assert (genre.type, genre.default, genre.nullable) == ("string", "novel", False)
    assert genre.enum_values == ("novel", "essay", "poem", "play")
    assert load_edited_contract("library").resources["Author"].attributes["living"].enum_values == ()


def test_derived_property_is_required_by_schema() -> None:
    derived = load_edited_contract("museum").resources["Room"].derived_properties
    assert (derived["children_count"].required, derived["notes_count"].required) == (True, False)


def test_write_only_properties_are_in_no_view() -> None:
    contract = load_edited_contract("library")
    assert not {"password", "members", "keeper"} & {
        *contract.views["User"].property_names,
        *contract.views["Author"].property_names,
    }


def move_to_stores(schema: str, name: str, node: dict[str, Any]) -> list[tuple[str, Any]]:
    """Edits that move a property of a schema to its stored properties."""
    pointer = f"{SCHEMAS}/{schema}"
    return [(f"{pointer}/properties/{name}", REMOVED), (f"{pointer}/x-resource/stores/{name}", node)]


def test_stored_properties_are_those_of_the_resource_and_in_no_view() -> None:
    before = load_edited_contract("library")
    keeper = {
        "allOf": [{"$ref": f"{SCHEMAS}/User"}],
        "x-relation": {"to": "User", "on-delete": "cascade"},
    }
    password = {"type": "string", "format": "password", "maxLength": 200, "default": "password"}
    edits = [*move_to_stores("Author", "keeper", keeper), *move_to_stores("User", "password", password)]
    after = load_edited_contract("library", *edits)
    assert after.views["Author"].property_names == before.views["Author"].property_names
    assert after.views["User"].property_names == before.views["User"].property_names
    stored, shown = after.resources["Author"].relations["keeper"], before.resources["Author"].relations["keeper"]
    assert stored == replace(shown, pointer=f"{AUTHOR}/x-resource/stores/keeper")
    attribute = after.resources["User"].attributes["password"]
    assert (attribute.write_only, attribute.default, attribute.format) == (True, "password", "password")
    assert after.document.resolve(attribute.pointer) == password


@pytest.mark.parametrize(("schema", "name", "value"), [("Author", "genre", "novel"), ("Book", "pages", 100)])
def test_default_in_the_resource_equals_default_in_the_schema(schema: str, name: str, value: Any) -> None:
    before = load_edited_contract("library").resources[schema].attributes[name]
    pointer = f"{SCHEMAS}/{schema}"
    edits = ((f"{pointer}/properties/{name}/default", REMOVED), (f"{pointer}/x-resource/defaults/{name}", value))
    after = load_edited_contract("library", *edits).resources[schema].attributes[name]
    assert after == before
    assert after.default == value


def test_default_in_the_resource_applies_to_a_reference() -> None:
    edits = (
        (f"{AUTHOR}/properties/genre", {"$ref": f"{SCHEMAS}/Genre"}),
        (f"{AUTHOR}/x-resource/defaults/genre", "poem"),
    )
    genre = load_edited_contract("library", *edits).resources["Author"].attributes["genre"]
    assert (genre.default, genre.enum_values) == ("poem", ("novel", "essay", "poem", "play"))
    assert genre.schema == {"allOf": [{"$ref": f"{SCHEMAS}/Genre"}], "default": "poem"}


def test_resource_that_is_only_stored_is_generated_and_referred_to_by_stored_properties() -> None:
    visit = {
        "type": "object",
        "x-resource": {"collection": "visits", "key": "uuid", "stored-only": True},
        "properties": {
            "uuid": {"type": "string", "format": "uuid"},
            "author": {
                "allOf": [{"$ref": f"{SCHEMAS}/Author"}],
                "x-relation": {"to": "Author", "on-delete": "cascade"},
            },
        },
    }
    visits = {"type": "array", "items": {"$ref": f"{SCHEMAS}/Visit"}, "x-relation": {"to": "Visit", "via": "author"}}
    edits = ((f"{SCHEMAS}/Visit", visit), (f"{AUTHOR}/x-resource/stores/visits", visits))
    resources = load_edited_contract("library", *edits).resources
    assert [name for name, resource in resources.items() if resource.is_stored_only] == ["Visit"]
    assert resources["Author"].relations["visits"].targets == ("Visit",)


def test_main_view_of_resource_is_first() -> None:
    assert [view.name for view in load_edited_contract("museum").views_by_resource["Room"]] == ["Room", "RoomCard"]


def test_list_has_an_envelope_with_its_view() -> None:
    result = load_edited_contract("museum").operations["listRooms"].envelope
    assert (result.status, result.data_property, result.view_name, result.is_list) == (200, "data", "Room", True)


def load_shelves() -> Contract:
    return load_contract(Path(__file__).parents[1] / "contracts" / "extensions" / "resource-by-all-of.yaml")


def test_resource_has_the_properties_of_the_parts_of_all_of() -> None:
    shelf = load_shelves().resources["Shelf"]
    assert list(shelf.attributes) == ["id", "name"]
    assert list(shelf.relations) == ["books"]
    assert shelf.attributes["id"].pointer == f"{SCHEMAS}/Entity/properties/id"
    assert (shelf.attributes["id"].read_only, shelf.attributes["id"].stamp) == (True, "number")


def test_property_that_several_parts_define_has_the_keywords_of_all() -> None:
    name = load_shelves().resources["Shelf"].attributes["name"]
    assert (name.type, name.schema["minLength"], name.schema["maxLength"]) == ("string", 2, 80)


def test_body_requires_properties_of_other_parts_of_all_of_but_none_that_are_read_only() -> None:
    operations = load_shelves().operations
    assert {name: field.required for name, field in operations["createShelf"].body_fields.items()} == {"name": True}
    fields = operations["createBook"].body_fields
    assert {name: field.required for name, field in fields.items()} == {"name": True, "shelf_id": False}


def test_envelope_by_all_of_has_the_property_with_the_records_and_all_pagination_properties() -> None:
    envelope = load_shelves().operations["listShelves"].envelope
    assert (envelope.data_property, envelope.view_name, envelope.is_list) == ("shelves", "Shelf", True)
    assert envelope.page_property_paths == ((("meta", "last"), "last-page"), (("total",), "total"))
    assert envelope.read_page_values({"meta": {"last": 2}, "total": 20}) == {"last-page": 2, "total": 20}
    assert envelope.read_page_values({"meta": None}) == {}


def test_pagination_roles_are_assigned_by_property() -> None:
    pages = load_edited_contract("museum").operations["listRooms"].envelope.pagination
    assert pages["links"] == {"first": "first", "last": "last", "prev": "previous", "next": "next"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"$ref": f"{SCHEMAS}/Genre"}, {"type": "string", "enum": ["novel", "essay", "poem", "play"]}),
        (
            {"allOf": [{"$ref": f"{SCHEMAS}/Genre"}], "default": "poem"},
            {"type": "string", "enum": ["novel", "essay", "poem", "play"], "default": "poem"},
        ),
        (
            {"type": "array", "items": {"$ref": f"{SCHEMAS}/Genre"}},
            {"type": "array", "items": {"type": "string", "enum": ["novel", "essay", "poem", "play"]}},
        ),
    ],
)
def test_parameter_schema_contains_what_it_refers_to(schema: Any, expected: Any) -> None:
    pointer = f"{LIST}/4"
    parameters = load_edited_contract("library", (f"{pointer}/schema", schema)).operations["listAuthors"].parameters
    (parameter,) = (p for p in parameters if p.pointer == pointer)
    assert parameter.schema == expected


def test_status_without_quotes_is_accepted() -> None:
    text = (FOREIGN / "library.yaml").read_bytes().replace(b'"200":', b"200:").replace(b'"404":', b"404:")
    operations = parse_contract(parse_document(text, "x")).operations
    assert operations["retrieveAuthor"].responses.keys() >= {200, 404}


@pytest.mark.parametrize(
    ("responses", "status", "has_body"),
    [
        (["404", "200", "201"], 200, True),
        (["404", "default", "2XX"], 200, True),
        (["default", "4XX"], 200, True),
        (["404", "302"], 302, True),
        (["4XX"], 200, False),
        ([], 200, False),
    ],
)
def test_success_response_is_the_first_2xx_then_the_default(responses: list[str], status: int, has_body: bool) -> None:
    response = {"content": {"application/json": {"schema": {"type": "object"}}}}
    edit = ("#/paths/~1authors/get/responses", dict.fromkeys(responses, response))
    envelope = load_edited_contract("library", edit).operations["listAuthors"].envelope
    assert (envelope.status, envelope.schema_pointer is not None) == (status, has_body)


def test_operation_security_replaces_document_security() -> None:
    operations = load_edited_contract("library").operations
    assert (operations["signIn"].security, operations["me"].security) == ((), (("desk",), ("bearer",)))


def test_path_item_parameters_belong_to_each_operation() -> None:
    assert load_edited_contract("library").operations["deleteAuthor"].path_parameter_names == ("uuid",)


def test_property_path_follows_relations_to_attribute() -> None:
    contract = load_edited_contract("museum")
    steps, end, attribute_path = resolve_property_path(
        contract, contract.resources["Label"], ("exhibit", "room", "name"), ""
    )
    assert ([s.name for s in steps], end.name, attribute_path) == (["exhibit", "room"], "Room", ("name",))


@pytest.mark.parametrize("name", ["books.author", "Books.Author"])
def test_include_path_is_accepted_in_both_spellings(name: str) -> None:
    contract = load_edited_contract("library")
    relations = resolve_include(
        contract, contract.resources["Author"], name[0].lower() + name[1:].replace("A", "a"), ""
    )
    assert relations == ("books", "author")


def test_count_resolves_to_derived_property() -> None:
    assert resolve_count(load_edited_contract("museum").resources["Room"], "notes", "") == "notes_count"


def test_loading_is_deterministic() -> None:
    path = FOREIGN / "museum.yaml"
    one, other = load_contract(path), load_contract(path)
    assert (one.resources, one.views, one.operations) == (other.resources, other.views, other.operations)


def test_json_and_yaml_load_equally() -> None:
    yaml = read_foreign_document("library")
    json = parse_document(orjson.dumps(yaml.root), "library.json")
    assert parse_contract(json).operations == parse_contract(yaml).operations
