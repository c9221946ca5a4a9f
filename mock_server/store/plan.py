"""Which tables a contract needs: one for each resource, one for each stored list of references, and their indexes.

A table holds the record's own JSON (`own`), and as real columns what the contract's words ask of it:

    n        running number, in the order of creation; never used again
    key      the record's key
    tenant   key of the tenant it lies in, found along the contract's path; NULL where there is none
    r_<x>    stored reference `x`: the key, or ``Resource/key`` where it may lead to several resources
    p_<x>    own property `x` that is filtered, sorted, counted or compared by (``a__b``: nested)
    s_<x>    own property `x` that is searched, case folded
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from spec.contract import Contract, DerivedProperty, Relation, Resource, resolve_property_path
from spec.record import Reference
from spec.words import QueryExtension

# What a column holds of a record's own properties.
Read = Callable[[Mapping[str, Any]], Any]

_NORMAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Link:
    """The table of a stored list of references: owner, position, target. `followed`: some inverse leads back by it."""

    name: str
    relation: Relation
    followed: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One resource's table. `properties` and `searched`: column name -> path of the own property.

    `columns`: tenant, references, properties, searched. `reads`: what the last two kinds hold. `insert`: the statement
    that adds a row of n, key, own and these. `stamped`: the own property that holds a record's number.
    """

    resource: Resource
    name: str
    references: Mapping[str, Relation]
    properties: Mapping[str, tuple[str, ...]]
    searched: Mapping[str, tuple[str, ...]]
    links: Mapping[str, Link]
    columns: tuple[str, ...]
    insert: str
    reads: tuple[Read, ...]
    stamped: str | None

    @classmethod
    def of(
        cls,
        resource: Resource,
        properties: Mapping[str, tuple[str, ...]],
        searched: Mapping[str, tuple[str, ...]],
        links: Mapping[str, Link],
    ) -> "Table":
        """The table of a resource."""
        references = {reference_column(r.name): r for r in resource.relations.values() if r.is_stored and not r.to_many}
        columns = ("tenant", *references, *properties, *searched)
        formats = (
            (path, resource.attributes[path[0]].format if len(path) == 1 else None) for path in properties.values()
        )
        reads = (*(_property(*said) for said in formats), *(_searched(path) for path in searched.values()))
        stamped = next(iter(resource.attributes_with_stamp("number")), None)
        name, marks = quoted(resource.name), ", ".join("?" * len(columns))
        insert = f"INSERT INTO {name} (n, key, own, {', '.join(columns)}) VALUES (?, ?, ?, {marks})"
        return cls(resource, name, references, properties, searched, links, columns, insert, reads, stamped)

    def values(self, tenant: Any, references: Mapping[str, Reference | None], own: Mapping[str, Any]) -> list[Any]:
        """What the columns hold of a record."""
        held = [reference_value(r, references[r.name]) for r in self.references.values()]
        return [tenant, *held, *[read(own) for read in self.reads]]


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def reference_column(name: str) -> str:
    """Column of the stored reference `name`, quoted."""
    return quoted(f"r_{name}")


def property_column(path: tuple[str, ...]) -> str:
    """Column of an own property, quoted."""
    return quoted("p_" + "__".join(path))


def search_column(path: tuple[str, ...]) -> str:
    """Case-folded column of an own property, quoted."""
    return quoted("s_" + "__".join(path))


def reference_value(relation: Relation, reference: Reference | None) -> Any:
    """A reference as its column holds it."""
    if reference is None:
        return None
    return reference.key if len(relation.targets) == 1 else f"{reference.resource}/{reference.key}"


def reference_of(contract: Contract, relation: Relation, value: Any) -> Reference | None:
    """What a column holds, as a reference."""
    if value is None:
        return None
    if len(relation.targets) == 1:
        return Reference(relation.targets[0], value)
    resource, _, key = value.partition("/")
    return Reference(resource, int(key) if contract.resources[resource].has_integer_key else key)


def key_from(resource: Resource, sent: Any) -> Any:
    """A key that was sent, as the store holds it: UUIDs in small letters, integers as such; None for what is no key."""
    if resource.has_integer_key:
        if isinstance(sent, str):
            return int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 19 else None
        known = isinstance(sent, int) and not isinstance(sent, bool) and -(2**63) <= sent < 2**63
        return sent if known else None
    if not isinstance(sent, str):
        return None
    return sent.lower() if resource.attributes[resource.key_attribute].format == "uuid" else sent


def literal(value: Any) -> str:
    """An SQL literal of a value that the contract says."""
    if value is None:
        return "NULL"
    if isinstance(value, (int, float)):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


def one_of(path: tuple[str, ...], values: Iterable[Any]) -> str:
    """SQL that holds where an own property has one of the values that the contract says; null among them too."""
    column = property_column(path)
    said = list(values)
    listed = ", ".join(literal(value) for value in said if value is not None)
    return f"({column} IN ({listed}){f' OR {column} IS NULL' if None in said else ''})"


def comparable(value: Any, format_: str | None) -> Any:
    """A JSON value as a column holds it, so that SQL's order is the value's order."""
    if isinstance(value, str):
        return instant(value) if format_ == "date-time" else value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return orjson.dumps([listed(item) for item in value]).decode()
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(max(-(10**300), min(value, 10**300)))
    return value


def listed(value: Any) -> Any:
    """A value as it stands in a list's column: without NUL, where SQLite would end the text of a JSON array's item."""
    if not isinstance(value, str) or ("\0" not in value and "\\" not in value):
        return value
    return value.replace("\\", "\\\\").replace("\0", "\\0")


def instant(text: str) -> str:
    """An RFC 3339 date-time in UTC with microseconds, so that texts compare as instants do."""
    if _NORMAL.fullmatch(text):
        return text  # as the mock itself writes them
    try:
        at = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        return text  # a leap second, say: kept as it is
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    try:
        at = at.astimezone(UTC)
    except OverflowError:  # the first or last hours of the calendar, seen from another zone
        at = FIRST if at.year == 1 else LAST
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def folded(value: Any) -> str | None:
    """A text as search compares it."""
    return value.casefold() if isinstance(value, str) else None


def at_path(own: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The value of a (nested) own property, None where there is none."""
    value: Any = own
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _property(path: tuple[str, ...], format_: str | None) -> Read:
    if len(path) == 1:
        return lambda own: comparable(own.get(path[0]), format_)
    return lambda own: comparable(at_path(own, path), format_)


def _searched(path: tuple[str, ...]) -> Read:
    return lambda own: folded(at_path(own, path))


def tables(contract: Contract) -> dict[str, Table]:
    """A table for each resource, by the resource's name."""
    properties: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in contract.resources}
    searched: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in contract.resources}
    for resource, path, search in _asked(contract):
        if search:
            searched[resource][search_column(path)] = path
        else:
            properties[resource][property_column(path)] = path
    return {
        name: Table.of(
            resource,
            properties[name],
            searched[name],
            {
                r.name: Link(quoted(f"{name}.{r.name}"), r, _followed(contract, name, r.name))
                for r in resource.relations.values()
                if r.is_stored and r.to_many
            },
        )
        for name, resource in contract.resources.items()
    }


def _followed(contract: Contract, resource: str, relation: str) -> bool:
    found = (r for other in contract.resources.values() for r in other.relations.values())
    return any(r.inverse == relation and resource in r.targets for r in found)


def _asked(contract: Contract) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """(resource, path of an own property, whether searched) of everything that SQL must see."""
    for resource in contract.resources.values():
        yield from ((resource.name, (name,), False) for name in _asked_by_itself(resource))
    for view in contract.views.values():
        resource = contract.resources[view.resource]
        for derived in view.derived_properties.values():
            yield from _asked_by_derived(contract, resource, derived)
    for operation in contract.operations.values():
        if operation.resource is None:
            continue
        resource = contract.resources[operation.resource]
        fields = operation.request_body.fields.values() if operation.request_body else ()
        for item in (*operation.parameters, *fields):
            if item.x_query:
                yield from _asked_by_word(contract, resource, item.x_query, item.schema)


def _asked_by_itself(resource: Resource) -> Iterator[str]:
    """Names of own properties that the resource's own words compare."""
    for stamp in ("created", "updated"):
        yield from resource.attributes_with_stamp(stamp)
    yield from resource.public_when
    if resource.credentials:
        yield resource.credentials.login
    if resource.access_grant:
        yield resource.access_grant.permission


def _asked_by_derived(
    contract: Contract, resource: Resource, derived: DerivedProperty
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    for part in derived.parts.values():
        yield from _asked_by_derived(contract, resource, part)
    if derived.kind in ("count", "sum", "max"):
        for target in resource.relations[derived.path[0]].targets:
            yield from ((target, (name,), False) for name in derived.where)
            if len(derived.path) > 1:
                yield target, derived.path[1:], False


def _asked_by_word(
    contract: Contract, resource: Resource, word: QueryExtension, schema: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    if word.role in ("filter", "search"):
        for path in word.paths:
            _, end, own = resolve_property_path(contract, resource, path, "")
            if own and not (word.role == "filter" and own == (end.key_attribute,)):
                yield end.name, own, word.role == "search"
    elif word.role == "sort":
        yield from ((resource.name, (name,), False) for name in schema.get("enum", ()) if name in resource.attributes)


def ddl(contract: Contract) -> Iterator[str]:
    """The statements that make an empty store."""
    for table in tables(contract).values():
        key = "INTEGER" if table.resource.has_integer_key else "TEXT"
        columns = ["n INTEGER PRIMARY KEY AUTOINCREMENT", f"key {key} NOT NULL UNIQUE", "tenant", "own BLOB NOT NULL"]
        columns += [*table.references, *table.properties, *table.searched]
        yield f"CREATE TABLE {table.name} ({', '.join(columns)})"
        yield from _indexes(table)
        for link in table.links.values():
            listed = "owner, position INTEGER, target, PRIMARY KEY (owner, position)"
            yield f"CREATE TABLE {link.name} ({listed}) WITHOUT ROWID"
            index = quoted(f"{table.resource.name}.{link.relation.name} target")
            yield f"CREATE INDEX {index} ON {link.name} (target, owner)"
    yield "CREATE TABLE _meta (name TEXT PRIMARY KEY, value TEXT)"
    yield "CREATE TABLE _tokens (token TEXT PRIMARY KEY, user, expires TEXT)"
    yield "CREATE TABLE _due (id INTEGER PRIMARY KEY, at TEXT, resource TEXT, key, changes TEXT)"
    yield "CREATE INDEX _due_at ON _due (at)"


def _indexes(table: Table) -> Iterator[str]:
    """What lists are narrowed by, each in the default order (newest first) and by each sortable property."""
    name = table.resource.name
    created = [property_column((c,)) for c in table.resource.attributes_with_stamp("created")[:1]]
    newest = "".join(f"{column} DESC, " for column in created)
    for column in ("tenant", *table.references):
        yield f"CREATE INDEX {quoted(f'{name} {column} newest')} ON {table.name} ({column}, {newest}key)"
    in_order = []
    if newest and table.resource.tenant_path:  # for who sees several tenants: the order first
        yield f"CREATE INDEX {quoted(f'{name} newest')} ON {table.name} ({newest}key, tenant)"
        in_order = created  # read from its end it is the order of this property too; equal ones are sorted
    for column in table.properties:
        if column not in in_order:
            yield f"CREATE INDEX {quoted(f'{name} {column}')} ON {table.name} ({column}, key)"
