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
from conformance.coverage import EXERCISED, KINDS, NEVER, REACHED
from conformance.exchange import Exchange
from conformance.outcome import Outcome, Verdict
from conformance.redaction import Redaction
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
            "ended": line(found.ended),
            "lost": found.lost,
        },
        "verdict": {
            "code": int(judgement.code),
            "name": judgement.code.name.lower(),
            "reasons": [line(reason) for reason in judgement.reasons],
        },
        "counts": {
            "judged": judgement.judged,
            "kept": judgement.kept,
            "broken_blocking": len(judgement.blocking),
            "contract_gaps": len(judgement.gaps),
            "accepted": len(judgement.accepted),
            "flaky": len(judgement.flaky),
            "unsteady": found.unsteady,
            "not_judged": sum(judgement.causes.values()),
            "reached": judgement.reached,
            "due": judgement.due,
        },
        "remarks": [line(remark) for remark in judgement.remarks],
        "promises": [
            *(_promise(report, outcome, outcome.verdict.value) for outcome in found.outcomes),
            *(_promise(report, outcome, "flaky") for outcome in found.flaky),
        ],
        "not_judged": [
            {"cause": line(why.said), "kind": why.cause.value, "count": times}
            for why, times in judgement.causes.items()
        ],
        "never_succeeded": {operation: line(why) for operation, why in judgement.unsucceeded.items()},
        "not_asked": list(judgement.unasked),
        "answers": answers,
        "coverage": _coverage(report),
        "left_over": [{"resource": resource, "key": line(str(key))} for resource, key in found.left],
    }


def _promise(report: Report, outcome: Outcome, verdict: str) -> dict[str, Any]:
    promise = outcome.promise
    replays = report.replays(outcome) if outcome.verdict is Verdict.BROKEN else None
    told = outcome.verdict is Verdict.BROKEN
    known = report.known(outcome) if told else report.redaction
    steps = report.sequences.get(promise.fingerprint)
    return {
        "id": promise.fingerprint,
        "short": promise.id,
        "law": promise.law,
        "operation": promise.operation,
        "parameter": promise.parameter,
        "sentence": promise.sentence,
        "grade": promise.grade,
        "always": promise.always,
        "blocks": promise.blocks(strict=report.strict),
        "verdict": verdict,
        "said": report.said(outcome),
        "kind": outcome.kind.value if outcome.kind else "",
        "cause": outcome.cause.value if outcome.verdict is Verdict.NOT_JUDGED else "",
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
        "exchanges": [_exchange(known, exchange) for exchange in outcome.shown[-SHOWN:]] if told else [],
        "sequence": sequence.written(steps, known) if told and steps else None,
    }


def _proposal(report: Report, outcome: Outcome) -> dict[str, Any] | None:
    found = report.proposal(outcome)
    if found is None:
        return None
    return {
        "pointer": found.pointer,
        "keyword": found.keyword,
        "said": found.said,
        "edits": [edit.document for edit in found.edits],
        "diff": found.diff,
    }


def _coverage(report: Report) -> dict[str, Any] | None:
    covered = report.covered
    if covered is None:
        return None
    states = (EXERCISED, REACHED, NEVER)
    return {
        "kinds": {
            kind: {"all": covered.total(kind), **{state: covered.count(kind, state) for state in states}}
            for kind in KINDS
        },
        "missed": [
            {"kind": item.kind, "name": item.name, "pointer": item.pointer, "state": item.state}
            for kind in KINDS
            for item in covered.missed(kind)
        ],
        "unsucceeded": {name: report.redaction.line(why) for name, why in covered.unsucceeded.items()},
    }


def _exchange(known: Redaction, exchange: Exchange) -> dict[str, Any]:
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
