"""Metrics of a workspace: one figure about its agents or workflows, in all, by user, or by period."""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qsl

import orjson

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.periods import PERIOD_START_SQL, DateRange, fill_series, get_period_start
from mock_server.query.query import MATCH_NONE, SqlCondition, all_of

# Rows of a metric: at, user, workspace, and for durations started and stopped.
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


@dataclass(frozen=True, slots=True)
class MetricSource:
    """Where a metric's values come from: SQL of its rows, SQL that makes one value of rows, which rows count."""

    rows_sql: str
    value_sql: str
    condition: SqlCondition

    def build_select(self, columns: str, joins: str = "") -> str:
        """SELECT, FROM and WHERE."""
        return f"SELECT {columns} FROM ({self.rows_sql}) {joins} WHERE {self.condition.sql}"


def compute_workspace_metrics(request: ActionRequest) -> ActionResult:
    """One metric: its total, or values by user or by period. Durations are not grouped."""
    query = request.query
    source = _create_source(request, query["entity"], query["metric"])
    group = None if query["metric"] == "avg_duration" else query.get("group_by")
    data: dict[str, Any] = {
        "entity": query["entity"],
        "metric": query["metric"],
        "aggregation": query["aggregation"],
        "group_by": group,
        "granularity": query["granularity"] if group == "date" else None,
        "total": request.sandbox.store.scalar(source.build_select(source.value_sql), source.condition.parameters),
        "results": [],
    }
    if group == "user":
        del data["granularity"]  # as the published example has it
        data["results"] = _get_values_by_user(request, source)
    elif group == "date":
        data["results"] = _get_values_by_date(request, source)
    return ActionResult(orjson.dumps({"data": data}), ignored=tuple(_iter_ignored_parameters(request, group)))


# By what values are grouped where a parameter has an effect, and what that is told with.
_EFFECTIVE_GROUPS = {
    "granularity": (("date",), "without group_by=date"),
    "order_by": (("user", "date"), "without a group"),
    "order_dir": (("user", "date"), "without a group"),
    "limit": (("user", "date"), "without a group"),
}


def _iter_ignored_parameters(request: ActionRequest, group: str | None) -> Iterator[str]:
    """The parameters that were sent, and without which the answer would be the same."""
    names = {name for name, text in parse_qsl(request.raw_query) if text}
    if group is None and "group_by" in names:
        yield f"query.group_by ({request.query['metric']} is not grouped)"
    for name, (groups, reason) in _EFFECTIVE_GROUPS.items():
        if name in names and group not in groups:
            yield f"query.{name} ({reason})"


def _get_values_by_user(request: ActionRequest, source: MetricSource) -> list[dict[str, Any]]:
    """The figure of each user; what nobody did, as a run by a schedule, stands under the user null."""
    order_column = {"name": "user_name", "date": "MAX(at)"}.get(request.query.get("order_by", "value"), "value")
    name = "json_extract(CAST(u.own AS TEXT), '$.name')"
    select = source.build_select(
        f"u.key, {name} AS user_name, {source.value_sql} AS value", 'LEFT JOIN "User" u ON u.key = user'
    )
    sql = f"{select} GROUP BY u.key ORDER BY {order_column} {_get_sort_direction(request, 'desc')}, u.key LIMIT ?"
    rows = request.sandbox.store.connection.execute(sql, (*source.condition.parameters, request.query["limit"]))
    return [
        {"user_id": None if key is None else str(key), "user_name": name, "value": value} for key, name, value in rows
    ]


def _get_values_by_date(request: ActionRequest, source: MetricSource) -> list[dict[str, Any]]:
    """The figure of each period, those in which nothing happened among them."""
    granularity = request.query["granularity"]
    select = source.build_select(f"{PERIOD_START_SQL[granularity].format('at')} AS date, {source.value_sql} AS value")
    values_by_day = dict(
        request.sandbox.store.connection.execute(f"{select} GROUP BY 1", source.condition.parameters).fetchall()
    )
    date_range = DateRange(get_period_start(request, _get_period(request))[:10] or None, request.timestamp[:10])
    rows = list(fill_series(values_by_day, date_range, granularity, _get_max_groups(request)).items())
    sorts_by_value = request.query.get("order_by") == "value"  # those alike stay in the order of time
    rows.sort(key=itemgetter(1 if sorts_by_value else 0), reverse=_get_sort_direction(request, "asc") == "DESC")
    return [{"date": date, "value": value} for date, value in rows[: request.query["limit"]]]


def _get_max_groups(request: ActionRequest) -> int:
    """How many groups an answer may have."""
    return int(next(p.schema["maximum"] for p in request.operation.query_parameters if p.name == "limit"))


def _get_period(request: ActionRequest) -> str | None:
    period: str | None = (request.query.get("filters") or {}).get("period")
    return period


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
    return MetricSource(
        rows_sql,
        value_sql,
        all_of(
            (
                _build_workspace_condition(request),
                SqlCondition("at >= ?", (get_period_start(request, _get_period(request)),)),
            )
        ),
    )


def _build_workspace_condition(request: ActionRequest) -> SqlCondition:
    """Rows of the workspace that was asked for, if the viewer may enter it, or of all that the viewer may enter."""
    tenants = request.viewer.tenant_keys if request.viewer else ()
    workspace_key = request.query.get("workspace_uuid")
    tenant_keys = (
        tenants if workspace_key is None else tuple(tenant for tenant in tenants if tenant == workspace_key.lower())
    )
    return (
        SqlCondition(f"workspace IN ({', '.join('?' * len(tenant_keys))})", tenant_keys) if tenant_keys else MATCH_NONE
    )
