"""The model that every report is rendered from."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from conformance.contract_edits.proposals import Proposal
from conformance.gate.verdict import ExitCode, GateResult
from conformance.reporting.causes import find_cause
from conformance.reporting.comparison import FailureComparison
from conformance.results import CheckResult, FailureKind, Requirement
from conformance.runner.runner import RunResult
from conformance.session.coverage import CoverageReport
from conformance.trace.sequence import RequestSequence
from conformance.transport.credentials import OperationCredentials, PrintedCredentials
from conformance.transport.messages import Actor, header_variable
from conformance.transport.redaction import Redactor

JSON_REPORT_FILE = "conformance.json"  # the report that `replay` reads
MAX_EXCHANGES = 3  # exchanges shown for a failure
EXCERPT_CONTEXT_LINES = 4  # contract lines shown before and after the location of a requirement
MAX_EXCERPT_CHARS = 200  # of a contract line
PROVENANCE_TEXTS: Mapping[str, str] = {
    "always": "The requirement does not depend on the contract: it always blocks.",
    "documented": "Stated by the API documentation: it blocks.",
    "published": "Stated by a published page of the API: it blocks.",
    "confirmed": "Confirmed on a named backend: it blocks.",
    "contradiction": "Two responses of the target contradict each other: it blocks, except with --fail-on documented.",
    "inferred": "An assumption of the contract: either it or the backend may be wrong. It blocks only with --strict.",
}
ADVICE: Mapping[FailureKind, str] = {
    FailureKind.DETERMINISTIC: "It also fails in a fresh state: a replay reproduces it.",
    FailureKind.STATE_DEPENDENT: "It fails only after the previous requests of the run: check the state they leave.",
    FailureKind.NOT_REPEATED: "It was seen once: a higher --max-effect-calls allows the suite to repeat it.",
    FailureKind.FLAKY: "It fails sometimes: look for a race condition, a cache or an overloaded server.",
    FailureKind.INFRASTRUCTURE: "A gateway responded in place of the target, or there was no response.",
    FailureKind.INTERFERENCE: "Another client modified the records during the check: run the suite alone.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Input of all report writers.

    `contract`: name of the contract file; `contract_text`: for excerpts. `line_numbers`: JSON pointer -> line of the
    contract. `seconds`, `requests`: duration and size of the run. `proposals`: see `contract_edits.proposals`.
    `sequences`: fingerprint of a failure -> the requests that reproduce it, of the latest execution of its check;
    `evidence_sequences`: of the execution that the evidence is from. `report_dir`, `write_log`: paths, or "".
    `header_names`: of --header, without credentials. `has_login_token`: the token has a user and a password.
    `repository_path`: of the contract from the root of its Git repository, or "".
    `publishing_error`: why the reports could not be written, or "": the command then ends
    with a usage error.
    """

    target: str
    contract: str
    run_id: str
    seed: int
    started_at: str
    seconds: float
    requests: int
    token_env: str
    other_token_env: str
    member_token_env: str
    notes: tuple[str, ...]
    gate_result: GateResult
    redaction: Redactor
    line_numbers: Mapping[str, int]
    contract_text: str = ""
    proposals: Mapping[tuple[str, str], Proposal] = field(default_factory=dict)
    coverage: CoverageReport | None = None
    sequences: Mapping[str, RequestSequence] = field(default_factory=dict)
    evidence_sequences: Mapping[str, RequestSequence] = field(default_factory=dict)
    report_dir: str = ""
    write_log: str = ""
    header_names: tuple[str, ...] = ()
    credentials: OperationCredentials = field(default_factory=OperationCredentials)
    has_login_token: bool = True
    comparison: FailureComparison | None = None
    repository_path: str = ""
    publishing_error: str = ""
    _redactions: dict[tuple[int, ...], Redactor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def run(self) -> RunResult:
        """The results of the checks."""
        return self.gate_result.run_result

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command."""
        return ExitCode.USAGE if self.publishing_error else self.gate_result.exit_code

    @property
    def contract_digest(self) -> str:
        """SHA-256 of the bytes of the contract."""
        return self.gate_result.contract.document.digest

    @property
    def printed_credentials(self) -> PrintedCredentials:
        """The credentials of the requests as environment variables."""
        tokens = {
            Actor.OWNER: self.token_env,
            Actor.OTHER_TENANT: self.other_token_env,
            Actor.MEMBER: self.member_token_env,
        }
        return PrintedCredentials(self.credentials, tokens, self.has_login_token)

    def comparison_lines(self) -> list[str]:
        """Return the comparison with an earlier run; empty without --compare."""
        return [self.redaction.redact_line(line) for line in self.comparison.lines()] if self.comparison else []

    def since(self, result: CheckResult) -> str:
        """Return the run in which a failure was first reported: this one, or one of --compare."""
        current = f"run {self.run_id}, {self.started_at[:10]}"
        return self.comparison.since.get(result.requirement.fingerprint, current) if self.comparison else current

    def line_number(self, requirement: Requirement) -> int:
        """Return the contract line of a requirement, or of the closest parent that has one."""
        pointer = requirement.pointer
        while pointer not in self.line_numbers and "/" in pointer:
            pointer = pointer.rsplit("/", 1)[0]
        return self.line_numbers.get(pointer, 1)

    def source(self, requirement: Requirement) -> str:
        """Return ``file:line``."""
        return f"{self.contract}:{self.line_number(requirement)}"

    def location(self, requirement: Requirement) -> str:
        """Return ``file:line pointer``."""
        return f"{self.source(requirement)} {requirement.pointer}"

    def basis(self, requirement: Requirement) -> str:
        """Return the contract line of the keyword, or of the closest description, that a requirement is based on."""
        pointer = requirement.pointer
        candidates = [f"{pointer}/{requirement.keyword}"] if requirement.keyword else []
        while "/" in pointer:
            candidates += [f"{pointer}/description", f"{pointer}/summary"]
            pointer = pointer.rsplit("/", 1)[0]
        number = next((self.line_numbers[name] for name in candidates if name in self.line_numbers), 0)
        lines = [line.strip() for line in self.contract_text.splitlines()[number - 1 :]] if number else []
        first, *rest = lines or [""]
        if first.rstrip("+-").endswith(("|", ">")):  # the text follows
            first = rest[0] if rest else ""
        while rest and first.count("{") > first.count("}"):
            first = f"{first} {rest.pop(0)}"
        return self.redaction.redact_line(first, MAX_EXCERPT_CHARS)

    def message(self, result: CheckResult) -> str:
        """Return the message of a result without secrets, including those in its exchanges."""
        if not result.message:
            return ""
        name, _, _ = result.requirement.parameter.partition(" ")
        if any(self.redaction.is_hidden(part) for part in re.split(r"[.:]", name)):
            return "(concerns a value that is not shown)"
        cause = find_cause(result)
        message = f"{cause}; {result.message}" if cause else result.message
        return self.redaction_for(result).redact_line(message)

    def short_message(self, result: CheckResult, limit: int) -> str:
        return self.redaction.redact_line(self.message(result), limit)

    def cleanup_command(self) -> str:
        if self.write_log:
            return f"athena-conformance cleanup {shlex.quote(self.redaction.redact_line(self.write_log))}"
        return "there is no write log (--write-log FILE or --report-dir DIR), so `cleanup` cannot delete them"

    def redaction_for(self, result: CheckResult) -> Redactor:
        """Return the redactor that also knows the secrets in the exchanges of a result; cached for all writers."""
        key = tuple(exchange.request.number for exchange in result.evidence)
        if key not in self._redactions:
            self._redactions[key] = self.redaction.with_values_from(result.evidence) if key else self.redaction
        return self._redactions[key]

    def rerun_counts(self, result: CheckResult) -> tuple[int, int] | None:
        """Return (failed executions, all executions) of a failed check; None if it did not fail."""
        return self.run.reruns.get(result.requirement.fingerprint)

    def curl_command(self, result: CheckResult) -> str:
        """Return the last request of a result as a curl command; "" without an exchange."""
        if not result.evidence:
            return ""
        redaction, exchange = self.redaction_for(result), result.evidence[-1]
        variables = {name: header_variable(name) for name in self.header_names}
        return redaction.format_curl(exchange, self.target, self.printed_credentials, variables)

    def request_ids(self, result: CheckResult) -> str:
        """Return when the last request of a result was sent, and its ids for the logs of the target; or ""."""
        return self.redaction_for(result).format_ids(result.evidence[-1]) if result.evidence else ""

    def provenance_level(self, result: CheckResult) -> str:
        """Return the key of `PROVENANCE_TEXTS` that decides whether a failure blocks."""
        requirement = result.requirement
        if requirement.provenance_independent:
            return "always"
        return requirement.provenance if requirement.is_stated or not result.is_contradiction else "contradiction"

    def rerun_summary(self, result: CheckResult) -> str:
        """Return ``failed 2 of 2 times, deterministic``."""
        failed, total = self.rerun_counts(result) or (1, 1)
        return f"failed {failed} of {total} times" + (f", {result.failure_kind.value}" if result.failure_kind else "")

    def advice(self, result: CheckResult) -> str:
        """Return the explanation of the failure kind, or ""."""
        return ADVICE[result.failure_kind] if result.failure_kind else ""

    def replay_command(self, requirement: Requirement) -> str:
        path = f"{self.report_dir.rstrip('/')}/{JSON_REPORT_FILE}" if self.report_dir else JSON_REPORT_FILE
        return f"athena-conformance replay {shlex.quote(self.redaction.redact_line(path))} {requirement.id}"

    def display_target(self) -> str:
        """Return the address of the target without credentials."""
        return self.redaction.redact_line(self.target)

    def proposal_for(self, result: CheckResult) -> Proposal | None:
        """Return the proposal for a contract gap; without its edits if they contain a secret."""
        proposal = self.proposals.get((result.requirement.fingerprint, result.message))
        if proposal is None:
            return None
        redaction = self.redaction_for(result)
        message = redaction.redact_line(proposal.message, 2_000)
        edits = [edit.document for edit in proposal.edits]
        if any(redaction.redact_value(edit.get("value")) != edit.get("value") for edit in edits):
            return replace(proposal, message=message, edits=(), diff="")
        diff = "\n".join(redaction.redact_text(line, 400) for line in proposal.diff.splitlines())
        return replace(proposal, message=message, diff=diff)

    def excerpt(self, requirement: Requirement) -> tuple[tuple[int, str, bool], ...]:
        """Return (line number, contract line, whether it is the location) around the location of a requirement."""
        lines, line_number = self.contract_text.splitlines(), self.line_number(requirement)
        first, last = max(1, line_number - EXCERPT_CONTEXT_LINES), min(len(lines), line_number + EXCERPT_CONTEXT_LINES)
        shown = ((n, self.redaction.redact_text(lines[n - 1], MAX_EXCERPT_CHARS)) for n in range(first, last + 1))
        return tuple((n, line, n == line_number) for n, line in shown)
