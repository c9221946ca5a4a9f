"""Detection of 20 realistic backend faults by the suite and by Schemathesis within the same time.

    python -m tests.conformance.twenty_faults [--seconds N] [NAME ...]

None of the faults is a mutant of `conformance.mutation`. The suite, and Schemathesis with
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

from starlette.types import ASGIApp, Receive, Scope, Send

from conformance.mutation.fault_injection import (
    CallNext,
    Fault,
    FaultInjector,
    InterceptedRequest,
    InterceptedResponse,
)
from conformance.mutation.faults import (
    MakeFault,
    accept,
    build_response,
    change_body,
    change_json,
    change_request,
    ignore_parameters,
    on_status,
    respond_if,
)
from tests.conformance.support.http_server import run_http_server
from tests.mock_process import ROOT
from tests.mock_server.athena import EPOCH, Api, athena_contract, athena_schemas

CONTRACT = ROOT / "spec" / "openapi.yaml"
SECONDS = 30
TAG = "Prompt"
OWNER_TOKEN = "demo-token"


@dataclass(frozen=True, slots=True)
class BackendFault:
    """A realistic fault of a backend in some operations. `description`: its row in the table."""

    name: str
    description: str
    make_fault: MakeFault
    operations: tuple[str, ...] = ()


# Lists


def exceed_page_size(request: InterceptedRequest) -> InterceptedRequest:
    sizes = [int(value) for value in request.parameter_values("per_page") if value.isdigit() and int(value) < 100]
    return request.with_parameters({"per_page": sizes[0] + 1}) if sizes else request


def repeat_row() -> Fault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if not response.is_success or request.parameter_values("page") != ["2"]:
            return response
        first_rows = (await call_next(request.with_parameters({"page": 1}))).data(request.operation)
        rows = response.data(request.operation)
        return response.with_data(request.operation, [first_rows[-1], *rows[1:]]) if rows and first_rows else response

    return fault


def drop_last_match(request: InterceptedRequest, body: Any) -> Any:
    is_filtered = any(value.startswith("p") for value in request.parameter_values("visibility"))
    return {**body, "data": body["data"][:-1]} if is_filtered else body


def fails_on_search(request: InterceptedRequest) -> bool:
    return any("'" in term or len(term) > 200 for term in request.parameter_values("search"))


# Writes


def replace_astral_characters(request: InterceptedRequest) -> InterceptedRequest:
    text = json.dumps(request.json, ensure_ascii=False)
    plain = "".join("?" if ord(character) > 0xFFFF else character for character in text)
    return request.with_json(json.loads(plain)) if request.json_object else request


def discard_description() -> Fault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        body = request.json_object
        if "description" not in body:
            return await call_next(request)
        response = await call_next(request.with_json({n: v for n, v in body.items() if n != "description"}))
        if not response.is_success:
            return response
        record = {**response.data(request.operation), "description": body["description"]}
        return response.with_data(request.operation, record)

    return fault


def store_rejected_update() -> Fault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if response.status == 422 and request.json_object:
            description = request.json_object.get("description", "half written")
            await call_next(request.with_json({"description": description}))
        return response

    return fault


def update_other_record() -> Fault:
    keys: list[str] = []

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        if request.operation.id == "createPrompt" and response.status == 201:
            keys.append(response.data(request.operation)["uuid"])
        others = [key for key in keys if key != request.key]
        if request.operation.id == "updatePrompt" and response.is_success and others:
            await call_next(request.follow_up(request.operation, others[-1]).with_json({"description": "other"}))
        return response

    return fault


def delete_nothing() -> Fault:
    deleted_keys: set[str] = set()

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if request.key in deleted_keys:
            return build_response(404, {"message": "Not found."})
        if request.method != "DELETE":
            return await call_next(request)
        retrieve = athena_contract().operations["retrievePrompt"]
        if not (await call_next(request.follow_up(retrieve, request.key))).is_success:
            return await call_next(request)
        deleted_keys.add(request.key)
        return InterceptedResponse(204, {}, b"")

    return fault


def return_updated_as_created(request: InterceptedRequest, body: Any) -> Any:
    return {"data": {**body["data"], "created_at": body["data"]["updated_at"]}}


# Access


def accept_as_owner(condition: Callable[[InterceptedRequest, InterceptedResponse], bool]) -> MakeFault:
    """Accept some rejected requests as requests of the owner."""
    return accept(lambda q, r: q.with_token(OWNER_TOKEN) if condition(q, r) else None)


def has_unknown_token(request: InterceptedRequest, response: InterceptedResponse) -> bool:
    return response.status == 401 and len(request.headers.get("authorization", "")) > 15


def name_wrong_field(response: InterceptedResponse) -> InterceptedResponse:
    return response.with_json({**response.json, "errors": {"body": ["The body field is invalid."]}})


LIST, CREATE, RETRIEVE = ("listPrompts",), ("createPrompt",), ("retrievePrompt",)
UPDATE, WRITES = ("updatePrompt",), ("createPrompt", "updatePrompt")
RECORD = ("retrievePrompt", "updatePrompt", "deletePrompt")
NO_FAULT = BackendFault("no_fault", "No fault", change_request(lambda request: request))
FAULTS = (
    BackendFault("exceeds_page_size", "A page has one row more than requested", change_request(exceed_page_size), LIST),
    BackendFault(
        "counts_page_as_total",
        "`total` is the number of rows on the page",
        change_json(lambda _, page: {**page, "meta": {**page["meta"], "total": len(page["data"])}}),
        LIST,
    ),
    BackendFault("repeats_row", "The second page starts with the last row of the first", repeat_row, LIST),
    BackendFault(
        "ignores_sort_direction", "`sort_direction=desc` is ignored", ignore_parameters("sort_direction"), LIST
    ),
    BackendFault("ignores_search", "`search` is ignored", ignore_parameters("search"), LIST),
    BackendFault("ignores_filter", "`visibility` is ignored", ignore_parameters("visibility"), LIST),
    BackendFault("drops_last_match", "A filtered list lacks its last row", change_json(drop_last_match), LIST),
    BackendFault("ignores_with", "`with` is ignored when a record is retrieved", ignore_parameters("with"), RETRIEVE),
    BackendFault(
        "truncates_names",
        "A name is truncated to 40 characters",
        change_body(lambda body: {**body, "name": body["name"][:40]} if isinstance(body.get("name"), str) else body),
        CREATE,
    ),
    BackendFault(
        "replaces_astral_characters",
        "Characters outside the Basic Multilingual Plane become question marks, as in a three-byte column",
        change_request(replace_astral_characters),
        WRITES,
    ),
    BackendFault(
        "discards_description", "An update returns the new description without storing it", discard_description, UPDATE
    ),
    BackendFault(
        "resets_omitted_tags",
        "An update without tags deletes them",
        change_body(lambda body: {"tags": [], **body}),
        UPDATE,
    ),
    BackendFault("stores_rejected_update", "A rejected update stores the description", store_rejected_update, UPDATE),
    BackendFault(
        "updates_other_record", "An update also changes the description of another record", update_other_record, WRITES
    ),
    BackendFault("deletes_nothing", "A deleted record remains in lists", delete_nothing, RECORD),
    BackendFault(
        "changes_created_at",
        "An update changes `created_at`",
        change_json(return_updated_as_created),
        ("retrievePrompt", "updatePrompt"),
    ),
    BackendFault(
        "exposes_other_tenants",
        "Records of other tenants can be retrieved",
        accept_as_owner(lambda q, r: r.status == 404),
        RETRIEVE,
    ),
    BackendFault(
        "accepts_unknown_tokens",
        "Any token of more than eight characters is accepted",
        accept_as_owner(has_unknown_token),
        ("listPrompts", "createPrompt"),
    ),
    BackendFault(
        "names_wrong_field",
        "A 422 names `body` instead of the invalid field",
        on_status(422, name_wrong_field),
        CREATE,
    ),
    BackendFault(
        "fails_on_search",
        "A search with a quotation mark is a server error",
        respond_if(fails_on_search, build_response(500, {"message": "Server Error"})),
        LIST,
    ),
)


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


def rows(faults: Sequence[BackendFault], seconds: int) -> Iterator[tuple[BackendFault, ToolResult, ToolResult]]:
    """Run both tools on each fault, each with a reset mock."""
    api = Api.create(athena_contract(), athena_schemas(), "demo")
    for fault in faults:
        results = []
        for run_tool in (run_suite, run_schemathesis):
            api.reset()
            app = FaultInjector.create(with_real_time(api), api.contract, fault.make_fault(), fault.operations)
            with run_http_server(app) as base, tempfile.TemporaryDirectory() as name:
                results.append(run_tool(base + api.contract.base_path, seconds, Path(name)))
        yield fault, results[0], results[1]


def main(arguments: Sequence[str]) -> int:
    """Print the table; return 1 if the suite misses a fault or reports a false positive."""
    parser = argparse.ArgumentParser(description="Compare the suite and Schemathesis on 20 faults.")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("names", nargs="*", help="fault names; default: all")
    options = parser.parse_args(arguments)
    faults = [fault for fault in (NO_FAULT, *FAULTS) if not options.names or fault.name in options.names]
    print("| fault | suite | Schemathesis |\n|---|---|---|", flush=True)
    detected = [0, 0]
    mistakes = 0
    for fault, suite_result, schemathesis_result in rows(faults, options.seconds):
        print(
            f"| {fault.description} | {suite_result.table_cell} | {schemathesis_result.table_cell} |",
            flush=True,
        )
        is_fault = fault is not NO_FAULT
        detected[0] += is_fault and bool(suite_result.failures)
        detected[1] += is_fault and bool(schemathesis_result.failures)
        mistakes += is_fault is not bool(suite_result.failures)
    fault_count = sum(fault is not NO_FAULT for fault in faults)
    print(f"| {fault_count} faults | {detected[0]} | {detected[1]} |")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
