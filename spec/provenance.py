"""How far each place and keyword of a contract is known.

A grade stands beside what it is about (`x-source`) and holds for everything that stands in it, until another is
given there. It may also be given by keyword. A grade above ``inferred`` on a schema says that an example (or a text)
shows the key with that JSON type; what an example cannot show is inferred by rule, unless graded by keyword.
"""

from collections.abc import Mapping
from typing import Any

from spec.document import Document, parts_of

# What an example shows of a value. Formats, enums, bounds, closedness and nullability only a text can state.
SHOWN_BY_EXAMPLE = frozenset({"type", "properties", "required", "items", "allOf", "anyOf", "$ref"})
# What stands on operations and their parts and is stated by the page that the grade names.
STATED = frozenset({"summary", "tags", "parameters", "requestBody", "responses", "name", "in", "schema", "content"})


def grade(document: Document, pointer: str, keyword: str | None = None) -> str:
    """The grade of the place at `pointer`, or of one keyword there: documented, published, confirmed or inferred."""
    found, by_keyword = "inferred", None
    node: Any = document.root
    for part in ("", *parts_of(pointer)):
        if part:
            node = node[int(part)] if isinstance(node, list) else node[part]
        said = node.get("x-source") if isinstance(node, Mapping) else None
        if isinstance(said, str):
            found, by_keyword = said, None
        elif said is not None:
            found = said.get("*", found)
            by_keyword = said
    if keyword is None:
        return found
    if by_keyword is not None and keyword in by_keyword:
        return str(by_keyword[keyword])
    return found if keyword in SHOWN_BY_EXAMPLE | STATED else "inferred"
