"""Loads a contract into frozen objects: operations, resources, relations, query words.

`load(path)` reads an OpenAPI 3.0 file once and answers a `Contract`, or raises `ContractError` with place, what was
found and what is allowed. Everything here is read from the file's own words; nothing is known of any one API.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spec import extensions
from spec.consistency import check_consistency
from spec.document import METHODS, Document, escape, read_document
from spec.errors import ContractError
from spec.keyword_types import check_keyword_types
from spec.model import (
    COLLECTION_ACTIONS,
    ITEM_ACTIONS,
    AccessGrant,
    Attribute,
    BodyField,
    Contract,
    CredentialAttributes,
    DerivedProperty,
    Envelope,
    Operation,
    Parameter,
    Relation,
    RequestBody,
    Resource,
    View,
)
from spec.property_paths import resolve_count, resolve_include, resolve_property_path

__all__ = [
    "CredentialAttributes",
    "RequestBody",
    "BodyField",
    "Contract",
    "DerivedProperty",
    "Envelope",
    "AccessGrant",
    "Operation",
    "Parameter",
    "Attribute",
    "Relation",
    "Resource",
    "View",
    "resolve_count",
    "parse_contract",
    "resolve_include",
    "load_contract",
    "resolve_property_path",
]


def load_contract(path: Path) -> Contract:
    """The contract in the file at `path`, read as `read` does. Raises ContractError."""
    return parse_contract(read_document(path))


def parse_contract(document: Document) -> Contract:
    """The contract that a document says. Raises ContractError."""
    root = document.root
    if not str(root.get("openapi", "")).startswith("3.0"):
        raise ContractError("#/openapi", repr(root.get("openapi")), "3.0.x")
    for section in ("info", "paths"):
        if not isinstance(root.get(section), dict):
            raise ContractError(f"#/{section}", repr(root.get(section)), "a mapping")
    check_keyword_types(document)
    extensions.check_extensions(document)
    parser = _ContractParser(document)
    resources = parser.parse_resources()
    views = parser.parse_views(resources)
    operations = parser.parse_operations(resources, views)
    info = root["info"]
    contract = Contract(
        document,
        str(info.get("title", "")),
        str(info.get("version", "")),
        parser.parse_base_path(),
        operations,
        resources,
        views,
        parser.get_components("securitySchemes"),
        next((r for r in resources.values() if r.members_relation), None),
        next((r for r in resources.values() if r.credentials), None),
        {name: _order_views(name, views.values()) for name in resources},
        tuple(r.name for r in resources.values() if r.access_grant),
    )
    check_consistency(contract)
    return contract


def _order_views(resource: str, views: Iterable[View]) -> tuple[View, ...]:
    return tuple(sorted((v for v in views if v.resource == resource), key=lambda view: view.name != resource))


class _ContractParser:
    """Turns a document's nodes into the frozen objects above."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.schemas = self.get_components("schemas")

    def get_components(self, kind: str) -> Mapping[str, Any]:
        components: Mapping[str, Any] = self.document.root.get("components", {}).get(kind, {})
        return components

    def parse_base_path(self) -> str:
        servers = self.document.root.get("servers") or [{"url": "/"}]
        return urlsplit(str(servers[0].get("url", "/"))).path.rstrip("/")

    # Schemas ---------------------------------------------------------------------------------------------------

    def unwrap(self, schema: Mapping[str, Any], pointer: str) -> tuple[Mapping[str, Any], str]:
        """Through `$ref` and a lone `allOf` to the schema that says what the value is."""
        for _ in range(20):
            if "$ref" in schema:
                schema, pointer = self.document.dereference(schema, pointer)
            elif len(schema.get("allOf", ())) == 1:
                schema, pointer = schema["allOf"][0], f"{pointer}/allOf/0"
            else:
                return schema, pointer
        raise ContractError(pointer, "schemas wrapped more than twenty times", "a schema")

    def iter_referenced_names(self, schema: Mapping[str, Any]) -> Iterator[str]:
        """Names of the component schemas that a property's schema wraps (allOf, anyOf, oneOf, items)."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            if "/" not in name:
                yield name
            return
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(keyword, ()):
                yield from self.iter_referenced_names(part)
        if "items" in schema:
            yield from self.iter_referenced_names(schema["items"])

    def parse_resources(self) -> dict[str, Resource]:
        resources = {}
        for name, schema in self.schemas.items():
            extension = schema.get("x-resource")
            if extension is not None and "view-of" not in extension:
                resources[name] = self.parse_resource(name, schema, f"#/components/schemas/{escape(name)}")
        return resources

    def parse_resource(self, name: str, schema: Mapping[str, Any], pointer: str) -> Resource:
        location = f"{pointer}/x-resource"
        allowed_keys = ("collection", "key", "tenant", "owner", "members", "account", "public", "writers", "grants")
        extension = extensions.require_mapping(schema["x-resource"], allowed_keys, location)
        for key in ("collection", "key"):
            if not isinstance(extension.get(key), str):
                raise ContractError(location, f"no {key}", f"{key}: a name")
        attributes: dict[str, Attribute] = {}
        relations: dict[str, Relation] = {}
        derived_properties: dict[str, DerivedProperty] = {}
        required = schema.get("required", ())
        for property_name, node in schema.get("properties", {}).items():
            property_pointer = f"{pointer}/properties/{escape(property_name)}"
            if "x-relation" in node:
                relations[property_name] = self.parse_relation(property_name, node, property_pointer)
            elif "x-derived" in node:
                derived_properties[property_name] = self.parse_derived_property(
                    property_name, node, property_pointer, property_name in required
                )
            else:
                attributes[property_name] = self.parse_attribute(property_name, node, property_pointer)
        if extension["key"] not in attributes:
            raise ContractError(f"{location}/key", repr(extension["key"]), "one of " + ", ".join(attributes))
        return Resource(
            name,
            pointer,
            extension["collection"],
            extension["key"],
            extensions.parse_path(extension["tenant"], f"{location}/tenant") if "tenant" in extension else (),
            extensions.parse_path(extension["owner"], f"{location}/owner") if "owner" in extension else (),
            extension.get("members"),
            _parse_credentials(extension, location),
            extension.get("public", {}),
            extensions.require_one_of(extension.get("writers", "members"), ("members", "owner"), f"{location}/writers"),
            _parse_access_grant(extension, location),
            attributes,
            relations,
            derived_properties,
        )

    def parse_attribute(self, name: str, node: Mapping[str, Any], pointer: str) -> Attribute:
        schema, _ = self.unwrap(node, pointer)
        options = [self.unwrap(o, pointer)[0] for o in schema.get("anyOf", schema.get("oneOf", ()))]
        main_schema = next((o for o in options if o.get("enum") != [None]), schema)
        stamp = node.get("x-stamp")
        if stamp is not None:
            extensions.require_one_of(stamp, extensions.STAMPS, f"{pointer}/x-stamp")
        return Attribute(
            name,
            pointer,
            node,
            str(main_schema.get("type", "object")),
            main_schema.get("format"),
            tuple(main_schema.get("enum", ())),
            any(s.get("nullable") is True for s in (node, schema, *options)),
            bool(node.get("writeOnly")),
            bool(node.get("readOnly")),
            stamp,
            node.get("x-faker"),
            "default" in node or "default" in schema,
            node.get("default", schema.get("default")),
        )

    def parse_relation(self, name: str, node: Mapping[str, Any], pointer: str) -> Relation:
        location = f"{pointer}/x-relation"
        extension = extensions.require_mapping(node["x-relation"], ("to", "via", "on-delete", "embed"), location)
        targets = tuple(extension["to"]) if isinstance(extension.get("to"), list) else (extension.get("to"),)
        target_views: dict[str, str] = {}
        allows_empty_object = False
        for schema_name in self.iter_referenced_names(node):
            schema = self.schemas.get(schema_name, {})
            resource_extension = schema.get("x-resource")
            if resource_extension is not None:
                target_views[resource_extension.get("view-of", schema_name)] = schema_name
            elif not schema.get("properties") and schema.get("additionalProperties") is False:
                allows_empty_object = True
        for target in targets or (None,):
            resource_extension = self.schemas.get(target, {}).get("x-resource") if isinstance(target, str) else None
            if resource_extension is None or "view-of" in resource_extension:
                raise ContractError(f"{location}/to", repr(target), "a schema with x-resource that is no view")
            target_views.setdefault(target, target)
        on_delete = extension.get("on-delete")
        if "via" not in extension:
            extensions.require_one_of(on_delete, extensions.ON_DELETE, f"{location}/on-delete")
        elif on_delete is not None:
            raise ContractError(
                f"{location}/on-delete", repr(on_delete), "no on-delete beside via: the other side says it"
            )
        options = node.get("anyOf", node.get("oneOf", ()))
        nullable = bool(node.get("nullable")) or any(o.get("nullable") is True for o in options)
        return Relation(
            name,
            pointer,
            targets,
            node.get("type") == "array",
            extension.get("via"),
            on_delete,
            bool(extension.get("embed", False)),
            bool(node.get("writeOnly")),
            nullable,
            allows_empty_object,
            target_views,
        )

    def parse_derived_property(
        self, name: str, node: Mapping[str, Any], pointer: str, required: bool
    ) -> DerivedProperty:
        location = f"{pointer}/x-derived"
        kinds = ("count", "sum", "max", "from", "viewer", "number", "group")
        extension = extensions.require_mapping(node["x-derived"], (*kinds, "where"), location)
        matches = [k for k in kinds if k in extension]
        if len(matches) != 1:
            raise ContractError(location, f"{len(matches)} of {', '.join(kinds)}", "exactly one of them")
        kind = matches[0]
        parts: dict[str, DerivedProperty] = {}
        if kind == "group":
            schema, group_pointer = self.unwrap(node, pointer)
            for part, part_node in schema.get("properties", {}).items():
                if "x-derived" not in part_node:
                    raise ContractError(
                        f"{group_pointer}/properties/{part}", "no x-derived", "x-derived on each part of a group"
                    )
                parts[part] = self.parse_derived_property(
                    part, part_node, f"{group_pointer}/properties/{escape(part)}", True
                )
        raw_where = extension.get("where", {})
        if not isinstance(raw_where, dict):
            raise ContractError(f"{location}/where", repr(raw_where), "own property: value, or a list of values")
        where = {k: tuple(v) if isinstance(v, list) else (v,) for k, v in raw_where.items()}
        path = () if kind == "group" else extensions.parse_path(extension[kind], location)
        return DerivedProperty(name, pointer, kind, path, where, required, parts)

    def parse_views(self, resources: Mapping[str, Resource]) -> dict[str, View]:
        views: dict[str, View] = {}
        for name, schema in self.schemas.items():
            extension = schema.get("x-resource")
            if extension is None:
                continue
            pointer = f"#/components/schemas/{escape(name)}"
            resource = resources.get(str(extension.get("view-of", name)))
            if resource is None:
                raise ContractError(
                    f"{pointer}/x-resource/view-of", repr(extension.get("view-of")), ", ".join(resources)
                )
            extensions.require_mapping(
                extension, ("view-of",) if "view-of" in extension else tuple(extension), f"{pointer}/x-resource"
            )
            property_names = []
            derived_properties = dict(resource.derived_properties)
            for property_name, node in schema.get("properties", {}).items():
                if node.get("writeOnly"):
                    continue
                property_pointer = f"{pointer}/properties/{escape(property_name)}"
                if "x-derived" in node:
                    derived_properties[property_name] = self.parse_derived_property(
                        property_name, node, property_pointer, property_name in schema.get("required", ())
                    )
                elif property_name not in resource.attributes and property_name not in resource.relations:
                    expected = ", ".join((*resource.attributes, *resource.relations))
                    raise ContractError(property_pointer, "a property that its resource does not store", expected)
                property_names.append(property_name)
            views[name] = View(name, pointer, resource.name, tuple(property_names), derived_properties)
        return views

    # Operations ------------------------------------------------------------------------------------------------

    def parse_operations(self, resources: Mapping[str, Resource], views: Mapping[str, View]) -> dict[str, Operation]:
        operations: dict[str, Operation] = {}
        for path, path_item in self.document.root["paths"].items():
            location = f"#/paths/{escape(path)}"
            for method in METHODS:
                if method not in path_item:
                    continue
                operation = self.parse_operation(path, method, path_item, location, resources, views)
                if operation.id in operations:
                    raise ContractError(operation.pointer, f"the operationId {operation.id!r} again", "one of its own")
                operations[operation.id] = operation
        return operations

    def parse_operation(
        self,
        path: str,
        method: str,
        path_item: Mapping[str, Any],
        location: str,
        resources: Mapping[str, Resource],
        views: Mapping[str, View],
    ) -> Operation:
        node = path_item[method]
        pointer = f"{location}/{method}"
        if not isinstance(node.get("operationId"), str):
            raise ContractError(pointer, "no operationId", "operationId: a name of its own")
        resource = self.find_resource(path, resources)
        parameters = {}
        for parameters_pointer, owner in ((f"{location}/parameters", path_item), (f"{pointer}/parameters", node)):
            for index, parameter_node in enumerate(owner.get("parameters", ())):
                parameter = self.parse_parameter(parameter_node, f"{parameters_pointer}/{index}")
                parameters[parameter.location, parameter.name] = parameter
        responses, envelope = self.parse_responses(node, pointer, views)
        action = node.get("x-action") or self.infer_action(path, method, resource)
        if action is None:
            expected = "x-action, or a path /collection or /collection/{key} of a resource"
            raise ContractError(pointer, f"{method.upper()} {path}, which says no action", expected)
        security = node.get("security", self.document.root.get("security", ()))
        return Operation(
            node["operationId"],
            method,
            path,
            pointer,
            str(node.get("summary", node["operationId"])),
            str((node.get("tags") or [""])[0]),
            action,
            resource.name if resource else None,
            tuple(parameters.values()),
            self.parse_request_body(node, pointer),
            responses,
            tuple(tuple(s) for s in security),
            tuple(
                extensions.require_one_of(e, extensions.EFFECTS, f"{pointer}/x-effects")
                for e in node.get("x-effects", ())
            ),
            envelope,
        )

    @staticmethod
    def find_resource(path: str, resources: Mapping[str, Resource]) -> Resource | None:
        collection = path.split("/")[1]
        return next((r for r in resources.values() if r.collection == collection), None)

    @staticmethod
    def infer_action(path: str, method: str, resource: Resource | None) -> str | None:
        if resource is None:
            return None
        segments = path.split("/")[2:]
        if not segments:
            return COLLECTION_ACTIONS.get(method)
        if len(segments) == 1 and segments[0][:1] == "{":
            return ITEM_ACTIONS.get(method)
        return None

    def parse_parameter(self, parameter_node: Mapping[str, Any], pointer: str) -> Parameter:
        node, pointer = self.document.dereference(parameter_node, pointer)
        schema, _ = self.unwrap(node.get("schema", {}), f"{pointer}/schema")
        location = node["in"]
        style = node.get("style", "form" if location in ("query", "cookie") else "simple")
        return Parameter(
            node["name"],
            location,
            bool(node.get("required", False)),
            schema,
            bool(node.get("explode", style == "form")),
            style,
            bool(node.get("allowEmptyValue", False)),
            extensions.parse_query_extension(node, pointer),
            extensions.parse_relation_setter(node, pointer),
            pointer,
        )

    def parse_request_body(self, operation: Mapping[str, Any], pointer: str) -> RequestBody | None:
        if "requestBody" not in operation:
            return None
        node, body_pointer = self.document.dereference(operation["requestBody"], f"{pointer}/requestBody")
        content = node.get("content", {})
        media_type = next((m for m in content if m.split(";")[0].strip().endswith("json")), None)
        if media_type is None:
            raise ContractError(f"{body_pointer}/content", ", ".join(content) or "nothing", "a JSON media type")
        schema_pointer = f"{body_pointer}/content/{escape(media_type)}/schema"
        fields: dict[str, BodyField] = {}
        self.collect_fields(content[media_type].get("schema", {}), schema_pointer, fields)
        return RequestBody(bool(node.get("required", False)), tuple(content), schema_pointer, fields)

    def collect_fields(self, schema: Mapping[str, Any], pointer: str, fields: dict[str, BodyField]) -> None:
        schema, pointer = self.document.dereference(schema, pointer)
        for index, part in enumerate(schema.get("allOf", ())):
            self.collect_fields(part, f"{pointer}/allOf/{index}", fields)
        for name, node in schema.get("properties", {}).items():
            field_pointer = f"{pointer}/properties/{escape(name)}"
            required = name in schema.get("required", ())
            fields[name] = BodyField(
                name,
                required,
                node,
                extensions.parse_query_extension(node, field_pointer),
                extensions.parse_relation_setter(node, field_pointer),
                field_pointer,
            )

    def parse_responses(
        self, operation: Mapping[str, Any], pointer: str, views: Mapping[str, View]
    ) -> tuple[dict[int, str | None], Envelope]:
        responses: dict[int, str | None] = {}
        for status, response_node in operation.get("responses", {}).items():
            node, response_pointer = self.document.dereference(response_node, f"{pointer}/responses/{status}")
            if not str(status).isdigit():
                raise ContractError(response_pointer, f"the status {status!r}", "three digits")
            media_type = next(iter(node.get("content", {})), None)
            responses[int(status)] = f"{response_pointer}/content/{escape(media_type)}/schema" if media_type else None
        success_status = min((s for s in responses if 200 <= s < 300), default=None)
        if success_status is None:
            raise ContractError(f"{pointer}/responses", ", ".join(map(str, responses)) or "nothing", "a 2xx status")
        return responses, self.parse_envelope(success_status, responses[success_status], views)

    def parse_envelope(self, status: int, pointer: str | None, views: Mapping[str, View]) -> Envelope:
        if pointer is None:
            return Envelope(status, None, None, None, False, {})
        view_name, is_list = self.find_row_view(self.document.resolve(pointer), views)
        if view_name:
            return Envelope(status, pointer, None, view_name, is_list, {})
        schema, _ = self.unwrap(self.document.resolve(pointer), pointer)
        data_property: str | None = None
        pagination: dict[str, Mapping[str, str]] = {}
        for name, node in schema.get("properties", {}).items():
            row_view, row_is_list = self.find_row_view(node, views)
            property_schema, property_pointer = self.unwrap(node, pointer)
            roles = {
                k: extensions.require_one_of(
                    p["x-page"], extensions.PAGINATION_ROLES, f"{property_pointer}/properties/{k}/x-page"
                )
                for k, p in property_schema.get("properties", {}).items()
                if "x-page" in p
            }
            if roles:
                pagination[name] = roles
            elif data_property is None and (row_view or not view_name):
                data_property, view_name, is_list = name, row_view, row_is_list
        return Envelope(status, pointer, data_property, view_name, is_list, pagination)

    def find_row_view(self, schema: Mapping[str, Any], views: Mapping[str, View]) -> tuple[str | None, bool]:
        """(the view of a row, whether there are many) of a schema that is a resource or an array of one."""
        if schema.get("type") == "array":
            return self.find_row_view(schema.get("items", {}), views)[0], True
        names = [n for n in self.iter_referenced_names(schema) if "items" not in schema]
        if len(names) == 1:
            if names[0] in views:
                return names[0], False
            inner = self.schemas.get(names[0], {})
            if inner.get("type") == "array":
                return self.find_row_view(inner, views)
        return None, False


def _parse_credentials(extension: Mapping[str, Any], location: str) -> CredentialAttributes | None:
    names = _parse_names(extension, "account", ("login", "secret"), location)
    return None if names is None else CredentialAttributes(names["login"], names["secret"])


def _parse_access_grant(extension: Mapping[str, Any], location: str) -> AccessGrant | None:
    names = _parse_names(extension, "grants", ("subject", "entity", "permission"), location)
    return None if names is None else AccessGrant(names["subject"], names["entity"], names["permission"])


def _parse_names(
    extension: Mapping[str, Any], key: str, name_keys: tuple[str, ...], location: str
) -> Mapping[str, str] | None:
    """A part of x-resource that names a property for each of `name_keys`, None where it is not said."""
    if key not in extension:
        return None
    names = extensions.require_mapping(extension[key], name_keys, f"{location}/{key}")
    for name_key in name_keys:
        if not isinstance(names.get(name_key), str):
            raise ContractError(f"{location}/{key}", f"no {name_key}", f"{name_key}: the name of a property")
    return names
