"""Recorder of the requests of a run: each request with its status, and the first occurrence of each identifier.

Response bodies are not stored. `conformance.trace.sequence` selects the requests that a failure needs.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.checks.support.check import Case, Check
from conformance.results import CheckResult, Status
from conformance.session.write_log import is_key
from conformance.transport.messages import Request, Response
from spec.model import Contract

MAX_RECORDED = 100_000  # requests, and identifiers; later ones are not recorded
MAX_NODES = 20_000  # JSON values of one response that are searched
UUID_LENGTH = 36
UUID_PATTERN = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
UUID = re.compile(UUID_PATTERN)

Path = tuple[str | int, ...]
LinkedPath = tuple[Any, str | int] | None  # the linked path of the parent, and the last part


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """A request and the status of its response."""

    request: Request
    status: int


@dataclass(frozen=True, slots=True)
class IdentifierSource:
    """First occurrence of an identifier: the number of the request and the path in its JSON response."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class RequestSpan:
    """The requests of one execution of a check until it failed: numbers `start` (inclusive) to `end` (exclusive)."""

    start: int
    end: int
    evidence: tuple[Request, ...]


@dataclass(slots=True)
class Recorder:
    """Records the exchanges of a target (`HttpTarget.observe`).

    `keys`: names of key attributes. `spans`: fingerprint of a failure -> its latest execution. `steps`: number of a
    request in this process -> its index in `exchanges`.
    """

    keys: frozenset[str]
    exchanges: list[RecordedExchange] = field(default_factory=list)
    sources: dict[str, IdentifierSource] = field(default_factory=dict)
    spans: dict[str, RequestSpan] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)
    _texts: set[bytes] = field(default_factory=set)  # of the searched bodies: UUIDs, and key attributes with values
    _text_pattern: re.Pattern[bytes] = field(init=False)

    def __post_init__(self) -> None:
        names = "|".join(map(re.escape, self.keys)) or UUID_PATTERN
        self._text_pattern = re.compile(rf'"(?:{names})"\s*:\s*(?:"[^"]*"|-?\d+)|"{UUID_PATTERN}"'.encode())

    @classmethod
    def from_contract(cls, contract: Contract) -> "Recorder":
        return cls(frozenset(resource.key_attribute for resource in contract.resources.values()))

    def record(self, request: Request, response: Response) -> None:
        """Record a request, and the identifiers that its response contains for the first time."""
        if len(self.exchanges) >= MAX_RECORDED:
            return
        step = len(self.exchanges)
        self.steps[request.number] = step
        self.exchanges.append(RecordedExchange(request, response.status))
        texts = self._text_pattern.findall(response.content) if len(self.sources) < MAX_RECORDED else ()
        if not self._texts.issuperset(texts):  # the search of each value takes three times as long
            self._texts.update(texts)
            self._record_identifiers(response.json, step)

    def _record_identifiers(self, body: Any, step: int) -> None:
        """Record the new values of key attributes, and new UUIDs; those of outer values first."""
        sources, keys = self.sources, self.keys
        nodes: deque[tuple[Any, LinkedPath]] = deque([([body], None)])
        count = 0
        while nodes and count < MAX_NODES and len(sources) < MAX_RECORDED:
            node, path = nodes.popleft()
            count += len(node)
            for name, value in node.items() if isinstance(node, dict) else enumerate(node):
                if isinstance(value, (dict, list)):
                    nodes.append((value, (path, name)))
                elif name in keys:
                    if is_key(value) and str(value) not in sources:
                        sources[str(value)] = IdentifierSource(step, _flatten(path, name))
                elif (
                    isinstance(value, str)
                    and len(value) == UUID_LENGTH
                    and value not in sources
                    and UUID.fullmatch(value)
                ):
                    sources[value] = IdentifierSource(step, _flatten(path, name))

    def track(self, check: Check) -> Check:
        """Return the check with a `run` that records the span of each failure."""

        def run(case: Case) -> Iterator[CheckResult]:
            start = len(self.exchanges)
            for result in check.run(case):
                if result.status is Status.FAILED:
                    evidence = tuple(exchange.request for exchange in result.evidence)
                    self.spans[result.requirement.fingerprint] = RequestSpan(start, len(self.exchanges), evidence)
                yield result

        return replace(check, run=run)


def _flatten(path: LinkedPath, name: str | int) -> Path:
    """Return the path of a value without the list around the body."""
    parts = [name]
    while path is not None:
        path, name = path
        parts.append(name)
    return tuple(reversed(parts[:-1]))
