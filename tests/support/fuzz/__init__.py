"""Fuzz targets, and what runs them: `make test` for a while, `make fuzz` for as long as wanted."""
