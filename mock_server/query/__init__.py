"""Visibility, filters, search and paging."""
