"""Metrics of a workspace's agents and workflows: totals, values per user or period, and the leaderboard of agents."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qsl

import orjson

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.metrics import PERIOD_START_SQL, DateRange, fill_series, get_period_start
from mock_server.actions.responses import render_fragment
from mock_server.query import collect_query_arguments
from mock_server.store.expressions import SqlExpression, all_of, one_of
from spec.record import Reference

# Metric -> SQL with the columns at, user and workspace, and for durations started and stopped.
METRIC_ROWS_SQL = {
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
AVG_DURATION_SQL = "COALESCE(CAST(ROUND(AVG((julianday(stopped) - julianday(started)) * 86400000)) AS INTEGER), 0)"
# Parameter -> (groupings for which it has an effect, the note if it has none).
_EFFECTIVE_GROUPS = {
    "granularity": (("date",), "without group_by=date"),
    **dict.fromkeys(("order_by", "order_dir", "limit"), (("user", "date"), "without a group")),
}
# The properties after rank and agent, in the order of the columns of LEADERBOARD_SQL.
LEADERBOARD_PROPERTIES = ("executions_count", "threads_count", "messages_count", "users_count", "score")
LEADERBOARD_SQL = """
    WITH period(since) AS (VALUES (?)),
    used AS (
        SELECT key,
            (SELECT COUNT(*) FROM "AgentRun" r, period
                WHERE r.r_agent = "Agent".key AND r.p_created_at >= since) AS executions,
            (SELECT COUNT(*) FROM "Thread" t, period
                WHERE t.r_agent = "Agent".key AND t.p_created_at >= since) AS threads,
            (SELECT COUNT(*) FROM "Thread" t JOIN "Message" m ON m.r_thread = t.key, period
                WHERE t.r_agent = "Agent".key AND m.p_created_at >= since) AS messages,
            (SELECT COUNT(DISTINCT r_user) FROM "AgentRun" r, period
                WHERE r.r_agent = "Agent".key AND r.p_created_at >= since) AS users
        FROM "Agent" WHERE {where}
    )
    SELECT key, executions, threads, messages, users, 10 * executions + 5 * threads + messages AS score
    FROM used ORDER BY score DESC, key LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class MetricSource:
    """The rows of a metric, SQL that aggregates them to one value, and the condition that selects them."""

    rows_sql: str
    value_sql: str
    condition: SqlExpression

    def build_select(self, columns: str, joins: str = "") -> str:
        """Return SELECT, FROM and WHERE."""
        return f"SELECT {columns} FROM ({self.rows_sql}) {joins} WHERE {self.condition.sql}"


def compute_workspace_metrics(request: ActionRequest) -> ActionResult:
    """Return one metric: its total, and values by user or by period. Durations are not grouped."""
    query = request.query
    source = _create_source(request, query["entity"], query["metric"])
    group = None if query["metric"] == "avg_duration" else query.get("group_by")
    data: dict[str, Any] = {
        "entity": query["entity"],
        "metric": query["metric"],
        "aggregation": query["aggregation"],
        "group_by": group,
        "granularity": query["granularity"] if group == "date" else None,
        "total": request.store.scalar(source.build_select(source.value_sql), source.condition.parameters),
        "results": [],
    }
    if group == "user":
        del data["granularity"]  # as in the published example
        data["results"] = _get_values_by_user(request, source)
    elif group == "date":
        data["results"] = _get_values_by_date(request, source)
    return ActionResult(orjson.dumps({"data": data}), ignored=tuple(_iter_ignored_parameters(request, group)))


def _iter_ignored_parameters(request: ActionRequest, group: str | None) -> Iterator[str]:
    """Yield the sent parameters that do not affect the response."""
    names = {name for name, text in parse_qsl(request.raw_query) if text}
    if group is None and "group_by" in names:
        yield f"query.group_by ({request.query['metric']} is not grouped)"
    for name, (groups, reason) in _EFFECTIVE_GROUPS.items():
        if name in names and group not in groups:
            yield f"query.{name} ({reason})"


def _get_values_by_user(request: ActionRequest, source: MetricSource) -> list[dict[str, Any]]:
    """Return the value of each user; rows without a user (scheduled runs) are counted under null."""
    order_column = {"name": "user_name", "date": "MAX(at)"}.get(request.query.get("order_by", "value"), "value")
    columns = f"u.key, json_extract(CAST(u.own AS TEXT), '$.name') AS user_name, {source.value_sql} AS value"
    select = source.build_select(columns, 'LEFT JOIN "User" u ON u.key = user')
    sql = f"{select} GROUP BY u.key ORDER BY {order_column} {_get_sort_direction(request, 'desc')}, u.key LIMIT ?"
    rows = request.store.connection.execute(sql, (*source.condition.parameters, request.query["limit"]))
    return [{"user_id": None if k is None else str(k), "user_name": name, "value": value} for k, name, value in rows]


def _get_values_by_date(request: ActionRequest, source: MetricSource) -> list[dict[str, Any]]:
    """Return the value of each period, including periods without rows."""
    granularity = request.query["granularity"]
    select = source.build_select(f"{PERIOD_START_SQL[granularity].format('at')} AS date, {source.value_sql} AS value")
    rows = request.store.connection.execute(f"{select} GROUP BY 1", source.condition.parameters)
    date_range = DateRange(_get_start(request)[:10] or None, request.timestamp[:10])
    max_groups = int(next(p.schema["maximum"] for p in request.operation.query_parameters if p.name == "limit"))
    series = list(fill_series(dict(rows.fetchall()), date_range, granularity, max_groups).items())
    sorts_by_value = request.query.get("order_by") == "value"  # the sort is stable: equal values remain in date order
    series.sort(key=itemgetter(1 if sorts_by_value else 0), reverse=_get_sort_direction(request, "asc") == "DESC")
    return [{"date": date, "value": value} for date, value in series[: request.query["limit"]]]


def _get_start(request: ActionRequest) -> str:
    """Return the timestamp at which the period of the query's filter starts."""
    return get_period_start(request, (request.query.get("filters") or {}).get("period"))


def _get_sort_direction(request: ActionRequest, default: str) -> str:
    return "DESC" if request.query.get("order_dir", default) == "desc" else "ASC"


def _create_source(request: ActionRequest, entity: str, metric: str) -> MetricSource:
    value_sql = "COUNT(*)"
    rows_sql = METRIC_ROWS_SQL.get(metric, "").format("Agent" if entity == "agents" else "Workflow")
    if metric == "executions":
        rows_sql = METRIC_ROWS_SQL[f"{entity} executions"]
    elif metric == "avg_duration":
        rows_sql = METRIC_ROWS_SQL["workflows executions"]
        value_sql = AVG_DURATION_SQL if entity == "workflows" else "0 * COUNT(*)"  # agents have no durations
    in_period = SqlExpression("at >= ?", (_get_start(request),))
    return MetricSource(rows_sql, value_sql, all_of((_build_workspace_condition(request), in_period)))


def _build_workspace_condition(request: ActionRequest) -> SqlExpression:
    """Return the condition for the requested workspace, or for all workspaces of the viewer; others match nothing."""
    tenant_keys = request.viewer.tenant_keys if request.viewer else ()
    workspace_key = request.query.get("workspace_uuid")
    if workspace_key is not None:
        tenant_keys = tuple(key for key in tenant_keys if key == workspace_key.lower())
    return one_of("workspace", tenant_keys)


def rank_agents(request: ActionRequest) -> ActionResult:
    """Return the agents by their score in a period, highest first."""
    store, agent = request.store, request.contract.resources["Agent"]
    query = request.viewer_query
    arguments = collect_query_arguments(request.operation.parameters, request.query)
    condition = query.build_visible_condition(agent, arguments)
    parameters = (get_period_start(request, request.query["period"]), *condition.parameters, request.query["limit"])
    results = store.connection.execute(LEADERBOARD_SQL.format(where=condition.sql), parameters).fetchall()
    rows = [
        {"rank": rank, "agent": render_fragment(request, store.get_existing(Reference(agent.name, key)))}
        | dict(zip(LEADERBOARD_PROPERTIES, counts, strict=True))
        for rank, (key, *counts) in enumerate(results, 1)
    ]
    return ActionResult(orjson.dumps({"data": rows}))
