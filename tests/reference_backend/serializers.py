"""Serialization of rows like Laravel's API resources, with the requested relations.

A tree contains the relations to embed, each with a tree for its relations. `None` means `{}` (a back reference).
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from html import escape
from typing import Any

from flask import g

from tests.reference_backend.access import caller_id, fetch_all, fetch_one
from tests.reference_backend.bugs import is_enabled

Tree = Mapping[str, Any]  # relation -> its tree, or None for an empty stub
Json = dict[str, Any]

OWNER: Tree = {"primary_workspace": {"user": None}}
WORKSPACE: Tree = {"user": {"primary_workspace": None}}
AGENT: Tree = {
    "user": OWNER,
    "workspace": WORKSPACE,
    "tools": {},
    "workflows": {},
    "shares": {"primary_workspace": {"user": None}, "user": {"primary_workspace": None}},
}
THREAD: Tree = {"creator": OWNER, "agent": AGENT, "attachments": {}}
MESSAGE: Tree = {"thread": THREAD, "attachments": {}}

COUNTS = {
    "threads_count": "(SELECT COUNT(*) FROM threads WHERE threads.agent_id = agents.id AND threads.deleted_at IS NULL)",
    "tools_count": "(SELECT COUNT(*) FROM agent_tool WHERE agent_tool.agent_id = agents.id)",
    "workflows_count": """(SELECT COUNT(*) FROM agent_workflow JOIN workflows ON workflows.id = workflow_id
        WHERE agent_workflow.agent_id = agents.id AND workflows.deleted_at IS NULL)""",
    "usage_count": "(SELECT COUNT(*) FROM agent_runs WHERE agent_runs.agent_id = agents.id)",
}
CAPITAL = re.compile(r"(?<=[a-z])([A-Z])")


def tree(words: Iterable[str]) -> Tree:
    """`thread.creator,attachments` -> the tree of these relations."""
    root: dict[str, Any] = {}
    for word in words:
        subtree = root
        for part in CAPITAL.sub(r"_\1", word).lower().split("."):
            subtree = subtree.setdefault(part, {})
    return root


def stamp(text: str | None) -> str | None:
    """Format a timestamp like Carbon."""
    return None if text is None else f"{text.replace(' ', 'T')}.000000Z"


def stamps(row: sqlite3.Row) -> Json:
    """The timestamps of a record."""
    return {"created_at": stamp(row["created_at"]), "updated_at": stamp(row["updated_at"])}


def memoize(kind: str, row: sqlite3.Row, subtree: Tree, show: Callable[[], Json]) -> Json:
    """Reuse a serialization within a request: a page of messages embeds the same thread repeatedly."""
    known: dict[tuple[str, int, str], Json] = g.setdefault("shown", {})
    at = (kind, row["id"], json.dumps(subtree))
    if at not in known:
        known[at] = show()
    return known[at]


def _user(identifier: int, subtree: Tree) -> Json:
    row = fetch_one("SELECT * FROM users WHERE id = :id", id=identifier)
    assert row is not None, f"no user {identifier}"
    return user(row, subtree)


def user(row: sqlite3.Row, subtree: Tree) -> Json:
    """Serialize a user."""
    serialized = {
        name: row[name]
        for name in ("id", "name", "first_name", "last_name", "email", "profile_photo_url", "multiplai_id")
    } | stamps(row)
    if "primary_workspace" in subtree:
        serialized["primary_workspace"] = _serialize_reference(
            subtree["primary_workspace"], _workspace, row["primary_workspace_id"]
        )
    return serialized


def _serialize_reference(subtree: Tree | None, show: Callable[[int, Tree], Json], identifier: int) -> Json:
    return {} if subtree is None else show(identifier, subtree)


def _workspace(identifier: int, subtree: Tree) -> Json:
    row = fetch_one("SELECT * FROM workspaces WHERE id = :id", id=identifier)
    assert row is not None, f"no workspace {identifier}"
    return workspace(row, subtree)


def workspace(row: sqlite3.Row, subtree: Tree) -> Json:
    """Serialize a workspace."""
    serialized: Json = {
        "uuid": row["uuid"],
        "slug": row["slug"],
        "name": row["name"],
        "profile_photo_url": row["profile_photo_url"],
        "multiplai_id": row["multiplai_id"],
        "is_onboarded": bool(row["is_onboarded"]),
        "metadata": json.loads(row["metadata"]),
        "is_owner": row["user_id"] == caller_id(),
    } | stamps(row)
    if "user" in subtree:
        serialized["user"] = _serialize_reference(subtree["user"], _user, row["user_id"])
    return serialized


def agent(row: sqlite3.Row, subtree: Tree) -> Json:
    """Serialize an agent."""
    return memoize("agent", row, subtree, lambda: _agent(row, subtree))


def _agent(row: sqlite3.Row, subtree: Tree) -> Json:
    serialized: Json = {
        "uuid": row["uuid"],
        "name": row["name"],
        "description": row["description"],
        "instruction": row["instruction"],
        "profile_photo_url": row["profile_photo_url"],
        "profile_photo_config": json.loads(row["profile_photo_config"]),
        "visibility": row["visibility"],
        "metadata": json.loads(row["metadata"]),
        "is_owner": row["user_id"] == caller_id(),
        **stamps(row),
        **_figures(row["id"]),
        "usage_frequency": row["usage_frequency"],
    }
    relations: Mapping[str, Callable[[Tree], Any]] = {
        "user": lambda tree: _user(row["user_id"], tree),
        "workspace": lambda tree: _workspace(row["workspace_id"], tree),
        "tools": lambda tree: [_tool(tool) for tool in _tools(row["id"])],
        "workflows": lambda tree: [_workflow(workflow) for workflow in _workflows(row["id"])],
        "shares": lambda tree: [_share(share, tree) for share in _shares(row["id"])],
        "metrics": lambda tree: _metrics(row["id"]),
        "command_room_task": lambda tree: _task(row["id"]),
    }
    return serialized | {name: show(subtree[name]) for name, show in relations.items() if name in subtree}


def _figures(agent: int) -> Json:
    counts = dict(COUNTS)
    if is_enabled("count-includes-deleted"):
        counts["threads_count"] = "(SELECT COUNT(*) FROM threads WHERE threads.agent_id = agents.id)"
    if is_enabled("count-without-the-last"):
        counts["threads_count"] = counts["threads_count"].replace("COUNT(*)", "MAX(COUNT(*) - 1, 0)")
    chosen = ", ".join(f"{sql} AS {name}" for name, sql in counts.items())
    last = "(SELECT MAX(created_at) FROM agent_runs WHERE agent_id = agents.id) AS last_used_at"
    row = fetch_one(f"SELECT {chosen}, {last} FROM agents WHERE id = :id", id=agent)
    assert row is not None, f"no agent {agent}"
    figures: Json = {name: row[name] for name in counts}
    if is_enabled("number-as-text"):
        figures["tools_count"] = str(figures["tools_count"])
    return figures | {"last_used_at": stamp(row["last_used_at"])}


def _metrics(agent: int) -> Json:
    row = fetch_one(
        f"""SELECT {COUNTS["usage_count"]} AS executions_count, {COUNTS["threads_count"]} AS threads_count,
            (SELECT COALESCE(SUM(duration_ms), 0) FROM agent_runs WHERE agent_id = agents.id) AS total_duration_ms,
            (SELECT COUNT(*) FROM memories WHERE agent_id = agents.id) AS memories_count,
            (SELECT COUNT(*) FROM shares WHERE agent_id = agents.id) AS shares_count
            FROM agents WHERE id = :id""",
        id=agent,
    )
    assert row is not None, f"no agent {agent}"
    return dict(row)


def _task(agent: int) -> Json | None:
    row = fetch_one("SELECT * FROM command_room_tasks WHERE agent_id = :id", id=agent)
    if row is None:
        return None
    return {n: row[n] for n in ("uuid", "title", "status")} | {"taskable_type": "agent"} | stamps(row)


def _tools(agent: int) -> list[sqlite3.Row]:
    return fetch_all(
        "SELECT tools.* FROM tools JOIN agent_tool ON tool_id = tools.id WHERE agent_id = :id ORDER BY tools.id",
        id=agent,
    )


def _tool(row: sqlite3.Row) -> Json:
    return {
        "uuid": row["uuid"],
        "name": row["name"],
        "description": row["description"],
        "type": row["type"],
        "profile_photo_url": f"https://cdn.example.com/tools/{row['id']}.png",
        "profile_photo_config": {},
        "visibility": "public",
        "credits": row["credits"],
        "is_owner": row["user_id"] == caller_id(),
        "metadata": {},
        **stamps(row),
        "pivot_account": {},
    }


def _workflows(agent: int) -> list[sqlite3.Row]:
    return fetch_all(
        """SELECT workflows.* FROM workflows JOIN agent_workflow ON workflow_id = workflows.id
            WHERE agent_id = :id AND workflows.deleted_at IS NULL ORDER BY workflows.id""",
        id=agent,
    )


def _workflow(row: sqlite3.Row) -> Json:
    return {
        "uuid": row["uuid"],
        "name": row["name"],
        "description": row["description"],
        "profile_photo_url": None,
        "profile_photo_config": None,
        "visibility": row["visibility"],
        "is_active": bool(row["is_active"]),
        "is_owner": row["user_id"] == caller_id(),
        "nodes": [],
        "edges": [],
        "settings": {},
        "static_data": {},
        "pin_data": {},
        "trigger_count": row["trigger_count"],
        **stamps(row),
        "deleted_at": stamp(row["deleted_at"]),
    }


def _shares(agent: int) -> list[sqlite3.Row]:
    return fetch_all("SELECT * FROM shares WHERE agent_id = :id ORDER BY id", id=agent)


def _share(row: sqlite3.Row, subtree: Tree) -> Json:
    show = _user if row["entity_type"] == "user" else _workspace
    return {
        "entity_type": row["entity_type"],
        "entity": show(row["entity_id"], subtree),
        "permission": row["permission"],
    }


def thread(row: sqlite3.Row, subtree: Tree) -> Json:
    """Serialize a thread."""
    return memoize("thread", row, subtree, lambda: _thread(row, subtree))


def _thread(row: sqlite3.Row, subtree: Tree) -> Json:
    serialized: Json = {
        "uuid": row["uuid"],
        "name": row["name"],
        **stamps(row),
        "metadata": json.loads(row["metadata"]),
    }
    if "creator" in subtree:
        serialized["creator"] = _user(row["creator_id"], subtree["creator"])
    if "agent" in subtree:
        serialized["agent"] = _serialize_thread_agent(row, subtree["agent"])
    if "attachments" in subtree:
        serialized["attachments"] = [_attachment(a) for a in _attachments("thread_id", row["id"])]
    return serialized


def _serialize_thread_agent(row: sqlite3.Row, subtree: Tree) -> Json | None:
    """Serialize the agent of a thread, if any."""
    agent_id = row["id"] if is_enabled("relation-by-wrong-column") and row["agent_id"] else row["agent_id"]
    agent_row = fetch_one("SELECT * FROM agents WHERE id = :id AND deleted_at IS NULL", id=agent_id)
    return None if agent_row is None else agent(agent_row, subtree)


def message(row: sqlite3.Row, subtree: Tree) -> Json:
    """Serialize a message."""
    serialized: Json = {
        "uuid": row["uuid"],
        "content": escape(row["content"]) if is_enabled("escaped-for-html") else row["content"],
        "role": row["role"],
        **stamps(row),
        "metadata": json.loads(row["metadata"]),
    }
    if is_enabled("stamps-in-local-time"):
        local = datetime.fromisoformat(row["created_at"]) + timedelta(hours=2)
        serialized["created_at"] = stamp(str(local))
    if "thread" in subtree:
        thread_row = fetch_one("SELECT * FROM threads WHERE id = :id", id=row["thread_id"])
        assert thread_row is not None, f"no thread {row['thread_id']}"
        serialized["thread"] = thread(thread_row, subtree["thread"])
    if "attachments" in subtree:
        attachments = [_attachment(a) for a in _attachments("message_id", row["id"])]
        serialized["attachments"] = None if is_enabled("null-for-an-empty-list") and not attachments else attachments
    return serialized


def _attachments(column: str, identifier: int) -> list[sqlite3.Row]:
    return fetch_all(
        f"""SELECT attachments.*, media.uuid AS media_uuid, media.name, media.file_name, media.mime_type, media.size,
            media.url, media.created_at AS uploaded_at
            FROM attachments JOIN media ON media.id = media_id WHERE {column} = :id ORDER BY attachments.id""",
        id=identifier,
    )


def _attachment(row: sqlite3.Row) -> Json:
    media = {name: row[name] for name in ("name", "file_name", "mime_type", "size", "url")}
    uploaded = stamp(row["uploaded_at"])
    return {
        "uuid": row["uuid"],
        "type": "media",
        **stamps(row),
        "attachable": {"uuid": row["media_uuid"], **media, "created_at": uploaded, "updated_at": uploaded},
    }
