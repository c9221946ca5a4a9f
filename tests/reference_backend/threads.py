"""Threads: list, create, retrieve, update, delete."""

import json
import re
import sqlite3
from typing import Any
from uuid import uuid4

from tests.reference_backend import access, serializers
from tests.reference_backend.access import caller_id, database, fetch_one
from tests.reference_backend.bugs import is_enabled
from tests.reference_backend.database import insert, now, transaction
from tests.reference_backend.listing import SqlListing, paginate, read, select_relations
from tests.reference_backend.request_data import body, query
from tests.reference_backend.serializers import Json
from tests.reference_backend.validation import Rule, array, choice, nullable, number, record, string, uuid

RELATIONS = choice(
    *("creator", "creator.primary_workspace", "creator.primaryWorkspace", "agent", "agent.user", "agent.workspace"),
    *("agent.tools", "agent.workflows", "agent.shares", "attachments"),
)
METADATA = record(
    {
        "model": string(),
        "temperature": number(0, 2),
        "max_tokens": number(1, 100000000, is_integer=True),
        "system_prompt": string(0, 100000),
        "conversation_style": choice("casual", "friendly", "professional", "formal", "technical"),
    }
)
DEFAULT_METADATA: dict[str, Any] = {
    "model": "gpt-4",
    "temperature": 0.7,
    "max_tokens": 2048,
    "system_prompt": "",
    "conversation_style": "casual",
}
FIELDS: dict[str, Rule] = {"name": string(1), "agent_uuid": nullable(uuid()), "metadata": METADATA}


def index() -> Json:
    """GET /threads."""
    params = read(
        {"workspace_uuid": "text", "agent_uuid": "text", "creator_id": "integer"},
        {"workspace_uuid": uuid(), "agent_uuid": uuid(), "creator_id": number(1, 9007199254740991, is_integer=True)},
        ("name", "created_at", "updated_at"),
        RELATIONS,
    )
    visible = access.THREADS
    if is_enabled("deleted-rows-are-listed"):
        visible = f"threads.workspace_id IN {access.WORKSPACES}"
    listing = SqlListing("threads", params, visible)
    listing.where(
        "workspace_uuid", "threads.workspace_id IN (SELECT id FROM workspaces WHERE uuid = lower(:workspace_uuid))"
    )
    listing.where("agent_uuid", "threads.agent_id IN (SELECT id FROM agents WHERE uuid = lower(:agent_uuid))")
    listing.where("creator_id", "threads.creator_id = :creator_id")
    listing.search("threads.name")
    relations = select_relations(params, serializers.THREAD)
    return paginate(listing, lambda row: serializers.thread(row, relations), {"name": "fold(threads.name)"})


def store() -> Json:
    """POST /threads."""
    fields = FIELDS | {"workspace_uuid": uuid()}
    if is_enabled("length-not-checked"):
        fields["name"] = string(1, 10**9)
    sent = body(fields)
    agent = access.agent(sent["agent_uuid"])["id"] if sent.get("agent_uuid") else None
    workspace = (
        access.workspace(sent["workspace_uuid"])["id"] if "workspace_uuid" in sent else _find_primary_workspace_id()
    )
    name = sent.get("name", "New conversation")
    if is_enabled("characters-of-four-bytes-fail") and any(ord(character) > 0xFFFF for character in name):
        raise sqlite3.DataError("Incorrect string value for column 'name'")  # MySQL's `utf8` holds three bytes
    if is_enabled("inner-white-space-folded"):
        name = re.sub(r"\s+", " ", name)
    stamp, key = now(), str(uuid4())
    insert(
        database(),
        "threads",
        {
            "uuid": key,
            "creator_id": caller_id(),
            "workspace_id": workspace,
            "agent_id": agent,
            "name": name,
            "metadata": DEFAULT_METADATA | sent.get("metadata", {}),
            "created_at": stamp,
            "updated_at": stamp,
        },
    )
    return {"data": serializers.thread(access.thread(key), serializers.THREAD)}


def _find_primary_workspace_id() -> int:
    """The user's primary workspace."""
    row = fetch_one("SELECT primary_workspace_id FROM users WHERE id = :me")
    return int(row["primary_workspace_id"]) if row else 0


def show(uuid: str) -> Json:
    """GET /threads/{uuid}."""
    row = access.thread(uuid, tenant_bug="tenant-not-looked-at-in-retrieve")
    params = query({"with": "words"}, {"with": array(RELATIONS, 20)})
    return {"data": serializers.thread(row, select_relations(params, serializers.THREAD))}


def update(uuid: str) -> Json:
    """PUT /threads/{uuid}."""
    row = access.thread(uuid, tenant_bug="tenant-not-looked-at-in-update")
    sent = body(FIELDS)
    agent = row["agent_id"]
    if "agent_uuid" in sent:
        agent = None if sent["agent_uuid"] is None else access.agent(sent["agent_uuid"])["id"]
    metadata = json.loads(row["metadata"]) | sent.get("metadata", {})
    if is_enabled("metadata-replaced-not-merged") and "metadata" in sent:
        metadata = sent["metadata"]
    created = ", created_at = :now" if is_enabled("update-touches-created-at") else ""
    where_clause = "" if is_enabled("update-without-where") else "WHERE id = :id"
    with transaction(database()):
        database().execute(
            f"""UPDATE threads SET name = :name, agent_id = :agent, metadata = :metadata, updated_at = :now{created}
                {where_clause}""",
            {
                "name": sent.get("name", row["name"]),
                "agent": agent,
                "metadata": json.dumps(metadata, ensure_ascii=False),
                "now": now(),
                "id": row["id"],
            },
        )
    updated_row = access.thread(uuid, tenant_bug="tenant-not-looked-at-in-update")
    return {"data": serializers.thread(updated_row, serializers.THREAD)}


def delete(uuid: str) -> None:
    """DELETE /threads/{uuid}: with its messages and attachments."""
    if is_enabled("delete-of-nothing-succeeds"):
        database().execute(
            "UPDATE threads SET deleted_at = ? WHERE uuid = ? AND creator_id = ?",
            [now(), uuid.lower(), caller_id()],
        )
        return
    row = access.thread(uuid)
    parameters = {"id": row["id"], "now": now()}
    with transaction(database()):
        for sql in (
            "DELETE FROM attachments WHERE thread_id = :id",
            "UPDATE messages SET deleted_at = :now WHERE thread_id = :id AND deleted_at IS NULL",
            "UPDATE threads SET deleted_at = :now WHERE id = :id",
        ):
            database().execute(sql, parameters)
