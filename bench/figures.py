"""What a comparison found: loads in rounds, starts and memory; and ratios within a round, which alone say something."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.load import Load


@dataclass(frozen=True, slots=True)
class Row:
    """One server under one load in one round. `cpu`: microseconds of the server's processor time for a request."""

    ask: str
    connections: int
    round: int
    server: str
    load: Load
    cpu: float


@dataclass(frozen=True, slots=True)
class Started:
    """One start of a server: seconds from its command to its first good answer, and of processor time by then."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB that a server held at first, after all rounds that read, and after all that write as well.

    `stored`: records that the rounds that write left in it; None where that is not known, or it stores none.
    """

    first: float
    read: float
    written: float
    stored: int | None

    @property
    def per_record(self) -> float | None:
        """Bytes for each record that was stored, with all that is kept of it and of whatever else was answered."""
        return (self.written - self.read) * 2**20 / self.stored if self.stored else None


@dataclass(frozen=True, slots=True)
class Figures:
    """All of it; `starts` and `memory` by the server's name."""

    rows: Sequence[Row]
    starts: Mapping[str, Sequence[Started]]
    memory: Mapping[str, Memory]

    def select(self, ask: str, connections: int, server: str) -> list[Row]:
        """The rounds of a server under one load."""
        return [r for r in self.rows if (r.ask, r.connections, r.server) == (ask, connections, server)]

    def ratio(self, ask: str, connections: int, server: str, beside: tuple[str, str]) -> float | None:
        """How many times the rate of `beside` (ask, server) in the same round: the median of the rounds."""
        rates = {row.round: row.load.rate for row in self.select(beside[0], connections, beside[1])}
        found = [r.load.rate / rates[r.round] for r in self.select(ask, connections, server) if rates.get(r.round)]
        return median(found) if found else None

    def start(self, server: str) -> Started | None:
        """The medians of a server's starts; None where it was not started."""
        found = self.starts.get(server)
        return Started(median(s.wall for s in found), median(s.cpu for s in found)) if found else None
