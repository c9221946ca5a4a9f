"""Host and CORS rules: which hosts a request may name (DNS rebinding), which origins may read, and the base URL."""

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from starlette.types import Scope

from mock_server.errors import ApiError, ErrorKind
from mock_server.web.context import Header
from mock_server.web.forwarded import FORWARDED_HEADERS, apply_forwarded
from mock_server.web.host_names import HOST_ALIASES, HostKind, ParsedHost, is_loopback, parse_address, parse_host

_MAX_CACHED_HOSTS = 256
_MAX_REPORTED_ORIGINS = 256
EXPOSED_HEADERS = (
    "X-Request-Id, X-Mock-Reason, X-Mock-Note, X-Mock-Rule, Retry-After, Location, Preference-Applied, "
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
)
PREFLIGHT_MAX_AGE = 600

# The kinds of hosts that are served on a loopback address, and on other ones.
LOOPBACK_KINDS = (HostKind.LOOPBACK, HostKind.HOST_ALIAS)
NETWORK_KINDS = (*LOOPBACK_KINDS, HostKind.LOCAL_NETWORK)
_KIND_DESCRIPTIONS: Mapping[HostKind, tuple[str, ...]] = {
    HostKind.LOOPBACK: ("localhost", "127.0.0.0/8", "[::1]", "*.localhost"),
    HostKind.HOST_ALIAS: HOST_ALIASES,
    HostKind.LOCAL_NETWORK: ("*.local", "a name without dots", "a private address"),
}
# Schemes of pages. Those of apps: no web page has such an origin.
_PAGE_SCHEMES = ("http", "https", "capacitor", "ionic", "tauri")
_ORIGIN_PATTERN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#@\s]+)", re.ASCII)
_HEADER_LIST_PATTERN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}", re.ASCII)


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """Validates hosts and derives the base URL.

    `allowed_hosts`: in lower case; ``*`` allows any. `kinds`: the kinds of hosts that are allowed in addition.
    `trusted_proxies`: networks of proxies whose forwarded headers are used, in addition to this machine.
    `base_urls`: cache of the base URLs by scheme and Host header; 0.3 instead of 0.5 microseconds for each request.
    """

    allowed_hosts: Collection[str]
    kinds: Collection[HostKind] = LOOPBACK_KINDS
    trusted_proxies: Collection[IPv4Network | IPv6Network] = ()
    base_urls: dict[tuple[str, bytes], str] = field(default_factory=dict, repr=False)

    def get_base_url(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[str, tuple[str, ...]]:
        """Return the base URL for the client (scheme, host, prefix), and the forwarded headers that are ignored.

        Raises ApiError if the host is not allowed (421) or missing (400).
        """
        host_header, scheme = headers.get(b"host", b""), scope.get("scheme", "http")
        base_url = self.base_urls.get((scheme, host_header)) or self.build_base_url(scope, host_header, scheme)
        if FORWARDED_HEADERS.isdisjoint(headers):
            return base_url, ()
        client = scope.get("client")
        if client and not self.is_trusted_proxy(client[0]):
            return base_url, (f"forwarded headers of {client[0]}: not in --trusted-proxies",)
        # The values of repeated headers form one list, of which the first element is used.
        return apply_forwarded(dict(reversed(scope["headers"])), base_url)

    def is_trusted_proxy(self, peer: str) -> bool:
        address = parse_address(peer)
        return is_loopback(peer) or (address is not None and any(address in net for net in self.trusted_proxies))

    def build_base_url(self, scope: Scope, host_header: bytes, scheme: str) -> str:
        """Return the base URL for a Host header. Without one (HTTP/1.0) the server's address is used."""
        if not host_header:
            if scope["http_version"] != "1.0":
                detail = "no Host header (required since HTTP/1.1)"
                raise ApiError(ErrorKind.BAD_REQUEST, detail, message="The request has no Host header.")
            address, port = scope.get("server") or ("127.0.0.1", None)
            address = f"[{address}]" if ":" in address else address
            return f"{scheme}://{address}:{port}" if port else f"{scheme}://{address}"
        authority = host_header.decode("latin-1")
        host = parse_host(authority)
        if host is None or not self.is_allowed(host):
            raise self.create_error(authority, host)
        if len(self.base_urls) >= _MAX_CACHED_HOSTS:
            self.base_urls.clear()
        base_url = self.base_urls[scheme, host_header] = f"{scheme}://{authority}"
        return base_url

    def is_allowed(self, host: ParsedHost) -> bool:
        return host.kind in self.kinds or host.name in self.allowed_hosts or "*" in self.allowed_hosts

    def create_error(self, host_header: str, host: ParsedHost | None) -> ApiError:
        """Create the error (421) for a host that is not allowed, with the option that allows it."""
        allowed = [*(text for kind in self.kinds for text in _KIND_DESCRIPTIONS[kind]), *sorted(self.allowed_hosts)]
        with suppress(UnicodeError):
            host_header = host_header.encode("latin-1").decode()
        detail, message = f"Host: invalid value {host_header!r}", "This host is not served here."
        if host is not None:
            option = f"--allowed-hosts {host.name}"
            detail = f"{detail}: to serve it, use {option}"
            message = f"{message} To serve it, start the mock with {option}"
            message += f" (environment variable: ATHENA_MOCK_ALLOWED_HOSTS={host.name})."
        return ApiError(ErrorKind.MISDIRECTED_REQUEST, f"{detail} (expected {', '.join(allowed)})", message=message)


@lru_cache(256)
def _parse_origin(origin: str) -> tuple[str, ParsedHost] | None:
    """Return scheme and host of an origin; None if it is malformed."""
    match = _ORIGIN_PATTERN.fullmatch(origin)
    host = parse_host(match[2]) if match else None
    return (match[1].lower(), host) if match and host else None


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Decides which origins may read responses.

    Trusted, which includes cookies: loopback origins, `allowed_origins`, and origins of another kind in `kinds` if the
    request names a host of the same kind. So a page that a phone loads from the local network may read from the mock
    there, and a page from that network that a browser on this machine shows may not read from localhost.

    `allowed_origins`: in lower case; ``*``: any, without cookies.
    """

    allowed_origins: Collection[str]
    kinds: Collection[HostKind] = LOOPBACK_KINDS
    reported: set[str] = field(default_factory=set, repr=False)

    def get_response_headers(self, headers: Mapping[bytes, bytes]) -> tuple[Header, ...]:
        origin = headers.get(b"origin")
        if origin is None:
            return _VARY_HEADER
        is_trusted = self.is_trusted(headers)
        if not (is_trusted or self.is_allowed(headers)):
            return _VARY_HEADER
        credentials = ((b"access-control-allow-credentials", b"true"),) if is_trusted else ()
        exposed = (b"access-control-expose-headers", EXPOSED_HEADERS.encode())
        return (*_VARY_HEADER, (b"access-control-allow-origin", origin), *credentials, exposed)

    def is_allowed(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether the origin of a request may read the response. ``null`` (a file, a sandbox) may not."""
        if "*" in self.allowed_origins and _parse_origin(headers.get(b"origin", b"").decode("latin-1")) is not None:
            return True
        return self.is_trusted(headers)

    def is_trusted(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether the origin of a request is explicitly allowed, on this machine, or near the requested host."""
        origin = headers.get(b"origin", b"").decode("latin-1")
        parsed_origin = _parse_origin(origin)
        if parsed_origin is None:
            return False
        scheme, host = parsed_origin
        if origin.lower() in self.allowed_origins:
            return True
        if scheme not in _PAGE_SCHEMES or host.kind not in self.kinds:
            return False
        if host.kind is HostKind.LOOPBACK:
            return True
        requested_host = parse_host(headers.get(b"host", b"").decode("latin-1"))
        return requested_host is not None and requested_host.kind is host.kind

    def is_from_another_site(self, headers: Mapping[bytes, bytes], base_url: str) -> bool:
        """Return whether a page sends a request whose origin is neither trusted nor that of the mock (`base_url`).

        A request without `Origin`, as for an image, is one if the browser reports it (``Sec-Fetch-Site``).
        """
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin:
            return not f"{base_url}/".startswith(f"{origin}/") and not self.is_trusted(headers)
        return headers.get(b"sec-fetch-site", b"").lower() == b"cross-site"

    def explain_denial(self, headers: Mapping[bytes, bytes], base_url: str) -> str | None:
        """Explain why the origin of a request may not read the response; None if it may or was reported before.

        Pages of the mock itself, below `base_url`, are same-origin and may always read.
        """
        origin = headers.get(b"origin", b"").decode("latin-1").strip()
        is_silent = origin in self.reported or len(self.reported) >= _MAX_REPORTED_ORIGINS
        if is_silent or self.is_allowed(headers) or base_url.startswith(f"{origin}/"):
            return None
        self.reported.add(origin)
        if origin == "*" or _parse_origin(origin) is None:
            return f"pages with origin {origin!r} cannot read this response (--cors-origin cannot allow this origin)"
        return f"pages from {origin} cannot read this response; to allow it, use --cors-origin {origin}"

    def build_preflight_headers(self, headers: Mapping[bytes, bytes], methods: str) -> dict[str, str]:
        """Return the additional CORS headers of a preflight response; none for an origin that is not allowed."""
        if not self.is_allowed(headers):
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
READ_HEADERS = (b"host", b"origin", *FORWARDED_HEADERS, *_PREFLIGHT_HEADERS)
