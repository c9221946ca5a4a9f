"""Tests each operation: its documented success, and each documented error that is easy to produce.

Paths, methods, bodies and statuses are read from the contract. Every answer is held to the contract twice: by our own
validators, and by openapi-core.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from openapi_core.exceptions import OpenAPIError

from mock_server.query import Query
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


def named(*found: Operation) -> pytest.MarkDecorator:
    """Parametrizes a test by operations."""
    return pytest.mark.parametrize("name", [operation.id for operation in found])


def key_for(api: Api, operation: Operation) -> Any:
    """A seeded key for an operation's path, None where it has no parameter."""
    if not operation.path_parameter_names:
        return None
    assert operation.resource is not None
    if operation.id == "deleteProvider":
        used = {account["provider"]["uuid"] for account in api.list_all("listAccounts")}
        mine = [p["uuid"] for p in api.list_all("listProviders") if p["is_owner"]]
        return next(key for key in mine if key not in used)
    return api.find_seeded_key(operation.resource, **STATES.get(operation.id, {}))


def example_of(operation: Operation) -> Any:
    """The body that the contract shows as an example."""
    if operation.request_body is None:
        return None
    above = operation.request_body.pointer.removesuffix("/schema")
    return athena_contract().document.resolve(above)["example"]


def required(operation: Operation) -> dict[str, Any]:
    """A value for each query parameter that must be sent."""
    return {p.name: p.schema["enum"][0] for p in operation.query_parameters if p.required}


# Success -------------------------------------------------------------------------------------------------------------


@named(*OPERATIONS.values())
def test_response_conforms_to_the_contract(api: Api, name: str) -> None:
    operation = api.operation(name)
    key, body, query = key_for(api, operation), example_of(operation), required(operation)
    reply = api.send(name, key, body, query)
    assert reply.status == operation.envelope.status, reply.body
    api.assert_valid_twice(name, reply, key=key, query=query, body=body)


@named(*OPERATIONS.values())
def test_request_conforms_to_the_contract(api: Api, name: str) -> None:
    operation = api.operation(name)
    path = api.target(name, key_for(api, operation))
    api.openapi_core.validate_request(
        api.openapi_core.create_request(operation.method, path, required(operation), example_of(operation), BEARER)
    )


def test_openapi_core_detects_invalid_responses(api: Api) -> None:
    reply = api.call("listMessages")
    openapi_core = api.openapi_core
    request = openapi_core.create_request("get", api.target("listMessages"))
    for old, new in ((b'"role":', b'"rule":'), (b'"per_page":20', b'"per_page":0'), (b'"meta":', b'"beta":')):
        assert old in reply.body
        with pytest.raises(OpenAPIError):
            openapi_core.validate_response(request, Reply(reply.status, reply.headers, reply.body.replace(old, new, 1)))


def values_of(parameter: Parameter) -> list[Any]:
    """Every value of an enum; of anything else one that may be sent."""
    schema = parameter.schema.get("items", parameter.schema)
    plain = {"integer": 1, "boolean": "true", "string": "e"}
    by_format = {"uuid": UNKNOWN_KEY, "date": "2026-01-31"}
    if schema["type"] == "object":
        return []
    return list(schema.get("enum", [by_format.get(schema.get("format", ""), plain[schema["type"]])]))


@named(*(o for o in OPERATIONS.values() if o.query_parameters and o.method == "get"))
def test_every_value_of_every_query_parameter_is_served(api: Api, name: str) -> None:
    operation = api.operation(name)
    key, required_query = key_for(api, operation), required(operation)
    for parameter in operation.query_parameters:
        for value in values_of(parameter):
            api.call_json(name, key, query={**required_query, parameter.name: value})


@named(*(o for o in OPERATIONS.values() if o.method == "get" and any(p.allow_empty_value for p in o.query_parameters)))
def test_blank_parameters_are_ignored(api: Api, name: str) -> None:
    operation = api.operation(name)
    key, required_query = key_for(api, operation), required(operation)
    blank = {p.name: "" for p in operation.query_parameters if p.allow_empty_value}
    plain, with_blanks = (
        api.call_json(name, key, query=required_query),
        api.call_json(name, key, query={**blank, **required_query}),
    )
    assert with_blanks["data"] == plain["data"]
    assert with_blanks.get("meta") == plain.get("meta")


# 401 -----------------------------------------------------------------------------------------------------------------

PRIVATE = [operation for operation in OPERATIONS.values() if operation.security]


def test_only_sign_in_is_public() -> None:
    assert [operation.id for operation in OPERATIONS.values() if not operation.security] == ["signIn"]


@named(*PRIVATE)
@pytest.mark.parametrize("token", [None, "no-such-token", "expired-token", ""])
def test_invalid_token_returns_401(api: Api, name: str, token: str | None) -> None:
    operation = api.operation(name)
    key, body = key_for(api, operation), example_of(operation)
    reply = api.send(name, key, body, required(operation), token=token)
    assert (reply.status, reply.json) == (401, {"message": "Unauthenticated."})
    api.assert_valid_twice(name, reply, key=key, body=body)


@named(*(o for o in PRIVATE if o.method != "get"))
def test_request_without_token_changes_nothing(api: Api, name: str) -> None:
    operation = api.operation(name)
    before = api.sandbox.store.generation
    api.send(name, key_for(api, operation), example_of(operation), token=None)
    assert api.sandbox.store.generation == before


def test_wrong_password_returns_401(api: Api) -> None:
    operation = api.operation("signIn")
    reply = api.send("signIn", body={**example_of(operation), "password": PASSWORD + "x"}, token=None)
    assert reply.status == 401
    api.assert_valid_twice("signIn", reply)


# 404 -----------------------------------------------------------------------------------------------------------------


@named(*(o for o in OPERATIONS.values() if o.path_parameter_names))
@pytest.mark.parametrize("key", [UNKNOWN_KEY, "not-a-uuid", "0", "%00", "%F0%9F%92%A9"])
def test_unknown_key_returns_404(api: Api, name: str, key: str) -> None:
    reply = api.send(name, key, example_of(api.operation(name)))
    assert (reply.status, reply.headers["x-mock-reason"]) == (404, "record-not-found")
    api.assert_valid_twice(name, reply, key="x")


@named(*(o for o in OPERATIONS.values() if o.path_parameter_names and o.resource not in ("LargeLanguageModel",)))
def test_record_of_another_workspace_returns_404(api: Api, name: str) -> None:
    operation = api.operation(name)
    key = sealed(api, operation)
    reply = api.send(name, key, example_of(operation), token="other-token")
    assert (reply.status, reply.headers["x-mock-reason"]) == (404, "other-tenant")
    api.assert_valid_twice(name, reply, key=key)


def sealed(api: Api, operation: Operation) -> Any:
    """Key of a record in the first workspace that the second user has no share of and that is not public."""
    resource = api.contract.resources[operation.resource or ""]
    viewer = api.sandbox.resolve_token("other-token", api.clock())
    seen = Query(api.sandbox.store, viewer).build_visibility_condition(resource)
    store = api.sandbox.store
    found = store.select(resource.name, f"tenant IS NOT NULL AND NOT {seen.sql}", seen.parameters)
    return found[0].key


def naming(operation: Operation) -> list[BodyField]:
    """The fields of a body that name another record."""
    return (
        [field for field in operation.request_body.fields.values() if field.relation_setter]
        if operation.request_body
        else []
    )


@pytest.mark.parametrize(
    ("name", "field"), [(o.id, f.name) for o in OPERATIONS.values() for f in naming(o)], ids=lambda part: str(part)
)
def test_unknown_record_in_body_returns_404(api: Api, name: str, field: str) -> None:
    operation = api.operation(name)
    assert operation.request_body is not None
    many = operation.request_body.fields[field].schema.get("type") == "array"
    value: Any = [UNKNOWN_KEY] if many else UNKNOWN_KEY
    key, body = key_for(api, operation), {**example_of(operation), field: value}
    before = api.sandbox.store.count_by_resource()
    reply = api.send(name, key, body)
    assert reply.status == 404, reply.body
    assert api.sandbox.store.count_by_resource() == before
    api.assert_valid_twice(name, reply, key=key, body=body)


# 422 -----------------------------------------------------------------------------------------------------------------

BODIED = [operation for operation in OPERATIONS.values() if operation.request_body]
WRONG: Mapping[str, Any] = {"string": 5, "integer": "five", "number": "much", "boolean": "maybe", "array": {}}


def broken(operation: Operation) -> Iterator[tuple[Any, str]]:
    """Bodies with one fault each, and the field that is at fault."""
    assert operation.request_body is not None
    example = example_of(operation)
    for name, field in operation.request_body.fields.items():
        if field.required:
            yield {k: v for k, v in example.items() if k != name}, name
        schema, _ = athena_contract().document.dereference(field.schema, "")
        if schema.get("type") != "object":
            yield {**example, name: WRONG.get(schema.get("type", ""), [[]])}, name


FAULTS = [
    pytest.param(operation.id, body, field, id=f"{operation.id}-{field}-{number}")
    for operation in BODIED
    for number, (body, field) in enumerate(broken(operation))
]


@pytest.mark.parametrize(("name", "body", "field"), FAULTS)
def test_invalid_body_field_returns_422(api: Api, name: str, body: Any, field: str) -> None:
    key = key_for(api, api.operation(name))
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


@named(*BODIED)
@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_body_that_is_not_an_object_returns_422(api: Api, name: str, body: Any) -> None:
    key = key_for(api, api.operation(name))
    raw = b"null" if body is None else b""
    reply = api.send(name, key, body, raw=raw, headers={"content-type": "application/json"})
    assert reply.status == 422, reply.body
    api.assert_valid_twice(name, reply, key=key)


@named(*(o for o in BODIED if o.request_body and o.request_body.required))
def test_missing_body_returns_422(api: Api, name: str) -> None:
    key = key_for(api, api.operation(name))
    reply = api.send(name, key)
    assert (reply.status, reply.headers["x-mock-reason"]) == (422, "validation")
    api.assert_valid_twice(name, reply, key)


def is_checkable(parameter: Parameter) -> bool:
    """Whether a text can be wrong there."""
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
    key, body, query = key_for(api, operation), example_of(operation), {**required(operation), parameter: "wrong!"}
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
    query = required(api.operation(name))
    del query[parameter]
    reply = api.send(name, query=query)
    assert (reply.status, list(reply.json["errors"])) == (422, [parameter])
    api.assert_valid_twice(name, reply, query=query)


# 400 and 415 ---------------------------------------------------------------------------------------------------------


@named(*BODIED)
def test_malformed_json_returns_400(api: Api, name: str) -> None:
    key = key_for(api, api.operation(name))
    reply = api.send(name, key, raw=b'{"name": ', headers={"content-type": "application/json"})
    assert (reply.status, reply.headers["x-mock-reason"]) == (400, "validation")
    api.assert_valid_twice(name, reply, key=key)


@named(*BODIED)
def test_other_media_type_returns_415(api: Api, name: str) -> None:
    key = key_for(api, api.operation(name))
    reply = api.send(name, key, raw=b"name=x", headers={"content-type": "application/x-www-form-urlencoded"})
    assert (reply.status, reply.headers["x-mock-reason"]) == (415, "validation")
    api.assert_valid_twice(name, reply, key=key)


# What is refused first -----------------------------------------------------------------------------------------------

JSON = {"content-type": "application/json"}
FAULTY: Mapping[str, tuple[bytes, Mapping[str, str], int]] = {
    "no JSON": (b"{", JSON, 400),
    "no object": (b"[]", JSON, 422),
    "another media type": (b"{}", {"content-type": "text/plain"}, 415),
}
ON_A_RECORD = [operation for operation in BODIED if operation.path_parameter_names]


@named(*ON_A_RECORD)
@pytest.mark.parametrize("fault", FAULTY)
def test_unknown_record_takes_precedence_over_an_invalid_body(api: Api, name: str, fault: str) -> None:
    raw, headers, status = FAULTY[fault]
    assert api.send(name, key_for(api, api.operation(name)), raw=raw, headers=headers).status == status
    for key in (UNKNOWN_KEY, "no-key"):
        reply = api.send(name, key, raw=raw, headers=headers)
        assert (reply.status, reply.headers["x-mock-reason"]) == (404, "record-not-found")
        api.assert_valid_twice(name, reply, key=key)
    assert api.send(name, UNKNOWN_KEY, raw=raw, headers=headers, token="nonsense").status == 401


@named(*(o for o in OPERATIONS.values() if o.path_parameter_names and any(is_checkable(p) for p in o.query_parameters)))
def test_unknown_record_takes_precedence_over_an_invalid_query(api: Api, name: str) -> None:
    parameter = next(p.name for p in api.operation(name).query_parameters if is_checkable(p))
    query = {parameter: "nonsense"}
    assert api.send(name, key_for(api, api.operation(name)), query=query).status == 422
    reply = api.send(name, UNKNOWN_KEY, query=query)
    assert (reply.status, reply.headers["x-mock-reason"]) == (404, "record-not-found")


def shares_over(api: Api, operation: Operation, key: Any) -> Iterator[tuple[str, Any]]:
    """(what shares it, its key) of the record, or of the one above it on its way to the tenant, where there is such."""
    resource = api.contract.resources[operation.resource or ""]
    if f"share{resource.name}" in OPERATIONS:
        yield f"share{resource.name}", key
    elif resource.tenant_path and f"share{resource.relations[resource.tenant_path[0]].targets[0]}" in OPERATIONS:
        above = resource.relations[resource.tenant_path[0]]
        record = api.sandbox.store.get(resource.name, key)
        reference = record.references[above.name] if record else None
        assert reference is not None
        yield f"share{above.targets[0]}", reference.key


@named(*(o for o in ON_A_RECORD if 403 in o.responses))
@pytest.mark.parametrize("fault", FAULTY)
def test_forbidden_record_takes_precedence_over_an_invalid_body(api: Api, name: str, fault: str) -> None:
    operation = api.operation(name)
    key, token = key_for(api, operation), "viewer-token"
    for share, shared in shares_over(api, operation, key):  # else it is its owner's alone
        grant = {"entity_type": "user", "entity_id": 124, "permission": "read"}
        assert api.status(share, shared, grant) == 201
        token = "other-token"
    raw, headers, _ = FAULTY[fault]
    before = api.sandbox.store.generation
    reply = api.send(name, key, raw=raw, headers=headers, token=token)
    assert (reply.status, reply.headers["x-mock-reason"]) == (403, "auth")
    assert api.sandbox.store.generation == before
    assert api.send(name, key, example_of(operation), token=token).status == 403  # the order is no other for a good one
