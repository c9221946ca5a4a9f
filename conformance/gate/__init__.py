"""The gate: exit code, baseline and ratchet."""
