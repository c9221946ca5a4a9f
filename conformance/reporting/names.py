"""Names and sentences that several reports share."""

from collections.abc import Mapping
from functools import cache

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Category
from conformance.gate.verdict import pluralize
from conformance.reporting.model import Report
from conformance.results import Requirement

OTHER_CATEGORY = "other"
ENGINE_CATEGORY = "Schemathesis"
TRAFFIC_CHECK_IDS = ("request-matches-contract", "path-is-documented", "parameter-is-documented")  # `har.audit`


def display_name(requirement: Requirement) -> str:
    """Return the operation, parameter and check of a requirement."""
    return " ".join(part for part in (requirement.operation, requirement.parameter, requirement.check) if part)


def format_headline(report: Report) -> str:
    """Return the verdict in one line: ``FAILED (exit 1): reasons``."""
    code = report.gate_result.exit_code
    reasons = "; ".join(report.redaction.line(reason) for reason in report.gate_result.reasons)
    return f"{code.name.replace('_', ' ')} (exit {int(code)})" + (f": {reasons}" if reasons else "")


def format_counts(report: Report) -> str:
    """Return the numbers of passed, failed and skipped checks in one line."""
    gate_result = report.gate_result
    accepted = f", {len(gate_result.accepted)} accepted" if gate_result.accepted else ""
    return (
        f"{pluralize(gate_result.checks_run, 'check')} ran: {gate_result.passed} passed, "
        f"{len(gate_result.blocking) + len(gate_result.gaps)} failed ({len(gate_result.blocking)} blocking, "
        f"{pluralize(len(gate_result.gaps), 'contract gap')}), {len(gate_result.flaky)} flaky{accepted}; "
        f"{sum(gate_result.skip_reasons.values())} skipped; "
        f"{gate_result.blocking_run} of {gate_result.blocking_total} blocking checks ran"
    )


def check_category(check: str) -> str:
    """Return the label of the category of a check; all Schemathesis checks share one."""
    return ENGINE_CATEGORY if check.startswith("engine-") else _categories().get(check, OTHER_CATEGORY)


@cache
def _categories() -> Mapping[str, str]:
    traffic_categories = dict.fromkeys(TRAFFIC_CHECK_IDS, str(Category.REQUESTS))
    return traffic_categories | {check.id: str(check.category) for check in CHECKS}
