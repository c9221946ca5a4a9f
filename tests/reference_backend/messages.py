"""Messages: list, create with files, retrieve, update, delete."""

from mimetypes import guess_type
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from tests.reference_backend import access, serializers
from tests.reference_backend.access import database
from tests.reference_backend.bugs import is_enabled
from tests.reference_backend.database import insert, now, transaction
from tests.reference_backend.listing import SqlListing, paginate, read, select_relations
from tests.reference_backend.request_data import body, query
from tests.reference_backend.serializers import Json
from tests.reference_backend.validation import Rule, array, choice, record, string, uuid

RELATIONS = choice(
    *("thread", "thread.creator", "thread.creator.primary_workspace", "thread.creator.primaryWorkspace"),
    *("thread.agent", "thread.agent.user", "thread.agent.workspace", "thread.agent.tools", "thread.agent.workflows"),
    *("thread.agent.shares", "thread.attachments", "attachments"),
)
ROLE = choice("user", "assistant", "system")
FILE = record({"key": string(1, 1024), "name": string(1)}, "key", "name")
FIELDS: dict[str, Rule] = {
    "thread_uuid": uuid(),
    "content": string(1, 100000),
    "role": ROLE,
    "files": array(FILE, 20),
}
METADATA: dict[str, Any] = {
    "model": "gpt-4-turbo",
    "temperature": 0.7,
    "tokens": {"input": 0, "output": 0, "total": 0},
}


def index() -> Json:
    """GET /messages."""
    params = read(
        {"thread_uuid": "text", "workspace_uuid": "text", "role": "text"},
        {"thread_uuid": uuid(), "workspace_uuid": uuid(), "role": ROLE},
        ("created_at", "updated_at", "role"),
        RELATIONS,
    )
    listing = SqlListing("messages", params, access.MESSAGES)
    listing.where("thread_uuid", "messages.thread_id IN (SELECT id FROM threads WHERE uuid = lower(:thread_uuid))")
    listing.where(
        "workspace_uuid",
        """messages.thread_id IN (SELECT threads.id FROM threads JOIN workspaces ON workspaces.id = threads.workspace_id
            WHERE workspaces.uuid = lower(:workspace_uuid))""",
    )
    listing.where("role", "messages.role = :role")
    listing.search("messages.content")
    relations = select_relations(params, serializers.MESSAGE)
    return paginate(listing, lambda row: serializers.message(row, relations), {})


def store() -> Json:
    """POST /messages: stores an attachment per file."""
    query({"workspace_uuid": "text", "thread_uuid": "text"}, {"workspace_uuid": uuid(), "thread_uuid": uuid()})
    required = ("thread_uuid",) if is_enabled("required-not-checked") else ("thread_uuid", "content")
    rules = FIELDS | {"role": string()} if is_enabled("choice-not-checked") else FIELDS
    sent = body(rules, *required)
    thread = access.thread(sent["thread_uuid"])
    stamp, key = now(), str(uuid4())
    with transaction(database()):
        message_id = insert(
            database(),
            "messages",
            {
                "uuid": key,
                "thread_id": thread["id"],
                "content": sent.get("content", ""),
                "role": sent.get("role", "user"),
                "metadata": METADATA,
                "created_at": stamp,
                "updated_at": stamp,
            },
        )
        for file in [] if is_enabled("files-are-not-saved") else sent.get("files", ()):
            _attach(file, message_id, thread["id"], thread["workspace_id"], stamp)
    return {"data": serializers.message(access.message(key), serializers.MESSAGE)}


def _attach(file: dict[str, Any], message: int, thread: int, workspace: int, stamp: str) -> None:
    stamps = {"created_at": stamp, "updated_at": stamp}
    name = file["key"].rpartition("/")[2][:255] or "file"
    media = insert(
        database(),
        "media",
        {
            "uuid": str(uuid4()),
            "workspace_id": workspace,
            "name": file["name"],
            "file_name": name,
            "mime_type": guess_type(name)[0] or "application/octet-stream",
            "size": 0,
            "url": f"https://cdn.example.com/{quote(name)}"[:2048],
            **stamps,
        },
    )
    insert(
        database(),
        "attachments",
        {"uuid": str(uuid4()), "message_id": message, "thread_id": thread, "media_id": media, **stamps},
    )


def show(uuid: str) -> Json:
    """GET /messages/{uuid}."""
    row = access.message(uuid, deleted_bug="deleted-rows-are-retrieved")
    params = query({"with": "words"}, {"with": array(RELATIONS, 20)})
    return {"data": serializers.message(row, select_relations(params, serializers.MESSAGE))}


def update(uuid: str) -> Json:
    """PUT /messages/{uuid}."""
    row = access.message(uuid)
    sent = body({"content": FIELDS["content"], "role": ROLE})
    role = row["role"] if is_enabled("field-not-fillable") else sent.get("role", row["role"])
    updated_at = row["updated_at"] if is_enabled("updated-at-not-touched") else now()
    database().execute(
        "UPDATE messages SET content = :content, role = :role, updated_at = :now WHERE id = :id",
        {"content": sent.get("content", row["content"]), "role": role, "now": updated_at, "id": row["id"]},
    )
    return {"data": serializers.message(access.message(uuid), serializers.MESSAGE)}


def delete(uuid: str) -> None:
    """DELETE /messages/{uuid}: with its attachments."""
    row = access.message(uuid, tenant_bug="tenant-not-looked-at-in-delete")
    condition = "id = :id"
    if is_enabled("delete-goes-too-far"):
        condition = "thread_id = (SELECT thread_id FROM messages WHERE id = :id)"
    with transaction(database()):
        database().execute("DELETE FROM attachments WHERE message_id = :id", {"id": row["id"]})
        database().execute(f"UPDATE messages SET deleted_at = :now WHERE {condition}", {"id": row["id"], "now": now()})
