"""The ids of requests without the header X-Request-Id."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any
from uuid import UUID

from spec.document import Document, iter_keyword_objects
from spec.model import Contract

HEADER = "x-request-id"
_HEADER_PATTERN = re.compile(HEADER.encode(), re.IGNORECASE)


def create_request_ids(contract: Contract) -> Iterator[bytes]:
    """Return numbers from 1; UUIDs of these numbers if the contract documents the header as a UUID."""
    if _is_uuid(contract.document):
        return (str(UUID(int=number)).encode() for number in count(1))
    return map(b"%d".__mod__, count(1))


def _is_uuid(document: Document) -> bool:
    contents = (document.content, *document.files.values())
    if not any(map(_HEADER_PATTERN.search, contents)):
        return False
    return any(
        _find_format(document, header) == "uuid"
        for node, _ in iter_keyword_objects(document.root)
        if isinstance(node.get("headers"), dict)
        for name, header in node["headers"].items()
        if name.lower() == HEADER
    )


def _find_format(document: Document, header: Any) -> Any:
    """Return the format of the schema of a header."""
    header, pointer = document.dereference(header, "")
    schema, _ = document.dereference(header.get("schema") or {}, pointer)
    return schema.get("format")
