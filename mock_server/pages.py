"""Whole answers to reads, kept until the next write: clients, and test suites above all, ask the same again and again.

What such an answer is made of: the store's records, who asks, and what the request says. The store's generation stands
for the records, so nothing needs to be known of what an answer rests on; one write, and all of them are dropped. All
that the mock reads of a request is in its key. Who a token stands for may change without a write, by the clock: that is
asked anew by whoever gets a kept answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mock_server.viewer import Viewer

# Bytes of all answers together, and of one; a page of 20 Messages has 200,000.
ROOM = 8 * 1024 * 1024
LONGEST = ROOM // 8
LONGEST_REQUEST = 4096
# What an answer takes beside its bytes and its request's: its place in the dictionary.
_BESIDE = 500

# A request as bytes: method, path, query, the mock's address, and the names and values of the headers that are read.
Asked = tuple[str | bytes, ...]


def asked(method: str, path: bytes, query: bytes, base: str, headers: Mapping[bytes, bytes]) -> Asked:
    """The key of a request."""
    return (method, path, query, base, *headers, *headers.values())


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer: for whom it was made, by what token, and its status."""

    body: bytes
    status: int
    viewer: Viewer | None
    token: str | None


@dataclass(slots=True)
class Pages:
    """The answers of one world. `generation`: the store's, at which they were made; `held`: bytes of all together."""

    generation: int = -1
    held: int = 0
    answers: dict[Asked, Kept] = field(default_factory=dict)

    def get(self, asked: Asked, generation: int) -> Kept | None:
        """The answer to what was asked, if it was asked since the last write."""
        return self.answers.get(asked) if generation == self.generation else None

    def keep(self, asked: Asked, generation: int, answer: Kept) -> None:
        """Keep an answer that was made at a generation; when there is no room, all others go."""
        request = sum(map(len, asked))
        if request > LONGEST_REQUEST or len(answer.body) > LONGEST:
            return
        size = len(answer.body) + request + _BESIDE
        if generation != self.generation or self.held + size > ROOM:
            self.answers.clear()
            self.generation, self.held = generation, 0
        before = self.answers.get(asked)
        self.held += size if before is None else len(answer.body) - len(before.body)
        self.answers[asked] = answer
