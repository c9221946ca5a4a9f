"""The x- words of a contract: which there are, what each may say. Any other is refused with its place."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spec.document import Document, escape, keywords
from spec.errors import ContractError

GRADES = ("documented", "published", "confirmed", "inferred")
KNOWN = (
    "x-action",
    "x-derived",
    "x-effects",
    "x-evidence",
    "x-faker",
    "x-page",
    "x-query",
    "x-relation",
    "x-resource",
    "x-source",
    "x-stamp",
)
EVIDENCE = ("date", "found")
ON_DELETE = ("cascade", "clear", "refuse")
EFFECTS = ("language-model", "mail", "webhook")
STAMPS = ("created", "updated", "number")
PAGE_FIGURES = ("current-page", "first-item", "last-page", "size", "last-item", "total", "path")
PAGE_LINKS = ("first", "last", "previous", "next")
PAGE = (*PAGE_FIGURES, *PAGE_LINKS)
QUERY_WORDS = ("page", "size", "sort", "direction", "include", "count")
QUERY_OPS = ("eq", "from", "to", "exists")
_DATE = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")


@dataclass(frozen=True, slots=True)
class QueryWord:
    """What a query parameter does.

    `role` is one of QUERY_WORDS, ``search``, ``filter`` or ``show``. `paths` are property paths as tuples:
    one for ``filter`` and ``show``, one or more for ``search``. `op` is of QUERY_OPS. `unless` names a parameter.
    """

    role: str
    paths: tuple[tuple[str, ...], ...] = ()
    op: str = "eq"
    unless: str | None = None


@dataclass(frozen=True, slots=True)
class Sets:
    """A body's property (or a create's query parameter) that names the record a relation will lead to."""

    relation: str
    by: str | None = None


def check_known(document: Document) -> None:
    """Refuse any x- word that is not KNOWN, and grades that do not exist."""
    for node, pointer in keywords(document.root):
        for key, value in node.items():
            if not str(key).startswith("x-"):
                continue
            place = f"{pointer}/{escape(key)}"
            if key not in KNOWN:
                raise ContractError(place, f"the unknown word {key!r}", ", ".join(KNOWN))
            if key == "x-source":
                for grade in grades(value):
                    one_of(grade, GRADES, place)
            elif key == "x-evidence":
                _check_evidence(node, place)


def grades(source: Any) -> tuple[Any, ...]:
    """The grades that an `x-source` gives: one, or one for each keyword."""
    return tuple(source.values()) if isinstance(source, dict) else (source,)


def _check_evidence(node: Mapping[str, Any], place: str) -> None:
    """Refuse evidence that says not when and what was found, or stands where nothing is confirmed."""
    value = mapping(node["x-evidence"], EVIDENCE, place)
    date, found = (value.get(name) for name in EVIDENCE)
    if not (isinstance(date, str) and _DATE.fullmatch(date)):
        raise ContractError(f"{place}/date", repr(date)[:80], "the day when it was found, like 2026-03-01")
    if not (isinstance(found, str) and found.strip()):
        raise ContractError(f"{place}/found", repr(found)[:80], "a text: what was asked of which backend, and held")
    if "confirmed" not in grades(node.get("x-source")):
        raise ContractError(place, "evidence of nothing", "x-evidence beside an x-source that says confirmed")


def one_of(value: Any, allowed: tuple[str, ...], place: str) -> str:
    """`value`, if it is one of `allowed`."""
    if value not in allowed:
        raise ContractError(place, repr(value), ", ".join(allowed))
    return str(value)


def mapping(value: Any, known: tuple[str, ...], place: str) -> Mapping[str, Any]:
    """`value`, if it is a mapping with no other keys than `known`."""
    if not isinstance(value, dict):
        raise ContractError(place, repr(value), "a mapping of " + ", ".join(known))
    for key in value:
        if key not in known:
            raise ContractError(place, f"the unknown key {key!r}", ", ".join(known))
    return value


def path(value: Any, place: str) -> tuple[str, ...]:
    """``a.b.c`` -> its parts."""
    if not isinstance(value, str) or not value or "" in value.split("."):
        raise ContractError(place, repr(value), "a path of names joined by dots")
    return tuple(value.split("."))


def query_word(node: Mapping[str, Any], pointer: str) -> QueryWord | None:
    """The x-query word of a parameter or a body's property, if it has one."""
    value = node.get("x-query")
    place = f"{pointer}/x-query"
    if value is None:
        return None
    if isinstance(value, str):
        return QueryWord(one_of(value, QUERY_WORDS, place))
    value = mapping(value, ("search", "filter", "include", "op", "unless"), place)
    roles = [k for k in ("search", "filter", "include") if k in value]
    if len(roles) != 1:
        raise ContractError(place, f"{len(roles)} of search, filter, include", "exactly one of them")
    role = roles[0]
    listed = value[role] if role == "search" and isinstance(value[role], list) else [value[role]]
    if not listed:
        raise ContractError(place, "a search in nothing", "one property path or more")
    for word in ("op", "unless") if role != "filter" else ():
        if word in value:
            raise ContractError(f"{place}/{word}", f"{word!r} beside {role}", f"{word} beside filter only")
    op = one_of(value.get("op", "eq"), QUERY_OPS, f"{place}/op")
    return QueryWord(
        "show" if role == "include" else role, tuple(path(v, place) for v in listed), op, value.get("unless")
    )


def sets_word(node: Mapping[str, Any], pointer: str) -> Sets | None:
    """The x-relation word of a body's property or a create's query parameter, if it has one."""
    value = node.get("x-relation")
    if value is None:
        return None
    value = mapping(value, ("sets", "by"), f"{pointer}/x-relation")
    if not isinstance(value.get("sets"), str):
        raise ContractError(f"{pointer}/x-relation", "no 'sets'", "sets: the relation whose record this names")
    return Sets(value["sets"], value.get("by"))
