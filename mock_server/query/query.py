"""What the contract's query words mean: page, size, sort, direction, filter, search, include, count.

`Query.page` turns a validated query into SQL; only records that the viewer may see are ever in it. No table is scanned
in Python.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

from mock_server.query.viewer import Viewer
from mock_server.store import Store, StoredRecord, schema
from mock_server.store.schema import attribute_column, quote_identifier, reference_column, search_column
from spec.extensions import QueryExtension
from spec.loader import Contract, Relation, Resource, resolve_count, resolve_include, resolve_property_path
from spec.record import Reference

DEFAULT_PAGE_SIZE = 100  # rows of a list whose size the contract leaves open
# Records that may hold a term are looked at one by one where they are no more than FEW, and so few that going through
# the table in the list's order would not sooner have found a page of WANTED of them.
CANDIDATE_LIMIT = 2_000
TYPICAL_PAGE_SIZE = 20
# To count them is sooner than to count in the whole table while they are no more than this part of it.
COUNT_CANDIDATE_DIVISOR = 16


@dataclass(frozen=True, slots=True)
class SqlCondition:
    """An SQL condition on a resource's table and its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


MATCH_ALL = SqlCondition("1")
MATCH_NONE = SqlCondition("0")


@dataclass(frozen=True, slots=True)
class QueryArgument:
    """One word of a query with its value: `name` is the parameter's."""

    name: str
    x_query: QueryExtension
    value: Any


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a query asks of a resource, as SQL: true while nothing is shared that was not, or no longer.

    `search_arguments`: the words that an index may help with. `order` and `reverse_order`: from the beginning, and from the end.
    """

    resource: Resource
    condition: SqlCondition
    search_arguments: tuple[QueryArgument, ...]
    order: str
    reverse_order: str
    page_number: int
    page_size: int


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Rows of a list, and the total they are taken from."""

    rows: list[StoredRecord]
    total: int
    number: int
    size: int


def any_of(conditions: Iterable[SqlCondition]) -> SqlCondition:
    """Holds where one of them does."""
    return _join_conditions(list(conditions), " OR ", MATCH_NONE)


def all_of(conditions: Iterable[SqlCondition]) -> SqlCondition:
    """Holds where each of them does."""
    return _join_conditions([condition for condition in conditions if condition is not MATCH_ALL], " AND ", MATCH_ALL)


def _join_conditions(conditions: list[SqlCondition], operator: str, empty: SqlCondition) -> SqlCondition:
    if not conditions:
        return empty
    if len(conditions) == 1:
        return conditions[0]
    return SqlCondition(
        "(" + operator.join(condition.sql for condition in conditions) + ")",
        tuple(parameter for condition in conditions for parameter in condition.parameters),
    )


@dataclass(frozen=True, slots=True)
class Query:
    """Asks one store on behalf of one viewer.

    `max_candidates`: how many records that may hold a term are worth naming in a search's condition. Such a condition is
    true of the store as it stands; that of 0 names none, and means the same after any write.
    """

    contract: Contract
    store: Store
    viewer: Viewer | None
    max_candidates: int = 0

    # Who sees what ----------------------------------------------------------------------------------------------

    def build_visibility_condition(self, resource: Resource) -> SqlCondition:
        """What of a resource the viewer may see: what lies in the viewer's tenants, is public, or was shared."""
        memo_key, grant_resources = ("visible", resource.name, self.viewer), self.contract.access_grant_resources
        condition: SqlCondition = self.store.memoize(
            memo_key, grant_resources, lambda: self._build_visibility_condition(resource)
        )
        return condition

    def _build_visibility_condition(self, resource: Resource) -> SqlCondition:
        if self.viewer is None or not (resource.tenant_path or resource.members_relation):
            return MATCH_ALL
        conditions = [_build_in_condition("tenant", self.viewer.tenant_keys)]
        if resource.public_when:
            public_conditions = [
                _build_in_condition(attribute_column((name,)), (schema.to_comparable(value, None),))
                for name, value in resource.public_when.items()
            ]
            conditions.append(all_of(public_conditions))
        return any_of([*conditions, *(condition for condition, _ in self.iter_shared_conditions(resource))])

    def iter_shared_conditions(self, resource: Resource) -> Iterator[tuple[SqlCondition, str]]:
        """(condition, permission) of what was shared with the viewer, by itself or with what it belongs to: a record
        whose path to its tenant leads through one that was shared is seen, and written, as that one is.
        """
        relations: tuple[Relation, ...] = ()
        current = resource
        for name in (None, *resource.tenant_path):
            if name is not None:
                relation = current.relations[name]
                if len(relation.targets) != 1:
                    return
                relations, current = (*relations, relation), self.contract.resources[relation.targets[0]]
            keys_by_permission: dict[str, list[Any]] = {}
            for key, permission in self.find_granted_keys(current):
                keys_by_permission.setdefault(permission, []).append(key)
            for permission, keys in keys_by_permission.items():
                yield (
                    self._build_path_condition(
                        resource, relations, current, (current.key_attribute,), _build_in_condition("key", keys)
                    ),
                    permission,
                )

    def find_granted_keys(self, resource: Resource) -> list[tuple[Any, str]]:
        """(key, permission) of the records of a resource that were themselves shared with the viewer."""
        viewer = self.viewer
        granted: list[tuple[Any, str]] = []
        for grant_resource in self.contract.resources.values():
            if viewer is None or grant_resource.access_grant is None:
                continue
            subject, entity = (
                grant_resource.relations[grant_resource.access_grant.subject],
                grant_resource.relations[grant_resource.access_grant.entity],
            )
            if resource.name not in subject.targets:
                continue
            grantees = [schema.encode_reference(entity, grantee) for grantee in self._iter_grantees(entity, viewer)]
            condition = _build_in_condition(reference_column(entity.name), grantees)
            permission = attribute_column((grant_resource.access_grant.permission,))
            column = reference_column(subject.name)
            sql = f"SELECT {column}, {permission} FROM {quote_identifier(grant_resource.name)} WHERE {condition.sql}"
            for value, permission_value in self.store.connection.execute(sql, condition.parameters):
                reference = schema.decode_reference(self.contract, subject, value)
                if reference is not None and reference.resource == resource.name:
                    granted.append((reference.key, permission_value))
        return granted

    def _iter_grantees(self, relation: Relation, viewer: Viewer) -> Iterator[Reference]:
        account, tenant = self.contract.account_resource, self.contract.tenant_resource
        if account and account.name in relation.targets:
            yield Reference(account.name, viewer.user_key)
        if tenant and tenant.name in relation.targets:
            yield from (Reference(tenant.name, key) for key in viewer.tenant_keys)

    # Filters and search -----------------------------------------------------------------------------------------

    def build_condition(self, resource: Resource, arguments: Iterable[QueryArgument]) -> SqlCondition:
        """All filters and searches of a query together."""
        all_arguments = list(arguments)
        argument_names = {item.name for item in all_arguments}
        conditions = []
        for argument in all_arguments:
            if argument.x_query.role == "filter" and argument.x_query.unless_parameter not in argument_names:
                conditions.append(self.build_filter(resource, argument.x_query, argument.value))
            elif argument.x_query.role == "search":
                conditions.append(
                    any_of(self.build_search(resource, path, str(argument.value)) for path in argument.x_query.paths)
                )
        return all_of(conditions)

    def build_filter(self, resource: Resource, x_query: QueryExtension, value: Any) -> SqlCondition:
        """One filter."""
        relations, target, attribute_path = resolve_property_path(self.contract, resource, x_query.paths[0], "")
        if x_query.operator == "exists":
            condition = self._build_exists_condition(resource, relations[0])
            return condition if value else SqlCondition(f"NOT {condition.sql}", condition.parameters)
        inner = self._build_comparison(
            target, attribute_path, x_query.operator, value if isinstance(value, list) else [value]
        )
        return self._build_path_condition(resource, relations, target, attribute_path, inner)

    def build_search(self, resource: Resource, path: tuple[str, ...], term: str) -> SqlCondition:
        """Records whose property holds the term, whatever its case."""
        relations, target, attribute_path = resolve_property_path(self.contract, resource, path, "")
        text = schema.fold_case(term) or ""
        inner = all_of(
            (
                self._build_candidate_condition(target, text),
                SqlCondition(f"instr({search_column(attribute_path)}, ?) > 0", (text,)),
            )
        )
        return self._build_path_condition(resource, relations, target, attribute_path, inner)

    def _build_candidate_condition(self, resource: Resource, text: str) -> SqlCondition:
        """True of all records with a folded text in them, and of few others."""
        candidates = (
            self.store.find_search_candidates(resource.name, text, self.max_candidates) if self.max_candidates else None
        )
        if candidates is None:
            return MATCH_ALL
        numbers, last_indexed = candidates
        newer_sql = f"SELECT n FROM {quote_identifier(resource.name)} WHERE n > ?"
        return SqlCondition(
            f"n IN (SELECT value FROM json_each(?) UNION ALL {newer_sql})", (json.dumps(numbers), last_indexed)
        )

    def _build_comparison(
        self, resource: Resource, attribute_path: tuple[str, ...], operator: str, values: list[Any]
    ) -> SqlCondition:
        attribute = resource.attributes[attribute_path[0]]
        column = "key" if attribute_path == (resource.key_attribute,) else attribute_column(attribute_path)
        if operator == "from":
            return SqlCondition(f"{column} >= ?", (_build_bound(values[0], attribute.format, "T00:00:00.000000Z"),))
        if operator == "to":
            return SqlCondition(f"{column} <= ?", (_build_bound(values[0], attribute.format, "T23:59:59.999999Z"),))
        if attribute.type == "array":
            inner = _build_in_condition("value", [schema.escape_list_item(value) for value in values])
            return SqlCondition(f"EXISTS (SELECT 1 FROM json_each({column}) WHERE {inner.sql})", inner.parameters)
        if column == "key":
            return _build_in_condition(column, [schema.parse_key(resource, value) for value in values])
        return _build_in_condition(column, [schema.to_comparable(item, attribute.format) for item in values])

    def _build_path_condition(
        self,
        resource: Resource,
        relations: tuple[Relation, ...],
        final_resource: Resource,
        attribute_path: tuple[str, ...],
        inner: SqlCondition,
    ) -> SqlCondition:
        """`inner`, a condition on `final_resource`, as one on `resource` that leads to it by `relations`."""
        if not relations:
            return inner
        relation, remaining = relations[0], relations[1:]
        is_direct = relation.is_stored and not relation.to_many and len(relation.targets) == 1 and not remaining
        if is_direct and inner.sql.startswith("key "):
            return SqlCondition(reference_column(relation.name) + inner.sql.removeprefix("key"), inner.parameters)
        conditions = []
        for name in relation.targets:
            target = self.contract.resources[name]
            if (remaining and remaining[0].name not in target.relations) or (
                not remaining and attribute_path[0] not in target.attributes
            ):
                continue
            target_condition = self._build_path_condition(target, remaining, final_resource, attribute_path, inner)
            conditions.append(self._build_relation_condition(resource, relation, name, target_condition))
        return any_of(conditions)

    def _build_relation_condition(
        self, resource: Resource, relation: Relation, target: str, target_condition: SqlCondition
    ) -> SqlCondition:
        table = quote_identifier(target)
        if relation.inverse is not None:
            inverse = self.contract.resources[target].relations[relation.inverse]
            column = reference_column(inverse.name)
            owners_sql = f"SELECT {column} FROM {table} WHERE {target_condition.sql} AND {column} IS NOT NULL"
            if inverse.to_many:
                link = self.store.tables[target].links[inverse.name]
                owners_sql = f"SELECT target FROM {link.name} WHERE owner IN (SELECT key FROM {table} WHERE {target_condition.sql})"
            key_sql = f"{schema.to_sql_literal(resource.name + '/')} || key" if len(inverse.targets) > 1 else "key"
            return SqlCondition(f"{key_sql} IN ({owners_sql})", target_condition.parameters)
        target_key_sql = f"{schema.to_sql_literal(target + '/')} || key" if len(relation.targets) > 1 else "key"
        target_keys_sql = f"SELECT {target_key_sql} FROM {table} WHERE {target_condition.sql}"
        if relation.to_many:
            link = self.store.tables[resource.name].links[relation.name]
            return SqlCondition(
                f"key IN (SELECT owner FROM {link.name} WHERE target IN ({target_keys_sql}))",
                target_condition.parameters,
            )
        return SqlCondition(f"{reference_column(relation.name)} IN ({target_keys_sql})", target_condition.parameters)

    def _build_exists_condition(self, resource: Resource, relation: Relation) -> SqlCondition:
        if relation.is_stored and not relation.to_many:
            return SqlCondition(f"({reference_column(relation.name)} IS NOT NULL)")
        return any_of(
            self._build_relation_condition(resource, relation, target, MATCH_ALL) for target in relation.targets
        )

    # Rows -------------------------------------------------------------------------------------------------------

    def build_order(
        self, resource: Resource, sort: str | None, direction: str | None, *, is_reversed: bool = False
    ) -> str:
        """SQL's order: by the asked property and the key, or newest first; or that read from its end."""
        is_descending = direction != "asc" if sort is None else direction == "desc"
        sql_direction, key_order = (
            ("DESC" if is_descending != is_reversed else "ASC"),
            ("key DESC" if is_reversed else "key"),
        )
        if sort is None:
            created_attributes = resource.attributes_with_stamp("created")
            return f"{attribute_column((created_attributes[0],)) if created_attributes else 'n'} {sql_direction}, {key_order}"
        if sort in resource.attributes:
            return f"{attribute_column((sort,))} {sql_direction}, {key_order}"
        table = self.store.tables[resource.name]
        return f"{self.store.build_derived_sql(resource.name, resource.derived_properties[sort], f'{table.name}.key')} {sql_direction}, {key_order}"

    def create_list_query(self, resource: Resource, arguments: Iterable[QueryArgument]) -> ListQuery:
        """The query's words together, for this viewer."""
        all_arguments = tuple(arguments)
        values: dict[str, Any] = {
            argument.x_query.role: argument.value for argument in all_arguments if argument.x_query.role != "filter"
        }
        sort, direction = values.get("sort"), values.get("direction")
        return ListQuery(
            resource,
            all_of((self.build_condition(resource, all_arguments), self.build_visibility_condition(resource))),
            all_arguments if "search" in values else (),
            self.build_order(resource, sort, direction),
            self.build_order(resource, sort, direction, is_reversed=True),
            int(values.get("page", 1)),
            int(values.get("size", DEFAULT_PAGE_SIZE)),
        )

    def fetch_page(self, list_query: ListQuery) -> ResultPage:
        """One page of the records that a query asks for and the viewer may see."""
        name, size = list_query.resource.name, list_query.page_size
        total = self.count_total(list_query)
        rows_before = (list_query.page_number - 1) * size
        row_count = max(0, min(size, total - rows_before))
        rows_after = total - rows_before - row_count
        # SQLite goes through all rows before a page: those of the second half are nearer to the end.
        is_reversed = rows_after < rows_before
        rows: list[StoredRecord] = []
        if row_count:
            condition = self._narrow_condition(
                list_query, min(CANDIDATE_LIMIT, isqrt(TYPICAL_PAGE_SIZE * self.store.last_numbers.get(name, 0)))
            )
            order, offset = (list_query.reverse_order, rows_after) if is_reversed else (list_query.order, rows_before)
            limit = f"LIMIT {row_count} OFFSET {offset}"
            rows = self.store.select(name, condition.sql, condition.parameters, order, limit)
        return ResultPage(rows[::-1] if is_reversed else rows, total, list_query.page_number, size)

    def count_total(self, list_query: ListQuery) -> int:
        """How many records a query asks for and the viewer may see."""
        name = list_query.resource.name

        def build_count_condition() -> tuple[str, tuple[Any, ...]]:
            condition = self._narrow_condition(
                list_query, max(CANDIDATE_LIMIT, self.store.last_numbers.get(name, 0) // COUNT_CANDIDATE_DIVISOR)
            )
            return condition.sql, condition.parameters

        return self.store.count(name, list_query.condition.sql, list_query.condition.parameters, build_count_condition)

    def _narrow_condition(self, list_query: ListQuery, max_candidates: int) -> SqlCondition:
        """The condition, with those named who may hold a searched term, if they are so few: true just now."""
        if not list_query.search_arguments:
            return list_query.condition
        query = replace(self, max_candidates=max_candidates)
        return all_of(
            (
                query.build_condition(list_query.resource, list_query.search_arguments),
                self.build_visibility_condition(list_query.resource),
            )
        )

    def parse_includes(
        self, resource: Resource, arguments: Iterable[QueryArgument]
    ) -> tuple[list[tuple[str, ...]] | None, frozenset[str]]:
        """(relation paths that the query embeds, None for the default; optional properties that it shows)."""
        include_paths: list[tuple[str, ...]] | None = None
        shown_properties: set[str] = set()
        for argument in arguments:
            if argument.x_query.role == "include" and argument.value:
                values = argument.value if isinstance(argument.value, list) else str(argument.value).split(",")
                include_paths = [resolve_include(self.contract, resource, name, "") for name in values]
            elif argument.x_query.role == "count":
                values = argument.value if isinstance(argument.value, list) else str(argument.value).split(",")
                shown_properties |= {resolve_count(resource, name, "") for name in values}
            elif argument.x_query.role == "show" and argument.value:
                shown_properties.add(argument.x_query.paths[0][0])
        return include_paths, frozenset(shown_properties)


def collect_query_arguments(parameters: Iterable[Any], values: Mapping[str, Any]) -> list[QueryArgument]:
    """The query words of an operation's parameters (or a body's fields) that were given a value."""
    return [
        QueryArgument(parameter.name, parameter.x_query, values[parameter.name])
        for parameter in parameters
        if parameter.x_query and values.get(parameter.name) is not None
    ]


def _build_in_condition(column: str, values: Iterable[Any]) -> SqlCondition:
    parameters = tuple(values)
    if not parameters:
        return MATCH_NONE
    if len(parameters) == 1:
        return SqlCondition(f"{column} = ?", parameters)
    return SqlCondition(f"{column} IN ({', '.join('?' * len(parameters))})", parameters)


def _build_bound(value: Any, format_: str | None, time: str) -> Any:
    """A bound of a period: a date means its whole day."""
    if format_ != "date-time":
        return schema.to_comparable(value, format_)
    return value + time if len(value) == 10 else schema.normalize_datetime(value)
