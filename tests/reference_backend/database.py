"""The backend's tables and connections: SQLite with the schema of a small Laravel application.

Stamps are texts of whole seconds in UTC (`2026-03-01 10:00:00`), as MySQL's DATETIME; agents, threads, messages and
workspaces are deleted softly; lists and objects are stored as JSON.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, first_name TEXT NOT NULL, last_name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE, password TEXT NOT NULL, profile_photo_url TEXT NOT NULL, multiplai_id TEXT NOT NULL,
    primary_workspace_id INTEGER, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE personal_access_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL REFERENCES users, token TEXT NOT NULL UNIQUE,
    expires_at TEXT);
CREATE TABLE workspaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, user_id INTEGER NOT NULL REFERENCES users,
    slug TEXT NOT NULL, name TEXT NOT NULL, profile_photo_url TEXT NOT NULL, multiplai_id TEXT NOT NULL,
    organization_multiplai_id TEXT, is_onboarded INTEGER NOT NULL, metadata TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT);
CREATE TABLE workspace_user (
    workspace_id INTEGER NOT NULL REFERENCES workspaces, user_id INTEGER NOT NULL REFERENCES users);
CREATE TABLE tools (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, user_id INTEGER REFERENCES users,
    name TEXT NOT NULL, description TEXT NOT NULL, type TEXT NOT NULL, credits INTEGER NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE workflows (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, user_id INTEGER NOT NULL REFERENCES users,
    workspace_id INTEGER NOT NULL REFERENCES workspaces, name TEXT NOT NULL, description TEXT NOT NULL,
    visibility TEXT NOT NULL, is_active INTEGER NOT NULL, trigger_count INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT);
CREATE TABLE agents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, user_id INTEGER NOT NULL REFERENCES users,
    workspace_id INTEGER NOT NULL REFERENCES workspaces, name TEXT NOT NULL, description TEXT NOT NULL,
    instruction TEXT NOT NULL, profile_photo_url TEXT, profile_photo_config TEXT NOT NULL, visibility TEXT NOT NULL,
    metadata TEXT NOT NULL, usage_frequency TEXT NOT NULL DEFAULT 'monthly', template INTEGER NOT NULL,
    favorite INTEGER NOT NULL, template_id INTEGER,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT);
CREATE TABLE agent_tool (agent_id INTEGER NOT NULL REFERENCES agents, tool_id INTEGER NOT NULL REFERENCES tools);
CREATE TABLE agent_workflow (
    agent_id INTEGER NOT NULL REFERENCES agents, workflow_id INTEGER NOT NULL REFERENCES workflows);
CREATE TABLE agent_category (agent_id INTEGER NOT NULL REFERENCES agents, category_uuid TEXT NOT NULL);
CREATE TABLE agent_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, agent_id INTEGER NOT NULL REFERENCES agents, duration_ms INTEGER NOT NULL,
    created_at TEXT NOT NULL);
CREATE TABLE memories (
    id INTEGER PRIMARY KEY AUTOINCREMENT, agent_id INTEGER NOT NULL REFERENCES agents, content TEXT NOT NULL);
CREATE TABLE shares (
    id INTEGER PRIMARY KEY AUTOINCREMENT, agent_id INTEGER NOT NULL REFERENCES agents, entity_type TEXT NOT NULL,
    entity_id INTEGER NOT NULL, permission TEXT NOT NULL);
CREATE TABLE command_room_tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, agent_id INTEGER NOT NULL REFERENCES agents,
    title TEXT NOT NULL, status TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE threads (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, creator_id INTEGER NOT NULL REFERENCES users,
    workspace_id INTEGER NOT NULL REFERENCES workspaces, agent_id INTEGER REFERENCES agents, name TEXT NOT NULL,
    metadata TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, thread_id INTEGER NOT NULL REFERENCES threads,
    content TEXT NOT NULL, role TEXT NOT NULL, metadata TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL, deleted_at TEXT);
CREATE TABLE media (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, workspace_id INTEGER NOT NULL, name TEXT NOT NULL,
    file_name TEXT NOT NULL, mime_type TEXT NOT NULL, size INTEGER NOT NULL, url TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE attachments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, message_id INTEGER NOT NULL REFERENCES messages,
    thread_id INTEGER NOT NULL REFERENCES threads, media_id INTEGER NOT NULL REFERENCES media,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE INDEX messages_thread ON messages (thread_id);
CREATE INDEX threads_agent ON threads (agent_id);
CREATE INDEX attachments_message ON attachments (message_id);
CREATE INDEX attachments_thread ON attachments (thread_id);
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection in autocommit mode, except in a `transaction`."""
    database = sqlite3.connect(path, isolation_level=None, timeout=10)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("PRAGMA synchronous = OFF")
    database.create_function("fold", 1, lambda text: text.casefold(), deterministic=True)
    return database


def create_tables(path: Path) -> None:
    """Create the schema."""
    database = connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(TABLES)
    database.close()


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit all statements of the block, or none."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def insert(database: sqlite3.Connection, table: str, values: Mapping[str, Any]) -> int:
    """Insert a row and return its id."""
    names = ", ".join(values)
    marks = ", ".join("?" for _ in values)
    cursor = database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", [column(v) for v in values.values()])
    return int(cursor.lastrowid or 0)


def column(value: Any) -> Any:
    """Convert a value for a column: objects and lists to JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def now() -> str:
    """The current time as it is stored."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
