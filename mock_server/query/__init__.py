"""Visibility, filters, search and paging."""

from mock_server.query.conditions import SqlCondition, all_of, any_of, one_of
from mock_server.query.filters import QueryArgument, collect_query_arguments
from mock_server.query.paging import ListQuery, Query, ResultPage
from mock_server.query.visibility import Viewer, iter_shared_conditions

__all__ = [
    "ListQuery",
    "Query",
    "QueryArgument",
    "ResultPage",
    "SqlCondition",
    "Viewer",
    "all_of",
    "any_of",
    "collect_query_arguments",
    "iter_shared_conditions",
    "one_of",
]
