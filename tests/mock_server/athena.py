"""Athena's contract with the dataset `demo`, served in process at a fixed time, and a client that calls operations.

Image and application are built once, since Connexion takes a third of a second to load the contract. Each test gets a
new store from the image, in milliseconds, with a clock that the test sets.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp

from fixtures import dataset, generator
from fixtures.personas import PersonaLibrary
from mock_server import images
from mock_server.app import create_app
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from mock_server.web.request_log import RequestLog
from spec.loader import load_contract
from spec.model import Contract, Operation
from spec.validators import SchemaValidators
from tests.asgi import Client, Reply
from tests.mock_server.openapi_core_validator import OpenapiCoreChecker

CONTRACT = Path(__file__).parents[2] / "spec" / "openapi.yaml"
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
PASSWORD = "password"

Query = Mapping[str, Any]


@cache
def athena_contract() -> Contract:
    """Load the project's contract, once."""
    return load_contract(CONTRACT)


@cache
def athena_schemas() -> SchemaValidators:
    """Compile the validators of the project's contract, once."""
    return SchemaValidators.from_document(athena_contract().document)


def build_dataset_image(contract: Contract, name: str, *, epoch: datetime = EPOCH, size: float = 1) -> bytes:
    """Build the image of a dataset."""
    parameters, personas = images.DatasetParameters(name, 0, epoch, size), PersonaLibrary()
    records = generator.generate_records(
        contract, dataset.load(name), seed=0, epoch=epoch, size=size, persona_library=personas
    )
    return images.build_image(contract, parameters, records, personas.phrases())


@dataclass(slots=True)
class SettableClock:
    """A clock that a test sets. `now`: the current time of the mock."""

    now: datetime = EPOCH

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Advance the clock, by `seconds=3` for example."""
        self.now += timedelta(**duration)


@dataclass(frozen=True, slots=True)
class Api:
    """A served contract, and a client that validates responses against it.

    `openapi_core`: the second validator. `image`: of the dataset. `content`: the bytes of the store at the start.
    """

    contract: Contract = field(repr=False)
    schemas: SchemaValidators = field(repr=False)
    openapi_core: OpenapiCoreChecker = field(repr=False)
    app: ASGIApp = field(repr=False)
    sandbox: Sandbox = field(repr=False)
    clock: SettableClock
    image: bytes = field(repr=False)
    content: bytes = field(repr=False)

    @classmethod
    def create(
        cls, contract: Contract, schemas: SchemaValidators, name: str, *, epoch: datetime = EPOCH, size: float = 1
    ) -> "Api":
        """Serve a contract with a dataset, the clock at EPOCH. Takes about a second."""
        image = build_dataset_image(contract, name, epoch=epoch, size=size)
        clock = SettableClock()
        store = Store.from_image(contract, image)
        content = store.serialize()
        sandbox = images.create_sandbox(contract, schemas, store, clock)
        request_log = RequestLog(contract.document, io.StringIO(), quiet=True)
        app = create_app(contract, sandbox, request_log=request_log)
        return cls(contract, schemas, OpenapiCoreChecker(contract), app, sandbox, clock, image, content)

    def reset(self) -> None:
        """Restore the initial data and set the clock to the epoch."""
        tables = self.sandbox.store.tables
        self.sandbox.store.close()
        self.clock.now = EPOCH
        store = Store.from_bytes(self.contract, self.content, tables)
        fresh = images.create_sandbox(self.contract, self.schemas, store, self.clock)
        for part in fields(Sandbox):  # the application refers to this object
            setattr(self.sandbox, part.name, getattr(fresh, part.name))

    # Requests

    def operation(self, name: str) -> Operation:
        """Return the operation with an operationId."""
        return self.contract.operations[name]

    def target(self, name: str, key: Any = None, query: Query | None = None) -> str:
        """Return path and query of an operation; `key` replaces its path parameter."""
        operation = self.operation(name)
        path = operation.path
        for parameter in operation.path_parameter_names:
            path = path.replace(f"{{{parameter}}}", str(key))
        encoded = urlencode(query or {}, doseq=True, safe=",:")
        return f"{self.contract.base_path}{path}" + (f"?{encoded}" if encoded else "")

    def send(
        self,
        name: str,
        key: Any = None,
        body: Any = None,
        query: Query | None = None,
        *,
        token: str | None = "demo-token",
        headers: Mapping[str, str] | None = None,
        raw: bytes = b"",
    ) -> Reply:
        """Call an operation. `body` is sent as JSON, `raw` unchanged."""
        token_headers = {} if token is None else {"authorization": f"Bearer {token}"}
        method = self.operation(name).method.upper()
        return Client(self.app, token_headers).request(
            method, self.target(name, key, query), data=body, body=raw, headers=headers
        )

    def call(
        self, name: str, key: Any = None, body: Any = None, query: Query | None = None, *, token: str = "demo-token"
    ) -> Reply:
        """Call an operation and validate the response against the contract."""
        reply = self.send(name, key, body, query, token=token)
        self.assert_valid(name, reply)
        return reply

    def assert_valid(self, name: str, reply: Reply) -> None:
        """Assert that the operation defines the status of a response, and that the body matches its schema."""
        statuses = self.operation(name).responses
        assert reply.status in statuses, f"{name}: undocumented status {reply.status}: {reply.body[:500]!r}"
        schema = statuses[reply.status]
        if schema is None:
            assert reply.body == b""
            return
        assert reply.headers["content-type"] == "application/json"
        validator = self.schemas.get(schema, "read")
        violations = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(reply.json)]
        assert not violations, f"{name}: {reply.status} violates its schema: {violations[:5]}"

    def assert_valid_twice(
        self, name: str, reply: Reply, key: Any = None, body: Any = None, query: Query | None = None
    ) -> None:
        """Assert that a response is valid for our validators and for openapi-core."""
        self.assert_valid(name, reply)
        method, path = self.operation(name).method, self.target(name, key)
        self.openapi_core.validate_response(self.openapi_core.create_request(method, path, query, body), reply)

    def call_json(
        self, name: str, key: Any = None, body: Any = None, query: Query | None = None, *, token: str = "demo-token"
    ) -> Any:
        """Call an operation that must succeed; return the JSON of the response, None without a body."""
        reply = self.call(name, key, body, query, token=token)
        assert reply.status == self.operation(name).envelope.status, f"{name}: {reply.status} {reply.body[:500]!r}"
        return json.loads(reply.body) if reply.body else None

    def data(
        self, name: str, key: Any = None, body: Any = None, query: Query | None = None, *, token: str = "demo-token"
    ) -> Any:
        """Call an operation that must succeed; return the `data` of the response."""
        content = self.call_json(name, key, body, query, token=token)
        return None if content is None else content["data"]

    def status(
        self, name: str, key: Any = None, body: Any = None, query: Query | None = None, *, token: str = "demo-token"
    ) -> int:
        """Call an operation and return the status of the response, which is validated."""
        return self.call(name, key, body, query, token=token).status

    def list_all(self, name: str, query: Query | None = None, *, token: str = "demo-token") -> list[Any]:
        """Return all records of a list, read page by page."""
        rows: list[Any] = []
        for page in self.pages(name, query, token=token):
            rows += page["data"]
        return rows

    def pages(self, name: str, query: Query | None = None, *, token: str = "demo-token") -> Iterator[Any]:
        """Yield every page of a list, up to `last_page` of the metadata."""
        number, last = 1, 1
        while number <= last:
            page = self.call_json(name, query={"per_page": 100, **(query or {}), "page": number}, token=token)
            last = page["meta"]["last_page"]
            number += 1
            yield page

    # Records

    def find_seeded_key(self, resource: str, **attributes: Any) -> Any:
        """Return the key of the oldest record with these attributes in the first user's workspaces, or in none."""
        viewer = self.sandbox.resolve_token("demo-token", self.clock())
        assert viewer is not None
        for record in self.sandbox.store.select(resource):
            is_own = record.tenant_key is None or record.tenant_key in viewer.tenant_keys
            if is_own and all(record.attributes[name] == value for name, value in attributes.items()):
                return record.key
        raise AssertionError(f"no {resource} with {attributes} is seeded")


@cache
def shared_api() -> Api:
    """Return the shared API with `demo`, which is slow to build. Tests use the fixture `api`, which resets it."""
    return Api.create(athena_contract(), athena_schemas(), "demo")
