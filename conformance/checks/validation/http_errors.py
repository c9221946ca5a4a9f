"""Checks of HTTP errors: unknown records and paths, unsupported methods and media types, malformed JSON."""

from collections.abc import Iterator
from typing import Any

from conformance.checks.support import bad_requests
from conformance.checks.support.check import Case, Category, check
from conformance.errors import READ_ONLY, SkipCheck, SkipReason, insufficient_data
from conformance.responses.findings import is_json_media_type
from conformance.results import CheckResult
from conformance.transport.messages import Exchange, Request
from spec.model import Contract, Operation

UNKNOWN_PATH = "/conformance-no-such-path"
UNKNOWN_PARAMETER = "conformance_unknown"
TESTED_METHODS = ("post", "put", "delete")
FALLBACK_METHOD = "patch"  # for paths that have all tested methods; many servers handle PATCH as PUT


@check(
    "unknown-record-is-404",
    "A request for an unknown key returns 404.",
    Category.HTTP,
    lambda c, o: bool(o.path_parameter_names) and o.resource in c.resources and 404 in o.responses,
)
def check_unknown_record(case: Case) -> Iterator[CheckResult]:
    session, operation = case.session, case.operation
    if session.options.read_only and operation.method not in bad_requests.SAFE_METHODS:
        yield case.skip(case.build_requirement(operation.responses[404]), READ_ONLY)
        return
    body: Any = session.payloads.build_any(operation, session.records.parent)
    exchange = session.client.send(operation, path=bad_requests.build_unknown_path(case), body=body)
    yield bad_requests.evaluate_status(case, 404, exchange)


@check(
    "unknown-path-is-404",
    "A request for an undefined path returns 404.",
    Category.HTTP,
    lambda c, o: o is next((first for first in c.operations.values() if first.responses.get(404)), None),
)
def check_unknown_path(case: Case) -> Iterator[CheckResult]:
    """Request an undefined path. If all operations document one 404 body, the body must match its schema."""
    request = Request(case.operation.id, "get", UNKNOWN_PATH)
    exchange = Exchange(request, case.session.client.target.send(request))
    status = exchange.response.status
    failure = "" if status == 404 else f"got {status}, expected 404"
    if status == 404 and _has_common_schema(case.session.contract, 404):
        failure = bad_requests.find_schema_violation(case, 404, exchange)
    yield case.build_result(case.build_requirement("#/info"), failure, exchange)


def _has_common_schema(contract: Contract, status: int) -> bool:
    """Whether several operations document a status, all with the same schema."""
    documented = [
        operation.responses[status] for operation in contract.operations.values() if status in operation.responses
    ]
    schemas = [None if pointer is None else contract.document.resolve(pointer) for pointer in documented]
    return len(schemas) > 1 and all(schema is not None and schema == schemas[0] for schema in schemas)


@check(
    "unknown-parameter-ignored",
    "A query parameter that the contract does not have is ignored.",
    Category.HTTP,
    lambda c, o: o.method == "get",
)
def check_unknown_parameter(case: Case) -> Iterator[CheckResult]:
    """Send a request that succeeds once more with an unknown parameter."""
    session, operation = case.session, case.operation
    path, query = bad_requests.build_readable_path(case), session.records.required_query(operation)
    if not session.client.send(operation, path=path, query=query).response.ok:
        raise SkipCheck(insufficient_data("the request fails without the parameter too"))
    exchange = session.client.send(operation, path=path, query={**query, UNKNOWN_PARAMETER: "1"})
    status = exchange.response.status
    failure = "" if exchange.response.ok else f"got {status} with the parameter {UNKNOWN_PARAMETER}, expected a success"
    yield case.build_result(case.build_requirement("#/info", parameter=UNKNOWN_PARAMETER), failure, exchange)


def _find_undefined_methods(contract: Contract, operation: Operation) -> list[str]:
    """Return the tested methods that neither the path nor an overlapping path defines."""
    defined = {o.method for o in contract.operations.values() if _path_matches(o.path, operation.path)}
    return [method for method in TESTED_METHODS if method not in defined]


def _path_matches(template: str, path: str) -> bool:
    """Return whether a request to `path` also matches another path template."""
    template_parts, path_parts = template.split("/"), path.split("/")
    return len(template_parts) == len(path_parts) and all(
        a == b or a[:1] == "{" for a, b in zip(template_parts, path_parts, strict=True)
    )


def _list_operations_at_address(contract: Contract, operation: Operation) -> list[Operation]:
    """Return the operations with the path of an operation and the same servers, in the order of the contract."""
    address = (operation.base_paths, operation.path)
    return [other for other in contract.operations.values() if (other.base_paths, other.path) == address]


@check(
    "unsupported-method-is-405",
    "An unsupported method returns 405 with an Allow header that lists the supported methods.",
    Category.HTTP,
    lambda c, o: o is _list_operations_at_address(c, o)[0],
)
def check_method_not_allowed(case: Case) -> Iterator[CheckResult]:
    session, operation = case.session, case.operation
    method = next(iter(_find_undefined_methods(session.contract, operation)), FALLBACK_METHOD)
    requirement = case.build_requirement("#/info", parameter=method)
    if session.options.read_only:
        yield case.skip(requirement, READ_ONLY)
        return
    exchange = session.client.send(operation, path=bad_requests.build_unknown_path(case), method=method)
    status, allow = exchange.response.status, exchange.response.headers.get("allow", "")
    allowed = {token.strip().lower() for token in allow.split(",")}
    expected = {o.method for o in _list_operations_at_address(session.contract, operation)}
    failure = ""
    if status != 405 and method == FALLBACK_METHOD:
        yield case.skip(requirement, "overlapping paths define every method")
        return
    if status != 405:
        failure = f"got {status} for {method.upper()}, expected 405"
    elif not expected <= allowed:
        failure = f"405: got Allow {allow!r}, expected {', '.join(sorted(expected)).upper()}"
    yield case.build_result(requirement, failure, exchange)


def _has_body(contract: Contract, operation: Operation) -> bool:
    return operation.request_body is not None


@check("malformed-json-is-400", "A body that is not valid JSON returns 400.", Category.HTTP, _has_body, writes=True)
def check_malformed_json(case: Case) -> Iterator[CheckResult]:
    body = case.operation.request_body
    media_type = next((name for name in body.media_types if is_json_media_type(name)), None) if body else None
    if media_type is not None:
        yield from _evaluate_raw_body(case, 400, b'{"a": ', media_type)


@check(
    "unsupported-media-type-is-415",
    "A body whose media type is not JSON returns 415.",
    Category.HTTP,
    _has_body,
    writes=True,
)
def check_unsupported_media_type(case: Case) -> Iterator[CheckResult]:
    body = case.operation.request_body
    if body is not None and not {"text/plain", "text/*", "*/*"} & set(body.media_types):
        yield from _evaluate_raw_body(case, 415, b"a: text", "text/plain")


def _evaluate_raw_body(case: Case, status: int, raw: bytes, media_type: str) -> Iterator[CheckResult]:
    if status not in case.operation.responses:
        return
    bad_requests.require_allowed(case)
    path, headers = _build_target_path(case), {"Content-Type": media_type}
    exchange = case.session.client.send(case.operation, path=path, raw=raw, headers=headers)
    yield bad_requests.evaluate_status(case, status, exchange)


def _build_target_path(case: Case) -> dict[str, Any]:
    """Build the path of a record of the run: an unknown key may be rejected before the body is read."""
    try:
        return bad_requests.build_own_path(case)
    except SkipCheck as error:
        raise SkipCheck(SkipReason(f"no record to send the request to: {error}", error.reason.category)) from None
