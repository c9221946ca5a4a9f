"""Metrics of a workspace's agents and workflows: totals, values per user or period, and the leaderboard of agents."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qsl

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.metrics import PERIOD_START_SQL, DateRange, fill_series, get_period_start
from mock_server.actions.responses import render_fragment
from mock_server.json_encoding import encode_json
from mock_server.query import collect_query_arguments
from mock_server.store import Store
from mock_server.store.expressions import SqlExpression, all_of, one_of, without_index
from mock_server.store.schema import build_reference_sql
from spec.record import Reference

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
        SELECT {agent.key} AS agent,
            (SELECT COUNT(*) FROM {run}, period
                WHERE {run[agent]} = {agent.key} AND {run[created_at]} >= since AND {visible_run}) AS executions,
            (SELECT COUNT(*) FROM {thread}, period
                WHERE {thread[agent]} = {agent.key} AND {thread[created_at]} >= since AND {visible_thread}) AS threads,
            (SELECT COUNT(*) FROM {message}, period
                WHERE {message[thread]} IN (SELECT key FROM {thread} WHERE {thread[agent]} = {agent.key})
                AND {message[created_at]} >= since AND {visible_message}) AS messages,
            (SELECT COUNT(DISTINCT {run[user]}) FROM {run}, period
                WHERE {run[agent]} = {agent.key} AND {run[created_at]} >= since AND {visible_run}) AS users
        FROM {agent} WHERE {where}
    )
    SELECT agent, executions, threads, messages, users, 10 * executions + 5 * threads + messages AS score
    FROM used ORDER BY score DESC, agent LIMIT ?
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
    return ActionResult(encode_json({"data": data}), ignored=tuple(_iter_ignored_parameters(request, group)))


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
    account = request.store.alias("User", "account")
    columns = f"{account.key}, {account['name']} AS user_name, {source.value_sql} AS value"
    select = source.build_select(columns, f"LEFT JOIN {account} ON {account.key} = user")
    direction = _get_sort_direction(request, "desc")
    sql = f"{select} GROUP BY {account.key} ORDER BY {order_column} {direction}, {account.key} LIMIT ?"
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
    """Return the rows in the requested workspace, or in all workspaces of the viewer; others match nothing."""
    value_sql = "COUNT(*)"
    if metric == "avg_duration":
        value_sql = AVG_DURATION_SQL if entity == "workflows" else "0 * COUNT(*)"  # agents have no durations
    tenant_keys, key = request.viewer.tenant_keys if request.viewer else (), request.query.get("workspace_uuid")
    in_workspace = one_of("workspace", [item for item in tenant_keys if key is None or item == key.lower()])
    condition = all_of((in_workspace, SqlExpression("at >= ?", (_get_start(request),))))
    return MetricSource(_build_rows_sql(request.store, entity, metric), value_sql, condition)


def _build_rows_sql(store: Store, entity: str, metric: str) -> str:
    """Build a SELECT with the columns at, user and workspace, and for durations started and stopped."""
    row = event = store.alias("Agent" if entity == "agents" else "Workflow", "entity")
    source, durations = f"{row}", ""
    if metric == "copies":
        source = f"{row} WHERE {row['template_id']} IS NOT NULL"
    elif metric == "shares":
        share = store.alias("Share", "share")
        subject = build_reference_sql(share.table.resource.relations["subject"], row.table.resource.name, row.key)
        source = f"{share} JOIN {row} ON {share['subject']} = {subject}"
    elif metric != "created" and entity == "agents":
        row = event = store.alias("AgentRun", "run")
        source = f"{row}"
    elif metric != "created":
        event = store.alias("WorkflowExecution", "execution")
        source = f"{event} JOIN {row} ON {row.key} = {event['workflow']}"
        durations = f", {event['started_at']} AS started, {event['stopped_at']} AS stopped"
    columns = f"{event['created_at']} AS at, {row['user']} AS user, {event.tenant} AS workspace{durations}"
    return f"SELECT {columns} FROM {source}"


def rank_agents(request: ActionRequest) -> ActionResult:
    """Return the agents by their score in a period, highest first."""
    store, agent = request.store, request.contract.resources["Agent"]
    query = request.viewer_query
    arguments = collect_query_arguments(request.operation.parameters, request.query)
    condition = query.build_visible_condition(agent, arguments)
    names = {"run": "AgentRun", "thread": "Thread", "message": "Message"}
    tables = {alias: store.alias(name, alias) for alias, name in names.items()}
    visible = {alias: without_index(query.build_visibility_condition_by_name(name)) for alias, name in names.items()}
    conditions = (*(visible[alias] for alias in ("run", "thread", "message", "run")), condition)
    parameters = (
        get_period_start(request, request.query["period"]),
        *(value for item in conditions for value in item.parameters),
        request.query["limit"],
    )
    visible_sql = {f"visible_{alias}": item.sql for alias, item in visible.items()}
    sql = LEADERBOARD_SQL.format(agent=store.alias(agent.name), where=condition.sql, **tables, **visible_sql)
    results = store.connection.execute(sql, parameters).fetchall()
    rows = [
        {"rank": rank, "agent": render_fragment(request, store.get_existing(Reference(agent.name, key)))}
        | dict(zip(LEADERBOARD_PROPERTIES, counts, strict=True))
        for rank, (key, *counts) in enumerate(results, 1)
    ]
    return ActionResult(encode_json({"data": rows}))
