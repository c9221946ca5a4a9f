"""Checks of accepted and rejected input, and of HTTP errors."""
