"""In-process session against an ASGI application through httpx, without sockets or threads."""

from random import Random

import httpx
from starlette.types import ASGIApp

from conformance.session.options import RunOptions
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget
from spec.model import Contract
from spec.validators import SchemaValidators
from tests.asgi import call, run_coroutine

HOST = "http://localhost:8000"
TOKENS = {"self": "demo-token", "other": "other-token", "member": "viewer-token"}


class AsgiTransport(httpx.BaseTransport):
    """Transport that runs the application for each request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name.decode().lower(): value for name, value in request.headers.raw}
        pending = call(self.app, request.method, request.url.raw_path, headers, request.read(), ("127.0.0.1", 50000))
        reply = run_coroutine(pending)
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.body)


def session(
    app: ASGIApp,
    contract: Contract,
    seed: int = 1,
    *,
    schemas: SchemaValidators | None = None,
    read_only: bool = False,
    tokens: dict[str, str] | None = None,
    write_log: WriteLog | None = None,
) -> Session:
    """Create a session; equal seeds send equal requests."""
    budget = Budget(None, None)
    target = HttpTarget(HOST + contract.base_path, tokens or TOKENS, budget, transport=AsgiTransport(app))
    payloads = PayloadFactory(contract, f"conformance-{seed:08x}", Random(seed))
    validators = schemas or SchemaValidators.from_document(contract.document)
    options = RunOptions(read_only=read_only, reduction_requests=0)  # tests of the model reduce sequences
    log = write_log or WriteLog("test")
    return Session.create(contract, validators, target, log, payloads, options, sleep=lambda seconds: None)
