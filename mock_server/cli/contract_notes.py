"""What the mock prints at its start about parts of a contract that have no effect."""

from collections import Counter

from mock_server.web.credentials.schemes import list_query_keys
from spec.model import STATIC_ACTION, Contract, Operation

MAX_LISTED_PARAMETERS = 20
MAX_LISTED_OPERATIONS = 20


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


def describe_static_reads(contract: Contract) -> str:
    """Describe the operations on the paths of a resource whose response does not show it; "" without any.

    For example ``not answered from the store, because the response does not have the schema with x-resource: listPens
    (Pen)``.
    """
    names = [
        f"{operation.id} ({operation.resource})"
        for operation in contract.operations.values()
        if _is_static_read(contract, operation)
    ]
    if not names:
        return ""
    hidden = len(names) - MAX_LISTED_OPERATIONS
    shown = [*names[:MAX_LISTED_OPERATIONS], *([f"and {hidden} more"] if hidden > 0 else ())]
    reason = "the response does not have the schema with x-resource"
    return f"not answered from the store, because {reason}: {', '.join(shown)}"


def _is_static_read(contract: Contract, operation: Operation) -> bool:
    """Whether a GET of the collection or of a record is static, although the contract does not state that."""
    names = operation.path.rstrip("/").split("/")[2:]
    is_read = operation.method == "get" and (not names or (len(names) == 1 and names[0][:1] == "{"))
    is_static = operation.resource is not None and operation.action == STATIC_ACTION
    return is_read and is_static and "x-action" not in contract.document.resolve(operation.pointer)
