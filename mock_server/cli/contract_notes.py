"""What the mock prints at its start about parts of a contract that have no effect."""

from collections import Counter

from mock_server.web.credentials.schemes import list_query_keys
from spec.model import Contract

MAX_LISTED_PARAMETERS = 20


def describe_unmarked_parameters(contract: Contract) -> str:
    """Describe the query parameters of stored lists without `x-query`, which change nothing; "" without any.

    For example ``query parameters without x-query have no effect on lists: page (2), limit (2)``.
    """
    keys = list_query_keys(contract)
    counts = Counter(
        parameter.name
        for operation in contract.operations.values()
        if operation.action == "list"
        for parameter in operation.query_parameters
        if parameter.x_query is None and parameter.name not in keys
    )
    shown = [f"{name} ({count})" for name, count in list(counts.items())[:MAX_LISTED_PARAMETERS]]
    if len(counts) > MAX_LISTED_PARAMETERS:
        shown.append(f"and {len(counts) - MAX_LISTED_PARAMETERS} more")
    return f"query parameters without x-query have no effect on lists: {', '.join(shown)}" if shown else ""
