"""Built datasets in the cache folder."""
