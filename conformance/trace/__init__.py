"""Recorded requests of a run, and the sequence of requests that reproduces a failure."""
