"""Identifiers of records in a request: search and replacement."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from conformance.trace.recorder import UUID
from conformance.transport.messages import Request, map_leaves, map_texts
from spec.model import Contract

ReplaceIdentifier = Callable[[str], Any]  # identifier as text -> its replacement, or None to leave it unchanged


def find_identifiers(contract: Contract, request: Request) -> list[str]:
    """Return the distinct identifiers in a request, as texts: the keys of records, and all UUIDs."""
    identifiers: list[str] = []
    replace_identifiers(contract, request, identifiers.append)
    return list(dict.fromkeys(identifiers))


def replace_identifiers(contract: Contract, request: Request, replacement: ReplaceIdentifier) -> Request:
    """Replace each identifier. A short one (``7``) is an identifier only where the contract expects a key."""
    operation = contract.operations[request.operation]
    keys = {resource.key_attribute for resource in contract.resources.values()}
    query_names = {
        p.name
        for p in operation.query_parameters
        if p.relation_setter or (p.x_query and any(path[-1:] and path[-1] in keys for path in p.x_query.paths))
    }
    fields = operation.body_fields.values()
    body_names = {field.name for field in fields if field.relation_setter is not None}
    body, raw = request.body, request.raw_body
    if isinstance(body, Mapping):
        body = {name: _value(value, replacement, is_key=name in body_names) for name, value in body.items()}
    else:
        body = _value(body, replacement, is_key=False)
    return replace(
        request,
        path_values={name: _value(value, replacement, is_key=True) for name, value in request.path_values.items()},
        query=tuple(
            (n, str(_value(v, replacement, is_key=n.removesuffix("[]") in query_names))) for n, v in request.query
        ),
        body=body,
        raw_body=raw if raw is None else _replace_in_text(raw.decode("latin-1"), replacement).encode("latin-1"),
    )


def _value(value: Any, replacement: ReplaceIdentifier, *, is_key: bool) -> Any:
    """Replace the identifiers in a value; a text stays a text."""

    def replace_leaf(leaf: Any) -> Any:
        if is_key and isinstance(leaf, (str, int)) and not isinstance(leaf, bool):
            new = replacement(str(leaf))
            if new is not None:
                return str(new) if isinstance(leaf, str) else new
        return _replace_in_text(leaf, replacement) if isinstance(leaf, str) else leaf

    return map_leaves(value, replace_leaf)


def _replace_in_text(text: str, replacement: ReplaceIdentifier) -> str:
    for identifier in dict.fromkeys(UUID.findall(text)):
        new = replacement(identifier)
        text = text if new is None else text.replace(identifier, str(new))
    return text


def replace_marker(request: Request, old: str, new: str) -> Request:
    """Replace the marker of a run in the texts of a request."""

    def convert(value: Any) -> Any:
        return map_texts(value, lambda text: text.replace(old, new)) if old else value

    query = tuple((name, convert(value)) for name, value in request.query)
    return replace(request, path_values=convert(request.path_values), query=query, body=convert(request.body))
