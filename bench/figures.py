"""What a comparison found: loads in rounds, starts and memory; and ratios within a round, which alone say something."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.load import LoadResult


@dataclass(frozen=True, slots=True)
class LoadMeasurement:
    """One server under one load in one round. `cpu`: microseconds of the server's processor time for a request."""

    request_name: str
    connections: int
    round_index: int
    server: str
    load: LoadResult
    cpu: float


@dataclass(frozen=True, slots=True)
class ServerStart:
    """One start of a server: seconds from its command to its first good answer, and of processor time by then."""

    wall_seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """MiB that a server held at first, after all rounds that read, and after all that write as well.

    `records_added`: records that the rounds that write left in it; None where that is not known, or it stores none.
    """

    at_start: float
    after_reads: float
    after_writes: float
    records_added: int | None

    @property
    def bytes_per_record(self) -> float | None:
        """Bytes for each record that was stored, with all that is kept of it and of whatever else was answered."""
        return (self.after_writes - self.after_reads) * 2**20 / self.records_added if self.records_added else None


@dataclass(frozen=True, slots=True)
class BenchmarkResults:
    """All of it; `starts` and `memory` by the server's name."""

    measurements: Sequence[LoadMeasurement]
    starts: Mapping[str, Sequence[ServerStart]]
    memory: Mapping[str, MemoryUsage]

    def select(self, request_name: str, connections: int, server: str) -> list[LoadMeasurement]:
        """The rounds of a server under one load."""
        return [
            r
            for r in self.measurements
            if (r.request_name, r.connections, r.server) == (request_name, connections, server)
        ]

    def ratio(self, request_name: str, connections: int, server: str, baseline: tuple[str, str]) -> float | None:
        """How many times the rate of `baseline` (ask, server) in the same round: the median of the rounds."""
        rates = {
            measurement.round_index: measurement.load.requests_per_second
            for measurement in self.select(baseline[0], connections, baseline[1])
        }
        ratios = [
            r.load.requests_per_second / rates[r.round_index]
            for r in self.select(request_name, connections, server)
            if rates.get(r.round_index)
        ]
        return median(ratios) if ratios else None

    def median_start(self, server: str) -> ServerStart | None:
        """The medians of a server's starts; None where it was not started."""
        starts = self.starts.get(server)
        return (
            ServerStart(median(s.wall_seconds for s in starts), median(s.cpu_seconds for s in starts))
            if starts
            else None
        )
