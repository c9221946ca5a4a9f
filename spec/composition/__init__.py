"""Schemas that consist of others: `allOf`, `oneOf`, `anyOf`."""
