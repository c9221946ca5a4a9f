"""Our contract, `spec/openapi.yaml`: held to the facts, strict enough to be a gate, and whole."""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from spec.document import escape, iter_keyword_objects
from spec.loader import Contract, Operation, load_contract
from spec.provenance import get_provenance
from spec.validators import Direction, SchemaValidators
from tests.spec.facts import check_facts

ROOT = Path(__file__).parents[2]
FILE = ROOT / "spec" / "openapi.yaml"
FACTS = Path(__file__).parent / "facts"
KNOWN: Mapping[str, Any] = json.loads((FACTS / "facts.json").read_text())
LINES = 4500


@cache
def contract() -> Contract:
    """The contract; frozen, so read once."""
    return load_contract(FILE)


@cache
def schemas() -> SchemaValidators:
    """Its validators."""
    return SchemaValidators.from_document(contract().document)


OPERATIONS = contract().operations
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
bodied = [operation for operation in OPERATIONS.values() if operation.request_body]


def breaches(pointer: str, direction: Direction, value: Any) -> list[str]:
    """What is wrong with a value by the schema at `pointer`."""
    found = schemas().get(pointer, direction).iter_errors(value)
    return [f"{error.instance_path}: {error.message[:200]}" for error in found]


# The whole file ------------------------------------------------------------------------------------------------------


def test_a_person_can_read_it_whole() -> None:
    assert len(FILE.read_text().splitlines()) < LINES


def test_another_validator_takes_it_for_openapi() -> None:
    validate(json.loads(json.dumps(contract().document.root)))


def test_it_has_every_operation_that_is_known() -> None:
    assert len(OPERATIONS) == len(KNOWN["operations"]) + len(KNOWN["beyond_the_sidebar"]) == 75


def test_it_misses_no_fact() -> None:
    assert list(check_facts.misses(json.loads(json.dumps(contract().document.root)), dict(KNOWN))) == []


def test_the_check_of_facts_can_fail() -> None:
    """Each: what is taken away, and the name that must be told."""
    root = json.loads(json.dumps(contract().document.root))
    root["paths"]["/agents"]["get"]["summary"] = "List Agents"
    root["paths"]["/threads"]["get"]["x-source"] = "documented"
    root["components"]["schemas"]["Vertex"] = root["components"]["schemas"].pop("Edge")
    told = "\n".join(check_facts.misses(root, dict(KNOWN)))
    for name in ("Get Agents", "Get Threads", "schema Edge"):
        assert name in told


def test_operations_stand_in_the_order_of_the_tags() -> None:
    tags = [tag["name"] for tag in contract().document.root["tags"]]
    first = list(dict.fromkeys(operation.tag for operation in OPERATIONS.values()))
    assert first == tags


# Provenance ----------------------------------------------------------------------------------------------------------

FACTS_TEXT = (FACTS / "FACTS.md").read_text()
SEEDS = "".join((FACTS / name).read_text() for name in ("seed_get_messages.txt", "seed_create_message.txt"))
RANK = {"documented": 2, "published": 1, "confirmed": 0, "inferred": 0}


@each_operation
def test_an_operation_claims_no_more_than_is_known(operation: Operation) -> None:
    facts = {fact["summary"]: fact["source"] for fact in (*KNOWN["operations"], *KNOWN["beyond_the_sidebar"])}
    assert get_provenance(contract().document, operation.pointer) == facts[operation.summary]


def properties() -> Iterator[tuple[str, str, Any]]:
    """(pointer, name, schema) of each property of each schema."""
    for node, pointer in iter_keyword_objects(contract().document.root):
        found = node.get("properties")
        for name, schema in found.items() if isinstance(found, dict) else ():
            yield f"{pointer}/properties/{escape(name)}", name, schema


def graded() -> Iterator[tuple[str, str, str]]:
    """(pointer, name, grade) of each property and parameter that claims to be stated by a page."""
    document = contract().document
    for pointer, name, _ in properties():
        if RANK[get_provenance(document, pointer)]:
            yield pointer, name, get_provenance(document, pointer)
    for node, pointer in iter_keyword_objects(document.root):
        if "in" in node and "name" in node and RANK[get_provenance(document, pointer)]:
            yield pointer, node["name"], get_provenance(document, pointer)


@pytest.mark.parametrize(("pointer", "name", "said"), list(graded()))
def test_a_name_that_claims_to_be_stated_is_stated(pointer: str, name: str, said: str) -> None:
    page = SEEDS if said == "documented" else SEEDS + FACTS_TEXT
    assert re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", page), f"{name} is on no page"


@pytest.mark.parametrize("keyword", ["format", "enum", "maxLength", "minimum", "nullable", "additionalProperties"])
def test_what_no_example_can_show_is_inferred(keyword: str) -> None:
    content = "#/components/schemas/Message/properties/content"
    assert get_provenance(contract().document, content, "type") == "documented"
    assert get_provenance(contract().document, content, keyword) == "inferred"


STATED_STATUSES = {("createMessage", 201)}


@each_operation
def test_no_status_claims_to_be_stated_but_one(operation: Operation) -> None:
    for status in operation.responses:
        stated = (operation.id, status) in STATED_STATUSES
        found = get_provenance(contract().document, f"{operation.pointer}/responses/{status}")
        assert found == ("documented" if stated else "inferred"), status


@pytest.mark.parametrize(
    ("name", "below", "due"),
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
def test_an_answer_that_is_shown_is_stated_though_its_status_is_not(name: str, below: str, due: str) -> None:
    assert get_provenance(contract().document, f"{OPERATIONS[name].envelope.schema_pointer}{below}", "type") == due


def below(*pointers: str | None) -> set[str]:
    """The places of schemas that these schemas use, and of the schemas themselves."""
    found: set[str] = set()
    waiting = [pointer for pointer in pointers if pointer]
    while waiting:
        at = waiting.pop()
        if at in found:
            continue
        for node, pointer in iter_keyword_objects(contract().document.resolve(at), at):
            found.add(pointer)
            waiting += [node["$ref"]] if "$ref" in node else []
    return found


SENT = below(*(o.request_body.pointer for o in bodied if o.request_body)) - below(
    *(o.envelope.schema_pointer for o in OPERATIONS.values())
)
PARAMETERS = sorted({p.pointer for o in OPERATIONS.values() for p in o.parameters})


def test_what_a_request_requires_is_stated_nowhere() -> None:
    bodies = [f"{operation.pointer}/requestBody" for operation in bodied]
    due = [pointer for pointer in SENT if "required" in contract().document.resolve(pointer)]
    assert {"CreateMessageRequest", "MessageFile"} <= {pointer.rpartition("/")[2] for pointer in due}
    for pointer in (*due, *bodies, *PARAMETERS):
        assert get_provenance(contract().document, pointer, "required") == "inferred", pointer


# By a value that a curl shows, a name given more than once, or an example in JSON.
TYPED = {
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
def test_the_types_of_parameters_are_inferred_where_no_value_is_shown(operation: Operation) -> None:
    document = contract().document
    stated = {p.name for p in operation.parameters if RANK[get_provenance(document, f"{p.pointer}/schema", "type")]}
    assert stated == TYPED.get(operation.id, set())


def test_of_the_second_header_only_the_name_is_stated() -> None:
    scheme = "#/components/securitySchemes/multiplai"
    found = {word: get_provenance(contract().document, scheme, word) for word in ("name", "in", "type", "description")}
    assert found == {"name": "published", "in": "published", "type": "inferred", "description": "inferred"}
    assert get_provenance(contract().document, scheme) == "inferred"


@pytest.mark.parametrize(
    ("path", "due"),
    [
        ("/messages", "documented"),
        ("/agents", "published"),
        ("/workflow-executions", "published"),
        ("/threads", "inferred"),
    ],
)
def test_a_path_that_a_curl_shows_is_stated(path: str, due: str) -> None:
    assert get_provenance(contract().document, f"#/paths/{escape(path)}") == due


def test_the_executions_status_stands_in_prose_only() -> None:
    query = {
        p.name: get_provenance(contract().document, p.pointer)
        for p in OPERATIONS["listWorkflowExecutions"].query_parameters
    }
    assert (query["status"], query["search"]) == ("inferred", "published")


@pytest.mark.parametrize("operation", [o for o in bodied if o.action == "metrics"], ids=lambda operation: operation.id)
def test_of_what_metrics_are_asked_with_the_calculation_is_stated(operation: Operation) -> None:
    assert operation.request_body is not None
    found = {
        name: get_provenance(contract().document, field.pointer)
        for name, field in operation.request_body.fields.items()
    }
    assert {name for name, said in found.items() if said != "inferred"} == {"calculation"}
    assert found["calculation"] == "published"


# Said once -----------------------------------------------------------------------------------------------------------

CHOICES = {name: s["enum"] for name, s in contract().document.root["components"]["schemas"].items() if "enum" in s}


@pytest.mark.parametrize("name", CHOICES)
def test_the_values_of_a_named_enum_are_said_once(name: str) -> None:
    assert {"Visibility", "ExecutionStatus", "SortOrder", "MessageRole"} <= CHOICES.keys()
    said = [
        pointer for node, pointer in iter_keyword_objects(contract().document.root) if node.get("enum") == CHOICES[name]
    ]
    assert said == [f"#/components/schemas/{name}"]


# Statuses ------------------------------------------------------------------------------------------------------------

NAMED_BY_STATE = {
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
        *(f"{verb}WorkflowExecution" for verb in ("create", "update", "delete", "stop")),
        "trainAgent",
        "triggerWebhook",
    },
}


def names_a_record(operation: Operation) -> bool:
    """Whether path, or a body, or the query of a create leads to a record that may not be there."""
    fields = operation.request_body.fields.values() if operation.request_body else ()
    return bool(operation.path_parameter_names) or any(
        item.relation_setter for item in (*operation.parameters, *fields)
    )


def can_be_invalid(operation: Operation) -> bool:
    """Whether the schema can be broken: by a body, or by the query."""
    return operation.request_body is not None or bool(operation.query_parameters)


@each_operation
def test_an_operation_has_one_success(operation: Operation) -> None:
    assert [s for s in operation.responses if s < 400] == [operation.envelope.status]
    assert operation.envelope.status in (200, 201, 204)
    assert (operation.envelope.schema_pointer is None) == (operation.envelope.status == 204)


@each_operation
def test_an_operation_names_each_refusal_that_can_occur_and_no_other(operation: Operation) -> None:
    due = {
        400: operation.request_body is not None,
        401: True,  # sign in too, for wrong credentials
        403: operation.id in NAMED_BY_STATE[403],
        404: names_a_record(operation),
        409: operation.id in NAMED_BY_STATE[409],
        415: operation.request_body is not None,
        422: can_be_invalid(operation),
        429: True,
    }
    assert {s for s in operation.responses if s >= 400} == {status for status, occurs in due.items() if occurs}


@each_operation
def test_a_refusal_has_laravels_body(operation: Operation) -> None:
    for status, pointer in operation.responses.items():
        if status >= 400:
            due = {"message": "No."} | ({"errors": {"files.0.key": ["No."]}} if status == 422 else {})
            assert pointer is not None
            assert breaches(pointer, "read", due) == []
            assert breaches(pointer, "read", {}) != []


@each_operation
def test_no_operation_hides_behind_default(operation: Operation) -> None:
    assert all(str(status).isdigit() for status in contract().document.resolve(operation.pointer)["responses"])


def test_too_many_requests_says_how_long_to_wait() -> None:
    said = contract().document.root["components"]["responses"]["TooManyRequests"]
    assert set(said["headers"]) == {"Retry-After"}


# Examples ------------------------------------------------------------------------------------------------------------


def media(operation: Operation) -> Iterator[tuple[str, Direction]]:
    """The schema of the request's body and of the success's, each with the way that it goes."""
    if operation.request_body is not None:
        yield operation.request_body.pointer, "write"
    if operation.envelope.schema_pointer is not None:
        yield operation.envelope.schema_pointer, "read"


def examples(schema: str) -> list[Any]:
    """The examples beside a schema."""
    node = contract().document.resolve(schema.removesuffix("/schema"))
    named = (contract().document.dereference(e, "")[0] for e in node.get("examples", {}).values())
    return [*([node["example"]] if "example" in node else []), *(e["value"] for e in named)]


@each_operation
def test_each_body_and_each_success_has_an_example(operation: Operation) -> None:
    assert all(examples(schema) for schema, _ in media(operation))


@each_operation
def test_each_example_is_valid(operation: Operation) -> None:
    for schema, direction in media(operation):
        for value in examples(schema):
            assert breaches(schema, direction, value) == []


@pytest.mark.parametrize("name", contract().document.root["components"]["examples"])
def test_each_named_example_is_of_use(name: str) -> None:
    assert f"'#/components/examples/{name}'" in FILE.read_text()


DEFAULTS = [pointer for pointer, _, schema in properties() if "default" in schema]


@pytest.mark.parametrize("pointer", DEFAULTS)
def test_each_default_is_valid(pointer: str) -> None:
    assert breaches(pointer, "read", contract().document.resolve(pointer)["default"]) == []


@pytest.mark.parametrize(
    ("name", "file", "direction"),
    [
        ("listMessages", "get_messages_200.json", "read"),
        ("createMessage", "create_message_201.json", "read"),
        ("createMessage", "create_message_request.json", "write"),
    ],
)
def test_the_documented_bodies_are_valid_as_they_are(name: str, file: str, direction: Direction) -> None:
    operation = OPERATIONS[name]
    assert operation.request_body is None or direction in ("read", "write")
    schema = (
        operation.request_body.pointer
        if direction == "write" and operation.request_body
        else operation.envelope.schema_pointer
    )
    assert schema is not None
    assert breaches(schema, direction, json.loads((FACTS / file).read_text())) == []


# Strictness: what is broken in the documented message is seen -------------------------------------------------------

MESSAGE: Any = json.loads((FACTS / "create_message_201.json").read_text())
Place = tuple[str | int, ...]
# The documentation's way to print that other keys may occur; FACTS.md says that they are no keys.
OTHER_KEYS = {"property1", "property2"}

# Relations that `with` turns on and off: they may be missing. `attachable`, `entity` and `pivot_account` may not.
RELATIONS = {
    *("thread", "creator", "primary_workspace", "user", "agent", "workspace", "tools", "workflows", "shares"),
    *("attachments", "workflow", "workflow_execution_data"),
}

# (property, JSON type) that may stand there instead of what the example shows, and why.
ADMITTED = {
    ("agent", "null"): "a thread may be without an agent",
    ("profile_photo_url", "null"): "null in the documented WorkflowSummary; agents and workflows alike",
    ("profile_photo_config", "null"): "null in the documented WorkflowSummary",
    ("profile_photo_config", "object"): "an object in the documented Workflow, null in its WorkflowSummary",
    ("last_used_at", "null"): "an agent or workflow that was never used",
    ("deleted_at", "null"): "null in the documented WorkflowSummary: what is not deleted",
    ("retry_of", "null"): "an execution that is no second try",
    ("retry_success_id", "null"): "an execution that was not tried again",
    ("started_at", "null"): "an execution that is pending",
    ("stopped_at", "null"): "an execution, or a step, that is not at its end",
    ("wait_till", "null"): "an execution that waits for nothing",
    ("wait_until", "null"): "a step that waits for nothing",
    ("wait_started_at", "null"): "a step that waits for nothing",
    ("wait_completed_at", "null"): "a step that waits for nothing",
}
TYPES: Mapping[str, Any] = {"null": None, "boolean": True, "number": 1.5, "string": "text", "array": [], "object": {}}


def places(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every place of a JSON value below its root, with what stands there."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        if key not in OTHER_KEYS:
            yield (*at, key), below
            yield from places(below, (*at, key))


def json_type(value: Any) -> str:
    """The JSON type of a value."""
    names = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array"}
    return names.get(type(value), "object")


def value_at(at: Place) -> Any:
    """What stands at a place of the documented message."""
    value = MESSAGE
    for part in at:
        value = value[part]
    return value


def admits(body: Any) -> bool:
    """Whether the contract takes `body` for the answer of Create a Message."""
    schema = OPERATIONS["createMessage"].envelope.schema_pointer
    assert schema is not None
    return schemas().get(schema, "read").is_valid(body)


def changed(at: Place, *instead: Any) -> Any:
    """The documented message with another value at a place, or with none."""
    body = copy.deepcopy(MESSAGE)
    above = body
    for part in at[:-1]:
        above = above[part]
    if instead:
        above[at[-1]] = instead[0]
    else:
        del above[at[-1]]
    return body


def test_taking_any_key_but_a_relation_from_the_documented_message_is_refused() -> None:
    keys = [at for at, _ in places(MESSAGE) if isinstance(at[-1], str)]
    relations = {at for at in keys if at[-1] in RELATIONS and {"id", "uuid"} & value_at(at[:-1]).keys()}
    assert len(keys) - len(relations) > 350
    assert {at[-1] for at in relations} == RELATIONS
    assert {at for at in keys if admits(changed(at))} == relations  # so of the other keys all are missed: 100 %


def test_changing_the_type_of_any_value_of_the_documented_message_is_refused() -> None:
    mutants = [(at, t) for at, value in places(MESSAGE) for t in TYPES if t != json_type(value)]
    missed = [(at, t) for at, t in mutants if admits(changed(at, TYPES[t]))]
    assert len(mutants) > 2000
    assert {(next(part for part in reversed(at) if isinstance(part, str)), t) for at, t in missed} == set(ADMITTED)
    assert 1 - len(missed) / len(mutants) >= 0.97


def test_a_key_that_the_example_does_not_know_is_refused_where_it_shows_no_others() -> None:
    objects = [((), MESSAGE), *((at, value) for at, value in places(MESSAGE) if isinstance(value, dict))]
    admitting = [(at, value) for at, value in objects if admits(with_key(at))]
    assert all(value.keys() >= OTHER_KEYS or not value for _, value in admitting)
    assert {at for at, value in objects if value.keys() >= OTHER_KEYS} <= {at for at, _ in admitting}


def with_key(at: Place) -> Any:
    """The documented message with one more key in the object at a place."""
    body = copy.deepcopy(MESSAGE)
    below = body
    for part in at:
        below = below[part]
    below["surprise"] = "text"
    return body


# Bodies of requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", bodied, ids=lambda operation: operation.id)
def test_bodies_are_open_as_laravels_are(operation: Operation) -> None:
    assert operation.request_body is not None
    (example,) = examples(operation.request_body.pointer)
    assert breaches(operation.request_body.pointer, "write", {**example, "surprise": [1]}) == []


@pytest.mark.parametrize("operation", [o for o in bodied if o.action == "update"], ids=lambda operation: operation.id)
def test_an_update_asks_for_nothing(operation: Operation) -> None:
    assert operation.request_body is not None
    assert not [field.name for field in operation.request_body.fields.values() if field.required]


# Links ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", contract().document.root["components"]["links"])
def test_a_link_leads_to_an_operation_with_all_that_it_asks_for(name: str) -> None:
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
def test_each_link_is_of_use(name: str) -> None:
    assert f"'#/components/links/{name}'" in FILE.read_text()
