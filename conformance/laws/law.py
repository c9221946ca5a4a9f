"""What a law is: a promise read from the contract's words, and a small function that judges it on one operation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from conformance.cause import SkipReason
from conformance.exchange import Exchange
from conformance.outcome import CheckResult, Requirement, Status
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
    judge: Callable[["Case"], Iterator[CheckResult]]
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

    def promise(self, pointer: str | None = None, keyword: str | None = None, parameter: str = "") -> Requirement:
        """The promise at a place of the contract (the operation itself by default), with that place's grade."""
        place = pointer or self.operation.pointer
        known = get_provenance(self.session.contract.document, place, keyword)
        law = self.law
        return Requirement(law.id, self.operation.id, law.sentence, place, known, law.always, parameter, keyword or "")

    def judged(self, promise: Requirement, broken: str, *shown: Exchange) -> CheckResult:
        """Kept when `broken` is empty, else broken with these words (what was found, and what is due)."""
        return CheckResult(promise, Status.FAILED if broken else Status.PASSED, broken, shown)

    def not_judged(self, promise: Requirement, why: SkipReason | str) -> CheckResult:
        """Not judged, and why."""
        return CheckResult.skip(promise, why)
