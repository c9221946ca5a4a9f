"""The layout of a view's JSON object: segments of attributes, embedded relations and computed fields in their order."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from mock_server.serialization.projections import Projection
from spec.model import Attribute, DerivedProperty, Relation, Resource, View

# Placeholder for scheme, host and prefix in cached bytes. JSON text never contains it unescaped.
BASE_URL_MARKER = b"\x01"


@dataclass(frozen=True, slots=True)
class FieldSegment:
    """Consecutive attributes of a view; `file_names` are the names of those that hold URLs of files."""

    names: tuple[str, ...]
    file_names: tuple[str, ...]

    @classmethod
    def from_resource(cls, resource: Resource, names: Iterable[str]) -> "FieldSegment":
        """Create the segment of some attributes of a resource."""
        all_names = tuple(names)
        return cls(all_names, tuple(name for name in all_names if is_file(resource.attributes[name])))

    def encode(self, attributes: Mapping[str, Any]) -> bytes:
        """Encode as JSON without braces; paths of files that the mock serves are preceded by the base URL marker."""
        fields = {name: attributes[name] for name in self.names if name in attributes}
        for name in self.file_names:
            url_path = fields.get(name)
            if isinstance(url_path, str) and url_path[:1] == "/":
                fields[name] = orjson.Fragment(b'"' + BASE_URL_MARKER + orjson.dumps(url_path)[1:])
        return orjson.dumps(fields)[1:-1]


@dataclass(frozen=True, slots=True)
class EmbeddedRelation:
    """A relation with the projections of its targets. `key_prefix`: its name as JSON key."""

    key_prefix: bytes
    relation: Relation
    projections: Mapping[str, Projection] | None


@dataclass(frozen=True, slots=True)
class ComputedField:
    """A derived property. `key_prefix`: its name as JSON key."""

    key_prefix: bytes
    derived_property: DerivedProperty


LayoutItem = FieldSegment | EmbeddedRelation | ComputedField


def build_layout(resource: Resource, view: View, projection: Projection) -> Iterator[LayoutItem]:
    """Yield the layout of a view. Its segments are the same in every projection."""
    names: list[str] = []
    for name in view.property_names:
        if name in resource.attributes and name not in view.derived_properties:
            names.append(name)
            continue
        if names:
            yield FieldSegment.from_resource(resource, names)
            names = []
        key_prefix = orjson.dumps(name) + b":"
        derived_property = view.derived_properties.get(name)
        if derived_property is None:
            if name in projection.embedded_relations:
                yield EmbeddedRelation(key_prefix, resource.relations[name], projection.embedded_relations[name])
        elif derived_property.required or name in projection.property_names:
            yield ComputedField(key_prefix, derived_property)
    if names:
        yield FieldSegment.from_resource(resource, names)


def is_file(attribute: Attribute) -> bool:
    """Return whether an attribute holds the URL of a file."""
    return isinstance(attribute.faker, dict) and "file" in attribute.faker


def insert_base_url(body: bytes, base_url: str) -> bytes:
    """Replace the base URL markers in a body."""
    return body.replace(BASE_URL_MARKER, orjson.dumps(base_url)[1:-1]) if BASE_URL_MARKER in body else body
