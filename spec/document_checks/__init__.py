"""Checks of a contract file before it is parsed."""
