"""Records in retry topics, written and read; `schemas/retry.schema.json` is the contract.

Such a record keeps key, value and all headers of the job's first record. The worker's own headers
follow these, and are taken off again when it is read: then it is the first record once more, so
that results and dead letters of a job that was retried are those of any other job.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from worker.contract.headers import (
    RETRY_ATTEMPTS,
    RETRY_HEADERS,
    RETRY_MESSAGE,
    RETRY_NOT_BEFORE_MS,
    RETRY_NUMBER,
    RETRY_PREFIX,
    RETRY_REASON,
    RETRY_SOURCE_OFFSET,
    RETRY_SOURCE_PARTITION,
    RETRY_SOURCE_TIMESTAMP,
    RETRY_SOURCE_TOPIC,
    source_headers,
)
from worker.contract.records import Message
from worker.contract.text import bounded_text

if TYPE_CHECKING:
    from worker.contract.records import Record
    from worker.errors import Failure

__all__ = ["Retried", "not_before_ms", "read_retried", "retry_message"]


@dataclass(frozen=True, slots=True)
class Retried:
    """What a record in a retry topic says.

    Attributes:
        record: the job's first record, with all that its producer gave it.
        attempts: how often the step that failed was tried so far.
    """

    record: Record
    attempts: int


_NUMBERS = (RETRY_SOURCE_PARTITION, RETRY_SOURCE_OFFSET, RETRY_SOURCE_TIMESTAMP, RETRY_ATTEMPTS)


def retry_message(record: Record, number: int, not_before_ms: int, failure: Failure) -> Message:
    """Make the message for a retry topic.

    Args:
        record: the job's first record.
        number: which retry it is, from 1 on.
        not_before_ms: when it is due, milliseconds since the epoch.
        failure: why the job failed, with all attempts so far.

    Returns:
        The record's key, value and headers, followed by the `job-retry-*` headers.
    """
    return Message(
        record.key,
        record.value,
        (
            *record.headers,
            *source_headers(record, RETRY_PREFIX),
            (RETRY_NUMBER, b"%d" % number),
            (RETRY_ATTEMPTS, b"%d" % failure.attempts),
            (RETRY_NOT_BEFORE_MS, b"%d" % not_before_ms),
            (RETRY_REASON, failure.reason.label.encode()),
            (RETRY_MESSAGE, bounded_text(failure.message).encode()),
        ),
    )


def not_before_ms(record: Record) -> int | None:
    """Read when a record in a retry topic is due.

    Returns:
        Milliseconds since the epoch; None if it does not say.
    """
    for name, value in reversed(record.headers):
        if name == RETRY_NOT_BEFORE_MS:
            with contextlib.suppress(ValueError):
                return _whole(value)
    return None


def read_retried(record: Record) -> Retried | None:
    """Read a record that was read from a retry topic; never call it for one of another topic.

    Returns:
        The job's first record and what is known of the retry; None if the worker's headers are not
        all there: somebody else wrote the record, or it is damaged.
    """
    if record.unreadable is not None:
        return None
    # The last of each name is the worker's: a producer may use the same names.
    places = {name: at for at, (name, _) in enumerate(record.headers) if name in RETRY_HEADERS}
    if len(places) < len(RETRY_HEADERS):
        return None
    own = {name: record.headers[at][1] for name, at in places.items()}
    topic = (own[RETRY_SOURCE_TOPIC] or b"").decode("utf-8", "replace")
    try:
        partition, offset, timestamp, attempts = (_whole(own[name]) for name in _NUMBERS)
    except ValueError:
        return None
    if not topic or min(partition, offset) < 0 or attempts < 1:
        return None
    taken_off = set(places.values())
    first = replace(
        record,
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=timestamp,
        headers=tuple(h for at, h in enumerate(record.headers) if at not in taken_off),
    )
    return Retried(first, attempts)


def _whole(value: bytes | None) -> int:
    """Read a whole number that Kafka's protocol can carry.

    Raises:
        ValueError: it is none.
    """
    number = int(value or b"")
    if not -(2**63) <= number < 2**63:
        raise ValueError(number)
    return number
