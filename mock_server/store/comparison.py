"""Compares two states of a store: which records were created, changed and deleted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from mock_server.store.schema import LinkTable, Table
from mock_server.store.store import Store

_BATCH_SIZE = 500
_Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A record that differs.

    `before`, `after`: the values of its properties that differ; all if the other is None. `values`: all values in the
    last state that has the record.
    """

    resource: str
    key: Any
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    values: Mapping[str, Any]


def iter_changes(before: Store, after: Store) -> Iterator[RecordChange]:
    """Yield the records that differ, by resource in the order of their creation. Both stores have the same contract."""
    for table in after.tables.values():
        links_before = {name: _read_links(before, link) for name, link in table.links.items()}
        links_after = {name: _read_links(after, link) for name, link in table.links.items()}
        for old, new in _pair_rows(_iter_rows(before, table), _iter_rows(after, table)):
            key = (new or old or ())[1]
            has_same_links = all(links_before[name].get(key) == links_after[name].get(key) for name in table.links)
            if old is not None and new is not None and old[2:] == new[2:] and has_same_links:
                continue
            values_before = None if old is None else _describe_row(table, old, links_before)
            values_after = None if new is None else _describe_row(table, new, links_after)
            values = values_after or values_before or {}
            if values_before is not None and values_after is not None:
                values_before, values_after = _select_different(values_before, values_after)
            yield RecordChange(table.resource.name, key, values_before, values_after, values)


def _iter_rows(store: Store, table: Table) -> Iterator[_Row]:
    """Yield number, key, attributes as JSON and references of all records, in the order of their numbers."""
    sql = f"SELECT {', '.join(('n', 'key', 'own', *table.reference_columns))} FROM {table.name} ORDER BY n"
    cursor = store.connection.execute(sql)
    while rows := cursor.fetchmany(_BATCH_SIZE):
        yield from rows


def _read_links(store: Store, link: LinkTable) -> dict[Any, tuple[Any, ...]]:
    """Return the stored list of references of each record that has one."""
    lists: dict[Any, list[Any]] = {}
    for owner, target in store.connection.execute(f"SELECT owner, target FROM {link.name} ORDER BY owner, position"):
        lists.setdefault(owner, []).append(target)
    return {owner: tuple(targets) for owner, targets in lists.items()}


def _pair_rows(before: Iterator[_Row], after: Iterator[_Row]) -> Iterator[tuple[_Row | None, _Row | None]]:
    """Pair the rows of the same record: a number is never used for another one, but its key may be."""
    old, new = next(before, None), next(after, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[:2] < new[:2]):
            yield old, None
            old = next(before, None)
        elif old is None or new[:2] < old[:2]:
            yield None, new
            new = next(after, None)
        else:
            yield old, new
            old, new = next(before, None), next(after, None)


def _describe_row(table: Table, row: _Row, links: Mapping[str, Mapping[Any, tuple[Any, ...]]]) -> dict[str, Any]:
    """Return attributes and references by name. A reference is a key, ``Resource/key`` if it may have several types."""
    _, key, attributes_json, *references = row
    names = (relation.name for relation in table.reference_columns.values())
    values: dict[str, Any] = orjson.loads(attributes_json)
    values |= zip(names, references, strict=True)
    return values | {name: list(by_owner.get(key, ())) for name, by_owner in links.items()}


def _select_different(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [
        name for name in {**before, **after} if name not in before or name not in after or before[name] != after[name]
    ]
    return {n: before[n] for n in names if n in before}, {n: after[n] for n in names if n in after}
