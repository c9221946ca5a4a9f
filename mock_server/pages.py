"""Whole answers to reads, kept while what they were made of stands: clients, and test suites above all, ask the same
again and again.

All that the mock reads of a request is in an answer's key. What an answer rests on is told in the store's tags, and in
resources of which any record counts; the store says after each write what it touched. Who a token stands for may change
without a write, by the clock: that is asked anew by whoever gets a kept answer.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from mock_server.store import Store, Tag
from mock_server.viewer import Viewer

# Bytes of all answers together, and of one; a page of 20 Messages has 200,000.
ROOM = 8 * 1024 * 1024
LONGEST = ROOM // 8
LONGEST_REQUEST = 4096
MOST_TOUCHED = 20_000
# What an answer takes beside its bytes and its request's: its place in the dictionary, and each of its tags.
_BESIDE = 500
_TAG = 150

# A request as bytes: method, path, query, the mock's address, and the names and values of the headers that are read.
Asked = tuple[str | bytes, ...]


def asked(method: str, path: bytes, query: bytes, base: str, headers: Mapping[bytes, bytes]) -> Asked:
    """The key of a request."""
    return (method, path, query, base, *headers, *headers.values())


@dataclass(frozen=True, slots=True)
class Rests:
    """What an answer was made of: what these tags mean, and whatever `resources` hold."""

    tags: Set[Tag]
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer: for whom it was made, by what token, and its status."""

    body: bytes
    status: int
    viewer: Viewer | None
    token: str | None
    rests: Rests


@dataclass(slots=True)
class Pages:
    """The answers of one world, each with the store's generation at which it was last known to hold.

    `touched`: tag -> the generation of the last write that touched it. `held`: bytes of all answers together.
    """

    store: Store
    held: int = 0
    touched: dict[Tag, int] = field(default_factory=dict)
    answers: dict[Asked, tuple[int, Kept]] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store) -> "Pages":
        """The answers made of a store; they listen to its writes."""
        made = cls(store)
        store.listeners.append(made.heard)
        return made

    def heard(self, touched: Iterable[Tag] | None) -> None:
        """Note what a write touched; None: all."""
        if touched is None or len(self.touched) > MOST_TOUCHED:
            self.touched.clear()
            self.answers.clear()
            self.held = 0
            return
        for tag in touched:
            self.touched[tag] = self.store.generation

    def get(self, asked: Asked) -> Kept | None:
        """The answer to what was asked, if it still holds."""
        found = self.answers.get(asked)
        if found is None:
            return None
        at, kept = found
        now = self.store.generation
        if at != now:
            if not self.holds(kept.rests, at):
                return None
            self.answers[asked] = (now, kept)
        return kept

    def holds(self, rests: Rests, at: int) -> bool:
        """Whether nothing that an answer of generation `at` rests on was touched since."""
        generations, touched = self.store.generations, self.touched
        for name in rests.resources:
            if generations[name] > at:
                return False
        return all(touched.get(tag, 0) <= at for tag in rests.tags)

    def keep(self, asked: Asked, answer: Kept) -> None:
        """Keep an answer of now; when there is no room, all others go."""
        request = sum(map(len, asked))
        if request > LONGEST_REQUEST or len(answer.body) > LONGEST:
            return
        before = self.answers.get(asked)
        size = _size(answer) + request - (_size(before[1]) + request if before else 0)
        if self.held + size > ROOM:
            self.answers.clear()
            self.held, size = 0, _size(answer) + request
        self.held += size
        self.answers[asked] = (self.store.generation, answer)


def _size(answer: Kept) -> int:
    return len(answer.body) + _TAG * len(answer.rests.tags) + _BESIDE
