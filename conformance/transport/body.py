"""Reads response bodies up to a limit, also compressed ones."""

import zlib
from collections.abc import Iterable

MIB = 1024 * 1024
ACCEPT_ENCODING = "gzip, deflate"
_WINDOW_BITS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}  # servers send deflate with and without a header


def read_body(
    chunks: Iterable[bytes], content_encoding: str, max_bytes: int, declared_bytes: int = 0
) -> tuple[bytes, str]:
    """Return (decompressed body, ""). `declared_bytes`: of the Content-Length; too large a body is not read.

    If it is larger than `max_bytes` or cannot be decompressed: (its start, what completes "the body ...").
    """
    if declared_bytes > max_bytes:
        return _too_large(b"", max_bytes)
    buffer = bytearray()
    for chunk in chunks:
        buffer += chunk
        if len(buffer) > max_bytes:
            return _too_large(bytes(buffer), max_bytes)
    content = bytes(buffer)
    del buffer
    encodings = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    for encoding in reversed(encodings) if content else ():
        if encoding not in _WINDOW_BITS:
            return content[:EXCERPT_BYTES], f"has the encoding {encoding[:40]!a} (expected {ACCEPT_ENCODING})"
        decompressed = _decompress(content, _WINDOW_BITS[encoding], max_bytes)
        if decompressed is None:
            return content[:EXCERPT_BYTES], f"is not {encoding}, the encoding in its header"
        if len(decompressed) > max_bytes:
            return _too_large(decompressed, max_bytes)
        content = decompressed
    return content, ""


EXCERPT_BYTES = 4096


def _too_large(content: bytes, max_bytes: int) -> tuple[bytes, str]:
    return content[:EXCERPT_BYTES], f"is larger than {max_bytes / MIB:g} MiB (--max-response-size)"


def _decompress(content: bytes, window_bits: tuple[int, ...], max_bytes: int) -> bytes | None:
    """Decompress at most one byte more than the limit; None if the content is damaged or incomplete."""
    for bits in window_bits:
        decompressor = zlib.decompressobj(bits)
        try:
            decompressed = decompressor.decompress(content, max_bytes + 1)
        except zlib.error:
            continue
        return decompressed if decompressor.eof or len(decompressed) > max_bytes else None
    return None
