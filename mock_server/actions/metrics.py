"""Metrics of one resource: a count or a sum, as one value or one per period."""

from typing import Any

import orjson

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.periods import PERIOD_START_SQL, DateRange, fill_series
from mock_server.query import SqlCondition, all_of, collect_query_arguments
from mock_server.store.schema import attribute_column, quote_identifier
from spec.model import Resource

MAX_SERIES_ENTRIES = 10_000  # as in the contract


def compute_metrics(request: ActionRequest) -> ActionResult:
    """Count or sum the records that match the body's filters."""
    store, body, resource = request.store, request.body, request.resource
    query = request.sandbox.create_query(request.viewer)
    request_body = request.operation.request_body
    arguments = collect_query_arguments(tuple(request_body.fields.values()) if request_body else (), body)
    condition = all_of((query.build_condition(resource, arguments), query.build_visibility_condition(resource)))
    is_sum = body["calculation"].endswith("_sum")
    value = _build_sum(request, resource, body["property"]) if is_sum else SqlCondition("COUNT(*)")
    from_where = f"FROM {quote_identifier(resource.name)} WHERE {condition.sql}"
    parameters = (*value.parameters, *condition.parameters)
    if is_sum:
        total = store.scalar(f"SELECT {value.sql} {from_where}", parameters)
    else:
        total = store.count(resource.name, condition.sql, condition.parameters)
    data: list[dict[str, Any]] = [{"value": total}]
    if body["calculation"].startswith("time_series"):
        created = resource.attributes_with_stamp("created")[:1]
        period = PERIOD_START_SQL[body["granularity"]].format(attribute_column(created))
        sql = f"SELECT {period}, {value.sql} {from_where} GROUP BY 1"
        values_by_period = dict(store.connection.execute(sql, parameters).fetchall())
        # The last day defaults to today.
        bounds = {a.x_query.operator: str(a.value)[:10] for a in arguments if a.x_query.paths == (created,)}
        date_range = DateRange(bounds.get("from"), bounds.get("to", request.timestamp[:10]))
        series = fill_series(values_by_period, date_range, body["granularity"], MAX_SERIES_ENTRIES)
        data = [{"date": date, "value": entry} for date, entry in series.items()]
    return ActionResult(orjson.dumps({"data": data, "total": total}))


def _build_sum(request: ActionRequest, resource: Resource, name: str) -> SqlCondition:
    """Return SQL that sums a derived property or an attribute (nested: with dots)."""
    derived = resource.derived_properties.get(name)
    if derived is not None:
        key_column = f"{quote_identifier(resource.name)}.key"
        return SqlCondition(f"COALESCE(SUM({request.store.build_derived_sql(resource.name, derived, key_column)}), 0)")
    return SqlCondition("COALESCE(SUM(json_extract(CAST(own AS TEXT), '$.' || ?)), 0)", (name,))
