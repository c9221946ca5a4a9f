"""The museum contract, Hypothesis strategies for its records, and a plain-Python model of the store.

The model keeps records in a dictionary and scans it for each read. Tests compare it with the SQL of the real store.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from mock_server.query import Query, QueryArgument, ResultPage, Viewer
from mock_server.sandbox.clock import Clock
from mock_server.sandbox.sandbox import Sandbox
from spec.loader import load_contract
from spec.model import Contract, DerivedProperty, Relation, Resource
from spec.record import Record, Reference
from spec.validators import SchemaValidators

MUSEUM = Path(__file__).parents[1] / "foreign" / "museum.yaml"
NOON = "2024-05-01T12:00:00.000000Z"

References = Mapping[str, Reference | tuple[Reference, ...] | None]


@cache
def museum() -> Contract:
    """Load the museum contract, once."""
    return load_contract(MUSEUM)


def fetch_page(query: Query, resource: Resource, arguments: Iterable[QueryArgument]) -> ResultPage:
    """Run a list query and return the requested page."""
    return query.fetch_page(query.create_list_query(resource, arguments))


def create_sandbox(store: Any, clock: Clock) -> Sandbox:
    """Create a sandbox of the museum contract with the given store."""
    return Sandbox(museum(), SchemaValidators.from_document(museum().document), store, clock, 7)


# Strategies ---------------------------------------------------------------------------------------------------------

# Few values, so that records have equal ones. They include unusual case folding and fragments of SQL and JSON.
TEXTS = (
    "a",
    "A",
    "b",
    "straße",
    "STRASSE",
    "İstanbul",
    "ΣΊΣΥΦΟΣ",
    "σίσυφος",
    "%_'\"",
    "\x00x",
    "Room/7",
    "null",
    "",
    "9",
)
INSTANTS = (
    None,
    "2024-01-15T10:30:00.000000Z",
    "2024-01-15T10:30:00Z",
    "2024-01-15T12:30:00+02:00",
    "2024-01-15T23:59:59.999999Z",
    "2024-01-16T01:00:00+03:00",
    "2024-01-16T00:00:00z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
)
DATES = (None, "1999-12-31", "2024-01-15", "2024-01-16")
# With NUL, because SQLite truncates an item of a JSON array there.
TAGS = ("a", "A", "ß", "'", '"', "1", "true", "\\", "é\x7f", "\0", "a\0", "a\0b", "a\\0", "\\\\")
WEIGHTS = (None, 0, 1, 1.5, -2, 2, 10**6)

texts = st.sampled_from(TEXTS)

# Resource -> attribute -> values. Keys and numbers are added by `records`.
ATTRIBUTE_STRATEGIES: Mapping[str, Mapping[str, st.SearchStrategy[Any]]] = {
    "Person": {"name": texts, "email": st.just("p@example.org"), "password": st.just("password")},
    "Museum": {"name": texts},
    "Room": {
        "name": texts,
        "floor": st.integers(-2, 2),
        "motto": st.none() | texts,
        "open": st.booleans(),
        "created_at": st.sampled_from(INSTANTS[1:4]),
        "updated_at": st.just(NOON),
    },
    "Exhibit": {
        "title": texts,
        "weight": st.sampled_from(WEIGHTS),
        "kind": st.sampled_from(("painting", "statue", "photograph")),
        "lit": st.booleans(),
        "tags": st.lists(st.sampled_from(TAGS), max_size=3),
        "place": st.none() | st.fixed_dictionaries({}, optional={"wall": st.sampled_from(("north", "NORTH", "1"))}),
        "made": st.sampled_from(DATES),
        "shown_at": st.sampled_from(INSTANTS),
        "created_at": st.sampled_from(INSTANTS[1:4]),
    },
    "Artist": {"name": texts},
    "Label": {"text": texts},
    "Note": {"text": texts},
    "Pass": {"permission": st.sampled_from(("read", "write"))},
}
OPTIONAL_ATTRIBUTES = frozenset({"motto", "place"})
NULLABLE_RELATIONS = frozenset({"home", "keeper", "parent", "curator", "director"})


@st.composite
def attribute_values(draw: st.DrawFn, resource: str) -> dict[str, Any]:
    """Draw the attributes of a record, except its key and number. A quarter of the optional ones are absent."""
    return {
        name: draw(values)
        for name, values in ATTRIBUTE_STRATEGIES[resource].items()
        if name not in OPTIONAL_ATTRIBUTES or draw(st.integers(0, 3))
    }


@st.composite
def relation_values(draw: st.DrawFn, relation: Relation, existing: list[Reference]) -> Any:
    """Draw the value of a stored relation: a tuple of existing records, or one of them or None."""
    targets = [reference for reference in existing if reference.resource in relation.targets]
    if relation.to_many:
        return tuple(draw(st.lists(st.sampled_from(targets), max_size=3, unique=True))) if targets else ()
    if not targets or (relation.name in NULLABLE_RELATIONS and draw(st.integers(0, 2)) == 0):
        return None
    return draw(st.sampled_from(targets))


ARTIST_KEYS = ("7", "007", "1", "²", "a/b", "it's")  # any text may be the key of an artist


@st.composite
def records(draw: st.DrawFn, resource: str, number: int, existing: list[Reference]) -> Record:
    """Draw a valid record. `number`: its position in the order of creation, from 1. It refers to `existing` records."""
    definition = museum().resources[resource]
    attributes = draw(attribute_values(resource))
    key: Any = number if definition.has_integer_key else f"{resource[0].lower()}{number}"
    if resource == "Artist" and number <= len(ARTIST_KEYS):
        key = ARTIST_KEYS[number - 1]
    attributes[definition.key_attribute] = key
    for name in definition.attributes_with_stamp("number"):
        attributes[name] = number
    relations = [relation for relation in definition.relations.values() if relation.is_stored]
    return Record(resource, key, attributes, {r.name: draw(relation_values(r, existing)) for r in relations})


@st.composite
def datasets(draw: st.DrawFn, max_records: int = 5) -> list[Record]:
    """Draw 1 to `max_records` records of each resource (twice for rooms), referenced records first.

    Museums and people refer to each other: the directors and members of museums are set at the end.
    """
    dataset: list[Record] = []
    for resource in ("Museum", "Person", "Room", "Room", "Artist", "Exhibit", "Label", "Note", "Pass"):
        for _ in range(draw(st.integers(1, max_records))):
            existing = [Reference(r.resource, r.key) for r in dataset]
            number = 1 + sum(r.resource == resource for r in dataset)
            dataset.append(draw(records(resource, number, existing)))
    people = [Reference(r.resource, r.key) for r in dataset if r.resource == "Person"]
    museums = [
        Record(r.resource, r.key, r.attributes, {"director": people[i % len(people)], "members": tuple(people[i::2])})
        for i, r in enumerate(r for r in dataset if r.resource == "Museum")
    ]
    return [*museums, *(r for r in dataset if r.resource != "Museum")]


# The model ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class MuseumRecord:
    """A record of the model. `number`: its position among the records of its resource, in the order of creation."""

    number: int
    attributes: dict[str, Any]
    references: dict[str, Any]


@dataclass(slots=True)
class MuseumModel:
    """A store as one dictionary. `numbers`: the last number of each resource."""

    entries: dict[Reference, MuseumRecord] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "MuseumModel":
        """Copy the model; neither copy sees the later writes of the other."""
        entries = {k: MuseumRecord(e.number, dict(e.attributes), dict(e.references)) for k, e in self.entries.items()}
        return MuseumModel(entries, dict(self.numbers))

    # Writes

    def add(self, record: Record) -> None:
        """Add a record with the next number."""
        number = self.numbers[record.resource] = self.numbers.get(record.resource, 0) + 1
        self.entries[Reference(record.resource, record.key)] = MuseumRecord(
            number, dict(record.attributes), dict(record.references)
        )

    def update(self, reference: Reference, attributes: Mapping[str, Any], references: References) -> None:
        """Replace all attributes of a record, and the given references."""
        entry = self.entries[reference]
        entry.attributes = dict(attributes)
        entry.references.update(references)

    def find_referrers(self, targets: Iterable[Reference], on_delete: str) -> list[tuple[Reference, str]]:
        """Return (record, relation) of all references to `targets` by relations with an on-delete rule."""
        target_set = set(targets)
        return [
            (reference, relation.name)
            for reference, entry in self.entries.items()
            for relation in museum().resources[reference.resource].relations.values()
            if relation.on_delete == on_delete and target_set & set(as_list(entry.references.get(relation.name)))
        ]

    def delete(self, reference: Reference) -> bool:
        """Delete a record and apply the on-delete rules. Returns False, without changes, if a rule forbids it."""
        deleted = {reference}
        while cascade := {referrer for referrer, _ in self.find_referrers(deleted, "cascade")} - deleted:
            deleted |= cascade
        if {referrer for referrer, _ in self.find_referrers(deleted, "refuse")} - deleted:
            return False
        for referrer, name in self.find_referrers(deleted, "clear"):
            value = self.entries[referrer].references[name]
            remaining = tuple(r for r in as_list(value) if r not in deleted)
            is_list = isinstance(value, tuple) and not isinstance(value, Reference)
            self.entries[referrer].references[name] = remaining if is_list else None
        for record in deleted:
            del self.entries[record]
        return True

    # Reads

    def list_references(self, resource: str) -> list[Reference]:
        """List the records of a resource, oldest first."""
        references = [reference for reference in self.entries if reference.resource == resource]
        return sorted(references, key=lambda reference: self.entries[reference].number)

    def find_related(self, reference: Reference, name: str) -> list[Reference]:
        """Return the targets of a relation: a stored list in its order, an inverse relation oldest first."""
        relation = museum().resources[reference.resource].relations[name]
        if relation.inverse is None:
            targets = as_list(self.entries[reference].references.get(name))
            return [target for target in targets if target in self.entries]
        return [
            referrer
            for resource in relation.targets
            for referrer in self.list_references(resource)
            if reference in as_list(self.entries[referrer].references.get(relation.inverse))
        ]

    def find_values(
        self, reference: Reference, path: tuple[str, ...], viewer: Viewer | None = None, *, is_key_known: bool = False
    ) -> list[Any]:
        """Return all values, except null, at the end of a path of relations and (nested) attributes.

        A path without an attribute ends at records; their references are the values. Only records that the viewer may
        see are read, except with `is_key_known` the key of a record to which a stored relation refers.
        """
        if not path:
            return [reference]
        definition = museum().resources[reference.resource]
        if path[0] in definition.relations:
            relation, targets = definition.relations[path[0]], self.find_related(reference, path[0])
            is_key = path[1:] == (museum().resources[relation.targets[0]].key_attribute,)
            is_in_column = relation.is_stored and not relation.to_many and len(relation.targets) == 1
            if not (is_key_known and is_key and is_in_column):
                targets = [target for target in targets if self.is_visible(viewer, target)]
            values = (self.find_values(target, path[1:], viewer, is_key_known=is_key_known) for target in targets)
            return [value for target_values in values for value in target_values]
        value: Any = self.entries[reference].attributes
        for part in path:
            if not isinstance(value, dict) or part not in value:
                return []
            value = value[part]
        return [] if value is None else [value]

    def compute_derived(self, reference: Reference, derived: DerivedProperty, viewer: Viewer | None) -> Any:
        """Compute the value of a derived property for a viewer."""
        if derived.kind == "group":
            return {name: self.compute_derived(reference, part, viewer) for name, part in derived.parts.items()}
        if derived.kind == "viewer":
            return bool(viewer and self.find_owner_key(reference) == viewer.user_key)
        if derived.kind == "number":
            targets = self.find_values(reference, derived.path)
            return self.entries[targets[0]].number if targets else None
        if derived.kind == "from":
            return next(iter(self.find_values(reference, derived.path)), None)
        members = [
            self.entries[r]
            for r in dict.fromkeys(self.find_related(reference, derived.path[0]))
            if self.is_visible(viewer, r)
            and all(self.entries[r].attributes.get(name) in values for name, values in derived.where.items())
        ]
        if derived.kind == "count":
            return len(members)
        values = [v for m in members if (v := m.attributes.get(derived.path[1])) is not None]
        return sum(values) if derived.kind == "sum" else max(values, key=to_instant, default=None)

    def find_owner_key(self, reference: Reference) -> Any:
        """Return the key of a record's owner; None if it has none."""
        path = museum().resources[reference.resource].owner_path
        owners = self.find_values(reference, path) if path else []
        return owners[0].key if owners else None

    def find_tenant_key(self, reference: Reference) -> Any:
        """Return the key of a record's tenant; None if it has none."""
        definition = museum().resources[reference.resource]
        if definition.members_relation:
            return reference.key
        tenants = self.find_values(reference, definition.tenant_path) if definition.tenant_path else []
        return tenants[0].key if tenants else None

    def is_visible(self, viewer: Viewer | None, reference: Reference) -> bool:
        """Whether the viewer may see a record. None sees everything."""
        definition = museum().resources[reference.resource]
        if viewer is None or not (definition.tenant_path or definition.members_relation):
            return True
        if self.find_tenant_key(reference) in viewer.tenant_keys:
            return True
        attributes = self.entries[reference].attributes
        conditions = definition.public_when
        if conditions and all(attributes.get(name) == value for name, value in conditions.items()):
            return True
        # A share of a record also covers the records whose tenant path leads through it.
        entities = {Reference("Person", viewer.user_key), *(Reference("Museum", t) for t in viewer.tenant_keys)}
        path = definition.tenant_path
        subjects = {reference, *(r for n in range(len(path)) for r in self.find_values(reference, path[: n + 1]))}
        shares = [self.entries[r].references for r in self.list_references("Pass")]
        return any(share["subject"] in subjects and share["entity"] in entities for share in shares)

    def is_outsider(self, viewer: Viewer | None, reference: Reference) -> bool:
        """Whether a record is a person who has no museum in common with the viewer."""
        if viewer is None or reference.resource != "Person":
            return False
        museums = [Reference("Museum", key) for key in viewer.tenant_keys]
        people = [self.find_related(m, name) for m in museums if m in self.entries for name in ("members", "director")]
        return reference not in (Reference("Person", viewer.user_key), *(r for group in people for r in group))

    def create_viewer(self, person: Reference) -> Viewer:
        """Create the viewer of a person: first the home museum, then the museums it is a member or director of."""
        home = [r.key for r in self.find_related(person, "home")]
        others = [
            m.key
            for m in self.list_references("Museum")
            if person in (*self.find_related(m, "members"), *self.find_related(m, "director"))
        ]
        return Viewer(person.key, tuple(dict.fromkeys([*home, *others])))


def as_list(value: Any) -> list[Reference]:
    """Convert the value of a relation (one reference, a tuple of them, or None) to a list."""
    if value is None:
        return []
    return [value] if isinstance(value, Reference) else list(value)


def to_instant(value: Any) -> Any:
    """Convert a date-time text to microseconds since the year 1, limited to the range of `datetime`.

    Other values are returned unchanged.
    """
    if not isinstance(value, str) or len(value) < 11 or value[10] not in "Tt":
        return value
    parsed = datetime.fromisoformat(value.upper().replace("Z", "+00:00"))
    local, offset = parsed.replace(tzinfo=UTC), parsed.utcoffset() or timedelta()
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    microsecond = timedelta(microseconds=1)
    return max(0, min((local - first) // microsecond - offset // microsecond, (last - first) // microsecond))
