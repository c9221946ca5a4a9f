"""Pagination values and links of a list's envelope."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from mock_server.query import encode_cursor
from spec.extensions import POSITION_ROLES
from spec.model import Operation


@dataclass(frozen=True, slots=True)
class PageUrls:
    """Builds URLs of pages. `role`: of the parameter that selects a page. `prefix`: the URL up to its value."""

    role: str
    prefix: str

    @classmethod
    def from_request(cls, operation: Operation, url: str, raw_query: str) -> "PageUrls":
        """Create the URLs of the pages of a list with the other parameters of a request."""
        names = {p.x_query.role: p.name for p in operation.query_parameters if p.x_query}
        role = next((role for role in POSITION_ROLES if role in names), "page")
        return cls(role, build_page_url_prefix(url, raw_query, names.get(role, role)))

    def build(self, offset: int, page_size: int) -> str:
        """Return the URL of the page after `offset` rows."""
        values = {"page": offset // page_size + 1, "offset": offset, "cursor": encode_cursor(offset)}
        return f"{self.prefix}{values[self.role]}"


def build_page_url_prefix(url: str, raw_query: str, page_parameter: str) -> str:
    """Build the URL of a page up to the page number, with the other parameters of the request."""
    pairs = [(name, value) for name, value in parse_qsl(raw_query, keep_blank_values=True) if name != page_parameter]
    return f"{url}?{urlencode([*pairs, (page_parameter, '')], quote_via=quote, safe=',:')}"


def build_pagination_values(
    *, offset: int, page_size: int, total: int, row_count: int, base_url: str, url: str, page_urls: PageUrls
) -> dict[str, Any]:
    """Build the value of each pagination extension.

    `offset`: number of rows before the page. `url`: the list's URL without query and `base_url`.
    """
    last_page = max(1, -(-total // page_size))
    following, preceding = offset + page_size, max(0, offset - page_size)
    has_next, has_previous = following < total, offset > 0
    return {
        "current-page": offset // page_size + 1,
        "first-item": offset + 1 if row_count else None,
        "last-page": last_page,
        "size": page_size,
        "last-item": offset + row_count if row_count else None,
        "total": total,
        "path": base_url + url,
        "offset": offset,
        "has-more": has_next,
        "next-cursor": encode_cursor(following) if has_next else None,
        "previous-cursor": encode_cursor(preceding) if has_previous else None,
        "first": base_url + page_urls.build(0, page_size),
        "last": base_url + page_urls.build((last_page - 1) * page_size, page_size),
        "previous": base_url + page_urls.build(preceding, page_size) if has_previous else None,
        "next": base_url + page_urls.build(following, page_size) if has_next else None,
    }
