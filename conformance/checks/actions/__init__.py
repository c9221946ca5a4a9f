"""Checks of named actions, metrics and relations."""
