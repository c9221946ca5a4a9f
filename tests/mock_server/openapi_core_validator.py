"""Validates exchanges with openapi-core, which shares no code with our validators: it uses jsonschema in Python."""

import json
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from werkzeug.datastructures import MultiDict

from spec.model import Contract
from tests.asgi import Reply


class OpenapiCoreChecker:
    """openapi-core for one contract. The methods `validate_...` raise its errors."""

    def __init__(self, contract: Contract) -> None:
        root = json.loads(json.dumps(contract.document.root))
        self.server = urlsplit(root["servers"][0]["url"])
        # tests/spec/test_openapi_file.py validates the document itself.
        self.openapi = OpenAPI.from_dict(root, config=Config(spec_validator_cls=None))

    def create_request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> MockRequest:
        """Convert a request for openapi-core; `path` includes the contract's base path."""
        return MockRequest(
            f"{self.server.scheme}://{self.server.netloc}",
            method,
            path,
            args=MultiDict(query or {}),
            headers=dict(headers or {}),
            data=None if body is None else json.dumps(body).encode(),
        )

    def validate_request(self, request: MockRequest) -> None:
        """Validate a request against the contract."""
        with warnings.catch_warnings():
            # Deprecated in OpenAPI 3.1 but allowed in 3.0; the documented requests send empty parameters.
            warnings.filterwarnings("ignore", message="Use of allowEmptyValue property is deprecated")
            self.openapi.validate_request(request)

    def validate_response(self, request: MockRequest, reply: Reply) -> None:
        """Validate a response to the request."""
        kind = reply.headers.get("content-type", "")
        response = MockResponse(reply.body, reply.status, dict(reply.headers), content_type=kind)
        self.openapi.validate_response(request, response)
