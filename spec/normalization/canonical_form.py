"""The canonical form of a contract: OpenAPI 3.0, and the keywords of JSON Schema 2020-12 that 3.0 cannot express.

The conversion loses nothing that decides which requests and responses are valid. All operations have an
`operationId`, all path items are inline, all media types and parameters have a schema, and a keyword has one notation.
A document that is canonical already is returned unchanged.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from spec.document import EXTENSIBLE_MAPS, Document, KeywordObjects, is_literal, maps_names
from spec.normalization.path_items import normalize_paths
from spec.normalization.schemas import SchemaNormalizer, decode_reference, is_convertible

CANONICAL_VERSION = "3.0.3"


def is_openapi_31(root: Mapping[str, Any]) -> bool:
    """Whether a document states a version of OpenAPI 3.1."""
    return str(root.get("openapi", "")).startswith("3.1")


def normalize_document(document: Document, objects: KeywordObjects) -> Document:
    """Return the canonical form of a document whose keywords have valid types. Raises ContractError.

    `objects`: those of the document.
    """
    root = document.root
    is_31 = is_openapi_31(root)
    if is_31:
        parts = {k: v for k, v in root.items() if k not in ("webhooks", "jsonSchemaDialect")}
        root = {"openapi": CANONICAL_VERSION, "paths": {}} | parts | {"openapi": CANONICAL_VERSION}
    if is_31 or _needs_conversion(objects):
        root = _convert(root, SchemaNormalizer.from_objects(objects, is_31=is_31))
    paths = normalize_paths(replace(document, root=root))
    if paths is not root["paths"]:
        root = {**root, "paths": paths}
    if "pathItems" in root.get("components", {}):
        root = {**root, "components": {k: v for k, v in root["components"].items() if k != "pathItems"}}
    return document if root is document.root else replace(document, root=root)


def _needs_conversion(objects: KeywordObjects) -> bool:
    """Whether an object of an OpenAPI 3.0 document is not canonical."""
    return any(_has_extensions(node) or _lacks_schema(node) or is_convertible(node) for node, _ in objects)


def _has_extensions(node: Mapping[str, Any]) -> bool:
    maps = (node[key] for key in EXTENSIBLE_MAPS if isinstance(node.get(key), dict))
    return any(name.startswith("x-") for names in maps for name in names)


def _lacks_schema(node: Mapping[str, Any]) -> bool:
    if "content" in node:
        return any(media_type.get("schema") is None for media_type in node["content"].values())
    return _is_parameter_without_schema(node)


def _is_parameter_without_schema(node: Mapping[str, Any]) -> bool:
    """Whether an object is a parameter that has neither a schema nor a media type. A security scheme has a type."""
    is_parameter = "in" in node and "name" in node and not node.keys() & {"content", "type"}
    return is_parameter and node.get("schema") is None


def _convert(node: Any, schemas: SchemaNormalizer, key: str = "", *, is_names: bool = False) -> Any:
    """Convert the objects outside of schemas. `schemas`: converts the schemas in them."""
    if isinstance(node, list):
        return [_convert(value, schemas) for value in node]
    if not isinstance(node, dict):
        return node
    if is_names:
        return {
            name: _convert_member(name, value, schemas, parent=key)
            for name, value in node.items()
            if not (key in EXTENSIBLE_MAPS and name.startswith("x-"))
        }
    if "$ref" in node and key != "paths":  # keywords next to it have no effect
        return {"$ref": decode_reference(node["$ref"])}
    converted = {name: _convert_keyword(name, value, schemas) for name, value in node.items()}
    return {"schema": {}, **converted} if _is_parameter_without_schema(node) else converted


def _convert_member(name: str, value: Any, schemas: SchemaNormalizer, *, parent: str) -> Any:
    """Convert an entry of a map of names."""
    if parent == "schemas":
        return schemas.normalize(value)
    if parent == "content":
        return {"schema": {}, **_convert(value, schemas)}
    return _convert(value, schemas, parent)


def _convert_keyword(key: str, value: Any, schemas: SchemaNormalizer) -> Any:
    if key == "$ref" and isinstance(value, str):
        return decode_reference(value)
    if key == "schema":
        return {} if value is None else schemas.normalize(value)
    if is_literal(key) or key == "examples":
        return value
    return _convert(value, schemas, key, is_names=maps_names(key, value))
