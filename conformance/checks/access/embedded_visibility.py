"""Check that lists embed no records that the caller may not retrieve."""

from collections.abc import Iterator

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.embedded_records import find_hidden_records
from conformance.checks.support.listing import is_list
from conformance.checks.support.parameters import build_full_include_query, find_parameter
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from conformance.session.record_factory import MAX_PAGE_ROWS
from conformance.transport.messages import Actor
from spec.model import Contract, Operation


def _embeds_records(contract: Contract, operation: Operation) -> bool:
    view = contract.views.get(operation.envelope.view_name or "")
    if not is_list(contract, operation) or view is None or contract.tenant_resource is None:
        return False
    relations = contract.resources[view.resource].relations
    return any(name in relations for name in view.property_names)


@check(
    "embedded-records-are-visible",
    "A response embeds only records that the caller may retrieve.",
    Category.TENANCY,
    _embeds_records,
    affected_by_other_clients=True,
)
def check_embedded_records(case: Case) -> Iterator[CheckResult]:
    """List the records with all relations, with each token, and retrieve those that are embedded."""
    for actor in (Actor.OWNER, Actor.OTHER_TENANT, Actor.MEMBER):
        if case.session.client.has_token(actor):
            yield from _evaluate(case, actor)


def _evaluate(case: Case, actor: Actor) -> Iterator[CheckResult]:
    session, operation = case.session, case.operation
    required, size = session.records.required_query(operation), find_parameter(operation, "size")
    limit = {size.name: min(MAX_PAGE_ROWS, int(size.schema.get("maximum", MAX_PAGE_ROWS)))} if size else {}
    include = dict(build_full_include_query(session, operation))
    exchange = session.client.send(operation, query={**required, **limit, **include}, actor=actor)
    rows = session.operations.data(operation, exchange) if exchange.response.ok else None
    view = session.contract.views[operation.envelope.view_name or ""]
    records = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    requirement = case.build_requirement(parameter=str(actor))
    try:
        hidden = list(find_hidden_records(case, view, records, actor))
    except SkipCheck as skip:
        yield case.skip(requirement, skip.reason)
        return
    if not records:
        yield case.skip(requirement, insufficient_data("the list is empty"))
    elif not hidden:
        yield case.build_result(requirement, "", exchange)
    for item, retrieved in hidden:
        location = ".".join(item.path)
        status = retrieved.response.status
        message = f"{location} is {item.resource.name} {item.key}, whose retrieve returned {status}"
        found = case.build_requirement(item.relation.pointer, None, f"{actor} {location}")
        yield case.build_result(found, message, exchange, retrieved)
