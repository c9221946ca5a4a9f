"""Periods of time, as metrics speak of them."""

from datetime import timedelta

from mock_server.call import Call
from mock_server.clock import written

# SQL that turns an instant's column into the first day of its period.
FIRST_DAY = {
    "daily": "substr({0}, 1, 10)",
    "weekly": "date(substr({0}, 1, 10), '-6 days', 'weekday 1')",
    "monthly": "substr({0}, 1, 7) || '-01'",
}
DAYS = {"7d": 7, "30d": 30, "90d": 90, "365d": 365}


def since(call: Call, period: str | None) -> str:
    """The instant at which a period up to now began; before all others for no period, or for `all`."""
    days = DAYS.get(period or "")
    return written(call.now - timedelta(days=days)) if days else ""
