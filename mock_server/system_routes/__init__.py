"""The side door for people and tests, under /__mock: nothing of the API, everything about the mock itself."""

from mock_server.system_routes.health import health

__all__ = ["health"]
