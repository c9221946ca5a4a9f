"""The OpenAPI contract and the code that loads it. Imports none of the other packages."""
