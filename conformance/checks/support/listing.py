"""Lists as laws ask them: rows, page words, samples, small scopes, and values that a row shows."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from conformance.checks.support.check import Case
from conformance.errors import SkipCheck
from conformance.results import CheckResult, Requirement
from conformance.session.session import Session
from conformance.skip_reasons import insufficient_data, not_testable
from conformance.transport.messages import Exchange
from spec.document import escape
from spec.loader import Contract, Operation, Parameter, Resource

MAX_WALKED_ROWS = 300  # how many rows of a list are looked at, at most
DISTINCT_RECORDS = 4  # how many records a law makes where a list has too few
REJECTION_STATUSES = (400, 422)
LIST_CHANGED_MESSAGE = "the list changed while it was looked at"

Row = Mapping[str, Any]
Evaluation = tuple[str, tuple[Exchange, ...]]


class ListRequestRejected(SkipCheck):
    """A list did not answer what the contract admits."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(f"answered {exchange.response.status} to what the contract admits, a success is due")
        self.exchange = exchange


class ListChangedDuringCheck(SkipCheck):
    """The list changes while it is looked at."""

    def __init__(self) -> None:
        super().__init__(LIST_CHANGED_MESSAGE)


def is_list(contract: Contract, operation: Operation) -> bool:
    """Whether an operation lists records of a resource."""
    return operation.action == "list" and operation.envelope.is_list and operation.resource in contract.resources


def evaluate_requirement(case: Case, requirement: Requirement, evaluate: Callable[[], Evaluation]) -> CheckResult:
    """The outcome of one promise: `evaluate` answers what is broken, or "", and what shows it."""
    try:
        failure, evidence = evaluate()
    except ListRequestRejected as rejection:  # first: it says that a promise is broken
        return case.build_result(requirement, str(rejection), rejection.exchange)
    except SkipCheck as skip:
        return case.skip(requirement, skip.reason)
    return case.build_result(requirement, failure, *evidence)


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page: `pagination_values` holds what stands under each page word of the contract."""

    exchange: Exchange
    rows: list[Row]
    pagination_values: Mapping[str, Any]

    @property
    def total(self) -> int:
        """The total that it names. Raises CannotMake."""
        total = parse_integer(self.pagination_values.get("total"))
        if total is None:
            raise SkipCheck("the list names no total")
        return total


@dataclass(frozen=True, slots=True)
class Listing:
    """A list operation in a session. `scope`: a query that every request carries (a small scope)."""

    session: Session
    operation: Operation
    scope: tuple[tuple[str, str], ...] = ()

    @property
    def resource(self) -> Resource:
        """The resource that is listed."""
        return self.session.resource(self.operation)

    def find_parameter(self, role: str) -> Parameter | None:
        """The query parameter with a role."""
        return next((p for p in self.operation.query_parameters if p.x_query and p.x_query.role == role), None)

    def require_parameter(self, role: str) -> Parameter:
        """The same. Raises CannotMake."""
        parameter = self.find_parameter(role)
        if parameter is None:
            raise SkipCheck(f"the list has no parameter for {role}")
        return parameter

    def iter_filters(self) -> Iterator[Parameter]:
        """Its filters."""
        return (p for p in self.operation.query_parameters if p.x_query and p.x_query.role == "filter")

    def fetch(self, *pairs: tuple[str, str]) -> ListPage:
        """One request. Raises Refused when it is refused as wrong or fails, CannotMake when it is not answered else."""
        bound_names = {name for name, _ in (*self.scope, *pairs)}
        required_pairs = tuple(
            (n, format_query_value(v))
            for n, v in self.session.required_query(self.operation).items()
            if n not in bound_names
        )
        exchange = self.session.send(self.operation, query=(*required_pairs, *self.scope, *pairs))
        status = exchange.response.status
        if status in REJECTION_STATUSES or status >= 500:
            raise ListRequestRejected(exchange)
        rows = self.session.data(self.operation, exchange) if exchange.response.ok else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise SkipCheck(f"{self.operation.id} answered {status} and no rows")
        return ListPage(exchange, rows, self._read_pagination_values(exchange.response.json))

    def _read_pagination_values(self, body: Any) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, roles in self.operation.envelope.pagination.items():
            page_object = body.get(name) if isinstance(body, dict) else None
            values |= {
                role: page_object[property_name]
                for property_name, role in roles.items()
                if isinstance(page_object, dict) and property_name in page_object
            }
        return values

    def find_pagination_property(self, role: str) -> tuple[str, str]:
        """(pointer, dotted name) of a page word in the contract. Raises CannotMake when it has none."""
        pointer, document = self.operation.envelope.schema_pointer, self.session.contract.document
        for name, roles in self.operation.envelope.pagination.items():
            for property_name, property_role in roles.items():
                if property_role == role and pointer is not None:
                    _, resolved_pointer = document.dereference(document.resolve(pointer), pointer)
                    node, object_pointer = document.dereference(
                        document.resolve(f"{resolved_pointer}/properties/{escape(name)}"),
                        f"{resolved_pointer}/properties/{escape(name)}",
                    )
                    while len(node.get("allOf", ())) == 1:
                        node, object_pointer = document.dereference(node["allOf"][0], f"{object_pointer}/allOf/0")
                    return f"{object_pointer}/properties/{escape(property_name)}", f"{name}.{property_name}"
        raise SkipCheck(not_testable(f"the contract has no {role}"))

    def build_largest_page_query(self) -> tuple[tuple[str, str], ...]:
        """The query for as many rows as one page may have; nothing where no size can be asked."""
        size_parameter = self.find_parameter("size")
        return ((size_parameter.name, str(int(size_parameter.schema.get("maximum", 100)))),) if size_parameter else ()

    def get_keys(self, rows: list[Row]) -> list[Any]:
        """Keys of rows. Raises CannotMake when one shows none."""
        return [self.session.key_of(self.resource.name, row) for row in rows]

    def fetch_all(self, *pairs: tuple[str, str]) -> tuple[list[Row], ListPage]:
        """All rows of a list of at most WALKED, and its first page. Raises CannotMake when it is longer."""
        first_page = self.fetch(*self.build_largest_page_query(), *pairs)
        rows = list(first_page.rows)
        page_parameter = self.find_parameter("page")
        if page_parameter is None:
            return rows, first_page
        if first_page.total > MAX_WALKED_ROWS:
            raise SkipCheck(f"the list has {first_page.total} rows, and no more than {MAX_WALKED_ROWS} are walked")
        page_number = 2
        while first_page.rows and len(rows) < first_page.total:
            next_rows = self.fetch(
                *self.build_largest_page_query(), (page_parameter.name, str(page_number)), *pairs
            ).rows
            if not next_rows:
                break
            rows += next_rows
            page_number += 1
        return rows, first_page

    def contains_key(self, key: Any, *pairs: tuple[str, str]) -> tuple[bool, ListPage]:
        """Whether a record is in the list. Raises CannotMake when that would take too long to tell."""
        first_page = self.fetch(*self.build_largest_page_query(), *pairs)
        if key in self.get_keys(first_page.rows):
            return True, first_page
        rows, first_page = self.fetch_all(*pairs)
        return key in self.get_keys(rows), first_page

    # Having something to judge ----------------------------------------------------------------------------------

    def ensure_records(self, min_rows: int) -> "Listing":
        """This list, with own records made where it has fewer rows than `min_rows`; two are enough of what the contract
        cannot create. Raises CannotMake."""
        page = self.fetch(*self.build_largest_page_query())
        row_count = len(page.rows)
        if max(row_count, parse_integer(page.pagination_values.get("total")) or 0) == 2 and not self._is_creatable():
            return self
        for _ in range(min_rows - row_count):
            create_distinct_record(self.session, self.resource.name)
        if row_count < min_rows and self.session.wait_until(lambda: self._find_shortage(min_rows)):
            raise SkipCheck(insufficient_data("the list has too few rows to tell"))
        return self

    def _is_creatable(self) -> bool:
        try:
            return bool(self.session.creator(self.resource.name))
        except SkipCheck:
            return False

    def _find_shortage(self, min_rows: int) -> str:
        return "" if len(self.fetch(*self.build_largest_page_query()).rows) >= min_rows else "it has too few rows"

    def narrow(self, min_rows: int) -> "Listing":
        """The list, or a part of it that holds own records, with `min_rows` to WALKED rows. Raises CannotMake."""
        total = self.fetch().total
        if total <= MAX_WALKED_ROWS:
            return self if total >= min_rows else self.ensure_records(min_rows)
        for parameter, key in self._iter_own_parent_filters():
            narrowed = Listing(self.session, self.operation, ((parameter.name, format_query_value(key)),))
            if narrowed.fetch().total <= MAX_WALKED_ROWS:
                return narrowed.ensure_records(min_rows)
        raise SkipCheck(f"the list has {total} rows, and no small part of it can be asked for")

    def _iter_own_parent_filters(self) -> Iterator[tuple[Parameter, Any]]:
        """(filter, key) for each record of the run that new records of this resource will belong to."""
        create_operation = self.session.operation(self.resource.name, "create")
        fields = (
            create_operation.request_body.fields.values() if create_operation and create_operation.request_body else ()
        )
        required_relations = {
            field.relation_setter.relation for field in fields if field.relation_setter and field.required
        }
        for parameter in self.iter_filters():
            path = parameter.x_query.paths[0] if parameter.x_query else ()
            if len(path) == 2 and path[0] in required_relations and parameter.schema.get("type") != "array":
                target = self.session.contract.resources[self.resource.relations[path[0]].targets[0]]
                if path[1] == target.key_attribute:
                    yield parameter, self.session.shared_record(target.name).key

    def sample(self) -> list[Row]:
        """Rows to choose values from: the first page, after own records that differ were made. Raises CannotMake."""
        self._ensure_distinct_records()
        rows = list(self.fetch(*self.build_largest_page_query()).rows)
        if len(rows) < 2 and not self.session.read_only:
            rows = list(self.ensure_records(2).fetch(*self.build_largest_page_query()).rows)
        if not rows:
            raise SkipCheck("the list has no rows to choose a value from")
        return rows

    def _ensure_distinct_records(self) -> None:
        """Have own records that differ, where the run can make any."""
        if self.session.read_only or self.scope:
            return
        with suppress(SkipCheck):
            self.session.distinct_records(self.resource.name, DISTINCT_RECORDS)


def create_distinct_record(session: Session, resource: str) -> None:
    """Make a record; own records differ in what the contract leaves open."""
    create_operation = session.operation(resource, "create")
    changes: dict[str, Any] = {}
    if create_operation is not None:
        changes = session.payloads.build_variation(
            create_operation, session.payloads.random.randrange(100), session.parent
        )
    try:
        session.create(resource, changes)
    except SkipCheck:
        if not changes or session.read_only:
            raise
        session.create(resource)


# Values ---------------------------------------------------------------------------------------------------------


def parse_integer(value: Any) -> int | None:
    """A whole number, also where it stands as text or as 1.0."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(value) if float(value) == int(float(value)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def format_query_value(value: Any) -> str:
    """A value as it stands in a query; 1.0, as some targets write 1, is 1."""
    is_integral = isinstance(value, bool) or (isinstance(value, float) and value.is_integer())
    return str(int(value)) if is_integral else str(value)


def get_values_at(row: Any, path: tuple[str, ...]) -> list[Any] | None:
    """The values at a path of a row, through lists; None when the row does not show it."""
    if isinstance(row, list):
        parts = [get_values_at(item, path) for item in row]
        return None if None in parts else [value for part in parts if part is not None for value in part]
    if not path:
        return [row]
    if row is None:
        return []
    if not isinstance(row, dict) or path[0] not in row:
        return None
    return get_values_at(row[path[0]], path[1:])


def parse_zoned_datetime(value: Any) -> datetime | None:
    """A date-time as an instant; None when it is none, or says no zone."""
    if not isinstance(value, str) or len(value) < 19:
        return None
    try:
        parsed = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else None


def parse_utc_date(value: Any) -> date | None:
    """The day (UTC) of a date or a date-time."""
    instant = parse_zoned_datetime(value)
    if instant is not None:
        return instant.astimezone(UTC).date()
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def loosely_equal(left: Any, right: Any) -> bool:
    """Whether a database could take two values for equal: case, outer space, 1 and 1.0, and the zone do not count."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left == right and isinstance(left, (bool, int)) and isinstance(right, (bool, int))
    if isinstance(left, str) and isinstance(right, str):
        instant = parse_zoned_datetime(left)
        if instant is not None and parse_zoned_datetime(right) is not None:
            return instant == parse_zoned_datetime(right)
        return left.strip().casefold() == right.strip().casefold()
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(loosely_equal(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(loosely_equal, left, right))
    return bool(left == right)
