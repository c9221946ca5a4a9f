"""Which values of a request name records, and the same request with other ones in their place."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.trace.recorder import find_uuids
from conformance.transport.messages import Request
from spec.loader import Contract, Operation

ReplaceIdentifier = Callable[[str], Any]  # an identifier, as text -> what stands there instead, None: the same


def find_identifiers(contract: Contract, request: Request) -> Iterator[str]:
    """The identifiers that a request may hold, as texts: all that stands where a record is named, and every UUID."""
    identifiers: list[str] = []

    def collect(text: str) -> None:
        identifiers.append(text)

    rewrite(contract, request, collect)
    yield from dict.fromkeys(identifiers)


def replace_identifiers(contract: Contract, request: Request, names: Mapping[str, Any]) -> Request:
    """The request with other identifiers."""
    return rewrite(contract, request, names.get)


def rewrite(contract: Contract, request: Request, replacement: ReplaceIdentifier) -> Request:
    """The request with each identifier swapped. A short one (``7``) is one only where the contract names a record."""
    operation = contract.operations[request.operation]
    query_names, body_names = _query_names(contract, operation), _body_names(operation)
    raw = request.raw_body
    if raw is not None:
        raw = _replace_in_text(raw.decode("latin-1"), replacement).encode("latin-1")
    return replace(
        request,
        path_values={name: _value(value, replacement, is_name=True) for name, value in request.path_values.items()},
        query=tuple(
            (name, str(_value(value, replacement, is_name=name.removesuffix("[]") in query_names)))
            for name, value in request.query
        ),
        body=_body(request.body, replacement, body_names),
        raw_body=raw,
    )


def _query_names(contract: Contract, operation: Operation) -> frozenset[str]:
    """The query parameters that name a record."""
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
        return _value(body, replacement, is_name=False)
    return {name: _value(value, replacement, is_name=name in names) for name, value in body.items()}


def _value(value: Any, replacement: ReplaceIdentifier, *, is_name: bool) -> Any:
    """A value with its identifiers swapped; a number stays one where the new identifier is one."""
    if isinstance(value, Mapping):
        return {name: _value(child, replacement, is_name=is_name) for name, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(child, replacement, is_name=is_name) for child in value]
    if is_name and isinstance(value, (str, int)) and not isinstance(value, bool):
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
    """The request with another run's marker in its texts."""

    def replaced(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: replaced(child) for name, child in value.items()}
        if isinstance(value, (list, tuple)):
            return [replaced(child) for child in value]
        return value.replace(old, new) if old and isinstance(value, str) else value

    query = tuple((name, replaced(value)) for name, value in request.query)
    return replace(request, path_values=replaced(request.path_values), query=query, body=replaced(request.body))
