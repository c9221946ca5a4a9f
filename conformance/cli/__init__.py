"""What each word of `athena-conformance` does: one module a word, `command(settings) -> exit code`."""
