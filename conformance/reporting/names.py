"""What reports call things: a promise, a verdict, the family that a law belongs to."""

from collections.abc import Mapping
from functools import cache

from conformance.checks import CHECKS
from conformance.gate.verdict import ExitCode, pluralize
from conformance.reporting import Report
from conformance.results import Requirement

OTHER_CATEGORY = "others"
ENGINE_CATEGORY = "stock engine"
# What a module of `conformance.checks` is called where a reader does not know ours; without: by its own name.
CATEGORY_NAMES: Mapping[str, str] = {
    "accepted": "what is accepted",
    "accounts": "signing in",
    "answers": "any answer",
    "auth": "access",
    "figures": "counts",
    "frame": "side effects",
    "pages": "paging",
    "refusals": "refusing",
    "sharing": "sharing",
    "stamps": "timestamps",
    "writes": "writing",
}
VERDICT_LABELS: Mapping[ExitCode, str] = {
    ExitCode.PASSED: "KEPT",
    ExitCode.FAILED: "BROKEN",
    ExitCode.USAGE: "NOT USABLE",
    ExitCode.TARGET_UNREACHABLE: "TARGET LOST",
    ExitCode.NO_CHECKS_RAN: "NOTHING TESTED",
    ExitCode.INCOMPLETE: "INCOMPLETE",
    ExitCode.FLAKY: "UNSTABLE",
}


def display_name(requirement: Requirement) -> str:
    """What a promise is called: operation, parameter, law."""
    return " ".join(part for part in (requirement.operation, requirement.parameter, requirement.check) if part)


def verdict_label(report: Report) -> str:
    """The verdict's word; a code that has none here is called by its own name."""
    code = report.gate_result.exit_code
    return VERDICT_LABELS.get(code, code.name.replace("_", " "))


def format_headline(report: Report) -> str:
    """The verdict in a sentence: the word, the exit code, the reasons."""
    reasons = "; ".join(report.redaction.line(reason) for reason in report.gate_result.reasons)
    return f"{verdict_label(report)} (exit {int(report.gate_result.exit_code)})" + (f": {reasons}" if reasons else "")


def format_counts(report: Report) -> str:
    """How many promises became what, in a sentence."""
    gate_result = report.gate_result
    accepted = f", {len(gate_result.accepted)} accepted" if gate_result.accepted else ""
    return (
        f"{pluralize(gate_result.checks_run, 'promise')} judged: {gate_result.passed} kept, "
        f"{len(gate_result.blocking) + len(gate_result.gaps)} broken ({len(gate_result.blocking)} blocking, "
        f"{pluralize(len(gate_result.gaps), 'contract gap')}), {len(gate_result.flaky)} flaky{accepted}; "
        f"{sum(gate_result.skip_reasons.values())} not judged; "
        f"{gate_result.blocking_run} of {gate_result.blocking_total} that can block were judged"
    )


def check_category(check: str) -> str:
    """What a law is about, for people; the stock engine's checks are a family of their own."""
    return ENGINE_CATEGORY if check.startswith("engine-") else _categories_by_check().get(check, OTHER_CATEGORY)


@cache
def _categories_by_check() -> Mapping[str, str]:
    """Law -> the matter of the module of `conformance.checks` that it stands in."""
    modules = {
        check.id: check.run.__module__.rpartition(".")[2] for check in CHECKS if hasattr(check.run, "__module__")
    }
    return {check: CATEGORY_NAMES.get(module, module) for check, module in modules.items()}
