"""Which jobs are tried again later, and by way of which topic.

There is one topic for each delay. In one topic for all, a record that waits ten minutes would hold
up those behind it that wait ten seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.headers import RETRY_HEADERS
from worker.contract.jobs import Postponed
from worker.contract.retries import read_retried, retry_message
from worker.kafka.batches import MAX_HEADERS
from worker.kafka.outgoing import Outgoing

if TYPE_CHECKING:
    from worker.contract.records import Record
    from worker.errors import Failure

__all__ = ["ADDED_HEADERS", "RetryTopics"]

ADDED_HEADERS = len(RETRY_HEADERS) + 2
"""Headers that a record in a retry topic has more than the job's first one: its own, and
`traceparent` and `tracestate` if traces are recorded."""


@dataclass(frozen=True, slots=True)
class _RetryTopic:
    name: str
    delay: float
    number: int


class RetryTopics:
    """The way of a job through the retry topics; no I/O.

    Args:
        delays: the delay in seconds by topic, the shortest first; with none, nothing is postponed.
        clock: its wall clock says when a retry is due.
    """

    def __init__(self, delays: Mapping[str, float], clock: Clock = SYSTEM_CLOCK) -> None:
        self._topics = [
            _RetryTopic(name, delay, number)
            for number, (name, delay) in enumerate(delays.items(), start=1)
        ]
        self._number = {topic.name: topic.number for topic in self._topics}
        self._clock = clock

    def first_record(self, record: Record) -> tuple[Record, int]:
        """Find the record with which a job began.

        Only a record that was read from a retry topic can name another: on a job, the headers of a
        retry are the producer's and mean nothing.

        Returns:
            That record, and how often the step that failed was tried for it before.
        """
        if record.topic in self._number and (retried := read_retried(record)) is not None:
            return retried.record, retried.attempts
        return record, 0

    def postpone(
        self,
        record: Record,
        first: Record,
        failure: Failure,
        job_id: str | None,
        deadline: float | None,
    ) -> tuple[Postponed, Outgoing] | None:
        """Have a job tried again later.

        Args:
            record: the record that was read.
            first: the one with which the job began.
            failure: why it failed now, with all attempts so far.
            deadline: seconds since the epoch by which an answer is wanted, if there is one.

        Returns:
            What became of the job, and the message for the retry topic. None if the job is to be
            answered now: the failure is permanent, there were enough retries, or its deadline
            passes before the next one.
        """
        tried = self._number.get(record.topic, 0)
        if not failure.transient or tried >= len(self._topics):
            return None
        if len(first.headers) + ADDED_HEADERS > MAX_HEADERS:
            return None  # the record would be unreadable
        topic = self._topics[tried]
        due = self._clock.wall() + topic.delay
        if deadline is not None and deadline <= due:
            return None
        message = retry_message(first, topic.number, round(due * 1000), failure)
        return Postponed(failure, job_id, topic.delay), Outgoing(topic.name, message)
