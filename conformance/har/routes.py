"""Finds the base URL of the API in a recording."""

from collections import Counter
from collections.abc import Iterable
from urllib.parse import urlsplit

from conformance.transport.routes import Router
from spec.model import Contract

MAX_PATH_PARTS = 12
DEFAULT_PORTS = {"http": 80, "https": 443}


def find_base_url(contract: Contract, urls: Iterable[str]) -> str | None:
    """The base URL with the most matches of the contract; None without a match."""
    counts: Counter[str] = Counter()
    router = Router.from_contract(contract)
    for url in filter(url_origin, urls):
        parts = urlsplit(url).path.rstrip("/").split("/")[: MAX_PATH_PARTS + 1]
        for cut in range(1, len(parts)):
            # The longest matching end of the path; a path that starts with a parameter would match any.
            match = router.match("/" + "/".join(parts[cut:]))
            if match is not None and match.template.split("/")[1][:1] != "{":
                counts[url_origin(url) + "/".join(parts[:cut])] += 1
                break
    return min(counts, key=lambda base: (-counts[base], not base.endswith(contract.base_path), base), default=None)


def url_origin(url: str) -> str:
    """``https://host:port`` of a URL, lower case, without the default port; "" if it is not an HTTP URL."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        return ""
    if parts.scheme not in DEFAULT_PORTS or not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + ("" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}")
