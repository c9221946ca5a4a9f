"""Checks of lists: pagination, sorting, filters, search and embedded relations."""
