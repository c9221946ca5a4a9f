"""Access control: tokens, and SQL conditions that limit each table to the caller's records."""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import current_app, g, request

from tests.reference_backend.bugs import is_enabled
from tests.reference_backend.database import connect
from tests.reference_backend.validation import HttpError

# SQL conditions with one named parameter, the caller's id.
WORKSPACES = """(SELECT id FROM workspaces WHERE deleted_at IS NULL AND (user_id = :me
    OR id IN (SELECT workspace_id FROM workspace_user WHERE user_id = :me)))"""
AGENTS = f"""agents.deleted_at IS NULL AND (agents.workspace_id IN {WORKSPACES} OR agents.id IN (
    SELECT agent_id FROM shares WHERE entity_type = 'user' AND entity_id = :me
    OR entity_type = 'workspace' AND entity_id IN {WORKSPACES}))"""
THREADS = f"threads.deleted_at IS NULL AND threads.workspace_id IN {WORKSPACES}"
MESSAGES = f"messages.deleted_at IS NULL AND messages.thread_id IN (SELECT threads.id FROM threads WHERE {THREADS})"

SESSION = timedelta(hours=12)


def database() -> sqlite3.Connection:
    """The request's connection."""
    if "database" not in g:
        g.database = connect(current_app.config["DATABASE"])
    connection: sqlite3.Connection = g.database
    return connection


def fetch_one(sql: str, **parameters: Any) -> sqlite3.Row | None:
    """Fetch the first row; `:me` is the caller's id."""
    row: sqlite3.Row | None = database().execute(sql, {"me": caller_id(), **parameters}).fetchone()
    return row


def fetch_all(sql: str, **parameters: Any) -> list[sqlite3.Row]:
    """Fetch all rows; `:me` is the caller's id."""
    return database().execute(sql, {"me": caller_id(), **parameters}).fetchall()


def caller_id() -> int:
    """The id of the caller; 0 before authentication."""
    return int(g.get("caller_id", 0))


def bearer() -> str:
    """The bearer token of the request, or ""."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def authenticate(token: str) -> None:
    """Authenticate the caller. Raises 401 for an unknown or expired token."""
    row = fetch_one("SELECT user_id, expires_at FROM personal_access_tokens WHERE token = :token", token=token)
    if row is None or (row["expires_at"] is not None and row["expires_at"] < format_timestamp(datetime.now(UTC))):
        raise HttpError(401, "Unauthenticated.")
    g.caller_id = row["user_id"]
    g.token = token


def format_timestamp(at: datetime) -> str:
    """Format an instant as it is stored."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def build_not_found_error() -> HttpError:
    """The error for a missing or inaccessible record."""
    return HttpError(404, "Not Found")


def workspace(uuid: str) -> sqlite3.Row:
    """A workspace that the caller owns or is a member of. Raises 404."""
    row = fetch_one(f"SELECT * FROM workspaces WHERE uuid = :uuid AND id IN {WORKSPACES}", uuid=uuid.lower())
    if row is None:
        raise build_not_found_error()
    return row


def agent(uuid: str) -> sqlite3.Row:
    """An agent that is visible to the caller. Raises 404."""
    row = fetch_one(f"SELECT * FROM agents WHERE uuid = :uuid AND {AGENTS}", uuid=uuid.lower())
    if row is None and is_enabled("unknown-agent-is-a-fault"):
        return row["id"]  # type: ignore[index, no-any-return]
    if row is None:
        raise build_not_found_error()
    return row


def thread(uuid: str, *, tenant_bug: str = "") -> sqlite3.Row:
    """A thread of the caller's workspaces. Raises 404. `tenant_bug`: the bug that ignores the tenant."""
    condition = "threads.deleted_at IS NULL" if tenant_bug and is_enabled(tenant_bug) else THREADS
    row = fetch_one(f"SELECT * FROM threads WHERE uuid = :uuid AND {condition}", uuid=uuid.lower())
    if row is None:
        raise build_not_found_error()
    return row


def message(uuid: str, *, tenant_bug: str = "", deleted_bug: str = "") -> sqlite3.Row:
    """A message of the caller's workspaces. Raises 404. `tenant_bug`, `deleted_bug`: bugs that ignore conditions."""
    condition = "messages.deleted_at IS NULL" if tenant_bug and is_enabled(tenant_bug) else MESSAGES
    if deleted_bug and is_enabled(deleted_bug):
        condition = f"messages.thread_id IN (SELECT id FROM threads WHERE {THREADS})"
    row = fetch_one(f"SELECT * FROM messages WHERE uuid = :uuid AND {condition}", uuid=uuid.lower())
    if row is None:
        raise build_not_found_error()
    return row


def require_write_permission(row: sqlite3.Row) -> None:
    """Raise 403 for a shared agent without write permission."""
    if fetch_one(f"SELECT id FROM workspaces WHERE id = :id AND id IN {WORKSPACES}", id=row["workspace_id"]):
        return
    granted = fetch_all(
        f"""SELECT id FROM shares WHERE agent_id = :agent AND permission = 'write' AND (
            entity_type = 'user' AND entity_id = :me OR entity_type = 'workspace' AND entity_id IN {WORKSPACES})""",
        agent=row["id"],
    )
    if not granted:
        raise HttpError(403, "This action is unauthorized.")
