"""Identifiers of records in a request: search and replacement."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.trace.recorder import find_uuids
from conformance.transport.messages import Request, map_texts
from spec.model import Contract, Operation

ReplaceIdentifier = Callable[[str], Any]  # identifier as text -> its replacement, or None to leave it unchanged


def find_identifiers(contract: Contract, request: Request) -> Iterator[str]:
    """Yield the distinct identifiers in a request, as texts: the keys of records, and all UUIDs."""
    identifiers: list[str] = []
    rewrite(contract, request, identifiers.append)
    yield from dict.fromkeys(identifiers)


def replace_identifiers(contract: Contract, request: Request, names: Mapping[str, Any]) -> Request:
    """Return the request with the identifiers in `names` replaced."""
    return rewrite(contract, request, names.get)


def rewrite(contract: Contract, request: Request, replacement: ReplaceIdentifier) -> Request:
    """Replace each identifier. A short one (``7``) is an identifier only where the contract expects a key."""
    operation = contract.operations[request.operation]
    query_names, body_names = _query_names(contract, operation), _body_names(operation)
    raw = request.raw_body
    if raw is not None:
        raw = _replace_in_text(raw.decode("latin-1"), replacement).encode("latin-1")
    path_values = {name: _value(value, replacement, is_key=True) for name, value in request.path_values.items()}
    query = tuple(
        (name, str(_value(value, replacement, is_key=name.removesuffix("[]") in query_names)))
        for name, value in request.query
    )
    body = _body(request.body, replacement, body_names)
    return replace(request, path_values=path_values, query=query, body=body, raw_body=raw)


def _query_names(contract: Contract, operation: Operation) -> frozenset[str]:
    """Return the names of the query parameters whose value is the key of a record."""
    keys = {resource.key_attribute for resource in contract.resources.values()}
    return frozenset(
        p.name
        for p in operation.query_parameters
        if p.relation_setter is not None
        or (p.x_query is not None and any(path[-1:] and path[-1] in keys for path in p.x_query.paths))
    )


def _body_names(operation: Operation) -> frozenset[str]:
    fields = operation.request_body.fields.values() if operation.request_body else ()
    return frozenset(field.name for field in fields if field.relation_setter is not None)


def _body(body: Any, replacement: ReplaceIdentifier, names: frozenset[str]) -> Any:
    if not isinstance(body, Mapping):
        return _value(body, replacement, is_key=False)
    return {name: _value(value, replacement, is_key=name in names) for name, value in body.items()}


def _value(value: Any, replacement: ReplaceIdentifier, *, is_key: bool) -> Any:
    """Replace the identifiers in a value; a text stays a text."""
    if isinstance(value, Mapping):
        return {name: _value(child, replacement, is_key=is_key) for name, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(child, replacement, is_key=is_key) for child in value]
    if is_key and isinstance(value, (str, int)) and not isinstance(value, bool):
        new = replacement(str(value))
        if new is not None:
            return str(new) if isinstance(value, str) else new
    return _replace_in_text(value, replacement) if isinstance(value, str) else value


def _replace_in_text(text: str, replacement: ReplaceIdentifier) -> str:
    for identifier in dict.fromkeys(find_uuids(text)):
        new = replacement(identifier)
        text = text if new is None else text.replace(identifier, str(new))
    return text


def replace_marker(request: Request, old: str, new: str) -> Request:
    """Replace the marker of a run in the texts of a request."""

    def convert(value: Any) -> Any:
        return map_texts(value, lambda text: text.replace(old, new)) if old else value

    query = tuple((name, convert(value)) for name, value in request.query)
    return replace(request, path_values=convert(request.path_values), query=query, body=convert(request.body))
