"""Laws on the frame of a request: records, methods, media types and JSON that there are not."""

from collections.abc import Iterator
from typing import Any

from conformance.cause import READ_ONLY, SkipReason
from conformance.errors import SkipCheck
from conformance.exchange import Exchange, Request
from conformance.laws.asking import READS, answered, existing, harmless, refused_anyhow, unfit, unknown
from conformance.laws.law import Case, Law
from conformance.outcome import CheckResult
from spec.contract import Contract, Operation

NOWHERE = "/conformance-no-such-path"
METHODS = ("post", "put", "delete")
SHARED = "patch"  # where a path has all of these or shares them: many servers take it for put, and some refuse it


def _names_a_record(contract: Contract, operation: Operation) -> bool:
    return (
        bool(operation.path_parameter_names) and operation.resource in contract.resources and 404 in operation.responses
    )


def _unknown_record(case: Case) -> Iterator[CheckResult]:
    session, operation = case.session, case.operation
    if session.read_only and operation.method not in READS:
        yield case.not_judged(case.promise(operation.responses[404]), READ_ONLY)
        return
    body: Any = session.payloads.build(operation, session.parent) if operation.request_body else None
    yield answered(case, 404, session.send(operation, path=unknown(case), body=body))


def _has_404(contract: Contract, operation: Operation) -> bool:
    """Whether it is the first operation that says what a 404 looks like."""
    return operation is next((o for o in contract.operations.values() if o.responses.get(404)), None)


def _unknown_path(case: Case) -> Iterator[CheckResult]:
    """A path that the contract does not have, in the shape of the contract's other 404s."""
    session = case.session
    request = Request(case.operation.id, "get", NOWHERE)
    exchange = Exchange(request, session.target.send(request))
    promise = case.promise("#/info")
    if exchange.response.status != 404:
        yield case.judged(promise, f"{NOWHERE} was answered {exchange.response.status}, due: 404", exchange)
    else:
        yield case.judged(promise, unfit(case, 404, exchange), exchange)


def _first_of_its_path(contract: Contract, operation: Operation) -> bool:
    return operation is next(o for o in contract.operations.values() if o.path == operation.path)


def _methods_not_there(contract: Contract, operation: Operation) -> list[str]:
    """Methods that no operation has on a path, nor on another that reads the same."""
    there = {o.method for o in contract.operations.values() if _reads_as(o.path, operation.path)}
    return [method for method in METHODS if method not in there]


def _reads_as(template: str, path: str) -> bool:
    """Whether a request to `path`, with keys in it, is one to `template` too."""
    ones, others = template.split("/"), path.split("/")
    return len(ones) == len(others) and all(a == b or a[:1] == "{" for a, b in zip(ones, others, strict=True))


def _wrong_method(case: Case) -> Iterator[CheckResult]:
    session, operation = case.session, case.operation
    method = next(iter(_methods_not_there(session.contract, operation)), SHARED)
    promise = case.promise("#/info", parameter=method)
    if session.read_only:
        yield case.not_judged(promise, READ_ONLY)
        return
    exchange = session.send(operation, path=unknown(case), method=method)
    allowed = {word.strip().lower() for word in exchange.response.headers.get("allow", "").split(",")}
    due = {o.method for o in session.contract.operations.values() if o.path == operation.path}
    if exchange.response.status != 405 and method == SHARED:
        yield case.not_judged(promise, "another path reads the same, and has each method")
    elif exchange.response.status != 405:
        yield case.judged(promise, f"answered {exchange.response.status} to {method.upper()}, due: 405", exchange)
    elif not due <= allowed:
        found = exchange.response.headers.get("allow") or "no Allow"
        yield case.judged(promise, f"405 with {found}, due: Allow: {', '.join(sorted(due)).upper()}", exchange)
    else:
        yield case.judged(promise, "", exchange)


def _has_json(contract: Contract, operation: Operation) -> bool:
    return operation.request_body is not None


def _malformed(case: Case) -> Iterator[CheckResult]:
    yield from _raw(case, 400, b'{"a": ', "application/json")


def _wrong_media_type(case: Case) -> Iterator[CheckResult]:
    yield from _raw(case, 415, b"a: text", "text/plain")


def _raw(case: Case, status: int, raw: bytes, media_type: str) -> Iterator[CheckResult]:
    if status not in case.operation.responses:
        return
    yield from refused_anyhow(case)
    if harmless(case):
        return
    headers = {"Content-Type": media_type}
    yield answered(case, status, case.session.send(case.operation, path=_path(case), raw=raw, headers=headers))


def _path(case: Case) -> dict[str, Any]:
    """A record of the run: one that is not there may be missed before the body is looked at."""
    try:
        return existing(case)
    except SkipCheck as error:
        raise SkipCheck(SkipReason(f"no record to send it to: {error}", error.reason.category)) from None


LAWS = (
    Law("unknown-record-is-404", "A key that no record has is answered 404.", _names_a_record, _unknown_record),
    Law("unknown-path-is-404", "A path that there is not is answered 404.", _has_404, _unknown_path),
    Law(
        "wrong-method-is-405",
        "A method that a path does not have is answered 405, with those that it has in Allow.",
        _first_of_its_path,
        _wrong_method,
    ),
    Law("malformed-json-is-400", "A body that is no JSON is answered 400.", _has_json, _malformed, writes=True),
    Law(
        "wrong-media-type-is-415",
        "A body that is not JSON by its media type is answered 415.",
        _has_json,
        _wrong_media_type,
        writes=True,
    ),
)
