"""Pools of generated attributes in the image of a dataset, by resource: values of records that a test creates.

The server cannot generate values, since it does not import Faker. A store of an earlier version has no pools.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from mock_server.store.errors import StoreFailure

POOL_SIZE = 10  # records of each resource
_CREATE_TABLE = "CREATE TABLE _pools (resource TEXT PRIMARY KEY, records TEXT NOT NULL) WITHOUT ROWID"


def write_pools(connection: sqlite3.Connection, pools: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
    """Write the attributes in `pools`, by resource, to a new store."""
    connection.execute(_CREATE_TABLE)
    rows = [(resource, orjson.dumps([*records]).decode()) for resource, records in pools.items()]
    connection.executemany("INSERT INTO _pools VALUES (?, ?)", rows)


def read_pool_rows(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the JSON text of all pools by resource; empty without any."""
    if not _has_pools(connection):
        return {}
    return dict(connection.execute("SELECT resource, records FROM _pools ORDER BY resource"))


def parse_pool(resource: str, content: bytes | str) -> list[dict[str, Any]]:
    """Parse the attributes in the pool of a resource. Raises StoreFailure if they are damaged."""
    try:
        records = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise StoreFailure(f"the pool of {resource} is not valid JSON ({error})") from None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise StoreFailure(f"the pool of {resource} is not a JSON array of objects")
    return records


def read_pool(connection: sqlite3.Connection, resource: str) -> list[dict[str, Any]]:
    """Return the attributes in the pool of a resource; empty without one. Raises StoreFailure if they are damaged."""
    sql = "SELECT records FROM _pools WHERE resource = ?"
    row = connection.execute(sql, (resource,)).fetchone() if _has_pools(connection) else None
    return [] if row is None else parse_pool(resource, row[0])


def _has_pools(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_pools'").fetchone() is not None
