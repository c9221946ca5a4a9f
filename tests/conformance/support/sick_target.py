"""A target that violates HTTP, JSON or common sense: raw responses of one operation, the rest from an application.

It forwards requests to another server and replaces the responses to GET requests of one path.
"""

import gzip
import itertools
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

MIB = 1024 * 1024
DRIP_SECONDS = 0.05
CHUNK_BYTES = 64  # a client reads about as many chunks per second, whatever their size
Respond = Callable[[socket.socket], None]


def head(*headers: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """The status line and headers of a response."""
    lines = (f"HTTP/1.1 {status}", f"Content-Type: {content_type}", "Connection: close", *headers)
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def send(body: bytes, *headers: str, content_type: str = "application/json", status: str = "200 OK") -> Respond:
    """Send a complete response."""
    length = () if any(header.startswith("Content-Length") for header in headers) else (f"Content-Length: {len(body)}",)
    content = head(*headers, *length, content_type=content_type, status=status) + body
    return lambda connection: connection.sendall(content)


def stream(start: bytes, chunks: Iterable[bytes], pause: float = 0.0) -> Respond:
    """Send chunks until the client closes the connection, or the chunks end."""

    def respond(connection: socket.socket) -> None:
        connection.sendall(start)
        for chunk in chunks:
            connection.sendall(chunk)
            time.sleep(pause)

    return respond


def forever(chunk: bytes) -> Iterable[bytes]:
    """The same chunk without end."""

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            return itertools.repeat(chunk)

    return Endless()


def send_bomb(layers: int) -> Respond:
    """Send 700 MiB of spaces, compressed with gzip."""

    def respond(connection: socket.socket) -> None:
        compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
        content = b"".join([compressor.compress(b" " * MIB) for _ in range(700)]) + compressor.flush()
        for _ in range(layers - 1):
            content = gzip.compress(content, mtime=0)
        encodings = ", ".join(["gzip"] * layers)
        send(content, f"Content-Encoding: {encodings}")(connection)

    return respond


def wrap(value: bytes) -> bytes:
    """A list response whose only row has this name."""
    return b'{"data": [{"uuid": "x", "name": ' + value + b'}], "meta": {}, "links": {}}'


def reset(connection: socket.socket) -> None:
    """Close the connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def hang(connection: socket.socket) -> None:
    """Send nothing until the client closes the connection."""
    with suppress(OSError):
        connection.recv(1)


EMPTY_LIST = b'{"data": [], "meta": {"total": 0}, "links": {}}'
SICK: Mapping[str, Respond] = {
    # Bodies that are not JSON
    "half a JSON body": send(EMPTY_LIST[:20]),
    "plain text as JSON": send(b"everything is fine"),
    "null": send(b"null"),
    "no body": send(b""),
    "plain text": send(b"everything is fine", content_type="text/plain"),
    "JSON as plain text": send(EMPTY_LIST, content_type="text/plain"),
    "HTML": send(b"<html>Sign in</html>", content_type="text/html"),
    "YAML with aliases": send(b"a: &a [x,x]\nb: &b [*a,*a]\n", content_type="application/yaml"),
    "latin-1": send(wrap('"é"'.encode("latin-1")), content_type="application/json; charset=iso-8859-1"),
    "UTF-16": send(EMPTY_LIST.decode().encode("utf-16"), content_type="application/json; charset=utf-16"),
    "invalid UTF-8": send(wrap(b'"\xc3\x28"')),
    "lone surrogate": send(wrap(b'"\\ud800"')),
    "repeated key": send(EMPTY_LIST[:-1] + b', "data": []}'),
    "NaN": send(wrap(b"NaN")),
    "infinity": send(wrap(b"-Infinity")),
    "number out of range": send(wrap(b"1e999")),
    "million digits": send(wrap(b"1" * 10**6)),
    "nested arrays": send(wrap(b"[" * 100_000 + b"]" * 100_000)),
    "nested objects": send(wrap(b'{"a":' * 500 + b"1" + b"}" * 500)),
    "millions of objects": send(wrap(b"[" + b"{}," * 4_000_000 + b"{}]")),
    # Sizes
    "gzip bomb": send_bomb(1),
    "gzip bomb in gzip": send_bomb(2),
    "brotli": send(b"\x1b\x00\x00", "Content-Encoding: br"),
    "gzip that is none": send(EMPTY_LIST, "Content-Encoding: gzip"),
    "endless body": stream(head(), forever(b" " * MIB)),
    "endless chunks": stream(head("Transfer-Encoding: chunked"), forever(b"10000\r\n" + b" " * 65536 + b"\r\n")),
    "large body": send(wrap(b'"' + b"x" * (30 * MIB) + b'"')),
    # HTTP
    "endless headers": stream(b"HTTP/1.1 200 OK\r\n", (b"X-%d: x\r\n" % n for n in itertools.count())),
    "huge header": send(EMPTY_LIST, "X-Huge: " + "x" * MIB),
    "informational responses": stream(b"", forever(b"HTTP/1.1 102 Processing\r\n\r\n"), DRIP_SECONDS),
    "Content-Length too large": send(EMPTY_LIST, "Content-Length: 1000"),
    "Content-Length too small": send(EMPTY_LIST, "Content-Length: 10"),
    "Content-Length not a number": send(EMPTY_LIST, "Content-Length: many"),
    "redirect to itself": send(b"", "Location: /", status="302 Found"),
    "not HTTP": lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "status 999": send(EMPTY_LIST, status="999 Odd"),
    "connection reset": reset,
    "429 forever": send(b"{}", "Retry-After: 600", status="429 Too Many Requests"),
    # Time
    "no response": hang,
    "dripped headers": stream(b"HTTP/1.1 200 OK\r\n", forever(b"X"), DRIP_SECONDS),
    "dripped body": stream(head("Content-Length: 100000"), forever(b" "), DRIP_SECONDS),
}


def _split(body: bytes, size: int) -> Iterator[bytes]:
    """The parts of a body, each of `size` bytes or fewer."""
    yield from (body[start : start + size] for start in range(0, len(body), size))


def send_slowly(body: bytes) -> Iterator[bytes]:
    """A correct response in five pieces, each after a pause."""
    response = head() + body
    size = len(response) // 4 + 1
    for start in range(0, len(response), size):
        time.sleep(DRIP_SECONDS / 5)
        yield response[start : start + size]


# Legal, although unusual: what the target sends in place of a plain response with this body.
LEGAL: Mapping[str, Callable[[bytes], Iterable[bytes]]] = {
    "gzip": lambda body: [head("Content-Encoding: gzip"), gzip.compress(body)],
    "deflate without a header": lambda body: [head("Content-Encoding: deflate"), zlib.compress(body)[2:-4]],
    "small chunks": lambda body: [
        head("Transfer-Encoding: chunked"),
        b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in _split(body, CHUNK_BYTES)),
        b"0\r\n\r\n",
    ],
    "informational response": lambda body: [b"HTTP/1.1 103 Early Hints\r\n\r\n", head(), body],
    "byte order mark": lambda body: [head(), b"\xef\xbb\xbf", body],
    "escaped text": lambda body: [head(content_type="application/json; charset=UTF-8"), escape_text(body)],
    "whitespace": lambda body: [head(), b" " * MIB, body, b"\n"],
    "slow": send_slowly,
}


def escape_text(body: bytes) -> bytes:
    """The same JSON in ASCII."""
    return json.dumps(json.loads(body)).encode()


@dataclass(frozen=True, slots=True)
class SickTarget:
    """A proxy of a server that replaces responses.

    `respond`: what it does with requests to the `sick_path` ("": all). `transform`: the response it makes of the body
    of a successful GET there.
    """

    upstream: str
    sick_path: str
    respond: Respond | None = None
    transform: Callable[[bytes], Iterable[bytes]] | None = None

    def handle(self, connection: socket.socket) -> None:
        """Read one request and respond to it."""
        with connection, suppress(OSError):
            request = read_request(connection)
            method, path = request.split(b" ", 2)[:2]
            is_sick = method == b"GET" and path.partition(b"?")[0].decode().endswith(self.sick_path)
            if is_sick and self.respond is not None:
                self.respond(connection)
                return
            response = self._forward(request)
            start, _, body = response.partition(b"\r\n\r\n")
            if is_sick and self.transform is not None and b" 200 " in start[:15]:
                for chunk in self.transform(body):
                    connection.sendall(chunk)
            else:
                connection.sendall(response)

    def _forward(self, request: bytes) -> bytes:
        host, _, port = self.upstream.rpartition(":")
        start, separator, body = request.partition(b"\r\n\r\n")
        headers = [
            line for line in start.split(b"\r\n") if not line.lower().startswith((b"connection:", b"accept-enc"))
        ]
        with socket.create_connection((host, int(port))) as server:
            server.sendall(b"\r\n".join([*headers, b"Connection: close"]) + separator + body)
            return b"".join(iter(lambda: server.recv(65536), b""))


def read_request(connection: socket.socket) -> bytes:
    """Read a request with a Content-Length, or without a body."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += receive(connection)
    start, separator, body = request.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in start.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += receive(connection)
    return start + separator + body


def receive(connection: socket.socket) -> bytes:
    """Read a part of a request. Raises ConnectionError at its end."""
    chunk = connection.recv(65536)
    if not chunk:
        raise ConnectionError
    return chunk


@contextmanager
def run_sick_target(target: SickTarget) -> Iterator[str]:
    """Serve on loopback; yield the address."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=target.handle, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
