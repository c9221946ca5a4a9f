"""The component schemas of a contract and the references between them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spec.document import Document, escape
from spec.errors import ContractError

MAX_WRAPPERS = 20


@dataclass(frozen=True, slots=True)
class Property:
    """A property of an object schema. `is_required`: by the schema or by a part of it."""

    name: str
    node: Mapping[str, Any]
    pointer: str
    is_required: bool


@dataclass(frozen=True, slots=True)
class ComponentSchemas:
    """The component schemas of a document, by name."""

    document: Document
    schemas: Mapping[str, Any]

    @classmethod
    def from_document(cls, document: Document) -> "ComponentSchemas":
        """Take the schemas from the components of a document."""
        return cls(document, document.root.get("components", {}).get("schemas", {}))

    def unwrap(self, schema: Mapping[str, Any], pointer: str) -> tuple[Mapping[str, Any], str]:
        """Follow `$ref` and single-element `allOf` to the schema with the type; return it and its pointer."""
        for _ in range(MAX_WRAPPERS):
            if "$ref" in schema:
                schema, pointer = self.document.dereference(schema, pointer)
            elif len(schema.get("allOf", ())) == 1:
                schema, pointer = schema["allOf"][0], f"{pointer}/allOf/0"
            else:
                return schema, pointer
        raise ContractError(pointer, f"more than {MAX_WRAPPERS} nested $ref and allOf", "a schema")

    def merge(self, schema: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
        """Return the schema with the type of `schema` and of its items; outer keywords take precedence."""
        merged: dict[str, Any] = {}
        for _ in range(MAX_WRAPPERS):
            if "$ref" in schema:  # keywords next to it are ignored
                schema, pointer = self.document.dereference(schema, pointer)
            merged = {**schema, **merged}
            if len(schema.get("allOf", ())) != 1:
                break
            del merged["allOf"]
            schema, pointer = schema["allOf"][0], f"{pointer}/allOf/0"
        else:
            raise ContractError(pointer, f"more than {MAX_WRAPPERS} nested $ref and allOf", "a schema")
        if isinstance(merged.get("items"), dict):
            merged["items"] = self.unwrap(merged["items"], f"{pointer}/items")[0]
        return merged

    def list_parts(self, schema: Mapping[str, Any], pointer: str) -> list[tuple[Mapping[str, Any], str]]:
        """Return the schemas that apply together, with their pointers: the parts of `allOf`, then the schema itself.

        A schema that is referred to several times is one part.
        """
        return list(self._iter_parts(schema, pointer, MAX_WRAPPERS, set()))

    def _iter_parts(
        self, schema: Mapping[str, Any], pointer: str, depth: int, visited: set[str]
    ) -> Iterator[tuple[Mapping[str, Any], str]]:
        if not depth:
            raise ContractError(pointer, f"more than {MAX_WRAPPERS} nested $ref and allOf", "a schema")
        if "$ref" in schema:
            schema, pointer = self.document.dereference(schema, pointer)
            if pointer in visited:
                return
            visited.add(pointer)
        for index, part in enumerate(schema.get("allOf", ())):
            if isinstance(part, dict):
                yield from self._iter_parts(part, f"{pointer}/allOf/{index}", depth - 1, visited)
        yield schema, pointer

    def list_properties(self, schema: Mapping[str, Any], pointer: str) -> list[Property]:
        """Return the properties of an object, those of `allOf` first; of two with one name, the keywords of both."""
        nodes: dict[str, tuple[Any, str]] = {}
        required: set[str] = set()
        for part, location in self.list_parts(schema, pointer):
            required.update(part.get("required", ()))
            for name, node in part.get("properties", {}).items():
                child = f"{location}/properties/{escape(name)}"
                if name in nodes and isinstance(node, dict) and isinstance(nodes[name][0], dict):
                    first = nodes[name]
                    node = {**self.merge(*first), **self.merge(node, child), "allOf": [first[0], node]}
                nodes[name] = (node, child)
        return [Property(name, node, child, name in required) for name, (node, child) in nodes.items()]

    def find_property(self, pointer: str, path: tuple[str, ...]) -> str:
        """Return the pointer of the property at `path` in the object schema at `pointer`."""
        for name in path:
            properties = self.list_properties(self.document.resolve(pointer), pointer)
            pointer = next(prop.pointer for prop in properties if prop.name == name)
        return pointer

    def flatten(self, schema: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
        """Return the keywords of a schema and of all parts of its `allOf`; outer and later keywords take precedence."""
        parts = [part for part, _ in self.list_parts(schema, pointer)]
        flat = {keyword: value for part in parts for keyword, value in part.items() if keyword != "allOf"}
        if any("properties" in part for part in parts[:-1]):
            flat["properties"] = {k: v for part in parts for k, v in part.get("properties", {}).items()}
        if any("required" in part for part in parts[:-1]):
            flat["required"] = list(dict.fromkeys(name for part in parts for name in part.get("required", ())))
        return flat

    def has_flag(self, schema: Mapping[str, Any], flag: str) -> bool:
        """Whether a schema, or a part of it, has a keyword with the value true (`readOnly`)."""
        if "$ref" not in schema and "allOf" not in schema:
            return schema.get(flag) is True
        return any(part.get(flag) is True for part, _ in self.list_parts(schema, ""))

    def iter_referenced_names(self, schema: Mapping[str, Any]) -> Iterator[str]:
        """Yield the names of the component schemas that `schema` refers to (also by allOf, anyOf, oneOf, items)."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            if "/" not in name:
                yield name
            return
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(keyword, ()):
                yield from self.iter_referenced_names(part)
        if "items" in schema:
            yield from self.iter_referenced_names(schema["items"])
