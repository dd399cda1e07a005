"""What each topic has accepted and refused lately, and what follows for its next messages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from aiokafka.errors import KafkaError

from worker.clock import SYSTEM_CLOCK, Clock
from worker.kafka.broker_errors import ErrorKind, code_of, name_of

if TYPE_CHECKING:
    from aiokafka import TopicPartition

__all__ = ["DOUBT_PATIENCE", "ISOLATION_SECONDS", "TopicHistory"]

ISOLATION_SECONDS = 60.0
"""Seconds after a topic's last refusal in which each of its messages is sent by itself."""

DOUBT_PATIENCE = 60.0
"""Seconds for which a message is sent again whose refusal does not say whether it is final.

Longer than a broker takes to restart. Meanwhile the partition's committed offset cannot advance.
"""

log = structlog.get_logger(__name__)


class TopicHistory:
    """Bookkeeping by topic; no I/O.

    Args:
        on_forbidden: called with whether this worker lacks the right to write to any topic, or to
            make a partition's transactions, when that may have changed.
        clock: what refusals age by.
    """

    def __init__(self, on_forbidden: Callable[[bool], None], clock: Clock = SYSTEM_CLOCK) -> None:
        self._on_forbidden = on_forbidden
        self.clock = clock
        self._isolated_until: dict[str, float] = {}
        # Invariant: the topics that refuse everything, and the partitions whose transactions do.
        self._forbidden: set[str | TopicPartition] = set()
        self._accepted: dict[str, float] = {}

    def is_isolated(self, topic: str) -> bool:
        """Tell whether messages for a topic are sent alone now, because one was refused lately."""
        until = self._isolated_until.get(topic)
        return until is not None and self.clock.monotonic() < until

    def is_message_at_fault(self, topic: str, since: float) -> bool:
        """Decide whether a message itself is the cause of its refusals, not its topic or a broker.

        Args:
            since: when the message was refused first.

        Returns:
            Whether it has been sent for long enough, and the topic accepted others meanwhile.
        """
        late = self.clock.monotonic() - since >= DOUBT_PATIENCE
        return late and self._accepted.get(topic, -math.inf) > since

    def accepted(self, topic: str) -> None:
        """Take note that a message was acknowledged."""
        self._accepted[topic] = self.clock.monotonic()
        if topic in self._forbidden:
            log.info("publish_allowed", topic=topic)
            self._allow(topic)

    def refused(self, topic: str, kind: ErrorKind, error: KafkaError) -> None:
        """Take note that a message, or its batch, was refused."""
        if kind is ErrorKind.RETRY:
            return
        # A batch that is too large shows that the topic's limit is not known: that stays so.
        until = (
            math.inf if kind is ErrorKind.TOO_LARGE else self.clock.monotonic() + ISOLATION_SECONDS
        )
        self._isolated_until[topic] = max(until, self._isolated_until.get(topic, until))
        if kind is ErrorKind.FORBIDDEN and topic not in self._forbidden:
            log.error(
                "publish_forbidden",
                topic=topic,
                code=code_of(error),
                reason=name_of(error),
                remedy="allow this worker to write to the topic, or correct the topic's settings; "
                "until then its jobs wait",
            )
            self._forbidden.add(topic)
            self._on_forbidden(True)

    def forbid_transactions(self, partition: TopicPartition, error: KafkaError) -> None:
        """Take note that a right to a partition's transactional id, or to the group, is missing."""
        if partition in self._forbidden:
            return
        log.error(
            "publish_forbidden",
            topic=partition.topic,
            partition=partition.partition,
            code=code_of(error),
            reason=name_of(error),
            remedy="allow this worker to use its group and its transactional ids, which begin with "
            "GROUP-TOPIC-; until then the partition's jobs wait",
        )
        self._forbidden.add(partition)
        self._on_forbidden(True)

    def allow_transactions(self, partition: TopicPartition) -> None:
        """Take note that the rights are there, or that another worker has the partition now."""
        if partition in self._forbidden:
            log.info("publish_allowed", topic=partition.topic, partition=partition.partition)
            self._allow(partition)

    def _allow(self, what: str | TopicPartition) -> None:
        self._forbidden.discard(what)
        self._on_forbidden(bool(self._forbidden))
