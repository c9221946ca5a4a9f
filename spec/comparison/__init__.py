"""The differences of two OpenAPI documents."""
