"""Edited copies of the foreign contracts, to test invalid contracts and variants."""

from functools import cache
from pathlib import Path
from typing import Any

import orjson

from spec.document import Document, parse_document, split_pointer
from spec.loader import parse_contract
from spec.model import Contract
from spec.reading.files import read_document

FOREIGN = Path(__file__).parents[1] / "foreign"
REMOVED = object()


@cache
def read_foreign_document(name: str) -> Document:
    """Read a foreign contract."""
    return read_document(FOREIGN / f"{name}.yaml")


def edit_document(name: str, *changes: tuple[str, Any]) -> Document:
    """Return a foreign contract with other values at these pointers; REMOVED deletes a value."""
    root: Any = orjson.loads(orjson.dumps(read_foreign_document(name).root))
    for pointer, value in changes:
        *parents, last = split_pointer(pointer)
        node = root
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        key: Any = int(last) if isinstance(node, list) else last
        if value is REMOVED:
            del node[key]
        else:
            node[key] = value
    return parse_document(orjson.dumps(root), f"{name}.json")


def load_edited_contract(name: str, *changes: tuple[str, Any]) -> Contract:
    """Load an edited foreign contract. Raises ContractError."""
    return parse_contract(edit_document(name, *changes))
