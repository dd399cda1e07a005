"""What a dead letter says of its record, and the record as it is put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.contract.headers import (
    DEAD_LETTER_ATTEMPTS,
    DEAD_LETTER_CODE,
    DEAD_LETTER_ID,
    DEAD_LETTER_JOB_ID,
    DEAD_LETTER_MESSAGE,
    DEAD_LETTER_MODEL,
    DEAD_LETTER_PREFIX,
    DEAD_LETTER_REASON,
    DEAD_LETTER_STAGE,
    DEAD_LETTER_VALUE_OMITTED,
    DEAD_LETTER_WORKER_VERSION,
    REPLAY_ATTEMPTS,
    SOURCE_OFFSET,
    SOURCE_PARTITION,
    SOURCE_TIMESTAMP,
    SOURCE_TOPIC,
    fold_name,
    has_prefix,
    text_headers,
)
from worker.contract.records import Message, Record, record_id
from worker.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.contract.records import Headers

__all__ = ["DeadLetter", "own_headers", "read_letter", "restored_message"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter without its value: what a list shows, and what filters look at.

    Attributes:
        timestamp_ms: when the letter was written, milliseconds since the epoch.
        key: the record's key.
        size: bytes of key, value and headers.
        source_id: `topic-partition-offset` of the record that failed; empty if the record on the
            dead-letter topic is none of a worker's.
        source_partition: None if it is not told.
        attempts: how often the failing step was tried.
        replays: how often the record had been put back before it failed.
        model: the model that the worker ran; empty where an older worker did not say.
        unfit: why the record can never be put back from this letter, or None.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    size: int
    source_id: str
    source_topic: str
    source_partition: int | None
    source_offset: int | None
    source_timestamp_ms: int | None
    job_id: str
    stage: str
    reason: str
    code: int | None
    message: str
    attempts: int | None
    model: str
    worker_version: str
    replays: int
    unfit: str | None

    @property
    def id(self) -> str:
        """The letter's own place: `topic-partition-offset` on the dead-letter topic."""
        return record_id(self.topic, self.partition, self.offset)


def read_letter(record: Record) -> DeadLetter:
    """Read what a record of the dead-letter topic says. Raises nothing, whatever the record is.

    Returns:
        The letter.
    """
    headers = text_headers(record.headers)

    def text(name: str) -> str:
        return headers.get(fold_name(name), "")

    source_topic = text(DEAD_LETTER_PREFIX + SOURCE_TOPIC)
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        key=record.key,
        size=record.size,
        source_id=text(DEAD_LETTER_ID) if source_topic else "",
        source_topic=source_topic,
        source_partition=_number(text(DEAD_LETTER_PREFIX + SOURCE_PARTITION)),
        source_offset=_number(text(DEAD_LETTER_PREFIX + SOURCE_OFFSET)),
        source_timestamp_ms=_number(text(DEAD_LETTER_PREFIX + SOURCE_TIMESTAMP)),
        job_id=text(DEAD_LETTER_JOB_ID),
        stage=text(DEAD_LETTER_STAGE),
        reason=text(DEAD_LETTER_REASON),
        code=_number(text(DEAD_LETTER_CODE)),
        message=text(DEAD_LETTER_MESSAGE),
        attempts=_number(text(DEAD_LETTER_ATTEMPTS)),
        model=text(DEAD_LETTER_MODEL),
        worker_version=text(DEAD_LETTER_WORKER_VERSION),
        replays=_number(text(REPLAY_ATTEMPTS)) or 0,
        unfit=_unfit(record, source_topic, headers),
    )


def own_headers(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    """Choose the headers that the record had before it became a dead letter.

    Returns:
        All but `dead-letter-*`, in order.
    """
    return tuple(header for header in headers if not has_prefix(header[0], DEAD_LETTER_PREFIX))


def restored_message(record: Record) -> Message:
    """Make the message that puts a letter's record back on its topic.

    Returns:
        The record's key, value and own headers, and the count of replays, one higher.
    """
    replays = read_letter(record).replays + 1
    count = fold_name(REPLAY_ATTEMPTS)
    kept = (header for header in own_headers(record.headers) if fold_name(header[0]) != count)
    return Message(record.key, record.value, (*kept, (REPLAY_ATTEMPTS, b"%d" % replays)))


def _unfit(record: Record, source_topic: str, headers: Mapping[str, str]) -> str | None:
    if record.unreadable is not None:
        return f"the letter cannot be read: {record.unreadable}"
    if not source_topic:
        return "it is no dead letter of a worker: it has no dead-letter-source-topic header"
    if (size := headers.get(fold_name(DEAD_LETTER_VALUE_OMITTED))) is not None:
        return (
            f"its value of {size} bytes was left out, as too large for the dead-letter topic: "
            "the record is where its source says, until that topic's retention ends"
        )
    if headers.get(fold_name(DEAD_LETTER_REASON)) == Reason.UNREADABLE.label:
        return "its record could not be read: ask the producer to send it again"
    if not record.value:
        return "its record had no value: there is no job to put back"
    return None


def _number(text: str) -> int | None:
    try:
        return int(text[:20])
    except ValueError:
        return None
