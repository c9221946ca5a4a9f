"""Triggers: request sequences that show a mutant. They are deterministic and write only to records they create."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from conformance.checks.access.invalid_credentials import InvalidCredential
from conformance.checks.access.sessions import start_session
from conformance.errors import SkipCheck
from conformance.session.record_factory import CreatedRecord
from conformance.session.session import Session
from conformance.transport.credentials import CredentialFormat, derive_invalid_tokens
from conformance.transport.messages import AUTHORIZATION, Actor
from spec.model import Operation, Parameter

MISSING_KEY = "00000000-0000-4000-8000-00000000dead"
OMITTED = object()  # instead of a value: the field is omitted

MAX_ROW_VALUES = 6  # values of a parameter that are taken from rows


def resolve_path(session: Session, operation: Operation) -> dict[str, Any]:
    """Path values of a created record, or else of a listed one. Raises SkipCheck."""
    if not operation.path_parameter_names:
        return {}
    resource = operation.resource or ""
    if len(operation.path_parameter_names) > 1 or resource not in session.contract.resources:
        raise SkipCheck("the path parameter is not the key of a resource")
    try:
        return {operation.path_parameter_names[0]: session.records.create(resource).key}
    except SkipCheck:
        row = next(session.records.rows(session.operations.require(resource, "list"), {}, pages=1), None)
        if row is None:
            raise
        return {operation.path_parameter_names[0]: session.operations.key_of(resource, row)}


def build_body(session: Session, operation: Operation, **changes: Any) -> dict[str, Any] | None:
    """Build a valid body with `changes`, without the fields that are OMITTED; None if the operation has none."""
    body = {**session.payloads.build(operation, session.records.parent), **changes}
    return {n: v for n, v in body.items() if v is not OMITTED} if operation.request_body else None


def trigger_success(session: Session, operation: Operation, **changes: Any) -> None:
    """Send one valid request, with `changes` to its body. Raises SkipCheck."""
    body, query = build_body(session, operation, **changes), session.records.required_query(operation)
    session.client.send(operation, path=resolve_path(session, operation), query=query, body=body)


def read_back(session: Session, *records: CreatedRecord) -> None:
    """Retrieve records, if the contract has an operation for it."""
    for record in records:
        if session.operations.find(record.resource, "retrieve") is not None:
            session.client.retrieve(record.resource, record.key)


def list_places(session: Session, operation: Operation) -> list[CredentialFormat]:
    """Return the places of the credentials that the session sends to an operation."""
    return [part.format for part in session.client.credentials.find(operation.id)]


def trigger_rejections(session: Session, operation: Operation) -> None:
    """Send requests without a token, with an unknown one, for a missing record, with an invalid body or query."""
    missing_path = dict.fromkeys(operation.path_parameter_names, MISSING_KEY)
    empty_body: Any = {} if operation.request_body else None
    for headers in ({}, {AUTHORIZATION: "Bearer unknown-token"}):
        session.client.send(operation, path=missing_path, body=empty_body, actor=Actor.ANONYMOUS, headers=headers)
    session.client.send(operation, path=missing_path, body=build_body(session, operation) or None)
    path_values = resolve_path(session, operation)
    for parameter in operation.query_parameters:
        session.client.send(operation, path=path_values, query={parameter.name: "\x01 \x02"})
    if operation.request_body:
        for body in ({}, {key: {"no": ["such", "value"]} for key in operation.request_body.fields}):
            session.client.send(operation, path=path_values, body=body)
        session.client.send(operation, path=path_values, raw=b"{", headers={"Content-Type": "application/json"})


def trigger_unauthorized(session: Session, operation: Operation) -> None:
    """Send requests without credentials, with unknown ones and with another scheme; then invalid requests."""
    try:
        path_values = resolve_path(session, operation)
    except SkipCheck:
        path_values = dict.fromkeys(operation.path_parameter_names, MISSING_KEY)
    body = build_body(session, operation)
    unknown = InvalidCredential.from_formats(list_places(session, operation))
    for credential in (InvalidCredential(), unknown, InvalidCredential({AUTHORIZATION: "Basic ZGVtbzpkZW1v"})):
        session.client.send(
            operation,
            path=path_values,
            query=credential.query,
            body=body,
            actor=Actor.ANONYMOUS,
            headers=credential.headers,
        )
    trigger_rejections(session, operation)


def trigger_derived_tokens(session: Session, operation: Operation) -> None:
    """Send tokens that differ slightly from that of the run."""
    path_values, body = resolve_path(session, operation), build_body(session, operation)
    for token in derive_invalid_tokens(session.client.target.tokens[Actor.OWNER]).values():
        headers: dict[str, str] = {}
        for place in list_places(session, operation):
            place.add(token, "", headers)
        session.client.send(operation, path=path_values, body=body, actor=Actor.ANONYMOUS, headers=headers)


def trigger_alternatives(session: Session, operation: Operation) -> None:
    """Send the token of the run in each header, and an unknown and a valid session, each as only credential."""
    schemes, cookie = session.contract.security_schemes.values(), session.contract.session_cookie
    token = session.client.target.tokens[Actor.OWNER]
    alternatives: list[Mapping[str, str]] = [{s["name"]: token} for s in schemes if s.get("in") == "header"]
    if cookie is not None:
        own_session = start_session(session)
        alternatives += [{"Cookie": f"{cookie.name}=unknown"}, {"Cookie": own_session["Cookie"]}, own_session]
    for alternative in [*alternatives, *alternatives[-1:]]:  # the last one again: after a logout
        path_values, body = resolve_path(session, operation), build_body(session, operation)
        session.client.send(operation, path=path_values, body=body, actor=Actor.ANONYMOUS, headers=alternative)


def trigger_other_tenant(session: Session, operation: Operation) -> None:
    """Send a request for a created record as another tenant, and retrieve the record."""
    record = session.records.create(operation.resource or "")
    path_values = {operation.path_parameter_names[0]: record.key}
    session.client.send(operation, path=path_values, body=build_body(session, operation), actor=Actor.OTHER_TENANT)
    read_back(session, record)


def trigger_crud_cycle(session: Session, operation: Operation) -> None:
    """Create, read, update, list and delete records, and read them after each write."""
    resource = operation.resource or ""
    record, other_record = session.records.create(resource), session.records.create(resource)
    records = (record, other_record)
    _read_back_and_list(session, records)
    update = session.operations.find(resource, "update")
    if update is not None:
        for body in _update_bodies(session, update):
            complete_body = session.records.build_update(update, resource, record.key, body)
            session.client.send(update, path={update.path_parameter_names[0]: record.key}, body=complete_body)
            _read_back_and_list(session, records)
    session.records.delete(resource, record.key)
    _read_back_and_list(session, records)
    session.records.delete(resource, record.key)


def _update_bodies(session: Session, update: Operation) -> Iterator[dict[str, Any]]:
    """One field, then all fields, then all fields again."""
    attributes = [f for f in update.body_fields.values() if f.relation_setter is None and f.x_query is None]
    body = {f.name: session.payloads.generate_value(f.schema, f.name) for f in attributes}
    yield dict(list(body.items())[:1])
    yield body
    yield body


def _read_back_and_list(session: Session, records: tuple[CreatedRecord, ...]) -> None:
    read_back(session, *records)
    list_operation = session.operations.find(records[0].resource, "list")
    if list_operation is not None:
        session.client.send(list_operation)


def trigger_list(session: Session, operation: Operation, parameter: Parameter | None = None) -> None:
    """List created records: without a query, by pages, and with values of a parameter that match some rows."""
    names = {p.x_query.role: p.name for p in operation.query_parameters if p.x_query}
    with suppress(SkipCheck):  # then with the existing records
        for _ in range(3):
            session.records.create(operation.resource or "")
    rows = list(session.records.rows(operation, {}, pages=1))
    session.client.send(operation)
    if {"page", "size"} <= names.keys():
        for page in (1, 2, 3, 1 + len(rows), 10_000):
            session.client.send(operation, query={names["size"]: 2, names["page"]: page})
    if parameter is not None and parameter.x_query is not None:
        for value in _candidate_values(session, operation, parameter, parameter.x_query.paths, rows):
            for query in ({}, {names["size"]: 3} if "size" in names else {}):
                session.client.send(operation, query={parameter.name: value, **query})


def _candidate_values(
    session: Session, operation: Operation, parameter: Parameter, paths: Iterable[tuple[str, ...]], rows: list[Any]
) -> Iterator[Any]:
    """Values for a parameter: those of its enum, then a few that occur in the rows at `paths`, or keys of records."""
    schema = session.payloads.resolve_schema(parameter.schema)
    items = session.payloads.resolve_schema(schema.get("items", schema))
    if "enum" in items:
        yield from items["enum"]
    elif items.get("type") == "boolean":
        yield from (True, False)
    max_chars = len("2026-01-15") if items.get("format") == "date" else None
    candidates = {str(value)[:max_chars] for row in rows for path in paths for value in _values_at_path(row, path)}
    for path in paths if not candidates else ():
        candidates |= {str(key) for key in _related_keys(session, operation.resource or "", path)}
    yield from sorted(candidates)[:MAX_ROW_VALUES]


def _related_keys(session: Session, resource: str, path: tuple[str, ...]) -> Iterator[Any]:
    """The keys of the records at a path of relations."""
    for name in path[:-1]:
        relation = session.contract.resources[resource].relations.get(name)
        if relation is None:
            return
        resource = relation.targets[0]
    last_relation = session.contract.resources[resource].relations.get(path[-1])
    resource = last_relation.targets[0] if last_relation is not None else resource
    with suppress(SkipCheck):
        for row in session.records.rows(session.operations.require(resource, "list"), {}, pages=1):
            yield session.operations.key_of(resource, row)


def _values_at_path(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """The values at a property path: list items separately, a record by its key."""
    if isinstance(value, list):
        for item in value:
            yield from _values_at_path(item, path)
    elif path and isinstance(value, dict):
        yield from _values_at_path(value.get(path[0]), path[1:])
    elif isinstance(value, dict):
        yield from (v for k, v in value.items() if k in ("uuid", "id", "key"))
    elif value is not None:
        yield value


def trigger_text_roundtrip(session: Session, operation: Operation, name: str) -> None:
    """Create and retrieve a record with unusual texts."""
    for text in ("Grüße, 世界 👋 <b>&amp;</b>\nsecond Line", "A rather long text of more than one line. " * 3):
        read_back(session, session.records.create(operation.resource or "", {name: text}))


def trigger_partial_update(session: Session, operation: Operation) -> None:
    """Send updates with one invalid field, and retrieve the record after each."""
    record = session.records.create(operation.resource or "")
    generate_value = session.payloads.generate_value
    fields = [f for f in operation.body_fields.values() if f.relation_setter is None]
    for invalid_field in fields:
        body: dict[str, Any] = {f.name: generate_value(f.schema, f.name) for f in fields if f is not invalid_field}
        body[invalid_field.name] = {"no": ["such", "value"]}
        session.client.send(operation, path={operation.path_parameter_names[0]: record.key}, body=body)
        session.client.retrieve(record.resource, record.key)


def trigger_field_value(session: Session, operation: Operation, name: str, value: Any) -> None:
    """Send a valid body, then one with another value of a field; OMITTED removes it."""
    trigger_success(session, operation)
    trigger_success(session, operation, **{name: value})


def trigger_parameter_value(session: Session, operation: Operation, name: str, value: Any) -> None:
    """Send a request with a value of a parameter."""
    query = {**session.records.required_query(operation), name: str(value)}
    session.client.send(operation, path=resolve_path(session, operation), query=query)


def trigger_wrong_methods(session: Session, operation: Operation) -> None:
    """Send a request with each method."""
    path_values = dict.fromkeys(operation.path_parameter_names, MISSING_KEY)
    for method in ("patch", "delete", "put", "post", "get"):
        session.client.send(operation, path=path_values, method=method)


def trigger_after_logout(session: Session, operation: Operation) -> None:
    """Sign in, use the token, log out, and use the token again. Raises SkipCheck."""
    list_operation = next(o for o in session.contract.operations.values() if o.action == "list" and o.method == "get")
    token = sign_in(session)
    headers = {AUTHORIZATION: f"Bearer {token}"}
    for next_operation in (list_operation, operation, list_operation):
        session.client.send(next_operation, actor=Actor.ANONYMOUS, headers=headers)


def sign_in(session: Session) -> str:
    """Sign in and return the token. Raises SkipCheck."""
    credentials = session.options.credentials
    for operation in session.contract.operations.values() if credentials else ():
        if operation.method == "post" and credentials.keys() <= operation.body_fields.keys():
            exchange = session.client.send(operation, body=dict(credentials), actor=Actor.ANONYMOUS)
            data = session.operations.data(operation, exchange)
            for value in data.values() if isinstance(data, dict) else ():
                if isinstance(value, str) and len(value) > 20:
                    return value
    raise SkipCheck("no operation to sign in")


def trigger_retrieve(session: Session, operation: Operation, parameter: Parameter | None = None) -> None:
    """Retrieve a record without a query, and with each value of a parameter."""
    path_values = resolve_path(session, operation)
    session.client.send(operation, path=path_values)
    if parameter is None:
        return
    schema = session.payloads.resolve_schema(parameter.schema)
    for choice in session.payloads.resolve_schema(schema.get("items", schema)).get("enum", ()):
        session.client.send(operation, path=path_values, query={parameter.name: choice})


def trigger_unusual_input(session: Session, operation: Operation) -> None:
    """Send malformed JSON, text that is not ASCII, and an unknown query parameter."""
    json_headers = {"Content-Type": "application/json"}
    if operation.request_body is not None:
        session.client.send(operation, path=resolve_path(session, operation), raw=b'{"cut": ', headers=json_headers)
        for body_field in operation.body_fields.values():
            schema = session.payloads.resolve_schema(body_field.schema)
            is_text = schema.get("type") == "string" and not {"enum", "format"} & schema.keys()
            if body_field.relation_setter is None and is_text:
                trigger_success(session, operation, **{body_field.name: "Grüße 世界"[: schema.get("maxLength", 9)]})
                break
    query = {**session.records.required_query(operation), "x_unknown": "1"}
    session.client.send(operation, path=resolve_path(session, operation), query=query)
