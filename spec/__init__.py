"""The contract: what the project knows of an API, and the code that reads it. Knows no other room."""
