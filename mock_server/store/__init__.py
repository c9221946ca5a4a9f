"""Record storage in SQLite, without HTTP."""

from mock_server.store.changes import Dependencies, Tag
from mock_server.store.errors import DeleteRestricted, StoreError
from mock_server.store.reader import StoredRecord
from mock_server.store.store import Store

__all__ = ["DeleteRestricted", "Dependencies", "Store", "StoreError", "StoredRecord", "Tag"]
