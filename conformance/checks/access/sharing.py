"""The law on what gives sight of a record to another tenant: it opens that record, for what was granted, no more."""

from collections.abc import Iterator
from typing import Any

from conformance.checks.support.action_calls import find_access_grant, is_action, perform_action
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.support.values import (
    equal,
    get_stored_attributes,
    iter_round_trip_fields,
    retrieve_record,
    truncate,
)
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord
from conformance.skip_reasons import not_testable
from conformance.transport.messages import Exchange
from spec.loader import Contract, Operation

HIDDEN_STATUSES = (403, 404)


def _grants_access(contract: Contract, operation: Operation) -> bool:
    return (
        is_action(contract, operation)
        and find_access_grant(contract, operation) is not None
        and bool(operation.path_parameter_names)
    )


def _check_share_grants_access(case: Case) -> Iterator[CheckResult]:
    """Hidden before, seen after, not to be written, and gone with the record."""
    session, operation = case.session, case.operation
    reason = find_shared_tenant_reason(session)
    if reason:
        raise SkipCheck(reason)
    exchange_before = session.retrieve(
        operation.resource or "", session.shared_record(operation.resource or "").key, actor="other"
    )
    message = (
        ""
        if exchange_before.response.status in HIDDEN_STATUSES
        else f"answered {exchange_before.response.status} before it was shared"
    )
    yield case.build_result(case.build_requirement(parameter="before"), message, exchange_before)
    action = perform_action(case)
    record = action.record
    if record is not None:
        yield _evaluate_visible(case, record, action.exchange)
        yield from _evaluate_read_only(case, record)


def _evaluate_visible(case: Case, record: CreatedRecord, share_exchange: Exchange) -> CheckResult:
    exchanges = [share_exchange]

    def find_problem() -> str:
        exchanges.append(case.session.retrieve(record.resource, record.key, actor="other"))
        status = exchanges[-1].response.status
        return "" if exchanges[-1].response.ok else f"answered {status} to whom it was shared with, due: a success"

    message = case.session.wait_until(find_problem)
    return case.build_result(case.build_requirement(parameter="seen"), message, share_exchange, exchanges[-1])


def _evaluate_read_only(case: Case, record: CreatedRecord) -> Iterator[CheckResult]:
    """Where the least is granted, an update is refused and changes nothing."""
    session = case.session
    update_operation = session.operation(record.resource, "update")
    if update_operation is None:
        return
    field = next(
        iter(
            iter_round_trip_fields(
                Case(case.check, session, update_operation), session.contract.resources[record.resource]
            )
        ),
        None,
    )
    if field is None:
        return
    value: Any = session.payloads.generate_value(field[0].schema, field[0].name)
    path_values = {update_operation.path_parameter_names[0]: record.key}
    exchange = session.send(update_operation, path=path_values, body={field[0].name: value}, actor="other")
    expected = [status for status in HIDDEN_STATUSES if status in update_operation.responses] or list(HIDDEN_STATUSES)
    requirement = case.build_requirement(parameter="only read")
    if exchange.response.status not in expected:
        message = f"an update was answered {exchange.response.status}, due: {' or '.join(map(str, expected))}"
        yield case.build_result(requirement, message, exchange)
        return
    retrieve_operation = session.require_operation(record.resource, "retrieve")
    attributes = get_stored_attributes(
        session.contract, retrieve_operation, retrieve_record(session, record.resource, record.key)[0]
    )
    was_applied = equal(attributes.get(field[0].name), value)
    yield case.build_result(
        requirement, f"refused, yet {field[0].name} is {truncate(value)}" if was_applied else "", exchange
    )


def _check_share_revocation(case: Case) -> Iterator[CheckResult]:
    """Taken back where the contract has a way to, or else with the record itself; judged again: still taken back."""
    session, operation = case.session, case.operation
    action = perform_action(case)
    if action.record is None or find_shared_tenant_reason(session):
        raise SkipCheck(find_shared_tenant_reason(session) or not_testable("the contract has no record in its path"))
    record, resource = action.record, session.contract.views[operation.envelope.view_name or ""].resource
    share = session.data(operation, action.exchange)
    key = share.get(session.contract.resources[resource].key_attribute) if isinstance(share, dict) else None
    delete_target = (
        (resource, key) if key is not None and session.operation(resource, "delete") else (record.resource, record.key)
    )
    session.retrieve(record.resource, record.key, actor="other")  # who has seen it once must not keep it
    delete_exchange = session.delete(*delete_target)
    if delete_exchange is None or not (delete_exchange.response.ok or delete_exchange.response.status == 404):
        raise SkipCheck(
            not_testable(
                f"the contract has no way to take back what was shared that the target takes: {delete_target[0]}"
            )
        )
    exchanges = [delete_exchange]

    def find_problem() -> str:
        exchanges.append(session.retrieve(record.resource, record.key, actor="other"))
        status = exchanges[-1].response.status
        return "" if status in HIDDEN_STATUSES else f"still answered {status} after the {delete_target[0]} was deleted"

    message = session.wait_until(find_problem)
    yield case.build_result(case.build_requirement(), message, delete_exchange, exchanges[-1])


CHECKS: tuple[Check, ...] = (
    Check(
        "sharing-grants-access",
        "A shared record is accessible to the recipient, with the granted permission only.",
        Category.SHARING,
        _grants_access,
        _check_share_grants_access,
        writes=True,
        needs_second_token=True,
    ),
    Check(
        "unsharing-revokes-access",
        "Deleting a share or the shared record revokes the access of the recipient.",
        Category.SHARING,
        _grants_access,
        _check_share_revocation,
        writes=True,
        needs_second_token=True,
    ),
)
