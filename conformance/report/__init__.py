"""What a run comes to, once, and how it is told, by one writer for each form. Writers decide nothing."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from conformance.coverage import CoverageReport
from conformance.outcome import CheckResult, FailureKind, Requirement
from conformance.proposal import Proposal
from conformance.redaction import Redactor
from conformance.run import RunResult
from conformance.sequence import RequestSequence
from conformance.verdict import GateResult

REPLAYED = "conformance.json"  # the report that `replay` reads
SHOWN = 3  # exchanges of a failure that reports show
AROUND = 4  # lines of the contract that an excerpt shows above and below its place
WIDEST = 200  # signs of such a line
# What a grade means for the verdict, for a reader who does not know ours.
GRADES: Mapping[str, str] = {
    "always": "It rests on no fact of the API: it blocks whatever the contract says.",
    "documented": "The API's documentation states it: it blocks.",
    "published": "A published page of the API states it: it blocks.",
    "confirmed": "A named backend was seen to do it: it blocks.",
    "inferred": "Nothing states it, the contract only proposes it: backend or contract may be wrong.",
}
# What a failure turned out to be when it was judged again.
ADVICE: Mapping[FailureKind, str] = {
    FailureKind.DETERMINISTIC: "It breaks from a fresh state too: one replay shows it.",
    FailureKind.STATE_DEPENDENT: "It breaks only after what the run did before: look at the state that those requests leave.",
    FailureKind.FLAKY: "It breaks sometimes: look for a race, a cache, an overloaded server.",
    FailureKind.INFRASTRUCTURE: "A gateway answered in the target's place, or nobody did.",
    FailureKind.INTERFERENCE: "Somebody else wrote meanwhile: run it alone.",
}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the reports say.

    `contract`: the file's name; `digest`: SHA-256 of its bytes. `lines`: JSON pointer -> line in it. `notes`: what a
    reader has to know of how it was run. `seconds`, `requests`: what it took. `seen`: answers, counted. `text`: the
    contract's, for excerpts. `proposals`: from `conformance.proposal`. `covered`: what traffic touched, if noted.
    `sequences`: fingerprint of a broken promise -> the requests that show it. `folder`: where the reports are written,
    `ledger`: the file of what was written to the target; each "" where there is none.
    """

    target: str
    contract: str
    digest: str
    run_id: str
    seed: int
    started: str
    seconds: float
    requests: int
    strict: bool
    read_only: bool
    token_env: str
    other_token_env: str
    notes: tuple[str, ...]
    found: RunResult
    judgement: GateResult
    redaction: Redactor
    lines: Mapping[str, int]
    seen: Mapping[tuple[str, int], int]
    text: str = ""
    proposals: Mapping[tuple[str, str], Proposal] = field(default_factory=dict)
    covered: CoverageReport | None = None
    sequences: Mapping[str, RequestSequence] = field(default_factory=dict)
    folder: str = ""
    ledger: str = ""
    _known: dict[int, tuple[CheckResult, Redactor]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _text: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def line(self, promise: Requirement) -> int:
        """The line in the contract that a promise rests on; that of what it stands in when it has none."""
        pointer = promise.pointer
        while pointer not in self.lines and "/" in pointer:
            pointer = pointer.rsplit("/", 1)[0]
        return self.lines.get(pointer, 1)

    def place(self, promise: Requirement) -> str:
        """``file:line pointer``."""
        return f"{self.contract}:{self.line(promise)} {promise.pointer}"

    def said(self, outcome: CheckResult) -> str:
        """What was found, harmless: secrets of its own exchanges are taken out too."""
        if not outcome.message:
            return ""
        name, _, _ = outcome.requirement.parameter.partition(" ")
        if any(self.redaction.is_hidden(part) for part in re.split(r"[.:]", name)):
            return "(about a value that is not shown)"
        return self.known(outcome).line(outcome.message)

    def cleaning(self) -> str:
        """How what is left over on the target is taken away."""
        if self.ledger:
            return f"athena-conformance clean {shlex.quote(self.redaction.line(self.ledger))}"
        return "no ledger was kept (--ledger FILE or --report-dir DIR), so `clean` cannot take them away"

    def known(self, outcome: CheckResult) -> Redactor:
        """The redaction that knows the secrets of an outcome's own exchanges too; found once, for all writers."""
        if id(outcome) not in self._known:
            found = self.redaction.with_values_from(outcome.evidence) if outcome.evidence else self.redaction
            self._known[id(outcome)] = outcome, found  # held, so that no other outcome gets its id
        return self._known[id(outcome)][1]

    def replays(self, outcome: CheckResult) -> tuple[int, int] | None:
        """(how often it was broken, how often it was judged); None when it was not broken."""
        return self.found.reruns.get(outcome.requirement.fingerprint)

    def curl(self, outcome: CheckResult) -> str:
        """The last exchange that shows it, as a command; "" when there is none."""
        if not outcome.evidence:
            return ""
        return self.known(outcome).curl(outcome.evidence[-1], self.target, self.token_env, self.other_token_env)

    def grade(self, promise: Requirement) -> str:
        """The key of `GRADES` that decides whether it blocks."""
        return "always" if promise.provenance_independent else promise.provenance

    def times(self, outcome: CheckResult) -> str:
        """``broken 2 of 2 times, deterministic``."""
        broken, judged = self.replays(outcome) or (1, 1)
        return f"broken {broken} of {judged} times" + (
            f", {outcome.failure_kind.value}" if outcome.failure_kind else ""
        )

    def replay(self, promise: Requirement) -> str:
        """The command that judges a failure again."""
        path = f"{self.folder.rstrip('/')}/{REPLAYED}" if self.folder else REPLAYED
        return f"athena-conformance replay {shlex.quote(self.redaction.line(path))} {promise.id}"

    def shown_target(self) -> str:
        """The address of the target, without credentials in it."""
        return self.redaction.line(self.target)

    def proposal(self, outcome: CheckResult) -> Proposal | None:
        """What to do about a gap; without its edits where they would show what may not be shown."""
        found = self.proposals.get((outcome.requirement.fingerprint, outcome.message))
        if found is None:
            return None
        known = self.known(outcome)
        said = known.line(found.message, 2_000)
        told = [edit.document for edit in found.edits]
        if any(known.value(edit.get("value")) != edit.get("value") for edit in told):
            return replace(found, message=said, edits=(), diff="")
        return replace(found, message=said, diff="\n".join(known.text(line, 400) for line in found.diff.splitlines()))

    def excerpt(self, promise: Requirement) -> tuple[tuple[int, str, bool], ...]:
        """(line number, the contract's own line, whether it is the place) around the place of a promise."""
        if not self._text:
            self._text.extend(self.text.splitlines())
        lines, at = self._text, self.line(promise)
        first, last = max(1, at - AROUND), min(len(lines), at + AROUND)
        return tuple((n, self.redaction.text(lines[n - 1], WIDEST), n == at) for n in range(first, last + 1))
