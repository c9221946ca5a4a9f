"""What the query parameters of a list mean for the records of the run and for any row.

A row matches, does not match, or (None) cannot be judged: the contract leaves it open, or the row does not show it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations, pairwise, takewhile
from typing import Any, TypeVar
from uuid import UUID

from conformance.checks.support.listing import Row
from conformance.checks.support.tenancy import build_unmatched_value
from conformance.checks.support.values import (
    format_query_value,
    get_values_at,
    loosely_equal,
    parse_utc_date,
    parse_zoned_datetime,
)
from conformance.model.specification import UNKNOWN, Model, ModelRecord
from spec.extensions import QueryExtension
from spec.model import Operation, Parameter

T = TypeVar("T")
MAX_COLLATED_CHARS = 200
_DECIMAL = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
NIL_UUID = str(UUID(int=0))
UNMATCHED_VALUES = tuple(build_unmatched_value(sample) for sample in ("", NIL_UUID, 0))
ValueReader = Callable[[tuple[str, ...]], list[Any] | None]  # path -> values, None if they are unknown


def read_model(model: Model, record: ModelRecord) -> ValueReader:
    """Build a reader of a record of the run."""

    return partial(_read_model, model, record)


def _read_model(model: Model, record: ModelRecord, path: tuple[str, ...]) -> list[Any] | None:
    name, *rest = path
    if name in record.resource.attributes:
        value = record.attributes.get(name, UNKNOWN)
        return None if value is UNKNOWN or name in record.uncertain_empty else get_values_at(value, tuple(rest))
    relation = record.resource.relations.get(name)
    ids = model.related_ids(record, relation) if relation is not None else None
    if ids is None or relation is None:
        return None
    values: list[Any] = []
    for resource, key in ids:
        if not rest or rest == [model.contract.resources[resource].key_attribute]:
            values.append(key)
            continue
        related = model.records.get((resource, key))
        related_values = _read_model(model, related, tuple(rest)) if related is not None else None
        if related_values is None:
            return None
        values += related_values
    return values


def read_row(row: Mapping[str, Any]) -> ValueReader:
    """Build a reader of a row in a response."""
    return lambda path: get_values_at(row, path)


def evaluate_condition(parameter: Parameter, value: Any, read: ValueReader) -> bool | None:
    """Return whether a record satisfies a filter or search parameter, None if that cannot be judged.

    True for all other parameters and for blank values.
    """
    x_query = parameter.x_query
    if x_query is None or x_query.role not in ("filter", "search") or value in ("", []):
        return True
    if x_query.role == "search":
        return _is_found(x_query, str(value), read)
    if x_query.operator == "exists":
        related = read(x_query.paths[0][:1])
        return None if related is None else any(item not in (None, [], {}) for item in related) == bool(value)
    values = read(x_query.paths[0])
    if values is None:
        return False if is_unmatched(value) else None
    flat = [item for entry in values for item in (entry if isinstance(entry, list) else [entry])]
    if x_query.operator in ("from", "to"):
        verdicts = [_is_in_range(x_query.operator, item, value) for item in flat if item is not None]
        if True in verdicts:
            return True
        return None if None in verdicts else False
    wanted = value if isinstance(value, (list, tuple)) else [value]
    return any(loosely_equal(item, candidate) for item in flat for candidate in wanted)


def is_unmatched(value: Any) -> bool:
    """Return whether no record has a value, or any of a list of values."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return bool(items) and all(item in UNMATCHED_VALUES for item in items)


def has_unmatched(value: Any) -> bool:
    """Return whether no record has a value, or one of a list of values."""
    return any(item in UNMATCHED_VALUES for item in (value if isinstance(value, (list, tuple)) else [value]))


def _is_found(x_query: QueryExtension, term: str, read: ValueReader) -> bool | None:
    """Whether a text contains the term.

    A term inside a word need not be found, and the words of a term may be searched for one by one, in any text.
    """
    texts, is_known = [], True
    for path in x_query.paths:
        values = read(path)
        is_known = is_known and values is not None
        texts += [unicodedata.normalize("NFC", str(value)).casefold() for value in values or () if value is not None]
    folded = unicodedata.normalize("NFC", term.strip()).casefold()
    if any(f" {' '.join(folded.split())} " in f" {' '.join(text.split())} " for text in texts):  # as whole words
        return True
    has_words = all(any(word in text for text in texts) for word in folded.split())
    is_open = has_words or not is_known or not folded.isascii()  # accents may be ignored
    return None if is_open else False


def _is_in_range(operator: str, actual: Any, bound: Any) -> bool | None:
    """Whether a value is in a range; None close to the bound, where precision and time zone decide."""
    low, high = (bound, actual) if operator == "from" else (actual, bound)
    if parse_utc_date(bound) is None:
        return bool(low <= high) if isinstance(low, (int, float)) and isinstance(high, (int, float)) else None
    if len(str(bound)) == 10:
        first, last = parse_utc_date(low), parse_utc_date(high)
        return None if first is None or last is None else first <= last
    start, end = parse_zoned_datetime(low), parse_zoned_datetime(high)
    if start is None or end is None or abs((start - end).total_seconds()) <= 1:
        return None
    return start <= end


# Order


def build_collation_keys(value: Any) -> tuple[Any, ...] | None:
    """Build the sort keys of a value under common collations; None for a value without a defined order."""
    if isinstance(value, (bool, int, float)):
        return (float(value),)
    if not isinstance(value, str):
        return None
    instant = parse_zoned_datetime(value)
    if instant is not None:
        return (instant.timestamp(),)
    text = value.strip()[:MAX_COLLATED_CHARS]
    base_letters = "".join(c for c in unicodedata.normalize("NFD", text.casefold()) if not unicodedata.combining(c))
    # Some collations ignore punctuation.
    alphanumeric = "".join(takewhile(str.isascii, (c for c in base_letters if c.isalnum())))
    # Some collations ignore white space at the start.
    keys = value[:MAX_COLLATED_CHARS], text, text.casefold(), base_letters, alphanumeric
    return (*keys, float(text)) if _DECIMAL.fullmatch(text) else keys  # of a number that is returned as a text


def sorts_before(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    """Return whether every collation sorts a value before another."""
    is_comparable = len(left) == len(right) and all(type(a) is type(b) for a, b in zip(left, right, strict=True))
    return is_comparable and all(a < b for a, b in zip(left, right, strict=True))


def _is_sorted_by_a_collation(keys: list[tuple[Any, ...]], *, descending: bool) -> bool:
    """Whether sort keys are in the order of one collation, so that no pair is wrong under all of them."""
    if len({tuple(map(type, key)) for key in keys}) > 1:
        return False
    ordered = reversed(keys) if descending else keys
    return any(all(a <= b for a, b in pairwise(part)) for part in zip(*ordered, strict=True))


def find_inversion(values: list[Any], *, descending: bool) -> tuple[Any, Any] | None:
    """Return two values in the wrong order, the first of them returned first."""
    keys = [(value, build_collation_keys(value)) for value in values]
    comparable = [(value, key) for value, key in keys if key is not None]
    if _is_sorted_by_a_collation([key for _, key in comparable], descending=descending):
        return None
    for (first, first_key), (second, second_key) in combinations(comparable, 2):
        before, after = (first_key, second_key) if descending else (second_key, first_key)
        if sorts_before(before, after):
            return first, second
    return None


def iter_conditions(operation: Operation, query: Mapping[str, Any]) -> Iterator[tuple[Parameter, Any]]:
    """Yield the filter and search parameters of a query that take effect, with their values."""
    for parameter in operation.query_parameters:
        x_query = parameter.x_query
        if x_query is None or x_query.role not in ("filter", "search") or parameter.name not in query:
            continue
        if x_query.unless_parameter is None or query.get(x_query.unless_parameter) in (None, ""):
            yield parameter, query[parameter.name]


def iter_pairs(operation: Operation, query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the query pairs of parameters, with arrays as the contract encodes them."""
    parameters = {parameter.name: parameter for parameter in operation.query_parameters}
    for name, value in query.items():
        items = [format_query_value(item) for item in (value if isinstance(value, (list, tuple)) else [value])]
        if name in parameters and not parameters[name].explode and len(items) > 1:
            items = [",".join(items)]
        yield from ((name, item) for item in items)


def iter_item_pairs(items: Sequence[T]) -> Iterator[tuple[T, T]]:
    """Yield each pair once, neighbours first and the last with the first, so that a few pairs contain each item."""
    positions = range(len(items))
    pairs = ((min(i, j), max(i, j)) for step in positions[1:] for i in positions for j in [(i + step) % len(items)])
    yield from ((items[i], items[j]) for i, j in dict.fromkeys(pairs))


def is_reordered(before: Sequence[Row], after: Sequence[Row]) -> bool:
    """Whether the rows of a list are the same as before, but in another order.

    A record that changes between two pages can hide one row and repeat another one, so that the number of rows is
    the same.
    """
    if before == after or len(before) != len(after):
        return False
    return all(row in before for row in after) and all(row in after for row in before)
