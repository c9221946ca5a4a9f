"""Athena's API with a store in a file, in process."""

from pathlib import Path
from typing import Any

from mock_server import images, store_files
from mock_server.app import create_app
from mock_server.images import DatasetParameters
from mock_server.sandbox.sandbox import Sandbox
from mock_server.web.request_log import RequestLog
from tests.asgi import Client, Reply
from tests.mock_server.athena import EPOCH, SettableClock, athena_contract, athena_schemas, shared_api


class FileApi:
    """The API with the dataset `demo`; `log`: the file of its request log."""

    def __init__(self, path: Path, log: Any) -> None:
        contract, self.clock = athena_contract(), SettableClock()
        parameters = DatasetParameters("demo", 0, EPOCH, 1.0)
        self.store = store_files.open_store(contract, parameters, path, lambda: shared_api().image)
        self.sandbox: Sandbox = images.create_sandbox(contract, athena_schemas(), self.store, self.clock)
        app = create_app(contract, self.sandbox, request_log=RequestLog(contract.document, log))
        self.client = Client(app, {"authorization": "Bearer demo-token"})

    def get(self, path: str) -> Reply:
        return self.client.get(f"/api/v1{path}")

    def post(self, path: str, data: Any) -> Reply:
        return self.client.post(f"/api/v1{path}", data)

    def set_page_limit(self, count: int) -> None:
        """Limit the size of the database, as a full disk does; 0: to its present size."""
        self.store.connection.execute(f"PRAGMA max_page_count = {count or 1}")

    def create_until_full(self) -> tuple[int, Reply]:
        """Create threads until one fails; return (number of created threads, response)."""
        for count in range(1000):
            reply = self.post("/threads", {"name": f"Thread {count}"})
            if reply.status != 201:
                return count, reply
        raise AssertionError("the store is not full")
