"""What a run comes to, once, and how it is told: on the terminal, as JSON, as JUnit. Writers decide nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from conformance.outcome import Outcome, Promise
from conformance.redaction import Redaction
from conformance.run import Run
from conformance.verdict import Judgement

SHOWN = 3  # exchanges of a failure that reports show


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the reports say.

    `contract`: the file's name; `digest`: SHA-256 of its bytes. `lines`: JSON pointer -> line in it. `notes`: what a
    reader has to know of how it was run. `seconds`, `requests`: what it took. `seen`: answers, counted.
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
    found: Run
    judgement: Judgement
    redaction: Redaction
    lines: Mapping[str, int]
    seen: Mapping[tuple[str, int], int]

    def line(self, promise: Promise) -> int:
        """The line in the contract that a promise rests on; that of what it stands in when it has none."""
        pointer = promise.pointer
        while pointer not in self.lines and "/" in pointer:
            pointer = pointer.rsplit("/", 1)[0]
        return self.lines.get(pointer, 1)

    def place(self, promise: Promise) -> str:
        """``file:line pointer``."""
        return f"{self.contract}:{self.line(promise)} {promise.pointer}"

    def said(self, outcome: Outcome) -> str:
        """What was found, harmless: secrets of its own exchanges are taken out too."""
        if self.redaction.hides(outcome.promise.parameter.rsplit(".", 1)[-1]):
            return "(about a value that is not shown)" if outcome.said else ""
        return self.redaction.knowing(outcome.shown).line(outcome.said)

    def replays(self, outcome: Outcome) -> tuple[int, int] | None:
        """(how often it was broken, how often it was judged); None when it was not broken."""
        return self.found.replays.get(outcome.promise.fingerprint)

    def curl(self, outcome: Outcome) -> str:
        """The last exchange that shows it, as a command; "" when there is none."""
        if not outcome.shown:
            return ""
        known = self.redaction.knowing(outcome.shown)
        return known.curl(outcome.shown[-1], self.target, self.token_env, self.other_token_env)
