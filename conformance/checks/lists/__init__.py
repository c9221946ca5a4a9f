"""Checks of pagination, sorting, filters, search and includes."""
