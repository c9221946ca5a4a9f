"""What reports call things: a promise, a verdict, the family that a law belongs to."""

from collections.abc import Mapping

from conformance.laws import LAWS
from conformance.outcome import Promise
from conformance.report import Report
from conformance.verdict import Code

OTHER = "others"
WORDS: Mapping[Code, str] = {
    Code.KEPT: "KEPT",
    Code.BROKEN: "BROKEN",
    Code.USAGE: "NOT USABLE",
    Code.LOST: "TARGET LOST",
    Code.NOTHING: "NOTHING TESTED",
    Code.INCOMPLETE: "INCOMPLETE",
    Code.UNSTABLE: "UNSTABLE",
}


def name(promise: Promise) -> str:
    """What a promise is called: operation, parameter, law."""
    return " ".join(part for part in (promise.operation, promise.parameter, promise.law) if part)


def verdict(report: Report) -> str:
    """The verdict's word; a code that has none here is called by its own name."""
    code = report.judgement.code
    return WORDS.get(code, code.name.replace("_", " "))


def headline(report: Report) -> str:
    """The verdict in a sentence: the word, the exit code, the reasons."""
    reasons = "; ".join(report.redaction.line(reason) for reason in report.judgement.reasons)
    return f"{verdict(report)} (exit {int(report.judgement.code)})" + (f": {reasons}" if reasons else "")


def counts(report: Report) -> str:
    """How many promises became what, in a sentence."""
    judgement = report.judgement
    return (
        f"{judgement.judged} promises judged: {judgement.kept} kept, {len(judgement.blocking)} broken and blocking, "
        f"{len(judgement.gaps)} contract gaps, {len(judgement.flaky)} flaky; "
        f"{sum(judgement.causes.values())} not judged; "
        f"{judgement.reached} of {judgement.due} that can block were judged"
    )


def families() -> Mapping[str, str]:
    """Law -> the module of `conformance.laws` that it stands in: laws about one matter stand together."""
    return {law.id: law.judge.__module__.rpartition(".")[2] for law in LAWS if hasattr(law.judge, "__module__")}
