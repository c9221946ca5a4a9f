"""The law on where own records stand in a list that is sorted by when they were changed."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import Evaluation, Listing, ListPage, Row, evaluate_requirement, is_list
from conformance.checks.support.values import iter_round_trip_fields, new_record, parse_instant
from conformance.checks.writes.timestamps import STAMP_RESOLUTION, has_second_precision
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord
from conformance.skip_reasons import not_testable
from spec.loader import Contract, Operation

FRACTION_PAUSE = 0.05  # seconds, between stamps that have fractions


def _is_sortable_by_update(contract: Contract, operation: Operation) -> bool:
    """Whether a list can be sorted, both ways, by when its records were last changed."""
    if not is_list(contract, operation):
        return False
    stamps = contract.resources[operation.resource or ""].attributes_with_stamp("updated")
    parameters = {p.x_query.role: p for p in operation.query_parameters if p.x_query}
    sort_parameter = parameters.get("sort")
    return (
        sort_parameter is not None
        and "direction" in parameters
        and any(name in sort_parameter.schema.get("enum", ()) for name in stamps)
    )


def _check_last_updated_order(case: Case) -> Iterator[CheckResult]:
    """The older of two own records is changed: then it stands behind the other, and before it descending."""
    session, listing = case.session, Listing(case.session, case.operation)
    update_operation = session.require_operation(listing.resource.name, "update")
    sort_parameter, direction_parameter = listing.require_parameter("sort"), listing.require_parameter("direction")
    field = next(iter(iter_round_trip_fields(Case(case.check, session, update_operation), listing.resource)), None)
    if field is None:
        raise SkipCheck(not_testable("the contract has no field to change that is shown"))
    records = []
    for _ in range(2):
        records.append(new_record(case))
        stamps = [records[-1].body.get(name) for name in listing.resource.attributes_with_stamp("updated")]
        session.sleep(STAMP_RESOLUTION if has_second_precision(stamps) else FRACTION_PAUSE)
    body = {field[0].name: session.payloads.generate_value(field[0].schema, field[0].name)}
    exchange = session.send(
        update_operation, path={update_operation.path_parameter_names[0]: records[0].key}, body=body
    )
    if not exchange.response.ok:
        raise SkipCheck(f"{update_operation.id} answered {exchange.response.status}")
    for name in listing.resource.attributes_with_stamp("updated"):
        if name not in sort_parameter.schema.get("enum", ()):
            continue

        def evaluate(name: str = name) -> Evaluation:
            pages: list[ListPage] = []

            def find_problem() -> str:
                # Newest first, so that the run's own stand on the first page however long the list is.
                pages[:] = [
                    listing.fetch(
                        *listing.build_largest_page_query(),
                        (sort_parameter.name, name),
                        (direction_parameter.name, "desc"),
                    )
                ]
                rows = {key: row for row, key in zip(pages[0].rows, listing.get_keys(pages[0].rows), strict=True)}
                return _find_order_problem(records, rows, name)

            message = session.wait_until(find_problem)
            return message, (exchange, pages[0].exchange)

        yield evaluate_requirement(
            case,
            case.build_requirement(f"{sort_parameter.pointer}/schema", "enum", f"{sort_parameter.name}={name}"),
            evaluate,
        )


def _find_order_problem(records: list[CreatedRecord], rows: Mapping[Any, Row], name: str) -> str:
    """What is wrong with the places of records of which the first was changed last, or ""."""
    keys = list(rows)
    first_stamp, second_stamp = (parse_instant(rows.get(record.key, {}).get(name)) for record in records)
    if (
        first_stamp is not None and second_stamp is not None and second_stamp > first_stamp
    ):  # it has gone on by itself meanwhile
        raise SkipCheck(f"the run's records of {records[0].resource} change by themselves")
    positions = [keys.index(record.key) if record.key in keys else len(keys) for record in records]
    if min(positions) == len(keys):  # a seed may have stamps in the future
        raise SkipCheck(f"none of the run's records is among the first by {name}, descending")
    if positions[0] > min(positions[1:]):
        return f"{records[0].key}, which was changed last, stands behind {records[1].key} by {name}, descending"
    return ""


CHECKS: tuple[Check, ...] = (
    Check(
        "sort-by-update-time-correct",
        "In a list sorted by update time, an updated record moves behind records that were updated earlier.",
        Category.LISTS,
        _is_sortable_by_update,
        _check_last_updated_order,
        writes=True,
    ),
)
