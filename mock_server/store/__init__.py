"""Records by world, resource and key: SQLite inside, no HTTP."""

from mock_server.store.errors import Refused, StoreError
from mock_server.store.store import Store, Stored, Tag

__all__ = ["Refused", "Store", "StoreError", "Stored", "Tag"]
