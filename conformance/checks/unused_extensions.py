"""Which extensions of a contract no check uses, and why: a misplaced one would otherwise go unnoticed."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from conformance.checks.access.sessions import is_login
from spec.document import Document, escape
from spec.extensions import KNOWN_EXTENSIONS
from spec.model import Contract, Operation

GENERATED = "it describes generated values, which only the mock has"
UNREACHABLE = "no operation refers to it"
PROVENANCE_EXTENSIONS = ("x-source", "x-evidence")  # of a requirement: no requirements themselves
MAX_LISTED = 3


@dataclass(frozen=True, slots=True)
class UnusedExtension:
    """An extension at a location of the contract that no check uses."""

    name: str
    pointer: str
    reason: str


def find_unused_extensions(contract: Contract) -> list[UnusedExtension]:
    """Return the extensions that no check uses, in the order of the contract."""
    return list(_iter_unused(contract))


def format_unused_extensions(unused: Iterable[UnusedExtension]) -> list[str]:
    """Return one line for each extension and reason, with the first locations."""
    pointers: dict[tuple[str, str], list[str]] = {}
    for extension in unused:
        pointers.setdefault((extension.name, extension.reason), []).append(extension.pointer)
    lines = []
    for (name, reason), found in pointers.items():
        more = f" and {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else ""
        lines.append(f"{name} is used by no check, because {reason}: {', '.join(found[:MAX_LISTED])}{more}")
    return lines


def _iter_unused(contract: Contract) -> Iterator[UnusedExtension]:
    operations = contract.operations.values()
    with_state = [operation for operation in operations if not operation.is_static]
    reached = _find_locations(contract.document, operations)
    reached_with_state = _find_locations(contract.document, with_state)
    reached_by_lists = _find_locations(contract.document, [o for o in with_state if o.envelope.is_list])
    for name, pointer in _iter_extensions(contract.document.root, "#"):
        location = (name, pointer)
        if name == "x-faker":
            yield UnusedExtension(name, pointer, GENERATED)
        elif name == "x-csrf":
            reason = _find_csrf_problem(contract)
            yield from [UnusedExtension(name, pointer, reason)] if reason else []
        elif location not in reached:
            yield UnusedExtension(name, pointer, UNREACHABLE)
        elif location not in reached_with_state:
            names = ", ".join(sorted(reached[location])[:MAX_LISTED])
            yield UnusedExtension(name, pointer, f"no action is known of the operations that refer to it ({names})")
        elif name == "x-page" and location not in reached_by_lists:
            names = ", ".join(sorted(reached[location])[:MAX_LISTED])
            yield UnusedExtension(name, pointer, f"the operations that refer to it return no list ({names})")


def _find_csrf_problem(contract: Contract) -> str:
    has_login = any(is_login(contract, operation) for operation in contract.operations.values())
    return "" if has_login else "the contract defines no login operation"


def _iter_extensions(node: Any, pointer: str) -> Iterator[tuple[str, str]]:
    """Yield (name, pointer of its object) of each extension below a node."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, child in children:
        if name in KNOWN_EXTENSIONS and name not in PROVENANCE_EXTENSIONS and isinstance(node, dict):
            yield str(name), pointer
        if name not in ("example", "examples", "default", "enum"):
            yield from _iter_extensions(child, f"{pointer}/{escape(str(name))}")


def _find_locations(document: Document, operations: Iterable[Operation]) -> Mapping[tuple[str, str], Set[str]]:
    """Return (name, pointer) of the extensions that operations reach by references -> ids of these operations."""
    locations: dict[tuple[str, str], set[str]] = {}
    for operation in operations:
        path_item = operation.pointer.rpartition("/")[0]
        pending, visited = [operation.pointer, f"{path_item}/parameters"], set[str]()
        while pending:
            pointer = pending.pop()
            if pointer in visited or not _exists(document, pointer):
                continue
            visited.add(pointer)
            node = document.resolve(pointer)
            for location in _iter_extensions(node, pointer):
                locations.setdefault(location, set()).add(operation.id)
            pending += _iter_references(node)
    return locations


def _exists(document: Document, pointer: str) -> bool:
    """Whether a path item defines parameters; other pointers are references, which are valid."""
    if not pointer.endswith("/parameters"):
        return True
    owner = document.resolve(pointer.removesuffix("/parameters"))
    return isinstance(owner, dict) and "parameters" in owner


def _iter_references(node: Any) -> Iterator[str]:
    """Yield the references below a node."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from _iter_references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _iter_references(child)
