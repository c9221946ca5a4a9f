"""Command line of `athena-mock`."""
