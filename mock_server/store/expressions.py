"""SQL expressions with their parameters and with what they read, so that a cache knows which writes change a value."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from mock_server.store import schema
from spec.model import DerivedProperty, Relation
from spec.record import Reference


@dataclass(frozen=True, slots=True)
class SqlExpression:
    """An SQL expression on a row of a resource's table, a condition for example.

    `resources`: the resources whose other rows it reads. `columns`: the columns of the selected row that it reads.
    """

    sql: str
    parameters: tuple[Any, ...] = ()
    resources: frozenset[str] = field(default=frozenset(), compare=False)
    columns: frozenset[str] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True)
class TableAlias:
    """A resource's table in a query, under an alias. For templates: ``FROM {run}``, ``{run.key}``, ``{run[agent]}``."""

    table: schema.Table
    alias: str

    def __str__(self) -> str:
        return f"{self.table.name} AS {self.alias}"

    def __getitem__(self, name: str) -> str:
        """Return the SQL of a stored to-one reference or of an attribute (nested: with dots)."""
        column = self.table.find_column(name)
        json_path = schema.to_sql_literal(f"$.{name}")
        return f"{self.alias}.{column}" if column else f"json_extract(CAST({self.alias}.own AS TEXT), {json_path})"

    @property
    def key(self) -> str:
        return f"{self.alias}.key"

    @property
    def tenant(self) -> str:
        return f"{self.alias}.tenant"


# Resource -> a condition on its records.
ConditionByResource = Callable[[str], SqlExpression]

MATCH_ALL = SqlExpression("1")
MATCH_NONE = SqlExpression("0")


def any_of(conditions: Iterable[SqlExpression]) -> SqlExpression:
    return _join_conditions(list(conditions), " OR ", MATCH_NONE)


def all_of(conditions: Iterable[SqlExpression]) -> SqlExpression:
    return _join_conditions([condition for condition in conditions if condition is not MATCH_ALL], " AND ", MATCH_ALL)


def _join_conditions(conditions: list[SqlExpression], operator: str, empty: SqlExpression) -> SqlExpression:
    if not conditions:
        return empty
    if len(conditions) == 1:
        return conditions[0]
    return SqlExpression(
        f"({operator.join([condition.sql for condition in conditions])})",
        tuple([parameter for condition in conditions for parameter in condition.parameters]),
        frozenset().union(*[condition.resources for condition in conditions]),
        frozenset().union(*[condition.columns for condition in conditions]),
    )


def on_column(column: str, template: str, parameters: tuple[Any, ...] = ()) -> SqlExpression:
    """Build an expression that reads one column, which replaces ``{}`` in `template`."""
    return SqlExpression(template.format(column), parameters, columns=frozenset({column}))


def one_of(column: str, values: Iterable[Any]) -> SqlExpression:
    """Build the condition that a column has one of the values."""
    parameters = tuple(values)
    if not parameters:
        return MATCH_NONE
    if len(parameters) == 1:
        return on_column(column, "{} = ?", parameters)
    return on_column(column, f"{{}} IN ({', '.join('?' * len(parameters))})", parameters)


def has_key(key: Any) -> SqlExpression:
    return on_column("key", "{} = ?", (key,))


def refers_to(relation: Relation, references: Iterable[Reference]) -> SqlExpression:
    """Build the condition that a stored to-one relation holds one of the references."""
    encoded = [schema.encode_reference(relation, reference) for reference in references]
    return one_of(schema.reference_column(relation.name), encoded)


def match_all_records(resource: str) -> SqlExpression:
    """Return the condition that every record of a resource fulfils."""
    return MATCH_ALL


def build_derived_expression(
    tables: schema.Tables,
    resource: str,
    derived: DerivedProperty,
    key_sql: str,
    restrict: ConditionByResource = match_all_records,
) -> SqlExpression:
    """Build the expression of a count, sum or max of the related records that fulfil `restrict`.

    `key_sql`: SQL for the key of the record that has it, without parameters or with ``?1``.
    """
    relation = tables[resource].resource.relations[derived.path[0]]
    conditions = {target: restrict(target) for target in relation.targets}
    parts = [
        _build_aggregate_sql(tables, resource, relation, target, derived, key_sql, condition)
        for target, condition in conditions.items()
    ]
    if derived.kind == "max" and len(parts) > 1:  # SQLite's scalar MAX(a, b) returns NULL if any argument is NULL
        sql = f"SELECT MAX(value) FROM ({' UNION ALL '.join(f'SELECT {part} AS value' for part in parts)})"
    else:
        sql = " + ".join(parts)
    parameters = tuple([value for condition in conditions.values() for value in condition.parameters])
    resources = frozenset({resource, *relation.targets}).union(*[c.resources for c in conditions.values()])
    return SqlExpression(f"({sql})", parameters, resources)


def without_index(condition: SqlExpression) -> SqlExpression:
    """Return an equivalent condition for which SQLite uses no index, so that it uses that of another condition."""
    return condition if condition is MATCH_ALL else replace(condition, sql=f"+({condition.sql})")


def _build_aggregate_sql(
    tables: schema.Tables,
    resource: str,
    relation: Relation,
    target: str,
    derived: DerivedProperty,
    key_sql: str,
    condition: SqlExpression,
) -> str:
    table = tables[target]
    conditions = [_build_relation_sql(tables, resource, relation, target, key_sql), without_index(condition).sql]
    for name, values in derived.where.items():
        format_ = table.resource.attributes[name].format
        conditions.append(schema.build_in_sql((name,), [schema.to_comparable(value, format_) for value in values]))
    aggregate = "COUNT(*)"
    if derived.kind != "count":
        column = schema.attribute_column(derived.path[1:])
        aggregate = f"COALESCE(SUM({column}), 0)" if derived.kind == "sum" else f"MAX({column})"
    # The alias lets `key` refer to a column of the same table in the outer query.
    return f"(SELECT {aggregate} FROM {table.name} AS _of WHERE {' AND '.join(conditions)})"


def _build_relation_sql(tables: schema.Tables, resource: str, relation: Relation, target: str, key_sql: str) -> str:
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
