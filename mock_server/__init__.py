"""The mock: a stateful server of a contract. Knows `spec` and nothing else of the house."""
