"""Fills an empty store with many records: the same rows that `Store.add` writes one by one, in half the time.

Rows are written in batches, and what only lists and searches are found by is made at the end, each index from its
sorted values. Nobody is told of it and nothing is kept of it: this is for images of datasets.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from mock_server.store import schema
from mock_server.store.errors import StoreError
from mock_server.store.schema import Table
from mock_server.store.store import Store
from spec.record import Record, Reference

BATCH_SIZE = 500
MAX_CACHED_PARENTS = 10_000

_ReferenceMap = Mapping[str, Reference | None]


def bulk_load(store: Store, records: Iterable[Record]) -> None:
    """Store records, in their order. Raises StoreError for one that the contract has no place for."""
    try:
        _bulk_load(store, records)
    finally:
        store.invalidate_caches()


def _bulk_load(store: Store, records: Iterable[Record]) -> None:
    with store.transaction():
        index_query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        indexes = store.connection.execute(index_query).fetchall()
        for name, _ in indexes:
            store.connection.execute(f"DROP INDEX {schema.quote_identifier(name)}")
        loader = _BulkLoader(store, _find_parent_resources(store))
        for record in records:
            loader.add(record)
        loader.flush()
        for _, sql in indexes:
            store.connection.execute(sql)


def _find_parent_resources(store: Store) -> frozenset[str]:
    """The resources on whose references it depends in which tenant others lie."""
    parents = set()
    for table in store.tables.values():
        resource_names = {table.resource.name}
        for relation_name in table.resource.tenant_path[:-1]:
            resource_names = {
                target
                for name in resource_names
                for target in store.contract.resources[name].relations[relation_name].targets
            }
            parents |= resource_names
    return frozenset(parents)


@dataclass(slots=True)
class _BulkLoader:
    """What waits to be written: rows by resource, and rows of lists by table. `parent_references`: the references of parents."""

    store: Store
    parents: frozenset[str]
    pending_rows: dict[str, list[list[Any]]] = field(default_factory=dict)
    pending_links: dict[str, list[tuple[Any, int, Any]]] = field(default_factory=dict)
    parent_references: dict[Reference, _ReferenceMap] = field(default_factory=dict)
    pending_count: int = 0

    def add(self, record: Record) -> None:
        """The rows of a record."""
        table = self.store.tables[record.resource]
        explicit_number = record.attributes.get(table.number_attribute) if table.number_attribute else None
        number = explicit_number if isinstance(explicit_number, int) else self.store.next_number(record.resource)
        self.store.last_numbers[record.resource] = max(number, self.store.last_numbers.get(record.resource, 0))
        references = {
            relation.name: _get_reference(record, relation.name) for relation in table.reference_columns.values()
        }
        tenant_key = self.find_tenant_key(table, record.key, references)
        row = [
            number,
            record.key,
            orjson.dumps(dict(record.attributes)),
            *table.column_values(tenant_key, references, record.attributes),
        ]
        self.pending_rows.setdefault(record.resource, []).append(row)
        for name, link in table.links.items():
            targets = [schema.encode_reference(link.relation, target) for target in _get_references(record, name)]
            self.pending_links.setdefault(link.name, []).extend(
                (record.key, position, target) for position, target in enumerate(targets)
            )
        if record.resource in self.parents:
            self.cache_parent(Reference(record.resource, record.key), references)
        self.pending_count += 1
        if self.pending_count >= BATCH_SIZE:
            self.flush()

    def cache_parent(self, reference: Reference, references: _ReferenceMap) -> None:
        if len(self.parent_references) >= MAX_CACHED_PARENTS:
            self.flush()  # from now on they are found in the store
            self.parent_references.clear()
        self.parent_references[reference] = references

    def find_tenant_key(self, table: Table, key: Any, references: _ReferenceMap) -> Any:
        """Key of the tenant that a record lies in, as `Store.tenant_of` finds it."""
        if table.resource.members_relation:
            return key
        *relation_names, last_name = table.resource.tenant_path or (None,)
        for relation_name in relation_names:
            parent_references = self.get_references(references.get(str(relation_name)))
            if parent_references is None:
                return None
            references = parent_references
        reference = references.get(last_name) if last_name else None
        return reference.key if reference else None

    def get_references(self, reference: Reference | None) -> _ReferenceMap | None:
        """The references of a record; None where it is not there yet."""
        if reference is None or reference in self.parent_references:
            return None if reference is None else self.parent_references[reference]
        self.flush()
        parent = self.store.get(reference.resource, reference.key)
        return None if parent is None else parent.references

    def flush(self) -> None:
        """Write what waits."""
        connection = self.store.connection
        for resource, rows in self.pending_rows.items():
            connection.executemany(self.store.tables[resource].insert_sql, rows)
        for name, link_rows in self.pending_links.items():
            connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", link_rows)
        self.pending_rows.clear()
        self.pending_links.clear()
        self.pending_count = 0


def _get_reference(record: Record, name: str) -> Reference | None:
    value = record.references.get(name)
    if value is None or isinstance(value, Reference):
        return value
    raise StoreError(f"{record.resource} {record.key}: {name}: found a list of references; allowed: one, or none")


def _get_references(record: Record, name: str) -> tuple[Reference, ...]:
    value = record.references.get(name) or ()
    return (value,) if isinstance(value, Reference) else tuple(value)
