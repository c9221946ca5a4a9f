"""Query parameters by their role, and requests that embed all relations."""

from typing import Any

from conformance.session.session import Session
from conformance.transport.messages import Actor, Exchange
from spec.model import Operation, Parameter
from spec.property_paths import resolve_include

QueryPairs = tuple[tuple[str, str], ...]


def find_parameter(operation: Operation, role: str) -> Parameter | None:
    """Return the query parameter with a role."""
    return next((p for p in operation.query_parameters if p.x_query and p.x_query.role == role), None)


def get_enum_values(parameter: Parameter | None) -> list[str]:
    """Return the values of an include or count parameter."""
    schema = parameter.schema.get("items", parameter.schema) if parameter else {}
    return [str(value) for value in schema.get("enum", ()) if value]


def build_full_include_query(session: Session, operation: Operation) -> QueryPairs:
    """Build the query that embeds all relations; a relation with several names is requested once."""
    parameter = find_parameter(operation, "include")
    if parameter is None:
        return ()
    resource = session.operations.resource(operation)
    paths = {resolve_include(session.contract, resource, v, ""): v for v in reversed(get_enum_values(parameter))}
    if parameter.schema.get("type") == "array" and parameter.explode:
        return tuple((parameter.name, value) for value in paths.values())
    return ((parameter.name, ",".join(paths.values())),)


def retrieve_with_relations(
    session: Session, retrieve: Operation, key: Any, *, actor: Actor = Actor.OWNER
) -> tuple[Any, Exchange]:
    """Retrieve a record with all relations; return the data of the response and the exchange, which may have failed."""
    path, query = {retrieve.path_parameter_names[0]: key}, build_full_include_query(session, retrieve)
    exchange = session.client.send(retrieve, path=path, query=query, actor=actor)
    return session.operations.data(retrieve, exchange), exchange
