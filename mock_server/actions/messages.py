"""Create a message, with the files that it brings as attachments."""

import mimetypes
from collections.abc import Mapping
from typing import Any

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.actions.create import insert_record
from mock_server.actions.request_mapping import extract_attributes, resolve_references
from mock_server.actions.responses import render_record
from mock_server.store import StoredRecord


def create_message(request: ActionRequest) -> ActionResult:
    """Store the message in the thread that the body names."""
    sandbox = request.sandbox
    resource = sandbox.contract.resources["Message"]
    references = resolve_references(request, resource)
    with sandbox.store.transaction():
        message = insert_record(request, resource, extract_attributes(request, resource), references)
        if files := request.body.get("files"):
            attach_files(request, message, files)
    return render_record(request, message)


def attach_files(request: ActionRequest, message: StoredRecord, files: list[Mapping[str, Any]]) -> None:
    """Make a Media and an Attachment of each file (`key` in the client's upload store, `name` for people)."""
    sandbox = request.sandbox
    thread = sandbox.store.resolve(message.references["thread"])
    assert thread is not None
    for file in files:
        name = str(file.get("name") or file.get("key") or "file")
        mime_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        media_resource = sandbox.contract.resources["Media"]
        key = sandbox.create_key(media_resource)
        attributes = {
            "name": name,
            "file_name": name,
            "mime_type": mime_type,
            "url": f"/storage/media/{key}{_get_file_extension(name)}",
        }
        media_record = insert_record(request, media_resource, attributes, {"workspace": thread.references["workspace"]})
        attachment_resource = sandbox.contract.resources["Attachment"]
        insert_record(
            request,
            attachment_resource,
            {"type": "media"},
            {"message": message.reference, "thread": thread.reference, "attachable": media_record.reference},
        )


def _get_file_extension(name: str) -> str:
    """The extension of a file's name where it is a plain one."""
    stem, dot, extension = name.rpartition(".")
    return (
        f".{extension.lower()}"
        if dot and stem and extension.isascii() and extension.isalnum() and len(extension) <= 5
        else ""
    )
