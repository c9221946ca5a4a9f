"""Checks of search: all matches and only matches are returned, any text is accepted, wildcards are literal."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import (
    Evaluation,
    ListChangedDuringCheck,
    Listing,
    Row,
    evaluate_requirement,
    is_list_with,
)
from conformance.checks.support.values import get_values_at
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from spec.model import Parameter

# Characters with a meaning in SQL, patterns or JSON, and characters of several bytes.
SPECIAL_TEXTS: Mapping[str, str] = {
    "an apostrophe": "it's",
    "a quotation mark": 'so "called',
    "a percent sign": "%",
    "an underscore": "_",
    "a backslash": "\\",
    "brackets": "(a[b{c*",
    "a comment": "a'--",
    "an emoji": "ok 👍🏽",
}
MAX_TERM_CHARS = 2000
MIN_WORD_CHARS = 4  # characters of a word that is used as a search term


def _require_search(listing: Listing) -> tuple[Parameter, tuple[tuple[str, ...], ...]]:
    parameter = listing.require_parameter("search")
    return parameter, parameter.x_query.paths if parameter.x_query else ()


def _extract_word(value: Any) -> str | None:
    words = value.split() if isinstance(value, str) else []
    candidates = [word for word in words if word.isascii() and word.isalnum() and len(word) >= MIN_WORD_CHARS]
    return max(candidates, key=len, default=None)


def _check_search_finds(case: Case) -> Iterator[CheckResult]:
    listing = Listing(case.session, case.operation)
    parameter, paths = _require_search(listing)
    for path in paths:
        requirement = case.build_requirement(parameter.pointer, parameter=f"{parameter.name}:{'.'.join(path)}")
        yield evaluate_requirement(case, requirement, partial(_evaluate_search_finds, listing, parameter, path))


def _evaluate_search_finds(listing: Listing, parameter: Parameter, path: tuple[str, ...]) -> Evaluation:
    """Search for a word of one property: as it is, in upper case and in lower case."""
    rows = listing.sample()
    row, term = next(_iter_words(rows, path), (None, ""))
    if row is None:
        raise SkipCheck(f"no row has a text at {'.'.join(path)}")
    key = listing.get_keys([row])[0]
    is_listed, page = listing.contains_key(key, (parameter.name, term))
    matching = [row for row in rows if any(term in str(value) for value in get_values_at(row, path) or ())]
    first_key = listing.get_keys(matching)[0]
    may_be_missing = is_listed and first_key not in listing.get_keys(page.rows)
    if may_be_missing and not listing.contains_key(first_key, (parameter.name, term))[0]:
        return _describe_missing(listing, first_key, path, term), (page.exchange,)
    for query_term in (term, term.upper(), term.lower()):
        is_listed, page = listing.contains_key(key, (parameter.name, query_term))
        if not is_listed:
            message = _describe_missing(listing, key, path, term)
            return f"{message} ({parameter.name}={query_term})", (page.exchange,)
    return "", (page.exchange,)


def _describe_missing(listing: Listing, key: Any, path: tuple[str, ...], term: str) -> str:
    if key not in listing.get_keys(listing.sample()):
        raise ListChangedDuringCheck
    return f"{key} is missing, expected because its {'.'.join(path)} contains {term!r}"


def _iter_words(rows: list[Row], path: tuple[str, ...]) -> Iterator[tuple[Row, str]]:
    """Yield (row, word) of the texts at a path, from the last row to the first."""
    for row in reversed(rows):
        words = map(_extract_word, get_values_at(row, path) or ())
        yield from ((row, word) for word in words if word)


def _check_search_results(case: Case) -> Iterator[CheckResult]:
    listing = Listing(case.session, case.operation)
    parameter, paths = _require_search(listing)
    requirement = case.build_requirement(parameter.pointer, parameter=parameter.name)
    yield evaluate_requirement(case, requirement, partial(_evaluate_search_results, listing, parameter, paths))


def _evaluate_search_results(listing: Listing, parameter: Parameter, paths: tuple[tuple[str, ...], ...]) -> Evaluation:
    """Find a row without the term, among the rows that have all searched properties."""
    rows = listing.sample()
    term = next((term for path in paths for term in _iter_discriminating_terms(rows, path)), None)
    if term is None:
        raise SkipCheck("no row has a searched text")
    page = listing.fetch_largest((parameter.name, term))
    evaluated = 0
    for row in page.rows:
        path_values = [get_values_at(row, path) for path in paths]
        if None in path_values:
            continue
        evaluated += 1
        texts = [str(value) for values in path_values for value in values or ()]
        if not any(term.casefold() in text.casefold() for text in texts):
            return f"got {listing.get_keys([row])[0]}, expected only rows that contain {term!r}", (page.exchange,)
    if not evaluated:
        raise SkipCheck(not_testable("no row has all searched properties"))
    return "", (page.exchange,)


def _iter_discriminating_terms(rows: list[Row], path: tuple[str, ...]) -> Iterator[str]:
    """Yield words at a path that some rows do not contain."""
    texts = [" ".join(map(str, get_values_at(row, path) or ())).casefold() for row in rows]
    return (word for _, word in _iter_words(rows, path) if not all(word.casefold() in text for text in texts))


def _check_any_search_text(case: Case) -> Iterator[CheckResult]:
    """Search for each special text and for the longest text that the contract allows."""
    listing = Listing(case.session, case.operation)
    parameter = listing.require_parameter("search")
    validator = case.session.schemas.get(f"{parameter.pointer}/schema", "write")
    longest_term = "x" * min(MAX_TERM_CHARS, int(parameter.schema.get("maxLength", MAX_TERM_CHARS)))
    for label, term in {**SPECIAL_TEXTS, "a long text": longest_term}.items():
        if not validator.is_valid(term):
            continue

        def evaluate(term: str = term) -> Evaluation:
            return "", (listing.fetch((parameter.name, term)).exchange,)

        yield evaluate_requirement(case, case.build_requirement(parameter.pointer, parameter=label), evaluate)


CHECKS: tuple[Check, ...] = (
    Check(
        "search-includes-all-matches",
        "A search returns every record whose searchable text contains the term, ignoring case.",
        Category.LISTS,
        is_list_with("search"),
        _check_search_finds,
    ),
    Check(
        "search-excludes-non-matches",
        "A search returns only records that contain the term, ignoring case.",
        Category.LISTS,
        is_list_with("search"),
        _check_search_results,
    ),
)
SPECIAL_TEXT_CHECKS: tuple[Check, ...] = (
    Check(
        "any-search-text-accepted",
        "A search for any valid text succeeds.",
        Category.LISTS,
        is_list_with("search"),
        _check_any_search_text,
    ),
)
