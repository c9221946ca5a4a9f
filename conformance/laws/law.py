"""What a law is: a promise read from the contract's words, and a small function that judges it on one operation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from conformance.cause import Reason
from conformance.exchange import Exchange
from conformance.outcome import Outcome, Promise, Verdict
from conformance.session import Session
from spec.contract import Contract, Operation
from spec.provenance import get_provenance


@dataclass(frozen=True, slots=True)
class Law:
    """A law.

    `id`: its name in reports (``pages-do-not-overlap``). `sentence`: what must hold. `always`: it rests on no fact of
    the API and blocks whatever the grade of the place. `writes`: it changes the target. `shared`: it looks at records
    that others may write to meanwhile. `needs_second_token`: it is skipped without a token of another tenant.
    `applies`: whether it can be asked of an operation; `judge` yields an outcome for each promise, and may raise
    CannotMake.
    """

    id: str
    sentence: str
    applies: Callable[[Contract, Operation], bool]
    judge: Callable[["Case"], Iterator[Outcome]]
    always: bool = False
    writes: bool = False
    shared: bool = False
    needs_second_token: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One law on one operation in one session: what `judge` gets."""

    law: Law
    session: Session
    operation: Operation

    def promise(self, pointer: str | None = None, keyword: str | None = None, parameter: str = "") -> Promise:
        """The promise at a place of the contract (the operation itself by default), with that place's grade."""
        place = pointer or self.operation.pointer
        known = get_provenance(self.session.contract.document, place, keyword)
        law = self.law
        return Promise(law.id, self.operation.id, law.sentence, place, known, law.always, parameter, keyword or "")

    def judged(self, promise: Promise, broken: str, *shown: Exchange) -> Outcome:
        """Kept when `broken` is empty, else broken with these words (what was found, and what is due)."""
        return Outcome(promise, Verdict.BROKEN if broken else Verdict.KEPT, broken, shown)

    def not_judged(self, promise: Promise, why: Reason | str) -> Outcome:
        """Not judged, and why."""
        return Outcome.not_judged(promise, why)
