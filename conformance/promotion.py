"""From what a run kept to edits of the contract: inferred places that were judged are confirmed, with their evidence.

A place is confirmed when a promise that rests on it was kept by an operation that succeeded in the run, and none that
rests on it was broken. Only the place itself: what stands in it and has no grade of its own keeps the one it had.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.edits import Edit
from conformance.reported import Reported, Told
from spec.contract import Contract
from spec.document import LITERAL_KEYWORDS
from spec.provenance import DOCUMENTED_KEYWORDS, EXAMPLE_KEYWORDS, INFERRED, get_provenance

CONFIRMED = "confirmed"
PLACES = ("#/paths/", "#/components/")
NAMED = 6  # laws that an evidence names
OF_OPERATION = ("parameters", "requestBody")  # what an operation holds that has grades, answers apart


@dataclass(frozen=True, slots=True)
class Promotion:
    """Edits, how many places they confirm, and why others were left out -> how many."""

    edits: tuple[Edit, ...]
    confirmed: int
    left: Mapping[str, int]


def promotion(contract: Contract, said: Reported) -> Promotion:
    """What a run's report lets be confirmed in the contract that it was made with."""
    kept: dict[tuple[str, str], list[Told]] = {}
    left: dict[str, int] = {}
    broken = {p.pointer for p in said.broken()}
    for promise in said.promises:
        if promise.verdict != "kept" or promise.grade != INFERRED:
            continue
        why = _left_out(contract, said, promise, broken)
        if why:
            left[why] = left.get(why, 0) + 1
        else:
            kept.setdefault((promise.pointer, promise.keyword), []).append(promise)
    edits: list[Edit] = []
    for pointer in dict.fromkeys(pointer for pointer, _ in kept):
        told = {keyword: promises for (at, keyword), promises in kept.items() if at == pointer}
        edits += _edits(contract, pointer, told, said)
    return Promotion(tuple(edits), len(kept), left)


def _left_out(contract: Contract, said: Reported, promise: Told, broken: set[str]) -> str:
    """Why a kept promise confirms nothing, or ""."""
    if not any(200 <= status < 300 for status in said.answered.get(promise.operation, ())):
        return "its operation did not succeed in the run"
    if promise.pointer in broken:
        return "another promise that rests on the place was broken"
    node = contract.document.resolve(promise.pointer)
    if not isinstance(node, dict) or not promise.pointer.startswith(PLACES):
        return "its place is no operation, parameter, answer or schema"
    if "$ref" in node:
        return "its place is a reference: what that leads to has a grade"
    if "operationId" in node and promise.keyword:
        return "it rests on a part of an operation, whose grade is one word"
    if get_provenance(contract.document, promise.pointer, promise.keyword or None) != INFERRED:
        return "it rests on one keyword of its place, which the report does not name"
    return ""


def _edits(contract: Contract, pointer: str, told: Mapping[str, list[Told]], said: Reported) -> Iterator[Edit]:
    """Confirm a place, or some of its keywords, and hold what stands in it."""
    node = contract.document.resolve(pointer)
    if "operationId" in node:
        yield Edit(pointer, "x-source", CONFIRMED)
        yield from _held(contract, pointer, node)
    else:
        yield Edit(pointer, "x-source", _source(contract, pointer, node, told))
    promises = [promise for found in told.values() for promise in found]
    yield Edit(pointer, "x-evidence", {"date": said.started[:10], "found": _evidence(said, promises)})


def _source(contract: Contract, pointer: str, node: Mapping[str, Any], told: Mapping[str, Any]) -> Any:
    """The grades of a place by keyword; one word where nothing in it has to be held."""
    old = node.get("x-source")
    by = dict(old) if isinstance(old, dict) else {} if "" in told or old is None else {"*": old}
    if "" in told:
        by |= {name: INFERRED for name in _inheriting(node) if name not in by}
        by = {"*": CONFIRMED} | {name: known for name, known in by.items() if name != "*"}
    by |= {keyword: CONFIRMED for keyword in told if keyword}
    return CONFIRMED if by == {"*": CONFIRMED} else by


def _inheriting(node: Mapping[str, Any]) -> Iterator[str]:
    """The keywords of a place that would take its grade over, for themselves or for what stands under them."""
    is_parameter = isinstance(node.get("in"), str) and isinstance(node.get("name"), str)
    for name, value in node.items():
        is_place = isinstance(value, (dict, list)) and not name.startswith("x-")
        if not is_place or (is_parameter and name == "schema"):
            continue
        if name in EXAMPLE_KEYWORDS | DOCUMENTED_KEYWORDS or (name not in LITERAL_KEYWORDS and isinstance(value, dict)):
            yield name


def _held(contract: Contract, pointer: str, node: Mapping[str, Any]) -> Iterator[Edit]:
    """An operation's grade is one word: what it holds is told its grade at its own place."""
    for name in OF_OPERATION:
        below = node.get(name)
        places = [f"{pointer}/{name}"] if isinstance(below, dict) else []
        places += [f"{pointer}/{name}/{index}" for index in range(len(below))] if isinstance(below, list) else []
        for place in places:
            held = contract.document.resolve(place)
            old = held.get("x-source")
            if "$ref" not in held and (old is None or (isinstance(old, dict) and "*" not in old)):
                yield Edit(place, "x-source", INFERRED if old is None else {"*": INFERRED} | old)


def _evidence(said: Reported, promises: list[Told]) -> str:
    """Which run kept what."""
    laws = sorted({f"{promise.law} ({promise.operation})" for promise in promises})
    more = f" and {len(laws) - NAMED} more" if len(laws) > NAMED else ""
    return f"run {said.run_id} kept {', '.join(laws[:NAMED])}{more}"


def of_gaps(said: Reported) -> Iterator[Edit]:
    """What the report proposes for its gaps: broken each time, and resting on inferred places. Raises CannotEdit."""
    told: set[str] = set()
    for promise in said.promises:
        proposed = promise.proposal if isinstance(promise.proposal, dict) else {}
        if promise.verdict == "broken" and promise.grade == INFERRED:
            for edit in map(Edit.from_document, proposed.get("edits") or ()):
                if repr(edit) not in told:
                    told.add(repr(edit))
                    yield edit
