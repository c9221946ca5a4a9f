"""Report of a run with thousands of results, hundreds of failures and large response bodies."""

import json

from conformance.contract_edits.proposals import build_proposals
from conformance.reporting import Report
from conformance.results import CheckResult, FailureKind, Requirement, Status
from conformance.runner.runner import RunResult
from conformance.transport.messages import Exchange, Request, Response
from tests.conformance.support.sample_reports import build_report
from tests.mock_server.athena import athena_contract, athena_schemas

ROWS = 25  # of a list response
FAILURE_INTERVAL = 14  # one in this many results is a failure
KINDS = (FailureKind.DETERMINISTIC, FailureKind.STATE_DEPENDENT)


def large_report(checks: int) -> Report:
    """Build a report with `checks` results per operation; half of the failures have inferred provenance."""
    contract = athena_contract()
    run = RunResult()
    row = {f"field_{n}": f"value {n} of a row, https://example.com/{n}?page={n}" for n in range(30)}
    content = json.dumps({"data": [{**row, "token": f"t{n}-secret", "nested": [row]} for n in range(ROWS)]}).encode()
    number = 0
    for check in range(checks):
        for operation in contract.operations.values():
            number += 1
            provenance = ("documented", "inferred")[number // FAILURE_INTERVAL % 2]
            location = operation.pointer if number % 3 else f"{operation.pointer}/responses"
            requirement = Requirement(
                f"check-{check}", operation.id, "A sentence.", location, provenance, keyword=f"k{check % 5}"
            )
            if number % FAILURE_INTERVAL:
                run.results.append(CheckResult(requirement, Status.PASSED))
                continue
            request = Request(operation.id, operation.method, operation.path, body={"password": f"pw-{number}-secret"})
            response = Response(418, {"content-type": "application/json"}, content, 0.1)
            evidence = tuple(Exchange(request, response) for _ in range(4))
            failure = CheckResult(
                requirement, Status.FAILED, f"failure {number}", evidence, KINDS[number // FAILURE_INTERVAL // 2 % 2]
            )
            run.record(failure, (2, 2))
    return build_report(contract, run, proposals=build_proposals(contract, athena_schemas(), "a.yaml", run.results))
