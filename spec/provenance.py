"""The provenance of each part of a contract: documented, published, confirmed or inferred.

`x-source` sets the provenance level of a node and of everything below it, until another `x-source` overrides it. It
may also map keywords to levels: a level applies to the value of that keyword, ``*`` to the others. The level of `enum`
may be a mapping of enum values to levels; whether the API has further values is then ``inferred``. A level above
``inferred`` on a schema means that an example or a text shows the key with that JSON type; on an operation, that a
page names it with its parameters and bodies. What these cannot show is ``inferred`` unless it has its own level:
formats, enums and bounds; response statuses; parameter types (parameters are sent as text); required request fields.
"""

from collections.abc import Mapping
from typing import Any

from spec.document import Document, split_pointer

# Keywords that an example can show. Only a text can state formats, enums, bounds, closed objects and nullability.
EXAMPLE_KEYWORDS = frozenset({"type", "properties", "required", "items", "allOf", "anyOf", "$ref"})
# Keywords of operations and their parts that the documenting page states.
DOCUMENTED_KEYWORDS = frozenset(
    {"summary", "tags", "parameters", "requestBody", "responses", "name", "in", "schema", "content"}
)

INFERRED = "inferred"


def get_provenance(document: Document, pointer: str, keyword: str | None = None) -> str:
    """Return the provenance level of the node at `pointer`, or of one of its keywords."""
    parts = split_pointer(pointer)
    node: Any = document.root
    level, keyword_levels = _read_levels(node, INFERRED)
    is_request = _is_request_body(parts)
    for index, part in enumerate(parts):
        is_inferred = _is_response(parts[: index + 1]) or _is_parameter_schema(node, part) or part == "x-resource"
        default = INFERRED if is_inferred else level
        inherited = keyword_levels.get(part, default)
        if part == "responses" and part not in node:  # OpenAPI 3.1 does not require it
            return str(inherited)
        node = node[int(part)] if isinstance(node, list) else node[part]
        level, keyword_levels = _read_levels(node, inherited)
        is_request = is_request or _is_parameter(node)
    if keyword is None:
        return level
    if keyword in keyword_levels:
        keyword_level = keyword_levels[keyword]
        return keyword_level if isinstance(keyword_level, str) else INFERRED
    if keyword == "schema" and _is_parameter_schema(node, keyword):
        return get_provenance(document, f"{pointer}/schema") if keyword in node else INFERRED
    if keyword == "required" and is_request:
        return _get_stated_level(document, node, keyword)
    if keyword in EXAMPLE_KEYWORDS | DOCUMENTED_KEYWORDS:
        return level
    referenced = _find_reference(node) if keyword not in node else None
    return get_provenance(document, referenced, keyword) if referenced else INFERRED


def get_value_provenance(document: Document, pointer: str, value: Any) -> str:
    """Return the provenance level of one value in the enum of the schema at `pointer`."""
    node = document.resolve(pointer)
    referenced = _find_reference(node) if "enum" not in node else None
    if referenced:
        return get_value_provenance(document, referenced, value)
    source = node.get("x-source")
    levels = source.get("enum") if isinstance(source, Mapping) else None
    if isinstance(levels, Mapping):
        return str(levels.get(str(value), INFERRED))
    return get_provenance(document, pointer, "enum")


def _get_stated_level(document: Document, node: Any, keyword: str) -> str:
    """Return the level that the schema that `node` refers to states for a keyword itself; inferred without one."""
    visited: list[str] = []
    while (referenced := _find_reference(node)) and referenced not in visited:
        visited.append(referenced)
        node = document.resolve(referenced)
        level = _read_levels(node, INFERRED)[1].get(keyword)
        if isinstance(level, str):
            return level
    return INFERRED


def _find_reference(node: Any) -> str | None:
    """Return the pointer of the schema that defines the bounds of `node`: its `$ref`, or its only `allOf`."""
    if not isinstance(node, Mapping):
        return None
    parts = node.get("allOf", ())
    reference = node.get("$ref", parts[0].get("$ref") if len(parts) == 1 else None)
    return reference if isinstance(reference, str) else None


def _read_levels(node: Any, inherited: str) -> tuple[str, Mapping[str, Any]]:
    """Return the level of a node and the levels of its keywords."""
    source = node.get("x-source") if isinstance(node, Mapping) else None
    if isinstance(source, str):
        return source, {}
    if isinstance(source, Mapping):
        return source.get("*", inherited), source
    return inherited, {}


def _is_response(parts: list[str]) -> bool:
    """Whether this is a response of an operation. A response component is not: no operation need return it."""
    return len(parts) == 5 and (parts[0], parts[3]) == ("paths", "responses")


def _is_parameter_schema(node: Any, part: str) -> bool:
    return part == "schema" and _is_parameter(node)


def _is_parameter(node: Any) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("in"), str) and isinstance(node.get("name"), str)


def _is_request_body(parts: list[str]) -> bool:
    """Whether this is a request body or part of one."""
    return parts[:2] == ["components", "requestBodies"] or (parts[:1] == ["paths"] and parts[3:4] == ["requestBody"])
