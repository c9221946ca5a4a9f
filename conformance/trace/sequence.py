"""Minimal sequence of requests that reproduces a failure from a fresh state, and its JSON form.

It is a slice of the recorded requests: those that show the failure; transitively, each request whose response was the
source of an identifier they use; the writes to the records concerned; and the same read before the last write, which
may have filled a cache. If a list shows the failure, the records of its resource that the same execution created belong
to it.

`report.schema.json` describes the JSON form. To repeat the requests, replace each identifier by the value at its path
in the new response. Secrets are redacted.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.errors import UsageError
from conformance.results import CheckResult
from conformance.session.write_log import is_key
from conformance.trace.identifiers import find_identifiers
from conformance.trace.recorder import IdentifierSource, Path, Recorder, RequestSpan
from conformance.transport.messages import Actor, Request
from conformance.transport.redaction import Redactor
from conformance.transport.wire_format import find_wire_format
from spec.document import UNSAFE_METHODS
from spec.model import Contract

MAX_STEPS = 60  # a failure that needs more has no sequence
MAX_REQUEST_CHARS = 100_000
MAX_SIBLINGS = 10  # created records of the listed resource


@dataclass(frozen=True, slots=True)
class TraceStep:
    """A request, the status of its response, and whether it shows the failure."""

    request: Request
    status: int
    is_evidence: bool


@dataclass(frozen=True, slots=True)
class RequestSequence:
    """Steps in order. `sources`: identifier as text -> its source among these steps."""

    marker: str
    steps: tuple[TraceStep, ...]
    sources: Mapping[str, IdentifierSource]


def from_recording(recorder: Recorder, contract: Contract, marker: str, result: CheckResult) -> RequestSequence | None:
    """Build the sequence of a failed result in its latest execution; None if it was not recorded or is too long."""
    span = recorder.spans.get(result.requirement.fingerprint)
    return _build(recorder, contract, marker, span, span.evidence if span else _list_requests(result))


def from_evidence(recorder: Recorder, contract: Contract, marker: str, result: CheckResult) -> RequestSequence | None:
    """Build the sequence of the evidence of a result, which may be from an earlier execution; None as above."""
    return _build(recorder, contract, marker, None, _list_requests(result))


def _list_requests(result: CheckResult) -> tuple[Request, ...]:
    return tuple(exchange.request for exchange in result.evidence)


def _build(
    recorder: Recorder, contract: Contract, marker: str, span: RequestSpan | None, evidence: tuple[Request, ...]
) -> RequestSequence | None:
    roots = {recorder.steps[request.number] for request in evidence if request.number in recorder.steps}
    if span and span.end > span.start and (not evidence or evidence[-1].method in UNSAFE_METHODS):
        roots.add(span.end - 1)  # the last request reads the result of the write
    if not roots:
        return None
    dependencies = _DependencySlice(recorder, contract, span)
    needed = sorted(dependencies.add_earlier_reads(roots, dependencies.closure(roots)))
    if len(needed) > MAX_STEPS:
        return None
    number = {step: index for index, step in enumerate(needed)}
    steps = tuple(TraceStep(recorder.exchanges[s].request, recorder.exchanges[s].status, s in roots) for s in needed)
    used = dict.fromkeys(name for step in steps for name in find_identifiers(contract, step.request))
    located = ((name, recorder.sources.get(name)) for name in used)
    known = ((name, source) for name, source in located if source is not None and source.step in number)
    sources = {name: IdentifierSource(number[source.step], source.path) for name, source in known}
    return RequestSequence(marker, steps, sources)


@dataclass(frozen=True, slots=True)
class _DependencySlice:
    """Dependencies of requests. `span`: the execution of the check, if known."""

    recorder: Recorder
    contract: Contract
    span: RequestSpan | None

    def closure(self, roots: set[int]) -> set[int]:
        """Return the roots and their transitive dependencies."""
        last, needed, pending = max(roots), set[int](), set(roots)
        names: set[str] = set()
        while pending:
            needed |= pending
            new = {name for step in pending for name in self._sources(step)} - names
            names |= new
            reachable = {self.recorder.sources[name].step for name in new}
            reachable |= {step for step in pending for step in self._siblings(step)}
            if new:
                exchanges = ((step, self.recorder.exchanges[step]) for step in self._writes(last))
                reachable |= {step for step, e in exchanges if names & set(map(str, e.request.path_values.values()))}
            pending = {step for step in reachable if step <= last} - needed
        return needed

    def add_earlier_reads(self, roots: set[int], needed: set[int]) -> set[int]:
        """Add, for each root that reads after the last write, the latest same read before it in the execution."""
        last_write = max((step for step in needed if not self._is_read(step)), default=0)
        start = self.span.start if self.span is not None else 0
        reads = {self._get_target(step) for step in roots if step > last_write and self._is_read(step)}
        latest = {self._get_target(step): step for step in range(start, last_write) if self._is_read(step)}
        return needed | {latest[target] for target in reads if target in latest}

    def _is_read(self, step: int) -> bool:
        return self.recorder.exchanges[step].request.method not in UNSAFE_METHODS

    def _get_target(self, step: int) -> tuple[Any, ...]:
        """Return what two requests with the same target and credentials have in common."""
        request = self.recorder.exchanges[step].request
        return request.operation, request.method, request.target, request.actor

    def _sources(self, step: int) -> Iterator[str]:
        """Yield the identifiers in a request that an earlier response contained first."""
        for name in find_identifiers(self.contract, self.recorder.exchanges[step].request):
            source = self.recorder.sources.get(name)
            if source is not None and source.step < step:
                yield name

    def _writes(self, last: int) -> Iterator[int]:
        """Yield the successful writes, and all writes of the execution."""
        for step, exchange in enumerate(self.recorder.exchanges[: last + 1]):
            is_in_span = self.span is not None and self.span.start <= step < self.span.end
            if exchange.request.method in UNSAFE_METHODS and (200 <= exchange.status < 300 or is_in_span):
                yield step

    def _siblings(self, step: int) -> list[int]:
        """Return the earlier requests of the execution that created records of the listed resource."""
        operation = self.contract.operations[self.recorder.exchanges[step].request.operation]
        if self.span is None or not operation.envelope.is_list:
            return []
        creates: list[int] = []
        for number in range(self.span.start, min(step, self.span.end)):
            exchange = self.recorder.exchanges[number]
            other = self.contract.operations[exchange.request.operation]
            if other.method == "post" and other.resource == operation.resource and 200 <= exchange.status < 300:
                creates.append(number)
        return creates[-MAX_SIBLINGS:]


# JSON -----------------------------------------------------------------------------------------------------------


def to_json(sequence: RequestSequence, redaction: Redactor) -> dict[str, Any] | None:
    """Convert a sequence to JSON; None if a request is too large."""
    steps = [_step_to_json(step, redaction) for step in sequence.steps]
    if any(len(step["request"]) > MAX_REQUEST_CHARS for step in steps):
        return None
    return {
        "marker": sequence.marker,
        "steps": steps,
        "identifiers": [
            {"value": redaction.redact_secrets(value), "step": source.step, "path": list(source.path)}
            for value, source in sequence.sources.items()
        ],
    }


def _step_to_json(step: TraceStep, redaction: Redactor) -> dict[str, Any]:
    request = step.request
    content = {
        "path": request.path_values,
        "query": request.query,
        "body": request.body,
        "raw": None if request.raw_body is None else request.raw_body.decode("latin-1"),
        "headers": request.headers,
    }
    return {
        **{name: getattr(request, name) for name in ("operation", "method", "actor")},
        "status": step.status,
        "evidence": step.is_evidence,
        "request": json.dumps(redaction.redact_secrets(content), ensure_ascii=True),
    }


def from_json(data: Any, contract: Contract) -> RequestSequence:
    """Create a sequence from its JSON in a report. Raises UsageError."""
    try:
        steps = tuple(_step_from_json(step, contract) for step in data["steps"])
        sources = {str(i["value"]): IdentifierSource(int(i["step"]), tuple(i["path"])) for i in data["identifiers"]}
        marker = str(data["marker"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        expected = "a sequence written by a run with this contract"
        raise UsageError(f"sequence of the report: invalid value {error!r:.100} (expected {expected})") from None
    if not steps or not all(0 <= source.step < len(steps) for source in sources.values()):
        raise UsageError("sequence of the report: invalid value (expected steps, and identifiers of these steps)")
    return RequestSequence(marker, steps, sources)


def _step_from_json(data: Mapping[str, Any], contract: Contract) -> TraceStep:
    operation = contract.operations[data["operation"]]
    content = json.loads(data["request"])
    request = Request(
        operation.id,
        str(data["method"]).lower(),
        operation.path,
        path_values=dict(content["path"]),
        query=tuple((str(name), str(value)) for name, value in content["query"]),
        body=content["body"],
        raw_body=None if content["raw"] is None else content["raw"].encode("latin-1"),
        actor=Actor(data["actor"]),
        headers={str(name): str(value) for name, value in content["headers"].items()},
        wire_format=find_wire_format(contract, operation),
    )
    return TraceStep(request, int(data["status"]), bool(data["evidence"]))


def value_at(body: Any, path: Path) -> Any:
    """Return the identifier at a path of a body, or None."""
    for part in path:
        try:
            body = body[part]
        except (KeyError, IndexError, TypeError):
            return None
    return body if is_key(body) else None
