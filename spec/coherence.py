"""What must hold between the parts of a contract: words that fit each other."""

from spec.errors import ContractError
from spec.model import BodyField, Contract, Derived, Operation, Parameter, Relation, Resource
from spec.paths import counted, include_path, path_of
from spec.words import QueryWord, one_of


def check(contract: Contract) -> None:
    """Refuse a contract whose words do not fit each other."""
    collections: dict[str, str] = {}
    for resource in contract.resources.values():
        first = collections.setdefault(resource.collection, resource.name)
        if first != resource.name:
            place = f"{resource.pointer}/x-resource/collection"
            raise ContractError(place, f"{resource.collection!r}, which is the collection of {first}", "one of its own")
        _check_resource(resource)
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


def _check_resource(resource: Resource) -> None:
    """The words of a resource name its own properties and relations."""
    place, stored = f"{resource.pointer}/x-resource", [r for r in resource.relations.values() if r.stored]
    own, one = tuple(resource.own), tuple(r.name for r in stored if not r.many)
    named: list[tuple[str, str, tuple[str, ...]]] = [("public", name, own) for name in resource.public]
    if resource.members:
        named.append(("members", resource.members, tuple(r.name for r in stored if r.many)))
    if resource.account:
        named += [("account", name, own) for name in (resource.account.login, resource.account.secret)]
    if resource.grants:
        named += [("grants", name, one) for name in (resource.grants.subject, resource.grants.entity)]
        named.append(("grants", resource.grants.permission, own))
    for word, name, allowed in named:
        one_of(name, allowed, f"{place}/{word}")


def _check_relation(contract: Contract, relation: Relation) -> None:
    if relation.via is None:
        if relation.on_delete == "clear" and not (relation.many or relation.nullable or relation.stub):
            raise ContractError(
                relation.pointer, "on-delete: clear on what may not be null", "nullable, or cascade, refuse"
            )
        return
    for name in relation.to:
        back = contract.resources[name].relations.get(str(relation.via))
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
        _, end, own = path_of(contract, resource, derived.path, place)
        if len(derived.path) < 2 or not own:
            raise ContractError(
                place, repr(".".join(derived.path)), f"own properties of a related record: {end.name}'s, say"
            )
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
    if len(derived.path) != (1 if derived.kind == "count" else 2):
        allowed = "a relation" if derived.kind == "count" else "relation.property"
        raise ContractError(place, repr(".".join(derived.path)), allowed)
    for target in relation.to:
        own = contract.resources[target].own
        for name in (*derived.where, *derived.path[1:]):
            if name not in own:
                raise ContractError(place, repr(name), f"of {target}: " + ", ".join(own))


def _check_operation(contract: Contract, operation: Operation) -> None:
    resource = contract.resources.get(operation.resource or "")
    if resource is None:
        return
    items = (*operation.parameters, *(operation.body.fields.values() if operation.body else ()))
    for item in items:
        if item.sets and operation.generic and item.sets.relation not in resource.relations:
            allowed = f"of {resource.name}: " + ", ".join(resource.relations)
            raise ContractError(f"{item.pointer}/x-relation/sets", repr(item.sets.relation), allowed)
        if item.word:
            _check_word(contract, resource, item, item.word)
            others = tuple(other.name for other in items if other.word and other is not item)
            if item.word.unless is not None:
                one_of(item.word.unless, others, f"{item.pointer}/x-query/unless")
    if operation.action == "create" and operation.body:
        _check_fillable(resource, operation)


def _check_word(contract: Contract, resource: Resource, item: Parameter | BodyField, word: QueryWord) -> None:
    """Every path and every value of a query word leads somewhere."""
    if word.role in ("filter", "search"):
        for path in word.paths:
            _check_path(contract, resource, path, word.op, f"{item.pointer}/x-query")
    elif word.role in ("sort", "include", "count"):
        _check_names(contract, resource, item, word)


def _check_path(contract: Contract, resource: Resource, path: tuple[str, ...], op: str, place: str) -> None:
    steps, _, own = path_of(contract, resource, path, place)
    if op == "exists" and (own or len(steps) != 1):
        allowed = f"a relation of {resource.name}: " + ", ".join(resource.relations)
        raise ContractError(place, repr(".".join(path)), allowed)
    if op != "exists" and not own:
        raise ContractError(place, f"{'.'.join(path)!r}, a relation", "a path to an own property")


def _check_names(contract: Contract, resource: Resource, item: Parameter | BodyField, word: QueryWord) -> None:
    place = f"{item.pointer}/schema"
    listed = item.schema.get("items", item.schema).get("enum")
    if not listed:
        raise ContractError(place, f"no enum, and {word.role} beside it", "an enum of the names that may be asked for")
    for name in listed:
        if not isinstance(name, str):
            raise ContractError(f"{place}/enum", repr(name), "names")
        if word.role == "sort":
            _check_sort(resource, name, place)
        elif word.role == "include":
            include_path(contract, resource, name, place)
        else:
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
