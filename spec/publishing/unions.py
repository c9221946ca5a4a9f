"""Published schemas of polymorphic relations: a union with a discriminator, so that typed clients can narrow it."""

from collections.abc import Iterator, Mapping
from typing import Any

from spec.document import snake_case
from spec.model import Contract, Relation

_SCHEMAS = "#/components/schemas/"


def split_polymorphic_schemas(root: dict[str, Any], contract: Contract) -> dict[str, Any]:
    """Replace the schema of a resource whose relation names its discriminator by a union with a schema per target.

    `Share` with the targets `User` and `Workspace` becomes a union of `UserShare` and `WorkspaceShare`.
    """
    schemas = root.get("components", {}).get("schemas", {})
    for name, relation in _list_discriminated(contract):
        variants = {f"{target}{name}": _build_variant(schemas[name], relation, target) for target in relation.targets}
        if schemas.keys() & variants:
            continue
        references = {f"{_SCHEMAS}{variant}": schema for variant, schema in variants.items()}
        values = [schema["properties"][relation.discriminator]["enum"][0] for schema in references.values()]
        schemas[name] = {
            **{key: value for key, value in schemas[name].items() if key in ("description", "example")},
            "oneOf": [{"$ref": reference} for reference in references],
            "discriminator": {
                "propertyName": relation.discriminator,
                "mapping": dict(zip(values, references, strict=True)),
            },
        }
        schemas.update(variants)
    return root


def _list_discriminated(contract: Contract) -> Iterator[tuple[str, Relation]]:
    for resource in contract.resources.values():
        yield from ((resource.name, r) for r in resource.relations.values() if r.discriminator and not r.write_only)


def _build_variant(schema: Mapping[str, Any], relation: Relation, target: str) -> dict[str, Any]:
    """Return the schema of the records whose relation refers to a record of `target`."""
    properties = dict(schema["properties"])
    type_property, reference = properties[relation.discriminator or ""], properties[relation.name]
    properties[relation.discriminator or ""] = {
        **{key: value for key, value in type_property.items() if key in ("description", "readOnly")},
        "type": "string",
        "enum": [snake_case(target)],
    }
    union = next(key for key in ("anyOf", "oneOf") if key in reference)
    others = {f"{_SCHEMAS}{view}" for other, view in relation.target_views.items() if other != target}
    options = [option for option in reference[union] if option.get("$ref") not in others]
    properties[relation.name] = {**reference, union: options}
    return {**schema, "properties": properties}
