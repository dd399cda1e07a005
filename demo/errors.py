"""What can go wrong while the demo's surroundings are prepared."""

from worker.errors import WorkerError

__all__ = ["BrokerError", "DemoError"]


class DemoError(WorkerError):
    """Something that the demo or the tests need could not be fetched, verified or prepared."""


class BrokerError(DemoError):
    """The local Kafka broker failed; the message ends with its log."""
