"""The contract as frozen objects: operations, parameters, bodies, resources, relations, views."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spec.document import UNSAFE_METHODS, Document, escape
from spec.extensions import QueryExtension, RelationSetter

_PATH_PARAMETER = re.compile(r"\{([^{}]+)\}")

# Actions by method, on the path of one record and on a collection.
ITEM_ACTIONS = {"get": "retrieve", "put": "update", "patch": "update", "delete": "delete"}
COLLECTION_ACTIONS = {"get": "list", "post": "create"}
GENERIC_ACTIONS = frozenset((*COLLECTION_ACTIONS.values(), *ITEM_ACTIONS.values()))
# The action of an operation that has none: it is answered by its example or its schema.
STATIC_ACTION = "static"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A property that is stored with the record.

    `schema`: the schema as written, with its references; `type`, `format` and `enum_values` (() without an enum) are
    taken from the referenced schema. `write_only`: no response shows it. `stamp`: created, updated, number or None.
    """

    name: str
    pointer: str
    schema: Mapping[str, Any]
    type: str
    format: str | None
    enum_values: tuple[Any, ...]
    nullable: bool
    write_only: bool
    read_only: bool
    stamp: str | None
    faker: Any
    has_default: bool
    default: Any

    @property
    def is_file(self) -> bool:
        """Whether the values are URLs of files that the server generates; it stores their paths."""
        return isinstance(self.faker, dict) and "file" in self.faker


@dataclass(frozen=True, slots=True)
class Relation:
    """A property that refers to other records.

    `targets`: resources of these records (several: polymorphic). `inverse`: the relation of `targets` that stores the
    reference; None if this relation stores it. `target_views`: the schema that shows each of `targets`.
    `write_only`: no response shows it. `allows_empty_object`: an empty object may replace a record in a cycle.
    `discriminator`: the property that names the resource of the record, in snake case; None if there is none.
    """

    name: str
    pointer: str
    targets: tuple[str, ...]
    to_many: bool
    inverse: str | None
    on_delete: str | None
    is_embedded: bool
    write_only: bool
    nullable: bool
    allows_empty_object: bool
    target_views: Mapping[str, str]
    discriminator: str | None = None

    @property
    def is_stored(self) -> bool:
        """Whether the record itself stores the reference."""
        return self.inverse is None


@dataclass(frozen=True, slots=True)
class DerivedProperty:
    """A property that is computed when read: `kind` is count, sum, max, from, viewer, number or group.

    `path`: the relation, then (sum, max, from) the attribute. `where`: attribute -> allowed values in the aggregated
    records. `required`: always shown, not only on request. `nullable`: may be null. `parts`: the properties of a group.
    """

    name: str
    pointer: str
    kind: str
    path: tuple[str, ...]
    where: Mapping[str, tuple[Any, ...]]
    required: bool
    nullable: bool
    parts: Mapping[str, "DerivedProperty"]


@dataclass(frozen=True, slots=True)
class View:
    """A schema that shows a resource: its property names in schema order."""

    name: str
    pointer: str
    resource: str
    property_names: tuple[str, ...]
    derived_properties: Mapping[str, DerivedProperty]


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """The meaning of a resource whose records share other records.

    `subject`: relation to the shared record. `entity`: relation to the recipient, an account or a tenant. `permission`:
    attribute with the permission. `writers`: permissions that allow the recipient to change the record.
    """

    subject: str
    entity: str
    permission: str
    writers: tuple[str, ...] = ("write",)


@dataclass(frozen=True, slots=True)
class CredentialAttributes:
    """The attributes that contain the login name and the password of an account."""

    login: str
    secret: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A stored resource, defined by `x-resource`. `is_stored_only`: no operation returns its records."""

    name: str
    pointer: str
    collection: str
    key_attribute: str
    tenant_path: tuple[str, ...]
    owner_path: tuple[str, ...]
    members_relation: str | None
    credentials: CredentialAttributes | None
    public_when: Mapping[str, Any]
    writers: str
    access_grant: AccessGrant | None
    is_stored_only: bool
    attributes: Mapping[str, Attribute]
    relations: Mapping[str, Relation]
    derived_properties: Mapping[str, DerivedProperty]

    @property
    def has_integer_key(self) -> bool:
        """Whether keys are integers (else strings)."""
        return self.attributes[self.key_attribute].type == "integer"

    def attributes_with_stamp(self, stamp: str) -> tuple[str, ...]:
        """Return the names of the attributes with this `x-stamp`."""
        return tuple(p.name for p in self.attributes.values() if p.stamp == stamp)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation; references at the top of its `schema` and of its items are resolved.

    `media_type`: of its value (`content`), instead of a style; None if it has a style.
    """

    name: str
    location: str
    required: bool
    schema: Mapping[str, Any]
    explode: bool
    style: str
    allow_empty_value: bool
    x_query: QueryExtension | None
    relation_setter: RelationSetter | None
    pointer: str
    media_type: str | None = None

    @property
    def schema_pointer(self) -> str:
        """JSON pointer of the schema."""
        owner = "" if self.media_type is None else f"/content/{escape(self.media_type)}"
        return f"{self.pointer}{owner}/schema"


@dataclass(frozen=True, slots=True)
class BodyField:
    """A property of a request body."""

    name: str
    required: bool
    schema: Mapping[str, Any]
    x_query: QueryExtension | None
    relation_setter: RelationSetter | None
    pointer: str


@dataclass(frozen=True, slots=True)
class RequestBody:
    """A request body: `pointer` of the schema of its main media type, and the properties of that schema.

    The main media type is JSON, a form, or the first one. `pointers`: of the schemas of all media types.
    """

    required: bool
    media_types: tuple[str, ...]
    pointer: str
    fields: Mapping[str, BodyField]
    pointers: Mapping[str, str] = field(default_factory=dict)

    @property
    def media_type(self) -> str:
        """The main media type, which may be a range (``*/*``)."""
        return next((name for name, pointer in self.pointers.items() if pointer == self.pointer), "application/json")


@dataclass(frozen=True, slots=True)
class Envelope:
    """The success response: its status and the structure of its body.

    `schema_pointer`: None without a body. `data_property`: the property that contains the record or the rows; None if
    the body itself does. `view_name`: the view of a row, if it is a record. `pagination`: property -> {property of the
    pagination object: role}. `page_properties`: property of the body itself -> role.
    """

    status: int
    schema_pointer: str | None
    data_property: str | None
    view_name: str | None
    is_list: bool
    pagination: Mapping[str, Mapping[str, str]]
    page_properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def page_property_paths(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        """The path of each pagination property in the body, with its role."""
        nested = (((name, key), role) for name, roles in self.pagination.items() for key, role in roles.items())
        return (*nested, *(((name,), role) for name, role in self.page_properties.items()))

    def read_page_values(self, body: Any) -> dict[str, Any]:
        """Return the pagination values of a body by role; without those that are missing."""
        values: dict[str, Any] = {}
        for (*containers, name), role in self.page_property_paths:
            owner = body
            for container in containers:
                owner = owner.get(container) if isinstance(owner, dict) else None
            if isinstance(owner, dict) and name in owner:
                values[role] = owner[name]
        return values


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path.

    `security`: alternatives, each a tuple of schemes that are all required; () is public. `base_paths`: of its own
    servers; () if it has those of the contract. `response_ranges`: pointer of the schema of ``4XX``, ``DEFAULT`` and
    other ranges of statuses. `preconditions`: property path -> the values that it must have, or the response is 409.
    """

    id: str
    method: str
    path: str
    pointer: str
    summary: str
    tag: str
    action: str
    resource: str | None
    parameters: tuple[Parameter, ...]
    request_body: RequestBody | None
    responses: Mapping[int, str | None]
    security: tuple[tuple[str, ...], ...]
    effects: tuple[str, ...]
    envelope: Envelope
    base_paths: tuple[str, ...] = ()
    response_ranges: Mapping[str, str | None] = field(default_factory=dict)
    preconditions: Mapping[tuple[str, ...], tuple[Any, ...]] = field(default_factory=dict)

    def documents(self, status: int) -> bool:
        """Whether the operation documents a status: itself, its range or ``default``."""
        return status in self.responses or self._find_range(status) is not None

    @property
    def validation_status(self) -> int | None:
        """The status that the operation documents for invalid input: 422 or 400; 400 for a range; None for neither."""
        exact = next((status for status in (422, 400) if status in self.responses), None)
        return 400 if exact is None and self.documents(400) else exact

    def find_response_schema(self, status: int) -> str | None:
        """Return the pointer of the schema of a status; None without a body."""
        if status in self.responses:
            return self.responses[status]
        return self.response_ranges.get(self._find_range(status) or "")

    def _find_range(self, status: int) -> str | None:
        return next((name for name in (f"{status // 100}XX", "DEFAULT") if name in self.response_ranges), None)

    @property
    def query_parameters(self) -> tuple[Parameter, ...]:
        """The query parameters."""
        return tuple(p for p in self.parameters if p.location == "query")

    @property
    def body_fields(self) -> Mapping[str, BodyField]:
        """The fields of the request body by name; empty if there is none."""
        return self.request_body.fields if self.request_body is not None else {}

    @property
    def success_statuses(self) -> tuple[int, ...]:
        """The documented statuses of 2xx; all of them if the success response is a range."""
        statuses = tuple(status for status in self.responses if 200 <= status < 300)
        status = self.envelope.status
        has_range = not statuses and 200 <= status < 300 and self.documents(status)
        return tuple(range(200, 300)) if has_range else statuses

    @property
    def is_static(self) -> bool:
        """Whether the contract says nothing about the state that the operation reads or changes."""
        return self.action == STATIC_ACTION

    @property
    def path_parameter_names(self) -> tuple[str, ...]:
        """Names of the path parameters, in path order."""
        return tuple(_PATH_PARAMETER.findall(self.path))

    @property
    def is_generic(self) -> bool:
        """Whether the action follows from path and method: list, create, retrieve, update, delete."""
        return self.action in GENERIC_ACTIONS

    @property
    def is_write(self) -> bool:
        """Whether the method is unsafe."""
        return self.method in UNSAFE_METHODS

    @property
    def has_query_body(self) -> bool:
        """Whether the request body contains query fields, so that the operation only reads."""
        return self.request_body is not None and any(field.x_query for field in self.request_body.fields.values())

    @property
    def requires_auth(self) -> bool:
        """Whether a request needs credentials."""
        return bool(self.security) and () not in self.security


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """The security scheme whose credential is a cookie that a sign-in sets.

    `csrf_cookie`, `csrf_header`: where the CSRF token is that unsafe requests need (`x-csrf`); empty if they need none.
    """

    scheme: str
    name: str
    csrf_cookie: str = ""
    csrf_header: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """A loaded contract.

    `tenant_resource`: the resource that isolates records by membership. `account_resource`: the resource of the users
    that sign in. `views_by_resource`: the main view of each resource is first. `access_grant_resources`: the resources
    whose records share other records. `session_cookie`: None if no security scheme is a cookie. `ignored_extensions`:
    how often each extension of other tools occurs. `base_paths`: of all servers; `base_path` is the first one.
    """

    document: Document = field(repr=False)
    title: str
    version: str
    base_path: str
    operations: Mapping[str, Operation]
    resources: Mapping[str, Resource]
    views: Mapping[str, View]
    security_schemes: Mapping[str, Mapping[str, Any]]
    tenant_resource: Resource | None
    account_resource: Resource | None
    views_by_resource: Mapping[str, tuple[View, ...]]
    access_grant_resources: tuple[str, ...]
    session_cookie: SessionCookie | None = None
    ignored_extensions: Mapping[str, int] = field(default_factory=dict)
    base_paths: tuple[str, ...] = ("",)

    def find_operation(self, resource: str | None, action: str) -> Operation | None:
        """Return the operation with this action on a resource."""
        return next((o for o in self.operations.values() if (o.resource, o.action) == (resource, action)), None)

    def find_created_resource(self, operation: Operation) -> str | None:
        """Return the resource that a POST on a collection creates and returns."""
        view = self.views.get(operation.envelope.view_name or "")
        is_collection = operation.path.rstrip("/").count("/") == 1
        if operation.method != "post" or view is None or operation.envelope.is_list or not is_collection:
            return None
        return view.resource if operation.resource == view.resource else None

    def find_create_operation(self, resource: str) -> Operation | None:
        """Return the operation that creates records of a resource.

        The first of: `create`, another POST on the collection, a POST on a record of another resource that returns a
        list of the new records.
        """
        operations = self.operations.values()
        direct = self.find_operation(resource, "create") or next(
            (o for o in operations if self.find_created_resource(o) == resource), None
        )
        return direct or next((o for o in operations if self._is_bulk_create(o, resource)), None)

    def _is_bulk_create(self, operation: Operation, resource: str) -> bool:
        view = self.views.get(operation.envelope.view_name or "")
        if view is None or view.resource != resource or operation.resource == resource:
            return False
        return operation.method == "post" and operation.envelope.is_list and len(operation.path_parameter_names) == 1

    def is_whoami(self, operation: Operation) -> bool:
        """Whether an operation returns the account of the caller: a GET of one account without a path parameter."""
        view = self.views.get(operation.envelope.view_name or "")
        if view is None or self.account_resource is None or view.resource != self.account_resource.name:
            return False
        return operation.method == "get" and not operation.path_parameter_names and not operation.envelope.is_list

    def find_relations_to(self, resource: str) -> Iterator[tuple[Resource, Relation]]:
        """Yield each stored relation to `resource`, with the resource that has it."""
        for source in self.resources.values():
            for relation in source.relations.values():
                if relation.is_stored and resource in relation.targets:
                    yield source, relation
