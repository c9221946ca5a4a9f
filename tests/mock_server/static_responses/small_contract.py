"""Serves a small contract in process, with an empty store."""

import io
from datetime import UTC, datetime
from typing import Any

import yaml

from mock_server import images
from mock_server.app import create_app
from mock_server.images import DatasetParameters
from mock_server.registry.registry import SandboxRegistry
from mock_server.store import Store
from mock_server.web.request_log import RequestLog
from spec.document import parse_document
from spec.loader import parse_contract
from spec.validators import SchemaValidators
from tests.asgi import Client

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class SmallContract:
    """A contract with the given paths and schemas; `log`: the request log."""

    def __init__(self, paths: dict[str, Any], schemas: dict[str, Any] | None = None) -> None:
        root = {
            "openapi": "3.0.3",
            "info": {"title": "Test", "version": "1"},
            "paths": paths,
            "components": {"schemas": schemas or {}},
        }
        self.contract = parse_contract(parse_document(yaml.safe_dump(root).encode(), "test.yaml"))
        self.schemas = SchemaValidators.from_document(self.contract.document)
        self.image = images.build_image(self.contract, DatasetParameters("plain", 0, NOW, 1.0), [], {})
        store = Store.from_bytes(self.contract, self.image)
        self.sandbox = images.create_sandbox(self.contract, self.schemas, store, lambda: NOW)
        registry = SandboxRegistry.create(self.sandbox, lambda _: self.image, starts_at_epoch=True)
        self.log = io.StringIO()
        request_log = RequestLog(self.contract.document, self.log)
        self.client = Client(create_app(self.contract, self.sandbox, request_log=request_log, registry=registry), {})


def serve_response(response: dict[str, Any], status: str = "200", method: str = "get") -> SmallContract:
    """Serve a contract with the path ``/thing``, which has one response."""
    return SmallContract({"/thing": {method: {"responses": {status: {"description": "A thing", **response}}}}})


def json_content(schema: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    """Return the content of a response in JSON."""
    return {"content": {"application/json": {"schema": schema, **keywords}}}
