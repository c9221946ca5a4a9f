"""What openapi-core says of an exchange. It shares no code with our validators: it stands on jsonschema in Python."""

import json
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from werkzeug.datastructures import MultiDict

from spec.loader import Contract
from tests.asgi import Reply


class OpenapiCoreValidator:
    """openapi-core on one contract. Both methods raise what it objects to."""

    def __init__(self, contract: Contract) -> None:
        root = json.loads(json.dumps(contract.document.root))
        self.server = urlsplit(root["servers"][0]["url"])
        # Whether the document is OpenAPI, tests/spec/test_openapi_file.py asks.
        self.openapi = OpenAPI.from_dict(root, config=Config(spec_validator_cls=None))

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> MockRequest:
        """A request as openapi-core takes it; `path` with the contract's base path."""
        return MockRequest(
            f"{self.server.scheme}://{self.server.netloc}",
            method,
            path,
            args=MultiDict(query or {}),
            headers=dict(headers or {}),
            data=None if body is None else json.dumps(body).encode(),
        )

    def on_request(self, request: MockRequest) -> None:
        """Whether the contract admits a request."""
        with warnings.catch_warnings():
            # OpenAPI 3.1 frowns on it; this is 3.0, and the documented requests send parameters blank.
            warnings.filterwarnings("ignore", message="Use of allowEmptyValue property is deprecated")
            self.openapi.validate_request(request)

    def on_answer(self, request: MockRequest, reply: Reply) -> None:
        """Whether the contract admits an answer to it."""
        kind = reply.headers.get("content-type", "")
        response = MockResponse(reply.body, reply.status, dict(reply.headers), content_type=kind)
        self.openapi.validate_response(request, response)
