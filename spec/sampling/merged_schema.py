"""Merges the schemas that a value must all match: `$ref`, `allOf`, and chosen options of `anyOf`, `oneOf` and `if`."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from spec.document import Document

_LOWER_BOUNDS = frozenset({"minLength", "minItems", "minProperties", "minContains"})
_UPPER_BOUNDS = frozenset({"maxLength", "maxItems", "maxProperties", "maxContains"})
# Keywords of which each schema adds one.
_COLLECTED_KEYWORDS = ("pattern", "contains", "propertyNames", "items", "unevaluatedItems")
_FIRST_KEYWORDS = ("format", "prefixItems", "discriminator", "example", "examples", "default", "contentEncoding")


@dataclass(frozen=True, slots=True)
class Choice:
    """An `anyOf`, a `oneOf` (`is_exclusive`), or the two branches of an `if`.

    `discriminator`: the OpenAPI keyword next to it, or empty.
    """

    options: tuple[Any, ...]
    is_exclusive: bool
    discriminator: Mapping[str, Any]


@dataclass(slots=True)
class MergedSchema:
    """The conjunction of some schemas.

    `types`: None if any type is permitted. `values`: those of `enum` and `const`; None without one. `properties`: the
    schemas of each property. `additional`: the schemas of other properties. `closed_names`: for each schema that
    permits no other properties, those that it permits. `collected`: keyword -> its value in each schema. `minimum`,
    `maximum`: with whether the limit itself is excluded. `references`: pointers that were followed.
    """

    document: Document = field(repr=False)
    types: frozenset[str] | None = None
    values: list[Any] | None = None
    minimum: tuple[Fraction, bool] | None = None
    maximum: tuple[Fraction, bool] | None = None
    step: Fraction | None = None
    lower: dict[str, int] = field(default_factory=dict)
    upper: dict[str, int] = field(default_factory=dict)
    first: dict[str, Any] = field(default_factory=dict)
    collected: dict[str, list[Any]] = field(default_factory=dict)
    is_unique: bool = False
    properties: dict[str, list[Any]] = field(default_factory=dict)
    pattern_properties: dict[str, list[Any]] = field(default_factory=dict)
    required: dict[str, None] = field(default_factory=dict)  # an ordered set
    additional: list[Any] = field(default_factory=list)
    closed_names: list[tuple[frozenset[str], tuple[str, ...]]] = field(default_factory=list)
    dependent_required: dict[str, list[str]] = field(default_factory=dict)
    choices: tuple[Choice, ...] = ()
    references: dict[str, None] = field(default_factory=dict)  # an ordered set
    is_impossible: bool = False

    @classmethod
    def from_schemas(cls, document: Document, schemas: Iterable[Any]) -> "MergedSchema":
        """Merge the schemas."""
        merged = cls(document)
        for schema in schemas:
            merged._add(schema)
        return merged

    def with_option(self, choice: Choice, option: Any) -> "MergedSchema":
        """Return a copy in which an option of a choice is merged."""
        merged = replace(
            self,
            values=None if self.values is None else [*self.values],
            lower={**self.lower},
            upper={**self.upper},
            first={**self.first},
            collected=_copy_lists(self.collected),
            properties=_copy_lists(self.properties),
            pattern_properties=_copy_lists(self.pattern_properties),
            required={**self.required},
            references={**self.references},
            additional=[*self.additional],
            closed_names=[*self.closed_names],
            dependent_required=_copy_lists(self.dependent_required),
            choices=tuple(other for other in self.choices if other is not choice),
        )
        merged._add(option)
        return merged

    def _add(self, schema: Any) -> None:
        if schema is False:
            self.is_impossible = True
        if not isinstance(schema, dict):
            return
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference not in self.references:  # else a schema that consists of itself
                self.references[reference] = None
                self._add(self.document.resolve(reference))
            return
        self._add_values(schema)
        self._add_bounds(schema)
        self._add_object(schema)
        for part in schema.get("allOf", ()):
            self._add(part)
        self._add_choices(schema)

    def _add_choices(self, schema: Mapping[str, Any]) -> None:
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                discriminator = schema.get("discriminator") or {}
                self.choices += (Choice(tuple(schema[keyword]), keyword == "oneOf", discriminator),)
        if "if" in schema and schema.keys() & {"then", "else"}:
            condition = {"allOf": [schema["if"], schema.get("then", True)]}
            self.choices += (Choice((condition, schema.get("else", True)), False, {}),)

    def _add_values(self, schema: Mapping[str, Any]) -> None:
        types = _read_types(schema)
        if types is not None:
            self.types = types if self.types is None else _intersect_types(self.types, types)
            self.is_impossible |= not self.types
        for values in ([schema["const"]] if "const" in schema else None, schema.get("enum")):
            if values is not None:
                known = None if self.values is None else {canonical_text(value) for value in self.values}
                self.values = [value for value in values if known is None or canonical_text(value) in known]
                self.is_impossible |= not self.values
        for keyword in _FIRST_KEYWORDS:
            if keyword in schema:
                self.first.setdefault(keyword, schema[keyword])
        for keyword in _COLLECTED_KEYWORDS:
            if keyword in schema:
                self.collected.setdefault(keyword, []).append(schema[keyword])
        self.is_unique |= schema.get("uniqueItems") is True

    def _add_bounds(self, schema: Mapping[str, Any]) -> None:
        for keyword in _LOWER_BOUNDS & schema.keys():
            self.lower[keyword] = max(int(schema[keyword]), self.lower.get(keyword, 0))
        for keyword in _UPPER_BOUNDS & schema.keys():
            self.upper[keyword] = min(int(schema[keyword]), self.upper.get(keyword, int(schema[keyword])))
        for limit in _read_limits(schema, "minimum", "exclusiveMinimum"):
            self.minimum = limit if self.minimum is None else max(self.minimum, limit)
        for value, is_excluded in _read_limits(schema, "maximum", "exclusiveMaximum"):
            current = self.maximum
            if current is None or (value, not is_excluded) < (current[0], not current[1]):
                self.maximum = (value, is_excluded)
        step = schema.get("multipleOf")
        if isinstance(step, (int, float)) and _is_number(step) and step > 0:
            self.step = Fraction(str(step)) if self.step is None else _least_common_multiple(self.step, str(step))

    def _add_object(self, schema: Mapping[str, Any]) -> None:
        properties, patterns = schema.get("properties") or {}, schema.get("patternProperties") or {}
        for name, node in properties.items():
            self.properties.setdefault(name, []).append(node)
        for pattern, node in patterns.items():
            self.pattern_properties.setdefault(pattern, []).append(node)
        self.required |= dict.fromkeys(name for name in schema.get("required") or () if isinstance(name, str))
        for keyword in ("additionalProperties", "unevaluatedProperties"):
            if isinstance(schema.get(keyword), dict):
                self.additional.append(schema[keyword])
        if schema.get("additionalProperties") is False:
            self.closed_names.append((frozenset(properties), tuple(patterns)))
        for name, names in (schema.get("dependentRequired") or {}).items():
            self.dependent_required.setdefault(name, []).extend(names)


def _copy_lists(lists: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: [*values] for name, values in lists.items()}


def canonical_text(value: Any) -> str:
    """Return a text that is equal for equal JSON values; 1 and True differ, 1 and 1.0 do not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def _read_types(schema: Mapping[str, Any]) -> frozenset[str] | None:
    types = schema.get("type")
    if types is None:
        return None
    names = {types} if isinstance(types, str) else set(types)
    if schema.get("nullable") is True:
        names.add("null")
    return frozenset(names)


def _intersect_types(first: frozenset[str], second: frozenset[str]) -> frozenset[str]:
    common = first & second
    if any({"integer", "number"} == {a, b} for a in first - second for b in second - first):
        common |= {"integer"}
    return common


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _read_limits(schema: Mapping[str, Any], inclusive: str, exclusive: str) -> Sequence[tuple[Fraction, bool]]:
    """Return the limits of numbers, each with whether it is excluded."""
    limits: list[tuple[Fraction, bool]] = []
    if _is_number(schema.get(inclusive)):
        limits.append((Fraction(str(schema[inclusive])), schema.get(exclusive) is True))
    if _is_number(schema.get(exclusive)):
        limits.append((Fraction(str(schema[exclusive])), True))
    return limits


def _least_common_multiple(first: Fraction, text: str) -> Fraction:
    second = Fraction(text)
    denominator = math.lcm(first.denominator, second.denominator)
    numerators = (int(first * denominator), int(second * denominator))
    return Fraction(math.lcm(*numerators), denominator)
