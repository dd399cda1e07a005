"""Which headers of a job its result carries as well.

Copied is what means something to the producer: `correlation-id`, `traceparent`, `tracestate` and
every name that is unknown here. Not copied are:

- what describes the job's value and would be wrong about the result: `content-type`,
  `content-encoding`, CloudEvents' `ce_*`, the job's options;
- names that the worker sets itself;
- credentials (`SECRET_HEADERS`): readers of results need not be allowed to send jobs.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from worker.contract.headers import (
    CE_PREFIX,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    DEAD_LETTER_PREFIX,
    JOB_OPTIONS,
    RESULT_ID,
    RETRY_HEADERS,
    SOURCE_OFFSET,
    SOURCE_PARTITION,
    SOURCE_TIMESTAMP,
    SOURCE_TOPIC,
    fold_name,
    has_prefix,
)

if TYPE_CHECKING:
    from worker.contract.records import Headers

__all__ = ["SECRET_HEADERS", "copied_headers", "holds_credentials"]

MAX_BYTES = 4096
"""Largest header that is copied, name and value in bytes; a larger one is left out."""

MAX_COUNT = 64
"""Most headers that are copied, the first ones: a job cannot make its result outgrow the topic."""

SECRET_HEADERS = (
    "access-key", "api-key", "assertion", "auth", "auth-key", "authenticate",
    "authentication-info", "authorization", "authorization-auxiliary", "bearer", "cookie",
    "cookie2", "credential", "credentials", "dpop", "functions-key", "jwt", "oidc-data",
    "passphrase", "passwd", "password", "private-key", "secret", "session-id", "subscription-key",
    "token",
)  # fmt: skip
"""Endings of the names of headers that hold credentials, whatever precedes them (`X-`, `HTTP_`, a
vendor's name): those of RFC 9110 and RFC 6265, and those that gateways and clouds use."""

_SECRET = tuple(fold_name(name) for name in SECRET_HEADERS)
_PUNCTUATION = re.compile(r"[\W_]+")

_NOT_COPIED = frozenset(
    fold_name(name)
    for name in (
        *JOB_OPTIONS, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH,
        RESULT_ID, SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, SOURCE_TIMESTAMP, *RETRY_HEADERS,
    )
)  # fmt: skip


def copied_headers(headers: Headers) -> tuple[tuple[str, bytes], ...]:
    """Choose the headers of a job that its result carries.

    Returns:
        At most `MAX_COUNT` of `headers`, in order and unchanged.
    """
    copied: list[tuple[str, bytes]] = []
    for name, value in headers:
        fits = len(name.encode()) + len(value or b"") <= MAX_BYTES
        if fits and _is_copied(name):
            copied.append((name, value))
        if len(copied) == MAX_COUNT:
            break
    return tuple(copied)


def holds_credentials(name: str) -> bool:
    """Tell by its name whether a header holds credentials; see `SECRET_HEADERS`."""
    return _PUNCTUATION.sub("", name.lower()).endswith(_SECRET)


# Producers send the same few names again and again.
@lru_cache(maxsize=256)
def _is_copied(name: str) -> bool:
    if has_prefix(name, CE_PREFIX, DEAD_LETTER_PREFIX):
        return False
    if holds_credentials(name):
        return False
    return fold_name(name) not in _NOT_COPIED
