"""Checks of rankings: rows with a record and numbers, which are no list of records."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.actions.figures import MAX_VALUES, find_scope
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck, Row, is_list
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.tenancy import build_unmatched_value, find_shared_tenant_reason
from conformance.checks.support.values import dereference_schema, get_values_at, is_number
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.session.session import Session
from conformance.session.write_log import is_key
from conformance.transport.messages import GONE_STATUSES, Actor, Exchange
from spec.document import escape
from spec.model import Contract, Operation, Parameter, Resource

MAX_LIMIT = 100  # rows that are requested if the contract gives no maximum
MAX_RETRIEVED = 8  # ranked records
MAX_SCOPES = 3  # values of one parameter
HIDDEN_STATUSES = (403, *GONE_STATUSES)


@dataclass(frozen=True, slots=True)
class Ranking:
    """A read whose rows each embed a record.

    `property_name`: property of a row that contains the record. `limits`: value to send for each parameter that limits
    the rows.
    """

    operation: Operation
    resource: Resource
    property_name: str
    limits: Mapping[str, int]

    def fetch(
        self, session: Session, query: Mapping[str, Any], actor: Actor = Actor.OWNER
    ) -> tuple[list[tuple[Any, Row]], Exchange]:
        """Return the key and the row of each ranked record. Raises SkipCheck."""
        required = session.records.required_query(self.operation)
        exchange = session.client.send(self.operation, query={**required, **self.limits, **query}, actor=actor)
        data = session.operations.data(self.operation, exchange) if exchange.response.ok else None
        if not isinstance(data, list):
            raise SkipCheck(f"{self.operation.id} returned {exchange.response.status} without rows")
        records = [(row.get(self.property_name), row) for row in data if isinstance(row, Mapping)]
        keys = [(r.get(self.resource.key_attribute), row) for r, row in records if isinstance(r, Mapping)]
        return [(key, row) for key, row in keys if is_key(key)], exchange

    def may_be_truncated(self, rows: Sequence[Any]) -> bool:
        """Whether the response may lack rows because of its limit."""
        return len(rows) >= min(self.limits.values(), default=MAX_LIMIT)


@dataclass(frozen=True, slots=True)
class RankingScope:
    """A parameter that restricts a ranking to the records of another record.

    `path`: leads from a ranked record to the key of that one.
    """

    ranking: Ranking
    parameter: Parameter
    target: Resource
    path: tuple[str, ...]


def find_ranking(contract: Contract, operation: Operation) -> Ranking | None:
    """Return how an operation ranks records; None if it does not."""
    pointer = operation.envelope.schema_pointer
    is_read = operation.method == "get" and not operation.path_parameter_names
    if not is_read or pointer is None or is_list(contract, operation) or operation.envelope.view_name is not None:
        return None
    name = operation.envelope.data_property
    schema, resolved = dereference_schema(contract.document, pointer)
    if name is not None and name in schema.get("properties", {}):
        schema, resolved = dereference_schema(contract.document, f"{resolved}/properties/{escape(name)}")
    if "items" not in schema:
        return None
    row_schema, resolved = dereference_schema(contract.document, f"{resolved}/items")
    for property_name in row_schema.get("properties", {}):
        target = dereference_schema(contract.document, f"{resolved}/properties/{escape(property_name)}")[1]
        view = next((view for view in contract.views.values() if view.pointer == target), None)
        if view is not None:
            limits = {p.name: int(p.schema.get("maximum", MAX_LIMIT)) for p in _iter_limits(operation)}
            return Ranking(operation, contract.resources[view.resource], property_name, limits)
    return None


def _iter_limits(operation: Operation) -> Iterator[Parameter]:
    """Yield the parameters that limit the number of rows."""
    return (p for p in operation.query_parameters if p.x_query is None and p.schema.get("type") == "integer")


def find_ranking_scopes(contract: Contract, operation: Operation) -> list[RankingScope]:
    """Return the parameters that restrict a ranking to the records of another record."""
    ranking, scopes = find_ranking(contract, operation), list[RankingScope]()
    for parameter in operation.query_parameters if ranking is not None else ():
        target = find_scope(contract, ranking.resource, parameter) if ranking is not None else None
        if ranking is None or target is None:
            continue
        relations = (r.name for r in ranking.resource.relations.values() if r.targets == (target.name,))
        named = next(relations, None)
        path = parameter.x_query.paths[0] if parameter.x_query else (named or "", target.key_attribute)
        if path[0]:
            scopes.append(RankingScope(ranking, parameter, target, path))
    return scopes


# Scopes


@check(
    "filtered-ranking-is-subset",
    "A ranking filtered by a related record, such as a tenant, contains the rows of that record in the unfiltered "
    "ranking, with the same numbers.",
    Category.METRICS,
    lambda contract, operation: bool(find_ranking_scopes(contract, operation)),
    affected_by_other_clients=True,
)
def check_scopes(case: Case) -> Iterator[CheckResult]:
    """Request the ranking for existing records, and compare its rows with the unrestricted ranking."""
    for scope in find_ranking_scopes(case.session.contract, case.operation):
        requirement = case.build_requirement(scope.parameter.pointer, None, scope.parameter.name)
        try:
            message, is_contradiction, exchange = _evaluate_scope(case, scope)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
        else:
            yield replace(case.build_result(requirement, message, exchange), is_contradiction=is_contradiction)


def _evaluate_scope(case: Case, scope: RankingScope) -> tuple[str, bool, Exchange]:
    """Return the problem, or "", whether it is a contradiction, and the exchange. Raises SkipCheck."""
    session, ranking = case.session, scope.ranking
    unrestricted, exchange = ranking.fetch(session, {})
    related_keys = _fetch_related_keys(session, scope, [key for key, _ in unrestricted])
    values = list(dict.fromkeys(value for value in related_keys.values() if value is not None))[:MAX_SCOPES]
    if not values:
        raise SkipCheck(insufficient_data(f"no ranked {ranking.resource.name} shows its {'.'.join(scope.path)}"))
    for value in values:
        restricted, exchange = ranking.fetch(session, {scope.parameter.name: value})
        problem, is_certain = _compare_rows(scope, unrestricted, restricted, related_keys, value)
        if not problem:
            continue
        if [key for key, _ in ranking.fetch(session, {})[0]] != [key for key, _ in unrestricted]:
            raise ListChangedDuringCheck
        # The target implements the parameter if a record without any ranked records has an empty ranking.
        unknown = {scope.parameter.name: build_unmatched_value(value)}
        is_implemented = [key for key, _ in restricted] != [key for key, _ in unrestricted]
        with suppress(SkipCheck):
            is_implemented = is_implemented or not ranking.fetch(session, unknown)[0]
        return f"{scope.parameter.name}={value}: {problem}", is_certain and is_implemented, exchange
    return "", False, exchange


def _fetch_related_keys(session: Session, scope: RankingScope, keys: Sequence[Any]) -> dict[Any, Any]:
    """Return the key of the related record of each ranked record, as its retrieve shows it; None if it has none."""
    retrieve = session.operations.require(scope.ranking.resource.name, "retrieve")
    related_keys: dict[Any, Any] = {}
    for key in keys[:MAX_RETRIEVED]:
        body, _ = retrieve_with_relations(session, retrieve, key)
        values = get_values_at(body, scope.path) if isinstance(body, Mapping) else None
        if values is not None:
            related_keys[key] = values[0] if values else None
    return related_keys


def _compare_rows(
    scope: RankingScope,
    unrestricted: Sequence[tuple[Any, Row]],
    restricted: Sequence[tuple[Any, Row]],
    related_keys: Mapping[Any, Any],
    value: Any,
) -> tuple[str, bool]:
    """Return the problem, or "", and whether it is certain.

    A record with another related record or a missing one is certain; a number, such as a percentage, may depend on the
    other rows.
    """
    restricted_rows, positions = dict(restricted), _find_positions([row for _, row in unrestricted])
    for key, row in unrestricted:
        if key not in related_keys:
            continue
        is_expected, label = related_keys[key] == value, f"{scope.ranking.resource.name} {key}"
        if key in restricted_rows and not is_expected:
            return f"got {label}, whose {scope.target.name} is {related_keys[key]}, expected only rows of {value}", True
        if is_expected and key not in restricted_rows and not scope.ranking.may_be_truncated(restricted):
            return f"got no row of {label}, expected the row of the unrestricted ranking", True
        if key in restricted_rows and (difference := _find_difference(row, restricted_rows[key], positions)):
            return f"{label}: {difference} as without the parameter", False
    return "", False


def _find_positions(rows: Sequence[Row]) -> set[str]:
    """Return the properties that may be the position of a row: they increase from row to row, from 0 or 1."""
    positions: set[str] = set()
    for name in rows[0] if rows else ():
        values = [row.get(name) for row in rows]
        numbers = [value for value in values if isinstance(value, int)]
        if len(numbers) == len(rows) and numbers[0] <= 1 and numbers == sorted(numbers):
            positions.add(name)
    return positions


def _find_difference(row: Row, other: Row, positions: Collection[str]) -> str:
    """Describe a number that differs, other than a position."""
    for name in row.keys() & other.keys() - set(positions):
        if is_number(row[name]) and is_number(other[name]) and row[name] != other[name]:
            return f"{name}: got {other[name]}, expected {row[name]}"
    return ""


# Tenants


@check(
    "ranking-hides-other-tenants",
    "A ranking contains only records that the caller may retrieve, with and without a filter.",
    Category.TENANCY,
    lambda contract, operation: find_ranking(contract, operation) is not None,
    needs_second_token=True,
)
def check_visibility(case: Case) -> Iterator[CheckResult]:
    """Request the ranking as the other tenant, unrestricted and for records of this tenant; retrieve its records.

    A record that only a restricted ranking contains is a contradiction; a ranking may be public.
    """
    session, ranking = case.session, find_ranking(case.session.contract, case.operation)
    reason = find_shared_tenant_reason(session)
    if reason or ranking is None:
        raise SkipCheck(reason or not_testable("the operation ranks no records"))
    session.operations.require(ranking.resource.name, "retrieve")
    if not ranking.resource.tenant_path:
        raise SkipCheck(not_testable(f"every caller sees each {ranking.resource.name}"))
    queries: list[tuple[str, dict[str, Any]]] = [("unrestricted", {})]
    for scope in find_ranking_scopes(session.contract, case.operation):
        keys = _list_related_keys(session, scope)
        queries += [(scope.parameter.name, {scope.parameter.name: key}) for key in keys[:MAX_SCOPES]]
    public: set[Any] = set()
    results: dict[str, CheckResult] = {}
    for label, query in queries:
        with suppress(SkipCheck):  # the target may reject the key
            rows, exchange = ranking.fetch(session, query, Actor.OTHER_TENANT)
            keys = [key for key, _ in rows]
            message, hidden_key = _find_hidden_record(session, ranking, keys)
            public |= set() if query else set(keys)
            # No part of a contract states who sees a ranking.
            requirement = replace(case.build_requirement(parameter=label), provenance="inferred")
            result = case.build_result(requirement, message, exchange)
            if label not in results or (message and not results[label].message):
                results[label] = replace(result, is_contradiction=bool(message) and hidden_key not in public)
    yield from results.values()


def _list_related_keys(session: Session, scope: RankingScope) -> list[Any]:
    """Return the keys of the related records of the ranked records that the token of the run gets."""
    with suppress(SkipCheck):
        keys = [key for key, _ in scope.ranking.fetch(session, {})[0]]
        return list(dict.fromkeys(filter(is_key, _fetch_related_keys(session, scope, keys).values())))[:MAX_VALUES]
    return []


def _find_hidden_record(session: Session, ranking: Ranking, keys: Sequence[Any]) -> tuple[str, Any]:
    """Return the problem, or "", and the key of the first record that the other tenant may not retrieve."""
    name = ranking.resource.name
    for key in keys[:MAX_RETRIEVED]:
        status = session.client.retrieve(name, key, actor=Actor.OTHER_TENANT).response.status
        if status in HIDDEN_STATUSES and session.client.retrieve(name, key).response.ok:
            expected = f"only records it can retrieve (retrieve returned {status})"
            return f"ranking of the other tenant: got {name} {key}, expected {expected}", key
    return "", None
