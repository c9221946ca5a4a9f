"""Who may use the control API: programs on this machine, and holders of the control token."""

from dataclasses import dataclass
from hmac import compare_digest

from mock_server.errors import ApiError, ErrorKind
from mock_server.web.context import RequestContext
from mock_server.web.hosts_and_cors import CorsPolicy

READ_HEADERS = (b"origin", b"sec-fetch-site", b"authorization")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class ControlAccess:
    """The access rules. `token`: None without one. `serves_network`: the mock listens on more than loopback."""

    cors_policy: CorsPolicy
    token: str | None = None
    serves_network: bool = False

    @property
    def is_enabled(self) -> bool:
        """Whether any request can be allowed."""
        return self.token is not None or not self.serves_network

    def check(self, context: RequestContext) -> None:
        """Raise ApiError (401, 403) unless a request is allowed."""
        if not self.is_enabled:
            message = (
                "Test control is off, since this mock listens on more than loopback. "
                "Start it with --control-token TOKEN (environment variable: ATHENA_MOCK_CONTROL_TOKEN)."
            )
            raise ApiError(ErrorKind.CONTROL_FORBIDDEN, message=message)
        self.check_origin(context)
        if self.token is not None:
            scheme, _, token = context.get_header(b"authorization").partition(" ")
            is_valid = compare_digest(token.strip().encode("latin-1"), self.token.encode())
            if scheme.lower() != "bearer" or not is_valid:
                message = "Test control needs Authorization: Bearer CONTROL_TOKEN."
                headers = {"WWW-Authenticate": "Bearer"}
                raise ApiError(ErrorKind.CONTROL_UNAUTHENTICATED, message=message, headers=headers)

    def check_origin(self, context: RequestContext) -> None:
        """Raise ApiError (403) for a request that a page of another site sends. The mock's own pages are allowed."""
        headers = context.headers
        is_write = context.method not in SAFE_METHODS
        if is_write and context.get_header(b"sec-fetch-site").lower() == "cross-site":
            message = (
                "Pages of another site may not change anything here, also with --cors-origin. Load the page from the "
                f"host of {context.base_url} (localhost and 127.0.0.1 are different sites), or send the request from "
                "a program, such as a test runner."
            )
            raise ApiError(ErrorKind.CONTROL_FORBIDDEN, message=message)
        origin = context.get_header(b"origin")
        if origin and not f"{context.base_url}/".startswith(f"{origin}/") and not self.cors_policy.is_trusted(headers):
            message = f"Pages of {origin[:200]} may not use test control; --cors-origin allows an origin."
            raise ApiError(ErrorKind.CONTROL_FORBIDDEN, message=message)
