"""Sample reports for the tests of the writers: hostile texts, and many failures."""

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from conformance.contract_edits.proposals import Proposal
from conformance.contract_edits.yaml_patch import Edit
from conformance.gate.verdict import GatePolicy, GateResult
from conformance.reporting import REPORT_WRITERS, Report, github, terminal
from conformance.results import CheckResult, FailOn, Requirement, Status
from conformance.runner.runner import RunResult
from conformance.session.coverage import Coverage
from conformance.transport.messages import Exchange, Request, Response
from conformance.transport.redaction import Redactor
from spec.line_numbers import find_line_numbers
from spec.model import Contract
from tests.mock_server.athena import athena_contract

WRITERS: Mapping[str, Callable[[Report], str]] = {
    "terminal": terminal.render,
    "github": github.render,
    **REPORT_WRITERS,
}
TOKEN = "7|canary+token/1234567890"
PASSWORD = "canary-password"
# Secrets that only the target knows: detected by their form or name.
JWT = "eyJjYW5hcnkiOiIxIn0.eyJjYW5hcnkiOiIyIn0.canarysignature"
TOKEN_FORMS = (
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
    f"{' '.join(TOKEN_FORMS)} {PASSWORD}\n::error::second line\r\n::set-output name=x::y\n"
    "```\n# out of the fence\n"
)


def hostile_exchange(contract: Contract) -> Exchange:
    """Return an exchange full of secrets and hostile texts."""
    operation = contract.operations["createMessage"]
    body = {"content": HOSTILE, "password": PASSWORD, "nested": [{"Password": PASSWORD}]}
    headers = {"Authorization": f"Basic {TOKEN}", "Cookie": "canary-cookie", "X-Echo": HOSTILE}
    query = (("access_token", PASSWORD), ("search", HOSTILE.replace("\ud800", "")))
    request = Request(operation.id, "post", operation.path, query=query, body=body, headers=headers)
    content = json.dumps({"data": {"password": PASSWORD, "text": HOSTILE + "x" * 20_000, HOSTILE: 1}}).encode()
    return Exchange(request, Response(500, {"set-cookie": "canary-cookie", "content-type": HOSTILE}, content, 0.1))


@cache
def _line_numbers(text: bytes) -> dict[str, int]:
    return find_line_numbers(text)


def build_report(contract: Contract, run: RunResult, *, strict: bool = False, **options: Any) -> Report:
    """Return the report of a run."""
    scope = list(contract.operations.values())
    call_counts = Counter({(o.id, o.envelope.status): 1 for o in scope})
    policy = GatePolicy(fail_on=FailOn.INFERRED if strict else FailOn.CONSISTENT)
    return Report(
        target="http://127.0.0.1:1/api/v1",
        contract="spec/openapi.yaml",
        run_id="0badcafe",
        seed=7,
        started_at="2026-03-01T00:00:00+00:00",
        seconds=1.5,
        requests=12,
        token_env="ATHENA_TOKEN",
        other_token_env="ATHENA_OTHER_TOKEN",
        member_token_env="ATHENA_MEMBER_TOKEN",
        notes=("a note",),
        gate_result=GateResult(run, contract, scope, call_counts, policy),
        redaction=Redactor.from_contract(contract, [TOKEN]),
        line_numbers=_line_numbers(contract.document.content),
        contract_text=contract.document.content.decode(),
        **options,
    )


@cache
def hostile_report() -> Report:
    """Return a report with hostile texts and one result of each kind: passed, blocking, gap, flaky, skipped."""
    contract = athena_contract()
    pointer = contract.operations["createMessage"].pointer
    requirement = Requirement("stored", "createMessage", "The request is stored.", pointer, "documented")
    evidence = (hostile_exchange(contract),)
    gap = replace(requirement, check="assumed", provenance="inferred", parameter="content")
    flaky = replace(requirement, check="unstable")
    run = RunResult(
        [
            CheckResult(replace(requirement, check="fine"), Status.PASSED),
            CheckResult(requirement, Status.FAILED, HOSTILE, evidence),
            CheckResult(gap, Status.FAILED, HOSTILE, evidence),
            CheckResult(replace(requirement, check="unknown"), Status.SKIPPED, HOSTILE.replace(PASSWORD, "")),
        ],
        records_not_deleted=[("Message", TOKEN)],
        flaky=[CheckResult(flaky, Status.FAILED, HOSTILE, evidence)],
        reruns={requirement.fingerprint: (2, 2), gap.fingerprint: (2, 2), flaky.fingerprint: (1, 2)},
    )
    edits = (Edit("#/x", "enum", [TOKEN, PASSWORD]),)
    proposal = Proposal("#/x", "enum", f"Confirm {HOSTILE}", edits, f"+ {HOSTILE}")
    coverage = Coverage(contract).build_report(
        contract.operations.values(), {"createMessage": HOSTILE.replace(PASSWORD, "")}
    )
    return build_report(contract, run, proposals={(gap.fingerprint, HOSTILE): proposal}, coverage=coverage)


def report_with_failures(number: int) -> Report:
    """Return a report of many failures with long messages, half of them contract gaps."""
    contract = athena_contract()
    pointer = contract.operations["createMessage"].pointer
    evidence = (hostile_exchange(contract),)
    run = RunResult()
    for index in range(number):
        provenance = ("documented", "inferred")[index % 2]
        requirement = Requirement(f"check-{index}", "createMessage", "A sentence.", pointer, provenance)
        run.results.append(CheckResult(requirement, Status.FAILED, "`x` | " * 60, evidence))
    return build_report(contract, run)
