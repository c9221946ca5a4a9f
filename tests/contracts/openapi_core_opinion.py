"""A second opinion on responses by openapi-core, which shares no code with Schemathesis and the mock."""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse
from openapi_core.validation.response.exceptions import ResponseValidationError
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue

from tests.asgi import Reply
from tests.contracts.sample_requests import HOST, SampleRequest


@dataclass(frozen=True, slots=True)
class OpenapiCoreOpinion:
    """openapi-core for one contract file; None if it does not support the file."""

    openapi: OpenAPI | None

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any], path: Path) -> "OpenapiCoreOpinion":
        """Create it for a parsed file; `path` is the base of its references."""
        root = copy.deepcopy(dict(raw))
        try:
            config = Config(spec_validator_cls=None)
            return cls(OpenAPI.from_dict(root, config=config, base_uri=path.absolute().as_uri()))
        except Exception:  # of its parsers: whatever they raise, the file has a construct that they lack
            return cls(None)

    def find_problems(self, request: SampleRequest, reply: Reply) -> list[str]:
        """Return why the body of a response violates its schema. What openapi-core does not support is no problem."""
        kind = reply.headers.get("content-type", "")
        if self.openapi is None or kind.split(";")[0] != "application/json":  # it parses no other type
            return []
        split = urlsplit(request.target)
        mock_request = MockRequest(HOST, request.method.lower(), split.path)
        response = MockResponse(reply.body, reply.status, dict(reply.headers), content_type=kind)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.openapi.validate_response(mock_request, response)
        except ResponseValidationError as error:
            cause = error.__cause__
            if isinstance(cause, InvalidSchemaValue) and not _is_unparsed(cause):
                return [f"openapi-core: {'; '.join(str(violation) for violation in cause.schema_errors)}"[:300]]
        except Exception:  # see from_raw
            return []
        return []


def _is_unparsed(error: InvalidSchemaValue) -> bool:
    """Whether openapi-core validated the bytes of the body: it does not parse the type of a range such as ``*/*``."""
    return any(isinstance(getattr(violation, "instance", None), bytes) for violation in error.schema_errors)
