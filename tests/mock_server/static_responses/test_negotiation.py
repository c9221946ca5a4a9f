"""Content negotiation: which of the declared media types an Accept header selects."""

import time

import pytest
from starlette.types import Receive, Scope, Send

from mock_server.static_responses.negotiation import choose_media_type
from tests.asgi import Client
from tests.mock_server.static_responses.small_contract import json_content, serve_response

VENDOR, JSON = "application/vnd.x+json", "application/json"
V1, V2 = f"{VENDOR}; version=1", f'{VENDOR};version="2"'


@pytest.mark.parametrize(
    ("accept", "names", "expected"),
    [
        (f"{VENDOR};version=2", (VENDOR,), VENDOR),
        (f"{VENDOR};version=2", (JSON,), JSON),
        (f"{VENDOR};version=2;q=0.1, text/html", (JSON,), JSON),
        (f"{VENDOR};version=2", (V1, V2), V2),
        (f'{VENDOR}; Version="1"', (V1, V2), V1),
        (f"{VENDOR};version=3", (V1, V2), None),
        (VENDOR, (V2, V1), V2),
        (f"{VENDOR};version=1;q=0.2, {VENDOR};q=0.9", (V1, V2), V2),
        (f"{VENDOR}, {JSON}", (JSON, VENDOR), JSON),
        (f"{VENDOR}, {JSON};q=0.9", (JSON, VENDOR), VENDOR),
        (f"{VENDOR}, {JSON};q=0", (JSON,), None),
        (f"{VENDOR}, */*;q=0", (JSON,), None),
        (f"{JSON};charset=utf-8", (JSON,), JSON),
        (JSON, (f"{JSON}; charset=utf-8",), f"{JSON}; charset=utf-8"),
        ('text/plain;x="a,b;q=0", text/csv;q=0.5', ("text/csv", "text/plain"), "text/plain"),
        ("text/*;q=0.9, text/plain;q=0.1, */*;q=0.2", ("text/plain", "text/csv", "image/png"), "text/csv"),
        ("text/*;q=0, */*", ("text/plain", "image/png"), "image/png"),
        ("text/plain;q=1.9, text/csv", ("text/csv", "text/plain"), "text/csv"),
        (JSON, (VENDOR,), None),
        (VENDOR, ("text/csv",), None),
        (" , ;q=1", (JSON,), JSON),
    ],
)
def test_most_specific_range_decides(accept: str, names: tuple[str, ...], expected: str | None) -> None:
    assert choose_media_type(accept.encode(), names) == expected


def test_long_header_takes_linear_time() -> None:
    started_at = time.process_time()
    for text in ('"' * 65_001, '\\"' * 32_000 + '"', "a/b;" * 16_000):
        choose_media_type(text.encode(), (JSON,))
    assert time.process_time() - started_at < 2


def test_response_has_the_declared_parameters() -> None:
    content = {name: {"schema": {"type": "integer"}, "example": index} for index, name in enumerate((V1, V2), 1)}
    reply = serve_response({"content": content}).client.get("/thing", accept=f"{VENDOR};version=2")
    assert (reply.status, reply.headers["content-type"], reply.json) == (200, V2, 2)


def test_accept_header_may_have_several_lines() -> None:
    app = serve_response(json_content({"type": "integer"})).client.app

    async def repeat_header(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "headers": [*scope["headers"], (b"accept", b"text/html")]}, receive, send)

    assert Client(repeat_header, {}).get("/thing", accept="application/json").status == 200
