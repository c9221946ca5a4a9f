"""What the mock prints at its start about parts of a contract that have no effect."""

from collections import Counter
from collections.abc import Iterator

from mock_server.web.credentials.schemes import list_query_keys
from spec.model import STATIC_ACTION, Contract, Operation
from spec.similar_names import count_edits

MAX_LISTED_PARAMETERS = 20
MAX_LISTED_OPERATIONS = 20
MAX_LISTED_SCHEMAS = 20
MAX_CHECKED_BYTES = 1024 * 1024  # of a contract whose schemas are checked at the start: 0.1 s


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


def describe_resources_without_path(contract: Contract) -> str:
    """Describe the resources that no path starts with, although a static path has a similar segment; "" without any.

    For example ``no path starts with the collection, so no record is served: Pen (/pen; similar: /pens)``.
    """
    operations = contract.operations.values()
    first_segments = {operation.path.split("/")[1] for operation in operations}
    segments = {
        operation.path: operation.path.split("/")[1:] for operation in operations if _is_static(contract, operation)
    }
    notes = []
    for resource in contract.resources.values():
        if resource.is_stored_only or resource.collection in first_segments:
            continue
        collection = resource.collection.strip("/").rpartition("/")[2]
        similar = [path for path, names in segments.items() if any(_is_similar(name, collection) for name in names)]
        if similar:
            notes.append(f"{resource.name} (/{resource.collection}; similar: {similar[0]})")
    return f"no path starts with the collection, so no record is served: {', '.join(notes)}" if notes else ""


def _is_similar(segment: str, collection: str) -> bool:
    return segment == collection or (segment[:1] != "{" and count_edits(segment.lower(), collection.lower()) == 1)


def _is_static_read(contract: Contract, operation: Operation) -> bool:
    """Whether a GET of the collection or of a record is static, although the contract does not state that."""
    names = operation.path.rstrip("/").split("/")[2:]
    is_read = operation.method == "get" and (not names or (len(names) == 1 and names[0][:1] == "{"))
    return is_read and operation.resource is not None and _is_static(contract, operation)


def _is_static(contract: Contract, operation: Operation) -> bool:
    """Whether an operation is static, although the contract does not state that."""
    return operation.action == STATIC_ACTION and "x-action" not in contract.document.resolve(operation.pointer)


def iter_unsatisfiable_schemas(contract: Contract) -> Iterator[tuple[str, str]]:
    """Yield (pointer, text) for the schemas of operations without an action that no value satisfies, a bounded number.

    Without such an operation, the check would only delay the start: datasets have valid values.
    """
    operations = [operation for operation in contract.operations.values() if operation.action == STATIC_ACTION]
    if not operations or len(contract.document.content) > MAX_CHECKED_BYTES:
        return
    from spec.sampling.unsatisfiable_schemas import find_unsatisfiable_schemas

    schemas = find_unsatisfiable_schemas(contract, operations)
    for schema in schemas[:MAX_LISTED_SCHEMAS]:
        keywords = ", ".join(schema.keywords)
        yield schema.pointer, f"no value is valid: {keywords} contradict each other (change one of them)"
    if len(schemas) > MAX_LISTED_SCHEMAS:
        hidden = schemas[MAX_LISTED_SCHEMAS:]
        yield hidden[0].pointer, f"and {len(hidden)} more schemas without a valid value"
