"""The OpenAPI document of the control API, with the names of datasets and the records of the served contract."""

from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from typing import Any

import orjson

from mock_server.actions import executions
from mock_server.control.rules import read_presets
from spec.document import Document, parse_document
from spec.extensions import EFFECTS
from spec.model import Contract, Relation, Resource

MAX_RECORDS = 1_000  # of one request
COUNT_PROPERTY = "count"  # of equal records; only in an object that represents several of them
# A new record of the same request: its resource and its position there.
NEW_RECORD_PATTERN = r"^\$([A-Za-z][A-Za-z0-9_]*)\.([0-9]{1,4})$"
RECORD_SCHEMA_SUFFIX = "Input"
MAX_NUMBER = 2**31 - 1  # of a key or number in a request: the numbers of later records are greater
MAX_NESTING = 8
_ANNOTATIONS = frozenset({"readOnly", "writeOnly", "default", "example", "description", "title", "deprecated"})
_CONDITION_SCHEMAS = ("RequestConditions", "RequestSearch", "RequestExpectation")  # of recorded requests
_FILE = "openapi.yaml"


@cache
def read_control_document() -> Document:
    """Read the packaged file."""
    content = (resources.files("mock_server.control") / _FILE).read_bytes()
    return parse_document(content, f"mock_server/control/{_FILE}")


def build_control_document(contract: Contract, dataset_names: Collection[str]) -> Document:
    """Build the document of the control API of a mock that serves `contract`."""
    document = read_control_document()
    root = orjson.loads(orjson.dumps(document.root))
    schemas = root["components"]["schemas"]
    if dataset_names:
        schemas["SandboxParameters"]["properties"]["dataset"]["enum"] = sorted(dataset_names)
    schemas["RuleResponse"]["properties"]["outcome"]["enum"] = list(executions.CHOICES)
    schemas["RuleParameters"]["properties"]["preset"]["enum"] = sorted(read_presets())
    match = schemas["RuleParameters"]["properties"]["match"]["properties"]
    match["operation"]["enum"] = sorted(contract.operations)
    match["effect"]["enum"] = sorted(EFFECTS)
    match["tag"]["enum"] = sorted({operation.tag for operation in contract.operations.values()})
    for name in _CONDITION_SCHEMAS:
        schemas[name]["properties"] |= {n: match[n] for n in ("operation", "tag", "effect")}
    for parameter in root["paths"]["/sandboxes/{name}/requests"]["get"]["parameters"]:
        if parameter["name"] == "operation":
            parameter["schema"] = match["operation"]
    if contract.resources:
        root["components"]["parameters"]["resource"]["schema"]["enum"] = sorted(contract.resources)
    lists: dict[str, Any] = {}
    for resource in contract.resources.values():
        name = resource.name + RECORD_SCHEMA_SUFFIX
        record = schemas[name] = build_record_schema(contract, resource)
        counted = {COUNT_PROPERTY: {"type": "integer", "minimum": 1, "maximum": MAX_RECORDS}, **record["properties"]}
        reference = {"$ref": f"#/components/schemas/{name}"}
        records = {"type": "array", "items": reference, "maxItems": MAX_RECORDS}
        lists[resource.name] = {"anyOf": [records, {**record, "properties": counted}]}
    schemas["Records"] = {"type": "object", "additionalProperties": False, "properties": lists}
    return Document(document.name, document.content, root)


def build_record_schema(contract: Contract, resource: Resource) -> dict[str, Any]:
    """Build the schema of a record in a request: all stored attributes and relations, none of them required."""
    properties: dict[str, Any] = {}
    for attribute in resource.attributes.values():
        schema = inline_schema(contract.document, attribute.schema)
        is_number = attribute.stamp == "number" or (
            attribute.name == resource.key_attribute and resource.has_integer_key
        )
        properties[attribute.name] = {**schema, "minimum": 1, "maximum": MAX_NUMBER} if is_number else schema
    for relation in resource.relations.values():
        if relation.is_stored:
            properties[relation.name] = _build_relation_schema(contract, relation)
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _build_relation_schema(contract: Contract, relation: Relation) -> dict[str, Any]:
    """Build the schema of a reference: a key, ``Resource/key`` of several resources, or ``$Resource.0``; or a list."""
    single: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 200}
    if len(relation.targets) == 1 and contract.resources[relation.targets[0]].has_integer_key:
        single = {"oneOf": [{"type": "integer"}, {"type": "string", "pattern": NEW_RECORD_PATTERN, "maxLength": 100}]}
    if relation.to_many:
        return {"type": "array", "items": single, "maxItems": MAX_RECORDS}
    if not may_be_empty(relation):
        return single
    return {**single, "nullable": True} if "type" in single else {"oneOf": [*single["oneOf"], _NULL_SCHEMA]}


_NULL_SCHEMA: Mapping[str, Any] = {"type": "string", "nullable": True, "enum": [None]}


def may_be_empty(relation: Relation) -> bool:
    """Whether a record need not have this reference."""
    return relation.nullable or relation.allows_empty_object


def inline_schema(document: Document, schema: Mapping[str, Any], depth: int = 0) -> dict[str, Any]:
    """Return a schema without references, annotations and restrictions to one direction."""
    if depth > MAX_NESTING:
        return {}
    schema, _ = document.dereference(schema, "")
    result: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _ANNOTATIONS or keyword.startswith("x-"):
            continue
        if keyword == "properties":
            result[keyword] = {name: inline_schema(document, node, depth + 1) for name, node in value.items()}
        elif keyword in ("allOf", "anyOf", "oneOf"):
            result[keyword] = [inline_schema(document, node, depth + 1) for node in value]
        elif keyword in ("items", "not", "additionalProperties") and isinstance(value, dict):
            result[keyword] = inline_schema(document, value, depth + 1)
        else:
            result[keyword] = value
    return result
