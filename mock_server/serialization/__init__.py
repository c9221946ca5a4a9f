"""Records as JSON bytes, with their relations, for one viewer."""
