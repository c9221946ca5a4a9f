"""The law on what gives sight of a record to another tenant: it opens that record, for what was granted, no more."""

from collections.abc import Iterator
from typing import Any

from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws.acting import acts, grants_of, performed
from conformance.laws.law import Case, Law
from conformance.laws.neighbours import neighbours
from conformance.laws.own import brief, own, retrieved, same, writable
from conformance.outcome import CheckResult
from conformance.session import CreatedRecord
from spec.contract import Contract, Operation

HIDDEN = (403, 404)


def _grants(contract: Contract, operation: Operation) -> bool:
    return (
        acts(contract, operation)
        and grants_of(contract, operation) is not None
        and bool(operation.path_parameter_names)
    )


def _opens(case: Case) -> Iterator[CheckResult]:
    """Hidden before, seen after, not to be written, and gone with the record."""
    session, operation = case.session, case.operation
    why = neighbours(session)
    if why:
        raise SkipCheck(why)
    before = session.retrieve(
        operation.resource or "", session.shared_record(operation.resource or "").key, actor="other"
    )
    said = "" if before.response.status in HIDDEN else f"answered {before.response.status} before it was shared"
    yield case.judged(case.promise(parameter="before"), said, before)
    done = performed(case)
    mine = done.on
    if mine is not None:
        yield _seen(case, mine, done.exchange)
        yield from _only_read(case, mine)


def _seen(case: Case, mine: CreatedRecord, shared: Exchange) -> CheckResult:
    answers = [shared]

    def look() -> str:
        answers.append(case.session.retrieve(mine.resource, mine.key, actor="other"))
        status = answers[-1].response.status
        return "" if answers[-1].response.ok else f"answered {status} to whom it was shared with, due: a success"

    said = case.session.wait_until(look)
    return case.judged(case.promise(parameter="seen"), said, shared, answers[-1])


def _only_read(case: Case, mine: CreatedRecord) -> Iterator[CheckResult]:
    """Where the least is granted, an update is refused and changes nothing."""
    session = case.session
    update = session.operation(mine.resource, "update")
    if update is None:
        return
    field = next(iter(writable(Case(case.law, session, update), session.contract.resources[mine.resource])), None)
    if field is None:
        return
    value: Any = session.payloads.generate_value(field[0].schema, field[0].name)
    path = {update.path_parameter_names[0]: mine.key}
    exchange = session.send(update, path=path, body={field[0].name: value}, actor="other")
    due = [status for status in HIDDEN if status in update.responses] or list(HIDDEN)
    promise = case.promise(parameter="only read")
    if exchange.response.status not in due:
        said = f"an update was answered {exchange.response.status}, due: {' or '.join(map(str, due))}"
        yield case.judged(promise, said, exchange)
        return
    seen = session.require_operation(mine.resource, "retrieve")
    now = own(session.contract, seen, retrieved(session, mine.resource, mine.key)[0])
    taken = same(now.get(field[0].name), value)
    yield case.judged(promise, f"refused, yet {field[0].name} is {brief(value)}" if taken else "", exchange)


def _ends(case: Case) -> Iterator[CheckResult]:
    """Taken back where the contract has a way to, or else with the record itself; judged again: still taken back."""
    session, operation = case.session, case.operation
    done = performed(case)
    if done.on is None or neighbours(session):
        raise SkipCheck(neighbours(session) or not_testable("the contract has no record in its path"))
    mine, resource = done.on, session.contract.views[operation.envelope.view_name or ""].resource
    given = session.data(operation, done.exchange)
    key = given.get(session.contract.resources[resource].key_attribute) if isinstance(given, dict) else None
    way = (resource, key) if key is not None and session.operation(resource, "delete") else (mine.resource, mine.key)
    session.retrieve(mine.resource, mine.key, actor="other")  # who has seen it once must not keep it
    removed = session.delete(*way)
    if removed is None or not (removed.response.ok or removed.response.status == 404):
        raise SkipCheck(
            not_testable(f"the contract has no way to take back what was shared that the target takes: {way[0]}")
        )
    answers = [removed]

    def look() -> str:
        answers.append(session.retrieve(mine.resource, mine.key, actor="other"))
        status = answers[-1].response.status
        return "" if status in HIDDEN else f"still answered {status} after the {way[0]} was deleted"

    said = session.wait_until(look)
    yield case.judged(case.promise(), said, removed, answers[-1])


LAWS: tuple[Law, ...] = (
    Law(
        "sharing-opens-what-is-granted",
        "Whom a record is shared with sees it, from then on, and may do what was granted and no more.",
        _grants,
        _opens,
        writes=True,
        needs_second_token=True,
    ),
    Law(
        "sharing-ends",
        "Whom a record was shared with sees it no more once the share, or the record, is deleted.",
        _grants,
        _ends,
        writes=True,
        needs_second_token=True,
    ),
)
