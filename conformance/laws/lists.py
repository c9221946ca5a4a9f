"""Lists as laws ask them: rows, page words, samples, small scopes, and values that a row shows."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from conformance.cause import insufficient_data, not_testable
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws.law import Case
from conformance.outcome import CheckResult, Requirement
from conformance.session import Session
from spec.contract import Contract, Operation, Parameter, Resource
from spec.document import escape

WALKED = 300  # how many rows of a list are looked at, at most
OWN = 4  # how many records a law makes where a list has too few
REFUSED = (400, 422)
MOVING = "the list changed while it was looked at"

Row = Mapping[str, Any]
Finding = tuple[str, tuple[Exchange, ...]]


class Refused(SkipCheck):
    """A list did not answer what the contract admits."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(f"answered {exchange.response.status} to what the contract admits, a success is due")
        self.exchange = exchange


class Moving(SkipCheck):
    """The list changes while it is looked at."""

    def __init__(self) -> None:
        super().__init__(MOVING)


def is_list(contract: Contract, operation: Operation) -> bool:
    """Whether an operation lists records of a resource."""
    return operation.action == "list" and operation.envelope.is_list and operation.resource in contract.resources


def found(case: Case, promise: Requirement, find: Callable[[], Finding]) -> CheckResult:
    """The outcome of one promise: `find` answers what is broken, or "", and what shows it."""
    try:
        broken, shown = find()
    except Refused as refused:  # first: it says that a promise is broken
        return case.judged(promise, str(refused), refused.exchange)
    except SkipCheck as why:
        return case.not_judged(promise, why.reason)
    return case.judged(promise, broken, *shown)


@dataclass(frozen=True, slots=True)
class Answer:
    """One page: `words` holds what stands under each page word of the contract."""

    exchange: Exchange
    rows: list[Row]
    words: Mapping[str, Any]

    @property
    def total(self) -> int:
        """The total that it names. Raises CannotMake."""
        said = number(self.words.get("total"))
        if said is None:
            raise SkipCheck("the list names no total")
        return said


@dataclass(frozen=True, slots=True)
class Listing:
    """A list operation in a session. `within`: a query that every request carries (a small scope)."""

    session: Session
    operation: Operation
    within: tuple[tuple[str, str], ...] = ()

    @property
    def resource(self) -> Resource:
        """The resource that is listed."""
        return self.session.resource(self.operation)

    def parameter(self, role: str) -> Parameter | None:
        """The query parameter with a role."""
        return next((p for p in self.operation.query_parameters if p.x_query and p.x_query.role == role), None)

    def needed(self, role: str) -> Parameter:
        """The same. Raises CannotMake."""
        parameter = self.parameter(role)
        if parameter is None:
            raise SkipCheck(f"the list has no parameter for {role}")
        return parameter

    def filters(self) -> Iterator[Parameter]:
        """Its filters."""
        return (p for p in self.operation.query_parameters if p.x_query and p.x_query.role == "filter")

    def ask(self, *pairs: tuple[str, str]) -> Answer:
        """One request. Raises Refused when it is refused as wrong or fails, CannotMake when it is not answered else."""
        named = {name for name, _ in (*self.within, *pairs)}
        due = tuple((n, text(v)) for n, v in self.session.required_query(self.operation).items() if n not in named)
        exchange = self.session.send(self.operation, query=(*due, *self.within, *pairs))
        status = exchange.response.status
        if status in REFUSED or status >= 500:
            raise Refused(exchange)
        rows = self.session.data(self.operation, exchange) if exchange.response.ok else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise SkipCheck(f"{self.operation.id} answered {status} and no rows")
        return Answer(exchange, rows, self._words(exchange.response.json))

    def _words(self, body: Any) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for name, page in self.operation.envelope.pagination.items():
            below = body.get(name) if isinstance(body, dict) else None
            said |= {word: below[p] for p, word in page.items() if isinstance(below, dict) and p in below}
        return said

    def word_pointer(self, word: str) -> tuple[str, str]:
        """(pointer, dotted name) of a page word in the contract. Raises CannotMake when it has none."""
        schema, document = self.operation.envelope.schema_pointer, self.session.contract.document
        for name, page in self.operation.envelope.pagination.items():
            for prop, said in page.items():
                if said == word and schema is not None:
                    _, above = document.dereference(document.resolve(schema), schema)
                    node, at = document.dereference(
                        document.resolve(f"{above}/properties/{escape(name)}"), f"{above}/properties/{escape(name)}"
                    )
                    while len(node.get("allOf", ())) == 1:
                        node, at = document.dereference(node["allOf"][0], f"{at}/allOf/0")
                    return f"{at}/properties/{escape(prop)}", f"{name}.{prop}"
        raise SkipCheck(not_testable(f"the contract has no {word}"))

    def largest(self) -> tuple[tuple[str, str], ...]:
        """The query for as many rows as one page may have; nothing where no size can be asked."""
        size = self.parameter("size")
        return ((size.name, str(int(size.schema.get("maximum", 100)))),) if size else ()

    def keys(self, rows: list[Row]) -> list[Any]:
        """Keys of rows. Raises CannotMake when one shows none."""
        return [self.session.key_of(self.resource.name, row) for row in rows]

    def walk(self, *pairs: tuple[str, str]) -> tuple[list[Row], Answer]:
        """All rows of a list of at most WALKED, and its first page. Raises CannotMake when it is longer."""
        first = self.ask(*self.largest(), *pairs)
        rows = list(first.rows)
        page = self.parameter("page")
        if page is None:
            return rows, first
        if first.total > WALKED:
            raise SkipCheck(f"the list has {first.total} rows, and no more than {WALKED} are walked")
        asked = 2
        while first.rows and len(rows) < first.total:
            more = self.ask(*self.largest(), (page.name, str(asked)), *pairs).rows
            if not more:
                break
            rows += more
            asked += 1
        return rows, first

    def holds(self, key: Any, *pairs: tuple[str, str]) -> tuple[bool, Answer]:
        """Whether a record is in the list. Raises CannotMake when that would take too long to tell."""
        first = self.ask(*self.largest(), *pairs)
        if key in self.keys(first.rows):
            return True, first
        rows, first = self.walk(*pairs)
        return key in self.keys(rows), first

    # Having something to judge ----------------------------------------------------------------------------------

    def stocked(self, least: int) -> "Listing":
        """This list, with own records made where it has fewer rows than `least`; two are enough of what the contract
        cannot create. Raises CannotMake."""
        answer = self.ask(*self.largest())
        there = len(answer.rows)
        if max(there, number(answer.words.get("total")) or 0) == 2 and not self._can_grow():
            return self
        for _ in range(least - there):
            make_one(self.session, self.resource.name)
        if there < least and self.session.wait_until(lambda: self._lacks(least)):
            raise SkipCheck(insufficient_data("the list has too few rows to tell"))
        return self

    def _can_grow(self) -> bool:
        try:
            return bool(self.session.creator(self.resource.name))
        except SkipCheck:
            return False

    def _lacks(self, least: int) -> str:
        return "" if len(self.ask(*self.largest()).rows) >= least else "it has too few rows"

    def small(self, least: int) -> "Listing":
        """The list, or a part of it that holds own records, with `least` to WALKED rows. Raises CannotMake."""
        total = self.ask().total
        if total <= WALKED:
            return self if total >= least else self.stocked(least)
        for parameter, key in self._own_parents():
            part = Listing(self.session, self.operation, ((parameter.name, text(key)),))
            if part.ask().total <= WALKED:
                return part.stocked(least)
        raise SkipCheck(f"the list has {total} rows, and no small part of it can be asked for")

    def _own_parents(self) -> Iterator[tuple[Parameter, Any]]:
        """(filter, key) for each record of the run that new records of this resource will belong to."""
        creating = self.session.operation(self.resource.name, "create")
        fields = creating.request_body.fields.values() if creating and creating.request_body else ()
        required = {field.relation_setter.relation for field in fields if field.relation_setter and field.required}
        for parameter in self.filters():
            path = parameter.x_query.paths[0] if parameter.x_query else ()
            if len(path) == 2 and path[0] in required and parameter.schema.get("type") != "array":
                target = self.session.contract.resources[self.resource.relations[path[0]].targets[0]]
                if path[1] == target.key_attribute:
                    yield parameter, self.session.shared_record(target.name).key

    def sample(self) -> list[Row]:
        """Rows to choose values from: the first page, after own records that differ were made. Raises CannotMake."""
        self._vary()
        rows = list(self.ask(*self.largest()).rows)
        if len(rows) < 2 and not self.session.read_only:
            rows = list(self.stocked(2).ask(*self.largest()).rows)
        if not rows:
            raise SkipCheck("the list has no rows to choose a value from")
        return rows

    def _vary(self) -> None:
        """Have own records that differ, where the run can make any."""
        if self.session.read_only or self.within:
            return
        with suppress(SkipCheck):
            self.session.distinct_records(self.resource.name, OWN)


def make_one(session: Session, resource: str) -> None:
    """Make a record; own records differ in what the contract leaves open."""
    creating = session.operation(resource, "create")
    changes: dict[str, Any] = {}
    if creating is not None:
        changes = session.payloads.build_variation(creating, session.payloads.random.randrange(100), session.parent)
    try:
        session.create(resource, changes)
    except SkipCheck:
        if not changes or session.read_only:
            raise
        session.create(resource)


# Values ---------------------------------------------------------------------------------------------------------


def number(value: Any) -> int | None:
    """A whole number, also where it stands as text or as 1.0."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return int(value) if float(value) == int(float(value)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def text(value: Any) -> str:
    """A value as it stands in a query; 1.0, as some targets write 1, is 1."""
    whole = isinstance(value, bool) or (isinstance(value, float) and value.is_integer())
    return str(int(value)) if whole else str(value)


def shown_at(row: Any, path: tuple[str, ...]) -> list[Any] | None:
    """The values at a path of a row, through lists; None when the row does not show it."""
    if isinstance(row, list):
        parts = [shown_at(one, path) for one in row]
        return None if None in parts else [value for part in parts if part is not None for value in part]
    if not path:
        return [row]
    if row is None:
        return []
    if not isinstance(row, dict) or path[0] not in row:
        return None
    return shown_at(row[path[0]], path[1:])


def moment(value: Any) -> datetime | None:
    """A date-time as an instant; None when it is none, or says no zone."""
    if not isinstance(value, str) or len(value) < 19:
        return None
    try:
        said = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return said if said.tzinfo else None


def day(value: Any) -> date | None:
    """The day (UTC) of a date or a date-time."""
    instant = moment(value)
    if instant is not None:
        return instant.astimezone(UTC).date()
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def alike(one: Any, other: Any) -> bool:
    """Whether a database could take two values for equal: case, outer space, 1 and 1.0, and the zone do not count."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one == other and isinstance(one, (bool, int)) and isinstance(other, (bool, int))
    if isinstance(one, str) and isinstance(other, str):
        instant = moment(one)
        if instant is not None and moment(other) is not None:
            return instant == moment(other)
        return one.strip().casefold() == other.strip().casefold()
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)
