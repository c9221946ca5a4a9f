"""The command line `athena-conformance`: one module per command, with `command(settings, checks) -> exit code`."""
