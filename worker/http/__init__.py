"""The HTTP server of the worker."""
