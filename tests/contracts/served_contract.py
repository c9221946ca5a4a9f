"""A contract file served in process with generated records, and what its store contains."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from starlette.types import ASGIApp

from fixtures import dataset, generator
from fixtures.personas import PersonaLibrary
from mock_server import images
from mock_server.app import create_app
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from mock_server.store.reader import StoredRecord
from mock_server.web.request_log import RequestLog
from spec.loader import load_contract
from spec.model import Contract
from spec.validators import SchemaValidators
from tests.asgi import Client, Reply
from tests.contracts.sample_requests import SampleRequest

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
DATASET = "plain"


@dataclass(frozen=True, slots=True)
class ServedContract:
    """A contract, its application and its records."""

    contract: Contract
    app: ASGIApp
    sandbox: Sandbox

    @classmethod
    def create(cls, path: Path, *, accepted_tokens: frozenset[str] | None = None) -> "ServedContract":
        """Serve a contract file; `accepted_tokens`: see `create_app`. Raises ContractError if it is refused."""
        contract, personas = load_contract(path), PersonaLibrary()
        parameters = images.DatasetParameters(DATASET, 0, EPOCH, 1)
        records = generator.generate_records(
            contract, dataset.load(DATASET), seed=0, epoch=EPOCH, size=1, persona_library=personas
        )
        image = images.build_image(contract, parameters, records, personas.phrases())
        validators = SchemaValidators.from_document(contract.document)
        sandbox = images.create_sandbox(contract, validators, Store.from_image(contract, image), lambda: EPOCH)
        request_log = RequestLog(contract.document, io.StringIO(), quiet=True)
        app = create_app(contract, sandbox, request_log=request_log, accepted_tokens=accepted_tokens)
        return cls(contract, app, sandbox)

    def send(self, request: SampleRequest) -> Reply:
        """Send a request."""
        client = Client(self.app, {})
        headers = dict(request.headers)
        return client.request(request.method, request.target, body=request.body, headers=headers)

    def list_records(self) -> list[StoredRecord]:
        """Return all stored records."""
        return [record for name in self.contract.resources for record in self.sandbox.store.select(name)]
