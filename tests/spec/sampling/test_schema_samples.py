"""Values generated from schemas are valid, deterministic and finite."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spec.document import Document, escape
from spec.loader import load_contract
from spec.sampling.schema_samples import CannotGenerate, SchemaSampler
from spec.validators import SchemaValidators

ROOT = Path(__file__).parents[3]
CONTRACTS = [ROOT / "spec" / "openapi.yaml", *sorted((ROOT / "tests" / "foreign").glob("*.yaml"))]
NAMES = st.sampled_from(["a", "b", "id", "name"])
FORMATS = ["date", "date-time", "email", "uuid", "uri", "ipv4", "ipv6", "hostname", "duration", "byte", "json-pointer"]
PATTERNS = [r"^[A-Z]{3}-\d{4}$", r"^(foo|bar)+$", r"[a-f0-9]{8,}", r"^\w+@\w+\.\w{2,3}$", r"^\p{Lu}\d?$", r"^\S+$"]


def bounds(lower: str, upper: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(values, values).map(lambda pair: {lower: min(pair), upper: max(pair)})


# Each schema has a value: nothing contradicts itself.
SCALARS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from([{"type": "string"}, {"type": "boolean"}, {"type": "string", "nullable": True}, {}]),
    st.sampled_from(FORMATS).map(lambda name: {"type": "string", "format": name}),
    st.sampled_from(PATTERNS).map(lambda pattern: {"type": "string", "pattern": pattern}),
    bounds("minLength", "maxLength", st.integers(0, 40)).map(lambda limits: {"type": "string", **limits}),
    bounds("minimum", "maximum", st.integers(-1000, 1000)).map(lambda limits: {"type": "integer", **limits}),
    bounds("minimum", "maximum", st.floats(-1000, 1000)).map(lambda limits: {"type": "number", **limits}),
    st.integers(1, 50).flatmap(
        lambda step: st.integers(-100, 100).map(
            lambda low: {"type": "integer", "multipleOf": step, "minimum": low, "maximum": low + step}
        )
    ),
    st.sampled_from([0.01, 0.5, 0.1, 2.5]).map(lambda step: {"type": "number", "multipleOf": step}),
    st.integers(-9, 9).map(lambda low: {"type": "integer", "minimum": low, "exclusiveMinimum": True}),
    st.lists(st.one_of(st.integers(), st.text(max_size=5), st.booleans()), min_size=1, max_size=4).map(
        lambda values: {"enum": values}
    ),
)


def nest(schemas: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(NAMES, schemas, max_size=4)
    names = st.lists(NAMES, unique=True, max_size=2)
    objects = st.builds(lambda p, r: {"type": "object", "properties": p, "required": r}, properties, names)
    maps = st.builds(lambda s, n: {"type": "object", "additionalProperties": s, "minProperties": n}, schemas, NUMBERS)
    closed = properties.map(
        lambda p: {"type": "object", "properties": p, "required": [*p], "additionalProperties": False}
    )
    arrays = st.builds(lambda s, n: {"type": "array", "items": s, "minItems": n}, schemas, NUMBERS)
    choices = st.lists(schemas, min_size=1, max_size=3).map(lambda options: {"anyOf": options})
    merged = st.builds(lambda first: {"allOf": [first, {"type": "object", "required": ["new"]}]}, objects)
    return st.one_of(objects, maps, closed, arrays, choices, merged)


NUMBERS = st.integers(0, 4)


def sampler(schema: Any, **others: Any) -> SchemaSampler:
    document = Document("test", b"", {"components": {"schemas": {"A": schema, **others}}})
    return SchemaSampler(SchemaValidators.from_document(document))


def sample(schema: Any, **others: Any) -> Any:
    return sampler(schema, **others).sample("#/components/schemas/A", "seed")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.recursive(SCALARS, nest, max_leaves=8))
def test_value_is_valid_and_deterministic(schema: dict[str, Any]) -> None:
    value = sample(schema)
    schemas = SchemaValidators.from_document(Document("test", b"", {"components": {"schemas": {"A": schema}}}))
    assert schemas.get("#/components/schemas/A", "read").is_valid(value)
    assert sample(schema) == value


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.stem)
def test_each_schema_of_a_contract_has_a_value(path: Path) -> None:
    document = load_contract(path).document
    schemas = SchemaSampler(SchemaValidators.from_document(document))
    for name in document.root["components"]["schemas"]:
        assert schemas.sample(f"#/components/schemas/{escape(name)}", "seed") is not None


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "enum": ["x", "y"]}, "x"),
        ({"const": 5}, 5),
        ({"type": "string", "nullable": True, "enum": [None, "x"]}, "x"),
        ({"type": "object", "properties": {"a": {"type": "string", "example": "shown"}}}, {"a": "shown"}),
        ({"type": "object", "properties": {"a": {"type": "integer", "example": "bad", "default": 3}}}, {"a": 3}),
        ({"type": "object", "properties": {"secret": {"type": "string", "writeOnly": True}}}, {}),
        ({"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "writeOnly": True}}}, {}),
        ({"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True}, [1, 2, 3]),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 0}, []),
        ({"type": "string", "maxLength": 0}, ""),
        ({"type": "integer", "format": "int32", "minimum": 2**31 - 1}, 2**31 - 1),
        ({"type": "number", "minimum": 1e300, "maximum": 1e300}, 1e300),
        ({"type": "object", "properties": {"a": {"type": "integer", "example": 2.0**70}}}, {"a": 2**70}),
        ({"type": "array", "prefixItems": [{"const": "a"}, {"const": 2}], "minItems": 2}, ["a", 2]),
        ({"type": "number", "minimum": 0.25, "maximum": 0.25}, 0.25),
        ({"type": "integer", "minimum": 2**70, "maximum": 2**70}, 2**70),
    ],
)
def test_value_of_a_keyword(schema: dict[str, Any], expected: Any) -> None:
    assert sample(schema) == expected


def test_unique_items_of_objects_differ() -> None:
    item = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    value = sample({"type": "array", "items": item, "minItems": 5, "uniqueItems": True})
    assert len({entry["name"] for entry in value}) == 5


def test_option_that_others_accept_too_is_not_chosen() -> None:
    options = [{"type": "object", "required": ["a"]}, {"type": "object", "required": ["a", "b"]}]
    assert "b" not in sample({"oneOf": options})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 1, "not": {"multipleOf": 2}},
        {"type": "object", "properties": {"a": {"const": 1}}, "if": {"required": ["a"]}, "then": {"required": ["c"]}},
        {"type": "object", "required": ["a"], "dependentRequired": {"a": ["b"]}},
        {
            "type": "object",
            "required": ["k"],
            "if": {},
            "then": {"required": ["x"], "properties": {"x": {"minimum": 9}}},
        },
        {"type": "array", "uniqueItems": True, "minItems": 3, "items": {"type": "boolean", "nullable": True}},
        {"type": "array", "contains": {"const": 7}, "minContains": 2},
        {"type": "object", "minProperties": 2, "propertyNames": {"pattern": "^x_[a-z]{4}$"}},
        {"type": "object", "patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": False},
    ],
)
def test_keywords_of_json_schema(schema: dict[str, Any]) -> None:
    value = sample(schema)
    schemas = SchemaValidators.from_document(Document("test", b"", {"components": {"schemas": {"A": schema}}}))
    assert schemas.get("#/components/schemas/A", "read").is_valid(value)


def test_recursion_ends() -> None:
    reference = {"$ref": "#/components/schemas/A"}
    tree = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "next": reference}}
    assert sample(tree) == {"name": "name", "next": {"name": "name"}}
    listed = {"type": "object", "properties": {"children": {"type": "array", "items": reference}}}
    assert sample(listed) == {"children": [{"children": []}]}
    nullable = {"type": "object", "required": ["b"], "properties": {"b": {"anyOf": [reference, {"type": "null"}]}}}
    assert sample(nullable) == {"b": {"b": None}}
    endless = {"type": "object", "required": ["next"], "properties": {"next": reference}}
    with pytest.raises(CannotGenerate):
        sample(endless)


def test_discriminator_names_the_option() -> None:
    schema = {
        "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
        "discriminator": {"propertyName": "kind", "mapping": {"kitty": "#/components/schemas/Cat"}},
    }
    kind = {"kind": {"type": "string"}}
    cat = {"type": "object", "required": ["kind", "claws"], "properties": {**kind, "claws": {"type": "integer"}}}
    dog = {"type": "object", "required": ["kind", "bark"], "properties": {**kind, "bark": {"type": "string"}}}
    assert sample(schema, Cat=cat, Dog=dog)["kind"] == "kitty"


@pytest.mark.parametrize(
    "schema", [{"not": {}}, {"type": "string", "enum": [1]}, {"allOf": [{"type": "string"}, {"type": "integer"}]}]
)
def test_contradiction_is_reported(schema: Any) -> None:
    with pytest.raises(CannotGenerate):
        sample(schema)


def test_discriminator_of_a_base_schema_selects_a_subtype() -> None:
    animal = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string"}},
        "discriminator": {"propertyName": "kind", "mapping": {"bird": "#/components/schemas/Bird"}},
    }
    wings = {"type": "object", "required": ["wings"], "properties": {"wings": {"type": "integer"}}}
    bird = {"allOf": [{"$ref": "#/components/schemas/Animal"}, wings]}
    for name in ("Animal", "Bird"):
        value = sample({"$ref": f"#/components/schemas/{name}"}, Animal=animal, Bird=bird)
        assert (value["kind"], [*value]) == ("bird", ["kind", "wings"])


def test_multiple_of_a_fraction_is_a_whole_number_if_possible() -> None:
    assert isinstance(sample({"type": "number", "multipleOf": 0.01}), int)
    assert sample({"type": "number", "multipleOf": 0.25, "minimum": 0.2, "maximum": 0.3}) == 0.25


def test_only_required_properties() -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"const": 1}, "b": {"const": 2}}}
    assert sampler(schema).sample("#/components/schemas/A", "seed", only_required=True) == {"a": 1}
