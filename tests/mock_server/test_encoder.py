"""Bodies from the caches equal bodies encoded without caches and bodies built from the model."""

from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from mock_server.errors import ApiError
from mock_server.query import Viewer
from mock_server.serialization import encoder
from mock_server.serialization.encoder import RecordEncoder
from mock_server.serialization.layout import FieldSegment, Projection, ProjectionFactory, insert_base_url
from mock_server.sized_cache import MIN_CAPACITY
from mock_server.store import DeleteRestricted, Store
from spec.model import Relation, View
from spec.record import Record, Reference
from tests.mock_server.museum_contract import (
    MuseumModel,
    attribute_values,
    datasets,
    museum,
    records,
    relation_values,
    to_instant,
)
from tests.spec.contract_edits import load_edited_contract

VIEWS = tuple(museum().views)
# View -> include paths in addition to the default ones.
INCLUDE_PATHS: Mapping[str, tuple[tuple[tuple[str, ...], ...], ...]] = {
    "Room": (
        (("children",),),
        (("parent", "parent"), ("keeper",)),
        (("exhibits", "artists"), ("exhibits", "room"), ("museum",)),
        (("notes", "subject"),),
    ),
    "Exhibit": (
        (("room", "exhibits"),),
        (("artists", "exhibits"), ("curator",)),
        (("notes", "subject"), ("label",)),
    ),
    "Artist": ((("exhibits",),), (("exhibits", "room"),)),
    "Note": ((("about",), ("subject",)),),
    "Pass": ((("subject",), ("entity",)),),
}
# View -> optional properties to encode.
OPTIONAL_PROPERTIES: Mapping[str, frozenset[str]] = {
    "Room": frozenset({"notes_count", "figures", "children"}),
    "Exhibit": frozenset({"room_name", "museum_name", "keeper_number", "notes"}),
}


def build_projections(projections: ProjectionFactory, view: str) -> list[Projection]:
    """Build the tested projections of a view."""
    property_names = OPTIONAL_PROPERTIES.get(view, frozenset())
    with_paths = [projections.get_for_paths(view, paths, property_names) for paths in INCLUDE_PATHS.get(view, ())]
    return [projections.get_default(view), projections.get_default(view, property_names), *with_paths]


def build_expected_body(
    model: MuseumModel,
    view: View,
    reference: Reference,
    projection: Projection,
    viewer: Viewer | None,
    *,
    is_reduced: bool = False,
) -> dict[str, Any]:
    """Build the object of a view for a record from the model. `is_reduced`: only with the required properties."""
    resource = museum().resources[view.resource]
    attributes, body = model.entries[reference].attributes, {}
    for name in view.property_names:
        if is_reduced and name not in museum().document.resolve(view.pointer)["required"]:
            continue
        if name in view.derived_properties:
            derived = view.derived_properties[name]
            if derived.required or name in projection.property_names:
                body[name] = model.compute_derived(reference, derived, viewer)
        elif name in projection.embedded_relations:
            add_expected_relation(
                model, body, reference, resource.relations[name], projection.embedded_relations[name], viewer
            )
        elif name in attributes:
            body[name] = attributes[name]
    return body


def add_expected_relation(
    model: MuseumModel,
    body: dict[str, Any],
    reference: Reference,
    relation: Relation,
    projections: Mapping[str, Projection] | None,
    viewer: Viewer | None,
) -> None:
    """Add a relation to a body: records, null, an empty object, or nothing."""
    if projections is None:
        body[relation.name] = {}
        return
    embedded = [
        build_expected_body(
            model,
            museum().views[relation.target_views[r.resource]],
            r,
            projections[r.resource],
            viewer,
            is_reduced=model.is_outsider(viewer, r),
        )
        for r in model.find_related(reference, relation.name)
        if model.is_visible(viewer, r)
    ]
    if relation.to_many:
        body[relation.name] = embedded
    elif embedded or relation.nullable or relation.allows_empty_object:
        body[relation.name] = embedded[0] if embedded else None if relation.nullable else {}


def as_instants(value: Any) -> Any:
    """Convert all date-time texts of a body to instants, since the store normalizes the format of a maximum."""
    if isinstance(value, dict):
        return {name: as_instants(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_instants(item) for item in value]
    return to_instant(value)


def create_uncached_encoder(store: Store) -> RecordEncoder:
    """Create an encoder with empty caches that is not notified of writes."""
    encoder = RecordEncoder.from_store(museum(), store)
    store.listeners.remove(encoder.on_write)
    return encoder


class EncoderMachine(RuleBasedStateMachine):
    """Random writes, and reads that compare an encoder with caches, one without, and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.create(museum())
        self.model = MuseumModel()
        self.cached_encoder = RecordEncoder.from_store(museum(), self.store)

    @initialize(dataset=datasets(2))
    def load_dataset(self, dataset: list[Record]) -> None:
        for record in dataset:
            self.store.add(record)
            self.model.add(record)

    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        resource = data.draw(st.sampled_from(list(museum().resources)), label="resource")
        number = self.store.next_number(resource)
        record = data.draw(records(resource, number, list(self.model.entries)), label="record")
        if Reference(resource, record.key) not in self.model.entries:
            self.store.add(record)
            self.model.numbers[resource] = number - 1
            self.model.add(record)

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data(), is_rolled_back=st.booleans())
    def change(self, data: st.DataObject, is_rolled_back: bool) -> None:
        reference = data.draw(st.sampled_from(list(self.model.entries)), label="updated record")
        changes = data.draw(attribute_values(reference.resource), label="attributes")
        attributes = self.model.entries[reference].attributes | changes
        stored_relations = [r for r in museum().resources[reference.resource].relations.values() if r.is_stored]
        relation_names = (
            data.draw(st.sets(st.sampled_from([r.name for r in stored_relations])), label="relations")
            if stored_relations
            else ()
        )
        existing = list(self.model.entries)
        references = {
            r.name: data.draw(relation_values(r, existing)) for r in stored_relations if r.name in relation_names
        }
        if not is_rolled_back:
            self.store.update(reference.resource, reference.key, attributes, references)
            self.model.update(reference, attributes, references)
            return
        with suppress(ZeroDivisionError), self.store.transaction():
            self.store.update(reference.resource, reference.key, attributes, references)
            previous = self.store.resolve(reference)
            assert previous is not None
            self.cached_encoder.encode_record(
                reference.resource, previous, self.cached_encoder.projections.get_default(reference.resource), None
            )
            raise ZeroDivisionError

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        reference = data.draw(st.sampled_from(list(self.model.entries)), label="deleted record")
        if self.model.delete(reference):
            self.store.delete(*reference)
        else:
            with pytest.raises(DeleteRestricted):
                self.store.delete(*reference)

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        viewers: list[Viewer | None] = [None, *map(self.model.create_viewer, self.model.list_references("Person"))]
        viewer = data.draw(st.sampled_from(viewers), label="viewer")
        view = museum().views[data.draw(st.sampled_from(VIEWS), label="view")]
        uncached_encoder = create_uncached_encoder(self.store)
        for reference in self.model.list_references(view.resource):
            record = self.store.resolve(reference)
            assert record is not None
            for projection, other_projection in zip(
                build_projections(self.cached_encoder.projections, view.name),
                build_projections(uncached_encoder.projections, view.name),
                strict=True,
            ):
                encoded = self.cached_encoder.encode_record(view.name, record, projection, viewer)
                assert encoded == uncached_encoder.encode_record(view.name, record, other_projection, viewer)
                assert as_instants(orjson.loads(encoded)) == as_instants(
                    build_expected_body(self.model, view, reference, projection, viewer)
                )

    def teardown(self) -> None:
        self.store.close()


TestEncoder = EncoderMachine.TestCase


class FullCacheMachine(EncoderMachine):
    """The same with room for eight encodings only."""

    def __init__(self) -> None:
        super().__init__()
        for cache in (self.cached_encoder.segment_cache, self.cached_encoder.embedded_cache):
            cache.max_bytes, cache.measure = MIN_CAPACITY, lambda key, value: 1


TestFullCache = FullCacheMachine.TestCase


# Projections --------------------------------------------------------------------------------------------------------


def list_relation_names(projection: Projection) -> Any:
    """Return the names of the embedded relations as a tree; None where a cycle ends."""
    return {
        name: None if projections is None else {resource: list_relation_names(s) for resource, s in projections.items()}
        for name, projections in projection.embedded_relations.items()
    }


def test_default_embeds_relations_up_to_cycles() -> None:
    assert list_relation_names(ProjectionFactory(museum()).get_default("Label")) == {}
    person = {"home": {"Museum": {"director": None}}}
    assert list_relation_names(ProjectionFactory(museum()).get_default("Person")) == person


def test_cycle_ends_in_an_empty_object_if_allowed() -> None:
    projection = ProjectionFactory(museum()).get_default("Museum")
    assert list_relation_names(projection) == {"director": {"Person": {"home": None}}}


def test_cycle_ends_before_it_closes_without_an_empty_object() -> None:
    exhibits = ProjectionFactory(museum()).get_default("Room").embedded_relations["exhibits"]
    assert exhibits is not None
    assert "room" not in exhibits["Exhibit"].embedded_relations


def test_included_relations_replace_the_default() -> None:
    assert list_relation_names(ProjectionFactory(museum()).get_for_paths("Room", [("museum",)])) == {
        "museum": {"Museum": {}}
    }


def test_included_relations_may_contain_a_cycle() -> None:
    projection = ProjectionFactory(museum()).get_for_paths("Room", [("parent", "parent")])
    assert list_relation_names(projection) == {"parent": {"Room": {"parent": {"Room": {}}}}}


def test_polymorphic_relation_has_a_projection_for_each_target() -> None:
    projection = ProjectionFactory(museum()).get_for_paths("Note", [("subject",)])
    assert list_relation_names(projection) == {
        "subject": {"Artist": {}, "Room": {}, "Exhibit": {"artists": {"Artist": {}}}}
    }


def test_required_relation_is_always_embedded_and_ends_its_cycles() -> None:
    assert list_relation_names(ProjectionFactory(museum()).get_for_paths("Person", [])) == {"home": {"Museum": {}}}


@given(st.permutations([("museum",), ("keeper",), ("parent", "keeper"), ("exhibits", "artists")]))
def test_equal_projections_are_interned(paths: list[tuple[str, ...]]) -> None:
    projections = ProjectionFactory(museum())
    assert projections.get_for_paths("Room", paths) is projections.get_for_paths("Room", sorted(paths))


# Records with missing values ----------------------------------------------------------------------------------------


def encode(store: Store, resource: str, key: Any, *paths: tuple[str, ...]) -> Any:
    """Encode a record without caches, with the relations at some include paths (default: those of its view)."""
    encoder = create_uncached_encoder(store)
    record = store.get(resource, key)
    assert record is not None
    projections = encoder.projections
    projection = projections.get_for_paths(resource, paths) if paths else projections.get_default(resource)
    return orjson.loads(encoder.encode_record(resource, record, projection, None))


def test_record_without_attributes_of_a_segment_is_valid_json() -> None:
    store = Store.create(museum())
    store.add(Record("Room", "r1", {"uuid": "r1", "name": "a", "floor": 0, "open": False}, {}))
    assert "motto" not in encode(store, "Room", "r1", ("exhibits",), ("notes",))
    store.close()


def test_empty_required_relation_is_an_empty_object() -> None:
    store = Store.create(museum())
    store.add(Record("Person", 1, {"id": 1, "name": "a"}, {}))
    assert encode(store, "Person", 1)["home"] == {}
    store.close()


def test_missing_target_is_encoded_like_none() -> None:
    store = Store.create(museum())
    deleted = (Reference("Artist", "x"), Reference("Artist", "y"))
    store.add(Record("Artist", "y", {"slug": "y", "name": "a"}, {}))
    store.add(Record("Exhibit", "e1", {"uuid": "e1", "number": 1, "title": "a"}, {"artists": deleted}))
    assert [artist["slug"] for artist in encode(store, "Exhibit", "e1")["artists"]] == ["y"]
    store.close()


@pytest.mark.parametrize(("name_chars", "is_too_large"), [(400, False), (600, True)])
def test_size_of_embedded_records_is_limited(
    monkeypatch: pytest.MonkeyPatch, name_chars: int, is_too_large: bool
) -> None:
    monkeypatch.setattr(encoder, "MAX_BODY_BYTES", 1000)
    store = Store.create(museum())
    for slug in ("x", "y"):
        store.add(Record("Artist", slug, {"slug": slug, "name": "a" * name_chars}, {}))
    artists = (Reference("Artist", "x"), Reference("Artist", "y"))
    store.add(Record("Exhibit", "e1", {"uuid": "e1", "number": 1, "title": "a"}, {"artists": artists}))
    with pytest.raises(ApiError, match="more than 1000 bytes") if is_too_large else nullcontext():
        assert len(encode(store, "Exhibit", "e1")["artists"]) == 2
    store.close()


def test_target_created_later_is_embedded() -> None:
    store = Store.create(museum())
    cached_encoder = RecordEncoder.from_store(museum(), store)
    store.add(Record("Museum", "m1", {"uuid": "m1", "name": "a"}, {"director": Reference("Person", 1)}))
    store.add(Record("Room", "r1", {"uuid": "r1", "name": "a"}, {"museum": Reference("Museum", "m1")}))
    room = store.get("Room", "r1")
    assert room is not None
    projection = cached_encoder.projections.get_default("Room")
    cached_encoder.encode_record("Room", room, projection, None)
    store.add(Record("Person", 1, {"id": 1, "name": "b"}, {"home": Reference("Museum", "m1")}))
    assert (
        orjson.loads(cached_encoder.encode_record("Room", room, projection, None))["museum"]["director"]["name"] == "b"
    )
    store.close()


def test_dropped_encodings_leave_no_dependents() -> None:
    store = Store.create(museum())
    cached_encoder = RecordEncoder.from_store(museum(), store)
    store.add(Record("Room", "r1", {"uuid": "r1", "name": "a"}, {}))
    for number in range(20):
        key = f"e{number}"
        store.add(Record("Exhibit", key, {"uuid": key, "number": number + 1}, {"room": Reference("Room", "r1")}))
        room = store.get("Room", "r1")
        assert room is not None
        cached_encoder.encode_record("Room", room, cached_encoder.projections.get_default("Room"), None)
        store.delete("Exhibit", key)
    assert sum(map(len, cached_encoder.dependents.values())) <= len(cached_encoder.embedded_cache.entries) * 5
    store.close()


# Bytes --------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=8), st.sampled_from(("http://127.0.0.1:8000", "https://x/p", 'http://"')))
def test_text_of_a_record_is_never_replaced_by_the_base_url(text: str, base: str) -> None:
    resource = museum().resources["Room"]
    encoded = insert_base_url(
        b"{" + FieldSegment.from_resource(resource, ["name"]).encode({"name": text + "\x01"}) + b"}", base
    )
    assert orjson.loads(encoded) == {"name": text + "\x01"}


# Contracts whose schemas require relations --------------------------------------------------------------------------


def test_required_relation_is_embedded_without_include() -> None:
    changed_contract = load_edited_contract("museum", ("#/components/schemas/Exhibit/required", ["uuid", "curator"]))
    assert "curator" in ProjectionFactory(changed_contract).get_default("Exhibit").embedded_relations


def test_required_cycle_with_an_empty_object_ends_in_it() -> None:
    changed_contract = load_edited_contract("museum", ("#/components/schemas/Museum/required", ["uuid", "director"]))
    assert list_relation_names(ProjectionFactory(changed_contract).get_for_paths("Museum", [])) == {
        "director": {"Person": {"home": None}}
    }


def test_required_cycle_without_an_empty_object_ends_before_it_closes() -> None:
    changed_contract = load_edited_contract("museum", ("#/components/schemas/Room/required", ["uuid", "parent"]))
    assert list_relation_names(ProjectionFactory(changed_contract).get_for_paths("Room", [("parent",)])) == {
        "parent": {"Room": {}}
    }
