"""Runs checks, reruns failures and reports progress."""
