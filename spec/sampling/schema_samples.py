"""Generates a JSON value that is valid against a schema; always the same for the same seed.

A value is generated without regard to keywords that only a validator can decide (`oneOf`, `not`, `if`, ...), and then
validated. If it is invalid, the next strategy is tried.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from random import Random
from typing import Any

from spec.composition.discriminators import list_discriminator_values
from spec.errors import ContractError
from spec.sampling.formats import FORMAT_FACTORIES, SHORT_TEXTS
from spec.sampling.merged_schema import Choice, MergedSchema, canonical_text
from spec.sampling.regex_samples import UnsupportedPattern, sample_text
from spec.validators import Direction, SchemaValidators

MAX_OPTIONAL_DEPTH = 5  # of optional properties and items
MAX_DEPTH = 30  # of required ones
MAX_OPTIONAL_VALUES = 400  # after this number of values, only required ones are generated
MAX_VALUES = 20_000
MAX_CAREFUL_VALUES = 1_000  # each may be validated by itself
MAX_ITEMS = 1_000
MAX_TEXT_CHARS = 100_000
_PATTERN_ATTEMPTS = 20
_MAX_INTEGERS = {"int32": 2**31 - 1, "int64": 2**63 - 1}
_SCALAR_TYPES = ("string", "integer", "number", "boolean")
_TYPE_ORDER = ("object", "array", *_SCALAR_TYPES, "null")
_TYPES_BY_KEYWORD = {"items": "array", "contains": "array", "pattern": "string", "propertyNames": "object"}
_MISSING = object()


class CannotGenerate(Exception):
    """No valid value of a schema was found."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """How values are generated.

    `uses_examples`: take the examples of nested schemas. `only_required`: without optional properties. `is_careful`:
    validate each value of an `anyOf` or `oneOf`, so that another option is tried. `attempt`: varies the random values.
    """

    uses_examples: bool = True
    only_required: bool = False
    is_careful: bool = False
    attempt: int = 0


STRATEGIES = (
    Strategy(),
    Strategy(uses_examples=False),
    Strategy(uses_examples=False, is_careful=True),
    Strategy(uses_examples=False, only_required=True),
    *(Strategy(uses_examples=False, is_careful=True, only_required=n % 2 == 0, attempt=n) for n in range(1, 7)),
)


@dataclass(frozen=True, slots=True)
class SchemaSampler:
    """Generates the values of the schemas of a document, for responses (``read``) or requests (``write``)."""

    schemas: SchemaValidators
    direction: Direction = "read"

    def sample(self, pointer: str, seed: str, *, only_required: bool = False) -> Any:
        """Return a valid value of the schema at `pointer`. Raises CannotGenerate."""
        schema, validator = self.schemas.document.resolve(pointer), self.schemas.get(pointer, self.direction)
        return self._find_valid(schema, validator.is_valid, seed, only_required=only_required)

    def sample_schema(self, schema: Any, seed: str, *, only_required: bool = False) -> Any:
        """Return a valid value of a schema that the document does not have. Raises CannotGenerate."""
        is_valid = partial(self.schemas.is_valid, schema, direction=self.direction)
        return self._find_valid(schema, is_valid, seed, only_required=only_required)

    def _find_valid(self, schema: Any, is_valid: Callable[[Any], bool], seed: str, *, only_required: bool) -> Any:
        for strategy in STRATEGIES:
            if only_required:
                strategy = replace(strategy, only_required=True)
            with suppress(CannotGenerate, RecursionError):
                value = _ValueGenerator(self.schemas, self.direction, strategy, seed).generate_root(schema)
                if is_valid(value):
                    return value
        raise CannotGenerate(seed)


@dataclass(frozen=True, slots=True)
class _ValuePlace:
    """Where a value is generated.

    `name`: of the property. `path`: for the seed of its random values. `variant`: makes the items of a list distinct.
    `references`: the schemas that contain it. `is_required`: whether it cannot be omitted.
    """

    name: str = ""
    path: str = ""
    depth: int = 0
    variant: int = 0
    references: frozenset[str] = frozenset()
    is_required: bool = True

    def descend(
        self, step: object, merged: MergedSchema, *, is_required: bool, name: str | None = None
    ) -> "_ValuePlace":
        """Return the place of a property or an item; `merged`: the schema that contains it."""
        return _ValuePlace(
            self.name if name is None else name,
            f"{self.path}/{step}",
            self.depth + 1,
            self.variant,
            self.references.union(merged.references),
            is_required,
        )


class _ValueGenerator:
    """Generates one value."""

    def __init__(self, schemas: SchemaValidators, direction: Direction, strategy: Strategy, seed: str) -> None:
        self.schemas = schemas
        self.direction = direction
        self.hidden_flag = "writeOnly" if direction == "read" else "readOnly"
        self.strategy = strategy
        self.seed = f"{seed}#{strategy.attempt}"
        self.value_count = 0
        self.max_values = MAX_CAREFUL_VALUES if strategy.is_careful else MAX_VALUES

    def generate_root(self, schema: Any) -> Any:
        """Return a value of a schema. Raises CannotGenerate."""
        return self.generate([schema], _ValuePlace())

    def is_valid(self, schema: Any, value: Any) -> bool:
        """Whether a schema of the document accepts a value."""
        return self.schemas.is_valid(schema, value, self.direction)

    def generate(self, schemas: Sequence[Any], place: _ValuePlace) -> Any:
        """Return a value that all of `schemas` accept, if possible. Raises CannotGenerate."""
        merged = MergedSchema.from_schemas(self.schemas.document, schemas)
        _add_subtypes(merged)
        self.value_count += 1
        if place.depth > MAX_DEPTH or self.value_count > self.max_values:
            raise CannotGenerate(place.path)
        if not place.is_required and not place.references.isdisjoint(merged.references):  # the schema contains itself
            raise CannotGenerate(place.path)
        if self.strategy.uses_examples and place.depth:
            example = self.find_example(schemas, merged)
            if example is not _MISSING:
                return example
        value = self.generate_choice(merged, place)
        if self.strategy.is_careful and merged.choices and not self.is_valid({"allOf": [*schemas]}, value):
            raise CannotGenerate(place.path)
        return value

    def find_example(self, schemas: Sequence[Any], merged: MergedSchema) -> Any:
        """Return the valid example of a scalar, or the example of another value; _MISSING without one."""
        examples = merged.first.get("examples")
        listed = examples if isinstance(examples, list) else []
        for keyword in ("example", "default"):
            if keyword in merged.first:
                listed = [*listed, merged.first[keyword]]
        if merged.types is None:  # not all tools accept null where a schema has `nullable`, but no type
            listed = [example for example in listed if example is not None]
        for example in listed:
            if isinstance(example, float) and example.is_integer() and "integer" in (merged.types or ()):
                example = int(example)  # an integer beyond 64 bits in the file
            if isinstance(example, (dict, list)) or self.is_valid({"allOf": [*schemas]}, example):
                return example
        return _MISSING

    def generate_choice(self, merged: MergedSchema, place: _ValuePlace) -> Any:
        """Merge an option of each choice, and return a value. Raises CannotGenerate."""
        if merged.is_impossible:
            raise CannotGenerate(place.path)
        if not merged.choices:
            return self.generate_merged(merged, place)
        choice = merged.choices[0]
        for option in self.order_options(choice, place):
            chosen = merged.with_option(choice, option)
            with suppress(CannotGenerate):
                value = self.generate_choice(_with_discriminator(chosen, choice, option), place)
                if self.strategy.is_careful and not self.is_valid_option(choice, option, value):
                    continue
                return value
        raise CannotGenerate(place.path)

    def is_valid_option(self, choice: Choice, option: Any, value: Any) -> bool:
        """Whether an option accepts a value, and no other one of a `oneOf` does."""
        others = [other for other in choice.options if other is not option] if choice.is_exclusive else []
        return self.is_valid(option, value) and not any(self.is_valid(other, value) for other in others)

    def order_options(self, choice: Choice, place: _ValuePlace) -> list[Any]:
        """Return the options: null, and then those that would contain themselves, last."""

        def rank(option: Any) -> tuple[bool, bool]:
            option = option if isinstance(option, dict) else {}
            is_null = option.get("type") == "null" or option.get("enum") == [None]
            return option.get("$ref") in place.references, is_null

        options = sorted(choice.options, key=rank)
        shift = (place.variant + self.strategy.attempt // 2) % len(options) if self.strategy.is_careful else 0
        return [*options[shift:], *options[:shift]]

    def generate_merged(self, merged: MergedSchema, place: _ValuePlace) -> Any:
        """Return a value of a schema without choices. Raises CannotGenerate."""
        random = Random(f"{self.seed}{place.path}/{place.variant}")
        if merged.values is not None:
            values = [v for v in merged.values if merged.types is None or _has_type(v, merged.types)] or merged.values
            values = [v for v in values if v is not None] or values
            return values[place.variant % len(values)]
        if self.strategy.only_required and place.depth and "null" in (merged.types or ()):
            return None
        types = [name for name in _TYPE_ORDER if name in (merged.types or _infer_types(merged, place))]
        for name in types:
            with suppress(CannotGenerate):
                return self.generate_type(name, merged, place, random)
        raise CannotGenerate(place.path)

    def generate_type(self, name: str, merged: MergedSchema, place: _ValuePlace, random: Random) -> Any:
        if name == "object":
            return self.generate_object(merged, place)
        if name == "array":
            return self.generate_array(merged, place)
        if name == "string":
            return self.generate_text(merged, place, random)
        if name in ("integer", "number"):
            return _generate_number(merged, place, random, is_integer=name == "integer")
        if name == "boolean" and "null" in (merged.types or ()) and place.variant % 3 == 2:
            return None  # the third distinct value
        return (random.random() < 0.5) ^ (place.variant % 2 == 1) if name == "boolean" else None

    def is_optional_allowed(self, place: _ValuePlace) -> bool:
        """Whether optional properties and items are generated at a place."""
        is_small = place.depth < MAX_OPTIONAL_DEPTH and self.value_count < MAX_OPTIONAL_VALUES
        return is_small and not self.strategy.only_required

    def generate_object(self, merged: MergedSchema, place: _ValuePlace) -> dict[str, Any]:
        """Return an object: properties in the order of the schema, then others up to `minProperties`."""
        value: dict[str, Any] = {}
        hidden = {
            name
            for name, nodes in merged.properties.items()
            if any(_has_flag(node, self.hidden_flag) for node in nodes)
        }
        required = _list_required(merged, hidden)
        has_optional = self.is_optional_allowed(place)
        for name in dict.fromkeys((*merged.properties, *required)):
            if name in required:
                value[name] = self.generate_property(name, merged, place, is_required=True)
            elif has_optional and name not in hidden:
                self.add_optional(name, merged, place, value, sum(n not in value for n in required))
        lowest = merged.lower.get("minProperties", 0)
        if has_optional and merged.additional and not merged.properties:  # a map: one entry
            lowest = max(lowest, min(1, merged.upper.get("maxProperties", 1)))
        self.add_other_properties(merged, place, value, lowest, hidden)
        return value

    def add_optional(
        self, name: str, merged: MergedSchema, place: _ValuePlace, value: dict[str, Any], missing_count: int
    ) -> None:
        """Add a property if it may be there and can be generated. `missing_count`: of required properties."""
        has_space = len(value) + missing_count < merged.upper.get("maxProperties", math.inf)
        if has_space and _is_permitted(name, merged) and set(merged.dependent_required.get(name, ())) <= value.keys():
            with suppress(CannotGenerate):
                value[name] = self.generate_property(name, merged, place, is_required=False)

    def add_other_properties(
        self, merged: MergedSchema, place: _ValuePlace, value: dict[str, Any], lowest: int, hidden: set[str]
    ) -> None:
        """Add properties until the value has `lowest`. Raises CannotGenerate if `minProperties` is not reached."""
        for name in self.iter_other_names(merged, place) if len(value) < lowest else ():
            if name not in value and name not in hidden and _is_permitted(name, merged):
                value[name] = self.generate_property(name, merged, place, is_required=True)
            if len(value) >= lowest:
                break
        if len(value) < merged.lower.get("minProperties", 0):
            raise CannotGenerate(place.path)

    def generate_property(self, name: str, merged: MergedSchema, place: _ValuePlace, *, is_required: bool) -> Any:
        schemas = [*merged.properties.get(name, ())]
        schemas += [node for p, nodes in merged.pattern_properties.items() if _matches(p, name) for node in nodes]
        child = place.descend(name, merged, is_required=is_required, name=name)
        return self.generate(schemas or merged.additional, child)

    def iter_other_names(self, merged: MergedSchema, place: _ValuePlace) -> Iterator[str]:
        """Yield names for additional properties, and the optional ones that were omitted."""
        yield from merged.properties
        schemas = [{"type": "string"}, *merged.collected.get("propertyNames", ())]
        has_rules = len(schemas) > 1 or merged.pattern_properties
        for number in range(1, MAX_ITEMS):
            yield self.create_name(merged, schemas, place, number) if has_rules else f"key{number}"

    def create_name(self, merged: MergedSchema, schemas: Sequence[Any], place: _ValuePlace, number: int) -> str:
        patterns = [{"pattern": pattern} for pattern in merged.pattern_properties]
        place = replace(place, path=f"{place.path}/name", name=f"key{number}", variant=number)
        return str(self.generate([*schemas, *patterns[:1]], place))

    def generate_array(self, merged: MergedSchema, place: _ValuePlace) -> list[Any]:
        """Return an array of the smallest length, but of one item if that is permitted."""
        contains, prefix = merged.collected.get("contains", []), merged.first.get("prefixItems") or ()
        contained = max(merged.lower.get("minContains", 1), 1) if contains else 0
        lowest = max(merged.lower.get("minItems", 0), contained)
        length = max(lowest, 1, len(prefix)) if self.is_optional_allowed(place) else lowest
        length = min(length, merged.upper.get("maxItems", length))
        if not lowest <= length <= MAX_ITEMS:
            raise CannotGenerate(place.path)
        values: list[Any] = []
        seen: set[str] = set()
        for variant in range(2 * length + 10):
            index = len(values)
            if index >= length:
                break
            schemas = [prefix[index]] if index < len(prefix) else merged.collected.get("items", [])
            child = place.descend(index, merged, is_required=index < lowest)
            child = replace(child, variant=place.variant + variant)
            with suppress(CannotGenerate):
                value = self.generate([*schemas, *(contains if index < contained else ())], child)
                if not merged.is_unique or _add_new(seen, value):
                    values.append(value)
        if len(values) < lowest:
            raise CannotGenerate(place.path)
        return values

    def generate_text(self, merged: MergedSchema, place: _ValuePlace, random: Random) -> str:
        lowest, highest = merged.lower.get("minLength", 0), merged.upper.get("maxLength", MAX_TEXT_CHARS)
        if lowest > min(highest, MAX_TEXT_CHARS):
            raise CannotGenerate(place.path)
        patterns = merged.collected.get("pattern")
        if patterns:
            return _sample_pattern(patterns, lowest, highest, place, random)
        name = str(merged.first.get("format", ""))
        if name in FORMAT_FACTORIES:
            text = FORMAT_FACTORIES[name](random)
            return SHORT_TEXTS.get(name, text) if len(text) > highest else text
        words = re.sub(r"[_\W]+|(?<=[a-z])(?=[A-Z])", " ", place.name).strip().lower() or "text"
        text = f"{words} {place.variant + 1}" if place.variant else words
        if len(text) > highest:
            text = str(place.variant).rjust(highest, "a")[-highest:] if highest else ""
        return text if len(text) >= lowest else (text + " " + words * lowest)[:lowest]


def _list_required(merged: MergedSchema, hidden: set[str]) -> list[str]:
    """Return the required properties, with those that they require; without those of the other direction."""
    required = [*merged.required]
    for name in required:
        required += [other for other in merged.dependent_required.get(name, ()) if other not in required]
    return [name for name in required if name not in hidden]


def _add_subtypes(merged: MergedSchema) -> None:
    """Add the choice of a subtype if a schema has a discriminator, but neither `anyOf` nor `oneOf`."""
    discriminator = merged.first.get("discriminator")
    if not isinstance(discriminator, dict) or any(choice.discriminator for choice in merged.choices):
        return
    targets = [str(target) for target in (discriminator.get("mapping") or {}).values()]
    pointers = [target if "/" in target else f"#/components/schemas/{target}" for target in targets]
    known = [pointer for pointer in pointers if _exists(merged, pointer)]
    # A schema that is a subtype itself has followed the reference to it.
    options = [p for p in known if p in merged.references] or known or [*merged.references][:1]
    if options:
        merged.choices += (Choice(tuple({"$ref": pointer} for pointer in options), False, discriminator),)


def _exists(merged: MergedSchema, pointer: str) -> bool:
    try:
        merged.document.resolve(pointer)
    except ContractError:
        return False
    return pointer.startswith("#/")


def _with_discriminator(merged: MergedSchema, choice: Choice, option: Any) -> MergedSchema:
    """Add the value of the discriminator that names an option, unless the option contradicts it."""
    name, reference = choice.discriminator.get("propertyName"), option.get("$ref") if isinstance(option, dict) else None
    if not isinstance(name, str) or not isinstance(reference, str) or not _is_permitted(name, merged):
        return merged
    value = next(iter(list_discriminator_values(choice.discriminator, reference)), None)
    if value is None:  # the mapping uses the name of the component for another schema
        return merged
    merged.properties.setdefault(name, []).insert(0, {"enum": [value]})
    merged.required.setdefault(name)
    if MergedSchema.from_schemas(merged.document, merged.properties[name]).is_impossible:
        del merged.properties[name][0]
    return merged


def _has_type(value: Any, types: frozenset[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in types
    if isinstance(value, (int, float)):
        return "number" in types or ("integer" in types and float(value).is_integer())
    names = {str: "string", list: "array", dict: "object", type(None): "null"}
    return names[type(value)] in types


def _infer_types(merged: MergedSchema, place: _ValuePlace) -> Sequence[str]:
    """Return the type that the keywords of a schema without `type` are about."""
    if merged.properties or merged.required or merged.additional or merged.pattern_properties or merged.closed_names:
        return ("object",)
    for keyword, name in _TYPES_BY_KEYWORD.items():
        if keyword in merged.collected:
            return (name,)
    if "prefixItems" in merged.first or "minItems" in merged.lower or "maxItems" in merged.upper:
        return ("array",)
    if "minProperties" in merged.lower:
        return ("object",)
    if merged.minimum or merged.maximum or merged.step:
        return ("number",)
    return ("string",) if place.depth else ("object",)


def _has_flag(schema: Any, flag: str) -> bool:
    return isinstance(schema, dict) and schema.get(flag) is True


def _is_permitted(name: str, merged: MergedSchema) -> bool:
    """Whether no schema with `additionalProperties: false` prohibits a property."""
    return all(name in names or any(_matches(p, name) for p in patterns) for names, patterns in merged.closed_names)


def _matches(pattern: str, text: str) -> bool:
    """Whether a pattern of the contract matches; False if Python does not know its syntax."""
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False


def _add_new(seen: set[str], value: Any) -> bool:
    """Add a value; return whether it is new."""
    text = canonical_text(value)
    is_new = text not in seen
    seen.add(text)
    return is_new


def _sample_pattern(patterns: Sequence[str], lowest: int, highest: int, place: _ValuePlace, random: Random) -> str:
    """Return a text that matches the first pattern, of the right length and matching the others if possible."""
    texts: list[str] = []
    for _ in range(_PATTERN_ATTEMPTS):
        try:
            text = sample_text(patterns[0], random)
        except UnsupportedPattern:
            raise CannotGenerate(place.path) from None
        texts.append(text if len(text) >= lowest else _extend(text, patterns, lowest))
        if lowest <= len(texts[-1]) <= highest and all(_matches(pattern, texts[-1]) for pattern in patterns):
            return texts[-1]
    return texts[-1]


def _extend(text: str, patterns: Sequence[str], length: int) -> str:
    """Repeat a text up to a length, at its end or its start, if the patterns still match."""
    filler = text or "a"
    longer = (text + filler * length)[:length]
    padded = (filler * length)[: length - len(text)] + text
    return next((t for t in (longer, padded) if all(_matches(p, t) for p in patterns)), longer)


def _generate_number(merged: MergedSchema, place: _ValuePlace, random: Random, *, is_integer: bool) -> int | float:
    """Return a number between the limits: a multiple of the step, else of 1 or a small fraction."""
    # A whole number, if there is one: floating-point arithmetic finds that 1.15 is no multiple of 0.01.
    step = Fraction(1) if merged.step is None else Fraction(merged.step.numerator)
    first, last = _find_multiples(merged, step)
    if first > last and not is_integer and merged.step is not None:
        step = merged.step
        first, last = _find_multiples(merged, step)
    if first > last and not is_integer and merged.step is None:
        assert merged.minimum is not None
        assert merged.maximum is not None
        width = merged.maximum[0] - merged.minimum[0]
        if width < 0 or (width == 0 and (merged.minimum[1] or merged.maximum[1])):
            raise CannotGenerate(place.path)
        if width == 0:
            return _to_number(merged.minimum[0], is_integer=is_integer)
        step = width / 128
        first, last = _find_multiples(merged, step)
    if first > last:
        raise CannotGenerate(place.path)
    last = min(last, first + 99, max(first, _find_last_of_format(merged, step)))
    offset = (random.randint(0, last - first) + place.variant) % (last - first + 1)
    return _to_number((first + offset) * step, is_integer=is_integer)


def _find_last_of_format(merged: MergedSchema, step: Fraction) -> int:
    """Return the last factor whose product with `step` fits the integer format of a schema; of 64 bits without one."""
    return math.floor(_MAX_INTEGERS.get(str(merged.first.get("format")), _MAX_INTEGERS["int64"]) / step)


def _find_multiples(merged: MergedSchema, step: Fraction) -> tuple[int, int]:
    """Return the first and the last factor whose product with `step` is within the limits; 1 to 100 without limits."""
    first = last = None
    if merged.minimum is not None:
        limit, is_excluded = merged.minimum
        first = math.ceil(limit / step)
        first += is_excluded and first * step == limit
    if merged.maximum is not None:
        limit, is_excluded = merged.maximum
        last = math.floor(limit / step)
        last -= is_excluded and last * step == limit
    if first is None:
        first = 1 if last is None or last >= 1 else last - 99
    return first, first + 99 if last is None else last


def _to_number(value: Fraction, *, is_integer: bool) -> int | float:
    """Return an integer if the value is one; a large one that may be a fraction is short as a float (1e+300)."""
    is_large = abs(value) > _MAX_INTEGERS["int64"] and not is_integer
    return value.numerator if value.denominator == 1 and not is_large else float(value)
