"""Records by world, resource and key: SQLite inside, no HTTP."""

from mock_server.store.store import Busy, Refused, Store, Stored, StoreError, Tag

__all__ = ["Busy", "Refused", "Store", "StoreError", "Stored", "Tag"]
