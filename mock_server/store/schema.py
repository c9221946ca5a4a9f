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

from spec.extensions import QueryExtension
from spec.loader import Contract, DerivedProperty, Relation, Resource, resolve_property_path
from spec.record import Reference

# What a column holds of a record's own properties.
Extractor = Callable[[Mapping[str, Any]], Any]

_NORMALIZED_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
MIN_DATETIME = datetime(1, 1, 1, tzinfo=UTC)
MAX_DATETIME = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LinkTable:
    """The table of a stored list of references: owner, position, target. `has_inverse`: some inverse leads back by it."""

    name: str
    relation: Relation
    has_inverse: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One resource's table. `attribute_columns` and `search_columns`: column name -> path of the own property.

    `columns`: tenant, references, properties, searched. `extractors`: what the last two kinds hold. `insert_sql`: the statement
    that adds a row of n, key, own and these. `number_attribute`: the own property that holds a record's number.
    """

    resource: Resource
    name: str
    reference_columns: Mapping[str, Relation]
    attribute_columns: Mapping[str, tuple[str, ...]]
    search_columns: Mapping[str, tuple[str, ...]]
    links: Mapping[str, LinkTable]
    columns: tuple[str, ...]
    insert_sql: str
    extractors: tuple[Extractor, ...]
    number_attribute: str | None

    @classmethod
    def from_resource(
        cls,
        resource: Resource,
        attribute_columns: Mapping[str, tuple[str, ...]],
        search_columns: Mapping[str, tuple[str, ...]],
        links: Mapping[str, LinkTable],
    ) -> "Table":
        """The table of a resource."""
        reference_columns = {
            reference_column(relation.name): relation
            for relation in resource.relations.values()
            if relation.is_stored and not relation.to_many
        }
        columns = ("tenant", *reference_columns, *attribute_columns, *search_columns)
        formats = (
            (path, resource.attributes[path[0]].format if len(path) == 1 else None)
            for path in attribute_columns.values()
        )
        extractors = (
            *(_create_attribute_extractor(*path_and_format) for path_and_format in formats),
            *(_create_search_extractor(path) for path in search_columns.values()),
        )
        number_attribute = next(iter(resource.attributes_with_stamp("number")), None)
        name, placeholders = quote_identifier(resource.name), ", ".join("?" * len(columns))
        insert_sql = f"INSERT INTO {name} (n, key, own, {', '.join(columns)}) VALUES (?, ?, ?, {placeholders})"
        return cls(
            resource,
            name,
            reference_columns,
            attribute_columns,
            search_columns,
            links,
            columns,
            insert_sql,
            extractors,
            number_attribute,
        )

    def column_values(
        self, tenant_key: Any, references: Mapping[str, Reference | None], attributes: Mapping[str, Any]
    ) -> list[Any]:
        """What the columns hold of a record."""
        encoded_references = [
            encode_reference(relation, references[relation.name]) for relation in self.reference_columns.values()
        ]
        return [tenant_key, *encoded_references, *[extract(attributes) for extract in self.extractors]]


def quote_identifier(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def reference_column(name: str) -> str:
    """Column of the stored reference `name`, quoted."""
    return quote_identifier(f"r_{name}")


def attribute_column(path: tuple[str, ...]) -> str:
    """Column of an own property, quoted."""
    return quote_identifier("p_" + "__".join(path))


def search_column(path: tuple[str, ...]) -> str:
    """Case-folded column of an own property, quoted."""
    return quote_identifier("s_" + "__".join(path))


def encode_reference(relation: Relation, reference: Reference | None) -> Any:
    """A reference as its column holds it."""
    if reference is None:
        return None
    return reference.key if len(relation.targets) == 1 else f"{reference.resource}/{reference.key}"


def decode_reference(contract: Contract, relation: Relation, value: Any) -> Reference | None:
    """What a column holds, as a reference."""
    if value is None:
        return None
    if len(relation.targets) == 1:
        return Reference(relation.targets[0], value)
    resource, _, key = value.partition("/")
    return Reference(resource, int(key) if contract.resources[resource].has_integer_key else key)


def parse_key(resource: Resource, value: Any) -> Any:
    """A key that was sent, as the store holds it: UUIDs in small letters, integers as such; None for what is no key."""
    if resource.has_integer_key:
        if isinstance(value, str):
            return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
        is_valid = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        return value if is_valid else None
    if not isinstance(value, str):
        return None
    return value.lower() if resource.attributes[resource.key_attribute].format == "uuid" else value


def to_sql_literal(value: Any) -> str:
    """An SQL literal of a value that the contract says."""
    if value is None:
        return "NULL"
    if isinstance(value, (int, float)):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


def build_in_sql(path: tuple[str, ...], values: Iterable[Any]) -> str:
    """SQL that holds where an own property has one of the values that the contract says; null among them too."""
    column = attribute_column(path)
    all_values = list(values)
    literals = ", ".join(to_sql_literal(value) for value in all_values if value is not None)
    return f"({column} IN ({literals}){f' OR {column} IS NULL' if None in all_values else ''})"


def to_comparable(value: Any, format_: str | None) -> Any:
    """A JSON value as a column holds it, so that SQL's order is the value's order."""
    if isinstance(value, str):
        return normalize_datetime(value) if format_ == "date-time" else value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, list):
        return orjson.dumps([escape_list_item(item) for item in value]).decode()
    if isinstance(value, dict):
        return orjson.dumps(value).decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(max(-(10**300), min(value, 10**300)))
    return value


def escape_list_item(value: Any) -> Any:
    """A value as it stands in a list's column: without NUL, where SQLite would end the text of a JSON array's item."""
    if not isinstance(value, str) or ("\0" not in value and "\\" not in value):
        return value
    return value.replace("\\", "\\\\").replace("\0", "\\0")


def normalize_datetime(text: str) -> str:
    """An RFC 3339 date-time in UTC with microseconds, so that texts compare as instants do."""
    if _NORMALIZED_DATETIME.fullmatch(text):
        return text  # as the mock itself writes them
    try:
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        return text  # a leap second, say: kept as it is
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:  # the first or last hours of the calendar, seen from another zone
        moment = MIN_DATETIME if moment.year == 1 else MAX_DATETIME
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def fold_case(value: Any) -> str | None:
    """A text as search compares it."""
    return value.casefold() if isinstance(value, str) else None


def get_nested(attributes: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The value of a (nested) own property, None where there is none."""
    value: Any = attributes
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _create_attribute_extractor(path: tuple[str, ...], format_: str | None) -> Extractor:
    if len(path) == 1:
        return lambda attributes: to_comparable(attributes.get(path[0]), format_)
    return lambda attributes: to_comparable(get_nested(attributes, path), format_)


def _create_search_extractor(path: tuple[str, ...]) -> Extractor:
    return lambda attributes: fold_case(get_nested(attributes, path))


def build_tables(contract: Contract) -> dict[str, Table]:
    """A table for each resource, by the resource's name."""
    attribute_columns: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in contract.resources}
    search_columns: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in contract.resources}
    for resource, path, is_search in _iter_column_paths(contract):
        if is_search:
            search_columns[resource][search_column(path)] = path
        else:
            attribute_columns[resource][attribute_column(path)] = path
    return {
        name: Table.from_resource(
            resource,
            attribute_columns[name],
            search_columns[name],
            {
                relation.name: LinkTable(
                    quote_identifier(f"{name}.{relation.name}"), relation, _has_inverse(contract, name, relation.name)
                )
                for relation in resource.relations.values()
                if relation.is_stored and relation.to_many
            },
        )
        for name, resource in contract.resources.items()
    }


def _has_inverse(contract: Contract, resource: str, relation: str) -> bool:
    relations = (candidate for source in contract.resources.values() for candidate in source.relations.values())
    return any(candidate.inverse == relation and resource in candidate.targets for candidate in relations)


def _iter_column_paths(contract: Contract) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """(resource, path of an own property, whether searched) of everything that SQL must see."""
    for resource in contract.resources.values():
        yield from ((resource.name, (name,), False) for name in _iter_resource_attributes(resource))
    for view in contract.views.values():
        resource = contract.resources[view.resource]
        for derived_property in view.derived_properties.values():
            yield from _iter_derived_columns(contract, resource, derived_property)
    for operation in contract.operations.values():
        if operation.resource is None:
            continue
        resource = contract.resources[operation.resource]
        fields = operation.request_body.fields.values() if operation.request_body else ()
        for source in (*operation.parameters, *fields):
            if source.x_query:
                yield from _iter_query_columns(contract, resource, source.x_query, source.schema)


def _iter_resource_attributes(resource: Resource) -> Iterator[str]:
    """Names of own properties that the resource's own words compare."""
    for stamp in ("created", "updated"):
        yield from resource.attributes_with_stamp(stamp)
    yield from resource.public_when
    if resource.credentials:
        yield resource.credentials.login
    if resource.access_grant:
        yield resource.access_grant.permission


def _iter_derived_columns(
    contract: Contract, resource: Resource, derived_property: DerivedProperty
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    for part in derived_property.parts.values():
        yield from _iter_derived_columns(contract, resource, part)
    if derived_property.kind in ("count", "sum", "max"):
        for target in resource.relations[derived_property.path[0]].targets:
            yield from ((target, (name,), False) for name in derived_property.where)
            if len(derived_property.path) > 1:
                yield target, derived_property.path[1:], False


def _iter_query_columns(
    contract: Contract, resource: Resource, x_query: QueryExtension, schema: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    if x_query.role in ("filter", "search"):
        for path in x_query.paths:
            _, target, attribute_path = resolve_property_path(contract, resource, path, "")
            if attribute_path and not (x_query.role == "filter" and attribute_path == (target.key_attribute,)):
                yield target.name, attribute_path, x_query.role == "search"
    elif x_query.role == "sort":
        yield from ((resource.name, (name,), False) for name in schema.get("enum", ()) if name in resource.attributes)


def build_ddl(contract: Contract) -> Iterator[str]:
    """The statements that make an empty store."""
    for table in build_tables(contract).values():
        key_type = "INTEGER" if table.resource.has_integer_key else "TEXT"
        columns = [
            "n INTEGER PRIMARY KEY AUTOINCREMENT",
            f"key {key_type} NOT NULL UNIQUE",
            "tenant",
            "own BLOB NOT NULL",
        ]
        columns += [*table.reference_columns, *table.attribute_columns, *table.search_columns]
        yield f"CREATE TABLE {table.name} ({', '.join(columns)})"
        yield from _build_index_statements(table)
        for link in table.links.values():
            link_columns = "owner, position INTEGER, target, PRIMARY KEY (owner, position)"
            yield f"CREATE TABLE {link.name} ({link_columns}) WITHOUT ROWID"
            index_name = quote_identifier(f"{table.resource.name}.{link.relation.name} target")
            yield f"CREATE INDEX {index_name} ON {link.name} (target, owner)"
    yield "CREATE TABLE _meta (name TEXT PRIMARY KEY, value TEXT)"
    yield "CREATE TABLE _tokens (token TEXT PRIMARY KEY, user, expires TEXT)"
    yield "CREATE TABLE _due (id INTEGER PRIMARY KEY, at TEXT, resource TEXT, key, changes TEXT)"
    yield "CREATE INDEX _due_at ON _due (at)"


def _build_index_statements(table: Table) -> Iterator[str]:
    """What lists are narrowed by, each in the default order (newest first) and by each sortable property."""
    name = table.resource.name
    created_columns = [
        attribute_column((name_of_attribute,))
        for name_of_attribute in table.resource.attributes_with_stamp("created")[:1]
    ]
    created_order = "".join(f"{column} DESC, " for column in created_columns)
    for column in ("tenant", *table.reference_columns):
        yield f"CREATE INDEX {quote_identifier(f'{name} {column} newest')} ON {table.name} ({column}, {created_order}key)"
    indexed_columns = []
    if created_order and table.resource.tenant_path:  # for who sees several tenants: the order first
        yield f"CREATE INDEX {quote_identifier(f'{name} newest')} ON {table.name} ({created_order}key, tenant)"
        indexed_columns = (
            created_columns  # read from its end it is the order of this property too; equal ones are sorted
        )
    for column in table.attribute_columns:
        if column not in indexed_columns:
            yield f"CREATE INDEX {quote_identifier(f'{name} {column}')} ON {table.name} ({column}, key)"
