"""HTTP messages, the client, retries, token refresh and redaction."""
