"""What reports call things: a promise, a verdict, the family that a law belongs to."""

from collections.abc import Mapping
from functools import cache

from conformance.laws import CHECKS
from conformance.outcome import Requirement
from conformance.report import Report
from conformance.verdict import ExitCode, pluralize

OTHER = "others"
ENGINE = "stock engine"
# What a module of `conformance.laws` is called where a reader does not know ours; without: by its own name.
MATTERS: Mapping[str, str] = {
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
WORDS: Mapping[ExitCode, str] = {
    ExitCode.PASSED: "KEPT",
    ExitCode.FAILED: "BROKEN",
    ExitCode.USAGE: "NOT USABLE",
    ExitCode.TARGET_UNREACHABLE: "TARGET LOST",
    ExitCode.NO_CHECKS_RAN: "NOTHING TESTED",
    ExitCode.INCOMPLETE: "INCOMPLETE",
    ExitCode.FLAKY: "UNSTABLE",
}


def name(promise: Requirement) -> str:
    """What a promise is called: operation, parameter, law."""
    return " ".join(part for part in (promise.operation, promise.parameter, promise.check) if part)


def verdict(report: Report) -> str:
    """The verdict's word; a code that has none here is called by its own name."""
    code = report.judgement.exit_code
    return WORDS.get(code, code.name.replace("_", " "))


def headline(report: Report) -> str:
    """The verdict in a sentence: the word, the exit code, the reasons."""
    reasons = "; ".join(report.redaction.line(reason) for reason in report.judgement.reasons)
    return f"{verdict(report)} (exit {int(report.judgement.exit_code)})" + (f": {reasons}" if reasons else "")


def counts(report: Report) -> str:
    """How many promises became what, in a sentence."""
    judgement = report.judgement
    accepted = f", {len(judgement.accepted)} accepted" if judgement.accepted else ""
    return (
        f"{pluralize(judgement.checks_run, 'promise')} judged: {judgement.passed} kept, "
        f"{len(judgement.blocking) + len(judgement.gaps)} broken ({len(judgement.blocking)} blocking, "
        f"{pluralize(len(judgement.gaps), 'contract gap')}), {len(judgement.flaky)} flaky{accepted}; "
        f"{sum(judgement.skip_reasons.values())} not judged; "
        f"{judgement.blocking_run} of {judgement.blocking_total} that can block were judged"
    )


def family(law: str) -> str:
    """What a law is about, for people; the stock engine's checks are a family of their own."""
    return ENGINE if law.startswith("engine-") else _families().get(law, OTHER)


@cache
def _families() -> Mapping[str, str]:
    """Law -> the matter of the module of `conformance.laws` that it stands in."""
    modules = {law.id: law.run.__module__.rpartition(".")[2] for law in CHECKS if hasattr(law.run, "__module__")}
    return {law: MATTERS.get(module, module) for law, module in modules.items()}
