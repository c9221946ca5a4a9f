"""The checks, by subject. `conformance.checks.registry` has all of them."""
