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

from tests.conformance.serving import serving
from tests.conformance.writing_faults import Answered, Asked, Faulty, Next
from tests.mock_server.athena import EPOCH, Api, athena_contract, athena_schemas
from tests.running import ROOT

CONTRACT = ROOT / "spec" / "openapi.yaml"
SECONDS = 30
RECORD = re.compile(r"^/prompts/([0-9a-f-]{36})$")
JSON = {"content-type": "application/json"}
Memory = dict[str, Any]


def shows_a_list(asked: Asked, answered: Answered) -> bool:
    """Whether the response is a page of prompts."""
    return asked.method == "GET" and asked.path == "/prompts" and answered.status == 200


def deaf(asked: Asked, *names: str) -> Asked:
    """Copy without some query parameters."""
    pairs = [(n, v) for n, v in parse_qsl(asked.query, keep_blank_values=True) if n.removesuffix("[]") not in names]
    return Asked(asked.method, asked.path, urlencode(pairs), asked.headers, asked.raw)


async def pages_one_too_many(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """A page has one row more than requested."""
    pairs = parse_qsl(asked.query, keep_blank_values=True)
    if asked.method == "GET" and asked.path == "/prompts":
        more = [(n, str(int(v) + 1) if n == "per_page" and v.isdigit() and int(v) < 100 else v) for n, v in pairs]
        answered: Answered = await ask(Asked(asked.method, asked.path, urlencode(more), asked.headers, asked.raw))
        return answered
    return await ask(asked)  # type: ignore[no-any-return]


async def counts_the_page_as_the_total(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """`total` is the number of rows on the page."""
    answered: Answered = await ask(asked)
    if shows_a_list(asked, answered):
        page = answered.body
        return answered.showing({**page, "meta": {**page["meta"], "total": len(page["data"])}})
    return answered


async def repeats_a_row(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """The second page starts with the last row of the first."""
    answered: Answered = await ask(asked)
    pairs = dict(parse_qsl(asked.query))
    if shows_a_list(asked, answered) and pairs.get("page") == "2":
        first: Answered = await ask(Asked("GET", asked.path, urlencode(pairs | {"page": "1"}), asked.headers, b""))
        page = answered.body
        if page["data"] and first.body["data"]:
            return answered.showing({**page, "data": [first.body["data"][-1], *page["data"][1:]]})
    return answered


async def forgets_the_direction(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """`sort_direction=desc` is ignored."""
    listing = asked.method == "GET" and asked.path == "/prompts"
    return await ask(deaf(asked, "sort_direction") if listing else asked)  # type: ignore[no-any-return]


async def searches_nothing(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """`search` is ignored."""
    return await ask(deaf(asked, "search") if asked.path == "/prompts" else asked)  # type: ignore[no-any-return]


async def filters_nothing(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """`visibility` is ignored."""
    return await ask(deaf(asked, "visibility") if asked.path == "/prompts" else asked)  # type: ignore[no-any-return]


async def filters_too_much(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """A filtered list lacks its last row."""
    answered: Answered = await ask(asked)
    if shows_a_list(asked, answered) and "visibility=p" in asked.query and answered.body["data"]:
        return answered.showing({**answered.body, "data": answered.body["data"][:-1]})
    return answered


async def embeds_nothing(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """`with` is ignored when a record is retrieved."""
    return await ask(deaf(asked, "with") if RECORD.match(asked.path) else asked)  # type: ignore[no-any-return]


async def cuts_texts(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """A name is truncated to 40 characters."""
    body = asked.body
    if asked.method == "POST" and asked.path == "/prompts" and isinstance(body, dict):
        name = body.get("name")
        asked = asked.saying({**body, "name": name[:40] if isinstance(name, str) else name})
    return await ask(asked)  # type: ignore[no-any-return]


async def loses_signs(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """Characters outside the Basic Multilingual Plane become question marks, as in a three-byte column."""
    if asked.method in ("POST", "PUT") and asked.path.startswith("/prompts") and isinstance(asked.body, dict):
        plain = "".join("?" if ord(sign) > 0xFFFF else sign for sign in json.dumps(asked.body, ensure_ascii=False))
        asked = asked.saying(json.loads(plain))
    return await ask(asked)  # type: ignore[no-any-return]


async def echoes_without_storing(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """An update returns the new description without storing it."""
    body = asked.body
    if asked.method == "PUT" and RECORD.match(asked.path) and isinstance(body, dict) and "description" in body:
        rest = {name: value for name, value in body.items() if name != "description"}
        answered: Answered = await ask(asked.saying(rest))
        return answered.with_data(description=body["description"]) if answered.status == 200 else answered
    return await ask(asked)  # type: ignore[no-any-return]


async def resets_what_was_not_sent(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """An update without tags deletes them."""
    body = asked.body
    if asked.method == "PUT" and RECORD.match(asked.path) and isinstance(body, dict) and "tags" not in body:
        asked = asked.saying({**body, "tags": []})
    return await ask(asked)  # type: ignore[no-any-return]


async def writes_before_it_refuses(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """A rejected update stores the description."""
    answered: Answered = await ask(asked)
    body = asked.body
    if asked.method == "PUT" and RECORD.match(asked.path) and answered.status == 422 and isinstance(body, dict):
        await ask(asked.saying({"description": body.get("description", "half written")}))
    return answered


async def updates_a_neighbour(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """An update also changes the description of another record."""
    answered: Answered = await ask(asked)
    body = asked.body
    if asked.method == "POST" and asked.path == "/prompts" and answered.status == 201:
        memory.setdefault("made", []).append(answered.body["data"]["uuid"])
    found = RECORD.match(asked.path)
    if asked.method == "PUT" and found and answered.status == 200 and isinstance(body, dict):
        others = [key for key in memory.get("made", []) if key != found[1]]
        for key in others[-1:]:
            await ask(Asked("PUT", f"/prompts/{key}", "", asked.headers, b"").saying({"description": "its neighbour"}))
    return answered


async def deletes_nothing(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """A deleted record remains in lists."""
    found = RECORD.match(asked.path)
    gone = memory.setdefault("gone", set())
    if found and found[1] in gone:
        return Answered(404, JSON, b'{"message":"Not found."}')
    if found and asked.method == "DELETE":
        there: Answered = await ask(Asked("GET", asked.path, "", asked.headers, b""))
        if there.status == 200:
            gone.add(found[1])
            return Answered(204, {}, b"")
    return await ask(asked)  # type: ignore[no-any-return]


async def moves_the_beginning(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """An update changes `created_at`."""
    answered: Answered = await ask(asked)
    if RECORD.match(asked.path) and asked.method in ("GET", "PUT") and answered.status == 200:
        return answered.with_data(created_at=answered.body["data"]["updated_at"])
    return answered


async def shows_other_tenants(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """Records of other tenants can be retrieved."""
    answered: Answered = await ask(asked)
    if asked.method == "GET" and RECORD.match(asked.path) and answered.status == 404:
        return await ask(asked.by("demo-token"))  # type: ignore[no-any-return]
    return answered


async def takes_unknown_tokens(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """Any token of more than eight characters is accepted."""
    answered: Answered = await ask(asked)
    if answered.status == 401 and asked.path == "/prompts" and len(asked.headers.get("authorization", "")) > 15:
        return await ask(asked.by("demo-token"))  # type: ignore[no-any-return]
    return answered


async def blames_another_field(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """A 422 names `body` instead of the invalid field."""
    answered: Answered = await ask(asked)
    if answered.status == 422 and asked.path == "/prompts" and asked.method == "POST":
        said = answered.body
        return answered.showing({**said, "errors": {"body": ["The body field is invalid."]}})
    return answered


async def fails_on_a_long_search(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """A search with a quotation mark is a server error."""
    searched = dict(parse_qsl(asked.query)).get("search", "")
    if asked.path == "/prompts" and asked.method == "GET" and ("'" in searched or len(searched) > 200):
        return Answered(500, JSON, b'{"message":"Server Error"}')
    return await ask(asked)  # type: ignore[no-any-return]


Fault = Callable[[Asked, Next, Memory], Any]
FAULTS: tuple[Fault, ...] = (
    pages_one_too_many,
    counts_the_page_as_the_total,
    repeats_a_row,
    forgets_the_direction,
    searches_nothing,
    filters_nothing,
    filters_too_much,
    embeds_nothing,
    cuts_texts,
    loses_signs,
    echoes_without_storing,
    resets_what_was_not_sent,
    writes_before_it_refuses,
    updates_a_neighbour,
    deletes_nothing,
    moves_the_beginning,
    shows_other_tenants,
    takes_unknown_tokens,
    blames_another_field,
    fails_on_a_long_search,
)
TAG = "Prompt"


async def sound(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """No fault."""
    return await ask(asked)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Found:
    """The failures that one tool reports on a fault, and its duration."""

    said: tuple[str, ...]
    seconds: float

    @property
    def shown(self) -> str:
        """The table cell."""
        more = f" and {len(self.said) - 1} more" if len(self.said) > 1 else ""
        return f"**{self.said[0]}**{more}, {self.seconds:.0f} s" if self.said else f"nothing, {self.seconds:.0f} s"


def around() -> dict[str, str]:
    """The environment of both tools: built-in tokens and the first user."""
    said = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token", "PYTHONPATH": str(ROOT)}
    return {**os.environ, **said, "ATHENA_LOGIN": "john.doe@example.com", "ATHENA_PASSWORD": "password"}


def by_the_suite(base: str, seconds: int, folder: Path) -> Found:
    """Run the suite with the gate profile and a time limit."""
    command = [sys.executable, "-m", "conformance", "run", "--base-url", base, "--tag", TAG, "--profile", "gate"]
    began = time.monotonic()
    command += ["--max-time", str(seconds), "--report-dir", str(folder)]
    subprocess.run(command, env=around(), cwd=ROOT, capture_output=True, check=False)
    took = time.monotonic() - began
    report = json.loads((folder / "conformance.json").read_text())
    broken = [p for p in report["results"] if p["status"] == "failed"]
    ordered = sorted(broken, key=lambda p: p["check"].startswith("engine-"))
    return Found(tuple(f"{p['check']} {p['operation']}" for p in ordered), took)


def by_schemathesis(base: str, seconds: int, folder: Path) -> Found:
    """Run Schemathesis with default settings: all checks, all phases."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(CONTRACT), "--url", base]
    command += ["--header", "Authorization: Bearer demo-token", "--include-tag", TAG, "--workers", "1", "--seed", "1"]
    command += ["--max-time", str(seconds), "--report", "junit", "--report-junit-path", str(folder / "junit.xml")]
    began = time.monotonic()
    done = subprocess.run(command, env=around(), cwd=folder, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    if done.returncode not in (0, 1):
        raise SystemExit(f"schemathesis exited with {done.returncode}: {done.stdout}{done.stderr}")
    lines = re.findall(r"^\s*- (.+)$", done.stdout, re.MULTILINE) if done.returncode == 1 else []
    return Found(tuple(dict.fromkeys(line.strip() for line in lines)), took)


def timed(api: Api) -> ASGIApp:
    """The application on real time: the in-process mock has a manual clock."""
    began = time.monotonic()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        api.watch.at = EPOCH + timedelta(seconds=time.monotonic() - began)
        await api.app(scope, receive, send)

    return app


def rows(faults: Sequence[Fault], seconds: int) -> Iterator[tuple[Fault, Found, Found]]:
    """Run both tools on each fault, each with a reset mock."""
    api = Api.of(athena_contract(), athena_schemas(), "demo")
    for fault in faults:
        found = []
        for judge in (by_the_suite, by_schemathesis):
            api.begin_anew()
            with serving(Faulty(timed(api), fault)) as base, tempfile.TemporaryDirectory() as name:
                found.append(judge(base + api.contract.base_path, seconds, Path(name)))
        yield fault, found[0], found[1]


def main(arguments: Sequence[str]) -> int:
    """Print the table; return 1 if the suite misses a fault or reports a false positive."""
    parser = argparse.ArgumentParser(description="Compare the suite and Schemathesis on 20 faults.")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("names", nargs="*", help="fault names; default: all")
    said = parser.parse_args(arguments)
    chosen = [fault for fault in (sound, *FAULTS) if not said.names or fault.__name__ in said.names]
    print("| fault | suite | Schemathesis |\n|---|---|---|", flush=True)
    caught = [0, 0]
    wrong = 0
    for fault, ours, theirs in rows(chosen, said.seconds):
        print(f"| {str(fault.__doc__).rstrip('.')} | {ours.shown} | {theirs.shown} |", flush=True)
        planted = fault is not sound
        caught[0] += planted and bool(ours.said)
        caught[1] += planted and bool(theirs.said)
        wrong += planted is not bool(ours.said)
    faults = len([fault for fault in chosen if fault is not sound])
    print(f"| {faults} faults | {caught[0]} | {caught[1]} |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
