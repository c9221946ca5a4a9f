"""The agents' leaderboard: who was used most in a period."""

import orjson

from mock_server.actions.periods import since
from mock_server.actions.showing import part
from mock_server.call import Answer, Call
from mock_server.query import all_of, asked
from spec.record import Reference

LEADERS = """
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


def run(call: Call) -> Answer:
    """Agents by their score, the highest first."""
    world = call.world
    query = world.query(call.viewer)
    agent = world.contract.resources["Agent"]
    condition = all_of((query.visible(agent), query.conditions(agent, asked(call.operation.parameters, call.query))))
    parameters = (since(call, call.query["period"]), *condition.parameters, call.query["limit"])
    found = world.store.connection.execute(LEADERS.format(where=condition.sql), parameters).fetchall()
    rows = [
        {
            "rank": place,
            "agent": part(call, world.store.existing(Reference(agent.name, key))),
            "executions_count": executions,
            "threads_count": threads,
            "messages_count": messages,
            "users_count": users,
            "score": score,
        }
        for place, (key, executions, threads, messages, users, score) in enumerate(found, 1)
    ]
    return Answer(orjson.dumps({"data": rows}))
