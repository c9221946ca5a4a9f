"""Metrics of one resource: counted or summed, as one value or one for each period."""

from typing import Any

import orjson

from mock_server.actions.periods import FIRST_DAY, Span, series
from mock_server.call import Answer, Call
from mock_server.query import Condition, all_of, asked
from mock_server.store.plan import property_column, quoted
from spec.contract import Resource

MOST = 10_000  # entries of a series, as the contract bounds it


def run(call: Call) -> Answer:
    """Count or sum the records that the body's filters leave."""
    world, body = call.world, call.body
    resource = world.contract.resources[call.operation.resource or ""]
    query = world.query(call.viewer)
    fields = call.operation.request_body.fields.values() if call.operation.request_body else ()
    condition = all_of((query.conditions(resource, asked(fields, body)), query.visible(resource)))
    summed = body["calculation"].endswith("_sum")
    value = _sum(call, resource, body["property"]) if summed else Condition("COUNT(*)")
    rows = f"FROM {quoted(resource.name)} WHERE {condition.sql}"
    parameters = (*value.parameters, *condition.parameters)
    if summed:
        total = world.store.scalar(f"SELECT {value.sql} {rows}", parameters)
    else:
        total = world.store.count(resource.name, condition.sql, condition.parameters)
    data: list[dict[str, Any]] = [{"value": total}]
    if body["calculation"].startswith("time_series"):
        period = FIRST_DAY[body["granularity"]].format(property_column(resource.attributes_with_stamp("created")[:1]))
        sql = f"SELECT {period}, {value.sql} {rows} GROUP BY 1"
        found = dict(world.store.connection.execute(sql, parameters).fetchall())
        points = series(found, _span(call, resource), body["granularity"], MOST)
        data = [{"date": date, "value": said} for date, said in points.items()]
    return Answer(orjson.dumps({"data": data, "total": total}))


def _span(call: Call, resource: Resource) -> Span:
    """The days from which and up to which the body asks for records; up to today where it does not say."""
    fields = call.operation.request_body.fields.values() if call.operation.request_body else ()
    created = (resource.attributes_with_stamp("created")[:1],)
    ends = {one.word.operator: str(one.value)[:10] for one in asked(fields, call.body) if one.word.paths == created}
    return Span(ends.get("from"), ends.get("to", call.stamp[:10]))


def _sum(call: Call, resource: Resource, name: str) -> Condition:
    """SQL that sums a property: a computed one, or an own one (nested: dots)."""
    derived = resource.derived_properties.get(name)
    if derived is not None:
        return Condition(f"COALESCE(SUM({call.world.store.derived_sql(resource.name, derived, _key(resource))}), 0)")
    return Condition("COALESCE(SUM(json_extract(CAST(own AS TEXT), '$.' || ?)), 0)", (name,))


def _key(resource: Resource) -> str:
    return f"{quoted(resource.name)}.key"
