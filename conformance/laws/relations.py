"""Laws on what leads from one record to others: references resolve, counts count, embedded records are up to date."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws import deletions
from conformance.laws.deletions import child_of
from conformance.laws.includes import everything, identifies
from conformance.laws.law import Case, Law
from conformance.laws.lists import Listing, is_list, number, text
from conformance.laws.own import brief, creates, does, retrieved, same, stored, weakest, writable
from conformance.outcome import CheckResult
from conformance.session import CreatedRecord, Session
from conformance.shown import NestedRecord
from spec.contract import BodyField, Contract, DerivedProperty, Operation, Relation, Resource

VARIED = 2  # own records that are looked at beside the shared one
MOST = 3  # records that one relation leads to which are retrieved, at most


def relation_of(contract: Contract, shown: NestedRecord) -> Relation | None:
    """The relation by which a record stands in another."""
    return contract.resources[shown.holder.resource].relations.get(shown.name) if shown.holder else None


# References -----------------------------------------------------------------------------------------------------


def _resolve(case: Case) -> Iterator[CheckResult]:
    """What the run's own records embed can be retrieved; one promise for each relation."""
    session, operation = case.session, case.operation
    found: dict[str, tuple[NestedRecord, Relation, Exchange, dict[Any, None]]] = {}
    for shown, exchange in _shown(session, operation):
        relation = relation_of(session.contract, shown)
        key = shown.record.get(session.contract.resources[shown.view.resource].key_attribute)
        if relation is None or key is None or session.operation(shown.view.resource, "retrieve") is None:
            continue
        found.setdefault(shown.location, (shown, relation, exchange, {}))[3][key] = None
    for shown, relation, exchange, keys in found.values():
        yield _resolved(case, shown, relation, list(keys)[:MOST], exchange)
    if not found:
        yield case.not_judged(case.promise(), not_testable("the contract has no operation to retrieve what it embeds"))


def _references(contract: Contract, operation: Operation) -> bool:
    is_retrieved = operation.resource in contract.resources and operation.action == "retrieve"
    return is_retrieved or is_list(contract, operation) or identifies(contract, operation)


def _shown(session: Session, operation: Operation) -> Iterator[tuple[NestedRecord, Exchange]]:
    """What the run's own records embed, where they are retrieved or listed; and what the account itself does."""
    query = everything(session, operation)
    if operation.action == "retrieve":
        for mine in _examples(session, operation.resource or ""):
            exchange = session.send(operation, path={operation.path_parameter_names[0]: mine.key}, query=query)
            yield from ((shown, exchange) for shown in session.records(operation, exchange))
    elif identifies(session.contract, operation):
        exchange = session.send(operation, query=query)
        yield from ((shown, exchange) for shown in session.records(operation, exchange))
    else:
        resource = operation.resource or ""
        ours = {mine.key for mine in _examples(session, resource)}
        listing = Listing(session, operation)
        answer = listing.ask(*listing.largest(), *query)
        places = {at for at, key in enumerate(listing.keys(answer.rows)) if key in ours}
        for shown in session.records(operation, answer.exchange):
            if next((step for step in shown.path if isinstance(step, int)), None) in places:
                yield shown, answer.exchange


def _examples(session: Session, resource: str) -> list[CreatedRecord]:
    shared = session.shared_record(resource)
    return [shared, *session.distinct_records(resource, VARIED)[:VARIED]]


def _resolved(case: Case, shown: NestedRecord, relation: Relation, keys: list[Any], exchange: Exchange) -> CheckResult:
    resource = shown.view.resource
    answers: list[Exchange] = [exchange]

    def look() -> str:
        for key in keys:
            answers.append(case.session.retrieve(resource, key))
            status = answers[-1].response.status
            if not answers[-1].response.ok:
                return f"{shown.location} leads to {resource} {key}, which is answered {status}"
        return ""

    said = case.session.wait_until(look)
    return case.judged(case.promise(relation.pointer, None, shown.location), said, exchange, answers[-1])


# Counts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counted:
    """A count on a parent that a create raises: the create's field that names the parent, and the parent's count."""

    field: BodyField
    parent: Resource
    derived: DerivedProperty


def _counted(contract: Contract, operation: Operation) -> Iterator[Counted]:
    resource = contract.resources.get(operation.resource or "")
    for field in operation.request_body.fields.values() if operation.request_body and resource else ():
        relation = (
            resource.relations.get(field.relation_setter.relation)
            if field.relation_setter and not field.relation_setter.discriminator and resource
            else None
        )
        if relation is None or relation.to_many or len(relation.targets) != 1 or resource is None:
            continue
        parent = contract.resources[relation.targets[0]]
        for derived in parent.derived_properties.values():
            back = parent.relations.get(derived.path[0]) if derived.kind == "count" else None
            if back is not None and back.inverse == relation.name and back.targets == (resource.name,):
                yield Counted(field, parent, derived)


def _raises_a_count(contract: Contract, operation: Operation) -> bool:
    return creates(contract, operation) and any(True for _ in _counted(contract, operation))


def _counts_follow(case: Case) -> Iterator[CheckResult]:
    """One more with the child, and one less without it."""
    session = case.session
    for counted in _counted(session.contract, case.operation):
        place = weakest(case, (counted.derived.pointer, None), (case.operation.pointer, None))
        promise = case.promise(*place, parameter=f"{counted.parent.name}.{counted.derived.name}")
        parent = session.shared_record(counted.parent.name)
        before = _count(session, parent, counted.derived)
        child = session.create(case.operation.resource or "", {counted.field.name: parent.key})
        if not _where(counted.derived, child.body):
            yield case.not_judged(promise, "the record that create makes is not of those that are counted")
            continue
        said = _settled(session, parent, counted.derived, before + 1, "made")
        if not said:
            session.delete(child.resource, child.key)
            said = _settled(session, parent, counted.derived, before, "deleted")
        if said and _agrees(session, counted, parent, child):
            yield case.not_judged(promise, "the list changed while it was looked at")
        else:
            yield case.judged(promise, said, child.exchange)


def _from_nothing(case: Case) -> Iterator[CheckResult]:
    """A parent that nothing leads to counts 0, then 1 and 2, where it is retrieved and where it is listed."""
    session = case.session
    for counted in _counted(session.contract, case.operation):
        place = weakest(case, (counted.derived.pointer, None), (case.operation.pointer, None))
        promise = case.promise(*place, parameter=f"{counted.parent.name}.{counted.derived.name}")
        parent = session.create(counted.parent.name)
        children: list[CreatedRecord] = []
        said = _shown_count(session, parent, counted.derived, 0)
        while not said and len(children) < 2:
            children.append(session.create(case.operation.resource or "", {counted.field.name: parent.key}))
            if not _where(counted.derived, children[-1].body):
                break
            said = _shown_count(session, parent, counted.derived, len(children))
        if not said and len(children) < 2:
            yield case.not_judged(promise, "the record that create makes is not of those that are counted")
        elif said and children and _listed(session, counted, parent, children[-1]) not in (None, len(children)):
            yield case.not_judged(promise, "the list changed while it was looked at")
        else:
            yield case.judged(promise, said, *(child.exchange for child in children[-1:] or [parent]))


def _shown_count(session: Session, parent: CreatedRecord, derived: DerivedProperty, due: int) -> str:
    """What a fresh record shows wrong of a count, retrieved and on the first page of its list, or ""."""
    listing = session.operation(parent.resource, "list")

    def look() -> str:
        found = _count(session, parent, derived)
        if found != due:
            return f"a fresh {parent.resource} shows {derived.name} {found} where retrieved, due: {due}"
        key = session.contract.resources[parent.resource].key_attribute
        rows = Listing(session, listing).ask(*Listing(session, listing).largest()).rows if listing else []
        row = next((row for row in rows if row.get(key) == parent.key), {})
        if number(row.get(derived.name, due)) != due:
            return f"a fresh {parent.resource} shows {derived.name} {row[derived.name]} where listed, due: {due}"
        return ""

    return session.wait_until(look)


def _agrees(session: Session, counted: Counted, parent: CreatedRecord, child: CreatedRecord) -> bool:
    """Whether the list of what is counted has as many: then somebody else made one meanwhile."""
    there = _listed(session, counted, parent, child)
    return not counted.derived.where and there == _count(session, parent, counted.derived)


def _listed(session: Session, counted: Counted, parent: CreatedRecord, child: CreatedRecord) -> int | None:
    """How many the list names that is narrowed to the parent; None where it cannot be."""
    listing = session.operation(child.resource, "list")
    path = (
        counted.field.relation_setter.relation if counted.field.relation_setter else "",
        counted.parent.key_attribute,
    )
    for parameter in listing.query_parameters if listing else ():
        if listing and parameter.x_query and parameter.x_query.role == "filter" and parameter.x_query.paths[0] == path:
            return Listing(session, listing).ask((parameter.name, text(parent.key))).total
    return None


def _where(derived: DerivedProperty, shown: Mapping[str, Any]) -> bool:
    return all(shown.get(name) in values for name, values in derived.where.items())


def _settled(session: Session, parent: CreatedRecord, derived: DerivedProperty, due: int, done: str) -> str:
    def look() -> str:
        found = _count(session, parent, derived)
        return "" if found == due else f"{derived.name} is {found} after a record was {done} that it counts, due: {due}"

    return session.wait_until(look)


def _count(session: Session, parent: CreatedRecord, derived: DerivedProperty) -> int:
    """What the parent shows. Raises CannotMake when it does not show it as a number."""
    shown, _ = retrieved(session, parent.resource, parent.key)
    value = shown.get(derived.name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SkipCheck(f"the {parent.resource} does not show {derived.name}")
    return int(value)


# Embedded records -----------------------------------------------------------------------------------------------


def _holds_fresh(case: Case) -> Iterator[CheckResult]:
    """After an update, wherever the record is embedded in the run's records, it shows what was sent."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    mine = session.create(resource.name)
    holders = list(_holders(session, mine))
    changed = next(iter(_change(case, resource)), None)
    if changed is None:
        raise SkipCheck(not_testable("the contract has no field to change that comes back as it was sent"))
    name, value = changed
    exchange = session.send(operation, path={operation.path_parameter_names[0]: mine.key}, body={name: value})
    if not exchange.response.ok:
        raise SkipCheck(f"{operation.id} answered {exchange.response.status}")
    judged = False
    for asked, path, query in holders:
        for outcome in _fresh(case, mine, (name, value), asked, path, query):
            judged = True
            yield outcome
    if not judged:
        yield case.not_judged(
            case.promise(), not_testable(f"the contract has no record of the run's that embeds a {resource.name}")
        )


def _change(case: Case, resource: Resource) -> Iterator[tuple[str, Any]]:
    for field, _ in writable(case, resource):
        said = case.session.payloads.resolve_schema(field.schema)
        if said.get("type") == "string" and not said.keys() & {"enum", "format", "pattern"}:
            yield field.name, case.session.payloads.generate_value(field.schema, field.name)


Query = tuple[tuple[str, str], ...]


def _holders(session: Session, mine: CreatedRecord) -> Iterator[tuple[Operation, Mapping[str, Any], Query]]:
    """(operation, path, query) of answers that may embed a record: of new children, and of its own parent."""
    for holder, relation in session.contract.find_relations_to(mine.resource):
        try:
            child = child_of(session, holder.name, relation, mine)
        except SkipCheck:
            continue
        yield from _answers(session, holder.name, child.key, (relation.name, mine))
    for field in _set_by(session, mine.resource):
        named = session.payloads.find_relation(
            session.creator(mine.resource), field.relation_setter.relation if field.relation_setter else ""
        )
        if field.name in mine.request_body and len(named.targets) == 1 and not named.to_many:
            yield from _answers(session, named.targets[0], mine.request_body[field.name], None)


def _set_by(session: Session, resource: str) -> list[BodyField]:
    creating = session.creator(resource)
    return [
        f
        for f in (creating.request_body.fields.values() if creating.request_body else ())
        if f.relation_setter and not f.relation_setter.discriminator
    ]


def _answers(
    session: Session, resource: str, key: Any, narrowed: tuple[str, CreatedRecord] | None
) -> Iterator[tuple[Operation, Mapping[str, Any], Query]]:
    retrieve, listing = session.operation(resource, "retrieve"), session.operation(resource, "list")
    if retrieve is not None:
        yield retrieve, {retrieve.path_parameter_names[0]: key}, everything(session, retrieve)
    if listing is not None and narrowed is not None:
        relation, mine = narrowed
        path = (relation, session.contract.resources[mine.resource].key_attribute)
        for parameter in listing.query_parameters:
            if parameter.x_query and parameter.x_query.role == "filter" and parameter.x_query.paths[0] == path:
                yield listing, {}, (*everything(session, listing), (parameter.name, str(mine.key)))
                return


def _fresh(
    case: Case, mine: CreatedRecord, sent: tuple[str, Any], asked: Operation, path: Mapping[str, Any], query: Query
) -> Iterator[CheckResult]:
    """One outcome for each place at which an answer embeds the record."""
    session, (name, value) = case.session, sent
    key = session.contract.resources[mine.resource].key_attribute
    answers: list[Exchange] = []

    def embedded() -> dict[str, tuple[NestedRecord, Any]]:
        answers.append(session.send(asked, path=path, query=query))
        found = session.records(asked, answers[-1])
        of_it = (
            s for s in found if s.nesting and s.view.resource == mine.resource and same(s.record.get(key), mine.key)
        )
        return {shown.location: (shown, shown.record[name]) for shown in of_it if name in shown.record}

    for where, (shown, _) in embedded().items():

        def look(where: str = where) -> str:
            there = embedded().get(where)
            if there is None or stored(value, there[1]):
                return ""
            return f"{where}.{name} is {brief(there[1])} after the update to {brief(value)}"

        relation = relation_of(session.contract, shown)
        promise = case.promise(relation.pointer if relation else None, None, f"{asked.id} {where}")
        yield case.judged(promise, session.wait_until(look), answers[-1])


LAWS: tuple[Law, ...] = (
    Law(
        "references-resolve",
        "A record that is embedded in another can be retrieved.",
        _references,
        _resolve,
        writes=True,
    ),
    Law(
        "counts-follow-writes",
        "A count goes up by one with a record that it counts, and down without it.",
        _raises_a_count,
        _counts_follow,
        writes=True,
    ),
    Law(
        "counts-begin-at-nothing",
        "A new record counts nothing, and then one by one what is made for it.",
        _raises_a_count,
        _from_nothing,
        writes=True,
    ),
    *deletions.LAWS,
    Law(
        "embedded-is-up-to-date",
        "After an update a record shows what was sent wherever it is embedded.",
        does("update"),
        _holds_fresh,
        writes=True,
    ),
)
