"""Checks of authentication, tenancy and sharing."""
