"""Checks recorded traffic: requests and responses, with openapi-core and with the checks of any response.

An invalid request that the target rejected is correct. Missing parts of a recording are skipped, and entries that do
not belong to the API are counted.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from conformance.checks.validation import responses
from conformance.har.credentials import find_credentials
from conformance.har.format import HarEntry
from conformance.har.openapi_core_adapter import OpenapiCoreValidator
from conformance.har.requirements import REQUIREMENTS
from conformance.har.routes import url_origin
from conformance.responses.findings import SERVER_STATUSES, Finding, inspect_response
from conformance.results import CheckResult, Requirement, Status
from conformance.transport.messages import AUTHORIZATION, Actor, Exchange, Request
from conformance.transport.routes import Router
from spec.model import Contract, Operation
from spec.provenance import get_provenance

PROVENANCE_INDEPENDENT = frozenset(check.id for check in responses.RESPONSE_CHECKS if check.provenance_independent)
BODY_CHECKS = frozenset({"content-type-is-json", "response-matches-schema"})
MAX_FAILURES = 1_000  # different failures with details
_VARIABLE_SEGMENT = re.compile(r"[0-9]+|[0-9a-fA-F-]{16,}|.{65,}")


@dataclass(slots=True)
class TrafficAudit:
    """The audit of recorded traffic. `base`: the URL of the API.

    `call_counts`: (operationId, status) -> calls. `skipped`: reason -> entries. `secrets`: recorded credentials.
    `uninspected_bodies`: (request or response, problem) -> bodies of checked entries that are not in the recording.
    """

    validator: OpenapiCoreValidator
    base: str
    call_counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    secrets: set[str] = field(default_factory=set)
    uninspected_bodies: Counter[tuple[str, str]] = field(default_factory=Counter)
    entries: int = 0
    _failures: dict[str, tuple[CheckResult, int]] = field(default_factory=dict)
    _requirements: dict[tuple[str, str], Requirement] = field(default_factory=dict)

    @property
    def contract(self) -> Contract:
        return self.validator.contract

    def add_failure(self, result: CheckResult) -> None:
        """Record a failure, or count it again; without details after `MAX_FAILURES` different ones."""
        requirement = result.requirement
        key = requirement.fingerprint
        if key not in self._failures and len(self._failures) >= MAX_FAILURES:
            key = f"{requirement.check} {requirement.operation} {requirement.provenance}"
            message = f"details are omitted after {MAX_FAILURES} different failures"
            result = CheckResult(requirement, Status.FAILED, message)
        first, count = self._failures.get(key, (result, 0))
        self._failures[key] = first, count + 1

    def results(self) -> list[CheckResult]:
        """One result per failed requirement, and one per check that an operation passes."""
        failures = self._failures.values()
        failed = [replace(r, message=f"{r.message} ({count} times)") if count > 1 else r for r, count in failures]
        failed_keys = {(result.requirement.check, result.requirement.operation) for result in failed}
        passed = [requirement for key, requirement in self._requirements.items() if key not in failed_keys]
        return [*failed, *(CheckResult(requirement, Status.PASSED) for requirement in passed)]

    def check(self, entries: Iterable[HarEntry]) -> None:
        """Check all entries whose URL starts with the base URL."""
        router = Router.from_contract(self.contract)
        for entry in entries:
            self.secrets |= set(find_credentials(self.contract, entry))
            skip_reason = _skip_reason(entry, self.base)
            if skip_reason:
                self.skipped[skip_reason] += 1
                continue
            self.entries += 1
            path = urlsplit(entry.url).path.removeprefix(urlsplit(self.base).path)
            route = router.match(path) or router.match(path.rstrip("/") or "/")
            operation = route.operations.get(entry.method) if route else None
            if route is None or operation is None:
                self._add_undocumented(entry, path, route.template if route else "")
            else:
                self._check_entry(entry, operation, route.values)

    def _check_entry(self, entry: HarEntry, operation: Operation, path: Mapping[str, str]) -> None:
        response = entry.response
        exchange = Exchange(_build_request(operation, entry, path), response)
        self.call_counts[operation.id, response.status] += 1
        self._count_uninspected(operation, entry)
        for check in _applicable_checks(operation, entry):
            requirement = self._requirement(operation, Finding(check, operation.pointer, None, ""))
            self._requirements.setdefault((check, operation.id), requirement)
        findings = [
            *self._parameter_findings(operation, entry),
            *self._request_findings(operation, entry, path),
            *self._response_findings(operation, entry, path, exchange),
        ]
        for finding in findings:
            message = f"{finding.message} ({entry.location})"
            requirement = self._requirement(operation, finding)
            self.add_failure(CheckResult(requirement, Status.FAILED, message, (exchange,)))

    def _count_uninspected(self, operation: Operation, entry: HarEntry) -> None:
        """Count the bodies of an entry that would be checked if they were in the recording."""
        if entry.request_body.problem and operation.request_body is not None and entry.response.ok:
            self.uninspected_bodies["request", entry.request_body.problem] += 1
        if entry.response_body.problem:
            self.uninspected_bodies["response", entry.response_body.problem] += 1

    def _requirement(self, operation: Operation, finding: Finding) -> Requirement:
        head = (finding.check, operation.id, REQUIREMENTS[finding.check], finding.pointer)
        provenance = get_provenance(self.contract.document, finding.pointer, finding.keyword)
        independent = finding.check in PROVENANCE_INDEPENDENT or finding.provenance_independent
        return Requirement(*head, provenance, independent, finding.parameter, finding.keyword or "")

    def _add_undocumented(self, entry: HarEntry, path: str, template: str) -> None:
        """Record an undocumented path or method once, with its variable segments replaced by ``*``."""
        check, status = "path-is-documented", entry.response.status
        segments = ("*" if _VARIABLE_SEGMENT.fullmatch(segment) else segment for segment in path.split("/"))
        name = f"{entry.method.upper()} {template or '/'.join(segments)}"[:200]
        requirement = Requirement(check, name, REQUIREMENTS[check], "#/paths", "inferred")
        if status in (404, 405):  # the target does not define it either
            self._requirements.setdefault((check, name), requirement)
            return
        message = f"got {status}, but the contract does not document it ({entry.location})"
        request = Request(name, entry.method, path, query=entry.query, actor=_actor(entry))
        self.add_failure(CheckResult(requirement, Status.FAILED, message, (Exchange(request, entry.response),)))

    def _parameter_findings(self, operation: Operation, entry: HarEntry) -> Iterator[Finding]:
        """Query parameters that the contract does not document."""
        known = {parameter.name for parameter in operation.query_parameters}
        has_parameters = "parameters" in self.contract.document.resolve(operation.pointer)
        pointer = f"{operation.pointer}/parameters" if has_parameters else operation.pointer
        for name in dict.fromkeys(name for name, _ in entry.query):
            if not known & {name, name.removesuffix("[]"), name.split("[")[0]}:
                message = f"{name[:80]!a} is sent, but the contract does not document it"
                yield Finding("parameter-is-documented", pointer, "unnamed", message, name[:80])

    def _request_findings(self, operation: Operation, entry: HarEntry, path: Mapping[str, str]) -> Iterator[Finding]:
        if entry.response.ok:
            for finding in self.validator.validate_request(operation, entry, path):
                yield replace(finding, message=f"{finding.message}; got {entry.response.status}")

    def _response_findings(
        self, operation: Operation, entry: HarEntry, path: Mapping[str, str], exchange: Exchange
    ) -> Iterator[Finding]:
        """Violations by our validators at their locations; those that only openapi-core finds, at the response."""
        findings = list(inspect_response(self.validator.schemas, operation, exchange))
        has_body = not entry.response_body.problem
        yield from (finding for finding in findings if has_body or finding.check not in BODY_CHECKS)
        status = entry.response.status
        if has_body and not findings and status in operation.responses.keys() - SERVER_STATUSES:
            pointer = operation.responses[status] or f"{operation.pointer}/responses/{status}"
            for message in self.validator.validate_response(operation, entry, path):
                yield Finding("response-matches-schema", pointer, None, f"{status}: {message}", "openapi-core")


def _skip_reason(entry: HarEntry, base: str) -> str:
    """Why an entry is not checked, or ""."""
    if entry.is_stream:
        return "web sockets and event streams"
    path = urlsplit(entry.url).path if url_origin(entry.url) else ""
    if url_origin(entry.url) != url_origin(base) or not f"{path}/".startswith(f"{urlsplit(base).path}/"):
        return "other hosts and paths"
    if entry.method in ("options", "head"):
        return "OPTIONS and HEAD"
    return {0: "without a response", 304: "served from a cache (304)"}.get(entry.response.status, "")


def _applicable_checks(operation: Operation, entry: HarEntry) -> list[str]:
    """The checks that an entry can pass: it has everything that they inspect."""
    is_applicable = dict.fromkeys(BODY_CHECKS, not entry.response_body.problem)
    has_request = operation.request_body is None or not entry.request_body.problem
    is_applicable |= {"request-matches-contract": entry.response.ok and has_request, "path-is-documented": False}
    return [check for check in REQUIREMENTS if is_applicable.get(check, True)]


def _build_request(operation: Operation, entry: HarEntry, path: Mapping[str, str]) -> Request:
    """The request for reports, without headers, which contain credentials."""
    body = entry.request_json
    content = None if body is not None or entry.request_body.content in (b"", b"null") else entry.request_body.content
    headers = {name: value for name, value in entry.request_headers.items() if name == "content-type" and content}
    return Request(
        operation.id, operation.method, operation.path, path, entry.query, body, content, _actor(entry), headers
    )


def _actor(entry: HarEntry) -> Actor:
    return Actor.OWNER if {AUTHORIZATION.lower(), "cookie"} & entry.request_headers.keys() else Actor.ANONYMOUS
