"""Requests that show a mutant: each probe sends the same each time, and writes to records of its own only."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from conformance.errors import SkipCheck
from conformance.exchange import AUTHORIZATION, Exchange
from conformance.session import CreatedRecord, Session
from spec.contract import Operation, Parameter

MISSING = object()  # in place of a value: the field is left out


def path_of(session: Session, operation: Operation) -> dict[str, Any]:
    """The path of a record of its own, or else of one that is listed. Raises CannotMake."""
    if not operation.path_parameter_names:
        return {}
    resource = operation.resource or ""
    if len(operation.path_parameter_names) > 1 or resource not in session.contract.resources:
        raise SkipCheck("its path names what the contract does not store")
    try:
        return {operation.path_parameter_names[0]: session.create(resource).key}
    except SkipCheck:
        row = next(session.rows(session.require_operation(resource, "list"), {}, pages=1), None)
        if row is None:
            raise
        return {operation.path_parameter_names[0]: session.key_of(resource, row)}


def required(session: Session, operation: Operation) -> dict[str, Any]:
    """The query parameters that have to be there."""
    return {p.name: session.payloads.generate_value(p.schema, p.name) for p in operation.query_parameters if p.required}


def success(session: Session, operation: Operation, **changes: Any) -> Exchange:
    """One request that the contract lets succeed; `changes` to its body. Raises CannotMake."""
    body = {**session.payloads.build(operation, session.parent), **changes} if operation.request_body else None
    query = required(session, operation)
    return session.send(operation, path=path_of(session, operation), query=query, body=body)


def succeed(session: Session, operation: Operation) -> None:
    """One success."""
    success(session, operation)


def several(session: Session, resource: str, number: int = 3) -> list[CreatedRecord]:
    """Records of its own."""
    return [session.create(resource) for _ in range(number)]


def refused(session: Session, operation: Operation) -> None:
    """What is to be refused: of nobody, of a stranger, for a record that is not there, with a wrong body or query."""
    missing = dict.fromkeys(operation.path_parameter_names, "00000000-0000-4000-8000-00000000dead")
    nothing: Any = {} if operation.request_body else None
    session.send(operation, path=missing, body=nothing, actor="nobody")
    session.send(
        operation, path=missing, body=nothing, actor="nobody", headers={AUTHORIZATION: "Bearer nobody-has-this"}
    )
    session.send(operation, path=missing, body=session.payloads.build(operation, session.parent) or None)
    path = path_of(session, operation)
    for parameter in operation.query_parameters:
        session.send(operation, path=path, query={parameter.name: "\x01 \x02"})
    if operation.request_body:
        for body in ({}, {key: {"no": ["such", "value"]} for key in operation.request_body.fields}):
            session.send(operation, path=path, body=body)
        session.send(operation, path=path, raw=b"{", headers={"Content-Type": "application/json"})


def listed(session: Session, operation: Operation, *queries: Mapping[str, Any]) -> None:
    """A list, as it comes and with these queries."""
    for query in ({}, *queries):
        session.send(operation, query=query)


def written(session: Session, operation: Operation) -> None:
    """A record's life: made, seen, changed, seen, listed, deleted, looked for."""
    resource = operation.resource or ""
    mine, beside = session.create(resource), session.create(resource)
    both = (mine, beside)
    _looked_at(session, both)
    update = session.operation(resource, "update")
    if update is not None:
        for body in _changes(session, update):
            session.send(update, path={update.path_parameter_names[0]: mine.key}, body=body)
            _looked_at(session, both)
    session.delete(resource, mine.key)
    _looked_at(session, both)
    session.delete(resource, mine.key)


def _changes(session: Session, update: Operation) -> Iterator[dict[str, Any]]:
    """One field, then all of them, then the same again."""
    plain = [
        f
        for f in (update.request_body.fields.values() if update.request_body else ())
        if f.relation_setter is None and f.x_query is None
    ]
    body = {field.name: session.payloads.generate_value(field.schema, field.name) for field in plain}
    yield dict(list(body.items())[:1])
    yield body
    yield body


def _looked_at(session: Session, records: tuple[CreatedRecord, ...]) -> None:
    for one in records:
        if session.operation(one.resource, "retrieve") is not None:
            session.retrieve(one.resource, one.key)
    listing = session.operation(records[0].resource, "list")
    if listing is not None:
        session.send(listing)


def browsed(session: Session, operation: Operation, parameter: Parameter | None = None) -> None:
    """A list with records of its own, by pages and with values of a parameter that fit some of its rows."""
    names = {p.x_query.role: p.name for p in operation.query_parameters if p.x_query}
    with suppress(SkipCheck):  # then with what is there
        several(session, operation.resource or "", 3)
    rows = list(session.rows(operation, {}, pages=1))
    session.send(operation)
    if {"page", "size"} <= names.keys():
        for page in (1, 2, 3, 1 + len(rows), 10_000):
            session.send(operation, query={names["size"]: 2, names["page"]: page})
    for value in _values(session, operation, parameter, rows):
        assert parameter is not None
        for query in ({}, {names["size"]: 3} if "size" in names else {}):
            session.send(operation, query={parameter.name: value, **query})


def _values(session: Session, operation: Operation, parameter: Parameter | None, rows: list[Any]) -> Iterator[Any]:
    """What a parameter may be asked for: what it lists, or what stands in rows at its path."""
    if parameter is None or parameter.x_query is None:
        return
    said = session.payloads.resolve_schema(parameter.schema)
    items = session.payloads.resolve_schema(said.get("items", said))
    if "enum" in items:
        yield from items["enum"]
    elif items.get("type") == "boolean":
        yield from (True, False)
    cut = 10 if items.get("format") == "date" else None
    found = {str(value)[:cut] for row in rows for path in parameter.x_query.paths for value in _at(row, path)}
    for path in parameter.x_query.paths if not found else ():
        found |= {str(key) for key in _keys(session, operation.resource or "", path)}
    yield from sorted(found)[:6]


def _keys(session: Session, resource: str, path: tuple[str, ...]) -> Iterator[Any]:
    """The keys of what a path through relations leads to."""
    for name in path[:-1]:
        relation = session.contract.resources[resource].relations.get(name)
        if relation is None:
            return
        resource = relation.targets[0]
    last = session.contract.resources[resource].relations.get(path[-1])
    resource = last.targets[0] if last is not None else resource
    with suppress(SkipCheck):
        for row in session.rows(session.require_operation(resource, "list"), {}, pages=1):
            yield session.key_of(resource, row)


def _at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """The values at a property path: through lists, and from a record to its key where the path ends at one."""
    if isinstance(value, list):
        for one in value:
            yield from _at(one, path)
    elif path and isinstance(value, dict):
        yield from _at(value.get(path[0]), path[1:])
    elif isinstance(value, dict):
        yield from (v for k, v in value.items() if k in ("uuid", "id", "key"))
    elif value is not None:
        yield value


def texts(session: Session, operation: Operation, name: str) -> None:
    """A record with a text of many kinds, made and seen."""
    for text in ("Grüße, 世界 👋 <b>&amp;</b>\nsecond Line", "A rather long text, said at some length. " * 3):
        mine = session.create(operation.resource or "", {name: text})
        if session.operation(mine.resource, "retrieve") is not None:
            session.retrieve(mine.resource, mine.key)


def refused_in_part(session: Session, operation: Operation) -> None:
    """An update with something right and one field wrong, and the record after it."""
    mine = session.create(operation.resource or "")
    fields = [
        f
        for f in (operation.request_body.fields.values() if operation.request_body else ())
        if f.relation_setter is None
    ]
    for bad in fields:
        body = {f.name: session.payloads.generate_value(f.schema, f.name) for f in fields if f.name != bad.name}
        body[bad.name] = {"no": ["such", "value"]}
        session.send(operation, path={operation.path_parameter_names[0]: mine.key}, body=body)
        session.retrieve(mine.resource, mine.key)


def weighed(session: Session, operation: Operation, name: str, values: tuple[Any, ...]) -> None:
    """A body as it should be, then with these values for one of its fields; MISSING leaves it out."""
    success(session, operation)
    for value in values:
        body = {**session.payloads.build(operation, session.parent), name: value}
        if value is MISSING:
            del body[name]
        session.send(operation, path=path_of(session, operation), body=body)


def queried(session: Session, operation: Operation, name: str, values: tuple[str, ...]) -> None:
    """A success with these values of a parameter."""
    for value in values:
        query = {**required(session, operation), name: value}
        session.send(operation, path=path_of(session, operation), query=query)


def misdirected(session: Session, operation: Operation) -> None:
    """With a method that the path may not have."""
    path = dict.fromkeys(operation.path_parameter_names, "00000000-0000-4000-8000-00000000dead")
    for method in ("patch", "delete", "put", "post", "get"):
        session.send(operation, path=path, method=method)


def logged_out(session: Session, operation: Operation) -> None:
    """A token that is asked for, used, ended, and used again. Raises CannotMake."""
    asked = next(o for o in session.contract.operations.values() if o.action == "list" and o.method == "get")
    token = token_of(session)
    headers = {AUTHORIZATION: f"Bearer {token}"}
    for one in (asked, operation, asked):
        session.send(one, actor="nobody", headers=headers)


def token_of(session: Session) -> str:
    """A token of its own, by signing in. Raises CannotMake."""
    for operation in session.contract.operations.values():
        fields = operation.request_body.fields if operation.request_body else {}
        if operation.method == "post" and session.credentials and session.credentials.keys() <= fields.keys():
            found = session.data(operation, session.send(operation, body=dict(session.credentials), actor="nobody"))
            for value in found.values() if isinstance(found, dict) else ():
                if isinstance(value, str) and len(value) > 20:
                    return value
    raise SkipCheck("there is no way to sign in")


def included(session: Session, operation: Operation, parameter: Parameter | None = None) -> None:
    """One record, as it comes and with each value of a parameter."""
    path = path_of(session, operation)
    session.send(operation, path=path)
    said = session.payloads.resolve_schema(parameter.schema) if parameter is not None else {}
    for choice in session.payloads.resolve_schema(said.get("items", said)).get("enum", ()):
        session.send(operation, path=path, query={parameter.name: choice} if parameter is not None else {})


def unusual(session: Session, operation: Operation) -> None:
    """What is unusual and no fault of the client: and what is one, and no fault of the server."""
    json = {"Content-Type": "application/json"}
    if operation.request_body is not None:
        session.send(operation, path=path_of(session, operation), raw=b'{"cut": ', headers=json)
        for field in operation.request_body.fields.values():
            said = session.payloads.resolve_schema(field.schema)
            if (
                field.relation_setter is None
                and said.get("type") == "string"
                and "enum" not in said
                and "format" not in said
            ):
                success(session, operation, **{field.name: "Grüße 世界"[: said.get("maxLength", 9)]})
                break
    session.send(operation, path=path_of(session, operation), query={**required(session, operation), "x_unknown": "1"})
