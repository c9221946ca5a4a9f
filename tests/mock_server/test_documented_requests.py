"""Tests the two requests of the documentation, with only host, token and {{...}} replaced."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.asgi import Client, Reply
from tests.mock_server.athena import Api

FACTS = Path(__file__).parents[1] / "spec" / "facts"
THREAD = "c2c8bf89-c607-4c7c-82f9-c6415a0447e9"
PLACEHOLDER_VALUES = {
    "<token>": "demo-token",
    "{{thread_uuid}}": THREAD,
    "{{workspace_uuid}}": "550e8400-e29b-41d4-a716-446655440000",
}


@dataclass(frozen=True, slots=True)
class CurlCommand:
    """A curl command of the documentation."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The query parameters."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


def read_command(file: str) -> CurlCommand:
    """Read a curl command from a file of the facts, with values for its placeholders."""
    text = (FACTS / file).read_text()
    command = text[text.index("curl ") :]
    for placeholder, value in PLACEHOLDER_VALUES.items():
        command = command.replace(placeholder, value)
    method, url = re.search(r"--request (\w+) '([^']+)'", command).groups()  # type: ignore[union-attr]
    body = re.search(r"--data-raw '([^']*)'", command)
    headers = dict(re.findall(r"--header '([^:']+): ([^']*)'", command))
    return CurlCommand(method, url.removeprefix("https://localhost"), headers, body[1].encode() if body else b"")


GET, POST = read_command("seed_get_messages.txt"), read_command("seed_create_message.txt")


def send(api: Api, request: CurlCommand) -> Reply:
    return Client(api.app, {}).request(request.method, request.target, headers=request.headers, body=request.body)


def test_documented_requests_are_those_of_the_documentation() -> None:
    assert (GET.method, POST.method) == ("GET", "POST")
    blank_names = ("search", "with", "sort_by", "sort_direction", "page", "per_page")
    assert GET.query == {"thread_uuid": THREAD, **dict.fromkeys(blank_names, "")}
    assert json.loads(POST.body)["files"] == [{"key": "string", "name": "string"}]


def test_documented_get_returns_200(api: Api) -> None:
    reply = send(api, GET)
    assert reply.status == 200
    api.assert_valid_twice("listMessages", reply, query=GET.query)
    assert len(reply.json["data"]) == 3


def test_documented_post_returns_201(api: Api) -> None:
    reply = send(api, POST)
    assert reply.status == 201
    api.assert_valid_twice("createMessage", reply, body=json.loads(POST.body))


@pytest.mark.parametrize(("name", "request_"), [("listMessages", GET), ("createMessage", POST)])
def test_openapi_core_accepts_documented_requests(api: Api, name: str, request_: CurlCommand) -> None:
    body = json.loads(request_.body) if request_.body else None
    # Without blank parameters: openapi-core parses a blank list as [""].
    query = {key: value for key, value in request_.query.items() if value}
    request = api.openapi_core.create_request(request_.method, api.target(name), query, body, request_.headers)
    api.openapi_core.validate_request(request)


def test_created_message_is_listed(api: Api) -> None:
    before = send(api, GET).json
    new_message = send(api, POST).json["data"]
    after = send(api, GET).json
    keys = [message["uuid"] for message in after["data"]]
    assert keys == [new_message["uuid"], *(message["uuid"] for message in before["data"])]  # newest first
    assert after["data"][0] == new_message
    assert after["meta"]["total"] == before["meta"]["total"] + 1


def test_created_message_has_the_sent_values(api: Api) -> None:
    message = send(api, POST).json["data"]
    assert (message["content"], message["role"], message["thread"]["uuid"]) == ("string", "user", THREAD)
    assert [a["attachable"]["name"] for a in message["attachments"]] == ["string"]


def test_created_message_has_all_documented_keys(api: Api) -> None:
    """All keys but `property1` and `property2`, which stand for any other key."""
    documented = json.loads((FACTS / "get_messages_200.json").read_text())["data"][0]
    actual = api.data("retrieveMessage", documented["uuid"])
    assert find_missing_keys(documented, actual) == []


def find_missing_keys(documented: Any, actual: Any, location: str = "") -> list[str]:
    """Return the locations of the keys that `documented` has and `actual` does not have."""
    if isinstance(documented, dict) and isinstance(actual, dict):
        expected = [key for key in documented if key not in ("property1", "property2")]
        missing = [f"{location}.{key}" for key in expected if key not in actual]
        return missing + [
            path
            for key in expected
            if key in actual
            for path in find_missing_keys(documented[key], actual[key], f"{location}.{key}")
        ]
    if isinstance(documented, list) and isinstance(actual, list) and documented:
        return find_missing_keys(documented[0], actual[0], f"{location}.0") if actual else [f"{location}.0"]
    return []
