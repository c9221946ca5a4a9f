"""Isolated state of a mock: store, clock, tokens, scheduled changes and response cache."""
