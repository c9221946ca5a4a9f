"""Pytest fixtures of the mock server of the Athena API."""

from pytest_athena.client import AthenaMock, AthenaSandbox, ControlRequestError

__all__ = ["AthenaMock", "AthenaSandbox", "ControlRequestError"]
