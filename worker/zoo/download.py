"""Downloads one file, however often the connection breaks, across runs of the program too."""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from worker.cache import write_whole
from worker.clock import SYSTEM_CLOCK, Clock
from worker.errors import ModelError
from worker.retry import Retry
from worker.zoo.request import Body, InterruptedTransferError, RefusedTransferError, get

__all__ = ["Limits", "Progress", "discard", "download", "unwatched"]

BLOCK = 1024 * 1024
STALLED = Retry(first=1.0, longest=30.0, attempts=5)
"""Attempts in a row that bring no byte, after which it is given up."""

RANGE_NOT_SATISFIABLE = 416

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here, and those in all or None when the server does not say."""


def unwatched(_have: int, _total: int | None) -> None:
    """Show nothing; the default `Progress`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a download may take.

    Attributes:
        max_bytes: of the whole file.
        timeout: longest silence in seconds.
    """

    max_bytes: int
    timeout: float


def download(
    url: str,
    target: Path,
    limits: Limits,
    progress: Progress,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Download the whole file to `target`, resuming from the bytes that are there.

    They are used only if they are of the address and version in the note beside the file. If the
    server names no version, only bytes of this call are used, as long as the file keeps its size.
    For one process at a time.

    Raises:
        ModelError: the server refuses, cannot be reached, or the file is too large.
        OSError: the disk is full or cannot be written.
    """
    pauses = STALLED.pauses(clock)
    call = secrets.token_hex(8)
    while True:
        before = _size(target)
        try:
            _attempt(url, target, call, limits, progress)
            return
        except _TooLargeError as error:
            # Nothing that came of it is of use to a later try.
            discard(target)
            raise ModelError(
                f"{error}, above zoo.max_bytes ({limits.max_bytes}): raise it if the archive is "
                "the right one"
            ) from error
        except InterruptedTransferError as error:
            if _size(target) > before:
                pauses, pause = STALLED.pauses(clock), STALLED.first
            elif (further := next(pauses, None)) is not None:
                pause = further
            else:
                raise ModelError(
                    f"{error}; tried {STALLED.attempts} times. Check the network, HTTPS_PROXY, "
                    "SSL_CERT_FILE and zoo.base_url; what has come is kept for the next try"
                ) from error
        except RefusedTransferError as error:
            if error.status != RANGE_NOT_SATISFIABLE or not before:
                raise ModelError(str(error)) from error
            if error.size == before:
                return  # an earlier run had it all, and ended before it could say so
            discard(target)
            pause = STALLED.first
        clock.block(pause)


def discard(target: Path) -> None:
    """Remove what `download` made."""
    _note(target).unlink(missing_ok=True)
    target.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Note:
    """What the bytes that are here are of.

    Attributes:
        validator: the server's name for this version of the file, if it has one.
        total: size of the whole file, if the server says so.
        call: which call of `download` began it.
    """

    url: str
    validator: str | None
    total: int | None
    call: str


class _TooLargeError(Exception):
    """The file is larger than the limit."""


def _attempt(url: str, target: Path, call: str, limits: Limits, progress: Progress) -> None:
    note = _read_note(url, target)
    start = _size(target) if note and (note.validator or note.call == call) else 0
    validator = note.validator if note else None
    with get(url, start, validator, limits.timeout) as body:
        if body.total is not None and body.total > limits.max_bytes:
            raise _TooLargeError(f"{url} has {body.total} bytes")
        if body.start == 0:
            begun = _Note(url, body.validator, body.total, call)
            # Emptied before the note is written: the note must never be beside another file's
            # bytes.
            target.write_bytes(b"")
            write_whole(_note(target), json.dumps(asdict(begun)).encode())
        elif note and validator is None and note.total not in (None, body.total):
            discard(target)
            raise InterruptedTransferError(f"{url} changed while it was downloaded")
        with target.open("ab") as file:
            _copy(url, body, file, limits, progress)


def _copy(url: str, body: Body, file: BinaryIO, limits: Limits, progress: Progress) -> None:
    have = body.start
    progress(have, body.total)
    while True:
        try:
            block = body.stream.read(BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise InterruptedTransferError(f"{url} broke off after {have} bytes") from error
        if not block:
            break
        have += len(block)
        if have > limits.max_bytes:
            raise _TooLargeError(f"{url} has {have} bytes or more")
        file.write(block)
        progress(have, body.total)
    # `read` takes an early end of the connection for the end of the file.
    if body.total is not None and have != body.total:
        raise InterruptedTransferError(f"{url} broke off after {have} of {body.total} bytes")


def _read_note(url: str, target: Path) -> _Note | None:
    """The note about `target`; None when there is none, or it is about another address."""
    try:
        note = _Note(**json.loads(_note(target).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return note if note.url == url and isinstance(note.validator, str | None) else None


def _note(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _size(target: Path) -> int:
    return target.stat().st_size if target.exists() else 0
