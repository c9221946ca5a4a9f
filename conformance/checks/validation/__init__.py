"""Checks of requests that must be rejected or accepted, and of responses."""
