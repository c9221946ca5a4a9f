"""Counts, usage and timestamps of seeded records are consistent, as for records created by requests."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from fixtures import dataset
from tests.mock_server.athena import EPOCH, Api, athena_contract, athena_schemas

PAST = datetime(2025, 3, 1, tzinfo=UTC)
WORKFLOW = "550e8400-e29b-41d4-a716-446655440000"
DATASETS = [*((name, 1) for name in dataset.list_names()), ("demo", 10)]


@pytest.fixture(scope="module", params=DATASETS, ids=lambda item: f"{item[0]} x {item[1]}")
def dataset_api(request: pytest.FixtureRequest) -> Api:
    """The API with each dataset, and with a large one."""
    name, size = request.param
    return Api.create(athena_contract(), athena_schemas(), name, size=size)


@pytest.fixture(scope="module")
def past_api() -> Api:
    """The API with the demo dataset and an epoch one year in the past."""
    return Api.create(athena_contract(), athena_schemas(), "demo", epoch=PAST)


@pytest.mark.slow
def test_workflow_triggers_match_its_executions(dataset_api: Api) -> None:
    executions = defaultdict(list)
    for row in dataset_api.list_all("listWorkflowExecutions"):
        executions[row["workflow"]["uuid"]].append(row["created_at"])
        summary = row["workflow"]
        assert summary["trigger_count"] == summary["executions_count"]
    for row in dataset_api.list_all("listWorkflowExecutions"):
        assert datetime.fromisoformat(row["workflow"]["last_used_at"]) == max(
            map(datetime.fromisoformat, executions[row["workflow"]["uuid"]])
        )
    for workflow in dataset_api.list_all("listWorkflows"):
        assert workflow["trigger_count"] == len(executions[workflow["uuid"]])


def test_agent_usage_matches_its_runs(dataset_api: Api) -> None:
    runs = defaultdict(list)
    for run in dataset_api.sandbox.store.select("AgentRun"):
        assert run.references["agent"] is not None
        runs[run.references["agent"].key].append(run.attributes["created_at"])
    for agent in dataset_api.list_all("listAgents"):
        assert agent["usage_count"] == len(runs[agent["uuid"]])
        assert agent["last_used_at"] == max(runs[agent["uuid"]], default=None)


def test_last_use_of_a_prompt_is_set_if_it_was_used(dataset_api: Api) -> None:
    for prompt in dataset_api.list_all("listPrompts"):
        assert (prompt["usage_count"] == 0) == (prompt["last_used_at"] is None)
        if prompt["last_used_at"] is not None:
            assert prompt["created_at"] <= prompt["last_used_at"] <= EPOCH.isoformat()


# An epoch in the past ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", ["7d", "30d", "90d"])
def test_metrics_of_the_last_days_end_at_the_epoch(past_api: Api, period: str) -> None:
    query = {"entity": "workflows", "metric": "executions", "filters[period]": period}
    assert past_api.data("getWorkspacesMetrics", query=query)["total"] > 0
    leaderboard = past_api.data("getAgentLeaderboard", query={"period": period})
    assert sum(row["score"] for row in leaderboard) > 0


def test_new_record_is_dated_after_the_epoch_and_listed_first(past_api: Api) -> None:
    past_api.reset()
    past_api.clock.advance(minutes=5)
    record = past_api.data("triggerWebhook", WORKFLOW, {})
    assert datetime.fromisoformat(record["created_at"]) == PAST + timedelta(minutes=5)
    assert past_api.list_all("listWorkflowExecutions")[0]["uuid"] == record["uuid"]
    past_api.clock.advance(seconds=10)
    assert past_api.data("retrieveWorkflowExecution", record["uuid"])["is_finished"] is True


def test_tokens_expire_by_the_same_clock(past_api: Api) -> None:
    past_api.reset()
    body = {"email": "john.doe@example.com", "password": "password"}
    session = past_api.data("signIn", body=body)
    assert datetime.fromisoformat(session["expires_at"]) == PAST + timedelta(hours=12)
    assert past_api.status("getAuthenticatedUser", token=session["token"]) == 200
    past_api.clock.advance(hours=12)
    assert past_api.status("getAuthenticatedUser", token=session["token"]) == 401
