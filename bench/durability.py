"""Rate of creates with a store in memory and in a file, for each value of --durability.

    python -m bench.durability [--seconds 3] [--rounds 3] [--folder FOLDER]

The stores take turns within a round; the table has the medians. `--folder`: of the store files, to select a disk.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from bench.load import CREATE, LoadResult
from bench.servers import run_mock


def list_stores(folder: Path) -> Mapping[str, tuple[str, ...]]:
    """Options of the mock by the name of the measured store."""
    store = ("--store", f"sqlite:///{folder / 'mock.db'}")
    return {
        "memory": (),
        "file, --durability normal": (*store, "--durability", "normal"),
        "file, --durability full": (*store, "--durability", "full"),
    }


def measure(seconds: int, rounds: int, folder: Path) -> Mapping[str, list[LoadResult]]:
    """Results of each store, one for each round; each run has a new file."""
    results: dict[str, list[LoadResult]] = {name: [] for name in list_stores(folder)}
    for _ in range(rounds):
        for name in results:
            with tempfile.TemporaryDirectory(dir=folder) as run_folder:
                options = list_stores(Path(run_folder))[name]
                with run_mock(*options) as server:
                    CREATE.check_response(server)
                    results[name].append(CREATE.run(server, seconds, Path(run_folder)))
    return results


def build_table(results: Mapping[str, Sequence[LoadResult]]) -> Iterator[str]:
    """The medians as the lines of a Markdown table."""
    yield "| store | creates/s | p50 ms | p99 ms |"
    yield "|---|--:|--:|--:|"
    for name, runs in results.items():
        rate = median(run.requests_per_second for run in runs)
        p50, p99 = median(run.p50_ms for run in runs), median(run.p99_ms for run in runs)
        yield f"| {name} | {rate:,.0f} | {p50:.2f} | {p99:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3, help="duration of each run")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="folder of the store files")
    arguments = parser.parse_args()
    for line in build_table(measure(arguments.seconds, arguments.rounds, arguments.folder)):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
