"""Laws on the frame of a request: records, methods, media types and JSON that there are not."""

from collections.abc import Iterator
from typing import Any

from conformance.checks.support.bad_requests import (
    SAFE_METHODS,
    build_own_path,
    build_unknown_path,
    evaluate_status,
    find_blocking_reason,
    find_schema_violation,
    skip_if_blocked,
)
from conformance.checks.support.check import Case, Category, Check
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.skip_reasons import READ_ONLY, SkipReason
from conformance.transport.messages import Exchange, Request
from spec.loader import Contract, Operation

UNKNOWN_PATH = "/conformance-no-such-path"
TESTED_METHODS = ("post", "put", "delete")
FALLBACK_METHOD = (
    "patch"  # where a path has all of these or shares them: many servers take it for put, and some refuse it
)


def _addresses_record(contract: Contract, operation: Operation) -> bool:
    return (
        bool(operation.path_parameter_names) and operation.resource in contract.resources and 404 in operation.responses
    )


def _check_unknown_record(case: Case) -> Iterator[CheckResult]:
    session, operation = case.session, case.operation
    if session.read_only and operation.method not in SAFE_METHODS:
        yield case.skip(case.build_requirement(operation.responses[404]), READ_ONLY)
        return
    body: Any = session.payloads.build(operation, session.parent) if operation.request_body else None
    yield evaluate_status(case, 404, session.send(operation, path=build_unknown_path(case), body=body))


def _is_first_with_404(contract: Contract, operation: Operation) -> bool:
    """Whether it is the first operation that says what a 404 looks like."""
    return operation is next((o for o in contract.operations.values() if o.responses.get(404)), None)


def _check_unknown_path(case: Case) -> Iterator[CheckResult]:
    """A path that the contract does not have, in the shape of the contract's other 404s."""
    session = case.session
    request = Request(case.operation.id, "get", UNKNOWN_PATH)
    exchange = Exchange(request, session.target.send(request))
    requirement = case.build_requirement("#/info")
    if exchange.response.status != 404:
        yield case.build_result(
            requirement, f"{UNKNOWN_PATH} was answered {exchange.response.status}, due: 404", exchange
        )
    else:
        yield case.build_result(requirement, find_schema_violation(case, 404, exchange), exchange)


def _is_first_of_path(contract: Contract, operation: Operation) -> bool:
    return operation is next(o for o in contract.operations.values() if o.path == operation.path)


def _find_undefined_methods(contract: Contract, operation: Operation) -> list[str]:
    """Methods that no operation has on a path, nor on another that reads the same."""
    defined = {o.method for o in contract.operations.values() if _path_matches(o.path, operation.path)}
    return [method for method in TESTED_METHODS if method not in defined]


def _path_matches(template: str, path: str) -> bool:
    """Whether a request to `path`, with keys in it, is one to `template` too."""
    template_parts, path_parts = template.split("/"), path.split("/")
    return len(template_parts) == len(path_parts) and all(
        a == b or a[:1] == "{" for a, b in zip(template_parts, path_parts, strict=True)
    )


def _check_method_not_allowed(case: Case) -> Iterator[CheckResult]:
    session, operation = case.session, case.operation
    method = next(iter(_find_undefined_methods(session.contract, operation)), FALLBACK_METHOD)
    requirement = case.build_requirement("#/info", parameter=method)
    if session.read_only:
        yield case.skip(requirement, READ_ONLY)
        return
    exchange = session.send(operation, path=build_unknown_path(case), method=method)
    allowed = {token.strip().lower() for token in exchange.response.headers.get("allow", "").split(",")}
    expected_methods = {o.method for o in session.contract.operations.values() if o.path == operation.path}
    if exchange.response.status != 405 and method == FALLBACK_METHOD:
        yield case.skip(requirement, "another path reads the same, and has each method")
    elif exchange.response.status != 405:
        yield case.build_result(
            requirement, f"answered {exchange.response.status} to {method.upper()}, due: 405", exchange
        )
    elif not expected_methods <= allowed:
        allow_header = exchange.response.headers.get("allow") or "no Allow"
        yield case.build_result(
            requirement, f"405 with {allow_header}, due: Allow: {', '.join(sorted(expected_methods)).upper()}", exchange
        )
    else:
        yield case.build_result(requirement, "", exchange)


def _has_body(contract: Contract, operation: Operation) -> bool:
    return operation.request_body is not None


def _check_malformed_json(case: Case) -> Iterator[CheckResult]:
    yield from _evaluate_raw_body(case, 400, b'{"a": ', "application/json")


def _check_unsupported_media_type(case: Case) -> Iterator[CheckResult]:
    yield from _evaluate_raw_body(case, 415, b"a: text", "text/plain")


def _evaluate_raw_body(case: Case, status: int, raw: bytes, media_type: str) -> Iterator[CheckResult]:
    if status not in case.operation.responses:
        return
    yield from skip_if_blocked(case)
    if find_blocking_reason(case):
        return
    headers = {"Content-Type": media_type}
    yield evaluate_status(
        case, status, case.session.send(case.operation, path=_build_target_path(case), raw=raw, headers=headers)
    )


def _build_target_path(case: Case) -> dict[str, Any]:
    """A record of the run: one that is not there may be missed before the body is looked at."""
    try:
        return build_own_path(case)
    except SkipCheck as error:
        raise SkipCheck(SkipReason(f"no record to send it to: {error}", error.reason.category)) from None


CHECKS = (
    Check(
        "unknown-record-is-404",
        "A request for an unknown key returns 404.",
        Category.HTTP,
        _addresses_record,
        _check_unknown_record,
    ),
    Check(
        "unknown-path-is-404",
        "A request for an undefined path returns 404.",
        Category.HTTP,
        _is_first_with_404,
        _check_unknown_path,
    ),
    Check(
        "unsupported-method-is-405",
        "An unsupported method returns 405 with an Allow header that lists the supported methods.",
        Category.HTTP,
        _is_first_of_path,
        _check_method_not_allowed,
    ),
    Check(
        "malformed-json-is-400",
        "A body that is not valid JSON returns 400.",
        Category.HTTP,
        _has_body,
        _check_malformed_json,
        writes=True,
    ),
    Check(
        "unsupported-media-type-is-415",
        "A body whose media type is not JSON returns 415.",
        Category.HTTP,
        _has_body,
        _check_unsupported_media_type,
        writes=True,
    ),
)
