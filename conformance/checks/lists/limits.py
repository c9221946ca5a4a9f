"""Check of parameters that limit the number of rows of a ranking or another response that is no list of records."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck, is_list
from conformance.checks.support.parameters import get_enum_values
from conformance.checks.support.values import equal, is_number
from conformance.errors import SkipCheck, insufficient_data, not_testable
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation, Parameter

MIN_ROWS = 2
MAX_LIMIT = 100  # sent if the contract gives no maximum
MAX_COMPARED_LIMITS = 3
MAX_CHOICES = 8  # queries that are tried to get several rows


def _find_limits(contract: Contract, operation: Operation) -> list[Parameter]:
    """Return the integer parameters of a read that may limit its rows: their effect is not described otherwise."""
    if operation.method != "get" or operation.path_parameter_names or is_list(contract, operation):
        return []
    optional = (p for p in operation.query_parameters if not p.required and p.x_query is None)
    return [p for p in optional if p.schema.get("type") == "integer"]


@check(
    "limit-keeps-the-first-rows",
    "A response with fewer rows consists of the first rows of a response with more.",
    Category.LISTS,
    lambda contract, operation: bool(_find_limits(contract, operation)),
    affected_by_other_clients=True,
)
def check_limits(case: Case) -> Iterator[CheckResult]:
    """Compare the rows for small values of the parameter with those for its maximum.

    The parameter limits the rows if 1 leaves one of several.
    """
    for parameter in _find_limits(case.session.contract, case.operation):
        requirement = case.build_requirement(parameter.pointer, None, parameter.name)
        try:
            message, exchange = _evaluate(case, parameter)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
        else:
            yield case.build_result(requirement, message, exchange)


def _evaluate(case: Case, parameter: Parameter) -> tuple[str, Exchange]:
    maximum = int(parameter.schema.get("maximum", MAX_LIMIT))
    query, all_rows, exchange = _find_rows(case, parameter, maximum)
    limits = [n for n in range(1, len(all_rows)) if n >= int(parameter.schema.get("minimum", 1))]
    for limit in limits[:MAX_COMPARED_LIMITS]:
        rows, exchange = _fetch(case, {**query, parameter.name: limit})
        if len(rows) != limit:
            raise SkipCheck(not_testable(f"{parameter.name}={limit} returned {len(rows)} rows: it is no limit"))
        number = next((n for n, row in enumerate(rows) if not _is_same_rank(row, all_rows[n])), None)
        if number is None:
            continue
        if not equal(_fetch(case, {**query, parameter.name: maximum})[0], all_rows):
            raise ListChangedDuringCheck
        return f"row {number + 1} with {parameter.name}={limit} differs from that with {maximum}", exchange
    return "", exchange


def _find_rows(case: Case, parameter: Parameter, maximum: int) -> tuple[dict[str, Any], list[Any], Exchange]:
    """Return a query whose response has several rows, the rows and the exchange. Raises SkipCheck.

    An optional parameter with a choice of values, such as a grouping, may be needed for that.
    """
    base = dict(case.session.records.required_query(case.operation))
    choices = (
        {p.name: value}
        for p in case.operation.query_parameters
        if not p.required and p.x_query is None
        for value in get_enum_values(p)
    )
    for choice in islice(chain([{}], choices), MAX_CHOICES):
        rows, exchange = _fetch(case, {**base, **choice, parameter.name: maximum})
        if len(rows) >= MIN_ROWS:
            return {**base, **choice}, rows, exchange
    raise SkipCheck(insufficient_data(f"the response has fewer than {MIN_ROWS} rows"))


def _fetch(case: Case, query: Mapping[str, Any]) -> tuple[list[Any], Exchange]:
    """Return the rows of a response. Raises SkipCheck."""
    exchange = case.session.client.send(case.operation, query=query)
    data = case.session.operations.data(case.operation, exchange) if exchange.response.ok else None
    parts = [data, *(data.values() if isinstance(data, Mapping) else ())]
    rows = next((part for part in parts if isinstance(part, list)), None)
    if rows is None:
        raise SkipCheck(f"{case.operation.id} returned {exchange.response.status} without rows")
    return rows, exchange


def _is_same_rank(row: Any, other: Any) -> bool:
    """Whether two rows are equal, or tied: rows with the same numbers may have any order."""
    return equal(row, other) or (_list_numbers(row) != [] and _list_numbers(row) == _list_numbers(other))


def _list_numbers(row: Any) -> list[float]:
    numbers = row.values() if isinstance(row, Mapping) else ()
    return [value for value in numbers if is_number(value)]
