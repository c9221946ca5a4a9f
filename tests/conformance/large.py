"""Report of a large run: thousands of results, hundreds of failures, responses as large as lists."""

import json

from conformance.contract_edits.proposals import build_proposals
from conformance.reporting import Report
from conformance.results import CheckResult, FailureKind, Requirement, Status
from conformance.runner.runner import RunResult
from conformance.transport.messages import Exchange, Request, Response
from tests.conformance.sample_reports import build_report
from tests.mock_server.athena import athena_contract, athena_schemas

PAGE_SIZE = 25
FAILURE_INTERVAL = 14  # one check in 14 fails
KINDS = (FailureKind.DETERMINISTIC, FailureKind.STATE_DEPENDENT)


def large_report(checks: int) -> Report:
    """Return a report with `checks` results per operation; every 14th failed, half of these are inferred."""
    contract = athena_contract()
    run = RunResult()
    row = {f"field_{n}": f"value {n}, https://example.com/{n}?page={n}" for n in range(30)}
    content = json.dumps(
        {"data": [{**row, "token": f"t{n}-secret", "nested": [row]} for n in range(PAGE_SIZE)]}
    ).encode()
    number = 0
    for check in range(checks):
        for operation in contract.operations.values():
            number += 1
            provenance = ("documented", "inferred")[number // FAILURE_INTERVAL % 2]
            pointer = operation.pointer if number % 3 else f"{operation.pointer}/responses"
            requirement = Requirement(
                f"check-{check}", operation.id, "A sentence.", pointer, provenance, keyword=f"k{check % 5}"
            )
            if number % FAILURE_INTERVAL:
                run.results.append(CheckResult(requirement, Status.PASSED))
                continue
            request = Request(operation.id, operation.method, operation.path, body={"password": f"pw-{number}-secret"})
            response = Response(418, {"content-type": "application/json"}, content, 0.1)
            evidence = tuple(Exchange(request, response) for _ in range(4))
            kind = KINDS[number // FAILURE_INTERVAL // 2 % 2]
            run.record(CheckResult(requirement, Status.FAILED, f"got {number}", evidence, kind), (2, 2))
    proposals = build_proposals(contract, athena_schemas(), "a.yaml", run.results)
    return build_report(contract, run, proposals=proposals)
