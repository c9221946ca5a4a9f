"""Where the mock listens: one port, on IPv4 and IPv6 alike, so that every spelling of localhost reaches it."""

import errno
import socket
import sys

_ATTEMPTS = 20
_PAIRS = {"127.0.0.1": "::1", "localhost": "::1", "0.0.0.0": "::"}
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


class ListenError(Exception):
    """An address that cannot be listened on: one sentence for people."""


def listen(host: str, port: int) -> tuple[list[socket.socket], int]:
    """(open sockets that listen, their port). Port 0 takes one that is free on all of them. Raises ListenError."""
    for _ in range(_ATTEMPTS if port == 0 else 1):
        opened: list[socket.socket] = []
        try:
            opened.append(_bound("127.0.0.1" if host == "localhost" else host, port))
            found: int = opened[0].getsockname()[1]
            twin = _PAIRS.get(host)
            if twin is not None:
                opened += _twin(twin, found)
            return opened, found
        except OSError as error:
            for sock in opened:
                sock.close()
            if error.errno != errno.EADDRINUSE or port != 0:
                raise ListenError(_told(error, host, port)) from None
    raise ListenError(f"No free port was found on {host} in {_ATTEMPTS} attempts.")


def _twin(address: str, port: int) -> list[socket.socket]:
    """The IPv6 socket beside an IPv4 one; none where this machine has no IPv6."""
    try:
        return [_bound(address, port)] if socket.has_ipv6 else []
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno in _ABSENT:
            return []
        raise


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(2048)
        sock.setblocking(False)
        sock.set_inheritable(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _told(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use: stop what listens there, or choose another by --port (0: a free one)."
    if isinstance(error, socket.gaierror):
        return f"--host: found {host!r}; allowed: an address of this machine."
    return f"{host}:{port} cannot be listened on: {error.strerror}."
