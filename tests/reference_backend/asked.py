"""What a request asks: its JSON body and its query, read as Laravel reads them and held to rules."""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from flask import request

from tests.reference_backend.bugs import planted
from tests.reference_backend.validation import Refusal, Rule, breaches, refuse

INDEX = re.compile(r"\[[0-9]*\]$")
INTEGER = re.compile(r"-?[0-9]{1,18}")
BOOLEANS = {"1": True, "true": True, "0": False, "false": False}

Kind = str  # of a query parameter: "text", "integer", "boolean", "texts", "integers", "words" (comma-separated)


def _constant(name: str) -> NoReturn:
    raise ValueError(name)


def body(fields: Mapping[str, Rule], *required: str) -> dict[str, Any]:
    """The JSON body, where it keeps the rules: 415, 400 or 422 else."""
    sent = _json()
    if not isinstance(sent, dict):
        raise Refusal(422, "The body must be an object.", {"body": ["The body must be an object."]})
    refuse(_renamed(list(breaches(sent, fields, required))))
    return {name: sent[name] for name in fields if name in sent}


def _json() -> Any:
    if request.mimetype != "application/json":
        raise Refusal(415, "Unsupported Media Type")
    try:
        sent = json.loads(request.get_data().decode(), parse_constant=_constant)
        json.dumps(sent, ensure_ascii=False, allow_nan=False).encode()  # lone surrogates and 1e999 are no JSON to PHP
    except (ValueError, RecursionError):
        raise Refusal(400, "The request body is not valid JSON.") from None
    return sent


def _renamed(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    if planted("errors-named-in-camel-case"):
        return [(re.sub(r"_([a-z])", lambda m: m[1].upper(), name), message) for name, message in found]
    return found


def query(kinds: Mapping[str, Kind], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The query parameters that were given, blank ones apart, where they keep the rules: 422 else."""
    given: dict[str, Any] = {}
    for name, kind in kinds.items():
        values = _values(name)
        if not planted("blank-filter-is-a-value") or name != "agent_uuid":
            values = [value for value in values if value != ""]
        if values:
            given[name] = _read(kind, values)
    refuse(list(breaches(given, rules)))
    return given


def _values(name: str) -> list[str]:
    """All that was given for a name, as `x=1&x=2`, `x[]=1` or `x[0]=1`."""
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
    """A number where the text is one, else the text, for a rule to refuse."""
    return int(text) if INTEGER.fullmatch(text) else text
