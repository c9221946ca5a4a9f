"""Loaded into Schemathesis as its hooks: writes down the operation and status of every answer. It changes nothing."""

import os
from typing import Any

import schemathesis


@schemathesis.hook
def after_call(_context: Any, case: Any, response: Any) -> None:
    """One line for each answer."""
    with open(os.environ["ATHENA_FUZZ_TRAFFIC"], "a", encoding="utf-8") as file:
        file.write(f"{case.operation.definition.raw['operationId']} {response.status_code}\n")
