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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from mock_server.store.file_format import RELATIONS_KEY, read_metadata
from mock_server.store.pools import read_pools
from mock_server.store.schema import quote_identifier, reference_column

EXPORT_FORMAT, EXPORT_VERSION = "athena-mock-store", 1
# Metadata that a store with another contract does not have, or has with another value.
_CONTRACT_METADATA = ("contract", RELATIONS_KEY)
_INDEX_METADATA_PREFIX = "trigrams of "

# Stored relation -> names of its target resources.
_Targets = Mapping[str, Sequence[str]]


def export_lines(connection: sqlite3.Connection) -> Iterator[bytes]:
    """Yield the lines of the export of a store, each with its line end."""
    metadata = read_metadata(connection)
    relations: Mapping[str, _Targets] = orjson.loads(metadata[RELATIONS_KEY])
    yield _encode(_build_header(connection, metadata, relations))
    for resource, targets in relations.items():
        yield from _export_records(connection, resource, targets)
    for token, user, expires in connection.execute("SELECT token, user, expires FROM _tokens ORDER BY rowid"):
        yield _encode({"token": token, "user": user, "expires": expires})
    sql = "SELECT at, resource, key, changes FROM _scheduled_changes ORDER BY id"
    for at, resource, key, changes in connection.execute(sql):
        change = {"at": at, "resource": resource, "key": key, "changes": orjson.loads(changes)}
        yield _encode({"scheduled_change": change})
    for resource, records in read_pools(connection).items():
        yield _encode({"pool": {"resource": resource, "records": records}})


def _encode(line: Mapping[str, Any]) -> bytes:
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _build_header(
    connection: sqlite3.Connection, metadata: Mapping[str, str], relations: Mapping[str, _Targets]
) -> Mapping[str, Any]:
    def count(table: str) -> int:
        return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])

    return {
        "format": EXPORT_FORMAT,
        "version": EXPORT_VERSION,
        "counts": {
            "records": sum(count(quote_identifier(resource)) for resource in relations),
            "tokens": count("_tokens"),
            "scheduled_changes": count("_scheduled_changes"),
            "pools": len(read_pools(connection)),
        },
        "last_numbers": dict(connection.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name")),
        "metadata": {
            name: value
            for name, value in metadata.items()
            if name not in _CONTRACT_METADATA and not name.startswith(_INDEX_METADATA_PREFIX)
        },
    }


def _export_records(connection: sqlite3.Connection, resource: str, targets: _Targets) -> Iterator[bytes]:
    table = quote_identifier(resource)
    column_names = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    single = [name for name in targets if reference_column(name).strip('"') in column_names]
    to_many = {name: quote_identifier(f"{resource}.{name}") for name in targets if name not in single}
    columns = ", ".join(("n", "key", "own", *map(reference_column, single)))
    for number, key, attributes_json, *values in connection.execute(f"SELECT {columns} FROM {table} ORDER BY n"):
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
