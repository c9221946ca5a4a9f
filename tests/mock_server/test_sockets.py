"""The mock listens on one port with every name of localhost."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from mock_server.server.sockets import ListenError, listen


@pytest.fixture
def open_sockets() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    for sock in sockets:
        sock.close()


def has_ipv6() -> bool:
    try:
        with closing(socket.socket(socket.AF_INET6)) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_free_port_is_the_same_on_both_addresses(open_sockets: list[socket.socket], host: str) -> None:
    sockets, port = listen(host, 0)
    open_sockets += sockets
    addresses = [sock.getsockname()[:2] for sock in sockets]
    assert addresses == [("127.0.0.1", port), *([("::1", port)] if has_ipv6() else [])]
    for address in addresses:
        with socket.create_connection(address, timeout=2):
            pass


def test_port_in_use_is_reported_with_advice(open_sockets: list[socket.socket]) -> None:
    sockets, port = listen("127.0.0.1", 0)
    open_sockets += sockets
    with pytest.raises(ListenError, match=f"Port {port} on 127.0.0.1 is in use: .*--port"):
        listen("127.0.0.1", port)


def test_port_in_use_on_ipv6_only_is_reported(open_sockets: list[socket.socket]) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    sockets, port = listen("::1", 0)
    open_sockets += sockets
    assert len(sockets) == 1
    with pytest.raises(ListenError, match="is in use"):
        listen("127.0.0.1", port)
    with socket.socket() as sock:  # no socket is left open
        sock.bind(("127.0.0.1", port))


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_invalid_host_is_reported(host: str) -> None:
    with pytest.raises(ListenError):
        listen(host, 0)
