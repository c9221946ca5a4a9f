"""A session against an ASGI application in process: httpx speaks, no socket is opened and no thread is started."""

from random import Random

import httpx
from starlette.types import ASGIApp

from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget
from spec.loader import Contract
from spec.validators import SchemaValidators
from tests.asgi import call, completed

HOST = "http://localhost:8000"
TOKENS = {"self": "demo-token", "other": "other-token"}


class AsgiTransport(httpx.BaseTransport):
    """Runs the application for each request, until it has answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name.decode().lower(): value for name, value in request.headers.raw}
        asked = call(self.app, request.method, request.url.raw_path, headers, request.read(), ("127.0.0.1", 50000))
        reply = completed(asked)
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)


def session(
    app: ASGIApp,
    contract: Contract,
    seed: int = 1,
    *,
    schemas: SchemaValidators | None = None,
    read_only: bool = False,
    tokens: dict[str, str] | None = None,
) -> Session:
    """A run's session; equal seeds send equal requests."""
    budget = Budget(None, None)
    target = HttpTarget(HOST + contract.base_path, tokens or TOKENS, budget, transport=AsgiTransport(app))
    bodies = PayloadFactory(contract, f"conformance-run{seed}", Random(seed))
    known = schemas or SchemaValidators.from_document(contract.document)
    return Session(contract, known, target, WriteLog("test"), bodies, read_only, sleep=lambda seconds: None)
