"""Whether the mock is ready, and what it holds."""

import orjson

from mock_server.world import World


def health(world: World) -> bytes:
    """``{"status": "ok", "operations": 75, "records": {"Message": 240, ...}}``"""
    operations = len(world.contract.operations)
    return orjson.dumps({"status": "ok", "operations": operations, "records": dict(world.store.counts())})
