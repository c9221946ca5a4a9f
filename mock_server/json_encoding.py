"""Encodes JSON that is kept in memory."""

from typing import Any

import orjson


def encode_json(value: Any) -> bytes:
    """Return a value as JSON, in a buffer of its length: orjson's takes four to fourteen times the memory."""
    return b"%b" % orjson.dumps(value)
