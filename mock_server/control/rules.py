"""Operations on the rules of a sandbox."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from mock_server.control.call import ControlRequest, ControlResult
from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.rules import Fault, Rule, RuleMatch, RuleResponse

MAX_RULES = 1_000


async def list_rules(request: ControlRequest) -> ControlResult:
    rules = (await request.find_entry()).sandbox.rules.rules
    return ControlResult(HTTPStatus.OK, {"rules": [_describe_rule(rule) for rule in rules]})


async def create_rule(request: ControlRequest) -> ControlResult:
    """Add a rule, instead of one with its name. Raises ApiError (409) if there are too many."""
    rules = (await request.find_entry()).sandbox.rules
    if len(rules.rules) >= MAX_RULES:
        raise ApiError(ErrorKind.CONTROL_CONFLICT, message=f"The sandbox has {MAX_RULES} rules: delete some.")
    rule = parse_rule(request.body, request.body.get("name") or rules.create_name())
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


def parse_rule(body: Mapping[str, Any], name: str) -> Rule:
    """Return the rule of a validated body."""
    match, respond = body.get("match", {}), body["respond"]
    conditions = {condition: value for condition, value in match.items() if condition != "body"}
    responses = [_parse_response(item) for item in (respond if isinstance(respond, list) else [respond])]
    return Rule(
        name=name,
        match=RuleMatch(**conditions, body=match.get("body"), has_body="body" in match),
        responses=responses,
        source={"match": match, "respond": respond},
        times=body.get("times"),
        probability=body.get("probability", 1.0),
        priority=body.get("priority", 0),
    )


def _parse_response(node: Mapping[str, Any]) -> RuleResponse:
    values = {name: value for name, value in node.items() if name not in ("headers", "fault")}
    headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in node.get("headers", ())))
    fault = Fault(node["fault"]) if "fault" in node else None
    return RuleResponse(**values, headers=headers, fault=fault, has_body="body" in node, has_patch="patch" in node)


def _describe_rule(rule: Rule) -> dict[str, Any]:
    optional = {} if rule.times is None else {"times": rule.times}
    values = {"probability": rule.probability, "priority": rule.priority, "hits": rule.hits, "applied": rule.applied}
    return {"name": rule.name, **rule.source, **optional, **values}
