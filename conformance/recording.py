"""What a run has sent, kept small: each request with its status, and where each identifier was first seen.

A whole run is recorded, so no body of an answer is kept. What a broken promise needs of it is a slice
(`conformance.sequence`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from conformance.exchange import Request, Response
from conformance.laws.law import Case, Law
from conformance.outcome import Outcome, Verdict
from spec.contract import Contract

MOST = 100_000  # requests, and identifiers, that are recorded; behind them nothing is
NODES = 20_000  # values of one answer that are looked through
_LONG = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request of the run, and the status that it was answered with."""

    request: Request
    status: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where an identifier was first seen: the number of a request, and the path in the JSON of its answer."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True)
class Span:
    """The requests of one judging up to what it found: the first one's number, the number behind the last one."""

    start: int
    end: int
    shown: tuple[Request, ...]


@dataclass(slots=True)
class Recorder:
    """Records what a target is asked (`HttpTarget.observe`). `spans`: fingerprint of a broken promise -> its judging,
    the latest one. `keys`: names of properties that hold a record's key."""

    keys: frozenset[str]
    sent: list[Sent] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    _at: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, contract: Contract) -> "Recorder":
        """A recorder of a contract's traffic."""
        return cls(frozenset(resource.key_attribute for resource in contract.resources.values()))

    def note(self, request: Request, response: Response) -> None:
        """Record a request and where its answer shows identifiers for the first time."""
        if len(self.sent) >= MOST:
            return
        step = len(self.sent)
        self._at[id(request)] = step  # the list keeps the request alive, and with it the number
        self.sent.append(Sent(request, response.status))
        for value, path in _identifiers(response.json, self.keys):
            if value not in self.sources and len(self.sources) < MOST:
                self.sources[value] = Source(step, path)

    def at(self, request: Request) -> int | None:
        """The number of a request; None when it was not recorded."""
        step = self._at.get(id(request))
        return step if step is not None and self.sent[step].request is request else None

    def watching(self, law: Law) -> Law:
        """The same law; what it sends until it finds a promise broken becomes that promise's span."""

        def judge(case: Case) -> Iterator[Outcome]:
            start = len(self.sent)
            for outcome in law.judge(case):
                if outcome.verdict is Verdict.BROKEN:
                    shown = tuple(exchange.request for exchange in outcome.shown)
                    self.spans[outcome.promise.fingerprint] = Span(start, len(self.sent), shown)
                yield outcome

        return replace(law, judge=judge)


def _identifiers(answer: Any, keys: frozenset[str]) -> Iterator[tuple[str, Path]]:
    """Identifiers in an answer, as texts, with their paths: what stands under a key's name, and every UUID."""
    waiting: list[tuple[Any, Path]] = [(answer, ())]
    for _ in range(NODES):
        if not waiting:
            return
        node, path = waiting.pop()
        if isinstance(node, dict):
            waiting += [(value, (*path, str(name))) for name, value in reversed(node.items())]
        elif isinstance(node, list):
            waiting += [(value, (*path, index)) for index, value in reversed(list(enumerate(node)))]
        elif _names(node, path, keys):
            yield str(node), path


def _names(node: Any, path: Path, keys: frozenset[str]) -> bool:
    if isinstance(node, str) and _LONG.fullmatch(node):
        return True
    return bool(path) and path[-1] in keys and isinstance(node, (str, int)) and not isinstance(node, bool)


def long_in(text: str) -> list[str]:
    """The identifiers in a text that can be told from other words."""
    return _LONG.findall(text)
