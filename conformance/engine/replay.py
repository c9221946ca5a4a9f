"""Making a failure anew: the same requests, on records that live."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemathesis.checks import CHECKS as FUNCTIONS
from schemathesis.core import NotSet
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation.case import Case

from conformance.engine.checks import Check, Seen
from conformance.engine.guard import HeldBack
from conformance.engine.wire import PLACEHOLDER, Wire
from conformance.exchange import AUTHORIZATION, Exchange
from conformance.notice import inspect_response


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a chain: the case, the one that it followed from, and what was asked and answered."""

    case: Case[Any]
    parent: str | None
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Chain:
    """What leads to a failure, the failing request last. `notice`: (law, place, keyword) of what our notices told."""

    steps: tuple[Step, ...]
    notice: tuple[str, str, str | None] | None
    failing: type[Failure] | None

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """What was asked and answered."""
        return tuple(step.exchange for step in self.steps)


def chain_of(wire: Wire, seen: Seen, failure: Failure | None, notice: tuple[str, str, str | None] | None) -> Chain:
    """What led to a failure that was just seen."""
    related = failure.related_case_ids() if failure is not None else ()
    cases = seen.recorder.iter_chain_cases(case_id=seen.case.id, related_case_ids=related)
    ids = {case.id for case in cases if case.id in wire.exchanges} | {seen.case.id}
    nodes = [(one, node) for one, node in seen.recorder.cases.items() if one in ids and one != seen.case.id]
    nodes.append((seen.case.id, seen.recorder.cases[seen.case.id]))
    steps = tuple(
        Step(node.value, node.parent_id if node.parent_id in ids else None, wire.exchanges[one]) for one, node in nodes
    )
    return Chain(steps, notice, type(failure) if failure is not None else None)


def again(wire: Wire, chain: Chain, check: Check) -> bool:
    """Whether the failure shows again. What the chain made the first time is made anew, and named instead.

    Raises HeldBack when it may not be made anew.
    """
    recorder = ScenarioRecorder(label="replay")
    renamed: dict[str, str] = {}
    cases: dict[str, Case[Any]] = {}
    broken = False
    try:
        for step in chain.steps:
            case = _renewed(wire, step, renamed)
            parent = cases.get(step.parent or "")
            recorder.record_case(case=case, parent_id=parent.id if parent else None)
            cases[step.case.id] = case
            response = wire.send(case, headers=_token(step))
            recorder.record_response(case_id=case.id, response=response)
            if case.id in wire.held:
                raise HeldBack(wire.held[case.id])
            exchange = wire.exchanges[case.id]
            renamed |= dict(_renamed(wire, step, exchange))
            if step is chain.steps[-1]:
                broken = _shows(wire, chain, check, case, response, recorder, exchange)
    finally:
        wire.forget(recorder.cases)
    return broken


def _shows(
    wire: Wire,
    chain: Chain,
    check: Check,
    case: Case[Any],
    response: Any,
    recorder: ScenarioRecorder,
    exchange: Exchange,
) -> bool:
    if chain.notice is not None:
        found = inspect_response(wire.session.schemas, wire.operation(case), exchange)
        return chain.notice in {(one.check, one.pointer, one.keyword) for one in found}
    try:
        case.validate_response(
            response,
            checks=[FUNCTIONS.get_one(check.name)],  # type: ignore[list-item]  # this one is a function
            headers=_token(chain.steps[-1]),
            transport_kwargs={"headers": _token(chain.steps[-1])},
            recorder=recorder,
        )
    except FailureGroup as error:
        return any(type(one) is chain.failing for one in error.exceptions)
    return False


def _token(step: Step) -> dict[str, str]:
    """The run's own, where it went along the first time."""
    return {AUTHORIZATION: PLACEHOLDER} if step.exchange.request.actor == "self" else {}


def _renewed(wire: Wire, step: Step, renamed: Mapping[str, str]) -> Case[Any]:
    """The case with the names of what was made anew; a read of what is gone is turned to a record that lives."""
    case, sent = step.case, step.exchange.request
    fresh = case.derive(keep_auth=True)
    fresh.freeze_metadata()  # what it was meant to be, it is still
    fresh.headers.pop(AUTHORIZATION, None)  # a check takes a token out of a case, and puts it back
    if AUTHORIZATION in sent.headers:
        fresh.headers[AUTHORIZATION] = sent.headers[AUTHORIZATION]
    fresh.path_parameters = {name: _named(value, renamed) for name, value in case.path_parameters.items()}
    fresh.query = _named(case.query, renamed)
    if not isinstance(case.body, NotSet):
        fresh.body = _named(case.body, renamed)
    operation = wire.operation(case)
    resource = wire.session.contract.resources.get(operation.resource or "")
    for name, value in fresh.path_parameters.items() if not operation.is_write else ():
        gone = resource is not None and wire.guard.was_mine(value) and not wire.guard.alive(resource.name, value)
        if resource is not None and gone and str(value) not in renamed.values():
            fresh.path_parameters = {**fresh.path_parameters, name: wire.guard.record(resource.name)}
    return fresh


def _named(value: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _named(one, renamed) for name, one in value.items()}
    if isinstance(value, list):
        return [_named(one, renamed) for one in value]
    return renamed.get(value, value) if isinstance(value, str) else value


def _renamed(wire: Wire, step: Step, exchange: Exchange) -> Iterator[tuple[str, str]]:
    """(key, key): what the chain made, or spoke of, the first time, and what it is this time."""
    operation = wire.operation(step.case)
    view = wire.session.contract.views.get(operation.envelope.view_name or "")
    then, now = (wire.session.data(operation, one) for one in (step.exchange, exchange))
    if view is not None and isinstance(then, dict) and isinstance(now, dict):
        key = wire.session.contract.resources[view.resource].key_attribute
        if isinstance(then.get(key), str) and isinstance(now.get(key), str):
            yield then[key], now[key]
    for name, value in step.exchange.request.path_values.items():
        other = exchange.request.path_values.get(name)
        if other is not None:
            yield str(value), str(other)
