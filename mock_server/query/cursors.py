"""Cursors: opaque texts that select a page of a list."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

_DECODED = re.compile(r"row:([0-9]{1,15})", re.ASCII)


def encode_cursor(offset: int) -> str:
    """Return the cursor of the page after `offset` rows."""
    return urlsafe_b64encode(f"row:{offset}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> int:
    """Return the number of rows before a page; 0 for an invalid cursor, which Laravel ignores too."""
    try:
        decoded = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
    except (Error, ValueError):
        return 0
    match = _DECODED.fullmatch(decoded)
    return int(match[1]) if match else 0
