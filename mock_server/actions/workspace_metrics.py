"""Metrics of a workspace: one figure about its agents or workflows, in all, by user, or by period."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qsl

import orjson

from mock_server.actions.periods import FIRST_DAY, Span, series, since
from mock_server.call import Answer, Call
from mock_server.query import NOTHING, Condition, all_of

# Rows of a metric: at, user, workspace, and for durations started and stopped.
ROWS = {
    "created": 'SELECT p_created_at AS at, r_user AS user, tenant AS workspace FROM "{0}"',
    "copies": (
        'SELECT p_created_at AS at, r_user AS user, tenant AS workspace FROM "{0}" '
        "WHERE json_extract(CAST(own AS TEXT), '$.template_id') IS NOT NULL"
    ),
    "shares": (
        'SELECT e.p_created_at AS at, e.r_user AS user, e.tenant AS workspace FROM "Share" s '
        "JOIN \"{0}\" e ON s.r_subject = '{0}/' || e.key"
    ),
    "agents executions": 'SELECT p_created_at AS at, r_user AS user, tenant AS workspace FROM "AgentRun"',
    "workflows executions": (
        "SELECT x.p_created_at AS at, w.r_user AS user, x.tenant AS workspace, "
        "json_extract(CAST(x.own AS TEXT), '$.started_at') AS started, "
        "json_extract(CAST(x.own AS TEXT), '$.stopped_at') AS stopped "
        'FROM "WorkflowExecution" x JOIN "Workflow" w ON w.key = x.r_workflow'
    ),
}
MILLISECONDS = "COALESCE(CAST(ROUND(AVG((julianday(stopped) - julianday(started)) * 86400000)) AS INTEGER), 0)"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a metric's values come from: SQL of its rows, SQL that makes one value of rows, which rows count."""

    rows: str
    value: str
    where: Condition

    def select(self, what: str, joined: str = "") -> str:
        """SELECT, FROM and WHERE."""
        return f"SELECT {what} FROM ({self.rows}) {joined} WHERE {self.where.sql}"


def run(call: Call) -> Answer:
    """One metric: its total, or values by user or by period. Durations are not grouped."""
    said = call.query
    source = _source(call, said["entity"], said["metric"])
    group = None if said["metric"] == "avg_duration" else said.get("group_by")
    data: dict[str, Any] = {
        "entity": said["entity"],
        "metric": said["metric"],
        "aggregation": said["aggregation"],
        "group_by": group,
        "granularity": said["granularity"] if group == "date" else None,
        "total": call.world.store.scalar(source.select(source.value), source.where.parameters),
        "results": [],
    }
    if group == "user":
        del data["granularity"]  # as the published example has it
        data["results"] = _by_user(call, source)
    elif group == "date":
        data["results"] = _by_date(call, source)
    return Answer(orjson.dumps({"data": data}), ignored=tuple(_idle(call, group)))


# By what values are grouped where a parameter has an effect, and what that is told with.
_EFFECTIVE = {
    "granularity": (("date",), "without group_by=date"),
    "order_by": (("user", "date"), "without a group"),
    "order_dir": (("user", "date"), "without a group"),
    "limit": (("user", "date"), "without a group"),
}


def _idle(call: Call, group: str | None) -> Iterator[str]:
    """The parameters that were sent, and without which the answer would be the same."""
    sent = {name for name, text in parse_qsl(call.raw_query) if text}
    if group is None and "group_by" in sent:
        yield f"query.group_by ({call.query['metric']} is not grouped)"
    for name, (groups, why) in _EFFECTIVE.items():
        if name in sent and group not in groups:
            yield f"query.{name} ({why})"


def _by_user(call: Call, source: Source) -> list[dict[str, Any]]:
    """The figure of each user; what nobody did, as a run by a schedule, stands under the user null."""
    first = {"name": "user_name", "date": "MAX(at)"}.get(call.query.get("order_by", "value"), "value")
    name = "json_extract(CAST(u.own AS TEXT), '$.name')"
    select = source.select(f"u.key, {name} AS user_name, {source.value} AS value", 'LEFT JOIN "User" u ON u.key = user')
    sql = f"{select} GROUP BY u.key ORDER BY {first} {_way(call, 'desc')}, u.key LIMIT ?"
    rows = call.world.store.connection.execute(sql, (*source.where.parameters, call.query["limit"]))
    return [
        {"user_id": None if key is None else str(key), "user_name": name, "value": value} for key, name, value in rows
    ]


def _by_date(call: Call, source: Source) -> list[dict[str, Any]]:
    """The figure of each period, those in which nothing happened among them."""
    granularity = call.query["granularity"]
    select = source.select(f"{FIRST_DAY[granularity].format('at')} AS date, {source.value} AS value")
    found = dict(call.world.store.connection.execute(f"{select} GROUP BY 1", source.where.parameters).fetchall())
    span = Span(since(call, _period(call))[:10] or None, call.stamp[:10])
    rows = list(series(found, span, granularity, _most(call)).items())
    by_value = call.query.get("order_by") == "value"  # those alike stay in the order of time
    rows.sort(key=itemgetter(1 if by_value else 0), reverse=_way(call, "asc") == "DESC")
    return [{"date": date, "value": value} for date, value in rows[: call.query["limit"]]]


def _most(call: Call) -> int:
    """How many groups an answer may have."""
    return int(next(p.schema["maximum"] for p in call.operation.query_parameters if p.name == "limit"))


def _period(call: Call) -> str | None:
    found: str | None = (call.query.get("filters") or {}).get("period")
    return found


def _way(call: Call, default: str) -> str:
    return "DESC" if call.query.get("order_dir", default) == "desc" else "ASC"


def _source(call: Call, entity: str, metric: str) -> Source:
    value = "COUNT(*)"
    rows = ROWS.get(metric, "").format("Agent" if entity == "agents" else "Workflow")
    if metric == "executions":
        rows = ROWS[f"{entity} executions"]
    elif metric == "avg_duration":
        rows = ROWS["workflows executions"]
        value = MILLISECONDS if entity == "workflows" else "0 * COUNT(*)"  # agents have no durations
    return Source(rows, value, all_of((_workspace(call), Condition("at >= ?", (since(call, _period(call)),)))))


def _workspace(call: Call) -> Condition:
    """Rows of the workspace that was asked for, if the viewer may enter it, or of all that the viewer may enter."""
    tenants = call.viewer.tenants if call.viewer else ()
    said = call.query.get("workspace_uuid")
    chosen = tenants if said is None else tuple(tenant for tenant in tenants if tenant == said.lower())
    return Condition(f"workspace IN ({', '.join('?' * len(chosen))})", chosen) if chosen else NOTHING
