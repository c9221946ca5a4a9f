"""Operations on the rules of a sandbox."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Any

import orjson

from mock_server.control.call import ControlRequest, ControlResult
from mock_server.control.path_conditions import MAX_RECEIVED_CHARS, can_match, find_path_problem, remove_base_path
from mock_server.control.rule_effects import find_ineffective_parts, find_match_problem, list_responses
from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.rules import (
    FAULT_KEY,
    Fault,
    MatchedRequest,
    RateLimit,
    Rule,
    RuleMatch,
    RuleResponse,
    RuleSet,
)
from mock_server.web.forced_responses import find_examples
from mock_server.web.validation_messages import describe_names
from spec.document import parse_yaml
from spec.model import Contract, Operation

MAX_RULES = 1_000
_RULE_BYTES, _CONTAINER_BYTES = 2048, 64  # estimated memory in addition to the texts
_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding"})
_PRESETS_FILE = "presets.yaml"
_FAULT_BY_PROPERTY = {f.name: f.metadata[FAULT_KEY] for f in fields(RuleResponse) if FAULT_KEY in f.metadata}


async def list_rules(request: ControlRequest) -> ControlResult:
    rules = (await request.find_entry()).sandbox.rules.rules
    return ControlResult(HTTPStatus.OK, {"rules": [_describe_rule(rule) for rule in rules]})


async def create_rule(request: ControlRequest) -> ControlResult:
    """Add a rule, instead of one with its name. Raises ApiError: 409 if there are too many, 429 without memory."""
    rules = (await request.find_entry()).sandbox.rules
    if len(rules.rules) >= MAX_RULES:
        raise ApiError(ErrorKind.CONTROL_CONFLICT, message=f"The sandbox has {MAX_RULES} rules: delete some.")
    body, contract = resolve_preset(request.body), request.registry.default.contract
    errors = find_rule_errors(contract, body)
    if errors:
        raise ApiError(ErrorKind.VALIDATION_FAILED, errors={field: [message] for field, message in errors.items()})
    rule = parse_rule(contract, body, body.get("name") or rules.create_name())
    replaced_bytes = sum(existing.byte_count for existing in rules.rules if existing.name == rule.name)
    request.registry.reserve(rule.byte_count - replaced_bytes)
    rules.add(rule)
    return ControlResult(HTTPStatus.CREATED, _describe_rule(rule))


async def delete_rules(request: ControlRequest) -> ControlResult:
    (await request.find_entry()).sandbox.rules.clear()
    return ControlResult(HTTPStatus.NO_CONTENT)


async def delete_rule(request: ControlRequest) -> ControlResult:
    name, entry = request.get_name("rule"), await request.find_entry()
    if not entry.sandbox.rules.remove(name):
        message = f"The sandbox {entry.sandbox.name} has no rule {name}."
        raise ApiError(ErrorKind.CONTROL_NOT_FOUND, message=message)
    return ControlResult(HTTPStatus.NO_CONTENT)


async def list_presets(request: ControlRequest) -> ControlResult:
    presets = [{"name": name, **preset} for name, preset in read_presets().items()]
    return ControlResult(HTTPStatus.OK, {"presets": presets})


@cache
def read_presets() -> Mapping[str, Any]:
    """Return the ready-made rules by name: ``description`` and ``rule`` of each."""
    presets: Mapping[str, Any] = parse_yaml((resources.files(__package__) / _PRESETS_FILE).read_bytes(), _PRESETS_FILE)
    return presets


def resolve_preset(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the rule of a preset, whose properties `body` replaces; `body` itself if it names no preset."""
    if "preset" not in body:
        return body
    overrides = {name: value for name, value in body.items() if name != "preset"}
    return {"name": body["preset"], **read_presets()[body["preset"]]["rule"], **overrides}


def create_rule_set(contract: Contract, bodies: Iterable[Mapping[str, Any]]) -> RuleSet:
    """Return the rules of validated bodies; the first takes precedence."""
    rules = RuleSet()
    resolved = [resolve_preset(body) for body in bodies]
    names = [body["name"] for body in resolved if "name" in body]
    named = [(body.get("name") or rules.create_name(names), body) for body in resolved]
    for name, body in reversed(named):
        rules.add(parse_rule(contract, body, name))
    return rules


def find_rule_errors(contract: Contract, body: Mapping[str, Any]) -> dict[str, str]:
    """Return what prevents a rule that fulfils the schema from having an effect: messages by field."""
    errors: dict[str, str] = {}
    match, respond = body.get("match", {}), body["respond"]
    path = match.get("path")
    problem = None if path is None else find_path_problem(contract, path, "match.path")
    if problem is not None:
        return {"match.path": problem}
    operations = _list_operations(contract, match)
    problem = find_match_problem(match, operations)
    if problem is not None:
        return {"match": problem}
    for field, response in list_responses(respond):
        for name, fault in _FAULT_BY_PROPERTY.items():
            if name in response and response.get("fault") != fault.value:
                received = response.get("fault", "no fault")
                expectation = f"(received {received}, expected fault {fault.value})"
                errors[f"{field}.{name}"] = f"The {field}.{name} field has no effect {expectation}."
        errors |= _find_header_problems(response, f"{field}.headers")
        problem = _find_example_problem(contract, operations, response, f"{field}.example")
        if problem is not None:
            errors[f"{field}.example"] = problem
    return find_ineffective_parts(contract, body, operations) | errors


def _find_header_problems(response: Mapping[str, Any], field: str) -> dict[str, str]:
    """Return the header lines that cannot be sent: messages by field."""
    lines = {f"{field}.{index}": line for index, line in enumerate(response.get("headers", ()))}
    problems = {name: _find_header_problem(line, name) for name, line in lines.items()}
    return {name: problem for name, problem in problems.items() if problem is not None}


def _find_header_problem(line: str, field: str) -> str | None:
    """Return why a header line cannot be sent: only the mock itself frames the body (RFC 9112, section 6)."""
    name, _, value = line.lower().partition(": ")
    if name in _FRAMING_HEADERS:
        expected = "no such header: the mock sets it from the body; the fault truncate cuts the body off"
    elif name == "connection" and value.strip() != "close":
        expected = "Connection: close: the mock decides on everything else"
    else:
        return None
    return (
        f'The {field} field would break the HTTP message (received "{line[:MAX_RECEIVED_CHARS]}", expected {expected}).'
    )


def _list_operations(contract: Contract, conditions: Mapping[str, Any]) -> list[Operation]:
    """Return the operations that a rule can match."""
    match = parse_match(
        contract, {n: v for n, v in conditions.items() if n in ("operation", "tag", "effect", "secured")}
    )
    method, path = conditions.get("method"), conditions.get("path")
    return [
        operation
        for operation in contract.operations.values()
        if match.matches(MatchedRequest(operation, "", "", "", {}))
        and method in (None, operation.method.upper(), "HEAD" if operation.method.upper() == "GET" else None)
        and (path is None or can_match(remove_base_path(contract, path), operation.path))
    ]


def _find_example_problem(
    contract: Contract, operations: Sequence[Operation], response: Mapping[str, Any], field: str
) -> str | None:
    """Return what is wrong with an example that no operation has; None if one has it."""
    name = response.get("example")
    if name is None or "body" in response:
        return None
    names: dict[str, None] = {}
    for operation in operations:
        status = response.get("status", operation.envelope.status)
        names |= dict.fromkeys(find_examples(contract, operation, status))
    if name in names:
        return None
    subject = operations[0].id if len(operations) == 1 else "an operation that the rule matches"
    status_text = f" with the status {response['status']}" if "status" in response else ""
    expected = describe_names(name, list(names))
    return f'The {field} field is not an example of {subject}{status_text} (received "{name}", expected {expected}).'


def parse_rule(contract: Contract, body: Mapping[str, Any], name: str) -> Rule:
    """Return the rule of a validated body."""
    match, respond = body.get("match", {}), body["respond"]
    responses = [_parse_response(item) for item in (respond if isinstance(respond, list) else [respond])]
    source = {"match": match, "respond": respond}
    return Rule(
        name=name,
        match=parse_match(contract, match),
        responses=responses,
        source=source,
        byte_count=_estimate_bytes(source),
        times=body.get("times"),
        probability=body.get("probability", 1.0),
        priority=body.get("priority", 0),
    )


def _estimate_bytes(source: Mapping[str, Any]) -> int:
    """Return the memory of a rule: that of its texts, and of its objects and arrays."""
    content = orjson.dumps(source)
    return _RULE_BYTES + len(content) + (content.count(b"{") + content.count(b"[")) * _CONTAINER_BYTES


def parse_match(contract: Contract, conditions: Mapping[str, Any]) -> RuleMatch:
    """Return the match of validated conditions by name. A `body` of null is a condition, too."""
    match = RuleMatch(**conditions, has_body="body" in conditions)
    return match if match.path is None else replace(match, path=remove_base_path(contract, match.path))


def _parse_response(node: Mapping[str, Any]) -> RuleResponse:
    values = {name: value for name, value in node.items() if name not in ("headers", "fault", "rate_limit")}
    headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in node.get("headers", ())))
    fault = Fault(node["fault"]) if "fault" in node else None
    limit = RateLimit(**node["rate_limit"]) if "rate_limit" in node else None
    parsed: dict[str, Any] = {"headers": headers, "fault": fault, "rate_limit": limit}
    return RuleResponse(**values, **parsed, has_body="body" in node, has_patch="patch" in node)


def _describe_rule(rule: Rule) -> dict[str, Any]:
    optional = {} if rule.times is None else {"times": rule.times}
    values = {"probability": rule.probability, "priority": rule.priority, "hits": rule.hits, "applied": rule.applied}
    return {"name": rule.name, **rule.source, **optional, **values}
