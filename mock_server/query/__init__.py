"""Visibility, filters, search and paging."""

from mock_server.query.cursors import encode_cursor
from mock_server.query.filters import QueryArgument, collect_query_arguments
from mock_server.query.paging import ListQuery, Query, ResultPage
from mock_server.query.visibility import RecordVisibility, Viewer, iter_shared_conditions

__all__ = [
    "ListQuery",
    "Query",
    "QueryArgument",
    "RecordVisibility",
    "ResultPage",
    "Viewer",
    "collect_query_arguments",
    "encode_cursor",
    "iter_shared_conditions",
]
