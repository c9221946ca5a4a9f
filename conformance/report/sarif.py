"""The report as SARIF 2.1.0, for code scanning: each broken promise at its line of the contract.

A rule is a law. A result's level: `error` blocks, `warning` is a contract gap, `note` is flaky, or accepted by the
baseline (then with a suppression, which closes its alert). Its partial fingerprint
is the promise's own, hashed: the same broken promise is the same alert in the next run, though lines move.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from conformance.outcome import CheckResult
from conformance.report import ADVICE, GRADES, Report
from conformance.report.names import family, headline, name
from spec.release import get_version

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "promise/v1"


def render(report: Report) -> str:
    """The whole document, with a line end."""
    return json.dumps(document(report), ensure_ascii=False, indent=1) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The document."""
    found = list(_levels(report))
    sentences = {outcome.requirement.check: outcome.requirement.summary for outcome, _ in found}
    rules = sorted(sentences)
    run = {
        "tool": {
            "driver": {
                "name": "athena-conformance",
                "version": get_version(),
                "rules": [_rule(law, sentences[law]) for law in rules],
            }
        },
        "automationDetails": {"id": f"athena-conformance/{report.run_id}"},
        "invocations": [
            {
                "executionSuccessful": not report.found.target_unreachable and not report.found.abort_reason,
                "exitCode": int(report.judgement.exit_code),
                **_notices(report),
                "exitCodeDescription": headline(report),
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [_result(report, outcome, level, rules) for outcome, level in found],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _levels(report: Report) -> Iterator[tuple[CheckResult, str]]:
    judgement = report.judgement
    broken = (("error", judgement.blocking), ("warning", judgement.gaps), ("note", judgement.flaky))
    for level, outcomes in (*broken, ("note", judgement.accepted)):
        yield from ((outcome, level) for outcome in outcomes)


def _notices(report: Report) -> dict[str, Any]:
    """What a reader should know and what changes no code."""
    told = [{"message": {"text": report.redaction.line(said)}, "level": "note"} for said in report.judgement.warnings]
    return {"toolExecutionNotifications": told} if told else {}


def _rule(law: str, sentence: str) -> dict[str, Any]:
    return {
        "id": law,
        "name": "".join(part.capitalize() for part in law.split("-")),
        "shortDescription": {"text": sentence},
        "fullDescription": {"text": sentence},
        "help": {"text": f"{sentence} Each result names what was found and a command that shows it again."},
        "properties": {"tags": [family(law)]},
    }


def _result(report: Report, outcome: CheckResult, level: str, rules: list[str]) -> dict[str, Any]:
    promise = outcome.requirement
    grade = report.grade(promise)
    said = [f"{name(promise)}: {report.said(outcome)}", f"Due: {promise.summary}", report.curl(outcome)]
    said += [f"Judged again by: {report.replay(promise)}"]
    proposal = report.proposal(outcome)
    properties: dict[str, Any] = {"grade": grade, "meaning": GRADES.get(grade, ""), "replayed": report.times(outcome)}
    properties["id"] = promise.id
    properties |= (
        {"kind": outcome.failure_kind.value, "advice": ADVICE[outcome.failure_kind]} if outcome.failure_kind else {}
    )
    if proposal is not None:
        said.append(proposal.message)
        properties["proposal"] = [edit.document for edit in proposal.edits]
    place = {"artifactLocation": {"uri": uri_of(report.contract)}, "region": {"startLine": report.line(promise)}}
    logical = {"fullyQualifiedName": promise.pointer, "kind": "element"}
    accepted = [{"kind": "external", "justification": "accepted by --baseline"}]
    suppressions = {"suppressions": accepted} if outcome in report.judgement.accepted else {}
    return {
        **suppressions,
        "ruleId": promise.check,
        "ruleIndex": rules.index(promise.check),
        "level": level,
        "message": {"text": "\n".join(part for part in said if part).replace("](", "] (")},  # "](" would be a link
        "locations": [{"physicalLocation": place, "logicalLocations": [logical]}],
        "partialFingerprints": {FINGERPRINT: hashlib.sha256(promise.fingerprint.encode()).hexdigest()},
        "properties": properties,
    }


def uri_of(path: str) -> str:
    """A relative path stays one; an absolute path becomes a file's address."""
    return ("file://" if path.startswith("/") else "") + quote(path)
