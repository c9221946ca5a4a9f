"""Laws on any answer: its status, media type and schema, and no fault of the server.

They come last: they judge what the run has seen of an operation, and ask for a success themselves where one can be had
without harm.
"""

from collections.abc import Callable, Iterator

from conformance.cause import insufficient_data
from conformance.errors import SkipCheck
from conformance.laws.acting import acts, performed
from conformance.laws.asking import readable
from conformance.laws.law import Case, Law
from conformance.outcome import CheckResult
from spec.contract import Contract, Operation


def _any(contract: Contract, operation: Operation) -> bool:
    return True


def _judge(case: Case) -> Iterator[CheckResult]:
    """What the run noticed of an operation, after asking for a success if none was seen."""
    try:
        seen = _success(case)
    except SkipCheck as error:
        seen, why = False, error.reason
    else:
        why = insufficient_data("no success of it can be asked for without harm")
    broken = False
    for (operation, law, *_), (notice, exchange) in list(case.session.findings.items()):
        if (operation, law) == (case.operation.id, case.law.id):
            broken = True
            yield case.judged(case.promise(notice.pointer, notice.keyword, notice.parameter), notice.message, exchange)
    for place, judged in () if broken else _places(case, seen):
        yield case.judged(case.promise(place), "") if judged else case.not_judged(case.promise(place), why)


def _places(case: Case, success: bool) -> Iterator[tuple[str, bool]]:
    """Where the promise stands, and whether an answer was seen there: schemas of statuses, or the operation."""
    operation = case.operation
    statuses = {status for name, status in case.session.call_counts if name == operation.id}
    if case.law.id != "answers-fit-the-schema":
        yield operation.pointer, bool(statuses)
        return
    if not success and operation.envelope.schema_pointer:
        yield operation.envelope.schema_pointer, False
    yield from ((pointer, True) for s, pointer in operation.responses.items() if s in statuses and pointer)


def _success(case: Case) -> bool:
    """Whether a success of the operation was seen in this run."""
    session, operation = case.session, case.operation
    if any(name == operation.id and 200 <= status < 300 for name, status in session.call_counts):
        return True
    made = session.contract.find_created_resource(operation)
    if made is not None:
        session.shared_record(made)
    elif acts(session.contract, operation):
        performed(case)
    elif operation.has_query_body and not session.read_only:
        session.send(operation, body=session.payloads.build(operation, session.parent))
    elif operation.method == "get":
        session.send(operation, path=readable(case), query=session.required_query(operation))
    else:
        return False
    return session.call_counts[operation.id, operation.envelope.status] > 0


def _law(
    name: str, sentence: str, judge: Callable[[Case], Iterator[CheckResult]] = _judge, *, always: bool = False
) -> Law:
    return Law(name, sentence, _any, judge, always=always)


LAWS = (
    _law("no-server-error", "No request makes the server fail.", always=True),
    _law("no-traceback", "No answer shows what is inside of the server.", always=True),
    _law("status-is-documented", "Every status that an operation answers stands in the contract."),
    _law("content-type-is-json", "An answer with a body says that it is JSON."),
    _law("answers-fit-the-schema", "Every body fits the schema of its status."),
)
