"""What a contract says, as frozen objects: operations, parameters, bodies, resources, relations, views."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spec.document import WRITES, Document
from spec.words import QueryWord, Sets

# What GET, PUT ... on the path of one record, or on a collection, do.
ITEM_ACTIONS = {"get": "retrieve", "put": "update", "patch": "update", "delete": "delete"}
COLLECTION_ACTIONS = {"get": "list", "post": "create"}
GENERIC_ACTIONS = frozenset((*COLLECTION_ACTIONS.values(), *ITEM_ACTIONS.values()))


@dataclass(frozen=True, slots=True)
class Property:
    """An own property of a resource: stored with the record.

    `schema` is the property's schema as written (references not followed); `type`, `format` and `choices` (the values
    of an enum, () when there is none) are read through them.
    `hidden` (writeOnly): stored, never shown. `stamp`: created, updated, number, or None.
    """

    name: str
    pointer: str
    schema: Mapping[str, Any]
    type: str
    format: str | None
    choices: tuple[Any, ...]
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

    @property
    def generic(self) -> bool:
        """Whether its action is one of those that a path and a method say by themselves, not a named one."""
        return self.action in GENERIC_ACTIONS

    @property
    def writes(self) -> bool:
        """Whether its method may change something."""
        return self.method in WRITES

    @property
    def asks(self) -> bool:
        """Whether its body asks as a query does, so that it changes nothing."""
        return self.body is not None and any(field.word for field in self.body.fields.values())

    @property
    def secured(self) -> bool:
        """Whether it is for those alone whom the target knows."""
        return bool(self.security) and () not in self.security


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything that a contract says, frozen.

    `tenant`: the resource whose members see what lies in it. `account`: the resource whose records sign in.
    `shown_by`: every schema by which a resource is shown, its own first. `granting`: the resources by whose records
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
    tenant: Resource | None
    account: Resource | None
    shown_by: Mapping[str, tuple[View, ...]]
    granting: tuple[str, ...]

    def operation(self, resource: str | None, action: str) -> Operation | None:
        """The operation that does a generic action on a resource."""
        return next((o for o in self.operations.values() if (o.resource, o.action) == (resource, action)), None)

    def created_by(self, operation: Operation) -> str | None:
        """The resource that an operation creates: `create`, or a POST on a collection itself that answers its
        record."""
        view = self.views.get(operation.result.view or "")
        if operation.method != "post" or view is None or operation.result.many or operation.path.count("/") != 1:
            return None
        return view.resource if operation.resource == view.resource else None

    def creator(self, resource: str) -> Operation | None:
        """What creates a resource: `create`, another operation that does so by itself, or a POST on a record of
        another resource that answers the new ones."""
        operations = self.operations.values()
        plain = self.operation(resource, "create") or next(
            (o for o in operations if self.created_by(o) == resource), None
        )
        return plain or next((o for o in operations if self._grows(o, resource)), None)

    def _grows(self, operation: Operation, resource: str) -> bool:
        view = self.views.get(operation.result.view or "")
        grows = operation.method == "post" and operation.result.many and operation.resource != resource
        return grows and view is not None and view.resource == resource and len(operation.path_parameters) == 1

    def says_who(self, operation: Operation) -> bool:
        """Whether an operation shows the account that asks: one account, without being told which."""
        view = self.views.get(operation.result.view or "")
        asks_nothing = operation.method == "get" and not operation.path_parameters and not operation.result.many
        return asks_nothing and view is not None and self.account is not None and view.resource == self.account.name

    def referring(self, resource: str) -> Iterator[tuple[Resource, Relation]]:
        """Every stored relation that may lead to records of `resource`."""
        for other in self.resources.values():
            for relation in other.relations.values():
                if relation.stored and resource in relation.to:
                    yield other, relation
