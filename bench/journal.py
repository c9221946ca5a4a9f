"""Processor time of requests, in process: cost of the request journal, and of test control that is not used.

    python -m bench.journal [--times 1000]
    python -m bench.journal --unused [--times 1000]
    python -m bench.journal --against PATH [--rounds 5]

Requests without and with the journal take turns; the figures are lower quartiles, since other processes only make
requests slower. The journal is full of the same requests, before deletes of updates. No read is repeated, except in the
rows "again": their responses are from the response cache, which keeps the others too.

`--unused` compares requests that use no test control, without the journal, with those to the same application without
it: without sandboxes, forced responses, rules, explanations, control API and console. Both take turns.

`--against` compares requests that use no test control, without the journal, with those of another checkout, such as a
commit before test control. `git worktree add --detach PATH COMMIT` creates one.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import cycle, repeat
from pathlib import Path
from statistics import mean

from bench.checkouts import compare, lower_quartile
from bench.growth import CONTRACT, InProcessApp, build_demo_image, create_app_with_messages
from bench.load import CREATE, LIST, PAGE, READ_REQUESTS, REJECTED_CREATE, RETRIEVE, RequestKind
from bench.servers import MESSAGE
from mock_server.web.outer_app import MockApp
from spec.loader import load_contract

MESSAGE_COUNT = 5_000
_TURN_LENGTH = 50
UPDATE = RequestKind("update a message", "PUT", f"/messages/{MESSAGE}", 200, "content", {"content": "Changed"})
UNKNOWN = RequestKind("retrieve an unknown message (404)", "GET", f"/messages/{MESSAGE[:-4]}ffff", 404, "message")
DELETE = RequestKind("delete a message", "DELETE", f"/messages/{MESSAGE}", 204, "")
# Not the delete, which needs another message each time.
_REPEATABLE_REQUESTS = (CREATE, REJECTED_CREATE, UNKNOWN, UPDATE)


def iter_rows(in_process_app: InProcessApp, repetitions: int) -> Iterator[str]:
    """The rows of the table. The last one is the mean of the rows above but of the reads that are not cached."""
    distinct_targets = list_distinct_targets(in_process_app)
    for kind in READ_REQUESTS:
        yield _format_row(kind.name, *_measure(in_process_app, repetitions, kind, cycle(distinct_targets[kind.name])))
    rows = [(f"{kind.name}, again", kind) for kind in READ_REQUESTS] + [(k.name, k) for k in _REPEATABLE_REQUESTS]
    costs = []
    for name, kind in rows:
        costs.append(_measure(in_process_app, repetitions, kind, repeat(kind.target)))
        yield _format_row(name, *costs[-1])
    deleted = iter(distinct_targets[RETRIEVE.name])
    delete_count = min(repetitions, MESSAGE_COUNT // 2 - _TURN_LENGTH)
    costs.append(_measure(in_process_app, delete_count, DELETE, deleted, fills_journal=False))
    yield _format_row(DELETE.name, *costs[-1])
    yield _format_row("mean, without the reads that are not cached", *map(mean, zip(*costs, strict=True)))


def list_distinct_targets(in_process_app: InProcessApp) -> dict[str, list[str]]:
    """Name of a read -> targets with different responses."""
    sql = 'SELECT key FROM "Message" ORDER BY n DESC LIMIT ?'
    rows = in_process_app.sandbox.store.connection.execute(sql, (MESSAGE_COUNT,))
    return {
        RETRIEVE.name: [f"/messages/{key}" for (key,) in rows],
        LIST.name: [f"/messages?per_page=1&page={page}" for page in range(1, MESSAGE_COUNT)],
        PAGE.name: [f"/messages?per_page=20&page={page}" for page in range(1, MESSAGE_COUNT // 20)],
    }


def _format_row(name: str, base: float, total: float) -> str:
    return f"| {name} | {base:.1f} | {total:.1f} | {total - base:.1f} |"


def _measure(
    in_process_app: InProcessApp,
    repetitions: int,
    kind: RequestKind,
    targets: Iterable[str],
    *,
    fills_journal: bool = True,
) -> tuple[float, float]:
    """Return the microseconds of a request without and with the journal."""
    sandbox, remaining = in_process_app.sandbox, iter(targets)
    journal = sandbox.journal
    assert journal is not None

    def send_request() -> float:
        target = next(remaining)
        return in_process_app.measure_request(kind.method, target, kind.body, clear_cache=False, status=kind.status)

    if fills_journal:
        journal.clear()
        while not journal.dropped_count:
            send_request()
    without, recorded = list[float](), list[float]()
    while len(recorded) < repetitions:
        for sandbox.journal, samples in ((None, without), (journal, recorded)):
            samples.extend(send_request() for _ in range(_TURN_LENGTH))
    return lower_quartile(without) * 1e6, lower_quartile(recorded) * 1e6


def iter_unused_rows(in_process_app: InProcessApp, repetitions: int) -> Iterator[str]:
    """The rows of the table that compares with the same application without test control."""
    app = in_process_app.app
    assert isinstance(app, MockApp)
    other = replace(app, selector=None, forcer=None, rule_responder=None, control=None, explain=None, console=None)
    apps = (replace(in_process_app, app=other), in_process_app)
    in_process_app.sandbox.journal = None
    for kind in (*READ_REQUESTS, *_REPEATABLE_REQUESTS):
        without, total = list[float](), list[float]()
        while len(total) < repetitions:
            for tested, samples in zip(apps, (without, total), strict=True):
                samples.extend(
                    tested.measure_request(kind.method, kind.target, kind.body, clear_cache=False, status=kind.status)
                    for _ in range(_TURN_LENGTH)
                )
        base, used = lower_quartile(without) * 1e6, lower_quartile(total) * 1e6
        name = f"{kind.name}, again" if kind in READ_REQUESTS else kind.name
        yield f"| {name} | {base:.1f} | {used:.1f} | {used - base:.2f} |"


def iter_comparison(other: Path, repetitions: int, rounds: int) -> Iterator[str]:
    """The rows of the table that compares with another checkout. Raises SystemExit if it cannot be measured."""
    reads = [(kind, is_cached) for kind in READ_REQUESTS for is_cached in (False, True)]
    requests = [*reads, *((kind, False) for kind in _REPEATABLE_REQUESTS)]
    for (kind, is_cached), row in zip(requests, compare(other, requests, repetitions, rounds), strict=True):
        name = f"{kind.name}, again" if is_cached else kind.name
        yield f"| {name} | " + " | ".join(f"{value:.1f}" for value in row) + " |"


def main(arguments: list[str]) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.journal")
    parser.add_argument("--times", type=int, default=1_000, help="repetitions of each request (default 1000)")
    parser.add_argument("--unused", action="store_true", help="compare with the same application without test control")
    parser.add_argument("--against", type=Path, metavar="PATH", help="compare with the checkout in this folder")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of --against (default 5)")
    options = parser.parse_args(arguments)
    if options.against is not None:
        if not (options.against / "bench" / "growth.py").is_file():
            parser.error(f"--against: {options.against} has no bench/growth.py (expected a checkout of this project)")
        print("| µs of processor time | other checkout | this one | difference |\n|---|--:|--:|--:|")
        for row in iter_comparison(options.against.resolve(), options.times, options.rounds):
            print(row)
        return 0
    contract = load_contract(CONTRACT)
    in_process_app = create_app_with_messages(build_demo_image(contract), MESSAGE_COUNT, contract)
    title = "test control" if options.unused else "journal"
    print(f"| µs of processor time | without | with | {title} |\n|---|--:|--:|--:|")
    for row in (iter_unused_rows if options.unused else iter_rows)(in_process_app, options.times):
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
