"""Tests each operation: its documented success, and each documented error that is easy to produce.

Paths, methods, bodies and statuses are read from the contract. Each response is validated twice: by our validators and
by openapi-core.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from openapi_core.exceptions import OpenAPIError

from mock_server.query import Query
from mock_server.store.expressions import all_of, on_column
from spec.model import BodyField, Operation, Parameter
from tests.asgi import Reply
from tests.mock_server.athena import PASSWORD, Api, athena_contract

OPERATIONS = athena_contract().operations
BEARER = {"Authorization": "Bearer demo-token"}
UNKNOWN_KEY = "00000000-0000-4000-8000-000000000000"

# Operation -> attributes of the seeded record to use, if not any record is suitable.
STATES: Mapping[str, Mapping[str, Any]] = {
    "deleteWorkspace": {"slug": "sandbox"},  # the others are the primary workspace of a user
    "triggerWebhook": {"is_active": True},
    "stopWorkflowExecution": {"status": "running"},
}


def parametrize_operations(*operations: Operation) -> pytest.MarkDecorator:
    """Parametrize a test with operations."""
    return pytest.mark.parametrize("name", [operation.id for operation in operations])


def find_key(api: Api, operation: Operation) -> Any:
    """Return a seeded key for the path of an operation, None if the path has no parameter."""
    if not operation.path_parameter_names:
        return None
    assert operation.resource is not None
    if operation.id == "deleteProvider":
        used_keys = {account["provider"]["uuid"] for account in api.list_all("listAccounts")}
        own_keys = [p["uuid"] for p in api.list_all("listProviders") if p["is_owner"]]
        return next(key for key in own_keys if key not in used_keys)
    return api.find_seeded_key(operation.resource, **STATES.get(operation.id, {}))


def get_example_body(operation: Operation) -> Any:
    """Return the example body of the contract, None if the operation has no body."""
    if operation.request_body is None:
        return None
    pointer = operation.request_body.pointer.removesuffix("/schema")
    return athena_contract().document.resolve(pointer)["example"]


def get_required_query(operation: Operation) -> dict[str, Any]:
    """Return a value for each required query parameter."""
    return {p.name: p.schema["enum"][0] for p in operation.query_parameters if p.required}


# Success -------------------------------------------------------------------------------------------------------------


@parametrize_operations(*OPERATIONS.values())
def test_response_conforms_to_the_contract(api: Api, name: str) -> None:
    operation = api.operation(name)
    key, body, query = find_key(api, operation), get_example_body(operation), get_required_query(operation)
    reply = api.send(name, key, body, query)
    assert reply.status == operation.envelope.status, reply.body
    api.assert_valid_twice(name, reply, key=key, query=query, body=body)


@parametrize_operations(*OPERATIONS.values())
def test_request_conforms_to_the_contract(api: Api, name: str) -> None:
    operation = api.operation(name)
    path = api.target(name, find_key(api, operation))
    api.openapi_core.validate_request(
        api.openapi_core.create_request(
            operation.method, path, get_required_query(operation), get_example_body(operation), BEARER
        )
    )


def test_openapi_core_detects_invalid_responses(api: Api) -> None:
    reply = api.call("listMessages")
    openapi_core = api.openapi_core
    request = openapi_core.create_request("get", api.target("listMessages"))
    for old, new in ((b'"role":', b'"rule":'), (b'"per_page":20', b'"per_page":0'), (b'"meta":', b'"beta":')):
        assert old in reply.body
        with pytest.raises(OpenAPIError):
            openapi_core.validate_response(request, Reply(reply.status, reply.headers, reply.body.replace(old, new, 1)))


def list_valid_values(parameter: Parameter) -> list[Any]:
    """Return all values of an enum, or one valid value of another type."""
    schema = parameter.schema.get("items", parameter.schema)
    by_type = {"integer": 1, "boolean": "true", "string": "e"}
    by_format = {"uuid": UNKNOWN_KEY, "date": "2026-01-31"}
    if schema["type"] == "object":
        return []
    return list(schema.get("enum", [by_format.get(schema.get("format", ""), by_type[schema["type"]])]))


@parametrize_operations(*(o for o in OPERATIONS.values() if o.query_parameters and o.method == "get"))
def test_every_value_of_every_query_parameter_is_served(api: Api, name: str) -> None:
    operation = api.operation(name)
    key, required_query = find_key(api, operation), get_required_query(operation)
    for parameter in operation.query_parameters:
        for value in list_valid_values(parameter):
            api.call_json(name, key, query={**required_query, parameter.name: value})


@parametrize_operations(
    *(o for o in OPERATIONS.values() if o.method == "get" and any(p.allow_empty_value for p in o.query_parameters))
)
def test_blank_parameters_are_ignored(api: Api, name: str) -> None:
    operation = api.operation(name)
    key, required_query = find_key(api, operation), get_required_query(operation)
    blank = {p.name: "" for p in operation.query_parameters if p.allow_empty_value}
    without_blanks, with_blanks = (
        api.call_json(name, key, query=required_query),
        api.call_json(name, key, query={**blank, **required_query}),
    )
    assert with_blanks["data"] == without_blanks["data"]
    assert with_blanks.get("meta") == without_blanks.get("meta")


# 401 -----------------------------------------------------------------------------------------------------------------

WITH_SECURITY = [operation for operation in OPERATIONS.values() if operation.security]


def test_only_sign_in_is_public() -> None:
    assert [operation.id for operation in OPERATIONS.values() if not operation.security] == ["signIn"]


@parametrize_operations(*WITH_SECURITY)
def test_invalid_token_returns_401(api: Api, name: str) -> None:
    operation = api.operation(name)
    key, body = find_key(api, operation), get_example_body(operation)
    for token in (None, "no-such-token", "expired-token", ""):
        reply = api.send(name, key, body, get_required_query(operation), token=token)
        assert (reply.status, reply.json) == (401, {"message": "Unauthenticated."}), token
        api.assert_valid(name, reply)
    api.assert_valid_twice(name, reply, key=key, body=body)


@parametrize_operations(*(o for o in WITH_SECURITY if o.method != "get"))
def test_request_without_token_changes_nothing(api: Api, name: str) -> None:
    operation = api.operation(name)
    before = api.sandbox.store.generation
    api.send(name, find_key(api, operation), get_example_body(operation), token=None)
    assert api.sandbox.store.generation == before


def test_wrong_password_returns_401(api: Api) -> None:
    operation = api.operation("signIn")
    reply = api.send("signIn", body={**get_example_body(operation), "password": PASSWORD + "x"}, token=None)
    assert reply.status == 401
    api.assert_valid_twice("signIn", reply)


# 404 -----------------------------------------------------------------------------------------------------------------


@parametrize_operations(*(o for o in OPERATIONS.values() if o.path_parameter_names))
def test_unknown_key_returns_404(api: Api, name: str) -> None:
    for key in (UNKNOWN_KEY, "not-a-uuid", "0", "%00", "%F0%9F%92%A9"):
        reply = api.send(name, key, get_example_body(api.operation(name)))
        assert (reply.status, reply.headers["x-mock-reason"]) == (404, "record-not-found"), key
        api.assert_valid(name, reply)
    api.assert_valid_twice(name, reply, key="x")


@parametrize_operations(
    *(o for o in OPERATIONS.values() if o.path_parameter_names and o.resource not in ("LargeLanguageModel",))
)
def test_record_of_another_workspace_returns_404(api: Api, name: str) -> None:
    operation = api.operation(name)
    key = find_invisible_key(api, operation)
    reply = api.send(name, key, get_example_body(operation), token="other-token")
    assert (reply.status, reply.headers["x-mock-reason"]) == (404, "other-tenant")
    api.assert_valid_twice(name, reply, key=key)


def find_invisible_key(api: Api, operation: Operation) -> Any:
    """Return the key of a record that the second user cannot see."""
    resource = api.contract.resources[operation.resource or ""]
    viewer = api.sandbox.resolve_token("other-token", api.clock())
    visibility = Query(api.sandbox.store, viewer).build_visibility_condition(resource)
    is_invisible = replace(visibility, sql=f"NOT {visibility.sql}")
    return api.sandbox.store.select(resource.name, all_of((on_column("tenant", "{} IS NOT NULL"), is_invisible)))[0].key


def list_reference_fields(operation: Operation) -> list[BodyField]:
    """Return the fields of a body that refer to another record."""
    return (
        [field for field in operation.request_body.fields.values() if field.relation_setter]
        if operation.request_body
        else []
    )


@pytest.mark.parametrize(
    ("name", "field"),
    [(o.id, f.name) for o in OPERATIONS.values() for f in list_reference_fields(o)],
    ids=lambda part: str(part),
)
def test_unknown_record_in_body_returns_404(api: Api, name: str, field: str) -> None:
    operation = api.operation(name)
    assert operation.request_body is not None
    is_list = operation.request_body.fields[field].schema.get("type") == "array"
    value: Any = [UNKNOWN_KEY] if is_list else UNKNOWN_KEY
    key, body = find_key(api, operation), {**get_example_body(operation), field: value}
    before = api.sandbox.store.count_by_resource()
    reply = api.send(name, key, body)
    assert reply.status == 404, reply.body
    assert api.sandbox.store.count_by_resource() == before
    api.assert_valid_twice(name, reply, key=key, body=body)


# 422 -----------------------------------------------------------------------------------------------------------------

WITH_BODY = [operation for operation in OPERATIONS.values() if operation.request_body]
WRONG_VALUES: Mapping[str, Any] = {"string": 5, "integer": "five", "number": "much", "boolean": "maybe", "array": {}}


def iter_invalid_bodies(operation: Operation) -> Iterator[tuple[Any, str]]:
    """Yield (body with one invalid field, name of the field)."""
    assert operation.request_body is not None
    example = get_example_body(operation)
    for name, field in operation.request_body.fields.items():
        if field.required:
            yield {k: v for k, v in example.items() if k != name}, name
        schema, _ = athena_contract().document.dereference(field.schema, "")
        if schema.get("type") != "object":
            yield {**example, name: WRONG_VALUES.get(schema.get("type", ""), [[]])}, name


FAULTS = [
    pytest.param(operation.id, body, field, id=f"{operation.id}-{field}-{number}")
    for operation in WITH_BODY
    for number, (body, field) in enumerate(iter_invalid_bodies(operation))
]


@pytest.mark.parametrize(("name", "body", "field"), FAULTS)
def test_invalid_body_field_returns_422(api: Api, name: str, body: Any, field: str) -> None:
    key = find_key(api, api.operation(name))
    reply = api.send(name, key, body)
    assert (reply.status, reply.headers["x-mock-reason"]) == (422, "validation")
    assert {path.split(".")[0] for path in reply.json["errors"]} == {field}
    api.assert_valid_twice(name, reply, key=key, body=body)


@pytest.mark.parametrize(("name", "body", "field"), FAULTS)
def test_openapi_core_rejects_the_same_bodies(api: Api, name: str, body: Any, field: str) -> None:
    operation = api.operation(name)
    with pytest.raises(OpenAPIError):
        api.openapi_core.validate_request(
            api.openapi_core.create_request(operation.method, api.target(name, "x"), None, body, BEARER)
        )


@parametrize_operations(*WITH_BODY)
@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_body_that_is_not_an_object_returns_422(api: Api, name: str, body: Any) -> None:
    key = find_key(api, api.operation(name))
    raw = b"null" if body is None else b""
    reply = api.send(name, key, body, raw=raw, headers={"content-type": "application/json"})
    assert reply.status == 422, reply.body
    api.assert_valid_twice(name, reply, key=key)


@parametrize_operations(*(o for o in WITH_BODY if o.request_body and o.request_body.required))
def test_missing_body_returns_422(api: Api, name: str) -> None:
    key = find_key(api, api.operation(name))
    reply = api.send(name, key)
    assert (reply.status, reply.headers["x-mock-reason"]) == (422, "validation")
    api.assert_valid_twice(name, reply, key)


def is_checkable(parameter: Parameter) -> bool:
    """Return whether a text can be an invalid value of the parameter."""
    schema = parameter.schema.get("items", parameter.schema)
    return schema["type"] != "string" or bool({"enum", "format"} & schema.keys())


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        (o.id, p.name)
        for o in OPERATIONS.values()
        for p in o.query_parameters
        if is_checkable(p) and p.schema["type"] != "object"
    ],
    ids=lambda part: str(part),
)
def test_invalid_query_parameter_returns_422(api: Api, name: str, parameter: str) -> None:
    operation = api.operation(name)
    key, body, query = (
        find_key(api, operation),
        get_example_body(operation),
        {**get_required_query(operation), parameter: "wrong!"},
    )
    reply = api.send(name, key, body, query)
    assert (reply.status, reply.headers["x-mock-reason"]) == (422, "validation")
    assert {path.split(".")[0] for path in reply.json["errors"]} == {parameter}
    api.assert_valid_twice(name, reply, key=key, query=query, body=body)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [(o.id, p.name) for o in OPERATIONS.values() for p in o.query_parameters if p.required],
    ids=str,
)
def test_missing_query_parameter_returns_422(api: Api, name: str, parameter: str) -> None:
    query = get_required_query(api.operation(name))
    del query[parameter]
    reply = api.send(name, query=query)
    assert (reply.status, list(reply.json["errors"])) == (422, [parameter])
    api.assert_valid_twice(name, reply, query=query)


# 400 and 415 ---------------------------------------------------------------------------------------------------------


@parametrize_operations(*WITH_BODY)
def test_malformed_json_returns_400(api: Api, name: str) -> None:
    key = find_key(api, api.operation(name))
    reply = api.send(name, key, raw=b'{"name": ', headers={"content-type": "application/json"})
    assert (reply.status, reply.headers["x-mock-reason"]) == (400, "validation")
    api.assert_valid_twice(name, reply, key=key)


@parametrize_operations(*WITH_BODY)
def test_other_media_type_returns_415(api: Api, name: str) -> None:
    key = find_key(api, api.operation(name))
    reply = api.send(name, key, raw=b"name=x", headers={"content-type": "application/x-www-form-urlencoded"})
    assert (reply.status, reply.headers["x-mock-reason"]) == (415, "validation")
    api.assert_valid_twice(name, reply, key=key)


# Precedence of errors -------------------------------------------------------------------------------------------------

JSON = {"content-type": "application/json"}
INVALID_BODIES: Mapping[str, tuple[bytes, Mapping[str, str], int]] = {
    "no JSON": (b"{", JSON, 400),
    "no object": (b"[]", JSON, 422),
    "another media type": (b"{}", {"content-type": "text/plain"}, 415),
}
WITH_BODY_AND_KEY = [operation for operation in WITH_BODY if operation.path_parameter_names]


@parametrize_operations(*WITH_BODY_AND_KEY)
@pytest.mark.parametrize("fault", INVALID_BODIES)
def test_unknown_record_takes_precedence_over_an_invalid_body(api: Api, name: str, fault: str) -> None:
    raw, headers, status = INVALID_BODIES[fault]
    assert api.send(name, find_key(api, api.operation(name)), raw=raw, headers=headers).status == status
    for key in (UNKNOWN_KEY, "no-key"):
        reply = api.send(name, key, raw=raw, headers=headers)
        assert (reply.status, reply.headers["x-mock-reason"]) == (404, "record-not-found")
        api.assert_valid_twice(name, reply, key=key)
    assert api.send(name, UNKNOWN_KEY, raw=raw, headers=headers, token="nonsense").status == 401


@parametrize_operations(
    *(o for o in OPERATIONS.values() if o.path_parameter_names and any(is_checkable(p) for p in o.query_parameters))
)
def test_unknown_record_takes_precedence_over_an_invalid_query(api: Api, name: str) -> None:
    parameter = next(p.name for p in api.operation(name).query_parameters if is_checkable(p))
    query = {parameter: "nonsense"}
    assert api.send(name, find_key(api, api.operation(name)), query=query).status == 422
    reply = api.send(name, UNKNOWN_KEY, query=query)
    assert (reply.status, reply.headers["x-mock-reason"]) == (404, "record-not-found")


def find_share_operations(api: Api, operation: Operation, key: Any) -> Iterator[tuple[str, Any]]:
    """Yield (share operation, key to share) for the record, or else for its parent, if one of them can be shared."""
    resource = api.contract.resources[operation.resource or ""]
    if f"share{resource.name}" in OPERATIONS:
        yield f"share{resource.name}", key
    elif resource.tenant_path and f"share{resource.relations[resource.tenant_path[0]].targets[0]}" in OPERATIONS:
        relation = resource.relations[resource.tenant_path[0]]
        record = api.sandbox.store.get(resource.name, key)
        reference = record.references[relation.name] if record else None
        assert reference is not None
        yield f"share{relation.targets[0]}", reference.key


@parametrize_operations(*(o for o in WITH_BODY_AND_KEY if 403 in o.responses))
@pytest.mark.parametrize("fault", INVALID_BODIES)
def test_forbidden_record_takes_precedence_over_an_invalid_body(api: Api, name: str, fault: str) -> None:
    operation = api.operation(name)
    key, token = find_key(api, operation), "viewer-token"
    # A record that cannot be shared belongs to its owner: the viewer is forbidden to change it.
    for share, shared_key in find_share_operations(api, operation, key):
        grant = {"entity_type": "user", "entity_id": 124, "permission": "read"}
        assert api.status(share, shared_key, grant) == 201
        token = "other-token"
    raw, headers, _ = INVALID_BODIES[fault]
    before = api.sandbox.store.generation
    reply = api.send(name, key, raw=raw, headers=headers, token=token)
    assert (reply.status, reply.headers["x-mock-reason"]) == (403, "auth")
    assert api.sandbox.store.generation == before
    assert api.send(name, key, get_example_body(operation), token=token).status == 403  # also with a valid body
