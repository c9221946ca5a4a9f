"""Schemathesis hooks that record the operation and status of every response."""

import os
from typing import Any

import schemathesis


@schemathesis.hook
def after_call(_context: Any, case: Any, response: Any) -> None:
    """Append one line per response."""
    with open(os.environ["ATHENA_FUZZ_TRAFFIC"], "a", encoding="utf-8") as file:
        file.write(f"{case.operation.definition.raw['operationId']} {response.status_code}\n")
