"""Create a message, with the files that it brings as attachments."""

import mimetypes
from collections.abc import Mapping
from typing import Any

from mock_server.actions.create import stored
from mock_server.actions.sent import own_of, references_of
from mock_server.actions.showing import shown
from mock_server.call import Answer, Call
from mock_server.store import Stored


def create(call: Call) -> Answer:
    """Store the message in the thread that the body names."""
    world = call.world
    resource = world.contract.resources["Message"]
    references = references_of(call, resource)
    with world.store.transaction():
        message = stored(call, resource, own_of(call, resource), references)
        if files := call.body.get("files"):
            attach(call, message, files)
    return shown(call, message)


def attach(call: Call, message: Stored, files: list[Mapping[str, Any]]) -> None:
    """Make a Media and an Attachment of each file (`key` in the client's upload store, `name` for people)."""
    world = call.world
    thread = world.store.at(message.references["thread"])
    assert thread is not None
    for file in files:
        name = str(file.get("name") or file.get("key") or "file")
        mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
        media = world.contract.resources["Media"]
        key = world.new_key(media)
        own = {"name": name, "file_name": name, "mime_type": mime, "url": f"/storage/media/{key}{_suffix(name)}"}
        made = stored(call, media, own, {"workspace": thread.references["workspace"]})
        attachment = world.contract.resources["Attachment"]
        stored(
            call,
            attachment,
            {"type": "media"},
            {"message": message.reference, "thread": thread.reference, "attachable": made.reference},
        )


def _suffix(name: str) -> str:
    """The extension of a file's name where it is a plain one."""
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem and suffix.isascii() and suffix.isalnum() and len(suffix) <= 5 else ""
