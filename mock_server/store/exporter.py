"""Exports a store as JSON Lines, without its contract, so that the data can be imported with another contract.

The first line is the header, the others are records in the order of their numbers, tokens, scheduled changes and pools:

    {"format": "athena-mock-store", "version": 1, "counts": {...}, "last_numbers": {...}, "metadata": {...}}
    {"resource": "Thread", "number": 3, "key": "...", "attributes": {...}, "references": {"agent": "Agent/..."}}
    {"token": "...", "user": 123, "expires": "..."}
    {"scheduled_change": {"at": "...", "resource": "...", "key": "...", "changes": {...}}}
    {"pool": {"resource": "...", "records": [{...}, ...]}}

A reference is ``RESOURCE/KEY``; a relation to many records has a list of them. `counts` detects an incomplete file.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from mock_server.store.errors import StoreFailure, parse_stored_object
from mock_server.store.file_format import RELATIONS_KEY, read_metadata
from mock_server.store.pools import parse_pool, read_pool_rows
from mock_server.store.schema import quote_identifier, read_last_numbers, reference_column

EXPORT_FORMAT, EXPORT_VERSION = "athena-mock-store", 1
# Metadata that a store with another contract does not have, or has with another value.
_CONTRACT_METADATA = ("contract", RELATIONS_KEY)
SCHEDULED_CHANGES, POOLS = "_scheduled_changes", "_pools"
_INDEX_METADATA_PREFIX = "trigrams of "

# Stored relation -> names of its target resources.
_Targets = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A damaged record, scheduled change or pool.

    `table`: its resource, SCHEDULED_CHANGES or POOLS. `key`: its number, or the resource of a pool.
    """

    table: str
    key: int | str
    message: str


def find_unreadable(connection: sqlite3.Connection) -> Iterator[UnreadableRow]:
    """Yield the damaged records, scheduled changes and pools of a store."""
    for resource in _read_relations(read_metadata(connection)):
        for number, content, key in connection.execute(
            f"SELECT n, own, key FROM {quote_identifier(resource)} ORDER BY n"
        ):
            try:
                parse_stored_object(content, f"{resource} {key}")
            except StoreFailure as error:
                yield UnreadableRow(resource, number, str(error))
    yield from find_unreadable_changes(connection)
    for resource, content in read_pool_rows(connection).items():
        try:
            parse_pool(resource, content)
        except StoreFailure as error:
            yield UnreadableRow(POOLS, resource, str(error))


def find_unreadable_changes(connection: sqlite3.Connection) -> Iterator[UnreadableRow]:
    """Yield the damaged scheduled changes of a store."""
    resources = _read_relations(read_metadata(connection))
    sql = f"SELECT id, at, resource, changes FROM {SCHEDULED_CHANGES} ORDER BY id"
    for number, at, resource, content in connection.execute(sql):
        try:
            _check_change(f"scheduled change {number}", resources, at, resource, content)
        except StoreFailure as error:
            yield UnreadableRow(SCHEDULED_CHANGES, number, str(error))


def _check_change(label: str, resources: Collection[str], at: Any, resource: Any, content: Any) -> None:
    """Raise StoreFailure if the columns of a scheduled change are damaged."""
    try:
        datetime.fromisoformat(at)
    except (TypeError, ValueError):
        raise StoreFailure(f"{label}: got the time {at!r}, expected an ISO 8601 timestamp") from None
    if resource not in resources:
        raise StoreFailure(f"{label}: the store has no resource {resource!r}")
    parse_stored_object(content, label)


def export_lines(connection: sqlite3.Connection, unreadable: Iterable[UnreadableRow] = ()) -> Iterator[bytes]:
    """Yield the lines of the export of a store, each with its line end. `unreadable`: rows that are left out."""
    omitted = {(row.table, row.key) for row in unreadable}
    metadata = read_metadata(connection)
    relations = _read_relations(metadata)
    yield _encode(_build_header(connection, metadata, relations, omitted))
    for resource, targets in relations.items():
        yield from _export_records(connection, resource, targets, omitted)
    for token, user, expires in connection.execute("SELECT token, user, expires FROM _tokens ORDER BY rowid"):
        yield _encode({"token": token, "user": user, "expires": expires})
    sql = f"SELECT id, at, resource, key, changes FROM {SCHEDULED_CHANGES} ORDER BY id"
    for number, at, resource, key, changes in connection.execute(sql):
        if (SCHEDULED_CHANGES, number) not in omitted:
            change = {"at": at, "resource": resource, "key": key, "changes": orjson.loads(changes)}
            yield _encode({"scheduled_change": change})
    for resource, content in read_pool_rows(connection).items():
        if (POOLS, resource) not in omitted:
            yield _encode({"pool": {"resource": resource, "records": parse_pool(resource, content)}})


def _read_relations(metadata: Mapping[str, str]) -> Mapping[str, _Targets]:
    """Return resource -> stored relations. Raises StoreFailure if the description is damaged."""
    return parse_stored_object(metadata.get(RELATIONS_KEY, ""), "the description of the relations")


def _encode(line: Mapping[str, Any]) -> bytes:
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _build_header(
    connection: sqlite3.Connection,
    metadata: Mapping[str, str],
    relations: Mapping[str, _Targets],
    omitted: Collection[tuple[str, int | str]],
) -> Mapping[str, Any]:
    def count(table: str) -> int:
        return int(connection.execute(f"SELECT COUNT(*) FROM {quote_identifier(table)}").fetchone()[0])

    omitted_changes = sum(table == SCHEDULED_CHANGES for table, _ in omitted)
    omitted_pools = sum(table == POOLS for table, _ in omitted)

    return {
        "format": EXPORT_FORMAT,
        "version": EXPORT_VERSION,
        "counts": {
            "records": sum(map(count, relations)) - (len(omitted) - omitted_changes - omitted_pools),
            "tokens": count("_tokens"),
            "scheduled_changes": count(SCHEDULED_CHANGES) - omitted_changes,
            "pools": len(read_pool_rows(connection)) - omitted_pools,
        },
        "last_numbers": read_last_numbers(connection),
        "metadata": {
            name: value
            for name, value in metadata.items()
            if name not in _CONTRACT_METADATA and not name.startswith(_INDEX_METADATA_PREFIX)
        },
    }


def _export_records(
    connection: sqlite3.Connection, resource: str, targets: _Targets, omitted: Collection[tuple[str, int | str]]
) -> Iterator[bytes]:
    table = quote_identifier(resource)
    column_names = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    single = [name for name in targets if reference_column(name).strip('"') in column_names]
    to_many = {name: quote_identifier(f"{resource}.{name}") for name in targets if name not in single}
    columns = ", ".join(("n", "key", "own", *map(reference_column, single)))
    for number, key, attributes_json, *values in connection.execute(f"SELECT {columns} FROM {table} ORDER BY n"):
        if (resource, number) in omitted:
            continue
        references: dict[str, Any] = {
            name: _format_reference(targets[name], value) for name, value in zip(single, values, strict=True)
        }
        for name, link in to_many.items():
            rows = connection.execute(f"SELECT target FROM {link} WHERE owner = ? ORDER BY position", (key,))
            references[name] = [_format_reference(targets[name], row[0]) for row in rows]
        yield _encode(
            {
                "resource": resource,
                "number": number,
                "key": key,
                "attributes": orjson.Fragment(attributes_json),
                "references": references,
            }
        )


def _format_reference(targets: Sequence[str], value: Any) -> str | None:
    """Return ``RESOURCE/KEY`` for the value of a column, which names the resource if there are several targets."""
    if value is None:
        return None
    return f"{targets[0]}/{value}" if len(targets) == 1 else str(value)
