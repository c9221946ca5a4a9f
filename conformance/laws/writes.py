"""Laws on creating, updating and deleting: judged on the run's own records alone."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws import others, stamps, texts
from conformance.laws.breaking import breaking
from conformance.laws.law import Case, Law
from conformance.laws.own import (
    brief,
    creates,
    differences,
    does,
    own,
    retrieved,
    same,
    scratch,
    stored,
    told,
    weakest,
    writable,
)
from conformance.outcome import CheckResult
from conformance.session import CreatedRecord
from spec.contract import Attribute, BodyField, Contract, Operation

LONGEST_LIST = 5000  # rows that are looked through for a record
MOST_FIELDS = 12  # fields of a body that are judged one at a time


# Create ---------------------------------------------------------------------------------------------------------


def _created(case: Case) -> Iterator[CheckResult]:
    """Every field that create takes, sent; echoed, retrieved and listed as sent."""
    resource = case.session.resource(case.operation)
    fields = list(writable(case, resource))
    mine = _with_all(case, fields)
    if not mine.exchange.response.json:
        raise SkipCheck("the answer shows no record")
    again = _seen_again(case, mine, [field.name for field, _ in fields if field.name in mine.request_body])
    views = [("the answer", mine.body, mine.exchange)]
    if again is not None:
        shown = case.session.data(case.session.require_operation(mine.resource, "retrieve"), again)
        status = (
            "" if isinstance(shown, dict) else f"{mine.key}, which was created, is answered {again.response.status}"
        )
        yield case.judged(case.promise(*weakest(case, (case.operation.pointer, None)), "retrieved"), status, again)
        views += [("retrieved", shown, again)] if isinstance(shown, dict) else []
    for field, named in fields:
        if field.name in mine.request_body:
            yield _came_back(case, field, named, mine.request_body[field.name], views)
    yield _is_listed(case, mine)


def _with_all(case: Case, fields: list[tuple[BodyField, Attribute]]) -> CreatedRecord:
    """A record with every field sent; with the required ones alone when the target has further rules."""
    session = case.session
    changes = {f.name: session.payloads.generate_value(f.schema, f.name) for f, _ in fields if not f.required}
    try:
        return scratch(case, changes)
    except SkipCheck:
        return scratch(case)


def _seen_again(case: Case, mine: CreatedRecord, sent: list[str]) -> Exchange | None:
    """The record as it is retrieved when it had time to be stored; None when the contract retrieves none."""
    session, seen = case.session, list[Exchange]()
    retrieving = session.operation(mine.resource, "retrieve")
    if retrieving is None:
        return None

    def look() -> str:
        seen.append(session.retrieve(mine.resource, mine.key))
        shown = session.data(retrieving, seen[-1])
        if not seen[-1].response.ok or not isinstance(shown, dict):
            return "it is not there"
        return next((name for name in sent if not stored(mine.request_body[name], shown.get(name))), "")

    session.wait_until(look)
    return seen[-1]


def _came_back(
    case: Case, field: BodyField, named: Attribute, sent: Any, views: list[tuple[str, Mapping[str, Any], Exchange]]
) -> CheckResult:
    place = weakest(case, (named.pointer, None), (field.pointer, None), (case.operation.pointer, None))
    promise = case.promise(*place, parameter=field.name)
    for where, shown, exchange in views:
        if field.name not in shown:
            return case.judged(promise, f"{field.name} was sent and {where} does not show it", exchange)
        if not stored(sent, shown[field.name]):
            said = f"{field.name} was sent as {brief(sent)} and {where} shows {brief(shown[field.name])}"
            return case.judged(promise, said, exchange)
    return case.judged(promise, "")


def _is_listed(case: Case, mine: CreatedRecord) -> CheckResult:
    """Whether a list shows the record: narrowed to its parent where there is such a filter, else page by page."""
    session = case.session
    listing = session.operation(mine.resource, "list")
    promise = case.promise(*weakest(case, (case.operation.pointer, None)), parameter="in the list")
    if listing is None:
        return case.not_judged(promise, "the contract lists none")
    query = next(_parent_filters(case, listing, mine), ("", {}))[1]

    def look() -> str:
        found = _row(case, listing, mine, query)
        if found is None:
            return f"{listing.id} does not list {mine.key}, which was created"
        shown = session.data(case.operation, mine.exchange)
        left, right = own(session.contract, case.operation, shown), own(session.contract, listing, found)
        return "; ".join(
            f"{n} was answered as {brief(left[n])}, listed as {brief(right[n])}" for n in differences(left, right)
        )

    return case.judged(promise, session.wait_until(look), mine.exchange)


def _row(case: Case, listing: Operation, mine: CreatedRecord, query: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The record as a list shows it, None when the whole list does not. Raises CannotMake when the list is too long."""
    key, seen = case.session.resource(listing).key_attribute, 0
    for row in case.session.rows(listing, query):
        if row.get(key) == mine.key:
            return row
        seen += 1
    if seen >= LONGEST_LIST:
        raise SkipCheck(f"{listing.id} is longer than {LONGEST_LIST} rows")
    return None


def _parent_filters(case: Case, listing: Operation, mine: CreatedRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    """(parameter, query) of each filter of a list that names a record which the create named as its own."""
    resource = case.session.contract.resources[mine.resource]
    creator = case.session.creator(mine.resource)
    sent = {
        f.relation_setter.relation: mine.request_body[f.name]
        for f in _setting(creator)
        if f.name in mine.request_body and f.relation_setter
    }
    for parameter in listing.query_parameters:
        word = parameter.x_query
        if word is None or word.role != "filter" or word.operator != "eq" or len(word.paths[0]) != 2:
            continue
        relation, key = word.paths[0]
        known = resource.relations.get(relation)
        if (
            relation in sent
            and known
            and len(known.targets) == 1
            and case.session.contract.resources[known.targets[0]].key_attribute == key
        ):
            yield parameter.name, {parameter.name: sent[relation]}


def _setting(operation: Operation) -> Iterator[BodyField]:
    for field in operation.request_body.fields.values() if operation.request_body else ():
        if field.relation_setter is not None:
            yield field


def _has_parent_filter(contract: Contract, operation: Operation) -> bool:
    made = contract.find_created_resource(operation)
    return made is not None and any(True for _ in _setting(operation))


def _in_its_parents_list(case: Case) -> Iterator[CheckResult]:
    """A child named with each parent that create takes: that parent's list shows it, another parent's does not."""
    session = case.session
    listing = session.require_operation(case.operation.resource or "", "list")
    changes: dict[str, Any] = {}
    for field in _setting(case.operation):
        relation = session.payloads.find_relation(
            case.operation, field.relation_setter.relation if field.relation_setter else ""
        )
        if field.relation_setter and field.relation_setter.discriminator is None and not relation.to_many:
            try:
                changes |= session.payloads.build_field(case.operation, field, session.parent)
            except SkipCheck:
                continue
    mine = scratch(case, changes)
    for name, query in _parent_filters(case, listing, mine):
        parameter = next(p for p in listing.query_parameters if p.name == name)
        place = weakest(case, (parameter.pointer, None), (case.operation.pointer, None))

        def look(name: str = name, query: Mapping[str, Any] = query) -> str:
            listed = _row(case, listing, mine, query)
            return "" if listed else f"{listing.id}?{name}=... does not list its child {mine.key}"

        yield case.judged(case.promise(*place, parameter=name), session.wait_until(look), mine.exchange)


def _unique(case: Case) -> Iterator[CheckResult]:
    made = [scratch(case), scratch(case)]
    keys = [mine.key for mine in made]
    said = f"two records have the key {keys[0]!r}" if keys[0] == keys[1] else ""
    yield case.judged(case.promise(), said, *(mine.exchange for mine in made))


# Update ---------------------------------------------------------------------------------------------------------


def _updated(case: Case) -> Iterator[CheckResult]:
    """One field at a time: it changes to what was sent, and nothing else changes."""
    session, operation = case.session, case.operation
    mine = scratch(case)
    for field, named in list(writable(case, session.resource(operation)))[:MOST_FIELDS]:
        before, _ = retrieved(session, mine.resource, mine.key)
        value = _another(case, field, before.get(field.name))
        place = weakest(case, (operation.pointer, None), (field.pointer, None), (named.pointer, None))
        promise = case.promise(*place, parameter=field.name)
        if value is None:
            yield case.not_judged(promise, f"no other value than {brief(before.get(field.name))} can be made")
            continue
        exchange = session.send(operation, path={operation.path_parameter_names[0]: mine.key}, body={field.name: value})
        if not exchange.response.ok:
            yield case.not_judged(promise, f"{field.name} as {brief(value)} was answered {exchange.response.status}")
            continue

        def look(name: str = field.name, value: Any = value, before: Mapping[str, Any] = before) -> str:
            return _misdone(case, name, value, before, retrieved(session, mine.resource, mine.key)[0])

        yield case.judged(promise, session.wait_until(look), exchange)


def _another(case: Case, field: BodyField, before: Any) -> Any:
    """A value other than the one there is; None when none is found."""
    validator = case.session.schemas.get(field.pointer, "write")
    bodies = case.session.payloads
    values = [bodies.generate_value(field.schema, field.name) for _ in range(10)]
    filled = [{bodies.marker: "a value"}, [bodies.marker]]  # for open objects and lists, which are empty otherwise
    return next((v for v in [*values, *filled] if validator.is_valid(v) and not stored(v, before)), None)


def _misdone(case: Case, name: str, value: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What an update did wrong, or ""."""
    if not stored(value, after.get(name)):
        return f"{name} was sent as {brief(value)} and is {brief(after.get(name))}"
    seen = case.session.require_operation(case.operation.resource or "", "retrieve")
    was = own(case.session.contract, seen, before, stamps=False)
    now = own(case.session.contract, seen, after, stamps=False)
    changed = [other for other in differences(was, now) if other != name]
    return "; ".join(f"{name} was sent, but {told(other, was[other], now[other])}" for other in changed)


def _twice(case: Case) -> Iterator[CheckResult]:
    session, operation = case.session, case.operation
    mine = scratch(case)
    body = {
        f.name: session.payloads.generate_value(f.schema, f.name)
        for f, _ in writable(case, session.resource(operation))
    }
    path = {operation.path_parameter_names[0]: mine.key}
    once = session.send(operation, path=path, body=body)
    if not once.response.ok:
        body = dict([next(iter(body.items()))]) if body else {}
        once = session.send(operation, path=path, body=body)
    twice = session.send(operation, path=path, body=body)
    if not once.response.ok:
        raise SkipCheck(f"{operation.id} answered {once.response.status}")
    if not twice.response.ok:
        said = f"the same update was answered {once.response.status}, then {twice.response.status}"
    else:
        was, now = (own(session.contract, operation, session.data(operation, e), stamps=False) for e in (once, twice))
        said = "; ".join(told(name, was[name], now[name]) for name in differences(was, now))
    yield case.judged(case.promise(), said, twice)


def _refused_changes_nothing(case: Case) -> Iterator[CheckResult]:
    """A good field beside a broken one, and a good one without a token: refused as a whole, nothing is stored."""
    session, operation = case.session, case.operation
    mine = scratch(case)
    path = {operation.path_parameter_names[0]: mine.key}
    before, _ = retrieved(session, mine.resource, mine.key)
    fields = list(writable(case, session.resource(operation)))
    for good, _ in fields[:1]:
        body = {good.name: _another(case, good, before.get(good.name))}
        yield _unchanged(case, mine, "token", session.send(operation, path=path, body=body, actor="nobody"), before)
        for bad in (
            operation.request_body.fields.values() if operation.request_body and 422 in operation.responses else ()
        ):
            for _, value in list(breaking(case, bad))[:1] if bad.name != good.name else ():
                before, _ = retrieved(session, mine.resource, mine.key)
                body = {good.name: _another(case, good, before.get(good.name)), bad.name: value}
                yield _unchanged(case, mine, bad.name, session.send(operation, path=path, body=body), before)


def _unchanged(
    case: Case, mine: CreatedRecord, parameter: str, exchange: Exchange, before: Mapping[str, Any]
) -> CheckResult:
    """Whether a refused write changed nothing; `parameter`: what it was refused for."""
    promise = case.promise(parameter=parameter)
    if exchange.response.ok:
        return case.not_judged(promise, "what should have been refused was not")
    seen = case.session.require_operation(mine.resource, "retrieve")
    was = own(case.session.contract, seen, before)
    now = own(case.session.contract, seen, retrieved(case.session, mine.resource, mine.key)[0])
    changed = [told(name, was[name], now[name]) for name in differences(was, now)]
    said = f"answered {exchange.response.status}, yet {'; '.join(changed)}" if changed else ""
    return case.judged(promise, said, exchange)


# Delete, and what must stay as it is ----------------------------------------------------------------------------


def _deleted(case: Case) -> Iterator[CheckResult]:
    """Gone from where it is retrieved and listed, and deleting it again finds nothing."""
    session, operation = case.session, case.operation
    mine = scratch(case)
    path = {operation.path_parameter_names[0]: mine.key}
    exchange = session.delete(mine.resource, mine.key)
    if exchange is None or not exchange.response.ok:
        raise SkipCheck(f"{operation.id} answered {exchange.response.status if exchange else 'nothing'}")
    if session.operation(mine.resource, "retrieve") is not None:
        yield _not_found(case, "retrieve", lambda: session.retrieve(mine.resource, mine.key))
    listing = session.operation(mine.resource, "list")
    if listing is not None:
        query = next(_parent_filters(case, listing, mine), ("", {}))[1]
        said = session.wait_until(
            lambda: f"{listing.id} still lists {mine.key}" if _row(case, listing, mine, query) else ""
        )
        yield case.judged(case.promise(parameter="list"), said, exchange)
    yield _not_found(case, "delete", lambda: session.send(operation, path=path))


def _not_found(case: Case, what: str, ask: Callable[[], Exchange]) -> CheckResult:
    """Whether a deleted record is answered as gone, when the delete had time to be seen."""
    seen: list[Exchange] = []

    def look() -> str:
        seen.append(ask())
        status = seen[-1].response.status
        return "" if status in (404, 410) else f"{what} after the delete answered {status}, due: 404"

    said = case.session.wait_until(look)
    return case.judged(case.promise(parameter=what), said, seen[-1])


def _reading(case: Case) -> Iterator[CheckResult]:
    """Retrieved, listed and retrieved again: the same, the updated stamp too."""
    session, operation = case.session, case.operation
    mine = session.shared_record(operation.resource or "")
    before, _ = retrieved(session, mine.resource, mine.key)
    listing = session.operation(mine.resource, "list")
    for _ in range(2):
        if listing is not None:
            session.send(listing, query=session.required_query(listing))
    after, exchange = retrieved(session, mine.resource, mine.key)
    was, now = own(session.contract, operation, before), own(session.contract, operation, after)
    said = "; ".join(told(name, was[name], now[name]) for name in differences(was, now))
    yield case.judged(case.promise(), said, exchange)


def _server_set(case: Case) -> Iterator[CheckResult]:
    """The key and the stamps, sent with a create: refused, or left alone."""
    session, resource = case.session, case.session.resource(case.operation)
    mine = session.shared_record(resource.name)
    for name in (
        resource.key_attribute,
        *resource.attributes_with_stamp("created"),
        *resource.attributes_with_stamp("updated"),
    ):
        said_by = resource.attributes[name]
        promise = case.promise(said_by.pointer, "readOnly", name)
        if name not in mine.body or (case.operation.request_body and name in case.operation.request_body.fields):
            continue
        value = "2001-02-03T04:05:06Z" if said_by.stamp else session.payloads.generate_value(said_by.schema, name)
        body = {**session.payloads.build(case.operation, session.parent), name: value}
        exchange = session.send(case.operation, body=body)
        shown = session.data(case.operation, exchange)
        taken = exchange.response.ok and isinstance(shown, dict) and same(shown.get(name), value)
        said = f"{name} was sent as {brief(value)} and taken" if taken else ""
        yield case.judged(promise, said, exchange)


_updates, _deletes, _retrieves = does("update"), does("delete"), does("retrieve")

LAWS: tuple[Law, ...] = (
    Law(
        "reading-changes-nothing",
        "To read a record and its list changes nothing.",
        _retrieves,
        _reading,
        always=True,
        writes=True,
    ),
    Law("create-is-stored", "What create is sent is answered, retrieved and listed.", creates, _created, writes=True),
    *texts.LAWS,
    Law(
        "child-is-in-its-parents-list",
        "A list narrowed to a record shows what was created for it.",
        _has_parent_filter,
        _in_its_parents_list,
        writes=True,
    ),
    Law("identifiers-are-unique", "No two records have the same key.", creates, _unique, always=True, writes=True),
    Law(
        "server-set-fields-are-not-taken", "Keys and stamps are the server's to set.", creates, _server_set, writes=True
    ),
    Law(
        "update-changes-what-was-sent",
        "An update changes what was sent and nothing else.",
        _updates,
        _updated,
        writes=True,
    ),
    Law("update-twice-is-update-once", "The same update again changes nothing.", _updates, _twice, writes=True),
    Law(
        "refused-write-changes-nothing",
        "A write that is refused changes nothing.",
        _updates,
        _refused_changes_nothing,
        always=True,
        writes=True,
    ),
    *stamps.LAWS,
    *others.LAWS,
    Law(
        "delete-is-gone",
        "A deleted record is neither retrieved nor listed, nor deleted again.",
        _deletes,
        _deleted,
        writes=True,
    ),
)
