"""Cost of the request journal: processor time of a request without and with it, in process.

    python -m bench.journal [--times 1000]

Requests without and with the journal take turns. The journal is full of the same requests. No read is repeated, except
in the rows "again": their responses are from the response cache, which keeps the others too.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import cycle, repeat
from statistics import median

from bench.growth import CONTRACT, InProcessApp, build_demo_image, create_app_with_messages
from bench.load import LIST, PAGE, READ_REQUESTS, RETRIEVE, WRITE_REQUESTS, RequestKind
from spec.loader import load_contract

MESSAGE_COUNT = 5_000
_TURN_LENGTH = 50


def iter_rows(in_process_app: InProcessApp, repetitions: int) -> Iterator[str]:
    """The rows of the table."""
    distinct_targets = list_distinct_targets(in_process_app)
    for kind in READ_REQUESTS:
        yield _measure_row(in_process_app, repetitions, kind, kind.name, cycle(distinct_targets[kind.name]))
        yield _measure_row(in_process_app, repetitions, kind, f"{kind.name}, again", repeat(kind.target))
    for kind in WRITE_REQUESTS:
        yield _measure_row(in_process_app, repetitions, kind, kind.name, repeat(kind.target))


def list_distinct_targets(in_process_app: InProcessApp) -> dict[str, list[str]]:
    """Name of a read -> targets with different responses."""
    sql = 'SELECT key FROM "Message" ORDER BY n DESC LIMIT ?'
    rows = in_process_app.sandbox.store.connection.execute(sql, (MESSAGE_COUNT,))
    return {
        RETRIEVE.name: [f"/messages/{key}" for (key,) in rows],
        LIST.name: [f"/messages?per_page=1&page={page}" for page in range(1, MESSAGE_COUNT)],
        PAGE.name: [f"/messages?per_page=20&page={page}" for page in range(1, MESSAGE_COUNT // 20)],
    }


def _measure_row(
    in_process_app: InProcessApp, repetitions: int, kind: RequestKind, name: str, targets: Iterable[str]
) -> str:
    sandbox, remaining = in_process_app.sandbox, iter(targets)
    journal = sandbox.journal
    assert journal is not None

    def send_request() -> float:
        target = next(remaining)
        return in_process_app.measure_request(kind.method, target, kind.body, clear_cache=False, status=kind.status)

    journal.clear()
    while not journal.dropped_count:
        send_request()
    without, recorded = list[float](), list[float]()
    while len(recorded) < repetitions:
        for sandbox.journal, samples in ((None, without), (journal, recorded)):
            samples.extend(send_request() for _ in range(_TURN_LENGTH))
    base, total = median(without) * 1e6, median(recorded) * 1e6
    return f"| {name} | {base:.1f} | {total:.1f} | {total - base:.1f} |"


def main(arguments: list[str]) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.journal")
    parser.add_argument("--times", type=int, default=1_000, help="repetitions of each request (default 1000)")
    options = parser.parse_args(arguments)
    contract = load_contract(CONTRACT)
    in_process_app = create_app_with_messages(build_demo_image(contract), MESSAGE_COUNT, contract)
    print("| µs of processor time | without | with | journal |\n|---|--:|--:|--:|")
    for row in iter_rows(in_process_app, options.times):
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
