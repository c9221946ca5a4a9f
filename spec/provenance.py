"""How far each place and keyword of a contract is known.

A grade stands beside what it is about (`x-source`) and holds for everything that stands in it, until another is
given there. It may also be given by keyword: then it holds for that keyword and for what stands under it, and ``*``
for the rest. A grade above ``inferred`` on a schema says that an example (or a text) shows the key with that JSON
type; one on an operation, that a page names it with its parameters and bodies. What neither can show is inferred by
rule, unless it is graded itself: formats, enums and bounds; a status of an answer; the type of a parameter, which is
text wherever it is sent; and what a request requires.
"""

from collections.abc import Mapping
from typing import Any

from spec.document import Document, parts_of

# What an example shows of a value. Formats, enums, bounds, closedness and nullability only a text can state.
SHOWN_BY_EXAMPLE = frozenset({"type", "properties", "required", "items", "allOf", "anyOf", "$ref"})
# What stands on operations and their parts and is stated by the page that the grade names.
STATED = frozenset({"summary", "tags", "parameters", "requestBody", "responses", "name", "in", "schema", "content"})

INFERRED = "inferred"


def grade(document: Document, pointer: str, keyword: str | None = None) -> str:
    """The grade of the place at `pointer`, or of one keyword there: documented, published, confirmed or inferred."""
    parts = parts_of(pointer)
    node: Any = document.root
    found, by_keyword = _said(node, INFERRED)
    sent = _is_body(parts)
    for index, part in enumerate(parts):
        inherited = INFERRED if _is_status(parts[: index + 1]) or _is_type(node, part) else found
        above = by_keyword.get(part, inherited)
        node = node[int(part)] if isinstance(node, list) else node[part]
        found, by_keyword = _said(node, above)
        sent = sent or _is_parameter(node)
    if keyword is None:
        return found
    if keyword in by_keyword:
        return str(by_keyword[keyword])
    if keyword == "schema" and _is_type(node, keyword):
        return grade(document, f"{pointer}/schema") if keyword in node else INFERRED
    if keyword == "required" and sent:
        return INFERRED
    return found if keyword in SHOWN_BY_EXAMPLE | STATED else INFERRED


def _said(node: Any, above: str) -> tuple[str, Mapping[str, str]]:
    """(the grade of a place, its grades by keyword): what it says itself, else the one from above."""
    said = node.get("x-source") if isinstance(node, Mapping) else None
    if isinstance(said, str):
        return said, {}
    if isinstance(said, Mapping):
        return said.get("*", above), said
    return above, {}


def _is_status(parts: list[str]) -> bool:
    """Whether it is one answer of an operation (its component says what the answer holds, not that it occurs)."""
    return len(parts) == 5 and (parts[0], parts[3]) == ("paths", "responses")


def _is_type(node: Any, part: str) -> bool:
    """Whether it is the schema of a parameter."""
    return part == "schema" and _is_parameter(node)


def _is_parameter(node: Any) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("in"), str) and isinstance(node.get("name"), str)


def _is_body(parts: list[str]) -> bool:
    """Whether it is the body of a request, or stands in one."""
    return parts[:2] == ["components", "requestBodies"] or (parts[:1] == ["paths"] and parts[3:4] == ["requestBody"])
