"""Includes: which relations an answer embeds, what they show, and what counts say of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws.law import Case, Law
from conformance.laws.lists import Finding, Listing, Moving, Refused, Row, alike, found, is_list, text
from conformance.outcome import CheckResult
from conformance.session import Session
from spec.contract import (
    Contract,
    DerivedProperty,
    Operation,
    Parameter,
    Relation,
    Resource,
    View,
    resolve_count,
    resolve_include,
)

LOOKED_AT = 20  # rows, at most
COUNTED = 5  # rows whose counts are compared with lists, at most


def _shows(contract: Contract, operation: Operation) -> bool:
    return (
        operation.method == "get" and operation.envelope.view_name in contract.views and _can_ask(contract, operation)
    )


def _can_ask(contract: Contract, operation: Operation) -> bool:
    return is_list(contract, operation) or operation.action == "retrieve" or identifies(contract, operation)


def identifies(contract: Contract, operation: Operation) -> bool:
    """Whether an operation says who asks."""
    return contract.is_whoami(operation)


def _with(role: str) -> Callable[[Contract, Operation], bool]:
    return lambda contract, operation: _shows(contract, operation) and _parameter(operation, role) is not None


def _parameter(operation: Operation, role: str) -> Parameter | None:
    return next((p for p in operation.query_parameters if p.x_query and p.x_query.role == role), None)


@dataclass(frozen=True, slots=True)
class Asked:
    """The operation under judgement: a list, or the retrieval of one record (`path`)."""

    session: Session
    operation: Operation
    path: Mapping[str, Any]

    @classmethod
    def of(cls, case: Case) -> "Asked":
        """A record is taken from the list of its resource, or made. Raises CannotMake."""
        session, operation = case.session, case.operation
        if identifies(session.contract, operation):
            return cls(session, operation, {})
        if operation.action != "retrieve":
            Listing(session, operation).sample()
            return cls(session, operation, {})
        listing = session.operation(operation.resource or "", "list")
        if listing is None:
            return cls(
                session,
                operation,
                {operation.path_parameter_names[0]: session.shared_record(operation.resource or "").key},
            )
        rows = Listing(session, listing)
        fullest = max(rows.sample(), key=lambda row: sum(bool(row.get(name)) for name in rows.resource.relations))
        return cls(session, operation, {operation.path_parameter_names[0]: rows.keys([fullest])[0]})

    @property
    def view(self) -> View:
        """The schema by which records are shown."""
        return self.session.contract.views[self.operation.envelope.view_name or ""]

    def rows(self, query: tuple[tuple[str, str], ...] = ()) -> tuple[list[Row], Exchange]:
        """The first records of an answer. Raises Refused, CannotMake."""
        if self.operation.envelope.is_list:
            answer = Listing(self.session, self.operation).ask(*query)
            return answer.rows[:LOOKED_AT], answer.exchange
        exchange = self.session.send(self.operation, path=self.path, query=query)
        if exchange.response.status in (400, 422) or exchange.response.status >= 500:
            raise Refused(exchange)
        row = self.session.data(self.operation, exchange)
        if not exchange.response.ok or not isinstance(row, dict):
            raise SkipCheck(f"{self.operation.id} answered {exchange.response.status} and no record")
        return [row], exchange


def allowed_values(parameter: Parameter) -> list[str]:
    """The values of an include or count parameter."""
    said = parameter.schema.get("items", parameter.schema)
    return [str(value) for value in said.get("enum", ()) if value]


def everything(session: Session, operation: Operation) -> tuple[tuple[str, str], ...]:
    """The query that has all relations embedded which may be asked for; each once, whatever its spellings."""
    parameter = next((p for p in operation.query_parameters if p.x_query and p.x_query.role == "include"), None)
    if parameter is None:
        return ()
    resource = session.resource(operation)
    paths = {resolve_include(session.contract, resource, v, ""): v for v in reversed(allowed_values(parameter))}
    asked = list(paths.values())
    if parameter.schema.get("type") == "array" and parameter.explode:
        return tuple((parameter.name, value) for value in asked)
    return ((parameter.name, ",".join(asked)),)


def embeds_what_is_asked(case: Case) -> Iterator[CheckResult]:
    """One promise for each value of the include parameter."""
    asked = Asked.of(case)
    parameter = _parameter(case.operation, "include")
    assert parameter is not None
    for value in allowed_values(parameter):

        def find(value: str = value) -> Finding:
            path = resolve_include(asked.session.contract, asked.session.resource(asked.operation), value, "")
            rows, exchange = asked.rows(((parameter.name, value),))
            for row in rows:
                lacking = _lacking(asked.session.contract, asked.view, row, path)
                if lacking:
                    return f"{lacking} is not embedded, {'.'.join(path)} was asked for", (exchange,)
            return "", (exchange,)

        yield found(case, case.promise(parameter.pointer, parameter=f"{parameter.name}={value}"), find)


def _lacking(contract: Contract, view: View, row: Any, path: tuple[str, ...]) -> str:
    """The first relation of a path that a record does not show; "" when it shows all, or the path ends at nothing."""
    if not path or not isinstance(row, dict) or path[0] not in view.property_names:
        return ""
    relation = contract.resources[view.resource].relations.get(path[0])
    if relation is None or (row == {} and not relation.to_many):  # a circle's end
        return ""
    if path[0] not in row:
        return path[0]
    value = row[path[0]]
    for one in value if isinstance(value, list) else [value]:
        below = contract.views[next(iter(relation.target_views.values()))]
        if one != {} and len(relation.targets) == 1 and (lacking := _lacking(contract, below, one, path[1:])):
            return f"{path[0]}.{lacking}"
    return ""


def embeds_nothing_else(case: Case) -> Iterator[CheckResult]:
    """Each relation that may be asked for by itself, without the others."""
    asked = Asked.of(case)
    parameter = _parameter(case.operation, "include")
    assert parameter is not None
    contract = asked.session.contract
    resource = contract.resources[asked.view.resource]
    required = set(contract.document.resolve(asked.view.pointer).get("required", ()))
    optional = {r.name for r in resource.relations.values() if not r.write_only} - required
    for value in allowed_values(parameter):
        if value not in resource.relations:
            continue

        def find(value: str = value) -> Finding:
            rows, exchange = asked.rows(((parameter.name, value),))
            for row in rows:
                more = sorted((optional - {value}) & row.keys())
                if more:
                    return f"{more[0]} is embedded, only {value} was asked for", (exchange,)
            return "", (exchange,)

        yield found(case, case.promise(f"{parameter.pointer}/schema", "enum", f"{parameter.name}={value}"), find)


# Embedded records -----------------------------------------------------------------------------------------------


def embedded_equals_retrieved(case: Case) -> Iterator[CheckResult]:
    """One promise for each relation that an answer embeds and whose records can be retrieved."""
    asked = Asked.of(case)
    rows, _ = asked.rows()
    resource = asked.session.contract.resources[asked.view.resource]
    for relation in resource.relations.values():
        if len(relation.targets) != 1 or not (_is_account(asked, relation) or _can_retrieve(asked, relation)):
            continue
        if not any(relation.name in row for row in rows):
            continue
        promise = case.promise(relation.pointer, "properties", relation.name)
        yield found(case, promise, _compared(asked, relation))


def _is_account(asked: Asked, relation: Relation) -> bool:
    account = asked.session.contract.account_resource
    return account is not None and relation.targets == (account.name,)


def _can_retrieve(asked: Asked, relation: Relation) -> bool:
    return asked.session.operation(relation.targets[0], "retrieve") is not None


def _compared(asked: Asked, relation: Relation) -> Callable[[], Finding]:
    def find() -> Finding:
        first = _difference(asked, relation)
        if first[0] and _difference(asked, relation)[0] != first[0]:
            raise Moving
        return first

    return find


def _difference(asked: Asked, relation: Relation) -> Finding:
    session = asked.session
    target = session.contract.resources[relation.targets[0]]
    rows, exchange = asked.rows()
    embedded = [one for row in rows for one in _records(row.get(relation.name)) if target.key_attribute in one]
    if not embedded:
        raise SkipCheck(f"no row embeds a {target.name}")
    if not relation.to_many and not identifies(session.contract, asked.operation):
        found = _elsewhere(asked, relation, rows, exchange)
        if found[0]:
            return found
    if _is_account(asked, relation):
        # What was asked when the run began; using an account may stamp it.
        record = {n: v for n, v in session.identity().items() if n not in target.attributes_with_stamp("updated")}
        own = next((e for e in embedded if alike(e[target.key_attribute], record.get(target.key_attribute))), None)
        if own is None:
            raise SkipCheck(f"no row embeds the {target.name} that asks")
        return _unlike(relation, target, own, record), (exchange,)
    one = embedded[0]
    retrieved = session.retrieve(target.name, one[target.key_attribute])
    shown = session.data(session.require_operation(target.name, "retrieve"), retrieved)
    if not retrieved.response.ok or not isinstance(shown, dict):
        raise SkipCheck(f"the embedded {target.name} was answered {retrieved.response.status}")
    return _unlike(relation, target, one, shown), (exchange, retrieved)


def _elsewhere(asked: Asked, relation: Relation, rows: list[Row], exchange: Exchange) -> Finding:
    """A record that is listed and retrieved leads to the same record both ways."""
    session, resource = asked.session, asked.view.resource
    key, target = (
        session.contract.resources[resource].key_attribute,
        session.contract.resources[relation.targets[0]].key_attribute,
    )
    retrieve, listing = session.operation(resource, "retrieve"), session.operation(resource, "list")
    row = next((row for row in rows if isinstance(row.get(relation.name), dict)), {})
    if retrieve is None or listing is None or key not in row:
        return "", (exchange,)
    if asked.operation is listing:
        path = {retrieve.path_parameter_names[0]: row[key]}
        other = session.send(retrieve, path=path, query=everything(session, retrieve))
        there = session.data(retrieve, other)
    else:
        page = Listing(session, listing).ask(*Listing(session, listing).largest(), *everything(session, listing))
        other, there = page.exchange, next((r for r in page.rows if r.get(key) == row[key]), None)
    shown = there.get(relation.name) if isinstance(there, dict) else None
    here = row[relation.name].get(target)
    if not isinstance(shown, dict) or target not in shown or here is None or alike(shown[target], here):
        return "", (exchange, other)
    return f"{relation.name} of {row[key]} leads to {here}, and elsewhere to {shown[target]}", (exchange, other)


def _unlike(relation: Relation, target: Resource, one: Row, record: Row) -> str:
    """The first own property in which an embedded record differs from itself, or ""."""
    for name, said in target.attributes.items():
        if name in one and name in record and not said.write_only and not alike(one[name], record[name]):
            found_there = f"{relation.name}.{name} is {one[name]!r:.80}, the {target.name} itself shows"
            return f"{found_there} {record[name]!r:.80}"
    return ""


def _records(value: Any) -> Iterator[Mapping[str, Any]]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            yield one


# Counts ---------------------------------------------------------------------------------------------------------


def counts_count(case: Case) -> Iterator[CheckResult]:
    """Each count that a list shows, or shows when asked, against the list of what it counts."""
    session, listing = case.session, Listing(case.session, case.operation)
    view = session.contract.views[case.operation.envelope.view_name or ""]
    count = _parameter(case.operation, "count")
    asked: dict[str, tuple[tuple[str, str], ...]] = {}
    for name, derived in view.derived_properties.items():
        if derived.kind == "count" and derived.required:
            asked[name] = ()
    for value in allowed_values(count) if count else ():
        assert count is not None
        name = resolve_count(listing.resource, value, "")
        asked.setdefault(name, ((count.name, value),))
    for name, query in asked.items():
        if query and count is not None:
            yield found(case, case.promise(count.pointer, parameter=name), _counted(listing, name, query))
        place = view.derived_properties[name].pointer
        yield found(case, case.promise(place, parameter=f"{name} where retrieved"), _as_retrieved(listing, name, query))
        yield found(
            case, case.promise(place, "x-derived", name), _counting(listing, view.derived_properties[name], query)
        )


def _counted(listing: Listing, name: str, query: tuple[tuple[str, str], ...]) -> Callable[[], Finding]:
    """Whether a count that is asked for is shown."""

    def find() -> Finding:
        listing.sample()
        answer = listing.ask(*query)
        lacking = [key for row, key in zip(answer.rows, listing.keys(answer.rows), strict=True) if name not in row]
        return f"{lacking[0]} shows no {name}, which was asked for" if lacking else "", (answer.exchange,)

    return find


def _as_retrieved(listing: Listing, name: str, query: tuple[tuple[str, str], ...]) -> Callable[[], Finding]:
    """Whether a row shows the count that its record shows by itself."""

    def find() -> Finding:
        session, resource = listing.session, listing.resource.name
        retrieve = session.require_operation(resource, "retrieve")
        shown: list[Exchange] = []

        def look() -> str:
            answer = listing.ask(*query)
            for row, key in list(zip(answer.rows, listing.keys(answer.rows), strict=True))[:COUNTED]:
                exchange = session.retrieve(resource, key)
                record = session.data(retrieve, exchange)
                shown[:] = [answer.exchange, exchange]
                if name in row and isinstance(record, dict) and not alike(record.get(name, row[name]), row[name]):
                    return f"{key} shows {name} {row[name]} where listed, and {record[name]} where retrieved"
            return ""

        listing.sample()
        return session.wait_until(look), tuple(shown)

    return find


def _counting(listing: Listing, derived: DerivedProperty, query: tuple[tuple[str, str], ...]) -> Callable[[], Finding]:
    def find() -> Finding:
        relation = listing.resource.relations[derived.path[0]]
        if relation.inverse is None and relation.to_many:
            return _embedded(listing, derived, query)
        listing.sample()
        mine = _with_one(listing, relation)
        answer = listing.ask(*query)
        there = sorted(zip(answer.rows, listing.keys(answer.rows), strict=True), key=lambda pair: pair[1] != mine)
        rows = there[:COUNTED]
        for row, key in rows:
            if derived.name not in row:
                return f"{key} shows no {derived.name}", (answer.exchange,)
        target, filters = _list_of(listing, relation, derived)
        for row, key in rows:
            listed = target.ask((filters[0], text(key)), *filters[1])
            said, due = row[derived.name], listed.total
            # A viewer may not see all that is counted, so that only too few are wrong.
            if isinstance(said, int) and said < due:
                again = listing.ask(*query)
                if dict(zip(listing.keys(again.rows), again.rows, strict=True)).get(key, {}).get(derived.name) != said:
                    raise Moving
                return f"{key} shows {derived.name} {said}, its list has {due}", (again.exchange, listed.exchange)
        return "", (answer.exchange,)

    return find


def _with_one(listing: Listing, relation: Relation) -> Any:
    """Key of a record of the run that something of the run leads to: where others count nothing, 0 is never wrong."""
    with suppress(SkipCheck):
        listing.session.shared_record(relation.targets[0])
    mine = listing.session.shared_records.get(listing.resource.name)
    return mine.key if mine else None


def _embedded(listing: Listing, derived: DerivedProperty, query: tuple[tuple[str, str], ...]) -> Finding:
    """A count of what the record itself leads to, against what it embeds; some of that may be hidden."""
    include = listing.parameter("include")
    name = derived.path[0]
    asked = ((include.name, name),) if include and name in allowed_values(include) else ()
    listing.sample()
    answer = listing.ask(*query, *asked)
    shown = [row for row in answer.rows if isinstance(row.get(name), list) and derived.name in row]
    if not shown:
        raise SkipCheck(not_testable(f"the rows do not show {name}"))
    for row, key in zip(shown, listing.keys(shown), strict=True):
        if row[derived.name] < len(row[name]):
            said = f"{key} shows {derived.name} {row[derived.name]}, and {len(row[name])} {name}"
            return said, (answer.exchange,)
    return "", (answer.exchange,)


def _list_of(
    listing: Listing, relation: Relation, derived: DerivedProperty
) -> tuple[Listing, tuple[str, tuple[tuple[str, str], ...]]]:
    """(the list of what is counted, (its filter by the record that counts, further filters)). Raises CannotMake."""
    session = listing.session
    if relation.inverse is None or len(relation.targets) != 1:
        raise SkipCheck(not_testable("no list can be filtered by what is counted"))
    target = Listing(session, session.require_operation(relation.targets[0], "list"))
    single = {
        p.x_query.paths[0]: p.name
        for p in target.filters()
        if p.x_query and p.x_query.operator == "eq" and p.schema.get("type") != "array"
    }
    by = single.get((relation.inverse, listing.resource.key_attribute))
    where = [(single.get((name,)), values) for name, values in derived.where.items()]
    if by is None or any(name is None or len(values) != 1 for name, values in where):
        raise SkipCheck(not_testable("no list can be filtered by what is counted"))
    return target, (by, tuple((str(name), text(values[0])) for name, values in where))


LAWS: tuple[Law, ...] = (
    Law(
        "with-embeds-what-is-asked",
        "A relation that is asked for is embedded.",
        _with("include"),
        embeds_what_is_asked,
    ),
    Law(
        "with-embeds-nothing-else",
        "Where relations are asked for, others are not embedded.",
        _with("include"),
        embeds_nothing_else,
    ),
    Law(
        "embedded-equals-retrieved",
        "An embedded record shows what it shows by itself.",
        _shows,
        embedded_equals_retrieved,
    ),
    Law(
        "with-count-counts",
        "A count of records is no less than the list of them has.",
        lambda c, o: (
            is_list(c, o)
            and o.envelope.view_name in c.views
            and any(d.kind == "count" for d in c.views[o.envelope.view_name or ""].derived_properties.values())
        ),
        counts_count,
    ),
)
