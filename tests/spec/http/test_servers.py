"""Tests the base paths of servers, and the servers of paths and operations."""

from typing import Any

import pytest

from spec.document import parse_document
from spec.errors import ContractError
from spec.http.servers import MAX_BASE_PATHS, parse_base_paths
from spec.loader import parse_contract


def parse(*servers: Any) -> tuple[str, ...]:
    return parse_base_paths([{"url": server} if isinstance(server, str) else server for server in servers], "#/servers")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://api.example.com", ""),
        ("https://api.example.com/", ""),
        ("https://api.example.com/v1", "/v1"),
        ("https://api.example.com:8443/a/b/?x=1#y", "/a/b"),
        ("//api.example.com/v1/", "/v1"),
        ("/v1", "/v1"),
        ("v1/", "/v1"),
        ("./v1", "/v1"),
        ("../v1", "/v1"),
        ("/a//b/../c", "/a/c"),
        ("/", ""),
        (".", ""),
        ("", ""),
        ("https://{host}/v1", "/v1"),
        ("{scheme}://{host}:{port}/v1", "/v1"),
        ("{server}/v1", "/v1"),
        ("http://[{host}/v1", "/v1"),
        ("http://[::1]:80/v1", "/v1"),
    ],
)
def test_base_path_is_the_path_of_the_url(url: str, path: str) -> None:
    assert parse(url) == (path,)


def test_base_path_is_the_root_without_servers() -> None:
    assert parse_base_paths(None, "#/servers") == ("",)
    assert parse_base_paths([], "#/servers") == ("",)
    assert parse({}) == ("",)


def test_each_base_path_is_listed_once() -> None:
    assert parse("https://a/v1", "https://b/v1/", "/v2") == ("/v1", "/v2")


def test_variables_have_their_defaults_first_and_then_their_other_values() -> None:
    variables = {"version": {"default": "v2", "enum": ["v1", "v2"]}, "host": {"default": "x", "enum": ["x", "y"]}}
    assert parse({"url": "https://{host}/{version}", "variables": variables}) == ("/v2", "/v1")


def test_variable_may_contain_a_complete_path() -> None:
    server = {
        "url": "{scheme}://{host}{basePath}",
        "variables": {
            name: {"default": value}
            for name, value in (("scheme", "https"), ("host", "api.example.com"), ("basePath", "/api/v3/"))
        },
    }
    assert parse(server) == ("/api/v3",)


def test_number_of_base_paths_is_limited() -> None:
    assert len(parse(*(f"/v{number}" for number in range(100)))) == MAX_BASE_PATHS
    values = [str(number) for number in range(1000)]
    variables = {"a": {"default": "0", "enum": values}, "b": {"default": "0", "enum": values}}
    assert len(parse({"url": "/{a}/{b}", "variables": variables})) == MAX_BASE_PATHS


@pytest.mark.parametrize(
    ("servers", "location", "problem"),
    [
        ([{"url": "/{version}"}], "#/servers/0", "the variable 'version' of '/{version}' has no default"),
        ([{"url": "/a"}, {"url": "/{v}", "variables": {"v": {}}}], "#/servers/1", "the variable 'v'"),
        ([{"url": 5}], "#/servers/0", "a server with a url"),
        (["/v1"], "#/servers/0", "a server with a url"),
        ({"url": "/v1"}, "#/servers", "a list of servers"),
    ],
)
def test_invalid_server_is_an_error(servers: Any, location: str, problem: str) -> None:
    with pytest.raises(ContractError) as error:
        parse_base_paths(servers, "#/servers")
    assert error.value.location == location
    assert problem in str(error.value)


DOCUMENT = b"""
openapi: 3.0.3
info: {title: x, version: "1"}
servers: [{url: /v1}, {url: /v2}]
paths:
  /items:
    servers: [{url: https://items.example.com/items-api}]
    get: {operationId: a, x-action: static, responses: {"204": {description: x}}}
    post:
      operationId: b
      x-action: static
      servers: [{url: /uploads}, {url: /files}]
      responses: {"204": {description: x}}
  /others:
    get: {operationId: c, x-action: static, responses: {"204": {description: x}}}
"""


def test_servers_of_an_operation_precede_those_of_its_path() -> None:
    contract = parse_contract(parse_document(DOCUMENT, "x.yaml"))
    assert (contract.base_path, contract.base_paths) == ("/v1", ("/v1", "/v2"))
    assert {name: operation.base_paths for name, operation in contract.operations.items()} == {
        "a": ("/items-api",),
        "b": ("/uploads", "/files"),
        "c": (),
    }
