"""Routing, security, validation, request context and errors."""
