"""Access to list operations: pages, samples and records to fill them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case
from conformance.checks.support.parameters import QueryPairs, find_parameter
from conformance.checks.support.values import format_query_value, parse_integer
from conformance.errors import SkipCategory, SkipCheck, SkipReason, insufficient_data, not_testable
from conformance.results import CheckResult, Requirement
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.component_schemas import ComponentSchemas
from spec.extensions import POSITION_ROLES
from spec.model import Contract, Operation, Parameter, Resource

MIN_ORDERED_ROWS = 2  # the smallest list that has an order and more than one page
DISTINCT_RECORDS = 4  # records with different values that are created before a list is sampled
REJECTION_STATUSES = (400, 422)
LIST_CHANGED = SkipReason("the list was modified by another client during the check", SkipCategory.LIST_CHANGED)

Row = Mapping[str, Any]
Evaluation = tuple[str, tuple[Exchange, ...]]  # failure message ("" if passed) and evidence


class ListRequestRejected(SkipCheck):
    """The target rejected a list request that the contract allows."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(f"got {exchange.response.status} for a request that the contract allows, expected a success")
        self.exchange = exchange


class ListChangedDuringCheck(SkipCheck):
    """The list changed between two requests of one check."""

    def __init__(self) -> None:
        super().__init__(LIST_CHANGED)


def is_list(contract: Contract, operation: Operation) -> bool:
    """Return whether an operation lists records of a resource."""
    return operation.action == "list" and operation.envelope.is_list and operation.resource in contract.resources


def is_list_with(*roles: str) -> Callable[[Contract, Operation], bool]:
    """Build a predicate: whether an operation is a list with query parameters of all these roles."""

    def applies(contract: Contract, operation: Operation) -> bool:
        available = {p.x_query.role for p in operation.query_parameters if p.x_query}
        return is_list(contract, operation) and available.issuperset(roles)

    return applies


def get_pagination_roles(operation: Operation) -> set[str]:
    """Return the roles of all pagination values in the response of a list."""
    return {role for _, role in operation.envelope.page_property_paths}


def compute_pagination_values(number: int, size: int, total: int) -> dict[str, int]:
    """Return the number of each pagination role for a page with rows. `size`: rows per page."""
    return {
        "offset": (number - 1) * size,
        "total": total,
        "size": size,
        "current-page": number,
        "last-page": max(1, -(-total // size)),
        "first-item": (number - 1) * size + 1,
        "last-item": min(number * size, total),
    }


def evaluate_requirement(case: Case, requirement: Requirement, evaluate: Callable[[], Evaluation]) -> CheckResult:
    """Run one evaluation: a rejected list request is a failure, any other SkipCheck a skip."""
    try:
        failure, evidence = evaluate()
    except ListRequestRejected as rejection:
        return case.build_result(requirement, str(rejection), rejection.exchange)
    except SkipCheck as skip:
        return case.skip(requirement, skip.reason)
    return case.build_result(requirement, failure, *evidence)


def poll(session: Session, evaluate: Callable[[], Evaluation]) -> Evaluation:
    """Repeat an evaluation until it passes or the consistency timeout has elapsed; return the last."""
    evaluations: list[Evaluation] = []

    def find_problem() -> str:
        evaluations.append(evaluate())
        return evaluations[-1][0]

    session.client.wait_until(find_problem)
    return evaluations[-1]


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list. `pagination_values`: role (``total``, ``next``) -> value in the response."""

    exchange: Exchange
    rows: list[Row]
    pagination_values: Mapping[str, Any]

    @property
    def next_cursor(self) -> Any:
        """The value of the cursor parameter for the next page; None if there is none."""
        return self.pagination_values.get("next-cursor")

    @property
    def total(self) -> int:
        """The total in the response. Raises SkipCheck."""
        total = parse_integer(self.pagination_values.get("total"))
        if total is None:
            raise SkipCheck("the list has no total")
        return total


@dataclass(frozen=True, slots=True)
class Listing:
    """A list operation in a session. `scope`: query pairs sent with every request."""

    session: Session
    operation: Operation
    scope: QueryPairs = ()

    @property
    def resource(self) -> Resource:
        """The listed resource."""
        return self.session.operations.resource(self.operation)

    def require_parameter(self, role: str) -> Parameter:
        """Return the query parameter with a role. Raises SkipCheck."""
        parameter = find_parameter(self.operation, role)
        if parameter is None:
            raise SkipCheck(f"the list has no {role} parameter")
        return parameter

    def iter_filters(self) -> Iterator[Parameter]:
        """Yield the filter parameters."""
        return (p for p in self.operation.query_parameters if p.x_query and p.x_query.role == "filter")

    @property
    def position(self) -> Parameter | None:
        """The parameter that selects a page: by number, offset or cursor."""
        parameters = (find_parameter(self.operation, role) for role in POSITION_ROLES)
        return next((parameter for parameter in parameters if parameter is not None), None)

    @property
    def has_cursor(self) -> bool:
        """Whether a cursor selects a page: each page states the one of the next page."""
        position = self.position
        return position is not None and position.x_query is not None and position.x_query.role == "cursor"

    def fetch_next(self, pages: Sequence[ListPage], *pairs: tuple[str, str]) -> ListPage | None:
        """Fetch the page after `pages`, which begin with the first one; None if the list has no further page."""
        query = self.build_position_query(len(pages), sum(len(page.rows) for page in pages), pages)
        return None if query is None else self.fetch(*query, *pairs)

    def build_position_query(
        self, pages_before: int, rows_before: int, pages: Sequence[ListPage] = ()
    ) -> QueryPairs | None:
        """Build the query of the page after a number of pages, which have a number of rows.

        `pages`: those with a cursor. None if the last of them has no cursor of another page.
        """
        position = self.position
        if position is None or position.x_query is None:
            return ()
        if position.x_query.role == "cursor":
            cursor = pages[-1].next_cursor if pages else None
            return () if not pages else None if cursor in (None, "") else ((position.name, str(cursor)),)
        return ((position.name, str(rows_before if position.x_query.role == "offset" else pages_before + 1)),)

    def fetch(self, *pairs: tuple[str, str], size: int | None = None, page: int | None = None) -> ListPage:
        """Send one request; `size` and `page` are the values of the parameters with these roles.

        Raises ListRequestRejected for 400, 422 and 5xx, SkipCheck for any other failure.
        """
        roles = {"size": size, "page": page}
        numbers = {role: number for role, number in roles.items() if number is not None}
        pairs = (*((self.require_parameter(role).name, str(number)) for role, number in numbers.items()), *pairs)
        bound = {name for name, _ in (*self.scope, *pairs)}
        required = self.session.records.required_query(self.operation).items()
        defaults = tuple((name, format_query_value(value)) for name, value in required if name not in bound)
        exchange = self.session.client.send(self.operation, query=(*defaults, *self.scope, *pairs))
        status = exchange.response.status
        if status in REJECTION_STATUSES or status >= 500:
            raise ListRequestRejected(exchange)
        rows = self.session.operations.data(self.operation, exchange) if exchange.response.ok else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise SkipCheck(f"{self.operation.id} returned {status} without rows")
        return ListPage(exchange, rows, self.operation.envelope.read_page_values(exchange.response.json))

    def fetch_largest(self, *pairs: tuple[str, str], page: int | None = None) -> ListPage:
        """Fetch a page, by default the first, with the maximum page size."""
        return self.fetch(*self.build_largest_page_query(), *pairs, page=page)

    def find_pagination_property(self, role: str) -> tuple[str, str]:
        """Return (pointer, dotted name) of the pagination property with a role. Raises SkipCheck."""
        envelope, components = self.operation.envelope, ComponentSchemas.from_document(self.session.contract.document)
        for path, path_role in envelope.page_property_paths:
            if path_role == role and envelope.schema_pointer is not None:
                return components.find_property(envelope.schema_pointer, path), ".".join(path)
        raise SkipCheck(not_testable(f"the contract defines no {role} property"))

    def build_largest_page_query(self) -> QueryPairs:
        """Build the query for the maximum page size; empty if the list has no size parameter."""
        size = find_parameter(self.operation, "size")
        return ((size.name, str(int(size.schema.get("maximum", 100)))),) if size else ()

    def get_keys(self, rows: list[Row]) -> list[Any]:
        """Return the keys of rows. Raises SkipCheck if a row has none."""
        return [self.session.operations.key_of(self.resource.name, row) for row in rows]

    # Records to check

    def ensure_records(self, min_rows: int) -> "Listing":
        """Create records until the list has `min_rows`; `MIN_ORDERED_ROWS` suffice if none can be created.

        Raises SkipCheck.
        """
        page = self.fetch_largest()
        count = len(page.rows)
        total = max(count, parse_integer(page.pagination_values.get("total")) or 0)
        # Better a check of two rows than none. A shorter list shows too little: the create below raises the reason.
        is_creatable = self.session.contract.find_create_operation(self.resource.name) is not None
        if total == MIN_ORDERED_ROWS and not is_creatable:
            return self
        for _ in range(min_rows - count):
            self.session.records.create_variation(self.resource.name, self.session.payloads.random.randrange(100))
        if count < min_rows and self.session.client.wait_until(lambda: self._find_shortage(min_rows)):
            raise SkipCheck(insufficient_data("the list has too few rows"))
        return self

    def _find_shortage(self, min_rows: int) -> str:
        return "" if len(self.fetch_largest().rows) >= min_rows else "too few rows"

    def sample(self) -> list[Row]:
        """Return the first page to choose values from, after creating different records. Raises SkipCheck."""
        if not self.session.options.read_only and not self.scope:
            with suppress(SkipCheck):
                self.session.records.distinct_records(self.resource.name, DISTINCT_RECORDS)
        rows = list(self.fetch_largest().rows)
        if len(rows) < 2 and not self.session.options.read_only:
            rows = list(self.ensure_records(2).fetch_largest().rows)
        if not rows:
            raise SkipCheck("the list is empty")
        return rows
