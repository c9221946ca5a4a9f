"""What checks share: the `Check` class, lists, values, tenancy and invalid input."""
