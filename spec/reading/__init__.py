"""Reading of contract files."""
