"""Who is asking, and what they may see: tokens, and the SQL that narrows every table to one's own."""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import current_app, g, request

from tests.reference_backend.bugs import planted
from tests.reference_backend.database import connect
from tests.reference_backend.validation import Refusal

# Everything below is a condition with one named parameter, the id of the user who asks.
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


def one(sql: str, **parameters: Any) -> sqlite3.Row | None:
    """The first row; `:me` is who asks."""
    row: sqlite3.Row | None = database().execute(sql, {"me": me(), **parameters}).fetchone()
    return row


def rows(sql: str, **parameters: Any) -> list[sqlite3.Row]:
    """All rows; `:me` is who asks."""
    return database().execute(sql, {"me": me(), **parameters}).fetchall()


def me() -> int:
    """The id of the user who asks; 0 before that is known."""
    return int(g.get("me", 0))


def bearer() -> str:
    """The bearer token of the request, or ""."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def authenticate(token: str) -> None:
    """Remember whose token it is: 401 when it is nobody's, or too old."""
    row = one("SELECT user_id, expires_at FROM personal_access_tokens WHERE token = :token", token=token)
    if row is None or (row["expires_at"] is not None and row["expires_at"] < stamp_of(datetime.now(UTC))):
        raise Refusal(401, "Unauthenticated.")
    g.me = row["user_id"]
    g.token = token


def stamp_of(at: datetime) -> str:
    """An instant as the tables hold it."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def missing() -> Refusal:
    """What is answered for a record that is not there, or not one's own."""
    return Refusal(404, "Not Found")


def workspace(uuid: str) -> sqlite3.Row:
    """A workspace of one's own or that one is a member of: 404 else."""
    row = one(f"SELECT * FROM workspaces WHERE uuid = :uuid AND id IN {WORKSPACES}", uuid=uuid.lower())
    if row is None:
        raise missing()
    return row


def agent(uuid: str) -> sqlite3.Row:
    """An agent that one may see: 404 else."""
    row = one(f"SELECT * FROM agents WHERE uuid = :uuid AND {AGENTS}", uuid=uuid.lower())
    if row is None and planted("unknown-agent-is-a-fault"):
        return row["id"]  # type: ignore[index, no-any-return]
    if row is None:
        raise missing()
    return row


def thread(uuid: str, *, forgotten: str = "") -> sqlite3.Row:
    """A thread of one's workspaces: 404 else. `forgotten`: the bug that looks at no tenant."""
    condition = "threads.deleted_at IS NULL" if forgotten and planted(forgotten) else THREADS
    row = one(f"SELECT * FROM threads WHERE uuid = :uuid AND {condition}", uuid=uuid.lower())
    if row is None:
        raise missing()
    return row


def message(uuid: str, *, forgotten: str = "", deleted: str = "") -> sqlite3.Row:
    """A message of one's workspaces: 404 else. `forgotten`: looks at no tenant; `deleted`: nor at deleted_at."""
    condition = "messages.deleted_at IS NULL" if forgotten and planted(forgotten) else MESSAGES
    if deleted and planted(deleted):
        condition = f"messages.thread_id IN (SELECT id FROM threads WHERE {THREADS})"
    row = one(f"SELECT * FROM messages WHERE uuid = :uuid AND {condition}", uuid=uuid.lower())
    if row is None:
        raise missing()
    return row


def may_write_agent(row: sqlite3.Row) -> None:
    """403 for an agent of another workspace that is shared to be read only."""
    if one(f"SELECT id FROM workspaces WHERE id = :id AND id IN {WORKSPACES}", id=row["workspace_id"]):
        return
    granted = rows(
        f"""SELECT id FROM shares WHERE agent_id = :agent AND permission = 'write' AND (
            entity_type = 'user' AND entity_id = :me OR entity_type = 'workspace' AND entity_id IN {WORKSPACES})""",
        agent=row["id"],
    )
    if not granted:
        raise Refusal(403, "This action is unauthorized.")
