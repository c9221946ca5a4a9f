"""Who asks: the one thing about a request that store, query and representation need to know."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks.

    `user_key`: key of the account's record. `tenant_keys`: keys of the tenants that the user may enter, the home first.
    """

    user_key: Any
    tenant_keys: tuple[str, ...]
