"""Workspaces: list, retrieve, update, delete; there is no route to create one."""

import json
import sqlite3
from typing import Any

from tests.reference_backend import access, presenting
from tests.reference_backend.access import database, me, one
from tests.reference_backend.asked import body, query
from tests.reference_backend.bugs import planted
from tests.reference_backend.database import now, transaction
from tests.reference_backend.listing import Listing, embedded, paginated, read
from tests.reference_backend.presenting import Shown
from tests.reference_backend.validation import Refusal, array, boolean, choice, number, record, string, url

RELATIONS = choice("user")
AI_TOOLS = array(
    record(
        {"emoji": string(0, 32), "name": string(), "description": string(0, 10000)},
        "emoji",
        "name",
        "description",
        closed=True,
    ),
    100,
)
METADATA = record(
    {
        "onboarding_step": number(0, 100, whole=True),
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
            closed=True,
        ),
    }
)
FIELDS = {"name": string(1), "profile_photo_url": url(), "is_onboarded": boolean(), "metadata": METADATA}


def index() -> Shown:
    """GET /workspaces."""
    asked = read({}, {}, ("name", "created_at", "updated_at"), RELATIONS)
    listing = Listing("workspaces", asked, f"workspaces.id IN {access.WORKSPACES}")
    listing.search("workspaces.name", "workspaces.slug")
    below = embedded(asked, presenting.WORKSPACE)
    return paginated(listing, lambda row: presenting.workspace(row, below), {"name": "fold(workspaces.name)"})


def show(uuid: str) -> Shown:
    """GET /workspaces/{uuid}."""
    row = access.workspace(uuid)
    asked = query({"with": "words"}, {"with": array(RELATIONS, 20)})
    return {"data": presenting.workspace(row, embedded(asked, presenting.WORKSPACE))}


def update(uuid: str) -> Shown:
    """PUT /workspaces/{uuid}."""
    row = _own(uuid)
    sent = body(FIELDS)
    values: dict[str, Any] = {name: sent.get(name, row[name]) for name in ("name", "profile_photo_url", "is_onboarded")}
    values["metadata"] = json.dumps(json.loads(row["metadata"]) | sent.get("metadata", {}), ensure_ascii=False)
    if planted("flag-is-not-saved"):
        values["is_onboarded"] = row["is_onboarded"]
    with transaction(database()):
        database().execute(
            """UPDATE workspaces SET name = :name, profile_photo_url = :profile_photo_url, is_onboarded = :is_onboarded,
                metadata = :metadata, updated_at = :now WHERE id = :id""",
            {**values, "now": now(), "id": row["id"]},
        )
    return {"data": presenting.workspace(access.workspace(uuid), presenting.WORKSPACE)}


def delete(uuid: str) -> None:
    """DELETE /workspaces/{uuid}: with all that is in it."""
    row = _own(uuid)
    if one("SELECT id FROM users WHERE primary_workspace_id = :id", id=row["id"]):
        raise Refusal(409, "A primary workspace cannot be deleted.")
    named = {"id": row["id"], "now": now()}
    with transaction(database()):
        for sql in (
            """UPDATE messages SET deleted_at = :now WHERE deleted_at IS NULL
                AND thread_id IN (SELECT id FROM threads WHERE workspace_id = :id)""",
            "UPDATE threads SET deleted_at = :now WHERE workspace_id = :id AND deleted_at IS NULL",
            "UPDATE agents SET deleted_at = :now WHERE workspace_id = :id AND deleted_at IS NULL",
            "UPDATE workflows SET deleted_at = :now WHERE workspace_id = :id AND deleted_at IS NULL",
            "UPDATE workspaces SET deleted_at = :now WHERE id = :id",
        ):
            database().execute(sql, named)


def _own(uuid: str) -> sqlite3.Row:
    """A workspace that is one's own: 403 for a member."""
    row = access.workspace(uuid)
    if row["user_id"] != me():
        raise Refusal(403, "This action is unauthorized.")
    return row
