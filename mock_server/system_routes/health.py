"""The health endpoint."""

import orjson

from mock_server.sandbox.sandbox import Sandbox


def health(sandbox: Sandbox) -> bytes:
    """Return ``{"status": "ok", "operations": 75, "records": {"Message": 240, ...}}``."""
    operations = len(sandbox.contract.operations)
    return orjson.dumps({"status": "ok", "operations": operations, "records": dict(sandbox.store.count_by_resource())})
