"""Reads of stored records, with the caches that make repeated reads fast."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Any

from mock_server.sized_cache import MIB, SizedCache
from mock_server.store import schema
from mock_server.store.changes import ChangeTracker, Tag
from mock_server.store.counts import MAX_PARAMETERS, CountCache
from mock_server.store.errors import StoreError, parse_stored_object
from mock_server.store.expressions import (
    MATCH_ALL,
    ConditionByResource,
    SqlExpression,
    TableAlias,
    build_derived_expression,
    has_key,
    match_all_records,
)
from mock_server.store.schema import Attributes, References, Table, Tables
from mock_server.store.search_index import TrigramIndex
from spec.model import Contract, DerivedProperty, Relation
from spec.record import Reference

MAX_RECORD_CACHE_BYTES = 4 * MIB
RECORD_OVERHEAD = 1_000  # estimated bytes of a cached record in addition to its attributes
MAX_CACHED_TAGS = 4096
MAX_MEMOIZED_CONDITION_CHARS = 4096
MAX_CACHED_REFERRERS = 100  # references to one record


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record in the store.

    `attributes_json`: its attributes. `references`: its to-one references; for to-many references see
    `RecordReader.get_linked_references`. `created_generation`: the generation of the write that added it with a new
    key, else -1; records of resources that were last written before that do not refer to it.
    """

    resource: str
    number: int
    key: Any
    tenant_key: Any
    attributes_json: bytes
    references: MappingProxyType[str, Reference | None]
    created_generation: int = field(default=-1, compare=False)

    @property
    def attributes(self) -> Attributes:
        """A new copy of the attributes: changing it changes nothing in the store.

        Raises StoreFailure if the store's file is damaged.
        """
        return parse_stored_object(self.attributes_json, f"{self.resource} {self.key}")

    @property
    def reference(self) -> Reference:
        return Reference(self.resource, self.key)


@dataclass(slots=True)
class RecordReader:
    """Reads the records of one store. What it returns is immutable or a copy, since it shares records with its caches.

    `record_cache` and `referrer_cache` hold entries until a write changes their tags. `last_numbers`: the last number
    assigned, by resource; the other mappings are by resource too.
    """

    contract: Contract
    connection: sqlite3.Connection
    tables: Tables
    changes: ChangeTracker
    count_caches: Mapping[str, CountCache]
    search_indexes: dict[str, TrigramIndex]
    last_numbers: dict[str, int] = field(default_factory=dict)
    record_cache: SizedCache[Tag, StoredRecord] = field(
        default_factory=lambda: SizedCache(MAX_RECORD_CACHE_BYTES, _measure_record)
    )
    referrer_cache: dict[Tag, tuple[Reference, ...]] = field(default_factory=dict)

    @classmethod
    def from_connection(
        cls, contract: Contract, connection: sqlite3.Connection, tables: Tables | None = None
    ) -> "RecordReader":
        """Create the reader of a store. `tables`: of another store with this contract; they take a millisecond."""
        tables = tables or schema.build_tables(contract)
        counts = {name: CountCache(connection, table.name) for name, table in tables.items()}
        indexes = TrigramIndex.create_all(connection, tables)
        reader = cls(contract, connection, tables, ChangeTracker(dict.fromkeys(tables, 0)), counts, indexes)
        reader.load_last_numbers()
        return reader

    def load_last_numbers(self) -> None:
        self.last_numbers.clear()
        self.last_numbers.update(schema.read_last_numbers(self.connection))

    def next_number(self, resource: str) -> int:
        return self.last_numbers.get(resource, 0) + 1

    def get(self, resource: str, key: Any) -> StoredRecord | None:
        cached = self.record_cache.entries.get((resource, key))
        if cached is not None:
            return cached
        records = self.select(resource, has_key(key))
        return records[0] if records else None

    def resolve(self, reference: Reference | None) -> StoredRecord | None:
        return None if reference is None else self.get(reference.resource, reference.key)

    def get_existing(self, reference: Reference) -> StoredRecord:
        """Return the record that a reference leads to. Raises StoreError if it does not exist."""
        record = self.get(reference.resource, reference.key)
        if record is None:
            raise StoreError(f"no {reference.resource} {reference.key}")
        return record

    def get_references(self, reference: Reference) -> References | None:
        """Return the to-one references of a record, None if it does not exist."""
        record = self.get(reference.resource, reference.key)
        return None if record is None else record.references

    def select(
        self,
        resource: str,
        condition: SqlExpression = MATCH_ALL,
        order: str = "n",
        limit: str = "",
        order_parameters: tuple[Any, ...] = (),
    ) -> list[StoredRecord]:
        """Return the records that fulfil a condition. `order`, `limit`: SQL; `order_parameters`: values in `order`."""
        table = self.tables[resource]
        columns = ", ".join(("n", "key", "tenant", "own", *table.reference_columns))
        sql = f"SELECT {columns} FROM {table.name} WHERE {condition.sql} ORDER BY {order} {limit}"
        record_cache = self.record_cache.entries
        return [
            record_cache.get((resource, row[1])) or self._decode_row(table, row)
            for row in self.connection.execute(sql, (*condition.parameters, *order_parameters)).fetchall()
        ]

    def _decode_row(self, table: Table, row: Sequence[Any]) -> StoredRecord:
        number, key, tenant_key, attributes_json, *values = row
        references = {
            relation.name: schema.decode_reference(self.contract, relation, value)
            for relation, value in zip(table.reference_columns.values(), values, strict=True)
        }
        stored = (table.resource.name, number, key, tenant_key, attributes_json, MappingProxyType(references))
        return self.cache_record(StoredRecord(*stored))

    def cache_record(self, record: StoredRecord) -> StoredRecord:
        self.record_cache.put((record.resource, record.key), record)
        return record

    def invalidate(self, changed_tags: Iterable[Tag] | None) -> None:
        """Remove changed entries from the caches; None: all entries."""
        if changed_tags is None:
            self.record_cache.clear()
            self.referrer_cache.clear()
            for cache in self.count_caches.values():
                cache.clear()
            return
        for tag in changed_tags:
            if len(tag) == 2:
                self.record_cache.remove(tag)
            else:
                self.referrer_cache.pop(tag, None)

    def scalar(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        """Return the first column of the first row, None without a row."""
        row = self.connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def count(
        self, resource: str, condition: SqlExpression = MATCH_ALL, narrow: Callable[[], SqlExpression] | None = None
    ) -> int:
        """Return how many records fulfil a condition. Counted once, then kept up to date by each write.

        `narrow`: returns an equivalent condition that SQLite counts faster and that is valid until the next write.
        """

        def execute_count() -> int:
            return int(self.aggregate(resource, "COUNT(*)", narrow() if narrow else condition))

        if not condition.resources and len(condition.parameters) <= MAX_PARAMETERS:
            return self.count_caches[resource].get(condition, execute_count)
        if sum(len(p) for p in condition.parameters if isinstance(p, str)) > MAX_MEMOIZED_CONDITION_CHARS:
            return execute_count()
        return self.changes.memoize((resource, condition), (resource, *condition.resources), execute_count)

    def alias(self, resource: str, alias: str = "") -> TableAlias:
        """Return a resource's table for use in a query; without an alias under its own name."""
        table = self.tables[resource]
        return TableAlias(table, alias or table.name)

    def build_expression(
        self, resource: str, name: str, restrict: ConditionByResource = match_all_records
    ) -> SqlExpression:
        """Build the expression of an attribute (nested: with dots), or of a count, sum or max, see `expressions`."""
        row = self.alias(resource)
        derived = row.table.resource.derived_properties.get(name)
        if derived is not None:
            return build_derived_expression(self.tables, resource, derived, row.key, restrict)
        return SqlExpression(row[name], columns=frozenset({row.table.find_column(name) or "own"}))

    def aggregate(
        self, resource: str, value_sql: str, condition: SqlExpression = MATCH_ALL, parameters: tuple[Any, ...] = ()
    ) -> Any:
        """Return the value of an SQL aggregate of the records that fulfil a condition.

        `parameters`: values in `value_sql`.
        """
        sql = f"SELECT {value_sql} FROM {self.tables[resource].name} WHERE {condition.sql}"
        return self.scalar(sql, (*parameters, *condition.parameters))

    def aggregate_by(
        self,
        resource: str,
        group_sql: str,
        value_sql: str,
        condition: SqlExpression = MATCH_ALL,
        parameters: tuple[Any, ...] = (),
    ) -> dict[Any, Any]:
        """Return group -> value of an SQL aggregate of the records that fulfil a condition.

        `parameters`: values in `value_sql`.
        """
        sql = f"SELECT {group_sql}, {value_sql} FROM {self.tables[resource].name} WHERE {condition.sql} GROUP BY 1"
        return dict(self.connection.execute(sql, (*parameters, *condition.parameters)).fetchall())

    def count_by_resource(self) -> dict[str, int]:
        return {name: self.aggregate(name, "COUNT(*)") for name in self.tables}

    def find_search_candidates(self, resource: str, term: str, max_candidates: int) -> tuple[list[int], int] | None:
        """Return (numbers, last indexed number): records that contain a case-folded term have one of these numbers or
        a number after the last one. None if there are more than `max_candidates` or no index.
        """
        index = self.search_indexes.get(resource)
        if index is None:
            return None
        index.index_pending()
        candidates = None if index.is_behind() else index.find_candidates(term, max_candidates)
        return None if candidates is None else (candidates, index.last_indexed)

    def get_linked_references(self, resource: str, relation: Relation, key: Any) -> tuple[Reference, ...]:
        """Return a stored list of references in its order."""
        link = self.tables[resource].links[relation.name]
        rows = self.connection.execute(f"SELECT target FROM {link.name} WHERE owner = ? ORDER BY position", (key,))
        references = [schema.decode_reference(self.contract, relation, row[0]) for row in rows]
        return tuple([reference for reference in references if reference is not None])

    def find_inverse(self, relation: Relation, reference: Reference) -> tuple[Reference, ...]:
        """Return the records of an inverse relation of `reference`, oldest first."""
        referrers = [self.find_referrers(name, relation.inverse or "", reference) for name in relation.targets]
        return referrers[0] if len(referrers) == 1 else tuple(chain.from_iterable(referrers))

    def find_referrers(self, resource: str, relation_name: str, reference: Reference) -> tuple[Reference, ...]:
        """Return the records of a resource whose stored relation holds `reference`, oldest first."""
        target = self.record_cache.entries.get(reference)
        if target is not None and self.changes.generation_by_resource[resource] < target.created_generation:
            return ()  # the resource was last written before the target was created
        table = self.tables[resource]
        relation = table.resource.relations[relation_name]
        tag = (resource, relation_name, schema.encode_reference(relation, reference))
        referrers = self.referrer_cache.get(tag)
        if referrers is None:
            where = f"{schema.reference_column(relation_name)} = ?"
            if relation.to_many:
                where = f"key IN (SELECT owner FROM {table.links[relation_name].name} WHERE target = ?)"
            rows = self.connection.execute(f"SELECT key FROM {table.name} WHERE {where} ORDER BY n", tag[2:])
            referrers = tuple([Reference(resource, row[0]) for row in rows])
            if len(self.referrer_cache) >= MAX_CACHED_TAGS:
                self.referrer_cache.clear()
            if len(referrers) <= MAX_CACHED_REFERRERS:
                self.referrer_cache[tag] = referrers
        return referrers

    def compute_derived(
        self, resource: str, derived: DerivedProperty, key: Any, restrict: ConditionByResource = match_all_records
    ) -> Any:
        """Return the value of a count, sum or max for the record `key`. `restrict`: the records that are counted."""
        expression = build_derived_expression(self.tables, resource, derived, "?1", restrict)
        return self.scalar(f"SELECT {expression.sql}", (key, *expression.parameters))


def _measure_record(_: Tag, record: StoredRecord) -> int:
    return len(record.attributes_json) + RECORD_OVERHEAD
