"""Metrics, computed from the store: of one resource, of a workspace, and the agents' leaderboard."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from mock_server.call import Answer, Call
from mock_server.clock import written
from mock_server.query import NOTHING, Condition, all_of, asked
from mock_server.store.plan import property_column, quoted
from spec.contract import Resource
from spec.record import Reference

# SQL that turns an instant's column into the first day of its period.
PERIODS = {
    "daily": "substr({0}, 1, 10)",
    "weekly": "date(substr({0}, 1, 10), '-6 days', 'weekday 1')",
    "monthly": "substr({0}, 1, 7) || '-01'",
}
DAYS = {"7d": 7, "30d": 30, "90d": 90, "365d": 365}


# Of one resource ------------------------------------------------------------------------------------------------


def of_resource(call: Call) -> Answer:
    """Count or sum the records that the body's filters leave: one value, or one for each period."""
    world, body = call.world, call.body
    resource = world.contract.resources[call.operation.resource or ""]
    query = world.query(call.viewer)
    fields = call.operation.body.fields if call.operation.body else {}
    given = {**{n: f.schema["default"] for n, f in fields.items() if "default" in f.schema}, **body}
    condition = all_of((query.conditions(resource, asked(fields.values(), given)), query.visible(resource)))
    calculation = given["calculation"]
    value = "COUNT(*)"
    if calculation.endswith("_sum"):
        value = f"COALESCE(SUM({_numeric(call, resource, given['property'])}), 0)"
    table = quoted(resource.name)
    total = world.store.scalar(f"SELECT {value} FROM {table} WHERE {condition.sql}", condition.parameters)
    data: list[dict[str, Any]] = [{"value": total}]
    if calculation.startswith("time_series"):
        period = PERIODS[given.get("granularity", "daily")].format(property_column(resource.stamped("created")[:1]))
        sql = f"SELECT {period}, {value} FROM {table} WHERE {condition.sql} GROUP BY 1 ORDER BY 1"
        found = world.store.connection.execute(sql, condition.parameters)
        data = [{"date": date, "value": said} for date, said in found]
    return Answer(orjson.dumps({"data": data, "total": total}))


def _numeric(call: Call, resource: Resource, name: str) -> str:
    """SQL of a numeric property of a record: an own one (nested: dots) or a computed one."""
    derived = resource.derived.get(name)
    if derived is not None:
        return call.world.store.derived_sql(resource.name, derived, f"{quoted(resource.name)}.key")
    return f"json_extract(CAST(own AS TEXT), '$.{name}')"


# Of a workspace -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """Where a metric's values come from.

    `table`: SQL of rows with at (instant), user (key) and tenant. `value`: SQL that makes one value of rows.
    """

    table: str
    value: str
    where: Condition

    @property
    def rows(self) -> str:
        """FROM and WHERE."""
        return f"FROM ({self.table}) WHERE {self.where.sql}"

    def rows_of(self, joined: str) -> str:
        """FROM and WHERE with the user's record as `u`."""
        return f'FROM ({self.table}) JOIN "User" u ON {joined} WHERE {self.where.sql}'


def of_workspaces(call: Call) -> Answer:
    """One metric of agents or workflows: its total, or values by user or by period."""
    said = call.query
    source = _source(call, said["entity"], said["metric"])
    aggregation = said.get("aggregation", "count")
    group = None if said["metric"] == "avg_duration" else said.get("group_by")
    data: dict[str, Any] = {
        "entity": said["entity"],
        "metric": said["metric"],
        "aggregation": aggregation,
        "group_by": group,
        "granularity": said.get("granularity", "daily") if group == "date" else None,
        "total": call.world.store.scalar(f"SELECT {source.value} {source.rows}", source.where.parameters),
        "results": [],
    }
    if group == "user":
        del data["granularity"]  # as the published example has it
        data["results"] = _by_user(call, source)
    elif group == "date":
        data["results"] = _by_date(call, source, data["granularity"])
    if aggregation == "avg" and data["results"]:
        data["total"] = round(sum(r["value"] for r in data["results"]) / len(data["results"]), 2)
    return Answer(orjson.dumps({"data": data}))


def _by_user(call: Call, source: Source) -> list[dict[str, Any]]:
    first = {"name": "user_name", "date": "MAX(at)"}.get(call.query.get("order_by", "value"), "value")
    name = "json_extract(CAST(u.own AS TEXT), '$.name')"
    sql = (
        f"SELECT u.key, {name} AS user_name, {source.value} AS value {source.rows_of('u.key = user')} "
        f"GROUP BY u.key ORDER BY {first} {_way(call, 'desc')}, u.key LIMIT ?"
    )
    rows = call.world.store.connection.execute(sql, (*source.where.parameters, _limit(call)))
    return [{"user_id": str(key), "user_name": name, "value": value} for key, name, value in rows]


def _by_date(call: Call, source: Source, granularity: str) -> list[dict[str, Any]]:
    first = "value" if call.query.get("order_by") == "value" else "date"
    sql = (
        f"SELECT {PERIODS[granularity].format('at')} AS date, {source.value} AS value {source.rows} "
        f"GROUP BY 1 ORDER BY {first} {_way(call, 'asc')}, 1 LIMIT ?"
    )
    rows = call.world.store.connection.execute(sql, (*source.where.parameters, _limit(call)))
    return [{"date": date, "value": value} for date, value in rows]


def _way(call: Call, default: str) -> str:
    return "DESC" if call.query.get("order_dir", default) == "desc" else "ASC"


def _limit(call: Call) -> int:
    """At most so many rows: as asked, else the contract's default."""
    default = next(p.schema["default"] for p in call.operation.query if p.name == "limit")
    return int(call.query.get("limit", default))


# Rows of a metric: at, user, tenant, and for durations started and stopped.
TABLES = {
    "created": 'SELECT p_created_at AS at, r_user AS user, tenant AS workspace FROM "{0}"',
    "copies": (
        'SELECT p_created_at AS at, r_user AS user, tenant AS workspace FROM "{0}" '
        "WHERE json_extract(CAST(own AS TEXT), '$.template_id') IS NOT NULL"
    ),
    "shares": (
        'SELECT e.p_created_at AS at, e.r_user AS user, e.tenant AS workspace FROM "Share" s '
        "JOIN \"{0}\" e ON s.r_subject = '{0}/' || e.key"
    ),
    "agent executions": ('SELECT r.p_created_at AS at, r.r_user AS user, r.tenant AS workspace FROM "AgentRun" r'),
    "workflow executions": (
        "SELECT x.p_created_at AS at, w.r_user AS user, x.tenant AS workspace, "
        "json_extract(CAST(x.own AS TEXT), '$.started_at') AS started, "
        "json_extract(CAST(x.own AS TEXT), '$.stopped_at') AS stopped "
        'FROM "WorkflowExecution" x JOIN "Workflow" w ON w.key = x.r_workflow'
    ),
}
MILLISECONDS = "COALESCE(CAST(ROUND(AVG((julianday(stopped) - julianday(started)) * 86400000)) AS INTEGER), 0)"


def _source(call: Call, entity: str, metric: str) -> Source:
    value = "COUNT(*)"
    table = TABLES.get(metric, "").format("Agent" if entity == "agents" else "Workflow")
    if metric == "executions":
        table = TABLES["agent executions" if entity == "agents" else "workflow executions"]
    elif metric == "avg_duration":
        table = TABLES["workflow executions"]
        value = MILLISECONDS if entity == "workflows" else "0 * COUNT(*)"  # agents have no durations
    conditions = [_workspace(call)]
    since = _since(call, (call.query.get("filters") or {}).get("period"))
    if since is not None:
        conditions.append(Condition("at >= ?", (since,)))
    return Source(table, value, all_of(conditions))


def _workspace(call: Call) -> Condition:
    """Rows of the workspace that was asked for, if the viewer may enter it, or of all that the viewer may enter."""
    tenants = call.viewer.tenants if call.viewer else ()
    said = call.query.get("workspace_uuid")
    chosen = tenants if said is None else tuple(tenant for tenant in tenants if tenant == said)
    return Condition(f"workspace IN ({', '.join('?' * len(chosen))})", chosen) if chosen else NOTHING


def _since(call: Call, period: str | None) -> str | None:
    days = DAYS.get(period or "")
    at: datetime | None = call.now - timedelta(days=days) if days else None
    return written(at) if at else None


# Leaderboard ----------------------------------------------------------------------------------------------------


LEADERS = """
    SELECT key,
        (SELECT COUNT(*) FROM "AgentRun" r WHERE r.r_agent = "Agent".key AND r.p_created_at >= ?1) AS executions,
        (SELECT COUNT(*) FROM "Thread" t WHERE t.r_agent = "Agent".key AND t.p_created_at >= ?1) AS threads,
        (SELECT COUNT(*) FROM "Thread" t JOIN "Message" m ON m.r_thread = t.key
            WHERE t.r_agent = "Agent".key AND m.p_created_at >= ?1) AS messages,
        (SELECT COUNT(DISTINCT r_user) FROM "AgentRun" r
            WHERE r.r_agent = "Agent".key AND r.p_created_at >= ?1) AS users
    FROM "Agent" WHERE {where}
    ORDER BY 10 * executions + 5 * threads + messages DESC, key LIMIT ?2
"""


def leaderboard(call: Call) -> Answer:
    """Agents by how much they were used in a period, the most used first."""
    world = call.world
    query = world.query(call.viewer)
    agent = world.contract.resources["Agent"]
    condition = all_of((query.visible(agent), query.conditions(agent, asked(call.operation.parameters, call.query))))
    parameters = (_since(call, call.query.get("period")) or "", _limit(call), *condition.parameters)
    sql = LEADERS.format(where=_numbered(condition.sql, 3))
    shape = world.representation.shapes.default(agent.name)
    rows = []
    for place, (key, executions, threads, messages, users) in enumerate(
        world.store.connection.execute(sql, parameters)
    ):
        record = world.store.existing(Reference(agent.name, key))
        said = orjson.Fragment(world.representation.record(agent.name, record, shape, call.viewer))
        rows.append(
            {
                "rank": place + 1,
                "agent": said,
                "executions_count": executions,
                "threads_count": threads,
                "messages_count": messages,
                "users_count": users,
                "score": 10 * executions + 5 * threads + messages,
            }
        )
    return Answer(orjson.dumps({"data": rows}))


def _numbered(sql: str, first: int) -> str:
    """`sql` with its placeholders numbered from `first` on, as numbered and bare ones do not mix well."""
    parts = sql.split("?")
    return "".join(part if i == 0 else f"?{first + i - 1}{part}" for i, part in enumerate(parts))
