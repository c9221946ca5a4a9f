"""Executable model of the contract: predicts the records of a run and compares the responses with them."""
