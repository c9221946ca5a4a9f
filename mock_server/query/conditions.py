"""Conditions on records that the relations of a resource lead to."""

from collections.abc import Callable

from mock_server.store.expressions import (
    ConditionByResource,
    SqlExpression,
    all_of,
    any_of,
    match_all_records,
    without_index,
)
from mock_server.store.schema import Tables, build_reference_sql, quote_identifier, reference_column
from spec.model import Relation, Resource

Relations = tuple[Relation, ...]


def build_key_condition(
    tables: Tables,
    resource: Resource,
    relations: Relations,
    key_attribute: str,
    build: Callable[[str], SqlExpression],
    restrict: ConditionByResource = match_all_records,
) -> SqlExpression:
    """Build the condition on `resource` that `relations` lead to a record whose key fulfils `build(column)`.

    `restrict`: see `build_path_condition`. A key in the record itself is compared without it.
    """
    last = relations[-1] if relations else None
    if last is not None and last.is_stored and not last.to_many and len(last.targets) == 1:  # its column has the key
        inner = build(reference_column(last.name))
        return build_path_condition(tables, resource, relations[:-1], last.name, inner, restrict)
    return build_path_condition(tables, resource, relations, key_attribute, build("key"), restrict)


def build_path_condition(
    tables: Tables,
    resource: Resource,
    relations: Relations,
    name: str,
    inner: SqlExpression,
    restrict: ConditionByResource = match_all_records,
) -> SqlExpression:
    """Build the condition on `resource` that `relations` lead to a record that fulfils `inner`.

    `name`: the attribute or relation that `inner` is about; targets without it are left out. `restrict`: the
    records that the relations lead to must fulfil it too.
    """
    if not relations:
        return inner
    relation, remaining = relations[0], relations[1:]
    conditions = []
    next_name = remaining[0].name if remaining else name
    for target_name in relation.targets:
        target = tables[target_name].resource
        if next_name in target.attributes or next_name in target.relations:
            condition = build_path_condition(tables, target, remaining, name, inner, restrict)
            condition = all_of((condition, without_index(restrict(target_name))))
            conditions.append(build_relation_condition(tables, resource, relation, target_name, condition))
    return any_of(conditions)


def build_relation_condition(
    tables: Tables, resource: Resource, relation: Relation, target: str, inner: SqlExpression
) -> SqlExpression:
    """Build the condition on `resource` that a relation leads to a record of `target` that fulfils `inner`."""
    table, column = quote_identifier(target), "key"
    if relation.inverse is not None:
        inverse = tables[target].resource.relations[relation.inverse]
        holder = reference_column(inverse.name)
        keys = f"SELECT {holder} FROM {table} WHERE {inner.sql} AND {holder} IS NOT NULL"
        if inverse.to_many:
            link = tables[target].links[inverse.name]
            keys = f"SELECT target FROM {link.name} WHERE owner IN (SELECT key FROM {table} WHERE {inner.sql})"
        value = build_reference_sql(inverse, resource.name)
    else:
        value = column = reference_column(relation.name)
        keys = f"SELECT {build_reference_sql(relation, target)} FROM {table} WHERE {inner.sql}"
        if relation.to_many:
            value = column = "key"
            keys = f"SELECT owner FROM {tables[resource.name].links[relation.name].name} WHERE target IN ({keys})"
    resources = inner.resources | {target, resource.name}
    return SqlExpression(f"{value} IN ({keys})", inner.parameters, resources, frozenset({column}))
