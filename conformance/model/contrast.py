"""Describes what distinguishes a record that a list lacks from the records that it contains."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from conformance.checks.support.listing import Row
from conformance.checks.support.values import equal, get_values_at, truncate
from spec.model import Resource

MIN_ROWS = 3  # fewer listed records differ from any other record in too many properties
TEXT_FEATURES: Mapping[str, Callable[[str, str], bool]] = {
    "starts with": lambda text, term: text.casefold().startswith(term.casefold()),
    "ends with": lambda text, term: text.casefold().endswith(term.casefold()),
    "contains (case-sensitive)": lambda text, term: term in text,
}


def find_differences(resource: Resource, missing: Row, rows: Sequence[Row]) -> Iterator[str]:
    """Yield the properties that are empty only in the missing record, or equal in all listed records but not in it.

    All records must come from responses that embed the same relations.
    """
    stamps = {name for kind in ("created", "updated") for name in resource.attributes_with_stamp(kind)}
    for name, value in missing.items() if len(rows) >= MIN_ROWS else ():
        if name == resource.key_attribute or name in stamps or any(name not in row for row in rows):
            continue
        values = [row[name] for row in rows]
        if _is_empty(value) and not any(map(_is_empty, values)):
            yield f"{name} is {value!r}"
        elif all(equal(values[0], other) for other in values) and not equal(value, values[0]):
            yield f"{name} is {truncate(value)}, not {truncate(values[0])}"


def find_text_differences(
    paths: Sequence[tuple[str, ...]], term: str, missing: Row, rows: Sequence[Row]
) -> Iterator[str]:
    """Yield how a search term occurs in the searched texts of all listed records, but not in the missing one."""
    texts = _get_texts(paths, missing)
    for feature, matches in TEXT_FEATURES.items() if len(rows) >= MIN_ROWS else ():
        if not any(matches(text, term) for text in texts) and all(
            any(matches(text, term) for text in _get_texts(paths, row)) for row in rows
        ):
            matching_text = next((text for text in texts if term.casefold() in text.casefold()), "")
            name = " or ".join(dict.fromkeys(".".join(path) for path in paths))
            actual = f": got {truncate(matching_text)}" if matching_text else ""
            yield f"no searched text ({name}) {feature} {term!r}{actual}"


def _get_texts(paths: Sequence[tuple[str, ...]], row: Row) -> list[str]:
    return [value.strip() for path in paths for value in get_values_at(row, path) or () if isinstance(value, str)]


def _is_empty(value: Any) -> bool:
    """Whether a value is null, or an empty text, list or object, or 0; false is a value."""
    return value in (None, "", [], {}) or (value == 0 and not isinstance(value, bool))
