"""One isolated state: store, clock, tokens, schedule and response cache."""
