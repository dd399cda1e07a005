"""Dead letters: failed records with why they failed, by `schemas/dead-letter.schema.json`.

A dead letter keeps key, value and all headers of its record, credentials included: put back into
the jobs topic it is the same job again. So readers of the dead-letter topic must also be allowed to
read the jobs topic. It adds `dead-letter-*` headers. Those of an earlier failure are replaced: a
record that was put back and failed again has only its last failure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from worker import __version__
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
    has_prefix,
    source_headers,
)
from worker.contract.records import Message
from worker.contract.text import bounded_text

if TYPE_CHECKING:
    from worker.contract.records import Record
    from worker.errors import Failure

__all__ = ["dead_letter_message", "without_origin", "without_value"]


def dead_letter_message(
    record: Record, job_id: str | None, failure: Failure, model: str | None = None
) -> Message:
    """Make the message for the dead-letter topic: the record unchanged, and why it failed.

    A null value stays null, so the dead-letter topic must not be compacted.

    Args:
        job_id: the job's own name; None if it has none, and the record's id is used.
        model: name of the model that the worker runs; None leaves the header out.

    Returns:
        The record's key, value and own headers, and the `dead-letter-*` headers.
    """
    kept = ((name, value) for name, value in record.headers if not _is_added(name))
    return Message(
        record.key,
        record.value,
        (
            *kept,
            (DEAD_LETTER_ID, record.id.encode()),
            (DEAD_LETTER_JOB_ID, (job_id or record.id).encode()),
            *source_headers(record, DEAD_LETTER_PREFIX),
            (DEAD_LETTER_STAGE, failure.stage.value.encode()),
            (DEAD_LETTER_REASON, failure.reason.label.encode()),
            (DEAD_LETTER_CODE, b"%d" % failure.status),
            (DEAD_LETTER_MESSAGE, bounded_text(failure.message).encode()),
            (DEAD_LETTER_ATTEMPTS, b"%d" % failure.attempts),
            (DEAD_LETTER_WORKER_VERSION, __version__.encode()),
            *(((DEAD_LETTER_MODEL, model.encode()),) if model is not None else ()),
        ),
    )


def without_value(message: Message) -> Message:
    """Make a dead letter smaller by its value.

    For a record that the jobs topic accepted and the dead-letter topic does not: the headers still
    say where to find it.

    Returns:
        A copy with a null value; its header `dead-letter-value-omitted` says how large the value
        was.
    """
    omitted = (DEAD_LETTER_VALUE_OMITTED, b"%d" % len(message.value or b""))
    return replace(message, value=None, headers=(*message.headers, omitted))


def without_origin(message: Message) -> Message:
    """Make a dead letter smaller by the record's own key and headers, after `without_value`.

    Returns:
        A message with the `dead-letter-*` headers alone, which say where to find the record.
    """
    return Message(None, None, tuple(each for each in message.headers if _is_added(each[0])))


def _is_added(name: str) -> bool:
    return has_prefix(name, DEAD_LETTER_PREFIX)
