"""Find the violations of a schema with bounded work.

jsonschema-rs creates all violations of a value before it returns the first one: seconds for an array of 100,000 wrong
items. So it lists the violations of an excerpt only, and tests the rest, which costs a microsecond per value.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from spec.validators import SchemaViolation, Validator

MAX_EXCERPT_VALUES = 1_000  # listing their violations takes about 20 ms
MAX_EXAMINED_PARTS = 4
# Keywords that a larger object or array violates too, if an excerpt of it does.
_MONOTONIC_KEYWORDS = frozenset({"type", "additionalProperties", "maxItems", "maxProperties", "uniqueItems"})

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ViolationList:
    """Violations of a value. `is_complete`: whether there are no others.

    `item_offset`: what to add to the index in the second place of each path. `invalid_field`: the name of an invalid
    top-level property, if no violation of it is listed; empty for the value itself.
    """

    violations: tuple[SchemaViolation, ...]
    is_complete: bool = True
    item_offset: int = 0
    invalid_field: str | None = None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The first values of a JSON value, level by level.

    `originals`: path of each shortened container -> original. `incomplete_paths`: the paths of these containers and of
    those that contain them.
    """

    value: Any
    originals: Mapping[Path, Any]
    incomplete_paths: Collection[Path]

    @classmethod
    def create(cls, value: Any, originals: Mapping[Path, Any]) -> "Excerpt":
        """Create an excerpt from its value and the containers that were shortened."""
        return cls(value, originals, {path[:length] for path in originals for length in range(len(path) + 1)})

    def contains(self, violation: SchemaViolation) -> bool:
        """Return whether the complete value has a violation of the excerpt."""
        path, keyword = tuple(violation.instance_path), violation.kind.name
        if keyword in _MONOTONIC_KEYWORDS or path not in self.incomplete_paths:
            return True
        if keyword in ("anyOf", "oneOf"):
            branches = violation.kind.context
            return bool(branches) and all(any(map(self.contains, branch)) for branch in branches)
        original = self.originals.get(path)
        return keyword == "required" and (original is None or violation.kind.property not in original)


def create_excerpt(value: Any, property_names: Collection[str] = ()) -> Excerpt:
    """Copy the first MAX_EXCERPT_VALUES values. Those of the properties in `property_names` precede all others."""
    if isinstance(value, dict) and len(value) > MAX_EXCERPT_VALUES:
        names = [name for name in property_names if name in value]
        ordered = {name: value[name] for name in names}
        source = {**ordered, **dict(islice(value.items(), MAX_EXCERPT_VALUES))}
    else:
        source = value
    root: list[Any] = [None]
    originals: dict[Path, Any] = {}
    remaining = MAX_EXCERPT_VALUES
    pending: deque[tuple[Path, Any, Any, Any]] = deque([((), source, root, 0)])
    while pending:
        path, node, container, key = pending.popleft()
        if not isinstance(node, (dict, list)):
            container[key] = node
            continue
        count = min(len(node), remaining)
        remaining -= count
        if count < len(node):
            originals[path] = node
        copy: Any = {} if isinstance(node, dict) else [None] * count
        container[key] = copy
        children = islice(node.items() if isinstance(node, dict) else enumerate(node), count)
        pending.extend(((*path, name), child, copy, name) for name, child in children)
    if source is not value:
        originals[()] = value
    return Excerpt.create(root[0], originals)


def find_violations(
    validator: Validator, value: Any, fields_validator: Validator | None = None, property_names: Collection[str] = ()
) -> ViolationList:
    """Find violations of an invalid value, all if it is small.

    Args:
        validator: The schema of the value.
        fields_validator: The same without `required` at the top, for values that are objects.
        property_names: The names of the properties that the schema defines.
    """
    excerpt = create_excerpt(value, property_names)
    violations = tuple(filter(excerpt.contains, validator.iter_errors(excerpt.value)))
    if violations or not excerpt.originals:
        return ViolationList(violations, is_complete=not excerpt.originals)
    if fields_validator is not None and isinstance(value, dict):
        for name in property_names:
            if name in value and not fields_validator.is_valid({name: value[name]}):
                return _find_in_field(fields_validator, name, value[name])
    return ViolationList((), is_complete=False, invalid_field="")


def _find_in_field(validator: Validator, name: str, value: Any) -> ViolationList:
    """Find violations of an invalid property in parts of it."""
    parts = ((offset, part) for offset, part in _iter_parts(value) if not validator.is_valid({name: part}))
    for offset, part in islice(parts, MAX_EXAMINED_PARTS):
        excerpt = create_excerpt({name: part})
        originals = {**excerpt.originals, (name,): value}
        candidates = validator.iter_errors(excerpt.value)
        violations = tuple(filter(Excerpt.create(excerpt.value, originals).contains, candidates))
        if violations:
            return ViolationList(violations, is_complete=False, item_offset=offset)
    return ViolationList((), is_complete=False, invalid_field=name)


def _iter_parts(value: Any) -> Iterator[tuple[int, Any]]:
    """Yield (index, items) of consecutive parts of an array or object; objects have no index."""
    size = MAX_EXCERPT_VALUES // 4
    if isinstance(value, list):
        for offset in range(0, len(value), size):
            yield offset, value[offset : offset + size]
    elif isinstance(value, dict):
        items = iter(value.items())
        while part := dict(islice(items, size)):
            yield 0, part
