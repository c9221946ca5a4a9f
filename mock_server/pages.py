"""Whole answers to reads, kept until the next write: clients, and test suites above all, ask the same again and again.

What such an answer is made of: the store's records, who asks, and what the request says. The store's generation stands
for the records, so nothing needs to be known of what an answer rests on; one write, and all of them are dropped.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

# Bytes of all answers together, and of one; a page of 20 Messages has 200,000.
ROOM = 8 * 1024 * 1024
LONGEST = ROOM // 8
LONGEST_QUERY = 2048
# What an answer takes beside its bytes: its key, and its place in the dictionary.
_BESIDE = 500


@dataclass(slots=True)
class Pages:
    """The answers of one world. `generation`: the store's, at which they were made; `held`: bytes of all together."""

    generation: int = -1
    held: int = 0
    bodies: dict[Hashable, bytes] = field(default_factory=dict)

    def get(self, asked: Hashable, generation: int) -> bytes | None:
        """The answer to what was asked, if it was asked since the last write."""
        if generation != self.generation:
            self.bodies.clear()
            self.generation, self.held = generation, 0
            return None
        return self.bodies.get(asked)

    def keep(self, asked: Hashable, generation: int, body: bytes) -> None:
        """Keep an answer that was made at a generation; when there is no room, all others go."""
        if generation != self.generation or len(body) > LONGEST or asked in self.bodies:
            return
        self.held += len(body) + _BESIDE
        if self.held > ROOM:
            self.bodies.clear()
            self.held = len(body) + _BESIDE
        self.bodies[asked] = body
