"""Files: every media URL in a response is served, and files of a message become attachments."""

import json
import mimetypes
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.asgi import Client, Reply
from tests.mock_server.athena import Api, athena_contract

THREAD = "c2c8bf89-c607-4c7c-82f9-c6415a0447e9"
HERE = "http://localhost:8000"
# Generated pictures are SVG, whatever the extension of their name.
GENERATED_TYPES = {"image/jpeg": "image/svg+xml", "image/gif": "image/svg+xml", "image/webp": "image/svg+xml"}


def fetch(api: Api, url: str) -> Reply:
    """Fetch a URL of a response without a token."""
    assert url.startswith(HERE + "/storage/")
    return Client(api.app, {}).get(url.removeprefix(HERE))


def iter_response_bodies(api: Api) -> Iterator[bytes]:
    """Yield response bodies with all records of the demo dataset."""
    for token in ("demo-token", "other-token"):
        for operation in athena_contract().operations.values():
            if operation.action == "list":
                for page in api.pages(operation.id, token=token):
                    yield json.dumps(page).encode()


def test_every_media_url_of_the_demo_dataset_is_served_with_its_type(api: Api) -> None:
    urls = {url for body in iter_response_bodies(api) for url in re.findall(HERE + r"/storage/[^\"\\]+", body.decode())}
    assert len(urls) > 50
    kinds = {url.rpartition(".")[2] for url in urls}
    assert {"svg", "png", "pdf", "csv"} <= kinds
    for url in urls:
        reply = fetch(api, url)
        kind = mimetypes.guess_type(url)[0] or ""
        assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (
            200,
            GENERATED_TYPES.get(kind, kind),
        ), url
        assert len(reply.body) > 20


def test_every_url_in_a_response_has_a_host(api: Api) -> None:
    for body in iter_response_bodies(api):
        assert b'"/storage' not in body


def iter_attachments(api: Api) -> Iterator[Any]:
    """Yield every attachment."""
    for row in api.list_all("listMessages", {"with": "attachments"}):
        yield from (a["attachable"] for a in row["attachments"] if "mime_type" in a["attachable"])


def test_seeded_file_has_the_declared_type(api: Api) -> None:
    files = list(iter_attachments(api))
    assert files
    for file in files:
        assert fetch(api, file["url"]).headers["content-type"].partition(";")[0] == file["mime_type"]


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("report.pdf", "application/pdf"),
        ("picture.PNG", "image/png"),
        ("figures.csv", "text/csv"),
        ("no-suffix", "application/octet-stream"),
        ("odd.n\u00e4me?", "application/octet-stream"),
    ],
)
def test_file_of_a_message_becomes_a_downloadable_attachment(api: Api, name: str, mime_type: str) -> None:
    body = {"thread_uuid": THREAD, "content": "See there", "files": [{"key": "uploads/1", "name": name}]}
    (attachment,) = api.data("createMessage", body=body)["attachments"]
    file = attachment["attachable"]
    assert (attachment["type"], file["name"], file["mime_type"]) == ("media", name, mime_type)
    assert fetch(api, file["url"]).status == 200


def test_files_keep_their_order(api: Api) -> None:
    files = [{"key": f"uploads/{n}", "name": f"{n}.txt"} for n in (3, 1, 2)]
    message = api.data("createMessage", body={"thread_uuid": THREAD, "content": "Three", "files": files})
    assert [a["attachable"]["name"] for a in message["attachments"]] == ["3.txt", "1.txt", "2.txt"]


def test_file_is_listed_in_its_thread_until_its_message_is_deleted(api: Api) -> None:
    def count_attachments() -> int:
        return len(api.data("retrieveThread", THREAD)["attachments"])

    before = count_attachments()
    files = [{"key": "uploads/1", "name": "a.txt"}]
    message = api.data("createMessage", body={"thread_uuid": THREAD, "content": "One", "files": files})
    assert count_attachments() == before + 1
    api.data("deleteMessage", message["uuid"])
    assert count_attachments() == before


@pytest.mark.parametrize(("name", "key"), [("runAgent", "550e8400-e29b-41d4-a716-446655440000"), ("runThread", THREAD)])
def test_files_sent_with_a_question_are_attached_to_it(api: Api, name: str, key: str) -> None:
    run = api.data(name, key, {"content": "What is this?", "files": [{"key": "uploads/1", "name": "this.png"}]})
    (attachment,) = run["message"]["attachments"]
    assert fetch(api, attachment["attachable"]["url"]).headers["content-type"] == "image/png"
    assert run["answer"]["attachments"] == []


def test_unreferenced_image_is_not_served(api: Api) -> None:
    agent = next(a for a in api.list_all("listAgents") if a["profile_photo_url"].startswith(HERE) and a["is_owner"])
    picture = agent["profile_photo_url"]
    api.data("updateAgent", agent["uuid"], {"profile_photo_url": picture})  # as a form resubmits the URL
    assert fetch(api, picture).status == 200
    api.data("updateAgent", agent["uuid"], {"profile_photo_url": "https://example.com/new.png"})
    assert fetch(api, picture).status == 404


def test_unknown_media_url_returns_404(api: Api) -> None:
    url = next(file["url"] for file in iter_attachments(api))
    assert fetch(api, url).status == 200
    assert fetch(api, url.replace("/storage/", "/storage/x")).status == 404
    assert fetch(api, url + "x").status == 404


def test_forwarded_headers_change_every_url_of_the_mock(api: Api) -> None:
    proxy = {"x_forwarded_host": "a.example, b", "x_forwarded_proto": "https", "x_forwarded_prefix": "/mock"}
    base_url = "https://a.example/mock"
    client = Client(api.app, {"authorization": "Bearer demo-token"})
    page = client.get("/api/v1/agents?per_page=2&with=tools", **proxy).json
    urls = re.findall(r'"(https?://[^"]+)"', json.dumps(page))
    mock_urls = {url for url in urls if url.startswith(base_url)}
    assert mock_urls >= {page["meta"]["path"], page["links"]["next"]}
    assert any(url.startswith(f"{base_url}/storage/") for url in mock_urls)
    assert not [url for url in urls if "localhost" in url]
    assert client.get("/openapi.json", **proxy).json["servers"] == [{"url": f"{base_url}/api/v1"}]
