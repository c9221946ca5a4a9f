"""What a run comes to, once, and how it is told, by one writer for each form. Writers decide nothing."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from conformance.contract_edits.proposals import Proposal
from conformance.gate.verdict import GateResult
from conformance.results import CheckResult, FailureKind, Requirement
from conformance.runner.runner import RunResult
from conformance.session.coverage import CoverageReport
from conformance.trace.sequence import RequestSequence
from conformance.transport.redaction import Redactor

JSON_REPORT_FILE = "conformance.json"  # the report that `replay` reads
MAX_EXCHANGES = 3  # exchanges of a failure that reports show
EXCERPT_CONTEXT_LINES = 4  # lines of the contract that an excerpt shows above and below its place
MAX_EXCERPT_CHARS = 200  # signs of such a line
# What a grade means for the verdict, for a reader who does not know ours.
PROVENANCE_TEXTS: Mapping[str, str] = {
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

    `contract`: the file's name; `contract_digest`: SHA-256 of its bytes. `line_numbers`: JSON pointer -> line in it. `notes`: what a
    reader has to know of how it was run. `seconds`, `requests`: what it took. `response_counts`: answers, counted. `contract_text`: the
    contract's, for excerpts. `proposals`: from `conformance.contract_edits.proposals`. `coverage`: what traffic touched, if noted.
    `sequences`: fingerprint of a broken promise -> the requests that show it. `report_dir`: where the reports are written,
    `write_log`: the file of what was written to the target; each "" where there is none.
    """

    target: str
    contract: str
    contract_digest: str
    run_id: str
    seed: int
    started_at: str
    seconds: float
    requests: int
    strict: bool
    read_only: bool
    token_env: str
    other_token_env: str
    notes: tuple[str, ...]
    run: RunResult
    gate_result: GateResult
    redaction: Redactor
    line_numbers: Mapping[str, int]
    response_counts: Mapping[tuple[str, int], int]
    contract_text: str = ""
    proposals: Mapping[tuple[str, str], Proposal] = field(default_factory=dict)
    coverage: CoverageReport | None = None
    sequences: Mapping[str, RequestSequence] = field(default_factory=dict)
    report_dir: str = ""
    write_log: str = ""
    _redactions: dict[int, tuple[CheckResult, Redactor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _contract_lines: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def line_number(self, requirement: Requirement) -> int:
        """The line in the contract that a promise rests on; that of what it stands in when it has none."""
        pointer = requirement.pointer
        while pointer not in self.line_numbers and "/" in pointer:
            pointer = pointer.rsplit("/", 1)[0]
        return self.line_numbers.get(pointer, 1)

    def location(self, requirement: Requirement) -> str:
        """``file:line pointer``."""
        return f"{self.contract}:{self.line_number(requirement)} {requirement.pointer}"

    def message(self, result: CheckResult) -> str:
        """What was found, harmless: secrets of its own exchanges are taken out too."""
        if not result.message:
            return ""
        name, _, _ = result.requirement.parameter.partition(" ")
        if any(self.redaction.is_hidden(part) for part in re.split(r"[.:]", name)):
            return "(about a value that is not shown)"
        return self.redaction_for(result).line(result.message)

    def cleanup_command(self) -> str:
        """How what is left over on the target is taken away."""
        if self.write_log:
            return f"athena-conformance clean {shlex.quote(self.redaction.line(self.write_log))}"
        return "no ledger was kept (--ledger FILE or --report-dir DIR), so `clean` cannot take them away"

    def redaction_for(self, result: CheckResult) -> Redactor:
        """The redaction that knows the secrets of an outcome's own exchanges too; found once, for all writers."""
        if id(result) not in self._redactions:
            redaction = self.redaction.with_values_from(result.evidence) if result.evidence else self.redaction
            self._redactions[id(result)] = result, redaction  # held, so that no other outcome gets its id
        return self._redactions[id(result)][1]

    def rerun_counts(self, result: CheckResult) -> tuple[int, int] | None:
        """(how often it was broken, how often it was judged); None when it was not broken."""
        return self.run.reruns.get(result.requirement.fingerprint)

    def curl_command(self, result: CheckResult) -> str:
        """The last exchange that shows it, as a command; "" when there is none."""
        if not result.evidence:
            return ""
        return self.redaction_for(result).curl(result.evidence[-1], self.target, self.token_env, self.other_token_env)

    def provenance_level(self, requirement: Requirement) -> str:
        """The key of `PROVENANCE_TEXTS` that decides whether it blocks."""
        return "always" if requirement.provenance_independent else requirement.provenance

    def rerun_summary(self, result: CheckResult) -> str:
        """``broken 2 of 2 times, deterministic``."""
        failed, total = self.rerun_counts(result) or (1, 1)
        return f"broken {failed} of {total} times" + (f", {result.failure_kind.value}" if result.failure_kind else "")

    def replay_command(self, requirement: Requirement) -> str:
        """The command that judges a failure again."""
        path = f"{self.report_dir.rstrip('/')}/{JSON_REPORT_FILE}" if self.report_dir else JSON_REPORT_FILE
        return f"athena-conformance replay {shlex.quote(self.redaction.line(path))} {requirement.id}"

    def display_target(self) -> str:
        """The address of the target, without credentials in it."""
        return self.redaction.line(self.target)

    def proposal_for(self, result: CheckResult) -> Proposal | None:
        """What to do about a gap; without its edits where they would show what may not be shown."""
        proposal = self.proposals.get((result.requirement.fingerprint, result.message))
        if proposal is None:
            return None
        redaction = self.redaction_for(result)
        message = redaction.line(proposal.message, 2_000)
        edits = [edit.document for edit in proposal.edits]
        if any(redaction.value(edit.get("value")) != edit.get("value") for edit in edits):
            return replace(proposal, message=message, edits=(), diff="")
        return replace(
            proposal, message=message, diff="\n".join(redaction.text(line, 400) for line in proposal.diff.splitlines())
        )

    def excerpt(self, requirement: Requirement) -> tuple[tuple[int, str, bool], ...]:
        """(line number, the contract's own line, whether it is the place) around the place of a promise."""
        if not self._contract_lines:
            self._contract_lines.extend(self.contract_text.splitlines())
        lines, line_number = self._contract_lines, self.line_number(requirement)
        first, last = max(1, line_number - EXCERPT_CONTEXT_LINES), min(len(lines), line_number + EXCERPT_CONTEXT_LINES)
        return tuple(
            (n, self.redaction.text(lines[n - 1], MAX_EXCERPT_CHARS), n == line_number) for n in range(first, last + 1)
        )
