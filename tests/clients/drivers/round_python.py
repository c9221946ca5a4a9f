"""Creates, lists, updates and deletes a thread with a client of openapi-python-client.

Usage: round_python.py BASE_URL, in the folder with the package `generated`.
"""

import importlib
import sys
from pathlib import Path
from typing import Any


def load(name: str) -> Any:
    return importlib.import_module(f"generated.{name}")


def main() -> None:
    sys.path.insert(0, str(Path.cwd()))
    client = load("client").AuthenticatedClient(
        base_url=sys.argv[1], token="demo-token", raise_on_unexpected_status=True
    )
    models = load("models")
    body = models.CreateThreadRequest(name="From Python")
    thread = load("api.thread.create_thread").sync(client=client, body=body).data
    rows = load("api.thread.list_threads").sync(client=client, per_page=100).data
    assert (thread.uuid, "From Python") in [(row.uuid, row.name) for row in rows]
    changes = models.UpdateThreadRequest(name="Renamed")
    updated = load("api.thread.update_thread").sync(str(thread.uuid), client=client, body=changes)
    assert updated.data.name == "Renamed"
    deleted = load("api.thread.delete_thread").sync_detailed(str(thread.uuid), client=client)
    assert deleted.status_code == 204
    missing = load("api.thread.retrieve_thread").sync_detailed(str(thread.uuid), client=client)
    sys.stdout.write(f"deleted: {missing.status_code.value} {missing.parsed.message}\n")


main()
