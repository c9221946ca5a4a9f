"""Rejects schemas that contain themselves without a property or item in between: they cannot validate any value."""

from graphlib import CycleError, TopologicalSorter

from spec.document import KeywordObjects
from spec.errors import ContractError


def check_compositions(objects: KeywordObjects) -> None:
    """Raise ContractError for a cycle of `allOf`, `anyOf`, `oneOf`, `not` and references."""
    parts: dict[str, list[str]] = {}
    for node, pointer in objects:
        names = [node["$ref"]] if "$ref" in node else []
        names += [f"{pointer}/not"] if "not" in node else []
        for keyword in ("allOf", "anyOf", "oneOf"):
            names += [f"{pointer}/{keyword}/{index}" for index in range(len(node.get(keyword, ())))]
        if names:
            parts[pointer] = names
    try:
        TopologicalSorter(parts).prepare()
    except CycleError as error:
        cycle = [pointer for pointer in reversed(error.args[1]) if pointer in parts]
        schemas = [pointer for pointer in cycle if pointer.count("/") <= 3] or cycle
        problem = f"a schema that contains itself through {', '.join(sorted(set(schemas)))}"
        raise ContractError(min(schemas), problem, "no cycle of allOf, anyOf, oneOf and not") from None
