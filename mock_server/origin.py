"""Whom the mock speaks to: which Host a request may name (DNS rebinding), which pages may read (CORS), and the URL that
the mock is reached under.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from starlette.types import Scope

from mock_server.exchange import Header, remember
from mock_server.problems import Problem, Refusal

_TOLD = 256
EXPOSED = "X-Request-Id, X-Mock-Reason, X-Mock-Note, Retry-After, Location"
MAX_AGE = 600

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_LAST_PORT = 65535
_ORIGIN = re.compile(r"https?://([^/?#@\s]+)", re.ASCII)
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){0,8}/?", re.ASCII)
_TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,2000}", re.ASCII)


def host_name(authority: str) -> str | None:
    """The host of ``host[:port]``, lower case, without brackets; None when it is malformed, or its port is none."""
    found = _HOST.fullmatch(authority)
    if found is None or int(found[2] or 0) > _LAST_PORT:
        return None
    return found[1].strip("[]").lower().removesuffix(".")


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

    def base(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[str, tuple[str, ...]]:
        """(scheme, host and prefix that the client knows the mock by, headers that were to say so and are ignored).

        Raises Refusal: 421, and 400 where no host is named.
        """
        sent = headers.get(b"host", b"")
        if not sent and scope["http_version"] != "1.0":
            why = "no Host header; allowed: HTTP/1.1 with one, or HTTP/1.0"
            raise Refusal(Problem.MALFORMED, why, message="The request has no Host header.")
        scheme: str = scope.get("scheme", "http")
        base = self.known.get((sent, scheme))
        if base is None:
            base = remember(self.known, (sent, scheme), self.checked(scope, sent.decode("latin-1"), scheme), 256)
        if b"x-forwarded-host" in headers or b"x-forwarded-proto" in headers or b"x-forwarded-prefix" in headers:
            return _forwarded(scope, headers, base)
        return base, ()

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


def _forwarded(scope: Scope, headers: Mapping[bytes, bytes], base: str) -> tuple[str, tuple[str, ...]]:
    """(`base` as a proxy on this machine tells it, the headers of it that are malformed): of a list the first counts.

    Which host it names is not held against the allowed ones: it shapes links, and nobody is let in by it.
    """
    client = scope.get("client")
    if client and not is_loopback(client[0].removeprefix("::ffff:")):
        return base, ()
    said = {name: headers[name].decode("latin-1").partition(",")[0].strip() for name in _FORWARDED if name in headers}
    good = {name: text for name, text in said.items() if _FORWARDED[name](text)}
    scheme, _, host = base.partition("://")
    scheme = good.get(b"x-forwarded-proto", scheme).lower()
    host = good.get(b"x-forwarded-host", host)
    prefix = good.get(b"x-forwarded-prefix", "").rstrip("/")
    return f"{scheme}://{host}{prefix}", tuple(name.decode() for name in said if name not in good)


# What a proxy may say of how it was asked -> whether that can be.
_FORWARDED: Mapping[bytes, Callable[[str], bool]] = {
    b"x-forwarded-host": lambda text: host_name(text) is not None,
    b"x-forwarded-proto": lambda text: text.lower() in ("http", "https"),
    b"x-forwarded-prefix": lambda text: _PREFIX.fullmatch(text) is not None,
}


def _host_of(origin: str) -> str | None:
    """The host of an origin; None for what is none."""
    found = _ORIGIN.fullmatch(origin)
    return host_name(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages may read the answers. `allowed`: beside those of this machine; ``*``: any, without cookies."""

    allowed: Collection[str]
    known: dict[bytes, tuple[Header, ...]] = field(default_factory=dict, repr=False)
    told: set[str] = field(default_factory=set, repr=False)

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

    def news(self, origin: str, base: str) -> str | None:
        """What to tell people of an origin that may not read: once for each, and of so many only.

        `base`: our own URL. A page of our own may send its origin, and reads whatever the others may not.
        """
        if origin in self.told or len(self.told) >= _TOLD or self.allows(origin) or base.startswith(f"{origin}/"):
            return None
        self.told.add(origin)
        if origin == "*" or _host_of(origin) is None:
            return (
                f"a page whose origin is {origin!r} may not read this: it has no address that --cors-origin could name"
            )
        return f"a page of {origin} may not read this: --cors-origin {origin} admits it"

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
_ASKED = tuple(b"access-control-request-" + what for what in (b"method", b"headers", b"private-network"))
HEADERS = (b"host", b"origin", *_FORWARDED, *_ASKED)  # those that are read
