"""Checks of create, update, delete and their side effects."""
