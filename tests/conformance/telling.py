"""A report in which a hostile target says all that it can: for the tests of the writers."""

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from conformance.contract_edits.proposals import Proposal
from conformance.contract_edits.yaml_patch import Edit
from conformance.gate.verdict import GatePolicy, evaluate
from conformance.reporting import Report, github, terminal
from conformance.reporting.files import REPORT_WRITERS
from conformance.results import CheckResult, Requirement, Status
from conformance.runner.runner import RunResult
from conformance.session.coverage import Coverage
from conformance.transport.messages import Exchange, Request, Response
from conformance.transport.redaction import Redactor
from spec.document import find_line_numbers
from spec.loader import Contract
from tests.mock_server.athena import athena_contract

WRITERS: Mapping[str, Callable[[Report], str]] = {
    "terminal": terminal.render,
    "github": github.render,
    **REPORT_WRITERS,
}
TOKEN = "7|canary+token/1234567890"
PASSWORD = "canary-password"
# What nobody but the target knows: found by its shape or by its name.
JWT = "eyJjYW5hcnkiOiIxIn0.eyJjYW5hcnkiOiIyIn0.canarysignature"
SPELLED = (
    TOKEN,
    TOKEN.partition("|")[2],
    "7%7Ccanary%2Btoken%2F1234567890",
    TOKEN.replace("/", "\\/"),
    TOKEN.encode().hex(),
    *(base64.b64encode(b"x" * shift + TOKEN.encode() + b" tail").decode() for shift in range(3)),
    f"Bearer {JWT}",
    f"as {JWT}",
    f"https://user:{PASSWORD}@example.com/?access_token={PASSWORD}&page=2",
)
HOSTILE = (
    "\x1b[31mred\x1b[0m \x00\x07\x1b]0;title\x07 \u202eturned\u2066 \ud800 "
    "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\"> &]]> "
    "``` ```` | pipe @everyone #123 [link](javascript:alert(1)) https://evil.invalid/x "
    '<a href="https://evil.invalid">x</a> <style>*{background:url(https://evil.invalid)}</style> --> '
    "::error file=x::fake ##[error]fake "
    f"{' '.join(SPELLED)} {PASSWORD}\n::error::second line\r\n::set-output name=x::y\n"
    "```\n# out of the fence\n"
)


def hostile_exchange(contract: Contract) -> Exchange:
    """An exchange full of what may not be shown."""
    operation = contract.operations["createMessage"]
    body = {"content": HOSTILE, "password": PASSWORD, "nested": [{"Password": PASSWORD}]}
    headers = {"Authorization": f"Basic {TOKEN}", "Cookie": "canary-cookie", "X-Echo": HOSTILE}
    query = (("access_token", PASSWORD), ("search", HOSTILE.replace("\ud800", "")))
    request = Request(operation.id, "post", operation.path, query=query, body=body, headers=headers)
    content = json.dumps({"data": {"password": PASSWORD, "text": HOSTILE + "x" * 20_000, HOSTILE: 1}}).encode()
    return Exchange(request, Response(500, {"set-cookie": "canary-cookie", "content-type": HOSTILE}, content, 0.1))


@cache
def _lines(text: bytes) -> dict[str, int]:
    return find_line_numbers(text)


def report_of(contract: Contract, found: RunResult, *, strict: bool = False, **more: Any) -> Report:
    """A report of a run."""
    scope = list(contract.operations.values())
    seen = Counter({(o.id, 200): 1 for o in scope})
    return Report(
        "http://127.0.0.1:1/api/v1",
        "spec/openapi.yaml",
        contract.document.digest,
        "0badcafe",
        7,
        "2026-03-01T00:00:00+00:00",
        1.5,
        12,
        strict,
        False,
        "ATHENA_TOKEN",
        "ATHENA_OTHER_TOKEN",
        ("a note",),
        found,
        evaluate(found, contract, scope, seen, GatePolicy(strict=strict)),
        Redactor.from_contract(contract, [TOKEN]),
        _lines(contract.document.content),
        seen,
        contract_text=contract.document.content.decode(),
        **more,
    )


@cache
def hostile_report() -> Report:
    """One of each: kept, blocking, gap, flaky, not judged; all of them said by a hostile target."""
    contract = athena_contract()
    pointer = contract.operations["createMessage"].pointer
    promise = Requirement("stored", "createMessage", "What was sent is stored.", pointer, "documented")
    shown = (hostile_exchange(contract),)
    gap = replace(promise, check="guessed", provenance="inferred", parameter="content")
    flaky = replace(promise, check="now-and-then")
    found = RunResult(
        [
            CheckResult(replace(promise, check="fine"), Status.PASSED),
            CheckResult(promise, Status.FAILED, HOSTILE, shown),
            CheckResult(gap, Status.FAILED, HOSTILE, shown),
            CheckResult(replace(promise, check="unknown"), Status.SKIPPED, HOSTILE.replace(PASSWORD, "")),
        ],
        records_not_deleted=[("Message", TOKEN)],
        flaky=[CheckResult(flaky, Status.FAILED, HOSTILE, shown)],
        reruns={promise.fingerprint: (2, 2), gap.fingerprint: (2, 2), flaky.fingerprint: (1, 2)},
    )
    edits = (Edit("#/x", "enum", [TOKEN, PASSWORD]),)
    proposal = Proposal("#/x", "enum", f"Confirm {HOSTILE}", edits, f"+ {HOSTILE}")
    covered = Coverage(contract).build_report(
        contract.operations.values(), {"createMessage": HOSTILE.replace(PASSWORD, "")}
    )
    return report_of(contract, found, proposals={(gap.fingerprint, HOSTILE): proposal}, coverage=covered)


def broken_many(number: int) -> Report:
    """A report of many blocking promises, each with a long text."""
    contract = athena_contract()
    pointer = contract.operations["createMessage"].pointer
    shown = (hostile_exchange(contract),)
    found = RunResult()
    for index in range(number):
        promise = Requirement(
            f"law-{index}", "createMessage", "A sentence.", pointer, ("documented", "inferred")[index % 2]
        )
        found.results.append(CheckResult(promise, Status.FAILED, "`x` | " * 60, shown))
    return report_of(contract, found)
