"""The published form of a contract: plain OpenAPI for client generators and documentation.

The source contract has specification extensions for the mock and the conformance suite. The published form has none of
them. It states the provenance of operations, parameters, schemas, properties and security schemes in their
descriptions, and of operations also in ``x-badges``, which documentation tools display.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from spec.document import METHODS, Document, escape, is_literal, maps_names
from spec.extensions import KNOWN_EXTENSIONS
from spec.model import Contract, Operation
from spec.provenance import get_provenance, get_value_provenance
from spec.publishing.openapi31 import convert_to_31
from spec.publishing.unions import split_polymorphic_schemas
from spec.reading.yaml_loader import SCALAR_PATTERNS

BADGE_COLORS = {"documented": "#1a7f37", "published": "#0969da", "confirmed": "#8250df", "inferred": "#9a6700"}
# Objects in a schema that are not schemas.
_NO_SCHEMAS = frozenset({"discriminator", "externalDocs", "xml"})
_LITERAL_TYPES = (dict, list)
NULL_NAME = "NullValue"
_NULL_POINTER = f"#/components/schemas/{NULL_NAME}"
_NULL_SCHEMA: Mapping[str, Any] = {
    "description": "The value null.",
    "type": "string",
    "nullable": True,
    "enum": [None],
}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a node is: its pointer, the key that leads to it, and what contains it.

    `displayed_level`: the provenance level in the description of the nearest enclosing object.
    """

    pointer: str
    key: str = ""
    parent_key: str = ""
    displayed_level: str | None = None
    is_schema: bool = False
    is_parameter: bool = False

    def enter(self, key: str, *, is_schema: bool = False) -> "_Place":
        pointer = f"{self.pointer}/{escape(key)}"
        return _Place(pointer, key, self.key, self.displayed_level, is_schema, self.is_parameter)


def build_openapi(contract: Contract) -> dict[str, Any]:
    """Return the published OpenAPI 3.0 document of a contract."""
    root = split_polymorphic_schemas(_Publisher(contract, names_null=True).build(), contract)
    schemas = root.get("components", {}).get("schemas", {})
    if NULL_NAME not in schemas and f'"{_NULL_POINTER}"' in json.dumps(root):
        schemas[NULL_NAME] = dict(_NULL_SCHEMA)
    return root


def build_openapi_31(contract: Contract) -> dict[str, Any]:
    """Return the published OpenAPI 3.1 document of a contract."""
    return convert_to_31(split_polymorphic_schemas(_Publisher(contract, names_null=False).build(), contract))


class _Publisher:
    """Converts the nodes of a contract. `names_null`: replace schemas of null by a reference to a component.

    OpenAPI 3.0 has no type for null. Generators turn an enum of null into invalid code, unless it has a name.
    """

    def __init__(self, contract: Contract, *, names_null: bool) -> None:
        self.document: Document = contract.document
        self.operations = {operation.pointer: operation for operation in contract.operations.values()}
        self.names_null = names_null

    def build(self) -> dict[str, Any]:
        """Return the published document."""
        root: dict[str, Any] = self.convert(self.document.root, _Place("#"))
        return _drop_dangling_links(root)

    def convert(self, node: Any, place: _Place, *, keys_are_names: bool = False) -> Any:
        """Return the published form of a node of the contract."""
        if isinstance(node, list):
            return [self.convert(v, place.enter(str(i), is_schema=place.is_schema)) for i, v in enumerate(node)]
        if not isinstance(node, dict):
            return node
        if keys_are_names:
            return {
                name: self.convert(value, place.enter(name, is_schema=place.is_schema or place.key == "schemas"))
                for name, value in node.items()
                if not (place.key == "links" and _has_object_body(value)) and not _is_stored_only(value)
            }
        return self._convert_object(node, place)

    def _convert_object(self, node: Mapping[str, Any], place: _Place) -> dict[str, Any]:
        """Convert an object whose keys are keywords."""
        if self.names_null and place.is_schema and node.get("enum") == [None]:
            return {"$ref": _NULL_POINTER}
        is_parameter = place.is_parameter or _is_parameter(node)
        level = self._read_displayed_level(node, place)
        inner = _Place(
            place.pointer, place.key, place.parent_key, level or place.displayed_level, place.is_schema, is_parameter
        )
        moves_default = place.is_schema and not is_parameter and "default" in node
        default_schema = self._find_stated_default(node, moves_default=moves_default)
        converted = {
            key: self._convert_value(key, value, inner)
            for key, value in node.items()
            if key not in KNOWN_EXTENSIONS and not (moves_default and key == "default")
        }
        description = _describe(node, level, self._describe_enum(node, place), default_schema)
        if description:
            converted = _with_description(converted, description)
        operation = self.operations.get(place.pointer)
        if operation is not None and level is not None:
            converted |= _describe_operation(operation, level, converted)
        return converted

    def _find_stated_default(self, node: Mapping[str, Any], *, moves_default: bool) -> Mapping[str, Any] | None:
        """Return the schema whose default the description states, None without one.

        It is that of a schema, or of a parameter, whose default documentation tools display only on demand.
        """
        if moves_default:
            return node
        schema = node.get("schema") if _is_parameter(node) else None
        if not isinstance(schema, dict) or "Default:" in str(node.get("description", "")):
            return None
        resolved, _ = self.document.dereference(schema, "")
        return resolved if "default" in resolved else None

    def _convert_value(self, key: str, value: Any, place: _Place) -> Any:
        if key == "security" and isinstance(value, list):
            return self._sort_alternatives(value)
        if key == "examples" and isinstance(value, dict):
            return {name: _remove_extensions(example) for name, example in value.items()}
        if is_literal(key):
            return value
        is_schema = key == "schema" or (place.is_schema and key not in _NO_SCHEMAS)
        return self.convert(value, place.enter(key, is_schema=is_schema), keys_are_names=maps_names(key, value))

    def _sort_alternatives(self, security: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the alternatives of a security requirement: `Authorization` first, other headers, then cookies.

        OpenAPI gives the order no meaning, but many tools use the first alternative only, and most cannot send cookies.
        """
        schemes = self.document.root.get("components", {}).get("securitySchemes", {})

        def rank(alternative: Mapping[str, Any]) -> int:
            places = {schemes.get(name, {}).get("in", "authorization") for name in alternative}
            return 2 if "cookie" in places else int(places != {"authorization"})

        return sorted(security, key=rank)

    def _read_displayed_level(self, node: Mapping[str, Any], place: _Place) -> str | None:
        """Return the provenance level to display; None if the object shows none or its container shows the same.

        A parameter always shows it: documentation tools display parameters apart from the level of their operation.
        """
        if "$ref" in node:
            return None
        is_displayed = (
            place.pointer in self.operations
            or _is_parameter(node)
            or _is_named_schema(place)
            or place.parent_key == "securitySchemes"
        )
        level = get_provenance(self.document, place.pointer) if is_displayed else None
        return None if level == place.displayed_level and not _is_parameter(node) else level

    def _describe_enum(self, node: Mapping[str, Any], place: _Place) -> str:
        """Return the enum values whose provenance differs from that of their schema, by level."""
        if not (_is_named_schema(place) and isinstance(node.get("enum"), list)):
            return ""
        values_by_level: dict[str, list[str]] = {level: [] for level in BADGE_COLORS}
        for value in node["enum"]:
            if value is not None:
                level = get_value_provenance(self.document, place.pointer, value)
                values_by_level[level].append(f"`{value}`")
        del values_by_level[get_provenance(self.document, place.pointer)]
        return " ".join(
            f"{level.capitalize()} values: {', '.join(values)}." for level, values in values_by_level.items() if values
        )


def _is_named_schema(place: _Place) -> bool:
    """Whether this is the schema of a component or of a property."""
    return place.is_schema and place.parent_key in ("schemas", "properties")


def _is_parameter(node: Mapping[str, Any]) -> bool:
    return isinstance(node.get("in"), str) and isinstance(node.get("name"), str)


def _remove_extensions(example: Any) -> Any:
    """Return an Example Object without the extensions of this project."""
    if not isinstance(example, dict):
        return example
    return {key: value for key, value in example.items() if key not in KNOWN_EXTENSIONS}


def _is_stored_only(schema: Any) -> bool:
    """Whether a schema describes records that no response shows."""
    extension = schema.get("x-resource") if isinstance(schema, dict) else None
    return isinstance(extension, dict) and extension.get("stored-only") is True


def _has_object_body(link: Any) -> bool:
    """Whether a link sends an object. Generators expect an expression there and stop."""
    return isinstance(link, dict) and isinstance(link.get("requestBody"), _LITERAL_TYPES)


def _describe(node: Mapping[str, Any], level: str | None, enum: str, default: Mapping[str, Any] | None) -> str:
    """Return the description with the provenance before it, and the provenance of enum values and the default after it.

    Empty if there is nothing to add. `default`: the schema with the default; None without one.
    """
    parts = [f"{level.capitalize()}."] if level else []
    parts += [str(node["description"]).rstrip("\n")] if node.get("description") else []
    parts += [enum] if enum else []
    if default is not None:
        parts.append(f"Default: `{json.dumps(default['default'], ensure_ascii=False)}`.")
    return " ".join(parts) if level or enum or default is not None else ""


def _with_description(node: dict[str, Any], description: str) -> dict[str, Any]:
    """Set the description: in its place, or first if there is none."""
    return node | {"description": description} if "description" in node else {"description": description, **node}


def _describe_operation(operation: Operation, level: str, converted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the extensions of an operation for other tools: badges and pagination."""
    badge = {"name": level.capitalize(), "color": BADGE_COLORS[level]}
    extensions: dict[str, Any] = {"x-badges": [badge]}
    pagination = _describe_pagination(operation)
    if pagination and "x-speakeasy-pagination" not in converted:
        extensions["x-speakeasy-pagination"] = pagination
    return extensions


def _describe_pagination(operation: Operation) -> dict[str, Any] | None:
    """Return ``x-speakeasy-pagination`` of a list with numbered pages that states the number of its last page."""
    names = {p.x_query.role: p.name for p in operation.query_parameters if p.x_query}
    envelope = operation.envelope
    last_pages = [f"$.{'.'.join(path)}" for path, role in envelope.page_property_paths if role == "last-page"]
    if not envelope.is_list or "page" not in names or not last_pages:
        return None
    inputs = [{"name": names["page"], "in": "parameters", "type": "page"}]
    if "size" in names:
        inputs.append({"name": names["size"], "in": "parameters", "type": "limit"})
    results = f"$.{envelope.data_property}" if envelope.data_property else "$"
    return {"type": "offsetLimit", "inputs": inputs, "outputs": {"numPages": last_pages[0], "results": results}}


def _drop_dangling_links(root: dict[str, Any]) -> dict[str, Any]:
    """Remove references to links that are not published, and empty `links`."""
    names = {f"#/components/links/{name}" for name in root.get("components", {}).get("links", {})}
    responses = [
        response
        for item in root.get("paths", {}).values()
        for method in METHODS
        for response in item.get(method, {}).get("responses", {}).values()
    ]
    for response in (*responses, *root.get("components", {}).get("responses", {}).values()):
        links = {k: v for k, v in response.pop("links", {}).items() if v.get("$ref", "") in names or "$ref" not in v}
        if links:
            response["links"] = links
    return root


class _Dumper(yaml.CSafeDumper):
    """Writes text of several lines as a literal block, and no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


for _kind in ("int", "float"):  # numbers of YAML 1.2 only, such as `1e5`, are quoted if they are strings
    _pattern, _first = SCALAR_PATTERNS[_kind]
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})$"), _first)
_Dumper.add_representer(str, _Dumper.represent_str)


def render_json(root: Mapping[str, Any]) -> bytes:
    """Return a document as indented JSON."""
    return (json.dumps(root, indent=2, ensure_ascii=False) + "\n").encode()


MAX_BLOCK_CHARS = 1_000_000  # PyYAML writes 2 MB in a second
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def render_yaml(root: Mapping[str, Any]) -> bytes:
    """Return a document as YAML; a large one with its parts in JSON, which is also YAML, in a tenth of the time."""
    if len(_dump_json(root)) > MAX_BLOCK_CHARS:
        return "".join(_iter_compact_lines(root, depth=2)).encode()
    text = yaml.dump(root, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return str(text).encode()


def _iter_compact_lines(node: Mapping[str, Any], depth: int, indent: str = "") -> Iterator[str]:
    """Yield the lines of a mapping: mappings in blocks to a depth, below in JSON."""
    for key, value in node.items():
        name = _dump_json(key) if indent else key  # a name such as `No` needs quotes, a keyword does not
        if depth and isinstance(value, dict) and value:
            yield f"{indent}{name}:\n"
            yield from _iter_compact_lines(value, depth - 1, f"{indent}  ")
        else:
            yield f"{indent}{name}: {_dump_json(value)}\n"


def _dump_json(value: Any) -> str:
    """Return a value as JSON in one line, with escapes of the characters that YAML does not permit."""
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


# Name of each published file -> function of the contract that returns its content.
PUBLISHED_FILES: Mapping[str, Callable[[Contract], bytes]] = {
    "openapi.json": lambda contract: render_json(build_openapi(contract)),
    "openapi.yaml": lambda contract: render_yaml(build_openapi(contract)),
    "openapi-3.1.json": lambda contract: render_json(build_openapi_31(contract)),
}
