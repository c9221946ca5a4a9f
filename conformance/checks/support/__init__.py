"""Building blocks of checks: the `Check` class, list access, value comparison, tenancy and invalid input."""
