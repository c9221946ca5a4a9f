"""Finds the parts of a rule that cannot have an effect."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from mock_server.actions import OUTCOME_ACTIONS, TEXT_ACTIONS
from mock_server.sandbox.rules import Fault
from mock_server.web.faults import BODY_FAULTS
from spec.model import Contract, Operation

MAX_RECEIVED_CHARS = 200  # of a value in a message
STATUSES_WITHOUT_BODY = (204, 304)
_ROUTE_CONDITIONS = ("operation", "tag", "effect", "secured", "method", "path")
# Values with which a property of a response changes nothing.
_NEUTRAL_VALUES: Mapping[str, Any] = {"patch": {}, "headers": [], "delay_ms": 0}
# Properties of a response that only some actions use.
_ACTIONS_BY_PROPERTY = {"outcome": OUTCOME_ACTIONS, "text": TEXT_ACTIONS}
_EXPECTED_RESPONSE = "status, patch, delay_ms or another property; [{}] for the usual response"


def find_match_problem(conditions: Mapping[str, Any], operations: Sequence[Operation]) -> str | None:
    """Return what is wrong with conditions that no operation fulfils. `operations`: those that fulfil them."""
    route = {name: conditions[name] for name in _ROUTE_CONDITIONS if name in conditions}
    if operations or not route:
        return None
    received = f"received {_encode(route)}, expected conditions that one operation fulfils"
    return f"The match field matches no operation of the contract ({received})."


def find_ineffective_parts(
    contract: Contract, body: Mapping[str, Any], operations: Sequence[Operation]
) -> dict[str, str]:
    """Return messages by field. `operations`: those that the rule can match."""
    errors: dict[str, str] = {}
    respond = body["respond"]
    if body.get("probability") == 0:
        expected = "received 0, expected a number greater than 0"
        errors["probability"] = f"The probability field lets the rule never apply ({expected})."
    if isinstance(respond, dict) and all(_NEUTRAL_VALUES.get(name) == value for name, value in respond.items()):
        received = "an empty object" if not respond else _encode(respond)
        message = f"The respond field has no effect (received {received}, expected {_EXPECTED_RESPONSE})."
        return {**errors, "respond": message}
    for field, response in list_responses(respond):
        for name, problem in _iter_response_problems(contract, response, operations):
            errors[f"{field}.{name}"] = f"The {field}.{name} field has no effect ({problem})."
    return errors


def list_responses(respond: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the responses of a rule, each with its field."""
    if isinstance(respond, dict):
        return [("respond", respond)]
    return [(f"respond.{index}", response) for index, response in enumerate(respond)]


def _iter_response_problems(
    contract: Contract, response: Mapping[str, Any], operations: Sequence[Operation]
) -> Iterator[tuple[str, str]]:
    """Yield (property, problem) for each property of a response without an effect."""
    status, fault = response.get("status"), response.get("fault")
    if status in STATUSES_WITHOUT_BODY:
        for name in ("body", "patch"):
            if name in response:
                yield name, f"a response with the status {status} has no body"
        if fault is not None and Fault(fault) in BODY_FAULTS:
            yield "fault", f"received {fault}, but a response with the status {status} has no body"
    for name, actions in _ACTIONS_BY_PROPERTY.items():
        if name in response and not any(operation.action in actions for operation in operations):
            usable = [operation.id for operation in contract.operations.values() if operation.action in actions]
            yield name, f"the rule matches no operation that uses it, expected {' or '.join(usable) or 'none'}"


def _encode(value: Any) -> str:
    return orjson.dumps(value).decode()[:MAX_RECEIVED_CHARS]
