"""Listening sockets: one port on IPv4 and IPv6, so that every name of localhost reaches the mock."""

import errno
import os
import socket

_MAX_ATTEMPTS = 20
_IPV6_COUNTERPARTS = {"127.0.0.1": "::1", "localhost": "::1", "0.0.0.0": "::"}
_IPV6_UNAVAILABLE_ERRNOS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)


class ListenError(Exception):
    """The mock cannot listen on an address. The message is shown to the user."""


def listen(host: str, port: int) -> tuple[list[socket.socket], int]:
    """Return (listening sockets, port). Port 0 selects one that is free on all of them. Raises ListenError."""
    for _ in range(_MAX_ATTEMPTS if port == 0 else 1):
        sockets: list[socket.socket] = []
        try:
            sockets.append(_bind("127.0.0.1" if host == "localhost" else host, port))
            bound_port: int = sockets[0].getsockname()[1]
            ipv6_address = _IPV6_COUNTERPARTS.get(host)
            if ipv6_address is not None:
                sockets += _bind_ipv6(ipv6_address, bound_port)
            return sockets, bound_port
        except OSError as error:
            for sock in sockets:
                sock.close()
            if error.errno != errno.EADDRINUSE or port != 0:
                raise ListenError(_describe_error(error, host, port)) from None
    raise ListenError(f"No free port on {host} after {_MAX_ATTEMPTS} attempts.")


def _bind_ipv6(address: str, port: int) -> list[socket.socket]:
    """Bind the IPv6 counterpart of an IPv4 socket; none if this machine has no IPv6."""
    try:
        return [_bind(address, port)] if socket.has_ipv6 else []
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno in _IPV6_UNAVAILABLE_ERRNOS:
            return []
        raise


def _bind(host: str, port: int) -> socket.socket:
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.create_server(address, family=family, backlog=2048)
    sock.setblocking(False)
    return sock


def _describe_error(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is in use: stop the other process, or use another --port (0: any free port)."
    if isinstance(error, socket.gaierror):
        return f"--host: invalid value {host!r} (expected an address of this machine)."
    return f"Cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}."
