"""A check verifies one requirement of the contract on one operation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from conformance.errors import SkipCategory, SkipCheck, SkipReason, not_testable
from conformance.results import CheckResult, Requirement, Status
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation
from spec.provenance import get_provenance

T = TypeVar("T")
P = ParamSpec("P")
RunFunction = Callable[["Case"], Iterator[CheckResult]]


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
    """A check, declared by `check`.

    `run`: yields a result for each location of the requirement and may raise SkipCheck. `id`: name in reports
    (``model-list``). `requirement`: the requirement in one sentence. `applies_to`: True for the operations that the
    check can run on. `provenance_independent`: a failure blocks at every provenance level, because the requirement does
    not depend on a fact of the API. `writes`: changes data of the target. `affected_by_other_clients`: inspects records
    that other clients may change during the check. `needs_second_token`: skipped without a token of another tenant.
    `needs_member_token`: skipped without a token of another member of the tenant.
    `deletes_fixture_record`: deletes the record of a fixture. `reads_all_responses`: evaluates the responses to the
    requests of all other checks. `compares_responses`: a failure is a contradiction between two responses.
    `is_concurrent`: sends requests at once, which needs --concurrency; a failure must recur in each of three reruns.
    """

    run: RunFunction
    id: str
    requirement: str
    category: Category
    applies_to: Callable[[Contract, Operation], bool]
    provenance_independent: bool = False
    writes: bool = False
    affected_by_other_clients: bool = False
    needs_second_token: bool = False
    needs_member_token: bool = False
    deletes_fixture_record: bool = False
    reads_all_responses: bool = False
    compares_responses: bool = False
    is_concurrent: bool = False

    @property
    def stage(self) -> int:
        """Checks of a lower stage run first; within a stage the order does not matter."""
        return 2 if self.reads_all_responses else int(self.deletes_fixture_record)


def _as_decorator(create: Callable[Concatenate[RunFunction, P], Check]) -> Callable[P, Callable[[RunFunction], Check]]:
    def decorate(*args: P.args, **kwargs: P.kwargs) -> Callable[[RunFunction], Check]:
        return lambda run: create(run, *args, **kwargs)

    return decorate


# Decorator that declares a function as a check: @check(id, requirement, category, applies_to, writes=True).
check = _as_decorator(Check)


class FixtureScope(Enum):
    """For how long the value of a fixture is used."""

    RUN = "run"  # once for all operations
    OPERATION = "operation"


@dataclass(frozen=True, slots=True)
class Fixture(Generic[T]):
    """A value that several checks share because it is expensive to build, or because its requests have effects.

    `build` is called when the first check uses it, once per session; a rerun has a new session. If it raises SkipCheck,
    all checks that use it are skipped.
    """

    name: str
    scope: FixtureScope
    build: Callable[["Case"], T]


# Categories of what the target did not provide.
_TARGET_CATEGORIES = (SkipCategory.TARGET, SkipCategory.INSUFFICIENT_DATA)


@dataclass(frozen=True, slots=True)
class Case:
    """One check on one operation in one session: the argument of `Check.run`."""

    check: Check
    session: Session
    operation: Operation

    def use(self, fixture: Fixture[T]) -> T:
        """Return the value of a fixture, built if necessary. Raises SkipCheck."""
        key = (fixture.name, self.operation.id if fixture.scope is FixtureScope.OPERATION else "")
        values: dict[tuple[str, str], Any] = self.session.fixture_values
        if key not in values:
            try:
                values[key] = fixture.build(self)
            except SkipCheck as skip:
                values[key] = skip.reason
        if isinstance(values[key], SkipReason):
            raise SkipCheck(values[key])
        value: T = values[key]
        return value

    def build_requirement(
        self,
        pointer: str | None = None,
        keyword: str | None = None,
        parameter: str = "",
        *,
        provenance_independent: bool = False,
    ) -> Requirement:
        """Build the requirement at a location of the contract, with its provenance. Default: the operation.

        `provenance_independent`: it blocks regardless of the provenance, as it always does for some checks.
        """
        location = pointer or self.operation.pointer
        provenance = get_provenance(self.session.contract.document, location, keyword)
        independent = provenance_independent or self.check.provenance_independent
        head = (self.check.id, self.operation.id, self.check.requirement, location)
        return Requirement(*head, provenance, independent, parameter, keyword or "")

    def build_result(self, requirement: Requirement, failure: str, *evidence: Exchange) -> CheckResult:
        """Build the result: passed if `failure` is empty, else failed with that message ("got X, expected Y")."""
        stored = tuple(exchange.as_evidence() for exchange in evidence)
        status = Status.FAILED if failure else Status.PASSED
        is_contradiction = bool(failure) and self.check.compares_responses
        return CheckResult(requirement, status, failure, stored, is_contradiction=is_contradiction)

    def skip(self, requirement: Requirement, reason: SkipReason | str) -> CheckResult:
        """Build the result of a skipped check. The target owes nothing to a static operation: it is not testable."""
        skip_reason = SkipReason.coerce(reason)
        if self.operation.is_static and skip_reason.category in _TARGET_CATEGORIES:
            skip_reason = not_testable(skip_reason.message)
        return CheckResult.skip(requirement, skip_reason)
