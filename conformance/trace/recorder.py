"""What a run has sent, kept small: each request with its status, and where each identifier was first seen.

A whole run is recorded, so no body of an answer is kept. What a broken promise needs of it is a slice
(`conformance.trace.sequence`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.checks.support.check import Case, Check
from conformance.results import CheckResult, Status
from conformance.transport.messages import Request, Response
from spec.loader import Contract

MAX_RECORDED = 100_000  # requests, and identifiers, that are recorded; behind them nothing is
MAX_NODES = 20_000  # values of one answer that are looked through
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """A request of the run, and the status that it was answered with."""

    request: Request
    status: int


@dataclass(frozen=True, slots=True)
class IdentifierSource:
    """Where an identifier was first seen: the number of a request, and the path in the JSON of its answer."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class RequestSpan:
    """The requests of one judging up to what it found: the first one's number, the number behind the last one."""

    start: int
    end: int
    evidence: tuple[Request, ...]


@dataclass(slots=True)
class Recorder:
    """Records what a target is asked (`HttpTarget.observe`). `spans`: fingerprint of a broken promise -> its judging,
    the latest one. `keys`: names of properties that hold a record's key."""

    keys: frozenset[str]
    exchanges: list[RecordedExchange] = field(default_factory=list)
    sources: dict[str, IdentifierSource] = field(default_factory=dict)
    spans: dict[str, RequestSpan] = field(default_factory=dict)
    _step_by_id: dict[int, int] = field(default_factory=dict)

    @classmethod
    def from_contract(cls, contract: Contract) -> "Recorder":
        """A recorder of a contract's traffic."""
        return cls(frozenset(resource.key_attribute for resource in contract.resources.values()))

    def record(self, request: Request, response: Response) -> None:
        """Record a request and where its answer shows identifiers for the first time."""
        if len(self.exchanges) >= MAX_RECORDED:
            return
        step = len(self.exchanges)
        self._step_by_id[id(request)] = step  # the list keeps the request alive, and with it the number
        self.exchanges.append(RecordedExchange(request, response.status))
        for value, path in _identifiers(response.json, self.keys):
            if value not in self.sources and len(self.sources) < MAX_RECORDED:
                self.sources[value] = IdentifierSource(step, path)

    def step_of(self, request: Request) -> int | None:
        """The number of a request; None when it was not recorded."""
        step = self._step_by_id.get(id(request))
        return step if step is not None and self.exchanges[step].request is request else None

    def track(self, check: Check) -> Check:
        """The same law; what it sends until it finds a promise broken becomes that promise's span."""

        def run(case: Case) -> Iterator[CheckResult]:
            start = len(self.exchanges)
            for result in check.run(case):
                if result.status is Status.FAILED:
                    evidence = tuple(exchange.request for exchange in result.evidence)
                    self.spans[result.requirement.fingerprint] = RequestSpan(start, len(self.exchanges), evidence)
                yield result

        return replace(check, run=run)


def _identifiers(body: Any, keys: frozenset[str]) -> Iterator[tuple[str, Path]]:
    """Identifiers in an answer, as texts, with their paths: what stands under a key's name, and every UUID."""
    stack: list[tuple[Any, Path]] = [(body, ())]
    for _ in range(MAX_NODES):
        if not stack:
            return
        node, path = stack.pop()
        if isinstance(node, dict):
            stack += [(value, (*path, str(name))) for name, value in reversed(node.items())]
        elif isinstance(node, list):
            stack += [(value, (*path, index)) for index, value in reversed(list(enumerate(node)))]
        elif _is_identifier(node, path, keys):
            yield str(node), path


def _is_identifier(node: Any, path: Path, keys: frozenset[str]) -> bool:
    if isinstance(node, str) and _UUID.fullmatch(node):
        return True
    return bool(path) and path[-1] in keys and isinstance(node, (str, int)) and not isinstance(node, bool)


def find_uuids(text: str) -> list[str]:
    """The identifiers in a text that can be told from other words."""
    return _UUID.findall(text)
