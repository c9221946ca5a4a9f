"""The report as JSON, for programs. `version` is 1; a change that a reader has to know of makes it 2.

    {"version": 1,
     "run": {"id", "target", "contract", "digest", "seed", "started", "seconds", "requests", "strict", "read_only",
             "notes": [...], "ended": why it ended before its time or "", "lost": bool},
     "verdict": {"code": exit code, "name", "reasons": [...]},
     "counts": {"judged", "kept", "broken_blocking", "contract_gaps", "accepted", "flaky", "unsteady", "not_judged",
                "reached", "due"},
     "remarks": [...],
     "promises": [{"id": fingerprint, "short": what `replay` is given, "law", "operation", "parameter", "sentence",
                   "grade", "always", "blocks", "verdict": "kept" | "broken" | "flaky" | "not judged", "said",
                   "kind": "deterministic" | "state-dependent" | "flaky" | "infrastructure" | "disturbed" | "",
                   "cause": of what is not judged, as "kind" below, or "",
                   "accepted": by the baseline, "place": {"file", "line", "pointer", "keyword"},
                   "replays": {"broken": p, "judged": n} or null, "curl": command or "",
                   "proposal": null, or of a contract gap {"pointer", "keyword", "said": for people,
                   "edits": [{"pointer", "keyword", "value", or "gone": true}], "diff": unified},
                   "exchanges": [{"request": {...}, "response": {"status", "headers", "body", "seconds"}}],
                   "sequence": the requests that show it (`conformance.trace.sequence`) or null}],
     "not_judged": [{"cause": in words, "kind": "skipped" | "chosen" | "no way" | "records" | "found", "count"}],
     "never_succeeded": {operationId: cause}, "not_asked": [operationId],
     "answers": {operationId: {status: count}},
     "coverage": null, or {"kinds": {kind: {"all", "exercised", "reached", "never"}}, "missed": [{"kind", "name",
                  "pointer", "state": "reached" | "never"}], "unsucceeded": {operationId: why it never succeeded}},
     "left_over": [{"resource", "key"}]}

An edit sets `keyword` of the object at `pointer` to `value`, or takes it away; `conformance.contract_edits.yaml_patch` applies them.
`missed`: what no success used or showed (kinds and states: `conformance.session.coverage`).
`reached` of `due`: promises that can block and were judged, of those that could be. Secrets and control characters are
taken out (`conformance.transport.redaction`); bodies of answers are texts, cut to a bounded length. Exchanges: the last few, of
promises that are broken or flaky.
"""

import json
from typing import Any

from conformance.reporting import MAX_EXCHANGES, Report
from conformance.results import CheckResult, Status
from conformance.session.coverage import COVERED, ITEM_KINDS, PARTIAL, UNCOVERED
from conformance.trace import sequence
from conformance.transport.messages import Exchange
from conformance.transport.redaction import Redactor

VERSION = 1


def render(report: Report) -> str:
    """The whole document, with a line end."""
    return json.dumps(build_document(report), ensure_ascii=False, indent=1) + "\n"


def build_document(report: Report) -> dict[str, Any]:
    """The document as above."""
    gate_result, run = report.gate_result, report.run
    redact = report.redaction.line
    response_counts: dict[str, dict[str, int]] = {}
    for (operation, status), count in sorted(report.response_counts.items()):
        response_counts.setdefault(operation, {})[str(status)] = count
    return {
        "version": VERSION,
        "run": {
            "id": report.run_id,
            "target": report.display_target(),
            "contract": report.contract,
            "digest": report.contract_digest,
            "seed": report.seed,
            "started": report.started_at,
            "seconds": round(report.seconds, 3),
            "requests": report.requests,
            "strict": report.strict,
            "read_only": report.read_only,
            "notes": [redact(note) for note in report.notes],
            "ended": redact(run.abort_reason),
            "lost": run.target_unreachable,
        },
        "verdict": {
            "code": int(gate_result.exit_code),
            "name": gate_result.exit_code.name.lower(),
            "reasons": [redact(reason) for reason in gate_result.reasons],
        },
        "counts": {
            "judged": gate_result.checks_run,
            "kept": gate_result.passed,
            "broken_blocking": len(gate_result.blocking),
            "contract_gaps": len(gate_result.gaps),
            "accepted": len(gate_result.accepted),
            "flaky": len(gate_result.flaky),
            "unsteady": run.transient_failures,
            "not_judged": sum(gate_result.skip_reasons.values()),
            "reached": gate_result.blocking_run,
            "due": gate_result.blocking_total,
        },
        "remarks": [redact(warning) for warning in gate_result.warnings],
        "promises": [
            *(_build_result(report, result, result.status.value) for result in run.results),
            *(_build_result(report, result, "flaky") for result in run.flaky),
        ],
        "not_judged": [
            {"cause": redact(skip_reason.message), "kind": skip_reason.category.value, "count": count}
            for skip_reason, count in gate_result.skip_reasons.items()
        ],
        "never_succeeded": {
            operation: redact(skip_reason) for operation, skip_reason in gate_result.operations_never_successful.items()
        },
        "not_asked": list(gate_result.actions_never_successful),
        "answers": response_counts,
        "coverage": _build_coverage(report),
        "left_over": [{"resource": resource, "key": redact(str(key))} for resource, key in run.records_not_deleted],
    }


def _build_result(report: Report, result: CheckResult, status: str) -> dict[str, Any]:
    requirement = result.requirement
    rerun_counts = report.rerun_counts(result) if result.status is Status.FAILED else None
    is_failed = result.status is Status.FAILED
    redaction = report.redaction_for(result) if is_failed else report.redaction
    steps = report.sequences.get(requirement.fingerprint)
    return {
        "id": requirement.fingerprint,
        "short": requirement.id,
        "law": requirement.check,
        "operation": requirement.operation,
        "parameter": requirement.parameter,
        "sentence": requirement.summary,
        "grade": requirement.provenance,
        "always": requirement.provenance_independent,
        "blocks": requirement.is_blocking(strict=report.strict),
        "verdict": status,
        "said": report.message(result),
        "kind": result.failure_kind.value if result.failure_kind else "",
        "cause": result.skip_category.value if result.status is Status.SKIPPED else "",
        "accepted": is_failed and result in report.gate_result.accepted,
        "keyword": requirement.keyword,
        "place": {
            "file": report.contract,
            "line": report.line_number(requirement),
            "pointer": requirement.pointer,
            "keyword": requirement.keyword,
        },
        "replays": {"broken": rerun_counts[0], "judged": rerun_counts[1]} if rerun_counts else None,
        "curl": report.curl_command(result) if is_failed else "",
        "proposal": _build_proposal(report, result),
        "exchanges": [_build_exchange(redaction, exchange) for exchange in result.evidence[-MAX_EXCHANGES:]]
        if is_failed
        else [],
        "sequence": sequence.to_json(steps, redaction) if is_failed and steps else None,
    }


def _build_proposal(report: Report, result: CheckResult) -> dict[str, Any] | None:
    proposal = report.proposal_for(result)
    if proposal is None:
        return None
    return {
        "pointer": proposal.pointer,
        "keyword": proposal.keyword,
        "said": proposal.message,
        "edits": [edit.document for edit in proposal.edits],
        "diff": proposal.diff,
    }


def _build_coverage(report: Report) -> dict[str, Any] | None:
    coverage = report.coverage
    if coverage is None:
        return None
    states = (COVERED, PARTIAL, UNCOVERED)
    return {
        "kinds": {
            kind: {"all": coverage.total(kind), **{state: coverage.count(kind, state) for state in states}}
            for kind in ITEM_KINDS
        },
        "missed": [
            {"kind": item.kind, "name": item.name, "pointer": item.pointer, "state": item.state}
            for kind in ITEM_KINDS
            for item in coverage.uncovered(kind)
        ],
        "unsucceeded": {
            name: report.redaction.line(reason) for name, reason in coverage.operations_never_successful.items()
        },
    }


def _build_exchange(redaction: Redactor, exchange: Exchange) -> dict[str, Any]:
    response = exchange.response
    return {
        "request": redaction.request(exchange.request),
        "response": {
            "status": response.status,
            "headers": redaction.headers(response.headers),
            "body": redaction.body(response.content),
            "seconds": round(response.elapsed, 3),
        },
    }
