"""The broker that benchmarks use."""

from __future__ import annotations

from pathlib import Path

from demo.broker import KafkaBroker
from demo.jars import fetch_jars
from worker.cache import cache_directory

__all__ = ["bench_broker"]

JAVA = (
    "-Xms256m",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # prints STARTED
)
"""Without the demo's options that trade throughput for a quick start."""


def bench_broker(directory: Path) -> KafkaBroker:
    """Make a broker on loopback, whose topics take large messages; a context manager.

    Args:
        directory: for its data; belongs to this broker.

    Returns:
        The broker, not started.
    """
    return KafkaBroker(
        directory,
        fetch_jars(cache_directory() / "kafka"),
        properties={"message.max.bytes": "8388608"},
        java_options=JAVA,
    )
