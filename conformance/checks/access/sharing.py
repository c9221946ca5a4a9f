"""Checks of sharing: a share gives another tenant access to one record, with its permission, and can be revoked."""

from collections.abc import Iterator
from typing import Any

from conformance.checks.support.action_calls import find_access_grant, is_action, perform_action
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import equal, iter_round_trip_fields, truncate
from conformance.checks.writes.changes import fetch_attributes, path_of
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import Actor, Exchange
from spec.model import Contract, Operation

HIDDEN_STATUSES = (403, 404)


def is_share_action(contract: Contract, operation: Operation) -> bool:
    """Whether an operation shares the record in its path."""
    returns_grant = is_action(contract, operation) and find_access_grant(contract, operation) is not None
    return returns_grant and bool(operation.path_parameter_names)


@check(
    "sharing-grants-access",
    "A shared record is accessible to the recipient, with the granted permission only.",
    Category.SHARING,
    is_share_action,
    writes=True,
    needs_second_token=True,
)
def check_share_grants_access(case: Case) -> Iterator[CheckResult]:
    """The record is hidden before it is shared; afterwards it is readable and, with the first permission, read-only."""
    session, resource = case.session, case.operation.resource or ""
    reason = find_shared_tenant_reason(session)
    if reason:
        raise SkipCheck(reason)
    exchange = session.client.retrieve(resource, session.records.shared_record(resource).key, actor=Actor.OTHER_TENANT)
    status = exchange.response.status
    message = "" if status in HIDDEN_STATUSES else f"request before sharing: got {status}, expected 404 or 403"
    yield case.build_result(case.build_requirement(parameter="before"), message, exchange)
    action = perform_action(case)
    if action.record is not None:
        yield _evaluate_visible(case, action.record, action.exchange)
        yield from _evaluate_read_only(case, action.record)


def _evaluate_visible(case: Case, record: CreatedRecord, share_exchange: Exchange) -> CheckResult:
    exchanges = [share_exchange]

    def find_problem() -> str:
        exchanges.append(case.session.client.retrieve(record.resource, record.key, actor=Actor.OTHER_TENANT))
        response = exchanges[-1].response
        return "" if response.ok else f"request of the recipient: got {response.status}, expected 2xx"

    message = case.session.client.wait_until(find_problem)
    return case.build_result(case.build_requirement(parameter="visible"), message, share_exchange, exchanges[-1])


def _evaluate_read_only(case: Case, record: CreatedRecord) -> Iterator[CheckResult]:
    """An update by the recipient is rejected and changes nothing."""
    session = case.session
    operation = session.operations.find(record.resource, "update")
    if operation is None:
        return
    update_case = Case(case.check, session, operation)
    field, _ = next(iter_round_trip_fields(update_case, session.contract.resources[record.resource]), (None, None))
    if field is None:
        return
    value: Any = session.payloads.generate_value(field.schema, field.name)
    path = path_of(operation, record.key)
    body = session.records.build_update(operation, record.resource, record.key, {field.name: value})
    exchange = session.client.send(operation, path=path, body=body, actor=Actor.OTHER_TENANT)
    expected = [status for status in HIDDEN_STATUSES if status in operation.responses] or list(HIDDEN_STATUSES)
    requirement = case.build_requirement(parameter="read-only")
    status = exchange.response.status
    if status not in expected:
        message = f"update by the recipient: got {status}, expected {' or '.join(map(str, expected))}"
        yield case.build_result(requirement, message, exchange)
        return
    attributes = fetch_attributes(session, record.resource, record.key)
    was_applied = equal(attributes.get(field.name), value)
    message = f"the update was rejected, but {field.name} is {truncate(value)}" if was_applied else ""
    yield case.build_result(requirement, message, exchange)


@check(
    "unsharing-revokes-access",
    "Deleting a share or the shared record revokes the access of the recipient.",
    Category.SHARING,
    is_share_action,
    writes=True,
    needs_second_token=True,
    deletes_fixture_record=True,
)
def check_share_revocation(case: Case) -> Iterator[CheckResult]:
    """Delete the share, or the record if shares cannot be deleted: the recipient has no access any more."""
    session, operation = case.session, case.operation
    action = perform_action(case)
    reason = find_shared_tenant_reason(session)
    if action.record is None or reason:
        raise SkipCheck(reason or not_testable("the path of the share operation contains no record"))
    record, resource = action.record, session.contract.views[operation.envelope.view_name or ""].resource
    share = session.operations.data(operation, action.exchange)
    key = share.get(session.contract.resources[resource].key_attribute) if isinstance(share, dict) else None
    if key is None or session.operations.find(resource, "delete") is None:
        resource, key = record.resource, record.key
    # The response must not be cached for the recipient.
    session.client.retrieve(record.resource, record.key, actor=Actor.OTHER_TENANT)
    delete_exchange = session.records.delete(resource, key)
    if delete_exchange is None or not (delete_exchange.response.ok or delete_exchange.response.status == 404):
        raise SkipCheck(not_testable(f"the target does not accept the deletion of a {resource}"))
    exchanges = [delete_exchange]

    def find_problem() -> str:
        exchanges.append(session.client.retrieve(record.resource, record.key, actor=Actor.OTHER_TENANT))
        status = exchanges[-1].response.status
        is_hidden = status in HIDDEN_STATUSES
        return "" if is_hidden else f"request after the delete of {resource}: got {status}, expected 404 or 403"

    message = session.client.wait_until(find_problem)
    yield case.build_result(case.build_requirement(), message, delete_exchange, exchanges[-1])
