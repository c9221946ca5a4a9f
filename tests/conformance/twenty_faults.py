"""Detection of 20 realistic backend faults by the suite and by Schemathesis within the same time.

    python -m tests.conformance.twenty_faults [--seconds N] [NAME ...]

Each fault is a small function around the mock, independent of `conformance.mutation`. The suite, and Schemathesis with
default settings, test the operations of one tag with the same time limit. Prints a Markdown table; its first row is the
mock without a fault, where any failure is a false positive.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from tests.conformance.fault_injection import CallNext, FaultMiddleware, FaultRequest, FaultResponse
from tests.conformance.http_server import run_http_server
from tests.mock_process import ROOT
from tests.mock_server.athena import EPOCH, Api, athena_contract, athena_schemas

CONTRACT = ROOT / "spec" / "openapi.yaml"
SECONDS = 30
RECORD = re.compile(r"^/prompts/([0-9a-f-]{36})$")
JSON = {"content-type": "application/json"}
Memory = dict[str, Any]


def is_prompt_list(request: FaultRequest, response: FaultResponse) -> bool:
    """Whether the response is a page of prompts."""
    return request.method == "GET" and request.path == "/prompts" and response.status == 200


def without_parameters(request: FaultRequest, *names: str) -> FaultRequest:
    """Copy without some query parameters."""
    pairs = [(n, v) for n, v in parse_qsl(request.query, keep_blank_values=True) if n.removesuffix("[]") not in names]
    return FaultRequest(request.method, request.path, urlencode(pairs), request.headers, request.raw)


async def exceeds_page_size(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """A page has one row more than requested."""
    pairs = parse_qsl(request.query, keep_blank_values=True)
    if request.method == "GET" and request.path == "/prompts":
        more = [(n, str(int(v) + 1) if n == "per_page" and v.isdigit() and int(v) < 100 else v) for n, v in pairs]
        response: FaultResponse = await call_next(
            FaultRequest(request.method, request.path, urlencode(more), request.headers, request.raw)
        )
        return response
    return await call_next(request)  # type: ignore[no-any-return]


async def counts_page_as_total(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """`total` is the number of rows on the page."""
    response: FaultResponse = await call_next(request)
    if is_prompt_list(request, response):
        page = response.body
        return response.with_json({**page, "meta": {**page["meta"], "total": len(page["data"])}})
    return response


async def repeats_row(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """The second page starts with the last row of the first."""
    response: FaultResponse = await call_next(request)
    pairs = dict(parse_qsl(request.query))
    if is_prompt_list(request, response) and pairs.get("page") == "2":
        first: FaultResponse = await call_next(
            FaultRequest("GET", request.path, urlencode(pairs | {"page": "1"}), request.headers, b"")
        )
        page = response.body
        if page["data"] and first.body["data"]:
            return response.with_json({**page, "data": [first.body["data"][-1], *page["data"][1:]]})
    return response


async def ignores_sort_direction(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """`sort_direction=desc` is ignored."""
    listing = request.method == "GET" and request.path == "/prompts"
    return await call_next(without_parameters(request, "sort_direction") if listing else request)  # type: ignore[no-any-return]


async def ignores_search(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """`search` is ignored."""
    return await call_next(without_parameters(request, "search") if request.path == "/prompts" else request)  # type: ignore[no-any-return]


async def ignores_filter(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """`visibility` is ignored."""
    return await call_next(without_parameters(request, "visibility") if request.path == "/prompts" else request)  # type: ignore[no-any-return]


async def drops_last_match(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """A filtered list lacks its last row."""
    response: FaultResponse = await call_next(request)
    if is_prompt_list(request, response) and "visibility=p" in request.query and response.body["data"]:
        return response.with_json({**response.body, "data": response.body["data"][:-1]})
    return response


async def ignores_with(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """`with` is ignored when a record is retrieved."""
    return await call_next(without_parameters(request, "with") if RECORD.match(request.path) else request)  # type: ignore[no-any-return]


async def truncates_names(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """A name is truncated to 40 characters."""
    body = request.body
    if request.method == "POST" and request.path == "/prompts" and isinstance(body, dict):
        name = body.get("name")
        request = request.with_json({**body, "name": name[:40] if isinstance(name, str) else name})
    return await call_next(request)  # type: ignore[no-any-return]


async def replaces_astral_characters(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """Characters outside the Basic Multilingual Plane become question marks, as in a three-byte column."""
    if request.method in ("POST", "PUT") and request.path.startswith("/prompts") and isinstance(request.body, dict):
        plain = "".join("?" if ord(sign) > 0xFFFF else sign for sign in json.dumps(request.body, ensure_ascii=False))
        request = request.with_json(json.loads(plain))
    return await call_next(request)  # type: ignore[no-any-return]


async def discards_description(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """An update returns the new description without storing it."""
    body = request.body
    if request.method == "PUT" and RECORD.match(request.path) and isinstance(body, dict) and "description" in body:
        rest = {name: value for name, value in body.items() if name != "description"}
        response: FaultResponse = await call_next(request.with_json(rest))
        return response.with_data(description=body["description"]) if response.status == 200 else response
    return await call_next(request)  # type: ignore[no-any-return]


async def resets_omitted_tags(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """An update without tags deletes them."""
    body = request.body
    if request.method == "PUT" and RECORD.match(request.path) and isinstance(body, dict) and "tags" not in body:
        request = request.with_json({**body, "tags": []})
    return await call_next(request)  # type: ignore[no-any-return]


async def stores_rejected_update(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """A rejected update stores the description."""
    response: FaultResponse = await call_next(request)
    body = request.body
    if request.method == "PUT" and RECORD.match(request.path) and response.status == 422 and isinstance(body, dict):
        await call_next(request.with_json({"description": body.get("description", "half written")}))
    return response


async def updates_other_record(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """An update also changes the description of another record."""
    response: FaultResponse = await call_next(request)
    body = request.body
    if request.method == "POST" and request.path == "/prompts" and response.status == 201:
        memory.setdefault("created", []).append(response.body["data"]["uuid"])
    match = RECORD.match(request.path)
    if request.method == "PUT" and match and response.status == 200 and isinstance(body, dict):
        others = [key for key in memory.get("created", []) if key != match[1]]
        for key in others[-1:]:
            await call_next(
                FaultRequest("PUT", f"/prompts/{key}", "", request.headers, b"").with_json({"description": "other"})
            )
    return response


async def deletes_nothing(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """A deleted record remains in lists."""
    match = RECORD.match(request.path)
    deleted_keys = memory.setdefault("deleted", set())
    if match and match[1] in deleted_keys:
        return FaultResponse(404, JSON, b'{"message":"Not found."}')
    if match and request.method == "DELETE":
        current: FaultResponse = await call_next(FaultRequest("GET", request.path, "", request.headers, b""))
        if current.status == 200:
            deleted_keys.add(match[1])
            return FaultResponse(204, {}, b"")
    return await call_next(request)  # type: ignore[no-any-return]


async def changes_created_at(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """An update changes `created_at`."""
    response: FaultResponse = await call_next(request)
    if RECORD.match(request.path) and request.method in ("GET", "PUT") and response.status == 200:
        return response.with_data(created_at=response.body["data"]["updated_at"])
    return response


async def exposes_other_tenants(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """Records of other tenants can be retrieved."""
    response: FaultResponse = await call_next(request)
    if request.method == "GET" and RECORD.match(request.path) and response.status == 404:
        return await call_next(request.with_token("demo-token"))  # type: ignore[no-any-return]
    return response


async def accepts_unknown_tokens(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """Any token of more than eight characters is accepted."""
    response: FaultResponse = await call_next(request)
    if response.status == 401 and request.path == "/prompts" and len(request.headers.get("authorization", "")) > 15:
        return await call_next(request.with_token("demo-token"))  # type: ignore[no-any-return]
    return response


async def names_wrong_field(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """A 422 names `body` instead of the invalid field."""
    response: FaultResponse = await call_next(request)
    if response.status == 422 and request.path == "/prompts" and request.method == "POST":
        failures = response.body
        return response.with_json({**failures, "errors": {"body": ["The body field is invalid."]}})
    return response


async def fails_on_search(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """A search with a quotation mark is a server error."""
    term = dict(parse_qsl(request.query)).get("search", "")
    if request.path == "/prompts" and request.method == "GET" and ("'" in term or len(term) > 200):
        return FaultResponse(500, JSON, b'{"message":"Server Error"}')
    return await call_next(request)  # type: ignore[no-any-return]


Fault = Callable[[FaultRequest, CallNext, Memory], Any]
FAULTS: tuple[Fault, ...] = (
    exceeds_page_size,
    counts_page_as_total,
    repeats_row,
    ignores_sort_direction,
    ignores_search,
    ignores_filter,
    drops_last_match,
    ignores_with,
    truncates_names,
    replaces_astral_characters,
    discards_description,
    resets_omitted_tags,
    stores_rejected_update,
    updates_other_record,
    deletes_nothing,
    changes_created_at,
    exposes_other_tenants,
    accepts_unknown_tokens,
    names_wrong_field,
    fails_on_search,
)
TAG = "Prompt"


async def no_fault(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """No fault."""
    return await call_next(request)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The failures that one tool reports on a fault, and its duration."""

    failures: tuple[str, ...]
    seconds: float

    @property
    def table_cell(self) -> str:
        """The table cell."""
        more = f" and {len(self.failures) - 1} more" if len(self.failures) > 1 else ""
        return (
            f"**{self.failures[0]}**{more}, {self.seconds:.0f} s" if self.failures else f"nothing, {self.seconds:.0f} s"
        )


def environment() -> dict[str, str]:
    """The environment of both tools: built-in tokens and the first user."""
    tokens = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token", "PYTHONPATH": str(ROOT)}
    return {**os.environ, **tokens, "ATHENA_LOGIN": "john.doe@example.com", "ATHENA_PASSWORD": "password"}


def run_suite(base: str, seconds: int, folder: Path) -> ToolResult:
    """Run the suite with the gate profile and a time limit."""
    command = [sys.executable, "-m", "conformance", "run", "--base-url", base, "--tag", TAG, "--profile", "gate"]
    start_time = time.monotonic()
    command += ["--max-time", str(seconds), "--report-dir", str(folder)]
    subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, check=False)
    seconds_taken = time.monotonic() - start_time
    report = json.loads((folder / "conformance.json").read_text())
    broken = [p for p in report["results"] if p["status"] == "failed"]
    ordered = sorted(broken, key=lambda p: p["check"].startswith("engine-"))
    return ToolResult(tuple(f"{p['check']} {p['operation']}" for p in ordered), seconds_taken)


def run_schemathesis(base: str, seconds: int, folder: Path) -> ToolResult:
    """Run Schemathesis with default settings: all checks, all phases."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(CONTRACT), "--url", base]
    command += ["--header", "Authorization: Bearer demo-token", "--include-tag", TAG, "--workers", "1", "--seed", "1"]
    command += ["--max-time", str(seconds), "--report", "junit", "--report-junit-path", str(folder / "junit.xml")]
    start_time = time.monotonic()
    done = subprocess.run(command, env=environment(), cwd=folder, capture_output=True, text=True, check=False)
    seconds_taken = time.monotonic() - start_time
    if done.returncode not in (0, 1):
        raise SystemExit(f"schemathesis exited with {done.returncode}: {done.stdout}{done.stderr}")
    lines = re.findall(r"^\s*- (.+)$", done.stdout, re.MULTILINE) if done.returncode == 1 else []
    return ToolResult(tuple(dict.fromkeys(line.strip() for line in lines)), seconds_taken)


def with_real_time(api: Api) -> ASGIApp:
    """The application on real time: the in-process mock has a manual clock."""
    start_time = time.monotonic()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        api.clock.now = EPOCH + timedelta(seconds=time.monotonic() - start_time)
        await api.app(scope, receive, send)

    return app


def rows(faults: Sequence[Fault], seconds: int) -> Iterator[tuple[Fault, ToolResult, ToolResult]]:
    """Run both tools on each fault, each with a reset mock."""
    api = Api.create(athena_contract(), athena_schemas(), "demo")
    for fault in faults:
        results = []
        for run_tool in (run_suite, run_schemathesis):
            api.reset()
            with (
                run_http_server(FaultMiddleware(with_real_time(api), fault)) as base,
                tempfile.TemporaryDirectory() as name,
            ):
                results.append(run_tool(base + api.contract.base_path, seconds, Path(name)))
        yield fault, results[0], results[1]


def main(arguments: Sequence[str]) -> int:
    """Print the table; return 1 if the suite misses a fault or reports a false positive."""
    parser = argparse.ArgumentParser(description="Compare the suite and Schemathesis on 20 faults.")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("names", nargs="*", help="fault names; default: all")
    options = parser.parse_args(arguments)
    faults = [fault for fault in (no_fault, *FAULTS) if not options.names or fault.__name__ in options.names]
    print("| fault | suite | Schemathesis |\n|---|---|---|", flush=True)
    detected = [0, 0]
    mistakes = 0
    for fault, suite_result, schemathesis_result in rows(faults, options.seconds):
        print(
            f"| {str(fault.__doc__).rstrip('.')} | {suite_result.table_cell} | {schemathesis_result.table_cell} |",
            flush=True,
        )
        is_fault = fault is not no_fault
        detected[0] += is_fault and bool(suite_result.failures)
        detected[1] += is_fault and bool(schemathesis_result.failures)
        mistakes += is_fault is not bool(suite_result.failures)
    fault_count = sum(fault is not no_fault for fault in faults)
    print(f"| {fault_count} faults | {detected[0]} | {detected[1]} |")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
