"""Database schema of a contract: a table for each resource and for each stored list of references, with indexes.

The columns of a resource's table:

    n           number, in the order of creation; never reused
    key         the record's key
    own         the record's attributes as JSON
    tenant      key of the record's tenant, see `tenancy`; NULL if it has none
    r_<x>       stored reference `x`: the key, or ``Resource/key`` if the relation has several targets
    p_<x>       attribute `x` that is filtered, sorted, counted or compared by (``a__b``: nested)
    s_<x>       attribute `x` that is searched, case folded
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from mock_server.store.errors import StoreFailure
from spec.extensions import QueryExtension, split_sort_name
from spec.model import BodyField, Contract, DerivedProperty, Parameter, Relation, Resource
from spec.property_paths import resolve_property_path
from spec.record import Reference

Attributes = Mapping[str, Any]
References = Mapping[str, Reference | None]
RelationValue = Reference | tuple[Reference, ...] | None
PropertyPath = tuple[str, ...]
Extractor = Callable[[Attributes], Any]  # returns the value of a column
_Column = tuple[str, PropertyPath, bool]  # resource, attribute path, whether it is searched

_NORMALIZED_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
MIN_DATETIME = datetime(1, 1, 1, tzinfo=UTC)
MAX_DATETIME = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LinkTable:
    """The table of a stored list of references: owner, position, target. `has_inverse`: has an inverse relation."""

    name: str
    relation: Relation
    has_inverse: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One resource's table. `attribute_columns` and `search_columns`: column name -> path of the attribute.

    `columns`: tenant, reference, attribute and search columns; `extractors`: for the last two kinds. `insert_sql`
    inserts n, key, own and `columns`. `number_attribute`: the attribute that holds a record's number.
    """

    resource: Resource
    name: str
    reference_columns: Mapping[str, Relation]
    attribute_columns: Mapping[str, PropertyPath]
    search_columns: Mapping[str, PropertyPath]
    links: Mapping[str, LinkTable]
    columns: tuple[str, ...]
    insert_sql: str
    extractors: tuple[Extractor, ...]
    number_attribute: str | None

    @classmethod
    def from_resource(
        cls,
        resource: Resource,
        attribute_columns: Mapping[str, PropertyPath],
        search_columns: Mapping[str, PropertyPath],
        links: Mapping[str, LinkTable],
    ) -> "Table":
        reference_columns = {
            reference_column(relation.name): relation
            for relation in resource.relations.values()
            if relation.is_stored and not relation.to_many
        }
        columns = ("tenant", *reference_columns, *attribute_columns, *search_columns)
        extractors = (
            *(_create_attribute_extractor(resource, path) for path in attribute_columns.values()),
            *(_create_search_extractor(path) for path in search_columns.values()),
        )
        number_attribute = next(iter(resource.attributes_with_stamp("number")), None)
        name, placeholders = quote_identifier(resource.name), ", ".join("?" * len(columns))
        insert_sql = f"INSERT INTO {name} (n, key, own, {', '.join(columns)}) VALUES (?, ?, ?, {placeholders})"
        mappings = (reference_columns, attribute_columns, search_columns, links)
        return cls(resource, name, *mappings, columns, insert_sql, extractors, number_attribute)

    def column_values(self, tenant_key: Any, references: References, attributes: Attributes) -> list[Any]:
        encoded = [
            encode_reference(relation, references[relation.name]) for relation in self.reference_columns.values()
        ]
        return [tenant_key, *encoded, *[extract(attributes) for extract in self.extractors]]

    def find_column(self, name: str) -> str | None:
        """Return the column of a stored reference or of an attribute (nested: with dots); None without its own one."""
        candidates = (reference_column(name), attribute_column(tuple(name.split("."))))
        return next((column for column in candidates if column in self.columns), None)


Tables = Mapping[str, Table]


def quote_identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def reference_column(name: str) -> str:
    """Return the column of the stored reference `name`, quoted."""
    return quote_identifier(f"r_{name}")


def attribute_column(path: PropertyPath) -> str:
    """Return the column of an attribute, quoted."""
    return quote_identifier("p_" + "__".join(path))


def search_column(path: PropertyPath) -> str:
    """Return the case-folded column of an attribute, quoted."""
    return quote_identifier("s_" + "__".join(path))


def encode_reference(relation: Relation, reference: Reference | None) -> Any:
    """Convert a reference to the value of its column."""
    if reference is None:
        return None
    return reference.key if len(relation.targets) == 1 else f"{reference.resource}/{reference.key}"


def decode_reference(contract: Contract, relation: Relation, value: Any) -> Reference | None:
    """Convert the value of a column to a reference. Raises StoreFailure if the value is damaged."""
    if value is None:
        return None
    if len(relation.targets) == 1:
        return Reference(relation.targets[0], value)
    try:
        resource, _, key = value.partition("/")
        return Reference(resource, int(key) if contract.resources[resource].has_integer_key else key)
    except (AttributeError, TypeError, KeyError, ValueError):
        expected = " or ".join(f"{target}/KEY" for target in relation.targets)
        raise StoreFailure(f"relation {relation.name}: got the reference {value!r}, expected {expected}") from None


def build_reference_sql(relation: Relation, resource: str, key_sql: str = "key") -> str:
    """Build the SQL of a reference to a record of a resource, in the form that the column of `relation` stores."""
    return f"{to_sql_literal(resource + '/')} || {key_sql}" if len(relation.targets) > 1 else key_sql


def parse_key(resource: Resource, value: Any) -> Any:
    """Convert a key from a request to the stored form: lower-case UUID, integer or text; None if it is not a key."""
    if resource.has_integer_key:
        if isinstance(value, str):
            return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
        is_valid = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        return value if is_valid else None
    if not isinstance(value, str):
        return None
    return value.lower() if resource.attributes[resource.key_attribute].format == "uuid" else value


def to_sql_literal(value: Any) -> str:
    """Convert a value from the contract to an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, (int, float)):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


def build_in_sql(path: PropertyPath, values: Iterable[Any]) -> str:
    """Build the SQL condition that an attribute has one of the values from the contract, which may include null."""
    column = attribute_column(path)
    all_values = list(values)
    literals = ", ".join(to_sql_literal(value) for value in all_values if value is not None)
    return f"({column} IN ({literals}){f' OR {column} IS NULL' if None in all_values else ''})"


def to_comparable(value: Any, format_: str | None) -> Any:
    """Convert a JSON value to the value of a column, so that SQL's order is the order of the values."""
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
    """Escape NUL in an item of a list's column: SQLite would end the text of a JSON array's item there."""
    if not isinstance(value, str) or ("\0" not in value and "\\" not in value):
        return value
    return value.replace("\\", "\\\\").replace("\0", "\\0")


def normalize_datetime(text: str) -> str:
    """Convert an RFC 3339 date-time to UTC with microseconds, so that texts compare like instants."""
    if _NORMALIZED_DATETIME.fullmatch(text):
        return text  # the format that the mock writes
    try:
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        return text  # a leap second, for example: not converted
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:  # the first or last hours of the calendar in another time zone
        moment = MIN_DATETIME if moment.year == 1 else MAX_DATETIME
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def fold_case(value: Any) -> str | None:
    """Fold the case of a text for search."""
    return value.casefold() if isinstance(value, str) else None


def get_nested(attributes: Attributes, path: PropertyPath) -> Any:
    """Return the value of a (nested) attribute, None if it is missing."""
    value: Any = attributes
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _create_attribute_extractor(resource: Resource, path: PropertyPath) -> Extractor:
    if len(path) == 1:
        format_ = resource.attributes[path[0]].format
        return lambda attributes: to_comparable(attributes.get(path[0]), format_)
    return lambda attributes: to_comparable(get_nested(attributes, path), None)


def _create_search_extractor(path: PropertyPath) -> Extractor:
    return lambda attributes: fold_case(get_nested(attributes, path))


def build_tables(contract: Contract) -> dict[str, Table]:
    """Build the table of each resource, by the resource's name."""
    attribute_columns: dict[str, dict[str, PropertyPath]] = {name: {} for name in contract.resources}
    search_columns: dict[str, dict[str, PropertyPath]] = {name: {} for name in contract.resources}
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


def _iter_column_paths(contract: Contract) -> Iterator[_Column]:
    """Yield (resource, attribute path, whether it is searched) for each attribute that needs a column."""
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
        sources: tuple[Parameter | BodyField, ...] = (*operation.parameters, *operation.body_fields.values())
        for source in sources:
            if source.x_query:
                yield from _iter_query_columns(contract, resource, source.x_query, source.schema)


def _iter_resource_attributes(resource: Resource) -> Iterator[str]:
    """Yield the attributes that the specification extensions of a resource compare."""
    for stamp in ("created", "updated"):
        yield from resource.attributes_with_stamp(stamp)
    yield from resource.public_when
    if resource.credentials:
        yield resource.credentials.login
    if resource.access_grant:
        yield resource.access_grant.permission


def _iter_derived_columns(contract: Contract, resource: Resource, derived: DerivedProperty) -> Iterator[_Column]:
    for part in derived.parts.values():
        yield from _iter_derived_columns(contract, resource, part)
    if derived.kind in ("count", "sum", "max"):
        for target in resource.relations[derived.path[0]].targets:
            yield from ((target, (name,), False) for name in derived.where)
            if len(derived.path) > 1:
                yield target, derived.path[1:], False


def _iter_query_columns(
    contract: Contract, resource: Resource, x_query: QueryExtension, schema: Mapping[str, Any]
) -> Iterator[_Column]:
    if x_query.role in ("filter", "search"):
        for path in x_query.paths:
            _, target, attribute_path = resolve_property_path(contract, resource, path, "")
            if attribute_path and not (x_query.role == "filter" and attribute_path == (target.key_attribute,)):
                yield target.name, attribute_path, x_query.role == "search"
    elif x_query.role == "sort":
        names = dict.fromkeys(split_sort_name(value)[0] for value in schema.get("enum", ()))
        yield from ((resource.name, (name,), False) for name in names if name in resource.attributes)


_DDL_NAME = re.compile(r'CREATE (TABLE|INDEX) (?:"((?:[^"]|"")+)"|(\w+))')


def parse_ddl(statement: str) -> tuple[str, str]:
    """Return (``table`` or ``index``, name) of a statement of `build_ddl`."""
    match = _DDL_NAME.match(statement)
    assert match is not None
    return match[1].lower(), match[3] or match[2].replace('""', '"')


def build_ddl(contract: Contract) -> Iterator[str]:
    """Yield the statements that create an empty store."""
    for table in build_tables(contract).values():
        key_type = "INTEGER" if table.resource.has_integer_key else "TEXT"
        columns = ["n INTEGER PRIMARY KEY AUTOINCREMENT", f"key {key_type} NOT NULL UNIQUE", "own BLOB NOT NULL"]
        columns += table.columns
        yield f"CREATE TABLE {table.name} ({', '.join(columns)})"
        yield from _build_index_statements(table)
        for link in table.links.values():
            link_columns = "owner, position INTEGER, target, PRIMARY KEY (owner, position)"
            yield f"CREATE TABLE {link.name} ({link_columns}) WITHOUT ROWID"
            index_name = quote_identifier(f"{table.resource.name}.{link.relation.name} target")
            yield f"CREATE INDEX {index_name} ON {link.name} (target, owner)"
    yield "CREATE TABLE _meta (name TEXT PRIMARY KEY, value TEXT)"
    yield "CREATE TABLE _tokens (token TEXT PRIMARY KEY, user, expires TEXT)"
    yield "CREATE TABLE _scheduled_changes (id INTEGER PRIMARY KEY, at TEXT, resource TEXT, key, changes TEXT)"
    yield "CREATE INDEX _scheduled_changes_at ON _scheduled_changes (at)"


def _build_index_statements(table: Table) -> Iterator[str]:
    """Yield the indexes for the filters of lists, in the default order (newest first), and for sortable attributes."""
    name = table.resource.name
    created_columns = [attribute_column((created,)) for created in table.resource.attributes_with_stamp("created")[:1]]
    created_order = "".join(f"{column} DESC, " for column in created_columns)
    for column in ("tenant", *table.reference_columns):
        index_name = quote_identifier(f"{name} {column} newest")
        yield f"CREATE INDEX {index_name} ON {table.name} ({column}, {created_order}key)"
    indexed_columns = []
    if created_order and table.resource.tenant_path:  # for viewers with several tenants
        yield f"CREATE INDEX {quote_identifier(f'{name} newest')} ON {table.name} ({created_order}key, tenant)"
        indexed_columns = created_columns  # the index, read backwards, sorts by this column too
    for column in table.attribute_columns:
        if column not in indexed_columns:
            yield f"CREATE INDEX {quote_identifier(f'{name} {column}')} ON {table.name} ({column}, key)"


def read_last_numbers(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the last number of each resource that had a record, by name."""
    # SQLite creates the table with the first table of a resource.
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        return {}
    return dict(connection.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name"))
