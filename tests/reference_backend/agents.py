"""Agents: list, create, retrieve, update, delete."""

import json
import sqlite3
from typing import Any
from uuid import uuid4

from flask import current_app, request

from tests.reference_backend import access, serializers
from tests.reference_backend.access import build_not_found_error, caller_id, database, fetch_one
from tests.reference_backend.bugs import is_enabled
from tests.reference_backend.database import insert, now, transaction
from tests.reference_backend.listing import SqlListing, paginate, read, select_relations
from tests.reference_backend.request_data import Kind, body, query
from tests.reference_backend.serializers import COUNTS, Json
from tests.reference_backend.validation import Rule, array, boolean, choice, nullable, number, record, string, url, uuid

RELATIONS = choice(
    *("user", "user.primary_workspace", "user.primaryWorkspace", "workspace", "workspace.user"),
    *("tools", "workflows", "shares"),
)
VISIBILITY = choice("private", "workspace", "public")
IDENTIFIER = number(1, 9007199254740991, is_integer=True)
SORTS = ("name", "visibility", "created_at", "updated_at", *COUNTS)
FILTERS: dict[str, Kind] = {
    "workspace_uuid": "text",
    "organization_multiplai_id": "text",
    "user_id": "integer",
    "user_ids": "integers",
    "user_multiplai_id": "text",
    "user_multiplai_ids": "texts",
    "visibility": "text",
    "is_shared": "boolean",
    "with_metrics": "boolean",
    "with_command_room_task": "boolean",
    "category_uuids": "texts",
    "template": "boolean",
    "favorite": "boolean",
}
FILTER_RULES: dict[str, Rule] = {
    "workspace_uuid": uuid(),
    "organization_multiplai_id": string(),
    "user_id": IDENTIFIER,
    "user_ids": array(IDENTIFIER, 100),
    "user_multiplai_id": string(),
    "user_multiplai_ids": array(string(), 100),
    "visibility": VISIBILITY,
    "is_shared": boolean(),
    "with_metrics": boolean(),
    "with_command_room_task": boolean(),
    "category_uuids": array(uuid(), 100),
    "template": boolean(),
    "favorite": boolean(),
}
LONG = string(0, 10000)
METADATA = record(
    {
        **dict.fromkeys(("role", "goal_statement", "backstory", "guardrails", "base_instructions"), LONG),
        **dict.fromkeys(("greetings", "tone_of_voice"), LONG),
        "conversation_starters": array(string(0, 1000), 20),
        "disc_personality": choice("dominant", "influential", "steady", "conscientious"),
        "openai_voice": choice(
            *("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse")
        ),
        "large_language_model": string(),
        **dict.fromkeys(("memory", "knowledge", "web_search"), boolean()),
    }
)
PHOTO = record(
    {name: string(0, 32) for name in ("emoji", "background_color", "preference")},
    "emoji",
    "background_color",
    "preference",
    is_closed=True,
)
FIELDS: dict[str, Rule] = {
    "name": string(1),
    "description": LONG,
    "instruction": string(0, 100000),
    "profile_photo_url": nullable(url()),
    "profile_photo_config": PHOTO,
    "visibility": VISIBILITY,
    "metadata": METADATA,
    "tool_uuids": array(uuid(), 100),
    "workflow_uuids": array(uuid(), 100),
    "category_uuids": array(uuid(), 100),
    "template": boolean(),
    "favorite": boolean(),
}
DEFAULT_METADATA: dict[str, Any] = {
    **dict.fromkeys(("role", "goal_statement", "backstory", "guardrails", "base_instructions"), ""),
    "conversation_starters": [],
    "greetings": "",
    "tone_of_voice": "",
    "disc_personality": "dominant",
    "openai_voice": "alloy",
    "large_language_model": "gpt-4",
    "memory": True,
    "knowledge": True,
    "web_search": False,
}
DEFAULTS: dict[str, Any] = {
    "description": "",
    "instruction": "",
    "profile_photo_url": None,
    "profile_photo_config": {"emoji": "\U0001f916", "background_color": "#3B82F6", "preference": "emoji"},
    "visibility": "workspace",
    "template": False,
    "favorite": False,
    "template_id": None,
}
COLUMNS = ("name", "description", "instruction", "profile_photo_url", "visibility", "template", "favorite")


def index() -> Json:
    """GET /agents."""
    params = read(FILTERS, FILTER_RULES, SORTS, RELATIONS)
    listing = SqlListing("agents", params, access.AGENTS)
    _filter_by_workspace(listing)
    _filter_by_user(listing)
    listing.where("visibility", "agents.visibility = :visibility")
    listing.where("favorite", "agents.favorite = :favorite")
    if not is_enabled("false-is-not-given") or params.get("template"):
        listing.where("template", "agents.template = :template")
    shared = "agents.id IN (SELECT agent_id FROM shares)"
    listing.where("is_shared", f"({shared}) = :is_shared")
    if "category_uuids" in params:
        categories = SqlListing("agent_category", {"category": [c.lower() for c in params["category_uuids"]]}, "")
        categories.where_in("category", "category_uuid")
        listing.conditions.append(
            f"agents.id IN (SELECT agent_id FROM agent_category WHERE {categories.conditions[0]})"
        )
        listing.parameters |= categories.parameters
    listing.search("agents.name", "agents.description")
    relations = dict(select_relations(params, serializers.AGENT))
    relations |= {"metrics": {}} if params.get("with_metrics") else {}
    relations |= {"command_room_task": {}} if params.get("with_command_room_task") else {}
    return paginate(listing, lambda row: serializers.agent(row, relations), {**COUNTS, "name": "fold(agents.name)"})


def _filter_by_workspace(listing: SqlListing) -> None:
    """Filter by workspace, or else by the workspaces of an organization."""
    select_ids = "SELECT id FROM workspaces WHERE"
    if "workspace_uuid" in listing.params:
        listing.where("workspace_uuid", f"agents.workspace_id IN ({select_ids} uuid = lower(:workspace_uuid))")
    else:
        organization = f"agents.workspace_id IN ({select_ids} organization_multiplai_id = :organization_multiplai_id)"
        listing.where("organization_multiplai_id", organization)


def _filter_by_user(listing: SqlListing) -> None:
    """Filter by owner, with four parameters."""
    user_filter = "agents.user_id IN (SELECT id FROM users WHERE"
    listing.where("user_id", "agents.user_id = :user_id")
    listing.where_in("user_ids", "agents.user_id")
    if not is_enabled("filter-forgotten"):
        listing.where("user_multiplai_id", f"{user_filter} multiplai_id = :user_multiplai_id)")
    listing.where_in("user_multiplai_ids", "(SELECT multiplai_id FROM users WHERE users.id = agents.user_id)")


def store() -> Json:
    """POST /agents."""
    sent = body({**FIELDS, "template_id": nullable(IDENTIFIER), "workspace_uuid": uuid()}, "name")
    workspace = _find_workspace_id(sent.get("workspace_uuid"))
    relation_ids = _find_relation_ids(sent)
    values = {name: sent.get(name, default) for name, default in {"name": "", **DEFAULTS}.items()}
    if is_enabled("text-cut-at-255"):
        values["description"] = values["description"][:255]
    stamp, key = now(), str(uuid4())
    with transaction(database()):
        agent_id = insert(
            database(),
            "agents",
            {
                **values,
                "uuid": key,
                "user_id": caller_id(),
                "workspace_id": workspace,
                "metadata": DEFAULT_METADATA | sent.get("metadata", {}),
                "created_at": stamp,
                "updated_at": stamp,
            },
        )
        _save_relations(agent_id, sent, relation_ids)
    return {"data": serializers.agent(access.agent(key), serializers.AGENT)}


def _find_workspace_id(uuid: str | None) -> int:
    """The id of a workspace, by default the user's primary one."""
    if uuid is not None:
        return int(access.workspace(uuid)["id"])
    row = fetch_one("SELECT primary_workspace_id FROM users WHERE id = :me")
    return int(row["primary_workspace_id"]) if row else 0


def _find_relation_ids(sent: dict[str, Any]) -> dict[str, list[int]]:
    """The ids of the tools and workflows in the body. Raises 404 for a missing one."""
    relation_ids: dict[str, list[int]] = {}
    for name in sent.get("tool_uuids", ()):
        row = fetch_one("SELECT id FROM tools WHERE uuid = lower(:uuid)", uuid=name)
        relation_ids.setdefault("tool", []).append(_require_id(row))
    for name in sent.get("workflow_uuids", ()):
        row = fetch_one(
            f"SELECT id FROM workflows WHERE uuid = lower(:uuid) AND workspace_id IN {access.WORKSPACES}", uuid=name
        )
        relation_ids.setdefault("workflow", []).append(_require_id(row))
    return relation_ids


def _require_id(row: sqlite3.Row | None) -> int:
    if row is None:
        raise build_not_found_error()
    return int(row["id"])


def _save_relations(agent: int, sent: dict[str, Any], relation_ids: dict[str, list[int]]) -> None:
    """Sync the relations in the body; others are unchanged."""
    for kind in ("tool", "workflow"):
        if f"{kind}_uuids" in sent:
            database().execute(f"DELETE FROM agent_{kind} WHERE agent_id = ?", [agent])
            for identifier in dict.fromkeys(relation_ids.get(kind, ())):
                insert(database(), f"agent_{kind}", {"agent_id": agent, f"{kind}_id": identifier})
    if "category_uuids" in sent:
        database().execute("DELETE FROM agent_category WHERE agent_id = ?", [agent])
        for category in dict.fromkeys(sent["category_uuids"]):
            insert(database(), "agent_category", {"agent_id": agent, "category_uuid": category.lower()})


def show(uuid: str) -> Json:
    """GET /agents/{uuid}."""
    row = access.agent(uuid)
    params = query({"with": "words"}, {"with": array(RELATIONS, 20)})
    if not is_enabled("cached-read"):
        return {"data": serializers.agent(row, select_relations(params, serializers.AGENT))}
    cache: dict[str, Json] = current_app.extensions.setdefault("cache", {})
    key = f"{row['uuid']} {params}"
    if key not in cache:
        cache[key] = {"data": serializers.agent(row, select_relations(params, serializers.AGENT))}
    return cache[key]


def update(uuid: str) -> Json:
    """PUT /agents/{uuid}."""
    row = access.agent(uuid)
    access.require_write_permission(row)
    if is_enabled("saved-before-validated"):
        _save_early(row)
    sent = body(FIELDS)
    relation_ids = _find_relation_ids(sent)
    values: dict[str, Any] = {name: sent.get(name, row[name]) for name in COLUMNS}
    if is_enabled("update-resets-what-was-not-sent"):
        values["description"] = sent.get("description", "")
    photo = sent.get("profile_photo_config", json.loads(row["profile_photo_config"]))
    parameters = {
        **values,
        "metadata": json.dumps(json.loads(row["metadata"]) | sent.get("metadata", {}), ensure_ascii=False),
        "profile_photo_config": json.dumps(photo, ensure_ascii=False),
        "now": now(),
        "id": row["id"],
    }
    sets = ", ".join(f"{name} = :{name}" for name in (*values, "metadata", "profile_photo_config"))
    with transaction(database()):
        database().execute(f"UPDATE agents SET {sets}, updated_at = :now WHERE id = :id", parameters)
        _save_relations(row["id"], sent, relation_ids)
    return {"data": serializers.agent(access.agent(uuid), serializers.AGENT)}


def _save_early(row: sqlite3.Row) -> None:
    """Bug: save valid fields before the others are validated."""
    sent = request.get_json(silent=True)
    name = sent.get("name") if isinstance(sent, dict) else None
    if isinstance(name, str) and 0 < len(name) <= 255:
        database().execute("UPDATE agents SET name = ? WHERE id = ?", [name, row["id"]])


def delete(uuid: str) -> None:
    """DELETE /agents/{uuid}: with its threads, memories and shares."""
    row = access.agent(uuid)
    access.require_write_permission(row)
    parameters = {"id": row["id"], "now": now()}
    children = [
        """UPDATE messages SET deleted_at = :now WHERE deleted_at IS NULL
            AND thread_id IN (SELECT id FROM threads WHERE agent_id = :id)""",
        "UPDATE threads SET deleted_at = :now WHERE agent_id = :id AND deleted_at IS NULL",
    ]
    with transaction(database()):
        for sql in (
            *([] if is_enabled("children-survive") else children),
            "DELETE FROM memories WHERE agent_id = :id",
            "DELETE FROM shares WHERE agent_id = :id",
            "DELETE FROM command_room_tasks WHERE agent_id = :id",
            "UPDATE agents SET deleted_at = :now WHERE id = :id",
        ):
            database().execute(sql, parameters)
