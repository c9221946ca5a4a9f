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

from spec.document import Document, split_pointer

# What an example shows of a value. Formats, enums, bounds, closedness and nullability only a text can state.
EXAMPLE_KEYWORDS = frozenset({"type", "properties", "required", "items", "allOf", "anyOf", "$ref"})
# What stands on operations and their parts and is stated by the page that the grade names.
DOCUMENTED_KEYWORDS = frozenset(
    {"summary", "tags", "parameters", "requestBody", "responses", "name", "in", "schema", "content"}
)

INFERRED = "inferred"


def get_provenance(document: Document, pointer: str, keyword: str | None = None) -> str:
    """The grade of the place at `pointer`, or of one keyword there: documented, published, confirmed or inferred."""
    parts = split_pointer(pointer)
    node: Any = document.root
    level, keyword_levels = _read_levels(node, INFERRED)
    is_request = _is_request_body(parts)
    for index, part in enumerate(parts):
        default = INFERRED if _is_response(parts[: index + 1]) or _is_parameter_schema(node, part) else level
        inherited = keyword_levels.get(part, default)
        node = node[int(part)] if isinstance(node, list) else node[part]
        level, keyword_levels = _read_levels(node, inherited)
        is_request = is_request or _is_parameter(node)
    if keyword is None:
        return level
    if keyword in keyword_levels:
        return str(keyword_levels[keyword])
    if keyword == "schema" and _is_parameter_schema(node, keyword):
        return get_provenance(document, f"{pointer}/schema") if keyword in node else INFERRED
    if keyword == "required" and is_request:
        return INFERRED
    return level if keyword in EXAMPLE_KEYWORDS | DOCUMENTED_KEYWORDS else INFERRED


def _read_levels(node: Any, inherited: str) -> tuple[str, Mapping[str, str]]:
    """(the grade of a place, its grades by keyword): what it says itself, else the one from above."""
    source = node.get("x-source") if isinstance(node, Mapping) else None
    if isinstance(source, str):
        return source, {}
    if isinstance(source, Mapping):
        return source.get("*", inherited), source
    return inherited, {}


def _is_response(parts: list[str]) -> bool:
    """Whether it is one answer of an operation (its component says what the answer holds, not that it occurs)."""
    return len(parts) == 5 and (parts[0], parts[3]) == ("paths", "responses")


def _is_parameter_schema(node: Any, part: str) -> bool:
    """Whether it is the schema of a parameter."""
    return part == "schema" and _is_parameter(node)


def _is_parameter(node: Any) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("in"), str) and isinstance(node.get("name"), str)


def _is_request_body(parts: list[str]) -> bool:
    """Whether it is the body of a request, or stands in one."""
    return parts[:2] == ["components", "requestBodies"] or (parts[:1] == ["paths"] and parts[3:4] == ["requestBody"])
