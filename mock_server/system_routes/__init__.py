"""Routes outside the API: documentation, media files and health."""
