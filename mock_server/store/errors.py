"""What a store can say is wrong: all of it under one root."""

from typing import Any


class StoreError(Exception):
    """The root of what a store can say is wrong."""


class DeleteRestricted(StoreError):
    """A removal that the contract refuses while others refer to the record."""

    def __init__(self, resource: str, key: Any, referring_resource: str, relation: str) -> None:
        super().__init__(f"{resource} {key} is still some {referring_resource}'s {relation}")
        self.resource, self.referring_resource, self.relation = resource, referring_resource, relation
