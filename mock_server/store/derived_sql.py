"""SQL expressions for derived properties that count, add up or take the maximum of related records."""

from mock_server.store import schema
from mock_server.store.expressions import SqlExpression
from mock_server.store.schema import Tables
from spec.model import DerivedProperty, Relation


def build_derived_expression(tables: Tables, resource: str, derived: DerivedProperty, key_sql: str) -> SqlExpression:
    """Build the expression of a count, sum or max. `key_sql`: SQL for the key of the record that has it."""
    relation = tables[resource].resource.relations[derived.path[0]]
    parts = [_build_aggregate_sql(tables, resource, relation, target, derived, key_sql) for target in relation.targets]
    if derived.kind == "max" and len(parts) > 1:  # SQL's max of several values is NULL if one of them is
        sql = f"SELECT MAX(value) FROM ({' UNION ALL '.join(f'SELECT {part} AS value' for part in parts)})"
    else:
        sql = " + ".join(parts)
    return SqlExpression(f"({sql})", resources=frozenset({resource, *relation.targets}))


def _build_aggregate_sql(
    tables: Tables, resource: str, relation: Relation, target: str, derived: DerivedProperty, key_sql: str
) -> str:
    table = tables[target]
    conditions = [_build_relation_sql(tables, resource, relation, target, key_sql)]
    for name, values in derived.where.items():
        format_ = table.resource.attributes[name].format
        conditions.append(schema.build_in_sql((name,), [schema.to_comparable(value, format_) for value in values]))
    aggregate = "COUNT(*)"
    if derived.kind != "count":
        column = schema.attribute_column(derived.path[1:])
        aggregate = f"COALESCE(SUM({column}), 0)" if derived.kind == "sum" else f"MAX({column})"
    # The alias lets `key` refer to a column of the same table in the outer query.
    return f"(SELECT {aggregate} FROM {table.name} AS _of WHERE {' AND '.join(conditions)})"


def _build_relation_sql(tables: Tables, resource: str, relation: Relation, target: str, key_sql: str) -> str:
    """Build the condition on `target` that holds for the records related to the record `key_sql`."""
    if relation.inverse is None:
        key = schema.build_reference_sql(relation, target)
        if relation.to_many:
            return f"{key} IN (SELECT target FROM {tables[resource].links[relation.name].name} WHERE owner = {key_sql})"
        column = schema.reference_column(relation.name)
        return f"{key} = (SELECT {column} FROM {tables[resource].name} AS _me WHERE _me.key = {key_sql})"
    table = tables[target]
    inverse = table.resource.relations[relation.inverse]
    value = schema.build_reference_sql(inverse, resource, key_sql)
    if inverse.to_many:
        return f"key IN (SELECT owner FROM {table.links[inverse.name].name} WHERE target = {value})"
    return f"{schema.reference_column(inverse.name)} = {value}"
