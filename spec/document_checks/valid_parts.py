"""The parts of a document without problems, so that later checks report no consequences of problems found before."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from spec.document import METHODS, NAME_MAP_KEYWORDS, Document, escape, iter_keyword_objects, split_pointer
from spec.errors import ContractError
from spec.extensions import KNOWN_EXTENSIONS, STAMPS, find_intended_extension

# Keywords without which the object around them is valid, and has no other problems.
_REMOVABLE_KEYWORDS = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum"}
    | {"exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern", "patternProperties", "uniqueItems", "nullable"}
    | {"readOnly", "writeOnly", "type", "format", "enum", "tags", "x-effects", "x-action", "parameters", "responses"}
)
_PARAMETER = re.compile(r"(.*/parameters/\d+)(?:/(?:name|in|\$ref))?")
_RESPONSE_PART = re.compile(r"#/paths/[^/]+/[^/]+/responses/")
_STRUCTURAL_EXTENSIONS = frozenset({"x-resource", "x-relation", "x-derived", "x-stamp"})  # other parts depend on them
_PLACEHOLDER = {"name": "", "in": "header", "schema": {}}
_EMPTY_SECTIONS: Mapping[str, Any] = {"info": {}, "paths": {}}  # of a document that lacks them


def select_valid_parts(document: Document, problems: Iterable[ContractError]) -> Document:
    """Return a document without the operations and components that have problems, and those that refer to them.

    Of a problem in one keyword or parameter, only this is removed if that has no consequences.
    """
    invalid: set[str] = set()
    for problem in problems:
        if problem.location.startswith("#/"):
            repaired = _remove_invalid(document, problem.location)
            if repaired is None:
                invalid.add(find_part(problem.location))
            else:
                document = repaired
    dependents = _find_dependents(document.root)
    pending = list(invalid)
    while pending:
        new = dependents[pending.pop()] - invalid
        invalid |= new
        pending += new
    root = {key: value for key, value in document.root.items() if f"#/{escape(key)}" not in invalid}
    for section in ("paths", "components"):
        if isinstance(root.get(section), dict):
            root[section] = _select_entries(root[section], f"#/{section}", invalid)
    return replace(document, root={**_EMPTY_SECTIONS, **root})


def _remove_invalid(document: Document, pointer: str) -> Document | None:
    """Return a document without the keyword or parameter at a pointer; None if it cannot be removed alone."""
    parent, _, name = pointer.rpartition("/")
    parameter = _PARAMETER.fullmatch(pointer)
    if parameter:
        return _replace(document, parameter[1], _PLACEHOLDER)
    if name.startswith("x-"):
        return _rename_extension(document, parent, name)
    if name == "$ref" and _RESPONSE_PART.match(pointer):
        return _replace(document, parent, {})
    if name not in _REMOVABLE_KEYWORDS or parent.rpartition("/")[2] in NAME_MAP_KEYWORDS:
        return None
    return _replace(document, pointer, None)


def _rename_extension(document: Document, pointer: str, name: str) -> Document | None:
    """Return a document with the extension of which a name is a misspelling; None if its value does not fit."""
    intended = find_intended_extension(name)
    if name in KNOWN_EXTENSIONS or intended is None:
        return None
    try:
        node = document.resolve(pointer)
    except ContractError:  # the part was removed because of another problem
        return document
    if name not in node or intended not in _STRUCTURAL_EXTENSIONS:
        return document
    value = node[name]
    if intended == "x-stamp":
        value = value if value in STAMPS else STAMPS[0]
    elif not isinstance(value, dict):
        return None
    return _replace(_replace(document, f"{pointer}/{name}", None), f"{pointer}/{intended}", value)


def _replace(document: Document, pointer: str, value: Any) -> Document:
    """Return a document with a value at a pointer; None: without one."""

    def edit(node: Any, names: list[str]) -> Any:
        if not names:
            return value
        name, *rest = names
        if isinstance(node, list):
            return [edit(entry, rest) if str(index) == name else entry for index, entry in enumerate(node)]
        if value is None and not rest:
            return {key: entry for key, entry in node.items() if key != name}
        if rest and name not in node:
            return node
        return {**node, name: edit(node.get(name), rest)}

    return replace(document, root=edit(document.root, split_pointer(pointer)))


def find_part(pointer: str) -> str:
    """Return the pointer of the operation, path item, component or section in which a pointer is."""
    names = split_pointer(pointer)
    depth = 1
    if names[0] == "paths":
        depth = 3 if len(names) > 2 and names[2] in METHODS else 2
    elif names[0] == "components":
        depth = 3
    return "#" + "".join(f"/{escape(name)}" for name in names[:depth])


def _select_entries(entries: Mapping[str, Any], pointer: str, invalid: set[str]) -> dict[str, Any]:
    """Return the path items or the sections of the components, without what is invalid in them."""
    selected = {}
    for name, entry in entries.items():
        location = f"{pointer}/{escape(name)}"
        if location in invalid:
            continue
        if isinstance(entry, dict):
            entry = {key: value for key, value in entry.items() if f"{location}/{escape(key)}" not in invalid}
        selected[name] = entry
    return selected


def _find_dependents(root: Mapping[str, Any]) -> dict[str, set[str]]:
    """Map each part, and the sections around it, to the parts that refer to it."""
    dependents: dict[str, set[str]] = defaultdict(set)
    for node, pointer in iter_keyword_objects(root):
        targets = list(_iter_targets(node))
        source = find_part(pointer) if targets else ""
        for target in targets:
            part = find_part(target)
            while part != "#":
                dependents[part].add(source)
                part = part.rpartition("/")[0]
    return dependents


def _iter_targets(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the pointers to which an object refers, also those of the resources that its extensions name."""
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        yield reference
    names: list[Any] = []
    for extension, key in (("x-relation", "to"), ("x-resource", "view-of")):
        value = node.get(extension)
        if isinstance(value, dict):
            names += value[key] if isinstance(value.get(key), list) else [value.get(key)]
    yield from (f"#/components/schemas/{escape(name)}" for name in names if isinstance(name, str))
