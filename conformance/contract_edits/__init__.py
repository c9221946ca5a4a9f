"""Edits of the contract file that preserve all other bytes."""
