"""Clients in processes of their own that write at once, and hold each answer to what all of them have written so far.

Each has several connections and changes between them, so that it writes by one worker and reads by another.
"""

import http.client
import json
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from typing import Any

CONNECTIONS = 4
WRITES = 4  # of one round of a client, about
EXECUTED = 5  # in each so many rounds a workflow is executed, else a memory learned: of one workflow they are counted
HEADERS = {"Authorization": "Bearer demo-token", "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Wrote:
    """What one client wrote: keys and numbers that were given to it, how often it ran the prompt, what was wrong."""

    keys: tuple[str, ...]
    numbers: tuple[int, ...]
    runs: int
    wrong: tuple[str, ...]
    workers: frozenset[str]


class Caller:
    """Several connections to one mock, each used in its turn."""

    def __init__(self, port: int) -> None:
        made = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(CONNECTIONS)]
        self.connections: Iterator[http.client.HTTPConnection] = cycle(made)
        self.made = made
        self.workers: set[str] = set()

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """The `data` of an answer, the whole of it where it has none. Raises AssertionError for one that is no 2xx."""
        connection = next(self.connections)
        sent = None if body is None else json.dumps(body)
        connection.request(method, f"/api/v1{path}", sent, HEADERS)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 300, f"{method} {path} answered {answer.status} {content[:200]!r}"
        self.workers.add((answer.headers["x-request-id"] or "").partition("-")[0])
        return json.loads(content)

    def close(self) -> None:
        """End all connections."""
        for connection in self.made:
            connection.close()


@dataclass(frozen=True, slots=True)
class Shared:
    """What all clients write to: keys of a prompt, an agent, and an active workflow."""

    prompt: str
    agent: str
    workflow: str


def client(port: int, name: str, shared: Shared, rounds: int) -> Wrote:
    """Write so many rounds: a thread, its new name, an execution or a memory, a run of a prompt that all run."""
    call = Caller(port)
    keys, numbers, wrong, seen = [], [], [], 0
    for number in range(rounds):
        thread = call("POST", "/threads", {"name": f"{name} {number}"})["data"]
        key = thread["uuid"]
        if call("GET", f"/threads/{key}")["data"] != thread:
            wrong.append(f"{name}: thread {key} was read otherwise than it was answered when it was made")
        changed = f"{name} {number} again"
        call("PUT", f"/threads/{key}", {"name": changed})
        newest = call("GET", "/threads?per_page=1&sort_by=created_at&sort_direction=desc")
        if call("GET", f"/threads/{key}")["data"]["name"] != changed:
            wrong.append(f"{name}: thread {key} was read with the name from before its update")
        total = newest["meta"]["total"]
        if total <= seen:
            wrong.append(f"{name}: a list of {total} threads after one of {seen}, and one was made between them")
        seen = total
        if number % EXECUTED == 0:
            execution = call("POST", "/workflow-executions", {"workflow_uuid": shared.workflow})["data"]
            numbers.append(execution["id"])
            keys += [key, execution["uuid"]]
        else:
            learned = call("POST", f"/agents/{shared.agent}/train", {"texts": [changed]})["data"]
            keys += [key, *(memory["uuid"] for memory in learned)]
        call("POST", f"/prompts/{shared.prompt}/run", {})
    call.close()
    return Wrote(tuple(keys), tuple(numbers), rounds, tuple(wrong), frozenset(call.workers))


def crowd(port: int, clients: int, writes: int) -> tuple[list[str], frozenset[str]]:
    """Let clients write so much together; (what was wrong, the workers that answered)."""
    call = Caller(port)
    shared = Shared(
        call("GET", "/prompts?per_page=1")["data"][0]["uuid"],
        call("GET", "/agents?per_page=1")["data"][0]["uuid"],
        next(found["uuid"] for found in call("GET", "/workflows?per_page=50")["data"] if found["is_active"]),
    )
    before = _usage(call, shared.prompt)
    threads = call("GET", "/threads?per_page=1")["meta"]["total"]
    call.close()  # a connection that rests is ended
    rounds = -(-writes // (clients * WRITES))
    with ProcessPoolExecutor(clients, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = [pool.submit(client, port, f"client {number}", shared, rounds) for number in range(clients)]
        broken = [str(error) for error in (one.exception() for one in done) if error is not None]
        if broken:
            return broken, frozenset()
        wrote = [one.result() for one in done]
    call = Caller(port)
    wrong = [said for one in wrote for said in one.wrong]
    wrong += _twice("key", (key for one in wrote for key in one.keys))
    wrong += _twice("number", (number for one in wrote for number in one.numbers))
    for what, due, found in (
        ("runs of the prompt", before + sum(one.runs for one in wrote), _usage(call, shared.prompt)),
        ("threads", threads + clients * rounds, call("GET", "/threads?per_page=1")["meta"]["total"]),
    ):
        if due != found:
            wrong.append(f"{found} {what} are counted, {due} were made")
    call.close()
    return wrong, frozenset().union(*(one.workers for one in wrote))


def _usage(call: Caller, prompt: str) -> int:
    found: int = call("GET", f"/prompts/{prompt}")["data"]["usage_count"]
    return found


def _twice(what: str, given: Iterable[object]) -> list[str]:
    return [f"the {what} {one} was given {times} times" for one, times in Counter(given).items() if times > 1]
