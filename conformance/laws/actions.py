"""Laws on the actions that a contract names: what they show is stored, is about their record, and stays done."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws import figures, sharing
from conformance.laws.acting import Done, acts, performed
from conformance.laws.asking import answered
from conformance.laws.includes import everything
from conformance.laws.law import Case, Law
from conformance.laws.own import differences, own, retrieved, told, weakest
from conformance.outcome import CheckResult
from conformance.session import Session
from conformance.shown import NestedRecord
from spec.contract import Contract, Operation, Relation

LOOKS = 3  # times that a state is looked at again
BETWEEN = 1.0  # seconds


# What is shown --------------------------------------------------------------------------------------------------


def _shows_records(contract: Contract, operation: Operation) -> bool:
    return acts(contract, operation) and operation.envelope.schema_pointer is not None


def _made(case: Case, done: Done) -> list[NestedRecord]:
    """The records that the answer shows of itself, and that can be retrieved."""
    session = case.session
    shown = session.records(case.operation, done.exchange, max_nesting=0)
    return [s for s in shown if session.operation(s.view.resource, "retrieve") and _key(session, s) is not None]


def _key(session: Session, shown: NestedRecord) -> Any:
    return shown.record.get(session.contract.resources[shown.view.resource].key_attribute)


def _is_stored(case: Case) -> Iterator[CheckResult]:
    """One promise for each place in the answer that shows a record."""
    done = performed(case)
    places: dict[str, list[NestedRecord]] = {}
    for shown in _made(case, done):
        places.setdefault(shown.location, []).append(shown)
    for where, found in places.items():
        answers = [done.exchange]

        def look(found: list[NestedRecord] = found, answers: list[Exchange] = answers) -> str:
            return next((said for shown in found if (said := _unlike(case, shown, answers))), "")

        said = case.session.wait_until(look)
        place = weakest(case, (case.operation.pointer, None), (found[0].view.pointer, None))
        yield case.judged(case.promise(*place, parameter=where), said, done.exchange, answers[-1])
    if not places:
        yield case.not_judged(case.promise(), not_testable("the contract has no operation to retrieve what it answers"))


def _unlike(case: Case, shown: NestedRecord, answers: list[Exchange]) -> str:
    """How a shown record differs from the stored one, or ""."""
    session, resource = case.session, shown.view.resource
    operation = session.require_operation(resource, "retrieve")
    answers.append(session.retrieve(resource, _key(session, shown)))
    record = session.data(operation, answers[-1])
    if not answers[-1].response.ok or not isinstance(record, dict):
        status = answers[-1].response.status
        return (
            f"{shown.location} shows {resource} {_key(session, shown)}, which is answered {status} when it is retrieved"
        )
    now = own(session.contract, operation, record, stamps=False)
    was = {name: value for name, value in shown.record.items() if name in now}
    changed = [told(name, was[name], now[name]) for name in sorted(differences(was, now))]
    return f"{shown.location}, retrieved: {'; '.join(changed)}" if changed else ""


# What it is about -----------------------------------------------------------------------------------------------


def _has_a_record(contract: Contract, operation: Operation) -> bool:
    return _shows_records(contract, operation) and len(operation.path_parameter_names) == 1


def _is_about(case: Case) -> Iterator[CheckResult]:
    """The record of the path, or records that lead to it."""
    done = performed(case)
    due = done.on.key if done.on else None
    found: dict[str, tuple[tuple[str, str | None], str]] = {}
    for shown in _made(case, done):
        for place, key in _leads(case, shown):
            said = f"{shown.location} is about {key}, the path named {due}" if key != due else ""
            if said or shown.location not in found:
                found[shown.location] = place, said
    for where, (place, said) in found.items():
        yield case.judged(case.promise(*place, parameter=where), said, done.exchange)
    if not found:
        yield case.not_judged(
            case.promise(), not_testable("the contract has no relation of what it answers to the record of its path")
        )


def _leads(case: Case, shown: NestedRecord) -> Iterator[tuple[tuple[str, str | None], Any]]:
    """(place, key) of the record of the path's resource that a shown record is, or leads to."""
    session, resource = case.session, case.operation.resource or ""
    if shown.view.resource == resource:
        yield weakest(case, (case.operation.pointer, None)), _key(session, shown)
        return
    for relation in session.contract.resources[shown.view.resource].relations.values():
        if relation.targets == (resource,) and not relation.to_many and relation.is_stored:
            one = shown.record.get(relation.name) or _retrieved_relation(session, shown, relation)
            if isinstance(one, dict) and one:
                place = weakest(case, (case.operation.pointer, None), (relation.pointer, None))
                yield place, one.get(session.contract.resources[resource].key_attribute)


def _retrieved_relation(session: Session, shown: NestedRecord, relation: Relation) -> Any:
    operation = session.require_operation(shown.view.resource, "retrieve")
    path = {operation.path_parameter_names[0]: _key(session, shown)}
    record = session.data(operation, session.send(operation, path=path, query=everything(session, operation)))
    return record.get(relation.name) if isinstance(record, dict) else None


# States ---------------------------------------------------------------------------------------------------------


def _ends(contract: Contract, operation: Operation) -> bool:
    """Whether an action moves the record of its path, without being told how, and is refused in some states."""
    view = contract.views.get(operation.envelope.view_name or "")
    moves = acts(contract, operation) and len(operation.path_parameter_names) == 1 and operation.request_body is None
    return moves and view is not None and view.resource == operation.resource and 409 in operation.responses


def _is_final(case: Case) -> Iterator[CheckResult]:
    """The state that it answers stays, and in it the action is refused."""
    session, operation = case.session, case.operation
    done = performed(case)
    after = session.data(operation, done.exchange)
    reached = _states(case, done.before, after if isinstance(after, dict) else {})
    if done.on is None or not reached:
        raise SkipCheck(f"{operation.id} changed no state of a fresh {operation.resource}")
    path = {operation.path_parameter_names[0]: done.on.key}
    yield answered(case, 409, session.send(operation, path=path), "again")
    said, shown = "", done.exchange
    for _ in range(LOOKS):
        session.sleep(BETWEEN)
        record, shown = retrieved(session, done.on.resource, done.on.key)
        moved = [name for name, value in reached.items() if record.get(name) != value]
        said = "; ".join(told(name, reached[name], record.get(name)) for name in moved)
        if said:
            break
    resource = session.resource(operation)
    place = weakest(case, (operation.pointer, None), (resource.attributes[next(iter(reached))].pointer, None))
    yield case.judged(case.promise(*place, parameter="stays"), said, shown)


def _states(case: Case, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The properties with a choice of values that an action changed, and their values after it."""
    resource = case.session.resource(case.operation)
    named = [p.name for p in resource.attributes.values() if p.enum_values and p.name in after]
    return {name: after[name] for name in named if before.get(name) != after[name]}


LAWS: tuple[Law, ...] = (
    Law(
        "an-action-shows-what-is-stored",
        "A record that an action shows is stored as it is shown.",
        _shows_records,
        _is_stored,
        writes=True,
    ),
    Law(
        "an-action-is-about-its-record",
        "What an action answers is, or belongs to, the record of its path.",
        _has_a_record,
        _is_about,
        writes=True,
    ),
    Law(
        "an-end-is-final",
        "A state that an action led to stays, and the action is refused in it.",
        _ends,
        _is_final,
        writes=True,
    ),
    *sharing.LAWS,
    *figures.LAWS,
)
