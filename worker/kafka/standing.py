"""What each topic has taken and refused lately, and what follows for its next messages."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError

from worker.kafka.refusals import Verdict, code_of, name_of

__all__ = ["DOUBT_PATIENCE", "SUSPICION", "Standing"]

SUSPICION = 60.0
"""Seconds after a topic's last refusal in which each of its messages is sent alone."""

DOUBT_PATIENCE = 60.0
"""Seconds of attempts at a message whose refusal does not say whether it is final.

Longer than a broker takes to restart; so long a job can hold its partition's offset up.
"""

log = structlog.get_logger(__name__)


class Standing:
    """Bookkeeping by topic; no I/O.

    Args:
        on_forbidden: told when there begins, or ceases, to be a topic that refuses everything from
            this worker.
        clock: monotonic seconds.
    """

    def __init__(
        self, on_forbidden: Callable[[bool], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_forbidden = on_forbidden
        self.clock = clock
        self._alone_until: dict[str, float] = {}
        self._forbidden: set[str] = set()
        self._taken: dict[str, float] = {}

    def goes_alone(self, topic: str) -> bool:
        """Whether a message is to be sent by itself, since another one was refused not long ago."""
        until = self._alone_until.get(topic)
        return until is not None and self.clock() < until

    def is_to_blame(self, topic: str, since: float) -> bool:
        """Whether a message doubted `since` then is at fault, not its topic or the brokers."""
        late = self.clock() - since >= DOUBT_PATIENCE
        return late and self._taken.get(topic, -math.inf) > since

    def took(self, topic: str) -> None:
        """A message was acknowledged."""
        self._taken[topic] = self.clock()
        if topic in self._forbidden:
            log.info("publish_allowed", topic=topic)
            self._forbidden.discard(topic)
            self._on_forbidden(bool(self._forbidden))

    def refused(self, topic: str, verdict: Verdict, error: KafkaError) -> None:
        """A message, or its batch, was not taken."""
        if verdict is Verdict.RETRY:
            return
        # A batch that is too large shows a limit that could not be read: it stays.
        until = math.inf if verdict is Verdict.TOO_LARGE else self.clock() + SUSPICION
        self._alone_until[topic] = max(until, self._alone_until.get(topic, until))
        if verdict is Verdict.FORBIDDEN and topic not in self._forbidden:
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
