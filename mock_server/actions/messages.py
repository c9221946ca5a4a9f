"""Create a message with attached files."""

import mimetypes
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.crud import insert_record
from mock_server.actions.request_mapping import extract_attributes, resolve_references
from mock_server.actions.responses import render_record
from mock_server.store import StoredRecord


def create_message(request: ActionRequest) -> ActionResult:
    """Store the message in the thread that the body names, with a Media and an Attachment for each of its files."""
    resource = request.contract.resources["Message"]
    references = resolve_references(request, resource)
    with request.store.transaction():
        message = insert_record(request, resource, extract_attributes(request, resource), references)
        if files := request.body.get("files"):
            attach_files(request, message, files)
    return render_record(request, message)


def attach_files(request: ActionRequest, message: StoredRecord, files: list[Mapping[str, Any]]) -> None:
    """Create a Media and an Attachment for each file (`key` in the client's upload storage, `name` for display)."""
    resources = request.contract.resources
    thread = request.store.resolve(message.references["thread"])
    assert thread is not None
    for file in files:
        name = str(file.get("name") or file.get("key") or "file")
        mime_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        url = f"/storage/media/{request.sandbox.create_key(resources['Media'])}{_get_file_extension(name)}"
        attributes = {"name": name, "file_name": name, "mime_type": mime_type, "url": url}
        media = insert_record(request, resources["Media"], attributes, {"workspace": thread.references["workspace"]})
        references = {"message": message.reference, "thread": thread.reference, "attachable": media.reference}
        insert_record(request, resources["Attachment"], {"type": "media"}, references)


def _get_file_extension(name: str) -> str:
    """Return the extension of a file name with its dot; empty unless it is short and alphanumeric."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,5}", suffix) else ""
