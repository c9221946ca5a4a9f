"""What a law is: a promise read from the contract's words, and a small function that judges it on one operation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from conformance.results import CheckResult, Requirement, Status
from conformance.session.session import Session
from conformance.skip_reasons import SkipReason
from conformance.transport.messages import Exchange
from spec.loader import Contract, Operation
from spec.provenance import get_provenance


class Category(StrEnum):
    """Subject of a check; the value is the label that reports display."""

    LISTS = "lists"
    RELATIONS = "relations"
    AUTHENTICATION = "authentication"
    TENANCY = "tenancy"
    SHARING = "sharing"
    HTTP = "http"
    INPUT_VALIDATION = "input validation"
    WRITES = "writes"
    SIDE_EFFECTS = "side effects"
    ACTIONS = "actions"
    METRICS = "metrics"
    RESPONSES = "responses"
    REQUESTS = "requests"


@dataclass(frozen=True, slots=True)
class Check:
    """A law.

    `id`: its name in reports (``pages-do-not-overlap``). `requirement`: what must hold. `provenance_independent`: it rests on no fact of
    the API and blocks whatever the grade of the place. `writes`: it changes the target. `affected_by_other_clients`: it looks at records
    that others may write to meanwhile. `needs_second_token`: it is skipped without a token of another tenant.
    `applies_to`: whether it can be asked of an operation; `run` yields an outcome for each promise, and may raise
    CannotMake.
    """

    id: str
    requirement: str
    category: Category
    applies_to: Callable[[Contract, Operation], bool]
    run: Callable[["Case"], Iterator[CheckResult]]
    provenance_independent: bool = False
    writes: bool = False
    affected_by_other_clients: bool = False
    needs_second_token: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One law on one operation in one session: what `judge` gets."""

    check: Check
    session: Session
    operation: Operation

    def build_requirement(
        self, pointer: str | None = None, keyword: str | None = None, parameter: str = ""
    ) -> Requirement:
        """The promise at a place of the contract (the operation itself by default), with that place's grade."""
        location = pointer or self.operation.pointer
        provenance = get_provenance(self.session.contract.document, location, keyword)
        check = self.check
        return Requirement(
            check.id,
            self.operation.id,
            check.requirement,
            location,
            provenance,
            check.provenance_independent,
            parameter,
            keyword or "",
        )

    def build_result(self, requirement: Requirement, failure: str, *evidence: Exchange) -> CheckResult:
        """Kept when `failure` is empty, else broken with these words (what was found, and what is due)."""
        return CheckResult(requirement, Status.FAILED if failure else Status.PASSED, failure, evidence)

    def skip(self, requirement: Requirement, reason: SkipReason | str) -> CheckResult:
        """Not judged, and why."""
        return CheckResult.skip(requirement, reason)
