"""What must hold between the parts of a contract: words that fit each other."""

from spec.errors import ContractError
from spec.extensions import QueryExtension, require_one_of
from spec.model import BodyField, Contract, DerivedProperty, Operation, Parameter, Relation, Resource
from spec.property_paths import resolve_count, resolve_include, resolve_property_path


def check_consistency(contract: Contract) -> None:
    """Refuse a contract whose words do not fit each other."""
    collections: dict[str, str] = {}
    for resource in contract.resources.values():
        collection_owner = collections.setdefault(resource.collection, resource.name)
        if collection_owner != resource.name:
            location = f"{resource.pointer}/x-resource/collection"
            raise ContractError(
                location, f"{resource.collection!r}, which is the collection of {collection_owner}", "one of its own"
            )
        _check_resource_extension(resource)
        for relation in resource.relations.values():
            _check_relation(contract, relation)
        location = f"{resource.pointer}/x-resource"
        _check_to_one_path(contract, resource, resource.tenant_path, f"{location}/tenant")
        _check_to_one_path(contract, resource, resource.owner_path, f"{location}/owner")
        for derived_property in resource.derived_properties.values():
            _check_derived_property(contract, resource, derived_property)
    for view in contract.views.values():
        for derived_property in view.derived_properties.values():
            _check_derived_property(contract, contract.resources[view.resource], derived_property)
    for operation in contract.operations.values():
        _check_operation(contract, operation)


def _check_resource_extension(resource: Resource) -> None:
    """The words of a resource name its own properties and relations."""
    location, stored_relations = (
        f"{resource.pointer}/x-resource",
        [r for r in resource.relations.values() if r.is_stored],
    )
    attribute_names, to_one_names = tuple(resource.attributes), tuple(r.name for r in stored_relations if not r.to_many)
    rules: list[tuple[str, str, tuple[str, ...]]] = [("public", name, attribute_names) for name in resource.public_when]
    if resource.members_relation:
        rules.append(("members", resource.members_relation, tuple(r.name for r in stored_relations if r.to_many)))
    if resource.credentials:
        rules += [
            ("account", name, attribute_names) for name in (resource.credentials.login, resource.credentials.secret)
        ]
    if resource.access_grant:
        rules += [
            ("grants", name, to_one_names) for name in (resource.access_grant.subject, resource.access_grant.entity)
        ]
        rules.append(("grants", resource.access_grant.permission, attribute_names))
    for key, name, allowed in rules:
        require_one_of(name, allowed, f"{location}/{key}")


def _check_relation(contract: Contract, relation: Relation) -> None:
    if relation.inverse is None:
        if relation.on_delete == "clear" and not (
            relation.to_many or relation.nullable or relation.allows_empty_object
        ):
            raise ContractError(
                relation.pointer, "on-delete: clear on what may not be null", "nullable, or cascade, refuse"
            )
        return
    for name in relation.targets:
        inverse = contract.resources[name].relations.get(str(relation.inverse))
        if inverse is None or not inverse.is_stored:
            expected = ", ".join(r.name for r in contract.resources[name].relations.values() if r.is_stored) or "none"
            raise ContractError(f"{relation.pointer}/x-relation/via", repr(relation.inverse), f"of {name}: {expected}")


def _check_to_one_path(contract: Contract, resource: Resource, path: tuple[str, ...], location: str) -> None:
    """Each step of a path of relations is stored and to one."""
    resources = [resource]
    for step in path:
        relations = [r.relations[step] for r in resources if step in r.relations]
        if len(relations) != len(resources) or any(r.to_many or not r.is_stored for r in relations):
            expected = ", ".join(r.name for r in resources[0].relations.values() if r.is_stored and not r.to_many)
            raise ContractError(location, repr(step), f"of {resources[0].name}: {expected}")
        resources = [contract.resources[name] for relation in relations for name in relation.targets]


def _check_derived_property(contract: Contract, resource: Resource, derived_property: DerivedProperty) -> None:
    location = f"{derived_property.pointer}/x-derived"
    if derived_property.kind == "group":
        for part in derived_property.parts.values():
            _check_derived_property(contract, resource, part)
    elif derived_property.kind == "from":
        _check_to_one_path(contract, resource, derived_property.path[:-1], location)
        _, end, attribute_path = resolve_property_path(contract, resource, derived_property.path, location)
        if len(derived_property.path) < 2 or not attribute_path:
            raise ContractError(
                location,
                repr(".".join(derived_property.path)),
                f"own properties of a related record: {end.name}'s, say",
            )
    elif derived_property.kind in ("viewer", "number"):
        if (derived_property.kind, *derived_property.path) != (
            "viewer",
            "owner",
        ):  # the resource's own word says which path that is
            _check_to_one_path(contract, resource, derived_property.path, location)
    else:
        _check_aggregate(contract, resource, derived_property, location)


def _check_aggregate(contract: Contract, resource: Resource, derived_property: DerivedProperty, location: str) -> None:
    """A count, sum or max: of a relation, and of own properties at its end."""
    relation = resource.relations.get(derived_property.path[0])
    if relation is None:
        raise ContractError(
            location, repr(derived_property.path[0]), f"of {resource.name}: " + ", ".join(resource.relations)
        )
    if len(derived_property.path) != (1 if derived_property.kind == "count" else 2):
        expected = "a relation" if derived_property.kind == "count" else "relation.property"
        raise ContractError(location, repr(".".join(derived_property.path)), expected)
    for target in relation.targets:
        attributes = contract.resources[target].attributes
        for name in (*derived_property.where, *derived_property.path[1:]):
            if name not in attributes:
                raise ContractError(location, repr(name), f"of {target}: " + ", ".join(attributes))


def _check_operation(contract: Contract, operation: Operation) -> None:
    resource = contract.resources.get(operation.resource or "")
    if resource is None:
        return
    items = (*operation.parameters, *(operation.request_body.fields.values() if operation.request_body else ()))
    for item in items:
        if item.relation_setter and operation.is_generic and item.relation_setter.relation not in resource.relations:
            expected = f"of {resource.name}: " + ", ".join(resource.relations)
            raise ContractError(f"{item.pointer}/x-relation/sets", repr(item.relation_setter.relation), expected)
        if item.x_query:
            _check_query_extension(contract, resource, item, item.x_query)
            other_names = tuple(other.name for other in items if other.x_query and other is not item)
            if item.x_query.unless_parameter is not None:
                require_one_of(item.x_query.unless_parameter, other_names, f"{item.pointer}/x-query/unless")
    if operation.action == "create" and operation.request_body:
        _check_required_attributes(resource, operation)


def _check_query_extension(
    contract: Contract, resource: Resource, item: Parameter | BodyField, x_query: QueryExtension
) -> None:
    """Every path and every value of a query word leads somewhere."""
    if x_query.role in ("filter", "search"):
        for path in x_query.paths:
            _check_query_path(contract, resource, path, x_query.operator, f"{item.pointer}/x-query")
    elif x_query.role in ("sort", "include", "count"):
        _check_enum_names(contract, resource, item, x_query)


def _check_query_path(
    contract: Contract, resource: Resource, path: tuple[str, ...], operator: str, location: str
) -> None:
    steps, _, attribute_path = resolve_property_path(contract, resource, path, location)
    if operator == "exists" and (attribute_path or len(steps) != 1):
        expected = f"a relation of {resource.name}: " + ", ".join(resource.relations)
        raise ContractError(location, repr(".".join(path)), expected)
    if operator != "exists" and not attribute_path:
        raise ContractError(location, f"{'.'.join(path)!r}, a relation", "a path to an own property")


def _check_enum_names(
    contract: Contract, resource: Resource, item: Parameter | BodyField, x_query: QueryExtension
) -> None:
    location = f"{item.pointer}/schema"
    names = item.schema.get("items", item.schema).get("enum")
    if not names:
        raise ContractError(
            location, f"no enum, and {x_query.role} beside it", "an enum of the names that may be asked for"
        )
    for name in names:
        if not isinstance(name, str):
            raise ContractError(f"{location}/enum", repr(name), "names")
        if x_query.role == "sort":
            _check_sort_name(resource, name, location)
        elif x_query.role == "include":
            resolve_include(contract, resource, name, location)
        else:
            resolve_count(resource, name, location)


def _check_sort_name(resource: Resource, name: str, location: str) -> None:
    derived_property = resource.derived_properties.get(name)
    if name not in resource.attributes and (
        derived_property is None or derived_property.kind not in ("count", "sum", "max")
    ):
        raise ContractError(
            location, repr(name), f"own properties and counts of {resource.name}: " + ", ".join(resource.attributes)
        )


def _check_required_attributes(resource: Resource, operation: Operation) -> None:
    """A created record must get a value for each own property."""
    assert operation.request_body is not None
    for attribute in resource.attributes.values():
        field = operation.request_body.fields.get(attribute.name)
        is_sent = field is not None and (field.required or "default" in field.schema)
        if not (
            is_sent
            or attribute.nullable
            or attribute.has_default
            or attribute.stamp
            or attribute.write_only
            or attribute.name == resource.key_attribute
        ):
            expected = "a default, nullable, x-stamp, or required in the body"
            raise ContractError(
                attribute.pointer, f"nothing that fills it when {operation.id} does not send it", expected
            )
