"""Sums in responses: a property that the contract defines as the sum of other properties of the same object."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.responses.findings import Finding, format_path
from conformance.transport.messages import Exchange
from spec.document import Document, escape, iter_keyword_objects

SUM_CHECK = "response-matches-schema"  # the check that reports the findings
SUM_KEYWORD = "x-sum-of"
MAX_DEPTH = 30
MAX_INSPECTED_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SumRule:
    """A property `name` that is the sum of `parts`. `siblings`: all names of the object; None if it may have others."""

    pointer: str
    name: str
    parts: tuple[str, ...]
    siblings: frozenset[str] | None

    def applies_to(self, value: Mapping[str, Any]) -> bool:
        """Whether an object has the property and its parts, all numbers, and only the names of its schema."""
        names = (self.name, *self.parts)
        has_all = all(_is_number(value.get(name)) for name in names)
        return has_all and (self.siblings is None or value.keys() <= self.siblings)


def find_sum_rules(document: Document) -> tuple[SumRule, ...]:
    """Return the properties of a document that are sums of others (`x-sum-of`)."""
    rules = []
    for node, pointer in iter_keyword_objects(document.root):
        properties = node.get("properties")
        if not isinstance(properties, dict):
            continue
        for name, schema in properties.items():
            if isinstance(schema, dict) and SUM_KEYWORD in schema:
                is_closed = node.get("additionalProperties") is False
                siblings = frozenset(properties) if is_closed else None
                location = f"{pointer}/properties/{escape(name)}"
                rules.append(SumRule(location, name, tuple(schema[SUM_KEYWORD]), siblings))
    return tuple(rules)


def inspect_sums(rules: Iterable[SumRule], exchange: Exchange) -> Iterator[Finding]:
    """Yield a finding for each property of a successful response that is not the sum of its parts."""
    response = exchange.response
    content = response.content
    relevant = [rule for rule in rules if f'"{rule.name}"'.encode() in content]
    if not relevant or not response.ok or len(content) > MAX_INSPECTED_BYTES:
        return
    reported: set[str] = set()
    body = response.json if isinstance(response.json, (dict, list)) else {}
    for rule, path, value in _iter_sums(relevant, body, (), 0):
        expected = sum(value[part] for part in rule.parts)
        subject = format_path(path)
        if math.isclose(value[rule.name], expected, rel_tol=1e-9, abs_tol=1e-6) or subject in reported:
            continue
        reported.add(subject)
        parts = " + ".join(rule.parts)
        message = f"{subject} of {response.status}: got {value[rule.name]}, expected {expected} ({parts})"
        yield Finding(SUM_CHECK, rule.pointer, None, message, subject)


def _iter_sums(
    rules: Iterable[SumRule], value: Any, path: tuple[Any, ...], depth: int
) -> Iterator[tuple[SumRule, tuple[Any, ...], Mapping[str, Any]]]:
    """Yield (rule, path of the sum, object with it) of each sum in a value, at any depth."""
    if isinstance(value, dict):
        yield from ((rule, (*path, rule.name), value) for rule in rules if rule.applies_to(value))
    for name, child in _iter_children(value) if depth < MAX_DEPTH else ():
        yield from _iter_sums(rules, child, (*path, name), depth + 1)


def _iter_children(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (name or number, child) of the objects and lists in an object or a list."""
    children = value.items() if isinstance(value, dict) else enumerate(value)
    return ((name, child) for name, child in children if isinstance(child, (dict, list)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
