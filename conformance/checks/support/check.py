"""A check verifies one requirement of the contract on one operation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from conformance.errors import SkipReason
from conformance.results import CheckResult, Requirement, Status
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation
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
    """Declaration of a check.

    `id`: name in reports (``model-list``). `requirement`: the requirement in one sentence. `applies_to`: True
    for the operations that the check can run on. `run`: yields a result for each location of the requirement and may
    raise SkipCheck. `provenance_independent`: a failure blocks at every provenance level, because the requirement does
    not depend on a fact of the API. `writes`: changes data of the target. `affected_by_other_clients`: inspects records
    that other clients may change during the check. `needs_second_token`: skipped without a token of another tenant.
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
    """One check on one operation in one session: the argument of `Check.run`."""

    check: Check
    session: Session
    operation: Operation

    def build_requirement(
        self, pointer: str | None = None, keyword: str | None = None, parameter: str = ""
    ) -> Requirement:
        """Build the requirement at a location of the contract, with its provenance. Default: the operation."""
        location = pointer or self.operation.pointer
        provenance = get_provenance(self.session.contract.document, location, keyword)
        independent = self.check.provenance_independent
        return Requirement(
            self.check.id,
            self.operation.id,
            self.check.requirement,
            location,
            provenance,
            independent,
            parameter,
            keyword or "",
        )

    def build_result(self, requirement: Requirement, failure: str, *evidence: Exchange) -> CheckResult:
        """Passed if `failure` is empty; otherwise failed with that message ("got X, expected Y")."""
        return CheckResult(requirement, Status.FAILED if failure else Status.PASSED, failure, evidence)

    def skip(self, requirement: Requirement, reason: SkipReason | str) -> CheckResult:
        """Skipped for a reason."""
        return CheckResult.skip(requirement, reason)
