"""Checks of recorded traffic (HAR files)."""
