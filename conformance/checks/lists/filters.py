"""Filter parameters of lists, with values that their rows have."""

from collections.abc import Iterator
from typing import Any

from conformance.checks.support.check import Case
from conformance.checks.support.listing import Listing
from conformance.model.execution import Execution
from conformance.model.queries import has_unmatched
from conformance.model.tours import Tour, run_tour
from spec.model import Parameter


def iter_filter_values(case: Case) -> Iterator[tuple[Parameter, Any]]:
    """Yield (parameter, value) for a few values of each filter, lists of values included. Raises SkipCheck."""
    listing = Listing(case.session, case.operation)
    listing.sample()  # creates records with different values
    execution = Execution.start(case.session)
    tour = Tour(execution, case.operation)
    run_tour(execution, tour.adopt_rows())
    filters = {parameter.name: parameter for parameter in listing.iter_filters()}
    yield from ((filters[name], v) for name, v in tour.conditions() if name in filters and not has_unmatched(v))
