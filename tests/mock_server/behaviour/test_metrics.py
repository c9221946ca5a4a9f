"""Counts, the leaderboard and metrics: each equals a count over lists."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mock_server import actions
from mock_server.store.expressions import one_of
from spec.model import Operation
from tests.mock_server.athena import EPOCH, Api, athena_contract

OPERATIONS = athena_contract().operations
HOME = "550e8400-e29b-41d4-a716-446655440000"
SANDBOX = "9f8b2c64-1d3e-4a57-8c90-5e6f7a8b9c0d"
TODAY = EPOCH.date().isoformat()
PERIODS = {"7d": 7, "30d": 30, "90d": 90, "365d": 365}
COLUMN_NAMES = re.compile(r"\b[prs]_[a-z]|[.(]own\b|\btenant AS\b")  # of the store
STATUSES = ("pending", "running", "waiting", "completed", "error", "stopped")


@pytest.mark.parametrize("path", sorted(Path(actions.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_action_names_no_column(path: Path) -> None:
    constants = (node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    assert [text for text in constants if isinstance(text, str) and COLUMN_NAMES.search(text)] == []


def count_records(api: Api, listing: str, query: Mapping[str, Any] | None = None) -> int:
    """Return the number of records in a list."""
    total: int = api.call_json(listing, query=query)["meta"]["total"]
    return total


def parse_datetime(text: str) -> datetime:
    """Parse a date-time in any format."""
    return datetime.fromisoformat(text)


def compute_period_start(text: str, granularity: str) -> str:
    """Return the first day of the period that contains a date-time; weeks start on Monday."""
    day = date.fromisoformat(text[:10])
    if granularity == "weekly":
        day -= timedelta(days=day.weekday())
    return (day.replace(day=1) if granularity == "monthly" else day).isoformat()


def fill_empty_periods(
    counts: Mapping[str, Any], granularity: str, max_periods: int, first: str = "", last: str = ""
) -> Any:
    """Return (first day of a period, its value), with empty periods if all are at most `max_periods`."""
    if not first and not counts:
        return []
    day, end = date.fromisoformat(first or min(counts)), date.fromisoformat(max([last or TODAY, *counts]))
    periods = {
        compute_period_start((day + timedelta(days=n)).isoformat(), granularity) for n in range((end - day).days + 1)
    }
    zeros = dict.fromkeys(periods, 0) if len(periods) <= max_periods else {}
    return sorted({**zeros, **counts}.items())


# Execution counts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [{}, {"workspace_uuid": HOME}, {"workspace_uuid": SANDBOX}])
def test_execution_counts_equal_list_totals(api: Api, query: Mapping[str, str]) -> None:
    counts = api.data("countWorkflowExecutions", query=query)
    lists = {status: count_records(api, "listWorkflowExecutions", {**query, "status": status}) for status in STATUSES}
    assert counts == {"total": count_records(api, "listWorkflowExecutions", query), **lists}


def test_execution_counts_per_day_equal_list_totals(api: Api) -> None:
    days = {"start_date": "2026-01-15", "end_date": "2026-02-14"}
    list_total = count_records(api, "listWorkflowExecutions", {"date_from": "2026-01-15", "date_to": "2026-02-14"})
    assert 0 < api.data("countWorkflowExecutions", query=days)["total"] == list_total


@pytest.mark.parametrize("filter_", ["requires_human_review", "has_command_room_task"])
def test_execution_counts_with_and_without_a_filter_add_up(api: Api, filter_: str) -> None:
    matching, others = (api.data("countWorkflowExecutions", query={filter_: flag}) for flag in ("true", "false"))
    all_counts = api.data("countWorkflowExecutions")
    assert {name: matching[name] + others[name] for name in all_counts} == all_counts
    assert 0 < matching["total"] < all_counts["total"]


def test_execution_counts_of_one_status(api: Api) -> None:
    counts = api.data("countWorkflowExecutions", query={"status": "error"})
    assert counts["total"] == counts["error"] > 0
    assert sum(counts[status] for status in STATUSES) == counts["total"]


# Leaderboard ---------------------------------------------------------------------------------------------------------


def test_leaderboard_equals_the_lists(api: Api) -> None:
    messages = Counter(
        row["thread"]["agent"]["uuid"]
        for row in api.list_all("listMessages", {"with": "thread.agent"})
        if row["thread"]["agent"]
    )
    rows = api.data("getAgentLeaderboard", query={"workspace_uuid": HOME, "limit": 100})
    assert len(rows) > 1
    for row in rows:
        agent = api.data("retrieveAgent", row["agent"]["uuid"])
        assert row["agent"] == agent
        assert row["executions_count"] == agent["usage_count"]
        assert row["threads_count"] == agent["threads_count"]
        assert row["messages_count"] == messages[agent["uuid"]]


def test_leaderboard_lists_every_agent_once_by_usage(api: Api) -> None:
    rows = api.data("getAgentLeaderboard", query={"limit": 100})
    agents = {agent["uuid"] for agent in api.list_all("listAgents")}
    assert {row["agent"]["uuid"] for row in rows} == agents
    assert len(rows) == len(agents)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]


def test_leaderboard_follows_usage(api: Api) -> None:
    last = api.data("getAgentLeaderboard", query={"limit": 100})[-1]["agent"]["uuid"]
    for _ in range(30):
        api.data("runAgent", last, {"content": "Hello"})
    (leader,) = api.data("getAgentLeaderboard", query={"limit": 1})
    assert leader["agent"]["uuid"] == last
    assert leader["users_count"] >= 1


def test_leaderboard_of_a_period_excludes_earlier_runs(api: Api) -> None:
    api.clock.advance(days=91)
    assert sum(row["score"] for row in api.data("getAgentLeaderboard", query={"period": "90d", "limit": 100})) == 0
    assert sum(row["score"] for row in api.data("getAgentLeaderboard", query={"period": "all", "limit": 100})) > 0


# Metrics of a workspace ----------------------------------------------------------------------------------------------

ENTITIES = ("agents", "workflows")
METRICS = ("executions", "created", "copies", "shares", "avg_duration")


def iter_events(api: Api, entity: str, metric: str, workspace: str) -> Iterator[tuple[str, int]]:
    """Yield (date-time, user) of each event of a metric, read from lists; agent runs are not in any list."""
    query = {"workspace_uuid": workspace}
    if metric in ("created", "copies", "shares"):
        include = {} if entity == "agents" else {"with": "user,shares"}
        for row in api.list_all("listAgents" if entity == "agents" else "listWorkflows", query | include):
            times = {"created": 1, "shares": len(row["shares"]), "copies": 0}[metric]
            yield from [(row["created_at"], row["user"]["id"])] * times
    elif entity == "workflows":
        for row in api.list_all("listWorkflowExecutions", query):
            yield row["created_at"], row["workflow"]["user_id"]
    else:
        for record in api.sandbox.store.select("AgentRun", one_of("tenant", (workspace,))):
            user = record.references["user"]
            yield record.attributes["created_at"], user.key if user else 0


def compute_mean_duration(api: Api, workspace: str) -> int:
    """Return the mean milliseconds from start to stop of the executions that have both."""
    rows = api.list_all("listWorkflowExecutions", {"workspace_uuid": workspace})
    spans = [
        parse_datetime(r["stopped_at"]) - parse_datetime(r["started_at"])
        for r in rows
        if r["started_at"] and r["stopped_at"]
    ]
    return round(sum(span.total_seconds() for span in spans) * 1000 / len(spans)) if spans else 0


@pytest.mark.parametrize("workspace", [HOME, SANDBOX])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("entity", ENTITIES)
def test_workspace_total_equals_list_counts(api: Api, entity: str, metric: str, workspace: str) -> None:
    result = api.data("getWorkspacesMetrics", query={"entity": entity, "metric": metric, "workspace_uuid": workspace})
    if metric == "avg_duration":
        assert result["total"] == (compute_mean_duration(api, workspace) if entity == "workflows" else 0)
    else:
        assert result["total"] == len(list(iter_events(api, entity, metric, workspace)))
    assert (result["entity"], result["metric"], result["group_by"], result["results"]) == (entity, metric, None, [])


@pytest.mark.parametrize("metric", METRICS[:-1])
@pytest.mark.parametrize("entity", ENTITIES)
def test_workspace_metrics_by_user_equal_list_counts(api: Api, entity: str, metric: str) -> None:
    query = {"entity": entity, "metric": metric, "workspace_uuid": HOME, "group_by": "user"}
    result = api.data("getWorkspacesMetrics", query=query)
    counts = Counter(str(user) if user else None for _, user in iter_events(api, entity, metric, HOME))
    assert {row["user_id"]: row["value"] for row in result["results"]} == counts
    values = [row["value"] for row in result["results"]]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("granularity", ["daily", "weekly", "monthly"])
@pytest.mark.parametrize("metric", METRICS[:-1])
@pytest.mark.parametrize("entity", ENTITIES)
def test_workspace_metrics_by_date_equal_list_counts(api: Api, entity: str, metric: str, granularity: str) -> None:
    query = {"entity": entity, "metric": metric, "workspace_uuid": HOME, "group_by": "date", "granularity": granularity}
    result = api.data("getWorkspacesMetrics", query=query)
    counts = Counter(compute_period_start(time, granularity) for time, _ in iter_events(api, entity, metric, HOME))
    expected = [{"date": day, "value": value} for day, value in fill_empty_periods(counts, granularity, 400)]
    assert (result["granularity"], result["results"]) == (granularity, expected)
    assert sum(row["value"] for row in result["results"]) == result["total"]


@pytest.mark.parametrize("period", [*PERIODS, "all"])
@pytest.mark.parametrize("group", [{"group_by": "user"}, *({"granularity": g} for g in ("daily", "weekly", "monthly"))])
@pytest.mark.parametrize("metric", METRICS[:-1])
@pytest.mark.parametrize("entity", ENTITIES)
def test_groups_of_a_workspace_metric_add_up_to_its_total(
    api: Api, entity: str, metric: str, group: Mapping[str, str], period: str
) -> None:
    query = {"entity": entity, "metric": metric, "group_by": "date", **group, "filters[period]": period}
    result = api.data("getWorkspacesMetrics", query=query)
    assert sum(row["value"] for row in result["results"]) == result["total"]
    ungrouped_result = api.data(
        "getWorkspacesMetrics", query={"entity": entity, "metric": metric, "filters[period]": period}
    )
    assert ungrouped_result["total"] == result["total"]


@pytest.mark.parametrize("granularity", ["daily", "weekly", "monthly"])
@pytest.mark.parametrize("period", PERIODS)
def test_series_of_a_period_has_one_entry_per_period(api: Api, period: str, granularity: str) -> None:
    query = {"entity": "workflows", "metric": "executions", "group_by": "date", "filters[period]": period}
    rows = api.data("getWorkspacesMetrics", query=query | {"granularity": granularity})["results"]
    first = (EPOCH - timedelta(days=PERIODS[period])).date().isoformat()
    assert [row["date"] for row in rows] == [day for day, _ in fill_empty_periods({}, granularity, 400, first)]
    assert any(row["value"] for row in rows)


def test_runs_without_a_user_are_grouped_under_null(api: Api) -> None:
    query = {"entity": "agents", "metric": "executions", "group_by": "user"}
    (group,) = (r for r in api.data("getWorkspacesMetrics", query=query)["results"] if r["user_id"] is None)
    assert group["user_name"] is None
    assert group["value"] > 0


def test_average_durations_are_not_grouped_by_user(api: Api) -> None:
    query = {"entity": "workflows", "metric": "avg_duration", "group_by": "user"}
    result = api.data("getWorkspacesMetrics", query=query)
    assert (result["group_by"], result["results"]) == (None, [])
    assert result["total"] > 0


def test_metrics_without_a_workspace_cover_all_own_workspaces(api: Api) -> None:
    api.data("createAgent", body={"name": "Castle", "workspace_uuid": SANDBOX})
    query = {"entity": "agents", "metric": "created"}
    total = api.data("getWorkspacesMetrics", query=query)["total"]
    totals = [api.data("getWorkspacesMetrics", query=query | {"workspace_uuid": w})["total"] for w in (HOME, SANDBOX)]
    assert totals[1] == 1
    assert total == sum(totals)


def test_metrics_of_a_foreign_workspace_are_empty(api: Api) -> None:
    query = {"entity": "agents", "metric": "created", "workspace_uuid": HOME}
    assert api.data("getWorkspacesMetrics", query=query, token="other-token")["total"] == 0


def test_copies_are_records_cloned_from_a_template(api: Api) -> None:
    query = {"entity": "agents", "metric": "copies"}
    before = api.data("getWorkspacesMetrics", query=query)["total"]
    api.data("createAgent", body={"name": "Clone", "template_id": 7})
    assert api.data("getWorkspacesMetrics", query=query)["total"] == before + 1


def test_period_excludes_earlier_events(api: Api) -> None:
    times = {row["uuid"]: parse_datetime(row["created_at"]) for row in api.list_all("listWorkflowExecutions")}
    query = {"entity": "workflows", "metric": "executions", "filters[period]": "30d"}
    recent = [key for key, time in times.items() if time >= api.clock() - timedelta(days=30)]
    assert 0 < api.data("getWorkspacesMetrics", query=query)["total"] == len(recent) < len(times)


@pytest.mark.parametrize("group", ["user", "date"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("order", ["value", "name", "date"])
def test_groups_are_sorted_as_requested(api: Api, group: str, order: str, direction: str) -> None:
    api.data("createAgent", body={"name": "Mine"}, token="viewer-token")
    query = {"entity": "agents", "metric": "executions", "workspace_uuid": HOME, "group_by": group}
    rows = api.data("getWorkspacesMetrics", query=query | {"order_by": order, "order_dir": direction})["results"]
    name = {"value": "value", "name": "user_name", "date": "date"}[order]
    if rows and name in rows[0]:
        values = [row[name] for row in rows]
        assert values == sorted(values, key=lambda value: (value is not None, value), reverse=direction == "desc")
    assert len(rows) > 1


def test_number_of_groups_is_limited_as_requested(api: Api) -> None:
    query = {"entity": "workflows", "metric": "executions", "group_by": "date"}
    all_groups = api.data("getWorkspacesMetrics", query=query)["results"]
    assert len(all_groups) > 3
    assert api.data("getWorkspacesMetrics", query=query | {"limit": 3})["results"] == all_groups[:3]


# Metrics of a resource -----------------------------------------------------------------------------------------------


def list_enum_values(schema: Mapping[str, Any]) -> list[str]:
    document = athena_contract().document
    (part,) = schema.get("allOf", [schema])
    return list(document.dereference(part, "")[0]["enum"])


RESOURCES = [operation for operation in OPERATIONS.values() if operation.action == "metrics"]
LISTING = {operation.resource: operation.id for operation in OPERATIONS.values() if operation.action == "list"}
SUMS = [
    (operation.id, name)
    for operation in RESOURCES
    if operation.request_body is not None
    for name in list_enum_values(operation.request_body.fields["property"].schema)
]
metrics = pytest.mark.parametrize("name", [operation.id for operation in RESOURCES])


def list_metric_records(api: Api, operation: Operation) -> list[Any]:
    """Return the records that the metrics of a resource cover."""
    return api.list_all(LISTING[operation.resource])


def read_number(api: Api, operation: Operation, row: Any, path: str) -> Any:
    """Return a numeric value of a record; read from the store if no list contains it."""
    value: Any = row
    for part in path.split("."):
        if part not in value:
            record = api.sandbox.store.get(operation.resource or "", row["uuid"])
            assert record is not None
            return record.attributes[path]
        value = value[part]
    return value


@metrics
def test_accumulated_count_equals_list_total(api: Api, name: str) -> None:
    result = api.call_json(name, body={"calculation": "accumulated_count"})
    expected = count_records(api, LISTING[OPERATIONS[name].resource])
    assert result == {"data": [{"value": expected}], "total": expected}
    assert expected > 0


@pytest.mark.parametrize(("name", "property_name"), SUMS)
def test_accumulated_sum_equals_sum_over_list(api: Api, name: str, property_name: str) -> None:
    result = api.call_json(name, body={"calculation": "accumulated_sum", "property": property_name})
    operation = OPERATIONS[name]
    expected = sum(read_number(api, operation, row, property_name) for row in list_metric_records(api, operation))
    assert result["total"] == pytest.approx(expected)
    assert result["data"] == [{"value": result["total"]}]
    assert expected > 0


@metrics
@pytest.mark.parametrize("granularity", ["daily", "weekly", "monthly"])
def test_time_series_counts_records_per_period(api: Api, name: str, granularity: str) -> None:
    result = api.call_json(name, body={"calculation": "time_series_count", "granularity": granularity})
    counts = Counter(
        compute_period_start(row["created_at"], granularity) for row in list_metric_records(api, OPERATIONS[name])
    )
    expected = [{"date": day, "value": value} for day, value in fill_empty_periods(counts, granularity, 10_000)]
    assert result["data"] == expected
    assert result["total"] == sum(counts.values())


@pytest.mark.parametrize(("name", "property_name"), SUMS)
def test_time_series_of_sums_adds_up_to_the_accumulated_sum(api: Api, name: str, property_name: str) -> None:
    series = api.call_json(
        name, body={"calculation": "time_series_sum", "property": property_name, "granularity": "weekly"}
    )
    accumulated = api.call_json(name, body={"calculation": "accumulated_sum", "property": property_name})
    assert series["total"] == pytest.approx(accumulated["total"])
    assert sum(point["value"] for point in series["data"]) == pytest.approx(series["total"])


@metrics
@pytest.mark.parametrize("granularity", ["daily", "weekly", "monthly"])
@pytest.mark.parametrize(
    "days",
    [{"date_from": "2026-01-20", "date_to": "2026-02-20"}, {"date_from": "2025-11-30"}, {"date_to": "2026-02-20"}],
)
def test_series_between_dates_has_one_entry_per_period_and_adds_up(
    api: Api, name: str, days: Mapping[str, str], granularity: str
) -> None:
    body = {"calculation": "time_series_count", "granularity": granularity, **days}
    result = api.call_json(name, body=body)
    points = {point["date"]: point["value"] for point in result["data"]}
    assert sum(points.values()) == result["total"]
    counts = {day: value for day, value in points.items() if value}
    first, last = days.get("date_from", ""), days.get("date_to", TODAY)
    assert list(points.items()) == fill_empty_periods(counts, granularity, 10_000, first, last)


@metrics
@pytest.mark.parametrize(
    "days",
    [
        {"date_from": "2030-01-01"},
        {"date_to": "1999-01-01"},
        {"date_from": "2026-02-01", "date_to": "2026-01-01"},
        {"date_from": "0001-01-01", "date_to": "9999-12-31"},
        {"date_from": "9999-12-30", "date_to": "9999-12-31"},
    ],
)
@pytest.mark.parametrize("granularity", ["daily", "weekly", "monthly"])
def test_series_between_any_dates_succeeds(api: Api, name: str, days: Mapping[str, str], granularity: str) -> None:
    result = api.call_json(name, body={"calculation": "time_series_count", "granularity": granularity, **days})
    assert sum(point["value"] for point in result["data"]) == result["total"]


@metrics
def test_series_is_daily_by_default(api: Api, name: str) -> None:
    daily = api.call_json(name, body={"calculation": "time_series_count", "granularity": "daily"})
    assert api.call_json(name, body={"calculation": "time_series_count"}) == daily


SAME_FILTERS = [
    (operation.id, field.name)
    for operation in RESOURCES
    for field in (operation.request_body.fields.values() if operation.request_body else ())
    for parameter in OPERATIONS[LISTING[operation.resource]].query_parameters
    if field.name == parameter.name and field.x_query is not None and field.x_query == parameter.x_query
]


@pytest.mark.parametrize(("name", "filter_"), SAME_FILTERS)
def test_filter_has_the_same_meaning_as_in_the_list(api: Api, name: str, filter_: str) -> None:
    listing = LISTING[OPERATIONS[name].resource]
    parameter = next(p for p in OPERATIONS[listing].query_parameters if p.name == filter_)
    by_type = {"workspace_uuid": HOME, "agent_uuid": HOME, "date_from": "2026-01-20", "date_to": "2026-02-20"}
    by_type |= {"thread_uuid": "c2c8bf89-c607-4c7c-82f9-c6415a0447e9"}
    list_values = {"user_ids": [123], "workflow_uuids": [HOME]}
    value: Any = list_values.get(filter_) or by_type.get(filter_) or (parameter.schema.get("enum") or [True])[0]
    expected = count_records(api, listing, {filter_: str(value).lower() if value is True else value})
    total = api.call_json(name, body={"calculation": "accumulated_count", filter_: value})["total"]
    assert 0 < total == expected


@metrics
def test_new_record_is_included_in_the_next_metric(api: Api, name: str) -> None:
    bodies: Mapping[str, Any] = {
        "Agent": ("createAgent", {"name": "New"}),
        "Workflow": ("createWorkflow", {"name": "New"}),
        "Thread": ("createThread", {}),
        "Message": ("createMessage", {"thread_uuid": "c2c8bf89-c607-4c7c-82f9-c6415a0447e9", "content": "New"}),
        "WorkflowExecution": ("createWorkflowExecution", {"workflow_uuid": HOME}),
    }
    query = {"calculation": "accumulated_count"}
    before = api.call_json(name, body=query)["total"]
    create, body = bodies[OPERATIONS[name].resource or ""]
    api.data(create, body=body)
    assert api.call_json(name, body=query)["total"] == before + 1


@pytest.mark.parametrize(
    ("query", "note"),
    [
        ({"granularity": "weekly"}, "query.granularity (without group_by=date)"),
        ({"granularity": "weekly", "group_by": "user"}, "query.granularity (without group_by=date)"),
        ({"order_by": "value", "limit": 3}, "query.order_by (without a group), query.limit (without a group)"),
        ({"metric": "avg_duration", "group_by": "user"}, "query.group_by (avg_duration is not grouped)"),
        ({"nothing": 1, "order_dir": "asc"}, "query.nothing, query.order_dir (without a group)"),
        ({"granularity": "weekly", "group_by": "date", "order_dir": "asc", "limit": 3}, None),
        ({"granularity": "", "limit": ""}, None),
        ({}, None),
    ],
)
def test_parameter_without_effect_is_reported_in_the_note_header(
    api: Api, query: Mapping[str, Any], note: str | None
) -> None:
    reply = api.call("getWorkspacesMetrics", query={"entity": "workflows", "metric": "created", **query})
    assert reply.status == 200
    assert reply.headers.get("x-mock-note") == (None if note is None else f"ignored: {note}")
