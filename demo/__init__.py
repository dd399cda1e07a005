"""Everything that `make demo` and the integration tests need around the worker.

A real Kafka broker, a real model and real photographs, from the packages of the extra `demo`.
Nothing in `worker` imports it, and nothing that is deployed contains it.
"""
