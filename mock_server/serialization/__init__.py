"""Records as JSON bytes."""
