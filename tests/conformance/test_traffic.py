"""`traffic`: recorded exchanges of the mock are kept promises; each planted wrong is told, torn files are refused."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.cli.main import main
from conformance.gate.verdict import ExitCode
from conformance.har.format import read_har, url_origin
from conformance.har.routes import find_base_url, find_route
from tests.mock_server.athena import Api, athena_contract, served

BASE = "https://app.example.com/api/v1"
TOKEN = "demo-token"
COOKIE = "canary-session-cookie"
Entry = dict[str, Any]


def entry(
    method: str, target: str, status: int, content: bytes, headers: Mapping[str, str], sent: bytes = b"", **more: Any
) -> Entry:
    """An exchange as a browser records it."""
    request: Entry = {
        "method": method,
        "url": target if target.startswith(("http", "ws")) else f"https://app.example.com{target}",
        "headers": [
            {"name": ":authority", "value": "app.example.com"},
            {"name": "Authorization", "value": f"Bearer {TOKEN}"},
            {"name": "Cookie", "value": f"session={COOKIE}; theme=dark"},
            *([{"name": "Content-Type", "value": "application/json"}] if sent else []),
        ],
        "bodySize": len(sent),
    }
    if sent:
        request["postData"] = {"mimeType": "application/json", "text": sent.decode()}
    response = {
        "status": status,
        "headers": [{"name": name, "value": value} for name, value in headers.items()],
        "content": {"size": len(content), "mimeType": headers.get("content-type", ""), "text": content.decode()},
    }
    return {"startedDateTime": "2026-03-01T00:00:00Z", "time": 12.5, "request": request, "response": response, **more}


def recorded(api: Api, name: str, key: Any = None, body: Any = None, query: Any = None) -> Entry:
    """What the mock answers to an operation, as a recording."""
    reply = api.send(name, key, body, query)
    sent = b"" if body is None else json.dumps(body).encode()
    return entry(
        api.operation(name).method.upper(), api.target(name, key, query), reply.status, reply.body, reply.headers, sent
    )


@pytest.fixture
def api() -> Api:
    """The mock, begun anew."""
    found = served()
    found.begin_anew()
    return found


def judged(
    folder: Path, capsys: pytest.CaptureFixture[str], *entries: Entry, options: tuple[str, ...] = ()
) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, the broken promises, and what was printed."""
    file = folder / "a.har"
    file.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    code = main(["traffic", str(file), "--report-dir", str(folder), *options], {})
    out, err = capsys.readouterr()
    if not (folder / "conformance.json").exists():
        return code, [], out + err
    said = json.loads((folder / "conformance.json").read_text())
    return code, [p for p in said["promises"] if p["verdict"] == "broken"], out + err


def everyday(api: Api) -> list[Entry]:
    """A day's work: lists, a record made, changed, refused, looked for and deleted."""
    made = api.data("createAgent", body={"name": "Ann"})["uuid"]
    return [
        recorded(api, "listAgents", query={"search": "", "per_page": 3, "sort_by": "name", "with": "user"}),
        recorded(api, "listWorkspaces"),
        recorded(api, "getAuthenticatedUser"),
        recorded(api, "createAgent", body={"name": "Bob"}),
        recorded(api, "createAgent", body={"name": 7}),
        recorded(api, "updateAgent", made, {"name": "Ann again"}),
        recorded(api, "retrieveAgent", made),
        recorded(api, "deleteAgent", made),
        recorded(api, "retrieveAgent", made),
        recorded(api, "listMessages", query={"per_page": 2}),
    ]


def test_what_the_mock_answers_is_kept(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, broken, said = judged(tmp_path, capsys, *everyday(api))
    assert (code, broken) == (ExitCode.PASSED, []), said
    assert f"{BASE}  ·" in said
    assert "10 exchanges judged of 10; nothing was sent" in said
    assert "8 of 75 operations are in it; not: " in said
    assert (tmp_path / "junit.xml").exists()


def test_no_credential_of_a_recording_is_in_a_report(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = recorded(api, "getAuthenticatedUser")
    wrong["response"]["content"]["text"] = json.dumps({"echo": f"{TOKEN} {COOKIE}"})
    wrong["request"]["url"] += f"?access_token={TOKEN}"
    code, broken, said = judged(tmp_path, capsys, wrong, options=("--strict",))
    assert code == ExitCode.FAILED
    assert broken
    for text in (said, *((tmp_path / name).read_text() for name in ("conformance.json", "junit.xml"))):
        assert TOKEN not in text
        assert COOKIE not in text


def with_content(change: Callable[[Any], Any]) -> Callable[[Entry], None]:
    """A change of the JSON that is answered."""

    def changed(said: Entry) -> None:
        content = said["response"]["content"]
        content["text"] = json.dumps(change(json.loads(content["text"])))

    return changed


def renamed(said: Any) -> Any:
    said["data"]["name"] = 7
    return said


def answered(status: int, text: str = "{}") -> Callable[[Entry], None]:
    """A change of what is answered."""

    def changed(said: Entry) -> None:
        said["response"]["status"] = status
        said["response"]["content"]["text"] = text

    return changed


def typed(said: Entry) -> None:
    said["response"]["headers"] = [{"name": "content-type", "value": "text/html"}]


def asked(more: str) -> Callable[[Entry], None]:
    """A change of the address."""

    def changed(said: Entry) -> None:
        said["request"]["url"] += more

    return changed


def sent(text: str, kind: str = "application/json") -> Callable[[Entry], None]:
    """A change of the body that was sent."""

    def changed(said: Entry) -> None:
        said["request"]["postData"] = {"mimeType": kind, "text": text}
        said["request"]["headers"][-1]["value"] = kind

    return changed


@pytest.mark.parametrize(
    ("operation", "body", "change", "law", "parameter", "words"),
    [
        (
            "createAgent",
            {"name": "a"},
            with_content(renamed),
            "response-matches-schema",
            "data.name integer",
            '7 is not of type "string"',
        ),
        ("createAgent", {"name": "a"}, answered(202), "status-is-documented", "202", "answered 202, due: 201"),
        ("createAgent", {"name": "a"}, answered(500), "no-server-error", "", "answered 500"),
        ("listAgents", None, answered(200, "{"), "response-matches-schema", "", "the body of 200 is no JSON"),
        ("listAgents", None, typed, "content-type-is-json", "", "200 came as text/html"),
        ("listAgents", None, asked("?colour=red"), "parameter-is-documented", "colour", "'colour' is sent"),
        ("listAgents", None, asked("?per_page=1000"), "request-matches-contract", "per_page", "1000"),
        ("listAgents", None, asked("?per_page=many"), "request-matches-contract", "per_page", "many"),
        ("createAgent", {"name": "a"}, sent('{"name": 7}'), "request-matches-contract", "name", "7 is not of type"),
        ("createAgent", {"name": "a"}, sent("{}"), "request-matches-contract", "", "name"),
        ("createAgent", {"name": "a"}, sent("a=b", "text/plain"), "request-matches-contract", "", "text/plain"),
    ],
)
def test_a_wrong_is_told_of_its_operation_and_parameter(
    operation: str,
    body: Any,
    change: Callable[[Entry], None],
    law: str,
    parameter: str,
    words: str,
    api: Api,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = recorded(api, operation, body=body)
    change(said)
    code, broken, _ = judged(tmp_path, capsys, said, options=("--strict",))
    assert code == ExitCode.FAILED
    found = [p for p in broken if p["law"] == law]
    assert [(p["operation"], p["parameter"] if parameter else "") for p in found] == [(operation, parameter)], broken
    assert words in found[0]["said"]
    assert "a.har entry 0" in found[0]["said"]


def test_a_request_that_was_refused_is_not_held_to_the_contract(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, broken, said = judged(tmp_path, capsys, recorded(api, "createAgent", body={"name": 7}), options=("--strict",))
    assert (code, broken) == (ExitCode.PASSED, []), said


def test_unknown_paths_and_methods_are_listed_once(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {"content-type": "application/json"}
    unknown = [entry("GET", f"/api/v1/colours/{n}", 200, b"{}", headers) for n in range(3)]
    method = entry("PATCH", "/api/v1/agents", 200, b"{}", headers)
    gone = entry("GET", "/api/v1/shapes", 404, b"{}", headers)
    code, broken, said = judged(tmp_path, capsys, recorded(api, "listAgents"), *unknown, method, gone)
    assert code == ExitCode.PASSED, said
    told = {p["operation"]: p["said"] for p in broken if p["law"] == "path-is-documented"}
    assert told.keys() == {"GET /colours/*", "PATCH /agents"}
    assert told["GET /colours/*"].endswith("(3 times)")
    assert judged(tmp_path, capsys, *unknown, recorded(api, "listAgents"), options=("--strict",))[0] == ExitCode.FAILED


def test_what_does_not_belong_to_the_api_is_counted(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = {"content-type": "text/html"}
    entries = [
        recorded(api, "listAgents"),
        entry("GET", "https://cdn.example.com/api/v1/agents", 500, b"", html),
        entry("GET", "/app.js", 200, b"", html),
        entry("GET", "/api/v10/agents", 200, b"", html),
        entry("GET", "data:text/plain,x", 200, b"", html),
        entry("GET", "wss://app.example.com/api/v1/agents", 101, b"", {}),
        entry("GET", "/api/v1/agents", 200, b"", {}, _resourceType="eventsource"),
        entry("OPTIONS", "/api/v1/agents", 204, b"", {}),
        entry("GET", "/api/v1/agents", 0, b"", {}),
        entry("GET", "/api/v1/agents", 304, b"", {}),
    ]
    code, broken, said = judged(tmp_path, capsys, *entries)
    assert (code, broken) == (ExitCode.PASSED, []), said
    assert "1 exchange judged of 10" in said
    for note in (
        "4 other hosts and paths",
        "2 web sockets",
        "1 OPTIONS",
        "1 without an answer",
        "1 answered from a cache",
    ):
        assert f"not judged: {note}" in said


def test_bodies_are_read_as_they_are_kept(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coded, absent, form = (recorded(api, "listAgents") for _ in range(3))
    content = coded["response"]["content"]
    content |= {"text": base64.b64encode(content["text"].encode()).decode(), "encoding": "base64", "compression": 900}
    coded["response"]["headers"].append({"name": "Content-Encoding", "value": "br"})
    absent["response"]["content"].pop("text")
    unkept = recorded(api, "createAgent", body={"name": "a"})
    unkept["request"].pop("postData")
    form["request"]["postData"] = {"mimeType": "x", "params": [{"name": "a", "value": "b c"}]}
    code, broken, said = judged(tmp_path, capsys, coded, absent, unkept)
    assert (code, broken) == (ExitCode.PASSED, []), said
    assert read_one(tmp_path, form).request_body == b"a=b+c"
    assert read_one(tmp_path, unkept).body is None
    assert read_one(tmp_path, absent).content is None
    content["text"] = content["text"][:-5] + "!"
    assert "is not base64, as it says" in judged(tmp_path, capsys, coded)[2]


def read_one(folder: Path, said: Entry) -> Any:
    """An entry as it is read."""
    (folder / "one.har").write_text("\ufeff" + json.dumps({"log": {"version": "1.2", "entries": [said]}}))
    return read_har(folder / "one.har")[0]


def test_the_address_is_the_one_given_or_the_most_common(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = recorded(api, "listAgents"), recorded(api, "listAgents")
    there["request"]["url"] = "http://other.example.com:8080/v2/agents"
    assert judged(tmp_path, capsys, here, here, there)[2].startswith(f"{BASE}  ·")
    assert judged(tmp_path, capsys, there, there, here)[2].startswith("http://other.example.com:8080/v2  ·")
    code, _, said = judged(tmp_path, capsys, here, there, there, options=("--base-url", "https://app.example.com"))
    assert (code, said.split("  ·")[0]) == (ExitCode.PASSED, BASE)
    code, _, said = judged(tmp_path, capsys, here, options=("--base-url", "https://none.example.com"))
    assert code == ExitCode.NO_CHECKS_RAN, said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "found no JSON"),
        (b'{"log": {"entries": [{"req', "found no JSON"),
        (b"\xff\xfe\x00", "found no JSON"),
        (b"[" * 200_000, "found no JSON"),
        (b"[]", "found no log and no list of entries; allowed: a HAR file, version 1.2"),
        (b'{"log": {"version": "2.0", "entries": []}}', "found version '2.0'"),
        (b'{"log": {"version": "1.2", "entries": {}}}', "and no list of entries"),
        (b'{"log": {"entries": [7]}}', "entry 0: found NoneType as request; allowed: an object"),
        (b'{"log": {"entries": [{"request": {}, "response": []}]}}', "entry 0: found list as response"),
        (b'{"log": {"entries": [{"request": {}, "response": {}}]}}', "entry 0 request: found NoneType as url"),
        (b'{"log": {"entries": []}}', "found nothing that was asked over HTTP, and no path of the contract"),
        (
            b'{"log": {"entries": [{"request": {"url": "http://[", "method": "GET"}, "response": {"status": 200}}]}}',
            "found nothing that was asked over HTTP",
        ),
        (
            b'{"log": {"entries": [{"request": {"url": "http://a/b", "method": "GET"}, "response": {"status": 200}}]}}',
            "found http://a, and no path of the contract",
        ),
        (
            b'{"log": {"entries": [{"request": {"url": "http://a/b", "method": "GET", "headers": [1]}, '
            b'"response": {"status": 200}}]}}',
            "entry 0 request headers: found NoneType as name; allowed: a text",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(
    content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.har").write_bytes(content)
    assert main(["traffic", str(tmp_path / "a.har")], {}) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


def test_no_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traffic", str(tmp_path / "none.har")], {}) == ExitCode.USAGE
    assert "found no readable file (No such file or directory); allowed: a HAR file" in capsys.readouterr().err


def test_the_path_with_the_fewest_parameters_wins() -> None:
    contract = athena_contract()
    found = find_route(contract, "/workspaces/metrics")
    assert found is not None
    assert found.template == "/workspaces/metrics"
    assert find_route(contract, "/workspaces/") is None
    record = find_route(contract, "/agents/a%20b")
    assert record is not None
    assert record.values == {"uuid": "a b"}


def test_a_base_is_where_addresses_end_in_paths_of_the_contract() -> None:
    contract = athena_contract()
    urls = ["http://a/x/agents", "http://a/x/agents/7?y=1", "http://a/agents", "http://a/nothing/here"]
    assert find_base_url(contract, [(url_origin(url), url) for url in urls]) == "http://a/x"
    assert find_base_url(contract, [("http://a", "http://a/nothing")]) is None
