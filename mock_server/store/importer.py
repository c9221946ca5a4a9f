"""Imports an exported store into a new store, whose contract may differ, and reports everything that does not fit."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson

from mock_server.store import schema
from mock_server.store.bulk_load import without_indexes
from mock_server.store.expressions import SqlExpression
from mock_server.store.import_file import (
    POOL_FIELDS,
    RECORD_FIELDS,
    SCHEDULED_CHANGE_FIELDS,
    TOKEN_FIELDS,
    ImportFileError,
    UnreadableLine,
    check_number,
    get_field,
    parse_header,
    parse_line,
)
from mock_server.store.pools import write_pools
from mock_server.store.reader import StoredRecord
from mock_server.store.record_format import RecordFormat
from mock_server.store.schema import Table
from mock_server.store.store import Store
from mock_server.store.tenancy import find_tenant_key
from mock_server.store.writer import build_row
from spec.model import Relation
from spec.validators import SchemaValidators

_BATCH_SIZE = 1000


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """What does not fit the contract. `property_name`: empty if it is the record itself.

    `resource`: empty for a line that cannot be read, which the message names.
    """

    resource: str
    key: Any
    property_name: str
    message: str

    def __str__(self) -> str:
        if not self.resource:
            return self.message
        location = f"{self.resource} {self.key}" + (f".{self.property_name}" if self.property_name else "")
        return f"{location}: {self.message}"


@dataclass(frozen=True, slots=True)
class _RecordProblems:
    """Reports the problems of one record."""

    resource: str
    key: Any
    report: Callable[[ImportProblem], None]

    def add(self, property_name: str, message: str) -> None:
        self.report(ImportProblem(self.resource, self.key, property_name, message))


def import_lines(
    store: Store, validators: SchemaValidators, lines: Iterable[bytes], report: Callable[[ImportProblem], None]
) -> int:
    """Import the lines of an export into an empty store and return the number of imported records.

    `report` is called with each problem; what has a problem is left out. Raises ImportFileError for a file that is
    not a complete export.
    """
    importer = _Importer(store, validators, report)
    with store.transaction():
        with without_indexes(store.connection):
            header = importer.read(iter(lines))
            importer.remove_dangling_references()
            importer.set_tenants()
        importer.set_last_numbers(header["last_numbers"])
        store.write_metadata(header["metadata"])
    store.invalidate_caches()
    store.connection.execute("ANALYZE")
    for index in store.search_indexes.values():
        index.index_all()
    return sum(store.count_by_resource().values())


def _is_complete(counts: Mapping[str, int], expected: Mapping[str, Any], unreadable_count: int) -> bool:
    """Whether a file has as many lines as its header states. Of what kind the unreadable ones are is unknown."""
    missing = [expected[name] - count if isinstance(expected[name], int) else -1 for name, count in counts.items()]
    return min(missing) >= 0 and sum(missing) == unreadable_count


@dataclass(slots=True)
class _Importer:
    store: Store
    validators: SchemaValidators
    report: Callable[[ImportProblem], None]
    formats: dict[str, RecordFormat] = field(default_factory=dict)

    def read(self, lines: Iterator[bytes]) -> Mapping[str, Any]:
        """Import all lines; return the header."""
        header = parse_header(next(lines, b""))
        counts, pools = {"records": 0, "tokens": 0, "scheduled_changes": 0, "pools": 0}, dict[str, list[Any]]()
        unreadable_count = 0
        for number, content in enumerate(lines, start=2):
            try:
                line = parse_line(number, content)
            except UnreadableLine as error:
                unreadable_count += 1
                self.report(ImportProblem("", None, "", str(error)))
                continue
            if "resource" in line:
                counts["records"] += 1
                self.add_record(number, line)
            elif "token" in line:
                counts["tokens"] += 1
                row = [get_field(number, line, name, kinds) for name, kinds in TOKEN_FIELDS.items()]
                self.store.connection.execute("INSERT OR REPLACE INTO _tokens VALUES (?, ?, ?)", row)
            elif "pool" in line:
                counts["pools"] += 1
                pools |= self.read_pool(number, get_field(number, line, "pool", dict))
            else:
                counts["scheduled_changes"] += 1
                self.add_scheduled_change(number, get_field(number, line, "scheduled_change", dict))
        expected = {name: header["counts"].get(name) for name in counts} | {"pools": header["counts"].get("pools", 0)}
        if not _is_complete(counts, expected, unreadable_count):
            shown = ", ".join(f"{count} {name} of {expected[name]}" for name, count in counts.items())
            raise ImportFileError(f"the file is incomplete: it has {shown}")
        if pools:
            write_pools(self.store.connection, pools)
        return header

    def read_pool(self, line_number: int, pool: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return the pool of a resource, with the attributes that fit the contract; empty for an unknown resource."""
        resource, records = (get_field(line_number, pool, name, kinds) for name, kinds in POOL_FIELDS.items())
        record_format = self.get_format(resource)
        if record_format is None:
            return {}
        return {resource: [record_format.select_valid(record) for record in records if isinstance(record, dict)]}

    def get_format(self, resource: str) -> RecordFormat | None:
        table = self.store.tables.get(resource)
        if table is None:
            return None
        if resource not in self.formats:
            self.formats[resource] = RecordFormat.from_table(self.store.contract, self.validators, table)
        return self.formats[resource]

    # Records

    def add_record(self, line_number: int, line: Mapping[str, Any]) -> None:
        """Insert a record without its tenant, if it fits."""
        resource, number, raw_key, attributes, references = (
            get_field(line_number, line, name, kinds) for name, kinds in RECORD_FIELDS.items()
        )
        check_number(line_number, "number", number)
        record_format = self.get_format(resource)
        if record_format is None:
            self.report(ImportProblem(resource, raw_key, "", "the contract has no such resource"))
            return
        table = record_format.table
        key = schema.parse_key(table.resource, raw_key)
        if key is None or attributes.get(table.resource.key_attribute) != key:
            expected = "an integer" if table.resource.has_integer_key else "a string"
            message = f"the key is not {expected} that equals {table.resource.key_attribute}"
            self.report(ImportProblem(resource, raw_key, "", message))
            return
        record_problems = _RecordProblems(resource, key, self.report)
        fitting = record_format.read_attributes(attributes, record_problems.add)
        single, to_many = record_format.read_references(references, record_problems.add)
        if fitting is None or single is None:
            return
        stored = (resource, number, key, None, orjson.dumps(fitting), MappingProxyType(single))
        try:
            self.store.connection.execute(table.insert_sql, build_row(table, StoredRecord(*stored), fitting))
        except sqlite3.IntegrityError:
            self.report(ImportProblem(resource, key, "", "another record has this key or number"))
            return
        for name, targets in to_many.items():
            link = table.links[name]
            rows = [(key, i, schema.encode_reference(link.relation, target)) for i, target in enumerate(targets)]
            self.store.connection.executemany(f"INSERT INTO {link.name} VALUES (?, ?, ?)", rows)

    def add_scheduled_change(self, line_number: int, change: Mapping[str, Any]) -> None:
        """Insert a scheduled change, without the attributes that do not fit."""
        at, resource, key, changes = (
            get_field(line_number, change, name, kinds) for name, kinds in SCHEDULED_CHANGE_FIELDS.items()
        )
        record_format = self.get_format(resource)
        if record_format is None:
            self.report(ImportProblem(resource, key, "", "the contract has no such resource (scheduled change)"))
            return
        known = record_format.table.resource.attributes
        fitting = {}
        for name, value in changes.items():
            if name in known and (value is None or record_format.validator.is_valid({name: value})):
                fitting[name] = value
            else:
                self.report(ImportProblem(resource, key, name, "a scheduled change does not fit the contract"))
        sql = "INSERT INTO _scheduled_changes (at, resource, key, changes) VALUES (?, ?, ?, ?)"
        self.store.connection.execute(sql, (at, resource, key, orjson.dumps(fitting).decode()))

    # Relations, when all records are stored

    def remove_dangling_references(self) -> None:
        """Report and clear references to missing records, and remove the records that require such a reference."""
        while self._remove_dangling_references():
            continue

    def _remove_dangling_references(self) -> bool:
        """Return whether a record was removed: others may refer to it."""
        is_record_removed = False
        for table in self.store.tables.values():
            for column, relation in table.reference_columns.items():
                for number, key, value in self._find_dangling(table.name, ("n", "key"), column, relation):
                    self._report_dangling(table, key, relation, value)
                    if self._is_required(table, relation):
                        self._remove_record(table, number, key)
                        is_record_removed = True
                    else:
                        sql = f"UPDATE {table.name} SET {column} = NULL WHERE n = ?"
                        self.store.connection.execute(sql, (number,))
            for link in table.links.values():
                for owner, position, value in self._find_dangling(
                    link.name, ("owner", "position"), "target", link.relation
                ):
                    self._report_dangling(table, owner, link.relation, value)
                    sql = f"DELETE FROM {link.name} WHERE owner = ? AND position = ?"
                    self.store.connection.execute(sql, (owner, position))
        return is_record_removed

    def _find_dangling(
        self, table: str, identity: tuple[str, str], column: str, relation: Relation
    ) -> list[tuple[Any, Any, Any]]:
        """Return (identity, value) of the rows whose reference names a missing record."""
        conditions = []
        for name in relation.targets:
            target = self.store.tables[name].name
            key_sql, belongs = f"source.{column}", "1"
            if len(relation.targets) > 1:
                prefix = f"{name}/"
                belongs = f"substr(source.{column}, 1, {len(prefix)}) = {schema.to_sql_literal(prefix)}"
                key_sql = f"substr(source.{column}, {len(prefix) + 1})"
            conditions.append(f"({belongs} AND NOT EXISTS (SELECT 1 FROM {target} AS t WHERE t.key = {key_sql}))")
        columns = ", ".join((*identity, column))
        sql = f"SELECT {columns} FROM {table} AS source WHERE {column} IS NOT NULL AND ({' OR '.join(conditions)})"
        return self.store.connection.execute(sql).fetchall()

    def _is_required(self, table: Table, relation: Relation) -> bool:
        record_format = self.get_format(table.resource.name)
        return record_format is not None and record_format.is_required(relation)

    def _report_dangling(self, table: Table, key: Any, relation: Relation, value: Any) -> None:
        reference = schema.decode_reference(self.store.contract, relation, value)
        assert reference is not None
        message = f"refers to {reference.resource} {reference.key}, which does not exist"
        self.report(ImportProblem(table.resource.name, key, relation.name, message))

    def _remove_record(self, table: Table, number: int, key: Any) -> None:
        connection = self.store.connection
        connection.execute(f"DELETE FROM {table.name} WHERE n = ?", (number,))
        for link in table.links.values():
            connection.execute(f"DELETE FROM {link.name} WHERE owner = ?", (key,))
        sql = "DELETE FROM _scheduled_changes WHERE resource = ? AND key = ?"
        connection.execute(sql, (table.resource.name, key))

    def set_tenants(self) -> None:
        """Set the tenant of each record: its parents may follow it in the file."""
        self.store.invalidate_caches()
        for name, table in self.store.tables.items():
            if table.resource.members_relation:
                self.store.connection.execute(f"UPDATE {table.name} SET tenant = key")
            elif table.resource.tenant_path:
                self._set_tenants_of(name, table)

    def _set_tenants_of(self, name: str, table: Table) -> None:
        last_number = -(2**63)
        sql = f"UPDATE {table.name} SET tenant = ? WHERE n = ?"
        while records := self.store.select(name, SqlExpression("n > ?", (last_number,)), limit=f"LIMIT {_BATCH_SIZE}"):
            tenants = [
                (find_tenant_key(table.resource, r.key, r.references, self.store.get_references), r.number)
                for r in records
            ]
            self.store.connection.executemany(sql, tenants)
            last_number = records[-1].number

    def set_last_numbers(self, last_numbers: Mapping[str, Any]) -> None:
        """Continue the numbers of the exported store: those of deleted records are not used again."""
        for resource, number in last_numbers.items():
            if resource not in self.store.tables:
                message = f"line 1: last_numbers.{resource}: the contract has no such resource"
                self.report(ImportProblem("", None, "", message))
            else:
                sql = "DELETE FROM sqlite_sequence WHERE name = ? AND seq < ?"
                self.store.connection.execute(sql, (resource, number))
                sql = (
                    "INSERT INTO sqlite_sequence (name, seq) SELECT ?1, ?2 "
                    "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)"
                )
                self.store.connection.execute(sql, (resource, number))
