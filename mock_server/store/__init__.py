"""Records by world, resource and key: SQLite inside, no HTTP."""

from mock_server.store.errors import Busy, Refused, StoreError
from mock_server.store.sharing import Tag
from mock_server.store.store import Store, Stored

__all__ = ["Busy", "Refused", "Store", "StoreError", "Stored", "Tag"]
