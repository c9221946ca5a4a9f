"""Audit of recorded traffic (HAR)."""
