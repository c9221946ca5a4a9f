"""Identifies a run and each of its requests, so that they can be found in the logs of the target.

`traceparent`: https://www.w3.org/TR/trace-context/. None of the values depends on the seed or influences a check.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from spec.version import get_version

PRODUCT = "athena-conformance"
REQUEST_ID = "X-Request-Id"
TRACEPARENT = "traceparent"
USER_AGENT = "User-Agent"
# Response headers in which servers and gateways return their own id of a request, lower case.
SERVER_ID_HEADERS = (
    *("x-request-id", "request-id", "x-correlation-id", "correlation-id", "x-trace-id", "traceresponse"),
    *("x-amzn-requestid", "x-amzn-request-id", "x-amzn-trace-id", "x-amz-request-id", "x-amz-cf-id", "apigw-requestid"),
    *("x-ms-request-id", "x-azure-ref", "x-cloud-trace-context", "cf-ray", "fly-request-id", "x-vercel-id"),
    *("x-envoy-request-id", "x-kong-request-id", "x-b3-traceid", "sentry-trace", "x-debug-token"),
)


@dataclass(frozen=True, slots=True)
class RequestIds:
    """What a sent request can be found by. `sent_at`: UTC, ISO 8601 with milliseconds."""

    request_id: str
    traceparent: str
    sent_at: str


@dataclass(slots=True)
class RequestIdFactory:
    """Creates the ids of the requests of one run."""

    run_id: str = "none"
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), init=False, repr=False)

    @property
    def user_agent(self) -> str:
        """``athena-conformance/1.2.3 run=ID``."""
        version = "".join(char for char in get_version() if char not in "() ") or "unknown"
        return f"{PRODUCT}/{version} run={self.run_id}"

    def create(self) -> RequestIds:
        """Create the ids of the next request. Each request is a separate trace: a run has thousands."""
        request_id = f"{self.run_id}-{next(self._numbers)}"
        digest = hashlib.sha256(request_id.encode()).hexdigest()
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return RequestIds(request_id, f"00-{digest[:32]}-{digest[32:48]}-01", now)


def build_id_headers(ids: RequestIds, given_names: Mapping[str, str]) -> dict[str, str]:
    """Build the headers of the ids, except those that the request or --header sets. `given_names`: any case."""
    given = {name.lower() for name in given_names}
    headers = {REQUEST_ID: ids.request_id, TRACEPARENT: ids.traceparent}
    return {name: value for name, value in headers.items() if name.lower() not in given}


def find_server_ids(ids: RequestIds, response_headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with the id that the target gave the request. Names are lower case."""
    present = {name: response_headers[name] for name in SERVER_ID_HEADERS if response_headers.get(name)}
    return {name: value for name, value in present.items() if value != ids.request_id}
