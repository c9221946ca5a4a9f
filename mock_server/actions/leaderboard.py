"""The agents' leaderboard: who was used most in a period."""

import orjson

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.periods import get_period_start
from mock_server.actions.responses import render_fragment
from mock_server.query.query import all_of, collect_query_arguments
from spec.record import Reference

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


def rank_agents(request: ActionRequest) -> ActionResult:
    """Agents by their score, the highest first."""
    sandbox = request.sandbox
    query = sandbox.create_query(request.viewer)
    agent = sandbox.contract.resources["Agent"]
    condition = all_of(
        (
            query.build_visibility_condition(agent),
            query.build_condition(agent, collect_query_arguments(request.operation.parameters, request.query)),
        )
    )
    parameters = (get_period_start(request, request.query["period"]), *condition.parameters, request.query["limit"])
    results = sandbox.store.connection.execute(LEADERBOARD_SQL.format(where=condition.sql), parameters).fetchall()
    rows = [
        {
            "rank": rank,
            "agent": render_fragment(request, sandbox.store.get_existing(Reference(agent.name, key))),
            "executions_count": executions,
            "threads_count": threads,
            "messages_count": messages,
            "users_count": users,
            "score": score,
        }
        for rank, (key, executions, threads, messages, users, score) in enumerate(results, 1)
    ]
    return ActionResult(orjson.dumps({"data": rows}))
