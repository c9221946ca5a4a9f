"""Share a record with a user or a workspace: a Share appears, and the other side sees the record."""

from mock_server.actions.create import stored
from mock_server.actions.lookup import named_in_path
from mock_server.actions.showing import shown
from mock_server.call import Answer, Call
from mock_server.problems import Problem, Refusal
from mock_server.store.plan import key_from, reference_column, reference_value
from spec.document import snake_case
from spec.record import Reference


def share(call: Call) -> Answer:
    """Grant the entity that the body names a permission; a second time changes the permission.

    Raises Refusal: 403 for what was only shared with the viewer, 404 for an unknown entity.
    """
    world = call.world
    record = named_in_path(call, to_write=True, granted=False)
    resource = next(r for r in world.contract.resources.values() if r.access_grant)
    grants = resource.access_grant
    assert grants is not None
    entity = _entity(call, resource.relations[grants.entity].targets)
    own = {name: call.body[name] for name in ("entity_type", grants.permission) if name in call.body}
    subject = resource.relations[grants.subject]
    where = f"{reference_column(subject.name)} = ?"
    with world.store.transaction():
        shares = world.store.rows(resource.name, where, (reference_value(subject, record.reference),))
        known = next((s for s in shares if s.references[grants.entity] == entity), None)
        if known is None:
            shared = stored(call, resource, own, {grants.subject: record.reference, grants.entity: entity})
        else:
            world.store.change(resource.name, known.key, {**known.own, **own})
            shared = world.store.existing(known.reference)
    return shown(call, shared)


def _entity(call: Call, allowed: tuple[str, ...]) -> Reference:
    """Whom the body names. Not only whom the viewer may see: sharing is how others come to see something."""
    kind = next(name for name in allowed if snake_case(name) == call.body["entity_type"])
    key = call.body["entity_id"]
    found = call.world.store.get(kind, key_from(call.world.contract.resources[kind], key))
    if found is None:
        why = f"the body's entity_id names no {kind}: {key}"
        raise Refusal(Problem.NO_RECORD, why, resource=kind, key=key)
    return found.reference
