"""The component schemas of a contract and the references between them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spec.document import Document
from spec.errors import ContractError

MAX_WRAPPERS = 20


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
