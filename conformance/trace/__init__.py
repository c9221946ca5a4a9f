"""Recording of requests and the sequences that reproduce a failure."""
