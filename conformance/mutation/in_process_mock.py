"""The mock server in process: a fixed dataset, a manual clock, and requests without a socket."""

import io
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any, TypeVar
from urllib.parse import unquote

from starlette.types import ASGIApp, Scope

from conformance.errors import SkipCheck
from conformance.mutation.fault_injection import call_asgi
from conformance.session.mutable_records import MutableRecords
from conformance.session.options import RunOptions
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget
from conformance.transport.credentials import OperationCredentials
from conformance.transport.messages import Actor, Exchange, Request, Response
from fixtures import dataset, generator
from fixtures.errors import FixtureError
from fixtures.personas import PersonaLibrary
from mock_server import images
from mock_server.app import create_app
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from mock_server.web.request_log import RequestLog
from spec.model import Contract
from spec.validators import SchemaValidators

T = TypeVar("T")

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
TOKENS: Mapping[str, str] = {
    Actor.OWNER: "demo-token",
    Actor.OTHER_TENANT: "other-token",
    Actor.MEMBER: "viewer-token",
}
# of contracts without accounts; Basic credentials are a token without a password
ACCEPTED_TOKENS = frozenset(f"{token}{end}" for token in TOKENS.values() for end in ("", ":"))
REQUEST_DURATION = timedelta(milliseconds=20)  # on the manual clock


@dataclass(slots=True)
class ManualClock:
    """A clock that advances only when it `advance` is called."""

    current_time: datetime = EPOCH

    def __call__(self) -> datetime:
        return self.current_time

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.current_time += timedelta(seconds=seconds)


def build_demo_image(contract: Contract) -> bytes:
    """Build the image of the dataset `demo`, or of `plain` if the contract lacks its resources. Takes about 1 s."""
    try:
        return _build_image(contract, "demo")
    except FixtureError:
        return _build_image(contract, "plain")


def _build_image(contract: Contract, name: str) -> bytes:
    dataset_parameters, texts = images.DatasetParameters(name, 0, EPOCH, 1), PersonaLibrary()
    template = dataset.load(name)
    records = generator.generate_records(contract, template, seed=0, epoch=EPOCH, size=1, persona_library=texts)
    return images.build_image(contract, dataset_parameters, records, texts.phrases())


@dataclass(frozen=True, slots=True)
class InProcessMock:
    """A mock server in process. Creation takes 0.3 s, `reset` 1 ms."""

    contract: Contract
    schemas: SchemaValidators
    app: ASGIApp
    sandbox: Sandbox
    clock: ManualClock
    image_bytes: bytes

    @classmethod
    def from_image(cls, contract: Contract, image_bytes: bytes) -> "InProcessMock":
        """Create a mock from a dataset image."""
        clock, schemas = ManualClock(), SchemaValidators.from_document(contract.document)
        sandbox = images.create_sandbox(contract, schemas, Store.from_image(contract, image_bytes), clock)
        request_log = RequestLog(contract.document, io.StringIO(), quiet=True)
        app = create_app(contract, sandbox, request_log=request_log, accepted_tokens=ACCEPTED_TOKENS)
        return cls(contract, schemas, app, sandbox, clock, image_bytes)

    def reset(self) -> None:
        """Restore the dataset and the epoch."""
        self.sandbox.store.close()
        self.clock.current_time = EPOCH
        store = Store.from_image(self.contract, self.image_bytes)
        initial = images.create_sandbox(self.contract, self.schemas, store, self.clock)
        for sandbox_field in fields(Sandbox):  # in place: the application references this sandbox
            setattr(self.sandbox, sandbox_field.name, getattr(initial, sandbox_field.name))


@dataclass(slots=True)
class InProcessTarget:
    """A target in process. `on_exchange`: called with each exchange."""

    app: ASGIApp
    clock: ManualClock
    base: str = "http://localhost:8000/api/v1"
    on_exchange: Callable[[Exchange], None] | None = None
    budget: Budget = field(default_factory=lambda: Budget(None, None))
    tokens: Mapping[str, str] = field(default_factory=lambda: TOKENS)
    credentials: OperationCredentials = field(default_factory=OperationCredentials)

    def send(self, request: Request) -> Response:
        """Send a request and advance the clock. Raises BudgetExhausted."""
        self.budget.count_request()
        self.clock.current_time += REQUEST_DURATION
        response = run_to_completion(self._send(request))
        if self.on_exchange is not None:
            self.on_exchange(Exchange(request, response))
        return response

    async def _send(self, request: Request) -> Response:
        body, content_type = request.encode_body()
        headers = {"host": "localhost:8000", "accept": "application/json"}
        if content_type is not None:
            headers["content-type"] = content_type
        headers |= {name.lower(): value for name, value in request.headers.items()}
        credentials: dict[str, str] = {}
        url = request.build_url(self.base)
        url = self.credentials.add(request.operation, request.actor, self.tokens, url, credentials)
        headers = {name.lower(): value for name, value in credentials.items()} | headers
        response = await call_asgi(self.app, self._scope(request, headers, url), body or b"")
        return Response(response.status, response.headers, response.body, 0.0)

    def _scope(self, request: Request, headers: Mapping[str, str], url: str) -> Scope:
        path, _, query = f"/{url.partition('://')[2].partition('/')[2]}".partition("?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method.upper(),
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
        }


def run_to_completion(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing, such as a call of the mock: it needs no event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("the application waited for an event (expected a response without waiting)")


SEEDED_PASSWORD = "password"  # of every account in the dataset


def create_session(
    mock: InProcessMock, app: ASGIApp, seed: int, on_exchange: Callable[[Exchange], None] | None = None
) -> Session:
    """Create a session on `app`, a wrapper of the mock's application. Equal seeds send equal requests.

    The session may use effects, sign in and change mutable records.
    """
    new_session = _create_basic_session(mock, app, seed, on_exchange)
    lookup_session = _create_basic_session(mock, mock.app, seed, None)
    new_session.client.mutable_records = MutableRecords(dict(_find_mutable_records(lookup_session)))
    new_session.update_options(credentials=_find_credentials(lookup_session))
    return new_session


def _create_basic_session(
    mock: InProcessMock, app: ASGIApp, seed: int, on_exchange: Callable[[Exchange], None] | None
) -> Session:
    base = f"http://localhost:8000{mock.contract.base_path}"
    credentials = OperationCredentials.from_contract(mock.contract)
    target = InProcessTarget(app, mock.clock, base, on_exchange=on_exchange, credentials=credentials)
    bodies = PayloadFactory(mock.contract, f"conformance-{seed:08x}", Random(seed), mock.schemas)
    write_log = WriteLog(f"{seed:08x}")
    options = RunOptions(
        allow_effects=True, calls_static_writes=True, reduction_requests=0
    )  # no reduction: only the first failure counts
    return Session.create(mock.contract, mock.schemas, target, write_log, bodies, options, sleep=mock.clock.advance)


def _find_mutable_records(session: Session) -> Iterator[tuple[str, Any]]:
    """Find the first listed record of each resource whose records can be updated but not created."""
    for name in session.contract.resources:
        list_operation, update = (session.operations.find(name, action) for action in ("list", "update"))
        is_fixed = update is not None and session.contract.find_create_operation(name) is None
        if list_operation is not None and is_fixed:
            for row in islice(session.records.rows(list_operation, {}, pages=1), 1):
                yield name, session.operations.key_of(name, row)


def _find_credentials(session: Session) -> dict[str, str]:
    """Find the credentials of the account that owns the token."""
    account = session.contract.account_resource
    if account is None or account.credentials is None:
        return {}
    login, secret = account.credentials.login, account.credentials.secret
    try:
        return {login: str(session.client.identity()[login]), secret: SEEDED_PASSWORD}
    except (SkipCheck, KeyError):
        return {}
