"""Loads a contract into frozen objects: operations, resources, relations, query words.

`load(path)` reads an OpenAPI 3.0 file once and answers a `Contract`, or raises `ContractError` with place, what was
found and what is allowed. Everything here is read from the file's own words; nothing is known of any one API.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spec import words
from spec.coherence import check
from spec.document import METHODS, Document, escape, read
from spec.errors import ContractError
from spec.kinds import check_kinds
from spec.model import (
    COLLECTION_ACTIONS,
    ITEM_ACTIONS,
    Account,
    Body,
    BodyField,
    Contract,
    Derived,
    Envelope,
    Grants,
    Operation,
    Parameter,
    Property,
    Relation,
    Resource,
    View,
)
from spec.paths import counted, include_path, path_of

__all__ = [
    "Account",
    "Body",
    "BodyField",
    "Contract",
    "Derived",
    "Envelope",
    "Grants",
    "Operation",
    "Parameter",
    "Property",
    "Relation",
    "Resource",
    "View",
    "counted",
    "from_document",
    "include_path",
    "load",
    "path_of",
]


def load(path: Path) -> Contract:
    """The contract in the file at `path`, read as `read` does. Raises ContractError."""
    return from_document(read(path))


def from_document(document: Document) -> Contract:
    """The contract that a document says. Raises ContractError."""
    root = document.root
    if not str(root.get("openapi", "")).startswith("3.0"):
        raise ContractError("#/openapi", repr(root.get("openapi")), "3.0.x")
    for part in ("info", "paths"):
        if not isinstance(root.get(part), dict):
            raise ContractError(f"#/{part}", repr(root.get(part)), "a mapping")
    check_kinds(document)
    words.check_known(document)
    reader = _Reader(document)
    resources = reader.resources()
    views = reader.views(resources)
    operations = reader.operations(resources, views)
    info = root["info"]
    contract = Contract(
        document,
        str(info.get("title", "")),
        str(info.get("version", "")),
        reader.base_path(),
        operations,
        resources,
        views,
        reader.components("securitySchemes"),
        next((r for r in resources.values() if r.members), None),
        next((r for r in resources.values() if r.account), None),
        {name: _own_first(name, views.values()) for name in resources},
        tuple(r.name for r in resources.values() if r.grants),
    )
    check(contract)
    return contract


def _own_first(resource: str, views: Iterable[View]) -> tuple[View, ...]:
    return tuple(sorted((v for v in views if v.resource == resource), key=lambda view: view.name != resource))


class _Reader:
    """Turns a document's nodes into the frozen objects above."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.schemas = self.components("schemas")

    def components(self, kind: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.document.root.get("components", {}).get(kind, {})
        return found

    def base_path(self) -> str:
        servers = self.document.root.get("servers") or [{"url": "/"}]
        return urlsplit(str(servers[0].get("url", "/"))).path.rstrip("/")

    # Schemas ---------------------------------------------------------------------------------------------------

    def unwrapped(self, schema: Mapping[str, Any], pointer: str) -> tuple[Mapping[str, Any], str]:
        """Through `$ref` and a lone `allOf` to the schema that says what the value is."""
        for _ in range(20):
            if "$ref" in schema:
                schema, pointer = self.document.follow(schema, pointer)
            elif len(schema.get("allOf", ())) == 1:
                schema, pointer = schema["allOf"][0], f"{pointer}/allOf/0"
            else:
                return schema, pointer
        raise ContractError(pointer, "schemas wrapped more than twenty times", "a schema")

    def referenced(self, schema: Mapping[str, Any]) -> Iterator[str]:
        """Names of the component schemas that a property's schema wraps (allOf, anyOf, oneOf, items)."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            if "/" not in name:
                yield name
            return
        for word in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(word, ()):
                yield from self.referenced(part)
        if "items" in schema:
            yield from self.referenced(schema["items"])

    def resources(self) -> dict[str, Resource]:
        found = {}
        for name, schema in self.schemas.items():
            word = schema.get("x-resource")
            if word is not None and "view-of" not in word:
                found[name] = self.resource(name, schema, f"#/components/schemas/{escape(name)}")
        return found

    def resource(self, name: str, schema: Mapping[str, Any], pointer: str) -> Resource:
        place = f"{pointer}/x-resource"
        known = ("collection", "key", "tenant", "owner", "members", "account", "public", "writers", "grants")
        word = words.mapping(schema["x-resource"], known, place)
        for due in ("collection", "key"):
            if not isinstance(word.get(due), str):
                raise ContractError(place, f"no {due}", f"{due}: a name")
        own: dict[str, Property] = {}
        relations: dict[str, Relation] = {}
        derived: dict[str, Derived] = {}
        required = schema.get("required", ())
        for prop, node in schema.get("properties", {}).items():
            at = f"{pointer}/properties/{escape(prop)}"
            if "x-relation" in node:
                relations[prop] = self.relation(prop, node, at)
            elif "x-derived" in node:
                derived[prop] = self.derived(prop, node, at, prop in required)
            else:
                own[prop] = self.property(prop, node, at)
        if word["key"] not in own:
            raise ContractError(f"{place}/key", repr(word["key"]), "one of " + ", ".join(own))
        return Resource(
            name,
            pointer,
            word["collection"],
            word["key"],
            words.path(word["tenant"], f"{place}/tenant") if "tenant" in word else (),
            words.path(word["owner"], f"{place}/owner") if "owner" in word else (),
            word.get("members"),
            _account(word, place),
            word.get("public", {}),
            words.one_of(word.get("writers", "members"), ("members", "owner"), f"{place}/writers"),
            _grants(word, place),
            own,
            relations,
            derived,
        )

    def property(self, name: str, node: Mapping[str, Any], pointer: str) -> Property:
        schema, _ = self.unwrapped(node, pointer)
        options = [self.unwrapped(o, pointer)[0] for o in schema.get("anyOf", schema.get("oneOf", ()))]
        first = next((o for o in options if o.get("enum") != [None]), schema)
        stamp = node.get("x-stamp")
        if stamp is not None:
            words.one_of(stamp, words.STAMPS, f"{pointer}/x-stamp")
        return Property(
            name,
            pointer,
            node,
            str(first.get("type", "object")),
            first.get("format"),
            tuple(first.get("enum", ())),
            any(s.get("nullable") is True for s in (node, schema, *options)),
            bool(node.get("writeOnly")),
            bool(node.get("readOnly")),
            stamp,
            node.get("x-faker"),
            "default" in node or "default" in schema,
            node.get("default", schema.get("default")),
        )

    def relation(self, name: str, node: Mapping[str, Any], pointer: str) -> Relation:
        place = f"{pointer}/x-relation"
        word = words.mapping(node["x-relation"], ("to", "via", "on-delete", "embed"), place)
        to = tuple(word["to"]) if isinstance(word.get("to"), list) else (word.get("to"),)
        views: dict[str, str] = {}
        stub = False
        for ref in self.referenced(node):
            schema = self.schemas.get(ref, {})
            said = schema.get("x-resource")
            if said is not None:
                views[said.get("view-of", ref)] = ref
            elif not schema.get("properties") and schema.get("additionalProperties") is False:
                stub = True
        for resource in to or (None,):
            said = self.schemas.get(resource, {}).get("x-resource") if isinstance(resource, str) else None
            if said is None or "view-of" in said:
                raise ContractError(f"{place}/to", repr(resource), "a schema with x-resource that is no view")
            views.setdefault(resource, resource)
        on_delete = word.get("on-delete")
        if "via" not in word:
            words.one_of(on_delete, words.ON_DELETE, f"{place}/on-delete")
        elif on_delete is not None:
            raise ContractError(
                f"{place}/on-delete", repr(on_delete), "no on-delete beside via: the other side says it"
            )
        options = node.get("anyOf", node.get("oneOf", ()))
        nullable = bool(node.get("nullable")) or any(o.get("nullable") is True for o in options)
        return Relation(
            name,
            pointer,
            to,
            node.get("type") == "array",
            word.get("via"),
            on_delete,
            bool(word.get("embed", False)),
            bool(node.get("writeOnly")),
            nullable,
            stub,
            views,
        )

    def derived(self, name: str, node: Mapping[str, Any], pointer: str, always: bool) -> Derived:
        place = f"{pointer}/x-derived"
        kinds = ("count", "sum", "max", "from", "viewer", "number", "group")
        word = words.mapping(node["x-derived"], (*kinds, "where"), place)
        said = [k for k in kinds if k in word]
        if len(said) != 1:
            raise ContractError(place, f"{len(said)} of {', '.join(kinds)}", "exactly one of them")
        kind = said[0]
        parts: dict[str, Derived] = {}
        if kind == "group":
            schema, at = self.unwrapped(node, pointer)
            for part, below in schema.get("properties", {}).items():
                if "x-derived" not in below:
                    raise ContractError(f"{at}/properties/{part}", "no x-derived", "x-derived on each part of a group")
                parts[part] = self.derived(part, below, f"{at}/properties/{escape(part)}", True)
        said_where = word.get("where", {})
        if not isinstance(said_where, dict):
            raise ContractError(f"{place}/where", repr(said_where), "own property: value, or a list of values")
        where = {k: tuple(v) if isinstance(v, list) else (v,) for k, v in said_where.items()}
        path = () if kind == "group" else words.path(word[kind], place)
        return Derived(name, pointer, kind, path, where, always, parts)

    def views(self, resources: Mapping[str, Resource]) -> dict[str, View]:
        found: dict[str, View] = {}
        for name, schema in self.schemas.items():
            word = schema.get("x-resource")
            if word is None:
                continue
            pointer = f"#/components/schemas/{escape(name)}"
            resource = resources.get(str(word.get("view-of", name)))
            if resource is None:
                raise ContractError(f"{pointer}/x-resource/view-of", repr(word.get("view-of")), ", ".join(resources))
            words.mapping(word, ("view-of",) if "view-of" in word else tuple(word), f"{pointer}/x-resource")
            shown = []
            derived = dict(resource.derived)
            for prop, node in schema.get("properties", {}).items():
                if node.get("writeOnly"):
                    continue
                at = f"{pointer}/properties/{escape(prop)}"
                if "x-derived" in node:
                    derived[prop] = self.derived(prop, node, at, prop in schema.get("required", ()))
                elif prop not in resource.own and prop not in resource.relations:
                    allowed = ", ".join((*resource.own, *resource.relations))
                    raise ContractError(at, "a property that its resource does not store", allowed)
                shown.append(prop)
            found[name] = View(name, pointer, resource.name, tuple(shown), derived)
        return found

    # Operations ------------------------------------------------------------------------------------------------

    def operations(self, resources: Mapping[str, Resource], views: Mapping[str, View]) -> dict[str, Operation]:
        found: dict[str, Operation] = {}
        for path, item in self.document.root["paths"].items():
            place = f"#/paths/{escape(path)}"
            for method in METHODS:
                if method not in item:
                    continue
                operation = self.operation(path, method, item, place, resources, views)
                if operation.id in found:
                    raise ContractError(operation.pointer, f"the operationId {operation.id!r} again", "one of its own")
                found[operation.id] = operation
        return found

    def operation(
        self,
        path: str,
        method: str,
        item: Mapping[str, Any],
        place: str,
        resources: Mapping[str, Resource],
        views: Mapping[str, View],
    ) -> Operation:
        node = item[method]
        pointer = f"{place}/{method}"
        if not isinstance(node.get("operationId"), str):
            raise ContractError(pointer, "no operationId", "operationId: a name of its own")
        resource = self.resource_of(path, resources)
        parameters = {}
        for at, listed in ((f"{place}/parameters", item), (f"{pointer}/parameters", node)):
            for index, raw in enumerate(listed.get("parameters", ())):
                parameter = self.parameter(raw, f"{at}/{index}")
                parameters[parameter.where, parameter.name] = parameter
        statuses, result = self.answers(node, pointer, views)
        action = node.get("x-action") or self.action_of(path, method, resource)
        if action is None:
            allowed = "x-action, or a path /collection or /collection/{key} of a resource"
            raise ContractError(pointer, f"{method.upper()} {path}, which says no action", allowed)
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
            self.body(node, pointer),
            statuses,
            tuple(tuple(s) for s in security),
            tuple(words.one_of(e, words.EFFECTS, f"{pointer}/x-effects") for e in node.get("x-effects", ())),
            result,
        )

    @staticmethod
    def resource_of(path: str, resources: Mapping[str, Resource]) -> Resource | None:
        first = path.split("/")[1]
        return next((r for r in resources.values() if r.collection == first), None)

    @staticmethod
    def action_of(path: str, method: str, resource: Resource | None) -> str | None:
        if resource is None:
            return None
        rest = path.split("/")[2:]
        if not rest:
            return COLLECTION_ACTIONS.get(method)
        if len(rest) == 1 and rest[0][:1] == "{":
            return ITEM_ACTIONS.get(method)
        return None

    def parameter(self, raw: Mapping[str, Any], pointer: str) -> Parameter:
        node, pointer = self.document.follow(raw, pointer)
        schema, _ = self.unwrapped(node.get("schema", {}), f"{pointer}/schema")
        where = node["in"]
        style = node.get("style", "form" if where in ("query", "cookie") else "simple")
        return Parameter(
            node["name"],
            where,
            bool(node.get("required", False)),
            schema,
            bool(node.get("explode", style == "form")),
            style,
            bool(node.get("allowEmptyValue", False)),
            words.query_word(node, pointer),
            words.sets_word(node, pointer),
            pointer,
        )

    def body(self, operation: Mapping[str, Any], pointer: str) -> Body | None:
        if "requestBody" not in operation:
            return None
        node, at = self.document.follow(operation["requestBody"], f"{pointer}/requestBody")
        content = node.get("content", {})
        media = next((m for m in content if m.split(";")[0].strip().endswith("json")), None)
        if media is None:
            raise ContractError(f"{at}/content", ", ".join(content) or "nothing", "a JSON media type")
        schema_at = f"{at}/content/{escape(media)}/schema"
        fields: dict[str, BodyField] = {}
        self.collect_fields(content[media].get("schema", {}), schema_at, fields)
        return Body(bool(node.get("required", False)), tuple(content), schema_at, fields)

    def collect_fields(self, schema: Mapping[str, Any], pointer: str, fields: dict[str, BodyField]) -> None:
        schema, pointer = self.document.follow(schema, pointer)
        for index, part in enumerate(schema.get("allOf", ())):
            self.collect_fields(part, f"{pointer}/allOf/{index}", fields)
        for name, node in schema.get("properties", {}).items():
            at = f"{pointer}/properties/{escape(name)}"
            required = name in schema.get("required", ())
            fields[name] = BodyField(name, required, node, words.query_word(node, at), words.sets_word(node, at), at)

    def answers(
        self, operation: Mapping[str, Any], pointer: str, views: Mapping[str, View]
    ) -> tuple[dict[int, str | None], Envelope]:
        statuses: dict[int, str | None] = {}
        for status, raw in operation.get("responses", {}).items():
            node, at = self.document.follow(raw, f"{pointer}/responses/{status}")
            if not str(status).isdigit():
                raise ContractError(at, f"the status {status!r}", "three digits")
            media = next(iter(node.get("content", {})), None)
            statuses[int(status)] = f"{at}/content/{escape(media)}/schema" if media else None
        success = min((s for s in statuses if 200 <= s < 300), default=None)
        if success is None:
            raise ContractError(f"{pointer}/responses", ", ".join(map(str, statuses)) or "nothing", "a 2xx status")
        return statuses, self.envelope(success, statuses[success], views)

    def envelope(self, status: int, pointer: str | None, views: Mapping[str, View]) -> Envelope:
        if pointer is None:
            return Envelope(status, None, None, None, False, {})
        view, many = self.row_of(self.document.at(pointer), views)
        if view:
            return Envelope(status, pointer, None, view, many, {})
        schema, _ = self.unwrapped(self.document.at(pointer), pointer)
        data: str | None = None
        pages: dict[str, Mapping[str, str]] = {}
        for name, node in schema.get("properties", {}).items():
            found, is_many = self.row_of(node, views)
            inner, at = self.unwrapped(node, pointer)
            page = {
                k: words.one_of(p["x-page"], words.PAGE, f"{at}/properties/{k}/x-page")
                for k, p in inner.get("properties", {}).items()
                if "x-page" in p
            }
            if page:
                pages[name] = page
            elif data is None and (found or not view):
                data, view, many = name, found, is_many
        return Envelope(status, pointer, data, view, many, pages)

    def row_of(self, schema: Mapping[str, Any], views: Mapping[str, View]) -> tuple[str | None, bool]:
        """(the view of a row, whether there are many) of a schema that is a resource or an array of one."""
        if schema.get("type") == "array":
            return self.row_of(schema.get("items", {}), views)[0], True
        names = [n for n in self.referenced(schema) if "items" not in schema]
        if len(names) == 1:
            if names[0] in views:
                return names[0], False
            inner = self.schemas.get(names[0], {})
            if inner.get("type") == "array":
                return self.row_of(inner, views)
        return None, False


def _account(word: Mapping[str, Any], place: str) -> Account | None:
    said = _names(word, "account", ("login", "secret"), place)
    return None if said is None else Account(said["login"], said["secret"])


def _grants(word: Mapping[str, Any], place: str) -> Grants | None:
    said = _names(word, "grants", ("subject", "entity", "permission"), place)
    return None if said is None else Grants(said["subject"], said["entity"], said["permission"])


def _names(word: Mapping[str, Any], part: str, due: tuple[str, ...], place: str) -> Mapping[str, str] | None:
    """A part of x-resource that names a property for each of `due`, None where it is not said."""
    if part not in word:
        return None
    said = words.mapping(word[part], due, f"{place}/{part}")
    for name in due:
        if not isinstance(said.get(name), str):
            raise ContractError(f"{place}/{part}", f"no {name}", f"{name}: the name of a property")
    return said
