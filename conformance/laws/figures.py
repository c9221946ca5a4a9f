"""Laws on figures: what an operation counts follows the run's own writes, agrees with lists, and adds up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws.law import Case, Law
from conformance.laws.lists import Listing, Moving, number, text
from conformance.laws.tenancy import NOBODY, unlike
from conformance.outcome import CheckResult
from conformance.session import CreatedRecord, Session
from spec.contract import BodyField, Contract, Operation, Parameter, Relation, Resource

COUNTED = "count"  # what a choice of a calculation is called that counts
MADE = "created"  # the stamp's word: what a choice of a figure is called that counts what was made
TOTAL = "total"
VALUE = "value"
MOST = 4  # filters that are compared with a list


@dataclass(frozen=True, slots=True)
class Figure:
    """A way to ask an operation how many records of a resource there are: the choices that make it count them."""

    operation: Operation
    resource: Resource
    asked: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What tells it from others of the same operation."""
        return " ".join(f"{name}={value}" for name, value in self.asked.items())

    def ask(self, session: Session, more: Mapping[str, Any] | None = None) -> tuple[int, Exchange]:
        """The total. Raises CannotMake."""
        said = {**self.asked, **(more or {})}
        if self.operation.request_body is not None:
            exchange = session.send(self.operation, body=said)
        else:
            exchange = session.send(self.operation, query=said)
        found = total(session, self.operation, exchange)
        if found is None:
            raise SkipCheck(f"{self.operation.id} answered {exchange.response.status} and no {TOTAL}")
        return found, exchange


def total(session: Session, operation: Operation, exchange: Exchange) -> int | None:
    """The total of a success, in the envelope or in what it holds."""
    body, data = exchange.response.json, session.data(operation, exchange)
    for one in (body, data) if exchange.response.ok else ():
        if isinstance(one, dict) and number(one.get(TOTAL)) is not None:
            return number(one[TOTAL])
    return None


def figures(contract: Contract, operation: Operation) -> Iterator[Figure]:
    """The ways to make an operation count records: by its required choices and the collection that one names."""
    if operation.is_generic or operation.path_parameter_names or not _totals(contract, operation):
        return
    items: list[Parameter | BodyField] = list(operation.query_parameters)
    if operation.request_body is not None:
        items = list(operation.request_body.fields.values()) if operation.has_query_body else []
    chosen = {item.name: _choices(contract, item) for item in items if item.required and item.x_query is None}
    collections = {r.collection: r for r in contract.resources.values()}
    about = next((name for name, values in chosen.items() if values and set(values) <= collections.keys()), None)
    for value in chosen.pop(about) if about is not None else [None]:
        resource = collections[value] if value is not None else contract.resources.get(operation.resource or "")
        asked = {name: _counting(values) for name, values in chosen.items()}
        if resource is not None and None not in asked.values():
            yield Figure(operation, resource, {**({about: value} if about else {}), **asked})


def _totals(contract: Contract, operation: Operation) -> bool:
    """Whether a success holds a total beside no rows of records."""
    if operation.envelope.schema_pointer is None or operation.envelope.view_name is not None:
        return False
    document = contract.document
    schema, at = document.dereference(
        document.resolve(operation.envelope.schema_pointer), operation.envelope.schema_pointer
    )
    properties = schema.get("properties", {})
    below = properties.get(operation.envelope.data_property or "", {})
    inner, _ = document.dereference(below, at)
    return TOTAL in properties or TOTAL in inner.get("properties", {})


def _choices(contract: Contract, item: Parameter | BodyField) -> list[str]:
    said: Mapping[str, Any] = item.schema
    for _ in range(5):
        if len(said.get("allOf", ())) == 1:
            said = said["allOf"][0]
        said, _at = contract.document.dereference(said, item.pointer)
    return [str(value) for value in said.get("enum", ()) if value is not None]


def _counting(values: list[str]) -> str | None:
    """The choice that counts records: what was made, or the first that says to count."""
    return MADE if MADE in values else next((value for value in values if COUNTED in value), None)


def _has_figures(contract: Contract, operation: Operation) -> bool:
    return any(True for _ in figures(contract, operation))


# They follow the run's own writes -------------------------------------------------------------------------------


def _follow(case: Case) -> Iterator[CheckResult]:
    """One more with a record of the run's, and one less without it, while the list says the same."""
    session = case.session
    for figure in figures(session.contract, case.operation):
        promise = case.promise(parameter=figure.name)
        try:
            said, exchange = _followed(session, figure)
        except SkipCheck as why:
            yield case.not_judged(promise, why.reason)
        else:
            yield case.judged(promise, said, exchange)


def _followed(session: Session, figure: Figure) -> tuple[str, Exchange]:
    listing = Listing(session, session.require_operation(figure.resource.name, "list"))
    _needs(session, figure.resource.name)
    rows = listing.ask().total
    before, _ = figure.ask(session)
    if listing.ask().total != rows:
        raise Moving
    mine = session.create(figure.resource.name)
    said, exchange = _moved(session, figure, listing, (before + 1, rows + 1), rows)
    if said:
        return f"{said} after a record was made that it counts", exchange
    if session.delete(mine.resource, mine.key):
        said, exchange = _moved(session, figure, listing, (before, rows), rows + 1)
    return f"{said} after that record was deleted" if said else "", exchange


def _needs(session: Session, resource: str) -> None:
    """Make what a record will need beforehand, so that what is counted moves by that record alone."""
    session.shared_record(resource)


def _moved(session: Session, figure: Figure, listing: Listing, due: tuple[int, int], was: int) -> tuple[str, Exchange]:
    """Whether the figure has moved. Raises Moving when the list has moved by more than the run's own record."""
    seen: list[Exchange] = []

    def look() -> str:
        rows = listing.ask().total
        found, exchange = figure.ask(session)
        seen.append(exchange)
        if found != due[0] and (rows not in (was, due[1]) or listing.ask().total != rows):
            raise Moving
        return "" if found == due[0] else f"{TOTAL} is {found}, due: {due[0]}"

    said = session.wait_until(look)
    return said, seen[-1]


# They agree with lists ------------------------------------------------------------------------------------------


def _filters(figure: Figure) -> list[tuple[Parameter | BodyField, tuple[str, ...]]]:
    items: list[Parameter | BodyField] = list(figure.operation.query_parameters)
    if figure.operation.request_body is not None:
        items = list(figure.operation.request_body.fields.values())
    return [
        (i, i.x_query.paths[0])
        for i in items
        if i.x_query and i.x_query.role == "filter" and i.x_query.operator == "eq"
    ]


def _agree(case: Case) -> Iterator[CheckResult]:
    """Narrowed to a record of the run's, figure and list count the same; narrowed further too."""
    session = case.session
    for figure in figures(session.contract, case.operation):
        listing = Listing(session, session.require_operation(figure.resource.name, "list"))
        yield from _of_nothing(case, figure)
        narrowed = _narrowed(session, figure, listing)
        if narrowed is None:
            promise = case.promise(parameter=figure.name)
            yield case.not_judged(
                promise, not_testable("the contract has no filter that narrows it to the run's records")
            )
            continue
        (item, key), parameter = narrowed
        own = (_said(item, key), ((parameter.name, text(key)),))
        yield _compared(case, figure, listing, item, own)
        for further, values in _further(session, figure, listing, item):
            more = ({**own[0], **_said(further[0], values)}, (*own[1], (further[1].name, text(values))))
            yield _compared(case, figure, listing, further[0], more)


def _of_nothing(case: Case, figure: Figure) -> Iterator[CheckResult]:
    """Narrowed to what nobody has, or has made yet, a figure is 0; a target may refuse what names no record."""
    for item, value in _nobodys(figure):
        promise = case.promise(item.pointer, None, f"{figure.name} {item.name} of nothing".strip())
        try:
            found, exchange = figure.ask(case.session, _said(item, value))
        except SkipCheck as why:
            yield case.not_judged(promise, why.reason)
            continue
        said = f"{TOTAL} is {found} with {item.name}={value}, which nothing has: 0 is due" if found else ""
        yield case.judged(promise, said, exchange)
        return


def _nobodys(figure: Figure) -> Iterator[tuple[Parameter | BodyField, Any]]:
    """Filters that can be asked for what nobody has: from a day to come, or of a number that is no record's."""
    items: list[Parameter | BodyField] = list(figure.operation.query_parameters)
    if figure.operation.request_body is not None:
        items = list(figure.operation.request_body.fields.values())
    for item in items:
        if item.x_query is None or item.x_query.role != "filter":
            continue
        if item.x_query.operator == "from" and item.schema.get("format") == "date":
            yield item, "2999-12-31"
        elif item.x_query.operator == "eq" and item.schema.get("format") == "uuid":
            yield item, unlike(str(UUID(int=0)))
        elif item.x_query.operator == "eq" and item.schema.get("items", item.schema).get("type") == "integer":
            yield item, NOBODY


Narrowed = tuple[Mapping[str, Any], tuple[tuple[str, str], ...]]


def _said(item: Parameter | BodyField, value: Any) -> dict[str, Any]:
    return {item.name: [value] if item.schema.get("type") == "array" else value}


def _narrowed(
    session: Session, figure: Figure, listing: Listing
) -> tuple[tuple[Parameter | BodyField, Any], Parameter] | None:
    """A filter of both by a record of the run that new records belong to, and that record's key."""
    resource = figure.resource
    if session.read_only:
        return None
    records = [session.shared_record(resource.name), *session.distinct_records(resource.name, 3)]
    for item, path in _filters(figure):
        relation: Relation | None = resource.relations.get(path[0])
        if relation is None or len(path) != 2 or len(relation.targets) != 1:
            continue
        target = session.contract.resources[relation.targets[0]]
        parameter = next(
            (p for p in listing.filters() if p.x_query and p.x_query.paths[0] == path and p.x_query.operator == "eq"),
            None,
        )
        mine = next((key for sent in records if (key := _parent_of(session, sent, relation.name))), None)
        if path[1] == target.key_attribute and parameter is not None and mine is not None:
            return (item, mine), parameter
    return None


def _parent_of(session: Session, mine: CreatedRecord, relation: str) -> Any:
    """The key that a record of the run was sent for a relation; a record of the run's, if it names one."""
    creating = session.creator(mine.resource)
    for field in creating.request_body.fields.values() if creating.request_body else ():
        if field.relation_setter and field.relation_setter.relation == relation and field.name in mine.request_body:
            key = mine.request_body[field.name]
            return key if any(made.key == key for made in session.write_log.created_records) else None
    return None


def _further(
    session: Session, figure: Figure, listing: Listing, used: Parameter | BodyField
) -> Iterator[tuple[tuple[Parameter | BodyField, Parameter], Any]]:
    """Filters of both by a choice or a flag of the record itself, with a value of the run's record."""
    shown, told = session.shared_record(figure.resource.name).body, 0
    for item, path in _filters(figure):
        parameter = next(
            (p for p in listing.filters() if p.x_query and p.x_query.paths[0] == path and p.x_query.operator == "eq"),
            None,
        )
        value = shown.get(path[0]) if len(path) == 1 else None
        if item is not used and parameter is not None and isinstance(value, (str, bool)) and told < MOST:
            told += 1
            yield (item, parameter), value


def _compared(
    case: Case, figure: Figure, listing: Listing, item: Parameter | BodyField, narrowed: Narrowed
) -> CheckResult:
    session, (asked, pairs) = case.session, narrowed
    promise = case.promise(item.pointer, None, f"{figure.name} {item.name}".strip())
    seen: list[Exchange] = []

    def look() -> str:
        answer = listing.ask(*pairs)
        found, exchange = figure.ask(session, asked)
        seen[:] = [exchange, answer.exchange]
        return "" if found == answer.total else f"{TOTAL} is {found}, the list with the same filter has {answer.total}"

    try:
        return case.judged(promise, session.wait_until(look), *seen)
    except SkipCheck as why:
        return case.not_judged(promise, why.reason)


# They add up ----------------------------------------------------------------------------------------------------


def _add_up(case: Case) -> Iterator[CheckResult]:
    """The parts of an answer, by state or by row, are the total."""
    session = case.session
    for figure in figures(session.contract, case.operation):
        found, exchange = figure.ask(session)
        parts = _parts(figure, session.data(case.operation, exchange))
        promise = case.promise(parameter=figure.name)
        if parts is None:
            yield case.not_judged(promise, not_testable("the contract has no parts of it that are the whole"))
        else:
            said = f"{TOTAL} is {found}, its parts are {sum(parts)}" if sum(parts) != found else ""
            yield case.judged(promise, said, exchange)


def _parts(figure: Figure, data: Any) -> list[float] | None:
    if isinstance(data, list):
        values = [row.get(VALUE) for row in data if isinstance(row, dict)]
        return [v for v in values if isinstance(v, (int, float))] if None not in values else None
    for named in figure.resource.attributes.values() if isinstance(data, dict) else ():
        if named.enum_values and all(isinstance(data.get(choice), (int, float)) for choice in named.enum_values):
            return [data[choice] for choice in named.enum_values]
    return None


LAWS: tuple[Law, ...] = (
    Law(
        "figures-follow-writes",
        "A figure goes up by one with a record that it counts, and down without it.",
        _has_figures,
        _follow,
        writes=True,
    ),
    Law(
        "figures-agree-with-lists",
        "A figure is the total of the list with the same filter.",
        _has_figures,
        _agree,
        writes=True,
    ),
    Law("figures-add-up", "A total is the sum of its parts.", _has_figures, _add_up),
)
