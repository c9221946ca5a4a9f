"""The specification extensions (``x-...``) of a contract and their valid values."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spec.document import escape
from spec.errors import ContractError, invalid_value
from spec.similar_names import count_edits, find_similar_name

PROVENANCE_LEVELS = ("documented", "published", "confirmed", "inferred")
AVERAGE_KEYWORD = "x-average-of"
KNOWN_EXTENSIONS = (
    "x-action",
    AVERAGE_KEYWORD,
    "x-csrf",
    "x-derived",
    "x-effects",
    "x-evidence",
    "x-faker",
    "x-page",
    "x-precondition",
    "x-query",
    "x-relation",
    "x-resource",
    "x-source",
    "x-stamp",
    "x-sum-of",
)
MAX_LISTED_EXTENSIONS = 20
_MIN_LETTERS_FOR_TWO_EDITS = 7
CSRF_KEYS = ("cookie", "header")
EVIDENCE_KEYS = ("date", "found")
ON_DELETE = ("cascade", "clear", "refuse")
EFFECTS = ("language-model", "mail", "webhook")
STAMPS = ("created", "updated", "number")
PAGINATION_META = (
    *("current-page", "first-item", "last-page", "size", "last-item", "total", "path"),
    *("offset", "has-more", "next-cursor", "previous-cursor"),
)
PAGINATION_LINKS = ("first", "last", "previous", "next")
PAGINATION_ROLES = (*PAGINATION_META, *PAGINATION_LINKS)
POSITION_ROLES = ("page", "offset", "cursor")  # of parameters that select a page of a list
QUERY_ROLES = (*POSITION_ROLES, "size", "sort", "direction", "include", "count")
DESCENDING_SIGN = "-"  # before a name in the enum of a sort parameter
FILTER_OPERATORS = ("eq", "from", "to", "exists")
_HEADER_NAME_PATTERN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # the same for cookies (RFC 6265)
_DATE_PATTERN = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")


@dataclass(frozen=True, slots=True)
class QueryExtension:
    """The effect of a query parameter or body field on a list (`x-query`).

    `role`: one of QUERY_ROLES, ``search``, ``filter`` or ``show``. `paths`: property paths as tuples, several only for
    ``search``. `operator`: one of FILTER_OPERATORS. `unless_parameter`: name of the parameter that disables this one.
    """

    role: str
    paths: tuple[tuple[str, ...], ...] = ()
    operator: str = "eq"
    unless_parameter: str | None = None


@dataclass(frozen=True, slots=True)
class RelationSetter:
    """A body field, or a query parameter of a create operation, that contains the key for a relation.

    `discriminator`: name of the field that contains the resource, for a relation to several resources.
    """

    relation: str
    discriminator: str | None = None


def check_action(action: str, pointer: str, known: Collection[str]) -> None:
    """Raise ContractError for an unknown action. `pointer`: of the extension."""
    if action not in known:
        similar = find_similar_name(action, known)
        hint = f"; did you mean {similar}?" if similar else ""
        raise ContractError(pointer, invalid_value(action), f"one of {', '.join(known)}{hint}")


def iter_extension_problems(node: Mapping[str, Any], pointer: str, ignored: Counter[str]) -> Iterator[ContractError]:
    """Yield the misspelled extensions of an object, unknown provenance levels and invalid evidence.

    `ignored`: counts the extensions of other tools.
    """
    yield from _iter_sum_problems(node.get("properties"), f"{pointer}/properties")
    for key, value in node.items():
        if not key.startswith("x-"):
            continue
        if key in ("x-source", "x-evidence"):
            try:
                _check_annotation(node, key, value, f"{pointer}/{key}")
            except ContractError as error:
                yield error
        elif key not in KNOWN_EXTENSIONS:
            intended = None if key in ignored else find_intended_extension(key)
            if intended is not None:
                expected = f"an extension of the mock; did you mean {intended}?"
                yield ContractError(f"{pointer}/{escape(key)}", f"unknown extension {key!r}", expected)
            else:
                ignored[key] += 1


def _iter_sum_problems(properties: Any, pointer: str) -> Iterator[ContractError]:
    """Yield the problems of each `x-sum-of`, which lists the other properties of the object that are added up."""
    for name, schema in properties.items() if isinstance(properties, dict) else ():
        if not isinstance(schema, dict) or "x-sum-of" not in schema:
            continue
        parts, others = schema["x-sum-of"], [other for other in properties if other != name]
        if not isinstance(parts, list) or not parts or any(part not in others for part in parts):
            location = f"{pointer}/{escape(str(name))}/x-sum-of"
            yield ContractError(location, invalid_value(parts), f"a list of {', '.join(map(str, others))}")


def _check_annotation(node: Mapping[str, Any], key: str, value: Any, location: str) -> None:
    if key == "x-source":
        _check_provenance(node, value, location)
    else:
        _check_evidence(node, location)


def format_ignored_extensions(counts: Mapping[str, int]) -> str:
    """Return a line that lists the extensions of other tools, for example ``ignored extensions: x-tags (2)``."""
    shown = [f"{name} ({count})" for name, count in list(counts.items())[:MAX_LISTED_EXTENSIONS]]
    if len(counts) > MAX_LISTED_EXTENSIONS:
        shown.append(f"and {len(counts) - MAX_LISTED_EXTENSIONS} more")
    return f"ignored extensions: {', '.join(shown)}"


def find_intended_extension(name: str) -> str | None:
    """Return the extension of which an unknown name is probably a misspelling; None if it is another tool's.

    A misspelling differs in case or by one edit, in names of at least 7 letters by two. Many words are two edits from a
    short name (`x-tags` from `x-page`). A name that adds a word to an extension (`x-resourceId`) is another name.
    """
    for known in KNOWN_EXTENSIONS:
        limit = 2 if len(known) >= len("x-") + _MIN_LETTERS_FOR_TWO_EDITS else 1
        if name.lower() == known or (not _adds_word(name, known) and count_edits(name, known) <= limit):
            return known
    return None


def _adds_word(name: str, known: str) -> bool:
    """Whether a name is an extension followed by another word: ``x-resourceId``, ``x-page-1``."""
    return name.startswith(known) and not name[len(known)].islower()


def list_provenance_levels(source: Any) -> tuple[Any, ...]:
    """Return the levels in an `x-source`: one, or those of each keyword and of each enum value."""
    if isinstance(source, dict):
        return tuple(level for value in source.values() for level in list_provenance_levels(value))
    return (source,)


def _check_provenance(node: Mapping[str, Any], source: Any, location: str) -> None:
    """Require known levels, and a level for values of the enum only."""
    for level in list_provenance_levels(source):
        require_one_of(level, PROVENANCE_LEVELS, location)
    for keyword, levels in source.items() if isinstance(source, dict) else ():
        if not isinstance(levels, dict):
            continue
        if keyword != "enum":
            raise ContractError(f"{location}/{escape(keyword)}", invalid_value(levels), ", ".join(PROVENANCE_LEVELS))
        values = tuple(str(value) for value in node.get("enum", ()) if value is not None)
        for value in levels:
            require_one_of(value, values, f"{location}/enum")


def _check_evidence(node: Mapping[str, Any], location: str) -> None:
    """Require a date and a text, and an `x-source` with the level ``confirmed`` on the same node."""
    value = require_mapping(node["x-evidence"], EVIDENCE_KEYS, location)
    date, text = (value.get(name) for name in EVIDENCE_KEYS)
    if not (isinstance(date, str) and _DATE_PATTERN.fullmatch(date)):
        raise ContractError(f"{location}/date", invalid_value(date), "the date of the observation, like 2026-03-01")
    if not (isinstance(text, str) and text.strip()):
        raise ContractError(f"{location}/found", invalid_value(text), "the request, the backend and the result")
    if "confirmed" not in list_provenance_levels(node.get("x-source")):
        raise ContractError(location, "evidence without a confirmed level", "x-source: confirmed on the same node")


def require_one_of(value: Any, allowed: tuple[str, ...], location: str) -> str:
    """Return `value` if it is in `allowed`."""
    if value not in allowed:
        raise ContractError(location, invalid_value(value), ", ".join(allowed))
    return str(value)


def require_mapping(value: Any, allowed_keys: tuple[str, ...], location: str) -> Mapping[str, Any]:
    """Return `value` if it is a mapping without other keys than `allowed_keys`."""
    if not isinstance(value, dict):
        raise ContractError(location, invalid_value(value), "a mapping of " + ", ".join(allowed_keys))
    for key in value:
        if key not in allowed_keys:
            raise ContractError(location, f"unknown key {key!r}", ", ".join(allowed_keys))
    return value


def split_sort_name(name: str) -> tuple[str, bool]:
    """Return the property of a value of a sort parameter, and whether its sign requests descending order."""
    return name.removeprefix(DESCENDING_SIGN), name.startswith(DESCENDING_SIGN)


def parse_path(value: Any, location: str) -> tuple[str, ...]:
    """Split a property path: ``a.b.c`` -> ``("a", "b", "c")``."""
    if not isinstance(value, str) or not value or "" in value.split("."):
        raise ContractError(location, invalid_value(value), "a path of names separated by dots")
    return tuple(value.split("."))


def parse_preconditions(value: Any, location: str) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Parse the `x-precondition` of an operation: property path -> the values that it must have."""
    if not isinstance(value, dict):
        raise ContractError(location, invalid_value(value), "a mapping of property paths to values")
    return {
        parse_path(path, location): tuple(values) if isinstance(values, list) else (values,)
        for path, values in value.items()
    }


def parse_csrf(scheme: Mapping[str, Any], pointer: str) -> tuple[str, str] | None:
    """Parse the `x-csrf` of a security scheme: the names of its cookie and its header; None if it has none."""
    value, location = scheme.get("x-csrf"), f"{pointer}/x-csrf"
    if value is None:
        return None
    if (scheme.get("type"), scheme.get("in")) != ("apiKey", "cookie"):
        raise ContractError(location, "x-csrf of a scheme without a cookie", "a scheme with type: apiKey, in: cookie")
    value = require_mapping(value, CSRF_KEYS, location)
    for key in CSRF_KEYS:
        if not (isinstance(value.get(key), str) and _HEADER_NAME_PATTERN.fullmatch(value[key])):
            raise ContractError(f"{location}/{key}", invalid_value(value.get(key)), f"the name of a {key}")
    return value["cookie"], value["header"]


def parse_query_extension(node: Mapping[str, Any], pointer: str) -> QueryExtension | None:
    """Parse the `x-query` of a parameter or body field; None if it has none."""
    value = node.get("x-query")
    location = f"{pointer}/x-query"
    if value is None:
        return None
    if isinstance(value, str):
        return QueryExtension(require_one_of(value, QUERY_ROLES, location))
    value = require_mapping(value, ("search", "filter", "include", "op", "unless"), location)
    roles = [k for k in ("search", "filter", "include") if k in value]
    if len(roles) != 1:
        raise ContractError(location, f"{len(roles)} of search, filter, include", "exactly one of them")
    role = roles[0]
    raw_paths = value[role] if role == "search" and isinstance(value[role], list) else [value[role]]
    if not raw_paths:
        raise ContractError(location, "search without a path", "one or more property paths")
    for key in ("op", "unless") if role != "filter" else ():
        if key in value:
            raise ContractError(f"{location}/{key}", f"{key} with {role}", f"{key} only with filter")
    paths = tuple(parse_path(v, location) for v in raw_paths)
    operator = require_one_of(value.get("op", "eq"), FILTER_OPERATORS, f"{location}/op")
    return QueryExtension("show" if role == "include" else role, paths, operator, value.get("unless"))


def parse_relation_setter(node: Mapping[str, Any], pointer: str) -> RelationSetter | None:
    """Parse the `x-relation` of a body field or query parameter; None if it has none."""
    value = node.get("x-relation")
    if value is None:
        return None
    value = require_mapping(value, ("sets", "by"), f"{pointer}/x-relation")
    if not isinstance(value.get("sets"), str):
        raise ContractError(f"{pointer}/x-relation", "missing 'sets'", "sets: the name of the relation")
    return RelationSetter(value["sets"], value.get("by"))
