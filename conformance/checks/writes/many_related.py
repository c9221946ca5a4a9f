"""Check that a record can refer to many records: all of them are stored, counted and returned."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from conformance.checks.support.bad_requests import require_allowed
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.references import iter_references
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, Operation, Relation

MAX_KEYS = 26  # more than a usual page has
MIN_KEYS = 3


def _list_fields(contract: Contract, operation: Operation) -> list[tuple[BodyField, Relation]]:
    """Return the arrays of keys in the body of a create or update, with the relations that they set."""
    if operation.action not in ("create", "update") or operation.effects or operation.resource is None:
        return []
    if contract.find_operation(operation.resource, "retrieve") is None:
        return []
    references = iter_references(contract, operation)
    return [(f, relation) for f, relation in references if relation.to_many and len(relation.targets) == 1]


@check(
    "many-related-records-are-stored",
    "A record that refers to many other records returns and counts all of them.",
    Category.WRITES,
    lambda contract, operation: bool(_list_fields(contract, operation)),
    writes=True,
    compares_responses=True,
)
def check_many(case: Case) -> Iterator[CheckResult]:
    """Send more keys than a page has, and read the record with its relations."""
    require_allowed(case)
    for field, relation in _list_fields(case.session.contract, case.operation):
        requirement = case.build_requirement(relation.pointer, None, field.name)
        try:
            keys = _find_keys(case, field, relation)
            key, exchange = _write(case, {field.name: keys})
            message, retrieve = _compare(case, relation, key, keys)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
            continue
        yield case.build_result(requirement, message, exchange, retrieve)


def _find_keys(case: Case, field: BodyField, relation: Relation) -> list[Any]:
    """Return the keys of records of the run, or else of listed records. Raises SkipCheck for too few."""
    session, target = case.session, relation.targets[0]
    number = min(MAX_KEYS, int(field.schema.get("maxItems", MAX_KEYS)))
    keys: list[Any] = []
    if session.contract.find_create_operation(target) is not None:
        with suppress(SkipCheck):
            keys = [record.key for record in session.records.distinct_records(target, number)]
    listing = session.operations.find(target, "list")
    if not keys and listing is not None:
        rows = session.records.rows(listing, {}, pages=1)
        keys = [session.operations.key_of(target, row) for row in rows]
    if len(keys) < MIN_KEYS:
        reason = f"{len(keys)} records of {target} are available, at least {MIN_KEYS} are needed"
        if number < MIN_KEYS:
            reason = f"{field.name} accepts at most {number} keys"
        raise SkipCheck(insufficient_data(reason))
    return list(dict.fromkeys(keys))[:number]


def _write(case: Case, changes: Mapping[str, Any]) -> tuple[Any, Exchange]:
    """Create or update a record of the run with the changes; return its key. Raises SkipCheck."""
    session, operation = case.session, case.operation
    if operation.action == "create":
        created = session.records.create(operation.resource or "", changes)
        return created.key, created.exchange
    created = session.records.create(operation.resource or "")
    body = session.records.build_update(operation, created.resource, created.key, changes)
    exchange = session.client.send(operation, path=path_of(operation, created.key), body=body)
    if not exchange.response.ok:
        raise SkipCheck(f"{operation.id} returned {exchange.response.status}: {exchange.response.excerpt}")
    return created.key, exchange


def _compare(case: Case, relation: Relation, key: Any, keys: list[Any]) -> tuple[str, Exchange]:
    """Return (problem, retrieve). Raises SkipCheck if the response does not have the relation."""
    session, resource = case.session, case.session.operations.resource(case.operation)
    retrieve = session.operations.require(resource.name, "retrieve")
    target_key = session.contract.resources[relation.targets[0]].key_attribute
    derived = resource.derived_properties.values()
    counts = [d.name for d in derived if d.kind == "count" and d.path == (relation.name,) and not d.where]
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        body, exchange = retrieve_with_relations(session, retrieve, key)
        exchanges.append(exchange)
        related = body.get(relation.name) if isinstance(body, Mapping) else None
        if not isinstance(related, list):
            raise SkipCheck(insufficient_data(f"{retrieve.id} does not return {relation.name}"))
        related_keys = {row.get(target_key) for row in related if isinstance(row, Mapping)}
        missing = [k for k in keys if k not in related_keys]
        if missing or len(related) != len(keys):
            missing_text = f"{len(missing)} of the sent keys missing"
            return f"{relation.name}: got {len(related)} records ({missing_text}), expected {len(keys)}"
        wrong = [name for name in counts if name in body and body[name] != len(keys)]
        return f"{wrong[0]}: got {body[wrong[0]]}, expected {len(keys)}" if wrong else ""

    return session.client.wait_until(find_problem), exchanges[-1]
