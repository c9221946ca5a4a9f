"""Tests how parameters are parsed by style. openapi-core, which shares no code with our parser, must agree."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest
from openapi_core.unmarshalling.request.unmarshallers import V30RequestParametersUnmarshaller
from werkzeug.datastructures import ImmutableMultiDict

from mock_server.web.parameters import OperationParameters
from mock_server.web.validation_messages import FieldError
from spec.document import parse_document
from spec.errors import ContractError
from spec.loader import parse_contract
from spec.model import Contract
from spec.validators import SchemaValidators

ARRAY = {"type": "array", "items": {"type": "integer"}, "minItems": 1}
TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
OBJECT = {
    "type": "object",
    "required": ["n"],
    "properties": {"n": {"type": "integer"}, "t": {"type": "string"}, "b": {"type": "boolean"}},
    "additionalProperties": False,
}
SCALAR = {"type": "integer"}
SCHEMAS: Mapping[str, Any] = {"array": ARRAY, "texts": TEXTS, "object": OBJECT, "scalar": SCALAR}

plain_texts = st.text("abXY09_-äß", min_size=1, max_size=5)
integers = st.integers(-(10**6), 10**6)
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "array": st.lists(integers, min_size=1, max_size=4),
    "texts": st.lists(plain_texts, min_size=1, max_size=4),
    "object": st.fixed_dictionaries({"n": integers}, optional={"t": plain_texts, "b": st.booleans()}),
    "scalar": integers,
}
# Location, style, explode, kinds of values.
STYLES = [
    ("query", "form", True, "array texts object scalar"),
    ("query", "form", False, "array texts object scalar"),
    ("query", "spaceDelimited", False, "array texts object"),
    ("query", "pipeDelimited", False, "array texts object"),
    ("query", "spaceDelimited", True, "array texts"),
    ("query", "pipeDelimited", True, "array texts"),
    ("query", "deepObject", True, "object"),
    ("path", "simple", False, "array texts object scalar"),
    ("path", "simple", True, "array texts object scalar"),
    ("path", "label", False, "array texts object scalar"),
    ("path", "label", True, "array texts object scalar"),
    ("path", "matrix", False, "array texts object scalar"),
    ("path", "matrix", True, "array texts object scalar"),
    ("header", "simple", False, "array object scalar"),
    ("header", "simple", True, "array object scalar"),
    ("cookie", "form", False, "array texts object scalar"),
    ("cookie", "form", True, "array texts object scalar"),
]
CASES = [(*case, kind) for *case, kinds in STYLES for kind in kinds.split()]
# What openapi-core cannot read.
WITHOUT_SECOND_OPINION = {("query", "form", True, "object"), ("cookie", "form", True, "array")} | {
    *((location, "form", True, kind) for location in ("cookie",) for kind in ("object", "texts")),
    *(("query", style, True, kind) for style in ("spaceDelimited", "pipeDelimited") for kind in ("array", "texts")),
}


@dataclass(frozen=True)
class Parsed:
    value: Any
    errors: list[FieldError]


def build_contract(parameter: Mapping[str, Any]) -> Contract:
    path = "/x/{p}" if parameter["in"] == "path" else "/x"
    operation = {"operationId": "x", "parameters": [parameter], "responses": {"204": {"description": "x"}}}
    root = {"openapi": "3.0.3", "info": {"title": "x", "version": "1"}, "paths": {path: {"get": operation}}}
    return parse_contract(parse_document(json.dumps(root).encode(), "x.json"))


@cache
def load(location: str, style: str, explode: bool, kind: str) -> tuple[Contract, OperationParameters]:
    parameter = {"name": "p", "in": location, "style": style, "explode": explode, "required": True}
    return build({**parameter, "schema": SCHEMAS[kind]})


def build(parameter: Mapping[str, Any]) -> tuple[Contract, OperationParameters]:
    contract = build_contract(parameter)
    schemas = SchemaValidators.from_document(contract.document)
    return contract, OperationParameters.from_operation(contract.document, schemas, contract.operations["x"])


def to_text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def encode(style: str, explode: bool, value: Any) -> str:
    """Encode a value as the tables of OpenAPI show it, with the separators as they are."""
    if isinstance(value, dict):
        pairs = [(name, to_text(item)) for name, item in value.items()]
        if style == "deepObject":
            return "&".join(f"p[{name}]={text}" for name, text in pairs)
        if explode:
            joined = {"form": "&", "label": ".", "matrix": ";", "simple": ","}[style].join(f"{n}={t}" for n, t in pairs)
            return {"label": ".", "matrix": ";"}.get(style, "") + joined
        items = [text for pair in pairs for text in pair]
    else:
        items = [to_text(item) for item in value] if isinstance(value, list) else [to_text(value)]
    repeated = {"form": "&p=", "spaceDelimited": "&p=", "pipeDelimited": "&p=", "matrix": ";p=", "label": "."}
    joined_by = {"spaceDelimited": " ", "pipeDelimited": "|"}
    separator = repeated.get(style, ",") if explode else joined_by.get(style, ",")
    prefix = {"label": ".", "matrix": ";p=", "simple": ""}.get(style, "p=")
    return prefix + separator.join(items)


def parse(parameters: OperationParameters, location: str, text: str) -> Parsed:
    """Parse an encoded parameter as the mock does; percent-encode it first where a client does."""
    if location == "query":
        result = parameters.parse_query(quote(text, safe="=&").encode())
        return Parsed(result.values.get("p"), list(result.errors))
    if location == "cookie":
        header = f"other=1; {quote(text, safe='=&,')}; last=x"
        ((cookie, texts, parts),) = parameters.split_cookies(header)
        errors = list(parameters.validate_headers({b"cookie": header.encode()}))
        return Parsed(cookie.parse(texts, parts)[0], errors)
    if location == "header":
        value = parameters.headers[0].parse((text,), {})[0]
        return Parsed(value, list(parameters.validate_headers({b"p": text.encode()})))
    parser = parameters.path[0]
    values, errors = parameters.parse_path({"p": text})
    return Parsed(parser.parse((values["p"],), {})[0], errors)


@pytest.mark.parametrize(("location", "style", "explode", "kind"), CASES)
@given(data=st.data())
def test_encoded_value_is_parsed(location: str, style: str, explode: bool, kind: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    _, parameters = load(location, style, explode, kind)
    parsed = parse(parameters, location, encode(style, explode, value))
    assert parsed == Parsed(value, [])


@pytest.mark.parametrize(
    ("location", "style", "explode", "kind"), [c for c in CASES if c not in WITHOUT_SECOND_OPINION]
)
@given(data=st.data())
def test_openapi_core_reads_the_same(location: str, style: str, explode: bool, kind: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    contract, _ = load(location, style, explode, kind)
    assert read_with_openapi_core(contract, location, style, explode, encode(style, explode, value)) == value


def read_with_openapi_core(contract: Contract, location: str, style: str, explode: bool, text: str) -> Any:
    key = {"label": ".p", "matrix": ";p"}.get(style, "p") + ("*" if explode and style in ("label", "matrix") else "")
    pairs = parse_qsl(text, keep_blank_values=True) if location == "query" else []
    if style == "spaceDelimited":
        pairs = [(name, item.replace(" ", "%20")) for name, item in pairs]
    path = next(iter(contract.document.root["paths"]))
    request = MockRequest(
        "http://localhost",
        "get",
        path,
        path_pattern=path,
        args=ImmutableMultiDict(pairs),
        view_args={key: text} if location == "path" else {},
        headers={"p": text} if location == "header" else {},
        cookies={"p": text.removeprefix("p=")} if location == "cookie" else {},
    )
    root = json.loads(json.dumps(contract.document.root))
    root["servers"] = [{"url": "http://localhost"}]
    openapi = OpenAPI.from_dict(root, config=Config(spec_validator_cls=None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        result = V30RequestParametersUnmarshaller(openapi.spec).unmarshal(request)
    assert result.errors == []
    return getattr(result.parameters, location)["p"]


@pytest.mark.parametrize(
    ("location", "style", "explode", "kind", "text"),
    [
        ("query", "form", True, "array", "p=x"),
        ("query", "form", False, "object", "p=n,x"),
        ("query", "form", False, "object", "p=n"),
        ("query", "form", True, "object", "n=x"),
        ("query", "form", True, "object", "p=1"),
        ("query", "pipeDelimited", False, "array", "p=1,2"),
        ("query", "deepObject", True, "object", "p[other]=1&p[n]=1"),
        ("path", "simple", False, "array", "1,x"),
        ("path", "label", True, "object", ".n.1"),
        ("path", "matrix", False, "scalar", ";p=x"),
        ("path", "simple", True, "object", "n,1"),
        ("header", "simple", False, "object", "t,x"),
        ("header", "simple", True, "object", "n=x"),
        ("cookie", "form", False, "array", "p=1,x"),
        ("cookie", "form", True, "array", "p=1&p=x"),
        ("cookie", "form", True, "object", "t=x"),
    ],
)
def test_invalid_value_is_an_error(location: str, style: str, explode: bool, kind: str, text: str) -> None:
    _, parameters = load(location, style, explode, kind)
    assert [error.field.partition(".")[0] for error in parse(parameters, location, text).errors] == ["p"]


@pytest.mark.parametrize("location", ["query", "header", "cookie"])
def test_missing_value_is_an_error(location: str) -> None:
    style = "simple" if location == "header" else "form"
    for kind in SCHEMAS:
        _, parameters = load(location, style, False, kind)
        errors = parameters.parse_query(b"").errors if location == "query" else parameters.validate_headers({})
        assert [error.message for error in errors] == ["The p field is required."]


def parse_query(schema: Mapping[str, Any], query: str, **keywords: Any) -> Any:
    _, parameters = build({"name": "p", "in": "query", "schema": schema, **keywords})
    result = parameters.parse_query(query.encode())
    assert result.errors == ()
    return result.values.get("p"), result.ignored


NESTED = {
    "type": "object",
    "properties": {
        "ids": {"type": "array", "items": {"type": "integer"}},
        "inner": {"type": "object", "properties": {"a": {"type": "number"}}},
        "name": {"type": "string"},
    },
}


@pytest.mark.parametrize(
    ("schema", "keywords", "query", "value"),
    [
        (NESTED, {"style": "deepObject"}, "p[ids]=1&p[ids]=2&p[name]=x", {"ids": [1, 2], "name": "x"}),
        (NESTED, {"style": "deepObject"}, "p[ids][]=1&p[ids][]=2", {"ids": [1, 2]}),
        (NESTED, {"style": "deepObject"}, "p%5Bids%5D[0]=1&p[ids][1]=2", {"ids": [1, 2]}),
        (NESTED, {"style": "deepObject"}, "p[inner][a]=1.5", {"inner": {"a": 1.5}}),
        (NESTED, {}, "ids=1&ids=2&name=x", {"ids": [1, 2], "name": "x"}),
        (NESTED, {}, "inner[a]=2&ids[]=1", {"inner": {"a": 2}, "ids": [1]}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {}, "a=1&b=2", {"a": 1, "b": 2}),
        ({"type": "object"}, {}, "a=1&b=x", {"a": "1", "b": "x"}),
        ({"anyOf": [{"type": "integer"}, ARRAY]}, {}, "p=1", 1),
        ({"anyOf": [{"type": "integer"}, ARRAY]}, {}, "p=1&p=2", [1, 2]),
        ({"anyOf": [{"type": "integer"}, ARRAY]}, {}, "p[]=1&p[]=2", [1, 2]),
        ({"oneOf": [{"type": "boolean"}, {"type": "integer"}]}, {}, "p=7", 7),
        ({"allOf": [{"type": "object"}, NESTED]}, {"style": "deepObject"}, "p[ids]=3", {"ids": [3]}),
        ({}, {}, "p=7", "7"),
        ({"enum": [1, 2]}, {}, "p=2", 2),
        ({"type": "string"}, {"allowReserved": True}, "p=/a:b?c@d", "/a:b?c@d"),
        ({"type": "string"}, {}, "p=%2Fa%26b%3Dc+d%20e", "/a&b=c d e"),
    ],
)
def test_query_parameter_is_parsed(schema: Any, keywords: Any, query: str, value: Any) -> None:
    assert parse_query(schema, query, **keywords) == (value, ())


def test_parameter_without_schema_accepts_any_text() -> None:
    _, parameters = build({"name": "p", "in": "query"})
    assert parameters.parse_query(b"p=x").values == {"p": "x"}


json_values = st.recursive(
    st.none() | st.booleans() | integers | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_in_the_query_is_parsed(value: Any) -> None:
    _, parameters = build({"name": "p", "in": "query", "content": {"application/vnd.x+json": {"schema": {}}}})
    assert parameters.parse_query(f"p={quote(json.dumps(value))}".encode()).values == {"p": value}


@pytest.mark.parametrize("text", ["{", "[1]", "x", '"x"'])
def test_json_in_the_query_is_validated(text: str) -> None:
    _, parameters = build({"name": "p", "in": "query", "content": {"application/json": {"schema": OBJECT}}})
    errors = parameters.parse_query(f"p={quote(text)}".encode()).errors
    assert [error.message for error in errors] == ["The p field must be an object."]
    assert errors[0].location == "#/paths/~1x/get/parameters/0/content/application~1json/schema/type"


def test_text_content_in_the_query_is_a_string() -> None:
    _, parameters = build({"name": "p", "in": "query", "content": {"text/plain": {"schema": {"type": "string"}}}})
    assert parameters.parse_query(b"p=5").values == {"p": "5"}


def test_exploded_object_does_not_take_the_names_of_other_parameters() -> None:
    document = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "paths": {
            "/x": {
                "get": {
                    "operationId": "x",
                    "parameters": [
                        {"name": "page", "in": "query", "schema": {"type": "integer"}},
                        {"name": "filter", "in": "query", "schema": {"type": "object"}},
                    ],
                    "responses": {"204": {"description": "x"}},
                }
            }
        },
    }
    contract = parse_contract(parse_document(json.dumps(document).encode(), "x.json"))
    schemas = SchemaValidators.from_document(contract.document)
    parameters = OperationParameters.from_operation(contract.document, schemas, contract.operations["x"])
    assert parameters.parse_query(b"page=1&a=2&b=3").values == {"page": 1, "filter": {"a": "2", "b": "3"}}


@pytest.mark.parametrize("name", ["Accept", "content-type", "AUTHORIZATION"])
def test_header_parameter_with_a_reserved_name_is_ignored(name: str) -> None:
    contract, _ = build({"name": name, "in": "header", "required": True, "schema": SCALAR})
    assert contract.operations["x"].parameters == ()


@pytest.mark.parametrize(
    ("location", "style"), [("query", "simple"), ("path", "form"), ("header", "x"), ("body", "form")]
)
def test_unknown_style_or_location_is_an_error(location: str, style: str) -> None:
    with pytest.raises(ContractError, match="invalid value"):
        build({"name": "p", "in": location, "style": style, "required": True, "schema": SCALAR})
