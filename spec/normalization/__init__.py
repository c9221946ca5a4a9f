"""Converts a document of OpenAPI 3.0 or 3.1 to the one form that all other code reads."""
