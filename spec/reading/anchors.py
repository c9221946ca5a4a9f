"""Replaces the anchors of JSON Schema 2020-12 by JSON pointers.

``$ref: "#name"`` becomes a pointer to the schema with this `$anchor` or `$dynamicAnchor`. The target of a `$dynamicRef`
depends on the schemas that lead to it, so a schema that contains one is copied for each set of targets.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from spec.document import escape, is_literal, iter_keyword_objects, maps_names, split_pointer
from spec.errors import ContractError

_KEYWORDS = (b"$anchor", b"$dynamicAnchor", b"$dynamicRef")

Targets = Mapping[str, str]  # name of a dynamic anchor -> pointer


def resolve_anchors(root: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Return a parsed file with pointers in place of anchors. Raises ContractError. `content`: the file."""
    if not any(keyword in content for keyword in _KEYWORDS):
        return root
    return _AnchorResolver(root).resolve()


class _AnchorResolver:
    """`anchors`: name -> pointer of the first schema with it. `copies`: pointer of a schema and targets -> its copy."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.anchors: dict[str, str] = {}
        self.copies: dict[tuple[str, frozenset[tuple[str, str]]], str] = {}
        self.pending: list[tuple[str, str, Targets]] = []  # pointers of a schema and of its copy
        for node, pointer in iter_keyword_objects(root):
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(node.get(keyword), str):
                    self.anchors.setdefault(node[keyword], pointer)

    def resolve(self) -> dict[str, Any]:
        converted: dict[str, Any] = self._convert(self.root, "#", {})
        schemas: dict[str, Any] = {}
        while self.pending:
            source, pointer, targets = self.pending.pop()
            schemas[split_pointer(pointer)[-1]] = self._convert(self._find(source), pointer, targets)
        if schemas:
            components = converted.get("components") or {}
            converted["components"] = {**components, "schemas": {**(components.get("schemas") or {}), **schemas}}
        return converted

    def _convert(self, node: Any, pointer: str, targets: Targets, *, keys_are_names: bool = False) -> Any:
        """Return a copy of a part of the file. `pointer`: of the copy. `targets`: those of the schemas around it."""
        if isinstance(node, list):
            return [self._convert(value, f"{pointer}/{index}", targets) for index, value in enumerate(node)]
        if not isinstance(node, dict):
            return node
        if not keys_are_names:
            targets = {**dict(_iter_dynamic_anchors(node, pointer)), **targets}  # the outermost schema takes precedence
        converted = {}
        for key, value in node.items():
            child = f"{pointer}/{escape(key)}"
            if not keys_are_names and (is_literal(key) or key == "$ref"):
                converted[key] = self._convert_reference(value, targets) if key == "$ref" else value
            else:
                is_map = not keys_are_names and maps_names(key, value)
                converted[key] = self._convert(value, child, targets, keys_are_names=is_map)
        if not keys_are_names and isinstance(node.get("$dynamicRef"), str):
            self._replace_dynamic_reference(converted, pointer, targets)
        return converted

    def _replace_dynamic_reference(self, node: dict[str, Any], pointer: str, targets: Targets) -> None:
        reference = node.pop("$dynamicRef")
        name = reference.removeprefix("#")
        target = reference if name.startswith("/") else targets.get(name) or self.anchors.get(name)
        if target is None:
            expected = "the $dynamicAnchor or $anchor of a schema in this file"
            raise ContractError(f"{pointer}/$dynamicRef", f"unresolved reference {reference}", expected)
        if "$ref" in node:
            node["allOf"] = [*node.get("allOf", ()), {"$ref": target}]
        else:
            node["$ref"] = target

    def _convert_reference(self, reference: Any, targets: Targets) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return reference
        target = reference if reference.startswith("#/") else self.anchors.get(reference[1:], reference)
        names = self._list_dynamic_names(target) if targets else set()
        used = {name: pointer for name, pointer in targets.items() if name in names}
        return self._copy(target, used) if used else target

    def _copy(self, source: str, targets: Targets) -> str:
        """Return the pointer of the copy of a schema for some targets."""
        key = source, frozenset(targets.items())
        if key not in self.copies:
            schemas = (self.root.get("components") or {}).get("schemas") or {}
            known = {*schemas, *(split_pointer(copy)[-1] for copy in self.copies.values())}
            base = split_pointer(source)[-1]
            name = next(name for number in count(2) if (name := f"{base}_{number}") not in known)
            self.copies[key] = f"#/components/schemas/{escape(name)}"
            self.pending.append((source, self.copies[key], targets))
        return self.copies[key]

    def _list_dynamic_names(self, pointer: str) -> set[str]:
        """Return the names in the dynamic references of a schema, and of those that it refers to."""
        names: set[str] = set()
        visited: set[str] = set()
        pending = [pointer]
        while pending:
            pointer = pending.pop()
            if pointer in visited or not pointer.startswith("#/"):
                continue
            visited.add(pointer)
            for node, _ in iter_keyword_objects(self._find(pointer)):
                if isinstance(node.get("$dynamicRef"), str):
                    names.add(node["$dynamicRef"].removeprefix("#"))
                if isinstance(node.get("$ref"), str):
                    pending.append(self.anchors.get(node["$ref"][1:], node["$ref"]))
        return names

    def _find(self, pointer: str) -> Any:
        """Return the part of the file at a pointer; an empty schema if it does not exist, which is reported later."""
        node: Any = self.root
        for part in split_pointer(pointer):
            try:
                node = node[int(part)] if isinstance(node, list) else node[part]
            except (KeyError, IndexError, ValueError, TypeError):
                return {}
        return node


def _iter_dynamic_anchors(node: Mapping[str, Any], pointer: str) -> Iterator[tuple[str, str]]:
    """Yield the dynamic anchors of a schema and of its `$defs`, with their pointers."""
    if isinstance(node.get("$dynamicAnchor"), str):
        yield node["$dynamicAnchor"], pointer
    definitions = node.get("$defs")
    for name, definition in definitions.items() if isinstance(definitions, dict) else ():
        if isinstance(definition, dict) and isinstance(definition.get("$dynamicAnchor"), str):
            yield definition["$dynamicAnchor"], f"{pointer}/$defs/{escape(name)}"
