"""A mock in process: the demo at a fixed instant, its clock moved by hand, and requests without a socket."""

import asyncio
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp, Message, Scope

from conformance.errors import SkipCheck
from conformance.mutation.fault_injection import ResponseCapture
from conformance.session.mutable_records import MutableRecords
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget
from conformance.transport.messages import AUTHORIZATION, Request, Response
from fixtures import dataset, generator
from fixtures.errors import FixtureError
from fixtures.personas import PersonaLibrary
from mock_server.app import PermissiveAppConfig, create_app
from mock_server.images import images
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from mock_server.web.request_log import RequestLog
from spec.loader import Contract
from spec.validators import SchemaValidators

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
TOKENS: Mapping[str, str] = {"self": "demo-token", "other": "other-token"}
REQUEST_DURATION = timedelta(milliseconds=20)  # what a request takes by the clock that is moved by hand


@dataclass(slots=True)
class ManualClock:
    """The instant that the mock takes for the present."""

    current_time: datetime = EPOCH

    def __call__(self) -> datetime:
        return self.current_time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.current_time += timedelta(seconds=seconds)


def build_demo_image(contract: Contract) -> bytes:
    """The store's image of the dataset `build_demo_image`, or of `plain` where the contract has not the resources that it names.

    Takes about a second; the same for every mock of a process.
    """
    try:
        return _build_image(contract, "demo")
    except FixtureError:
        return _build_image(contract, "plain")


def _build_image(contract: Contract, name: str) -> bytes:
    dataset_parameters, texts = images.DatasetParameters(name, 0, EPOCH, 1), PersonaLibrary()
    records = generator.generate_records(
        contract, dataset.load(name), seed=0, epoch=EPOCH, size=1, persona_library=texts
    )
    return images.build_image(contract, dataset_parameters, records, texts.phrases())


@dataclass(frozen=True, slots=True)
class InProcessMock:
    """A mock server in process. Making one takes a third of a second; to begin anew takes a millisecond."""

    contract: Contract
    schemas: SchemaValidators
    app: ASGIApp
    world: Sandbox
    clock: ManualClock
    image_bytes: bytes

    @classmethod
    def from_image(cls, contract: Contract, image_bytes: bytes) -> "InProcessMock":
        """One on the image of a dataset."""
        clock, schemas = ManualClock(), SchemaValidators.from_document(contract.document)
        world = images.create_sandbox(contract, schemas, Store.from_image(contract, image_bytes), clock)
        console = RequestLog(contract.document, io.StringIO(), quiet=True)
        return cls(
            contract,
            schemas,
            create_app(contract, world, PermissiveAppConfig(), request_log=console),
            world,
            clock,
            image_bytes,
        )

    def reset(self) -> None:
        """The world as the dataset has it, at its epoch."""
        self.world.store.close()
        self.clock.current_time = EPOCH
        initial_world = images.create_sandbox(
            self.contract, self.schemas, Store.from_image(self.contract, self.image_bytes), self.clock
        )
        for world_field in fields(
            Sandbox
        ):  # the application holds this world: it stays, with all that is in it replaced
            setattr(self.world, world_field.name, getattr(initial_world, world_field.name))


@dataclass(slots=True)
class InProcessTarget:
    """A target in process. `on_exchange`: gets each exchange, for who records them."""

    app: ASGIApp
    clock: ManualClock
    base: str = "http://localhost:8000/api/v1"
    tokens: Mapping[str, str] = field(default_factory=lambda: TOKENS)
    on_exchange: Callable[[Request, Response], None] | None = None
    budget: Budget = field(default_factory=lambda: Budget(None, None))
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def send(self, request: Request) -> Response:
        """The answer. The clock goes on a little. Raises OutOfBudget."""
        self.budget.count_request()
        self.clock.current_time += REQUEST_DURATION
        response = self.loop.run_until_complete(self._send(request))
        if self.on_exchange is not None:
            self.on_exchange(request, response)
        return response

    def close(self) -> None:
        """End its loop."""
        self.loop.close()

    async def _send(self, request: Request) -> Response:
        body = request.raw_body if request.raw_body is not None else b""
        headers = {"host": "localhost:8000", "accept": "application/json"}
        if request.raw_body is None and request.body is not None:
            body = json.dumps(request.body).encode()
            headers["content-type"] = "application/json"
        headers |= {name.lower(): value for name, value in request.headers.items()}
        token = self.tokens.get(request.actor)
        if token is not None:
            headers.setdefault(AUTHORIZATION.lower(), f"Bearer {token}")
        capture = ResponseCapture()
        pending_messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return pending_messages.pop() if pending_messages else {"type": "http.disconnect"}

        await self.app(self._scope(request, headers), receive, capture)
        response = capture.to_response()
        return Response(response.status, response.headers, response.body, 0.0)

    def _scope(self, request: Request, headers: Mapping[str, str]) -> Scope:
        path, _, query = (urlsplit(self.base).path + request.target).partition("?")
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


SEEDED_PASSWORD = "password"  # of every seeded account


def create_session(
    mock: InProcessMock, app: ASGIApp, seed: int, on_exchange: Callable[[Request, Response], None] | None = None
) -> Session:
    """A session of the suite on `app`, which stands around the mock's own. Equal seeds send equal requests.

    It may do all that a team would let it do on a target of its own: use effects, sign in, change lent records.
    """
    new_session = _create_basic_session(mock, app, seed, on_exchange)
    lookup_session = _create_basic_session(mock, mock.app, seed, None)
    new_session.mutable_records, new_session.credentials = (
        MutableRecords(dict(_find_mutable_records(lookup_session))),
        _find_credentials(lookup_session),
    )
    if isinstance(lookup_session.target, InProcessTarget):
        lookup_session.target.close()
    return new_session


def _create_basic_session(
    mock: InProcessMock, app: ASGIApp, seed: int, on_exchange: Callable[[Request, Response], None] | None
) -> Session:
    base = f"http://localhost:8000{mock.contract.base_path}"
    target = InProcessTarget(app, mock.clock, base, on_exchange=on_exchange)
    bodies = PayloadFactory(mock.contract, f"conformance-{seed:08x}", Random(seed))
    write_log = WriteLog(f"{seed:08x}")
    return Session(mock.contract, mock.schemas, target, write_log, bodies, allow_effects=True, sleep=mock.clock.advance)


def _find_mutable_records(session: Session) -> Iterator[tuple[str, Any]]:
    """A record of each resource that can be updated and not created: the first of its list."""
    for name in session.contract.resources:
        list_operation = session.operation(name, "list")
        if session.operation(name, "update") is None or list_operation is None:
            continue
        try:
            session.creator(name)
        except SkipCheck:
            yield from (
                (name, session.key_of(name, row)) for row in islice(session.rows(list_operation, {}, pages=1), 1)
            )


def _find_credentials(session: Session) -> dict[str, str]:
    """What the account signs in with whose token it is."""
    account = session.contract.account_resource
    if account is None or account.credentials is None:
        return {}
    try:
        return {
            account.credentials.login: str(session.identity()[account.credentials.login]),
            account.credentials.secret: SEEDED_PASSWORD,
        }
    except (SkipCheck, KeyError):
        return {}
