"""`traffic`: recordings of the mock pass, each injected violation is reported, invalid files are rejected."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.cli.main import main
from conformance.gate.verdict import ExitCode
from conformance.har import audit as har_audit
from conformance.har.routes import find_base_url
from tests.mock_server.athena import Api, athena_contract, shared_api

BASE = "https://app.example.com/api/v1"
TOKEN = "demo-token"
COOKIE = "canary-session-cookie"
Entry = dict[str, Any]


def entry(
    method: str, target: str, status: int, content: bytes, headers: Mapping[str, str], sent: bytes = b"", **more: Any
) -> Entry:
    """An exchange in the format of browsers."""
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


def record_exchange(api: Api, name: str, key: Any = None, body: Any = None, query: Any = None) -> Entry:
    """A recorded exchange with the mock."""
    reply = api.send(name, key, body, query)
    sent = b"" if body is None else json.dumps(body).encode()
    return entry(
        api.operation(name).method.upper(), api.target(name, key, query), reply.status, reply.body, reply.headers, sent
    )


@pytest.fixture
def api() -> Api:
    """The mock with a fresh sandbox."""
    api = shared_api()
    api.reset()
    return api


def audit(
    folder: Path, capsys: pytest.CaptureFixture[str], *entries: Entry, options: tuple[str, ...] = ()
) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, failed results, and output."""
    file = folder / "a.har"
    file.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}))
    code = main(["traffic", str(file), "--report-dir", str(folder), *options], {})
    out, err = capsys.readouterr()
    if not (folder / "conformance.json").exists():
        return code, [], out + err
    return code, [result for result in results(folder) if result["status"] == "failed"], out + err


def results(folder: Path) -> list[dict[str, Any]]:
    """All results of the report."""
    reported: list[dict[str, Any]] = json.loads((folder / "conformance.json").read_text())["results"]
    return reported


def recordings(api: Api) -> list[Entry]:
    """Lists, and requests that create, update, retrieve and delete a record, some of them rejected."""
    key = api.data("createAgent", body={"name": "Ann"})["uuid"]
    return [
        record_exchange(api, "listAgents", query={"search": "", "per_page": 3, "sort_by": "name", "with": "user"}),
        record_exchange(api, "listWorkspaces"),
        record_exchange(api, "getAuthenticatedUser"),
        record_exchange(api, "createAgent", body={"name": "Bob"}),
        record_exchange(api, "createAgent", body={"name": 7}),
        record_exchange(api, "updateAgent", key, {"name": "Ann again"}),
        record_exchange(api, "retrieveAgent", key),
        record_exchange(api, "deleteAgent", key),
        record_exchange(api, "retrieveAgent", key),
        record_exchange(api, "listMessages", query={"per_page": 2}),
    ]


def test_recordings_of_the_mock_pass(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, failed, output = audit(tmp_path, capsys, *recordings(api))
    assert (code, failed) == (ExitCode.PASSED, []), output
    assert f"{BASE}  ·" in output
    assert "10 of 10 exchanges checked; no request was sent" in output
    assert f"8 of {len(athena_contract().operations)} operations were called; missing: " in output
    assert (tmp_path / "junit.xml").exists()


def test_credentials_of_a_recording_are_redacted(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = record_exchange(api, "getAuthenticatedUser")
    wrong["response"]["content"]["text"] = json.dumps({"echo": f"{TOKEN} {COOKIE}"})
    wrong["request"]["url"] += f"?access_token={TOKEN}"
    code, failed, output = audit(tmp_path, capsys, wrong, options=("--strict",))
    assert code == ExitCode.FAILED
    assert failed
    for text in (output, *((tmp_path / name).read_text() for name in ("conformance.json", "junit.xml"))):
        assert TOKEN not in text
        assert COOKIE not in text


def change_content(change: Callable[[Any], Any]) -> Callable[[Entry], None]:
    """Change the JSON of the response."""

    def change_entry(entry: Entry) -> None:
        content = entry["response"]["content"]
        content["text"] = json.dumps(change(json.loads(content["text"])))

    return change_entry


def return_numeric_name(body: Any) -> Any:
    body["data"]["name"] = 7
    return body


def change_response(status: int, text: str = "{}") -> Callable[[Entry], None]:
    """Change status and body of the response."""

    def change_entry(entry: Entry) -> None:
        response = entry["response"]
        response["status"] = status
        response["content"] |= {"text": text, "size": len(text)}
        response["headers"] = [header for header in response["headers"] if header["name"] != "content-length"]

    return change_entry


def return_html(entry: Entry) -> None:
    entry["response"]["headers"] = [{"name": "content-type", "value": "text/html"}]


def append_query(query: str) -> Callable[[Entry], None]:
    """Append to the URL."""

    def change_entry(entry: Entry) -> None:
        entry["request"]["url"] += query

    return change_entry


def change_body(text: str, kind: str = "application/json") -> Callable[[Entry], None]:
    """Change the request body."""

    def change_entry(entry: Entry) -> None:
        entry["request"] |= {"postData": {"mimeType": kind, "text": text}, "bodySize": len(text)}
        entry["request"]["headers"][-1]["value"] = kind

    return change_entry


@pytest.mark.parametrize(
    ("operation", "body", "change", "check", "parameter", "text"),
    [
        (
            "createAgent",
            {"name": "a"},
            change_content(return_numeric_name),
            "response-matches-schema",
            "data.name integer",
            '7 is not of type "string"',
        ),
        ("createAgent", {"name": "a"}, change_response(202), "status-is-documented", "202", "got 202, expected 201"),
        ("createAgent", {"name": "a"}, change_response(500), "no-server-error", "", "got 500, a server error"),
        ("listAgents", None, change_response(200, "{"), "response-matches-schema", "", "the body of 200 is not JSON"),
        ("listAgents", None, return_html, "content-type-is-json", "", "got text/html for 200"),
        ("listAgents", None, append_query("?colour=red"), "parameter-is-documented", "colour", "'colour' is sent"),
        ("listAgents", None, append_query("?per_page=1000"), "request-matches-contract", "per_page", "1000"),
        ("listAgents", None, append_query("?per_page=many"), "request-matches-contract", "per_page", "many"),
        (
            "createAgent",
            {"name": "a"},
            change_body('{"name": 7}'),
            "request-matches-contract",
            "name",
            "7 is not of type",
        ),
        ("createAgent", {"name": "a"}, change_body("{}"), "request-matches-contract", "", "name"),
        ("createAgent", {"name": "a"}, change_body("a=b", "text/plain"), "request-matches-contract", "", "text/plain"),
    ],
)
def test_violation_is_reported_with_operation_and_parameter(
    operation: str,
    body: Any,
    change: Callable[[Entry], None],
    check: str,
    parameter: str,
    text: str,
    api: Api,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exchange = record_exchange(api, operation, body=body)
    change(exchange)
    code, failed, _ = audit(tmp_path, capsys, exchange, options=("--strict",))
    assert code == ExitCode.FAILED
    matches = [p for p in failed if p["check"] == check]
    assert [(p["operation"], p["parameter"] if parameter else "") for p in matches] == [(operation, parameter)], failed
    assert text in matches[0]["message"]
    assert "a.har entry 0" in matches[0]["message"]


def test_rejected_request_is_not_validated(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, failed, output = audit(
        tmp_path, capsys, record_exchange(api, "createAgent", body={"name": 7}), options=("--strict",)
    )
    assert (code, failed) == (ExitCode.PASSED, []), output


def test_failures_after_the_maximum_are_reported_without_details(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(har_audit, "MAX_FAILURES", 1)
    unknown, invalid, html = (record_exchange(api, "listAgents") for _ in range(3))
    append_query("?colour=red")(unknown)
    append_query("?per_page=1000")(invalid)
    return_html(html)
    code, failed, _ = audit(tmp_path, capsys, unknown, invalid, html, html, options=("--strict",))
    assert code == ExitCode.FAILED
    omitted = "details are omitted after 1 different failures"
    messages = {result["check"]: result["message"] for result in failed}
    assert messages == {
        "parameter-is-documented": messages["parameter-is-documented"],
        "request-matches-contract": omitted,
        "content-type-is-json": f"{omitted} (2 times)",
    }
    passed = {p["check"] for p in results(tmp_path) if p["status"] == "passed"}
    assert not passed & messages.keys()


def test_unknown_paths_and_methods_are_listed_once(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headers = {"content-type": "application/json"}
    unknown = [entry("GET", f"/api/v1/colours/{n}", 200, b"{}", headers) for n in range(3)]
    method = entry("PATCH", "/api/v1/agents", 200, b"{}", headers)
    unknown_path = entry("GET", "/api/v1/shapes", 404, b"{}", headers)
    code, failed, output = audit(tmp_path, capsys, record_exchange(api, "listAgents"), *unknown, method, unknown_path)
    assert code == ExitCode.PASSED, output
    messages = {p["operation"]: p["message"] for p in failed if p["check"] == "path-is-documented"}
    assert messages.keys() == {"GET /colours/*", "PATCH /agents"}
    assert messages["GET /colours/*"].endswith("(3 times)")
    assert (
        audit(tmp_path, capsys, *unknown, record_exchange(api, "listAgents"), options=("--strict",))[0]
        == ExitCode.FAILED
    )


def test_entries_of_other_hosts_and_kinds_are_counted(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = {"content-type": "text/html"}
    entries = [
        record_exchange(api, "listAgents"),
        entry("GET", "https://cdn.example.com/api/v1/agents", 500, b"", html),
        entry("GET", "/app.js", 200, b"", html),
        entry("GET", "/api/v10/agents", 200, b"", html),
        entry("GET", "data:text/plain,x", 200, b"", html),
        entry("GET", "wss://app.example.com/api/v1/agents", 101, b"", {}),
        entry("GET", "/api/v1/agents", 200, b"", {}, _resourceType="eventsource"),
        entry("GET", "/api/v1/agents", 200, b"", {"content-type": "text/event-stream"}),
        entry("OPTIONS", "/api/v1/agents", 204, b"", {}),
        entry("GET", "/api/v1/agents", 0, b"", {}),
        entry("GET", "/api/v1/agents", 304, b"", {}),
    ]
    code, failed, output = audit(tmp_path, capsys, *entries)
    assert (code, failed) == (ExitCode.PASSED, []), output
    assert "1 of 11 exchanges checked" in output
    for note in (
        "4 other hosts and paths",
        "3 web sockets",
        "1 OPTIONS",
        "1 without a response",
        "1 served from a cache",
    ):
        assert f"skipped: {note}" in output


def test_base_url_is_the_option_or_the_most_frequent_one(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app, other = record_exchange(api, "listAgents"), record_exchange(api, "listAgents")
    other["request"]["url"] = "http://other.example.com:8080/v2/agents"
    assert audit(tmp_path, capsys, app, app, other)[2].startswith(f"{BASE}  ·")
    assert audit(tmp_path, capsys, other, other, app)[2].startswith("http://other.example.com:8080/v2  ·")
    code, _, output = audit(tmp_path, capsys, app, other, other, options=("--base-url", "https://app.example.com"))
    assert (code, output.split("  ·")[0]) == (ExitCode.PASSED, BASE)
    code, _, output = audit(tmp_path, capsys, app, options=("--base-url", "https://none.example.com"))
    assert code == ExitCode.NO_CHECKS_RAN, output


@pytest.mark.parametrize(
    ("recorded", "option", "base"),
    [
        ("http://[::1]:8765", "", "http://[::1]:8765"),
        ("http://[::1]:8765", "http://[::1]:8765", "http://[::1]:8765"),
        ("http://[::1]", "http://[::1]:80", "http://[::1]:80"),
        ("https://app.example.com:443", "", "https://app.example.com"),
        ("https://APP.example.com", "https://app.example.com:443", "https://app.example.com:443"),
        ("https://ann:pass@app.example.com", "https://app.example.com", "https://app.example.com"),
    ],
)
def test_hosts_are_compared_without_default_ports(
    recorded: str, option: str, base: str, api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange = record_exchange(api, "listAgents")
    exchange["request"]["url"] = f"{recorded}/api/v1/agents"
    code, failed, output = audit(tmp_path, capsys, exchange, options=("--base-url", option) if option else ())
    assert (code, failed) == (ExitCode.PASSED, []), output
    assert output.startswith(f"{base}/api/v1  ·")
    assert "1 of 1 exchange checked" in output


def test_invalid_entry_does_not_refuse_the_file(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, without_url = record_exchange(api, "listAgents"), record_exchange(api, "listAgents")
    del without_url["request"]["url"]
    code, failed, output = audit(tmp_path, capsys, good, without_url, {"request": None}, good)
    assert (code, failed) == (ExitCode.PASSED, []), output
    assert "2 of 2 exchanges checked" in output
    first = "a.har entry 1 request: invalid url of type NoneType (expected a string)"
    assert f"skipped: 2 invalid entries, the first: {first}" in output


def test_entry_without_response_is_skipped(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [record_exchange(api, "listAgents") for _ in range(5)]
    entries[1]["response"] = None
    entries[2].pop("response")
    entries[3]["response"]["status"] = -999
    entries[4]["response"]["status"] = None
    code, failed, output = audit(tmp_path, capsys, *entries)
    assert (code, failed) == (ExitCode.PASSED, []), output
    assert "skipped: 4 without a response" in output


def test_recording_without_bodies_passes_and_counts_them(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sizes are those that Playwright records with `content: "omit"`."""
    entries = recordings(api)
    for exchange in entries:
        exchange["response"]["content"].pop("text")
        if "postData" in exchange["request"]:
            exchange["request"]["postData"] |= {"text": "", "params": []}
    code, failed, output = audit(tmp_path, capsys, *entries, options=("--strict",))
    assert (code, failed) == (ExitCode.PASSED, []), output
    assert "10 of 10 exchanges checked" in output
    assert "not inspected: 2 request bodies (not in the recording)" in output
    assert "not inspected: 9 response bodies (not in the recording)" in output
    checks = {(result["check"], result["operation"]) for result in results(tmp_path)}
    assert ("status-is-documented", "createAgent") in checks
    assert not checks & {("response-matches-schema", "createAgent"), ("request-matches-contract", "createAgent")}


def test_one_uninspected_body_does_not_hide_the_failure_of_another(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    omitted, wrong = record_exchange(api, "listAgents"), record_exchange(api, "listAgents")
    omitted["response"]["content"].pop("text")
    change_response(200, "[]")(wrong)
    code, failed, output = audit(tmp_path, capsys, omitted, wrong, options=("--strict",))
    assert code == ExitCode.FAILED
    assert [(result["check"], result["operation"]) for result in failed] == [("response-matches-schema", "listAgents")]
    assert "not inspected: 1 response body (not in the recording)" in output


def test_cookies_of_all_forms_are_redacted(api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exchange = record_exchange(api, "getAuthenticatedUser")
    secrets = [f"canary-secret-{number}" for number in range(8)]
    expires = "Expires=Wed, 21 Oct 2026 07:28:00 GMT; Path=/api/v1/agents"
    exchange["request"]["url"] = f"https://ann:{secrets[0]}@app.example.com/api/v1/auth/me"
    exchange["request"]["headers"] += [
        {"name": "Cookie", "value": f"a={secrets[1]}; b={secrets[2]}"},
        {"name": "Cookie", "value": f"c={secrets[3]}"},
    ]
    exchange["request"]["cookies"] = [{"name": "d", "value": secrets[4]}]
    exchange["response"]["cookies"] = {}
    exchange["response"]["headers"] += [
        {"name": "Set-Cookie", "value": f"a={secrets[5]}; {expires}\nb={secrets[6]}; {expires}, c={secrets[7]}"},
        {"name": "X-Empty", "value": None},
    ]
    exchange["response"]["content"] = {
        "size": -1,
        "mimeType": "application/json",
        "text": json.dumps({"secrets": secrets, "path": "/api/v1/agents", "text": "21 Oct 2026 07:28:00 GMT"}),
    }
    path = next(o.path for o in athena_contract().operations.values() if o.id == "getAuthenticatedUser")
    exchange["request"]["url"] = exchange["request"]["url"].replace("/auth/me", path)
    code, failed, output = audit(tmp_path, capsys, exchange, options=("--strict",))
    assert (code, bool(failed)) == (ExitCode.FAILED, True), output
    report = (tmp_path / "conformance.json").read_text()
    assert not [secret for secret in secrets if secret in output + report]
    assert "/api/v1/agents" in report
    assert "21 Oct 2026" in report


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "invalid JSON"),
        (b"\xff\xfe{\x00", "invalid JSON"),
        (b'{"log": {"entries": [{"req', "invalid JSON"),
        (b"\xff\xfe\x00", "invalid JSON"),
        (b"[" * 200_000, "invalid JSON"),
        (b"[]", "no log, no list of entries (expected a HAR file, version 1.2)"),
        (b'{"log": {"version": "2.0", "entries": []}}', "version '2.0', no list"),
        (b'{"log": {"version": "1.2", "entries": {}}}', "no list of entries"),
        (b'{"log": {"entries": [7]}}', "entry 0: invalid request of type NoneType (expected an object)"),
        (b'{"log": {"entries": [{"request": {}, "response": []}]}}', "entry 0: invalid response of type list"),
        (b'{"log": {"entries": [{"request": {}, "response": {}}]}}', "entry 0 request: invalid url of type NoneType"),
        (b'{"log": {"entries": [{"request": {}}]}}', "entry 0 request: invalid url of type NoneType"),
        (
            b'{"log": {"entries": [{"request": {"url": "http://a/b", "method": "GET"}, "response": {"status": []}}]}}',
            "entry 0 response: invalid status of type list (expected a number)",
        ),
        (b'{"log": {"entries": []}}', "no path of the contract in nothing over HTTP"),
        (
            b'{"log": {"entries": [{"request": {"url": "http://[", "method": "GET"}, "response": {"status": 200}}]}}',
            "no path of the contract in nothing over HTTP",
        ),
        (
            b'{"log": {"entries": [{"request": {"url": "http://a/b", "method": "GET"}, "response": {"status": 200}}]}}',
            "no path of the contract in http://a (expected",
        ),
        (
            b'{"log": {"entries": [{"request": {"url": "http://a/b", "method": "GET", "headers": [1]}, '
            b'"response": {"status": 200}}]}}',
            "entry 0 request headers: invalid name of type NoneType (expected a string)",
        ),
        (
            b'{"log": {"entries": [{"request": {"url": "http://a/b", "method": "GET", "headers": 1}}]}}',
            "entry 0 request: invalid headers of type int (expected a list)",
        ),
    ],
)
def test_invalid_file_is_rejected_in_one_line(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.har").write_bytes(content)
    assert main(["traffic", str(tmp_path / "a.har")], {}) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_missing_file_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["traffic", str(tmp_path / "none.har")], {}) == ExitCode.USAGE
    assert "cannot read the file: No such file or directory (expected a complete HAR file)" in capsys.readouterr().err


def test_base_url_precedes_the_paths_of_the_contract() -> None:
    contract = athena_contract()
    urls = ["http://a/x/agents", "http://a/x/agents/7?y=1", "http://a/agents", "http://a/nothing/here"]
    assert find_base_url(contract, urls) == "http://a/x"
    assert find_base_url(contract, ["http://a/nothing"]) is None


@pytest.mark.parametrize(
    ("severity", "code", "checks"),
    [
        ("error", ExitCode.FAILED, {"parameter-is-documented"}),
        ("warn", ExitCode.PASSED, {"parameter-is-documented"}),
        ("off", ExitCode.PASSED, set()),
    ],
)
def test_severity_of_a_check_applies_to_traffic(
    severity: str, code: ExitCode, checks: set[str], api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.toml"
    section = f'[checks.parameter-is-documented]\nseverity = "{severity}"\nreason = "ticket 12"\n'
    settings.write_text(section, encoding="utf-8")
    recorded = record_exchange(api, "listAgents", query={"unknown": "1"})
    result, failed, output = audit(tmp_path, capsys, recorded, options=("--config", str(settings)))
    assert (result, {failure["check"] for failure in failed}) == (code, checks), output
    assert f"severity of parameter-is-documented: {severity}: ticket 12" in output
