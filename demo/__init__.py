"""Everything that `make demo` and the integration tests need around the worker.

An optional extra of the package (`classify-worker[demo]`): a real Kafka broker, a real model, real
photographs. Nothing outside this package imports it.
"""
