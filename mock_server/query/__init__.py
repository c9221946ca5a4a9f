"""Visibility, filters, search and paging."""

from mock_server.query.conditions import MATCH_NONE, SqlCondition, all_of, any_of
from mock_server.query.filters import QueryArgument, collect_query_arguments
from mock_server.query.paging import ListQuery, Query, ResultPage
from mock_server.query.visibility import Viewer

__all__ = [
    "MATCH_NONE",
    "ListQuery",
    "Query",
    "QueryArgument",
    "ResultPage",
    "SqlCondition",
    "Viewer",
    "all_of",
    "any_of",
    "collect_query_arguments",
]
