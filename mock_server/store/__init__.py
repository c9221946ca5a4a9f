"""Records by world, resource and key: SQLite inside, no HTTP."""

from mock_server.store.errors import DeleteRestricted, StoreError
from mock_server.store.store import Store, StoredRecord, Tag

__all__ = ["DeleteRestricted", "Store", "StoreError", "StoredRecord", "Tag"]
