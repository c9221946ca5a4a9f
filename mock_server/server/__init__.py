"""The HTTP server: connections, sockets and lazy imports."""
