"""Checks recorded traffic: requests and responses, with openapi-core and with the checks of any response.

An invalid request that the target rejected is correct. Missing parts of a recording are skipped, and entries that do
not belong to the API are counted.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conformance.checks.validation import responses
from conformance.har.format import HarEntry, url_origin
from conformance.har.openapi_core_adapter import OpenapiCoreValidator, RecordedRequest
from conformance.har.routes import RecordedRoute, find_route
from conformance.responses.findings import SERVER_STATUSES, Finding, inspect_response
from conformance.results import CheckResult, Requirement, Status
from conformance.transport.messages import AUTHORIZATION, Exchange, Request, Response
from spec.model import Contract, Operation
from spec.provenance import get_provenance

REQUIREMENTS = {
    "request-matches-contract": "A successful request is valid by the contract.",
    "path-is-documented": "The contract documents every path and method that is used.",
    "parameter-is-documented": "The contract documents every query parameter that is sent.",
    **{check.id: check.requirement for check in responses.CHECKS},
}
PROVENANCE_INDEPENDENT = frozenset(check.id for check in responses.CHECKS if check.provenance_independent)
BODY_CHECKS = frozenset({"content-type-is-json", "response-matches-schema"})
CREDENTIAL_HEADERS = (AUTHORIZATION.lower(), "proxy-authorization", "x-api-key", "x-xsrf-token")
MIN_COOKIE_SECRET_CHARS = 8  # shorter values of cookies are not redacted
MAX_FAILURES = 1_000
_VARIABLE_SEGMENT = re.compile(r"[0-9]+|[0-9a-fA-F-]{16,}|.{65,}")


@dataclass(slots=True)
class TrafficResult:
    """`call_counts`: (operationId, status) -> calls. `skipped`: reason -> entries. `secrets`: recorded credentials."""

    call_counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    secrets: set[str] = field(default_factory=set)
    entries: int = 0
    _failures: dict[str, tuple[CheckResult, int]] = field(default_factory=dict)
    _requirements: dict[tuple[str, str], Requirement] = field(default_factory=dict)

    def add_requirement(self, requirement: Requirement) -> None:
        """Record that a check ran on an operation."""
        self._requirements.setdefault((requirement.check, requirement.operation), requirement)

    def add_failure(self, result: CheckResult) -> None:
        """Record a failure, or count it again."""
        fingerprint = result.requirement.fingerprint
        first, count = self._failures.get(fingerprint, (result, 0))
        if count or len(self._failures) < MAX_FAILURES:
            self._failures[fingerprint] = first, count + 1

    def results(self) -> list[CheckResult]:
        """One result per failed requirement, and one per check that an operation passes."""
        failed = [
            replace(result, message=f"{result.message} ({count} times)") if count > 1 else result
            for result, count in self._failures.values()
        ]
        failed_keys = {(result.requirement.check, result.requirement.operation) for result in failed}
        passed = [requirement for key, requirement in self._requirements.items() if key not in failed_keys]
        return [*failed, *(CheckResult(requirement, Status.PASSED) for requirement in passed)]


def audit(contract: Contract, validator: OpenapiCoreValidator, entries: list[HarEntry], base: str) -> TrafficResult:
    """Check all entries whose URL starts with `base`."""
    result = TrafficResult()
    for entry in entries:
        result.secrets |= set(_credentials(contract, entry))
        skip_reason = _skip_reason(entry, base)
        if skip_reason:
            result.skipped[skip_reason] += 1
            continue
        result.entries += 1
        path = urlsplit(entry.url).path.removeprefix(urlsplit(base).path)
        route = find_route(contract, path.rstrip("/") or "/")
        operation = route.operations.get(entry.method) if route else None
        if route is None or operation is None:
            _add_unknown_route(entry, route, result, path)
        else:
            _audit_entry(validator, entry, operation, route.values, result)
    return result


def _skip_reason(entry: HarEntry, base: str) -> str:
    """Why an entry is not checked, or ""."""
    if entry.is_stream:
        return "web sockets and event streams"
    path = urlsplit(entry.url).path if url_origin(entry.url) else ""
    if url_origin(entry.url) != url_origin(base) or not f"{path}/".startswith(f"{urlsplit(base).path}/"):
        return "other hosts and paths"
    if entry.method in ("options", "head"):
        return "OPTIONS and HEAD"
    if entry.status == 0:
        return "without a response"
    return "served from a cache (304)" if entry.status == 304 else ""


def _audit_entry(
    validator: OpenapiCoreValidator,
    entry: HarEntry,
    operation: Operation,
    path_values: Mapping[str, str],
    result: TrafficResult,
) -> None:
    contract, has_body = validator.contract, entry.response_body is not None
    recorded = RecordedRequest(path_values, tuple(_query(entry)), entry.request_headers, entry.request_body)
    response = Response(entry.status, entry.response_headers, entry.response_body or b"", entry.duration)
    exchange = Exchange(_build_request(operation, recorded), response)
    result.call_counts[operation.id, entry.status] += 1
    for check in _applicable_checks(response, has_body=has_body):
        result.add_requirement(_requirement(contract, operation, Finding(check, operation.pointer, None, "")))
    findings = [
        *_parameter_findings(contract, operation, recorded),
        *(_request_findings(validator, operation, recorded, response.status) if response.ok else ()),
        *_response_findings(validator, operation, recorded, exchange, has_body=has_body),
    ]
    for finding in findings:
        message = f"{finding.message} ({entry.location})"
        result.add_failure(CheckResult(_requirement(contract, operation, finding), Status.FAILED, message, (exchange,)))


def _applicable_checks(response: Response, *, has_body: bool) -> Iterator[str]:
    """The checks that can fail for an exchange. `has_body`: whether the recording has the response body."""
    for check in REQUIREMENTS:
        is_applicable = response.ok if check == "request-matches-contract" else has_body or check not in BODY_CHECKS
        if is_applicable and check != "path-is-documented":
            yield check


def _requirement(contract: Contract, operation: Operation, finding: Finding) -> Requirement:
    return Requirement(
        finding.check,
        operation.id,
        REQUIREMENTS[finding.check],
        finding.pointer,
        get_provenance(contract.document, finding.pointer, finding.keyword),
        finding.check in PROVENANCE_INDEPENDENT,
        finding.parameter,
        finding.keyword or "",
    )


def _add_unknown_route(entry: HarEntry, route: RecordedRoute | None, result: TrafficResult, path: str) -> None:
    """Record an undocumented path or method once, with its variable segments replaced by ``*``."""
    check = "path-is-documented"
    segments = ("*" if _VARIABLE_SEGMENT.fullmatch(segment) else segment for segment in path.split("/"))
    name = f"{entry.method.upper()} {route.template if route else '/'.join(segments)}"[:200]
    requirement = Requirement(check, name, REQUIREMENTS[check], "#/paths", "inferred")
    if entry.status in (404, 405):
        result.add_requirement(requirement)  # the target does not define it either
        return
    message = f"got {entry.status}, but the contract does not document it ({entry.location})"
    request = Request(name, entry.method, path, query=tuple(_query(entry)), actor=_actor(entry.request_headers))
    response = Response(entry.status, entry.response_headers, entry.response_body or b"", entry.duration)
    result.add_failure(CheckResult(requirement, Status.FAILED, message, (Exchange(request, response),)))


def _parameter_findings(contract: Contract, operation: Operation, recorded: RecordedRequest) -> Iterator[Finding]:
    """Query parameters that the contract does not document."""
    known = {parameter.name for parameter in operation.query_parameters}
    has_parameters = "parameters" in contract.document.resolve(operation.pointer)
    pointer = f"{operation.pointer}/parameters" if has_parameters else operation.pointer
    for name in dict.fromkeys(name for name, _ in recorded.query):
        if not known & {name, name.removesuffix("[]"), name.split("[")[0]}:
            message = f"{name[:80]!a} is sent, but the contract does not document it"
            yield Finding("parameter-is-documented", pointer, "unnamed", message, name[:80])


def _request_findings(
    validator: OpenapiCoreValidator, operation: Operation, recorded: RecordedRequest, status: int
) -> Iterator[Finding]:
    for finding in validator.validate_request(operation, recorded):
        message = f"{finding.message}; got {status}"
        yield Finding("request-matches-contract", finding.pointer, finding.keyword, message, finding.parameter)


def _response_findings(
    validator: OpenapiCoreValidator,
    operation: Operation,
    recorded: RecordedRequest,
    exchange: Exchange,
    *,
    has_body: bool,
) -> Iterator[Finding]:
    """Violations by our validators at their locations; those that only openapi-core finds, at the response."""
    findings = list(inspect_response(validator.schemas, operation, exchange))
    status = exchange.response.status
    yield from (finding for finding in findings if has_body or finding.check not in BODY_CHECKS)
    if has_body and not findings and status in operation.responses and status not in SERVER_STATUSES:
        pointer = operation.responses[status] or f"{operation.pointer}/responses/{status}"
        for message in validator.validate_response(operation, recorded, exchange.response):
            yield Finding("response-matches-schema", pointer, None, f"{status}: {message}", "openapi-core")


def _query(entry: HarEntry) -> Iterator[tuple[str, str]]:
    yield from parse_qsl(urlsplit(entry.url).query, keep_blank_values=True, max_num_fields=10_000)


def _build_request(operation: Operation, recorded: RecordedRequest) -> Request:
    """The request for reports, without headers, which contain credentials."""
    body, content = _parse_body(recorded.body)
    has_media_type = content is not None and "content-type" in recorded.headers
    return Request(
        operation.id,
        operation.method,
        operation.path,
        dict(recorded.values),
        recorded.query,
        body,
        content,
        _actor(recorded.headers),
        {"content-type": recorded.headers["content-type"]} if has_media_type else {},
    )


def _parse_body(body: bytes | None) -> tuple[Any, bytes | None]:
    """(JSON value, content that is not JSON)."""
    if not body:
        return None, None
    try:
        return json.loads(body), None
    except (ValueError, RecursionError):
        return None, body


def _actor(headers: Mapping[str, str]) -> str:
    return "self" if AUTHORIZATION.lower() in headers or "cookie" in headers else "anonymous"


def _credentials(contract: Contract, entry: HarEntry) -> Iterator[str]:
    """Values to redact: credential headers, with and without their scheme, and cookies."""
    scheme_names = {str(scheme.get("name", "")).lower() for scheme in contract.security_schemes.values()}
    for name, value in (*entry.request_headers.items(), *entry.response_headers.items()):
        if name in scheme_names or name in CREDENTIAL_HEADERS:
            yield from (value, value.rsplit(" ", 1)[-1])
        elif name in ("cookie", "set-cookie"):
            parts = (part.split("=", 1)[-1].strip() for part in re.split("[;,]", value))
            yield from (part for part in parts if len(part) >= MIN_COOKIE_SECRET_CHARS)
