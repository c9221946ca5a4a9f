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
from conformance.exchange import Request
from conformance.outcome import Outcome
from conformance.recording import Path, Recorder, Sent, Source, Span
from conformance.redaction import Redaction
from conformance.rewriting import named
from spec.contract import Contract
from spec.document import UNSAFE_METHODS

LONGEST = 60  # steps; what needs more is told without a sequence
LARGEST = 100_000  # characters of one request
SIBLINGS = 10  # records of a list's kind that are kept


@dataclass(frozen=True, slots=True)
class Step:
    """A request, what it was answered with, and whether it is one of those that show the failure."""

    request: Request
    status: int
    shown: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """Steps in order. `sources`: identifier, as text -> where it comes from (a step of these)."""

    marker: str
    steps: tuple[Step, ...]
    sources: Mapping[str, Source]


def of(recorder: Recorder, contract: Contract, marker: str, outcome: Outcome) -> Sequence | None:
    """The sequence that shows a broken outcome; None when it was not recorded, or is too long."""
    span = recorder.spans.get(outcome.promise.fingerprint)
    shown = span.shown if span else tuple(exchange.request for exchange in outcome.shown)
    roots = {step for step in map(recorder.at, shown) if step is not None}
    if span and span.end > span.start and (not shown or shown[-1].method in UNSAFE_METHODS):
        roots.add(span.end - 1)  # what became of a write was asked last
    if not roots:
        return None
    needed = sorted(_Slice(recorder, contract, span).of(roots))
    if len(needed) > LONGEST:
        return None
    number = {step: index for index, step in enumerate(needed)}
    steps = tuple(Step(recorder.sent[s].request, recorder.sent[s].status, s in roots) for s in needed)
    used = dict.fromkeys(name for step in steps for name in named(contract, step.request))
    known = ((name, recorder.sources.get(name)) for name in used)
    sources = {name: Source(number[s.step], s.path) for name, s in known if s is not None and s.step in number}
    return Sequence(marker, steps, sources)


@dataclass(frozen=True, slots=True)
class _Slice:
    """What some requests depend on. `span`: the judging that they come from, where it is known."""

    recorder: Recorder
    contract: Contract
    span: Span | None

    def of(self, roots: set[int]) -> set[int]:
        """The roots and all that they depend on."""
        last, needed, waiting = max(roots), set[int](), set(roots)
        names: set[str] = set()
        while waiting:
            needed |= waiting
            new = {name for step in waiting for name in self._sources(step)} - names
            names |= new
            found = {self.recorder.sources[name].step for name in new}
            found |= {step for step in waiting for step in self._siblings(step)}
            if new:
                found |= {step for step in self._writes(last) if names.intersection(self._addressed(step))}
            waiting = {step for step in found if step <= last} - needed
        return needed

    def _sources(self, step: int) -> Iterator[str]:
        """The identifiers in a request that an earlier answer showed first."""
        for name in named(self.contract, self.recorder.sent[step].request):
            source = self.recorder.sources.get(name)
            if source is not None and source.step < step:
                yield name

    def _writes(self, last: int) -> Iterator[int]:
        for step, sent in enumerate(self.recorder.sent[: last + 1]):
            if sent.request.method in UNSAFE_METHODS and (200 <= sent.status < 300 or self._within(step)):
                yield step

    def _within(self, step: int) -> bool:
        return self.span is not None and self.span.start <= step < self.span.end

    def _addressed(self, step: int) -> Iterator[str]:
        """The records that a request's path names."""
        return (str(value) for value in self.recorder.sent[step].request.path.values())

    def _siblings(self, step: int) -> list[int]:
        """What the same judging created of the kind that a request lists, before it."""
        operation = self.contract.operations[self.recorder.sent[step].request.operation]
        if self.span is None or not operation.envelope.is_list:
            return []
        made = range(self.span.start, min(step, self.span.end))
        return [one for one in made if self._creates(self.recorder.sent[one], operation.resource)][-SIBLINGS:]

    def _creates(self, sent: Sent, resource: str | None) -> bool:
        operation = self.contract.operations[sent.request.operation]
        return operation.method == "post" and operation.resource == resource and 200 <= sent.status < 300


# As JSON --------------------------------------------------------------------------------------------------------


def written(sequence: Sequence, redaction: Redaction) -> dict[str, Any] | None:
    """The sequence as above; None when a request is too large to be told."""
    steps = [_written(step, redaction) for step in sequence.steps]
    if any(len(step["sent"]) > LARGEST for step in steps):
        return None
    return {
        "marker": sequence.marker,
        "steps": steps,
        "identifiers": [
            {"value": redaction.exact(value), "step": source.step, "path": list(source.path)}
            for value, source in sequence.sources.items()
        ],
    }


def _written(step: Step, redaction: Redaction) -> dict[str, Any]:
    request = step.request
    sent = {
        "path": dict(request.path),
        "query": [list(pair) for pair in request.query],
        "body": request.body,
        "raw": None if request.raw is None else request.raw.decode("latin-1"),
        "headers": dict(request.headers),
    }
    return {
        "operation": request.operation,
        "method": request.method,
        "as": request.as_,
        "status": step.status,
        "shown": step.shown,
        "sent": json.dumps(redaction.exact(sent), ensure_ascii=True),
    }


def read(said: Any, contract: Contract) -> Sequence:
    """The sequence that a report holds. Raises UsageError when it holds none that can be used."""
    try:
        steps = tuple(_read(step, contract) for step in said["steps"])
        sources = {str(i["value"]): Source(int(i["step"]), tuple(i["path"])) for i in said["identifiers"]}
        marker = str(said["marker"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"the report's sequence: found {error!r:.100}; allowed: what a run with this contract has written"
        ) from None
    if not steps or not all(0 <= source.step < len(steps) for source in sources.values()):
        raise UsageError("the report's sequence: found an identifier of no step; allowed: steps that are there")
    return Sequence(marker, steps, sources)


def _read(said: Mapping[str, Any], contract: Contract) -> Step:
    operation = contract.operations[said["operation"]]
    sent = json.loads(said["sent"])
    raw = sent["raw"]
    request = Request(
        operation.id,
        str(said["method"]).lower(),
        operation.path,
        dict(sent["path"]),
        tuple((str(name), str(value)) for name, value in sent["query"]),
        sent["body"],
        None if raw is None else raw.encode("latin-1"),
        str(said["as"]),
        {str(name): str(value) for name, value in sent["headers"].items()},
    )
    return Step(request, int(said["status"]), bool(said["shown"]))


def value_at(answer: Any, path: Path) -> Any:
    """The identifier at a path of an answer; None when there is none."""
    for part in path:
        try:
            answer = answer[part]
        except (KeyError, IndexError, TypeError):
            return None
    return answer if isinstance(answer, (str, int)) and not isinstance(answer, bool) else None
