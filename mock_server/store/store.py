"""The store of one world: adds, changes, removes and finds records, and says what each write touched."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from mock_server.store import schema
from mock_server.store.counts import CountCache
from mock_server.store.errors import DeleteRestricted, StoreError
from mock_server.store.schema import Table
from mock_server.store.search_index import TrigramIndex
from mock_server.store.write_behind import BEGIN, COMMIT, ROLLBACK, open_connection, write_later
from spec.loader import Contract, DerivedProperty, Relation
from spec.record import Record, Reference

# (resource, key): the record itself. (resource, relation, value): the set of records whose relation holds that value.
Tag = tuple[str, Any] | tuple[str, str, Any]

MAX_CACHED_RECORDS = 4096
MAX_MEMO_ENTRIES = 2_000
# References that are kept of who refers to one record.
MAX_CACHED_REFERRERS = 100


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it stands in the store.

    `references`: its to-one references; lists are asked for by `linked`. `created_generation`: the store's generation when it was
    added with a fresh key, else -1; what was written last before it cannot refer to it.
    """

    resource: str
    number: int
    key: Any
    tenant_key: Any
    attributes: dict[str, Any]
    references: dict[str, Reference | None]
    created_generation: int = field(default=-1, compare=False)

    @property
    def reference(self) -> Reference:
        """What others hold to refer to it."""
        return Reference(self.resource, self.key)


@dataclass(slots=True)
class Store:
    """Everything that is stored of one world.

    `generation` counts writes, `generation_by_resource` by resource: what was read under one number is still true while it stands.
    Whoever keeps encodings of records is among `listeners`: told after each write the tags that it touched, or None
    when anything may have changed. `memo` is what `memoize` keeps, `count_caches` what `count` does, by resource.
    `search_indexes` tell who may hold a term, by resource. `record_cache` are those read last, each until a write touches it: what
    `get` and `select` answer is never to be changed. `referrer_cache` are likewise those that refer to a record, and `relation_cache`
    the contract's relations that may.
    """

    contract: Contract
    connection: sqlite3.Connection
    tables: Mapping[str, Table]
    generation: int = 0
    generation_by_resource: dict[str, int] = field(default_factory=dict)
    listeners: list[Callable[[Iterable[Tag] | None], None]] = field(default_factory=list)
    last_numbers: dict[str, int] = field(default_factory=dict)
    memo: dict[Any, tuple[int, Any]] = field(default_factory=dict)
    count_caches: dict[str, CountCache] = field(default_factory=dict)
    search_indexes: dict[str, TrigramIndex] = field(default_factory=dict)
    record_cache: dict[Tag, StoredRecord] = field(default_factory=dict)
    referrer_cache: dict[Tag, list[Reference]] = field(default_factory=dict)
    relation_cache: dict[tuple[str, str], list[tuple[str, Relation]]] = field(default_factory=dict)

    # Making and ending ------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, contract: Contract, target: str = ":memory:") -> "Store":
        """A store with tables and no records, in memory or in the file `target`."""
        connection = connect(target)
        with connection:
            for statement in schema.build_ddl(contract):
                connection.execute(statement)
        return cls.from_connection(contract, connection)

    @classmethod
    def from_image(cls, contract: Contract, image: bytes | Path) -> "Store":
        """A store in memory from what `image()` gave, or from the file of one."""
        connection = connect(":memory:")
        copy_image(image, connection)
        return cls.from_connection(contract, connection)

    @classmethod
    def from_connection(cls, contract: Contract, connection: sqlite3.Connection) -> "Store":
        """The store that a connection leads to."""
        tables = schema.build_tables(contract)
        store = cls(contract, connection, tables, generation_by_resource=dict.fromkeys(tables, 0))
        store.count_caches = {name: CountCache(connection, table.name) for name, table in tables.items()}
        store.search_indexes = TrigramIndex.create_all(connection, tables)
        store._load_last_numbers()
        return store

    def _load_last_numbers(self) -> None:
        self.last_numbers = dict(self.connection.execute("SELECT name, seq FROM sqlite_sequence"))

    def serialize(self) -> bytes:
        """The whole store as bytes."""
        return self.connection.serialize()

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all of what is written inside, or nothing when an exception leaves. Transactions can be nested."""
        begin, commit, rollback = _SAVEPOINT_STATEMENTS if self.connection.in_transaction else _TRANSACTION_STATEMENTS
        self.connection.execute(begin)
        generation_before = self.generation
        try:
            yield
            self.connection.execute(commit)
        except BaseException:
            for statement in rollback if self.connection.in_transaction else ():  # SQLite may have undone it
                self.connection.execute(statement)
            if self.generation != generation_before:  # else nothing was written, and all that is kept still holds
                self.invalidate_caches()
            raise

    def read_metadata(self) -> dict[str, str]:
        """What the store says of itself: names and texts."""
        return dict(self.connection.execute("SELECT name, value FROM _meta"))

    def write_metadata(self, values: Mapping[str, str]) -> None:
        """Add to what the store says of itself."""
        self.connection.executemany("INSERT OR REPLACE INTO _meta VALUES (?, ?)", values.items())

    # Reading ----------------------------------------------------------------------------------------------------

    def get(self, resource: str, key: Any) -> StoredRecord | None:
        """The record with that key."""
        cached = self.record_cache.get((resource, key))
        if cached is not None:
            return cached
        records = self.select(resource, "key = ?", (key,))
        return records[0] if records else None

    def get_existing(self, reference: Reference) -> StoredRecord:
        """The record that a reference means. Raises StoreError when it is gone."""
        record = self.get(reference.resource, reference.key)
        if record is None:
            raise StoreError(f"no {reference.resource} {reference.key}")
        return record

    def resolve(self, reference: Reference | None) -> StoredRecord | None:
        """The record that a reference means."""
        return None if reference is None else self.get(reference.resource, reference.key)

    def select(
        self, resource: str, where: str, parameters: tuple[Any, ...] = (), order: str = "n", limit: str = ""
    ) -> list[StoredRecord]:
        """Records for which the SQL condition `where` holds."""
        table = self.tables[resource]
        columns = ", ".join(("n", "key", "tenant", "own", *table.reference_columns))
        sql = f"SELECT {columns} FROM {table.name} WHERE {where} ORDER BY {order} {limit}"
        record_cache = self.record_cache
        return [
            record_cache.get((resource, row[1])) or self._decode_row(table, row)
            for row in self.connection.execute(sql, parameters).fetchall()
        ]

    def _decode_row(self, table: Table, row: Sequence[Any]) -> StoredRecord:
        """A row of (n, key, tenant, own, references ...) as the record it holds."""
        number, key, tenant_key, attributes, *values = row
        references = {
            relation.name: schema.decode_reference(self.contract, relation, value)
            for relation, value in zip(table.reference_columns.values(), values, strict=True)
        }
        return self._cache_record(
            StoredRecord(table.resource.name, number, key, tenant_key, orjson.loads(attributes), references)
        )

    def _cache_record(self, record: StoredRecord) -> StoredRecord:
        if len(self.record_cache) >= MAX_CACHED_RECORDS:
            self.record_cache.clear()
        self.record_cache[record.resource, record.key] = record
        return record

    def scalar(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        """The first column of the first row, None without a row."""
        row = self.connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def memoize(self, key: Any, resource_names: Iterable[str], compute: Callable[[], Any]) -> Any:
        """What `compute` finds, kept until a record of one of the resources `resource_names` is written."""
        generation = max(map(self.generation_by_resource.__getitem__, resource_names), default=0)
        entry = self.memo.get(key)
        if entry is not None and entry[0] == generation:
            return entry[1]
        value = compute()
        if len(self.memo) >= MAX_MEMO_ENTRIES:
            self.memo.clear()
        self.memo[key] = (generation, value)
        return value

    def count(
        self,
        resource: str,
        where: str,
        parameters: tuple[Any, ...] = (),
        get_faster_condition: Callable[[], tuple[str, tuple[Any, ...]]] | None = None,
    ) -> int:
        """How many records fulfil an SQL condition. Counted once; from then on each write adds or takes its own.

        `get_faster_condition`: gives a condition, and its parameters, that means the same just now and is counted sooner.
        """
        cache = self.count_caches[resource]

        def execute_count() -> int:
            sql, values = get_faster_condition() if get_faster_condition else (where, parameters)
            return int(self.scalar(f"SELECT COUNT(*) FROM {self.tables[resource].name} WHERE {sql}", values))

        if cache.is_cacheable(where, parameters):
            return cache.get(where, parameters, execute_count)
        mentioned_resources = self.memoize(("mentioned", where), (), lambda: self.find_mentioned_resources(where))
        total: int = self.memoize((resource, where, parameters), (resource, *mentioned_resources), execute_count)
        return total

    def find_search_candidates(self, resource: str, term: str, max_candidates: int) -> tuple[list[int], int] | None:
        """(numbers, last): a record that holds a folded term has one of these numbers, or one after the last.

        None when they are more than `max_candidates`, or nothing is known of it.
        """
        index = self.search_indexes.get(resource)
        if index is None:
            return None
        index.index_pending()
        candidates = None if index.is_behind() else index.find_candidates(term, max_candidates)
        return None if candidates is None else (candidates, index.last_indexed)

    def find_mentioned_resources(self, where: str) -> list[str]:
        """The resources whose tables, or whose lists of references, an SQL condition may read."""
        return [
            name
            for name in self.tables
            if schema.quote_identifier(name) in where or schema.quote_identifier(name)[:-1] + "." in where
        ]

    def get_linked_references(self, resource: str, relation: Relation, key: Any) -> list[Reference]:
        """A stored list of references, in its order."""
        link = self.tables[resource].links[relation.name]
        rows = self.connection.execute(f"SELECT target FROM {link.name} WHERE owner = ? ORDER BY position", (key,))
        references = [schema.decode_reference(self.contract, relation, row[0]) for row in rows]
        return [reference for reference in references if reference is not None]

    def find_inverse(self, relation: Relation, reference: Reference) -> list[Reference]:
        """The records whose relation `relation.via` holds `reference`, oldest first."""
        if len(relation.targets) == 1:
            return self.find_referrers(relation.targets[0], relation.inverse or "", reference)
        return [
            referrer
            for name in relation.targets
            for referrer in self.find_referrers(name, relation.inverse or "", reference)
        ]

    def find_referrers(self, resource: str, relation_name: str, reference: Reference) -> list[Reference]:
        """The records of a resource whose stored relation `relation_name` holds `reference`, oldest first."""
        target = self.record_cache.get(reference)
        if target is not None and self.generation_by_resource[resource] < target.created_generation:
            return []  # nothing was written there since
        table = self.tables[resource]
        relation = table.resource.relations[relation_name]
        tag = (resource, relation_name, schema.encode_reference(relation, reference))
        referrers = self.referrer_cache.get(tag)
        if referrers is None:
            where = f"{schema.reference_column(relation_name)} = ?"
            if relation.to_many:
                where = f"key IN (SELECT owner FROM {table.links[relation_name].name} WHERE target = ?)"
            rows = self.connection.execute(f"SELECT key FROM {table.name} WHERE {where} ORDER BY n", tag[2:])
            referrers = [Reference(resource, row[0]) for row in rows]
            if len(self.referrer_cache) >= MAX_CACHED_RECORDS:
                self.referrer_cache.clear()
            if len(referrers) <= MAX_CACHED_REFERRERS:
                self.referrer_cache[tag] = referrers
        return referrers

    def compute_derived(self, resource: str, derived_property: DerivedProperty, key: Any) -> Any:
        """The value of a count, sum or max for the record `key`."""
        return self.scalar(f"SELECT {self.build_derived_sql(resource, derived_property, '?1')}", (key,))

    def build_derived_sql(self, resource: str, derived_property: DerivedProperty, key_sql: str) -> str:
        """A count, sum or max as an SQL expression; `key_sql` is SQL for the key of the record it is of."""
        relation = self.tables[resource].resource.relations[derived_property.path[0]]
        parts = [
            self._build_aggregate_sql(resource, relation, target, derived_property, key_sql)
            for target in relation.targets
        ]
        if (
            derived_property.kind == "max" and len(parts) > 1
        ):  # SQL's max of several values is NULL where one of them is
            return f"(SELECT MAX(value) FROM ({' UNION ALL '.join(f'SELECT {part} AS value' for part in parts)}))"
        return f"({' + '.join(parts)})"

    def _build_aggregate_sql(
        self, resource: str, relation: Relation, target: str, derived_property: DerivedProperty, key_sql: str
    ) -> str:
        table = self.tables[target]
        conditions = []
        prefix = f"{schema.to_sql_literal(target + '/')} || " if len(relation.targets) > 1 else ""
        if relation.inverse is None and relation.to_many:
            link = self.tables[resource].links[relation.name]
            conditions.append(f"{prefix}key IN (SELECT target FROM {link.name} WHERE owner = {key_sql})")
        elif relation.inverse is None:
            column = schema.reference_column(relation.name)
            reference_sql = f"SELECT {column} FROM {self.tables[resource].name} AS _me WHERE _me.key = {key_sql}"
            conditions.append(f"{prefix}key = ({reference_sql})")
        else:
            inverse = table.resource.relations[relation.inverse]
            value = f"{schema.to_sql_literal(resource + '/')} || {key_sql}" if len(inverse.targets) > 1 else key_sql
            if inverse.to_many:
                conditions.append(f"key IN (SELECT owner FROM {table.links[inverse.name].name} WHERE target = {value})")
            else:
                conditions.append(f"{schema.reference_column(inverse.name)} = {value}")
        for name, values in derived_property.where.items():
            format_ = table.resource.attributes[name].format
            conditions.append(schema.build_in_sql((name,), [schema.to_comparable(value, format_) for value in values]))
        aggregate = "COUNT(*)"
        if derived_property.kind != "count":
            column = schema.attribute_column(derived_property.path[1:])
            aggregate = f"COALESCE(SUM({column}), 0)" if derived_property.kind == "sum" else f"MAX({column})"
        # Under another name, so that `key` may be a column of the same table outside.
        return f"(SELECT {aggregate} FROM {table.name} AS _of WHERE {' AND '.join(conditions)})"

    def count_by_resource(self) -> dict[str, int]:
        """Number of records by resource."""
        return {name: self.scalar(f"SELECT COUNT(*) FROM {table.name}") for name, table in self.tables.items()}

    # Writing ----------------------------------------------------------------------------------------------------

    def next_number(self, resource: str) -> int:
        """The number that the next record added will have."""
        return self.last_numbers.get(resource, 0) + 1

    def invalidate_caches(self) -> None:
        """Drop all that is kept of what was read: for whoever wrote past the store."""
        self._load_last_numbers()
        self._publish(None)

    def add(self, record: Record, *, has_new_key: bool = False) -> StoredRecord:
        """Store a new record. Its number is its number-stamped property's value, else the next.

        `has_new_key`: its key was made just now, so that nothing has it, or refers to it.
        """
        resource, key, attributes = record.resource, record.key, dict(record.attributes)
        table = self.tables[resource]
        explicit_number = attributes.get(table.number_attribute) if table.number_attribute else None
        last_number = self.last_numbers.get(resource, 0)
        number = explicit_number if isinstance(explicit_number, int) else last_number + 1
        self.last_numbers[resource] = max(number, last_number)
        references = {
            relation.name: _require_single_reference(record.references.get(relation.name))
            for relation in table.reference_columns.values()
        }
        tenant_key = self.find_tenant_key(table, key, references)
        values = [number, key, orjson.dumps(attributes), *table.column_values(tenant_key, references, attributes)]
        if has_new_key and number > last_number:
            write_later(self.connection, table.insert_sql, values)
        else:
            self.connection.execute(table.insert_sql, values)
        self._update_search_index(resource, number, None, attributes)
        changed_tags = self._get_reference_tags(table, references)
        changed_tags.add((resource, key))
        for name, link in table.links.items():
            if targets := record.references.get(name):
                changed_tags |= self._replace_links(table, link, key, _to_reference_tuple(targets))
        self.count_caches[resource].on_insert(key)
        self._publish(changed_tags)
        created_generation = self.generation if has_new_key else -1
        return self._cache_record(
            StoredRecord(resource, number, key, tenant_key, attributes, references, created_generation)
        )

    def update(
        self,
        resource: str,
        key: Any,
        attributes: Mapping[str, Any],
        references: Mapping[str, Reference | tuple[Reference, ...] | None] | None = None,
    ) -> None:
        """Replace a record's own properties, and those of its references that are named."""
        table = self.tables[resource]
        current = self.get(resource, key)
        if current is None:
            raise StoreError(f"no {resource} {key} to change")
        new_references = dict(current.references)
        changed_tags: set[Tag] = {(resource, key)}
        for name, value in (references or {}).items():
            if name in table.links:
                changed_tags |= self._replace_links(table, table.links[name], key, _to_reference_tuple(value or ()))
            else:
                new_references[name] = _require_single_reference(value)
        for name, link in table.links.items():
            if link.has_inverse and name not in (references or {}):
                changed_tags |= self._get_link_tags(
                    table, link, self.get_linked_references(resource, link.relation, key)
                )
        tenant_key = self.find_tenant_key(table, key, new_references)
        old_values, new_values = (
            table.column_values(current.tenant_key, current.references, current.attributes),
            table.column_values(tenant_key, new_references, attributes),
        )
        # What stays as it is would be taken out of its index and put back.
        changed_columns = {
            column_name: new
            for column_name, old, new in zip(table.columns, old_values, new_values, strict=True)
            if new != old
        }
        count_cache = self.count_caches[resource]
        matches_before = count_cache.matches_for_row(key, changed_columns)
        assignments = ", ".join(f"{column} = ?" for column in ("own", *changed_columns))
        sql = f"UPDATE {table.name} SET {assignments} WHERE n = ?"
        write_later(self.connection, sql, (orjson.dumps(dict(attributes)), *changed_columns.values(), current.number))
        self._update_search_index(resource, current.number, current.attributes, attributes)
        changed_tags |= self._get_reference_tags(table, current.references)
        updated = StoredRecord(
            resource, current.number, key, tenant_key, dict(attributes), new_references, current.created_generation
        )
        changed_relations = {name for name in new_references if new_references[name] != current.references[name]}
        if changed_relations:
            changed_tags |= self._get_reference_tags(table, new_references)
            self._invalidate(changed_tags)
            self._cache_record(updated)
            changed_tags |= self._reassign_tenants(Reference(resource, key), changed_relations)
        count_cache.on_update(matches_before, count_cache.matches_for_row(key, changed_columns))
        self._publish(changed_tags)
        self._cache_record(updated)

    def delete(self, resource: str, key: Any) -> None:
        """Remove a record, and do to those who refer to it what the contract says. Raises Refused."""
        to_delete = self._cascade_set(Reference(resource, key))
        for name, record_key in to_delete:
            self._check_restrictions(Reference(name, record_key), to_delete)
        for (name, record_key), record in to_delete.items():
            self._clear_references(Reference(name, record_key), to_delete)
            self._delete_record(record)

    def is_restricted(self, reference: Reference) -> bool:
        """Whether others refer to a record in a way that refuses its removal."""
        try:
            self._check_restrictions(reference, {})
        except DeleteRestricted:
            return True
        return False

    def _cascade_set(self, root: Reference) -> dict[tuple[str, Any], StoredRecord]:
        """A record and all that go with it."""
        to_delete: dict[tuple[str, Any], StoredRecord] = {}
        pending = [root]
        while pending:
            reference = pending.pop()
            record = self.resolve(reference)
            if record is None or (reference.resource, reference.key) in to_delete:
                continue
            to_delete[reference.resource, reference.key] = record
            for referring_resource, relation in self._find_relations_to(reference.resource, "cascade"):
                pending += self.find_referrers(referring_resource, relation.name, reference)
        return to_delete

    def _check_restrictions(self, reference: Reference, to_delete: Mapping[tuple[str, Any], StoredRecord]) -> None:
        """Raise Refused while a record that stays needs one that would go."""
        for referring_resource, relation in self._find_relations_to(reference.resource, "refuse"):
            for referrer in self.find_referrers(referring_resource, relation.name, reference):
                if (referrer.resource, referrer.key) not in to_delete:
                    raise DeleteRestricted(reference.resource, reference.key, referring_resource, relation.name)

    def _find_relations_to(self, resource: str, on_delete: str) -> list[tuple[str, Relation]]:
        """The stored relations, with whose they are, that lead to a resource, and say that of removing its records."""
        relations = self.relation_cache.get((resource, on_delete))
        if relations is None:
            all_relations = self.contract.find_relations_to(resource)
            relations = [
                (source.name, relation) for source, relation in all_relations if relation.on_delete == on_delete
            ]
            self.relation_cache[resource, on_delete] = relations
        return relations

    def _clear_references(self, reference: Reference, to_delete: Mapping[tuple[str, Any], StoredRecord]) -> None:
        for referring_resource, relation in self._find_relations_to(reference.resource, "clear"):
            for referrer in self.find_referrers(referring_resource, relation.name, reference):
                if (referrer.resource, referrer.key) in to_delete:
                    continue
                record = self.resolve(referrer)
                assert record is not None
                remaining: tuple[Reference, ...] | None = None
                if relation.to_many:
                    remaining = tuple(
                        target
                        for target in self.get_linked_references(referrer.resource, relation, referrer.key)
                        if target != reference
                    )
                self.update(referrer.resource, referrer.key, record.attributes, {relation.name: remaining})

    def _delete_record(self, record: StoredRecord) -> None:
        table = self.tables[record.resource]
        changed_tags: set[Tag] = {(record.resource, record.key)}
        count_cache = self.count_caches[record.resource]
        matches_before = count_cache.matches_for_row(record.key)
        for link in table.links.values():
            changed_tags |= self._replace_links(table, link, record.key, ())
        write_later(self.connection, f"DELETE FROM {table.name} WHERE n = ?", (record.number,))
        self._update_search_index(record.resource, record.number, record.attributes, None)
        write_later(self.connection, "DELETE FROM _due WHERE resource = ? AND key = ?", (record.resource, record.key))
        changed_tags |= self._get_reference_tags(table, record.references)
        count_cache.on_update(matches_before, ())
        self._publish(changed_tags)

    def _update_search_index(
        self,
        resource: str,
        number: int,
        old_attributes: Mapping[str, Any] | None,
        new_attributes: Mapping[str, Any] | None,
    ) -> None:
        index = self.search_indexes.get(resource)
        if index is not None:
            index.on_update(number, old_attributes, new_attributes)

    def _replace_links(
        self, table: Table, link: schema.LinkTable, owner_key: Any, targets: tuple[Reference, ...]
    ) -> set[Tag]:
        resource, relation = table.resource.name, link.relation
        previous = self.get_linked_references(resource, relation, owner_key)
        self.connection.execute(f"DELETE FROM {link.name} WHERE owner = ?", (owner_key,))
        rows = [
            (owner_key, position, schema.encode_reference(relation, target)) for position, target in enumerate(targets)
        ]
        self.connection.executemany(f"INSERT INTO {link.name} VALUES (?, ?, ?)", rows)
        return self._get_link_tags(table, link, (*previous, *targets))

    def _get_link_tags(self, table: Table, link: schema.LinkTable, targets: Iterable[Reference]) -> set[Tag]:
        relation = link.relation
        return {(table.resource.name, relation.name, schema.encode_reference(relation, target)) for target in targets}

    def _get_reference_tags(self, table: Table, references: Mapping[str, Reference | None]) -> set[Tag]:
        return {
            (table.resource.name, relation.name, schema.encode_reference(relation, references[relation.name]))
            for relation in table.reference_columns.values()
            if references.get(relation.name) is not None
        }

    def find_tenant_key(self, table: Table, key: Any, references: Mapping[str, Reference | None]) -> Any:
        """Key of the tenant that a record lies in, along the contract's path; None where there is none."""
        if table.resource.members_relation:
            return key
        current = references
        reference: Reference | None = None
        for relation_name in table.resource.tenant_path:
            reference = current.get(relation_name)
            record = self.resolve(reference)
            if record is None:
                return reference.key if reference and relation_name == table.resource.tenant_path[-1] else None
            current = record.references
        return reference.key if reference else None

    def _reassign_tenants(self, reference: Reference, relation_names: set[str]) -> set[Tag]:
        """Find the tenant anew of those whose path to it leads on by one of these relations of a record."""
        changed_tags: set[Tag] = set()
        for table in self.tables.values():
            path = table.resource.tenant_path
            for index in (
                position for position, relation_name in enumerate(path) if position and relation_name in relation_names
            ):
                for dependent in self._find_by_path(table.resource.name, path[:index], reference):
                    record = self.resolve(dependent)
                    assert record is not None
                    tenant_key = self.find_tenant_key(table, dependent.key, record.references)
                    self.connection.execute(
                        f"UPDATE {table.name} SET tenant = ? WHERE key = ?", (tenant_key, dependent.key)
                    )
                    self.count_caches[dependent.resource].clear()
                    changed_tags.add((dependent.resource, dependent.key))
        return changed_tags

    def _find_by_path(self, resource: str, path: tuple[str, ...], target: Reference) -> list[Reference]:
        """The records of a resource whose path of relations leads to `target`."""
        relation = self.tables[resource].resource.relations[path[0]]
        if len(path) == 1:
            return self.find_referrers(resource, relation.name, target) if target.resource in relation.targets else []
        intermediates = [
            intermediate
            for target_resource in relation.targets
            for intermediate in self._find_by_path(target_resource, path[1:], target)
        ]
        return [
            referrer
            for intermediate in intermediates
            for referrer in self.find_referrers(resource, relation.name, intermediate)
        ]

    def _publish(self, changed_tags: set[Tag] | None) -> None:
        self.generation += 1
        if changed_tags is None:
            self.record_cache.clear()
            self.referrer_cache.clear()
            for count_cache in self.count_caches.values():
                count_cache.clear()
        else:
            self._invalidate(changed_tags)
        for name in self.tables if changed_tags is None else {tag[0] for tag in changed_tags}:
            self.generation_by_resource[name] = self.generation
        for listener in self.listeners:
            listener(changed_tags)

    def _invalidate(self, changed_tags: Iterable[Tag]) -> None:
        for tag in changed_tags:
            if len(tag) == 2:
                self.record_cache.pop(tag, None)
            else:
                self.referrer_cache.pop(tag, None)


# How a transaction is begun, kept and undone: one of its own, and one inside another.
_TRANSACTION_STATEMENTS = (BEGIN, COMMIT, (ROLLBACK,))
_SAVEPOINT_STATEMENTS = ("SAVEPOINT step", "RELEASE step", ("ROLLBACK TO step", "RELEASE step"))


def connect(target: str) -> sqlite3.Connection:
    """A connection in autocommit, safe to hand from the thread that built it to the one that serves."""
    connection = open_connection(target)
    connection.execute("PRAGMA journal_mode = WAL" if target != ":memory:" else "PRAGMA journal_mode = MEMORY")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def copy_image(image: bytes | Path, connection: sqlite3.Connection) -> None:
    """Fill an empty store from an image. A copy, since what SQLite itself deserializes may not grow beyond 1 GiB."""
    database_uri = f"{image.absolute().as_uri()}?mode=ro&immutable=1" if isinstance(image, Path) else ":memory:"
    with closing(sqlite3.connect(database_uri, uri=True)) as source:
        if isinstance(image, bytes):
            source.deserialize(image)
        source.backup(connection)


def _require_single_reference(value: Reference | tuple[Reference, ...] | None) -> Reference | None:
    if value is None or isinstance(value, Reference):
        return value
    raise StoreError(f"a list of references where one is due: {value!r}")


def _to_reference_tuple(value: Any) -> tuple[Reference, ...]:
    return (value,) if isinstance(value, Reference) else tuple(value)
