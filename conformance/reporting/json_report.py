"""JSON report of a run. `report.schema.json` describes it; `VERSION` changes when a reader has to change.

Secrets and control characters are removed (`conformance.transport.redaction`) and bodies are truncated.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from conformance.reporting.model import MAX_EXCHANGES, Report
from conformance.results import CheckResult, FailOn, FailureKind, Status
from conformance.session.coverage import COVERAGE_STATES, ITEM_KINDS
from conformance.trace import sequence
from conformance.transport.messages import Exchange
from conformance.transport.redaction import Redactor

VERSION = 2
REQUIREMENT_KEYS = (
    *("id", "fingerprint", "check", "operation", "parameter", "keyword"),
    *("provenance", "provenance_independent"),
)


def render(report: Report) -> str:
    return json.dumps(build_document(report), ensure_ascii=False, indent=1) + "\n"


def build_document(report: Report) -> dict[str, Any]:
    gate_result, run = report.gate_result, report.run
    redact = report.redaction.redact_line
    responses: dict[str, dict[str, int]] = defaultdict(dict)
    for (operation, status), count in sorted(gate_result.call_counts.items()):
        responses[operation][str(status)] = count
    return {
        "version": VERSION,
        "run": {
            "id": report.run_id,
            "target": report.display_target(),
            "digest": report.contract_digest,
            "started": report.started_at,
            "seconds": round(report.seconds, 3),
            **{name: getattr(report, name) for name in ("contract", "seed", "requests")},
            "fail_on": gate_result.policy.fail_on.value,
            "strict": gate_result.policy.fail_on is FailOn.INFERRED,
            "read_only": gate_result.policy.read_only,
            "notes": [redact(note) for note in report.notes],
            "abort_reason": redact(run.abort_reason),
            "target_unreachable": run.target_unreachable,
        },
        "verdict": {
            "code": int(gate_result.exit_code),
            "name": gate_result.exit_code.name.lower(),
            "reasons": [redact(reason) for reason in gate_result.reasons],
        },
        "counts": {
            "checks_run": len(gate_result.evaluated),
            "passed": len(gate_result.passed),
            "blocking_run": gate_result.blocking_run,
            "blocking_total": gate_result.blocking_total,
            "failed_blocking": len(gate_result.blocking),
            "contract_gaps": len(gate_result.gaps),
            "accepted": len(gate_result.accepted),
            "flaky": len(gate_result.flaky),
            "transient_failures": run.transient_failures,
            "skipped": sum(gate_result.skip_reasons.values()),
        },
        "comparison": _build_comparison(report),
        "warnings": [redact(warning) for warning in gate_result.warnings],
        "results": [
            *(_build_result(report, result, result.failure_kind) for result in run.results),
            *(_build_result(report, result, result.failure_kind or FailureKind.FLAKY) for result in run.flaky),
        ],
        "skip_reasons": [
            {"message": redact(reason.message), "category": reason.category.value, "count": count}
            for reason, count in gate_result.skip_reasons.items()
        ],
        "operations_never_successful": _redact_reasons(report, gate_result.operations_never_successful),
        "operations_not_called": list(gate_result.actions_never_successful),
        "responses": responses,
        "coverage": _build_coverage(report),
        "records_not_deleted": [{"resource": name, "key": redact(str(key))} for name, key in run.records_not_deleted],
    }


def _build_result(report: Report, result: CheckResult, failure_kind: FailureKind | None) -> dict[str, Any]:
    requirement, is_failed = result.requirement, result.status is Status.FAILED
    reruns = report.rerun_counts(result) if is_failed else None
    redaction = report.redaction_for(result) if is_failed else report.redaction
    steps = report.sequences.get(requirement.fingerprint)
    evidence = result.evidence[-MAX_EXCHANGES:] if is_failed else ()
    return {
        **{name: getattr(requirement, name) for name in REQUIREMENT_KEYS},
        "requirement": requirement.summary,
        "blocking": report.gate_result.policy.requires(result),
        "contradiction": result.is_contradiction,
        "status": result.status.value,
        "message": report.message(result),
        "failure_kind": failure_kind.value if failure_kind else "",
        "skip_category": result.skip_category.value if result.status is Status.SKIPPED else "",
        "accepted": is_failed and result in report.gate_result.accepted,
        "location": {"file": report.contract, "line": report.line_number(requirement), "pointer": requirement.pointer},
        "reruns": {"failed": reruns[0], "total": reruns[1]} if reruns else None,
        "curl": report.curl_command(result) if is_failed else "",
        "proposal": _build_proposal(report, result),
        "since": report.since(result) if is_failed else "",
        "exchanges": [_build_exchange(redaction, exchange) for exchange in evidence],
        "sequence": sequence.to_json(steps, redaction) if is_failed and steps else None,
    }


def _build_proposal(report: Report, result: CheckResult) -> dict[str, Any] | None:
    proposal = report.proposal_for(result)
    if proposal is None:
        return None
    texts = {name: getattr(proposal, name) for name in ("pointer", "keyword", "message", "diff")}
    return {**texts, "edits": [edit.document for edit in proposal.edits]}


def _build_comparison(report: Report) -> dict[str, Any] | None:
    comparison = report.comparison
    if comparison is None:
        return None
    return {
        "past_run": report.redaction.redact_line(comparison.past_run),
        "new": [result.requirement.id for result in comparison.new],
        "known": [result.requirement.id for result in comparison.known],
        "fixed": [report.redaction.redact_line(failure.name) for failure in comparison.fixed],
        "not_checked": [report.redaction.redact_line(failure.name) for failure in comparison.skipped],
    }


def _build_coverage(report: Report) -> dict[str, Any] | None:
    coverage = report.coverage
    if coverage is None:
        return None
    return {
        "kinds": {
            kind: {"total": coverage.total(kind), **{state: coverage.count(kind, state) for state in COVERAGE_STATES}}
            for kind in ITEM_KINDS
        },
        "uncovered": [
            {"kind": kind, "name": item.name, "pointer": item.pointer, "state": item.state}
            for kind in ITEM_KINDS
            for item in coverage.list_uncovered(kind)
        ],
        "operations_never_successful": _redact_reasons(report, coverage.operations_never_successful),
    }


def _redact_reasons(report: Report, reasons: Mapping[str, str]) -> dict[str, str]:
    return {name: report.redaction.redact_line(reason) for name, reason in reasons.items()}


def _build_exchange(redaction: Redactor, exchange: Exchange) -> dict[str, Any]:
    response = exchange.response
    return {
        "request": redaction.describe_request(exchange.request),
        "ids": redaction.describe_ids(exchange),
        "response": {
            "status": response.status,
            "headers": redaction.redact_headers(response.headers),
            "body": redaction.redact_body(response.content),
            "seconds": round(response.elapsed, 3),
        },
    }
