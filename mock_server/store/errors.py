"""What a store can say is wrong: all of it under one root."""

from typing import Any


class StoreError(Exception):
    """The root of what a store can say is wrong."""


class Busy(StoreError):
    """Other processes kept the file to themselves for longer than is waited."""

    def __init__(self) -> None:
        super().__init__("other processes were writing to the store's file for all of the time that is waited")


class Refused(StoreError):
    """A removal that the contract refuses while others refer to the record."""

    def __init__(self, resource: str, key: Any, by: str, relation: str) -> None:
        super().__init__(f"{resource} {key} is still some {by}'s {relation}")
        self.resource, self.by, self.relation = resource, by, relation
