"""Fills an empty store with many records: the same rows that `Store.add` writes one by one, in half the time.

Rows are written in batches, and what only lists and searches are found by is made at the end, each index from its
sorted values. Nobody is told of it and nothing is kept of it: this is for images of datasets.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from mock_server.store import plan
from mock_server.store.errors import StoreError
from mock_server.store.plan import Table
from mock_server.store.store import Store
from spec.record import Record, Reference

BATCH = 500
MAX_PARENTS = 10_000

_References = Mapping[str, Reference | None]


def fill(store: Store, records: Iterable[Record]) -> None:
    """Store records, in their order. Raises StoreError for one that the contract has no place for."""
    try:
        _fill(store, records)
    finally:
        store.forget()


def _fill(store: Store, records: Iterable[Record]) -> None:
    with store.transaction():
        listed = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        indexes = store.connection.execute(listed).fetchall()
        for name, _ in indexes:
            store.connection.execute(f"DROP INDEX {plan.quoted(name)}")
        filling = _Filling(store, _parents(store))
        for record in records:
            filling.add(record)
        filling.write()
        for _, sql in indexes:
            store.connection.execute(sql)


def _parents(store: Store) -> frozenset[str]:
    """The resources on whose references it depends in which tenant others lie."""
    found = set()
    for table in store.tables.values():
        at = {table.resource.name}
        for step in table.resource.tenant_path[:-1]:
            at = {to for name in at for to in store.contract.resources[name].relations[step].targets}
            found |= at
    return frozenset(found)


@dataclass(slots=True)
class _Filling:
    """What waits to be written: rows by resource, and rows of lists by table. `seen`: the references of parents."""

    store: Store
    parents: frozenset[str]
    rows: dict[str, list[list[Any]]] = field(default_factory=dict)
    links: dict[str, list[tuple[Any, int, Any]]] = field(default_factory=dict)
    seen: dict[Reference, _References] = field(default_factory=dict)
    waiting: int = 0

    def add(self, record: Record) -> None:
        """The rows of a record."""
        table = self.store.tables[record.resource]
        given = record.attributes.get(table.stamped) if table.stamped else None
        number = given if isinstance(given, int) else self.store.next_number(record.resource)
        self.store.numbers[record.resource] = max(number, self.store.numbers.get(record.resource, 0))
        references = {r.name: _one(record, r.name) for r in table.references.values()}
        tenant = self.tenant_of(table, record.key, references)
        row = [
            number,
            record.key,
            orjson.dumps(dict(record.attributes)),
            *table.values(tenant, references, record.attributes),
        ]
        self.rows.setdefault(record.resource, []).append(row)
        for name, link in table.links.items():
            targets = [plan.reference_value(link.relation, target) for target in _many(record, name)]
            self.links.setdefault(link.name, []).extend((record.key, n, target) for n, target in enumerate(targets))
        if record.resource in self.parents:
            self.see(Reference(record.resource, record.key), references)
        self.waiting += 1
        if self.waiting >= BATCH:
            self.write()

    def see(self, reference: Reference, references: _References) -> None:
        if len(self.seen) >= MAX_PARENTS:
            self.write()  # from now on they are found in the store
            self.seen.clear()
        self.seen[reference] = references

    def tenant_of(self, table: Table, key: Any, references: _References) -> Any:
        """Key of the tenant that a record lies in, as `Store.tenant_of` finds it."""
        if table.resource.members_relation:
            return key
        *steps, last = table.resource.tenant_path or (None,)
        for step in steps:
            above = self.references_of(references.get(str(step)))
            if above is None:
                return None
            references = above
        reference = references.get(last) if last else None
        return reference.key if reference else None

    def references_of(self, reference: Reference | None) -> _References | None:
        """The references of a record; None where it is not there yet."""
        if reference is None or reference in self.seen:
            return None if reference is None else self.seen[reference]
        self.write()
        found = self.store.get(reference.resource, reference.key)
        return None if found is None else found.references

    def write(self) -> None:
        """Write what waits."""
        connection = self.store.connection
        for resource, rows in self.rows.items():
            connection.executemany(self.store.tables[resource].insert, rows)
        for name, listed in self.links.items():
            connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", listed)
        self.rows.clear()
        self.links.clear()
        self.waiting = 0


def _one(record: Record, name: str) -> Reference | None:
    value = record.references.get(name)
    if value is None or isinstance(value, Reference):
        return value
    raise StoreError(f"{record.resource} {record.key}: {name}: found a list of references; allowed: one, or none")


def _many(record: Record, name: str) -> tuple[Reference, ...]:
    value = record.references.get(name) or ()
    return (value,) if isinstance(value, Reference) else tuple(value)
