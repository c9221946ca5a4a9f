"""Rejects schemas that contain themselves without a property or item in between: they cannot validate any value."""

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from spec.document import KeywordObjects
from spec.errors import ContractError

MAX_CYCLES = 100
MAX_PARTS = 10_000


def iter_composition_problems(objects: KeywordObjects) -> Iterator[ContractError]:
    """Yield an error for each cycle of `allOf`, `anyOf`, `oneOf`, `not` and references, and for excessive schemas."""
    parts = _list_parts(objects)
    for _ in range(MAX_CYCLES):
        try:
            TopologicalSorter(parts).prepare()
        except CycleError as error:
            cycle = [pointer for pointer in reversed(error.args[1]) if pointer in parts]
            schemas = [pointer for pointer in cycle if pointer.count("/") <= 3] or cycle
            problem = f"a schema that contains itself through {', '.join(sorted(set(schemas)))}"
            yield ContractError(min(schemas), problem, "no cycle of allOf, anyOf, oneOf and not")
            for pointer in cycle:
                parts.pop(pointer, None)
        else:
            yield from _iter_excessive_schemas(parts)
            return


def _iter_excessive_schemas(parts: Mapping[str, Sequence[str]]) -> Iterator[ContractError]:
    """Yield an error for each schema with too many parts, when each part counts as often as it is referred to.

    A chain of schemas that each refer twice to the next one doubles this number at each step, and with it the time to
    validate a value.
    """
    counts: dict[str, int] = {}
    for pointer in TopologicalSorter(parts).static_order():
        inner = [counts.get(part, 1) for part in parts.get(pointer, ())]
        counts[pointer] = 1 + sum(inner)
        if counts[pointer] > MAX_PARTS >= max(inner, default=0):
            problem = f"a schema that consists of {counts[pointer]} others through allOf, anyOf, oneOf and references"
            yield ContractError(pointer, problem, f"at most {MAX_PARTS}")


def _list_parts(objects: KeywordObjects) -> dict[str, list[str]]:
    """Map the pointer of each schema that consists of others to their pointers."""
    parts: dict[str, list[str]] = {}
    for node, pointer in objects:
        names = [node["$ref"]] if "$ref" in node else []
        names += [f"{pointer}/not"] if "not" in node else []
        for keyword in ("allOf", "anyOf", "oneOf"):
            names += [f"{pointer}/{keyword}/{index}" for index in range(len(node.get(keyword, ())))]
        if names:
            parts[pointer] = names
    return parts
