"""Reruns of failures: the same requests, on existing records."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemathesis.checks import CHECKS as FUNCTIONS
from schemathesis.core import NotSet
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation.case import Case

from conformance.responses.findings import Finding, inspect_response
from conformance.schemathesis_engine.checks import EngineCheck, SentCase
from conformance.schemathesis_engine.transport import PLACEHOLDER_TOKEN, CaseTransport
from conformance.schemathesis_engine.write_guard import BlockedRequest
from conformance.transport.messages import AUTHORIZATION, Actor, Exchange, map_texts


@dataclass(frozen=True, slots=True)
class ChainStep:
    """One request of a chain. `parent_id`: the case that it depends on."""

    case: Case[Any]
    parent_id: str | None
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class RequestChain:
    """The requests that lead to a failure, in order. `finding`: of a response check, or None."""

    steps: tuple[ChainStep, ...]
    finding: Finding | None
    failure_type: type[Failure] | None

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        return tuple(step.exchange for step in self.steps)


def build_chain(
    transport: CaseTransport, sent_case: SentCase, failure: Failure | None, finding: Finding | None
) -> RequestChain:
    related_ids = failure.related_case_ids() if failure is not None else ()
    cases = sent_case.recorder.iter_chain_cases(case_id=sent_case.case.id, related_case_ids=related_ids)
    case_ids = {case.id for case in cases if case.id in transport.exchanges} | {sent_case.case.id}
    recorded = [(case_id, node) for case_id, node in sent_case.recorder.cases.items() if case_id in case_ids]
    steps = tuple(
        ChainStep(node.value, node.parent_id if node.parent_id in case_ids else None, transport.exchanges[case_id])
        for case_id, node in sorted(recorded, key=lambda item: item[0] == sent_case.case.id)  # the failed case is last
    )
    return RequestChain(steps, finding, type(failure) if failure is not None else None)


def reproduce_failure(transport: CaseTransport, chain: RequestChain, check: EngineCheck) -> bool:
    """Send the chain again, with the ids of the records that it creates; return whether the failure recurs.

    Raises BlockedRequest when a request may not be repeated.
    """
    recorder = ScenarioRecorder(label="replay")
    id_changes: dict[str, str] = {}
    new_cases: dict[str, Case[Any]] = {}
    try:
        for step in chain.steps:
            case = _rebuild_case(transport, step, id_changes)
            parent = new_cases.get(step.parent_id or "")
            recorder.record_case(case=case, parent_id=parent.id if parent else None)
            new_cases[step.case.id] = case
            # the run's token, if the original request had it
            headers = {AUTHORIZATION: PLACEHOLDER_TOKEN} if step.exchange.request.actor == Actor.OWNER else {}
            response = transport.send(case, headers=headers)
            recorder.record_response(case_id=case.id, response=response)
            if case.id in transport.block_reasons:
                raise BlockedRequest(transport.block_reasons[case.id])
            exchange = transport.exchanges[case.id]
            id_changes |= dict(_find_id_changes(transport, step, exchange))
        if chain.finding is not None:
            findings = inspect_response(transport.session.schemas, transport.operation(case), exchange)
            original = (chain.finding.check, chain.finding.pointer, chain.finding.keyword)
            return any((item.check, item.pointer, item.keyword) == original for item in findings)
        function: Any = FUNCTIONS.get_one(check.name)
        case.validate_response(
            response, checks=[function], headers=headers, transport_kwargs={"headers": headers}, recorder=recorder
        )
    except FailureGroup as error:
        return any(type(item) is chain.failure_type for item in error.exceptions)
    finally:
        transport.forget(recorder.cases)
    return False


def _rebuild_case(transport: CaseTransport, step: ChainStep, id_changes: Mapping[str, str]) -> Case[Any]:
    """Copy a case with the new ids; a read of a deleted record is redirected to an existing one."""
    case, original_request = step.case, step.exchange.request
    new_case = case.derive(keep_auth=True)
    new_case.freeze_metadata()  # a valid case remains valid
    new_case.headers.pop(AUTHORIZATION, None)  # checks remove and restore the token of a case
    if AUTHORIZATION in original_request.headers:
        new_case.headers[AUTHORIZATION] = original_request.headers[AUTHORIZATION]

    def replace_id(text: str) -> str:
        return id_changes.get(text, text)

    new_case.path_parameters = map_texts(case.path_parameters, replace_id)
    new_case.query = map_texts(case.query, replace_id)
    if not isinstance(case.body, NotSet):
        new_case.body = map_texts(case.body, replace_id)
    operation = transport.operation(case)
    resource = transport.session.contract.resources.get(operation.resource or "")
    if operation.is_write or resource is None:
        return new_case
    guard = transport.guard
    for name, value in new_case.path_parameters.items():
        is_deleted = guard.was_created(value) and not guard.is_existing_record(resource.name, value)
        if is_deleted and str(value) not in id_changes.values():
            new_case.path_parameters = {**new_case.path_parameters, name: guard.ensure_record_key(resource.name)}
    return new_case


def _find_id_changes(transport: CaseTransport, step: ChainStep, exchange: Exchange) -> Iterator[tuple[str, str]]:
    """Find (original, new) ids of the records that a step created or used."""
    operation = transport.operation(step.case)
    view = transport.session.contract.views.get(operation.envelope.view_name or "")
    read_data = transport.session.operations.data
    original_data, new_data = read_data(operation, step.exchange), read_data(operation, exchange)
    if view is not None and isinstance(original_data, dict) and isinstance(new_data, dict):
        key = transport.session.contract.resources[view.resource].key_attribute
        if isinstance(original_data.get(key), str) and isinstance(new_data.get(key), str):
            yield original_data[key], new_data[key]
    for name, value in step.exchange.request.path_values.items():
        new_value = exchange.request.path_values.get(name)
        if new_value is not None:
            yield str(value), str(new_value)
