"""The published forms of a contract."""
