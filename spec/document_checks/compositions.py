"""Rejects schemas that contain themselves without a property or item in between: they cannot validate any value."""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from spec.document import KeywordObjects
from spec.errors import ContractError

MAX_CYCLES = 100


def iter_composition_problems(objects: KeywordObjects) -> Iterator[ContractError]:
    """Yield an error for each cycle of `allOf`, `anyOf`, `oneOf`, `not` and references, at most MAX_CYCLES."""
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
            return


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
