"""Parses the component schemas with `x-resource` into resources and views."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from spec.component_schemas import ComponentSchemas
from spec.document import escape, snake_case
from spec.errors import ContractError, ProblemCollector, invalid_value
from spec.extensions import ON_DELETE, STAMPS, parse_path, require_mapping, require_one_of
from spec.model import AccessGrant, Attribute, CredentialAttributes, DerivedProperty, Relation, Resource, View

_RESOURCE_KEYS = (
    *("collection", "key", "tenant", "owner", "members", "account", "public", "writers", "grants"),
    *("stores", "defaults", "stored-only"),
)
_KEY_SUFFIX = re.compile(r"(_(id|key|uuid)|Id|Key|Uuid)$")  # of a property that shows keys
_DERIVED_KINDS = ("count", "sum", "max", "from", "viewer", "number", "group")


def parse_resources(components: ComponentSchemas, problems: ProblemCollector) -> dict[str, Resource]:
    """Return the resources of a contract by name; those with problems are missing."""
    resources = {}
    for name, schema in components.schemas.items():
        if _is_resource(schema):
            own_problems = ProblemCollector(problems.name)
            with own_problems.collect():
                pointer = f"#/components/schemas/{escape(name)}"
                resources[name] = _parse_resource(components, name, schema, pointer, own_problems)
            for problem in own_problems:
                problems.add(problem)
                resources.pop(name, None)
    return resources


def _parse_resource(
    components: ComponentSchemas, name: str, schema: Mapping[str, Any], pointer: str, problems: ProblemCollector
) -> Resource:
    """Return a resource without the properties that have problems. Raises ContractError for a problem of the rest."""
    location = f"{pointer}/x-resource"
    extension = require_mapping(schema["x-resource"], _RESOURCE_KEYS, location)
    missing = [key for key in ("collection", "key") if not isinstance(extension.get(key), str)]
    if missing:
        expected = ", ".join(f"{key}: a name" for key in missing)
        raise ContractError(location, f"missing {' and '.join(missing)}", expected)
    attributes: dict[str, Attribute] = {}
    relations: dict[str, Relation] = {}
    derived_properties: dict[str, DerivedProperty] = {}
    properties = _list_properties(components, schema, pointer)
    for prop in properties:
        with problems.collect():
            if "x-relation" in prop.node:
                relations[prop.name] = _parse_relation(components, prop)
            elif "x-derived" in prop.node:
                derived_properties[prop.name] = _parse_derived_property(
                    components, prop.name, prop.node, prop.pointer, prop.is_required
                )
            else:
                attributes[prop.name] = _parse_attribute(components, prop)
    names = tuple(p.name for p in properties if p.name not in relations and p.name not in derived_properties)
    for property_name in extension.get("defaults", {}):
        with problems.collect():
            require_one_of(property_name, names, f"{location}/defaults")
    if extension["key"] not in names:
        raise ContractError(f"{location}/key", invalid_value(extension["key"]), "one of " + ", ".join(names))
    return Resource(
        name,
        pointer,
        extension["collection"],
        extension["key"],
        parse_path(extension["tenant"], f"{location}/tenant") if "tenant" in extension else (),
        parse_path(extension["owner"], f"{location}/owner") if "owner" in extension else (),
        extension.get("members"),
        _parse_credentials(extension, location),
        extension.get("public", {}),
        require_one_of(extension.get("writers", "members"), ("members", "owner"), f"{location}/writers"),
        _parse_access_grant(extension, location),
        bool(extension.get("stored-only", False)),
        attributes,
        relations,
        derived_properties,
    )


@dataclass(frozen=True, slots=True)
class _ResourceProperty:
    """A property of a resource: its schema with its default on creation. `is_hidden`: no response shows it."""

    name: str
    node: Mapping[str, Any]
    pointer: str
    is_required: bool
    is_hidden: bool


def _list_properties(components: ComponentSchemas, schema: Mapping[str, Any], pointer: str) -> list[_ResourceProperty]:
    """Return the properties of a resource: those of the schema, then those that are only stored."""
    extension, location = schema["x-resource"], f"{pointer}/x-resource"
    for key in ("stores", "defaults"):
        if not isinstance(extension.get(key, {}), dict):
            raise ContractError(f"{location}/{key}", invalid_value(extension[key]), "a mapping of property names")
    stored, defaults = extension.get("stores", {}), extension.get("defaults", {})
    properties = [
        _ResourceProperty(p.name, p.node, p.pointer, p.is_required, components.has_flag(p.node, "writeOnly"))
        for p in components.list_properties(schema, pointer)
    ]
    public = {prop.name for prop in properties}
    for name, node in stored.items():
        child = f"{location}/stores/{escape(name)}"
        if not isinstance(node, dict):
            raise ContractError(child, invalid_value(node), "a schema")
        if name in public:
            raise ContractError(child, f"{name!r} is also in properties", "a property of the schema, or a stored one")
        properties.append(_ResourceProperty(name, node, child, False, True))
    for prop in properties:
        if prop.name in defaults and "default" in prop.node:
            expected = "default in the schema, or in x-resource"
            raise ContractError(f"{location}/defaults/{escape(prop.name)}", "two defaults", expected)
    return [_add_default(prop, defaults[prop.name]) if prop.name in defaults else prop for prop in properties]


def _add_default(prop: _ResourceProperty, value: Any) -> _ResourceProperty:
    node = {"allOf": [prop.node]} if "$ref" in prop.node else prop.node  # keywords next to $ref are ignored
    return replace(prop, node={**node, "default": value})


def _parse_attribute(components: ComponentSchemas, prop: _ResourceProperty) -> Attribute:
    node, pointer = prop.node, prop.pointer
    schema, schema_pointer = components.unwrap(node, pointer)
    if "allOf" in schema:
        schema = components.flatten(schema, schema_pointer)
    flags = components.flatten(node, pointer)
    options = [components.unwrap(o, pointer)[0] for o in schema.get("anyOf", schema.get("oneOf", ()))]
    main_schema = next((o for o in options if o.get("enum") != [None]), schema)
    stamp = flags.get("x-stamp")
    if stamp is not None:
        require_one_of(stamp, STAMPS, f"{pointer}/x-stamp")
    return Attribute(
        prop.name,
        pointer,
        node,
        str(main_schema.get("type", "object")),
        main_schema.get("format"),
        tuple(main_schema.get("enum", ())),
        any(s.get("nullable") is True for s in (node, schema, *options)),
        prop.is_hidden,
        components.has_flag(node, "readOnly"),
        stamp,
        flags.get("x-faker"),
        "default" in flags,
        flags.get("default"),
    )


def _parse_relation(components: ComponentSchemas, prop: _ResourceProperty) -> Relation:
    node, location = prop.node, f"{prop.pointer}/x-relation"
    extension = require_mapping(node["x-relation"], ("to", "via", "on-delete", "embed", "by"), location)
    targets = tuple(extension["to"]) if isinstance(extension.get("to"), list) else (extension.get("to"),)
    target_views: dict[str, str] = {}
    allows_empty_object = False
    for schema_name in components.iter_referenced_names(node):
        schema = components.schemas.get(schema_name, {})
        resource = schema.get("x-resource")
        if resource is not None:
            target_views[resource.get("view-of", schema_name)] = schema_name
        elif not schema.get("properties") and schema.get("additionalProperties") is False:
            allows_empty_object = True
    for target in targets or (None,):
        resource = components.schemas.get(target, {}).get("x-resource") if isinstance(target, str) else None
        if resource is None or "view-of" in resource:
            expected = "a schema with x-resource and without view-of"
            raise ContractError(f"{location}/to", invalid_value(target), expected)
        target_views.setdefault(target, target)
    is_to_many = _require_records(components, prop, extension, str(targets[0]))
    on_delete = extension.get("on-delete")
    if "via" not in extension:
        require_one_of(on_delete, ON_DELETE, f"{location}/on-delete")
    elif on_delete is not None:
        expected = "no on-delete with via: the inverse relation defines it"
        raise ContractError(f"{location}/on-delete", invalid_value(on_delete), expected)
    options = node.get("anyOf", node.get("oneOf", ()))
    return Relation(
        prop.name,
        prop.pointer,
        targets,
        is_to_many,
        extension.get("via"),
        on_delete,
        bool(extension.get("embed", False)),
        prop.is_hidden,
        bool(node.get("nullable")) or any(o.get("nullable") is True for o in options),
        allows_empty_object,
        target_views,
        extension.get("by"),
    )


def _require_records(
    components: ComponentSchemas, prop: _ResourceProperty, extension: Mapping[str, Any], target: str
) -> bool:
    """Return whether the schema of a relation is an array. Raises ContractError if it describes no records."""
    schema, pointer = components.unwrap(prop.node, prop.pointer)
    is_array = schema.get("type") == "array"
    types = _list_types(components, *((schema.get("items", {}), f"{pointer}/items") if is_array else (schema, pointer)))
    if "object" in types:
        return is_array
    problem = f"a relation on {'an array of type' if is_array else 'type'} {' or '.join(sorted(types))}"
    expected = _suggest_relation(components, prop.name, extension, target, is_array=is_array)
    raise ContractError(f"{prop.pointer}/x-relation", problem, expected)


def _list_types(components: ComponentSchemas, schema: Any, pointer: str) -> set[str]:
    """Return the JSON types of a schema and of its alternatives; a schema without a type is an object."""
    if not isinstance(schema, dict):
        return {"object"}
    schema, pointer = components.unwrap(schema, pointer)
    options = [option for keyword in ("anyOf", "oneOf") for option in schema.get(keyword, ())]
    if options:
        return set().union(*(_list_types(components, option, pointer) for option in options))
    return {str(components.flatten(schema, pointer).get("type", "object"))}


def _suggest_relation(
    components: ComponentSchemas, name: str, extension: Mapping[str, Any], target: str, *, is_array: bool
) -> str:
    """Return what to write instead of a relation on a property that is no record."""
    if "via" in extension:
        return "an object or an array of objects; to show their number: x-derived: {count: RELATION}"
    if is_array:
        relation = (
            f"a relation whose schema is an array of {target}, and x-relation: {{sets: RELATION}} in request bodies"
        )
        return f"an array of objects; to show keys: no x-relation, or {relation}"
    relation, key = _KEY_SUFFIX.sub("", name), components.schemas[target]["x-resource"].get("key")
    relation = relation if relation not in ("", name) else snake_case(target)
    on_delete = extension.get("on-delete")
    place = f"a relation {relation} to {target} (on-delete: {on_delete}) in the schema or in x-resource: stores"
    setter = f"x-relation: {{sets: {relation}}} in request bodies"
    return f"an object; to show a key: x-derived: {{from: {relation}.{key}}}, {place}, and {setter}"


def _parse_derived_property(
    components: ComponentSchemas, name: str, node: Mapping[str, Any], pointer: str, required: bool
) -> DerivedProperty:
    location = f"{pointer}/x-derived"
    extension = require_mapping(node["x-derived"], (*_DERIVED_KINDS, "where"), location)
    kinds = [k for k in _DERIVED_KINDS if k in extension]
    if len(kinds) != 1:
        raise ContractError(location, f"{len(kinds)} of {', '.join(_DERIVED_KINDS)}", "exactly one of them")
    kind = kinds[0]
    parts: dict[str, DerivedProperty] = {}
    if kind == "group":
        for part in components.list_properties(node, pointer):
            if "x-derived" not in part.node:
                raise ContractError(part.pointer, "missing x-derived", "x-derived on each property of a group")
            parts[part.name] = _parse_derived_property(components, part.name, part.node, part.pointer, True)
    raw_where = extension.get("where", {})
    if not isinstance(raw_where, dict):
        raise ContractError(f"{location}/where", invalid_value(raw_where), "attribute: value, or a list of values")
    where = {k: tuple(v) if isinstance(v, list) else (v,) for k, v in raw_where.items()}
    path = () if kind == "group" else parse_path(extension[kind], location)
    is_nullable = components.unwrap(node, pointer)[0].get("nullable") is True
    return DerivedProperty(name, pointer, kind, path, where, required, is_nullable, parts)


def parse_views(
    components: ComponentSchemas, resources: Mapping[str, Resource], problems: ProblemCollector
) -> dict[str, View]:
    """Return the views of `resources` by name; those with problems are missing."""
    views = {}
    for name, schema in components.schemas.items():
        extension = schema.get("x-resource")
        main_name = extension.get("view-of", name) if extension is not None else None
        if main_name in resources or (main_name is not None and not _is_resource(components.schemas.get(main_name))):
            with problems.collect():
                pointer = f"#/components/schemas/{escape(name)}"
                views[name] = _parse_view(components, resources, name, schema, pointer)
    return views


def _is_resource(schema: Any) -> bool:
    return isinstance(schema, dict) and "x-resource" in schema and "view-of" not in schema["x-resource"]


def _parse_view(
    components: ComponentSchemas, resources: Mapping[str, Resource], name: str, schema: Mapping[str, Any], pointer: str
) -> View:
    extension = schema["x-resource"]
    resource = resources.get(str(extension.get("view-of", name)))
    if resource is None:
        location = f"{pointer}/x-resource/view-of"
        raise ContractError(location, invalid_value(extension.get("view-of")), ", ".join(resources))
    if "view-of" in extension:
        require_mapping(extension, ("view-of",), f"{pointer}/x-resource")
    names = []
    derived_properties = dict(resource.derived_properties)
    for prop in components.list_properties(schema, pointer):
        if components.has_flag(prop.node, "writeOnly"):
            continue
        if "x-derived" in prop.node:
            derived_properties[prop.name] = _parse_derived_property(
                components, prop.name, prop.node, prop.pointer, prop.is_required
            )
        elif prop.name not in resource.attributes and prop.name not in resource.relations:
            expected = ", ".join((*resource.attributes, *resource.relations))
            raise ContractError(prop.pointer, f"unknown property of {resource.name}", expected)
        names.append(prop.name)
    return View(name, pointer, resource.name, tuple(names), derived_properties)


def _parse_credentials(extension: Mapping[str, Any], location: str) -> CredentialAttributes | None:
    names = _parse_names(extension, "account", ("login", "secret"), location)
    return None if names is None else CredentialAttributes(names["login"], names["secret"])


def _parse_access_grant(extension: Mapping[str, Any], location: str) -> AccessGrant | None:
    names = _parse_names(extension, "grants", ("subject", "entity", "permission"), location, ("writers",))
    if names is None:
        return None
    writers = extension["grants"].get("writers", ["write"])
    if not isinstance(writers, list) or not all(isinstance(permission, str) for permission in writers):
        raise ContractError(f"{location}/grants/writers", invalid_value(writers), "a list of permissions")
    return AccessGrant(names["subject"], names["entity"], names["permission"], tuple(writers))


def _parse_names(
    extension: Mapping[str, Any],
    key: str,
    name_keys: tuple[str, ...],
    location: str,
    other_keys: tuple[str, ...] = (),
) -> Mapping[str, str] | None:
    """Return the part of an `x-resource` that names a property for each of `name_keys`; None if it is missing.

    `other_keys`: further keys that the part may have.
    """
    if key not in extension:
        return None
    names = require_mapping(extension[key], (*name_keys, *other_keys), f"{location}/{key}")
    for name_key in name_keys:
        if not isinstance(names.get(name_key), str):
            raise ContractError(f"{location}/{key}", f"missing {name_key}", f"{name_key}: the name of a property")
    return names
