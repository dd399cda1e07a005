"""The names of all record headers that this project reads or writes, and how headers are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.contract.records import Headers, Record

__all__ = [
    "CE_DATA_CONTENT_TYPE",
    "CE_ID",
    "CE_PREFIX",
    "CONTENT_ENCODING",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "CORRELATION_ID",
    "DEADLINE_MS",
    "DEAD_LETTER_ATTEMPTS",
    "DEAD_LETTER_CODE",
    "DEAD_LETTER_ID",
    "DEAD_LETTER_JOB_ID",
    "DEAD_LETTER_MESSAGE",
    "DEAD_LETTER_MODEL",
    "DEAD_LETTER_PREFIX",
    "DEAD_LETTER_REASON",
    "DEAD_LETTER_STAGE",
    "DEAD_LETTER_VALUE_OMITTED",
    "DEAD_LETTER_WORKER_VERSION",
    "JOB_ID",
    "JOB_OPTIONS",
    "REPLAY_ATTEMPTS",
    "RESULT_ID",
    "RETRY_ATTEMPTS",
    "RETRY_HEADERS",
    "RETRY_MESSAGE",
    "RETRY_NOT_BEFORE_MS",
    "RETRY_NUMBER",
    "RETRY_PREFIX",
    "RETRY_REASON",
    "RETRY_SOURCE_OFFSET",
    "RETRY_SOURCE_PARTITION",
    "RETRY_SOURCE_TIMESTAMP",
    "RETRY_SOURCE_TOPIC",
    "SOURCE_OFFSET",
    "SOURCE_PARTITION",
    "SOURCE_TIMESTAMP",
    "SOURCE_TOPIC",
    "TOP_K",
    "VISUALIZE",
    "fold_name",
    "has_prefix",
    "source_headers",
    "text_headers",
    "text_pairs",
]

CONTENT_TYPE = "content-type"
CONTENT_ENCODING = "content-encoding"
CONTENT_LENGTH = "content-length"

CORRELATION_ID = "correlation-id"
"""The producer's own; the worker copies it from the job to the result."""

# Options of a job whose value is the image itself.
JOB_ID = "job-id"
TOP_K = "top-k"
VISUALIZE = "visualize"
DEADLINE_MS = "deadline-ms"
JOB_OPTIONS = (JOB_ID, TOP_K, VISUALIZE, DEADLINE_MS)

# CloudEvents' binary mode.
CE_PREFIX = "ce-"
CE_ID = "ce_id"
CE_DATA_CONTENT_TYPE = "ce_datacontenttype"

# Of a result.
RESULT_ID = "result-id"
SOURCE_TOPIC = "source-topic"
SOURCE_PARTITION = "source-partition"
SOURCE_OFFSET = "source-offset"
SOURCE_TIMESTAMP = "source-timestamp"

# Of a dead letter, which also has the four source headers behind the prefix.
DEAD_LETTER_PREFIX = "dead-letter-"
DEAD_LETTER_ID = "dead-letter-id"
DEAD_LETTER_JOB_ID = "dead-letter-job-id"
DEAD_LETTER_STAGE = "dead-letter-stage"
DEAD_LETTER_REASON = "dead-letter-reason"
DEAD_LETTER_CODE = "dead-letter-code"
DEAD_LETTER_MESSAGE = "dead-letter-message"
DEAD_LETTER_ATTEMPTS = "dead-letter-attempts"
DEAD_LETTER_WORKER_VERSION = "dead-letter-worker-version"
DEAD_LETTER_MODEL = "dead-letter-model"
DEAD_LETTER_VALUE_OMITTED = "dead-letter-value-omitted"

REPLAY_ATTEMPTS = "replay-attempts"
"""How often a record was put back from the dead letters. It is no `dead-letter-` header: those are
replaced when the record fails again, and this count must outlive that."""
# Of a record in a retry topic, which also has the four source headers behind the prefix. Their
# names are the worker's own: on a job they mean nothing.
RETRY_PREFIX = "job-retry-"
RETRY_NUMBER = "job-retry-number"
RETRY_ATTEMPTS = "job-retry-attempts"
RETRY_NOT_BEFORE_MS = "job-retry-not-before-ms"
RETRY_REASON = "job-retry-reason"
RETRY_MESSAGE = "job-retry-message"
RETRY_SOURCE_TOPIC = RETRY_PREFIX + SOURCE_TOPIC
RETRY_SOURCE_PARTITION = RETRY_PREFIX + SOURCE_PARTITION
RETRY_SOURCE_OFFSET = RETRY_PREFIX + SOURCE_OFFSET
RETRY_SOURCE_TIMESTAMP = RETRY_PREFIX + SOURCE_TIMESTAMP
RETRY_HEADERS = (
    RETRY_SOURCE_TOPIC, RETRY_SOURCE_PARTITION, RETRY_SOURCE_OFFSET, RETRY_SOURCE_TIMESTAMP,
    RETRY_NUMBER, RETRY_ATTEMPTS, RETRY_NOT_BEFORE_MS, RETRY_REASON, RETRY_MESSAGE,
)  # fmt: skip


def fold_name(name: str) -> str:
    """Fold the spellings of a name that differ between client libraries.

    Returns:
        The name in lower case without `-` and `_`: `top-k`, `topK` and `TOP_K` are all `topk`.
    """
    return name.lower().replace("-", "").replace("_", "")


def has_prefix(name: str, *prefixes: str) -> bool:
    """Tell whether a name begins with one of `prefixes`, in any case and with `_` for `-`."""
    return name.lower().replace("_", "-").startswith(prefixes)


def text_pairs(headers: Headers) -> list[tuple[str, str]]:
    """Decode the values of headers.

    Returns:
        Name and text of each header, in order. Bytes that are not UTF-8 are replaced, so that no
        header can fail a job by itself.
    """
    return [(name, (value or b"").decode("utf-8", "replace").strip()) for name, value in headers]


def text_headers(headers: Headers) -> dict[str, str]:
    """Decode headers for look-up by name.

    Returns:
        The texts of `text_pairs` by `fold_name` of their names; the last header of a name counts.
    """
    return {fold_name(name): text for name, text in text_pairs(headers)}


def source_headers(record: Record, prefix: str = "") -> tuple[tuple[str, bytes], ...]:
    """Make the headers that say where a record is: topic, partition, offset and timestamp.

    A topic that was deleted and created again counts its offsets from 0 again; the timestamp tells
    its records from the earlier ones.

    Returns:
        Names and values; each name begins with `prefix`.
    """
    return (
        (prefix + SOURCE_TOPIC, record.topic.encode()),
        (prefix + SOURCE_PARTITION, b"%d" % record.partition),
        (prefix + SOURCE_OFFSET, b"%d" % record.offset),
        (prefix + SOURCE_TIMESTAMP, b"%d" % record.timestamp_ms),
    )
