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
from tests.mock_server.openapi_core_validator import OpenapiCoreValidator

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


def image_of(
    contract: Contract, name: str, *, epoch: datetime = EPOCH, size: float = 1
) -> tuple[bytes, images.DatasetParameters]:
    """Build the image of a dataset; return it with its parameters."""
    recipe, texts = images.DatasetParameters(name, 0, epoch, size), PersonaLibrary()
    loaded = dataset.load(name)
    records = generator.generate_records(
        contract, loaded, seed=recipe.seed, epoch=recipe.epoch, size=recipe.size, persona_library=texts
    )
    return images.build_image(contract, recipe, records, texts.phrases()), recipe


@dataclass(slots=True)
class Watch:
    """A clock that a test sets. `at`: the current time of the mock."""

    at: datetime = EPOCH

    def __call__(self) -> datetime:
        return self.at

    def wait(self, **length: float) -> None:
        """Advance the clock: `seconds=3`."""
        self.at += timedelta(**length)


@dataclass(frozen=True, slots=True)
class Api:
    """A served contract, and a client that validates responses against it. `opinion`: the second validator."""

    contract: Contract = field(repr=False)
    schemas: SchemaValidators = field(repr=False)
    opinion: OpenapiCoreValidator = field(repr=False)
    app: ASGIApp = field(repr=False)
    world: Sandbox = field(repr=False)
    watch: Watch
    image: bytes = field(repr=False)

    @classmethod
    def of(
        cls, contract: Contract, schemas: SchemaValidators, name: str, *, epoch: datetime = EPOCH, size: float = 1
    ) -> "Api":
        """Serve a contract with a dataset, the clock at EPOCH. Takes about a second."""
        content, _ = image_of(contract, name, epoch=epoch, size=size)
        watch = Watch()
        world = images.create_sandbox(contract, schemas, Store.from_image(contract, content), watch)
        console = RequestLog(contract.document, io.StringIO(), quiet=True)
        app = create_app(contract, world, request_log=console)
        return cls(contract, schemas, OpenapiCoreValidator(contract), app, world, watch, content)

    def reset(self) -> None:
        """Restore the initial data and set the clock to the epoch."""
        self.world.store.close()
        self.watch.at = EPOCH
        fresh = images.create_sandbox(
            self.contract, self.schemas, Store.from_image(self.contract, self.image), self.watch
        )
        for part in fields(Sandbox):  # the application refers to this object
            setattr(self.world, part.name, getattr(fresh, part.name))

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

    def ask(
        self, name: str, key: Any = None, body: Any = None, query: Query | None = None, *, token: str = "demo-token"
    ) -> Reply:
        """Call an operation and validate the response against the contract."""
        reply = self.send(name, key, body, query, token=token)
        self.check(name, reply)
        return reply

    def check(self, name: str, reply: Reply) -> None:
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

    def judge(self, name: str, reply: Reply, key: Any = None, body: Any = None, query: Query | None = None) -> None:
        """Validate a response with our own validators and with openapi-core."""
        self.check(name, reply)
        method, path = self.operation(name).method, self.target(name, key)
        self.opinion.on_answer(self.opinion.request(method, path, query, body), reply)

    def whole(
        self, name: str, key: Any = None, body: Any = None, query: Query | None = None, *, token: str = "demo-token"
    ) -> Any:
        """Call an operation that must succeed; return the JSON of the response, None without a body."""
        reply = self.ask(name, key, body, query, token=token)
        assert reply.status == self.operation(name).envelope.status, f"{name}: {reply.status} {reply.body[:500]!r}"
        return json.loads(reply.body) if reply.body else None

    def data(
        self, name: str, key: Any = None, body: Any = None, query: Query | None = None, *, token: str = "demo-token"
    ) -> Any:
        """Call an operation that must succeed; return the `data` of the response."""
        found = self.whole(name, key, body, query, token=token)
        return None if found is None else found["data"]

    def status(
        self, name: str, key: Any = None, body: Any = None, query: Query | None = None, *, token: str = "demo-token"
    ) -> int:
        """Call an operation and return the status of the response, which is validated."""
        return self.ask(name, key, body, query, token=token).status

    def every(self, name: str, query: Query | None = None, *, token: str = "demo-token") -> list[Any]:
        """Return all records of a list, read page by page."""
        found: list[Any] = []
        for page in self.pages(name, query, token=token):
            found += page["data"]
        return found

    def pages(self, name: str, query: Query | None = None, *, token: str = "demo-token") -> Iterator[Any]:
        """Yield every page of a list, up to `last_page` of the metadata."""
        number, last = 1, 1
        while number <= last:
            page = self.whole(name, query={"per_page": 100, **(query or {}), "page": number}, token=token)
            last = page["meta"]["last_page"]
            number += 1
            yield page

    # Records ----------------------------------------------------------------------------------------------------

    def seeded(self, resource: str, **attributes: Any) -> Any:
        """Return the key of the oldest record with these attributes in the first user's workspaces, or in none."""
        viewer = self.world.resolve_token("demo-token", self.watch())
        assert viewer is not None
        for record in self.world.store.select(resource, "1"):
            is_own = record.tenant_key is None or record.tenant_key in viewer.tenant_keys
            if is_own and all(record.attributes[name] == value for name, value in attributes.items()):
                return record.key
        raise AssertionError(f"no {resource} with {attributes} is seeded")


@cache
def served() -> Api:
    """Return the shared API with `demo`, which is slow to build. Tests use the fixture `api`, which resets it."""
    return Api.of(athena_contract(), athena_schemas(), "demo")
