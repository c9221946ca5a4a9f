"""What must hold between the parts of a contract: words that fit each other."""

from spec.errors import ContractError
from spec.model import BodyField, Contract, Derived, Operation, Parameter, Relation, Resource
from spec.paths import counted, include_path, path_of
from spec.words import QueryWord

GENERIC_ACTIONS = ("list", "create", "retrieve", "update", "delete")


def check(contract: Contract) -> None:
    """Refuse a contract whose words do not fit each other."""
    for resource in contract.resources.values():
        for relation in resource.relations.values():
            _check_relation(contract, relation)
        place = f"{resource.pointer}/x-resource"
        _check_steps(contract, resource, resource.tenant, f"{place}/tenant")
        _check_steps(contract, resource, resource.owner, f"{place}/owner")
        for derived in resource.derived.values():
            _check_derived(contract, resource, derived)
    for view in contract.views.values():
        for derived in view.derived.values():
            _check_derived(contract, contract.resources[view.resource], derived)
    for operation in contract.operations.values():
        _check_operation(contract, operation)


def _check_relation(contract: Contract, relation: Relation) -> None:
    if relation.via is None:
        if relation.on_delete == "clear" and not (relation.many or relation.nullable or relation.stub):
            raise ContractError(
                relation.pointer, "on-delete: clear on what may not be null", "nullable, or cascade, refuse"
            )
        return
    for name in relation.to:
        back = contract.resources[name].relations.get(relation.via)
        if back is None or not back.stored:
            allowed = ", ".join(r.name for r in contract.resources[name].relations.values() if r.stored) or "none"
            raise ContractError(f"{relation.pointer}/x-relation/via", repr(relation.via), f"of {name}: {allowed}")


def _check_steps(contract: Contract, resource: Resource, path: tuple[str, ...], place: str) -> None:
    """Each step of a path of relations is stored and to one."""
    at = [resource]
    for step in path:
        found = [r.relations[step] for r in at if step in r.relations]
        if len(found) != len(at) or any(r.many or not r.stored for r in found):
            allowed = ", ".join(r.name for r in at[0].relations.values() if r.stored and not r.many)
            raise ContractError(place, repr(step), f"of {at[0].name}: {allowed}")
        at = [contract.resources[name] for relation in found for name in relation.to]


def _check_derived(contract: Contract, resource: Resource, derived: Derived) -> None:
    place = f"{derived.pointer}/x-derived"
    if derived.kind == "group":
        for part in derived.parts.values():
            _check_derived(contract, resource, part)
    elif derived.kind == "from":
        _check_steps(contract, resource, derived.path[:-1], place)
    elif derived.kind in ("viewer", "number"):
        if (derived.kind, *derived.path) != ("viewer", "owner"):  # the resource's own word says which path that is
            _check_steps(contract, resource, derived.path, place)
    else:
        _check_collected(contract, resource, derived, place)


def _check_collected(contract: Contract, resource: Resource, derived: Derived, place: str) -> None:
    """A count, sum or max: of a relation, and of own properties at its end."""
    relation = resource.relations.get(derived.path[0])
    if relation is None:
        raise ContractError(place, repr(derived.path[0]), f"of {resource.name}: " + ", ".join(resource.relations))
    for target in relation.to:
        own = contract.resources[target].own
        for name in (*derived.where, *derived.path[1:]):
            if name not in own:
                raise ContractError(place, repr(name), f"of {target}: " + ", ".join(own))


def _check_operation(contract: Contract, operation: Operation) -> None:
    resource = contract.resources.get(operation.resource or "")
    if resource is None:
        return
    fields = operation.body.fields.values() if operation.body else ()
    for item in (*operation.parameters, *fields):
        if item.sets and operation.action in GENERIC_ACTIONS and item.sets.relation not in resource.relations:
            allowed = f"of {resource.name}: " + ", ".join(resource.relations)
            raise ContractError(f"{item.pointer}/x-relation/sets", repr(item.sets.relation), allowed)
        if item.word:
            _check_word(contract, resource, item, item.word)
    if operation.action == "create" and operation.body:
        _check_fillable(resource, operation)


def _check_word(contract: Contract, resource: Resource, item: Parameter | BodyField, word: QueryWord) -> None:
    """Every path and every value of a query word leads somewhere."""
    for path in word.paths if word.role in ("filter", "search") else ():
        path_of(contract, resource, path, f"{item.pointer}/x-query")
    place = f"{item.pointer}/schema"
    for name in item.schema.get("items", item.schema).get("enum", ()):
        if word.role == "sort":
            _check_sort(resource, name, place)
        elif word.role == "include":
            include_path(contract, resource, name, place)
        elif word.role == "count":
            counted(resource, name, place)


def _check_sort(resource: Resource, name: str, place: str) -> None:
    derived = resource.derived.get(name)
    if name not in resource.own and (derived is None or derived.kind not in ("count", "sum", "max")):
        raise ContractError(
            place, repr(name), f"own properties and counts of {resource.name}: " + ", ".join(resource.own)
        )


def _check_fillable(resource: Resource, operation: Operation) -> None:
    """A created record must get a value for each own property."""
    assert operation.body is not None
    for own in resource.own.values():
        sent = operation.body.fields.get(own.name)
        given = sent is not None and (sent.required or "default" in sent.schema)
        if not (given or own.nullable or own.has_default or own.stamp or own.hidden or own.name == resource.key):
            allowed = "a default, nullable, x-stamp, or required in the body"
            raise ContractError(own.pointer, f"nothing that fills it when {operation.id} does not send it", allowed)
