"""Which values of a request name records, and the same request with other ones in their place."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from conformance.exchange import Request
from conformance.recording import long_in
from spec.contract import Contract, Operation

Swap = Callable[[str], Any]  # an identifier, as text -> what stands there instead, None: the same


def named(contract: Contract, request: Request) -> Iterator[str]:
    """The identifiers that a request may hold, as texts: all that stands where a record is named, and every UUID."""
    found: list[str] = []

    def note(text: str) -> None:
        found.append(text)

    rewritten(contract, request, note)
    yield from dict.fromkeys(found)


def renamed(contract: Contract, request: Request, names: Mapping[str, Any]) -> Request:
    """The request with other identifiers."""
    return rewritten(contract, request, names.get)


def rewritten(contract: Contract, request: Request, swap: Swap) -> Request:
    """The request with each identifier swapped. A short one (``7``) is one only where the contract names a record."""
    operation = contract.operations[request.operation]
    query_names, body_names = _query_names(contract, operation), _body_names(operation)
    raw = request.raw
    if raw is not None:
        raw = _in_text(raw.decode("latin-1"), swap).encode("latin-1")
    return replace(
        request,
        path={name: _value(value, swap, is_name=True) for name, value in request.path.items()},
        query=tuple(
            (name, str(_value(value, swap, is_name=name.removesuffix("[]") in query_names)))
            for name, value in request.query
        ),
        body=_body(request.body, swap, body_names),
        raw=raw,
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


def _body(body: Any, swap: Swap, names: frozenset[str]) -> Any:
    if not isinstance(body, Mapping):
        return _value(body, swap, is_name=False)
    return {name: _value(value, swap, is_name=name in names) for name, value in body.items()}


def _value(value: Any, swap: Swap, *, is_name: bool) -> Any:
    """A value with its identifiers swapped; a number stays one where the new identifier is one."""
    if isinstance(value, Mapping):
        return {name: _value(below, swap, is_name=is_name) for name, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(below, swap, is_name=is_name) for below in value]
    if is_name and isinstance(value, (str, int)) and not isinstance(value, bool):
        new = swap(str(value))
        if new is not None:
            return str(new) if isinstance(value, str) else new
    return _in_text(value, swap) if isinstance(value, str) else value


def _in_text(text: str, swap: Swap) -> str:
    for found in dict.fromkeys(long_in(text)):
        new = swap(found)
        text = text if new is None else text.replace(found, str(new))
    return text


def remarked(request: Request, old: str, new: str) -> Request:
    """The request with another run's marker in its texts."""

    def marked(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: marked(below) for name, below in value.items()}
        if isinstance(value, (list, tuple)):
            return [marked(below) for below in value]
        return value.replace(old, new) if old and isinstance(value, str) else value

    query = tuple((name, marked(value)) for name, value in request.query)
    return replace(request, path=marked(request.path), query=query, body=marked(request.body))
