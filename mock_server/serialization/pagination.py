"""Pagination values and links of a list's envelope."""

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode


def build_page_url_prefix(url: str, raw_query: str, page_parameter: str) -> str:
    """Build the URL of a page up to the page number, with the other parameters of the request."""
    pairs = [(name, value) for name, value in parse_qsl(raw_query, keep_blank_values=True) if name != page_parameter]
    return f"{url}?{urlencode([*pairs, (page_parameter, '')], quote_via=quote, safe=',:')}"


def build_pagination_values(
    *, page_number: int, page_size: int, total: int, row_count: int, url: str, url_prefix: str
) -> dict[str, Any]:
    """Build the value of each pagination extension.

    `url`: the list's URL without query. `url_prefix`: see `build_page_url_prefix`.
    """
    last_page = max(1, -(-total // page_size))
    first_item = (page_number - 1) * page_size + 1 if row_count else None
    return {
        "current-page": page_number,
        "first-item": first_item,
        "last-page": last_page,
        "size": page_size,
        "last-item": first_item + row_count - 1 if first_item else None,
        "total": total,
        "path": url,
        "first": f"{url_prefix}1",
        "last": f"{url_prefix}{last_page}",
        "previous": f"{url_prefix}{page_number - 1}" if page_number > 1 else None,
        "next": f"{url_prefix}{page_number + 1}" if page_number < last_page else None,
    }
