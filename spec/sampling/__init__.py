"""Generates values that are valid against the schemas of a contract."""
