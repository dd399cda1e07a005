"""What the transactions of all partitions of a worker share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.clock import SYSTEM_CLOCK, Clock
from worker.kafka.outgoing import Sizes
from worker.kafka.parcel import Refusals
from worker.kafka.topic_history import TopicHistory
from worker.metrics import Metrics
from worker.retry import Retry
from worker.settings import TransactionSettings

if TYPE_CHECKING:
    from aiokafka import TopicPartition

    from worker.kafka.assignment import Assignment
    from worker.kafka.consumer import Consumer
    from worker.kafka.starts import Starts
    from worker.kafka.transactional_producer import TransactionalProducer

__all__ = ["Shared"]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the transactions of all partitions share.

    Attributes:
        make: makes the producer of a partition, not started.
        starts: bounds how many producers start at a time.
        membership_pause: seconds between two questions whether this worker is still in its group.
    """

    make: Callable[[TopicPartition], TransactionalProducer]
    consumer: Consumer
    assignment: Assignment
    settings: TransactionSettings
    starts: Starts
    sizes: Sizes
    refusals: Refusals
    history: TopicHistory
    metrics: Metrics
    retry: Retry
    membership_pause: float
    results_topic: str
    clock: Clock = SYSTEM_CLOCK
