"""The requests that show a broken promise from a fresh state, and no others; as JSON, and read from there again.

A slice of what a run recorded: the exchanges that show the failure; each request whose answer first showed an
identifier that they name, and so on; and the writes meanwhile to the records that are named. Where a list shows the
failure, what the same judging created of its kind belongs to it.

    {"marker": text that marks what the run made,
     "steps": [{"operation", "method", "as": whose token, "status": what was answered, "shown": it shows the failure,
                "sent": JSON as an ASCII text of {"path", "query": [[name, value]], "body", "raw", "headers"}}],
     "identifiers": [{"value": as text, "step": index of the step whose answer shows it, "path": [part, ...]}]}

`raw`: bytes that were sent instead of a body, as Latin-1 text, or null. Values are those of the run; to repeat it, each
identifier is to be replaced by what the new answer shows at that path. Secrets are taken out.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.errors import UsageError
from conformance.results import CheckResult
from conformance.trace.identifiers import find_identifiers
from conformance.trace.recorder import IdentifierSource, Path, RecordedExchange, Recorder, RequestSpan
from conformance.transport.messages import Request
from conformance.transport.redaction import Redactor
from spec.document import UNSAFE_METHODS
from spec.loader import Contract

MAX_STEPS = 60  # steps; what needs more is told without a sequence
MAX_REQUEST_CHARS = 100_000  # characters of one request
MAX_SIBLINGS = 10  # records of a list's kind that are kept


@dataclass(frozen=True, slots=True)
class TraceStep:
    """A request, what it was answered with, and whether it is one of those that show the failure."""

    request: Request
    status: int
    is_evidence: bool


@dataclass(frozen=True, slots=True)
class RequestSequence:
    """Steps in order. `sources`: identifier, as text -> where it comes from (a step of these)."""

    marker: str
    steps: tuple[TraceStep, ...]
    sources: Mapping[str, IdentifierSource]


def from_recording(recorder: Recorder, contract: Contract, marker: str, result: CheckResult) -> RequestSequence | None:
    """The sequence that shows a broken outcome; None when it was not recorded, or is too long."""
    span = recorder.spans.get(result.requirement.fingerprint)
    evidence = span.evidence if span else tuple(exchange.request for exchange in result.evidence)
    roots = {step for step in map(recorder.step_of, evidence) if step is not None}
    if span and span.end > span.start and (not evidence or evidence[-1].method in UNSAFE_METHODS):
        roots.add(span.end - 1)  # what became of a write was asked last
    if not roots:
        return None
    needed = sorted(_DependencySlice(recorder, contract, span).closure(roots))
    if len(needed) > MAX_STEPS:
        return None
    number = {step: index for index, step in enumerate(needed)}
    steps = tuple(TraceStep(recorder.exchanges[s].request, recorder.exchanges[s].status, s in roots) for s in needed)
    used = dict.fromkeys(name for step in steps for name in find_identifiers(contract, step.request))
    located = ((name, recorder.sources.get(name)) for name in used)
    sources = {
        name: IdentifierSource(number[s.step], s.path) for name, s in located if s is not None and s.step in number
    }
    return RequestSequence(marker, steps, sources)


@dataclass(frozen=True, slots=True)
class _DependencySlice:
    """What some requests depend on. `span`: the judging that they come from, where it is known."""

    recorder: Recorder
    contract: Contract
    span: RequestSpan | None

    def closure(self, roots: set[int]) -> set[int]:
        """The roots and all that they depend on."""
        last, needed, pending = max(roots), set[int](), set(roots)
        names: set[str] = set()
        while pending:
            needed |= pending
            new = {name for step in pending for name in self._sources(step)} - names
            names |= new
            reachable = {self.recorder.sources[name].step for name in new}
            reachable |= {step for step in pending for step in self._siblings(step)}
            if new:
                reachable |= {step for step in self._writes(last) if names.intersection(self._path_values(step))}
            pending = {step for step in reachable if step <= last} - needed
        return needed

    def _sources(self, step: int) -> Iterator[str]:
        """The identifiers in a request that an earlier answer showed first."""
        for name in find_identifiers(self.contract, self.recorder.exchanges[step].request):
            source = self.recorder.sources.get(name)
            if source is not None and source.step < step:
                yield name

    def _writes(self, last: int) -> Iterator[int]:
        for step, exchange in enumerate(self.recorder.exchanges[: last + 1]):
            if exchange.request.method in UNSAFE_METHODS and (200 <= exchange.status < 300 or self._is_in_span(step)):
                yield step

    def _is_in_span(self, step: int) -> bool:
        return self.span is not None and self.span.start <= step < self.span.end

    def _path_values(self, step: int) -> Iterator[str]:
        """The records that a request's path names."""
        return (str(value) for value in self.recorder.exchanges[step].request.path_values.values())

    def _siblings(self, step: int) -> list[int]:
        """What the same judging created of the kind that a request lists, before it."""
        operation = self.contract.operations[self.recorder.exchanges[step].request.operation]
        if self.span is None or not operation.envelope.is_list:
            return []
        steps = range(self.span.start, min(step, self.span.end))
        return [
            candidate for candidate in steps if self._creates(self.recorder.exchanges[candidate], operation.resource)
        ][-MAX_SIBLINGS:]

    def _creates(self, exchange: RecordedExchange, resource: str | None) -> bool:
        operation = self.contract.operations[exchange.request.operation]
        return operation.method == "post" and operation.resource == resource and 200 <= exchange.status < 300


# As JSON --------------------------------------------------------------------------------------------------------


def to_json(sequence: RequestSequence, redaction: Redactor) -> dict[str, Any] | None:
    """The sequence as above; None when a request is too large to be told."""
    steps = [_step_to_json(step, redaction) for step in sequence.steps]
    if any(len(step["sent"]) > MAX_REQUEST_CHARS for step in steps):
        return None
    return {
        "marker": sequence.marker,
        "steps": steps,
        "identifiers": [
            {"value": redaction.exact(value), "step": source.step, "path": list(source.path)}
            for value, source in sequence.sources.items()
        ],
    }


def _step_to_json(step: TraceStep, redaction: Redactor) -> dict[str, Any]:
    request = step.request
    content = {
        "path": dict(request.path_values),
        "query": [list(pair) for pair in request.query],
        "body": request.body,
        "raw": None if request.raw_body is None else request.raw_body.decode("latin-1"),
        "headers": dict(request.headers),
    }
    return {
        "operation": request.operation,
        "method": request.method,
        "as": request.actor,
        "status": step.status,
        "shown": step.is_evidence,
        "sent": json.dumps(redaction.exact(content), ensure_ascii=True),
    }


def from_json(data: Any, contract: Contract) -> RequestSequence:
    """The sequence that a report holds. Raises UsageError when it holds none that can be used."""
    try:
        steps = tuple(_step_from_json(step, contract) for step in data["steps"])
        sources = {str(i["value"]): IdentifierSource(int(i["step"]), tuple(i["path"])) for i in data["identifiers"]}
        marker = str(data["marker"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"the report's sequence: found {error!r:.100}; allowed: what a run with this contract has written"
        ) from None
    if not steps or not all(0 <= source.step < len(steps) for source in sources.values()):
        raise UsageError("the report's sequence: found an identifier of no step; allowed: steps that are there")
    return RequestSequence(marker, steps, sources)


def _step_from_json(data: Mapping[str, Any], contract: Contract) -> TraceStep:
    operation = contract.operations[data["operation"]]
    content = json.loads(data["sent"])
    raw = content["raw"]
    request = Request(
        operation.id,
        str(data["method"]).lower(),
        operation.path,
        dict(content["path"]),
        tuple((str(name), str(value)) for name, value in content["query"]),
        content["body"],
        None if raw is None else raw.encode("latin-1"),
        str(data["as"]),
        {str(name): str(value) for name, value in content["headers"].items()},
    )
    return TraceStep(request, int(data["status"]), bool(data["shown"]))


def value_at(body: Any, path: Path) -> Any:
    """The identifier at a path of an answer; None when there is none."""
    for part in path:
        try:
            body = body[part]
        except (KeyError, IndexError, TypeError):
            return None
    return body if isinstance(body, (str, int)) and not isinstance(body, bool) else None
