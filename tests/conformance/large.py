"""A report of a whole bad run: thousands of promises, hundreds of them broken, answers as large as lists are."""

import json

from conformance.contract_edits.proposals import build_proposals
from conformance.reporting import Report
from conformance.results import CheckResult, FailureKind, Requirement, Status
from conformance.runner.runner import RunResult
from conformance.transport.messages import Exchange, Request, Response
from tests.conformance.sample_reports import build_report
from tests.mock_server.athena import athena_contract, athena_schemas

ROWS = 25  # of a list
EVERY = 14  # one in so many is broken
KINDS = (FailureKind.DETERMINISTIC, FailureKind.STATE_DEPENDENT)


def large_report(laws: int) -> Report:
    """So many promises on each operation, every 14th broken; half of these rest on inferred places."""
    contract = athena_contract()
    found = RunResult()
    row = {f"field_{n}": f"value {n} of a row, https://example.com/{n}?page={n}" for n in range(30)}
    content = json.dumps({"data": [{**row, "token": f"t{n}-secret", "nested": [row]} for n in range(ROWS)]}).encode()
    number = 0
    for law in range(laws):
        for operation in contract.operations.values():
            number += 1
            grade = ("documented", "inferred")[number // EVERY % 2]
            place = operation.pointer if number % 3 else f"{operation.pointer}/responses"
            promise = Requirement(f"law-{law}", operation.id, "A sentence.", place, grade, keyword=f"k{law % 5}")
            if number % EVERY:
                found.results.append(CheckResult(promise, Status.PASSED))
                continue
            request = Request(operation.id, operation.method, operation.path, body={"password": f"pw-{number}-secret"})
            answer = Response(418, {"content-type": "application/json"}, content, 0.1)
            shown = tuple(Exchange(request, answer) for _ in range(4))
            broken = CheckResult(promise, Status.FAILED, f"found {number}", shown, KINDS[number // EVERY // 2 % 2])
            found.record(broken, (2, 2))
    return build_report(contract, found, proposals=build_proposals(contract, athena_schemas(), "a.yaml", found.results))
