"""Tests the routes outside the API: docs, contract, media and health."""

import csv
import gzip
import io
import json
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from dataclasses import replace
from urllib.parse import urljoin

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mock_server.sandbox.sandbox import Sandbox
from mock_server.system_routes.docs import Docs
from mock_server.system_routes.media import generate_file
from spec.document import parse_document
from spec.publishing.openapi30 import build_openapi, build_openapi_31
from spec.record import Reference
from tests.asgi import Client
from tests.mock_process import ROOT
from tests.mock_server.controlled_mock import ControlledMock
from tests.mock_server.library_contract import (
    API,
    LIBRARY,
    POE,
    RAVEN,
    RECORDS,
    LogCapture,
    app,
    client,
    create_sandbox,
    edit_contract,
    library,
)

PITCH = 'x-faker: "faker:catch_phrase"}'
COVER = (PITCH, PITCH + "\n        cover: {type: string, nullable: true, x-faker: {file: any}}")
FILE = f"/storage/books/{RAVEN}.svg"


def create_sandbox_with_cover(cover: str | None = FILE) -> Sandbox:
    """A library whose book has a cover."""
    sandbox = create_sandbox(edit_contract(COVER))
    sandbox.store.update(
        "Book", RAVEN, {**sandbox.store.get_existing(Reference("Book", RAVEN)).attributes, "cover": cover}
    )
    return sandbox


@pytest.fixture(scope="module")
def caller() -> Client:
    return client(app(sandbox=create_sandbox_with_cover()), token=None)


# Documentation ------------------------------------------------------------------------------------------------------


def find_links(caller: Client, path: str) -> list[str]:
    """Return the paths of the links and files of a page, which is HTML."""
    page = caller.get(path)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return [urljoin(path, link) for link in re.findall(r'(?:href|src)="([^"]+)"', page.body.decode())]


@pytest.mark.parametrize(("path", "file_count"), [("/", 2), ("/docs", 4), ("/docs/try", 5)])
def test_links_and_files_of_pages_are_local_and_exist(caller: Client, path: str, file_count: int) -> None:
    links = find_links(caller, path)
    assert len([link for link in links if "." in link and link.startswith("/docs/")]) == file_count
    for link in links:
        assert caller.get(link).status == 200, link


def test_root_links_documentation_contract_and_health(caller: Client) -> None:
    assert {"/docs", "/docs/try", "/openapi.json", "/openapi.yaml", "/__mock/health"} <= set(find_links(caller, "/"))


def test_root_links_the_console_only_if_it_is_served(caller: Client, mock: ControlledMock) -> None:
    assert "/__mock/" not in find_links(caller, "/")
    assert "/__mock/" in find_links(Client(mock.app, {}), "/")


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/try"])
def test_pages_run_own_scripts_only(caller: Client, path: str) -> None:
    page = caller.get(path)
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "connect-src 'self';" in page.headers["content-security-policy"]
    assert re.findall(rb"<script>|<style|onload=", page.body) == []


def test_requests_of_the_documentation_have_a_token(caller: Client) -> None:
    for path in ("/docs", "/docs/try"):
        text = caller.get(path).body.decode()
        assert 'data-token="demo-token" data-schemes="bearer"' in text, path


def test_assets_have_media_types(caller: Client) -> None:
    for name in ("swagger-ui.css", "pages.css"):
        assert caller.get(f"/docs/{name}").headers["content-type"].startswith("text/css")
    for name in ("swagger-ui-bundle.js", "scalar.js", "reference.js", "try.js"):
        assert caller.get(f"/docs/{name}").headers["content-type"].startswith("text/javascript")


def test_large_asset_is_sent_compressed(caller: Client) -> None:
    reply = caller.get("/docs/scalar.js")
    assert reply.headers["content-encoding"] == "gzip"
    assert b"createApiReference" in gzip.decompress(reply.body)
    assert "content-encoding" not in caller.get("/docs/try.js").headers


@pytest.mark.parametrize("path", ["/docs/", "/docs/try/", "/openapi.yaml/"])
def test_trailing_slash_is_ignored(caller: Client, path: str) -> None:
    assert caller.get(path).status == 200


@pytest.mark.parametrize(
    "path", ["/docs/index.html", "/docs/../app.py", "/docs/scalar.js.gz", "/docs/%2e%2e/x", "/openapi", "/favicon.ico"]
)
def test_other_paths_return_404(caller: Client, path: str) -> None:
    assert caller.get(path).status == 404


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:9"])
def test_published_contract_has_the_url_of_this_server(caller: Client, host: str) -> None:
    servers = {"servers": [{"url": f"http://{host}{API}"}]}
    expected = build_openapi(edit_contract(COVER)) | servers
    assert json.loads(caller.get("/openapi.json", host=host).body) == expected
    assert yaml.safe_load(caller.get("/openapi.yaml", host=host).body) == yaml.safe_load(json.dumps(expected))
    expected = build_openapi_31(edit_contract(COVER)) | servers
    assert json.loads(caller.get("/openapi-3.1.json", host=host).body) == expected


def test_source_contract_has_the_url_of_this_server(caller: Client) -> None:
    reply = caller.get("/__mock/contract.yaml")
    assert reply.headers["content-type"] == "application/yaml"
    source = json.dumps({**edit_contract(COVER).document.root, "servers": [{"url": f"http://localhost:8000{API}"}]})
    assert yaml.safe_load(reply.body) == yaml.safe_load(source)


def test_source_differs_from_the_file_in_its_servers_only() -> None:
    rendered_lines = client(app()).get("/__mock/contract.yaml").body.split(b"\n")
    file_lines = LIBRARY.read_bytes().split(b"\n")
    differences = [(a, b) for a, b in zip(rendered_lines, file_lines, strict=True) if a != b]
    assert [a for a, _ in differences] == [b'servers: [{url: "http://localhost:8000/api/v2"}]']


@pytest.mark.slow
def test_server_start_does_not_import_the_publisher() -> None:
    code = "import sys, mock_server.cli.main, mock_server.app; print([m for m in sys.modules if m.startswith('spec.')])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "spec.document" in result.stdout
    assert "spec.publishing" not in result.stdout


@pytest.mark.parametrize(
    "servers",
    [
        "servers: [{url: https://localhost/api/v2}]\n",
        "servers:\n  - url: https://localhost/x\n    description: |\n      one\n\n      two\n  # why\n  - url: /x\n",
        "servers:\n- url: https://localhost/api/v2\n- url: /x\n\n",
        "",
    ],
)
def test_servers_block_is_replaced(servers: str) -> None:
    text = LIBRARY.read_text().replace("servers: [{url: https://localhost/api/v2}]\n", servers)
    document = parse_document(text.encode(), "x.yaml")
    docs = Docs.from_contract(replace(library(), document=document), "t")
    rendered = yaml.safe_load(docs.render_source("http://h"))
    assert rendered.pop("servers") == [{"url": f"http://h{API}"}]
    assert {k: v for k, v in yaml.safe_load(text).items() if k != "servers"} == rendered


def test_json_source_is_served_as_yaml() -> None:
    document = parse_document(json.dumps(library().document.root).encode(), "x.json")
    rendered = yaml.safe_load(Docs.from_contract(replace(library(), document=document), "t").render_source("http://h"))
    assert rendered["servers"] == [{"url": f"http://h{API}"}]


def test_placeholder_of_the_server_url_is_unique() -> None:
    contract = edit_contract(("description: A small API that", "description: Of https://here.example and //here it"))
    json_document = parse_document(json.dumps(contract.document.root).encode(), "x.json")
    for variant in (contract, replace(contract, document=json_document)):
        docs = Docs.from_contract(variant, "t")
        for render in (docs.render_json, docs.render_yaml, docs.render_source):
            content = yaml.safe_load(render("http://h"))
            assert content["info"]["description"] == contract.document.root["info"]["description"]
            assert content["servers"] == [{"url": f"http://h{API}"}]


def test_health_counts_records(caller: Client) -> None:
    reply = caller.get("/__mock/health")
    assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
    records = {record.resource: 1 for record in RECORDS}
    assert reply.json == {"status": "ok", "operations": len(library().operations), "records": records}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/__mock/health", FILE, "/"])
def test_system_routes_are_read_only(caller: Client, path: str) -> None:
    for method in ("POST", "DELETE", "TRACE"):
        reply = caller.request(method, path)
        assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert caller.request("OPTIONS", path).headers["allow"] == "GET, HEAD, OPTIONS"
    head, get = caller.request("HEAD", path), caller.get(path)
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


# Without a base path -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client_without_base_path() -> Client:
    """A client of the library when its contract has no base path."""
    sandbox = create_sandbox(edit_contract(("https://localhost/api/v2", "/"), COVER))
    sandbox.store.update(
        "Book", RAVEN, {**sandbox.store.get_existing(Reference("Book", RAVEN)).attributes, "cover": FILE}
    )
    return client(app(sandbox=sandbox))


@pytest.mark.parametrize("path", ["/docs", "/docs/swagger-ui.css", "/openapi.json", "/__mock/health", FILE])
def test_system_routes_exist_without_a_base_path(client_without_base_path: Client, path: str) -> None:
    assert client_without_base_path.get(path).status == 200


def test_api_without_a_base_path_is_served_at_the_root(client_without_base_path: Client) -> None:
    assert client_without_base_path.get("/authors").json["meta"]["total"] == 1
    assert client_without_base_path.get("/authors/unknown").headers["x-mock-reason"] == "record-not-found"
    assert client_without_base_path.request("PATCH", "/authors").status == 405
    assert b'href="docs"' in client_without_base_path.get("/").body
    unknown = client_without_base_path.get("/autors")
    assert (unknown.status, unknown.headers["x-mock-reason"]) == (404, "route-not-found")
    assert json.loads(client_without_base_path.get("/openapi.json").body)["servers"] == [
        {"url": "http://localhost:8000"}
    ]


def test_contract_path_takes_precedence_over_a_system_route() -> None:
    contract = edit_contract(
        ("https://localhost/api/v2", "/"), ("/authors", "/docs"), ("collection: authors", "collection: docs")
    )
    assert client(app(sandbox=create_sandbox(contract))).get("/docs").json["meta"]["total"] == 1


# Media --------------------------------------------------------------------------------------------------------------

TYPES = {
    "svg": "image/svg+xml",
    "jpg": "image/svg+xml",
    "png": "image/png",
    "pdf": "application/pdf",
    "txt": "text/plain; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "zip": "application/octet-stream",
}


@pytest.mark.parametrize(("suffix", "media_type"), TYPES.items())
def test_media_have_types_and_cache_headers(suffix: str, media_type: str) -> None:
    path = f"/storage/books/{RAVEN}.{suffix}"
    reply = client(app(sandbox=create_sandbox_with_cover(path)), token=None).get(path)
    assert (reply.status, reply.headers["content-type"]) == (200, media_type)
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.body


def test_file_without_suffix_is_served() -> None:
    path = f"/storage/books/{RAVEN}"
    assert (
        client(app(sandbox=create_sandbox_with_cover(path))).get(path).headers["content-type"].startswith("text/plain")
    )


@pytest.mark.parametrize(
    "path",
    [
        f"/storage/books/{RAVEN}.png",  # of another kind than the record says
        f"/storage/books/{RAVEN}",
        f"/storage/books/{POE}.svg",  # of no book
        f"/storage/authors/{POE}.svg",  # of a record without a file
        f"/storage/covers/{RAVEN}.svg",
        f"/storage/book/{RAVEN}.svg",
        f"/storage/books/x/{RAVEN}.svg",
        f"/storage/{RAVEN}.svg",
        "/storage/users/one.svg",
        "/storage/users/1.svg",
        "/storage/books/",
        "/storage/",
    ],
)
def test_unreferenced_file_returns_404(path: str) -> None:
    terminal = LogCapture()
    reply = client(app(sandbox=create_sandbox_with_cover(), terminal=terminal)).get(path)
    assert (reply.status, reply.headers["x-mock-reason"]) == (404, "record-not-found")
    assert reply.json == {"message": f"No query results for file {path}."}
    assert f"404 GET {path} - record-not-found: no record refers to {path}" in terminal.getvalue()


def test_file_exists_while_its_record_refers_to_it() -> None:
    sandbox = create_sandbox_with_cover()
    caller = client(app(sandbox=sandbox))
    assert caller.get(FILE).status == 200
    attributes = sandbox.store.get_existing(Reference("Book", RAVEN)).attributes
    for cover, status in (("http://localhost:8000" + FILE, 200), ("https://example.com/a.svg", 404), (None, 404)):
        sandbox.store.update("Book", RAVEN, {**attributes, "cover": cover})
        assert caller.get(FILE).status == status
    sandbox.store.update("Book", RAVEN, {**attributes, "cover": FILE})
    assert caller.request("DELETE", f"{API}/books/{RAVEN}").status == 204
    assert caller.get(FILE).status == 404


@pytest.mark.parametrize("suffix", TYPES)
def test_file_content_depends_on_its_path(suffix: str) -> None:
    first = generate_file(f"media/one-name.{suffix}")
    assert first == generate_file(f"media/one-name.{suffix}")
    assert first != generate_file(f"media/other-name.{suffix}")


def generate_svg(path: str) -> str:
    file = generate_file(path)
    assert file is not None
    ElementTree.fromstring(file.content)
    return file.content.decode()


def test_picture_shows_initials() -> None:
    assert ">AL</text>" in generate_svg("users/ada-lovelace.svg")
    assert "<text" not in generate_svg("users/095be615-a8ad-4c33-8e9c-c7612fbf6c9f.svg")


def test_png_is_valid() -> None:
    file = generate_file("media/x.png")
    assert file is not None
    assert file.content.startswith(b"\x89PNG\r\n\x1a\n")
    rest, chunks = file.content[8:], {}
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        kind, content = rest[4:8], rest[8 : 8 + length]
        assert struct.unpack(">I", rest[8 + length : 12 + length])[0] == zlib.crc32(kind + content)
        chunks[kind], rest = content, rest[12 + length :]
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert len(zlib.decompress(chunks[b"IDAT"])) == 224 * 29


def test_pdf_offsets_are_correct() -> None:
    file = generate_file("media/a-long-report.pdf")
    assert file is not None
    content = file.content
    start = int(content.rsplit(b"startxref\n", 1)[1].split()[0])
    assert content[start:].startswith(b"xref")
    for number, offset in enumerate(re.findall(rb"(\d{10}) 00000 n", content), 1):
        assert content[int(offset) :].startswith(b"%d 0 obj" % number)


def test_data_files_match_their_media_type() -> None:
    table, tree = generate_file("media/x.csv"), generate_file("media/x.json")
    assert table is not None
    assert tree is not None
    rows = list(csv.reader(io.StringIO(table.content.decode())))
    assert {len(row) for row in rows} == {3}
    assert len(json.loads(tree.content)["rows"]) == len(rows) - 1


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "../x.svg",
        "a/../b.svg",
        "%2e%2e/b.svg",
        "a//b.svg",
        ".env",
        "a/.b.svg",
        "a%00.svg",
        "%FF.svg",
        "a" * 999,
    ],
)
def test_malformed_path_returns_404(caller: Client, path: str) -> None:
    assert caller.get(f"/storage/{path}").status == 404


@given(st.text())
def test_any_path_generates_a_file_or_none(path: str) -> None:
    for name in (path, path + ".svg"):
        file = generate_file(name)
        assert file is None or (file.content and "/" in file.media_type)


def test_media_vary_by_origin(caller: Client) -> None:
    assert client(app(sandbox=create_sandbox_with_cover())).get(FILE).headers["vary"] == "Origin"
