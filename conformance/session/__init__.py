"""The state of one run: client, records, write log and cleanup."""
