"""Loads a contract into frozen objects: operations, resources, relations, query words.

`load(path)` reads an OpenAPI 3.0 file once and answers a `Contract`, or raises `ContractError` with place, what was
found and what is allowed. Everything here is read from the file's own words; nothing is known of any one API.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spec import words
from spec.document import METHODS, Document, escape, read, snake_case
from spec.errors import ContractError
from spec.words import QueryWord, Sets

WRITES = {"post": "create", "put": "update", "patch": "update", "delete": "delete", "get": "retrieve"}
GENERIC_ACTIONS = ("list", "create", "retrieve", "update", "delete")


@dataclass(frozen=True, slots=True)
class Property:
    """An own property of a resource: stored with the record.

    `schema` is the property's schema as written (references not followed); `type` and `format` are read through them.
    `hidden` (writeOnly): stored, never shown. `stamp`: created, updated, number, or None.
    """

    name: str
    pointer: str
    schema: Mapping[str, Any]
    type: str
    format: str | None
    nullable: bool
    hidden: bool
    read_only: bool
    stamp: str | None
    faker: Any
    has_default: bool
    default: Any


@dataclass(frozen=True, slots=True)
class Relation:
    """A property that leads to other records.

    `to`: names of the resources it may lead to (several: polymorphic). `via`: the stored relation of `to` that leads
    back here; None: this side stores the reference. `views`: for each of `to` the schema that shows it.
    `stub`: the contract admits an empty object where a circle ends.
    """

    name: str
    pointer: str
    to: tuple[str, ...]
    many: bool
    via: str | None
    on_delete: str | None
    embed: bool
    hidden: bool
    nullable: bool
    stub: bool
    views: Mapping[str, str]

    @property
    def stored(self) -> bool:
        """Whether the reference is kept on this side."""
        return self.via is None


@dataclass(frozen=True, slots=True)
class Derived:
    """A property that is computed when read: `kind` is count, sum, max, from, viewer, number or group.

    `path`: the relation, then (sum, max, from) the property. `where`: own property -> allowed values of the counted
    records. `always`: required by the schema; otherwise shown when asked for. `parts`: of a group.
    """

    name: str
    pointer: str
    kind: str
    path: tuple[str, ...]
    where: Mapping[str, tuple[Any, ...]]
    always: bool
    parts: Mapping[str, "Derived"]


@dataclass(frozen=True, slots=True)
class View:
    """One schema by which a resource is shown: its property names in the order of the schema."""

    name: str
    pointer: str
    resource: str
    shown: tuple[str, ...]
    derived: Mapping[str, Derived]


@dataclass(frozen=True, slots=True)
class Grants:
    """The relations and the property of a resource whose records give sight of other records."""

    subject: str
    entity: str
    permission: str


@dataclass(frozen=True, slots=True)
class Account:
    """The properties by which a record of this resource signs in."""

    login: str
    secret: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A schema whose records are stored."""

    name: str
    pointer: str
    collection: str
    key: str
    tenant: tuple[str, ...]
    owner: tuple[str, ...]
    members: str | None
    account: Account | None
    public: Mapping[str, Any]
    writers: str
    grants: Grants | None
    own: Mapping[str, Property]
    relations: Mapping[str, Relation]
    derived: Mapping[str, Derived]

    @property
    def key_is_integer(self) -> bool:
        """Whether keys are integers (else strings)."""
        return self.own[self.key].type == "integer"

    def stamped(self, stamp: str) -> tuple[str, ...]:
        """Names of the own properties with that stamp."""
        return tuple(p.name for p in self.own.values() if p.stamp == stamp)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation; `schema` as written, with references at its top followed."""

    name: str
    where: str
    required: bool
    schema: Mapping[str, Any]
    explode: bool
    style: str
    allow_empty: bool
    word: QueryWord | None
    sets: Sets | None
    pointer: str


@dataclass(frozen=True, slots=True)
class BodyField:
    """A property of a request body."""

    name: str
    required: bool
    schema: Mapping[str, Any]
    word: QueryWord | None
    sets: Sets | None
    pointer: str


@dataclass(frozen=True, slots=True)
class Body:
    """A request body: its JSON schema's pointer and the properties that it names."""

    required: bool
    media_types: tuple[str, ...]
    pointer: str
    fields: Mapping[str, BodyField]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a success answers: status, and where in the body rows and page words stand.

    `schema`: pointer of the body's schema, None without a body. `data`: name of the property that holds the record
    or the rows, None when the body itself does. `view`: the schema of a row when it is a resource's.
    `pages`: property name -> {property of the page object: page word}.
    """

    status: int
    schema: str | None
    data: str | None
    view: str | None
    many: bool
    pages: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path. `security`: alternatives, each the names of schemes all due; () means public."""

    id: str
    method: str
    path: str
    pointer: str
    summary: str
    tag: str
    action: str
    resource: str | None
    parameters: tuple[Parameter, ...]
    body: Body | None
    statuses: Mapping[int, str | None]
    security: tuple[tuple[str, ...], ...]
    effects: tuple[str, ...]
    result: Envelope

    @property
    def query(self) -> tuple[Parameter, ...]:
        """The parameters that stand in the query."""
        return tuple(p for p in self.parameters if p.where == "query")

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """Names of the parameters in the path, in its order."""
        return tuple(s[1:-1] for s in self.path.split("/") if s[:1] == "{")


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything that a contract says, frozen."""

    document: Document = field(repr=False)
    title: str
    version: str
    base_path: str
    operations: Mapping[str, Operation]
    resources: Mapping[str, Resource]
    views: Mapping[str, View]
    security_schemes: Mapping[str, Mapping[str, Any]]

    @property
    def tenant(self) -> Resource | None:
        """The resource whose members see what lies in it."""
        return next((r for r in self.resources.values() if r.members), None)

    @property
    def account(self) -> Resource | None:
        """The resource whose records sign in."""
        return next((r for r in self.resources.values() if r.account), None)

    def views_of(self, resource: str) -> tuple[View, ...]:
        """Every schema by which a resource is shown, its own first."""
        return tuple(v for v in self.views.values() if v.resource == resource)

    def referring(self, resource: str) -> Iterator[tuple[Resource, Relation]]:
        """Every stored relation that may lead to records of `resource`."""
        for other in self.resources.values():
            for relation in other.relations.values():
                if relation.stored and resource in relation.to:
                    yield other, relation


def load(path: Path) -> Contract:
    """The contract in the file at `path`. Raises ContractError."""
    return from_document(read(path))


def from_document(document: Document) -> Contract:
    """The contract that a document says. Raises ContractError."""
    root = document.root
    if not str(root.get("openapi", "")).startswith("3.0"):
        raise ContractError("#/openapi", repr(root.get("openapi")), "3.0.x")
    for part in ("info", "paths"):
        if not isinstance(root.get(part), dict):
            raise ContractError(f"#/{part}", repr(root.get(part)), "a mapping")
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
    )
    check(contract)
    return contract


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
        return urlsplit(servers[0].get("url", "/")).path.rstrip("/")

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
        account = grants = None
        if "account" in word:
            said = words.mapping(word["account"], ("email", "login", "password"), f"{place}/account")
            account = Account(said.get("login", said.get("email", "")), said.get("password", ""))
        if "grants" in word:
            said = words.mapping(word["grants"], ("subject", "entity", "permission"), f"{place}/grants")
            grants = Grants(said["subject"], said["entity"], said["permission"])
        return Resource(
            name,
            pointer,
            word["collection"],
            word["key"],
            words.path(word["tenant"], f"{place}/tenant") if "tenant" in word else (),
            words.path(word["owner"], f"{place}/owner") if "owner" in word else (),
            word.get("members"),
            account,
            word.get("public", {}),
            words.one_of(word.get("writers", "members"), ("members", "owner"), f"{place}/writers"),
            grants,
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
        for resource in to:
            if resource not in self.schemas or "x-resource" not in self.schemas[resource]:
                raise ContractError(f"{place}/to", repr(resource), "a schema with x-resource")
            views.setdefault(resource, resource)
        on_delete = word.get("on-delete")
        if "via" not in word:
            words.one_of(on_delete, words.ON_DELETE, f"{place}/on-delete")
        elif on_delete is not None:
            raise ContractError(f"{place}/on-delete", repr(on_delete), "no on-delete beside via: the other side says it")
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
        where = {k: tuple(v) if isinstance(v, list) else (v,) for k, v in word.get("where", {}).items()}
        path = () if kind == "group" else words.path(word[kind], place)
        return Derived(name, pointer, kind, path, where, always, parts)

    def views(self, resources: Mapping[str, Resource]) -> dict[str, View]:
        found: dict[str, View] = {}
        for name, schema in self.schemas.items():
            word = schema.get("x-resource")
            if word is None:
                continue
            pointer = f"#/components/schemas/{escape(name)}"
            resource = resources.get(word.get("view-of", name))
            if resource is None:
                raise ContractError(f"{pointer}/x-resource/view-of", repr(word.get("view-of")), ", ".join(resources))
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
            return {"get": "list", "post": "create"}.get(method)
        if len(rest) == 1 and rest[0][:1] == "{" and method != "post":
            return WRITES.get(method)
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
            fields[name] = BodyField(
                name, required, node, words.query_word(node, at), words.sets_word(node, at), at
            )

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


# What must hold between the parts ------------------------------------------------------------------------------


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
            raise ContractError(relation.pointer, "on-delete: clear on what may not be null", "nullable, or cascade, refuse")
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
    for part in derived.parts.values():
        _check_derived(contract, resource, part)
    if derived.kind in ("viewer", "from", "number"):
        if derived.kind == "viewer" and derived.path == ("owner",):
            return
        steps = derived.path[:-1] if derived.kind == "from" else derived.path
        _check_steps(contract, resource, steps, place)
        return
    if derived.kind == "group":
        return
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
        if item.sets and item.sets.relation not in resource.relations:
            allowed = f"of {resource.name}: " + ", ".join(resource.relations)
            if operation.action in GENERIC_ACTIONS:
                raise ContractError(f"{item.pointer}/x-relation/sets", repr(item.sets.relation), allowed)
        if item.word and item.word.role in ("filter", "search"):
            for path in item.word.paths:
                path_of(contract, resource, path, f"{item.pointer}/x-query")
        if item.word and item.word.role == "sort":
            for name in item.schema.get("enum", ()):
                _check_sort(resource, name, f"{item.pointer}/schema/enum")
        if item.word and item.word.role == "include":
            items = item.schema.get("items", item.schema)
            for name in items.get("enum", ()):
                include_path(contract, resource, name, f"{item.pointer}/schema")
        if item.word and item.word.role == "count":
            items = item.schema.get("items", item.schema)
            for name in items.get("enum", ()):
                counted(resource, name, f"{item.pointer}/schema")
    if operation.action == "create" and operation.body:
        _check_fillable(resource, operation)


def _check_sort(resource: Resource, name: str, place: str) -> None:
    derived = resource.derived.get(name)
    if name not in resource.own and (derived is None or derived.kind not in ("count", "sum", "max")):
        raise ContractError(place, repr(name), f"own properties and counts of {resource.name}: " + ", ".join(resource.own))


def _check_fillable(resource: Resource, operation: Operation) -> None:
    """A created record must get a value for each own property."""
    assert operation.body is not None
    for own in resource.own.values():
        sent = operation.body.fields.get(own.name)
        given = sent is not None and (sent.required or "default" in sent.schema)
        if not (given or own.nullable or own.has_default or own.stamp or own.hidden or own.name == resource.key):
            allowed = "a default, nullable, x-stamp, or required in the body"
            raise ContractError(own.pointer, f"nothing that fills it when {operation.id} does not send it", allowed)


def path_of(
    contract: Contract, resource: Resource, path: tuple[str, ...], place: str
) -> tuple[tuple[Relation, ...], Resource, tuple[str, ...]]:
    """A property path as (relations to follow, the resource they end at, path of the own property there).

    The last part is empty when the path ends at a relation.
    """
    steps: list[Relation] = []
    for index, part in enumerate(path):
        if part in resource.own:
            return tuple(steps), resource, path[index:]
        relation = resource.relations.get(part)
        if relation is None:
            allowed = f"of {resource.name}: " + ", ".join((*resource.own, *resource.relations))
            raise ContractError(place, repr(part), allowed)
        steps.append(relation)
        resource = contract.resources[relation.to[0]]
    return tuple(steps), resource, ()


def include_path(contract: Contract, resource: Resource, name: str, place: str) -> tuple[str, ...]:
    """A value of an include parameter (``thread.creator``, camelCase too) as a path of relation names."""
    found: list[str] = []
    at = [resource]
    for part in name.split("."):
        here = [(r, r.relations.get(part) or r.relations.get(snake_case(part))) for r in at]
        known = [(r, relation) for r, relation in here if relation is not None and not relation.hidden]
        if not known:
            allowed = ", ".join(r.name for r in at[0].relations.values() if not r.hidden)
            raise ContractError(place, repr(name), f"relations of {at[0].name}: {allowed}")
        found.append(known[0][1].name)
        at = [contract.resources[target] for _, relation in known for target in relation.to]
    return tuple(found)


def counted(resource: Resource, name: str, place: str) -> str:
    """A value of a count parameter (``workflowApprovals``) as the name of the property that shows it."""
    shown = f"{snake_case(name)}_count"
    if shown not in resource.derived:
        allowed = ", ".join(d.removesuffix("_count") for d in resource.derived if d.endswith("_count"))
        raise ContractError(place, repr(name), f"of {resource.name}: {allowed}")
    return shown
