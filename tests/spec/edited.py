"""The foreign contracts with one place changed: what a person who edits a contract does, and gets wrong."""

from functools import cache
from pathlib import Path
from typing import Any

import orjson

from spec.document import Document, parse_document, read_document, split_pointer
from spec.loader import Contract, parse_contract

FOREIGN = Path(__file__).parents[1] / "foreign"
GONE = object()


@cache
def original(name: str) -> Document:
    """A foreign contract as it is."""
    return read_document(FOREIGN / f"{name}.yaml")


def edited(name: str, *changes: tuple[str, Any]) -> Document:
    """A foreign contract with other values at these pointers; GONE: without them."""
    root: Any = orjson.loads(orjson.dumps(original(name).root))
    for pointer, value in changes:
        *above, last = split_pointer(pointer)
        at = root
        for part in above:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        key: Any = int(last) if isinstance(at, list) else last
        if value is GONE:
            del at[key]
        else:
            at[key] = value
    return parse_document(orjson.dumps(root), f"{name}.json")


def contract(name: str, *changes: tuple[str, Any]) -> Contract:
    """The contract that an edited document says. Raises ContractError."""
    return parse_contract(edited(name, *changes))
