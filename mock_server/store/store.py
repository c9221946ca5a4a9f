"""The store of one world: adds, changes, removes and finds records, and says what each write touched."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from mock_server.store import plan
from mock_server.store.counts import Counts
from mock_server.store.errors import Refused, StoreError
from mock_server.store.late import BEGIN, COMMIT, ROLLBACK, open_connection, write_later
from mock_server.store.plan import Table
from mock_server.store.trigrams import Trigrams
from spec.contract import Contract, DerivedProperty, Relation
from spec.record import Record, Reference

# (resource, key): the record itself. (resource, relation, value): the set of records whose relation holds that value.
Tag = tuple[str, Any] | tuple[str, str, Any]

MAX_RECORDS = 4096
MAX_MEMO = 2_000
# References that are kept of who refers to one record.
MAX_REFERRING = 100


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it stands in the store.

    `references`: its to-one references; lists are asked for by `linked`. `born`: the store's generation when it was
    added with a fresh key, else -1; what was written last before it cannot refer to it.
    """

    resource: str
    number: int
    key: Any
    tenant: Any
    own: dict[str, Any]
    references: dict[str, Reference | None]
    born: int = field(default=-1, compare=False)

    @property
    def reference(self) -> Reference:
        """What others hold to refer to it."""
        return Reference(self.resource, self.key)


@dataclass(slots=True)
class Store:
    """Everything that is stored of one world.

    `generation` counts writes, `generations` by resource: what was read under one number is still true while it stands.
    Whoever keeps encodings of records is among `listeners`: told after each write the tags that it touched, or None
    when anything may have changed. `memo` is what `remembered` keeps, `counted` what `count` does, by resource.
    `trigrams` tell who may hold a term, by resource. `records` are those read last, each until a write touches it: what
    `get` and `rows` answer is never to be changed. `referred` are likewise those that refer to a record, and `leading`
    the contract's relations that may.
    """

    contract: Contract
    connection: sqlite3.Connection
    tables: Mapping[str, Table]
    generation: int = 0
    generations: dict[str, int] = field(default_factory=dict)
    listeners: list[Callable[[Iterable[Tag] | None], None]] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    memo: dict[Any, tuple[int, Any]] = field(default_factory=dict)
    counted: dict[str, Counts] = field(default_factory=dict)
    trigrams: dict[str, Trigrams] = field(default_factory=dict)
    records: dict[Tag, Stored] = field(default_factory=dict)
    referred: dict[Tag, list[Reference]] = field(default_factory=dict)
    leading: dict[tuple[str, str], list[tuple[str, Relation]]] = field(default_factory=dict)

    # Making and ending ------------------------------------------------------------------------------------------

    @classmethod
    def empty(cls, contract: Contract, target: str = ":memory:") -> "Store":
        """A store with tables and no records, in memory or in the file `target`."""
        connection = connect(target)
        with connection:
            for statement in plan.ddl(contract):
                connection.execute(statement)
        return cls.opened(contract, connection)

    @classmethod
    def from_image(cls, contract: Contract, image: bytes | Path) -> "Store":
        """A store in memory from what `image()` gave, or from the file of one."""
        connection = connect(":memory:")
        copy_image(image, connection)
        return cls.opened(contract, connection)

    @classmethod
    def opened(cls, contract: Contract, connection: sqlite3.Connection) -> "Store":
        """The store that a connection leads to."""
        tables = plan.tables(contract)
        store = cls(contract, connection, tables, generations=dict.fromkeys(tables, 0))
        store.counted = {name: Counts(connection, table.name) for name, table in tables.items()}
        store.trigrams = Trigrams.all(connection, tables)
        store._read_numbers()
        return store

    def _read_numbers(self) -> None:
        self.numbers = dict(self.connection.execute("SELECT name, seq FROM sqlite_sequence"))

    def image(self) -> bytes:
        """The whole store as bytes."""
        return self.connection.serialize()

    def close(self) -> None:
        """End the connection."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all of what is written inside, or nothing when an exception leaves. Transactions can be nested."""
        begin, keep, undo = _STEP if self.connection.in_transaction else _WRITE
        self.connection.execute(begin)
        before = self.generation
        try:
            yield
            self.connection.execute(keep)
        except BaseException:
            for statement in undo if self.connection.in_transaction else ():  # SQLite may have undone it
                self.connection.execute(statement)
            if self.generation != before:  # else nothing was written, and all that is kept still holds
                self.forget()
            raise

    def meta(self) -> dict[str, str]:
        """What the store says of itself: names and texts."""
        return dict(self.connection.execute("SELECT name, value FROM _meta"))

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Add to what the store says of itself."""
        self.connection.executemany("INSERT OR REPLACE INTO _meta VALUES (?, ?)", values.items())

    # Reading ----------------------------------------------------------------------------------------------------

    def get(self, resource: str, key: Any) -> Stored | None:
        """The record with that key."""
        known = self.records.get((resource, key))
        if known is not None:
            return known
        found = self.rows(resource, "key = ?", (key,))
        return found[0] if found else None

    def existing(self, reference: Reference) -> Stored:
        """The record that a reference means. Raises StoreError when it is gone."""
        found = self.get(reference.resource, reference.key)
        if found is None:
            raise StoreError(f"no {reference.resource} {reference.key}")
        return found

    def at(self, reference: Reference | None) -> Stored | None:
        """The record that a reference means."""
        return None if reference is None else self.get(reference.resource, reference.key)

    def rows(
        self, resource: str, where: str, parameters: tuple[Any, ...] = (), order: str = "n", limit: str = ""
    ) -> list[Stored]:
        """Records for which the SQL condition `where` holds."""
        table = self.tables[resource]
        columns = ", ".join(("n", "key", "tenant", "own", *table.references))
        sql = f"SELECT {columns} FROM {table.name} WHERE {where} ORDER BY {order} {limit}"
        known = self.records
        return [
            known.get((resource, row[1])) or self._read(table, row)
            for row in self.connection.execute(sql, parameters).fetchall()
        ]

    def _read(self, table: Table, row: Sequence[Any]) -> Stored:
        """A row of (n, key, tenant, own, references ...) as the record it holds."""
        number, key, tenant, own, *values = row
        references = {
            relation.name: plan.reference_of(self.contract, relation, value)
            for relation, value in zip(table.references.values(), values, strict=True)
        }
        return self._known(Stored(table.resource.name, number, key, tenant, orjson.loads(own), references))

    def _known(self, record: Stored) -> Stored:
        if len(self.records) >= MAX_RECORDS:
            self.records.clear()
        self.records[record.resource, record.key] = record
        return record

    def scalar(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        """The first column of the first row, None without a row."""
        row = self.connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def remembered(self, asked: Any, of: Iterable[str], make: Callable[[], Any]) -> Any:
        """What `make` finds, kept until a record of one of the resources `of` is written."""
        seen = max(map(self.generations.__getitem__, of), default=0)
        known = self.memo.get(asked)
        if known is not None and known[0] == seen:
            return known[1]
        found = make()
        if len(self.memo) >= MAX_MEMO:
            self.memo.clear()
        self.memo[asked] = (seen, found)
        return found

    def count(
        self,
        resource: str,
        where: str,
        parameters: tuple[Any, ...] = (),
        by: Callable[[], tuple[str, tuple[Any, ...]]] | None = None,
    ) -> int:
        """How many records fulfil an SQL condition. Counted once; from then on each write adds or takes its own.

        `by`: gives a condition, and its parameters, that means the same just now and is counted sooner.
        """
        counts = self.counted[resource]

        def counted() -> int:
            sql, values = by() if by else (where, parameters)
            return int(self.scalar(f"SELECT COUNT(*) FROM {self.tables[resource].name} WHERE {sql}", values))

        if counts.takes(where, parameters):
            return counts.get(where, parameters, counted)
        of = self.remembered(("mentioned", where), (), lambda: self.mentioned(where))
        found: int = self.remembered((resource, where, parameters), (resource, *of), counted)
        return found

    def holding(self, resource: str, term: str, most: int) -> tuple[list[int], int] | None:
        """(numbers, last): a record that holds a folded term has one of these numbers, or one after the last.

        None when they are more than `most`, or nothing is known of it.
        """
        index = self.trigrams.get(resource)
        if index is None:
            return None
        index.catch_up()
        found = None if index.is_behind() else index.holding(term, most)
        return None if found is None else (found, index.upto)

    def mentioned(self, where: str) -> list[str]:
        """The resources whose tables, or whose lists of references, an SQL condition may read."""
        return [name for name in self.tables if plan.quoted(name) in where or plan.quoted(name)[:-1] + "." in where]

    def linked(self, resource: str, relation: Relation, key: Any) -> list[Reference]:
        """A stored list of references, in its order."""
        link = self.tables[resource].links[relation.name]
        rows = self.connection.execute(f"SELECT target FROM {link.name} WHERE owner = ? ORDER BY position", (key,))
        found = [plan.reference_of(self.contract, relation, row[0]) for row in rows]
        return [reference for reference in found if reference is not None]

    def inverse(self, relation: Relation, reference: Reference) -> list[Reference]:
        """The records whose relation `relation.via` holds `reference`, oldest first."""
        if len(relation.targets) == 1:
            return self.referring(relation.targets[0], relation.inverse or "", reference)
        return [found for name in relation.targets for found in self.referring(name, relation.inverse or "", reference)]

    def referring(self, resource: str, name: str, reference: Reference) -> list[Reference]:
        """The records of a resource whose stored relation `name` holds `reference`, oldest first."""
        at = self.records.get(reference)
        if at is not None and self.generations[resource] < at.born:
            return []  # nothing was written there since
        table = self.tables[resource]
        relation = table.resource.relations[name]
        tag = (resource, name, plan.reference_value(relation, reference))
        found = self.referred.get(tag)
        if found is None:
            where = f"{plan.reference_column(name)} = ?"
            if relation.to_many:
                where = f"key IN (SELECT owner FROM {table.links[name].name} WHERE target = ?)"
            rows = self.connection.execute(f"SELECT key FROM {table.name} WHERE {where} ORDER BY n", tag[2:])
            found = [Reference(resource, row[0]) for row in rows]
            if len(self.referred) >= MAX_RECORDS:
                self.referred.clear()
            if len(found) <= MAX_REFERRING:
                self.referred[tag] = found
        return found

    def derived(self, resource: str, derived: DerivedProperty, key: Any) -> Any:
        """The value of a count, sum or max for the record `key`."""
        return self.scalar(f"SELECT {self.derived_sql(resource, derived, '?1')}", (key,))

    def derived_sql(self, resource: str, derived: DerivedProperty, key: str) -> str:
        """A count, sum or max as an SQL expression; `key` is SQL for the key of the record it is of."""
        relation = self.tables[resource].resource.relations[derived.path[0]]
        parts = [self._derived_part(resource, relation, target, derived, key) for target in relation.targets]
        if derived.kind == "max" and len(parts) > 1:  # SQL's max of several values is NULL where one of them is
            return f"(SELECT MAX(value) FROM ({' UNION ALL '.join(f'SELECT {part} AS value' for part in parts)}))"
        return f"({' + '.join(parts)})"

    def _derived_part(self, resource: str, relation: Relation, target: str, derived: DerivedProperty, key: str) -> str:
        table = self.tables[target]
        conditions = []
        prefix = f"{plan.literal(target + '/')} || " if len(relation.targets) > 1 else ""
        if relation.inverse is None and relation.to_many:
            link = self.tables[resource].links[relation.name]
            conditions.append(f"{prefix}key IN (SELECT target FROM {link.name} WHERE owner = {key})")
        elif relation.inverse is None:
            column = plan.reference_column(relation.name)
            mine = f"SELECT {column} FROM {self.tables[resource].name} AS _me WHERE _me.key = {key}"
            conditions.append(f"{prefix}key = ({mine})")
        else:
            back = table.resource.relations[relation.inverse]
            value = f"{plan.literal(resource + '/')} || {key}" if len(back.targets) > 1 else key
            if back.to_many:
                conditions.append(f"key IN (SELECT owner FROM {table.links[back.name].name} WHERE target = {value})")
            else:
                conditions.append(f"{plan.reference_column(back.name)} = {value}")
        for name, values in derived.where.items():
            format_ = table.resource.attributes[name].format
            conditions.append(plan.one_of((name,), [plan.comparable(value, format_) for value in values]))
        what = "COUNT(*)"
        if derived.kind != "count":
            column = plan.property_column(derived.path[1:])
            what = f"COALESCE(SUM({column}), 0)" if derived.kind == "sum" else f"MAX({column})"
        # Under another name, so that `key` may be a column of the same table outside.
        return f"(SELECT {what} FROM {table.name} AS _of WHERE {' AND '.join(conditions)})"

    def counts(self) -> dict[str, int]:
        """Number of records by resource."""
        return {name: self.scalar(f"SELECT COUNT(*) FROM {table.name}") for name, table in self.tables.items()}

    # Writing ----------------------------------------------------------------------------------------------------

    def next_number(self, resource: str) -> int:
        """The number that the next record added will have."""
        return self.numbers.get(resource, 0) + 1

    def forget(self) -> None:
        """Drop all that is kept of what was read: for whoever wrote past the store."""
        self._read_numbers()
        self._announce(None)

    def add(self, record: Record, *, fresh: bool = False) -> Stored:
        """Store a new record. Its number is its number-stamped property's value, else the next.

        `fresh`: its key was made just now, so that nothing has it, or refers to it.
        """
        resource, key, own = record.resource, record.key, dict(record.attributes)
        table = self.tables[resource]
        given = own.get(table.stamped) if table.stamped else None
        last = self.numbers.get(resource, 0)
        number = given if isinstance(given, int) else last + 1
        self.numbers[resource] = max(number, last)
        references = {r.name: _one(record.references.get(r.name)) for r in table.references.values()}
        tenant = self.tenant_of(table, key, references)
        values = [number, key, orjson.dumps(own), *table.values(tenant, references, own)]
        if fresh and number > last:
            write_later(self.connection, table.insert, values)
        else:
            self.connection.execute(table.insert, values)
        self._index(resource, number, None, own)
        touched = self._touched_by_references(table, references)
        touched.add((resource, key))
        for name, link in table.links.items():
            if targets := record.references.get(name):
                touched |= self._set_links(table, link, key, _many(targets))
        self.counted[resource].joined(key)
        self._announce(touched)
        born = self.generation if fresh else -1
        return self._known(Stored(resource, number, key, tenant, own, references, born))

    def change(
        self,
        resource: str,
        key: Any,
        own: Mapping[str, Any],
        references: Mapping[str, Reference | tuple[Reference, ...] | None] | None = None,
    ) -> None:
        """Replace a record's own properties, and those of its references that are named."""
        table = self.tables[resource]
        before = self.get(resource, key)
        if before is None:
            raise StoreError(f"no {resource} {key} to change")
        after = dict(before.references)
        touched: set[Tag] = {(resource, key)}
        for name, value in (references or {}).items():
            if name in table.links:
                touched |= self._set_links(table, table.links[name], key, _many(value or ()))
            else:
                after[name] = _one(value)
        for name, link in table.links.items():
            if link.followed and name not in (references or {}):
                touched |= self._touched_by_links(table, link, self.linked(resource, link.relation, key))
        tenant = self.tenant_of(table, key, after)
        was, now = table.values(before.tenant, before.references, before.own), table.values(tenant, after, own)
        # What stays as it is would be taken out of its index and put back.
        written = {c: new for c, old, new in zip(table.columns, was, now, strict=True) if new != old}
        counts = self.counted[resource]
        counted = counts.of(key, written)
        assignments = ", ".join(f"{column} = ?" for column in ("own", *written))
        sql = f"UPDATE {table.name} SET {assignments} WHERE n = ?"
        write_later(self.connection, sql, (orjson.dumps(dict(own)), *written.values(), before.number))
        self._index(resource, before.number, before.own, own)
        touched |= self._touched_by_references(table, before.references)
        changed = Stored(resource, before.number, key, tenant, dict(own), after, before.born)
        moved = {name for name in after if after[name] != before.references[name]}
        if moved:
            touched |= self._touched_by_references(table, after)
            self._drop(touched)
            self._known(changed)
            touched |= self._moved_along(Reference(resource, key), moved)
        counts.moved(counted, counts.of(key, written))
        self._announce(touched)
        self._known(changed)

    def remove(self, resource: str, key: Any) -> None:
        """Remove a record, and do to those who refer to it what the contract says. Raises Refused."""
        doomed = self._doomed(Reference(resource, key))
        for name, at in doomed:
            self._check_refusals(Reference(name, at), doomed)
        for (name, at), record in doomed.items():
            self._clear(Reference(name, at), doomed)
            self._delete(record)

    def is_held(self, reference: Reference) -> bool:
        """Whether others refer to a record in a way that refuses its removal."""
        try:
            self._check_refusals(reference, {})
        except Refused:
            return True
        return False

    def _doomed(self, first: Reference) -> dict[tuple[str, Any], Stored]:
        """A record and all that go with it."""
        doomed: dict[tuple[str, Any], Stored] = {}
        waiting = [first]
        while waiting:
            reference = waiting.pop()
            record = self.at(reference)
            if record is None or (reference.resource, reference.key) in doomed:
                continue
            doomed[reference.resource, reference.key] = record
            for other, relation in self._leading(reference.resource, "cascade"):
                waiting += self.referring(other, relation.name, reference)
        return doomed

    def _check_refusals(self, reference: Reference, doomed: Mapping[tuple[str, Any], Stored]) -> None:
        """Raise Refused while a record that stays needs one that would go."""
        for other, relation in self._leading(reference.resource, "refuse"):
            for by in self.referring(other, relation.name, reference):
                if (by.resource, by.key) not in doomed:
                    raise Refused(reference.resource, reference.key, other, relation.name)

    def _leading(self, resource: str, on_delete: str) -> list[tuple[str, Relation]]:
        """The stored relations, with whose they are, that lead to a resource, and say that of removing its records."""
        found = self.leading.get((resource, on_delete))
        if found is None:
            listed = self.contract.find_relations_to(resource)
            found = [(other.name, relation) for other, relation in listed if relation.on_delete == on_delete]
            self.leading[resource, on_delete] = found
        return found

    def _clear(self, reference: Reference, doomed: Mapping[tuple[str, Any], Stored]) -> None:
        for other, relation in self._leading(reference.resource, "clear"):
            for by in self.referring(other, relation.name, reference):
                if (by.resource, by.key) in doomed:
                    continue
                record = self.at(by)
                assert record is not None
                left: tuple[Reference, ...] | None = None
                if relation.to_many:
                    left = tuple(r for r in self.linked(by.resource, relation, by.key) if r != reference)
                self.change(by.resource, by.key, record.own, {relation.name: left})

    def _delete(self, record: Stored) -> None:
        table = self.tables[record.resource]
        touched: set[Tag] = {(record.resource, record.key)}
        counts = self.counted[record.resource]
        counted = counts.of(record.key)
        for link in table.links.values():
            touched |= self._set_links(table, link, record.key, ())
        write_later(self.connection, f"DELETE FROM {table.name} WHERE n = ?", (record.number,))
        self._index(record.resource, record.number, record.own, None)
        write_later(self.connection, "DELETE FROM _due WHERE resource = ? AND key = ?", (record.resource, record.key))
        touched |= self._touched_by_references(table, record.references)
        counts.moved(counted, ())
        self._announce(touched)

    def _index(
        self, resource: str, number: int, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
    ) -> None:
        index = self.trigrams.get(resource)
        if index is not None:
            index.moved(number, before, after)

    def _set_links(self, table: Table, link: plan.Link, owner: Any, targets: tuple[Reference, ...]) -> set[Tag]:
        resource, relation = table.resource.name, link.relation
        before = self.linked(resource, relation, owner)
        self.connection.execute(f"DELETE FROM {link.name} WHERE owner = ?", (owner,))
        rows = [(owner, i, plan.reference_value(relation, t)) for i, t in enumerate(targets)]
        self.connection.executemany(f"INSERT INTO {link.name} VALUES (?, ?, ?)", rows)
        return self._touched_by_links(table, link, (*before, *targets))

    def _touched_by_links(self, table: Table, link: plan.Link, targets: Iterable[Reference]) -> set[Tag]:
        relation = link.relation
        return {(table.resource.name, relation.name, plan.reference_value(relation, t)) for t in targets}

    def _touched_by_references(self, table: Table, references: Mapping[str, Reference | None]) -> set[Tag]:
        return {
            (table.resource.name, r.name, plan.reference_value(r, references[r.name]))
            for r in table.references.values()
            if references.get(r.name) is not None
        }

    def tenant_of(self, table: Table, key: Any, references: Mapping[str, Reference | None]) -> Any:
        """Key of the tenant that a record lies in, along the contract's path; None where there is none."""
        if table.resource.members_relation:
            return key
        at = references
        reference: Reference | None = None
        for step in table.resource.tenant_path:
            reference = at.get(step)
            record = self.at(reference)
            if record is None:
                return reference.key if reference and step == table.resource.tenant_path[-1] else None
            at = record.references
        return reference.key if reference else None

    def _moved_along(self, reference: Reference, relations: set[str]) -> set[Tag]:
        """Find the tenant anew of those whose path to it leads on by one of these relations of a record."""
        touched: set[Tag] = set()
        for table in self.tables.values():
            path = table.resource.tenant_path
            for index in (i for i, step in enumerate(path) if i and step in relations):
                for heir in self._reaching(table.resource.name, path[:index], reference):
                    record = self.at(heir)
                    assert record is not None
                    tenant = self.tenant_of(table, heir.key, record.references)
                    self.connection.execute(f"UPDATE {table.name} SET tenant = ? WHERE key = ?", (tenant, heir.key))
                    self.counted[heir.resource].clear()
                    touched.add((heir.resource, heir.key))
        return touched

    def _reaching(self, resource: str, path: tuple[str, ...], end: Reference) -> list[Reference]:
        """The records of a resource whose path of relations leads to `end`."""
        relation = self.tables[resource].resource.relations[path[0]]
        if len(path) == 1:
            return self.referring(resource, relation.name, end) if end.resource in relation.targets else []
        below = [middle for target in relation.targets for middle in self._reaching(target, path[1:], end)]
        return [by for middle in below for by in self.referring(resource, relation.name, middle)]

    def _announce(self, touched: set[Tag] | None) -> None:
        self.generation += 1
        if touched is None:
            self.records.clear()
            self.referred.clear()
            for counts in self.counted.values():
                counts.clear()
        else:
            self._drop(touched)
        for name in self.tables if touched is None else {tag[0] for tag in touched}:
            self.generations[name] = self.generation
        for listener in self.listeners:
            listener(touched)

    def _drop(self, touched: Iterable[Tag]) -> None:
        for tag in touched:
            if len(tag) == 2:
                self.records.pop(tag, None)
            else:
                self.referred.pop(tag, None)


# How a transaction is begun, kept and undone: one of its own, and one inside another.
_WRITE = (BEGIN, COMMIT, (ROLLBACK,))
_STEP = ("SAVEPOINT step", "RELEASE step", ("ROLLBACK TO step", "RELEASE step"))


def connect(target: str) -> sqlite3.Connection:
    """A connection in autocommit, safe to hand from the thread that built it to the one that serves."""
    connection = open_connection(target)
    connection.execute("PRAGMA journal_mode = WAL" if target != ":memory:" else "PRAGMA journal_mode = MEMORY")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def copy_image(image: bytes | Path, connection: sqlite3.Connection) -> None:
    """Fill an empty store from an image. A copy, since what SQLite itself deserializes may not grow beyond 1 GiB."""
    name = f"{image.absolute().as_uri()}?mode=ro&immutable=1" if isinstance(image, Path) else ":memory:"
    with closing(sqlite3.connect(name, uri=True)) as read:
        if isinstance(image, bytes):
            read.deserialize(image)
        read.backup(connection)


def _one(value: Reference | tuple[Reference, ...] | None) -> Reference | None:
    if value is None or isinstance(value, Reference):
        return value
    raise StoreError(f"a list of references where one is due: {value!r}")


def _many(value: Any) -> tuple[Reference, ...]:
    return (value,) if isinstance(value, Reference) else tuple(value)
