"""Filter and search parameters as SQL conditions."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mock_server.query import conditions
from mock_server.store import Store, schema
from mock_server.store.expressions import (
    MATCH_ALL,
    ConditionByResource,
    SqlExpression,
    all_of,
    any_of,
    match_all_records,
    on_column,
    one_of,
)
from mock_server.store.schema import PropertyPath, attribute_column, quote_identifier, reference_column, search_column
from spec.extensions import QueryExtension
from spec.model import Relation, Resource
from spec.property_paths import resolve_property_path


@dataclass(frozen=True, slots=True)
class QueryArgument:
    """The value of a query parameter or body field that has a query extension. `name`: the parameter's name."""

    name: str
    x_query: QueryExtension
    value: Any


def collect_query_arguments(parameters: Iterable[Any], values: Mapping[str, Any]) -> list[QueryArgument]:
    """Return the arguments of an operation's parameters, or of a body's fields, that have a value."""
    return [
        QueryArgument(parameter.name, parameter.x_query, values[parameter.name])
        for parameter in parameters
        if parameter.x_query and values.get(parameter.name) is not None
    ]


def build_condition(
    store: Store,
    resource: Resource,
    arguments: Iterable[QueryArgument],
    max_candidates: int = 0,
    restrict: ConditionByResource = match_all_records,
) -> SqlExpression:
    """Build the condition of all filters and searches of a query.

    `restrict`: the related records that filters and searches read. `max_candidates`: how many records found in the
    search index may be listed in the condition. A condition with such a list is valid until the next write; with 0 the
    index is not used and the condition stays valid.
    """
    all_arguments = list(arguments)
    argument_names = {item.name for item in all_arguments}
    conditions = []
    for item in all_arguments:
        if item.x_query.role == "filter" and item.x_query.unless_parameter not in argument_names:
            conditions.append(_build_filter(store, resource, item.x_query, item.value, restrict))
        elif item.x_query.role == "search":
            term, paths = str(item.value), item.x_query.paths
            searches = (build_search(store, resource, path, term, max_candidates, restrict) for path in paths)
            conditions.append(any_of(searches))
    return all_of(conditions)


def build_search(
    store: Store,
    resource: Resource,
    path: PropertyPath,
    term: str,
    max_candidates: int = 0,
    restrict: ConditionByResource = match_all_records,
) -> SqlExpression:
    """Build the condition that a property contains a term, case-insensitively."""
    relations, target, attribute_path = resolve_property_path(store.contract, resource, path, "")
    text = schema.fold_case(term) or ""
    contains = on_column(search_column(attribute_path), "instr({}, ?) > 0", (text,))
    inner = all_of((_build_candidate_condition(store, target, text, max_candidates), contains))
    return conditions.build_path_condition(store.tables, resource, relations, attribute_path[0], inner, restrict)


def _build_candidate_condition(store: Store, resource: Resource, text: str, max_candidates: int) -> SqlExpression:
    """Build a condition that is true of all records that contain a case-folded text, and of few others."""
    candidates = store.find_search_candidates(resource.name, text, max_candidates) if max_candidates else None
    if candidates is None:
        return MATCH_ALL
    numbers, last_indexed = candidates
    newer_sql = f"SELECT n FROM {quote_identifier(resource.name)} WHERE n > ?"
    sql = f"n IN (SELECT value FROM json_each(?) UNION ALL {newer_sql})"
    return SqlExpression(sql, (json.dumps(numbers), last_indexed), frozenset({resource.name}))


def _build_filter(
    store: Store, resource: Resource, x_query: QueryExtension, value: Any, restrict: ConditionByResource
) -> SqlExpression:
    relations, target, attribute_path = resolve_property_path(store.contract, resource, x_query.paths[0], "")
    if x_query.operator == "exists":
        condition = _build_exists_condition(store, resource, relations[0], restrict)
        return condition if value else replace(condition, sql=f"NOT {condition.sql}")
    values = value if isinstance(value, list) else [value]
    build = partial(_build_comparison, target, attribute_path, x_query.operator, values)
    if attribute_path == (target.key_attribute,):
        return conditions.build_key_condition(store.tables, resource, relations, target.key_attribute, build, restrict)
    inner = build(attribute_column(attribute_path))
    return conditions.build_path_condition(store.tables, resource, relations, attribute_path[0], inner, restrict)


def _build_exists_condition(
    store: Store, resource: Resource, relation: Relation, restrict: ConditionByResource
) -> SqlExpression:
    if relation.is_stored and not relation.to_many:
        return on_column(reference_column(relation.name), "({} IS NOT NULL)")
    return any_of(
        conditions.build_relation_condition(store.tables, resource, relation, target, restrict(target))
        for target in relation.targets
    )


def _build_comparison(
    resource: Resource, path: PropertyPath, operator: str, values: list[Any], column: str
) -> SqlExpression:
    """Build the condition on an attribute of a resource, which `column` holds."""
    attribute = resource.attributes[path[0]]
    if operator == "from":
        return on_column(column, "{} >= ?", (_build_bound(values[0], attribute.format, "T00:00:00.000000Z"),))
    if operator == "to":
        return on_column(column, "{} <= ?", (_build_bound(values[0], attribute.format, "T23:59:59.999999Z"),))
    if attribute.type == "array":
        inner = one_of("value", [schema.escape_list_item(value) for value in values])
        return on_column(column, f"EXISTS (SELECT 1 FROM json_each({{}}) WHERE {inner.sql})", inner.parameters)
    if path == (resource.key_attribute,):
        return one_of(column, [schema.parse_key(resource, value) for value in values])
    return one_of(column, [schema.to_comparable(item, attribute.format) for item in values])


def _build_bound(value: Any, format_: str | None, time: str) -> Any:
    """Build the bound of a period. `time` is added to a date, which includes its complete day."""
    if format_ != "date-time":
        return schema.to_comparable(value, format_)
    return value + time if len(value) == 10 else schema.normalize_datetime(value)
