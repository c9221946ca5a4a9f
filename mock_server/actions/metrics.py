"""Metrics of one resource: counted or summed, as one value or one for each period."""

from typing import Any

import orjson

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.periods import PERIOD_START_SQL, DateRange, fill_series
from mock_server.query.query import SqlCondition, all_of, collect_query_arguments
from mock_server.store.schema import attribute_column, quote_identifier
from spec.loader import Resource

MAX_SERIES_ENTRIES = 10_000  # entries of a series, as the contract bounds it


def compute_metrics(request: ActionRequest) -> ActionResult:
    """Count or sum the records that the body's filters leave."""
    sandbox, body = request.sandbox, request.body
    resource = sandbox.contract.resources[request.operation.resource or ""]
    query = sandbox.create_query(request.viewer)
    fields = request.operation.request_body.fields.values() if request.operation.request_body else ()
    condition = all_of(
        (
            query.build_condition(resource, collect_query_arguments(fields, body)),
            query.build_visibility_condition(resource),
        )
    )
    is_sum = body["calculation"].endswith("_sum")
    value = _build_sum(request, resource, body["property"]) if is_sum else SqlCondition("COUNT(*)")
    from_where = f"FROM {quote_identifier(resource.name)} WHERE {condition.sql}"
    parameters = (*value.parameters, *condition.parameters)
    if is_sum:
        total = sandbox.store.scalar(f"SELECT {value.sql} {from_where}", parameters)
    else:
        total = sandbox.store.count(resource.name, condition.sql, condition.parameters)
    data: list[dict[str, Any]] = [{"value": total}]
    if body["calculation"].startswith("time_series"):
        period = PERIOD_START_SQL[body["granularity"]].format(
            attribute_column(resource.attributes_with_stamp("created")[:1])
        )
        sql = f"SELECT {period}, {value.sql} {from_where} GROUP BY 1"
        values_by_period = dict(sandbox.store.connection.execute(sql, parameters).fetchall())
        points = fill_series(
            values_by_period, _get_date_range(request, resource), body["granularity"], MAX_SERIES_ENTRIES
        )
        data = [{"date": date, "value": entry} for date, entry in points.items()]
    return ActionResult(orjson.dumps({"data": data, "total": total}))


def _get_date_range(request: ActionRequest, resource: Resource) -> DateRange:
    """The days from which and up to which the body asks for records; up to today where it does not say."""
    fields = request.operation.request_body.fields.values() if request.operation.request_body else ()
    created_path = (resource.attributes_with_stamp("created")[:1],)
    bounds = {
        extension.x_query.operator: str(extension.value)[:10]
        for extension in collect_query_arguments(fields, request.body)
        if extension.x_query.paths == created_path
    }
    return DateRange(bounds.get("from"), bounds.get("to", request.timestamp[:10]))


def _build_sum(request: ActionRequest, resource: Resource, name: str) -> SqlCondition:
    """SQL that sums a property: a computed one, or an own one (nested: dots)."""
    derived = resource.derived_properties.get(name)
    if derived is not None:
        return SqlCondition(
            f"COALESCE(SUM({request.sandbox.store.build_derived_sql(resource.name, derived, _key_column(resource))}), 0)"
        )
    return SqlCondition("COALESCE(SUM(json_extract(CAST(own AS TEXT), '$.' || ?)), 0)", (name,))


def _key_column(resource: Resource) -> str:
    return f"{quote_identifier(resource.name)}.key"
