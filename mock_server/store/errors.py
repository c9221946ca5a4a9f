"""Errors of the store."""

from typing import Any


class StoreError(Exception):
    """Base class of all errors of the store."""


class DeleteRestricted(StoreError):
    """A record cannot be deleted because the contract restricts it while other records refer to it."""

    def __init__(self, resource: str, key: Any, referring_resource: str, relation: str) -> None:
        super().__init__(f"{resource} {key} is still referenced by {referring_resource}.{relation}")
        self.resource, self.referring_resource, self.relation = resource, referring_resource, relation
