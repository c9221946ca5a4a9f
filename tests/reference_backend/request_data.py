"""Request bodies and query parameters, parsed like Laravel does, and validated."""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from flask import request

from tests.reference_backend.bugs import is_enabled
from tests.reference_backend.validation import HttpError, Rule, find_errors, raise_if_invalid

INDEX = re.compile(r"\[[0-9]*\]$")
INTEGER = re.compile(r"-?[0-9]{1,18}")
BOOLEANS = {"1": True, "true": True, "0": False, "false": False}

Kind = str  # of a query parameter: "text", "integer", "boolean", "texts", "integers", "words" (comma-separated)


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(name)


def body(fields: Mapping[str, Rule], *required: str) -> dict[str, Any]:
    """Parse and validate the JSON body. Raises 415, 400 or 422."""
    sent = _json()
    if not isinstance(sent, dict):
        raise HttpError(422, "The body must be an object.", {"body": ["The body must be an object."]})
    raise_if_invalid(_rename_fields(list(find_errors(sent, fields, required))))
    return {name: sent[name] for name in fields if name in sent}


def _json() -> Any:
    if request.mimetype != "application/json":
        raise HttpError(415, "Unsupported Media Type")
    try:
        sent = json.loads(request.get_data().decode(), parse_constant=_reject_constant)
        json.dumps(sent, ensure_ascii=False, allow_nan=False).encode()  # PHP rejects lone surrogates and 1e999
    except (ValueError, RecursionError):
        raise HttpError(400, "The request body is not valid JSON.") from None
    return sent


def _rename_fields(errors: list[tuple[str, str]]) -> list[tuple[str, str]]:
    if is_enabled("errors-named-in-camel-case"):
        return [(re.sub(r"_([a-z])", lambda m: m[1].upper(), name), message) for name, message in errors]
    return errors


def query(kinds: Mapping[str, Kind], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Parse and validate the query parameters, without blank ones. Raises 422."""
    values_by_name: dict[str, Any] = {}
    for name, kind in kinds.items():
        values = _values(name)
        if not is_enabled("blank-filter-is-a-value") or name != "agent_uuid":
            values = [value for value in values if value != ""]
        if values:
            values_by_name[name] = _read(kind, values)
    raise_if_invalid(list(find_errors(values_by_name, rules)))
    return values_by_name


def _values(name: str) -> list[str]:
    """The values of a parameter: `x=1&x=2`, `x[]=1` or `x[0]=1`."""
    return [value for key, value in request.args.items(multi=True) if INDEX.sub("", key) == name]


def _read(kind: Kind, values: list[str]) -> Any:
    if kind == "words":
        return [word for value in values for word in value.split(",") if word]
    if kind == "texts":
        return values
    if kind == "integers":
        return [_integer(value) for value in values]
    last = values[-1]
    if kind == "integer":
        return _integer(last)
    return BOOLEANS.get(last, last) if kind == "boolean" else last


def _integer(text: str) -> Any:
    """Parse an integer; other text is left for a rule to reject."""
    return int(text) if INTEGER.fullmatch(text) else text
