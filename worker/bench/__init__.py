"""Measures a model and images on this machine; `classify-worker bench` and `make bench` use it."""
