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
FILLED = {
    "<token>": "demo-token",
    "{{thread_uuid}}": THREAD,
    "{{workspace_uuid}}": "550e8400-e29b-41d4-a716-446655440000",
}


@dataclass(frozen=True, slots=True)
class Printed:
    """A curl command of the documentation."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


def printed(file: str) -> Printed:
    """The command in a file of the facts, filled in."""
    text = (FACTS / file).read_text()
    command = text[text.index("curl ") :]
    for placeholder, value in FILLED.items():
        command = command.replace(placeholder, value)
    method, url = re.search(r"--request (\w+) '([^']+)'", command).groups()  # type: ignore[union-attr]
    body = re.search(r"--data-raw '([^']*)'", command)
    headers = dict(re.findall(r"--header '([^:']+): ([^']*)'", command))
    return Printed(method, url.removeprefix("https://localhost"), headers, body[1].encode() if body else b"")


GET, POST = printed("seed_get_messages.txt"), printed("seed_create_message.txt")


def send(api: Api, request: Printed) -> Reply:
    return Client(api.app, {}).request(request.method, request.target, headers=request.headers, body=request.body)


def test_documented_requests_are_those_of_the_documentation() -> None:
    assert (GET.method, POST.method) == ("GET", "POST")
    blank = ("search", "with", "sort_by", "sort_direction", "page", "per_page")
    assert GET.query == {"thread_uuid": THREAD, **dict.fromkeys(blank, "")}
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
def test_openapi_core_accepts_documented_requests(api: Api, name: str, request_: Printed) -> None:
    body = json.loads(request_.body) if request_.body else None
    query = {key: value for key, value in request_.query.items() if value}  # it takes a blank list for a list of ""
    request = api.openapi_core.create_request(request_.method, api.target(name), query, body, request_.headers)
    api.openapi_core.validate_request(request)


def test_created_message_is_listed(api: Api) -> None:
    before = send(api, GET).json
    posted = send(api, POST).json["data"]
    after = send(api, GET).json
    shown = [message["uuid"] for message in after["data"]]
    assert shown == [posted["uuid"], *(message["uuid"] for message in before["data"])]  # newest first
    assert after["data"][0] == posted
    assert after["meta"]["total"] == before["meta"]["total"] + 1


def test_created_message_has_the_sent_values(api: Api) -> None:
    posted = send(api, POST).json["data"]
    assert (posted["content"], posted["role"], posted["thread"]["uuid"]) == ("string", "user", THREAD)
    assert [a["attachable"]["name"] for a in posted["attachments"]] == ["string"]


def test_created_message_has_all_documented_keys(api: Api) -> None:
    """Keys and nesting of the example, but for what says that others may occur."""
    documented = json.loads((FACTS / "get_messages_200.json").read_text())["data"][0]
    served = api.data("retrieveMessage", documented["uuid"])
    assert lacking(documented, served) == []


def lacking(shown: Any, served: Any, at: str = "") -> list[str]:
    """Paths of the keys that `shown` has and `served` has not."""
    if isinstance(shown, dict) and isinstance(served, dict):
        expected = [key for key in shown if key not in ("property1", "property2")]
        gone = [f"{at}.{key}" for key in expected if key not in served]
        return gone + [
            path for key in expected if key in served for path in lacking(shown[key], served[key], f"{at}.{key}")
        ]
    if isinstance(shown, list) and isinstance(served, list) and shown:
        return lacking(shown[0], served[0], f"{at}.0") if served else [f"{at}.0"]
    return []
