"""Parses the paths of a contract into operations."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spec.component_schemas import ComponentSchemas, Property
from spec.document import METHODS, escape
from spec.errors import ContractError, ProblemCollector, invalid_value
from spec.extensions import (
    EFFECTS,
    PAGINATION_ROLES,
    parse_preconditions,
    parse_query_extension,
    parse_relation_setter,
    require_one_of,
)
from spec.http.media_types import FORM, MULTIPART, is_json_media_type, strip_parameters
from spec.http.servers import parse_base_paths
from spec.model import (
    COLLECTION_ACTIONS,
    ITEM_ACTIONS,
    STATIC_ACTION,
    BodyField,
    Envelope,
    Operation,
    Parameter,
    RequestBody,
    Resource,
    View,
)

_STATUS_PATTERN = re.compile(r"[1-5](?:[0-9]{2}|XX|xx)|default")


# Tests of the main media type of a body, in order.
_PREFERENCES = (
    is_json_media_type,
    lambda name: strip_parameters(name) == FORM,
    lambda name: strip_parameters(name) == MULTIPART,
)
# The styles of the parameters in each location, the default first.
STYLES = {
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "path": ("simple", "label", "matrix"),
    "cookie": ("form",),
}
# OpenAPI ignores parameters with the names of these headers.
_IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})


@dataclass(frozen=True, slots=True)
class OperationParser:
    """Parses the operations of a contract whose resources and views are known."""

    components: ComponentSchemas
    resources: Mapping[str, Resource]
    views: Mapping[str, View]

    def parse_operations(self, problems: ProblemCollector) -> dict[str, Operation]:
        """Return the operations by operationId; those with problems are missing."""
        operations: dict[str, Operation] = {}
        for path, path_item in self.components.document.root["paths"].items():
            for method in METHODS:
                if method in path_item:
                    with problems.collect():
                        self._add_operation(operations, path, method, path_item, problems)
        return operations

    def _add_operation(
        self,
        operations: dict[str, Operation],
        path: str,
        method: str,
        path_item: Mapping[str, Any],
        problems: ProblemCollector,
    ) -> None:
        operation = self._parse_operation(path, method, path_item, problems)
        if operation.id in operations:
            raise ContractError(operation.pointer, f"duplicate operationId {operation.id!r}", "a unique name")
        operations[operation.id] = operation

    def _parse_operation(
        self, path: str, method: str, path_item: Mapping[str, Any], problems: ProblemCollector
    ) -> Operation:
        """Return an operation without the parts that have problems. Raises ContractError for a problem of the rest."""
        node, location = path_item[method], f"#/paths/{escape(path)}"
        pointer = f"{location}/{method}"
        resource = self._find_resource(path)
        parameters = self._parse_parameters(((location, path_item), (pointer, node)), problems)
        request_body: RequestBody | None = None
        with problems.collect():
            request_body = self._parse_request_body(node, pointer, problems)
        effects: list[str] = []
        for effect in node.get("x-effects", ()):
            with problems.collect(is_local=True):
                effects.append(require_one_of(effect, EFFECTS, f"{pointer}/x-effects"))
        security: tuple[tuple[str, ...], ...] = ()
        with problems.collect(is_local=True):
            security = self._parse_security(node, pointer)
        base_paths: tuple[str, ...] = ()
        with problems.collect(is_local=True):
            base_paths = _parse_own_base_paths((node, pointer), (path_item, location))
        preconditions: dict[tuple[str, ...], tuple[Any, ...]] = {}
        with problems.collect(is_local=True):
            preconditions = parse_preconditions(node.get("x-precondition", {}), f"{pointer}/x-precondition")
        responses, ranges, envelope = self._parse_responses(node, pointer, problems)
        action = node.get("x-action") or self._infer_action(path, method, resource, envelope) or STATIC_ACTION
        return Operation(
            node["operationId"],
            method,
            path,
            pointer,
            str(node.get("summary", node["operationId"])),
            str((node.get("tags") or [""])[0]),
            action,
            resource.name if resource else None,
            parameters,
            request_body,
            responses,
            security,
            tuple(effects),
            envelope,
            base_paths,
            ranges,
            preconditions,
        )

    def _parse_parameters(
        self, owners: Iterable[tuple[str, Mapping[str, Any]]], problems: ProblemCollector
    ) -> tuple[Parameter, ...]:
        """Return the parameters of a path item and an operation, given with their pointers."""
        parameters = {}
        for pointer, owner in owners:
            for index, node in enumerate(owner.get("parameters", ())):
                with problems.collect(is_local=True):
                    parameter = self._parse_parameter(node, f"{pointer}/parameters/{index}")
                    if parameter.location != "header" or parameter.name.lower() not in _IGNORED_HEADERS:
                        parameters[parameter.location, parameter.name] = parameter
        return tuple(parameters.values())

    def _infer_action(self, path: str, method: str, resource: Resource | None, envelope: Envelope) -> str | None:
        """Return the generic action of a method; None for a read whose response does not show the resource."""
        action = _infer_action(path, method, resource)
        if resource is not None and action in ("list", "retrieve"):
            view = self.views.get(envelope.view_name or "")
            shows_resource = view is not None and view.resource == resource.name
            if not shows_resource or envelope.is_list != (action == "list"):
                return None
        return action

    def _parse_security(self, node: Mapping[str, Any], pointer: str) -> tuple[tuple[str, ...], ...]:
        """Return the alternatives of an operation, or those of the document. Raises ContractError."""
        root = self.components.document.root
        owner, location = (node, pointer) if "security" in node else (root, "#")
        schemes = root.get("components", {}).get("securitySchemes", {})
        for index, alternative in enumerate(owner.get("security", ())):
            unknown = next((name for name in alternative if name not in schemes), None)
            if unknown is not None:
                expected = f"one of {', '.join(schemes)}" if schemes else "a scheme in components.securitySchemes"
                raise ContractError(f"{location}/security/{index}", f"unknown scheme {unknown!r}", expected)
        return tuple(tuple(alternative) for alternative in owner.get("security", ()))

    def _find_resource(self, path: str) -> Resource | None:
        collection = path.split("/")[1]
        return next((r for r in self.resources.values() if r.collection == collection), None)

    def _parse_parameter(self, parameter_node: Mapping[str, Any], pointer: str) -> Parameter:
        node, pointer = self.components.document.dereference(parameter_node, pointer)
        location = node["in"]
        media_type = next(iter(node["content"]), None) if node.get("content") else None
        owner = node if media_type is None else node["content"][media_type]
        owner_pointer = pointer if media_type is None else f"{pointer}/content/{escape(media_type)}"
        schema = self.components.merge(owner.get("schema", {}), f"{owner_pointer}/schema")
        styles = STYLES.get(location)
        if styles is None:
            raise ContractError(f"{pointer}/in", invalid_value(location), f"one of {', '.join(STYLES)}")
        style = node.get("style", styles[0])
        if style not in styles:
            raise ContractError(f"{pointer}/style", invalid_value(style), f"{' or '.join(styles)} in {location}")
        return Parameter(
            node["name"],
            location,
            bool(node.get("required", False)),
            schema,
            bool(node.get("explode", style == "form")),
            style,
            bool(node.get("allowEmptyValue", False)),
            parse_query_extension(node, pointer),
            parse_relation_setter(node, pointer),
            pointer,
            media_type,
        )

    def _parse_request_body(
        self, operation: Mapping[str, Any], pointer: str, problems: ProblemCollector
    ) -> RequestBody | None:
        if "requestBody" not in operation:
            return None
        node, body = self.components.document.dereference(operation["requestBody"], f"{pointer}/requestBody")
        content = node.get("content", {})
        if not content:
            return None
        media_type = next((m for is_preferred in _PREFERENCES for m in content if is_preferred(m)), next(iter(content)))
        pointers = {name: f"{body}/content/{escape(name)}/schema" for name in content}
        fields = self._parse_fields(content[media_type].get("schema", {}), pointers[media_type], problems)
        return RequestBody(bool(node.get("required", False)), tuple(content), pointers[media_type], fields, pointers)

    def _parse_fields(
        self, schema: Mapping[str, Any], pointer: str, problems: ProblemCollector
    ) -> dict[str, BodyField]:
        """Return the properties of a body that a client may set."""
        fields: dict[str, BodyField] = {}
        for prop in self.components.list_properties(schema, pointer):
            node, child = prop.node, prop.pointer
            if isinstance(node, dict) and self.components.has_flag(node, "readOnly"):
                continue  # the schema of a response that is also the body
            with problems.collect():
                query, setter = parse_query_extension(node, child), parse_relation_setter(node, child)
                fields[prop.name] = BodyField(prop.name, prop.is_required, node, query, setter, child)
        return fields

    def _parse_responses(
        self, operation: Mapping[str, Any], pointer: str, problems: ProblemCollector
    ) -> tuple[dict[int, str | None], dict[str, str | None], Envelope]:
        """Return the schema pointers of the responses by status and by range, and the envelope of the success."""
        responses: dict[int, str | None] = {}
        ranges: dict[str, str | None] = {}
        for status, response_node in operation.get("responses", {}).items():
            node, location = self.components.document.dereference(response_node, f"{pointer}/responses/{status}")
            if not _STATUS_PATTERN.fullmatch(status):
                expected = "three digits, 4XX or default"
                problems.add(
                    ContractError(f"{pointer}/responses/{escape(status)}", invalid_value(status), expected),
                    is_local=True,
                )
                continue
            media_type = next(iter(node.get("content", {})), None)
            schema_pointer = f"{location}/content/{escape(media_type)}/schema" if media_type else None
            if status.isdigit():
                responses[int(status)] = schema_pointer
            else:
                ranges[status.upper()] = schema_pointer
        status, schema_pointer = _find_success(responses, ranges)
        return responses, ranges, self._parse_envelope(status, schema_pointer)

    def _parse_envelope(self, status: int, pointer: str | None) -> Envelope:
        if pointer is None:
            return Envelope(status, None, None, None, False, {})
        body = self.components.document.resolve(pointer)
        view_name, is_list = self._find_row_view(body)
        if view_name:
            return Envelope(status, pointer, None, view_name, is_list, {})
        data: list[tuple[str, str | None, bool]] = []
        pagination: dict[str, Mapping[str, str]] = {}
        page_properties: dict[str, str] = {}
        for prop in self.components.list_properties(body, pointer):
            if "x-page" in prop.node:
                page_properties[prop.name] = _parse_pagination_role(prop)
            elif roles := self._parse_pagination_roles(prop):
                pagination[prop.name] = roles
            else:
                data.append((prop.name, *self._find_row_view(prop.node)))
        with_view = (entry for entry in data if entry[1] is not None)
        name, view_name, is_list = next(with_view, None) or next(iter(data), (None, None, is_list))
        return Envelope(status, pointer, name, view_name, is_list, pagination, page_properties)

    def _parse_pagination_roles(self, container: Property) -> dict[str, str]:
        properties = self.components.list_properties(container.node, container.pointer)
        return {prop.name: _parse_pagination_role(prop) for prop in properties if "x-page" in prop.node}

    def _find_row_view(
        self, schema: Mapping[str, Any], visited: frozenset[str] = frozenset()
    ) -> tuple[str | None, bool]:
        """Return the view that a schema shows, if any, and whether the schema is an array of it.

        `visited`: names of the arrays that contain it.
        """
        if schema.get("type") == "array":
            return self._find_row_view(schema.get("items", {}), visited)[0], True
        names = [n for n in self.components.iter_referenced_names(schema) if "items" not in schema]
        if len(names) == 1:
            if names[0] in self.views:
                return names[0], False
            inner = self.components.schemas.get(names[0], {})
            if inner.get("type") == "array" and names[0] not in visited:
                return self._find_row_view(inner, visited | {names[0]})
        return (self._find_composed_view(schema) if len(names) > 1 else None), False

    def _find_composed_view(self, schema: Mapping[str, Any]) -> str | None:
        """Return the view that an `allOf` shows: one of its parts, or the one that consists of the same parts.

        None if the `allOf` requires a property that the view does not have.
        """
        if "allOf" not in schema or "anyOf" in schema or "oneOf" in schema:
            return None
        pointers = {pointer for _, pointer in self.components.list_parts(schema, "")}
        required = {prop.name for prop in self.components.list_properties(schema, "") if prop.is_required}
        candidates = []
        for name in self.views:
            pointer = f"#/components/schemas/{escape(name)}"
            view = self.components.schemas[name]
            parts = {part for _, part in self.components.list_parts(view, pointer)} - {pointer}
            is_same = bool(parts) and parts <= pointers and "properties" not in view
            if pointer in pointers or is_same:
                properties = {prop.name for prop in self.components.list_properties(view, pointer)}
                candidates.append((pointer not in pointers, name, required <= properties))
        return next((name for _, name, is_complete in sorted(candidates) if is_complete), None)


def _parse_pagination_role(prop: Property) -> str:
    return require_one_of(prop.node["x-page"], PAGINATION_ROLES, f"{prop.pointer}/x-page")


def _parse_own_base_paths(*owners: tuple[Mapping[str, Any], str]) -> tuple[str, ...]:
    """Return the base paths of the first of (object, pointer) that has servers; () if none has."""
    for node, pointer in owners:
        if node.get("servers"):
            return parse_base_paths(node["servers"], f"{pointer}/servers")
    return ()


def _infer_action(path: str, method: str, resource: Resource | None) -> str | None:
    """Return the generic action of a method on ``/collection`` or ``/collection/{key}`` of a resource.

    A slash at the end of the path makes no difference.
    """
    segments = path.rstrip("/").split("/")[2:]
    if resource is None:
        return None
    if not segments:
        return COLLECTION_ACTIONS.get(method)
    return ITEM_ACTIONS.get(method) if len(segments) == 1 and segments[0][:1] == "{" else None


def _find_success(responses: Mapping[int, str | None], ranges: Mapping[str, str | None]) -> tuple[int, str | None]:
    """Return the status of the success response and the pointer of its schema.

    `ranges`: the schema pointers of ``2XX``, ``default`` and other ranges. Without a response for success, the first of
    the others is returned.
    """
    success_statuses = [status for status in responses if 200 <= status < 300]
    if success_statuses:
        return min(success_statuses), responses[min(success_statuses)]
    for name in ("2XX", "DEFAULT"):
        if name in ranges:
            return 200, ranges[name]
    return min(responses.items(), default=(200, None))
