"""Bodies of recordings: what a recorder omits, cuts, compresses or stores elsewhere is not an empty body."""

import base64
import gzip
import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from conformance.errors import UsageError
from conformance.har import archives
from conformance.har.bodies import FIREFOX_MAX_CHARS, BodyProblem, RecordedBody
from conformance.har.format import HarEntry, read_har

JSON = b'{"data": []}'
OMITTED = RecordedBody(problem=BodyProblem.NOT_RECORDED)
CUT = RecordedBody(problem=BodyProblem.CUT)
NOT_DECODABLE = RecordedBody(problem=BodyProblem.NOT_DECODABLE)
EMPTY = RecordedBody()
COMPLETE = RecordedBody(JSON)


def build_entry(request: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    return {
        "request": {"method": "POST", "url": "https://app.example.com/api/v1/agents", **request},
        "response": {"status": 200, **response},
    }


def write_har(path: Path, *entries: Any) -> Path:
    path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    return path


def read_entry(folder: Path, request: dict[str, Any], response: dict[str, Any]) -> HarEntry:
    return read_har(write_har(folder / "a.har", build_entry(request, response))).entries[0]


def headers(**values: str) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]


def encode_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        # Recorded.
        ({"content": {"size": 12, "text": JSON.decode()}}, COMPLETE),
        ({"content": {"size": -1, "text": JSON.decode()}, "bodySize": -1}, COMPLETE),
        ({"content": {"size": 12, "text": encode_base64(JSON), "encoding": "base64", "compression": 9}}, COMPLETE),
        ({"content": {"size": 12, "_textBase64": encode_base64(JSON)}}, COMPLETE),
        ({"content": {"size": 900, "text": JSON.decode(), "comment": ""}}, COMPLETE),  # another size, but complete
        ({"content": {"size": 1, "text": "\ud83d"}}, RecordedBody(b"?")),
        # Empty.
        ({"content": {"size": 0, "text": ""}}, EMPTY),
        (
            {"content": {"size": 0, "text": "", "encoding": "base64"}, "bodySize": 190},
            EMPTY,
        ),  # Firefox adds the headers
        ({"content": {"size": 0, "mimeType": "x-unknown"}, "bodySize": 0}, EMPTY),
        ({"content": {"mimeType": ""}, "headers": headers(Content_Length="0")}, EMPTY),
        ({"status": 204, "content": {"size": -1}}, EMPTY),
        ({"status": 204, "content": None, "bodySize": 180}, EMPTY),
        # Omitted: Playwright, chrome-har, Firefox, Firefox without a panel, BrowserMob Proxy, har-extractor.
        ({"content": {"size": 12, "mimeType": "application/json", "compression": 0}, "bodySize": 12}, OMITTED),
        ({"content": {"size": 12, "mimeType": "application/json", "compression": -3}, "bodySize": -87}, OMITTED),
        ({"content": {"size": 12, "comment": "Response bodies are not included."}}, OMITTED),
        ({"content": {"mimeType": "application/json"}}, OMITTED),
        ({"content": {"size": 0, "mimeType": "application/json", "comment": ""}, "bodySize": 12}, OMITTED),
        ({"content": {"size": 0}, "headers": headers(content_length="12")}, OMITTED),
        ({"content": {"size": 12, "text": ""}}, OMITTED),
        ({"content": {"size": 0, "text": ""}, "headers": headers(content_length="12")}, OMITTED),
        ({"content": {}}, OMITTED),
        ({"content": None}, OMITTED),
        ({"bodySize": "content-length"}, OMITTED),
        ({}, OMITTED),
        # Cut: by the declared size, the Content-Length, Firefox' limit, a comment.
        ({"content": {"size": 12, "text": '{"data": ['}}, CUT),
        ({"content": {"size": -1, "text": '{"da'}, "headers": headers(content_length="12")}, CUT),
        ({"content": {"size": FIREFOX_MAX_CHARS, "text": '"' + "a" * (FIREFOX_MAX_CHARS - 1)}}, CUT),
        ({"content": {"size": 4, "text": '{"da', "comment": "truncated"}}, CUT),
        # Not JSON, but complete: a bug of the target.
        ({"content": {"size": 4, "text": '{"da'}}, RecordedBody(b'{"da')),
        (
            {"content": {"size": -1, "text": '{"da'}, "headers": headers(content_length="12", content_encoding="gzip")},
            RecordedBody(b'{"da'),
        ),
        # Encoded.
        ({"content": {"size": 12, "text": encode_base64(JSON)[:-3] + "!", "encoding": "base64"}}, NOT_DECODABLE),
        (
            {
                "content": {"size": -1, "text": encode_base64(gzip.compress(JSON)), "encoding": "base64"},
                "headers": headers(content_encoding="gzip"),
            },
            COMPLETE,
        ),
        (
            {
                "content": {"size": 4, "text": encode_base64(b"\x0b\x05\x80{"), "encoding": "base64"},
                "headers": headers(content_encoding="br"),
            },
            NOT_DECODABLE,
        ),
        (
            {"content": {"size": 3, "text": "\x1f\ufffd"}, "headers": headers(content_encoding="gzip")},
            NOT_DECODABLE,
        ),
        (
            {"content": {"size": 7, "text": '"\ufffd"'}, "headers": headers(content_encoding="gzip")},
            RecordedBody('"\ufffd"'.encode()),
        ),
    ],
)
def test_response_body(response: dict[str, Any], expected: RecordedBody, tmp_path: Path) -> None:
    entry = read_entry(tmp_path, {}, response)
    assert entry.response_body == expected
    assert entry.response.content == expected.content
    assert entry.response.read_problem == (f"is {expected.problem}" if expected.problem else "")
    assert "content-encoding" not in entry.response.headers


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"postData": {"mimeType": "application/json", "text": JSON.decode(), "params": []}, "bodySize": 12}, COMPLETE),
        ({"postData": {"text": encode_base64(JSON), "encoding": "base64"}}, COMPLETE),
        ({"_content": {"text": encode_base64(JSON), "size": 12, "encoding": "base64"}, "bodySize": 12}, COMPLETE),
        ({"postData": {"mimeType": FORM, "params": [{"name": "a", "value": "b c"}]}}, RecordedBody(b"a=b+c")),
        ({"postData": {"mimeType": FORM, "text": "", "params": [{"name": "a", "value": None}]}}, RecordedBody(b"a=")),
        ({"postData": {"text": "a=1", "params": [{"name": "a", "value": "2"}]}}, RecordedBody(b"a=1")),
        # No body.
        ({"method": "GET", "bodySize": 0}, EMPTY),
        ({"method": "GET", "bodySize": -1, "headers": headers(content_type="application/json")}, EMPTY),
        ({"bodySize": -1, "headers": []}, EMPTY),
        ({"bodySize": 0, "headers": headers(content_type="application/json")}, EMPTY),
        ({"postData": None, "headers": headers(content_type="application/json", content_length="0")}, EMPTY),
        ({"postData": {"text": ""}, "bodySize": 0}, EMPTY),
        # Omitted: Playwright (full and minimal), Chromium (large bodies), HTTP Toolkit, Firefox, multipart forms.
        ({"postData": {"mimeType": "application/json", "text": "", "params": []}, "bodySize": 12}, OMITTED),
        ({"postData": {"mimeType": "application/json", "text": "", "params": []}, "bodySize": -1}, OMITTED),
        ({"bodySize": 0, "headers": headers(content_length="12")}, OMITTED),
        ({"bodySize": 12, "_requestBodyStatus": "discarded:too-large"}, OMITTED),
        ({"postData": {"mimeType": FORM, "params": [], "comment": "Request bodies are not included."}}, OMITTED),
        ({"headers": headers(content_type="application/json")}, OMITTED),
        ({"postData": {"mimeType": "multipart/form-data; boundary=x", "params": [{"name": "file"}]}}, OMITTED),
        ({"postData": {"text": '{"da'}, "bodySize": 12}, CUT),
        (
            {"postData": {"text": "\x1f\x08\ufffd"}, "headers": headers(content_encoding="gzip"), "bodySize": 5},
            NOT_DECODABLE,
        ),
    ],
)
def test_request_body(request_: dict[str, Any], expected: RecordedBody, tmp_path: Path) -> None:
    assert read_entry(tmp_path, request_, {}).request_body == expected


def test_media_type_of_the_body_is_used_without_a_header(tmp_path: Path) -> None:
    body = {"mimeType": "application/json", "text": "{}"}
    entry = read_entry(tmp_path, {"postData": body, "headers": {}}, {"content": body})
    assert entry.request_headers == {"content-type": "application/json"}
    assert entry.response.headers == {"content-type": "application/json"}
    entry = read_entry(tmp_path, {"headers": {"Content-Type": "text/plain"}, "postData": body}, {})
    assert entry.request_headers == {"content-type": "text/plain"}


def test_large_body_is_not_inspected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.har.bodies.MAX_BODY_BYTES", 10)
    for text in (JSON.decode(), JSON.decode() * 2):
        content = {"size": len(text), "text": text}
        assert read_entry(tmp_path, {}, {"content": content}).response_body.problem == BodyProblem.TOO_LARGE


# Files


ATTACHED = build_entry(
    {"bodySize": 12, "postData": {"mimeType": "application/json", "text": "", "params": [], "_file": "sent.json"}},
    {"content": {"size": 12, "mimeType": "application/json", "_file": "received.json"}},
)


def attached_to(name: str) -> dict[str, Any]:
    return build_entry({}, {"content": {"size": 12, "_file": name}})


def test_body_in_a_file_next_to_the_recording_is_read(tmp_path: Path) -> None:
    """Playwright with `content: "attach"`."""
    (tmp_path / "sent.json").write_bytes(b'{"name": "a"}')
    (tmp_path / "received.json").write_bytes(JSON)
    entry = read_har(write_har(tmp_path / "a.har", ATTACHED)).entries[0]
    assert entry.request_body == RecordedBody(b'{"name": "a"}')
    assert entry.response_body == COMPLETE


@pytest.mark.parametrize("name", ["none.json", "../secret.json", "sub/../../secret.json", "/etc/hostname", "", "link"])
def test_file_that_is_missing_or_elsewhere_is_not_read(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    folder.mkdir()
    (tmp_path / "secret.json").write_bytes(JSON)
    (folder / "link").symlink_to(tmp_path / "secret.json")
    body = read_har(write_har(folder / "a.har", attached_to(name))).entries[0].response_body
    assert body.problem == (BodyProblem.FILE_MISSING if name else BodyProblem.NOT_RECORDED)


def test_files_of_a_recording_have_a_total_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("1.json", "2.json", "3.json"):
        (tmp_path / name).write_bytes(JSON)
    file = write_har(tmp_path / "a.har", *map(attached_to, ("1.json", "1.json", "2.json", "3.json")))
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 20)
    monkeypatch.setattr(archives, "read_bytes", lambda path, *limits: path.read_bytes())
    problems = [entry.response_body.problem for entry in read_har(file).entries]
    assert problems == [None, None, None, BodyProblem.FILE_MISSING]


def zip_har(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def har_bytes(*entries: Any) -> bytes:
    return json.dumps({"log": {"version": "1.2", "entries": entries}}).encode()


def test_zip_archive_with_bodies(tmp_path: Path) -> None:
    """Playwright's `.har.zip`. The name of the file does not matter."""
    files = {"har.har": har_bytes(ATTACHED, attached_to("none")), "sent.json": b"{}", "received.json": JSON}
    first, second = read_har(zip_har(tmp_path / "a.har", files)).entries
    assert (first.location, first.request_body, first.response_body) == (
        "a.har/har.har entry 0",
        RecordedBody(b"{}"),
        COMPLETE,
    )
    assert second.response_body.problem == BodyProblem.FILE_MISSING


def test_zip_archive_with_several_recordings_in_folders(tmp_path: Path) -> None:
    files = {
        "1/a.har": har_bytes(attached_to("x.json")),
        "1/x.json": JSON,
        "2/B.HAR": har_bytes(attached_to("x.json")),
        "__MACOSX/1/a.har": b"\0",
    }
    first, second = read_har(zip_har(tmp_path / "a.zip", files)).entries
    assert first.response_body == COMPLETE
    assert second.response_body.problem == BodyProblem.FILE_MISSING


def test_gzip_file_is_decompressed(tmp_path: Path) -> None:
    file = tmp_path / "a.har.gz"
    file.write_bytes(gzip.compress(har_bytes(build_entry({}, {"content": {"size": 12, "text": JSON.decode()}}))))
    assert read_har(file).entries[0].response_body == COMPLETE


def test_byte_order_marks_are_accepted(tmp_path: Path) -> None:
    text = har_bytes(build_entry({}, {})).decode()
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "a.har").write_text(text, encoding=encoding)
        assert len(read_har(tmp_path / "a.har").entries) == 1


def damage_zip(content: bytes) -> bytes:
    """A zip archive whose compressed data is damaged."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("har.har", content * 20)
    data = bytearray(buffer.getvalue())
    data[50:60] = b"\xff" * 10
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04", "a.har: invalid zip archive: File is not a zip file (expected an archive with a HAR file)"),
        (damage_zip(har_bytes()), "a.har/har.har: cannot extract the file: "),
        (gzip.compress(har_bytes(), mtime=0)[:-9], "a.har: invalid gzip data: Compressed file ended"),
        (b"\x1f\x8b\0\0", "a.har: invalid gzip data: "),
        (gzip.compress(b"{", mtime=0), "a.har: invalid JSON: "),
    ],
)
def test_damaged_archive_is_rejected(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.har").write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_har(tmp_path / "a.har")
    assert message in str(error.value)


def test_zip_archive_without_a_recording_is_rejected(tmp_path: Path) -> None:
    file = zip_har(tmp_path / "trace.zip", {"trace.network": b""})
    with pytest.raises(UsageError, match=r"no \*\.har in the zip archive \(expected an archive with a HAR file\)"):
        read_har(file)


def test_archive_that_expands_too_much_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 1000)
    (tmp_path / "a.har.gz").write_bytes(gzip.compress(b" " * 5000))
    zip_har(tmp_path / "a.zip", {"har.har": b" " * 5000})
    for name in ("a.har.gz", "a.zip"):
        with pytest.raises(UsageError, match="more than 1000 bytes after decompression"):
            read_har(tmp_path / name)
