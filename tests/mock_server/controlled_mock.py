"""Athena's contract with named sandboxes and the control API, in process, with a clock and a timer that a test sets."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from fixtures import dataset, generator
from fixtures.personas import PersonaLibrary
from mock_server import images
from mock_server.app import create_app
from mock_server.images import DatasetParameters
from mock_server.registry.registry import SandboxRegistry
from mock_server.store import Store
from mock_server.web.outer_app import MockApp
from mock_server.web.request_log import RequestLog
from tests.asgi import Client, Reply
from tests.mock_server.athena import EPOCH, SettableClock, athena_contract, athena_schemas

CONTROL = "/__mock/api"
SANDBOXES = f"{CONTROL}/sandboxes"
DEMO = DatasetParameters("demo", 0, EPOCH, 1)


@cache
def build_image_with_pools(parameters: DatasetParameters) -> bytes:
    """Build the image of a dataset with pools, as the command `build-image` does."""
    contract, personas = athena_contract(), PersonaLibrary()
    names = (parameters.dataset, "plain")
    records, pool_records = (
        generator.generate_records(
            contract, dataset.load(name), seed=parameters.seed, epoch=parameters.epoch, persona_library=personas
        )
        for name in names
    )
    return images.build_image(contract, parameters, records, personas.phrases(), pool_records)


@dataclass(slots=True)
class Timer:
    """Seconds that a test sets."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass(frozen=True, slots=True)
class ControlledMock:
    """A mock with named sandboxes. `clock`: the system's clock; `timer`: measures how long a sandbox is not used."""

    app: MockApp
    registry: SandboxRegistry
    clock: SettableClock
    timer: Timer
    log: io.StringIO = field(repr=False)

    @classmethod
    def create(
        cls,
        *,
        get_image: Any = build_image_with_pools,
        app_options: Mapping[str, Any] | None = None,
        **registry_options: Any,
    ) -> "ControlledMock":
        clock, timer, log = SettableClock(), Timer(), io.StringIO()
        store = Store.from_image(athena_contract(), build_image_with_pools(DEMO))
        sandbox = images.create_sandbox(athena_contract(), athena_schemas(), store, clock)
        registry = SandboxRegistry.create(sandbox, get_image, starts_at_epoch=True, **registry_options)
        registry.get_seconds = timer
        app = create_app(
            athena_contract(),
            sandbox,
            request_log=RequestLog(athena_contract().document, log),
            registry=registry,
            dataset_names=dataset.list_names(),
            **(app_options or {}),
        )
        return cls(app, registry, clock, timer, log)

    def request(self, method: str, target: str, data: Any = None, **headers: str) -> Reply:
        """Send a request. Keyword arguments are headers, with underscores for hyphens."""
        all_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(self.app, {}).request(method, target, data=data, headers=all_headers)

    def control(self, method: str, path: str, data: Any = None, **headers: str) -> Any:
        """Send a request to the control API that must succeed; return its JSON, None without a body."""
        reply = self.request(method, f"{CONTROL}{path}", data, **headers)
        assert 200 <= reply.status < 300, f"{method} {path}: {reply.status} {reply.body[:500]!r}"
        return reply.json if reply.body else None

    def control_status(self, method: str, path: str, data: Any = None, **headers: str) -> int:
        return self.request(method, f"{CONTROL}{path}", data, **headers).status

    def call(self, sandbox: str, method: str, path: str, data: Any = None, token: str = "demo-token") -> Reply:
        """Send a request to the API in a sandbox, selected by path."""
        target = f"/__mock/s/{sandbox}/api/v1{path}"
        return self.request(method, target, data, authorization=f"Bearer {token}")

    def read(self, sandbox: str, path: str, token: str = "demo-token") -> Any:
        """Return the `data` of a read in a sandbox, selected by path."""
        reply = self.call(sandbox, "GET", path, token=token)
        assert reply.status == 200, reply.body[:500]
        return reply.json["data"]


def use_dataset(name: str) -> DatasetParameters:
    """Return the parameters of another dataset."""
    return replace(DEMO, dataset=name)
