"""Which kind of JSON value each keyword has. Checked once, so that nothing that reads the contract has to ask again."""

from collections.abc import Callable, Mapping
from typing import Any

from spec.document import METHODS, Document, escape, keywords
from spec.errors import ContractError


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _objects_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_object, value.values()))


def _list(value: Any) -> bool:
    return isinstance(value, list)


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(map(_object, value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


# Keyword -> whether a value may stand there, and how to say what may.
KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(
        (*METHODS, "requestBody", "schema", "items", "not", "components", "x-resource"), (_object, "a mapping")
    ),
    **dict.fromkeys(
        ("properties", "schemas", "responses", "content", "headers", "requestBodies", "securitySchemes", "paths"),
        (_objects_by_name, "a mapping of names to mappings"),
    ),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "servers", "security"), (_objects, "a list of mappings")),
    **dict.fromkeys(("enum", "tags", "x-effects"), (_list, "a list")),
    **dict.fromkeys(("$ref", "operationId", "type", "format", "x-action"), (_text, "a text")),
    "required": (
        lambda value: isinstance(value, bool) or _texts(value),
        "a list of names, or of a parameter a boolean",
    ),
    "additionalProperties": (lambda value: isinstance(value, (bool, dict)), "a mapping or a boolean"),
}


def check_kinds(document: Document) -> None:
    """Refuse a keyword that holds another kind of value than OpenAPI 3.0 gives it."""
    for node, pointer in keywords(document.root):
        if pointer.rpartition("/")[0].endswith("/links"):
            continue
        _check_values(node, pointer)
        if "properties" in node and not _texts(node.get("required", [])):
            raise ContractError(f"{pointer}/required", _said(node["required"]), "a list of names")
        if "parameters" in node:
            _check_parameters(node["parameters"], f"{pointer}/parameters")
    for path in document.root.get("paths", {}):
        if not path.startswith("/"):
            raise ContractError(f"#/paths/{escape(path)}", repr(path), "a path that begins with /")


def _check_values(node: Mapping[str, Any], pointer: str) -> None:
    for key, value in node.items():
        fits, allowed = KINDS.get(key, (None, ""))
        if fits is not None and not fits(value):
            raise ContractError(f"{pointer}/{escape(key)}", _said(value), allowed)


def _check_parameters(value: Any, place: str) -> None:
    """A list of them, or among the components a mapping."""
    if not (_objects(value) or _objects_by_name(value)):
        raise ContractError(place, _said(value), "a list of mappings")
    for part, node in value.items() if isinstance(value, dict) else enumerate(value):
        for due in ("name", "in"):
            if "$ref" not in node and not _text(node.get(due)):
                raise ContractError(f"{place}/{escape(str(part))}", f"no {due}", f"{due}: a text")


def _said(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
