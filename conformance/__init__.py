"""The conformance suite: whether a backend keeps what the contract promises. Knows `spec`; judges over HTTP alone."""
