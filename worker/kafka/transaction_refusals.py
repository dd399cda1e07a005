"""Which message made a transaction fail, and what becomes of it; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from worker.clock import Clock
from worker.kafka.broker_errors import TOO_LARGE, ErrorKind, Refused, classify, code_of, name_of
from worker.kafka.outgoing import Outgoing, Sizes
from worker.kafka.parcel import Parcel, Refusals
from worker.kafka.topic_history import TopicHistory
from worker.kafka.transaction_plan import locate
from worker.kafka.transactional_producer import MessageFailedError
from worker.metrics import Metrics

__all__ = ["Suspect", "TransactionRefusals"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A message that its topic does not accept, sent alone, and not for good as far as is known.

    Attributes:
        since: when it was refused first, monotonic seconds.
        doubtful: whether the brokers do not say what is wrong.
    """

    parcel: Parcel
    outgoing: Outgoing
    since: float
    doubtful: bool


class TransactionRefusals:
    """Decides what becomes of refused messages of one partition's transactions.

    Attributes:
        suspect: the message that holds back those behind it; None as a rule.
    """

    def __init__(
        self,
        sizes: Sizes,
        refusals: Refusals,
        history: TopicHistory,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._sizes = sizes
        self._refusals = refusals
        self._history = history
        self._metrics = metrics
        self._clock = clock
        self.suspect: Suspect | None = None

    def note(self, parcels: Sequence[Parcel], failed: MessageFailedError) -> bool:
        """Decide what becomes of a message that was not accepted.

        Args:
            parcels: those of the transaction; the message's is changed if it is refused for good.

        Returns:
            Whether that changes what is sent next, or how, so that the next attempt need not wait.
        """
        error = failed.error
        parcel, outgoing = locate(parcels, failed.number)
        topic, kind = outgoing.topic, classify(error)
        self._metrics.publish_retries.inc()
        log.warning("publish_failed", topic=topic, record=parcel.record.id, error=str(error))
        self._history.refused(topic, kind, error)
        if kind is ErrorKind.RETRY:
            return False
        if not failed.alone:
            return True  # its batch was refused, which says nothing about the message yet
        if kind is ErrorKind.DOUBTFUL and self._is_at_fault(outgoing):
            kind = ErrorKind.FINAL
        if kind is ErrorKind.TOO_LARGE:
            smaller = self._sizes.reduce(outgoing)
            if smaller is None:
                refused = Refused(topic, TOO_LARGE, "MESSAGE_TOO_LARGE")
                self._refusals.replace(parcel, outgoing, refused)
            else:
                parcel.messages[parcel.messages.index(outgoing)] = smaller
            return True
        if kind is ErrorKind.FINAL:
            refused = Refused(topic, code_of(error), name_of(error))
            self._refusals.replace(parcel, outgoing, refused)
            return True
        if self.suspect is None or self.suspect.outgoing is not outgoing:
            doubtful = kind is ErrorKind.DOUBTFUL
            self.suspect = Suspect(parcel, outgoing, self._clock.monotonic(), doubtful)
        return False

    def forget(self, parcels: Sequence[Parcel]) -> None:
        """Forget the suspect if it is among these, which are committed."""
        if self.suspect is not None and self.suspect.parcel in parcels:
            self.suspect = None

    def witness(self, waiting: Iterable[Parcel]) -> Outgoing | None:
        """Find another message for the topic of a doubtful one.

        Returns:
            The message: if its topic accepts it, the doubtful one is at fault. None without any.
        """
        suspect = self.suspect
        if suspect is None or not suspect.doubtful:
            return None
        topic = suspect.outgoing.topic
        others = (
            outgoing
            for parcel in waiting
            if parcel is not suspect.parcel
            for outgoing in parcel.messages
            if outgoing.topic == topic
        )
        return next(others, None)

    def _is_at_fault(self, outgoing: Outgoing) -> bool:
        suspect = self.suspect
        return (
            suspect is not None
            and suspect.outgoing is outgoing
            and self._history.is_message_at_fault(outgoing.topic, suspect.since)
        )
