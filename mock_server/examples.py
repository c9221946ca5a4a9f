"""Keys to try operations with: of seeded records that the first user sees, and to which each operation may be done.

Only looked for, never tried out: what an operation asks of a record's state is asked here too (`actions.FITS`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from mock_server.actions import FITS, NEVER_GRANTED
from mock_server.actions.lookup import named_in_path
from mock_server.call import Call
from mock_server.problems import Refusal
from mock_server.store import Stored
from mock_server.world import STANDING_TOKENS, World
from spec.contract import Operation, Resource

LOOKED_AT = 200  # records an operation, the oldest first: looking must stay cheap in a world of millions


def keys(world: World) -> Mapping[str, Any]:
    """operationId -> key, for each operation with one parameter in its path for which a record was found."""
    now = world.clock.now()
    world.due(now)
    viewer = world.viewer(next(iter(STANDING_TOKENS)), now)
    found: dict[str, Any] = {}
    for operation in world.contract.operations.values():
        resource = world.contract.resources.get(operation.resource or "")
        if resource is not None and len(operation.path_parameter_names) == 1:
            call = Call(operation, world, viewer, {}, {}, "", None, "", now)
            record = next((one for one in _seen(call, resource) if _fits(call, operation, one)), None)
            if record is not None:
                found[operation.id] = record.key
    return found


def _seen(call: Call, resource: Resource) -> Iterator[Stored]:
    store = call.world.store
    where = call.world.query(call.viewer).visible(resource)
    sql = f"SELECT key FROM {store.tables[resource.name].name} WHERE {where.sql} ORDER BY n LIMIT {LOOKED_AT}"
    rows = store.connection.execute(sql, where.parameters).fetchall()
    records = (store.get(resource.name, key) for (key,) in rows)
    return (record for record in records if record is not None)


def _fits(call: Call, operation: Operation, record: Stored) -> bool:
    """Whether the operation is neither forbidden (403) nor out of place (409) on a record."""
    fits = FITS.get(operation.action)
    if fits is not None and not fits(call.world, record):
        return False
    named = replace(call, path={operation.path_parameter_names[0]: str(record.key)})
    try:
        to_write = HTTPStatus.FORBIDDEN in operation.responses
        named_in_path(named, to_write=to_write, granted=operation.action not in NEVER_GRANTED)
    except Refusal:
        return False
    return True
