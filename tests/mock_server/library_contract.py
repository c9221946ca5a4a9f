"""The library's contract and a small sandbox of it, used by the tests of the outer layers."""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

import orjson
from starlette.types import ASGIApp

from mock_server import actions
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.app import create_app
from mock_server.sandbox.clock import Clock
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from mock_server.web.request_log import RequestLog
from spec.document import parse_document
from spec.loader import load_contract, parse_contract
from spec.model import Contract
from spec.record import Record, Reference
from spec.validators import SchemaValidators
from tests.asgi import Client

LIBRARY = Path(__file__).parents[1] / "foreign" / "library.yaml"
API = "/api/v2"
HOUSE = "11111111-1111-4111-8111-111111111111"
POE = "22222222-2222-4222-8222-222222222222"
RAVEN = "33333333-3333-4333-8333-333333333333"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CREATED_AT = "2024-01-15T10:30:00.000000Z"

RECORDS = (
    Record(
        "User",
        1,
        {"id": 1, "name": "Ada", "email": "ada@example.com", "password": "password"},
        {"home": Reference("Library", HOUSE)},
    ),
    Record(
        "Library",
        HOUSE,
        {"uuid": HOUSE, "name": "Main"},
        {"keeper": Reference("User", 1), "members": (Reference("User", 1),)},
    ),
    Record(
        "Author",
        POE,
        {
            "uuid": POE,
            "name": "Poe",
            "biography": "",
            "genre": "poem",
            "living": False,
            "born": "1809-01-19",
            "created_at": CREATED_AT,
            "updated_at": CREATED_AT,
        },
        {"library": Reference("Library", HOUSE), "keeper": Reference("User", 1)},
    ),
    Record(
        "Book",
        RAVEN,
        {"uuid": RAVEN, "title": "The Raven", "pages": 12, "price": None, "tags": [], "created_at": CREATED_AT},
        {"author": Reference("Author", POE)},
    ),
)


@cache
def library() -> Contract:
    """Return the library's contract, loaded once."""
    return load_contract(LIBRARY)


@cache
def schemas() -> SchemaValidators:
    """Return its validators."""
    return SchemaValidators.from_document(library().document)


def edit_contract(*changes: tuple[str, str]) -> Contract:
    """Return the library's contract with text replaced in it."""
    text = LIBRARY.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_contract(parse_document(text.encode(), "changed.yaml"))


def create_sandbox(contract: Contract | None = None) -> Sandbox:
    """Create a sandbox with one record of each resource and a stopped clock. `contract`: a modified library."""
    validators = SchemaValidators.from_document(contract.document) if contract else schemas()
    contract = contract or library()
    sandbox = Sandbox(contract, validators, Store.create(contract), Clock(lambda: NOW), 0)
    for record in RECORDS:
        sandbox.store.add(record)
    return sandbox


class RecordedCalls:
    """An action that records its calls and responds with what it received."""

    def __init__(self) -> None:
        self.all: list[ActionRequest] = []

    @property
    def last(self) -> ActionRequest:
        """The last call."""
        return self.all[-1]

    def __call__(self, call: ActionRequest) -> ActionResult:
        self.all.append(call)
        if call.operation.envelope.schema_pointer is None:
            return ActionResult(None)
        return ActionResult(
            orjson.dumps({"query": dict(call.query), "path": dict(call.path_parameters), "base": call.base_url})
        )


@cache
def recording_client() -> tuple[Client, RecordedCalls]:
    """Return a signed-in client of an application that only records its calls, and the calls; cached for speed."""
    calls = RecordedCalls()
    return client(app(calls)), calls


class LogCapture(io.StringIO):
    """Captures the request log."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"


def app(
    run_action: Callable[[ActionRequest], ActionResult] = actions.run_action,
    *,
    allowed_hosts: tuple[str, ...] = (),
    cors_origins: tuple[str, ...] = (),
    serves_network: bool = False,
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = (),
    terminal: io.StringIO | None = None,
    sandbox: Sandbox | None = None,
) -> ASGIApp:
    """Create the application on a new sandbox."""
    sandbox = sandbox or create_sandbox()
    request_log = RequestLog(sandbox.contract.document, terminal or LogCapture(), quiet=terminal is None)
    return create_app(
        sandbox.contract,
        sandbox,
        request_log=request_log,
        allowed_hosts=allowed_hosts,
        cors_origins=cors_origins,
        serves_network=serves_network,
        trusted_proxies=trusted_proxies,
        run_action=run_action,
    )


def client(application: ASGIApp, token: str | None = "demo-token") -> Client:
    """Create a signed-in client."""
    return Client(application, {} if token is None else {"authorization": f"Bearer {token}"})
