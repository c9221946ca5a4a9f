"""The base paths of the servers of a contract, a path or an operation."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any
from urllib.parse import urlsplit

from spec.errors import ContractError, invalid_value

MAX_BASE_PATHS = 20
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_UNKNOWN_ORIGIN = re.compile(r"\{[^{}]*\}(?:://[^/?#]*)?")  # starts with a variable without a default


def parse_base_paths(servers: Any, location: str) -> tuple[str, ...]:
    """Return the distinct base paths of a list of servers, without a slash at the end; ("",) without servers.

    A variable has its default value, and in further base paths its other values (`enum`). A relative URL is relative
    to the root. Raises ContractError.
    """
    if not isinstance(servers or [], list):
        raise ContractError(location, invalid_value(servers), "a list of servers")
    paths: dict[str, None] = {}
    for index, server in enumerate(servers or [{"url": "/"}]):
        server_location = f"{location}/{index}"
        if not isinstance(server, dict) or not isinstance(server.get("url", "/"), str):
            raise ContractError(server_location, invalid_value(server), "a server with a url")
        paths.update(dict.fromkeys(_list_base_paths(server, server_location)))
    return tuple(paths)[:MAX_BASE_PATHS]


def _list_base_paths(server: Mapping[str, Any], location: str) -> Iterator[str]:
    """Yield the base path of a server for each combination of values of its variables, the defaults first."""
    url = server.get("url", "/")
    values = {name: _list_values(server, name) for name in _VARIABLE.findall(url)}
    for combination in islice(product(*values.values()), MAX_BASE_PATHS):
        replacements = dict(zip(values, combination, strict=True))
        path = _find_path(_VARIABLE.sub(lambda match: replacements[match[1]], url))  # noqa: B023 - called at once
        if name := _VARIABLE.search(path):
            problem = f"the variable {name[1]!r} of {url!r} has no default"
            raise ContractError(location, problem, f"variables: {{{name[1]}: {{default: ...}}}}")
        yield path


def _list_values(server: Mapping[str, Any], name: str) -> list[str]:
    """Return the values of a variable, the default first; the variable itself if it has none."""
    variables = server.get("variables")
    variable = variables.get(name) if isinstance(variables, dict) else None
    if not isinstance(variable, dict):
        return [f"{{{name}}}"]
    choices: list[Any] = variable["enum"] if isinstance(variable.get("enum"), list) else []
    values = [variable["default"], *choices] if "default" in variable else choices
    return list(dict.fromkeys(map(str, values))) or [f"{{{name}}}"]


def _find_path(url: str) -> str:
    """Return the path of a URL, which may be relative to the root, in the form ``/a/b``; empty for the root."""
    if match := _UNKNOWN_ORIGIN.match(url):
        url = url[match.end() :]
    try:
        path = urlsplit(url).path
    except ValueError:  # an invalid host, for example that of a variable without a default
        path = re.sub(r"^[^/]*//[^/?#]*|[?#].*$", "", url)
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    return "".join(f"/{segment}" for segment in segments)
