"""The museum's contract, and a plain-Python model of a store for comparison.

The model stores records in a dictionary and scans it for every read: slow, and too simple to have the same errors as
the SQL.
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
    """Return the museum's contract, loaded once."""
    return load_contract(MUSEUM)


def fetch_page(query: Query, resource: Resource, words: Iterable[QueryArgument]) -> ResultPage:
    """Return a page of a query."""
    return query.fetch_page(query.create_list_query(resource, words))


def create_sandbox(store: Any, clock: Clock) -> Sandbox:
    """Create a sandbox of the museum on a store."""
    return Sandbox(museum(), SchemaValidators.from_document(museum().document), store, clock, 7)


# Values -------------------------------------------------------------------------------------------------------------

# Few and similar values: ties, texts with unusual case folding, and texts that resemble SQL or JSON.
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
# SQLite ends the text of a JSON array's item at NUL.
TAGS = ("a", "A", "ß", "'", '"', "1", "true", "\\", "é\x7f", "\0", "a\0", "a\0b", "a\\0", "\\\\")
WEIGHTS = (None, 0, 1, 1.5, -2, 2, 10**6)

texts = st.sampled_from(TEXTS)

OWN: Mapping[str, Mapping[str, st.SearchStrategy[Any]]] = {
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
# An attribute that a record may lack.
LACKING = frozenset({"motto", "place"})
NULLABLE = frozenset({"home", "keeper", "parent", "curator", "director"})


@st.composite
def attribute_values(draw: st.DrawFn, resource: str) -> dict[str, Any]:
    """Draw attributes of a record without key and number."""
    return {
        name: draw(values) for name, values in OWN[resource].items() if name not in LACKING or draw(st.integers(0, 3))
    }


@st.composite
def references_for(draw: st.DrawFn, relation: Relation, known: list[Reference]) -> Any:
    """Draw the value of a stored relation from existing records; None if there is none."""
    fitting = [reference for reference in known if reference.resource in relation.targets]
    if relation.to_many:
        return tuple(draw(st.lists(st.sampled_from(fitting), max_size=3, unique=True))) if fitting else ()
    if not fitting or (relation.name in NULLABLE and draw(st.integers(0, 2)) == 0):
        return None
    return draw(st.sampled_from(fitting))


KEYS = ("7", "007", "1", "²", "a/b", "it's")  # the resource whose keys are texts chosen by the client


@st.composite
def records(draw: st.DrawFn, resource: str, number: int, known: list[Reference]) -> Record:
    """Draw the record with a number that the museum's contract allows."""
    definition = museum().resources[resource]
    own = draw(attribute_values(resource))
    key: Any = number if definition.has_integer_key else f"{resource[0].lower()}{number}"
    if resource == "Artist" and number <= len(KEYS):
        key = KEYS[number - 1]
    own[definition.key_attribute] = key
    for stamped in definition.attributes_with_stamp("number"):
        own[stamped] = number
    stored = [relation for relation in definition.relations.values() if relation.is_stored]
    return Record(resource, key, own, {r.name: draw(references_for(r, known)) for r in stored})


@st.composite
def datasets(draw: st.DrawFn, most: int = 5) -> list[Record]:
    """Draw a dataset, parents first."""
    made: list[Record] = []
    for resource in ("Museum", "Person", "Room", "Room", "Artist", "Exhibit", "Label", "Note", "Pass"):
        for _ in range(draw(st.integers(1, most))):
            known = [Reference(r.resource, r.key) for r in made]
            number = 1 + sum(r.resource == resource for r in made)
            made.append(draw(records(resource, number, known)))
    people = [Reference(r.resource, r.key) for r in made if r.resource == "Person"]
    directed = [
        Record(r.resource, r.key, r.attributes, {"director": people[i % len(people)], "members": tuple(people[i::2])})
        for i, r in enumerate(r for r in made if r.resource == "Museum")
    ]
    return [*directed, *(r for r in made if r.resource != "Museum")]


# The model ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ModelRecord:
    """A record of the model."""

    number: int
    own: dict[str, Any]
    references: dict[str, Any]


@dataclass(slots=True)
class Model:
    """A store as one dictionary."""

    entries: dict[Reference, ModelRecord] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "Model":
        """Return a copy."""
        entries = {k: ModelRecord(e.number, dict(e.own), dict(e.references)) for k, e in self.entries.items()}
        return Model(entries, dict(self.numbers))

    # Writes

    def add(self, record: Record) -> None:
        """Add a record with the next number."""
        number = self.numbers[record.resource] = self.numbers.get(record.resource, 0) + 1
        self.entries[Reference(record.resource, record.key)] = ModelRecord(
            number, dict(record.attributes), dict(record.references)
        )

    def change(self, reference: Reference, own: Mapping[str, Any], references: References) -> None:
        """Replace attributes and the named references."""
        entry = self.entries[reference]
        entry.own = dict(own)
        entry.references.update(references)

    def find_referrers(self, targets: Iterable[Reference], on_delete: str) -> list[tuple[Reference, str]]:
        """Return (record, relation) of all references to `targets` by relations with an on-delete rule."""
        target_set = set(targets)
        return [
            (reference, relation.name)
            for reference, entry in self.entries.items()
            for relation in museum().resources[reference.resource].relations.values()
            if relation.on_delete == on_delete and target_set & set(listed(entry.references.get(relation.name)))
        ]

    def remove(self, reference: Reference) -> bool:
        """Delete a record according to the contract; False, without changes, if it is restricted."""
        to_delete = {reference}
        while more := {by for by, _ in self.find_referrers(to_delete, "cascade")} - to_delete:
            to_delete |= more
        if {by for by, _ in self.find_referrers(to_delete, "refuse")} - to_delete:
            return False
        for by, name in self.find_referrers(to_delete, "clear"):
            held = self.entries[by].references[name]
            left = tuple(r for r in listed(held) if r not in to_delete)
            self.entries[by].references[name] = left if isinstance(held, tuple) and not is_reference(held) else None
        for gone in to_delete:
            del self.entries[gone]
        return True

    # Reads

    def all(self, resource: str) -> list[Reference]:
        """Return the records of a resource, oldest first."""
        found = [reference for reference in self.entries if reference.resource == resource]
        return sorted(found, key=lambda reference: self.entries[reference].number)

    def related(self, reference: Reference, name: str) -> list[Reference]:
        """Return the targets of a relation: a list in its order, inverses oldest first."""
        relation = museum().resources[reference.resource].relations[name]
        if relation.inverse is None:
            held = listed(self.entries[reference].references.get(name))
            return [r for r in held if r in self.entries]
        return [
            other
            for target in relation.targets
            for other in self.all(target)
            if reference in listed(self.entries[other].references.get(relation.inverse))
        ]

    def values(self, reference: Reference, path: tuple[str, ...]) -> list[Any]:
        """Return every value that a path of relations and (nested) attributes leads to."""
        if not path:
            return [reference]
        definition = museum().resources[reference.resource]
        if path[0] in definition.relations:
            return [v for other in self.related(reference, path[0]) for v in self.values(other, path[1:])]
        value: Any = self.entries[reference].own
        for part in path:
            if not isinstance(value, dict) or part not in value:
                return []
            value = value[part]
        return [] if value is None else [value]

    def computed(self, reference: Reference, derived: DerivedProperty, viewer: Viewer | None) -> Any:
        """Return the value of a derived property."""
        if derived.kind == "group":
            return {name: self.computed(reference, part, viewer) for name, part in derived.parts.items()}
        if derived.kind == "viewer":
            return bool(viewer and self.owner(reference) == viewer.user_key)
        if derived.kind == "number":
            ends = self.values(reference, derived.path)
            return self.entries[ends[0]].number if ends else None
        if derived.kind == "from":
            return next(iter(self.values(reference, derived.path)), None)
        members = [
            self.entries[r]
            for r in dict.fromkeys(self.related(reference, derived.path[0]))
            if all(self.entries[r].own.get(k) in among for k, among in derived.where.items())
        ]
        if derived.kind == "count":
            return len(members)
        values = [v for m in members if (v := m.own.get(derived.path[1])) is not None]
        return sum(values) if derived.kind == "sum" else max(values, key=to_instant, default=None)

    def owner(self, reference: Reference) -> Any:
        """Return the key of a record's owner."""
        path = museum().resources[reference.resource].owner_path
        ends = self.values(reference, path) if path else []
        return ends[0].key if ends else None

    def tenant(self, reference: Reference) -> Any:
        """Return the key of a record's tenant."""
        definition = museum().resources[reference.resource]
        if definition.members_relation:
            return reference.key
        ends = self.values(reference, definition.tenant_path) if definition.tenant_path else []
        return ends[0].key if ends else None

    def is_visible(self, viewer: Viewer | None, reference: Reference) -> bool:
        """Return whether the viewer may see a record."""
        definition = museum().resources[reference.resource]
        if viewer is None or not (definition.tenant_path or definition.members_relation):
            return True
        if self.tenant(reference) in viewer.tenant_keys:
            return True
        own = self.entries[reference].own
        if definition.public_when and all(own.get(k) == v for k, v in definition.public_when.items()):
            return True
        entities = {Reference("Person", viewer.user_key), *(Reference("Museum", t) for t in viewer.tenant_keys)}
        way = {
            reference,
            *(
                at
                for n in range(len(definition.tenant_path))
                for at in self.values(reference, definition.tenant_path[: n + 1])
            ),
        }
        grants = [self.entries[r].references for r in self.all("Pass")]
        return any(found["subject"] in way and found["entity"] in entities for found in grants)

    def viewer(self, user: Reference) -> Viewer:
        """Return a person as viewer with the person's museums, the home museum first."""
        home = [r.key for r in self.related(user, "home")]
        entered = [
            m.key for m in self.all("Museum") if user in (*self.related(m, "members"), *self.related(m, "director"))
        ]
        return Viewer(user.key, tuple(dict.fromkeys([*home, *entered])))


def is_reference(value: Any) -> bool:
    """Return whether a value is one reference, not a tuple of them."""
    return isinstance(value, Reference)


def listed(value: Any) -> list[Reference]:
    """Return one reference, several or none as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, Reference) else list(value)


def to_instant(value: Any) -> Any:
    """Convert a value for comparison: texts that are instants to microseconds."""
    if not isinstance(value, str) or len(value) < 11 or value[10] not in "Tt":
        return value
    at = datetime.fromisoformat(value.upper().replace("Z", "+00:00"))
    naive, offset = at.replace(tzinfo=UTC), at.utcoffset() or timedelta()
    first, one = datetime(1, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
    last = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    return max(0, min((naive - first) // one - offset // one, (last - first) // one))
