"""A message on its way to a topic, and how it is made to fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from worker.contract.records import Message
from worker.metrics import Metrics

__all__ = ["Outgoing", "Reduce", "Sizes"]

RECORD_OVERHEAD = 512
"""Bytes that the protocol may add to a message: batch header, lengths, deltas."""

log = structlog.get_logger(__name__)

Reduce = Callable[[Message], Message]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for a topic.

    Attributes:
        reductions: functions that each make the message smaller by something less important. They
            are applied in order for as long as the message is too large for the topic.
    """

    topic: str
    message: Message
    reductions: tuple[Reduce, ...] = ()


class Sizes:
    """Makes messages fit their topics.

    Args:
        limits: largest message in bytes by topic, where it is known.
        default: largest message in bytes of all other topics.
    """

    def __init__(self, limits: Mapping[str, int], default: int, metrics: Metrics) -> None:
        self._limits = limits
        self._default = default
        self._metrics = metrics

    @property
    def smallest(self) -> int:
        """Bytes that each topic takes in one message."""
        return min((self._default, *self._limits.values()))

    def limit(self, topic: str) -> int:
        """Get the largest message in bytes, as far as that is known."""
        return self._limits.get(topic, self._default)

    def fit(self, outgoing: Outgoing) -> Outgoing:
        """Reduce a message for as long as it is larger than its topic is known to take.

        Returns:
            The message; it may be too large still, if it cannot be reduced any further.
        """
        limit = self.limit(outgoing.topic) - RECORD_OVERHEAD
        while outgoing.message.size > limit and (smaller := self.reduce(outgoing)):
            outgoing = smaller
        return outgoing

    def reduce(self, outgoing: Outgoing) -> Outgoing | None:
        """Apply the next reduction that makes the message smaller.

        Returns:
            The smaller message, or None if there is none.
        """
        topic, message = outgoing.topic, outgoing.message
        for number, reduce in enumerate(outgoing.reductions, 1):
            smaller = reduce(message)
            if smaller.size < message.size:
                self._metrics.reduced.labels(topic).inc()
                log.warning(
                    "message_too_large", topic=topic, bytes=message.size, reduced_to=smaller.size
                )
                return Outgoing(topic, smaller, outgoing.reductions[number:])
        return None
