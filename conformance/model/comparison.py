"""Compares a record in a response with the model, within the freedom that the contract leaves.

A response may trim and normalize texts, return null for an empty text, add keys to objects, and write instants and
numbers in another notation. Records that other clients created may occur in inverse relations.
"""

import html
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.support.values import (
    contains,
    dereference_schema,
    equal,
    parse_instant,
    parse_zoned_datetime,
    truncate,
)
from conformance.model.specification import UNKNOWN, Model, ModelRecord, RecordId, is_volatile
from conformance.session.write_log import is_key
from spec.model import Contract, DerivedProperty, Relation, View

MAX_DEPTH = 4  # embedded records that are compared
SECONDS_PER_DAY = 86_400
SECONDS_PER_MINUTE = 60
MIN_LOST_FRACTION = 0.1  # of a number that is stored as an integer
MAX_EXACT_NUMBER = 100_000  # smaller numbers have two exact decimals also in single precision
STORED_DECIMALS = 2  # that a column for decimals has at least
SMALLEST_DECIMAL = 0.0099  # of these decimals, within the precision of a float
MAX_SHORT_TEXT = 40  # characters that a reader compares at a glance
MAX_CHARACTER_OF_THREE_BYTES = 0xFFFF  # in UTF-8; the character set utf8mb3 of MySQL has no others
_MARKUP = re.compile("<[^<>]*>")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A property whose value differs from the model.

    `path`: names from the record. `record`: the one that has it. `excess_of`: the count, sum or maximum of an inverse
    relation, if the value is higher than expected, which records of other clients may explain.
    """

    record: ModelRecord
    path: tuple[str, ...]
    pointer: str
    keyword: str | None
    expected: Any
    actual: Any
    message: str
    excess_of: DerivedProperty | None = None

    @property
    def name(self) -> str:
        """The path with dots."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares bodies with a model."""

    model: Model

    @property
    def contract(self) -> Contract:
        """The contract of the model."""
        return self.model.contract

    def mismatches(self, view: View, record: ModelRecord, body: Any, *, depth: int = 0) -> Iterator[Mismatch]:
        """Yield the differences between a record in a response and the model."""
        if not isinstance(body, Mapping):
            return
        yield from self._find_stored_only(view, record, body)
        for name in view.property_names:
            if name not in body:
                continue
            if name in view.derived_properties:
                yield from self._compare_derived(record, (name,), view.derived_properties[name], body[name])
            elif name in record.resource.attributes:
                yield from self._compare_attribute(record, name, body[name])
            elif name in record.resource.relations:
                relation = record.resource.relations[name]
                yield from self._compare_relation(record, relation, body[name], depth)

    def _find_stored_only(self, view: View, record: ModelRecord, body: Mapping[str, Any]) -> Iterator[Mismatch]:
        """Yield the properties that the contract only stores, or only accepts, and that a response shows."""
        for name, attribute in record.resource.attributes.items():
            if attribute.write_only and name in body and name not in view.property_names:
                yield _build_mismatch(record, (name,), attribute.pointer, "writeOnly", "no such property", body[name])

    def _compare_attribute(self, record: ModelRecord, name: str, actual: Any) -> Iterator[Mismatch]:
        attribute = record.resource.attributes[name]
        expected = record.attributes.get(name, UNKNOWN)
        remaining = next(self._find_remaining_keys(record, name, actual), None)
        if remaining is not None:
            mismatch = _build_mismatch(record, (name,), attribute.pointer, None, expected, actual)
            message = f"{name}.{remaining}: got {truncate(actual[remaining])}, expected the update to remove it"
            yield replace(mismatch, message=message)
            return
        is_file = isinstance(attribute.faker, Mapping) and "file" in attribute.faker  # a server may store a copy
        if name in record.excluded and equal(record.excluded[name], actual):
            server_value = "a value that the server sets"
            yield _build_mismatch(record, (name,), attribute.pointer, "readOnly", server_value, actual)
            return
        may_change = is_volatile(record.resource, name) and attribute.stamp is None  # by the server, at any time
        if expected is UNKNOWN or is_file or may_change:
            return
        if attribute.stamp == "updated":
            before, after = parse_instant(expected), parse_instant(actual)
            if before is None or after is None or before <= after or equal(expected, actual):
                return
        elif contains(expected, actual) or (name in record.uncertain_empty and actual is None):
            return
        yield _build_mismatch(record, (name,), attribute.pointer, None, expected, actual)

    def _find_remaining_keys(self, record: ModelRecord, name: str, actual: Any) -> Iterator[str]:
        """Yield the keys that an update removed from an object and that the object still has with their old values.

        Keys that the schema defines are left out: the server may set them to a default.
        """
        removed = record.removed_keys.get(name)
        if not removed or not isinstance(actual, Mapping):
            return
        schema, _ = dereference_schema(self.contract.document, record.resource.attributes[name].pointer)
        for key, value in removed.items():
            if key in actual and key not in schema.get("properties", {}) and equal(value, actual[key]):
                yield key

    def _compare_derived(
        self, record: ModelRecord, path: tuple[str, ...], derived: DerivedProperty, actual: Any
    ) -> Iterator[Mismatch]:
        if derived.kind == "group":
            for name, part in derived.parts.items():
                if isinstance(actual, Mapping) and name in actual:
                    yield from self._compare_derived(record, (*path, name), part, actual[name])
            return
        expected = self.model.evaluate(record, derived)
        if expected is UNKNOWN or contains(expected, actual):
            return
        relation = record.resource.relations.get(derived.path[0]) if derived.path else None
        is_lower_bound = relation is not None and relation.inverse is not None and derived.kind != "from"
        is_excess = is_lower_bound and exceeds(actual, expected)
        mismatch = _build_mismatch(record, path, derived.pointer, "x-derived", expected, actual)
        yield replace(mismatch, excess_of=derived if is_excess else None)

    # Relations

    def _compare_relation(self, record: ModelRecord, relation: Relation, value: Any, depth: int) -> Iterator[Mismatch]:
        ids = self.model.related_ids(record, relation)
        embedded = dict(self._embedded(relation, value))
        if ids is None and embedded and self.model.is_owner_of_created(record, relation):
            ids = [(relation.targets[0], self.model.account_key)]
        if ids is None:
            return
        known = {record_id for record_id in embedded if record_id in self.model.records}
        expected = set(map(normalize_id, ids))
        actual = set(map(normalize_id, embedded))
        other_clients = set() if relation.is_stored else actual - set(map(normalize_id, known))
        is_cut = relation.allows_empty_object and value == {}
        if actual - other_clients != expected and not is_cut and not (relation.write_only and value is None):
            keys = _format_keys(expected), _format_keys(actual)
            yield _build_mismatch(record, (relation.name,), relation.pointer, None, *keys)
            return
        if depth >= MAX_DEPTH:
            return
        for record_id, body in embedded.items():
            related = self.model.records.get(record_id)
            view_name = relation.target_views.get(record_id[0])
            if related is not None and view_name is not None:
                view = self.contract.views[view_name]
                for mismatch in self.mismatches(view, related, body, depth=depth + 1):
                    yield replace(mismatch, path=(relation.name, *mismatch.path))

    def _embedded(self, relation: Relation, value: Any) -> Iterator[tuple[RecordId, Mapping[str, Any]]]:
        """Yield the records in the value of a relation, by id."""
        for body in value if isinstance(value, list) else [value]:
            for name in relation.targets if isinstance(body, Mapping) else ():
                definition = self.contract.resources[name]
                key = body.get(definition.key_attribute)
                if is_key(key) and isinstance(key, int) == definition.has_integer_key:
                    yield (name, key), body
                    break

    # Adoption

    def adopt(self, view: View, record: ModelRecord, body: Any) -> None:
        """Take over all values of a response: those that were unknown, and those that differ."""
        for name in view.property_names if isinstance(body, Mapping) else ():
            if name not in body or name in view.derived_properties:
                continue
            if name in record.resource.attributes:
                record.attributes[name] = body[name]
                record.uncertain_empty.discard(name)
                record.excluded.pop(name, None)
                for key in list(self._find_remaining_keys(record, name, body[name])):
                    del record.removed_keys[name][key]
            elif name in record.resource.relations:
                self._adopt_relation(record, record.resource.relations[name], body[name])

    def _adopt_relation(self, record: ModelRecord, relation: Relation, value: Any) -> None:
        if not relation.is_stored or (relation.allows_empty_object and value == {}):
            return
        ids = [record_id for record_id, _ in self._embedded(relation, value)]
        if relation.to_many:
            record.references[relation.name] = ids
        elif ids or value in (None, {}):
            record.references[relation.name] = ids[0] if ids else None


def is_other_value(expected: Any, actual: Any) -> bool:
    """Whether two different values cannot be the same one, normalized by the server.

    A server may normalize text and empty values, round numbers and instants, and drop members of objects.
    """
    if expected in (None, "", [], {}):
        return False
    if isinstance(expected, str) and isinstance(actual, str):
        return _is_other_text(expected, actual)
    if _is_number(expected) and _is_number(actual):
        return _is_other_number(expected, actual)
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return any(is_other_value(value, actual[name]) for name, value in expected.items() if name in actual)
    if isinstance(expected, list) and isinstance(actual, list):
        return _are_other_items(expected, actual)
    is_same_type = type(expected) is type(actual)
    return actual is None or (is_same_type and expected != actual)


def _is_other_number(expected: float, actual: float) -> bool:
    """Whether a number differs by more than the rounding to two decimals, or lost a fraction."""
    difference = abs(expected - actual)
    if abs(expected) < MAX_EXACT_NUMBER and round(expected, STORED_DECIMALS) == expected != int(expected):
        return difference >= SMALLEST_DECIMAL
    has_lost_fraction = expected != int(expected) and actual == int(actual)
    return difference >= (MIN_LOST_FRACTION if has_lost_fraction else 1)


def _are_other_items(expected: list[Any], actual: list[Any]) -> bool:
    """Whether an item is missing or additional; a server may order items, and store equal ones once."""
    if len(expected) != len(actual) and any(isinstance(item, Mapping) for item in (*expected, *actual)):
        return False
    pairs = ((expected, actual), (actual, expected))
    return any(all(_is_other_item(item, other) for other in others) for items, others in pairs for item in items)


def _is_other_item(expected: Any, actual: Any) -> bool:
    return not equal(expected, actual) and (is_other_value(expected, actual) or is_other_value(actual, expected))


def has_lost_characters(expected: str, actual: str) -> bool:
    """Whether characters outside ASCII were replaced by a question mark, or a text ends before one of four bytes."""
    first, second = expected.strip(), actual.strip()
    replaced = {*"?\N{REPLACEMENT CHARACTER}"}
    if len(first) == len(second):
        pairs = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
        return bool(pairs) and all(not a.isascii() and b in replaced for a, b in pairs)
    rest = first.removeprefix(second).lstrip() if second else first
    return len(second) < len(first) and first.startswith(second) and ord(rest[0]) > MAX_CHARACTER_OF_THREE_BYTES


def _is_other_text(expected: str, actual: str) -> bool:
    """Whether texts differ in more than case, accents, white space, punctuation, markup and length.

    Laravel stores the local time of an instant without its offset, and returns it as UTC.
    """
    zoned = parse_zoned_datetime(expected), parse_zoned_datetime(actual)
    if zoned[0] is not None and zoned[1] is not None:
        has_lost_offset = zoned[0].replace(tzinfo=None, microsecond=0) == zoned[1].replace(tzinfo=None, microsecond=0)
        return not has_lost_offset and abs((zoned[0] - zoned[1]).total_seconds()) >= SECONDS_PER_MINUTE
    instants = parse_instant(expected), parse_instant(actual)
    if instants[0] is not None and instants[1] is not None:
        return abs((instants[0] - instants[1]).total_seconds()) >= SECONDS_PER_DAY
    if has_lost_characters(expected, actual):
        return True
    first, second = map(_reduce_text, (expected, actual))
    return bool(first) and first not in second and (second not in first or not second)


def _reduce_text(text: str) -> str:
    text = _MARKUP.sub("", html.unescape(text))
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return "".join(char for char in decomposed if char.isascii() and char.isalnum())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _describe_first_difference(expected: Any, actual: Any) -> str:
    """Describe where two values differ, if both are objects or arrays, or texts that are long or not ASCII there."""
    if isinstance(expected, (dict, list)) and isinstance(actual, (dict, list)) and expected:
        return _describe_member_difference(expected, actual)
    if not (isinstance(expected, str) and isinstance(actual, str)):
        return ""
    pairs = enumerate(zip(expected, actual, strict=False))
    position = next((n for n, (a, b) in pairs if a != b), min(len(expected), len(actual)))
    first, second = expected[position : position + 1], actual[position : position + 1]
    if (first + second).isascii() and max(len(expected), len(actual)) <= MAX_SHORT_TEXT:
        return ""
    got, wanted = (f"U+{ord(char):04X}" if char else "the end" for char in (second, first))
    return f" (first difference at character {position + 1}: got {got}, expected {wanted})"


def _describe_member_difference(expected: Any, actual: Any, path: str = "") -> str:
    """Describe the first member of an object or array that differs."""
    is_same_type = type(expected) is type(actual) and isinstance(expected, (dict, list))
    if is_same_type and (isinstance(expected, dict) or len(expected) == len(actual)):
        items = expected.items() if isinstance(expected, dict) else enumerate(expected)
        for name, value in items:
            other = actual.get(name, UNKNOWN) if isinstance(actual, dict) else actual[name]
            if not contains(value, other):
                return _describe_member_difference(value, other, f"{path}.{name}" if path else str(name))
    if not path:
        return ""
    got = "nothing" if actual is UNKNOWN else truncate(actual)
    return f" (first difference at {path}: got {got}, expected {truncate(expected)})"


def _build_mismatch(
    record: ModelRecord, path: tuple[str, ...], pointer: str, keyword: str | None, expected: Any, actual: Any
) -> Mismatch:
    message = f"got {truncate(actual)}, expected {truncate(expected)}{_describe_first_difference(expected, actual)}"
    return Mismatch(record, path, pointer, keyword, expected, actual, message)


def _format_keys(ids: Collection[tuple[str, str]]) -> Any:
    return sorted(f"{resource} {key}" for resource, key in ids)


def normalize_id(record_id: RecordId) -> tuple[str, str]:
    """Return an id in which a key is a text: 1, 1.0 and "1" are the same key."""
    key = record_id[1]
    is_integral = isinstance(key, float) and key.is_integer()
    return record_id[0], str(int(key) if is_integral else key)


def exceeds(actual: Any, expected: Any) -> bool:
    """Whether records of other clients may explain a higher value."""
    if expected is None:
        return True
    try:
        return bool(actual >= expected)
    except TypeError:
        return False
