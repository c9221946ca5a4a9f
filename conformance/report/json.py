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
                   "sequence": the requests that show it (`conformance.sequence`) or null}],
     "not_judged": [{"cause": in words, "kind": "skipped" | "chosen" | "no way" | "records" | "found", "count"}],
     "never_succeeded": {operationId: cause}, "not_asked": [operationId],
     "answers": {operationId: {status: count}},
     "coverage": null, or {"kinds": {kind: {"all", "exercised", "reached", "never"}}, "missed": [{"kind", "name",
                  "pointer", "state": "reached" | "never"}], "unsucceeded": {operationId: why it never succeeded}},
     "left_over": [{"resource", "key"}]}

An edit sets `keyword` of the object at `pointer` to `value`, or takes it away; `conformance.edits` applies them.
`missed`: what no success used or showed (kinds and states: `conformance.coverage`).
`reached` of `due`: promises that can block and were judged, of those that could be. Secrets and control characters are
taken out (`conformance.redaction`); bodies of answers are texts, cut to a bounded length. Exchanges: the last few, of
promises that are broken or flaky.
"""

import json
from typing import Any

from conformance import sequence
from conformance.coverage import COVERED, ITEM_KINDS, PARTIAL, UNCOVERED
from conformance.exchange import Exchange
from conformance.outcome import CheckResult, Status
from conformance.redaction import Redactor
from conformance.report import SHOWN, Report

VERSION = 1


def render(report: Report) -> str:
    """The whole document, with a line end."""
    return json.dumps(document(report), ensure_ascii=False, indent=1) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The document as above."""
    judgement, found = report.judgement, report.found
    line = report.redaction.line
    answers: dict[str, dict[str, int]] = {}
    for (operation, status), times in sorted(report.seen.items()):
        answers.setdefault(operation, {})[str(status)] = times
    return {
        "version": VERSION,
        "run": {
            "id": report.run_id,
            "target": report.shown_target(),
            "contract": report.contract,
            "digest": report.digest,
            "seed": report.seed,
            "started": report.started,
            "seconds": round(report.seconds, 3),
            "requests": report.requests,
            "strict": report.strict,
            "read_only": report.read_only,
            "notes": [line(note) for note in report.notes],
            "ended": line(found.abort_reason),
            "lost": found.target_unreachable,
        },
        "verdict": {
            "code": int(judgement.exit_code),
            "name": judgement.exit_code.name.lower(),
            "reasons": [line(reason) for reason in judgement.reasons],
        },
        "counts": {
            "judged": judgement.checks_run,
            "kept": judgement.passed,
            "broken_blocking": len(judgement.blocking),
            "contract_gaps": len(judgement.gaps),
            "accepted": len(judgement.accepted),
            "flaky": len(judgement.flaky),
            "unsteady": found.transient_failures,
            "not_judged": sum(judgement.skip_reasons.values()),
            "reached": judgement.blocking_run,
            "due": judgement.blocking_total,
        },
        "remarks": [line(remark) for remark in judgement.warnings],
        "promises": [
            *(_promise(report, outcome, outcome.status.value) for outcome in found.results),
            *(_promise(report, outcome, "flaky") for outcome in found.flaky),
        ],
        "not_judged": [
            {"cause": line(why.message), "kind": why.category.value, "count": times}
            for why, times in judgement.skip_reasons.items()
        ],
        "never_succeeded": {operation: line(why) for operation, why in judgement.operations_never_successful.items()},
        "not_asked": list(judgement.actions_never_successful),
        "answers": answers,
        "coverage": _coverage(report),
        "left_over": [{"resource": resource, "key": line(str(key))} for resource, key in found.records_not_deleted],
    }


def _promise(report: Report, outcome: CheckResult, verdict: str) -> dict[str, Any]:
    promise = outcome.requirement
    replays = report.replays(outcome) if outcome.status is Status.FAILED else None
    told = outcome.status is Status.FAILED
    known = report.known(outcome) if told else report.redaction
    steps = report.sequences.get(promise.fingerprint)
    return {
        "id": promise.fingerprint,
        "short": promise.id,
        "law": promise.check,
        "operation": promise.operation,
        "parameter": promise.parameter,
        "sentence": promise.summary,
        "grade": promise.provenance,
        "always": promise.provenance_independent,
        "blocks": promise.is_blocking(strict=report.strict),
        "verdict": verdict,
        "said": report.said(outcome),
        "kind": outcome.failure_kind.value if outcome.failure_kind else "",
        "cause": outcome.skip_category.value if outcome.status is Status.SKIPPED else "",
        "accepted": told and outcome in report.judgement.accepted,
        "keyword": promise.keyword,
        "place": {
            "file": report.contract,
            "line": report.line(promise),
            "pointer": promise.pointer,
            "keyword": promise.keyword,
        },
        "replays": {"broken": replays[0], "judged": replays[1]} if replays else None,
        "curl": report.curl(outcome) if told else "",
        "proposal": _proposal(report, outcome),
        "exchanges": [_exchange(known, exchange) for exchange in outcome.evidence[-SHOWN:]] if told else [],
        "sequence": sequence.to_json(steps, known) if told and steps else None,
    }


def _proposal(report: Report, outcome: CheckResult) -> dict[str, Any] | None:
    found = report.proposal(outcome)
    if found is None:
        return None
    return {
        "pointer": found.pointer,
        "keyword": found.keyword,
        "said": found.message,
        "edits": [edit.document for edit in found.edits],
        "diff": found.diff,
    }


def _coverage(report: Report) -> dict[str, Any] | None:
    covered = report.covered
    if covered is None:
        return None
    states = (COVERED, PARTIAL, UNCOVERED)
    return {
        "kinds": {
            kind: {"all": covered.total(kind), **{state: covered.count(kind, state) for state in states}}
            for kind in ITEM_KINDS
        },
        "missed": [
            {"kind": item.kind, "name": item.name, "pointer": item.pointer, "state": item.state}
            for kind in ITEM_KINDS
            for item in covered.uncovered(kind)
        ],
        "unsucceeded": {name: report.redaction.line(why) for name, why in covered.operations_never_successful.items()},
    }


def _exchange(known: Redactor, exchange: Exchange) -> dict[str, Any]:
    response = exchange.response
    return {
        "request": known.request(exchange.request),
        "response": {
            "status": response.status,
            "headers": known.headers(response.headers),
            "body": known.body(response.content),
            "seconds": round(response.elapsed, 3),
        },
    }
