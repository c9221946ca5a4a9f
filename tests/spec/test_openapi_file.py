"""The packaged contract, `spec/openapi.yaml`: agreement with the facts, provenance, strictness, examples."""

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from spec.document import escape, iter_keyword_objects
from spec.loader import load_contract
from spec.model import Contract, Operation, Resource
from spec.provenance import get_provenance, get_value_provenance
from spec.validators import Direction, SchemaValidators
from tests.spec.facts import check_facts

ROOT = Path(__file__).parents[2]
FILE = ROOT / "spec" / "openapi.yaml"
FACTS = Path(__file__).parent / "facts"
FACT_DATA: Mapping[str, Any] = json.loads((FACTS / "facts.json").read_text())
MAX_LINES = 8000


@cache
def contract() -> Contract:
    """Load the packaged contract once."""
    return load_contract(FILE)


@cache
def schemas() -> SchemaValidators:
    """The validators of the packaged contract."""
    return SchemaValidators.from_document(contract().document)


OPERATIONS = contract().operations
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
operations_with_body = [operation for operation in OPERATIONS.values() if operation.request_body]


def list_violations(pointer: str, direction: Direction, value: Any) -> list[str]:
    """Return the violations of the schema at `pointer` by a value."""
    errors = schemas().get(pointer, direction).iter_errors(value)
    return [f"{error.instance_path}: {error.message[:200]}" for error in errors]


# File


def test_file_length_is_limited() -> None:
    assert len(FILE.read_text().splitlines()) < MAX_LINES


def test_openapi_spec_validator_accepts_the_file() -> None:
    validate(json.loads(json.dumps(contract().document.root)))


def test_every_known_operation_is_defined() -> None:
    known = [fact["summary"] for fact in (*FACT_DATA["operations"], *FACT_DATA["beyond_the_sidebar"])]
    assert len(known) == 75
    assert Counter(known) <= Counter(operation.summary for operation in OPERATIONS.values())


def test_all_facts_are_covered() -> None:
    assert list(check_facts.misses(json.loads(json.dumps(contract().document.root)), dict(FACT_DATA))) == []


def test_missing_facts_are_reported() -> None:
    """Remove facts from the contract; the check must report their names."""
    root = json.loads(json.dumps(contract().document.root))
    root["paths"]["/agents"]["get"]["summary"] = "List Agents"
    root["paths"]["/threads"]["get"]["x-source"] = "documented"
    root["components"]["schemas"]["Vertex"] = root["components"]["schemas"].pop("Edge")
    report = "\n".join(check_facts.misses(root, dict(FACT_DATA)))
    for name in ("Get Agents", "Get Threads", "schema Edge"):
        assert name in report


def test_operations_are_in_tag_order() -> None:
    tags = [tag["name"] for tag in contract().document.root["tags"]]
    first = list(dict.fromkeys(operation.tag for operation in OPERATIONS.values()))
    assert first == tags


# Provenance

FACTS_TEXT = (FACTS / "FACTS.md").read_text()
SEEDS = "".join((FACTS / name).read_text() for name in ("seed_get_messages.txt", "seed_create_message.txt"))
RANK = {"documented": 2, "published": 1, "confirmed": 0, "inferred": 0}


@each_operation
def test_operation_provenance_matches_facts(operation: Operation) -> None:
    facts = {fact["summary"]: fact["source"] for fact in (*FACT_DATA["operations"], *FACT_DATA["beyond_the_sidebar"])}
    assert get_provenance(contract().document, operation.pointer) == facts.get(operation.summary, "inferred")


def iter_properties() -> Iterator[tuple[str, str, Any]]:
    """Yield (pointer, name, schema) of each property of each schema."""
    for node, pointer in iter_keyword_objects(contract().document.root):
        children = node.get("properties")
        for name, schema in children.items() if isinstance(children, dict) else ():
            yield f"{pointer}/properties/{escape(name)}", name, schema


def iter_documented_names() -> Iterator[tuple[str, str, str]]:
    """Yield (pointer, name, level) of each property and parameter that is documented or published."""
    document = contract().document
    for pointer, name, _ in iter_properties():
        if RANK[get_provenance(document, pointer)]:
            yield pointer, name, get_provenance(document, pointer)
    for node, pointer in iter_keyword_objects(document.root):
        if "in" in node and "name" in node and RANK[get_provenance(document, pointer, "name")]:
            yield pointer, node["name"], get_provenance(document, pointer, "name")


def test_documented_names_occur_in_the_documentation() -> None:
    pages = {"documented": SEEDS}
    names = list(iter_documented_names())
    assert names
    assert not [
        (pointer, name)
        for pointer, name, level in names
        if not re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", pages.get(level, SEEDS + FACTS_TEXT))
    ]


@pytest.mark.parametrize("keyword", ["format", "enum", "maxLength", "minimum", "nullable", "additionalProperties"])
def test_constraints_are_inferred(keyword: str) -> None:
    content = "#/components/schemas/Message/properties/content"
    assert get_provenance(contract().document, content, "type") == "documented"
    assert get_provenance(contract().document, content, keyword) == "inferred"


DOCUMENTED_STATUSES = {("createMessage", 201)}


@each_operation
def test_only_documented_statuses_are_documented(operation: Operation) -> None:
    for status in operation.responses:
        is_documented = (operation.id, status) in DOCUMENTED_STATUSES
        level = get_provenance(contract().document, f"{operation.pointer}/responses/{status}")
        assert level == ("documented" if is_documented else "inferred"), status


@pytest.mark.parametrize(
    ("name", "child", "expected"),
    [
        ("listMessages", "", "documented"),
        ("createMessage", "", "documented"),
        ("getWorkspacesMetrics", "", "published"),
        ("getAgentsMetrics", "", "published"),
        ("listAgents", "/properties/data", "published"),
        ("listAgents", "/properties/meta", "inferred"),
        ("listWorkflowExecutions", "/properties/data", "published"),
        ("countWorkflowExecutions", "", "inferred"),
        ("retrieveMessage", "", "inferred"),
    ],
)
def test_response_schema_has_the_level_of_its_source(name: str, child: str, expected: str) -> None:
    envelope = OPERATIONS[name].envelope.schema_pointer
    assert envelope is not None
    pointer = f"{contract().document.resolve(envelope)['$ref']}{child}" if child else envelope
    assert get_provenance(contract().document, pointer, "type") == expected


def collect_referenced_pointers(*pointers: str | None) -> set[str]:
    """Return the pointers of these schemas, their parts, and all schemas that they refer to."""
    visited: set[str] = set()
    pending = [pointer for pointer in pointers if pointer]
    while pending:
        start = pending.pop()
        if start in visited:
            continue
        for node, pointer in iter_keyword_objects(contract().document.resolve(start), start):
            visited.add(pointer)
            pending += [node["$ref"]] if "$ref" in node and "/x-resource/" not in pointer else []
    return visited


REQUEST_SCHEMAS = collect_referenced_pointers(
    *(o.request_body.pointer for o in operations_with_body if o.request_body)
) - collect_referenced_pointers(*(o.envelope.schema_pointer for o in OPERATIONS.values()))
PARAMETERS = sorted({p.pointer for o in OPERATIONS.values() for p in o.parameters})


def test_required_request_fields_are_inferred() -> None:
    bodies = [f"{operation.pointer}/requestBody" for operation in operations_with_body]
    expected = [pointer for pointer in REQUEST_SCHEMAS if "required" in contract().document.resolve(pointer)]
    assert {"CreateMessageRequest", "MessageFile"} <= {pointer.rpartition("/")[2] for pointer in expected}
    for pointer in (*expected, *bodies, *PARAMETERS):
        assert get_provenance(contract().document, pointer, "required") == "inferred", pointer


# Documented by a value in a curl command, a repeated name, or a JSON example.
DOCUMENTED_PARAMETER_TYPES = {
    "listAgents": {"user_ids", "user_multiplai_ids", "category_uuids"},
    "listWorkflowExecutions": {
        *("organization_multiplai_id", "user_multiplai_id", "workflow_uuids", "date_from", "date_to"),
        *("with", "with_count"),
    },
    "getWorkspacesMetrics": {
        *("workspace_uuid", "entity", "metric", "aggregation", "group_by", "granularity", "order_by", "order_dir"),
        *("limit", "filters"),
    },
}


@each_operation
def test_parameter_types_are_inferred_without_documented_value(operation: Operation) -> None:
    document = contract().document
    documented_names = {
        p.name for p in operation.parameters if RANK[get_provenance(document, f"{p.pointer}/schema", "type")]
    }
    assert documented_names == DOCUMENTED_PARAMETER_TYPES.get(operation.id, set())


def test_second_header_is_published_but_its_type_is_inferred() -> None:
    scheme = "#/components/securitySchemes/multiplai"
    levels = {k: get_provenance(contract().document, scheme, k) for k in ("name", "in", "type", "description")}
    assert levels == {"name": "published", "in": "published", "type": "inferred", "description": "inferred"}
    assert get_provenance(contract().document, scheme) == "published"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/messages", "documented"),
        ("/agents", "published"),
        ("/workflow-executions", "published"),
        ("/threads", "inferred"),
    ],
)
def test_path_has_the_level_of_its_source(path: str, expected: str) -> None:
    assert get_provenance(contract().document, f"#/paths/{escape(path)}") == expected


def test_search_of_executions_is_published_but_status_is_inferred() -> None:
    query = {
        p.name: get_provenance(contract().document, p.pointer)
        for p in OPERATIONS["listWorkflowExecutions"].query_parameters
    }
    assert (query["status"], query["search"]) == ("inferred", "published")


@pytest.mark.parametrize(
    "operation", [o for o in operations_with_body if o.action == "metrics"], ids=lambda operation: operation.id
)
def test_only_the_calculation_of_metrics_is_published(operation: Operation) -> None:
    assert operation.request_body is not None
    levels = {
        name: get_provenance(contract().document, field.pointer)
        for name, field in operation.request_body.fields.items()
    }
    assert {name for name, level in levels.items() if level != "inferred"} == {"calculation"}
    assert levels["calculation"] == "published"


# Storage


def test_public_schemas_have_neither_storage_nor_defaults() -> None:
    views = [v for v in contract().views.values() if not contract().resources[v.resource].is_stored_only]
    assert views
    for view in views:
        properties = contract().document.resolve(view.pointer)["properties"]
        assert [name for name, schema in properties.items() if "default" in schema or "writeOnly" in schema] == []


def test_only_secrets_are_write_only() -> None:
    names = {name for _, name, schema in iter_properties() if schema.get("writeOnly")}
    assert names == {"credentials"}


def test_resources_that_no_operation_returns_are_only_stored() -> None:
    shown = collect_referenced_pointers(*(o.envelope.schema_pointer for o in OPERATIONS.values()))
    hidden = {name for name, resource in contract().resources.items() if resource.pointer not in shown}
    assert hidden == {name for name, resource in contract().resources.items() if resource.is_stored_only}
    assert hidden == {"AgentRun", "WorkflowApproval"}


@pytest.mark.parametrize("resource", contract().resources.values(), ids=lambda resource: resource.name)
def test_creation_defaults_match_their_schema(resource: Resource) -> None:
    for attribute in resource.attributes.values():
        if attribute.has_default:
            assert list_violations(attribute.pointer, "read", attribute.default) == [], attribute.name


# Enums

ENUMS = {name: s["enum"] for name, s in contract().document.root["components"]["schemas"].items() if "enum" in s}


def iter_inline_schemas() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (pointer, schema) of each public schema that is not a named component, and is not only stored."""
    stored_only = tuple(r.pointer for r in contract().resources.values() if r.is_stored_only)
    for node, pointer in iter_keyword_objects(contract().document.root):
        is_named = re.fullmatch("#/components/schemas/[A-Za-z0-9]+", pointer)
        if not (is_named or pointer.startswith(stored_only) or "/x-resource/" in pointer):
            yield pointer, node


def test_enums_are_named() -> None:
    """Inline is only the enum of null, as an alternative to a reference, which OpenAPI 3.0 cannot make nullable."""
    assert {"Visibility", "ExecutionStatus", "SortOrder", "MessageRole", "AuthenticationStrategy"} <= ENUMS.keys()
    inline = {pointer: node["enum"] for pointer, node in iter_inline_schemas() if isinstance(node.get("enum"), list)}
    assert {pointer: values for pointer, values in inline.items() if values != [None]} == {}


@pytest.mark.parametrize(
    ("name", "not_null"), [("AppliedGrouping", "MetricsGrouping"), ("AppliedGranularity", "MetricsGranularity")]
)
def test_nullable_enum_has_the_values_of_its_parameter(name: str, not_null: str) -> None:
    assert ENUMS[name] == [*ENUMS[not_null], None]


def iter_scalars(value: Any) -> Iterator[Any]:
    """Yield all scalars in a JSON value."""
    if isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from iter_scalars(child)
    else:
        yield value


def test_documented_enum_values_are_in_the_documented_bodies() -> None:
    bodies = [
        json.loads((FACTS / f"{name}.json").read_text()) for name in ("create_message_request", "get_messages_200")
    ]
    shown = set(map(str, iter_scalars(bodies)))
    levels = {
        (name, value): get_value_provenance(contract().document, f"#/components/schemas/{name}", value)
        for name, values in ENUMS.items()
        for value in values
    }
    for (name, value), level in levels.items():
        assert level != "documented" or value in shown, f"{name}: {value}"
        assert level != "published" or re.search(rf"\b{value}\b", FACTS_TEXT), f"{name}: {value}"
    assert levels["ExecutionStatus", "pending"] == levels["ExecutionStatus", "error"] == "documented"
    assert levels["ExecutionStatus", "running"] == "published"
    assert levels["ExecutionStatus", "waiting"] == levels["MessageRole", "assistant"] == "inferred"


def test_type_of_a_property_that_is_null_in_the_documentation_is_inferred() -> None:
    """The execution in the documented body embeds the workflow; null shows that it is nullable, but not its type."""
    message = json.loads((FACTS / "create_message_201.json").read_text())["data"]
    workflow = message["attachments"][0]["attachable"]["workflow"]
    pointer = "#/components/schemas/WorkflowSummary"
    assert list(contract().document.resolve(f"{pointer}/properties")) == list(workflow)
    levels = {
        name: tuple(
            get_provenance(contract().document, f"{pointer}/properties/{name}", k) for k in ("type", "nullable")
        )
        for name, value in workflow.items()
        if value is None
    }
    names = ("template_id", "profile_photo_url", "profile_photo_config", "deleted_at")
    assert levels == dict.fromkeys(names, ("inferred", "documented"))


def test_both_published_methods_of_an_update_are_defined() -> None:
    methods = {o.method: o for o in OPERATIONS.values() if o.summary == "Update a Workflow Execution"}
    assert methods.keys() == {"put", "patch"}
    assert methods["put"].action == methods["patch"].action == "update"


def test_objects_with_properties_are_named() -> None:
    assert [pointer for pointer, node in iter_inline_schemas() if node.get("properties")] == []


@each_operation
def test_bodies_are_named(operation: Operation) -> None:
    pointers = [operation.request_body.pointer] if operation.request_body else []
    pointers += [pointer for pointer in operation.responses.values() if pointer]
    for pointer in pointers:
        assert list(contract().document.resolve(pointer)) == ["$ref"], pointer


# Statuses

STATUS_OPERATIONS = {
    409: {
        "deleteWorkspace",
        "deleteProvider",
        "triggerWebhook",
        "createWorkflowExecution",
        "stopWorkflowExecution",
    },
    403: {
        *(f"{verb}{what}" for verb in ("update", "delete") for what in ("Workspace", "Provider", "Account")),
        *(f"{verb}{what}" for verb in ("update", "delete", "share") for what in ("Agent", "Workflow")),
        *(f"{verb}WorkflowExecution" for verb in ("create", "update", "patch", "delete", "stop")),
        "trainAgent",
        "triggerWebhook",
    },
}


def may_refer_to_missing_record(operation: Operation) -> bool:
    """Whether the path, the body or the query of a create operation contains the key of a record."""
    fields = operation.request_body.fields.values() if operation.request_body else ()
    return bool(operation.path_parameter_names) or any(
        item.relation_setter for item in (*operation.parameters, *fields)
    )


def can_be_invalid(operation: Operation) -> bool:
    """Whether a request can violate the schema: it has a body or query parameters."""
    return operation.request_body is not None or bool(operation.query_parameters)


@each_operation
def test_operation_has_one_success_status(operation: Operation) -> None:
    assert [s for s in operation.responses if s < 400] == [operation.envelope.status]
    assert operation.envelope.status in (200, 201, 204)
    assert (operation.envelope.schema_pointer is None) == (operation.envelope.status == 204)


@each_operation
def test_operation_defines_exactly_the_possible_errors(operation: Operation) -> None:
    expected = {
        400: operation.request_body is not None,
        401: True,  # also sign-in, for invalid credentials
        403: operation.id in STATUS_OPERATIONS[403],
        404: may_refer_to_missing_record(operation),
        409: operation.id in STATUS_OPERATIONS[409],
        415: operation.request_body is not None,
        419: operation.is_write and operation.requires_auth,
        422: can_be_invalid(operation),
        429: True,
    }
    assert {s for s in operation.responses if s >= 400} == {
        status for status, is_possible in expected.items() if is_possible
    }


@each_operation
def test_errors_have_laravel_body(operation: Operation) -> None:
    for status, pointer in operation.responses.items():
        if status >= 400:
            expected = {"message": "No."} | ({"errors": {"files.0.key": ["No."]}} if status == 422 else {})
            assert pointer is not None
            assert list_violations(pointer, "read", expected) == []
            assert list_violations(pointer, "read", {}) != []


@each_operation
def test_no_operation_has_default_response(operation: Operation) -> None:
    assert all(str(status).isdigit() for status in contract().document.resolve(operation.pointer)["responses"])


def test_too_many_requests_has_retry_after() -> None:
    response = contract().document.root["components"]["responses"]["TooManyRequests"]
    assert set(response["headers"]) == {"Retry-After"}


# Examples


def iter_body_schemas(operation: Operation) -> Iterator[tuple[str, Direction]]:
    """Yield the schemas of the request body and the success response, with their directions."""
    if operation.request_body is not None:
        yield operation.request_body.pointer, "write"
    if operation.envelope.schema_pointer is not None:
        yield operation.envelope.schema_pointer, "read"


def list_examples(schema: str) -> list[Any]:
    """Return the examples of a schema."""
    node = contract().document.resolve(schema.removesuffix("/schema"))
    named_examples = (contract().document.dereference(e, "")[0] for e in node.get("examples", {}).values())
    return [*([node["example"]] if "example" in node else []), *(e["value"] for e in named_examples)]


def iter_schema_examples() -> Iterator[tuple[str, Any]]:
    """Yield (pointer of the schema, example) of each example of a schema or parameter."""
    for node, pointer in iter_keyword_objects(contract().document.root):
        if "example" in node and "/content/" not in pointer:
            yield f"{pointer}/schema" if "schema" in node else pointer, node["example"]


def test_examples_match_their_schemas() -> None:
    def is_request(pointer: str) -> bool:
        schema = re.match("#/components/schemas/[A-Za-z]+(Request|Changes)/", pointer)
        return "/parameters/" in pointer or schema is not None

    violations = {
        pointer: list_violations(pointer, "write" if is_request(pointer) else "read", example)
        for pointer, example in iter_schema_examples()
    }
    assert not {pointer: found for pointer, found in violations.items() if found}


def has_example(pointer: str, node: Any) -> bool:
    """Whether a schema has an example: its own, or that of the schemas, properties or items it consists of."""
    if "example" in node:
        return True
    parts = [node] if "$ref" in node else [part for k in ("allOf", "anyOf") for part in node.get(k, ())]
    if parts:
        return any(
            has_example(p, target) for target, p in (contract().document.dereference(part, "") for part in parts)
        )
    return bool(node.get("properties")) or ("items" in node and has_example(pointer, node["items"]))


# Documentation

NODES = {pointer: node for node, pointer in iter_keyword_objects(contract().document.root)}


def test_every_tag_and_operation_is_described() -> None:
    assert [tag["name"] for tag in contract().document.root["tags"] if not tag.get("description")] == []
    assert [o.id for o in OPERATIONS.values() if not NODES[o.pointer].get("description")] == []


def test_every_parameter_has_a_description_and_an_example() -> None:
    nodes = {pointer: contract().document.resolve(pointer) for pointer in PARAMETERS}
    assert nodes
    assert not [pointer for pointer, node in nodes.items() if not node.get("description") or "example" not in node]


@pytest.mark.parametrize("name", contract().document.root["components"]["schemas"])
def test_every_schema_is_described(name: str) -> None:
    assert NODES[f"#/components/schemas/{name}"].get("description")


def test_every_property_has_a_description_and_an_example() -> None:
    schemas_by_pointer = {pointer: schema for pointer, _, schema in iter_properties()}
    assert schemas_by_pointer
    assert not [p for p, schema in schemas_by_pointer.items() if not schema.get("description") and "$ref" not in schema]
    assert not [pointer for pointer, schema in schemas_by_pointer.items() if not has_example(pointer, schema)]


def normalize(text: str) -> str:
    """Return the words of a text without articles, in lower case."""
    return " ".join(word for word in re.findall("[a-z0-9]+", text.lower()) if word not in ("a", "an", "the"))


def test_no_description_only_restates_the_name() -> None:
    assert not [
        pointer
        for pointer, name, schema in iter_properties()
        if normalize(schema.get("description", "x")) == normalize(name.replace("_", " "))
    ]


@each_operation
def test_each_body_has_an_example(operation: Operation) -> None:
    assert all(list_examples(schema) for schema, _ in iter_body_schemas(operation))


@each_operation
def test_each_example_is_valid(operation: Operation) -> None:
    for schema, direction in iter_body_schemas(operation):
        for value in list_examples(schema):
            assert list_violations(schema, direction, value) == []


@pytest.mark.parametrize("name", contract().document.root["components"]["examples"])
def test_each_named_example_is_referenced(name: str) -> None:
    assert f"'#/components/examples/{name}'" in FILE.read_text()


DEFAULTS = [pointer for pointer, _, schema in iter_properties() if "default" in schema]


def test_each_default_is_valid() -> None:
    assert DEFAULTS
    violations = {p: list_violations(p, "read", contract().document.resolve(p)["default"]) for p in DEFAULTS}
    assert not {pointer: found for pointer, found in violations.items() if found}


@pytest.mark.parametrize(
    ("name", "file", "direction"),
    [
        ("listMessages", "get_messages_200.json", "read"),
        ("createMessage", "create_message_201.json", "read"),
        ("createMessage", "create_message_request.json", "write"),
    ],
)
def test_documented_bodies_are_valid(name: str, file: str, direction: Direction) -> None:
    operation = OPERATIONS[name]
    assert operation.request_body is None or direction in ("read", "write")
    schema = (
        operation.request_body.pointer
        if direction == "write" and operation.request_body
        else operation.envelope.schema_pointer
    )
    assert schema is not None
    assert list_violations(schema, direction, json.loads((FACTS / file).read_text())) == []


# Strictness: changes of the documented message are detected

MESSAGE: Any = json.loads((FACTS / "create_message_201.json").read_text())
JsonPath = tuple[str | int, ...]
# Placeholders in the documentation for additional keys; see FACTS.md.
PLACEHOLDER_KEYS = {"property1", "property2"}

# Relations that `with` includes, so they may be missing. `attachable`, `entity` and `pivot_account` are required.
RELATIONS = {
    *("thread", "creator", "primary_workspace", "user", "agent", "workspace", "tools", "workflows", "shares"),
    *("attachments", "workflow", "workflow_execution_data"),
}

# (property, JSON type) that the contract also accepts, with the reason.
ACCEPTED_TYPES = {
    ("agent", "null"): "a thread may be without an agent",
    ("profile_photo_url", "null"): "null in the documented WorkflowSummary; the same for agents and workflows",
    ("profile_photo_config", "null"): "null in the documented WorkflowSummary",
    ("profile_photo_config", "object"): "an object in the documented Workflow, null in its WorkflowSummary",
    ("last_used_at", "null"): "an agent or workflow that was never used",
    ("deleted_at", "null"): "null in the documented WorkflowSummary: not deleted",
    ("retry_of", "null"): "an execution that is not a retry",
    ("retry_success_id", "null"): "an execution without a retry",
    ("started_at", "null"): "an execution that is pending",
    ("stopped_at", "null"): "an execution, or a step, that is not finished",
    ("wait_till", "null"): "an execution that is not waiting",
    ("wait_until", "null"): "a step that is not waiting",
    ("wait_started_at", "null"): "a step that is not waiting",
    ("wait_completed_at", "null"): "a step that is not waiting",
}
TYPES: Mapping[str, Any] = {"null": None, "boolean": True, "number": 1.5, "string": "text", "array": [], "object": {}}


def iter_values(value: Any, path: JsonPath = ()) -> Iterator[tuple[JsonPath, Any]]:
    """Yield (path, value) of each descendant of a JSON value."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        if key not in PLACEHOLDER_KEYS:
            yield (*path, key), child
            yield from iter_values(child, (*path, key))


def json_type(value: Any) -> str:
    """Return the JSON type of a value."""
    names = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")


def get_value(path: JsonPath) -> Any:
    """Return the value at a path in the documented message."""
    value = MESSAGE
    for part in path:
        value = value[part]
    return value


def is_accepted(body: Any) -> bool:
    """Whether the contract accepts `body` as the response of Create a Message."""
    schema = OPERATIONS["createMessage"].envelope.schema_pointer
    assert schema is not None
    return schemas().get(schema, "read").is_valid(body)


def replace_value(path: JsonPath, *replacement: Any) -> Any:
    """Return the documented message with another value at a path, or without the value."""
    body = copy.deepcopy(MESSAGE)
    parent = body
    for part in path[:-1]:
        parent = parent[part]
    if replacement:
        parent[path[-1]] = replacement[0]
    else:
        del parent[path[-1]]
    return body


def test_removing_a_key_of_the_documented_message_is_detected() -> None:
    keys = [path for path, _ in iter_values(MESSAGE) if isinstance(path[-1], str)]
    relations = {path for path in keys if path[-1] in RELATIONS and {"id", "uuid"} & get_value(path[:-1]).keys()}
    assert len(keys) - len(relations) > 350
    assert {path[-1] for path in relations} == RELATIONS
    assert {
        path for path in keys if is_accepted(replace_value(path))
    } == relations  # the removal of any other key is detected


def test_changing_a_type_in_the_documented_message_is_detected() -> None:
    mutants = [(path, t) for path, value in iter_values(MESSAGE) for t in TYPES if t != json_type(value)]
    accepted_mutants = [(path, t) for path, t in mutants if is_accepted(replace_value(path, TYPES[t]))]
    assert len(mutants) > 2000
    assert {(next(part for part in reversed(path) if isinstance(part, str)), t) for path, t in accepted_mutants} == set(
        ACCEPTED_TYPES
    )
    assert 1 - len(accepted_mutants) / len(mutants) >= 0.97


def test_adding_a_key_to_the_documented_message_is_detected() -> None:
    objects = [((), MESSAGE), *((path, value) for path, value in iter_values(MESSAGE) if isinstance(value, dict))]
    open_objects = [(path, value) for path, value in objects if is_accepted(add_key(path))]
    assert all(value.keys() >= PLACEHOLDER_KEYS or not value for _, value in open_objects)
    assert {path for path, value in objects if value.keys() >= PLACEHOLDER_KEYS} <= {path for path, _ in open_objects}


def add_key(path: JsonPath) -> Any:
    """Return the documented message with an additional key in the object at a path."""
    body = copy.deepcopy(MESSAGE)
    parent = body
    for part in path:
        parent = parent[part]
    parent["surprise"] = "text"
    return body


# Request bodies


@pytest.mark.parametrize("operation", operations_with_body, ids=lambda operation: operation.id)
def test_request_bodies_accept_additional_keys(operation: Operation) -> None:
    assert operation.request_body is not None
    (example,) = list_examples(operation.request_body.pointer)
    assert list_violations(operation.request_body.pointer, "write", {**example, "surprise": [1]}) == []


@pytest.mark.parametrize(
    "operation", [o for o in operations_with_body if o.action == "update"], ids=lambda operation: operation.id
)
def test_update_has_no_required_fields(operation: Operation) -> None:
    assert operation.request_body is not None
    assert not [field.name for field in operation.request_body.fields.values() if field.required]


# Links


@pytest.mark.parametrize("name", contract().document.root["components"]["links"])
def test_link_provides_all_required_arguments(name: str) -> None:
    link = contract().document.root["components"]["links"][name]
    operation = OPERATIONS[link["operationId"]]
    given = set(link.get("parameters", {}))
    assert given <= {parameter.name for parameter in operation.parameters}
    assert set(operation.path_parameter_names) <= given
    sent = set(link.get("requestBody", {}))
    fields = operation.request_body.fields if operation.request_body else {}
    assert sent <= fields.keys()
    assert not sent or {field.name for field in fields.values() if field.required} <= sent


@pytest.mark.parametrize("name", contract().document.root["components"]["links"])
def test_each_link_is_referenced(name: str) -> None:
    assert f"'#/components/links/{name}'" in FILE.read_text()
