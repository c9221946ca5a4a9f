"""Checks that the extensions of a contract refer to resources, properties and relations that exist."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from spec.component_schemas import ComponentSchemas
from spec.document import escape, iter_keyword_objects, snake_case
from spec.errors import ContractError, ProblemCollector, invalid_value
from spec.extensions import AVERAGE_KEYWORD, QueryExtension, require_one_of, split_sort_name
from spec.model import (
    ITEM_ACTIONS,
    Attribute,
    BodyField,
    Contract,
    DerivedProperty,
    Operation,
    Parameter,
    Relation,
    Resource,
)
from spec.property_paths import resolve_count, resolve_include, resolve_property_path

# Keywords of an object that may have properties which its `properties` do not list.
_KEYWORDS_OF_OTHER_PROPERTIES = frozenset({"additionalProperties", "patternProperties", "anyOf", "oneOf"})


def check_consistency(contract: Contract, problems: ProblemCollector) -> None:
    """Add a problem for each extension that does not fit the rest of the contract."""
    for check in _iter_checks(contract):
        with problems.collect():
            check()


def _iter_checks(contract: Contract) -> Iterator[Callable[[], object]]:
    """Yield the checks of the resources, their properties, the views and the operations."""
    yield partial(_check_stored_only, contract)
    collections: dict[str, str] = {}
    for resource in contract.resources.values():
        location = f"{resource.pointer}/x-resource"
        yield partial(_check_collection, resource, collections, location)
        for key, name, allowed in _list_named_properties(resource):
            yield partial(require_one_of, name, allowed, f"{location}/{key}")
        for relation in resource.relations.values():
            yield partial(_check_relation, contract, relation)
            yield partial(_check_discriminator, resource, relation)
        yield partial(_check_to_one_path, contract, resource, resource.tenant_path, f"{location}/tenant")
        yield partial(_check_to_one_path, contract, resource, resource.owner_path, f"{location}/owner")
        for derived in resource.derived_properties.values():
            yield partial(_check_derived_property, contract, resource, derived)
        yield from (partial(_check_default, attribute) for attribute in resource.attributes.values())
    for view in contract.views.values():
        for derived in view.derived_properties.values():
            yield partial(_check_derived_property, contract, contract.resources[view.resource], derived)
    yield partial(_check_all_averages, contract)
    for operation in contract.operations.values():
        yield partial(_check_generic_action, contract, operation)
        yield partial(_check_required_names, contract, operation)
        yield from _iter_operation_checks(contract, operation)


def _check_collection(resource: Resource, collections: dict[str, str], location: str) -> None:
    """Check that no other resource has the collection. `collections`: the resources of those that were checked."""
    other = collections.setdefault(resource.collection, resource.name)
    if other != resource.name:
        problem = f"{invalid_value(resource.collection)}, the collection of {other}"
        raise ContractError(f"{location}/collection", problem, "a unique name")


def _check_stored_only(contract: Contract) -> None:
    """Check that only stored properties refer to a resource that is only stored."""
    names = {f"#/components/schemas/{r.name}": r.name for r in contract.resources.values() if r.is_stored_only}
    for node, pointer in iter_keyword_objects(contract.document.root) if names else ():
        if node.get("$ref") in names and "/x-resource/stores/" not in pointer:
            problem = f"reference to {names[node['$ref']]}, which is only stored"
            raise ContractError(pointer, problem, "a schema without stored-only, or a property in x-resource: stores")


def _list_named_properties(resource: Resource) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return (keyword, name, valid names) of the attributes and relations that an `x-resource` names."""
    stored = [r for r in resource.relations.values() if r.is_stored]
    attributes, to_one = tuple(resource.attributes), tuple(r.name for r in stored if not r.to_many)
    rules: list[tuple[str, str, tuple[str, ...]]] = [("public", name, attributes) for name in resource.public_when]
    if resource.members_relation:
        rules.append(("members", resource.members_relation, tuple(r.name for r in stored if r.to_many)))
    if resource.credentials:
        rules += [("account", name, attributes) for name in (resource.credentials.login, resource.credentials.secret)]
    if grant := resource.access_grant:
        rules += [("grants", name, to_one) for name in (grant.subject, grant.entity)]
        rules.append(("grants", grant.permission, attributes))
    return rules


def _check_discriminator(resource: Resource, relation: Relation) -> None:
    """Check that `by` is a property whose values are the names of the referenced resources."""
    if relation.discriminator is None:
        return
    location = f"{relation.pointer}/x-relation/by"
    values = {snake_case(target) for target in relation.targets}
    allowed = [a.name for a in resource.attributes.values() if set(a.enum_values) == values]
    require_one_of(relation.discriminator, tuple(allowed), location)
    if len(values) < 2 or relation.to_many:
        raise ContractError(location, "a relation to one resource or to many records", "a to-one polymorphic relation")


def _check_default(attribute: Attribute) -> None:
    """Check that a default is one of the values of an enum."""
    is_empty = attribute.default is None and attribute.nullable
    if attribute.has_default and attribute.enum_values and not is_empty:
        values = ", ".join(str(value) for value in attribute.enum_values)
        if attribute.default not in attribute.enum_values:
            raise ContractError(f"{attribute.pointer}/default", invalid_value(attribute.default), f"one of {values}")


def _check_relation(contract: Contract, relation: Relation) -> None:
    if relation.inverse is None:
        can_clear = relation.to_many or relation.nullable or relation.allows_empty_object
        if relation.on_delete == "clear" and not can_clear:
            raise ContractError(relation.pointer, "on-delete: clear without nullable", "nullable, or cascade, refuse")
        return
    for name in relation.targets:
        relations = contract.resources[name].relations
        inverse = relations.get(str(relation.inverse))
        if inverse is None or not inverse.is_stored:
            expected = ", ".join(r.name for r in relations.values() if r.is_stored) or "none"
            location = f"{relation.pointer}/x-relation/via"
            raise ContractError(location, invalid_value(relation.inverse), f"one of {name}: {expected}")


def _check_to_one_path(contract: Contract, resource: Resource, path: tuple[str, ...], location: str) -> None:
    """Check that each step of a path is a stored to-one relation."""
    resources = [resource]
    for step in path:
        relations = [r.relations[step] for r in resources if step in r.relations]
        if len(relations) != len(resources) or any(r.to_many or not r.is_stored for r in relations):
            expected = ", ".join(r.name for r in resources[0].relations.values() if r.is_stored and not r.to_many)
            raise ContractError(location, invalid_value(step), f"one of {resources[0].name}: {expected}")
        resources = [contract.resources[name] for relation in relations for name in relation.targets]


def _check_derived_property(contract: Contract, resource: Resource, derived: DerivedProperty) -> None:
    location = f"{derived.pointer}/x-derived"
    if derived.kind == "group":
        for part in derived.parts.values():
            _check_derived_property(contract, resource, part)
    elif derived.kind == "from":
        _check_to_one_path(contract, resource, derived.path[:-1], location)
        _, end, attribute_path = resolve_property_path(contract, resource, derived.path, location)
        if len(derived.path) < 2 or not attribute_path:
            expected = f"attributes of a related record, for example {end.name}"
            raise ContractError(location, invalid_value(".".join(derived.path)), expected)
    elif derived.kind in ("viewer", "number"):
        if (derived.kind, *derived.path) != ("viewer", "owner"):  # `x-resource` defines the path to the owner
            _check_to_one_path(contract, resource, derived.path, location)
    else:
        _check_aggregate(contract, resource, derived, location)


def _check_aggregate(contract: Contract, resource: Resource, derived: DerivedProperty, location: str) -> None:
    """Check a count of a relation, or a sum or max of an attribute at its end."""
    name = derived.path[0]
    relation = resource.relations.get(name)
    if relation is None:
        raise ContractError(location, invalid_value(name), f"one of {resource.name}: " + ", ".join(resource.relations))
    if len(derived.path) != (1 if derived.kind == "count" else 2):
        expected = "a relation" if derived.kind == "count" else "relation.property"
        raise ContractError(location, invalid_value(".".join(derived.path)), expected)
    for target in relation.targets:
        attributes = contract.resources[target].attributes
        for name in (*derived.where, *derived.path[1:]):
            if name not in attributes:
                raise ContractError(location, invalid_value(name), f"one of {target}: " + ", ".join(attributes))


def _check_all_averages(contract: Contract) -> None:
    """Check each `x-average-of`."""
    for node, pointer in iter_keyword_objects(contract.document.root):
        if AVERAGE_KEYWORD in node:
            _check_averages(contract, node, pointer)


def _check_averages(contract: Contract, schema: Mapping[str, Any], pointer: str) -> None:
    """Check that values of an enum are mapped to numeric attributes: ``{avg_price: Book.price}``."""
    averages, values = schema[AVERAGE_KEYWORD], schema.get("enum", ())
    location = f"{pointer}/{AVERAGE_KEYWORD}"
    if not isinstance(averages, Mapping) or not averages or not averages.keys() <= {*map(str, values)}:
        raise ContractError(location, invalid_value(averages), f"a mapping of {', '.join(map(str, values))}")
    numbers = tuple(
        f"{resource.name}.{attribute.name}"
        for resource in contract.resources.values()
        for attribute in resource.attributes.values()
        if attribute.type in ("integer", "number")
    )
    for value, path in averages.items():
        require_one_of(path, numbers, f"{location}/{escape(value)}")


def _iter_operation_checks(contract: Contract, operation: Operation) -> Iterator[Callable[[], object]]:
    """Yield the checks of the parameters and body fields of an operation."""
    resource = contract.resources.get(operation.resource or "")
    if resource is None:
        return
    location = f"{operation.pointer}/x-precondition"
    yield from (partial(_check_precondition, contract, resource, path, location) for path in operation.preconditions)
    items: tuple[Parameter | BodyField, ...] = (*operation.parameters, *operation.body_fields.values())
    for item in items:
        if item.relation_setter and operation.is_generic:
            yield partial(_check_relation_setter, resource, item)
        if item.x_query:
            yield from _iter_query_checks(contract, resource, item, item.x_query)
            other_names = tuple(other.name for other in items if other.x_query and other is not item)
            if item.x_query.unless_parameter is not None:
                location = f"{item.pointer}/x-query/unless"
                yield partial(require_one_of, item.x_query.unless_parameter, other_names, location)
    if operation.action == "create" and operation.request_body:
        for attribute in resource.attributes.values():
            yield partial(_check_value_of_created_record, resource, operation, attribute)


def _check_generic_action(contract: Contract, operation: Operation) -> None:
    """Check that a stated generic action fits the method, the path and the response of its operation."""
    if not operation.is_generic or "x-action" not in contract.document.resolve(operation.pointer):
        return
    location, problem = f"{operation.pointer}/x-action", invalid_value(operation.action)
    resource = contract.resources.get(operation.resource or "")
    if resource is None:
        expected = ", ".join(f"/{name.collection}" for name in contract.resources.values()) or "that of an x-resource"
        raise ContractError(
            location, f"{problem} on {operation.path}", f"a path that starts with a collection: {expected}"
        )
    if operation.method == "get" and operation.action not in ("list", "retrieve"):
        raise ContractError(location, f"{problem} on GET", "list or retrieve: GET does not change records")
    if operation.action in ITEM_ACTIONS.values() and not operation.path_parameter_names:
        raise ContractError(
            location, f"{problem} on a path without a key", f"a path like /{resource.collection}/{{key}}"
        )
    view = contract.views.get(operation.envelope.view_name or "")
    if view is not None and view.resource != resource.name and operation.action != "delete":
        shown = contract.resources[view.resource]
        expected = f"a path that starts with /{shown.collection}, or no x-action: then the example is the response"
        raise ContractError(location, f"{problem} of {resource.name}, but the response shows {shown.name}", expected)


def _check_required_names(contract: Contract, operation: Operation) -> None:
    """Check that the required properties of the body of a create or update are among its properties."""
    if operation.request_body is None or operation.action not in ("create", "update"):
        return
    components, pointer = ComponentSchemas.from_document(contract.document), operation.request_body.pointer
    schema = contract.document.resolve(pointer)
    names = tuple(prop.name for prop in components.list_properties(schema, pointer))
    parts = components.list_parts(schema, pointer)
    if not names or any(part.keys() & _KEYWORDS_OF_OTHER_PROPERTIES for part, _ in parts):
        return
    for part, location in parts:
        for name in part.get("required", ()):
            require_one_of(name, names, f"{location}/required")


def _check_precondition(contract: Contract, resource: Resource, path: tuple[str, ...], location: str) -> None:
    """Check that a path leads to an attribute of the record, or of a record that it refers to."""
    _check_to_one_path(contract, resource, path[:-1], location)
    _, end, attribute_path = resolve_property_path(contract, resource, path, location)
    if not attribute_path:
        raise ContractError(location, invalid_value(".".join(path)), f"an attribute, for example of {end.name}")


def _check_relation_setter(resource: Resource, item: Parameter | BodyField) -> None:
    setter = item.relation_setter
    if setter and setter.relation not in resource.relations:
        expected = f"one of {resource.name}: " + ", ".join(resource.relations)
        raise ContractError(f"{item.pointer}/x-relation/sets", invalid_value(setter.relation), expected)


def _iter_query_checks(
    contract: Contract, resource: Resource, item: Parameter | BodyField, x_query: QueryExtension
) -> Iterator[Callable[[], object]]:
    """Yield the checks of the paths of a filter or search, or of the enum of a sort, include or count."""
    if x_query.role in ("filter", "search"):
        for path in x_query.paths:
            yield partial(_check_query_path, contract, resource, path, x_query.operator, f"{item.pointer}/x-query")
    elif x_query.role in ("sort", "include", "count"):
        names = item.schema.get("items", item.schema).get("enum")
        yield partial(_require_enum, names, item, x_query)
        for name in names or ():
            yield partial(_check_enum_name, contract, resource, name, f"{item.pointer}/schema", x_query.role)


def _check_query_path(
    contract: Contract, resource: Resource, path: tuple[str, ...], operator: str, location: str
) -> None:
    steps, related, attribute_path = resolve_property_path(contract, resource, path, location)
    problem = invalid_value(".".join(path))
    if operator == "exists" and (attribute_path or len(steps) != 1):
        raise ContractError(location, problem, f"a relation of {resource.name}: " + ", ".join(resource.relations))
    if operator != "exists" and not attribute_path:
        example = ".".join((*path, related.key_attribute))
        raise ContractError(location, f"{problem}, a relation", f"the path of an attribute, for example {example}")


def _require_enum(names: Any, item: Parameter | BodyField, x_query: QueryExtension) -> None:
    if not names:
        problem = f"missing enum for x-query: {x_query.role}"
        raise ContractError(f"{item.pointer}/schema", problem, "an enum of the valid names")


def _check_enum_name(contract: Contract, resource: Resource, name: Any, location: str, role: str) -> None:
    """Check a name by which a list can be sorted, or of a relation that can be included or counted."""
    if not isinstance(name, str):
        raise ContractError(f"{location}/enum", invalid_value(name), "strings")
    if role == "sort":
        _check_sort_name(resource, name, location)
    elif role == "include":
        resolve_include(contract, resource, name, location)
    else:
        resolve_count(resource, name, location)


def _check_sort_name(resource: Resource, value: str, location: str) -> None:
    name, _ = split_sort_name(value)
    derived = resource.derived_properties.get(name)
    if name not in resource.attributes and (derived is None or derived.kind not in ("count", "sum", "max")):
        expected = f"attributes and aggregates of {resource.name}: " + ", ".join(resource.attributes)
        raise ContractError(location, invalid_value(value), expected)


def _check_value_of_created_record(resource: Resource, operation: Operation, attribute: Attribute) -> None:
    """Check that a created record gets a value for an attribute."""
    field = operation.body_fields.get(attribute.name)
    is_sent = field is not None and (field.required or "default" in field.schema)
    is_optional = attribute.nullable or attribute.has_default or attribute.stamp or attribute.write_only
    if not (is_sent or is_optional or attribute.name == resource.key_attribute):
        problem = f"no value for a record created by {operation.id}"
        raise ContractError(
            attribute.pointer, problem, "a default, nullable, x-stamp, x-derived, or required in the body"
        )
