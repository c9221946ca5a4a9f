"""Benchmarks of the mock against its peers. Only ratios within one round are meaningful."""
