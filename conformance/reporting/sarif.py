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

from conformance.reporting import ADVICE, PROVENANCE_TEXTS, Report
from conformance.reporting.names import check_category, display_name, format_headline
from conformance.results import CheckResult
from spec.version import get_version

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT_KEY = "promise/v1"


def render(report: Report) -> str:
    """The whole document, with a line end."""
    return json.dumps(build_document(report), ensure_ascii=False, indent=1) + "\n"


def build_document(report: Report) -> dict[str, Any]:
    """The document."""
    results_with_levels = list(_results_with_levels(report))
    requirement_texts = {result.requirement.check: result.requirement.summary for result, _ in results_with_levels}
    rules = sorted(requirement_texts)
    run = {
        "tool": {
            "driver": {
                "name": "athena-conformance",
                "version": get_version(),
                "rules": [_build_rule(check, requirement_texts[check]) for check in rules],
            }
        },
        "automationDetails": {"id": f"athena-conformance/{report.run_id}"},
        "invocations": [
            {
                "executionSuccessful": not report.run.target_unreachable and not report.run.abort_reason,
                "exitCode": int(report.gate_result.exit_code),
                **_notifications(report),
                "exitCodeDescription": format_headline(report),
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [_build_result(report, result, level, rules) for result, level in results_with_levels],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _results_with_levels(report: Report) -> Iterator[tuple[CheckResult, str]]:
    gate_result = report.gate_result
    failed = (("error", gate_result.blocking), ("warning", gate_result.gaps), ("note", gate_result.flaky))
    for level, results in (*failed, ("note", gate_result.accepted)):
        yield from ((result, level) for result in results)


def _notifications(report: Report) -> dict[str, Any]:
    """What a reader should know and what changes no code."""
    notifications = [
        {"message": {"text": report.redaction.line(warning)}, "level": "note"}
        for warning in report.gate_result.warnings
    ]
    return {"toolExecutionNotifications": notifications} if notifications else {}


def _build_rule(check: str, requirement_text: str) -> dict[str, Any]:
    return {
        "id": check,
        "name": "".join(part.capitalize() for part in check.split("-")),
        "shortDescription": {"text": requirement_text},
        "fullDescription": {"text": requirement_text},
        "help": {"text": f"{requirement_text} Each result names what was found and a command that shows it again."},
        "properties": {"tags": [check_category(check)]},
    }


def _build_result(report: Report, result: CheckResult, level: str, rules: list[str]) -> dict[str, Any]:
    requirement = result.requirement
    provenance_level = report.provenance_level(requirement)
    message_lines = [
        f"{display_name(requirement)}: {report.message(result)}",
        f"Due: {requirement.summary}",
        report.curl_command(result),
    ]
    message_lines += [f"Judged again by: {report.replay_command(requirement)}"]
    proposal = report.proposal_for(result)
    properties: dict[str, Any] = {
        "grade": provenance_level,
        "meaning": PROVENANCE_TEXTS.get(provenance_level, ""),
        "replayed": report.rerun_summary(result),
    }
    properties["id"] = requirement.id
    properties |= (
        {"kind": result.failure_kind.value, "advice": ADVICE[result.failure_kind]} if result.failure_kind else {}
    )
    if proposal is not None:
        message_lines.append(proposal.message)
        properties["proposal"] = [edit.document for edit in proposal.edits]
    physical_location = {
        "artifactLocation": {"uri": build_uri(report.contract)},
        "region": {"startLine": report.line_number(requirement)},
    }
    logical_location = {"fullyQualifiedName": requirement.pointer, "kind": "element"}
    accepted = [{"kind": "external", "justification": "accepted by --baseline"}]
    suppressions = {"suppressions": accepted} if result in report.gate_result.accepted else {}
    return {
        **suppressions,
        "ruleId": requirement.check,
        "ruleIndex": rules.index(requirement.check),
        "level": level,
        "message": {
            "text": "\n".join(part for part in message_lines if part).replace("](", "] (")
        },  # "](" would be a link
        "locations": [{"physicalLocation": physical_location, "logicalLocations": [logical_location]}],
        "partialFingerprints": {FINGERPRINT_KEY: hashlib.sha256(requirement.fingerprint.encode()).hexdigest()},
        "properties": properties,
    }


def build_uri(path: str) -> str:
    """A relative path stays one; an absolute path becomes a file's address."""
    return ("file://" if path.startswith("/") else "") + quote(path)
