"""SQL conditions on a resource's table, and conditions on records that its relations lead to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mock_server.store import schema
from mock_server.store.schema import PropertyPath, Tables, quote_identifier, reference_column
from spec.model import Relation, Resource


@dataclass(frozen=True, slots=True)
class SqlCondition:
    """An SQL condition on a resource's table with its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


MATCH_ALL = SqlCondition("1")
MATCH_NONE = SqlCondition("0")


def any_of(conditions: Iterable[SqlCondition]) -> SqlCondition:
    return _join_conditions(list(conditions), " OR ", MATCH_NONE)


def all_of(conditions: Iterable[SqlCondition]) -> SqlCondition:
    return _join_conditions([condition for condition in conditions if condition is not MATCH_ALL], " AND ", MATCH_ALL)


def _join_conditions(conditions: list[SqlCondition], operator: str, empty: SqlCondition) -> SqlCondition:
    if not conditions:
        return empty
    if len(conditions) == 1:
        return conditions[0]
    sql = operator.join(condition.sql for condition in conditions)
    return SqlCondition(f"({sql})", tuple(parameter for condition in conditions for parameter in condition.parameters))


def one_of(column: str, values: Iterable[Any]) -> SqlCondition:
    """Build the condition that a column has one of the values."""
    parameters = tuple(values)
    if not parameters:
        return MATCH_NONE
    if len(parameters) == 1:
        return SqlCondition(f"{column} = ?", parameters)
    return SqlCondition(f"{column} IN ({', '.join('?' * len(parameters))})", parameters)


def build_path_condition(
    tables: Tables,
    resource: Resource,
    relations: tuple[Relation, ...],
    path: PropertyPath,
    inner: SqlCondition,
) -> SqlCondition:
    """Build the condition on `resource` that `relations` lead to a record that fulfils `inner`.

    `path`: the attribute that `inner` is about; targets without it are left out.
    """
    if not relations:
        return inner
    relation, remaining = relations[0], relations[1:]
    is_direct = relation.is_stored and not relation.to_many and len(relation.targets) == 1 and not remaining
    if is_direct and inner.sql.startswith("key "):
        return SqlCondition(reference_column(relation.name) + inner.sql.removeprefix("key"), inner.parameters)
    conditions = []
    for name in relation.targets:
        target = tables[name].resource
        if remaining[0].name in target.relations if remaining else path[0] in target.attributes:
            condition = build_path_condition(tables, target, remaining, path, inner)
            conditions.append(build_relation_condition(tables, resource, relation, name, condition))
    return any_of(conditions)


def build_relation_condition(
    tables: Tables, resource: Resource, relation: Relation, target: str, inner: SqlCondition
) -> SqlCondition:
    """Build the condition on `resource` that a relation leads to a record of `target` that fulfils `inner`."""
    table = quote_identifier(target)
    if relation.inverse is not None:
        inverse = tables[target].resource.relations[relation.inverse]
        column = reference_column(inverse.name)
        owners = f"SELECT {column} FROM {table} WHERE {inner.sql} AND {column} IS NOT NULL"
        if inverse.to_many:
            link = tables[target].links[inverse.name]
            owners = f"SELECT target FROM {link.name} WHERE owner IN (SELECT key FROM {table} WHERE {inner.sql})"
        return SqlCondition(f"{_build_key_sql(inverse, resource.name)} IN ({owners})", inner.parameters)
    keys = f"SELECT {_build_key_sql(relation, target)} FROM {table} WHERE {inner.sql}"
    if relation.to_many:
        link = tables[resource.name].links[relation.name]
        return SqlCondition(f"key IN (SELECT owner FROM {link.name} WHERE target IN ({keys}))", inner.parameters)
    return SqlCondition(f"{reference_column(relation.name)} IN ({keys})", inner.parameters)


def _build_key_sql(relation: Relation, resource_name: str) -> str:
    """Build the SQL for a record's key in the form that the column of `relation` stores."""
    return f"{schema.to_sql_literal(resource_name + '/')} || key" if len(relation.targets) > 1 else "key"
