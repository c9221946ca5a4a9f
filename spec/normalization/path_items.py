"""Completes the path items of a document: references are inline, and each operation has an `operationId`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from spec.document import METHODS, Document, escape

_WORD_PATTERN = re.compile(r"[A-Za-z0-9]+")


def normalize_paths(document: Document) -> Mapping[str, Any]:
    """Return the paths of a document with inline path items and complete operation ids. Raises ContractError.

    A missing `operationId` is derived from method and path: `getItemsById` of ``GET /items/{id}``. A number follows if
    an operation has that name already.
    """
    paths: Mapping[str, Any] = document.root["paths"]
    if all("$ref" not in item for item in paths.values()) and not any(
        "operationId" not in operation for _, _, operation in _iter_operations(paths)
    ):
        return paths
    items = {path: _inline(document, item, f"#/paths/{escape(path)}") for path, item in paths.items()}
    names = {op["operationId"] for path, _, op in _iter_operations(items) if "operationId" in op}
    own_names = {op["operationId"] for path, _, op in _iter_operations(paths) if "operationId" in op}
    for path, method, operation in list(_iter_operations(items)):
        name = operation.get("operationId")
        if name is None or ("$ref" in paths[path] and name in own_names):  # another path has the same path item
            name = _choose_name(derive_operation_id(method, path), names)
            items[path] = {**items[path], method: {**operation, "operationId": name}}
        names.add(name)
        own_names.add(name)
    return items


def derive_operation_id(method: str, path: str) -> str:
    """Return the id of an operation without one: ``GET /items/{id}`` -> ``getItemsById``."""
    words = []
    for segment in path.split("/"):
        for index, part in enumerate(re.split(r"[{}]", segment)):
            prefix = ["By"] if index % 2 else []  # the text in braces
            words += [*prefix, *(word[0].upper() + word[1:] for word in _WORD_PATTERN.findall(part))]
    return method + ("".join(words) or "Root")


def _choose_name(name: str, names: set[str]) -> str:
    number, candidate = 2, name
    while candidate in names:
        number, candidate = number + 1, f"{name}_{number}"
    return candidate


def _iter_operations(paths: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield (path, method, operation)."""
    for path, item in paths.items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _inline(document: Document, item: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
    """Return a path item with what it refers to; the keys next to the reference take precedence."""
    if "$ref" not in item:
        return item
    target, _ = document.dereference(item, pointer)
    return {**target, **{key: value for key, value in item.items() if key != "$ref"}}
