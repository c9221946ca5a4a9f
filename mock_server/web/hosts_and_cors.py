"""Host and CORS rules: which hosts a request may name (DNS rebinding), which origins may read, and the base URL."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

from starlette.types import Scope

from mock_server.errors import ApiError, ErrorKind
from mock_server.web.context import Header

_MAX_REPORTED_ORIGINS = 256
EXPOSED_HEADERS = "X-Request-Id, X-Mock-Reason, X-Mock-Note, Retry-After, Location"
PREFLIGHT_MAX_AGE = 600

_HOST_PATTERN = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_MAX_PORT = 65535
_ORIGIN_PATTERN = re.compile(r"https?://([^/?#@\s]+)", re.ASCII)
_PREFIX_PATTERN = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){0,8}/?", re.ASCII)
_HEADER_LIST_PATTERN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}", re.ASCII)


@lru_cache(256)
def parse_host(authority: str) -> str | None:
    """Return the host of ``host[:port]`` in lower case, without brackets; None if it is malformed."""
    match = _HOST_PATTERN.fullmatch(authority)
    if match is None or int(match[2] or 0) > _MAX_PORT:
        return None
    return match[1].strip("[]").lower().removesuffix(".")


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Whether a host name always refers to this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """Validates hosts and derives the base URL. `allowed_hosts`: in lower case; ``*`` allows any."""

    allowed_hosts: Collection[str]

    def get_base_url(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[str, tuple[str, ...]]:
        """Return the base URL for the client (scheme, host, prefix), and the names of invalid forwarded headers.

        Raises ApiError if the host is not allowed (421) or missing (400).
        """
        host_header = headers.get(b"host", b"")
        if not host_header and scope["http_version"] != "1.0":
            detail = "no Host header (required since HTTP/1.1)"
            raise ApiError(ErrorKind.BAD_REQUEST, detail, message="The request has no Host header.")
        base_url = self.build_base_url(scope, host_header.decode("latin-1"), scope.get("scheme", "http"))
        if b"x-forwarded-host" in headers or b"x-forwarded-proto" in headers or b"x-forwarded-prefix" in headers:
            return _apply_forwarded(scope, headers, base_url)
        return base_url, ()

    def build_base_url(self, scope: Scope, host_header: str, scheme: str) -> str:
        """Return the base URL for a Host header. Without one (HTTP/1.0) the server's address is used."""
        if not host_header:
            host, port = scope.get("server") or ("127.0.0.1", None)
            host_header = f"[{host}]" if ":" in host else host
            return f"{scheme}://{host_header}:{port}" if port else f"{scheme}://{host_header}"
        host = parse_host(host_header)
        if host is None or not (is_loopback(host) or host in self.allowed_hosts or "*" in self.allowed_hosts):
            allowed = ", ".join(("localhost", "127.0.0.0/8", "[::1]", "*.localhost", *sorted(self.allowed_hosts)))
            detail = f"Host: invalid value {host_header!r} (expected {allowed}; --allowed-hosts adds hosts)"
            raise ApiError(ErrorKind.MISDIRECTED_REQUEST, detail, message="This host is not served here.")
        return f"{scheme}://{host_header}"


def _apply_forwarded(scope: Scope, headers: Mapping[bytes, bytes], base_url: str) -> tuple[str, tuple[str, ...]]:
    """Apply the forwarded headers of a proxy on this machine; return (base URL, names of invalid headers).

    The first value of a list is used. The forwarded host need not be allowed: it affects links only, not access.
    """
    client = scope.get("client")
    if client and not is_loopback(client[0].removeprefix("::ffff:")):
        return base_url, ()
    sent_names = [name for name in _FORWARDED_VALIDATORS if name in headers]
    values = {name: headers[name].decode("latin-1").partition(",")[0].strip() for name in sent_names}
    valid_values = {name: text for name, text in values.items() if _FORWARDED_VALIDATORS[name](text)}
    scheme, _, host = base_url.partition("://")
    scheme = valid_values.get(b"x-forwarded-proto", scheme).lower()
    host = valid_values.get(b"x-forwarded-host", host)
    prefix = valid_values.get(b"x-forwarded-prefix", "").rstrip("/")
    return f"{scheme}://{host}{prefix}", tuple(name.decode() for name in values if name not in valid_values)


# Forwarded header -> validator of its value.
_FORWARDED_VALIDATORS: Mapping[bytes, Callable[[str], bool]] = {
    b"x-forwarded-host": lambda text: parse_host(text) is not None,
    b"x-forwarded-proto": lambda text: text.lower() in ("http", "https"),
    b"x-forwarded-prefix": lambda text: _PREFIX_PATTERN.fullmatch(text) is not None,
}


def _get_origin_host(origin: str) -> str | None:
    """Return the host of an origin; None if it is malformed."""
    match = _ORIGIN_PATTERN.fullmatch(origin)
    return parse_host(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Decides which origins may read responses. `allowed_origins`: in addition to loopback; ``*``: any, no cookies."""

    allowed_origins: Collection[str]
    reported: set[str] = field(default_factory=set, repr=False)

    def get_response_headers(self, headers: Mapping[bytes, bytes]) -> tuple[Header, ...]:
        origin = headers.get(b"origin")
        if origin is None:
            return _VARY_HEADER
        origin_text = origin.decode("latin-1")
        if not self.is_allowed(origin_text):
            return _VARY_HEADER
        credentials = ((b"access-control-allow-credentials", b"true"),) if self.is_trusted(origin_text) else ()
        exposed = (b"access-control-expose-headers", EXPOSED_HEADERS.encode())
        return (*_VARY_HEADER, (b"access-control-allow-origin", origin), *credentials, exposed)

    def is_allowed(self, origin: str) -> bool:
        """Whether an origin may read responses. ``null`` (a file, a sandboxed frame) may not."""
        return self.is_trusted(origin) or ("*" in self.allowed_origins and _get_origin_host(origin) is not None)

    def is_trusted(self, origin: str) -> bool:
        """Whether an origin is on this machine or explicitly allowed."""
        host = _get_origin_host(origin)
        return host is not None and (is_loopback(host) or origin.lower() in self.allowed_origins)

    def explain_denial(self, origin: str, base_url: str) -> str | None:
        """Explain why an origin may not read the response; None if it may or was reported before.

        Pages of the mock itself, below `base_url`, are same-origin and may always read.
        """
        is_silent = origin in self.reported or len(self.reported) >= _MAX_REPORTED_ORIGINS
        if is_silent or self.is_allowed(origin) or base_url.startswith(f"{origin}/"):
            return None
        self.reported.add(origin)
        if origin == "*" or _get_origin_host(origin) is None:
            return f"pages with origin {origin!r} cannot read this response (--cors-origin cannot allow this origin)"
        return f"pages from {origin} cannot read this response; to allow it, use --cors-origin {origin}"

    def build_preflight_headers(self, headers: Mapping[bytes, bytes], methods: str) -> dict[str, str]:
        """Return the additional CORS headers of a preflight response; none for an origin that is not allowed."""
        if not self.is_allowed(headers.get(b"origin", b"").decode("latin-1")):
            return {}
        response_headers = {"Access-Control-Allow-Methods": methods, "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE)}
        requested_headers = headers.get(b"access-control-request-headers", b"").decode("latin-1").strip()
        if _HEADER_LIST_PATTERN.fullmatch(requested_headers):
            response_headers["Access-Control-Allow-Headers"] = requested_headers
        if headers.get(b"access-control-request-private-network") == b"true":
            response_headers["Access-Control-Allow-Private-Network"] = "true"
        return response_headers


_VARY_HEADER: tuple[Header, ...] = ((b"vary", b"Origin"),)
_PREFLIGHT_HEADERS = tuple(b"access-control-request-" + name for name in (b"method", b"headers", b"private-network"))
READ_HEADERS = (b"host", b"origin", *_FORWARDED_VALIDATORS, *_PREFLIGHT_HEADERS)
