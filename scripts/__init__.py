"""Commands for the maintenance of this repository."""
