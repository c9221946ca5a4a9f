"""Results of a comparison: loads per round, cold starts and memory, and ratios within a round."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.load import LoadResult


@dataclass(frozen=True, slots=True)
class LoadMeasurement:
    """One server under one load in one round, with the server's processor time per request in microseconds."""

    request_name: str
    connections: int
    round_index: int
    server: str
    load: LoadResult
    cpu: float


@dataclass(frozen=True, slots=True)
class ServerStart:
    """One cold start: wall and processor seconds from the command to the first successful response."""

    wall_seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """Memory of a server in MiB: at start, after the read rounds and after the write rounds.

    `records_added`: records added by the write rounds; None if unknown or if the server has no state.
    """

    at_start: float
    after_reads: float
    after_writes: float
    records_added: int | None

    @property
    def bytes_per_record(self) -> float | None:
        """Bytes per added record, including indexes and caches."""
        return (self.after_writes - self.after_reads) * 2**20 / self.records_added if self.records_added else None


@dataclass(frozen=True, slots=True)
class BenchmarkResults:
    """All results; `starts` and `memory` by server name."""

    measurements: Sequence[LoadMeasurement]
    starts: Mapping[str, Sequence[ServerStart]]
    memory: Mapping[str, MemoryUsage]

    def select(self, request_name: str, connections: int, server: str) -> list[LoadMeasurement]:
        """The measurements of a server under one load."""
        return [
            r
            for r in self.measurements
            if (r.request_name, r.connections, r.server) == (request_name, connections, server)
        ]

    def ratio(self, request_name: str, connections: int, server: str, baseline: tuple[str, str]) -> float | None:
        """Rate relative to `baseline` (request, server) in the same round, as the median over the rounds."""
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
        """The median cold start of a server; None if it was not started."""
        starts = self.starts.get(server)
        return (
            ServerStart(median(s.wall_seconds for s in starts), median(s.cpu_seconds for s in starts))
            if starts
            else None
        )
