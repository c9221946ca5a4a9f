"""Workspaces: list, retrieve, update, delete; no route creates one."""

import json
import sqlite3
from typing import Any

from tests.reference_backend import access, serializers
from tests.reference_backend.access import caller_id, database, fetch_one
from tests.reference_backend.bugs import is_enabled
from tests.reference_backend.database import now, transaction
from tests.reference_backend.listing import SqlListing, paginate, read, select_relations
from tests.reference_backend.request_data import body, query
from tests.reference_backend.serializers import Json
from tests.reference_backend.validation import HttpError, array, boolean, choice, number, record, string, url

RELATIONS = choice("user")
AI_TOOLS = array(
    record(
        {"emoji": string(0, 32), "name": string(), "description": string(0, 10000)},
        "emoji",
        "name",
        "description",
        is_closed=True,
    ),
    100,
)
METADATA = record(
    {
        "onboarding_step": number(0, 100, is_integer=True),
        "sources": array(string(), 100),
        "affiliate_name": string(),
        "role": string(),
        "industry": string(),
        "tools": array(string(), 100),
        "ai_tools": record(
            {"agents": AI_TOOLS, "prompts": AI_TOOLS, "workflows": AI_TOOLS},
            "agents",
            "prompts",
            "workflows",
            is_closed=True,
        ),
    }
)
FIELDS = {"name": string(1), "profile_photo_url": url(), "is_onboarded": boolean(), "metadata": METADATA}


def index() -> Json:
    """GET /workspaces."""
    params = read({}, {}, ("name", "created_at", "updated_at"), RELATIONS)
    listing = SqlListing("workspaces", params, f"workspaces.id IN {access.WORKSPACES}")
    listing.search("workspaces.name", "workspaces.slug")
    relations = select_relations(params, serializers.WORKSPACE)
    return paginate(listing, lambda row: serializers.workspace(row, relations), {"name": "fold(workspaces.name)"})


def show(uuid: str) -> Json:
    """GET /workspaces/{uuid}."""
    row = access.workspace(uuid)
    params = query({"with": "words"}, {"with": array(RELATIONS, 20)})
    return {"data": serializers.workspace(row, select_relations(params, serializers.WORKSPACE))}


def update(uuid: str) -> Json:
    """PUT /workspaces/{uuid}."""
    row = _find_own_workspace(uuid)
    sent = body(FIELDS)
    values: dict[str, Any] = {name: sent.get(name, row[name]) for name in ("name", "profile_photo_url", "is_onboarded")}
    values["metadata"] = json.dumps(json.loads(row["metadata"]) | sent.get("metadata", {}), ensure_ascii=False)
    if is_enabled("flag-is-not-saved"):
        values["is_onboarded"] = row["is_onboarded"]
    with transaction(database()):
        database().execute(
            """UPDATE workspaces SET name = :name, profile_photo_url = :profile_photo_url, is_onboarded = :is_onboarded,
                metadata = :metadata, updated_at = :now WHERE id = :id""",
            {**values, "now": now(), "id": row["id"]},
        )
    return {"data": serializers.workspace(access.workspace(uuid), serializers.WORKSPACE)}


def delete(uuid: str) -> None:
    """DELETE /workspaces/{uuid}, with everything in it."""
    row = _find_own_workspace(uuid)
    if fetch_one("SELECT id FROM users WHERE primary_workspace_id = :id", id=row["id"]):
        raise HttpError(409, "A primary workspace cannot be deleted.")
    parameters = {"id": row["id"], "now": now()}
    with transaction(database()):
        for sql in (
            """UPDATE messages SET deleted_at = :now WHERE deleted_at IS NULL
                AND thread_id IN (SELECT id FROM threads WHERE workspace_id = :id)""",
            "UPDATE threads SET deleted_at = :now WHERE workspace_id = :id AND deleted_at IS NULL",
            "UPDATE agents SET deleted_at = :now WHERE workspace_id = :id AND deleted_at IS NULL",
            "UPDATE workflows SET deleted_at = :now WHERE workspace_id = :id AND deleted_at IS NULL",
            "UPDATE workspaces SET deleted_at = :now WHERE id = :id",
        ):
            database().execute(sql, parameters)


def _find_own_workspace(uuid: str) -> sqlite3.Row:
    """A workspace of the caller. Raises 403 for a member."""
    row = access.workspace(uuid)
    if row["user_id"] != caller_id():
        raise HttpError(403, "This action is unauthorized.")
    return row
