"""Records by world, resource and key: SQLite inside, no HTTP."""

from mock_server.store.store import Refused, Store, Stored, StoreError, Tag

__all__ = ["Refused", "Store", "StoreError", "Stored", "Tag"]
