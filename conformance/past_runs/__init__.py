"""Reports of earlier runs: reading, replay, confirmation and shell scripts."""
