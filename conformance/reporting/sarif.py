"""Report as SARIF 2.1.0 for code scanning: each failure at its line of the contract.

A rule is a check. Levels: `error` blocks, `warning` is a contract gap, `note` is flaky or accepted by the baseline
(with a suppression, which closes the alert). The partial fingerprint is the hash of the fingerprint of the requirement,
so that the alert stays the same when lines move.
"""

import hashlib
import json
from typing import Any
from urllib.parse import quote

from conformance.reporting.model import PROVENANCE_TEXTS, Report
from conformance.reporting.names import check_category, describe_failure, display_name, format_headline
from conformance.results import CheckResult
from spec.version import get_version

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
INFORMATION_URI = "https://github.com/example/athena-contract"  # the repository of docs/guides/ci.md
FINGERPRINT_KEY = "requirement/v1"


def render(report: Report) -> str:
    return json.dumps(build_document(report), ensure_ascii=False, indent=1) + "\n"


def build_document(report: Report) -> dict[str, Any]:
    gate = report.gate_result
    levels = {"error": gate.blocking, "warning": gate.gaps, "note": (*gate.flaky, *gate.accepted)}
    results_with_levels = [(result, level) for level, results in levels.items() for result in results]
    summaries = {result.requirement.check: result.requirement.summary for result, _ in results_with_levels}
    rules = sorted(summaries)
    driver = {
        "name": "athena-conformance",
        "version": get_version(),
        "informationUri": INFORMATION_URI,
        "rules": [_build_rule(check, summaries[check]) for check in rules],
    }
    warnings = map(report.redaction.redact_line, gate.warnings)
    notifications = [{"message": {"text": warning}, "level": "note"} for warning in warnings]
    invocation = {
        "executionSuccessful": not report.run.target_unreachable and not report.run.abort_reason,
        "exitCode": int(gate.exit_code),
        **({"toolExecutionNotifications": notifications} if notifications else {}),
        "exitCodeDescription": format_headline(report),
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"athena-conformance/{report.run_id}"},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": [_build_result(report, result, level, rules) for result, level in results_with_levels],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _build_rule(check: str, summary: str) -> dict[str, Any]:
    return {
        "id": check,
        "name": "".join(part.capitalize() for part in check.split("-")),
        "shortDescription": {"text": summary},
        "fullDescription": {"text": summary},
        "help": {"text": f"{summary} Each result has a message and a command that reproduces it."},
        "properties": {"tags": [check_category(check)]},
    }


def _build_result(report: Report, result: CheckResult, level: str, rules: list[str]) -> dict[str, Any]:
    requirement = result.requirement
    provenance = report.provenance_level(result)
    proposal = report.proposal_for(result)
    lines = [f"{display_name(requirement)}: {report.message(result)}", *describe_failure(report, result)]
    text = "\n".join(lines).replace("](", "] (")  # "](" would be a link
    properties: dict[str, Any] = {
        "id": requirement.id,
        "provenance": provenance,
        "provenance_meaning": PROVENANCE_TEXTS.get(provenance, ""),
        "reruns": report.rerun_summary(result),
    }
    if result.failure_kind:
        properties |= {"failure_kind": result.failure_kind.value, "advice": report.advice(result)}
    if proposal is not None:
        properties["proposal"] = [edit.document for edit in proposal.edits]
    physical_location = {
        "artifactLocation": {"uri": build_uri(report.repository_path or report.contract)},
        "region": {"startLine": report.line_number(requirement)},
    }
    logical_location = {"fullyQualifiedName": requirement.pointer, "kind": "element"}
    suppression = {"kind": "external", "justification": "accepted by --baseline"}
    return {
        **({"suppressions": [suppression]} if result in report.gate_result.accepted else {}),
        "ruleId": requirement.check,
        "ruleIndex": rules.index(requirement.check),
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": physical_location, "logicalLocations": [logical_location]}],
        "partialFingerprints": {FINGERPRINT_KEY: hashlib.sha256(requirement.fingerprint.encode()).hexdigest()},
        "properties": properties,
    }


def build_uri(path: str) -> str:
    """Return the URI of a file; a relative path stays relative."""
    return ("file://" if path.startswith("/") else "") + quote(path)
