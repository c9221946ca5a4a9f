"""Seed data: four users, three workspaces, and their records."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from werkzeug.security import generate_password_hash

from tests.reference_backend import agents, messages, threads
from tests.reference_backend.access import format_timestamp
from tests.reference_backend.database import connect, insert, transaction

USERS = (("Ada", "Lindqvist"), ("Ben", "Okafor"), ("Cleo", "Marin"), ("Dara", "Novak"))
# (name, owner, members, organization)
TENANTS = (
    ("Northwind Support", 1, (3, 4), "org-north"),
    ("Harbour Books", 2, (), "org-harbour"),
    ("Lab", 1, (), None),
)
ROLES = ("Support", "Sales", "Research", "Onboarding", "Billing", "Translation")
SUBJECTS = ("Late parcel", "Refund for order 4711", "Change of address", "A broken lamp", "Opening hours", "Gift cards")
MESSAGE_TEXTS = (
    "Where is my order? It should have been here on Monday.",
    "I am sorry to hear that. May I have the number of your order?",
    "It is 4711, and the parcel's label says 100% recycled.",
    "Thank you. It left our depot this morning and arrives tomorrow.",
)
WORKSPACE_METADATA: Mapping[str, Any] = {
    "onboarding_step": 100,
    "sources": ["search"],
    "affiliate_name": "",
    "role": "Founder",
    "industry": "Retail",
    "tools": ["slack"],
    "ai_tools": {"agents": [], "prompts": [], "workflows": []},
}


def seed(path: Path, tokens: Sequence[str]) -> None:
    """Fill an empty database; the first people's `tokens` do not expire, all passwords are `password`."""
    database = connect(path)
    with transaction(database):
        _create_users(database, tokens)
        _create_workspaces(database)
        _create_tools(database)
        for number in range(1, 16):
            _create_agent(database, number)
        for number in range(1, 25):
            _create_thread(database, number)
    database.close()


def _uuid(kind: str, number: int) -> str:
    return str(uuid5(NAMESPACE_URL, f"{kind}/{number}"))


def _stamps(hours: int) -> dict[str, str]:
    """Timestamps `hours` ago."""
    text = format_timestamp(datetime.now(UTC) - timedelta(hours=hours))
    return {"created_at": text, "updated_at": text}


def _create_users(database: sqlite3.Connection, tokens: Sequence[str]) -> None:
    password = generate_password_hash("password", "pbkdf2:sha256:1000")
    for number, (first, last) in enumerate(USERS, 1):
        values = {
            "name": f"{first} {last}",
            "first_name": first,
            "last_name": last,
            "email": f"{first}.{last}@example.com".lower(),
            "password": password,
            "profile_photo_url": f"https://cdn.example.com/people/{number}.jpg",
            "multiplai_id": f"multiplai-user-{number}",
            "primary_workspace_id": 2 if number == 2 else 1,
        }
        insert(database, "users", values | _stamps(2000 - number))
    for number, token in enumerate(tokens, 1):
        insert(database, "personal_access_tokens", {"user_id": number, "token": token, "expires_at": None})


def _create_workspaces(database: sqlite3.Connection) -> None:
    for number, (name, owner, members, organization) in enumerate(TENANTS, 1):
        values = {
            "uuid": _uuid("workspace", number),
            "user_id": owner,
            "slug": f"{name.lower().replace(' ', '-')}-{number}",
            "name": name,
            "profile_photo_url": f"https://cdn.example.com/workspaces/{number}.jpg",
            "multiplai_id": f"multiplai-workspace-{number}",
            "organization_multiplai_id": organization,
            "is_onboarded": True,
            "metadata": dict(WORKSPACE_METADATA),
        }
        insert(database, "workspaces", values | _stamps(1900 - number))
        for member in members:
            insert(database, "workspace_user", {"workspace_id": number, "user_id": member})


def _create_tools(database: sqlite3.Connection) -> None:
    for number, name in enumerate(("Web search", "E-mail", "Calendar"), 1):
        values = {"uuid": _uuid("tool", number), "user_id": 1, "name": name, "description": "", "type": "api"}
        insert(database, "tools", values | {"credits": number} | _stamps(1800))
    for number, name in enumerate(("Welcome new customers", "Weekly figures"), 1):
        values = {"uuid": _uuid("workflow", number), "user_id": number, "workspace_id": number, "name": name}
        more = {"description": "", "visibility": "workspace", "is_active": True}
        insert(database, "workflows", values | more | _stamps(1700))


def _creator_id(number: int, place: int) -> int:
    """The creator of a record: the workspace owner, or for every third a member."""
    _, owner, members, _ = TENANTS[place - 1]
    return members[number % len(members)] if members and number % 3 == 0 else owner


def _create_agent(database: sqlite3.Connection, number: int) -> None:
    """Of five agents three are in the first workspace, one in the second, one in the third."""
    place = (1, 1, 1, 2, 3)[number % 5]
    role = ROLES[number % len(ROLES)]
    values = agents.DEFAULTS | {
        "uuid": _uuid("agent", number),
        "user_id": _creator_id(number, place),
        "workspace_id": place,
        "name": f"{role} assistant {number}",
        "description": f"Helps with {SUBJECTS[number % len(SUBJECTS)].lower()}.",
        "instruction": "Be brief and friendly.",
        "visibility": ("private", "workspace", "public")[number % 3],
        "metadata": agents.DEFAULT_METADATA | {"role": role},
        "usage_frequency": ("hourly", "daily", "weekly", "monthly")[number % 4],
        "template": number % 5 == 1,
        "favorite": number % 3 == 1,
    }
    agent_id = insert(database, "agents", values | _stamps(900 - 20 * number))
    for tool in range(1, 1 + number % 4):
        insert(database, "agent_tool", {"agent_id": agent_id, "tool_id": tool})
    if place in (1, 2) and number % 2:
        insert(database, "agent_workflow", {"agent_id": agent_id, "workflow_id": place})
    insert(database, "agent_category", {"agent_id": agent_id, "category_uuid": _uuid("category", number % 3)})
    for run in range(number % 5):
        created = _stamps(700 - run)["created_at"]
        insert(database, "agent_runs", {"agent_id": agent_id, "duration_ms": 900 + run, "created_at": created})
    if number % 6 == 0:
        entity = {"entity_type": "workspace", "entity_id": place, "permission": "read"}
        insert(database, "shares", {"agent_id": agent_id, **entity})
    if number == 2:
        task = {"uuid": _uuid("task", 1), "agent_id": agent_id, "title": "Review the greeting", "status": "open"}
        insert(database, "command_room_tasks", task | _stamps(600))


def _create_thread(database: sqlite3.Connection, number: int) -> None:
    """One in three has no agent; some of one second."""
    place = (1, 1, 3, 2)[number % 4]
    agents = database.execute("SELECT id FROM agents WHERE workspace_id = ? ORDER BY id DESC", [place]).fetchall()
    values = {
        "uuid": _uuid("thread", number),
        "creator_id": _creator_id(number, place),
        "workspace_id": place,
        "agent_id": None if number % 3 == 0 else agents[number % len(agents)]["id"],
        "name": f"{SUBJECTS[number % len(SUBJECTS)]} ({number})",
        "metadata": threads.DEFAULT_METADATA,
    }
    thread_id = insert(database, "threads", values | _stamps(500 - 10 * (number // 2)))
    for index in range(1 + number % 4):
        role = ("user", "assistant")[index % 2]
        values = {
            "uuid": _uuid("message", 100 * number + index),
            "thread_id": thread_id,
            "content": MESSAGE_TEXTS[index],
        }
        insert(
            database,
            "messages",
            values | {"role": role, "metadata": messages.METADATA} | _stamps(500 - 10 * (number // 2)),
        )
