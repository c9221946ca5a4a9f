"""Laws on any answer: its status, media type and schema, and no fault of the server. They come last: they judge what the
run has seen of an operation, and ask for a success themselves where one can be had without harm."""

from collections.abc import Callable, Iterator
from typing import Any

from conformance.errors import CannotMake
from conformance.laws.law import Case, Law
from conformance.laws.own import created_by
from conformance.outcome import Outcome
from spec.contract import Contract, Operation


def _any(contract: Contract, operation: Operation) -> bool:
    return True


def _judge(case: Case) -> Iterator[Outcome]:
    """What the run noticed of an operation, after asking for a success if none was seen."""
    try:
        seen = _success(case)
    except CannotMake as error:
        seen, why = False, str(error)
    else:
        why = "no success of it can be asked for without harm"
    broken = False
    for (operation, law, _, _), (notice, exchange) in list(case.session.noticed.items()):
        if (operation, law) == (case.operation.id, case.law.id):
            broken = True
            yield case.judged(case.promise(notice.pointer, notice.keyword, notice.parameter), notice.said, exchange)
    if broken:
        return
    for promise_at in _places(case):
        yield case.judged(case.promise(promise_at), "") if seen else case.not_judged(case.promise(promise_at), why)


def _places(case: Case) -> Iterator[str]:
    """Where the promise stands: the schema of each status seen, or the operation."""
    seen = [status for name, status in case.session.seen if name == case.operation.id]
    success = case.operation.result.schema
    if case.law.id != "answers-fit-the-schema":
        yield case.operation.pointer
        return
    found = {case.operation.statuses.get(status) for status in seen} | {success}
    yield from sorted(pointer for pointer in found if pointer)


def _success(case: Case) -> bool:
    """Whether a success of the operation was seen in this run."""
    session, operation = case.session, case.operation
    if any(name == operation.id and 200 <= status < 300 for name, status in session.seen):
        return True
    made = created_by(session.contract, operation)
    if made is not None:
        session.kept(made)
    elif operation.method == "get":
        session.send(operation, path=_key(case), query=_required(case))
    else:
        return False
    return session.seen[operation.id, operation.result.status] > 0


def _key(case: Case) -> dict[str, Any]:
    """The key of a record of the run, or else of one that is listed."""
    session, resource = case.session, case.operation.resource
    if not case.operation.path_parameters:
        return {}
    if resource not in session.contract.resources or len(case.operation.path_parameters) > 1:
        raise CannotMake("its path names what the contract does not store")
    try:
        key = session.kept(resource).key
    except CannotMake:
        row = next(session.rows(session.needed(resource, "list"), {}, pages=1), None)
        if row is None:
            raise CannotMake(f"there is no {resource}") from None
        key = session.key_of(resource, row)
    return {case.operation.path_parameters[0]: key}


def _required(case: Case) -> dict[str, Any]:
    return {p.name: case.session.bodies.value(p.schema, p.name) for p in case.operation.query if p.required}


def _law(name: str, sentence: str, judge: Callable[[Case], Iterator[Outcome]] = _judge, *, always: bool = False) -> Law:
    return Law(name, sentence, _any, judge, always=always)


LAWS = (
    _law("no-server-error", "No request makes the server fail.", always=True),
    _law("no-traceback", "No answer shows what is inside of the server.", always=True),
    _law("status-is-documented", "Every status that an operation answers stands in the contract."),
    _law("content-type-is-json", "An answer with a body says that it is JSON."),
    _law("answers-fit-the-schema", "Every body fits the schema of its status."),
)
