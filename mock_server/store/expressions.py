"""SQL expressions with their parameters and with what they read, so that a cache knows which writes change a value."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from mock_server.store import schema
from spec.model import Relation
from spec.record import Reference


@dataclass(frozen=True, slots=True)
class SqlExpression:
    """An SQL expression on a row of a resource's table, a condition for example.

    `resources`: the resources of which it reads other rows. `columns`: the columns of its own row that it reads.
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


def negate(condition: SqlExpression) -> SqlExpression:
    return replace(condition, sql=f"NOT {condition.sql}")


def compare(column: str, operator: str, value: Any) -> SqlExpression:
    return SqlExpression(f"{column} {operator} ?", (value,), columns=frozenset({column}))


def one_of(column: str, values: Iterable[Any]) -> SqlExpression:
    """Build the condition that a column has one of the values."""
    parameters = tuple(values)
    if not parameters:
        return MATCH_NONE
    if len(parameters) == 1:
        return compare(column, "=", parameters[0])
    placeholders = ", ".join("?" * len(parameters))
    return SqlExpression(f"{column} IN ({placeholders})", parameters, columns=frozenset({column}))


def has_key(key: Any) -> SqlExpression:
    return compare("key", "=", key)


def refers_to(relation: Relation, references: Iterable[Reference]) -> SqlExpression:
    """Build the condition that a stored to-one relation holds one of the references."""
    encoded = [schema.encode_reference(relation, reference) for reference in references]
    return one_of(schema.reference_column(relation.name), encoded)
