"""The sandboxes of a mock: creation, selection by name, reset, snapshots and limits."""
