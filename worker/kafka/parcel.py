"""What there is to say about one record, and what becomes of it when a topic refuses a part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from worker.contract.jobs import Outcome, Success
from worker.contract.records import Record
from worker.kafka.broker_errors import Refused
from worker.kafka.outgoing import Outgoing
from worker.metrics import Metrics

if TYPE_CHECKING:
    from worker.kafka.assignment import PartitionState

__all__ = ["Parcel", "Refusals"]

log = structlog.get_logger(__name__)


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class Parcel:
    """The messages about one record, which are delivered together.

    Attributes:
        state: the record's partition, as it was when the record was polled.
        refused: those of its messages that their topics refused in every form.
        delivered: done once the brokers have all the others; of use to ordered delivery alone.
    """

    state: PartitionState
    record: Record
    outcome: Outcome
    messages: list[Outgoing]
    refused: list[Refused] = field(default_factory=list)
    delivered: asyncio.Future[None] = field(default_factory=_future)

    @property
    def size(self) -> int:
        """Bytes of all messages."""
        return sum(outgoing.message.size for outgoing in self.messages)


class Refusals:
    """Says what takes the place of messages that no topic will ever accept.

    Args:
        reject: makes the failure of a record whose result is refused, and its messages.
    """

    def __init__(
        self,
        reject: Callable[[Record, Refused], tuple[Outcome, Sequence[Outgoing]]],
        metrics: Metrics,
    ) -> None:
        self._reject = reject
        self._metrics = metrics

    def settle(self, parcel: Parcel, refused: Sequence[Refused]) -> None:
        """Change a parcel of which some messages are refused for good.

        A refused result becomes a failure, with a dead letter: `parcel.messages` is then all that
        is left to send. Other messages are set aside.
        """
        if not refused:
            return
        if isinstance(parcel.outcome, Success):
            # The result has very many categories, say, or its topic wants a key.
            if not refused[0].too_large:
                self._set_aside(parcel, refused)
            parcel.outcome, messages = self._reject(parcel.record, refused[0])
            parcel.messages = list(messages)
            return
        self._set_aside(parcel, refused)

    def replace(self, parcel: Parcel, outgoing: Outgoing, refused: Refused) -> None:
        """Take a message that is refused for good out of its parcel.

        What takes its place is in `parcel.messages`, with those that are left.
        """
        parcel.messages.remove(outgoing)
        self.settle(parcel, [refused])

    def _set_aside(self, parcel: Parcel, refused: Sequence[Refused]) -> None:
        """Count and log messages that are lost: waiting for their topics would stop all others."""
        parcel.refused.extend(refused)
        for one in refused:
            self._metrics.set_aside.labels(one.topic).inc()
            log.error(
                "message_set_aside",
                topic=one.topic,
                record=parcel.record.id,
                code=one.code,
                reason=one.name,
            )
