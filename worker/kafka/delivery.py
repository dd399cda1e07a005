"""The ways in which results reach their topics, and the choice of one.

Each way decides when messages are sent, when a job's offset may settle, and how offsets are
committed. The service, the intake and the rebalance know only what `Delivery` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from worker.kafka.at_least_once import AtLeastOnce
from worker.kafka.client import make_producer, make_transactional_producer
from worker.kafka.exactly_once import ExactlyOnce
from worker.kafka.in_order import InOrder
from worker.kafka.outgoing import Sizes
from worker.kafka.paced_requests import pace_requests
from worker.kafka.parcel import Parcel, Refusals
from worker.kafka.publisher import Publisher
from worker.kafka.topic_history import TopicHistory
from worker.metrics import Metrics
from worker.settings import KafkaSettings, PublishSettings, Settings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from worker.budget import Budget
    from worker.kafka.assignment import Assignment, PartitionState
    from worker.kafka.consumer import Consumer
    from worker.tracing.tracer import Tracer

__all__ = ["Delivery", "make_delivery"]


class Delivery(Protocol):
    """Delivers parcels, and commits the offsets of their records."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection to a broker."""
        ...

    async def connect(self) -> None:
        """Connect.

        Raises:
            KafkaError: the brokers cannot be reached or refuse the client.
            KafkaSetupError: the brokers cannot be used in this way.
        """
        ...

    def attach(self, consumer: Consumer, assignment: Assignment) -> None:
        """Take note of whose offsets are committed; before all methods below."""
        ...

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            Exception: a defect.
        """
        ...

    def begin(self, states: Iterable[PartitionState]) -> None:
        """Begin with newly assigned partitions."""
        ...

    async def deliver(self, parcel: Parcel) -> None:
        """Send a parcel until the brokers have acknowledged, or refused for good, what it holds.

        Until then only cancelling ends the attempts. The job's offset may settle then.
        """
        ...

    def hurry(self) -> None:
        """Send at once what waits for a better moment: partitions are about to be given up."""
        ...

    async def commit(self, timeout: float | None = None) -> bool:
        """Commit what has settled, before partitions are given up.

        Args:
            timeout: seconds; None for a limit of its own.

        Returns:
            Whether nothing is left to commit.
        """
        ...

    async def stop(self, timeout: float) -> None:
        """Send what is queued and disconnect, within `timeout` seconds."""
        ...


def make_delivery(
    settings: Settings,
    limits: Mapping[str, int],
    refusals: Refusals,
    history: TopicHistory,
    metrics: Metrics,
    tracer: Tracer | None,
    budget: Budget,
) -> Delivery:
    """Make the delivery that the settings ask for.

    Args:
        limits: largest message in bytes by topic, where it is known.
        budget: tells whether many jobs are in flight.

    Returns:
        The delivery, not connected.
    """
    kafka, publish = settings.kafka, settings.publish
    known = {topic: min(limit, publish.max_request_bytes) for topic, limit in limits.items()}
    if settings.delivery == "exactly_once":
        sizes = Sizes(known, publish.max_request_bytes, metrics)
        make = partial(make_transactional_producer, settings, sizes.smallest)
        return ExactlyOnce(make, settings, sizes, refusals, history, metrics, tracer=tracer)
    publisher = Publisher(
        partial(_make_paced, kafka, publish, budget),
        known,
        publish.max_request_bytes,
        publish.backoff_max,
        metrics,
        history,
        tracer=tracer,
    )
    if settings.results.ordered:
        return InOrder(publisher, refusals, kafka.commit_interval, metrics, tracer)
    return AtLeastOnce(publisher, refusals, kafka.commit_interval, metrics)


def _make_paced(
    kafka: KafkaSettings,
    publish: PublishSettings,
    budget: Budget,
    *,
    max_batch_size: int,
    enable_idempotence: bool,
) -> AIOKafkaProducer:
    producer = make_producer(
        kafka, publish, max_batch_size=max_batch_size, enable_idempotence=enable_idempotence
    )
    # The other kind has a request for each message.
    if enable_idempotence:
        pace_requests(producer, lambda: publish.linger if budget.crowded else 0.0)
    return producer
