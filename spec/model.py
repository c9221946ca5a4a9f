"""What a contract says, as frozen objects: operations, parameters, bodies, resources, relations, views."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spec.document import UNSAFE_METHODS, Document
from spec.extensions import QueryExtension, RelationSetter

# What GET, PUT ... on the path of one record, or on a collection, do.
ITEM_ACTIONS = {"get": "retrieve", "put": "update", "patch": "update", "delete": "delete"}
COLLECTION_ACTIONS = {"get": "list", "post": "create"}
GENERIC_ACTIONS = frozenset((*COLLECTION_ACTIONS.values(), *ITEM_ACTIONS.values()))


@dataclass(frozen=True, slots=True)
class Attribute:
    """An own property of a resource: stored with the record.

    `schema` is the property's schema as written (references not followed); `type`, `format` and `enum_values` (the values
    of an enum, () when there is none) are read through them.
    `write_only` (writeOnly): stored, never shown. `stamp`: created, updated, number, or None.
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


@dataclass(frozen=True, slots=True)
class Relation:
    """A property that leads to other records.

    `targets`: names of the resources it may lead to (several: polymorphic). `inverse`: the stored relation of `targets` that leads
    back here; None: this side stores the reference. `target_views`: for each of `targets` the schema that shows it.
    `allows_empty_object`: the contract admits an empty object where a circle ends.
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

    @property
    def is_stored(self) -> bool:
        """Whether the reference is kept on this side."""
        return self.inverse is None


@dataclass(frozen=True, slots=True)
class DerivedProperty:
    """A property that is computed when read: `kind` is count, sum, max, from, viewer, number or group.

    `path`: the relation, then (sum, max, from) the property. `where`: own property -> allowed values of the counted
    records. `required`: required by the schema; otherwise shown when asked for. `parts`: of a group.
    """

    name: str
    pointer: str
    kind: str
    path: tuple[str, ...]
    where: Mapping[str, tuple[Any, ...]]
    required: bool
    parts: Mapping[str, "DerivedProperty"]


@dataclass(frozen=True, slots=True)
class View:
    """One schema by which a resource is shown: its property names in the order of the schema."""

    name: str
    pointer: str
    resource: str
    property_names: tuple[str, ...]
    derived_properties: Mapping[str, DerivedProperty]


@dataclass(frozen=True, slots=True)
class AccessGrant:
    """The relations and the property of a resource whose records give sight of other records."""

    subject: str
    entity: str
    permission: str


@dataclass(frozen=True, slots=True)
class CredentialAttributes:
    """The properties by which a record of this resource signs in."""

    login: str
    secret: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A schema whose records are stored."""

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
    attributes: Mapping[str, Attribute]
    relations: Mapping[str, Relation]
    derived_properties: Mapping[str, DerivedProperty]

    @property
    def has_integer_key(self) -> bool:
        """Whether keys are integers (else strings)."""
        return self.attributes[self.key_attribute].type == "integer"

    def attributes_with_stamp(self, stamp: str) -> tuple[str, ...]:
        """Names of the own properties with that stamp."""
        return tuple(p.name for p in self.attributes.values() if p.stamp == stamp)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation; `schema` as written, with references at its top followed."""

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
    """A request body: its JSON schema's pointer and the properties that it names."""

    required: bool
    media_types: tuple[str, ...]
    pointer: str
    fields: Mapping[str, BodyField]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a success answers: status, and where in the body rows and page words stand.

    `schema_pointer`: pointer of the body's schema, None without a body. `data_property`: name of the property that holds the record
    or the rows, None when the body itself does. `view_name`: the schema of a row when it is a resource's.
    `pagination`: property name -> {property of the page object: page word}.
    """

    status: int
    schema_pointer: str | None
    data_property: str | None
    view_name: str | None
    is_list: bool
    pagination: Mapping[str, Mapping[str, str]]


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
    request_body: RequestBody | None
    responses: Mapping[int, str | None]
    security: tuple[tuple[str, ...], ...]
    effects: tuple[str, ...]
    envelope: Envelope

    @property
    def query_parameters(self) -> tuple[Parameter, ...]:
        """The parameters that stand in the query."""
        return tuple(p for p in self.parameters if p.location == "query")

    @property
    def path_parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters in the path, in its order."""
        return tuple(s[1:-1] for s in self.path.split("/") if s[:1] == "{")

    @property
    def is_generic(self) -> bool:
        """Whether its action is one of those that a path and a method say by themselves, not a named one."""
        return self.action in GENERIC_ACTIONS

    @property
    def is_write(self) -> bool:
        """Whether its method may change something."""
        return self.method in UNSAFE_METHODS

    @property
    def has_query_body(self) -> bool:
        """Whether its body asks as a query does, so that it changes nothing."""
        return self.request_body is not None and any(field.x_query for field in self.request_body.fields.values())

    @property
    def requires_auth(self) -> bool:
        """Whether it is for those alone whom the target knows."""
        return bool(self.security) and () not in self.security


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything that a contract says, frozen.

    `tenant_resource`: the resource whose members see what lies in it. `account_resource`: the resource whose records sign in.
    `views_by_resource`: every schema by which a resource is shown, its own first. `access_grant_resources`: the resources by whose records
    others are shared.
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

    def find_operation(self, resource: str | None, action: str) -> Operation | None:
        """The operation that does a generic action on a resource."""
        return next((o for o in self.operations.values() if (o.resource, o.action) == (resource, action)), None)

    def find_created_resource(self, operation: Operation) -> str | None:
        """The resource that an operation creates: `create`, or a POST on a collection itself that answers its
        record."""
        view = self.views.get(operation.envelope.view_name or "")
        if operation.method != "post" or view is None or operation.envelope.is_list or operation.path.count("/") != 1:
            return None
        return view.resource if operation.resource == view.resource else None

    def find_create_operation(self, resource: str) -> Operation | None:
        """What creates a resource: `create`, another operation that does so by itself, or a POST on a record of
        another resource that answers the new ones."""
        operations = self.operations.values()
        direct = self.find_operation(resource, "create") or next(
            (o for o in operations if self.find_created_resource(o) == resource), None
        )
        return direct or next((o for o in operations if self._is_bulk_create(o, resource)), None)

    def _is_bulk_create(self, operation: Operation, resource: str) -> bool:
        view = self.views.get(operation.envelope.view_name or "")
        is_bulk_post = operation.method == "post" and operation.envelope.is_list and operation.resource != resource
        return (
            is_bulk_post and view is not None and view.resource == resource and len(operation.path_parameter_names) == 1
        )

    def is_whoami(self, operation: Operation) -> bool:
        """Whether an operation shows the account that asks: one account, without being told which."""
        view = self.views.get(operation.envelope.view_name or "")
        has_no_arguments = (
            operation.method == "get" and not operation.path_parameter_names and not operation.envelope.is_list
        )
        return (
            has_no_arguments
            and view is not None
            and self.account_resource is not None
            and view.resource == self.account_resource.name
        )

    def find_relations_to(self, resource: str) -> Iterator[tuple[Resource, Relation]]:
        """Every stored relation that may lead to records of `resource`."""
        for source in self.resources.values():
            for relation in source.relations.values():
                if relation.is_stored and resource in relation.targets:
                    yield source, relation
