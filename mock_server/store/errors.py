"""What a store can say is wrong: all of it under one root."""

from typing import Any


class StoreError(Exception):
    """The root of what a store can say is wrong."""


class Refused(StoreError):
    """A removal that the contract refuses while others refer to the record."""

    def __init__(self, resource: str, key: Any, by: str, relation: str) -> None:
        super().__init__(f"{resource} {key} is still some {by}'s {relation}")
        self.resource, self.by, self.relation = resource, by, relation
