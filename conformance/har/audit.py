"""Judges recorded traffic: every request and every answer, by openapi-core and by what any answer shows.

A request that the contract does not admit and that was refused is as it should be. What was left out of a recording
is not judged; what does not belong to the API is counted.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
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
from spec.loader import Contract, Operation
from spec.provenance import get_provenance

REQUIREMENTS = {
    "request-matches-contract": "A request that is granted is one that the contract admits.",
    "path-is-documented": "Every path and method that is used stands in the contract.",
    "parameter-is-documented": "Every query parameter that is sent stands in the contract.",
    **{law.id: law.requirement for law in responses.CHECKS},
}
PROVENANCE_INDEPENDENT = frozenset(law.id for law in responses.CHECKS if law.provenance_independent)
BODY_CHECKS = frozenset({"content-type-is-json", "response-matches-schema"})
MIN_COOKIE_SECRET_CHARS = 8  # characters of a cookie that is hidden wherever it stands
MAX_FAILURES = 1_000  # broken promises that are told apart
_VARYING = re.compile(r"[0-9]+|[0-9a-fA-F-]{16,}|.{65,}")


@dataclass(slots=True)
class TrafficResult:
    """What became of a recording. `call_counts`: (operationId, status) -> how often. `skipped`: why entries were not judged
    -> how many. `secrets`: credentials that stand in it."""

    call_counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    secrets: set[str] = field(default_factory=set)
    entries: int = 0
    _failures: dict[str, tuple[CheckResult, int]] = field(default_factory=dict)
    _requirements: dict[tuple[str, str], Requirement] = field(default_factory=dict)

    def add_requirement(self, promise: Requirement) -> None:
        """Note that a law was asked of an operation."""
        self._requirements.setdefault((promise.check, promise.operation), promise)

    def add_failure(self, outcome: CheckResult) -> None:
        """Note a broken promise, or that it was broken again."""
        fingerprint = outcome.requirement.fingerprint
        first, times = self._failures.get(fingerprint, (outcome, 0))
        if times or len(self._failures) < MAX_FAILURES:
            self._failures[fingerprint] = first, times + 1

    def results(self) -> list[CheckResult]:
        """One for each broken promise, and one for each law that an operation keeps."""
        failed = [
            replace(o, message=f"{o.message} ({times} times)") if times > 1 else o
            for o, times in self._failures.values()
        ]
        failed_keys = {(o.requirement.check, o.requirement.operation) for o in failed}
        passed = [
            CheckResult(promise, Status.PASSED) for at, promise in self._requirements.items() if at not in failed_keys
        ]
        return [*failed, *passed]


def audit(contract: Contract, validator: OpenapiCoreValidator, entries: list[HarEntry], base: str) -> TrafficResult:
    """Judge all entries at addresses below `base`."""
    result = TrafficResult()
    for entry in entries:
        result.secrets |= set(_credentials(contract, entry))
        route_or_reason = _find_route(contract, entry, base)
        if isinstance(route_or_reason, str):
            result.skipped[route_or_reason] += 1
            continue
        result.entries += 1
        _audit_entry(contract, validator, entry, route_or_reason, result, base)
    return result


def _find_route(contract: Contract, entry: HarEntry, base: str) -> RecordedRoute | str | None:
    """The path that it is about, None when it is of the API and of no path; a text: why it is not judged."""
    if entry.is_stream:
        return "web sockets and event streams"
    path = urlsplit(entry.url).path if url_origin(entry.url) else ""
    prefix = urlsplit(base).path
    if url_origin(entry.url) != url_origin(base) or not f"{path}/".startswith(f"{prefix}/"):
        return "other hosts and paths"
    if entry.method in ("options", "head"):
        return "OPTIONS and HEAD"
    if entry.status == 0:
        return "without an answer"
    if entry.status == 304:
        return "answered from a cache (304)"
    return find_route(contract, path.removeprefix(prefix).rstrip("/") or "/")


def _audit_entry(
    contract: Contract,
    validator: OpenapiCoreValidator,
    entry: HarEntry,
    route_: RecordedRoute | None,
    result: TrafficResult,
    base: str,
) -> None:
    operation = route_.operations.get(entry.method) if route_ else None
    if route_ is None or operation is None:
        _add_unknown_route(entry, route_, result, base)
        return
    recorded = RecordedRequest(route_.values, tuple(_pairs(entry)), entry.request_headers, entry.request_body)
    response = Response(entry.status, entry.response_headers, entry.response_body or b"", entry.duration)
    exchange = Exchange(_request(operation, recorded), response)
    result.call_counts[operation.id, entry.status] += 1
    findings_ = [
        *_of_parameters(contract, operation, recorded),
        *_of_request(validator, operation, recorded, response),
        *_of_answer(validator, operation, recorded, exchange, kept=entry.response_body is not None),
    ]
    for law in _applicable_checks(response, kept=entry.response_body is not None):
        result.add_requirement(_requirement(contract, operation, Finding(law, operation.pointer, None, "")))
    for finding in findings_:
        message = f"{finding.message} ({entry.location})"
        result.add_failure(CheckResult(_requirement(contract, operation, finding), Status.FAILED, message, (exchange,)))


def _applicable_checks(response: Response, *, kept: bool) -> Iterator[str]:
    """The laws that a recorded exchange can break. `kept`: whether the answer's body is in the recording."""
    for law in REQUIREMENTS:
        needs = (law not in BODY_CHECKS or kept) and (law != "request-matches-contract" or response.ok)
        if needs and law != "path-is-documented":
            yield law


def _requirement(contract: Contract, operation: Operation, notice: Finding) -> Requirement:
    provenance_ = get_provenance(contract.document, notice.pointer, notice.keyword)
    always = notice.check in PROVENANCE_INDEPENDENT
    sentence = REQUIREMENTS[notice.check]
    keyword = notice.keyword or ""
    return Requirement(
        notice.check, operation.id, sentence, notice.pointer, provenance_, always, notice.parameter, keyword
    )


def _add_unknown_route(entry: HarEntry, route_: RecordedRoute | None, result: TrafficResult, base: str) -> None:
    """A path or method that is not in the contract; what varies in it is left out, so that it is told once."""
    law = "path-is-documented"
    path = urlsplit(entry.url).path.removeprefix(urlsplit(base).path)
    shown = route_.template if route_ else "/".join("*" if _VARYING.fullmatch(p) else p for p in path.split("/"))
    name = f"{entry.method.upper()} {shown}"[:200]
    said = f"it was answered {entry.status}, and is not in the contract ({entry.location})"
    promise = Requirement(law, name, REQUIREMENTS[law], "#/paths", "inferred")
    request = Request(name, entry.method, path, query=tuple(_pairs(entry)), actor=_speaks(entry.request_headers))
    response = Response(entry.status, entry.response_headers, entry.response_body or b"", entry.duration)
    if entry.status in (404, 405):
        result.add_requirement(promise)  # nobody has promised it, and the backend does not have it either
    else:
        result.add_failure(CheckResult(promise, Status.FAILED, said, (Exchange(request, response),)))


def _of_parameters(contract: Contract, operation: Operation, asked: RecordedRequest) -> Iterator[Finding]:
    """Query parameters that the contract does not name."""
    known = {p.name for p in operation.query_parameters}
    for name in dict.fromkeys(name for name, _ in asked.query):
        if name not in known and name.removesuffix("[]") not in known and name.split("[")[0] not in known:
            said = f"{name[:80]!a} is sent, and is not in the contract"
            at = f"{operation.pointer}/parameters"
            place = at if "parameters" in contract.document.resolve(operation.pointer) else operation.pointer
            yield Finding("parameter-is-documented", place, "unnamed", said, name[:80])


def _of_request(
    second: OpenapiCoreValidator, operation: Operation, asked: RecordedRequest, response: Response
) -> Iterator[Finding]:
    if response.ok:
        for found in second.validate_request(operation, asked):
            said = f"{found.message}; it was answered {response.status}"
            yield Finding("request-matches-contract", found.pointer, found.keyword, said, found.parameter)


def _of_answer(
    second: OpenapiCoreValidator, operation: Operation, asked: RecordedRequest, exchange: Exchange, *, kept: bool
) -> Iterator[Finding]:
    """What our own validators see, at its place; what openapi-core alone sees, at the answer."""
    found = list(inspect_response(second.schemas, operation, exchange))
    status = exchange.response.status
    yield from (notice for notice in found if kept or notice.check not in BODY_CHECKS)
    if kept and not found and status in operation.responses and status not in SERVER_STATUSES:
        place = operation.responses[status] or f"{operation.pointer}/responses/{status}"
        for said in second.validate_response(operation, asked, exchange.response):
            yield Finding("response-matches-schema", place, None, f"{status}: {said}", "openapi-core")


def _pairs(entry: HarEntry) -> Iterator[tuple[str, str]]:
    yield from parse_qsl(urlsplit(entry.url).query, keep_blank_values=True, max_num_fields=10_000)


def _request(operation: Operation, asked: RecordedRequest) -> Request:
    """The request as reports show it: without headers, for they hold credentials."""
    body, raw = _body(asked.body)
    kind = {name: value for name, value in asked.headers.items() if name == "content-type" and raw is not None}
    return Request(
        operation.id,
        operation.method,
        operation.path,
        dict(asked.values),
        asked.query,
        body,
        raw,
        _speaks(asked.headers),
        kind,
    )


def _body(body: bytes | None) -> tuple[Any, bytes | None]:
    """(JSON, bytes that are none)."""
    if not body:
        return None, None
    try:
        return json.loads(body), None
    except (ValueError, RecursionError):
        return None, body


def _speaks(headers: dict[str, str] | Any) -> str:
    return "self" if AUTHORIZATION.lower() in headers or "cookie" in headers else "nobody"


def _credentials(contract: Contract, entry: HarEntry) -> Iterator[str]:
    """Values that no report may show: of credential headers, whole and without their scheme, and of cookies."""
    named = {str(scheme.get("name", "")).lower() for scheme in contract.security_schemes.values()}
    for headers in (entry.request_headers, entry.response_headers):
        for name, value in headers.items():
            if name in named or name in (AUTHORIZATION.lower(), "proxy-authorization", "x-api-key", "x-xsrf-token"):
                yield from (value, value.rsplit(" ", 1)[-1])
            elif name in ("cookie", "set-cookie"):
                parts = (part.split("=", 1)[-1].strip() for part in re.split("[;,]", value))
                yield from (part for part in parts if len(part) >= MIN_COOKIE_SECRET_CHARS)
