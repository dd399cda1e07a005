"""What is published about a job: its result, and the dead letter of a failed one. Pure functions.

`schemas/result.schema.json` and `schemas/dead-letter.schema.json` are the contract. Headers:

- A result copies the headers of its job that mean something to the producer (`correlation-id`,
  `traceparent`, `tracestate` and whatever is unknown here). It does not copy what described the
  input and would be wrong about the result (`content-type`, `content-encoding`, CloudEvents'
  `ce_*`, the job's options), nor names that the worker sets itself, nor what shows who may do what
  (`SECRET_HEADERS`): those who read results need not be those who may send jobs.
- A dead letter keeps key, value and all headers of its record as they came, secret ones included:
  put back into the jobs topic it is the same job again. So its topic is for those who may read the
  jobs topic. It adds `dead-letter-*`. Those of an earlier trip through the dead-letter topic are
  replaced: a record that was put back and failed again tells of its last failure only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import orjson
import pybase64

from worker import __version__
from worker.contract.options import OPTIONS, header_name
from worker.errors import Failure

if TYPE_CHECKING:
    from worker.contract.jobs import ModelIdentity, Outcome, Record

__all__ = [
    "DEAD_LETTER_PREFIX",
    "SECRET_HEADERS",
    "Message",
    "dead_letter_message",
    "outcome_fields",
    "result_message",
    "without_copies",
    "without_origin",
    "without_picture",
    "without_value",
]

DEAD_LETTER_PREFIX = "dead-letter-"

MAX_TEXT = 1024
"""Longest error message, in characters: it travels in a header, where brokers expect little."""

MAX_COPIED_HEADER = 4096
"""Largest header copied to a result, name and value in bytes; a larger one is left out."""

MAX_COPIED_HEADERS = 64
"""Most headers copied to a result, first come: a job cannot make its result outgrow the topic."""

_OWN_HEADERS = (
    "content-type", "result-id",
    "source-topic", "source-partition", "source-offset", "source-timestamp",
)  # fmt: skip

SECRET_HEADERS = (
    "access-key", "api-key", "assertion", "auth", "auth-key", "authenticate",
    "authentication-info", "authorization", "authorization-auxiliary", "bearer", "cookie",
    "cookie2", "credential", "credentials", "dpop", "functions-key", "jwt", "oidc-data",
    "passphrase", "passwd", "password", "private-key", "secret", "session-id", "subscription-key",
    "token",
)  # fmt: skip
"""How the names of headers end that are never copied to a result, whatever stands before (`X-`,
`HTTP_`, a vendor's name): credentials by RFC 9110 and RFC 6265, and those that gateways and clouds
use."""

_SECRET = tuple(header_name(name) for name in SECRET_HEADERS)
_PUNCTUATION = re.compile(r"[\W_]+")

_NOT_COPIED = OPTIONS | {
    "contenttype", "contentencoding", "contentlength",
    "resultid", "sourcetopic", "sourcepartition", "sourceoffset",
    "sourcetimestamp",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """A record to publish, but for its topic."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def size(self) -> int:
        """Bytes of key, value and headers, without the few that the protocol adds."""
        held = sum(len(name.encode()) + len(value or b"") for name, value in self.headers)
        return held + len(self.key or b"") + len(self.value or b"")


def outcome_fields(outcome: Outcome) -> dict[str, object]:
    """`errorCode`, `errorMsg` and, for a success, `result`: what every way out answers with.

    `result.image` is the picture as Base64, absent when there is none.
    """
    if isinstance(outcome, Failure):
        return {"errorCode": outcome.status, "errorMsg": _text(outcome.message)}
    result: dict[str, object] = {
        "categories": [
            {"id": category.id, "name": category.name, "score": category.score}
            for category in outcome.categories
        ]
    }
    if outcome.picture is not None:
        result["image"] = pybase64.b64encode_as_string(outcome.picture)
    return {"errorCode": 0, "errorMsg": "Success", "result": result}


def result_message(
    record: Record, job_id: str | None, outcome: Outcome, model: ModelIdentity
) -> Message:
    """The message for the results topic, under the record's own key.

    Args:
        record: where the job came from; its id is the result's `id`, equal for every delivery.
        job_id: the job's own name; None when it has none, and goes by the record's id.
        outcome: what became of it.
        model: what computed it, or would have.
    """
    value = {
        "id": record.id,
        "jobId": job_id or record.id,
        **outcome_fields(outcome),
        "model": {"name": model.name, "digest": model.digest, "backend": model.backend},
    }
    own = (
        b"application/json",
        record.id.encode(),
        record.topic.encode(),
        b"%d" % record.partition,
        b"%d" % record.offset,
        # A topic that is made anew counts its offsets from 0 again: this tells its records apart.
        b"%d" % record.timestamp_ms,
    )
    headers = (*zip(_OWN_HEADERS, own, strict=True), *_copied(record))
    return Message(record.key, orjson.dumps(value), headers)


def without_picture(message: Message) -> Message:
    """The same result with `imageOmitted: true` in place of its picture; itself if it has none.

    For a result that is too large for its topic: rare enough to take the message apart again,
    which spares the publisher from holding on to the outcome.
    """
    body = orjson.loads(message.value or b"null")
    if not body or "image" not in body.get("result", {}):
        return message
    del body["result"]["image"]
    body["result"]["imageOmitted"] = True
    return replace(message, value=orjson.dumps(body))


def without_copies(message: Message) -> Message:
    """The same result under no key and with the worker's own headers alone.

    For a result whose key or copied headers take the room; a failure is then a few KiB at most.
    """
    headers = tuple(header for header in message.headers if header[0] in _OWN_HEADERS)
    return Message(None, message.value, headers)


def dead_letter_message(record: Record, job_id: str | None, failure: Failure) -> Message:
    """The message for the dead-letter topic: the record as it came, and why it failed.

    A null value stays null, so the dead-letter topic must not be compacted.
    """
    about = {
        "id": record.id,
        "job-id": job_id or record.id,
        "source-topic": record.topic,
        "source-partition": str(record.partition),
        "source-offset": str(record.offset),
        "source-timestamp": str(record.timestamp_ms),
        "stage": failure.stage.value,
        "reason": failure.reason.label,
        "code": str(failure.status),
        "message": _text(failure.message),
        "attempts": str(failure.attempts),
        "worker-version": __version__,
    }
    kept = tuple(
        (name, value)
        for name, value in record.headers
        if not _dashed(name).startswith(DEAD_LETTER_PREFIX)
    )
    added = tuple((DEAD_LETTER_PREFIX + name, text.encode()) for name, text in about.items())
    return Message(record.key, record.value, kept + added)


def without_value(message: Message) -> Message:
    """The same dead letter without its value, whose size `dead-letter-value-omitted` tells.

    For a record that the jobs topic took but the dead-letter topic does not: its headers still say
    where to find it.
    """
    omitted = (f"{DEAD_LETTER_PREFIX}value-omitted", b"%d" % len(message.value or b""))
    return replace(message, value=None, headers=(*message.headers, omitted))


def without_origin(message: Message) -> Message:
    """A dead letter of nothing but its `dead-letter-*` headers: the last resort of `without_value`.

    They say where to find the record; its own key and headers may be what is too large.
    """
    kept = tuple(
        (name, value) for name, value in message.headers if name.startswith(DEAD_LETTER_PREFIX)
    )
    return Message(None, None, kept)


def _copied(record: Record) -> list[tuple[str, bytes]]:
    copied: list[tuple[str, bytes]] = []
    for name, value in record.headers:
        fits = len(name.encode()) + len(value or b"") <= MAX_COPIED_HEADER
        if fits and _is_copied(name):
            copied.append((name, value))
        if len(copied) == MAX_COPIED_HEADERS:
            break
    return copied


def _is_copied(name: str) -> bool:
    if _dashed(name).startswith(("ce-", DEAD_LETTER_PREFIX)):
        return False
    if _PUNCTUATION.sub("", name.lower()).endswith(_SECRET):
        return False
    return header_name(name) not in _NOT_COPIED


def _dashed(name: str) -> str:
    return name.lower().replace("_", "-")


def _text(message: str) -> str:
    # A lone surrogate (a label in a damaged model, say) would make the whole result unencodable.
    clean = message.encode("utf-8", "replace").decode()
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + "…"
