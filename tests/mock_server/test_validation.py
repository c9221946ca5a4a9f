"""Tests validation: 422 exactly for violations of the contract's schemas; valid input reaches the action."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.errors import ApiError, ErrorKind
from mock_server.web import body
from mock_server.web.validation_messages import field_errors
from spec.document import parse_document
from spec.errors import ContractError
from spec.validators import SchemaValidators
from tests.asgi import Client, Reply
from tests.mock_server.library_contract import (
    API,
    HOUSE,
    POE,
    LogCapture,
    RecordedCalls,
    app,
    client,
    edit_contract,
    library,
    recording_client,
)

AUTHORS = f"{API}/authors"
BOOKS = f"{API}/books"
NEW = {"title": "The Raven", "author_uuid": POE}


@pytest.fixture
def calls() -> RecordedCalls:
    calls = recording_client()[1]
    calls.all.clear()
    return calls


@pytest.fixture
def caller(calls: RecordedCalls) -> Client:
    return recording_client()[0]


def get_errors(reply: Reply) -> dict[str, list[str]]:
    assert reply.status == 422, reply
    assert reply.headers["x-mock-reason"] == "validation"
    messages: dict[str, list[str]] = reply.json["errors"]
    return messages


# Default query parameters of a list.
DEFAULTS = {"page": 1, "per_page": 20}


# Query --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {}),
        ("per_page=5&page=2", {"per_page": 5, "page": 2}),
        ("per_page=5&per_page=7", {"per_page": 7}),
        ("per_page=&search&sort_by=&with=&genre=&living=", {}),
        ("search=a+b%20%C3%A9", {"search": "a b é"}),
        ("search=100%25%zz", {"search": "100%%zz"}),
        ("search=%00", {"search": "\x00"}),
        ("search=a=b", {"search": "a=b"}),
        ("genre=poem&genre=essay", {"genre": ["poem", "essay"]}),
        ("genre[]=poem&genre%5B%5D=essay", {"genre": ["poem", "essay"]}),
        ("genre[0]=poem&genre[7]=essay", {"genre": ["poem", "essay"]}),
        ("with=library,books", {"with": ["library", "books"]}),
        ("with=library%2Cbooks", {"with": ["library", "books"]}),
        ("with[]=library&with[]=books", {"with": ["library", "books"]}),
        ("living=true", {"living": True}),
        ("living=0", {"living": False}),
        ("born_from=1809-01-19", {"born_from": "1809-01-19"}),
        (f"library_uuid={HOUSE}", {"library_uuid": HOUSE}),
    ],
)
def test_query_is_converted_to_the_types_of_the_contract(
    calls: RecordedCalls, caller: Client, query: str, values: Any
) -> None:
    reply = caller.get(f"{AUTHORS}?{query}")
    assert (reply.status, dict(calls.last.query)) == (200, {**DEFAULTS, **values})
    assert calls.last.raw_query == query
    assert "x-mock-note" not in reply.headers


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("filters[title]=x", {"title": "x"}),
        ("filters%5Btitle%5D=x&filters[pages]=12", {"title": "x", "pages": 12}),
        ("filters[title]=&filters[pages]=3", {"pages": 3}),
    ],
)
def test_deep_object_is_parsed(calls: RecordedCalls, caller: Client, query: str, values: Any) -> None:
    assert caller.get(f"{BOOKS}?author_uuid={POE}&{query}").status == 200
    assert calls.last.query["filters"] == values


@pytest.mark.parametrize(
    ("query", "field", "sentence"),
    [
        ("per_page=0", "per_page", "The per page field must be at least 1."),
        ("per_page=101", "per_page", "The per page field must not be greater than 100."),
        ("per_page=x", "per_page", "The per page field must be an integer."),
        ("per_page=1.0", "per_page", "The per page field must be an integer."),
        ("per_page=%D9%A1", "per_page", "The per page field must be an integer."),
        ("per_page=" + "9" * 400, "per_page", "The per page field must be an integer."),
        ("per_page=9223372036854775808", "per_page", "The per page field must be an integer."),
        ("per_page=-9223372036854775808", "per_page", "The per page field must be at least 1."),
        ("page=%201", "page", "The page field must be an integer."),
        ("sort_by=height", "sort_by", "The selected sort by is invalid."),
        ("library_uuid=AAA", "library_uuid", "The library uuid field must be a valid UUID."),
        ("born_from=2024-02-30", "born_from", "The born from field must be a valid date."),
        ("living=maybe", "living", "The living field must be true or false."),
        ("search=" + "x" * 101, "search", "The search field must not be greater than 100 characters."),
        ("search=%FF", "search", "The search field must be valid UTF-8."),
        ("genre=poem&genre=song", "genre.1", "The selected genre.1 is invalid."),
        ("genre=" + "&genre=".join(["poem"] * 6), "genre", "The genre field must not have more than 5 items."),
        ("with=books,", "with.1", "The selected with.1 is invalid."),
        ("genre=&genre=", "genre.0", "The selected genre.0 is invalid."),
        ("with=pages", "with.0", "The selected with.0 is invalid."),
    ],
)
def test_invalid_parameter_has_laravels_message(caller: Client, query: str, field: str, sentence: str) -> None:
    reply = caller.get(f"{AUTHORS}?{query}")
    assert get_errors(reply)[field] == [sentence]
    assert reply.json["message"].startswith(sentence)


def test_invalid_part_of_a_deep_object_is_named_by_its_path(caller: Client) -> None:
    reply = caller.get(f"{BOOKS}?author_uuid={POE}&filters[pages]=0")
    assert get_errors(reply) == {"filters.pages": ["The filters.pages field must be at least 1."]}


@pytest.mark.parametrize("name", ["filters", "filters[]"])
def test_scalar_or_array_for_a_deep_object_is_an_error(caller: Client, name: str) -> None:
    assert get_errors(caller.get(f"{BOOKS}?author_uuid={POE}&{name}=x")) == {
        "filters": ["The filters field must be an object."]
    }


@pytest.mark.parametrize("brackets", ["[]", "[0]", "[x]", "[][]", "[a][b]", "%5B%5D"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("page", "an integer"),
        ("search", "a string"),
        ("sort_by", "a string"),
        ("living", "true or false"),
        ("library_uuid", "a string"),
    ],
)
@pytest.mark.parametrize("other", ["", "&{0}=1", "&{0}[]="])
def test_brackets_after_a_scalar_name_are_an_error(
    caller: Client, name: str, brackets: str, expected: str, other: str
) -> None:
    messages = get_errors(caller.get(f"{AUTHORS}?{name}{brackets}=1{other.format(name)}"))
    assert messages == {name: [f"The {name.replace('_', ' ')} field must be {expected}."]}


def test_brackets_after_an_unknown_name_are_ignored(caller: Client) -> None:
    reply = caller.get(f"{AUTHORS}?pages[]=1&genre[x]=poem")
    assert (reply.status, reply.headers["x-mock-note"]) == (200, "ignored: query.pages[], query.genre[x]")


@pytest.mark.parametrize("query", ["", "author_uuid=", "author_uuid", f"author_uuid={POE}&author_uuid="])
def test_blank_required_parameter_is_an_error(caller: Client, query: str) -> None:
    assert get_errors(caller.get(f"{BOOKS}?{query}")) == {"author_uuid": ["The author uuid field is required."]}


def test_all_invalid_fields_are_reported(caller: Client) -> None:
    reply = caller.get(f"{AUTHORS}?page=0&sort_by=x&living=x", x_desk="100")
    assert list(get_errors(reply)) == ["page", "sort_by", "living", "X-Desk"]
    assert reply.json["message"] == "The page field must be at least 1. (and 3 more errors)"


@pytest.mark.parametrize("query", ["colour=red", "pages[]=1", "genre[x]=poem", "page[=1", "%5B%5D=1", "%FF=1", "="])
def test_unknown_parameters_are_ignored(calls: RecordedCalls, caller: Client, query: str) -> None:
    assert caller.get(f"{AUTHORS}?{query}").status == 200
    assert dict(calls.last.query) == DEFAULTS


@pytest.mark.parametrize(
    ("number", "is_noted"),
    [
        ("18446744073709551615", False),
        ("18446744073709551616", False),  # a power of two is whole as a float too
        ("18446744073709551617", True),
        ("-9223372036854775808", False),
        ("-9223372036854775809", True),
        ("123456789012345678901234567890", True),
        ("0.1234567890123456789012345", False),  # fractions are floats
        ('"123456789012345678901234567890"', False),
    ],
)
def test_integer_that_loses_digits_is_noted(calls: RecordedCalls, number: str, is_noted: bool) -> None:
    terminal = LogCapture()
    caller = client(app(calls, terminal=terminal))
    raw = f'{{"title": "The Raven", "author_uuid": "{POE}", "extra": {{"a": [1, {number}]}}}}'.encode()
    reply = caller.request("POST", BOOKS, body=raw, headers={"content-type": "application/json"})
    assert reply.status == 201
    message = "digits of body.extra.a.1 (beyond 64 bits)"
    assert (message in reply.headers["x-mock-note"]) is (message in terminal.getvalue()) is is_noted


@given(st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_integers_without_note_are_exact(value: Any) -> None:
    raw = json.dumps(value).encode()
    if not body.find_rounded_integers(raw):
        assert body.parse_json(raw).value == value


def test_number_beyond_floats_is_an_error(caller: Client) -> None:
    for number in ("1e400", "-1e400", "9" * 400):
        raw = f'{{"name": "x", "extra": {number}}}'.encode()
        reply = caller.request("POST", AUTHORS, body=raw, headers={"content-type": "application/json"})
        assert (reply.status, reply.headers["x-mock-reason"]) == (400, "validation")
        assert "number is infinity when parsed as double" in reply.json["message"]


def test_ignored_fields_are_noted(calls: RecordedCalls) -> None:
    terminal = LogCapture()
    caller = client(app(calls, terminal=terminal))
    reply = caller.request("POST", f"{BOOKS}?colour=red&c%0A=1", data=NEW | {"colour": "red", "uuid": POE})
    assert reply.status == 201
    note = r"ignored: query.colour, query.c\n, body.colour, body.uuid"
    assert reply.headers["x-mock-note"] == note
    assert terminal.getvalue() == f"201 POST {BOOKS} - {note} [req 1]\n"


@pytest.mark.parametrize("value", ["1", " 99 ", ""])
def test_valid_header_parameter_is_accepted(caller: Client, value: str) -> None:
    assert caller.get(AUTHORS, x_desk=value).status == 200


def test_invalid_header_parameter_is_an_error(caller: Client) -> None:
    assert get_errors(caller.get(AUTHORS, x_desk="x")) == {"X-Desk": ["The X-Desk field must be an integer."]}


@given(st.lists(st.tuples(st.text(), st.text())))
def test_unknown_parameters_do_not_affect_known_ones(pairs: list[tuple[str, str]]) -> None:
    names = {parameter.name for parameter in library().operations["listAuthors"].parameters}
    unknown_pairs = [(name, text) for name, text in pairs if name.partition("[")[0] not in names]
    reply = recording_client()[0].get(f"{AUTHORS}?{urlencode(unknown_pairs, quote_via=quote)}&page=3")
    assert (reply.status, reply.json["query"]) == (200, {**DEFAULTS, "page": 3})


@given(st.binary())
def test_no_query_returns_5xx(raw: bytes) -> None:
    assert recording_client()[0].get(AUTHORS.encode() + b"?" + raw).status in (200, 422)


@given(st.sampled_from(["page", "genre[]", "living", "with", "search", "born_to"]), st.text())
def test_parameter_is_valid_exactly_if_the_schema_accepts_it(name: str, text: str) -> None:
    contract = library()
    parameter = next(p for p in contract.operations["listAuthors"].parameters if p.name == name.removesuffix("[]"))
    reply = recording_client()[0].get(f"{AUTHORS}?{quote(name)}={quote(text, safe='')}")
    is_valid = text == "" or any(
        SchemaValidators.from_document(contract.document).get(f"{parameter.pointer}/schema", "write").is_valid(value)
        for value in list_interpretations(text)
    )
    assert reply.status == (200 if is_valid else 422)


def list_interpretations(text: str) -> list[Any]:
    """Return the values that a text in a query can represent."""
    interpretations: list[Any] = [text, [text], text.split(",")]
    if text.isascii() and text.removeprefix("-").isdigit():
        interpretations.append(int(text))
    return [*interpretations, *({"true": [True], "1": [True], "false": [False], "0": [False]}.get(text, []))]


# Body ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {},
            {"title": ["The title field is required."], "author_uuid": ["The author uuid field is required."]},
        ),
        (NEW | {"title": ""}, {"title": ["The title field is required."]}),
        (NEW | {"title": None}, {"title": ["The title field is required."]}),
        (NEW | {"title": 5}, {"title": ["The title field must be a string."]}),
        (NEW | {"title": "x" * 201}, {"title": ["The title field must not be greater than 200 characters."]}),
        (NEW | {"pages": 1.5}, {"pages": ["The pages field must be an integer."]}),
        (NEW | {"pages": 10**30}, {"pages": ["The pages field must not be greater than 10000."]}),
        (NEW | {"pages": None}, {"pages": ["The pages field must be an integer."]}),
        (NEW | {"price": "x"}, {"price": ["The price field must be a number."]}),
        (NEW | {"tags": "x"}, {"tags": ["The tags field must be an array."]}),
        (NEW | {"tags": ["a", 1]}, {"tags.1": ["The tags.1 field must be a string."]}),
        (NEW | {"chapters": [{}]}, {"chapters.0.name": ["The chapters.0.name field is required."]}),
        (NEW | {"cover": {"url": 1}}, {"cover.url": ["The cover.url field must be a string."]}),
        (NEW | {"cover": {"colour": "red"}}, {"cover.colour": ["The cover.colour field format is invalid."]}),
        (NEW | {"cover": 1}, {"cover": ["The cover field is invalid."]}),
        (NEW | {"author_uuid": "x"}, {"author_uuid": ["The author uuid field must be a valid UUID."]}),
        ([], {"body": ["The body field must be an object."]}),
        ("x", {"body": ["The body field must be an object."]}),
        (None, {"body": ["The body field must be an object."]}),
    ],
)
def test_invalid_body_has_laravels_messages(caller: Client, content: Any, expected: Mapping[str, Any]) -> None:
    reply = caller.request(
        "POST", BOOKS, body=json.dumps(content).encode(), headers={"content-type": "application/json"}
    )
    assert get_errors(reply) == expected


def test_errors_are_in_the_order_of_the_contract(caller: Client) -> None:
    reply = caller.post(BOOKS, {"author_uuid": 1, "tags": 1, "pages": "x", "price": "x"})
    assert list(get_errors(reply)) == ["title", "pages", "price", "tags", "author_uuid"]


def test_action_gets_the_sent_body(calls: RecordedCalls, caller: Client) -> None:
    content = NEW | {"title": " é\x00\ud83d\ude00 ".encode("utf-16", "surrogatepass").decode("utf-16"), "price": 1.25}
    assert caller.post(BOOKS, content).status == 201
    assert calls.last.body == content


def test_float_without_fraction_is_an_integer(calls: RecordedCalls, caller: Client) -> None:
    raw = f'{{"title": "5.0", "author_uuid": "{POE}", "pages": 5.0, "price": 1e2}}'.encode()
    assert caller.request("POST", BOOKS, body=raw, headers={"content-type": "application/json"}).status == 201
    assert [type(calls.last.body[name]) for name in ("pages", "price", "title")] == [int, int, str]


def test_absent_body_is_an_empty_object(calls: RecordedCalls, caller: Client) -> None:
    assert caller.request("PUT", f"{AUTHORS}/{POE}").status == 200
    assert calls.last.body == {}
    assert list(get_errors(caller.request("POST", BOOKS))) == ["title", "author_uuid"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_body_is_ignored_if_the_operation_has_none(calls: RecordedCalls, caller: Client, method: str) -> None:
    reply = caller.request(method, f"{AUTHORS}/{POE}", body=b"\xff{", headers={"content-type": "text/x"})
    assert reply.status in (200, 204)
    assert calls.last.body is None


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"{", "line 1, column 2"),
        (b'{"title": "x",}', "trailing comma"),
        (b'\n{"title": NaN}', "line 2, column 11"),
        (b'{"title": Infinity}', "column 11"),
        (b'{"title": 1e400}', "infinity"),
        (b'{"pages": ' + b"9" * 400 + b"}", "infinity"),
        (b"nul", "line 1"),
        (b" ", "empty"),
        (b'{"title": "\xff"}', "byte 12 is not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"title": "x"}'.encode("utf-16"), "byte 1 is not UTF-8"),
        (b'{"title": "\\ud800"}', "surrogate"),
        (b'{"title": "a\nb"}', "control character"),
        (b'{"title": "a", "title": "b"}', 'the key "title" is given twice'),
        (b'{"title": "a", "\\u0074itle": "b"}', 'the key "title" is given twice'),
        (b'{"chapters": [{"name": "a", "name": "b"}]}', 'the key "name" is given twice'),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested deeper than 128 levels"),
        (b"[" * 10_000 + b"]" * 10_000, "depth limit exceeded"),
        (b"[" * 100_000, "more than 50000 objects and arrays"),
        (b'["' + b"[{" * 40_000 + b'"', "unexpected end of data"),
    ],
)
def test_malformed_json_returns_400_with_position(caller: Client, raw: bytes, detail: str) -> None:
    reply = caller.request("POST", BOOKS, body=raw, headers={"content-type": "application/json"})
    assert (reply.status, reply.headers["x-mock-reason"]) == (400, "validation")
    assert detail in reply.json["message"]


def test_key_may_repeat_in_other_objects_and_strings(calls: RecordedCalls, caller: Client) -> None:
    content = NEW | {"title": '"title": "x", "title": ', "chapters": [{"name": "title"}, {"name": "name"}]}
    assert caller.post(BOOKS, content).status == 201


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/JSON; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/json; charset=utf8",
        "application/vnd.library+json",
        "application/json;",
    ],
)
def test_json_media_types_are_accepted(caller: Client, content_type: str) -> None:
    raw = json.dumps(NEW).encode()
    assert caller.request("POST", BOOKS, body=raw, headers={"content-type": content_type}).status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/jsonx"},
        {"content-type": b"\xff"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_other_media_types_return_415(caller: Client, headers: Mapping[str, Any]) -> None:
    reply = caller.request("POST", BOOKS, body=json.dumps(NEW).encode(), headers=headers)
    assert (reply.status, reply.headers["accept"]) == (415, "application/json")


def test_too_large_content_length_returns_413(caller: Client) -> None:
    headers = {"content-type": "application/json", "content-length": str(body.DEFAULT_MAX_BODY_BYTES + 1)}
    reply = caller.request("POST", BOOKS, body=[b"{}"] * 3, headers=headers)
    assert (reply.status, reply.headers["connection"]) == (413, "close")


def test_too_large_chunked_body_returns_413(caller: Client) -> None:
    chunk = b" " * 2**20
    reply = caller.request("POST", BOOKS, body=[chunk] * 1000, headers={"content-type": "application/json"})
    assert reply.status == 413


def test_body_of_maximum_size_is_accepted(caller: Client) -> None:
    raw = json.dumps(NEW).encode().ljust(body.DEFAULT_MAX_BODY_BYTES)
    parts = [raw[: 2**19], b"", raw[2**19 :]]
    assert caller.request("POST", BOOKS, body=parts, headers={"content-type": "application/json"}).status == 201


def test_disconnected_client_gets_no_response(calls: RecordedCalls) -> None:
    reply = recording_client()[0].request("POST", BOOKS, body=[], headers={"content-type": "application/json"})
    assert (reply.status, calls.all) == (0, [])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # A lone surrogate is no text that JSON in UTF-8 can say.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(JSON)
def test_json_values_are_parsed_exactly(value: Any) -> None:
    assert body.parse_json(orjson.dumps(value)).value == value
    assert body.parse_json(json.dumps(value).encode()).value == value


@given(JSON, st.text(st.characters(exclude_categories=["Cs"])))
def test_duplicate_key_is_an_error(value: Any, key: str) -> None:
    pair = json.dumps(key) + ":" + json.dumps(value)
    with pytest.raises(ApiError) as error:
        body.parse_json(f'[{{"a": 1}}, {{{pair}, {pair}}}]'.encode())
    assert error.value.kind is ErrorKind.BAD_REQUEST


@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_body_returns_5xx(raw: bytes) -> None:
    reply = recording_client()[0].request("POST", BOOKS, body=raw, headers={"content-type": "application/json"})
    assert reply.status in (400, 422)


@given(JSON)
def test_body_is_valid_exactly_if_the_schema_accepts_it(value: Any) -> None:
    operation = library().operations["createAuthor"]
    assert operation.request_body is not None
    content = {"name": "x", "biography": value}
    is_valid = (
        SchemaValidators.from_document(library().document)
        .get(operation.request_body.pointer, "write")
        .is_valid(content)
    )
    assert recording_client()[0].post(AUTHORS, content).status == (201 if is_valid else 422)


BODY = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["x", 1, None]),
        "author_uuid": st.sampled_from([POE, "x", None]),
        "genre": st.sampled_from(["poem", "no such"]),
        "chapters": st.sampled_from([[], [{}], [{"name": "x"}]]),
    },
)


@given(BODY)
def test_422_has_all_violations_of_the_schema(content: Any) -> None:
    operation = library().operations["createBook"]
    assert operation.request_body is not None
    violations = (
        SchemaValidators.from_document(library().document)
        .get(operation.request_body.pointer, "write")
        .iter_errors(content)
    )
    expected = {name for name, field in operation.request_body.fields.items() if field.required}
    messages: dict[str, list[str]] = {}
    for field_error in field_errors(violations, operation.request_body.pointer, required_fields=expected):
        messages.setdefault(field_error.field, []).append(field_error.message)
    reply = recording_client()[0].post(BOOKS, content)
    assert (reply.status, reply.json.get("errors", {})) == (422 if messages else 201, messages)


# Accept -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "application/*;q=0.1", "text/html, */*;q=0.8", "APPLICATION/JSON", "*"],
)
def test_accept_header_with_json_is_accepted(caller: Client, accept: str) -> None:
    assert caller.get(AUTHORS, accept=accept).status == 200


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "application/json;q=0", "*/*;q=0.0", "\xff"])
def test_accept_header_without_json_returns_406(caller: Client, accept: str) -> None:
    assert caller.get(AUTHORS, accept=accept).status == 406


# What the contract may ask --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{name: filters, in: query, style: deepObject", "{name: filters, in: query, style: matrix"),
        ("{name: with, in: query, allowEmptyValue: true", "{name: with, in: query, style: simple"),
        ("{name: X-Desk, in: header,", "{name: X-Desk, in: body,"),
    ],
)
def test_style_of_another_location_is_an_error(old: str, new: str) -> None:
    with pytest.raises(ContractError, match="expected"):
        edit_contract((old, new))


@pytest.mark.parametrize(
    ("schema", "value", "sentence"),
    [
        ({"type": "string", "minLength": 3}, "ab", "must be at least 3 characters."),
        ({"type": "string", "format": "email"}, "x", "must be a valid email address."),
        ({"type": "string", "format": "uri"}, "x y", "must be a valid URL."),
        ({"type": "string", "format": "date-time"}, "x", "must be a valid date."),
        ({"type": "string", "format": "ipv4"}, "x", "must be a valid IPv4 address."),
        ({"type": "string", "format": "hostname"}, "-x-", "must match the format hostname."),
        ({"type": "number", "minimum": 1, "exclusiveMinimum": True}, 1, "must be greater than 1."),
        ({"type": "number", "maximum": 1, "exclusiveMaximum": True}, 1, "must be less than 1."),
        ({"type": "integer", "multipleOf": 5}, 7, "must be a multiple of 5."),
        ({"type": "array", "items": {}, "minItems": 2}, [1], "must have at least 2 items."),
        ({"type": "array", "items": {}, "uniqueItems": True}, [1, 1], "has a duplicate value."),
        ({"type": "object", "minProperties": 1}, {}, "must have at least 1 property."),
        ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, "must not have more than 1 items."),
        ({"type": "string", "nullable": True}, 1, "must be a string."),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, [], "is invalid."),
        ({"not": {"type": "string"}}, "x", "is invalid."),
    ],
)
def test_each_keyword_has_a_message(schema: Any, value: Any, sentence: str) -> None:
    contract = edit_contract(("living: {type: boolean}", f"living: {json.dumps(schema)}"))
    operation = contract.operations["createAuthor"]
    assert operation.request_body is not None
    validator = SchemaValidators.from_document(contract.document).get(operation.request_body.pointer, "write")
    results = list(field_errors(validator.iter_errors({"name": "x", "living": value}), operation.request_body.pointer))
    assert [(c.field, c.message) for c in results] == [("living", f"The living field {sentence}")]


def test_additional_property_is_prohibited() -> None:
    chapter = "required: [name], properties: {name:"
    contract = edit_contract((chapter, "additionalProperties: false, " + chapter))
    operation = contract.operations["createBook"]
    assert operation.request_body is not None
    validator = SchemaValidators.from_document(contract.document).get(operation.request_body.pointer, "write")
    content = NEW | {"chapters": [{"name": "x", "no_such": 1}]}
    results = list(field_errors(validator.iter_errors(content), operation.request_body.pointer))
    assert [(c.field, c.message) for c in results] == [
        ("chapters.0.no_such", "The chapters.0.no such field is prohibited.")
    ]


@pytest.mark.parametrize(
    ("name", "expected"), [("aab!", "a match of ^(?:(?=a)a|a)*b$"), ("a" * 200, "a match within 100000 steps")]
)
def test_text_that_does_not_match_a_backtracking_pattern_returns_422(name: str, expected: str) -> None:
    schema = {"type": "string", "maxLength": 200, "pattern": "^(?:(?=a)a|a)*b$"}
    contract = edit_contract(("living: {type: boolean}", f"living: {json.dumps(schema)}"))
    operation = contract.operations["createAuthor"]
    assert operation.request_body is not None
    validator = SchemaValidators.from_document(contract.document).get(operation.request_body.pointer, "write")
    (error,) = field_errors(validator.iter_errors({"name": "x", "living": name}), operation.request_body.pointer)
    assert (error.message, error.expected) == ("The living field format is invalid.", expected)
    assert error.location.endswith("/living/pattern")


def test_error_is_logged_with_its_line_in_the_contract() -> None:
    terminal = LogCapture()
    client(app(terminal=terminal)).post(AUTHORS, {"name": "x", "genre": "song"})
    lines = library().document.content.decode().split("\n")
    number = next(n for n, line in enumerate(lines, 1) if line.startswith("    Genre:"))
    assert f"library.yaml:{number})" in terminal.getvalue()


# What the console adds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ({"genre": "song"}, "genre: The selected genre is invalid. (expected novel, essay, poem, play) ("),
        (
            {"born": "yesterday"},
            "born: The born field must be a valid date. (expected a date, for example 2026-03-01) (",
        ),
        ({"name": ""}, "name: The name field is required. ("),
    ],
)
def test_expected_values_are_only_logged(content: Any, messages: str) -> None:
    terminal = LogCapture()
    reply = client(app(terminal=terminal)).post(AUTHORS, {"name": "x", **content})
    assert f"validation: {messages}" in terminal.getvalue()
    assert "allowed" not in reply.body.decode()


def test_request_log_has_the_expected_values_of_a_parameter() -> None:
    terminal = LogCapture()
    client(app(terminal=terminal)).get(f"{AUTHORS}?sort_by=age")
    message = "sort_by: The selected sort by is invalid. (expected name, born, books_count, created_at) ("
    assert f"validation: {message}" in terminal.getvalue()


def test_request_log_has_the_syntax_of_lists() -> None:
    terminal = LogCapture()
    client(app(terminal=terminal)).get(f"{AUTHORS}?genre=poem,essay")
    message = "genre.0: The selected genre.0 is invalid. (expected genre=1&genre=2 or genre[]=1) ("
    assert f"validation: {message}" in terminal.getvalue()
    client(app(terminal=terminal)).get(f"{AUTHORS}?genre=song")
    assert "(expected novel, essay, poem, play)" in terminal.getvalue()


@pytest.mark.parametrize(
    ("schema", "value", "allowed"),
    [
        ({"enum": ["a", None, 3, ""]}, "b", 'a, null, 3, ""'),
        ({"enum": [f"w{n}" for n in range(50)]}, "b", ", ".join(f"w{n}" for n in range(20)) + "..."),
        ({"enum": ["x" * 500, "y"]}, "b", "x" * 300 + "..."),
        ({"pattern": "^a+$"}, "b", "a match of ^a+$"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, [], "a string or an integer"),
        ({"minimum": 3}, 1, ""),
    ],
)
def test_logged_expected_values_are_limited(schema: Any, value: Any, allowed: str) -> None:
    text = json.dumps({"openapi": "3.0.3", "paths": {}, "components": {"schemas": {"X": schema}}}).encode()
    document = parse_document(text, "x.json")
    pointer = "#/components/schemas/X"
    violations = SchemaValidators.from_document(document).get(pointer, "write").iter_errors(value)
    assert [field_error.expected for field_error in field_errors(violations, pointer)] == [allowed]
