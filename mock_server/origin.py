"""Whom the mock speaks to: which Host a request may name (DNS rebinding), which pages may read (CORS), and the URL that
the mock is reached under.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from starlette.types import Scope

from mock_server.exchange import Header, remember
from mock_server.problems import Problem, Refusal

EXPOSED = "X-Request-Id, X-Mock-Reason, X-Mock-Note, Retry-After, Location"
MAX_AGE = 600

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_ORIGIN = re.compile(r"https?://([^/?#@\s]+)", re.ASCII)
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){0,8}/?", re.ASCII)
_TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}", re.ASCII)


def host_name(authority: str) -> str | None:
    """The host of ``host[:port]``, lower case, without brackets; None when it is malformed."""
    found = _HOST.fullmatch(authority)
    return found[1].strip("[]").lower().removesuffix(".") if found else None


def is_loopback(host: str) -> bool:
    """Whether a host's name can only mean this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which hosts a request may name, and the URL that follows from it. `allowed`: lower case; ``*`` is any."""

    allowed: Collection[str]
    known: dict[tuple[bytes, str], str] = field(default_factory=dict, repr=False)

    def base(self, scope: Scope, headers: Mapping[bytes, bytes]) -> str:
        """Scheme, host and prefix that the client knows the mock by. Raises Refusal (421)."""
        sent = headers.get(b"host", b"")
        scheme: str = scope.get("scheme", "http")
        base = self.known.get((sent, scheme))
        if base is None:
            base = remember(self.known, (sent, scheme), self.checked(scope, sent.decode("latin-1"), scheme), 256)
        if b"x-forwarded-host" in headers or b"x-forwarded-proto" in headers or b"x-forwarded-prefix" in headers:
            return _forwarded(scope, headers, base)
        return base

    def checked(self, scope: Scope, sent: str, scheme: str) -> str:
        """The base URL of a Host header. Without one (HTTP/1.0) the server's own address stands in."""
        if not sent:
            host, port = scope.get("server") or ("127.0.0.1", None)
            sent = f"[{host}]" if ":" in host else host
            return f"{scheme}://{sent}:{port}" if port else f"{scheme}://{sent}"
        host = host_name(sent)
        if host is None or not (is_loopback(host) or host in self.allowed or "*" in self.allowed):
            allowed = ", ".join(("localhost", "127.0.0.0/8", "[::1]", "*.localhost", *sorted(self.allowed)))
            why = f"Host {sent!r}; allowed: {allowed} (more by --allowed-hosts)"
            raise Refusal(Problem.MISDIRECTED, why, message="This host is not served here.")
        return f"{scheme}://{sent}"


def _forwarded(scope: Scope, headers: Mapping[bytes, bytes], base: str) -> str:
    """`base` as a proxy on this machine tells it; what is malformed or comes from elsewhere is ignored."""
    client = scope.get("client")
    if client and not is_loopback(client[0].removeprefix("::ffff:")):
        return base
    scheme, _, host = base.partition("://")

    def first(name: bytes) -> str:
        return headers.get(name, b"").decode("latin-1").partition(",")[0].strip()

    if first(b"x-forwarded-proto").lower() in ("http", "https"):
        scheme = first(b"x-forwarded-proto").lower()
    if host_name(first(b"x-forwarded-host")) is not None:
        host = first(b"x-forwarded-host")
    prefix = first(b"x-forwarded-prefix")
    return f"{scheme}://{host}" + (prefix.rstrip("/") if _PREFIX.fullmatch(prefix) else "")


def _host_of(origin: str) -> str | None:
    """The host of an origin; None for what is none."""
    found = _ORIGIN.fullmatch(origin)
    return host_name(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages may read the answers. `allowed`: beside those of this machine; ``*``: any, without cookies."""

    allowed: Collection[str]
    known: dict[bytes, tuple[Header, ...]] = field(default_factory=dict, repr=False)

    def headers(self, headers: Mapping[bytes, bytes]) -> tuple[Header, ...]:
        """What an answer says to the page that asked."""
        origin = headers.get(b"origin")
        if origin is None:
            return _VARY
        found = self.known.get(origin)
        return remember(self.known, origin, self.granted(origin), 256) if found is None else found

    def granted(self, origin: bytes) -> tuple[Header, ...]:
        """The headers for one origin."""
        said = origin.decode("latin-1")
        if not self.allows(said):
            return _VARY
        known: tuple[Header, ...] = ((b"access-control-allow-credentials", b"true"),) if self.names(said) else ()
        exposed = (b"access-control-expose-headers", EXPOSED.encode())
        return (*_VARY, (b"access-control-allow-origin", origin), *known, exposed)

    def allows(self, origin: str) -> bool:
        """Whether an origin may read. ``null`` (a file, a sandbox) may be anybody and may not."""
        return self.names(origin) or ("*" in self.allowed and _host_of(origin) is not None)

    def names(self, origin: str) -> bool:
        """Whether it is of this machine, or named among the allowed ones."""
        host = _host_of(origin)
        return host is not None and (is_loopback(host) or origin.lower() in self.allowed)

    def preflight(self, headers: Mapping[bytes, bytes], methods: str) -> dict[str, str]:
        """What the answer to a preflight says beyond `headers`; nothing to an origin that may not read."""
        if not self.allows(headers.get(b"origin", b"").decode("latin-1")):
            return {}
        said = {"Access-Control-Allow-Methods": methods, "Access-Control-Max-Age": str(MAX_AGE)}
        asked = headers.get(b"access-control-request-headers", b"").decode("latin-1").strip()
        if _TOKENS.fullmatch(asked):
            said["Access-Control-Allow-Headers"] = asked
        if headers.get(b"access-control-request-private-network") == b"true":
            said["Access-Control-Allow-Private-Network"] = "true"
        return said


_VARY: tuple[Header, ...] = ((b"vary", b"Origin"),)
