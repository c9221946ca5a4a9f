"""Names, sentences and groups of failures that several reports share."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Category
from conformance.gate.verdict import join_names, pluralize
from conformance.reporting.model import Report
from conformance.results import CheckResult, FailureKind, Requirement
from conformance.transport.messages import Request

MAX_OPERATION_NAMES = 3  # in the title of a group
MAX_UNCHECKED_REASONS = 3
MAX_EARLIER_REQUESTS = 4
MAX_REQUEST_LINE_CHARS = 160
OTHER_CATEGORY = "other"
ENGINE_CATEGORY = "Schemathesis"
TRAFFIC_CHECK_IDS = ("request-matches-contract", "path-is-documented", "parameter-is-documented")  # `har.audit`
# Check -> label of its category.
CATEGORIES = dict.fromkeys(TRAFFIC_CHECK_IDS, str(Category.REQUESTS)) | {c.id: str(c.category) for c in CHECKS}


def display_name(requirement: Requirement) -> str:
    """Return the operation, parameter and check of a requirement."""
    return " ".join(part for part in (requirement.operation, requirement.parameter, requirement.check) if part)


def format_headline(report: Report) -> str:
    """Return the verdict in one line: ``FAILED (exit 1): reasons``."""
    code = report.gate_result.exit_code
    reasons = "; ".join(report.redaction.redact_line(reason) for reason in report.gate_result.reasons)
    verdict, details = code.name.replace("_", " "), f": {reasons}" if reasons else ""
    if report.publishing_error:
        problem = f"REPORTS NOT WRITTEN (exit {int(report.exit_code)}): {report.publishing_error}"
        return f"{problem}; checks: {verdict}{details}"
    return f"{verdict} (exit {int(code)}){details}"


def format_counts(report: Report) -> str:
    """Return the numbers of passed, failed and skipped checks in one line."""
    gate_result = report.gate_result
    accepted = f", {len(gate_result.accepted)} accepted" if gate_result.accepted else ""
    return (
        f"{pluralize(len(gate_result.evaluated), 'check')} ran: {len(gate_result.passed)} passed, "
        f"{len(gate_result.blocking) + len(gate_result.gaps)} failed ({len(gate_result.blocking)} blocking, "
        f"{pluralize(len(gate_result.gaps), 'contract gap')}), {len(gate_result.flaky)} flaky{accepted}; "
        f"{sum(gate_result.skip_reasons.values())} skipped; "
        f"{gate_result.blocking_run} of {gate_result.blocking_total} blocking checks ran"
    )


def format_unchecked_operations(report: Report) -> str:
    """Return how many operations had no successful call, with the most frequent reasons; empty if all had one."""
    reasons = report.gate_result.unchecked_operations
    if not reasons:
        return ""
    shown = [f"{count} x {reason}" for reason, count in reasons.most_common(MAX_UNCHECKED_REASONS)]
    if len(reasons) > MAX_UNCHECKED_REASONS:
        shown.append(pluralize(len(reasons) - MAX_UNCHECKED_REASONS, "other reason"))
    total = pluralize(len(report.gate_result.scope), "operation")
    line = f"NOT CHECKED: {sum(reasons.values())} of {total} had no successful call: {'; '.join(shown)}"
    return report.redaction.redact_line(line)


def check_category(check: str) -> str:
    """Return the label of the category of a check; all Schemathesis checks share one."""
    return ENGINE_CATEGORY if check.startswith("engine-") else CATEGORIES.get(check, OTHER_CATEGORY)


def format_earlier_requests(report: Report, result: CheckResult) -> list[str]:
    """Return the requests before the last one, each in one line with its status; the first line names omitted ones."""
    earlier = _list_earlier_requests(report, result)
    redaction = report.redaction_for(result)
    omitted = len(earlier) - MAX_EARLIER_REQUESTS
    lines = [f"({omitted} earlier ones omitted; replay --format=sh prints all)"] if omitted > 0 else []
    for request, status in earlier[-MAX_EARLIER_REQUESTS:]:
        json_body = json.dumps(redaction.redact_value(request.body), ensure_ascii=False)
        body = "" if request.body is None else f" {json_body}"
        line = redaction.redact_line(f"{request.method.upper()} {request.target}{body}", MAX_REQUEST_LINE_CHARS)
        lines.append(f"{line} -> {status}")
    return lines


def _list_earlier_requests(report: Report, result: CheckResult) -> list[tuple[Request, int]]:
    """Return the requests before the last one, with their statuses: those that reproduce the failure, if recorded."""
    sequence = report.evidence_sequences.get(result.requirement.fingerprint)
    steps = sequence.steps if sequence is not None else ()
    numbers = [step.request.number for step in steps]
    if result.evidence and result.evidence[-1].request.number in numbers:
        earlier = steps[: numbers.index(result.evidence[-1].request.number)]
        return [(step.request, step.status) for step in earlier]
    return [(exchange.request, exchange.response.status) for exchange in result.evidence[:-1]]


def format_request_line(report: Report, result: CheckResult) -> str:
    """Return method, path and status of the last request, and since which run the check fails: the first line.

    Without a request and an earlier run it is "".
    """
    parts = []
    if result.evidence:
        exchange = result.evidence[-1]
        request = report.redaction_for(result).describe_request(exchange.request)
        parts.append(f"{request['method']} {request['target']} -> {exchange.response.status}")
    return "; ".join(filter(None, (*parts, _describe_since(report, result))))


def _describe_since(report: Report, result: CheckResult) -> str:
    """Return since which run a failure is known, or that it is new; "" without an earlier run to compare with."""
    if report.comparison is None:
        return ""
    is_known = result.requirement.fingerprint in report.comparison.since
    return f"failing since {report.since(result)}" if is_known else f"new in run {report.run_id}"


def describe_failure(report: Report, result: CheckResult) -> list[str]:
    """Return the lines that follow the message of a failure where a report has plain text only."""
    requirement, proposal = result.requirement, report.proposal_for(result)
    lines = (
        f"request: {request}" if (request := format_request_line(report, result)) else "",
        f"requirement: {requirement.summary}",
        f"location: {report.location(requirement)}",
        f"provenance: {report.provenance_level(result)}; {report.rerun_summary(result)}",
        f"sent: {ids}" if (ids := report.request_ids(result)) else "",
        report.curl_command(result),
        f"rerun: {report.replay_command(requirement)}",
        proposal.message if proposal else "",
    )
    return list(filter(None, lines))


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """Failures of one check and keyword; at least one. Reports show the first in full."""

    results: tuple[CheckResult, ...]

    @property
    def first(self) -> CheckResult:
        """The most severe failure."""
        return self.results[0]

    @property
    def operations(self) -> tuple[str, ...]:
        """Distinct operationIds, in order."""
        return tuple(dict.fromkeys(result.requirement.operation for result in self.results))

    @property
    def location_count(self) -> int:
        """Number of distinct locations in the contract."""
        return len({result.requirement.location for result in self.results})

    def title(self) -> str:
        """Return ``check on 12 operations: a, b, c and 9 more``; the display name for a single failure."""
        if len(self.results) == 1:
            return display_name(self.first.requirement)
        requirement, operations = self.first.requirement, self.operations
        check = f"{requirement.check} ({requirement.keyword})" if requirement.keyword else requirement.check
        if len(operations) == 1:
            return f"{check}: {len(self.results)} times on {operations[0]}"
        times = f", {len(self.results)} times" if len(self.results) > len(operations) else ""
        return f"{check} on {len(operations)} operations{times}: {join_names(operations, MAX_OPERATION_NAMES)}"


def group_results(results: Iterable[CheckResult]) -> tuple[ResultGroup, ...]:
    """Group failures; order by provenance (independent, stated, inferred), then by number of operations."""
    by_check: dict[tuple[str, str], list[CheckResult]] = {}
    for result in results:
        by_check.setdefault((result.requirement.check, result.requirement.keyword), []).append(result)
    groups = (ResultGroup(tuple(sorted(members, key=_order_in_group))) for members in by_check.values())
    return tuple(sorted(groups, key=lambda group: (_severity(group.first), -len(group.operations))))


def _order_in_group(result: CheckResult) -> tuple[int, bool]:
    """Order by provenance; then, failures that a replay reproduces come first."""
    return _severity(result), result.failure_kind is not FailureKind.DETERMINISTIC


def _severity(result: CheckResult) -> int:
    requirement = result.requirement
    if requirement.provenance_independent:
        return 0
    return 1 if requirement.is_stated else 2 if result.is_contradiction else 3
