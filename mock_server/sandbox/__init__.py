"""Isolated state of a mock: store, clock, tokens and scheduled changes."""
